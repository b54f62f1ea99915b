"""Search: filters, words and whatever else has an index, in one ranked list."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from holdfast.domain.access import LOCAL, Caller
from holdfast.domain.analysis import Analysis
from holdfast.domain.checks import check_limit
from holdfast.domain.errors import InvalidCursor, InvalidInput, ProcessorUnavailable
from holdfast.domain.processing import Ranked
from holdfast.domain.query import And, Form, Or, Query, Text, parse, split, texts
from holdfast.domain.snippets import Snippet, snippet
from holdfast.processors.contract import Ranker, Wanted
from holdfast.processors.fulltext import FullText
from holdfast.processors.registry import Processors
from holdfast.processors.substring import SubstringProcessor
from holdfast.store import tables
from holdfast.store.lists import Place
from holdfast.store.search import condition, visible
from holdfast.store.unit_of_work import Store, UnitOfWork

_LARGEST_PAGE = 1000
_DEEPEST = 1000
_FACETED = 10_000
_FACET_VALUES = 20
# The constant of reciprocal rank fusion, from G. Cormack, C. Clarke and S. Buettcher, "Reciprocal Rank Fusion
# outperforms Condorcet and individual Rank Learning Methods", SIGIR 2009.
_FUSION = 60
FACETS = ("kind", "status", "tag", "owner")
WORDS = FullText.name
STRETCHES = SubstringProcessor.name
_INSIDE_NAMES = (
    "Stretches of letters are looked for in names alone; in texts too with the index substring:"
    " HOLDFAST_PROCESSORS=fulltext,substring, then `holdfast worker`"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One analysis that was found.

    Attributes:
        analysis: the analysis.
        score: how well it fits, comparable within one search; 0 where nothing but filters was asked for.
        title: its names, with what was found in them.
        text: the place of its texts where it was found.
    """

    analysis: Analysis
    score: float = 0.0
    title: Snippet | None = None
    text: Snippet | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A page of what was found.

    Attributes:
        items: the hits, best first; newest first where nothing was ranked.
        next: where the next page begins; None when this is the last one.
        facets: how many there are of each value, by field; of the newest 10,000 at most.
        is_ranked: whether they are in the order of their scores.
        hints: what the query does not find as things are set up, and how it would.
    """

    items: list[Hit]
    next: "Place | Ranked | None" = None
    facets: dict[str, dict[str, int]] = field(default_factory=dict)
    is_ranked: bool = False
    hints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A thread, a session or a process with its analyses in figures.

    Attributes:
        id: its id.
        count: how many analyses it has.
        unfinished: how many of them are not completed.
        first_at: when the first one was asked for.
        last_at: when the last one was.
    """

    id: str
    count: int
    unfinished: int
    first_at: datetime
    last_at: datetime


