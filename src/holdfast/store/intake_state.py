"""How far an import is, and what became of its rows until then."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec

from holdfast.domain.errors import Conflict
from holdfast.store.policies import POLICIES

_NAMED = 20


class ImportTakenOver(Conflict):
    """Another process goes on with this import."""

    code = "IMPORT_TAKEN_OVER"
    suggestions = ("Let the other one finish, or end it and run this one again",)


class State(msgspec.Struct, frozen=True, kw_only=True):
    """How far an import is.

    Attributes:
        by: which run of it works on it; the latest to begin.
        line: the last line that is in.
        chain: the digest up to there.
        is_fresh: whether the store was empty when it began, so that the log's numbers are kept.
        skipping: whether the row that parts follow was there already.
        latest: the newest analysis that was brought in, whose parts may still follow: it is not queued yet.
        added: rows brought in, by table.
        there: rows that were there already and are the same, by table.
        differing: rows that were there already and differ, by table.
        named: some of those that differ.
    """

    by: str
    line: int = 0
    chain: str = ""
    is_fresh: bool = False
    skipping: bool = False
    latest: str | None = None
    added: dict[str, int] = {}
    there: dict[str, int] = {}
    differing: dict[str, int] = {}
    named: tuple[str, ...] = ()


class Tally:
    """What becomes of the rows of one transaction."""

    def __init__(self, before: State) -> None:
        self._before = before
        self.is_fresh = before.is_fresh
        self.skipping = before.skipping
        self.analyses = [] if before.latest is None else [before.latest]
        self.added = Counter(before.added)
        self.there = Counter(before.there)
        self._differing = Counter(before.differing)
        self._named = list(before.named)

    def differs(self, name: str, values: Mapping[str, Any]) -> None:
        self._differing[name] += 1
        if len(self._named) < _NAMED:
            self._named.append(" ".join([name, *(str(values[part]) for part in POLICIES[name].key)]))

    def ready(self) -> list[str]:
        """The analyses whose parts are all there."""
        return self.analyses[:-1]

    def state(self, *, line: int, chain: str) -> State:
        return msgspec.structs.replace(
            self._before,
            line=line,
            chain=chain,
            skipping=self.skipping,
            latest=self.analyses[-1] if self.analyses else None,
            added=dict(self.added),
            there=dict(self.there),
            differing=dict(self._differing),
            named=tuple(self._named),
        )
