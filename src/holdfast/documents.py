"""Documents as JSON: what is written is what every later reader gets, byte for byte the same for equal values."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator
from typing import Any

import msgspec

from holdfast.domain.errors import UnknownDocument

_SCALARS = frozenset({str, int, bool, type(None)})

_encoder = msgspec.json.Encoder(order="deterministic")


def to_json(value: Any, what: str = "The result") -> bytes:
    """Encode JSON with sorted keys, so that equal values give equal bytes.

    Args:
        value: dictionaries with string keys, lists, strings, numbers, booleans, None; also what msgspec turns
            into these (dataclasses, structs, enums, dates, UUIDs; nested bytes become base64).
        what: what the value is, for the message.

    Raises:
        UnknownDocument: JSON cannot say it; NaN and infinities are refused as well.
    """
    try:
        data = _encoder.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise UnknownDocument(f"{what} cannot be kept as JSON: {error}") from error
    # msgspec writes NaN and infinities as null: no null, none of them, and the long walk is spared.
    if b"null" in data:
        check_finite(value, what)
    return data


def digest(value: Any) -> str:
    """Name a request by all that it asks for: SHA-256 in hexadecimal.

    Args:
        value: what ``to_json`` takes; names that are not Unicode are welcome.

    Raises:
        UnknownDocument: JSON cannot say it.
    """
    try:
        text = json.dumps(msgspec.to_builtins(value, str_keys=True), sort_keys=True, separators=(",", ":"))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise UnknownDocument(f"The request cannot be told from others: {error}") from error
    return hashlib.sha256(text.encode()).hexdigest()


def check_finite(value: Any, what: str) -> None:
    """Refuse NaN and infinities anywhere inside ``value``.

    Raises:
        UnknownDocument: there is one; the message says where.
    """
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, float):
            if not math.isfinite(item):
                place = next((where for where, at in _floats(value, "$") if not math.isfinite(at)), "$")
                raise UnknownDocument(f"{what} cannot be kept as JSON: {item} at {place}", place=place)
        else:
            todo.extend(inner for inner in _children(item) if type(inner) not in _SCALARS)


def _children(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, (list, tuple, set, frozenset)):
        return value
    if dataclasses.is_dataclass(value) or isinstance(value, msgspec.Struct):
        return msgspec.structs.asdict(value).values() if isinstance(value, msgspec.Struct) else _fields(value)
    return ()


def _fields(value: Any) -> list[Any]:
    return [getattr(value, field.name) for field in dataclasses.fields(value)]


def _floats(value: Any, place: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, float):
        yield place, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _floats(item, f"{place}.{key}")
    else:
        for index, item in enumerate(_children(value)):
            yield from _floats(item, f"{place}[{index}]")
