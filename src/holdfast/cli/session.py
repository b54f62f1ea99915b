"""What every command has: its options, the open store, and two consoles."""

# Imports in functions: the database libraries and Rich take longer to import than the rest of the command
# line, and `--help`, a completion or a usage error needs neither. docs/reference/cli.md has the figures.
# ruff: noqa: PLC0415

import base64
import binascii
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli.errors import AmbiguousId
from holdfast.domain.errors import InvalidInput

if TYPE_CHECKING:
    from rich.console import Console

    from holdfast.bootstrap import Holdfast
    from holdfast.store.lists import Place

Database = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        help="sqlite:///file.db or postgresql://user@host/name; when not given, HOLDFAST_DATABASE_URL, "
        "else a file in your data folder.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON document to stdout, and nothing else.")]
LARGEST_LIMIT = 1000
Limit = Annotated[int, typer.Option(min=1, max=LARGEST_LIMIT, metavar="NUMBER", help="How many at most.")]
Cursor = Annotated[str | None, typer.Option(metavar="CURSOR", help="Where the page before ended, as it said.")]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CANDIDATES = 6
# Wider than any row: what reads a pipe wants whole lines, not a terminal's.
_PIPE_WIDTH = 1000


@dataclass(slots=True)
class Given:
    """What was given before the command."""

    database: str | None = None
    as_json: bool = False


class Session:
    """One command's run."""

    def __init__(self, context: typer.Context, database: str | None, *, as_json: bool) -> None:
        """Take what was given with the command, else before it."""
        given = context.find_root().obj
        before = given if isinstance(given, Given) else Given()
        # Neither: the settings look into the environment.
        self.database = database or before.database
        self.as_json = as_json or before.as_json
        self._out: Console | None = None
        self._err: Console | None = None

    @property
    def out(self) -> "Console":
        """Standard output, for people."""
        if self._out is None:
            self._out = console(stderr=False)
        return self._out

    @property
    def err(self) -> "Console":
        """Standard error, for people."""
        if self._err is None:
            self._err = console(stderr=True)
        return self._err

    @contextmanager
    def open(self, *, create: bool = False, migrate: bool = True, log_level: str | None = None) -> Iterator["Holdfast"]:
        """The store.

        Args:
            create: whether a database that is not there is made.
            migrate: whether a missing schema is made (with ``create``), and one that does not fit refused.
            log_level: what is logged unless the settings say otherwise.

        Raises:
            NoDatabase: there is none, and none is to be made.
        """
        from holdfast.bootstrap import Holdfast
        from holdfast.settings import read_settings
        from holdfast.telemetry import configure_logging
        from holdfast.tracing import export_spans

        settings = read_settings(database_url=self.database)
        level = settings.log_level
        if log_level is not None and "log_level" not in settings.model_fields_set:
            level = log_level  # type: ignore[assignment]  # one of the levels
        configure_logging(level, settings.log_format)
        export_spans()
        with Holdfast(settings, migrate=migrate, create=create) as holdfast:
            yield holdfast

    def write(self, record: Any) -> None:
        """Write a JSON document to standard output."""
        write_json(record)


def write_json(record: Any) -> None:
    """Write a JSON document to standard output."""
    # A terminal of another encoding gets escapes, which are the same document.
    ascii_only = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    text = json.dumps(record, ensure_ascii=ascii_only, allow_nan=False, indent=2)
    # Lone surrogates, from names that are not UTF-8, have no other form.
    write_bytes(text.encode("utf-8", "backslashreplace") + b"\n")


def write_bytes(content: bytes) -> None:
    """Write to standard output, unchanged."""
    sys.stdout.flush()
    left = memoryview(content)
    while left:
        # With PYTHONUNBUFFERED it may take a part only, and a closed pipe is noticed with the next one.
        left = left[sys.stdout.buffer.write(left) :]


def console(*, stderr: bool) -> "Console":
    """A Rich console that takes no name for markup, and asks a pipe for no width."""
    from holdfast.cli.views import Screen

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS", "").isdecimal() else _PIPE_WIDTH
    return Screen(stderr=stderr, markup=False, emoji=False, highlight=False, width=width)


def database_name(holdfast: "Holdfast") -> str:
    """The database's URL as people give it, without its password."""
    return holdfast.engine.shown()


def find_id(holdfast: "Holdfast", given: str) -> str:
    """The id that is given, or the only one that begins so.

    Raises:
        AmbiguousId: several begin so.
        AnalysisNotFound: none does, when it is looked for.
    """
    found = holdfast.queries.ids_from(given, limit=_CANDIDATES + 1)
    if given in found or not found:
        return given
    if len(found) > 1:
        listed = found[:_CANDIDATES]
        more = ", ..." if len(found) > _CANDIDATES else ""
        raise AmbiguousId(f"{given} begins several ids: {', '.join(listed)}{more}", candidates=listed)
    return found[0]


def cursor_of(place: "Place | None") -> str | None:
    """The end of a page as one word."""
    if place is None:
        return None
    microseconds = (place.created_at - _EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(f"{microseconds}.{place.key}".encode()).decode().rstrip("=")


def place_of(cursor: str) -> "Place":
    """The end of a page again.

    Raises:
        InvalidInput: it is none.
    """
    from holdfast.store.lists import Place

    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        microseconds, key = map(int, text.split("."))
        return Place(created_at=_EPOCH + timedelta(microseconds=microseconds), key=key)
    except (ValueError, binascii.Error, OverflowError) as error:
        raise InvalidInput("The cursor is not one that `holdfast list` gave", field="cursor") from error
