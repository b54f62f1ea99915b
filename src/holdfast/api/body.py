"""Bodies: JSON straight from the bytes, never by way of Python objects that are thrown away."""

from functools import cache
from typing import Any, TypeVar, cast

from fastapi import Request
from pydantic import TypeAdapter, ValidationError

from holdfast.api import errors

T = TypeVar("T")


@cache
def _adapter(model: Any) -> TypeAdapter[Any]:
    return TypeAdapter(model)


def parsed(request: Request, content: bytes, model: type[T]) -> T:
    """The request's body as ``model``.

    Args:
        request: says of what kind it is.
        content: its bytes.
        model: what is wanted.

    Raises:
        UnsupportedMedia: it says that it is no JSON.
        MalformedBody: it is no JSON.
        InvalidRequest: it is not what is wanted.
    """
    media = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media != "application/json" and not media.endswith("+json"):
        # Pages of other sites may send the others without asking first.
        raise errors.UnsupportedMedia(f"The body is {media[:80]}, which is not JSON", content_type=media[:80])
    try:
        value: T = _adapter(cast("Any", model)).validate_json(content)
    except ValidationError as error:
        raise errors.invalid(error) from None
    return value
