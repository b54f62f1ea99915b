"""Checks the parameters that say how to read a library. Pure."""

import codecs
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.analyzers.duplicates.library import SCHEMA
from holdfast.domain.errors import InvalidParams

KINDS = ("itunes", "csv", "folder", "sql", "parquet")
SOURCE_COLUMNS = (*SCHEMA.names(), "duration_ms")
"""What a column of a source can be: one of SCHEMA, or a duration in milliseconds."""
_TABLES = {"csv", "sql", "parquet"}
_ONLY_FOR = {
    "columns": _TABLES,
    "rating_out_of": _TABLES,
    "date_format": _TABLES,
    "encoding": {"csv"},
    "delimiter": {"csv"},
    "query": {"sql"},
}
PARAMETERS = ("reader", *_ONLY_FOR)
"""The names of the parameters that belong to the readers; an analyzer may have others beside them."""
_LONGEST = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderParams:
    """How to read a library.

    Attributes:
        reader: one of KINDS; None to tell by the target.
        columns: which column of the source is which of SOURCE_COLUMNS; what is not named is found by its header.
        encoding: of a CSV file, as Python names it; None to tell by its bytes.
        delimiter: of a CSV file, one character; None to tell by its first line.
        query: what to select from a database.
        rating_out_of: the best rating there can be: 5, 10 or 100.
        date_format: how dates are written that are not ISO 8601, as in strptime.
    """

    reader: str | None = None
    columns: Mapping[str, str]
    encoding: str | None = None
    delimiter: str | None = None
    query: str | None = None
    rating_out_of: int = 100
    date_format: str | None = None

    def check_serves(self, kind: str) -> None:
        """Raise InvalidParams if something was given that a reader of ``kind`` has no use for."""
        for name, kinds in _ONLY_FOR.items():
            value = getattr(self, name)
            if kind not in kinds and value not in (None, {}) and not (name == "rating_out_of" and value == 100):
                raise InvalidParams(
                    f"{name} is for {' and '.join(sorted(kinds))}, and this library is read as {kind}", field=name
                )


def read_params(given: Mapping[str, Any]) -> ReaderParams:
    """Check what was given; parameters that are not the readers' are passed over.

    Raises:
        InvalidParams: a parameter has a wrong value.
    """
    reader = _text(given, "reader")
    if reader is not None and reader not in KINDS:
        raise InvalidParams(f"reader must be one of {', '.join(KINDS)}", field="reader")
    delimiter = _text(given, "delimiter")
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n\0'):
        raise InvalidParams("delimiter must be one character, no quote and no line break", field="delimiter")
    encoding = _text(given, "encoding")
    if encoding is not None:
        try:
            # Some of Python's codecs give no text: base64, zlib.
            "x".encode(encoding)
            encoding = codecs.lookup(encoding).name
        except (LookupError, UnicodeError) as error:
            raise InvalidParams(
                f"encoding: there is no encoding of text named {encoding!r}", field="encoding"
            ) from error
    rating = given.get("rating_out_of")
    rating = 100 if rating is None else rating
    if isinstance(rating, bool) or rating not in (5, 10, 100):
        raise InvalidParams("rating_out_of must be 5, 10 or 100", field="rating_out_of")
    return ReaderParams(
        reader=reader,
        columns=_columns(given),
        encoding=encoding,
        delimiter=delimiter,
        query=_text(given, "query"),
        rating_out_of=int(rating),
        date_format=_text(given, "date_format"),
    )


def _text(given: Mapping[str, Any], field: str) -> str | None:
    value = given.get(field)
    if value is None:
        return None
    if not isinstance(value, str) or not value or len(value) > _LONGEST or (field != "delimiter" and not value.strip()):
        raise InvalidParams(f"{field} must be a text of 1 to {_LONGEST} characters", field=field)
    return value


def _columns(given: Mapping[str, Any]) -> dict[str, str]:
    value = given.get("columns")
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(name, str) and name for name in value.values()):
        raise InvalidParams("columns must name columns of the source, as {'song': 'Title'}", field="columns")
    for name in value:
        if name not in SOURCE_COLUMNS:
            raise InvalidParams(
                f"columns: a library has no {name!r}; it has {', '.join(SOURCE_COLUMNS)}", field="columns"
            )
    return dict(value)
