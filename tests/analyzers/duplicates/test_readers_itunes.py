import plistlib
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from holdfast.analyzers.duplicates.library import SCHEMA
from holdfast.analyzers.duplicates.readers import BrokenLibrary, Library, open_library
from holdfast.analyzers.duplicates.readers.itunes import path_of
from holdfast.analyzers.duplicates.sample import write_sample

_ROOMY_MEGABYTES = 250
_MEASURE = """
import resource, sys
from holdfast.analyzers.duplicates.readers import open_library
unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
open_library(sys.argv[2], {}).subject
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = sum(len(batch) for batch in open_library(sys.argv[1], {}).batches())
print(rows, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // unit)
"""


def read(path: Path, **params: Any) -> tuple[list[dict[str, Any]], Library]:
    library = open_library(str(path), params)
    assert library.kind == "itunes"
    tables = list(library.batches())
    assert all(table.schema == SCHEMA for table in tables)
    return [row for table in tables for row in table.iter_rows(named=True)], library


def written(path: Path, tracks: dict[str, dict[str, Any]], **others: Any) -> Path:
    path.write_bytes(plistlib.dumps({"Tracks": tracks, **others}))
    return path


def track(number: int, **facts: Any) -> dict[str, Any]:
    return {"Track ID": number, "Persistent ID": f"{number:016X}", "Name": f"Song {number}", **facts}


def document(tracks: str, before: str = "") -> str:
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return f"{head}{before}<plist><dict><key>Tracks</key><dict>{tracks}</dict></dict></plist>"


def test_ten_thousand_tracks_are_what_the_standard_library_reads(tmp_path: Path) -> None:
    path = tmp_path / "Library.xml"
    write_sample(path, 10_000)
    with path.open("rb") as file:
        plain = [facts for facts in plistlib.load(file)["Tracks"].values() if not facts.get("Podcast")]
    rows, library = read(path)
    assert len(rows) == len(plain) == 10_000
    for row, facts in zip(rows, plain, strict=True):
        assert row["track_id"] == facts["Persistent ID"]
        assert row["song"] == facts["Name"]
        assert row["artist"] == facts["Artist"]
        assert row["album"] == facts.get("Album")
        assert row["duration_seconds"] == pytest.approx(facts["Total Time"] / 1000)
        assert row["date_added"] == facts["Date Added"].replace(tzinfo=UTC)
        assert row["play_count"] == facts.get("Play Count")
        assert row["rating"] == facts.get("Rating")
        assert row["size_bytes"] == facts["Size"]
    assert {row["format"] for row in rows} == {"mp3", "aac", "flac"}
    assert set(library.problems) == {"not_music"}
    assert library.subject.kind == "library"
    assert library.count == 10_000, "a podcast of the sample has no persistent id"
    assert library.location == library.subject.key == str(path)


def test_every_fact_finds_its_column(tmp_path: Path) -> None:
    facts = {
        "Artist": "A & <B>",
        "Album Artist": "C",
        "Album": "D",
        "Genre": "Jazz",
        "Year": 1999,
        "Disc Number": 2,
        "Track Number": 7,
        "Total Time": 61_500,
        "Play Count": 3,
        "Play Date UTC": datetime(2024, 5, 6, 7, 8, 9),  # noqa: DTZ001 plistlib writes no other
        "Rating": 80,
        "Bit Rate": 256,
        "Kind": "Apple Lossless audio file",
        "Size": 5_000_000_000,
        "Disabled": True,
        "Location": "file:///Music/%C3%84/a%20b%3F.m4a",
    }
    (row,), library = read(written(tmp_path / "L.xml", {"1": track(1, **facts)}))
    assert library.problems == {}
    assert row | {"date_added": None} == {
        "track_id": "0000000000000001",
        "song": "Song 1",
        "artist": "A & <B>",
        "album": "D",
        "album_artist": "C",
        "genre": "Jazz",
        "year": 1999,
        "disc_number": 2,
        "track_number": 7,
        "duration_seconds": 61.5,
        "play_count": 3,
        "last_played": datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC),
        "date_added": None,
        "rating": 80,
        "location": "/Music/Ä/a b?.m4a",
        "bitrate_kbps": 256,
        "format": "alac",
        "size_bytes": 5_000_000_000,
    }


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("file:///Volumes/Disk/a%20b.mp3", "/Volumes/Disk/a b.mp3"),
        ("file://localhost/Volumes/Disk/a%23b.mp3", "/Volumes/Disk/a#b.mp3"),
        ("file://localhost/C:/Music/a.mp3", "C:/Music/a.mp3"),
        ("file:///C:/Music/What?.mp3", "C:/Music/What?.mp3"),
        ("file://nas/share/a.mp3", "//nas/share/a.mp3"),
        ("http://radio.example/stream", "http://radio.example/stream"),
        ("file:///a%FF.mp3", None),
        ("nonsense", None),
    ],
)
def test_locations_become_paths(location: str, path: str | None) -> None:
    assert path_of(location) == path


