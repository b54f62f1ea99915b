"""Serving: uvicorn in this process or in several, with a worker for analyses beside it."""

import contextlib
import gc
import logging
import multiprocessing
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType

import uvicorn
from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

from holdfast.api.access import authenticates, is_loopback
from holdfast.api.app import create_app
from holdfast.api.processes import Processes, handling
from holdfast.api.stream import StreamingServer
from holdfast.bootstrap import Holdfast
from holdfast.domain.errors import HoldfastError, StoreUnavailable
from holdfast.settings import Settings
from holdfast.telemetry import configure_logging
from holdfast.tracing import export_spans

# Answers under way get so long to be whole. Two seconds are all that a supervisor may have to wait, and the worker
# and the database's connections take theirs of it.
_GRACE_SECONDS = 0.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_FIGURES = "PROMETHEUS_MULTIPROC_DIR"


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
        left = () if holdfast.settings.auto_process_analyses else holdfast.processors.enabled
        worker = stack.enter_context(holdfast.working(without=left)) if works else None

        def stopping() -> None:
            # Both end at the same time, not one after the other.
            if worker is not None:
                worker.stop()

        name, number = listener.getsockname()[:2]
        told(f"http://{f'[{name}]' if ':' in name else name}:{number}")
        if workers == 1:
            _Server(_config(create_app(holdfast)), holdfast, stopping).run([listener])
        else:
            with _shared(holdfast):
                Processes(partial(_answer, holdfast.settings, _level(), listener), workers, stopping).run()
    # Before it ends the interpreter looks for garbage among all that was imported: nearly all that ending took, 0.7 s
    # of the processor, many times that on a busy machine. What is frozen is not looked at.
    gc.freeze()


def _answer(settings: Settings, level: str, listener: socket.socket) -> None:
    """One of several processes: as one alone, over a store of its own."""
    configure_logging(level, settings.log_format)
    export_spans()
    _log_as_we_do()
    # The terminal tells all processes of Ctrl-C at once; these hear of it by the one that started them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Holdfast(settings, migrate=False, create=False) as holdfast:
        server = _Server(_config(create_app(holdfast)), holdfast, lambda: None, (signal.SIGTERM,))
        threading.Thread(target=_outlived, args=(server,), name="holdfast-parent", daemon=True).start()
        server.run([listener])


def _outlived(server: uvicorn.Server) -> None:
    """Nobody stops who has lost the process that started it."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    server.should_exit = True


def _level() -> str:
    return logging.getLevelName(logging.getLogger("holdfast").getEffectiveLevel())


def _config(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
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

    def __init__(
        self,
        config: uvicorn.Config,
        holdfast: Holdfast,
        stopping: Callable[[], None],
        signals: Sequence[signal.Signals] = _SIGNALS,
    ) -> None:
        super().__init__(config, holdfast.feed)
        self._holdfast = holdfast
        self._stopping = stopping
        self._signals = signals

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # A worker that waits for work hears at once that it is to stop; not in the signal's handler, as it locks.
        await run_in_threadpool(self._holdfast.store.bell.nudge)
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        with handling(self.handle_exit, self._signals):
            yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._stopping()
        if self.should_exit:
            # The second one does not wait.
            os._exit(128 + sig)
        super().handle_exit(sig, frame)


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
    """What the processes have in common: the database, and a folder for their figures."""
    if holdfast.engine.dialect == "sqlite" and holdfast.settings.database_path() is None:
        raise StoreUnavailable("Several processes cannot share this database")
    with tempfile.TemporaryDirectory(prefix="holdfast-metrics-") as folder:
        # Read by the library when it is imported, in each of them.
        before, os.environ[_FIGURES] = os.environ.get(_FIGURES), folder
        try:
            yield
        finally:
            del os.environ[_FIGURES]
            if before is not None:
                os.environ[_FIGURES] = before


def _log_as_we_do() -> None:
    ours, theirs = logging.getLogger("holdfast"), logging.getLogger("uvicorn")
    theirs.handlers, theirs.propagate = ours.handlers, False
    theirs.setLevel(logging.WARNING)
    # Streams that are cut off at the end are no error.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL if ours.level > logging.DEBUG else logging.INFO)