class SearchService:
    """The use cases of search."""

    def __init__(self, store: Store, processors: Processors) -> None:
        """Look into ``store``, by the indexes of ``processors``."""
        self._store = store
        self._processors = processors

    def search(
        self,
        query: str,
        *,
        by: Sequence[str] | None = None,
        limit: int = 20,
        after: Place | Ranked | None = None,
        facets: Sequence[str] = (),
        snippets: bool = True,
        caller: Caller = LOCAL,
    ) -> Found:
        """What fits a query, best first.

        Args:
            query: in the language of docs/reference/query-language.md; empty for everything, newest first.
            by: the processors that rank, ``("fulltext",)`` when None; of several, the lists are merged.
            limit: hits at most, up to 1,000.
            after: ``next`` of the page before.
            facets: count these fields' values, of FACETS.
            snippets: whether to say where the words were found.
            caller: who asks.

        Raises:
            InvalidQuery: the query cannot be understood; the error says where.
            UnknownProcessor: there is none of that name.
            ProcessorUnavailable: an index is needed that is not there.
        """
        check_limit(limit, _LARGEST_PAGE)
        unknown = set(facets) - set(FACETS)
        if unknown:
            raise InvalidInput(f"There is no facet {', '.join(sorted(unknown))}; there are: {', '.join(FACETS)}")
        tree = parse(query)
        ranked, filters = split(tree, self._is_ranked)
        names = self._processors.check(by) if by else [WORDS]

        def look(uow: UnitOfWork) -> Found:
            looked = _Look(self._processors, uow, caller)
            where = looked.where(filters)
            if ranked is None:
                found = looked.listed(where, limit, after)
            else:
                found = looked.ranked(ranked, where, names, limit, after)
            counted = {}
            if facets:
                everything = where if ranked is None else [*where, looked.condition(ranked)]
                counted = looked.facets(everything, facets)
            hits = looked.told(found.items, tree) if snippets else found.items
            return Found(
                items=hits, next=found.next, facets=counted, is_ranked=found.is_ranked, hints=self._hints(tree)
            )

        return self._store.read(look)

    def _hints(self, tree: Query | None) -> tuple[str, ...]:
        is_narrow = STRETCHES not in self._processors.enabled and any(one.form is Form.PART for one in texts(tree))
        return (_INSIDE_NAMES,) if is_narrow else ()

    def _is_ranked(self, query: Query) -> bool:
        """Whether a part of a query says how well something fits; a stretch of letters of the whole text does not."""
        if isinstance(query, And | Or):
            return all(self._is_ranked(part) for part in query.parts)
        return isinstance(query, Text) and not (query.form is Form.PART and STRETCHES in self._processors.enabled)

    def conversation(
        self,
        group_id: str,
        *,
        by: str = "thread",
        limit: int = 50,
        after: Place | None = None,
        caller: Caller = LOCAL,
    ) -> Found:
        """The analyses of a thread, a session or a process, oldest first.

        Args:
            group_id: the thread's, session's or process's id.
            by: which of these it is: ``thread``, ``session``, ``process``.
            limit: how many at most, up to 1,000.
            after: ``next`` of the page before.
            caller: who asks.
        """
        check_limit(limit, _LARGEST_PAGE)
        column = _group_column(by)

        def look(uow: UnitOfWork) -> Found:
            where = [column == group_id, *visible(caller.sees, uow.now)]
            rows = uow.search.page(where, limit + 1, after, ascending=True)
            shown = rows[:limit]
            last = shown[-1] if len(rows) > limit else None
            place = None if last is None else Place(created_at=last.value.created_at, key=last.key)
            return Found(items=[Hit(analysis=row.value) for row in shown], next=place)

        return self._store.read(look)

    def groups(
        self, *, by: str = "thread", limit: int = 20, after: str | None = None, caller: Caller = LOCAL
    ) -> list[Group]:
        """Threads, sessions or processes in the order of their ids, with their figures.

        Args:
            by: which of these: ``thread``, ``session``, ``process``.
            limit: how many at most, up to 1,000.
            after: the id that the page before ended with.
            caller: who asks.
        """
        check_limit(limit, _LARGEST_PAGE + 1)
        _group_column(by)

        def look(uow: UnitOfWork) -> list[Group]:
            rows = uow.search.threads(visible(caller.sees, uow.now), by, limit, after)
            return [Group(**row._mapping) for row in rows]

        return self._store.read(look)


def _group_column(by: str) -> sa.Column[str]:
    columns = {
        "thread": tables.analyses.c.thread_id,
        "session": tables.analyses.c.session_id,
        "process": tables.analyses.c.process_instance_id,
    }
    if by not in columns:
        raise InvalidInput(f"Analyses are grouped by {', '.join(columns)}, not by {by[:40]!r}", field="by")
    return columns[by]


