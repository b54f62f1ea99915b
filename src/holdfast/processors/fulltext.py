"""Words: FTS5 on SQLite, a GIN index of a tsvector on PostgreSQL, the same words in both.

Text is folded and cut into words here, so neither database's own notion of letters and languages matters. With
``store.engine`` this is the only place that knows which dialect it talks to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import msgspec
import sqlalchemy as sa

from holdfast.domain.processing import Document, Health, Ranked, leaves
from holdfast.domain.query import And, Form, Or, Query, Text
from holdfast.domain.words import grams, line, pieces, stretch
from holdfast.processors.contract import Surroundings, Wanted, Write
from holdfast.store import tables
from holdfast.store.payloads import expand, squeeze
from holdfast.store.prepared import insert_together
from holdfast.store.types import storable

_LONGEST_TITLE = 1_000
_LONGEST_BODY = 20_000
# Where in the text a tsvector knows a word by its place ends at 16,383: titles first, then texts, then grams.
_MOST_TITLE, _MOST_BODY, _MOST_GRAMS = 400, 11_000, 2_000
_BODY_AT, _GRAMS_AT = 500, 12_000
# What follows a word: its place and weight, and the quotation mark before the next one.
_TITLE_PLACES = [f"':{place}A '" for place in range(1, 1 + _MOST_TITLE)]
_BODY_PLACES = [f"':{place} '" for place in range(_BODY_AT, _BODY_AT + _MOST_BODY)]
_GRAM_PLACES = [f"':{place} '" for place in range(_GRAMS_AT, _GRAMS_AT + _MOST_GRAMS)]
_GRAM_MARK = "~"
# So many of the newest matches are ranked: the ranks of a million would take seconds, and nobody reads them.
_WINDOW = 10_000
# What is written at once becomes one part of FTS5's index, as far as so many bytes hold it, and as many parts as
# automerge says are merged to one: the more, the less often each word is written again, and the more a search looks at.
_SQLITE_SETTINGS = {"hashsize": 8 * 1024 * 1024, "automerge": 16, "crisismerge": 64}


@dataclass(frozen=True, slots=True)
class Texts:
    """What is indexed of a document.

    Attributes:
        title: its names: subject, task, summary, tags, findings' titles; also found by parts of words.
        body: the texts in its parameters and its result, and what its findings say.
    """

    title: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sequence:
    """Tokens that follow each other.

    Attributes:
        tokens: the tokens.
        is_open: whether the last one is a beginning only.
        is_grams: whether they are grams.
    """

    tokens: tuple[str, ...]
    is_open: bool = False
    is_grams: bool = False


class FullText:
    """The index of words."""

    name = "fulltext"
    version = "1"

    def __init__(self, surroundings: Surroundings) -> None:
        """Keep it in the database of ``surroundings``."""
        self._engine = surroundings.engine
        self._dialect = _Sqlite() if self._engine.dialect == "sqlite" else _Postgres()

    def create(self, connection: sa.Connection, generation: int) -> None:
        self._dialect.create(connection, generation)

    def discard(self, connection: sa.Connection, generation: int) -> None:
        self._dialect.discard(connection, generation)

    def accepts(self, document: Document) -> bool:
        return True

    def process(self, documents: Sequence[Document], generations: Sequence[int]) -> Write:
        prepared = [(document.key, texts_of(document)) for document in documents]
        rows = [
            (key, squeeze(msgspec.json.encode([texts.title, texts.body])), *self._dialect.columns(texts))
            for key, texts in prepared
        ]
        keys = [key for key, _ in prepared]

        def write(connection: sa.Connection, generation: int) -> None:
            self._dialect.remove(connection, generation, keys)
            self._dialect.add(connection, generation, rows)

        return write

    def remove(self, keys: Sequence[int], generations: Sequence[int]) -> Write:
        return lambda connection, generation: self._dialect.remove(connection, generation, list(keys))

    def health(self, generation: int) -> Health:
        try:
            with self._engine.read() as connection:
                connection.execute(sa.select(_documents(generation).c.analysis).limit(1)).all()
        except Exception as error:  # noqa: BLE001 whatever is wrong is the answer
            return Health(is_ready=False, message=str(error))
        return Health(is_ready=True)

    def close(self) -> None:
        """There is nothing to release."""

    def matching(self, generation: int, query: Query) -> sa.Select[tuple[int]]:
        """Select the keys of what fits ``query``, a tree of texts without NOT."""
        return self._dialect.matching(generation, _groups(query))

    def rank(self, connection: sa.Connection, generation: int, wanted: Wanted) -> list[Ranked]:
        """The best of the newest matches, by BM25 or PostgreSQL's own rank."""
        query = wanted.query or And(parts=tuple(Text(value=word) for word in wanted.text.split()))
        hits = self._dialect.hits(generation, _groups(query), wanted.allowed).limit(_WINDOW).subquery()
        best = sa.select(hits.c.key, hits.c.score).order_by(hits.c.score.desc(), hits.c.key.desc()).limit(wanted.limit)
        return [Ranked(key=row.key, score=float(row.score)) for row in connection.execute(best)]

    def texts(self, connection: sa.Connection, generation: int, keys: Sequence[int]) -> dict[int, Texts]:
        """What was indexed of analyses, by their keys."""
        return {row.analysis: _texts(row.text) for row in connection.execute(_rows(generation, keys))}


