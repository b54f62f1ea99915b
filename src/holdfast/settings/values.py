"""The kinds of values that settings have, beside the plain ones."""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from holdfast.domain.refresh import Window


@dataclass(frozen=True, slots=True)
class Also:
    """Another variable that gives a setting, as a source document names it; HOLDFAST_... goes before it.

    Attributes:
        variable: its name.
        convert: makes the setting's value of the variable's text.
    """

    variable: str
    convert: Callable[[str], Any] = str


def _listed(value: Any) -> Any:
    return [part for part in map(str.strip, value.split(",")) if part] if isinstance(value, str) else value


def _is_rate_limit(value: str) -> str:
    # Imported when there is something to check: with all that it imports in turn it takes 0.15 s.
    from limits import parse_many  # noqa: PLC0415

    value = value.strip()
    if value and any(not (item.amount > 0 and item.get_expiry() > 0) for item in parse_many(value)):
        raise ValueError(f"{value!r} lets nobody through, or has no duration")
    return value


def _is_window(value: str) -> str:
    if value.strip():
        Window.of(value)
    return value.strip()


# The defaults are right, and a test says so: they need no check whenever settings are read.
RateLimit = Annotated[str, AfterValidator(_is_rate_limit), Field(validate_default=False)]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_listed)]
Paths = Annotated[tuple[Path, ...], NoDecode, BeforeValidator(_listed)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]
Seconds = Annotated[float, Field(gt=0, le=2**31 - 1)]
RefreshWindow = Annotated[str, AfterValidator(_is_window), Field(validate_default=False)]
Hours = Annotated[float, Field(gt=0, le=876_000)]
Kind = Annotated[str, Field(pattern=r"^(\*|[a-z0-9][a-z0-9._-]{0,63})$")]
