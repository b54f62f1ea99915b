"""From tracks to signatures: what is compared is each distinct combination of title, version, artist, once. Pure.

Tracks with the same signature are the same without any comparison, so a library in which a song stands on ten albums
has one row for it here. The albums stay beside it as evidence.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from holdfast.analyzers.duplicates.apart import ARTIST_SCHEMA, TITLE_SCHEMA, take_artists_apart, take_titles_apart
from holdfast.analyzers.duplicates.text import fold, squash
from holdfast.analyzers.duplicates.words import UNKNOWN_ARTISTS

I64 = NDArray[np.int64]

ALBUMS_KEPT = 8
COMMON_WORD = 3

# A minute more is another recording; a quarter of a minute may be silence, or a fade.
OTHER_TAKE_SECONDS = 15.0
OTHER_TAKE_SHARE = 0.25


_IDENTITY = ("title_key", "artist_key", "own_rank")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signatures:
    """The distinct signatures of a library.

    Attributes:
        table: one row each, in an order that depends on their content alone: the columns of a Title and an Artist,
            ``whole_title`` (all of the title, without spaces), ``title_length`` (characters, folded), ``albums``
            (up to eight), ``least_seconds`` and ``most_seconds`` (durations, null where none is known),
            ``tracks`` (how many have it), ``common`` (which of its words many titles have),
            ``own_album`` and ``take`` (what else parts signatures of one title and artist),
            ``loose`` (whether no track of it has an artist but in its title), ``artist_rank`` (in alphabetical order).
        of_track: each track's row in ``table``, in the library's order; -1 where there is nothing to compare.
    """

    table: pl.DataFrame
    of_track: I64


def sign(library: pl.DataFrame, same: int) -> Signatures:
    """Take every distinct title and artist of a library apart, and find the distinct signatures.

    Args:
        library: in the library's SCHEMA.
        same: a mask of the version classes that count as no version.
    """
    tracks = _readings(library)
    titles = take_titles_apart(tracks["title"].unique(), same)
    artists = take_artists_apart(tracks["artist"].unique())
    albums = _albums(tracks["album"].unique())
    rows = (
        tracks.lazy()
        .join(titles.lazy().select("title", "title_key", "numeric", "generic"), on="title", how="left")
        .join(artists.lazy().select("artist", "artist_key", "unknown"), on="artist", how="left")
        .join(albums.lazy(), on="album", how="left")
        .with_columns(needs_album=pl.col("unknown") | pl.col("generic"))
        .filter(_comparable())
        # One album's intro is not another's, and what has neither artist nor album cannot be told apart.
        .with_columns(own_album=pl.when("needs_album").then("album_tight").otherwise(pl.lit("")))
        .with_columns(own_rank=pl.when("needs_album").then("album_rank").otherwise(pl.lit(0, dtype=pl.UInt32)))
        .select("track", *_IDENTITY, "own_album", "album_tight", "duration_seconds", "loose")
        # By ranks: to sort by texts takes several times as long.
        .sort(*_IDENTITY, "duration_seconds", "track")
        .with_columns(identity=pl.struct(_IDENTITY).rle_id())
        .collect()
    )
    rows = rows.with_columns(_take(rows))
    rows = rows.with_columns(signature=pl.struct("identity", "take").rle_id())
    table = (
        rows.lazy()
        .group_by("signature", maintain_order=True)
        .agg(
            pl.col("title_key", "artist_key", "own_album", "take").first(),
            least_seconds=pl.col("duration_seconds").min(),
            most_seconds=pl.col("duration_seconds").max(),
            tracks=pl.len(),
            loose=pl.col("loose").all(),
        )
        .join(_by_key(titles, "title_key", TITLE_SCHEMA, ("whole_title", "title_length")).lazy(), on="title_key")
        .join(_by_key(artists, "artist_key", {}, ARTIST_SCHEMA).lazy(), on="artist_key")
        .sort("signature")
        .drop("signature", "title_key")
        .rename({"artist_key": "artist_rank"})
        .collect()
    )
    of_track = np.full(library.height, -1, dtype=np.int64)
    of_track[rows["track"].to_numpy()] = rows["signature"].to_numpy()
    full = table.with_columns(albums=_album_lists(rows, table.height), common=_common_words(table["core"]))
    return Signatures(table=full, of_track=of_track)


def _by_key(parsed: pl.DataFrame, key: str, same: Iterable[str], various: Iterable[str]) -> pl.DataFrame:
    """One row for each key; of what may differ under one key, always the same."""
    return parsed.group_by(key).agg(*(pl.col(name).first() for name in same), *(pl.col(name).min() for name in various))


def _take(rows: pl.DataFrame) -> pl.Series:
    """Tell apart what is named alike and lasts quite differently: 0 for the shortest, and so on.

    Args:
        rows: sorted by identity and duration, unknown durations first: those go with the shortest.
    """
    seconds, shorter = pl.col("duration_seconds"), pl.col("duration_seconds").shift(1)
    jump = seconds - shorter > pl.max_horizontal(pl.lit(OTHER_TAKE_SECONDS), OTHER_TAKE_SHARE * seconds)
    same = pl.col("identity") == pl.col("identity").shift(1)
    jumps = rows.select((jump & same).fill_null(value=False)).to_series().to_numpy().cumsum()
    # Counted from each identity's first row, which is no jump itself.
    identity = rows["identity"].to_numpy()
    first = np.nonzero(np.diff(identity, prepend=-1))[0]
    return pl.Series("take", jumps - jumps[first][identity], dtype=pl.Int64)


def _album_lists(rows: pl.DataFrame, count: int) -> pl.Series:
    """Each signature's albums: sorted, and the first few of them only."""
    found = rows.select("signature", "album_tight").filter(pl.col("album_tight") != "").unique()
    lists = (
        found.sort("signature", "album_tight")
        .group_by("signature", maintain_order=True)
        .agg(pl.col("album_tight").head(ALBUMS_KEPT))
    )
    all_of_them = pl.DataFrame({"signature": pl.int_range(count, dtype=pl.UInt32, eager=True)})
    albums = all_of_them.join(lists, on="signature", how="left", maintain_order="left")["album_tight"]
    return albums.fill_null(pl.Series([[]], dtype=pl.List(pl.String))).alias("albums")