def texts_of(document: Document) -> Texts:
    """What is indexed of a document."""
    findings = document.findings
    names = [document.subject, document.summary, *document.tags, *(finding.title for finding in findings)]
    said = [document.error] if document.error is not None else []
    said += [text for finding in findings for text in (finding.message, finding.path) if text]
    # Parameters first: what was asked is rarely long, and the answer may be.
    body = "\n".join(leaves([document.params, said, document.result], _LONGEST_BODY))
    title = "\n".join(dict.fromkeys(name for name in names if name))
    return Texts(storable(title[:_LONGEST_TITLE]), storable(body[:_LONGEST_BODY]))


def _texts(blob: bytes) -> Texts:
    title, body = msgspec.json.decode(expand(bytes(blob)))
    return Texts(title, body)


def _sequences(text: Text) -> list[_Sequence]:
    """What must all be there for a text to be there."""
    if text.form is Form.PART:
        found, is_open = stretch(text.value)
        return [_Sequence(tokens=tuple(found), is_open=is_open, is_grams=True)] if found else []
    made: list[_Sequence] = []
    words: list[str] = []
    for piece in pieces(text.value):
        if not piece.is_run:
            words += piece.tokens
            continue
        if words:
            made.append(_Sequence(tokens=tuple(words)))
            words = []
        # The last one stands alone in the index too, whatever follows it there: only its pair tells.
        pairs = piece.tokens[:-1] or piece.tokens
        made.append(_Sequence(tokens=pairs, is_open=len(piece.tokens) == 1))
    if words:
        made.append(_Sequence(tokens=tuple(words), is_open=text.form is Form.PREFIX))
    return made


_Group = _Sequence | tuple[str, list[Any]]


def _groups(query: Query) -> _Group:
    """The query as sequences that are joined by AND and OR."""
    if isinstance(query, Text):
        return "AND", list(_sequences(query))
    if not isinstance(query, And | Or):
        raise TypeError(f"{type(query).__name__} is no text")
    return ("AND" if isinstance(query, And) else "OR"), [_groups(part) for part in query.parts]


def _joined(group: _Group, words: dict[str, str], show: Any) -> str:
    if isinstance(group, _Sequence):
        return str(show(group))
    joiner, parts = group
    return "(" + words[joiner].join(_joined(part, words, show) for part in parts) + ")"


def _documents(generation: int) -> sa.TableClause:
    return sa.table(
        f"fulltext_{generation}",
        sa.column("analysis", sa.BigInteger),
        sa.column("text", sa.LargeBinary),
        sa.column("words"),
    )


