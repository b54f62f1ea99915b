"""A row as a bundle has it, and as the database holds it."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from holdfast.domain.errors import InvalidInput
from holdfast.store import tables
from holdfast.store.payloads import unpack
from holdfast.store.policies import columns, refers_to
from holdfast.store.types import Json


class RowRefused(InvalidInput):
    """A row cannot be brought in."""

    code = "ROW_REFUSED"
    suggestions = ("See that the bundle was made by a Holdfast that is no newer than this one",)


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """A row to be brought in.

    Attributes:
        line: where it stands.
        kind: its table.
        row: its columns.
    """

    line: int
    kind: str
    row: Mapping[str, Any]


def plain(column: sa.Column[Any]) -> sa.types.TypeEngine[Any]:
    """The type of what the database itself holds: moments as microseconds, documents as text."""
    kind = column.type
    return kind.impl_instance if isinstance(kind, sa.TypeDecorator) else kind


def made_of(table: sa.Table, row: Incoming) -> dict[str, Any]:
    """The values of a row, as the database holds them; references are still by key."""
    known = columns(table)
    if extra := row.row.keys() - {column.name for column in known}:
        raise RowRefused(f"Line {row.line} has {min(extra)!r}, which {row.kind} has not", line=row.line)
    values = {column.name: _value_of(column, row) for column in known}
    if table is tables.payloads:
        content = unpack(values["hash"], values["data"])
        if (len(content), len(values["data"])) != (values["size"], values["stored_size"]):
            raise RowRefused(f"Line {row.line} says a wrong size", line=row.line)
    return values


_KINDS: Iterable[tuple[type[sa.types.TypeEngine[Any]], tuple[type, ...]]] = (
    (sa.Boolean, (bool,)),
    (sa.Float, (float, int)),
    (sa.Integer, (int,)),
    (sa.Text, (str,)),
)


def _value_of(column: sa.Column[Any], row: Incoming) -> Any:
    try:
        return _read(column, row.row.get(column.name))
    except (ValueError, TypeError, binascii.Error) as error:
        place = f"Line {row.line}: {column.name} of {row.kind}"
        raise RowRefused(f"{place} cannot be used: {error}", line=row.line, column=column.name) from error


def _read(column: sa.Column[Any], raw: Any) -> Any:
    if raw is None or bytes(raw) == b"null":
        if not column.nullable:
            raise ValueError("it has no value")
        return None
    if isinstance(column.type, Json):
        return bytes(raw).decode()
    value = msgspec.json.decode(raw)
    if refers_to(column) is not None:
        return tuple(value) if isinstance(value, list) else value
    if isinstance(column.type, sa.LargeBinary):
        return base64.b64decode(value, validate=True)
    kind = plain(column)
    accepted = next(types for known, types in _KINDS if isinstance(kind, known))
    if not isinstance(value, accepted) or (isinstance(value, bool) and bool not in accepted):
        raise TypeError(f"{value!r:.40} is of another type")
    return float(value) if isinstance(value, (float, int)) and float in accepted else value