def _common_words(cores: pl.Series) -> pl.Series:
    """Bit 0 for a first word, bit 1 for a second one that many titles have; 0 for titles of more words."""
    split = cores.to_frame("core").select(words=pl.col("core").str.split(" "))
    counts = split["words"].explode().value_counts()
    enough = max(COMMON_WORD, len(cores) // 50_000)
    common = counts.filter(pl.col("count") >= enough).to_series(0)
    short = pl.col("words").list.len() <= 2
    first, second = (pl.col("words").list.get(place, null_on_oob=True).is_in(common.implode()) for place in (0, 1))
    mask = first.cast(pl.Int64) + 2 * second.fill_null(value=False).cast(pl.Int64)
    return split.select(pl.when(short).then(mask).otherwise(0).alias("common")).to_series()


def _readings(library: pl.DataFrame) -> pl.DataFrame:
    """Each track's title and artist as they are meant; "Artist - Title" without an artist is both in one field."""
    texts = library.select(
        *(_folded(library[name]).alias(name) for name in ("song", "artist", "album")),
        pl.when(pl.col("duration_seconds") > 0).then("duration_seconds").alias("duration_seconds"),
    )
    song, artist = pl.col("song"), pl.col("artist")
    before = song.str.extract(r"^(.*?\S)\s+-\s+\S", 1)
    after = song.str.extract(r"^.*?\S\s+-\s+(\S.*)$", 1)
    unknown = artist.is_in(UNKNOWN_ARTISTS)
    both_in_one = before.is_not_null() & (unknown | (before == artist))
    artist_in_title = before.str.replace(r"^\d{1,3}\s*[-.)_]?\s+", "")
    return texts.select(
        title=pl.when(both_in_one).then(after).otherwise(song),
        artist=pl.when(both_in_one & unknown).then(artist_in_title).otherwise(artist),
        album="album",
        duration_seconds="duration_seconds",
        loose=unknown,
    ).with_row_index("track")


def _folded(column: pl.Series) -> pl.Series:
    distinct = column.fill_null("").unique(maintain_order=True)
    if 2 * len(distinct) > len(column):
        # To find each among the distinct ones costs more than to fold it again.
        return fold(column)
    pairs = pl.DataFrame({"raw": distinct, "folded": fold(distinct)})
    given = column.fill_null("").to_frame("raw")
    return given.join(pairs, on="raw", how="left", maintain_order="left")["folded"]


def _albums(texts: pl.Series) -> pl.DataFrame:
    # Without brackets: "(Deluxe Edition)" is the same album to whoever looks for a track.
    bare = pl.col("album").str.replace_all(r"[(\[][^)\]]*[)\]]", " ")
    tight = squash(bare)
    albums = texts.to_frame("album").with_columns(
        album_tight=pl.when(tight == "").then(squash(pl.col("album"))).otherwise(tight)
    )
    return albums.with_columns(album_rank=pl.col("album_tight").rank("dense"))


def _comparable() -> pl.Expr:
    """A title says enough if it has a letter or an artist, and where the album is needed, that."""
    says_nothing = (pl.col("title") == "") | (pl.col("numeric") & pl.col("unknown"))
    return ~says_nothing & ~(pl.col("needs_album") & (pl.col("album_tight") == ""))
