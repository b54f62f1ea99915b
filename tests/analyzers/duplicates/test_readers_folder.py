import os
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.analyzers.duplicates import audio

from holdfast.analyzers.duplicates.library import SCHEMA
from holdfast.analyzers.duplicates.readers import FolderLibrary, open_library, read_file

_TAGS = {"title": "Überall", "artist": "Zoë & The Ämber Otters", "album": "Naïve Engines"}


def library(path: Path) -> FolderLibrary:
    opened = open_library(str(path), {})
    assert isinstance(opened, FolderLibrary)
    return opened


def rows(opened: FolderLibrary) -> dict[str, dict[str, Any]]:
    tables = list(opened.batches())
    assert all(table.schema == SCHEMA for table in tables)
    return {row["track_id"]: row for table in tables for row in table.iter_rows(named=True)}


@pytest.mark.parametrize(
    ("suffix", "form", "bitrate"),
    [
        ("mp3", "mp3", 128),
        ("flac", "flac", None),
        ("ogg", "ogg", 112),
        ("opus", "opus", None),
        ("m4a", "aac", 128),
        ("wav", "wav", 128),
        ("aiff", "aiff", 128),
    ],
)
def test_every_format_tells_its_tags(tmp_path: Path, suffix: str, form: str, bitrate: int | None) -> None:
    file = tmp_path / "Ä b" / f"01 x.{suffix.upper()}"
    file.parent.mkdir()
    audio.WRITERS[suffix](file, _TAGS, 7)
    opened = library(tmp_path)
    (track,) = rows(opened).values()
    assert opened.problems == {}
    assert track["track_id"] == f"Ä b/01 x.{suffix.upper()}"
    assert track["location"] == str(file)
    assert (track["song"], track["artist"]) == (_TAGS["title"], _TAGS["artist"])
    assert track["album"] == (None if suffix == "aiff" else _TAGS["album"])
    assert track["duration_seconds"] == pytest.approx(7, abs=0.1)
    assert track["format"] == form
    assert track["size_bytes"] == file.stat().st_size
    if bitrate is not None:
        assert track["bitrate_kbps"] == bitrate


def test_numbers_and_years_come_out_of_their_tags(tmp_path: Path) -> None:
    audio.mp3(tmp_path / "a.mp3", _TAGS | {"track": "3/12", "year": "1999", "albumartist": "Various"})
    audio.flac(tmp_path / "b.flac", _TAGS | {"track": "4", "year": "2001-05-06"})
    found = rows(library(tmp_path))
    assert [found["a.mp3"][name] for name in ("track_number", "year", "album_artist")] == [3, 1999, "Various"]
    assert [found["b.flac"][name] for name in ("track_number", "year")] == [4, 2001]


def test_what_cannot_be_read_is_counted_and_stays_a_track(tmp_path: Path) -> None:
    audio.mp3(tmp_path / "good.mp3", _TAGS)
    (tmp_path / "broken.flac").write_bytes(b"this is no flac")
    (tmp_path / "empty.m4a").write_bytes(b"")
    (tmp_path / "Some Song.ape").write_bytes(b"MAC ")
    (tmp_path / "cover.jpg").write_bytes(b"x")
    (tmp_path / "._good.mp3").write_bytes(b"x")
    (tmp_path / "gone.mp3").symlink_to(tmp_path / "nowhere.mp3")
    opened = library(tmp_path)
    found = rows(opened)
    assert set(found) == {"good.mp3", "broken.flac", "empty.m4a", "Some Song.ape"}
    # As players show a file that says nothing of itself.
    assert found["Some Song.ape"]["song"] == "Some Song"
    assert found["broken.flac"]["song"] == "broken"
    assert opened.problems["bad_tags"].count == 2
    assert "broken.flac" in opened.problems["bad_tags"].examples[0]
    assert opened.problems["unreadable"].count == 1
    rows(opened)
    assert (opened.count, opened.subject.kind) == (4, "library")
    assert opened.problems["bad_tags"].count == 2, "counted anew by each reading, and by nothing else"


def test_a_name_that_is_no_text_is_counted(tmp_path: Path) -> None:
    audio.mp3(tmp_path / "good.mp3", _TAGS)
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xe4d.mp3")).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system has no such names")
    opened = library(tmp_path)
    assert set(rows(opened)) == {"good.mp3"}
    assert opened.problems["bad_name"].examples == (r"b\xe4d.mp3: its name is not UTF-8",)


def test_links_make_no_duplicates_and_no_loops(tmp_path: Path) -> None:
    inside, outside = tmp_path / "music", tmp_path / "disk"
    (inside / "album").mkdir(parents=True)
    (outside / "more").mkdir(parents=True)
    audio.mp3(inside / "album" / "a.mp3", _TAGS)
    audio.mp3(outside / "more" / "b.mp3", _TAGS)
    (inside / "0 first").symlink_to(inside / "album")
    (inside / "album" / "loop").symlink_to(inside)
    (inside / "up").symlink_to(tmp_path)
    (inside / "a again.mp3").symlink_to(inside / "album" / "a.mp3")
    (inside / "0 b.mp3").symlink_to(outside / "more" / "b.mp3")
    (inside / "disk").symlink_to(outside)
    (inside / "disk again").symlink_to(outside)
    (outside / "back").symlink_to(inside)
    found = rows(library(inside))
    assert len(found) == 2
    assert {Path(row["location"]).resolve().name for row in found.values()} == {"a.mp3", "b.mp3"}


def test_revision_follows_the_files(tmp_path: Path) -> None:
    audio.mp3(tmp_path / "a.mp3", _TAGS)
    audio.mp3(tmp_path / "b.mp3", _TAGS)
    first = library(tmp_path).subject
    assert (first.kind, first.key, first.title) == ("library", str(tmp_path), tmp_path.name)
    assert library(tmp_path).subject == first
    (tmp_path / "notes.txt").write_text("nothing to do with it")
    assert library(tmp_path).subject.revision == first.revision
    os.utime(tmp_path / "a.mp3", ns=(1, 1))
    touched = library(tmp_path).subject.revision
    (tmp_path / "b.mp3").rename(tmp_path / "c.mp3")
    assert len({first.revision, touched, library(tmp_path).subject.revision}) == 3


def test_files_can_be_read_by_other_processes(tmp_path: Path) -> None:
    for number in range(20):
        audio.wav(tmp_path / f"{number:02d}.wav", _TAGS, 1)
    opened = library(tmp_path)
    files = list(opened.files())
    assert opened.count == len(files) == 20
    assert len({file.key for file in files}) == 20
    assert pickle.loads(pickle.dumps(files)) == files
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        there = pl.concat(opened.table(pool.map(read_file, opened.files())))
    assert there.equals(pl.concat(opened.batches()))


def test_key_of_a_file_changes_with_it(tmp_path: Path) -> None:
    audio.wav(tmp_path / "a.wav", _TAGS, 1)
    (before,) = library(tmp_path).files()
    (same,) = library(tmp_path).files()
    os.utime(tmp_path / "a.wav", ns=(5, 5))
    (after,) = library(tmp_path).files()
    assert before.key == same.key != after.key
