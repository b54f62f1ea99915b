"""Column types that hold the same values on both dialects."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from holdfast.documents import to_json
from holdfast.domain.errors import InvalidInput

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Timestamp(sa.TypeDecorator[datetime]):
    """An aware moment, kept as whole microseconds since 1970 so that both dialects sort and compare alike."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> int | None:
        """Moment to microseconds; a naive one is refused rather than guessed at."""
        if value is not None and value.utcoffset() is None:
            raise InvalidInput(f"The moment {value} needs a time zone")
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: sa.Dialect) -> datetime | None:
        """Microseconds to moment, in UTC."""
        return None if value is None else _EPOCH + timedelta(microseconds=value)


class Json(sa.TypeDecorator[Any]):
    """A small document, kept as text: PostgreSQL's jsonb refuses U+0000, which analysed content may hold."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        """Document to text."""
        return None if value is None else to_json(value, "A document").decode()

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:
        """Text to document."""
        return None if value is None else msgspec.json.decode(value)


def storable(text: str) -> str:
    """The text as every database can hold it; clean text, the usual case, passes unchanged."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd")


class FreeText(sa.TypeDecorator[str]):
    """Text from anywhere: what PostgreSQL or UTF-8 cannot hold (U+0000, lone surrogates) becomes U+FFFD."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """Make it storable."""
        return None if value is None else storable(value)
