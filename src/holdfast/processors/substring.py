"""Stretches of letters anywhere in a text: threes of letters by FTS5 on SQLite, by a GIN index on PostgreSQL.

The index is several times as large as that of words, which is why it is an index of its own, for who wants it. As the
words of ``fulltext`` texts are folded here; what stands between two words counts as one space.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from holdfast.domain.processing import Document, Health
from holdfast.domain.words import GRAM, line_of
from holdfast.processors.contract import Surroundings, Write
from holdfast.processors.fulltext import texts_of


class SubstringProcessor:
    """The index of stretches."""

    name = "substring"
    version = "1"

    def __init__(self, surroundings: Surroundings) -> None:
        """Keep it in the database of ``surroundings``."""
        self._engine = surroundings.engine
        self._is_sqlite = self._engine.dialect == "sqlite"

    def create(self, connection: sa.Connection, generation: int) -> None:
        name = f"substring_{generation}"
        if self._is_sqlite:
            connection.exec_driver_sql(
                f"CREATE VIRTUAL TABLE IF NOT EXISTS {name} "
                "USING fts5(analysis UNINDEXED, line, tokenize='trigram case_sensitive 1')"
            )
            return
        connection.exec_driver_sql(
            f"CREATE TABLE IF NOT EXISTS {name} "
            "(analysis bigint PRIMARY KEY, line text NOT NULL, grams text[] NOT NULL)"
        )
        connection.exec_driver_sql(f"CREATE INDEX IF NOT EXISTS ix_{name}_grams ON {name} USING gin (grams)")

    def discard(self, connection: sa.Connection, generation: int) -> None:
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS substring_{generation}")

    def accepts(self, document: Document) -> bool:
        return True

    def process(self, documents: Sequence[Document], generations: Sequence[int]) -> Write:
        rows = []
        for document in documents:
            texts = texts_of(document)
            rows.append((document.key, line_of(f"{texts.title}\n{texts.body}")))
        keys = [key for key, _ in rows]

        def write(connection: sa.Connection, generation: int) -> None:
            self._remove(connection, generation, keys)
            if self._is_sqlite:
                connection.exec_driver_sql(
                    f"INSERT INTO substring_{generation} (rowid, analysis, line) VALUES (?, ?, ?)",  # noqa: S608 a number
                    [(key, key, line) for key, line in rows],
                )
                return
            connection.exec_driver_sql(
                f"INSERT INTO substring_{generation} (analysis, line, grams) VALUES (%s, %s, %s)",  # noqa: S608 as above
                [(key, line, _grams(line)) for key, line in rows],
            )

        return write

    def remove(self, keys: Sequence[int], generations: Sequence[int]) -> Write:
        return lambda connection, generation: self._remove(connection, generation, keys)

    def _remove(self, connection: sa.Connection, generation: int, keys: Sequence[int]) -> None:
        column, mark = ("rowid", "?") if self._is_sqlite else ("analysis", "%s")
        connection.exec_driver_sql(
            f"DELETE FROM substring_{generation} WHERE {column} = {mark}",  # noqa: S608 as above
            [(key,) for key in keys],
        )

    def health(self, generation: int) -> Health:
        try:
            with self._engine.read() as connection:
                connection.exec_driver_sql(f"SELECT 1 FROM substring_{generation} LIMIT 1").all()  # noqa: S608 as above
        except Exception as error:  # noqa: BLE001 whatever is wrong is the answer
            return Health(is_ready=False, message=str(error))
        return Health(is_ready=True)

    def close(self) -> None:
        """There is nothing to release."""

    def matching(self, generation: int, text: str) -> sa.Select[tuple[int]] | None:
        """Select the keys of what has a stretch; None for one that is too short to be looked for here."""
        line = line_of(text)
        if len(line) < GRAM:
            return None
        name = f"substring_{generation}"
        if self._is_sqlite:
            table = sa.table(name, sa.column("rowid", sa.BigInteger))
            quoted = '"' + line.replace('"', '""') + '"'
            return sa.select(table.c.rowid.label("key")).where(
                sa.literal_column(name).op("MATCH", is_comparison=True)(quoted)
            )
        kept = sa.table(name, sa.column("analysis", sa.BigInteger), sa.column("line"), sa.column("grams"))
        grams: sa.ColumnElement[Any] = sa.cast(_grams(line), _TEXTS)
        # The index tells which have all its threes, the line whether they stand there one after the other.
        return sa.select(kept.c.analysis.label("key")).where(
            kept.c.grams.op("@>", is_comparison=True)(grams), sa.func.strpos(kept.c.line, line) > 0
        )


_TEXTS = sa.ARRAY(sa.Text)


def _grams(line: str) -> list[str]:
    return sorted({line[place : place + GRAM] for place in range(len(line) - GRAM + 1)})
