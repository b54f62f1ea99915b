"""The processors that keep the contract, and one that is as simple as can be and misbehaves on request."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from holdfast.domain.errors import ProcessorUnavailable
from holdfast.domain.processing import Document, Health
from holdfast.processors.contract import Surroundings, Write


class Tally:
    """Counts how often it was given each document, and can be away, fail or hang."""

    name = "tally"
    version = "1"
    # Set by tests: what to do about documents before they are indexed.
    trouble: Callable[[Sequence[Document]], None] = staticmethod(lambda documents: None)

    def __init__(self, surroundings: Surroundings) -> None:
        self.closed = False

    def create(self, connection: sa.Connection, generation: int) -> None:
        connection.exec_driver_sql(
            f"CREATE TABLE IF NOT EXISTS tally_{generation} (analysis bigint PRIMARY KEY, digest text, number int)"
        )

    def discard(self, connection: sa.Connection, generation: int) -> None:
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS tally_{generation}")

    def accepts(self, document: Document) -> bool:
        return "unwanted" not in document.analysis.tags

    def process(self, documents: Sequence[Document], generations: Sequence[int]) -> Write:
        type(self).trouble(documents)
        rows = [{"k": document.key, "d": document.digest} for document in documents]

        def write(connection: sa.Connection, generation: int) -> None:
            upsert = (
                f"INSERT INTO tally_{generation} (analysis, digest, number) VALUES (:k, :d, 1) ON CONFLICT (analysis) "
                f"DO UPDATE SET digest = excluded.digest, number = tally_{generation}.number + 1"
            )
            connection.execute(sa.text(upsert), rows)

        return write

    def remove(self, keys: Sequence[int], generations: Sequence[int]) -> Write:
        def write(connection: sa.Connection, generation: int) -> None:
            gone = sa.text(f"DELETE FROM tally_{generation} WHERE analysis = :k")
            connection.execute(gone, [{"k": key} for key in keys])

        return write

    def health(self, generation: int) -> Health:
        return Health(is_ready=True)

    def close(self) -> None:
        self.closed = True


def away(documents: Sequence[Document]) -> None:
    raise ProcessorUnavailable("Nobody answers at port 6333")


def poisoned(documents: Sequence[Document]) -> None:
    if any("poison" in document.analysis.tags for document in documents):
        raise ValueError("This one is poisoned")


def hanging(release: threading.Event) -> Callable[[Sequence[Document]], None]:
    def hang(documents: Sequence[Document]) -> None:
        release.wait(60)

    return hang


@dataclass(frozen=True)
class Case:
    """A processor and how to look into its index."""

    name: str
    classes: tuple[type[Any], ...]
    table: str
    has_generations: bool = True

    def held(self, connection: sa.Connection, generation: int) -> set[int]:
        table = f"{self.table}_{generation}" if self.has_generations else self.table
        return set(connection.exec_driver_sql(f"SELECT analysis FROM {table}").scalars())


CASES = [
    Case("fulltext", (), "fulltext"),
    Case("tally", (Tally,), "tally"),
    Case("substring", (), "substring"),
    Case("vector", (), "vectors", has_generations=False),
    Case("graph", (), "graph_edges", has_generations=False),
]
