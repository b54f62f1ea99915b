"""The edge: every error becomes a message and an exit status here, and nowhere else."""

from enum import IntEnum

from holdfast.domain import errors
from holdfast.domain.analysis import Status


class ExitCode(IntEnum):
    """What the process's exit status says; stable."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    CONFLICT = 4
    INVALID = 5
    STORE = 6
    SCHEMA = 7
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143


MEANINGS = {
    ExitCode.OK: "It worked; of `analyze`, `resume` and `progress --follow`: the analysis is complete",
    ExitCode.FAILED: "The analysis failed or timed out, or something unforeseen happened",
    ExitCode.USAGE: "The command line is wrong: an unknown command or option, a value of the wrong form",
    ExitCode.NOT_FOUND: "There is no such analysis, result, job, token or database",
    ExitCode.CONFLICT: "What is kept stands in the way: an id that is taken, a status that forbids it",
    ExitCode.INVALID: "What was given cannot be used: no repository there, an unknown branch, kind or parameter",
    ExitCode.STORE: "The store cannot be reached or written, is full, or is damaged",
    ExitCode.SCHEMA: "The database's schema is older or newer than this Holdfast",
    ExitCode.INTERRUPTED: "It was interrupted (Ctrl-C), or the analysis was cancelled",
    ExitCode.BROKEN_PIPE: "Whoever read the output went away",
    ExitCode.TERMINATED: "It was asked to end by SIGTERM; of `worker` that is 0, its normal end",
}

# The first class that fits decides, so the special stand before the general.
_BY_CLASS: tuple[tuple[type[errors.HoldfastError], ExitCode], ...] = (
    (errors.NotFound, ExitCode.NOT_FOUND),
    (errors.NoDatabase, ExitCode.NOT_FOUND),
    (errors.Conflict, ExitCode.CONFLICT),
    (errors.InvalidInput, ExitCode.INVALID),
    (errors.InvalidDatabaseUrl, ExitCode.INVALID),
    (errors.SchemaNewer, ExitCode.SCHEMA),
    (errors.SchemaOutdated, ExitCode.SCHEMA),
    (errors.StoreError, ExitCode.STORE),
    (errors.AnalysisCancelled, ExitCode.INTERRUPTED),
    (errors.HoldfastError, ExitCode.FAILED),
)
_BY_STATUS = {
    Status.COMPLETED: ExitCode.OK,
    Status.FAILED: ExitCode.FAILED,
    Status.TIMED_OUT: ExitCode.FAILED,
    Status.CANCELLED: ExitCode.INTERRUPTED,
}


class AmbiguousId(errors.InvalidId):
    """Several analyses have ids that begin so."""

    code = "AMBIGUOUS_ID"
    suggestions = ("Give more characters of the id",)


class UsageFailed(errors.HoldfastError):
    """The command line is wrong."""

    code = "USAGE"


class OutputFailed(errors.HoldfastError):
    """Standard output cannot be written."""

    code = "OUTPUT_FAILED"
    suggestions = ("Check the disk that it is written to, or send it to /dev/null",)


class Interrupted(errors.HoldfastError):
    """The command was interrupted."""

    code = "INTERRUPTED"


class Unforeseen(errors.HoldfastError):
    """Something unforeseen happened."""

    code = "UNEXPECTED_ERROR"
    suggestions = ("Please report it, with the traceback that HOLDFAST_LOG_LEVEL=DEBUG shows",)


class Terminated(BaseException):
    """SIGTERM came."""


def exit_code(error: errors.HoldfastError) -> ExitCode:
    """The exit status of an error."""
    if isinstance(error, UsageFailed):
        return ExitCode.USAGE
    return next(code for kind, code in _BY_CLASS if isinstance(error, kind))


def exit_code_of(status: Status) -> ExitCode:
    """The exit status of an analysis that was waited for."""
    return _BY_STATUS.get(status, ExitCode.OK)


class OutputClosed(BaseException):
    """Whoever read standard output went away."""


class Pressed(BaseException):
    """Ctrl-C."""
