"""Takes whole columns of titles and artists apart: what is plain at once, the rest one by one. Pure.

Every text gets what ``parse_title`` and ``parse_artist`` would give it, which are readable and ten times slower.
"""

from collections.abc import Iterable

import polars as pl

from holdfast.analyzers.duplicates.artists import SIGNAL as ARTIST_SIGNAL
from holdfast.analyzers.duplicates.artists import Artist, parse_artist
from holdfast.analyzers.duplicates.text import squash, tightened, words_of
from holdfast.analyzers.duplicates.titles import SIGNAL as TITLE_SIGNAL
from holdfast.analyzers.duplicates.titles import Title, parse_brackets, parse_title
from holdfast.analyzers.duplicates.words import GENERIC_TITLES, GUEST_WORDS, UNKNOWN_ARTISTS

# What makes a title another one; the artist and, for some, the album come to it.
_TITLE_IDENTITY = ("core", "versions", "version_text", "numbers", "subtitle", "guests", "tail")

TITLE_SCHEMA = pl.Schema(
    {
        "core": pl.String,
        "tight": pl.String,
        "versions": pl.Int64,
        "version_text": pl.String,
        "numbers": pl.String,
        "subtitle": pl.String,
        "guests": pl.String,
        "tail": pl.String,
        "head": pl.String,
        "unnumbered": pl.String,
    }
)
ARTIST_SCHEMA = pl.Schema({"names": pl.String, "lead": pl.String, "whole_artist": pl.String, "artist_words": pl.String})

# Something, and one pair of brackets behind it. Rust's syntax.
_BRACKETS_BEHIND = r"^([^()\[\]{}<>]*[^()\[\]{}<>\s])\s*[(\[]([^()\[\]{}<>]*)[)\]]$"
_ONE_GUEST = rf"^(?:{GUEST_WORDS}|with)(?:\.\s*|\s)([^\s.].*)$"
_LEADING_THE = r"^the\s+(\S)"


def take_titles_apart(texts: pl.Series, same: int) -> pl.DataFrame:
    """The columns of a Title for each text, beside it.

    Args:
        texts: folded and distinct.
        same: a mask of the version classes that count as no version.

    Returns:
        ``title``, TITLE_SCHEMA, ``title_key`` (equal for what is the same title, in the order of the content),
        ``whole_title``, ``title_length``, ``numeric``, ``generic``.
    """
    signal = texts.str.contains(TITLE_SIGNAL)
    columns = ["title", *TITLE_SCHEMA]
    plain = plain_titles(texts.filter(~signal))
    bracketed = titles_with_brackets(texts.filter(signal), same)
    rest = texts.filter(signal & ~texts.is_in(bracketed["title"].implode()))
    apart = _frame((_row(parse_title(text, same)) for text in rest), TITLE_SCHEMA).with_columns(title=rest)
    titles = pl.concat([some.select(columns) for some in (plain, bracketed, apart)])
    core = pl.col("core")
    return titles.with_columns(
        title_key=pl.struct(_TITLE_IDENTITY).rank("dense"),
        # A title of signs alone is not every other one of signs.
        whole_title=pl.when(squash(pl.col("title")) == "").then("title").otherwise(squash(pl.col("title"))),
        title_length=pl.col("title").str.len_chars(),
        numeric=core.str.contains(r"^[\p{N} ]*$"),
        generic=core.is_in(GENERIC_TITLES),
    )


def plain_titles(texts: pl.Series) -> pl.DataFrame:
    """Titles in which nothing is to be taken apart: TITLE_SCHEMA and ``title``.

    Args:
        texts: folded, without a title's SIGNAL.
    """
    core = words_of(pl.col("title"))
    named = texts.to_frame("title").with_columns(core=pl.when(core == "").then("title").otherwise(core))
    empty = pl.lit("")
    return named.with_columns(
        tight=tightened(pl.col("core")),
        versions=pl.lit(0, dtype=pl.Int64),
        version_text=empty,
        numbers=empty,
        subtitle=empty,
        guests=empty,
        tail=empty,
        head=empty,
        unnumbered=empty,
    )


