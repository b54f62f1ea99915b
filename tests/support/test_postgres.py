import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from holdfast.store import schema
from holdfast.store.engine import Engine
from tests.support.pool import Pool
from tests.support.postgres import Postgres, PostgresServer
from tests.support.processes import is_alive, spawn_python, wait_until

ROOT = Path(__file__).parents[2]


def test_database_has_the_schema(database: str) -> None:
    engine = Engine(database)
    try:
        assert schema.revision_of(engine) == schema.HEAD
    finally:
        engine.close()


def test_empty_database_is_empty(empty_database: str) -> None:
    engine = Engine(empty_database)
    try:
        with engine.read() as connection:
            assert sa.inspect(connection).get_table_names() == []
    finally:
        engine.close()


def test_copy_of_a_template(postgres_server: Postgres) -> None:
    names = [f"copying_{os.getpid()}_{number}" for number in range(2)]
    try:
        postgres_server.create_database(names[0])
        with postgres_server.connect(names[0]) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        postgres_server.create_database(names[1], template=names[0])
        with postgres_server.connect(names[1]) as connection:
            assert connection.execute("SELECT answer FROM kept").fetchall() == [(42,)]
            # Somebody is still connected.
            postgres_server.drop_database(names[1])
    finally:
        for name in names:
            postgres_server.drop_database(name)


@pytest.fixture
def pool(postgres_server: Postgres, _postgres_template: str) -> Iterator[Pool]:
    made = Pool(postgres_server, _postgres_template)
    yield made
    made.close()


def number_of(connection: psycopg.Connection[tuple[Any, ...]]) -> Any:
    """What PostgreSQL knows the database by, whatever its name."""
    return connection.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone()


_PAYLOAD = (
    "INSERT INTO payloads (hash, size, stored_size, reference_count, data) VALUES ('a', 1, 1, 1, '') RETURNING id"
)


def test_a_database_is_used_again_as_if_it_were_new(pool: Pool) -> None:
    with pool.database() as url:
        left = psycopg.connect(url, autocommit=True)
        left.execute(_PAYLOAD)
        number = number_of(left)
    with pytest.raises(psycopg.OperationalError):
        left.execute("SELECT 1")
    with pool.database() as again, psycopg.connect(again) as connection:
        assert number_of(connection) == number
        assert connection.execute("SELECT count(*) FROM payloads").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
        assert connection.execute(_PAYLOAD).fetchone() == (1,)
        # Whoever had it before finds it no more.
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url)


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE another (number int)",
        "ALTER TABLE payloads ADD COLUMN another int",
        "REVOKE ALL ON payloads FROM PUBLIC",
        "ANALYZE payloads",
        "ALTER DATABASE {} SET work_mem = '1MB'",
    ],
)
def test_a_database_that_was_changed_is_not_used_again(pool: Pool, change: str) -> None:
    with pool.database() as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL(change).format(sql.Identifier(connection.info.dbname)))
        number = number_of(connection)
    with pool.database() as url, psycopg.connect(url) as connection:
        assert number_of(connection) != number


def test_committed_data_survive_a_crash_and_a_stop(postgres_server: Postgres) -> None:
    with PostgresServer(durable=True) as server:
        with server.connect() as connection:
            assert connection.execute("SHOW fsync").fetchone() == ("on",)
            assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)
            assert connection.execute("SHOW full_page_writes").fetchone() == ("on",)
            connection.execute("CREATE TABLE kept (number int)")
            connection.execute("INSERT INTO kept SELECT generate_series(1, 1000)")
            server.kill()
        for _ in range(2):
            server.restart()
            with server.connect() as connection:
                assert connection.execute("SELECT count(*) FROM kept").fetchone() == (1000,)


def test_given_directory_is_kept(postgres_server: Postgres) -> None:
    # Not tmp_path: no other user may enter that, and as root the server runs as another.
    directory = postgres_server.socket_directory.parent / f"hf-kept-{os.getpid()}"
    try:
        with PostgresServer(directory) as server:
            server.create_database("kept")
            temporary = server.socket_directory
        assert not temporary.exists()
        with PostgresServer(directory) as server, server.connect("kept"):
            pass
    finally:
        subprocess.run(["rm", "-rf", str(directory)], check=True)


def test_killed_owner_leaves_nothing(postgres_server: Postgres) -> None:
    code = """
import sys
sys.path.insert(0, sys.argv[1])
from tests.support.pool import Pool
from tests.support.postgres import PostgresServer
server = PostgresServer()
server.start()
print(server.pid, server.socket_directory)
sys.stdin.read()
"""
    with spawn_python(code, str(ROOT)) as owner:
        assert owner.stdout is not None
        pid, directory = owner.stdout.readline().split()
        postmaster = psutil.Process(int(pid))
        family = [postmaster, *postmaster.children()]
        assert len(family) > 1
        owner.send_signal(signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, family)), 60, "the watchdog to stop the server")
    wait_until(lambda: not Path(directory).exists(), 60, "the watchdog to remove the data")


def test_xdist_workers_share_a_server(postgres_server: Postgres, tmp_path: Path) -> None:
    (tmp_path / "test_probe.py").write_text(
        """
import os
from pathlib import Path
import pytest
from tests.support.processes import wait_until

@pytest.mark.parametrize("number", range(2))
def test_probe(number, postgres_server, database):
    here = Path(__file__).parent
    (here / os.environ["PYTEST_XDIST_WORKER"]).write_text(str(postgres_server.socket_directory))
    wait_until(lambda: (here / "gw0").exists() and (here / "gw1").exists(), 60, "the other worker")
"""
    )
    (tmp_path / "pytest.ini").touch()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-n2", "--maxprocesses=2", str(tmp_path)],
        check=False,
        env=environment | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
    directories = {(tmp_path / worker).read_text() for worker in ("gw0", "gw1")}
    assert len(directories) == 1
    assert not Path(directories.pop()).exists()


def test_wait_until_names_what_it_waited_for() -> None:
    with pytest.raises(TimeoutError, match="godot"):
        wait_until(lambda: False, 0.03, "godot")