def _rows(generation: int, keys: Sequence[int]) -> sa.Select[Any]:
    documents = _documents(generation)
    return sa.select(documents.c.analysis, documents.c.text).where(documents.c.analysis.in_(keys))


def _allowed(allowed: sa.Select[tuple[int]], key: sa.ColumnElement[int], of: sa.FromClause) -> sa.ColumnElement[bool]:
    return allowed.where(tables.analyses.c.id == key).correlate(of).exists()


class _Sqlite:
    """An FTS5 table of tokens without their text, which stands beside it: what is removed must be told."""

    def create(self, connection: sa.Connection, generation: int) -> None:
        connection.exec_driver_sql(
            f"CREATE TABLE IF NOT EXISTS fulltext_{generation} (analysis INTEGER PRIMARY KEY, text BLOB NOT NULL)"
        )
        # Tokens come ready: what is not ASCII is a letter to this tokenizer, and spaces divide.
        connection.exec_driver_sql(
            f"CREATE VIRTUAL TABLE IF NOT EXISTS fulltext_words_{generation} "
            "USING fts5(title, body, grams, content='', tokenize=\"ascii tokenchars '_'\")"
        )
        for name, value in _SQLITE_SETTINGS.items():
            connection.exec_driver_sql(
                f"INSERT INTO fulltext_words_{generation} (fulltext_words_{generation}, rank) VALUES (?, ?)",  # noqa: S608
                (name, value),
            )

    def discard(self, connection: sa.Connection, generation: int) -> None:
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS fulltext_words_{generation}")
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS fulltext_{generation}")

    def columns(self, texts: Texts) -> tuple[str, str, str]:
        parts = grams(texts.title, _MOST_GRAMS)
        return line(texts.title, _MOST_TITLE), line(texts.body, _MOST_BODY), " ".join(parts)

    def add(self, connection: sa.Connection, generation: int, rows: Sequence[tuple[Any, ...]]) -> None:
        insert_together(connection, f"fulltext_{generation}", ("analysis", "text"), [row[:2] for row in rows])
        columns = ("rowid", "title", "body", "grams")
        insert_together(connection, f"fulltext_words_{generation}", columns, [(row[0], *row[2:]) for row in rows])

    def remove(self, connection: sa.Connection, generation: int, keys: list[int]) -> None:
        there = [(row.analysis, *self.columns(_texts(row.text))) for row in connection.execute(_rows(generation, keys))]
        if not there:
            return
        name = f"fulltext_words_{generation}"
        connection.exec_driver_sql(
            f"INSERT INTO {name} ({name}, rowid, title, body, grams) VALUES ('delete', ?, ?, ?, ?)",  # noqa: S608
            there,
        )
        connection.exec_driver_sql(
            f"DELETE FROM fulltext_{generation} WHERE analysis = ?",  # noqa: S608 as above
            [(row[0],) for row in there],
        )

    def matching(self, generation: int, group: _Group) -> sa.Select[tuple[int]]:
        words, match = self._match(generation, group)
        return sa.select(words.c.rowid.label("key")).where(match)

    def hits(self, generation: int, group: _Group, allowed: sa.Select[tuple[int]]) -> sa.Select[Any]:
        words, match = self._match(generation, group)
        # Lower is better there. A word in a name weighs more than one in a text.
        score = -sa.literal_column(f"bm25(fulltext_words_{generation}, 4.0, 1.0, 0.5)", sa.Float)
        return (
            sa.select(words.c.rowid.label("key"), score.label("score"))
            .where(match, _allowed(allowed, words.c.rowid, words))
            .order_by(words.c.rowid.desc())
        )

    @staticmethod
    def _match(generation: int, group: _Group) -> tuple[sa.TableClause, sa.ColumnElement[bool]]:
        name = f"fulltext_words_{generation}"
        words = sa.table(name, sa.column("rowid", sa.BigInteger))

        def show(sequence: _Sequence) -> str:
            columns = "grams" if sequence.is_grams else "{title body}"
            return f'{columns} : "{" ".join(sequence.tokens)}"{" *" if sequence.is_open else ""}'

        expression = _joined(group, {"AND": " AND ", "OR": " OR "}, show)
        return words, sa.literal_column(name).op("MATCH", is_comparison=True)(expression)


