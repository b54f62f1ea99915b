"""Databases for every test, and how long Hypothesis searches."""

import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import psutil
import pytest
from hypothesis import settings

from holdfast.store import schema
from holdfast.store.engine import Engine
from tests.support.bolt import MISSING as NO_BOLT
from tests.support.bolt import bolt_server
from tests.support.pool import Pool
from tests.support.postgres import Postgres, PostgresServer, PostgresUnavailable

__all__ = ["bolt_server"]

# Nothing survives a power cut, which no test outlives anyway: where memory is plenty, nobody waits for the disk.
_MEMORY = Path("/dev/shm")
_MEMORY_BYTES = 4 * 1024**3
_TEMPLATE = "holdfast_template"
# PostgreSQL's advisory locks are per database: this one is taken in "postgres" only.
_TEMPLATE_LOCK = 0x74657374
_MISSING = "No PostgreSQL: "
_SERVER = pytest.StashKey[PostgresServer]()
_INPUT = "holdfast_postgres"

# What processors are fed by are jobs, and many tests count those: they are enabled where they are tested.
os.environ.setdefault("HOLDFAST_PROCESSORS", "")
# Tests start some thousand processes: without byte code each compiles every module that it imports, for seconds.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def _memory_holds_files() -> bool:
    try:
        system = os.statvfs(_MEMORY)
    except OSError:
        return False
    # Containers may have a small one, or one that runs no programs.
    fits = min(system.f_bavail * system.f_frsize, psutil.virtual_memory().available) > _MEMORY_BYTES
    return fits and not system.f_flag & os.ST_NOEXEC and os.access(_MEMORY, os.W_OK)


if _memory_holds_files():
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))

settings.register_profile("default", max_examples=60, deadline=None, derandomize=False)
settings.register_profile("thorough", max_examples=10_000, deadline=None, derandomize=False)
# What is merged must not depend on luck; what luck finds is found before that.
settings.register_profile("merge", max_examples=60, deadline=None, derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "merge" if os.environ.get("CI") else "default"))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give every xdist worker the one server that the controller starts."""
    config: pytest.Config = node.config
    try:
        if _SERVER not in config.stash:
            config.stash[_SERVER] = server = PostgresServer()
            server.start()
    except PostgresUnavailable as error:
        node.workerinput[_INPUT] = {"missing": str(error)}
    else:
        node.workerinput[_INPUT] = {"socket_directory": str(config.stash[_SERVER].socket_directory)}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes long, each worker with its part: at the end the others would wait for it."""
    workers = int(getattr(config, "workerinput", {}).get("workercount", 1))
    first = [item for item in items if item.get_closest_marker("long")]
    others = [item for item in items if not item.get_closest_marker("long")]
    ordered: list[pytest.Item] = []
    for worker in range(workers):
        # As large as the parts that xdist hands out at the beginning.
        size = (len(items) - len(ordered)) // (workers - worker)
        mine = first[worker::workers]
        taken = max(0, size - len(mine))
        ordered += mine + others[:taken]
        del others[:taken]
    items[:] = ordered + others


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the controller's server."""
    if (server := config.stash.get(_SERVER, None)) is not None:
        server.close()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many tests had no server: a skip among thousands of dots is overlooked."""
    for missing, what in ((_MISSING, "PostgreSQL"), (NO_BOLT, "The graph on Neo4j")):
        reports = [
            report
            for report in terminalreporter.stats.get("skipped", [])
            if isinstance(report.longrepr, tuple) and missing in report.longrepr[2]
        ]
        if reports:
            terminalreporter.section(f"{what} was not tested", sep="!", red=True, bold=True)
            terminalreporter.line(f"{len(reports)} tests skipped. {reports[0].longrepr[2]}", red=True)


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    """The server of this run, shared by all: do not stop or kill it."""
    shared: dict[str, str] | None = getattr(request.config, "workerinput", {}).get(_INPUT)
    if shared is not None:
        if "missing" in shared:
            _without_postgres(shared["missing"])
        yield Postgres(Path(shared["socket_directory"]))
        return
    server: PostgresServer | None = None
    reason = ""
    try:
        server = PostgresServer()
    except PostgresUnavailable as error:
        reason = str(error)
    if server is None:
        _without_postgres(reason)
    with server:
        yield server


def _without_postgres(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(_MISSING + reason, pytrace=False)
    pytest.skip(_MISSING + reason)


@pytest.fixture(scope="session")
def _postgres_template(postgres_server: Postgres) -> str:
    """A database with the schema, made by the first worker that needs it."""
    with postgres_server.connect() as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [_TEMPLATE_LOCK])
        made = connection.execute("SELECT FROM pg_database WHERE datname = %s", [_TEMPLATE]).fetchone()
        if made is None:
            # Under another name until it is whole, should this worker die.
            building = f"{_TEMPLATE}_building"
            postgres_server.drop_database(building)
            postgres_server.create_database(building)
            _migrate(postgres_server.url(building))
            connection.execute(f"ALTER DATABASE {building} RENAME TO {_TEMPLATE}")
    return _TEMPLATE


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "template.db"
    _migrate(f"sqlite:///{path}")
    # Only then the file alone is the whole database.
    assert not path.with_name(f"{path.name}-wal").exists()
    return path


def _migrate(url: str) -> None:
    engine = Engine(url)
    try:
        schema.prepare(engine)
    finally:
        engine.close()


@pytest.fixture(scope="session")
def _postgres_pool(postgres_server: Postgres, _postgres_template: str) -> Iterator[Pool]:
    pool = Pool(postgres_server, _postgres_template)
    yield pool
    pool.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh database with the schema."""
    if request.param == "sqlite":
        path = tmp_path / "holdfast.db"
        shutil.copyfile(request.getfixturevalue("_sqlite_template"), path)
        yield f"sqlite:///{path}"
    else:
        pool: Pool = request.getfixturevalue("_postgres_pool")
        with pool.database() as url:
            yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh database without the schema."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'holdfast.db'}"
    else:
        server: Postgres = request.getfixturevalue("postgres_server")
        name = f"test_{uuid.uuid4().hex}"
        server.create_database(name)
        try:
            yield server.url(name)
        finally:
            server.drop_database(name)
