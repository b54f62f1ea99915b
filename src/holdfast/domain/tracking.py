"""An analysis that runs inside its caller's own process: what is asked for, and what becomes of it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from holdfast.domain.analysis import Analysis, ErrorInfo, Status
from holdfast.domain.context import Context
from holdfast.domain.findings import Finding
from holdfast.domain.fingerprint import fingerprint
from holdfast.domain.jobs import Job
from holdfast.domain.progress import Progress
from holdfast.domain.subjects import Subject

TRACK_JOB = "analysis.track"


def track_scope(analysis: Analysis) -> str:
    """The checkpoint scope of all runs of one input, owner and version."""
    # The owner hashed: he may have named himself with any characters, and at length.
    owner = hashlib.sha256(analysis.context.client_session_id.encode(errors="backslashreplace")).hexdigest()
    version = hashlib.sha256(analysis.analyzer_version.encode(errors="backslashreplace")).hexdigest()
    return f"track:{owner[:32]}:{analysis.fingerprint}:{version[:16]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackRequest:
    """What is to be run here, or answered by a kept result.

    Attributes:
        kind: the kind of analysis.
        subject: what it is about.
        params: with what parameters, JSON-able.
        version: of the code that runs; a result of another version does not answer.
        context: owner and surroundings.
        tags: labels.
        reuse: whether a fresh kept result answers.
        ttl_seconds: how long to keep it; None for ever.
    """

    kind: str
    subject: Subject | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""
    context: Context = Context()
    tags: Sequence[str] = ()
    reuse: bool = False
    ttl_seconds: float | None = None

    @property
    def fingerprint(self) -> str:
        """Names the input."""
        return fingerprint(self.kind, self.subject, self.params)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A result that was there already.

    Attributes:
        analysis: its analysis.
        content: its JSON.
    """

    analysis: Analysis
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """An analysis that runs in this process.

    Attributes:
        analysis: the analysis as it began.
        key: its internal key.
        job: the job whose lease says that this process lives.
        scope: where its checkpoints are.
    """

    analysis: Analysis
    key: int
    job: Job
    scope: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How far an analysis has come since the last report.

    Attributes:
        begun: the analysis.
        progress: how far it is.
        phases: what the phases that it has entered since looked like when they began.
    """

    begun: Begun
    progress: Progress
    phases: Sequence[Progress] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an analysis ended.

    Attributes:
        report: how far it came.
        status: COMPLETED, FAILED or CANCELLED.
        error: why it did not complete.
        content: the result's JSON; for one that did not complete what there is of it, or None.
        summary: one or two sentences.
        findings: what was found, in order.
        metrics: figures by name.
    """

    report: Report
    status: Status
    error: ErrorInfo | None = None
    content: bytes | None = None
    summary: str = ""
    findings: Sequence[Finding] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
