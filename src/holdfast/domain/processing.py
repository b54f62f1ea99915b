"""What is derived from kept analyses: documents that processors read, and how far each has come with each."""

import hashlib
import json
from collections.abc import Iterator, Sequence
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

    Attributes:
        key: its internal number, which every row about it in the store goes by.
        analysis: the analysis.
        result: its result, decoded; None when it has none, or one that is too large to be decoded.
        findings: what it found, up to a limit.
        digest: names all of this; equal for equal documents.
    """

    key: int
    analysis: Analysis
    result: Any = None
    findings: tuple[Finding, ...] = ()
    digest: str = ""


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


def digest(analysis: Analysis) -> str:
    """Name all of an analysis that a document holds: SHA-256 in hexadecimal.

    Findings belong to the result; counters and times of looking at it change nothing.
    """
    context, subject = analysis.context, analysis.subject
    facts = [
        analysis.analysis_id,
        analysis.kind,
        analysis.status.value,
        analysis.summary,
        list(analysis.tags),
        None if analysis.result is None else analysis.result.hash,
        analysis.finding_count,
        analysis.params,
        analysis.fingerprint,
        None if analysis.completed_at is None else analysis.completed_at.isoformat(),
        None if analysis.error is None else [analysis.error.code, analysis.error.message],
        [context.client_session_id, context.thread_id, context.session_id, context.process_instance_id],
        None if subject is None else [subject.kind, subject.key, subject.revision, subject.title],
        analysis.refreshed_from,
    ]
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def leaves(value: Any, longest: int) -> Iterator[str]:
    """The texts inside a JSON value in the order of reading, up to ``longest`` characters in all.

    Names of fields are no content, so they are left out; numbers are of no use to a reader of words.
    """
    left = longest
    todo = [value]
    while todo and left > 0:
        item = todo.pop()
        if isinstance(item, str):
            if item.strip():
                yield item[:left]
                left -= len(item)
        elif isinstance(item, dict):
            todo.extend(reversed(item.values()))
        elif isinstance(item, list):
            todo.extend(reversed(item))
