"""The seams: what Holdfast asks of the world, and what it asks of an analyzer."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

from holdfast.domain.findings import Finding
from holdfast.domain.progress import Phase
from holdfast.domain.subjects import Subject

MANIFEST = "manifest"
"""The checkpoint that outlives its run: what the subject held, so that changes since can be named."""

Part = TypeVar("Part")
Value = TypeVar("Value")


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...


class Spans(Protocol):
    """Tells others what is done meanwhile, and how long it takes."""

    def __call__(self, name: str, /, **attributes: str | int) -> AbstractContextManager[object]:
        """What is done in the block has this name."""
        ...


def no_span(_name: str, /, **_attributes: str | int) -> AbstractContextManager[object]:
    """Tells nobody."""
    return nullcontext()


class IdSource(Protocol):
    """Gives randomness."""

    def random(self, size: int) -> bytes:
        """``size`` random bytes from a cryptographic source."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to analyse, made definite.

    Attributes:
        subject: the thing, at the revision that will be analysed.
        params: every parameter, defaults filled in; with the subject they fix the result.
        location: where the analyzer finds the thing (a path, a URL); no part of the fingerprint.
        timeout_seconds: how long an attempt may take, where the analyzer knows better than the setting.
    """

    subject: Subject
    params: Mapping[str, Any]
    location: str
    timeout_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an analyzer found.

    Attributes:
        result: the whole result, JSON-able.
        summary: one or two sentences for lists and notices.
        findings: what was found, in the order to show.
        metrics: figures by name, finite.
    """

    result: Any
    summary: str = ""
    findings: Iterable[Finding] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)


class RunContext(Protocol):
    """What a running analyzer sees of Holdfast.

    Every method but ``analysis_id`` and the like raises AnalysisCancelled once the run should stop; let it pass.
    """

    @property
    def analysis_id(self) -> str:
        """The analysis that is being run."""
        ...

    @property
    def request(self) -> Request:
        """What to analyse."""
        ...

    def phase(self, name: str, total: int | None = None) -> None:
        """Enter a phase.

        Args:
            name: one of the analyzer's ``phases``.
            total: how many items it will process, if known.
        """
        ...

    def advance(self, items: int = 1, *, found: int = 0, message: str | None = None) -> None:
        """Report ``items`` more items done and ``found`` more findings; cheap enough for every item."""
        ...

    def check(self) -> None:
        """Raise AnalysisCancelled if the run should stop; for long stretches without progress."""
        ...

    def map(
        self,
        function: Callable[[Part], Value],
        parts: Iterable[Part],
        *,
        key: Callable[[Part], str],
        remember: bool = False,
    ) -> Iterator[Value]:
        """Apply ``function`` to every part: over the cores, or over a Dask cluster when one is configured.

        Each value is checkpointed as it arrives, so a resumed run computes only what is missing. Values come
        in the order of the parts; only a bounded window of parts is held in memory.

        Args:
            function: a function at the top level of a module; called in another process, so it takes all it
                needs from the part.
            parts: what to work on, each picklable; read lazily.
            key: names a part, the same in every run. Parts with equal keys are one part: it is computed once, and
                its value stands in each place.
            remember: keep the values beyond this run, for every later run of the same kind and analyzer
                version: a part with a known key is never computed again. The key must then name the part's
                content, not its place.

        Yields:
            The values, each JSON-able or bytes.
        """
        ...

    def save(self, key: str, value: Any) -> None:
        """Checkpoint a JSON-able value or bytes under ``key``; it is there when the run is resumed.

        What is kept under MANIFEST stays with the result.
        """
        ...

    def saved(self, key: str) -> Any:
        """What was checkpointed under ``key``, or None."""
        ...

    def partial(self, outcome: Outcome) -> None:
        """Offer what there is so far; it is kept when the run is cancelled, times out or fails."""
        ...


class Analyzer(Protocol):
    """A plug-in that analyses one kind of subject.

    Found by the entry point group ``holdfast.analyzers``, or registered in code; constructed without arguments.

    Attributes:
        kind: the kind of analysis, lower case (``code``).
        version: changes whenever the same input may give another result.
        phases: the phases of a run, in order.
    """

    kind: str
    version: str
    phases: Sequence[Phase]

    def resolve(self, target: str, params: Mapping[str, Any]) -> Request:
        """Find out what ``target`` means; quick, called before the run is queued.

        Raises:
            InvalidTarget: there is nothing to analyse there.
            InvalidParams: a parameter is unknown or has a wrong value.
        """
        ...

    def run(self, ctx: RunContext) -> Outcome:
        """Analyse; called in a process of its own that may be killed at any moment."""
        ...