def test_only_music_is_read(tmp_path: Path) -> None:
    others: list[dict[str, Any]] = [
        {"Podcast": True},
        {"Movie": True},
        {"TV Show": True},
        {"Has Video": True, "Music Video": True},
        {"Genre": "Voice Memo"},
        {"Kind": "PDF document"},
        {"Kind": "MPEG audio stream", "Track Type": "URL"},
    ]
    tracks = {str(number): track(number, **facts) for number, facts in enumerate(others, 1)}
    tracks["99"] = track(99, Name="Voice Memo Blues", Podcast=False)
    rows, library = read(written(tmp_path / "L.xml", tracks))
    assert [row["song"] for row in rows] == ["Voice Memo Blues"]
    assert library.problems["not_music"].count == len(others)


def test_playlists_are_passed_over_wherever_they_stand(tmp_path: Path) -> None:
    hidden = {"Tracks": {"7": track(7)}, "Playlist Items": [{"Track ID": 1}], "Tracks of it": [[{"Tracks": track(8)}]]}
    path = written(
        tmp_path / "L.xml",
        {"1": track(1, Nested={"Name": "not this", "More": ["x"]}, Album="kept")},
        Playlists=[hidden, hidden],
        Zuletzt={"Tracks": {"9": track(9)}},
    )
    rows, _ = read(path)
    assert [(row["song"], row["album"]) for row in rows] == [("Song 1", "kept")]


def test_bad_tracks_are_counted(tmp_path: Path) -> None:
    facts: dict[str, dict[str, Any]] = {
        "1": {"Track ID": 1, "Location": "file:///a.mp3"},
        "2": {"Track ID": 2, "Name": "No id, no file"},
        "3": track(3),
        "4": track(3, Name="Again"),
        "5": track(5, Rating=500, Year=0, **{"Total Time": -5, "Play Count": "many", "Rating Computed": False}),
        "6": track(6, Rating=60, **{"Rating Computed": True}),
        "7": track(7, Name="x" * 5000, Artist=" \t ", Location="file:///%FF"),
        "8": {},
    }
    rows, library = read(written(tmp_path / "L.xml", facts))
    assert [row["track_id"] for row in rows] == ["/a.mp3", *(f"{number:016X}" for number in (3, 5, 6, 7))]
    assert rows[3]["rating"] is None, "it was guessed from the album's"
    assert (len(rows[4]["song"]), rows[4]["artist"]) == (2000, None)
    counts = {kind: problem.count for kind, problem in library.problems.items()}
    assert counts == {"no_id": 2, "duplicate_id": 1, "bad_value": 4, "cut_text": 1}
    assert "line" in library.problems["duplicate_id"].examples[0]


@pytest.mark.parametrize(
    "declared",
    [
        '<!DOCTYPE plist [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>\n',
        '<!DOCTYPE plist [<!ENTITY a SYSTEM "file:///etc/passwd">]>\n',
        '<!DOCTYPE plist [<!ENTITY % a SYSTEM "http://127.0.0.1:9/x.dtd"> %a;]>\n',
    ],
)
def test_entities_are_refused(tmp_path: Path, declared: str) -> None:
    path = tmp_path / "L.xml"
    path.write_text(document("<key>1</key><dict><key>Name</key><string>&a;</string></dict>", declared))
    with pytest.raises(BrokenLibrary, match="line 2: declares an entity"):
        read(path)


