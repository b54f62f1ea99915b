"""What Holdfast asks of a processor.

A processor keeps an index of documents up to date. It is fed by jobs, so it never sees a foreground write, and it may
be called again for what it has done: the same document twice must leave what once leaves.

An index has generations, each a number. One is read; while an index is rebuilt another one grows beside it, every
change reaches both, and when it is whole it takes the place of the first. A processor on Holdfast's own database keeps
each in tables of its own (``name_<generation>``, made in ``create``), or in one table with the generation in its key.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import sqlalchemy as sa

from holdfast.domain.processing import Document, Health, Ranked
from holdfast.domain.query import Query
from holdfast.store.engine import Engine

Write = Callable[[sa.Connection, int], None]
"""Writes into one generation, in the transaction that notes that it is done; may be called for several generations,
and again when the transaction is repeated. Short: on SQLite every other writer waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a processor is made with.

    Attributes:
        engine: Holdfast's database, for its own tables and for reading.
        options: the processor's own settings (``Settings.processor_options[name]``, and the typed ones of those that
            Holdfast brings).
    """

    engine: Engine
    options: Mapping[str, Any] = field(default_factory=dict)


class Processor(Protocol):
    """Keeps one index.

    Found by the entry point group ``holdfast.processors``, or registered in code; constructed with ``Surroundings``,
    by which nothing may be connected or loaded yet: most processes only write analyses.

    Attributes:
        name: lower case, its entry point's (``fulltext``).
        version: changes whenever the same document may be indexed in another way; the index is then rebuilt.
    """

    name: str
    version: str

    def create(self, connection: sa.Connection, generation: int) -> None:
        """Make an empty index, in the transaction that says that it is there; again is harmless."""
        ...

    def discard(self, connection: sa.Connection, generation: int) -> None:
        """Drop an index that nobody reads any more."""
        ...

    def accepts(self, document: Document) -> bool:
        """Whether it has use for the document; one that it refuses is skipped, and leaves its index."""
        ...

    def process(self, documents: Sequence[Document], generations: Sequence[int]) -> Write | None:
        """Index documents, in place of what was indexed of the same keys.

        Called outside of any transaction; whatever takes time (embedding, a server elsewhere) is done here, within
        ``process_timeout_seconds``: after that it is left, another processor is made, and this one is closed. Nothing
        else is going on with these keys in this index in this process, but a worker that was taken for dead may be
        late: what is written elsewhere after that is done once more.

        Args:
            documents: with different keys.
            generations: the indexes that a back end elsewhere must write to now.

        Returns:
            What is to be written to Holdfast's database; None when it was written elsewhere.

        Raises:
            ProcessorUnavailable: the back end is away; all is tried again later, as often as it takes.
            Exception: one of the documents is at fault, perhaps; it is found by halves, tried a few times and put
                aside with the reason.
        """
        ...

    def remove(self, keys: Sequence[int], generations: Sequence[int]) -> Write | None:
        """Forget documents, also such that were never indexed; as ``process``."""
        ...

    def health(self, generation: int) -> Health:
        """How its back end does; answers within a few seconds, and raises nothing."""
        ...

    def close(self) -> None:
        """Release what it holds; nothing is asked of it any more, but a call that hangs may still be under way."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a search wants of one index.

    Attributes:
        text: what is looked for, as people write it: the words alone, without fields and operators.
        query: the same as a tree of texts, for a processor that knows AND, OR and phrases; None for plain words.
        allowed: selects the keys (one column, ``analyses.id``) of what the caller may see and the filters let through:
            apply it before any limit, as ``.. IN (allowed)`` or row by row, as
            ``allowed.where(tables.analyses.c.id == mine.c.key).correlate(mine).exists()``.
        limit: how many hits at most.
    """

    text: str
    allowed: sa.Select[tuple[int]]
    limit: int
    query: Query | None = None


@runtime_checkable
class Ranker(Protocol):
    """A processor whose index answers searches; hybrid search merges one list of each."""

    def rank(self, connection: sa.Connection, generation: int, wanted: Wanted) -> list[Ranked]:
        """The best hits, best first.

        Raises:
            ProcessorUnavailable: the back end is away.
        """
        ...


@runtime_checkable
class Likener(Protocol):
    """A processor whose index knows what is like what."""

    def similar(self, connection: sa.Connection, key: int, limit: int, allowed: sa.Select[Any]) -> list[Ranked]:
        """What is most like one document, best first, without that one; scores are 1 at most.

        Args:
            connection: reads the state to search.
            key: the document's; nothing is like one that is not indexed.
            limit: how many at most.
            allowed: as ``Wanted.allowed``.

        Raises:
            ProcessorUnavailable: the back end is away.
        """
        ...
