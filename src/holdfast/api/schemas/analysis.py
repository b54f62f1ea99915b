"""Analyses."""

from typing import Any, Self

from pydantic import ConfigDict, Field, model_validator

from holdfast.api.schemas.base import LARGEST, Incoming, Json, JsonObject, Moment, Outgoing, Total
from holdfast.api.schemas.finding import FindingIn
from holdfast.domain.analysis import ErrorInfo, Status
from holdfast.domain.context import Context
from holdfast.domain.freshness import Level
from holdfast.domain.subjects import Subject
from holdfast.services.results import NewResult

ID = r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$"
_RUN_ONLY = ("target", "force", "priority", "timeout_seconds")
_RESULT_ONLY = (
    "result",
    "status",
    "error",
    "summary",
    "findings",
    "metrics",
    "subject",
    "code_hash",
    "analyzer_version",
)


class SubjectIn(Incoming):
    """What an analysis is about."""

    kind: str = Field(min_length=1, max_length=64, examples=["music-library"])
    key: str = Field(min_length=1, max_length=2048)
    revision: str = Field(default="", max_length=256)
    title: str = Field(default="", max_length=2048)
    attributes: JsonObject = Field(default_factory=dict)


class ErrorIn(Incoming):
    """Why an analysis ended without a complete result."""

    code: str = Field(min_length=1, max_length=64, pattern=r"^[A-Z][A-Z0-9_]*$")
    message: str = Field(max_length=10_000)
    suggestions: list[str] = Field(default_factory=list)
    details: JsonObject = Field(default_factory=dict)


