"""What is derived from kept analyses: documents that processors read, and how far each has come with each."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from holdfast.domain.analysis import Analysis
from holdfast.domain.findings import Finding
from holdfast.domain.jobs import NewJob

PROCESS_JOBS = "process."
"""The kind of a processor's jobs begins with this and ends with the processor's name."""

REBUILD_JOB = "processing.rebuild"
_ALSO_CALLED = {"vector_store": "vector", "graph_db": "graph"}


def processor_name(given: str) -> str:
    """A processor's own name, whether it is given by that or by the one that its document has for it."""
    return _ALSO_CALLED.get(given, given)


def job_kind(processor: str) -> str:
    """The kind of the jobs that bring a processor's index up to date."""
    return f"{PROCESS_JOBS}{processor}"


def feeds_an_index(kind: str) -> bool:
    """Whether jobs of a kind are of indexes, which every store has of its own."""
    return kind.startswith(PROCESS_JOBS) or kind == REBUILD_JOB


def sync_jobs(processors: Sequence[str], keys: Sequence[int], analysis_id: str | None = None) -> list[NewJob]:
    """One job for each processor: make its index say of these analyses what is true by then.

    Args:
        processors: which.
        keys: the analyses, by internal key; also such that are gone.
        analysis_id: the analysis, where it is one and still there.
    """
    return [
        NewJob(kind=job_kind(processor), payload={"keys": list(keys)}, analysis_id=analysis_id)
        for processor in processors
    ]


class ProcessingStatus(StrEnum):
    """How far a processor has come with an analysis."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """An ended analysis as processors read it.

    What texts are made of stands here by itself; an analysis of forty fields costs more to make than to index.

    Attributes:
        key: its internal number, which every row about it in the store goes by.
        kind: the kind of analysis.
        subject: what people call its subject; None without one.
        summary: its summary.
        tags: its tags.
        params: its parameters.
        error: why it failed, in words; None when it did not.
        result: its result, decoded; None when it has none, or one that is too large to be decoded.
        findings: what it found, up to a limit.
        digest: names all of this; equal for equal documents.
        make: makes the analysis.
    """

    key: int
    kind: str
    subject: str | None
    summary: str
    tags: Sequence[str]
    params: dict[str, Any]
    error: str | None
    make: Callable[[], Analysis]
    result: Any = None
    findings: tuple[Finding, ...] = ()
    digest: str = ""

    @classmethod
    def of(cls, key: int, analysis: Analysis, result: Any = None, findings: tuple[Finding, ...] = ()) -> "Document":
        """The document of an analysis that is there already."""
        subject = analysis.subject
        return cls(
            key=key,
            kind=analysis.kind,
            subject=None if subject is None else subject.title or subject.key,
            summary=analysis.summary,
            tags=analysis.tags,
            params=analysis.params,
            error=None if analysis.error is None else analysis.error.message,
            make=lambda: analysis,
            result=result,
            findings=findings,
        )

    @property
    def analysis(self) -> Analysis:
        """The analysis itself, made anew each time."""
        return self.make()


@dataclass(frozen=True, slots=True, kw_only=True)
class Processing:
    """How far one processor has come with one analysis.

    Attributes:
        analysis_id: the analysis.
        processor: the processor.
        status: how far.
        attempts: how many attempts there were since it last succeeded.
        last_error: why the latest of them failed.
        processor_version: what did it, once it is completed.
        updated_at: when this last changed; None before the first attempt.
    """

    analysis_id: str
    processor: str
    status: ProcessingStatus
    attempts: int = 0
    last_error: str | None = None
    processor_version: str = ""
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How a processor's back end does.

    Attributes:
        is_ready: whether it can be read and written.
        message: why it cannot.
        documents: how many it holds, where that is cheap to say.
        details: further JSON-able facts.
    """

    is_ready: bool
    message: str = ""
    documents: int | None = None
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexState:
    """A processor's index.

    Attributes:
        processor: whose.
        version: of the processor, when the index was begun.
        generation: the one that is read; 0 while the first one is being built.
        building: the one that is being built beside it, if any.
        built_to: up to which key everything is in it.
    """

    processor: str
    version: str
    generation: int
    building: int | None = None
    built_to: int = 0

    @property
    def generations(self) -> tuple[int, ...]:
        """Those that every change must reach."""
        return tuple(one for one in (self.generation, self.building) if one)

    @property
    def readable(self) -> int:
        """The one to read: what there is of the first one, until it is whole."""
        return self.generation or self.building or 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """One hit of one processor.

    Attributes:
        key: of the analysis.
        score: how well it fits; higher is better, comparable within one list only.
    """

    key: int
    score: float


def digest(facts: Sequence[str | int | None]) -> str:
    """Name all that a document holds, given as it is kept: SHA-256 in hexadecimal.

    Findings belong to the result; counters and times of looking at it change nothing.
    """
    return hashlib.sha256(repr(tuple(facts)).encode(errors="backslashreplace")).hexdigest()


def leaves(value: Any, longest: int) -> list[str]:
    """The texts inside a JSON value in the order of reading, up to ``longest`` characters in all.

    Names of fields are no content, so they are left out; numbers are of no use to a reader of words.
    """
    found: list[str] = []
    left = longest
    todo = [value]
    while todo and left > 0:
        item = todo.pop()
        kind = type(item)
        if kind is str:
            if item and not item.isspace():
                found.append(item[:left])
                left -= len(item)
        elif kind is dict:
            todo.extend(reversed(item.values()))
        elif kind is list:
            todo.extend(reversed(item))
    return found
