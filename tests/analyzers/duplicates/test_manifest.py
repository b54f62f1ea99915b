from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.analyzers.duplicates.library import SCHEMA
from holdfast.analyzers.duplicates.manifest import CONTENT, Changes, Manifest, compare, row_digests
from holdfast.domain.errors import InvalidInput

_IDS = st.text(max_size=6)
_LIBRARIES = st.dictionaries(_IDS, st.sampled_from(["Blue", "Red", "Réd", None]), max_size=30)


def batches(*tracks: dict[str, Any], size: int) -> Iterator[pl.DataFrame]:
    yield from pl.DataFrame(list(tracks), schema=SCHEMA).iter_slices(size)


def manifest(*tracks: dict[str, Any]) -> Manifest:
    return Manifest.of(batches(*tracks, size=7 if len(tracks) < 100 else 1_000))


def counts(changes: Changes) -> tuple[int, int, int]:
    return changes.added.count, changes.modified.count, changes.deleted.count


@given(_LIBRARIES, _LIBRARIES)
def test_changes_are_those_of_the_two_libraries(old: dict[str, str | None], new: dict[str, str | None]) -> None:
    before, after = (
        manifest(*({"track_id": key, "song": song} for key, song in library.items())) for library in (old, new)
    )
    changes = compare(Manifest.from_bytes(before.to_bytes()), after, listed=1_000)
    assert set(changes.added.ids) == new.keys() - old.keys()
    assert set(changes.deleted.ids) == old.keys() - new.keys()
    assert set(changes.modified.ids) == {key for key in old.keys() & new.keys() if old[key] != new[key]}
    assert counts(changes) == tuple(len(c.ids) for c in (changes.added, changes.modified, changes.deleted))
    assert changes.total == sum(counts(changes))


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("play_count", 8),
        ("rating", 100),
        ("size_bytes", 99),
        ("genre", "Jazz"),
        ("last_played", datetime(2025, 1, 1, tzinfo=UTC)),
        ("date_added", datetime(2025, 1, 1, tzinfo=UTC)),
        ("duration_seconds", 200.4),
    ],
)
def test_playing_and_rating_a_song_is_no_change(fact: str, value: object) -> None:
    track = {"track_id": "1", "song": "Blue", "play_count": 7, "duration_seconds": 200.1}
    assert compare(manifest(track), manifest(track | {fact: value})).total == 0


@pytest.mark.parametrize("fact", CONTENT)
def test_what_matters_is_a_change(fact: str) -> None:
    value: object = "x" if SCHEMA[fact] == pl.String else 7
    track = {"track_id": "1"}
    assert counts(compare(manifest(track), manifest(track | {fact: value}))) == (0, 1, 0)


def test_no_value_passes_for_its_neighbours() -> None:
    rows = [("ab", "c"), ("a", "bc"), ("abc", None), (None, "abc"), ("", "abc"), ("1:a", ""), ("-", "-"), (None, None)]
    table = pl.DataFrame([{"song": song, "artist": artist} for song, artist in rows], schema=SCHEMA)
    assert row_digests(table, CONTENT).n_unique() == len(rows)


def test_hashes_are_the_same_in_every_release() -> None:
    track = {"song": "Überall", "artist": "Zoë", "year": 1999, "duration_seconds": 200.0, "location": "/a.mp3"}
    # What is kept for years is compared with what is read today: a new rule needs a new mark in the manifest.
    assert hex(row_digests(pl.DataFrame([track], schema=SCHEMA), CONTENT)[0]) == "0xb8f923c704f14ce3"


def test_lists_of_ids_are_bounded() -> None:
    many = manifest(*({"track_id": f"{number:05d}"} for number in range(5_000)))
    changes = compare(manifest(), many, listed=3)
    assert (changes.added.count, changes.added.ids) == (5_000, ("00000", "00001", "00002"))
    assert len(compare(manifest(), many).added.ids) == 100


def test_a_manifest_is_small() -> None:
    hexadecimal = [f"{number * 0x9E3779B97F4A7C15 % 2**64:016X}" for number in range(20_000)]
    data = manifest(*({"track_id": key, "song": key} for key in hexadecimal)).to_bytes()
    assert len(data) < 30 * len(hexadecimal)


@pytest.mark.parametrize("data", [b"", b"nonsense", b"holdfast-manifest-1\n", b"holdfast-manifest-1\nARROW1\0\0xxxx"])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput, match="manifest"):
        Manifest.from_bytes(data)


def test_a_damaged_or_foreign_table_is_refused() -> None:
    mark, data = b"holdfast-manifest-1\n", manifest({"track_id": "1"}).to_bytes()
    with pytest.raises(InvalidInput, match="damaged"):
        Manifest.from_bytes(data[: len(data) // 2])
    foreign = pl.DataFrame({"x": [1]}).write_ipc(None)
    with pytest.raises(InvalidInput, match="its columns"):
        Manifest.from_bytes(mark + foreign.getvalue())