@pytest.mark.parametrize("part", [0.3, 0.9])
def test_a_truncated_file_says_so(tmp_path: Path, part: float) -> None:
    path = tmp_path / "L.xml"
    write_sample(path, 3_000)
    data = path.read_bytes()
    cut = data[: int(len(data) * part)]
    path.write_bytes(cut)
    with pytest.raises(BrokenLibrary, match=r"L\.xml, line \d+: .*cut short") as raised:
        read(path)
    line = int(str(raised.value).split("line ")[1].split(":")[0])
    assert line == pytest.approx(cut.count(b"\n"), abs=1.5)


def test_bytes_of_another_encoding_are_found(tmp_path: Path) -> None:
    path = tmp_path / "L.xml"
    one = "<key>1</key><dict>\n<key>Name</key><string>Über</string>\n</dict>"
    path.write_bytes(document(one).encode("latin-1"))
    with pytest.raises(BrokenLibrary, match="line 3"):
        read(path)
    path.write_bytes(document(one).replace("UTF-8", "nonsense-8").encode())
    with pytest.raises(BrokenLibrary, match="encoding"):
        read(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1", "windows-1252"])
def test_what_the_declaration_says_is_followed(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "Library"
    one = "<key>1</key><dict><key>Persistent ID</key><string>A</string><key>Name</key><string>Über</string></dict>"
    path.write_bytes(document(one).replace("UTF-8", encoding.removesuffix("-sig")).encode(encoding))
    assert [row["song"] for row in read(path)[0]] == ["Über"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<?xml version='1.0'?><html></html>", "property list"),
        ("<?xml version='1.0'?><plist><dict><key>Name</key><string>x</string></dict></plist>", "no tracks"),
        ("<plist>" + "<array>" * 100, "deeper"),
        (document("<key>1</key><dict><key>Name</key><string>" + "x" * 4_000_000), "longer"),
        ("<?xml version='1.0'?>", "line 1"),
    ],
)
def test_what_is_no_library_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "L.xml"
    path.write_text(text)
    with pytest.raises(BrokenLibrary, match=said):
        read(path)


def test_revision_is_of_the_content(tmp_path: Path) -> None:
    path = tmp_path / "L.xml"
    write_sample(path, 50)
    first = open_library(str(path), {}).subject
    path.touch()
    assert open_library(str(path), {}).subject == first
    write_sample(path, 50, seed=2)
    second = open_library(str(path), {}).subject
    assert (second.key, second.revision != first.revision) == (first.key, True)


def test_a_large_library_needs_little_memory(tmp_path: Path) -> None:
    small, large = tmp_path / "small.xml", tmp_path / "large.xml"
    write_sample(small, 10)
    write_sample(large, 5_000)
    with large.open("r+b") as file:
        data = file.read()
        start, end = data.index(b"\t\t<key>0</key>"), data.index(b"\t\t<key>5000</key>")
        # The same tracks again and again, under other ids: sixty megabytes in a moment.
        comment = b"<key>Comments</key><string>" + b"la " * 300 + b"</string><key>Persistent ID</key><string>%02d"
        block = data[start:end].replace(b"<key>Persistent ID</key><string>", comment)
        file.seek(start)
        times = 60_000_000 // len(block) + 1
        for number in range(times):
            file.write(block.replace(b"%02d", b"%02d" % number))
        file.write(data[end:])
    assert large.stat().st_size > 60_000_000
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(large), str(small)], check=True, capture_output=True, text=True
    )
    rows, megabytes = map(int, done.stdout.split())
    assert rows == times * 5_000
    assert megabytes < _ROOMY_MEGABYTES


def test_the_sample_is_the_same_every_time_and_full_of_duplicates(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.xml", "b.xml", "c.xml")]
    for path, seed in zip(paths, (1, 1, 2), strict=True):
        write_sample(path, seed=seed)
    first, second, third = (path.read_bytes() for path in paths)
    assert first == second != third
    table = pl.concat(open_library(str(paths[0]), {}).batches())
    assert len(table) == 2_000
    songs = table["song"].to_list()
    for mark in ("Remaster", "(Live)", "(feat. "):
        assert sum(mark in song for song in songs) > 10, mark
    assert table.select("song", "artist", "album", "duration_seconds").is_duplicated().sum() > 20
    assert max(Counter(table["artist"]).values()) < 200
