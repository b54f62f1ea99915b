"""The keys under which signatures that may be duplicates meet. Pure.

A key says "equal in these respects"; two signatures are looked at together if they share a key, so each key forgives
one kind of difference. Version class and numbers are in nearly all of them: what differs there never meets.
"""

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from holdfast.analyzers.duplicates.hashes import U64, hash_here, mix

I64 = NDArray[np.int64]

# What is looked for by its words meets at most so many others under each of its rarest words.
RARE_LETTERS = 3
RARE_ROWS = 16
RARE_WORDS = 4


class Order(Enum):
    """By what the signatures under one key are sorted, so that the likeliest pairs stand close together."""

    TITLE = "title"
    ARTIST = "artist"


class Gate(Enum):
    """What a pair must pass besides sharing the key; cheap, and never stricter than the comparison itself."""

    NONE = "none"
    TITLE = "title"
    ARTIST = "artist"
    MIXED = "mixed"


class Key(NamedTuple):
    """One kind of key.

    Attributes:
        name: what it forgives.
        rows: the signatures that have it; one may have several of a kind.
        hashes: their keys.
        order: how they are sorted under one key.
        window: how many neighbours each is looked at with.
        gate: what a pair must pass.
    """

    name: str
    rows: I64
    hashes: U64
    order: Order
    window: int
    gate: Gate


def keys(table: pl.DataFrame) -> Iterator[Key]:
    """The keys of every kind, one kind after the other, so that one is in memory at a time.

    Args:
        table: the table of Signatures.
    """
    rows = np.arange(table.height, dtype=np.int64)
    kind = mix(table["versions"].to_numpy().astype(np.uint64), hash_here(table["numbers"]))
    title, artist = hash_here(table["tight"]), hash_here(table["lead"])
    known = (table["lead"] != "").to_numpy()

    def key(
        name: str, order: Order, window: int, gate: Gate, *columns: U64, where: NDArray[np.bool_] | None = None
    ) -> Key:
        hashes = mix(*columns)
        if where is None:
            return Key(name, rows, hashes, order, window, gate)
        return Key(name, rows[where], hashes[where], order, window, gate)

    several = table.select(row=pl.int_range(pl.len()), name="names").filter(pl.col("name").str.contains(" "))
    names = several.with_columns(pl.col("name").str.split(" ")).explode("name")
    one = np.setdiff1d(rows, several["row"].to_numpy(), assume_unique=True)
    at = np.concatenate([one, names["row"].to_numpy()])
    some_name = mix(title[at], np.concatenate([artist[one], hash_here(names["name"])]), kind[at])
    yield Key("another artist in front", at, some_name, Order.ARTIST, 24, Gate.NONE)
    yield key("artist misspelt", Order.ARTIST, 12, Gate.ARTIST, title, kind)
    yield key("title misspelt", Order.TITLE, 12, Gate.TITLE, artist, kind, where=known)
    for name, ends in (("end", table["tight"].str.slice(0, 2)), ("beginning", table["tight"].str.slice(-2))):
        yield key(f"{name} misspelt", Order.TITLE, 24, Gate.TITLE, artist, hash_here(ends), kind, where=known)
    whole = table["whole_artist"]
    for part, begins in ((whole.str.slice(0, 3), "begins"), (whole.str.slice(-3), "ends")):
        artist_part = hash_here(part)
        for two, ends_with in ((table["tight"].str.slice(0, 4), "begins"), (table["tight"].str.slice(-4), "ends")):
            name = f"both misspelt; artist {begins}, title {ends_with} alike"
            yield key(name, Order.TITLE, 12, Gate.TITLE, artist_part, hash_here(two), kind, where=known)
    yield from _odd_keys(table, rows, title, artist)
    yield _album_key(table, title, kind)
    yield from _mixed_keys(table, title)


