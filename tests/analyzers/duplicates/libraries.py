"""Small libraries, and short ways to search them."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl

from holdfast.analyzers.duplicates.library import SCHEMA
from holdfast.analyzers.duplicates.matching import Groups, find_duplicates
from holdfast.analyzers.duplicates.params import read_params

Track = dict[str, Any]

NEW_YEAR = datetime(2020, 1, 1, tzinfo=UTC)


def track(song: str | None, artist: str | None = "Ada Byron", album: str | None = None, **more: Any) -> Track:
    return {"song": song, "artist": artist, "album": album, **more}


def library(tracks: Sequence[Track]) -> pl.DataFrame:
    """The tracks in SCHEMA; ids are t0, t1, ... where none are given."""
    rows = [{"track_id": f"t{number}", **one} for number, one in enumerate(tracks)]
    return pl.DataFrame(rows, schema=SCHEMA)


def groups_of(frame: pl.DataFrame, **params: Any) -> list[set[str]]:
    return sets(find_duplicates(frame, read_params(params)))


def sets(groups: Groups) -> list[set[str]]:
    found = groups.members.group_by("group").agg("track_id").sort("group")["track_id"]
    return sorted((set(ids) for ids in found.to_list()), key=sorted)


def similarity(one: Track, other: Track, **params: Any) -> float:
    """How alike two tracks are alone in a library; 0 if they are no duplicates."""
    members = find_duplicates(library([one, other]), read_params(params)).members
    return min(members["similarity"].to_list(), default=0.0)


def invented(count: int, seed: int = 1) -> pl.DataFrame:
    """A library full of near misses: few words, few artists, many spellings."""
    chance = random.Random(seed)
    words = ["stay", "sway", "stray", "night", "nights", "light", "rain", "train", "ocean", "oceans"]
    labels = [
        "",
        "",
        "",
        " (Live)",
        " - 2011 Remaster",
        " Pt. 2",
        " II",
        " (feat. Cleo)",
        " (feat. Dan)",
        " [Explicit]",
        " (Remix)",
        " - Notes",
    ]
    artists = ["Ada Byron", "Ada Biron", "The Engines", "Engines", "Ada Byron & Cleo", "", "Dan feat. Cleo"]

    def one() -> Track:
        title = " ".join(chance.choices(words, k=chance.randint(1, 3)))
        if chance.random() < 0.2:
            at = chance.randrange(len(title))
            title = title[:at] + chance.choice("abcde ") + title[at + 1 :]
        return track(
            title + chance.choice(labels),
            chance.choice(artists),
            chance.choice(["Notes", "Works", None]),
            duration_seconds=chance.choice([None, 180.0, 182.0, 240.0]),
            play_count=chance.randint(0, 9),
        )

    return library([one() for _ in range(count)])
