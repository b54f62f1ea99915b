"""Reads tables in text: CSV, TSV, and what spreadsheets and exporters make of them."""

import codecs
import csv
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import polars as pl

from holdfast.analyzers.duplicates.readers.columns import match_columns, recognised
from holdfast.analyzers.duplicates.readers.file import FileLibrary, chunks
from holdfast.analyzers.duplicates.readers.library import BATCH_ROWS, BrokenLibrary
from holdfast.analyzers.duplicates.readers.params import ReaderParams
from holdfast.analyzers.duplicates.readers.table import Conformer
from holdfast.domain.errors import InvalidTarget

if TYPE_CHECKING:
    from _csv import Reader as _Reader

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE = 4_096
_HEADER_LENGTH = 65_536
_DELIMITERS = ",;\t|"
# Bytes that are nothing in cp1252, and control characters in Latin-1.
_NOT_CP1252 = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")


class CsvLibrary(FileLibrary):
    """A table in text whose first row names the columns."""

    kind = "csv"

    def __init__(self, path: Path, params: ReaderParams) -> None:
        super().__init__(path)
        self._params = params
        self._encoding = params.encoding or detect_encoding(path)
        self._delimiter, self._skipped_lines = self._find_delimiter()
        with self._open() as lines:
            self._headers = [name.strip() for name in next(csv.reader(lines, delimiter=self._delimiter), [])]
        found = match_columns(self._headers, params.columns, source=path.name)
        self._places = {name: self._headers.index(header) for name, header in found.items()}

    @property
    def count(self) -> int | None:
        return None

    def batches(self) -> Iterator[pl.DataFrame]:
        self._problems.clear()
        conformer = Conformer(self._params, self._problems)
        with self._open() as lines:
            reader = csv.reader(lines, delimiter=self._delimiter)
            try:
                next(reader, None)
                while rows := list(islice(self._rows(reader), BATCH_ROWS)):
                    yield self._batch(rows, conformer)
            except csv.Error as error:
                raise BrokenLibrary(
                    f"{self._path.name}, line {self._skipped_lines + reader.line_num}: {error}; "
                    "perhaps a quote before it is never closed"
                ) from error
            except UnicodeDecodeError as error:
                after = self._skipped_lines + reader.line_num
                raise self._wrong_encoding(f"after line {after}", error.reason) from error

    def _rows(self, reader: "_Reader") -> Iterator[tuple[int, list[str]]]:
        width = len(self._headers)
        for row in reader:
            if not any(row):
                continue
            line = self._skipped_lines + reader.line_num
            if len(row) < width or any(row[width:]):
                self._problems.add("bad_row", f"line {line}: {len(row)} values for {width} columns")
                continue
            yield line, row

    def _batch(self, rows: list[tuple[int, list[str]]], conformer: Conformer) -> pl.DataFrame:
        try:
            raw = pl.DataFrame(
                {name: [row[place] for _, row in rows] for name, place in self._places.items()},
                schema=dict.fromkeys(self._places, pl.String),
            )
        except UnicodeEncodeError as error:
            # Bytes that are none of the encoding were let through so that their line can be named.
            line = next(line for line, row in rows if any(_holds_surrogates(value) for value in row))
            raise self._wrong_encoding(f"line {line}", "bytes that are no text") from error
        return conformer.conform(raw, lambda place: f"line {rows[place][0]}")

    def _wrong_encoding(self, where: str, reason: str) -> BrokenLibrary:
        return BrokenLibrary(
            f"{self._path.name}, {where}: not {self._encoding} ({reason}); say which it is by the parameter encoding"
        )

    def _find_delimiter(self) -> tuple[str, int]:
        """The delimiter, and how many lines go before the header."""
        with self._open(skip=0) as lines:
            try:
                first = lines.readline(_HEADER_LENGTH)
                told = re.fullmatch(r"sep=(.)\s*", first)
                skip = 1 if told else 0
                header = lines.readline(_HEADER_LENGTH) if told else first
                # A header is text, and a name in quotes may go on in the next line.
                header += lines.readline(_HEADER_LENGTH) if header.count('"') % 2 else ""
            except UnicodeDecodeError as error:
                raise self._wrong_encoding("line 1", error.reason) from error
        if "\0" in header or _holds_surrogates(header):
            raise InvalidTarget(
                f"{self._path.name} is no table in {self._encoding}; give a CSV file, or its encoding by the parameter"
            )
        if self._params.delimiter or told:
            return self._params.delimiter or str(told and told[1]), skip
        return max(_DELIMITERS, key=lambda mark: self._fit(header, mark)), skip

    @staticmethod
    def _fit(header: str, delimiter: str) -> tuple[int, int]:
        names = next(csv.reader([header], delimiter=delimiter), [])
        return recognised(names), len(names)

    def _open(self, skip: int | None = None) -> TextIO:
        try:
            file = self._path.open(encoding=self._encoding, errors="surrogateescape", newline="")
            for _ in range(self._skipped_lines if skip is None else skip):
                file.readline()
        except OSError as error:
            raise BrokenLibrary(f"{self._path} cannot be read: {error.strerror or error}") from error
        return file


def detect_encoding(path: Path) -> str:
    """Tell a text file's encoding by its bytes.

    A byte order mark or the zeros of UTF-16 decide; else UTF-8 if that is what the file is, or is but for a few
    bytes; else cp1252, or Latin-1 where cp1252 has no character.

    Returns:
        The encoding's name in Python.
    """
    good = bad = 0
    undefined = False
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    first = True
    for chunk in chunks(path):
        if first and (name := _by_first_bytes(chunk[:_SAMPLE])):
            return name
        first = False
        undefined = undefined or _NOT_CP1252.search(chunk) is not None
        text = decoder.decode(chunk)
        if not text.isascii():
            replaced = text.count("\ufffd")
            good += len(text) - len(text.encode("ascii", "ignore")) - replaced
            bad += max(0, replaced - chunk.count(b"\xef\xbf\xbd"))
    if decoder.decode(b"", final=True):
        bad += 1
    if good >= bad:
        return "utf-8"
    return "latin-1" if undefined else "cp1252"


def _by_first_bytes(sample: bytes) -> str | None:
    for mark, name in _MARKS:
        if sample.startswith(mark):
            return name
    half = len(sample) / 2
    if sample[1::2].count(0) > 0.4 * half:
        return "utf-16-le"
    if sample[::2].count(0) > 0.4 * half:
        return "utf-16-be"
    return None


def _holds_surrogates(value: str) -> bool:
    return re.search("[\ud800-\udfff]", value) is not None
