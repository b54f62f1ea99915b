import contextlib
import os
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

import holdfast
from holdfast.domain.errors import (
    HoldfastError,
    InvalidDatabaseUrl,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)
from holdfast.store.engine import Engine
from tests.store.samples import opened, rows
from tests.support.postgres import Postgres, PostgresServer
from tests.support.processes import spawn_python, wait_until


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nothing",
        "mysql://user@host/db",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "postgresql+asyncpg://user@host/db",
        "file:///etc/passwd",
        "postgresql://user:secret@host:port/db",
    ],
)
def test_urls_that_cannot_be_used(url: str) -> None:
    with pytest.raises(InvalidDatabaseUrl) as caught:
        Engine(url)
    assert "secret" not in str(caught.value)


def test_reading_sees_one_state(database: str) -> None:
    count = "SELECT count(*) FROM owners"
    with opened(database) as store:
        with store.engine.read() as connection:
            assert connection.execute(sa.text(count)).scalar_one() == 0
            store.write(lambda uow: uow.analyses.greet_owner("a", uow.now))
            assert connection.execute(sa.text(count)).scalar_one() == 0
        assert rows(store, count) == [(1,)]


def test_what_a_reader_writes_is_not_kept(database: str) -> None:
    with opened(database) as store:
        with contextlib.suppress(sa.exc.DBAPIError, StoreError), store.engine.read() as connection:
            connection.execute(sa.text("INSERT INTO owners VALUES ('a', 0)"))
        assert rows(store, "SELECT count(*) FROM owners") == [(0,)]


def test_engine_cannot_be_used_across_fork(database: str) -> None:
    code = """
import os, sys
from holdfast.domain.errors import StoreError
from holdfast.store.engine import Engine
engine = Engine(sys.argv[1])
engine.write(lambda c: c.exec_driver_sql("SELECT 1"))
child = os.fork()
if not child:
    for use in (lambda: engine.write(lambda c: None), lambda: engine.read().__enter__()):
        try:
            use()
        except StoreError as error:
            print(error.code, "fork" in error.message)
    os._exit(0)
os.waitpid(child, 0)
print(engine.write(lambda c: c.exec_driver_sql("SELECT 7").scalar_one()))
engine.close()
"""
    with spawn_python(code, database) as process:
        out, _ = process.communicate(timeout=60)
    assert out == "STORE_ERROR True\nSTORE_ERROR True\n7\n"


# A full disk.


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root can mount")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_full_disk(small_disk: Path) -> None:
    noise = os.urandom(400_000).hex()
    with holdfast.open(f"sqlite:///{small_disk / 'a.db'}") as hf:
        kept = hf.store_analysis("sample", noise[:1000]).analysis_id
        with ThreadPoolExecutor(4) as pool:
            large = [pool.submit(hf.store_analysis, "sample", noise[:-n]) for n in range(1, 30)]
            errors = [error for future in large if (error := future.exception()) is not None]
        assert errors
        assert {type(error) for error in errors} == {StoreFull}
        acknowledged = [future.result() for future in large if future.exception() is None]
        assert hf.get_result(kept) == noise[:1000]
        assert hf.get_stats().total_results == 1 + len(acknowledged)
        for analysis in acknowledged:
            assert len(hf.get_result(analysis.analysis_id)) > 1000
        # Space returns.
        subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
        more = hf.store_analysis("sample", noise).analysis_id
        assert hf.get_result(more) == noise
        assert hf.engine.check() == []


def test_full_disk_for_a_new_database(small_disk: Path) -> None:
    (small_disk / "filler").write_bytes(bytes(4 * 1024 * 1024 - 8192))
    with pytest.raises(StoreFull):
        holdfast.open(f"sqlite:///{small_disk / 'a.db'}")
    (small_disk / "filler").unlink()
    holdfast.open(f"sqlite:///{small_disk / 'a.db'}").close()


# What may not be written.

_AS_NOBODY = """
import os, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
import holdfast
from holdfast.domain.errors import HoldfastError
try:
    hf = holdfast.open(sys.argv[1])
    print("open", hf.get_stats().total_results)
    hf.store_analysis("sample", 1)
    print("written")
except HoldfastError as error:
    print(error.code)
"""


