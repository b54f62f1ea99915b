"""What a library held, small enough to keep: an id and a content hash per track, and what changed since."""

import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import polars as pl

from holdfast.domain.errors import InvalidInput

CONTENT = (
    "song",
    "artist",
    "album",
    "album_artist",
    "year",
    "disc_number",
    "track_number",
    "duration_seconds",
    "location",
    "bitrate_kbps",
    "format",
)
"""What makes a track another one when it changes.

Playing or rating a song changes none of it, nor does the size of a file into which a player writes its own notes.
"""
IDS_LISTED = 100
# A manifest made by another rule is not comparable: change this with CONTENT or with the hash.
_MAGIC = b"holdfast-manifest-1\n"
_COLUMNS = pl.Schema({"track_id": pl.String, "content": pl.UInt64})


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One way in which tracks differ between two states of a library.

    Attributes:
        count: how many tracks.
        ids: the first of them, by id, at most as many as were asked for.
    """

    count: int
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What happened to a library between two states of it."""

    added: Change
    modified: Change
    deleted: Change

    @property
    def total(self) -> int:
        """How many tracks were added, modified or deleted."""
        return self.added.count + self.modified.count + self.deleted.count


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Manifest:
    """The tracks of a library by id, each with a hash of what matters of it.

    Attributes:
        tracks: ``track_id`` and ``content``, by id, every id once.
    """

    tracks: pl.DataFrame

    @classmethod
    def of(cls, batches: Iterable[pl.DataFrame]) -> Self:
        """Make the manifest of a library.

        Args:
            batches: tables in SCHEMA, every id once; one is held at a time.
        """
        parts = [
            # Programs seldom agree on more of a duration than its seconds.
            pl.DataFrame(
                {
                    "track_id": batch["track_id"],
                    "content": row_digests(batch.with_columns(pl.col("duration_seconds").round()), CONTENT),
                },
                schema=_COLUMNS,
            )
            for batch in batches
        ]
        tracks = pl.concat(parts) if parts else pl.DataFrame(schema=_COLUMNS)
        return cls(tracks=tracks.sort("track_id"))

    def __len__(self) -> int:
        return len(self.tracks)

    def to_bytes(self) -> bytes:
        """The manifest, compressed: about 20 bytes a track whose id is an iTunes one."""
        buffer = io.BytesIO(_MAGIC)
        buffer.seek(0, io.SEEK_END)
        self.tracks.write_ipc(buffer, compression="zstd")
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what ``to_bytes`` gave.

        Raises:
            InvalidInput: it is something else, or was made by another release's rule.
        """
        if not data.startswith(_MAGIC):
            raise InvalidInput("That is no manifest of a library that this release can compare")
        try:
            tracks = pl.read_ipc(io.BytesIO(data[len(_MAGIC) :]))
        except (pl.exceptions.PolarsError, OSError) as error:
            raise InvalidInput(f"The manifest of the library is damaged: {error}") from error
        if tracks.schema != _COLUMNS:
            raise InvalidInput("The manifest of the library is damaged: its columns are not a manifest's")
        return cls(tracks=tracks)


def compare(old: Manifest, new: Manifest, *, listed: int = IDS_LISTED) -> Changes:
    """Tell what was added, modified and deleted between two states of a library.

    Args:
        old: the earlier state.
        new: the later state.
        listed: how many ids to name of each sort.
    """
    both = old.tracks.join(new.tracks, on="track_id", suffix="_new")
    return Changes(
        added=_change(new.tracks.join(old.tracks, on="track_id", how="anti"), listed),
        modified=_change(both.filter(pl.col("content") != pl.col("content_new")), listed),
        deleted=_change(old.tracks.join(new.tracks, on="track_id", how="anti"), listed),
    )


def row_digests(frame: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
    """A 64-bit hash of each row's values in ``columns``, the same on every machine and in every release."""
    texts = frame.select(row=pl.concat_str([_part(column, frame.schema[column]) for column in columns]))["row"]
    blake2b = hashlib.blake2b
    return pl.Series(
        [int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) for text in texts], dtype=pl.UInt64
    )


def _part(column: str, dtype: pl.DataType) -> pl.Expr:
    value = pl.col(column)
    if isinstance(dtype, pl.Datetime):
        value = value.cast(pl.Int64)
    text = value.cast(pl.String)
    # With its length before it, no value can pass for a part of its neighbour.
    return pl.concat_str(text.str.len_bytes().cast(pl.String), pl.lit(":"), text).fill_null("-")


def _change(tracks: pl.DataFrame, listed: int) -> Change:
    first = tracks.select(pl.col("track_id").bottom_k(listed).sort())["track_id"]
    return Change(count=len(tracks), ids=tuple(first))
