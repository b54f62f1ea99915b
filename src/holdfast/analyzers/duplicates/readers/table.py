"""Makes a table in SCHEMA of what sources say as text, and counts what cannot be meant."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from holdfast.analyzers.duplicates.library import SCHEMA
from holdfast.analyzers.duplicates.manifest import row_digests
from holdfast.analyzers.duplicates.readers.library import Problems
from holdfast.analyzers.duplicates.readers.params import SOURCE_COLUMNS, ReaderParams

_LONGEST_TEXT = 2_000
_WORDS = ("song", "artist", "album", "album_artist", "genre", "format")
# Kept to the letter: a name of a file may begin with a space.
_NAMES = ("track_id", "location")
_ADDED = ("track_id", "song", "artist", "album", "album_artist", "disc_number", "track_number", "duration_seconds")

_WHOLE = r"^([+-]?[0-9]{1,18})(?:[.]0*)?$"
# How a number is written, and from where to where it can be meant.
_NUMBERS = {
    "year": (r"^([0-9]{1,4})(?:[.]0*|-.*)?$", 1000, 2999),
    "disc_number": (r"^([0-9]{1,9})(?:[.]0*)?(?:\s*(?:/|of)\s*[0-9]*)?$", 1, 9_999),
    "track_number": (r"^([0-9]{1,9})(?:[.]0*)?(?:\s*(?:/|of)\s*[0-9]*)?$", 1, 99_999),
    "play_count": (_WHOLE, 0, 10**9),
    "bitrate_kbps": (r"^([0-9]{1,9})(?:[.][0-9]*)?\s*(?i:kbps|kb/s|kbit/s)?$", 1, 200_000),
    "size_bytes": (_WHOLE, 0, 2**53),
}
# A zero that says that nobody knows.
_UNKNOWN = r"^[0:]+(?:[.]0*)?$"
_LONGEST_SECONDS = 7 * 86_400.0
_CLOCK = r"^(?:([0-9]{1,3}):)?([0-9]{1,4}):([0-9]{2}(?:[.][0-9]+)?)$"
_MOMENT = (
    r"^([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ]([0-9]{2}:[0-9]{2})(:[0-9]{2})?([.][0-9]{1,9})?)?\s*"
    r"(Z|UTC|[+-][0-9]{2}(?::?[0-9]{2})?)?$"
)
_EARLIEST, _LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


class Conformer:
    """Gives the rows of one reading of a library the columns of SCHEMA, and each id once."""

    def __init__(self, params: ReaderParams, problems: Problems) -> None:
        self._params = params
        self._problems = problems
        # 64-bit hashes: a million ids take some 60 MB so, and several times that as text.
        self._seen: set[int] = set()
        self._repeated: dict[str, int] = {}

    def conform(self, raw: pl.DataFrame, where: Callable[[int], str]) -> pl.DataFrame:
        """Make a batch of a library.

        Args:
            raw: columns of SOURCE_COLUMNS as text; those the source does not have are left out. Without a
                ``track_id`` the location names a track, without that its own words do.
            where: names the place of a row, counted from 0, in the source.

        Returns:
            The rows that have an id not seen before, in SCHEMA.
        """
        given = set(raw.columns)
        raw = raw.with_columns(pl.lit(None, pl.String).alias(name) for name in SOURCE_COLUMNS if name not in given)
        raw = raw.with_columns(
            *(_blank_is_null(pl.col(name).str.replace_all("\0", "", literal=True)) for name in _NAMES),
            *(
                _blank_is_null(pl.col(name).str.replace_all(r"\p{Cc}+", " ").str.strip_chars())
                for name in SOURCE_COLUMNS
                if name not in _NAMES
            ),
        )
        made = raw.select(
            *(pl.col(name) for name in _NAMES),
            *(pl.col(name).str.slice(0, _LONGEST_TEXT) for name in _WORDS),
            *(_number(name) for name in _NUMBERS),
            _rating(self._params.rating_out_of),
            _duration(),
            *(_moment(name, self._params.date_format) for name in ("last_played", "date_added")),
        ).select(SCHEMA.names())
        self._count_bad_values(raw, made, where)
        return self._identified(made, given, where)

    def _count_bad_values(self, raw: pl.DataFrame, made: pl.DataFrame, where: Callable[[int], str]) -> None:
        for name in SOURCE_COLUMNS:
            if name in _NAMES:
                continue
            said = raw[name]
            if name in _WORDS:
                bad, kind = said.str.len_chars() > _LONGEST_TEXT, "cut_text"
            else:
                result = made["duration_seconds" if name == "duration_ms" else name]
                bad, kind = result.is_null() & ~said.str.contains(_UNKNOWN), "bad_value"
            if count := int(bad.sum() or 0):
                shown = bad.fill_null(value=False).arg_true().head(max(1, self._problems.wants_examples(kind)))
                for place in shown[:-1]:
                    self._problems.add(kind, f"{where(place)}: {name} {said[place][:80]!r}")
                last = shown[-1]
                self._problems.add(kind, f"{where(last)}: {name} {said[last][:80]!r}", count - len(shown) + 1)

    def _identified(self, made: pl.DataFrame, given: set[str], where: Callable[[int], str]) -> pl.DataFrame:
        if "track_id" not in given:
            made = made.with_columns(track_id=pl.col("location") if "location" in given else self._own_words(made))
        for place in made["track_id"].is_null().arg_true():
            self._problems.add("no_id", where(place))
        hashes = made["track_id"].hash().to_list()
        known = made["track_id"].is_not_null().to_list()
        fresh = [False] * len(hashes)
        for place, (number, has_id) in enumerate(zip(hashes, known, strict=True)):
            if not has_id:
                continue
            if number in self._seen:
                self._problems.add("duplicate_id", f"{where(place)}: {made['track_id'][place]!r}")
                continue
            self._seen.add(number)
            fresh[place] = True
        return made if all(fresh) else made.filter(pl.Series(fresh, dtype=pl.Boolean))

    def _own_words(self, made: pl.DataFrame) -> pl.Series:
        """Ids for rows that have none: a row keeps its own while others come and go."""
        empty = made.select(pl.all_horizontal(pl.col("song", "artist", "album").is_null())).to_series()
        ids: list[str | None] = []
        for digest, is_empty in zip(row_digests(made, _ADDED[1:]), empty, strict=True):
            name = f"row-{digest:016x}"
            times = self._repeated[name] = self._repeated.get(name, 0) + 1
            ids.append(None if is_empty else name if times == 1 else f"{name}-{times}")
        return pl.Series(ids, dtype=pl.String)


def row_name(before: int, place: int) -> str:
    """What a row is called in messages, by the rows before its batch and its place in it."""
    return f"row {before + place + 1}"


def texts(values: Sequence[Any]) -> pl.Series:
    """A column of text of a column of whatever a database or a tag gave."""
    return pl.Series([text(value) for value in values], dtype=pl.String)


def text(value: Any) -> str | None:
    """A value as a source in text would say it; None for what is no value of a track."""
    match value:
        case str():
            # Lone surrogates come of names that are not Unicode, and no column holds them.
            return value if value.isascii() else value.encode(errors="replace").decode()
        case bool() | None:
            return None
        case datetime() | date():
            return value.isoformat()
        case timedelta():
            return str(value.total_seconds())
        case bytes() | bytearray() | memoryview():
            return bytes(value).decode(errors="replace")
        case list() | tuple() | set() | dict():
            return None
        case _:
            return str(value)


def _blank_is_null(value: pl.Expr) -> pl.Expr:
    return pl.when(value.str.strip_chars() != "").then(value)


def _number(name: str) -> pl.Expr:
    pattern, least, most = _NUMBERS[name]
    value = pl.col(name).str.extract(pattern).cast(pl.Int64, strict=False)
    return pl.when(value.is_between(least, most)).then(value).cast(SCHEMA[name]).alias(name)


def _rating(out_of: int) -> pl.Expr:
    value = _decimal(pl.col("rating"))
    return pl.when(value.is_between(0, out_of)).then((value * 100 / out_of).round().cast(pl.Int32)).alias("rating")


def _duration() -> pl.Expr:
    said = pl.col("duration_seconds")
    hours, minutes, seconds = (said.str.extract(_CLOCK, group).cast(pl.Float64, strict=False) for group in (1, 2, 3))
    value = pl.coalesce(
        _decimal(said), hours.fill_null(0) * 3600 + minutes * 60 + seconds, _decimal(pl.col("duration_ms")) / 1000
    )
    return pl.when((value > 0) & (value <= _LONGEST_SECONDS)).then(value).alias("duration_seconds")


def _decimal(value: pl.Expr) -> pl.Expr:
    return value.str.extract(r"^([+-]?[0-9]+(?:[.][0-9]*)?(?:[eE][+-]?[0-9]{1,2})?)$").cast(pl.Float64, strict=False)


def _moment(name: str, date_format: str | None) -> pl.Expr:
    said = pl.col(name)
    day, clock, seconds, fraction, zone = (said.str.extract(_MOMENT, group) for group in range(1, 6))
    offset = (
        pl.when(zone.is_null() | zone.is_in(["Z", "UTC"]))
        .then(pl.lit("+0000"))
        .otherwise(zone.str.replace(":", "", literal=True).str.pad_end(5, "0"))
    )
    canonical = pl.concat_str(
        day,
        pl.lit("T"),
        clock.fill_null("00:00"),
        seconds.fill_null(":00"),
        fraction.fill_null(".0"),
        offset,
    )
    value = canonical.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_unit="us", time_zone="UTC", strict=False)
    # Since 1970, in seconds or milliseconds: told apart by their length from 1973 to 2286.
    for pattern, scale in ((r"^([0-9]{9,10})(?:[.]0*)?$", 1_000_000), (r"^([0-9]{12,13})(?:[.]0*)?$", 1_000)):
        number = said.str.extract(pattern).cast(pl.Int64, strict=False) * scale
        value = pl.coalesce(value, number.cast(pl.Datetime("us", "UTC")))
    if date_format is not None:
        other = said.str.to_datetime(date_format, time_unit="us", strict=False, exact=True)
        value = pl.coalesce(value, other.dt.replace_time_zone("UTC"))
    return pl.when(value.is_between(_EARLIEST, _LATEST)).then(value).alias(name)