class _Look:
    """One search in one state of the store."""

    def __init__(self, processors: Processors, uow: UnitOfWork, caller: Caller) -> None:
        self._processors = processors
        self._uow = uow
        self._caller = caller
        self._generations: dict[str, int] = {}

    def where(self, filters: Query | None) -> list[sa.ColumnElement[bool]]:
        found = visible(self._caller.sees, self._uow.now)
        return found if filters is None else [*found, self.condition(filters)]

    def condition(self, query: Query) -> sa.ColumnElement[bool]:
        return condition(query, self._matching)

    def _matching(self, text: Text) -> sa.Select[tuple[int]]:
        words = self._processors.get(WORDS)
        assert isinstance(words, FullText)
        found = words.matching(self._generation(WORDS), text)
        if text.form is Form.PART and STRETCHES in self._processors.enabled:
            stretches = self._processors.get(STRETCHES)
            assert isinstance(stretches, SubstringProcessor)
            anywhere = stretches.matching(self._generation(STRETCHES), text.value)
            return found if anywhere is None else anywhere
        return found

    def _generation(self, name: str) -> int:
        if name not in self._generations:
            state = self._uow.processing.index(name)
            if state is None or not state.readable:
                raise ProcessorUnavailable(f"There is no index of {name!r} yet: a worker makes it", processor=name)
            self._generations[name] = state.readable
        return self._generations[name]

    def listed(self, where: list[sa.ColumnElement[bool]], limit: int, after: Place | Ranked | None) -> Found:
        if isinstance(after, Ranked):
            raise InvalidCursor
        rows = self._uow.search.page(where, limit + 1, after, ascending=False)
        shown = rows[:limit]
        last = shown[-1] if len(rows) > limit else None
        place = None if last is None else Place(created_at=last.value.created_at, key=last.key)
        return Found(items=[Hit(analysis=row.value) for row in shown], next=place)

    def ranked(
        self,
        query: Query,
        where: list[sa.ColumnElement[bool]],
        names: Sequence[str],
        limit: int,
        after: Place | Ranked | None,
    ) -> Found:
        if isinstance(after, Place):
            raise InvalidCursor
        wanted = Wanted(
            text=" ".join(text.value for text in texts(query)),
            allowed=sa.select(tables.analyses.c.id).where(*where),
            # The first page of one list needs no more than itself; ranks of several change with what each has.
            limit=limit + 1 if after is None and len(names) == 1 else _DEEPEST,
            query=query,
        )
        lists = []
        for name in names:
            processor = self._processors.get(name)
            if not isinstance(processor, Ranker):
                raise InvalidInput(f"The processor {name!r} ranks nothing", field="by")
            lists.append(processor.rank(self._uow.search.connection, self._generation(name), wanted))
        merged = lists[0] if len(lists) == 1 else fused(lists)[:_DEEPEST]
        if after is not None:
            merged = [hit for hit in merged if (hit.score, hit.key) < (after.score, after.key)]
        shown = merged[:limit]
        stored = {row.key: row.value for row in self._uow.analyses.of_keys([hit.key for hit in shown])}
        hits = [Hit(analysis=stored[hit.key], score=hit.score) for hit in shown if hit.key in stored]
        return Found(items=hits, next=shown[-1] if len(merged) > limit else None, is_ranked=True)

    def facets(self, where: list[sa.ColumnElement[bool]], names: Sequence[str]) -> dict[str, dict[str, int]]:
        key = tables.analyses.c.id
        newest = sa.select(key).where(*where).order_by(key.desc()).limit(_FACETED)
        return self._uow.search.facets(newest, list(dict.fromkeys(names)), _FACET_VALUES)

    def told(self, hits: list[Hit], tree: Query | None) -> list[Hit]:
        """The hits with the places where they were found."""
        wanted = list(texts(tree))
        words = self._processors.get(WORDS) if wanted and WORDS in self._processors.enabled else None
        if not isinstance(words, FullText):
            return hits
        keys = self._uow.analyses.keys_of([hit.analysis.analysis_id for hit in hits])
        held = words.texts(self._uow.search.connection, self._generation(WORDS), list(keys.values()))
        told = []
        for hit in hits:
            there = held.get(keys.get(hit.analysis.analysis_id, 0))
            if there is None:
                told.append(hit)
                continue
            title, text = snippet(there.title, wanted), snippet(there.body, wanted)
            told.append(Hit(analysis=hit.analysis, score=hit.score, title=title, text=text))
        return told


def fused(lists: Sequence[Sequence[Ranked]]) -> list[Ranked]:
    """Several ranked lists as one, by reciprocal rank fusion: the rank in each list counts, not its scores."""
    scores: dict[int, float] = {}
    for ranked in lists:
        for rank, hit in enumerate(ranked, 1):
            scores[hit.key] = scores.get(hit.key, 0.0) + 1 / (_FUSION + rank)
    merged = [Ranked(key=key, score=score) for key, score in scores.items()]
    return sorted(merged, key=lambda hit: (-hit.score, -hit.key))
