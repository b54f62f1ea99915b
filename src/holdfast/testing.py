"""Tools for tests: a clock and ids that hold still, and a context in which an analyzer runs in the test's process."""

import hashlib
import itertools
import pickle
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

from holdfast.analyzers.codec import decode_value, encode_value
from holdfast.analyzers.context import encode_outcome
from holdfast.analyzers.spread import check_function, check_key
from holdfast.domain.errors import AnalysisCancelled
from holdfast.domain.ports import Outcome, Request

Part = TypeVar("Part")
Value = TypeVar("Value")


class FakeClock:
    """A clock that stands still until it is told to go on.

    Args:
        start: the first moment, aware.
    """

    def __init__(self, start: datetime = datetime(2030, 1, 1, tzinfo=UTC)) -> None:
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        return self._now

    def advance(self, seconds: float) -> datetime:
        """Go on by so many seconds, which may be less than none.

        Returns:
            The new moment.
        """
        self._now += timedelta(seconds=seconds)
        return self._now


class FakeIds:
    """Bytes that look random and are the same in every run.

    Args:
        seed: another seed gives other bytes.
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._count = itertools.count()

    def random(self, size: int) -> bytes:
        """``size`` bytes, other ones at every call."""
        return hashlib.shake_256(f"{self._seed}:{next(self._count)}".encode()).digest(size)


class LocalRunContext:
    """Runs an analyzer in the test's own process, and remembers what it reported.

    It is as strict as the real one: parts and functions must be picklable, values JSON-able or bytes, keys strings;
    a value comes back as JSON says it, and parts with equal keys are one part.
    Keep ``checkpoints`` and give it to another context to test a resumed or repeated run.

    Args:
        request: what to analyse.
        checkpoints: what earlier runs left; a dictionary that this run adds to.
        analysis_id: the analysis that is being run. Checkpoints of another analysis are not seen, except those
            that ``map`` was told to remember.

    Attributes:
        phases: the phases entered, each with its total.
        items: how many items were reported.
        found: how many findings were reported.
        messages: the messages reported.
        partials: the outcomes offered by ``partial``.
        computed: how many parts were computed.
        reused: how many parts had their values already, from an earlier run or from a part with the same key.
    """

    def __init__(
        self,
        request: Request,
        checkpoints: MutableMapping[str, Any] | None = None,
        *,
        analysis_id: str = "analysis",
    ) -> None:
        self._request = request
        self._checkpoints: MutableMapping[str, Any] = {} if checkpoints is None else checkpoints
        self._analysis_id = analysis_id
        self._left: int | None = None
        self.phases: list[tuple[str, int | None]] = []
        self.items = 0
        self.found = 0
        self.messages: list[str] = []
        self.partials: list[Outcome] = []
        self.computed = 0
        self.reused = 0

    @property
    def analysis_id(self) -> str:
        """The analysis that is being run."""
        return self._analysis_id

    @property
    def request(self) -> Request:
        """What to analyse."""
        return self._request

    def cancel_after(self, parts: int) -> None:
        """Cancel the run once ``map`` has yielded so many more values; with 0, at the next call."""
        self._left = parts

    def phase(self, name: str, total: int | None = None) -> None:
        """Enter a phase."""
        self.check()
        self.phases.append((name, total))

    def advance(self, items: int = 1, *, found: int = 0, message: str | None = None) -> None:
        """Report items done, and findings."""
        self.check()
        self.items += items
        self.found += found
        if message is not None:
            self.messages.append(message)

    def check(self) -> None:
        """Raise AnalysisCancelled if the run was cancelled."""
        if self._left is not None and self._left <= 0:
            raise AnalysisCancelled(analysis_id=self._analysis_id)

    def map(
        self,
        function: Callable[[Part], Value],
        parts: Iterable[Part],
        *,
        key: Callable[[Part], str],
        remember: bool = False,
    ) -> Iterator[Value]:
        """Apply ``function`` to the parts, one after the other, here.

        Raises:
            AnalyzerNotImportable: the function does not stand at the top level of a module.
            InvalidParams: a key is not a string.
            UnknownDocument: a value is neither JSON-able nor bytes.
        """
        self.check()
        return self._mapped(function, parts, key, "remembered" if remember else f"part:{self._analysis_id}")

    def _mapped(
        self, function: Callable[[Part], Value], parts: Iterable[Part], key: Callable[[Part], str], scope: str
    ) -> Iterator[Value]:
        check_function(function)
        self.check()
        for part in parts:
            name = key(part)
            check_key(name)
            place = f"{scope}:{name}"
            if place in self._checkpoints:
                self.reused += 1
            else:
                called, given = pickle.loads(pickle.dumps((function, part)))  # noqa: S301  # just made here
                self._checkpoints[place] = encode_value(called(given), f"The value of part {name!r}")
                self.computed += 1
            if self._left is not None:
                self._left -= 1
            yield cast("Value", decode_value(self._checkpoints[place]))
            self.check()

    def save(self, key: str, value: Any) -> None:
        """Checkpoint a JSON-able value or bytes."""
        # As in a real run: what was done before the stop should not be done again.
        self._checkpoints[f"saved:{self._analysis_id}:{key}"] = encode_value(value, f"The checkpoint {key!r}")
        self.check()

    def saved(self, key: str) -> Any:
        """What was checkpointed under ``key``, or None."""
        self.check()
        value = self._checkpoints.get(f"saved:{self._analysis_id}:{key}")
        return None if value is None else decode_value(value)

    def partial(self, outcome: Outcome) -> None:
        """Offer what there is so far; kept although the run should stop, as its last words.

        Raises:
            InvalidInput: it cannot be kept.
            AnalyzerFailed: it is no outcome.
        """
        if isinstance(outcome, Outcome):
            outcome = replace(outcome, findings=tuple(outcome.findings))
        encode_outcome(outcome, final=False)
        self.partials.append(outcome)
        self.check()
