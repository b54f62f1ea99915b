"""The edge where every error becomes a message and an exit status."""

# Rich is imported when there is something to show; see session.py.
# ruff: noqa: PLC0415

import errno
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType

import typer
from typer.exceptions import TyperException

from holdfast import records
from holdfast.cli.commands import app
from holdfast.cli.errors import (
    ExitCode,
    Interrupted,
    OutputClosed,
    OutputFailed,
    Pressed,
    Terminated,
    Unforeseen,
    UsageFailed,
    exit_code,
)
from holdfast.domain.errors import HoldfastError

_UNWRITABLE = {errno.EBADF, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC}


def main() -> None:
    """Run the command line of this process, and end it."""
    if _reopen():
        error = OutputFailed("Standard output is closed")
        sys.exit(_tell(error, as_json=False))
    signal.signal(signal.SIGTERM, _terminate)
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = _closed()
    except OSError as error:
        code = _unwritable(error)
    sys.exit(code)


def _reopen() -> bool:
    """Open the standard streams that are closed on nothing, and return whether the output was one of them.

    Otherwise the next file that is opened, the database, would get their numbers.
    """
    closed = sys.stdout is None
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free, so this one.
            os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, closefd=False)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)
    return closed


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise Terminated


def _stopped_within(error: BaseException) -> ExitCode | None:
    """How the command was stopped, where that came in the midst of a statement and broke its connection as well."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        if isinstance(cause, Terminated):
            return ExitCode.TERMINATED
        if isinstance(cause, KeyboardInterrupt):
            return ExitCode.INTERRUPTED
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__
    return None


def run(arguments: Sequence[str]) -> int:
    """Run a command line.

    Args:
        arguments: without the program's name.

    Returns:
        The exit status.
    """
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding lacks is shown escaped; it must not end the command.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    as_json = "--json" in arguments
    try:
        code = app(list(arguments), standalone_mode=False, prog_name="holdfast")
    except OutputClosed:
        return _closed()
    except (KeyboardInterrupt, Pressed, typer.Abort, Terminated) as stop:
        code = ExitCode.TERMINATED if isinstance(stop, Terminated) else ExitCode.INTERRUPTED
        return _interrupted(code, as_json=as_json)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else ExitCode.FAILED
    except HoldfastError as error:
        return _tell(error, as_json=as_json)
    except TyperException as error:
        return _tell(_usage(error), as_json=as_json)
    except Exception as error:  # noqa: BLE001 the edge: people get a sentence, and the traceback on demand
        if _of_output(error):
            return _unwritable(error)
        if os.environ.get("HOLDFAST_LOG_LEVEL", "").upper() == "DEBUG":
            traceback.print_exc()
        unforeseen = Unforeseen(f"{type(error).__name__}: {error}")
        unforeseen.__cause__ = error
        return _tell(unforeseen, as_json=as_json)
    return code if isinstance(code, int) else ExitCode.OK


def _usage(error: TyperException) -> UsageFailed:
    context = getattr(error, "ctx", None)
    failed = UsageFailed(error.format_message())
    path = "holdfast" if context is None else context.command_path
    failed.suggestions = (f"See `{path} --help`",)  # type: ignore[misc]  # this one's own
    return failed


def _tell(error: HoldfastError, *, as_json: bool) -> int:
    from holdfast.cli.session import console, write_json
    from holdfast.cli.views import print_error

    if (code := _stopped_within(error)) is not None:
        return _interrupted(code, as_json=as_json)
    try:
        if as_json:
            write_json(records.error(error))
        else:
            print_error(console(stderr=True), error)
        sys.stdout.flush()
    except BrokenPipeError:
        return _closed()
    except OSError as failed:
        return _unwritable(failed)
    return exit_code(error)


def _interrupted(code: ExitCode, *, as_json: bool) -> int:
    if as_json:
        words = "The command was interrupted" if code is ExitCode.INTERRUPTED else "The command was asked to end"
        _tell(Interrupted(words), as_json=True)
    return code


def _of_output(error: Exception) -> bool:
    """Whether standard output could not be written: files have names, and the store has errors of its own."""
    return isinstance(error, OSError) and error.filename is None and error.errno in _UNWRITABLE


def _unwritable(error: Exception) -> int:
    _closed()
    return _tell(OutputFailed(f"Standard output cannot be written: {error}"), as_json=False)


def _closed() -> int:
    # What is still in the buffer must not fail again when the interpreter ends.
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    return ExitCode.BROKEN_PIPE
