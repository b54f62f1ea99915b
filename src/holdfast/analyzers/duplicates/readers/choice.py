"""Finds out what sort of library a target is, and opens it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from holdfast.analyzers.duplicates.readers.csv_file import CsvLibrary
from holdfast.analyzers.duplicates.readers.file import find
from holdfast.analyzers.duplicates.readers.folder import SUFFIXES, FolderLibrary
from holdfast.analyzers.duplicates.readers.itunes import ItunesLibrary
from holdfast.analyzers.duplicates.readers.library import BrokenLibrary, Library
from holdfast.analyzers.duplicates.readers.params import ReaderParams, read_params
from holdfast.analyzers.duplicates.readers.parquet import ParquetLibrary
from holdfast.analyzers.duplicates.readers.sql import SqlLibrary
from holdfast.domain.errors import InvalidTarget

_FILES: dict[str, Callable[[Path, ReaderParams], Library]] = {
    "itunes": ItunesLibrary,
    "csv": CsvLibrary,
    "parquet": ParquetLibrary,
}
_SAMPLE = 1_024
# What looks like a library and is none that can be read, and what to give instead.
_OTHERS = (
    (b"SQLite format 3\0", "is an SQLite database: give sqlite:////path/to/file.db, and the parameter query"),
    (b"bplist00", "is a binary property list: turn it into XML with `plutil -convert xml1`"),
    (b"hdfm", "is the private database of iTunes: in the program choose File > Library > Export Library"),
    (b"hfma", "is the private database of Music: in the program choose File > Library > Export Library"),
    (b"PK\x03\x04", "is a zip archive or a spreadsheet: save the table as CSV"),
)


def open_library(target: str, params: Mapping[str, Any]) -> Library:
    """Open a music library.

    Args:
        target: a file (an exported Library.xml, CSV, TSV, Parquet), a folder of audio files, the URL of a database
            without a password, or ``env:HOLDFAST_LIBRARY_...``, a variable that holds such a URL with one.
        params: those named in PARAMETERS say how to read it; others are left to others.

    Raises:
        InvalidTarget: there is no library that can be read (its subclasses say why).
        InvalidParams: a parameter has a wrong value, or does not fit the target.
    """
    wanted = read_params(params)
    if wanted.reader == "sql" or (wanted.reader is None and ("://" in target or target.startswith("env:"))):
        wanted.check_serves("sql")
        return SqlLibrary(target, wanted)
    path = find(target)
    kind = wanted.reader or _kind_of(path)
    wanted.check_serves(kind)
    if path.is_dir() != (kind == "folder"):
        raise InvalidTarget(f"{path} is {'a folder' if path.is_dir() else 'a file'}, and cannot be read as {kind}")
    return FolderLibrary(path) if kind == "folder" else _FILES[kind](path, wanted)


def _kind_of(path: Path) -> str:
    if path.is_dir():
        if path.suffix == ".musiclibrary":
            raise InvalidTarget(f"{path.name} {_OTHERS[3][1]}")
        return "folder"
    if not path.is_file():
        raise InvalidTarget(f"{path} is neither a file nor a folder")
    sample = _first_bytes(path)
    for mark, hint in _OTHERS:
        if sample.startswith(mark):
            raise InvalidTarget(f"{path.name} {hint}")
    if sample.startswith(b"PAR1"):
        return "parquet"
    # UTF-16 puts a zero beside each letter.
    plain = sample.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
    if plain.startswith((b"<?xml", b"<!DOCTYPE", b"<plist")) or path.suffix.lower() == ".xml":
        return "itunes"
    if path.suffix.lower() in SUFFIXES:
        raise InvalidTarget(f"{path.name} is one audio file: give the folder that it is in")
    if path.suffix.lower() in {".csv", ".tsv", ".tab", ".txt"} or sample.count(0) == 0:
        return "csv"
    raise InvalidTarget(
        f"{path.name} is no library that can be read: give an exported Library.xml, CSV, Parquet, a folder of audio "
        "files, or a database's URL; if it is one of these, say which by the parameter reader"
    )


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_SAMPLE)
    except OSError as error:
        raise BrokenLibrary(f"{path} cannot be read: {error.strerror or error}") from error
