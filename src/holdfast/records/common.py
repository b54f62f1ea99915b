"""The forms that all others are made of."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from holdfast.domain.analysis import ErrorInfo
from holdfast.domain.errors import HoldfastError

if TYPE_CHECKING:
    from holdfast.services.queries import Total

Record = dict[str, Any]


def time(at: datetime | None) -> str | None:
    """RFC 3339 in UTC with milliseconds."""
    if at is None:
        return None
    return f"{at.astimezone(UTC).isoformat(timespec='milliseconds')[:-6]}Z"


def error_info(value: ErrorInfo) -> Record:
    """Why an analysis ended without a complete result."""
    return {
        "code": value.code,
        "message": value.message,
        "suggestions": list(value.suggestions),
        "details": value.details,
    }


def error(value: HoldfastError) -> Record:
    """An error that ended a command."""
    return {"success": False, "error": error_body(value)}


def error_body(value: HoldfastError) -> Record:
    """An error."""
    return {
        "code": value.code,
        "message": value.message,
        "suggestions": list(value.suggestions),
        "details": value.details,
        "analysis_id": value.analysis_id,
        "retry_suggested": value.retry_suggested,
    }


def page(items: Sequence[Record], next_cursor: str | None = None, total: "Total | None" = None) -> Record:
    """A page of a list; with how much the whole list holds, if that was asked for."""
    found = {"items": list(items), "next_cursor": next_cursor}
    return found if total is None else found | {"total": {"value": total.value, "relation": total.relation.value}}


def outcomes(items: Sequence[Record], errors: Sequence[Record]) -> Record:
    """What became of several things that were to be changed one by one."""
    return {"success": not errors, "items": list(items), "errors": list(errors)}
