import csv
import io
import string
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.analyzers.duplicates.library import SCHEMA
from holdfast.analyzers.duplicates.readers import BrokenLibrary, Library, open_library
from holdfast.domain.errors import InvalidParams, InvalidTarget

# In Latin-1 no two of these in a row could be UTF-8, so that the bytes tell which it is.
_WESTERN = string.ascii_letters + string.digits + " ,;|'\"&()-éèüöäåñçø"
_ANY = st.characters(exclude_categories=["Cs", "Cc"])


def read(path: Path, **params: Any) -> tuple[list[dict[str, Any]], Library]:
    library = open_library(str(path), params)
    tables = list(library.batches())
    assert all(table.schema == SCHEMA for table in tables)
    return [row for table in tables for row in table.iter_rows(named=True)], library


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, str, list[tuple[str, str]]]:
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "latin-1"]))
    western = encoding in {"cp1252", "latin-1"}
    words = st.text(st.sampled_from(_WESTERN) if western else _ANY, max_size=20)
    rows = draw(st.lists(st.tuples(words, words), max_size=8))
    return encoding, draw(st.sampled_from([",", ";", "\t", "|"])), rows


@given(tables())
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, table: tuple[str, str, list[tuple[str, str]]]
) -> None:
    encoding, delimiter, rows = table
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(["Id", "Track Name", "Artist(s)"])
    writer.writerows([number, *row] for number, row in enumerate(rows))
    path = tmp_path_factory.mktemp("csv") / "library.csv"
    path.write_bytes(text.getvalue().encode(encoding))
    found, library = read(path)
    expected = [
        (str(number), song.strip() or None, artist.strip() or None) for number, (song, artist) in enumerate(rows)
    ]
    assert [(row["track_id"], row["song"], row["artist"]) for row in found] == expected
    assert library.problems == {}


@pytest.mark.parametrize(
    ("header", "column", "said", "value"),
    [
        ("Titel", "song", "x", "x"),
        ("ALBUM_ARTIST", "album_artist", "x", "x"),
        ("Künstler", "artist", "x", "x"),
        ("Duration (ms)", "duration_seconds", "61500", 61.5),
        ("Total Time", "duration_seconds", "61500", 61.5),
        ("Length", "duration_seconds", "1:02:03", 3723.0),
        ("Time", "duration_seconds", "3:05", 185.0),
        ("Duration", "duration_seconds", "185.25", 185.25),
        ("Duration", "duration_seconds", "0:00", None),
        ("Track #", "track_number", "3/12", 3),
        ("Track", "track_number", "4", 4),
        ("Track No.", "track_number", "3/12", 3),
        ("Disc", "disc_number", "2.0", 2),
        ("Release Date", "year", "1999-05-06", 1999),
        ("Bit Rate", "bitrate_kbps", "320 kbps", 320),
        ("Plays", "play_count", "12", 12),
        ("Date Added", "date_added", "2024-05-06", datetime(2024, 5, 6, tzinfo=UTC)),
        ("added_at", "date_added", "2024-05-06T07:08:09+02:00", datetime(2024, 5, 6, 5, 8, 9, tzinfo=UTC)),
        ("Last Played", "last_played", "2024-05-06 07:08", datetime(2024, 5, 6, 7, 8, tzinfo=UTC)),
        ("Last Played", "last_played", "1714979289", datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)),
        ("Last Played", "last_played", "1714979289000", datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)),
        ("File Path", "location", " /a b.mp3", " /a b.mp3"),
    ],
)
def test_headers_and_values_in_several_spellings(
    tmp_path: Path, header: str, column: str, said: str, value: object
) -> None:
    (row,), library = read(written(tmp_path / "a.csv", f"Id,Song,{header}\n1,x,{said}\n"))
    assert row[column] == value
    assert library.problems == {}


