"""Reads libraries: CSV and Parquet files whose columns are named as in SCHEMA."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from holdfast.analyzers.duplicates.library import SCHEMA
from holdfast.domain.errors import InvalidTarget, TargetNotFound
from holdfast.domain.subjects import Subject

PARAMETERS: tuple[str, ...] = ()
_BATCH = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """A library that can be read.

    Attributes:
        subject: which one, in which state.
        count: how many tracks it has, where that is known beforehand.
        location: what opens it again.
        problems: what was wrong with its rows, by kind.
    """

    subject: Subject
    count: int | None
    location: str
    problems: Mapping[str, Any] = field(default_factory=dict)

    def batches(self) -> Iterator[pl.DataFrame]:
        """The tracks in SCHEMA, some at a time."""
        path = Path(self.location)
        frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, schema_overrides=SCHEMA)
        missing = [pl.lit(None, dtype=kind).alias(name) for name, kind in SCHEMA.items() if name not in frame.columns]
        whole = frame.with_columns(missing).select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())
        yield from whole.iter_slices(_BATCH)


def open_library(target: str, params: Mapping[str, Any]) -> Library:  # noqa: ARG001 - these two need none
    """The library at ``target``.

    Raises:
        TargetNotFound: there is no such file.
        InvalidTarget: it is no CSV or Parquet file.
    """
    path = Path(target).resolve()
    if not path.is_file():
        raise TargetNotFound(f"There is no library at {target!r}")
    if path.suffix not in {".csv", ".parquet"}:
        raise InvalidTarget(f"{target!r} is neither a .csv nor a .parquet file")
    with path.open("rb") as file:
        revision = hashlib.file_digest(file, "sha256").hexdigest()
    subject = Subject(kind="library", key=str(path), revision=revision, title=path.stem)
    return Library(subject=subject, count=None, location=str(path))
