import sqlite3
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from holdfast.analyzers.duplicates.library import SCHEMA
from holdfast.analyzers.duplicates.readers import BrokenLibrary, Library, open_library
from holdfast.domain.errors import HoldfastError, InvalidInput, InvalidParams, InvalidTarget, TargetNotFound

_QUERY = "SELECT id, title AS song, artist, seconds AS duration, added AS date_added FROM songs"
_SECRET = "correct-horse"


def execute(url: str, *statements: sa.Executable) -> list[Any]:
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"), poolclass=sa.NullPool)
    with engine.begin() as connection:
        results = [connection.execute(statement) for statement in statements]
        return list(results[-1]) if results[-1].returns_rows else []


@pytest.fixture
def music(empty_database: str) -> str:
    table = sa.Table(
        "songs",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("title", sa.String),
        sa.Column("artist", sa.String),
        sa.Column("seconds", sa.Numeric(10, 3)),
        sa.Column("added", sa.DateTime(timezone=True)),
        sa.Column("plays", sa.Integer),
    )
    added = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    rows = [
        {"id": number, "title": f"Überall {number}%", "artist": None, "seconds": 200 + number % 7, "added": added}
        for number in range(1, 6_789)
    ]
    execute(empty_database, sa.schema.CreateTable(table), table.insert().values(rows[:1]))
    engine = sa.create_engine(empty_database.replace("postgresql:", "postgresql+psycopg:"), poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(table.insert(), rows[1:])
    return empty_database


def read(library: Library) -> dict[str, dict[str, Any]]:
    tables = list(library.batches())
    assert all(table.schema == SCHEMA and len(table) <= 5_000 for table in tables)
    return {row["track_id"]: row for table in tables for row in table.iter_rows(named=True)}


def test_a_query_is_a_library(music: str) -> None:
    library = open_library(music, {"query": f"{_QUERY} WHERE title LIKE 'Ü%:%' OR title LIKE 'Ü%' ORDER BY id;"})
    rows = read(library)
    assert (library.kind, len(rows), library.problems) == ("sql", 6_788, {})
    assert {name: value for name, value in rows["8"].items() if value is not None} == {
        "track_id": "8",
        "song": "Überall 8%",
        "duration_seconds": 201.0,
        "date_added": datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC),
    }
    chosen = open_library(
        music, {"query": "SELECT * FROM songs WHERE id < 3", "columns": {"artist": "title", "song": "artist"}}
    )
    assert [row["artist"] for row in read(chosen).values()] == ["Überall 1%", "Überall 2%"]


def test_revision_follows_the_rows_not_their_order(music: str) -> None:
    library = open_library(music, {"query": f"{_QUERY} ORDER BY id"})
    subject = library.subject
    assert library.count == 6_788
    assert open_library(music, {"query": f"{_QUERY} ORDER BY id"}).subject == subject
    backwards = open_library(music, {"query": f"{_QUERY} ORDER BY id DESC"}).subject
    assert (backwards.revision, backwards.key == subject.key) == (subject.revision, False)
    execute(music, sa.text("UPDATE songs SET seconds = seconds + 0.1 WHERE id = 77"))
    changed = open_library(music, {"query": f"{_QUERY} ORDER BY id"}).subject
    assert (changed.key, changed.revision == subject.revision) == (subject.key, False)


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM songs",
        "DELETE FROM songs RETURNING id, title",
        "SELECT id, title FROM songs; DELETE FROM songs",
        "SELECT 1 AS id, 'x' AS title; COMMIT; DELETE FROM songs",
        "WITH gone AS (DELETE FROM songs RETURNING id, title) SELECT * FROM gone",
        "CREATE TABLE more AS SELECT id, title FROM songs",
        "SELECT id, title FROM nowhere",
        "no SQL at all",
    ],
)
def test_nothing_but_reading_is_done(music: str, query: str) -> None:
    with pytest.raises(InvalidInput):
        open_library(music, {"query": query})
    assert execute(music, sa.text("SELECT count(*) FROM songs"))[0][0] == 6_788


def test_a_function_that_writes_is_refused(music: str) -> None:
    if music.startswith("sqlite"):
        pytest.skip("SQLite has no functions that write")
    execute(
        music,
        sa.text(
            "CREATE FUNCTION forget() RETURNS text LANGUAGE plpgsql AS $$ BEGIN DELETE FROM songs; RETURN 'x'; END $$"
        ),
    )
    with pytest.raises(InvalidTarget, match="read-only transaction"):
        list(open_library(music, {"query": "SELECT 1 AS id, forget() AS title"}).batches())


def test_a_row_that_breaks_the_query_is_named(music: str) -> None:
    if music.startswith("sqlite"):
        pytest.skip("SQLite divides by zero without complaint")
    library = open_library(music, {"query": "SELECT id, title, 100 / (id - 6000) AS plays FROM songs ORDER BY id"})
    with pytest.raises(BrokenLibrary, match="after row 5000: division by zero"):
        list(library.batches())