def test_columns_can_be_chosen(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tsv", "A\tB\tTitle\tDauer\n1\tSong\tSir\t2500\n")
    (row,), _ = read(path, columns={"track_id": "A", "song": "B", "duration_ms": "Dauer"})
    assert (row["track_id"], row["song"], row["duration_seconds"]) == ("1", "Song", 2.5)
    with pytest.raises(InvalidParams, match="has no column 'C' for song; it has 'A', 'B', 'Title', 'Dauer'"):
        read(path, columns={"song": "C"})
    with pytest.raises(InvalidParams, match="a library has no 'title'"):
        read(path, columns={"title": "Title"})
    with pytest.raises(InvalidTarget, match=r"columns=\{'song'"):
        read(written(tmp_path / "b.csv", "a,b\n1,2\n"))


def test_spreadsheets_tell_their_delimiter(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", 'sep=;\r\nTitle;Artist\r\n"a;b";c\r\n\r\nd\r\n', "utf-8-sig")
    rows, library = read(path)
    assert [(row["song"], row["artist"]) for row in rows] == [("a;b", "c")]
    assert library.problems["bad_row"].examples == ("line 5: 1 values for 2 columns",)


def test_ratings_and_dates_by_parameter(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "Title,Rating,Date Added\na,4,31.12.2023\nb,6,2023-12-31\n")
    rows, library = read(path, rating_out_of=5, date_format="%d.%m.%Y")
    day = datetime(2023, 12, 31, tzinfo=UTC)
    assert [(row["rating"], row["date_added"]) for row in rows] == [(80, day), (None, day)]
    assert library.problems["bad_value"].examples == ("line 3: rating '6'",)


def test_rows_without_an_id_are_known_by_their_words(tmp_path: Path) -> None:
    lines = ["Blue,Ann,1", "Red,Bob,2", "Red,Bob,3", ",,4"]
    rows, library = read(written(tmp_path / "a.csv", "\n".join(["Title,Artist,Plays", *lines])))
    ids = [row["track_id"] for row in rows]
    assert len(set(ids)) == 3
    assert ids[2] == f"{ids[1]}-2"
    assert library.problems["no_id"].count == 1
    again, _ = read(
        written(tmp_path / "a.csv", "\n".join(["Title,Artist,Plays", "Green,Cy,9", "Red,Bob,7", *lines[:1]]))
    )
    assert [row["track_id"] for row in again][1:] == [ids[1], ids[0]], "other rows and plays change nothing"


def test_bad_rows_are_skipped_and_bad_values_left_out(tmp_path: Path) -> None:
    text = "Id,Title,Year,Plays,Size\n1,a,19999,x,-1\n,b,,,\n1,c,,,\n2,d,0,1.0,7\n3,e\n4,f,,,,,\n"
    rows, library = read(written(tmp_path / "a.csv", text))
    assert [(row["track_id"], row["year"], row["play_count"]) for row in rows] == [
        ("1", None, None),
        ("2", None, 1),
        ("4", None, None),
    ]
    counts = {kind: problem.count for kind, problem in library.problems.items()}
    assert counts == {"bad_value": 3, "no_id": 1, "duplicate_id": 1, "bad_row": 1}
    assert library.problems["duplicate_id"].examples == ("line 4: '1'",)


def test_bytes_of_no_encoding_name_their_line(tmp_path: Path) -> None:
    lines = [f"{number},Überführung {number}" for number in range(12_000)]
    data = "\n".join(["Id,Title", *lines]).encode()
    path = tmp_path / "a.csv"
    path.write_bytes(data.replace("Überführung 8765".encode(), b"\xdcberf\xfchrung 8765"))
    with pytest.raises(BrokenLibrary, match=r"line 8767: not utf-8 .* parameter encoding"):
        read(path)
    path.write_bytes(b"Id,Title\n1,\xdcber\n")
    assert read(path)[0][0]["song"] == "Über"
    assert read(path, encoding="cp1250")[0][0]["song"] == "Über"
    with pytest.raises(BrokenLibrary, match="line 2: not utf-8"):
        read(path, encoding="utf-8")


def test_a_quote_that_is_never_closed_names_its_end(tmp_path: Path) -> None:
    rows = "\n".join(f"{number},Song" for number in range(50_000))
    with pytest.raises(BrokenLibrary, match=r"line \d+: .*never closed"):
        read(written(tmp_path / "a.csv", f'Id,Title\n1,"Song\n{rows}'))


def test_the_same_bytes_are_the_same_revision(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "Id,Title\n1,a\n")
    subject = open_library(str(path), {}).subject
    assert (subject.kind, subject.key, len(subject.revision)) == ("library", str(path), 64)
    assert open_library(str(path), {}).count is None
    written(path, "Id,Title\n1,b\n")
    assert open_library(str(path), {}).subject.revision != subject.revision


def test_parquet_of_any_types(tmp_path: Path) -> None:
    path = tmp_path / "weird [name]*.parquet"
    pl.DataFrame(
        {
            "id": [1.0, 2.0, None, 2.0],
            "title": pl.Series(["a", "b", "c", "d"], dtype=pl.Categorical),
            "artist": [["x"], ["y"], ["z"], []],
            "duration": [timedelta(minutes=2, milliseconds=500), timedelta(0), None, None],
            "date_added": [datetime(2024, 1, 2, 3, 4, 5), None, None, None],  # noqa: DTZ001 a column may have no zone
            "last_played": [date(2024, 1, 2), None, None, None],
            "year": pl.Series([1999, -5, None, None], dtype=pl.Int16),
            "rating": pl.Series([4.5, float("nan"), None, None]),
        }
    ).write_parquet(path)
    rows, library = read(path, rating_out_of=5)
    assert (library.kind, library.count) == ("parquet", 4)
    first, second = rows
    assert {name: value for name, value in first.items() if value is not None} == {
        "track_id": "1",
        "song": "a",
        "duration_seconds": 120.5,
        "date_added": datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC),
        "last_played": datetime(2024, 1, 2, tzinfo=UTC),
        "year": 1999,
        "rating": 90,
    }
    assert second["track_id"] == "2"
    counts = {kind: problem.count for kind, problem in library.problems.items()}
    assert counts == {"bad_value": 1, "no_id": 1, "duplicate_id": 1}, "no number at all is nothing bad"


def test_parquet_comes_in_batches_and_says_where_it_breaks(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"id": range(12_345), "title": ["x"] * 12_345}).write_parquet(path, row_group_size=1_000)
    library = open_library(str(path), {})
    sizes = [len(batch) for batch in library.batches()]
    assert sum(sizes) == library.count == 12_345
    assert max(sizes) <= 5_000
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InvalidTarget, match=r"a\.parquet cannot be read as Parquet"):
        open_library(str(path), {})
    path.write_bytes(data[:2_000] + bytes(len(data) // 2) + data[2_000 + len(data) // 2 :])
    with pytest.raises(InvalidTarget):
        list(open_library(str(path), {}).batches())