def titles_with_brackets(texts: pl.Series, same: int) -> pl.DataFrame:
    """Those of the titles that are plain but for one pair of brackets at the end: TITLE_SCHEMA and ``title``.

    What stands in the brackets is taken apart once for all titles that have it.

    Args:
        texts: folded.
        same: a mask of the version classes that count as no version.
    """
    title = pl.col("title")
    split = texts.to_frame("title").with_columns(
        before=title.str.extract(_BRACKETS_BEHIND, 1), within=title.str.extract(_BRACKETS_BEHIND, 2)
    )
    split = split.with_columns(words=words_of(pl.col("before")))
    # What is in words has something left when the brackets are gone.
    mine = split.filter((pl.col("words") != "") & ~pl.col("before").str.contains(TITLE_SIGNAL))
    told = _brackets(mine["within"].unique(), same)
    part = pl.col("part")
    core = pl.when(part == "").then("words").otherwise(pl.concat_str("words", "part", separator=" "))
    whole = mine.join(told, on="within", how="left", maintain_order="left").with_columns(core=core)
    return whole.with_columns(tight=tightened(pl.col("core"))).select("title", *TITLE_SCHEMA)


def _brackets(texts: pl.Series, same: int) -> pl.DataFrame:
    """What brackets tell: TITLE_SCHEMA, with ``part`` for the core, and ``within``."""
    guest = texts.str.extract(_ONE_GUEST, 1)
    guest = guest.set(guest.str.contains(ARTIST_SIGNAL), None)
    named = guest.is_not_null()
    # Most name a guest, each another one.
    guests = plain_titles(texts.filter(named)).with_columns(core=pl.lit(""), guests=_one_name(guest.filter(named)))
    rest = texts.filter(~named)
    told = _frame((_row(parse_brackets(text, same)) for text in rest), TITLE_SCHEMA).with_columns(title=rest)
    both = pl.concat([some.select("title", *TITLE_SCHEMA) for some in (guests, told)])
    return both.drop("tight").rename({"core": "part", "title": "within"})


def _one_name(texts: pl.Series) -> pl.Series:
    bare = texts.to_frame("name").select(words_of(pl.col("name").str.replace(_LEADING_THE, "$1")))
    return bare.to_series().str.replace_all(" ", "", literal=True)


def take_artists_apart(texts: pl.Series) -> pl.DataFrame:
    """The columns of an Artist for each text, beside it.

    Args:
        texts: folded and distinct.

    Returns:
        ``artist``, ARTIST_SCHEMA, ``artist_key`` (equal for the same words, in alphabetical order), ``unknown``.
    """
    artist = pl.col("artist")
    bare = texts.str.replace(_LEADING_THE, "$1")
    named = pl.DataFrame({"artist": texts, "bare": bare, "whole": _one_name(bare)})
    # An artist whom nobody knew has no words, as one of signs only: the long way tells them apart.
    plain = ~artist.str.contains(ARTIST_SIGNAL) & (pl.col("whole") != "")
    plain = plain & ~artist.is_in(UNKNOWN_ARTISTS)
    one_name = named.filter(plain).select(
        "artist",
        names="whole",
        lead="whole",
        whole_artist="whole",
        artist_words=words_of(pl.col("bare")).str.split(" ").list.sort().list.join(" "),
    )
    rest = named.filter(~plain)["artist"]
    apart = _frame((_artist_row(parse_artist(text)) for text in rest), ARTIST_SCHEMA).with_columns(artist=rest)
    artists = pl.concat([some.select("artist", *ARTIST_SCHEMA) for some in (one_name, apart)])
    words = pl.col("artist_words")
    return artists.with_columns(artist_key=words.rank("dense"), unknown=words == "")


def _row(title: Title) -> tuple[object, ...]:
    guests = " ".join(sorted(title.guests)) if title.guests else ""
    return (
        title.core, title.tight, title.versions, title.version_text, title.numbers, title.subtitle, guests, title.tail,
        title.head, title.unnumbered,
    )  # fmt: skip


def _artist_row(artist: Artist) -> tuple[object, ...]:
    names = " ".join(artist.names)
    return names, names.partition(" ")[0], artist.whole, artist.words


def _frame(rows: Iterable[tuple[object, ...]], schema: pl.Schema) -> pl.DataFrame:
    # Column by column: row by row, building the table costs a third of taking the titles apart.
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return pl.DataFrame(
        [pl.Series(name, values, dtype=dtype) for values, (name, dtype) in zip(columns, schema.items(), strict=True)]
    )