class _Postgres:
    """A tsvector made here, lexeme by lexeme."""

    def create(self, connection: sa.Connection, generation: int) -> None:
        connection.exec_driver_sql(
            f"CREATE TABLE IF NOT EXISTS fulltext_{generation} "
            "(analysis bigint PRIMARY KEY, text bytea NOT NULL, words tsvector NOT NULL)"
        )
        connection.exec_driver_sql(
            f"CREATE INDEX IF NOT EXISTS ix_fulltext_{generation}_words ON fulltext_{generation} USING gin (words)"
        )

    def discard(self, connection: sa.Connection, generation: int) -> None:
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS fulltext_{generation}")

    def columns(self, texts: Texts) -> tuple[str]:
        # A word with its places is one lexeme to PostgreSQL, which gathers them itself.
        title = zip(line(texts.title, _MOST_TITLE).split(), _TITLE_PLACES, strict=False)
        body = zip(line(texts.body, _MOST_BODY).split(), _BODY_PLACES, strict=False)
        parts = zip([_GRAM_MARK + gram for gram in grams(texts.title, _MOST_GRAMS)], _GRAM_PLACES, strict=False)
        return (("'" + "".join(chain.from_iterable(chain(title, body, parts))))[:-1],)

    def add(self, connection: sa.Connection, generation: int, rows: Sequence[tuple[Any, ...]]) -> None:
        keys, texts, words = map(list, zip(*sorted(rows), strict=True))
        connection.exec_driver_sql(
            f"INSERT INTO fulltext_{generation} (analysis, text, words) "  # noqa: S608 a number
            "SELECT analysis, text, words::tsvector FROM unnest(%s::bigint[], %s::bytea[], %s::text[]) "
            "AS given (analysis, text, words) "
            "ON CONFLICT (analysis) DO UPDATE SET text = excluded.text, words = excluded.words",
            (keys, texts, words),
        )

    def remove(self, connection: sa.Connection, generation: int, keys: list[int]) -> None:
        connection.exec_driver_sql(
            f"DELETE FROM fulltext_{generation} WHERE analysis = ANY(%s)",  # noqa: S608 as above
            (keys,),
        )

    def matching(self, generation: int, group: _Group) -> sa.Select[tuple[int]]:
        documents = _documents(generation)
        return sa.select(documents.c.analysis.label("key")).where(
            documents.c.words.op("@@", is_comparison=True)(self._query(group))
        )

    def hits(self, generation: int, group: _Group, allowed: sa.Select[tuple[int]]) -> sa.Select[Any]:
        documents = _documents(generation)
        query = self._query(group)
        score = sa.func.ts_rank(documents.c.words, query, 1, type_=sa.Float)
        return (
            sa.select(documents.c.analysis.label("key"), score.label("score"))
            .where(
                documents.c.words.op("@@", is_comparison=True)(query),
                _allowed(allowed, documents.c.analysis, documents),
            )
            .order_by(documents.c.analysis.desc())
        )

    @staticmethod
    def _query(group: _Group) -> sa.ColumnElement[Any]:
        def show(sequence: _Sequence) -> str:
            mark = _GRAM_MARK if sequence.is_grams else ""
            quoted = [f"'{mark}{word}'" for word in sequence.tokens]
            if sequence.is_open:
                quoted[-1] += ":*"
            return "(" + " <-> ".join(quoted) + ")"

        expression = _joined(group, {"AND": " & ", "OR": " | "}, show)
        return sa.cast(sa.literal(expression, sa.Text), _TsQuery())


class _TsQuery(sa.types.UserDefinedType[Any]):
    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "tsquery"