@pytest.fixture
def enterable(tmp_path: Path) -> Path:
    """A folder that other users can enter."""
    top = Path(os.environ.get("PYTEST_DEBUG_TEMPROOT") or tempfile.gettempdir()).resolve()
    for folder in (tmp_path, *tmp_path.parents):
        if folder.is_relative_to(top) and folder != top and folder.owner() == Path.home().owner():
            folder.chmod(folder.stat().st_mode | 0o011)
    return tmp_path


def as_nobody(url: str) -> list[str]:
    """What a process without rights says; it imports first, as the sources may be root's alone."""
    code = _AS_NOBODY.replace("import os, sys\n", "import os, sys, holdfast, holdfast.bootstrap, alembic.command\n")
    with spawn_python(code, url) as process:
        out, _ = process.communicate(timeout=60)
    return out.split("\n")[:-1]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("read_only", ["file", "folder", "both"])
def test_read_only_database(enterable: Path, read_only: str) -> None:
    folder = enterable / "kept"
    folder.mkdir()
    path = folder / "a.db"
    with holdfast.open(f"sqlite:///{path}") as hf:
        hf.store_analysis("sample", 1)
    for file in folder.iterdir():
        file.chmod(0o444 if read_only in {"file", "both"} else 0o666)
    folder.chmod(0o555 if read_only in {"folder", "both"} else 0o777)
    said = as_nobody(f"sqlite:///{path}")
    assert said[-1] == "STORE_READ_ONLY"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_no_database_in_a_read_only_folder(enterable: Path) -> None:
    (enterable / "kept").mkdir(mode=0o555)
    assert as_nobody(f"sqlite:///{enterable / 'kept' / 'a.db'}") == ["STORE_READ_ONLY"]
    assert as_nobody(f"sqlite:///{enterable / 'kept' / 'new' / 'a.db'}") == ["STORE_READ_ONLY"]


def test_read_only_mount(small_disk: Path) -> None:
    url = f"sqlite:///{small_disk / 'a.db'}"
    with holdfast.open(url) as hf:
        kept = hf.store_analysis("sample", [1]).analysis_id
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(StoreReadOnly), holdfast.open(url) as hf:
        hf.store_analysis("sample", 2)
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    with holdfast.open(url) as hf:
        assert hf.get_result(kept) == [1]


# What is damaged.


def filled(path: Path) -> str:
    with holdfast.open(f"sqlite:///{path}") as hf:
        for number in range(200):
            hf.store_analysis("sample", os.urandom(500).hex(), analysis_id=f"a{number}")
    return f"sqlite:///{path}"


def use(url: str) -> None:
    with holdfast.open(url) as hf:
        for number in range(200):
            hf.get_result(f"a{number}")
        hf.store_analysis("sample", 1)
        problems = hf.engine.check()
        if problems:
            raise StoreCorrupt(problems[0])


