import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast.analyzers.duplicates.readers import PARAMETERS, open_library
from holdfast.analyzers.duplicates.sample import write_sample
from holdfast.domain.errors import InvalidInput, InvalidParams, InvalidTarget, TargetNotFound


def test_content_tells_before_the_name_does(tmp_path: Path) -> None:
    write_sample(tmp_path / "Library.txt", 3)
    (tmp_path / "export").write_text("Title\nx\n")
    (tmp_path / "songs.csv").write_text("Title\nx\n", encoding="utf-16")
    names = [path.name for path in tmp_path.iterdir()]
    kinds = {name: open_library(str(tmp_path / name), {}).kind for name in names}
    assert kinds == {"Library.txt": "itunes", "export": "csv", "songs.csv": "csv"}
    assert open_library(str(tmp_path), {}).kind == "folder"


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("Library.plist", b"bplist00...", "plutil"),
        ("iTunes Library.itl", b"hdfm....", "Export Library"),
        ("table.xlsx", b"PK\x03\x04....", "save the table as CSV"),
        ("song.mp3", b"ID3\x03", "give the folder"),
        ("noise", b"\x01\x00\x02\x00\x00", "no library that can be read"),
        ("empty.csv", b"", "it has none"),
        ("binary.csv", bytes(range(256)) * 40, "no table|no column"),
    ],
)
def test_what_is_no_library_says_what_to_do(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InvalidTarget, match=said):
        open_library(str(tmp_path / name), {})


def test_places_where_nothing_can_be_read(tmp_path: Path) -> None:
    for target in ("", str(tmp_path / "nothing"), "\0", "a" * 5_000):
        with pytest.raises(TargetNotFound):
            open_library(target, {})
    with pytest.raises(InvalidTarget, match="UTF-8"):
        open_library("/b\udce4d", {})
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidTarget, match="neither a file nor a folder"):
        open_library(str(tmp_path / "pipe"), {})
    sqlite3.connect(tmp_path / "a.db").execute("CREATE TABLE a (b)").connection.close()
    with pytest.raises(InvalidTarget, match="give sqlite:///"):
        open_library(str(tmp_path / "a.db"), {})
    (tmp_path / "Music Library.musiclibrary").mkdir()
    with pytest.raises(InvalidTarget, match="Export Library"):
        open_library(str(tmp_path / "Music Library.musiclibrary"), {})


@pytest.mark.parametrize(
    "params",
    [
        {"reader": "winamp"},
        {"reader": 3},
        {"reader": "folder"},
        {"query": "SELECT 1"},
        {"encoding": "base64"},
        {"encoding": "no-such"},
        {"delimiter": ";;"},
        {"delimiter": "\n"},
        {"columns": ["song"]},
        {"columns": {"song": 3}},
        {"columns": {"nonsense": "Title"}},
        {"rating_out_of": 7},
        {"rating_out_of": True},
        {"date_format": ""},
    ],
)
def test_wrong_parameters_are_refused(tmp_path: Path, params: dict[str, Any]) -> None:
    (tmp_path / "a.csv").write_text("Title\nx\n")
    with pytest.raises(InvalidInput) as raised:
        open_library(str(tmp_path / "a.csv"), params)
    assert next(iter(params)) in str(raised.value) or "folder" in str(raised.value)


def test_parameters_of_others_are_left_to_them(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Title\nx\n")
    assert open_library(str(tmp_path / "a.csv"), {"min_confidence": 0.9, "reader": None}).kind == "csv"
    assert "min_confidence" not in PARAMETERS
    with pytest.raises(InvalidParams, match="encoding is for csv, and this library is read as folder"):
        open_library(str(tmp_path), {"encoding": "utf-8"})


def test_importing_holdfast_brings_none_of_it() -> None:
    code = "import sys, holdfast; sys.exit(any(name in sys.modules for name in ('polars', 'tinytag')))"
    subprocess.run([sys.executable, "-c", code], check=True)
