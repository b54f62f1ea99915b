"""Analyzers that are stopped at a place of their own choosing; importable in the process of a run."""

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from holdfast.analyzers.duplicates.analyzer import DuplicatesAnalyzer
from holdfast.domain.ports import Outcome, RunContext

PARTS_OF_STUCK = 4


class SmallParts(DuplicatesAnalyzer):
    """Has several parts where the real one has one."""

    pairs_a_part = 40


class Stuck(SmallParts):
    """Waits for its end after some parts."""

    def run(self, ctx: RunContext) -> Outcome:
        return super().run(_StuckContext(ctx))


class _StuckContext:
    def __init__(self, ctx: RunContext) -> None:
        self._ctx = ctx

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ctx, name)

    def map(self, function: Callable[[Any], Any], parts: Iterable[Any], **options: Any) -> Iterator[Any]:
        # No part more is given away: the pool would compute the rest while this one waits.
        yield from self._ctx.map(function, islice(parts, PARTS_OF_STUCK), **options)
        while True:
            self._ctx.check()
            time.sleep(0.01)
