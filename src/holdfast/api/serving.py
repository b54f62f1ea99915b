"""Serving: uvicorn in this process or in several, with a worker for analyses beside it."""

import contextlib
import logging
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from uvicorn.supervisors.multiprocess import Multiprocess

from holdfast.api.access import authenticates, is_loopback
from holdfast.api.app import create_app
from holdfast.api.stream import StreamingServer
from holdfast.bootstrap import Holdfast
from holdfast.domain.errors import HoldfastError, StoreUnavailable
from holdfast.settings import read_settings
from holdfast.telemetry import configure_logging

# Answers under way get so long to be whole. Two seconds are all that a supervisor may have to wait, and the worker
# and the database's connections take theirs of it.
_GRACE_SECONDS = 0.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class NotAuthenticated(HoldfastError):
    """Others would reach the service, and it would not ask who they are."""

    code = "NOT_AUTHENTICATED"
    suggestions = (
        "Make a token first: `holdfast token create NAME --role admin`",
        "Or set HOLDFAST_AUTHENTICATION=token, then make one",
        "Or serve this machine only: --host 127.0.0.1",
    )


class AddressTaken(HoldfastError):
    """The service cannot listen there."""

    code = "ADDRESS_TAKEN"
    suggestions = ("Choose another --port; 0 takes a free one", "Look for what listens there")


def serve(holdfast: Holdfast, *, host: str, port: int, workers: int, works: bool, told: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C, then end within two seconds.

    Args:
        holdfast: the open store.
        host: the address to listen on.
        port: the port; 0 for a free one.
        workers: how many processes answer.
        works: whether analyses are run here as well.
        told: is given the service's address when it can be reached.

    Raises:
        NotAuthenticated: others would reach it, and there are no tokens.
        AddressTaken: it cannot listen there.
    """
    if not is_loopback(host) and not authenticates(holdfast):
        raise NotAuthenticated(f"{host} can be reached from elsewhere, and nobody needs a token yet", host=host)
    _log_as_we_do()
    with _listening(host, port) as listener, contextlib.ExitStack() as stack:
        worker = stack.enter_context(holdfast.working()) if works else None

        def stopping() -> None:
            # Both end at the same time, not one after the other.
            if worker is not None:
                worker.stop()

        name, number = listener.getsockname()[:2]
        told(f"http://{f'[{name}]' if ':' in name else name}:{number}")
        if workers == 1:
            _Server(_config(create_app(holdfast)), holdfast, stopping).run([listener])
        else:
            stack.enter_context(_shared(holdfast))
            _Processes(_config("holdfast.api.serving:application", workers), listener, stopping).run()


def application() -> FastAPI:
    """The application of one of several processes, set up by the environment."""
    settings = read_settings()
    configure_logging(os.environ.get(_LEVEL, settings.log_level), settings.log_format)
    _log_as_we_do()
    return create_app(Holdfast(settings, migrate=False, create=False))


_LEVEL = "_HOLDFAST_SERVE_LOG_LEVEL"


def _config(app: FastAPI | str, workers: int = 1) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        factory=isinstance(app, str),
        workers=workers,
        log_config=None,
        access_log=False,
        # Whom to believe about addresses is a setting of ours; see access.client_ip.
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,  # type: ignore[arg-type]  # it takes parts of a second as well
        lifespan="on",
    )


class _Server(StreamingServer):
    """Ends by a signal as by a normal end, and tells that it begins to end."""

    def __init__(self, config: uvicorn.Config, holdfast: Holdfast, stopping: Callable[[], None]) -> None:
        super().__init__(config, holdfast.feed)
        self._holdfast = holdfast
        self._stopping = stopping

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # A worker that waits for work hears at once that it is to stop; not in the signal's handler, as it locks.
        await run_in_threadpool(self._holdfast.store.bell.nudge)
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        with _handling(self.handle_exit):
            yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._stopping()
        if self.should_exit:
            # The second one does not wait.
            os._exit(128 + sig)
        super().handle_exit(sig, frame)


class _Processes(Multiprocess):
    """As one, over several processes."""

    def __init__(self, config: uvicorn.Config, listener: socket.socket, stopping: Callable[[], None]) -> None:
        super().__init__(config, [listener])
        self._stopping = stopping

    def run(self) -> None:
        def stop(_signal: int, _frame: FrameType | None) -> None:
            self._stopping()
            if self.should_exit.is_set():
                for process in self.processes:
                    process.kill()
            self.should_exit.set()

        with _handling(stop):
            super().run()


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise AddressTaken(f"{host} is no address of this machine: {error.strerror}", host=host) from error
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            # At once: who connects as soon as the address is told waits, and is not refused.
            listener.listen(2048)
        except OSError as error:
            raise AddressTaken(
                f"{host}:{port} cannot be listened on: {error.strerror}", host=host, port=port
            ) from error
        listener.set_inheritable(True)
        yield listener


@contextmanager
def _shared(holdfast: Holdfast) -> Iterator[None]:
    """What the processes have in common: the settings, and a folder for their figures."""
    if holdfast.engine.dialect == "sqlite" and holdfast.settings.database_path() is None:
        raise StoreUnavailable("Several processes cannot share this database")
    with tempfile.TemporaryDirectory(prefix="holdfast-metrics-") as folder:
        given = {
            "HOLDFAST_DATABASE_URL": holdfast.settings.database_url,
            "PROMETHEUS_MULTIPROC_DIR": folder,
            _LEVEL: logging.getLevelName(logging.getLogger("holdfast").getEffectiveLevel()),
        }
        before = {name: os.environ.get(name) for name in given}
        os.environ.update(given)
        try:
            yield
        finally:
            for name, old in before.items():
                if old is None:
                    del os.environ[name]
                else:
                    os.environ[name] = old


def _log_as_we_do() -> None:
    ours, theirs = logging.getLogger("holdfast"), logging.getLogger("uvicorn")
    theirs.handlers, theirs.propagate = ours.handlers, False
    theirs.setLevel(logging.WARNING)
    # Streams that are cut off at the end are no error.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL if ours.level > logging.DEBUG else logging.INFO)