def test_a_query_is_needed_and_must_name_a_song(music: str) -> None:
    with pytest.raises(InvalidParams, match="parameter query"):
        open_library(music, {})
    with pytest.raises(InvalidTarget, match="The query has no column that could be the song"):
        open_library(music, {"query": "SELECT id, plays FROM songs"})


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{_SECRET}@db.example/music",
        f"postgresql+psycopg://me:{_SECRET}/x@db.example/music",
        f"postgresql://me:{_SECRET}@ss@db.example/music",
        f"postgresql://me:1/{_SECRET}@db.example/music",
        f"postgresql://me@db.example/music?password={_SECRET}",
        f"mssql+pyodbc:///?odbc_connect=PWD%3D{_SECRET}",
        f"nonsense+{_SECRET}://me:{_SECRET}@x/y",
        f"sqlite:////nowhere.db?password={_SECRET}",
        f"mysql://me:{_SECRET}@db.example/music",
    ],
)
def test_a_password_in_the_target_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(HoldfastError) as raised:
        open_library(url, {"query": "SELECT 1"})
    shown = "".join(traceback.format_exception(raised.value, chain=True)) + repr(raised.value.details)
    said = shown.replace(f"nonsense+{_SECRET}", "")
    assert _SECRET not in "\n".join(line for line in said.splitlines() if "open_library(" not in line)


def test_a_url_with_a_password_comes_from_the_environment(
    music: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if music.startswith("sqlite"):
        pytest.skip("a file has no password")
    url = sa.make_url(music).set(password=_SECRET).render_as_string(hide_password=False)
    monkeypatch.setenv("HOLDFAST_LIBRARY_MUSIC", url)
    library = open_library("env:HOLDFAST_LIBRARY_MUSIC", {"query": _QUERY})
    assert library.location == "env:HOLDFAST_LIBRARY_MUSIC"
    assert len(read(open_library(library.location, {"query": _QUERY}))) == 6_788
    shown = f"{library.subject} {library.problems} {vars(library)} {library}"
    broken = sa.make_url(music).set(password=_SECRET, database="nowhere").render_as_string(hide_password=False)
    monkeypatch.setenv("HOLDFAST_LIBRARY_MUSIC", broken)
    with pytest.raises(InvalidTarget, match="nowhere") as raised:
        open_library("env:HOLDFAST_LIBRARY_MUSIC", {"query": _QUERY})
    shown += "".join(traceback.format_exception(raised.value)) + caplog.text
    assert _SECRET not in shown
    assert raised.value.__cause__ is None


def test_only_variables_that_were_meant_for_it_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_SECRET", "sqlite:////x.db")
    for target in ("env:HOLDFAST_SECRET", "env:PATH", "env:", "env:HOLDFAST_LIBRARY_a;b"):
        with pytest.raises(InvalidTarget, match="HOLDFAST_LIBRARY_"):
            open_library(target, {"query": "SELECT 1"})
    with pytest.raises(TargetNotFound, match="has no HOLDFAST_LIBRARY_NONE"):
        open_library("env:HOLDFAST_LIBRARY_NONE", {"query": "SELECT 1"})


def test_looking_makes_no_file_and_attaches_none(tmp_path: Path) -> None:
    with pytest.raises(TargetNotFound):
        open_library(f"sqlite:///{tmp_path}/nowhere.db", {"query": "SELECT 1"})
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("CREATE TABLE songs (title)")
    for query in ("ATTACH DATABASE 'more.db' AS more", "PRAGMA user_version = 7", "VACUUM INTO 'copy.db'"):
        with pytest.raises(InvalidTarget, match="authoriz"):
            open_library(f"sqlite:///{tmp_path}/a.db", {"query": query})
    assert [path.name for path in tmp_path.iterdir()] == ["a.db"]


def test_values_of_any_type_in_one_column(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("CREATE TABLE songs (id, title, seconds)")
        values = [(1, "a", 1.5), ("x", b"b\xff", "2:05"), (b"y", 3, b"7"), (2.0, None, "long"), (None, "n", 1)]
        connection.executemany("INSERT INTO songs VALUES (?, ?, ?)", values)
        connection.execute("INSERT INTO songs VALUES (9, CAST(x'41ff' AS TEXT), 1)")
    connection.close()
    library = open_library(f"sqlite:///{tmp_path}/a.db", {"query": "SELECT id, title, seconds AS duration FROM songs"})
    found = {key: (row["song"], row["duration_seconds"]) for key, row in read(library).items()}
    assert found == {
        "1": ("a", 1.5),
        "x": ("b\ufffd", 125.0),
        "y": ("3", 7.0),
        "2.0": (None, None),
        "9": ("A\ufffd", 1.0),
    }
    assert {kind: problem.count for kind, problem in library.problems.items()} == {"bad_value": 1, "no_id": 1}
    assert library.problems["no_id"].examples == ("row 5",)