class NewAnalysis(Incoming):
    """An analysis to be run (with ``target``), or one that was made elsewhere and is to be kept (with ``result``)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"kind": "lint", "result": {"warnings": 3}, "tags": ["nightly"], "metrics": {"warnings": 3}},
                {"kind": "code", "target": "/srv/app", "params": {"branch": "main"}},
            ]
        }
    )

    kind: str = Field(min_length=1, max_length=64, description="The kind of analysis.", examples=["lint"])
    target: str | None = Field(
        default=None, max_length=4096, description="What a worker is to analyse; for code: a path."
    )
    result: Json = Field(default=None, description="What was found, any JSON; without a target.")
    status: Status | None = Field(default=None, description="How an analysis that is to be kept ended.")
    error: ErrorIn | None = None
    summary: str = Field(default="", max_length=10_000)
    subject: SubjectIn | None = Field(default=None, description="What was analysed.")
    findings: list[FindingIn] = Field(default_factory=list)
    metrics: dict[str, float] = Field(default_factory=dict)
    code_hash: str | None = Field(default=None, max_length=256, description="SHA-256 of what was analysed.")
    analyzer_version: str = Field(default="", max_length=256)
    params: JsonObject = Field(default_factory=dict)
    tags: list[str] = Field(default_factory=list, max_length=100)
    force: bool = Field(default=False, description="Run anew though a fresh result is kept.")
    priority: int = Field(default=0, ge=-LARGEST, le=LARGEST)
    timeout_seconds: float | None = Field(default=None, ge=0, le=LARGEST)
    ttl_seconds: float | None = Field(default=None, gt=0, le=LARGEST, description="How long to keep it; null for ever.")
    max_retrievals: int | None = Field(default=None, gt=0, le=LARGEST)
    analysis_id: str | None = Field(default=None, pattern=ID, description="An id of your own.")
    client_session_id: str | None = Field(default=None, min_length=1, max_length=256, description="Whose it is.")
    thread_id: str | None = Field(default=None, min_length=1, max_length=256)
    session_id: str | None = Field(default=None, min_length=1, max_length=256)
    process_instance_id: str | None = Field(default=None, min_length=1, max_length=256)

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        given = self.model_fields_set
        if self.target is None:
            wrong = given & set(_RUN_ONLY) - {"target"}
            if not given & {"result", "status"}:
                raise ValueError("Give a target to be analysed, or the result of an analysis made elsewhere")
        else:
            wrong = given & set(_RESULT_ONLY)
        if wrong:
            raise ValueError(f"{', '.join(sorted(wrong))}: a target is analysed here, a result was made elsewhere")
        return self

    def context(self, owner: str, ip: str | None) -> Context:
        """Its owner and surroundings."""
        return Context(
            client_session_id=self.client_session_id or owner,
            client_ip=ip,
            thread_id=self.thread_id,
            session_id=self.session_id,
            process_instance_id=self.process_instance_id,
        )

    def as_result(self, owner: str, ip: str | None) -> NewResult:
        """As the service that keeps results wants it."""
        subject = None
        if self.subject is not None:
            subject = Subject(**{name: getattr(self.subject, name) for name in SubjectIn.model_fields})
        error = None
        if self.error is not None:
            known = self.error
            error = ErrorInfo(
                code=known.code, message=known.message, suggestions=tuple(known.suggestions), details=known.details
            )
        return NewResult(
            kind=self.kind,
            result=self.result,
            subject=subject,
            params=self.params,
            analysis_id=self.analysis_id,
            status=self.status or Status.COMPLETED,
            error=error,
            summary=self.summary,
            findings=[finding.value() for finding in self.findings],
            metrics=self.metrics,
            tags=self.tags,
            context=self.context(owner, ip),
            code_hash=self.code_hash,
            analyzer_version=self.analyzer_version,
            ttl_seconds=self.ttl_seconds,
            max_retrievals=self.max_retrievals,
        )

    def as_submission(self, owner: str, ip: str | None) -> dict[str, Any]:
        """As the service that runs analyses wants it, but for the kind and the target."""
        names = (
            "params",
            "tags",
            "force",
            "priority",
            "timeout_seconds",
            "ttl_seconds",
            "max_retrievals",
            "analysis_id",
        )
        return {name: getattr(self, name) for name in names} | {"context": self.context(owner, ip)}


class Refresh(Incoming):
    """How the new analysis differs from the old one."""

    params: JsonObject | None = Field(default=None, description="Other parameters; the same when left out.")
    timeout_seconds: float | None = Field(default=None, ge=0, le=LARGEST)


class Resume(Incoming):
    """How an ended analysis goes on."""

    timeout_seconds: float | None = Field(
        default=None, ge=0, le=LARGEST, description="How long the attempt may run; 0 for no limit."
    )


class SubjectOut(Outgoing):
    """What an analysis is about."""

    kind: str
    key: str
    revision: str
    title: str
    attributes: JsonObject


class ErrorOut(Outgoing):
    """Why an analysis ended without a complete result."""

    code: str
    message: str
    suggestions: list[str]
    details: JsonObject


class AnalysisOut(Outgoing):
    """An analysis; its result, findings and metrics are read apart."""

    analysis_id: str
    kind: str
    status: Status
    client_session_id: str = Field(description="Whose it is.")
    client_ip: str | None
    thread_id: str | None
    session_id: str | None
    process_instance_id: str | None
    subject: SubjectOut | None
    location: str
    params: JsonObject
    tags: list[str]
    summary: str
    code_hash: str | None
    fingerprint: str
    analyzer_version: str
    has_result: bool
    result_is_partial: bool
    result_hash: str | None = Field(description="SHA-256 of the result.")
    result_size_bytes: int | None
    error: ErrorOut | None
    finding_count: int
    priority: int
    timeout_seconds: float | None
    attempt: int
    cancel_requested: bool
    version: int
    refreshed_from: str | None
    created_at: Moment
    started_at: Moment | None
    completed_at: Moment | None
    updated_at: Moment
    freshness_level: Level | None = Field(description="How old the result is; null while there is no complete one.")
    stale_at: Moment | None = Field(description="When the result becomes stale by its age.")
    ttl_seconds: float | None
    expires_at: Moment | None
    retrieval_count: int
    max_retrievals: int | None
    is_anonymous: bool = Field(description="Whether an anonymous client owns it: kept for a while only.")
    is_pinned: bool
    deleted_at: Moment | None


class SubmittedOut(AnalysisOut):
    """What a request for an analysis led to."""

    reused: bool = Field(description="Whether it was there before: kept and fresh, or under way.")


class AnalysisPage(Outgoing):
    """A page of analyses."""

    items: list[AnalysisOut]
    next_cursor: str | None = Field(description="For the parameter `cursor` of the next request; null at the end.")
    total: Total = None


class DeletedOut(Outgoing):
    """What was put into the trash, and the way back."""

    success: bool = True
    analysis_id: str
    deleted_at: Moment | None
    restore: str | None = Field(description="POST here brings it back.")
    restorable_until: Moment | None


class AttemptOut(Outgoing):
    """One run of an analysis."""

    number: int
    worker: str
    status: Status
    started_at: Moment
    ended_at: Moment | None
    error: ErrorOut | None


class AttemptPage(Outgoing):
    """Every attempt, first one first."""

    items: list[AttemptOut]
    next_cursor: None = None
