"""The process of one run: ``python -m holdfast.analyzers.child <fd>``.

    worker --- guard, leads the process group --- analyzer --- its pool, programs it starts

The guard does nothing but wait, so nothing that the analyzer does can keep it from its duty: it kills the
whole group once the worker is gone, however that came about. Should the guard be killed, the kernel kills the
analyzer.
Nothing here imports the store or the services: the time from the start to the analyzer's first line counts.
"""

import importlib
import os
import signal
import socket
import sys
import threading
from typing import NoReturn

from holdfast.analyzers.context import ChildContext
from holdfast.analyzers.failures import failure
from holdfast.analyzers.lifeline import die_with_parent, stand_guard
from holdfast.analyzers.wire import Channel, Closed, Failed, Loaded, Start, Stop
from holdfast.documents import to_json
from holdfast.domain.errors import AnalyzerFailed, AnalyzerNotImportable
from holdfast.domain.ports import Analyzer


def main() -> NoReturn:
    """Run what the worker says, then end without the interpreter's farewells: the worker has all it needs."""
    if os.getpgrp() != os.getpid():
        os.setsid()
    connection = socket.socket(fileno=int(sys.argv[1]))
    guard = os.getpid()
    # There are no threads yet, so this fork is a safe one.
    if analyzer := os.fork():
        stand_guard(analyzer, connection)
    die_with_parent(guard)
    # A program that the analyzer starts must not hold our end open: the worker would wait for it.
    connection.set_inheritable(False)
    channel = Channel(connection)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        start = channel.receive()
        if isinstance(start, Start):
            _run(channel, start)
    except Closed:
        _die()
    _flush()
    os._exit(0)


def _run(channel: Channel, start: Start) -> None:
    sys.path[:] = start.sys_path
    os.environ.pop("PYTHONPATH", None)
    if start.python_path is not None:
        os.environ["PYTHONPATH"] = start.python_path
    ctx: ChildContext | None = None
    try:
        analyzer = _analyzer(start.analyzer)
        ctx = ChildContext(channel, analyzer, start.analysis_id, start.request, start.spread)
        threading.Thread(target=_receive, args=(channel, ctx), daemon=True, name="holdfast-receiver").start()
        outcome = analyzer.run(ctx)
        _flush()
        ctx.finish(outcome)
    except Closed:
        raise
    except BaseException as error:  # noqa: BLE001 - SystemExit and MemoryError are told as well
        _flush()
        if ctx is not None:
            ctx.close()
        channel.send(_failed(error))


def _analyzer(path: str) -> Analyzer:
    module, _, name = path.partition(":")
    try:
        found = importlib.import_module(module)
        for attribute in name.split("."):
            found = getattr(found, attribute)
    except Exception as error:
        # The import runs somebody's module, which fails in any way it likes.
        raise AnalyzerNotImportable(
            f"The analyzer {path} cannot be imported: {type(error).__qualname__}: {error}"
        ) from error
    analyzer: Analyzer = found()  # type: ignore[operator]  # the module was only where the search began
    return analyzer


def _receive(channel: Channel, ctx: ChildContext) -> None:
    while True:
        try:
            message = channel.receive()
        except Closed:
            _die()
        if isinstance(message, Stop):
            ctx.stop()
        elif isinstance(message, Loaded):
            ctx.outbox.answered(message)


def _die() -> NoReturn:
    os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue  # the analyzer closed it


def _failed(error: BaseException) -> Failed:
    info = failure(error, AnalyzerFailed)
    trace = info.details.pop("traceback")
    return Failed(
        code=info.code,
        message=info.message,
        suggestions=list(info.suggestions),
        details=to_json(info.details),
        traceback=trace,
    )


if __name__ == "__main__":
    main()