def _odd_keys(table: pl.DataFrame, rows: I64, title: U64, artist: U64) -> Iterator[Key]:
    """Keys for fields that hold what belongs elsewhere; these few go past the numbers, and are judged closely."""
    versions = table["versions"].to_numpy().astype(np.uint64)
    numbered = (table["unnumbered"] != "").to_numpy()
    bare = mix(hash_here(table["unnumbered"].filter(pl.Series(numbered))), artist[numbered], versions[numbered])
    yield Key(
        "a track number in front",
        np.concatenate([rows[numbered], rows]),
        np.concatenate([bare, mix(title, artist, versions)]),
        Order.TITLE, 4, Gate.NONE,
    )  # fmt: skip
    tailed = (table["tail"] != "").to_numpy()
    head = mix(hash_here(table["head"].filter(pl.Series(tailed))), artist[tailed], versions[tailed])
    yield Key(
        "an album behind the title",
        np.concatenate([rows[tailed], rows]),
        np.concatenate([head, mix(title, artist, versions)]),
        Order.TITLE, 8, Gate.NONE,
    )  # fmt: skip
    whole_title, whole_artist = hash_here(table["whole_title"]), hash_here(table["whole_artist"])
    yield Key("other brackets", rows, mix(whole_title, artist), Order.ARTIST, 8, Gate.NONE)
    yield Key("title and artist swapped", rows, _either(whole_title, whole_artist), Order.TITLE, 4, Gate.NONE)


def _album_key(table: pl.DataFrame, title: U64, kind: U64) -> Key:
    albums = table.select(row=pl.int_range(pl.len()), album="albums").explode("album")
    albums = albums.filter(pl.col("album").str.len_chars() >= 4)
    at = albums["row"].to_numpy()
    hashes = mix(title[at], hash_here(albums["album"]), kind[at])
    return Key("artist unknown", at, hashes, Order.ARTIST, 8, Gate.NONE)


def _mixed_keys(table: pl.DataFrame, title: U64) -> Iterator[Key]:
    """Keys for titles that hold the artist or the album as well: they meet who shares a rare word or both fields."""
    loose = table["loose"]
    if not loose.any():
        return
    row = pl.int_range(pl.len(), dtype=pl.Int64).alias("row")
    words = table.select(row, word=pl.concat_str("core", "artist_words", separator=" ").str.split(" ")).explode("word")
    told = words.filter(loose.gather(words["row"]) & (pl.col("word").str.len_chars() >= RARE_LETTERS)).unique()
    met = words.join(told.select("word").unique(), on="word", how="semi").unique()
    rare = met.group_by("word").len("rows").filter(pl.col("rows").is_between(2, RARE_ROWS))
    # The rarest of each; equally rare ones by name, so that every run takes the same.
    rarest = told.join(rare, on="word").sort("row", "rows", "word").group_by("row", maintain_order=True)
    used = rarest.agg(pl.col("word").head(RARE_WORDS)).explode("word").select("word").unique()
    meeting = met.join(used, on="word", how="semi").sort("row", "word")
    at, word = meeting["row"].to_numpy(), hash_here(meeting["word"])
    yield Key("fields mixed, a rare word shared", at, mix(word), Order.TITLE, RARE_ROWS - 1, Gate.MIXED)
    albums = table.select(row, album="albums").explode("album").drop_nulls()
    of_album = albums["row"].to_numpy()
    beside = _either(title[of_album], hash_here(albums["album"]))
    places = loose.arg_true().to_numpy().astype(np.int64)
    in_one = _either(title[places], hash_here(table["whole_artist"].gather(places)))
    met_by_some = np.isin(beside, in_one)
    pairs = np.concatenate([in_one, beside[met_by_some]])
    meeting_rows = np.concatenate([places, of_album[met_by_some]])
    yield Key("title and album in one field", meeting_rows, pairs, Order.TITLE, 8, Gate.MIXED)


def _either(one: U64, other: U64) -> U64:
    return mix(np.minimum(one, other), np.maximum(one, other))