@pytest.mark.parametrize("damage", ["garbage", "header", "truncated", "half", "page", "text"])
def test_damaged_database(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.db"
    url = filled(path)
    whole = path.read_bytes()
    path.write_bytes(
        {
            "garbage": os.urandom(len(whole)),
            "header": b"\0" * 100 + whole[100:],
            "truncated": whole[: len(whole) // 3 + 100],
            "half": whole[: len(whole) // 2],
            "page": whole[: 4096 * 4] + os.urandom(4096 * 8) + whole[4096 * 12 :],
            "text": b"Dear diary,\n" * 1000,
        }[damage]
    )
    with pytest.raises(StoreCorrupt):
        use(url)


def test_database_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.db").mkdir()
    with pytest.raises(StoreUnavailable):
        holdfast.open(f"sqlite:///{tmp_path / 'a.db'}")


def test_folder_of_the_database_goes_away(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    engine = Engine(f"sqlite:///{folder / 'a.db'}")
    with pytest.raises(StoreUnavailable):
        engine.write(lambda c: c.exec_driver_sql("SELECT 1"))
    with pytest.raises(StoreUnavailable), engine.read() as connection:
        connection.exec_driver_sql("SELECT 1")
    engine.close()


def test_writer_of_another_program_is_waited_for(tmp_path: Path) -> None:
    url = filled(tmp_path / "a.db")
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with holdfast.open(url) as hf, ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(hf.store_analysis, "sample", 1)
            assert hf.get_stats().total_results == 200
            assert not waiting.done()
            other.execute("COMMIT")
            waiting.result(30)


# A PostgreSQL that is away.


def test_postgresql_that_is_not_there() -> None:
    began = time.monotonic()
    for url in ("postgresql://nobody@/none?host=/nowhere", "postgresql://nobody@127.0.0.1:1/none"):
        with pytest.raises(StoreUnavailable):
            holdfast.open(url)
    assert time.monotonic() - began < 5


def test_postgresql_that_does_not_answer() -> None:
    """A port that accepts and says nothing, as behind a firewall."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            holdfast.open(f"postgresql://nobody@127.0.0.1:{port}/none?connect_timeout=2")
        assert time.monotonic() - began < 10
        # Without being told, it does not wait for minutes either.
        assert Engine(f"postgresql://nobody@127.0.0.1:{port}/none").url.query["connect_timeout"] == "10"


def test_database_or_role_that_is_not_there(postgres_server: Postgres) -> None:
    with pytest.raises(StoreUnavailable, match="does not exist"):
        holdfast.open(postgres_server.url("nothing_of_the_kind"))


def test_role_that_may_not_write(postgres_server: Postgres, database: str) -> None:
    if database.startswith("sqlite"):
        pytest.skip("SQLite has no roles")
    url = f"{database}&options=-cdefault_transaction_read_only%3Don"
    with holdfast.open(url) as hf, pytest.raises(StoreReadOnly):
        hf.store_analysis("sample", 1)


def test_connections_that_the_server_ended(postgres_server: Postgres, database: str) -> None:
    """Nobody sees that idle connections are gone."""
    if database.startswith("sqlite"):
        pytest.skip("SQLite has no server")
    with holdfast.open(database) as hf:
        for use_first in ("write", "read"):
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda n: hf.store_analysis("sample", n), range(40)))
            with postgres_server.connect() as connection:
                ended = connection.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
                    [sa.make_url(database).database],
                ).fetchall()
            assert len(ended) > 1
            if use_first == "write":
                hf.store_analysis("sample", 1)
            assert hf.get_stats().total_results > 0


def test_restart_under_load() -> None:
    with PostgresServer(durable=True) as server:
        server.create_database("kept")
        with holdfast.open(server.url("kept")) as hf, ThreadPoolExecutor(4) as pool:
            stop: list[bool] = []
            acknowledged: list[str] = []
            refused: list[HoldfastError] = []

            def load(thread: int) -> None:
                number = 0
                while not stop:
                    number += 1
                    try:
                        hf.store_analysis("sample", number, analysis_id=f"{thread}-{number}")
                        acknowledged.append(f"{thread}-{number}")
                        hf.get_stats()
                    except StoreUnavailable as error:
                        refused.append(error)
                        time.sleep(0.01)

            def wait_for_writes(count: int) -> None:
                wait_until(lambda: len(acknowledged) > count + 20, 30, "more writes")

            loads = [pool.submit(load, thread) for thread in range(4)]
            try:
                for _ in range(2):
                    count = len(acknowledged)
                    wait_for_writes(count)
                    server.kill()
                    server.restart()
                count = len(acknowledged)
                wait_for_writes(count)
            finally:
                stop.append(True)
            for done in loads:
                done.result()
            assert refused
            assert all(error.retry_suggested for error in refused)
            kept = {row[0] for row in rows(hf.store, "SELECT analysis_id FROM analyses")}
            assert set(acknowledged) <= kept
            # A commit that was not answered may have happened, but not two for each thread and restart.
            assert len(kept) - len(acknowledged) <= 8
            assert hf.get_stats().total_results == len(kept)


def test_write_inside_a_write_is_refused(database: str) -> None:
    engine = Engine(database)
    try:
        with pytest.raises(StoreError, match="inside a write"):
            engine.write(lambda _: engine.write(lambda _: 1))
        assert engine.write(lambda _: 2) == 2
    finally:
        engine.close()
    with pytest.raises(StoreError, match="closed"):
        engine.write(lambda _: 3)
