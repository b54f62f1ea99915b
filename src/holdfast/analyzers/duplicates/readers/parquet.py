"""Reads Parquet files."""

import functools
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from holdfast.analyzers.duplicates.readers.columns import match_columns
from holdfast.analyzers.duplicates.readers.file import FileLibrary
from holdfast.analyzers.duplicates.readers.library import BATCH_ROWS, BrokenLibrary
from holdfast.analyzers.duplicates.readers.params import ReaderParams
from holdfast.analyzers.duplicates.readers.table import Conformer, row_name
from holdfast.domain.errors import InvalidTarget


class ParquetLibrary(FileLibrary):
    """A table in Apache Parquet."""

    kind = "parquet"

    def __init__(self, path: Path, params: ReaderParams) -> None:
        super().__init__(path)
        self._params = params
        try:
            self._schema = self._scan().collect_schema()
            self._count = int(self._scan().select(pl.len()).collect().item())
        except (pl.exceptions.PolarsError, OSError) as error:
            raise InvalidTarget(f"{path.name} cannot be read as Parquet: {error}") from error
        self._found = match_columns(self._schema.names(), params.columns, source=path.name)

    @property
    def count(self) -> int | None:
        return self._count

    def batches(self) -> Iterator[pl.DataFrame]:
        self._problems.clear()
        conformer = Conformer(self._params, self._problems)
        wanted = [_as_text(header, self._schema[header]).alias(name) for name, header in self._found.items()]
        passed = 0
        try:
            for batch in self._scan().select(wanted).collect_batches(chunk_size=BATCH_ROWS, maintain_order=True):
                for part in batch.iter_slices(BATCH_ROWS):
                    yield conformer.conform(part, functools.partial(row_name, passed))
                    passed += len(part)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise BrokenLibrary(f"{self._path.name}, after row {passed}: {error}") from error

    def _scan(self) -> pl.LazyFrame:
        return pl.scan_parquet(self._path, glob=False)


def _as_text(header: str, dtype: pl.DataType) -> pl.Expr:
    value = pl.col(header)
    if isinstance(dtype, pl.Duration):
        value = value.dt.total_microseconds() / 1_000_000
    elif isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        value = value.dt.convert_time_zone("UTC")
    elif dtype.is_nested() or dtype in (pl.Binary, pl.Boolean, pl.Object):
        return pl.lit(None, pl.String)
    elif dtype.is_float():
        # Where a value is missing, other programs make floats of whole numbers: an id of 7.0 is 7.
        whole = value == value.round()
        return pl.when(whole).then(value.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(value.cast(pl.String))
    return value.cast(pl.String)
