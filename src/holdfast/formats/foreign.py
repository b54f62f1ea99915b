"""What another program's file says of an analysis, before it is kept; and which format a file is of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from holdfast.domain.analysis import ErrorInfo, Status
from holdfast.domain.context import Context
from holdfast.domain.errors import InvalidInput
from holdfast.domain.findings import Finding
from holdfast.domain.subjects import Subject


class Format(StrEnum):
    """What a file may be."""

    BUNDLE = "bundle"
    ANALYSES = "analyses"
    SARIF = "sarif"
    MLFLOW = "mlflow"
    OTEL = "otel"


class InvalidFile(InvalidInput):
    """The file is not of a format that can be imported."""

    code = "INVALID_FILE"
    suggestions = ("Say with --format what it is: bundle, analyses, sarif, mlflow or otel",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """An analysis of elsewhere.

    Attributes:
        analysis_id: the same whenever the same is read again.
        kind: its kind.
        result: all that the file says of it, JSON-able; None for a failure without a result.
        status: how it ended.
        created_at: when it began there; None where the file does not say.
        completed_at: when it ended there.
        error: why it did not complete.
        subject: what was analysed.
        params: with what parameters.
        context: its surroundings.
        summary: a sentence.
        findings: what was found.
        metrics: the latest figures, finite.
        tags: labels.
        analyzer_version: of the program that made it.
        skipped: what is in the result only, by name and how often.
    """

    analysis_id: str
    kind: str
    result: Any
    status: Status = Status.COMPLETED
    created_at: datetime | None = None
    completed_at: datetime | None = None
    error: ErrorInfo | None = None
    subject: Subject | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    context: Context = Context()
    summary: str = ""
    findings: tuple[Finding, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    analyzer_version: str = ""
    skipped: Mapping[str, int] = field(default_factory=dict)


def detect(beginning: bytes) -> Format:
    """The format of a file by its first bytes, unpacked.

    Raises:
        InvalidFile: it is none of those known.
    """
    head = beginning.lstrip()
    if head.startswith(b'{"bundle":'):
        return Format.BUNDLE
    marks = {
        Format.SARIF: (b'"$schema"', b'"runs"', b"sarif"),
        Format.MLFLOW: (b'"run_id"', b'"run_uuid"', b'"experiment_id"'),
        Format.OTEL: (b'"resourceSpans"',),
        Format.ANALYSES: (b'"exported_at"', b'"analyses"', b'"total_count"'),
    }
    places = {
        kind: min((head.find(mark) for mark in found if mark in head), default=-1) for kind, found in marks.items()
    }
    if b"sarif" not in head.lower() and b'"tool"' not in head:
        places[Format.SARIF] = -1
    known = [(place, kind) for kind, place in places.items() if place >= 0]
    if not known:
        raise InvalidFile("The file is no bundle, no export of analyses, no SARIF log, no MLflow run and no OTLP trace")
    return min(known)[1]


def moment(value: Any) -> datetime | None:
    """A moment as files give it: ISO 8601, or milliseconds since 1970; without a zone it is UTC."""
    if value is None or value == "":
        return None
    try:
        if isinstance(value, (int, float)):
            return datetime.fromtimestamp(value / 1000, UTC)
        at = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidFile(f"{value!r} is no moment") from error
    return at if at.utcoffset() is not None else at.replace(tzinfo=UTC)
