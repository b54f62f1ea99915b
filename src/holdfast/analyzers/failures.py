"""Why a run failed, as it is kept: by the process of a run and by a tracked function alike."""

import traceback
from dataclasses import replace

from holdfast.documents import to_json
from holdfast.domain.analysis import ErrorInfo
from holdfast.domain.errors import HoldfastError, UnknownDocument

_TRACEBACK_CHARACTERS = 16_000
_MESSAGE_CHARACTERS = 2_000


def failure(error: BaseException, otherwise: type[HoldfastError]) -> ErrorInfo:
    """Why a run failed, JSON-able whatever the error holds.

    Args:
        error: what was raised.
        otherwise: whose code it has if it is none of ours.

    Returns:
        What is kept: with the type and the end of the traceback.
    """
    trace = "".join(traceback.format_exception(error))[-_TRACEBACK_CHARACTERS:]
    details = {"type": type(error).__qualname__, "traceback": clean(trace)}
    # One of ours may stand for another, raised in another process, and tells of that one's type itself.
    known = error.details if isinstance(error, HoldfastError) else {}
    info = ErrorInfo.of(error, **{name: value for name, value in details.items() if name not in known})
    if not isinstance(error, HoldfastError):
        info = replace(info, code=otherwise.code, message=info.message.removesuffix(": "))
    try:
        to_json(info.details)
    except UnknownDocument:
        # An integer beyond 64 bits, for one.
        info = replace(info, details=details)
    return replace(info, message=info.message[:_MESSAGE_CHARACTERS])


def clean(text: object) -> str:
    """Text that can be kept: without lone surrogates, as an undecodable file name has them."""
    return str(text).encode(errors="backslashreplace").decode()
