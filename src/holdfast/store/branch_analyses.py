"""Analyses of branches that others made, kept as ordinary ones of the branch's subject."""

from dataclasses import dataclass
from datetime import datetime

from holdfast.documents import to_json
from holdfast.domain.analysis import Analysis, Change, Status
from holdfast.domain.branch_analyses import BRANCH_KIND, BranchAnalysisResult
from holdfast.domain.checks import check_metrics, check_tags
from holdfast.domain.context import Context
from holdfast.domain.errors import VersionConflict
from holdfast.domain.events import Event
from holdfast.domain.findings import Finding
from holdfast.domain.fingerprint import code_hash, fingerprint
from holdfast.domain.repositories import BRANCH_SUBJECT, Repository, branch_subject
from holdfast.domain.retention import Rules
from holdfast.store.analyses import Stored
from holdfast.store.lists import Filter
from holdfast.store.payloads import Payload, pack
from holdfast.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An analysis ready to be kept; made before the transaction, which then only writes.

    Attributes:
        analysis: the analysis.
        payload: its result.
        findings: its issues.
        figures: its metrics.
    """

    analysis: Analysis
    payload: Payload
    findings: list[Finding]
    figures: dict[str, float]


def prepare(result: BranchAnalysisResult, repository: Repository, rules: Rules, now: datetime) -> Prepared:
    """Make a branch's result an analysis."""
    subject = branch_subject(repository, result.branch_name, result.commit_sha)
    payload = pack(to_json(result.content()))
    at = result.analysis_timestamp or now
    findings, figures = result.findings(), result.figures()
    check_metrics(figures)
    analysis = Analysis(
        analysis_id=result.analysis_id(repository.client_session_id, subject.key),
        kind=BRANCH_KIND,
        status=Status.COMPLETED,
        context=Context(client_session_id=repository.client_session_id),
        subject=subject,
        params={},
        fingerprint=fingerprint(BRANCH_KIND, subject, {}),
        code_hash=code_hash(result.commit_sha),
        summary=result.ai_summary or "",
        tags=check_tags(result.technologies),
        result=payload.ref,
        finding_count=len(findings),
        # When it was analysed, not when it came here: a history in the order of what happened.
        created_at=at,
        started_at=at,
        completed_at=at,
        updated_at=at,
        **rules.limits(BRANCH_KIND, None, None, is_anonymous=False),
    )
    return Prepared(analysis=analysis, payload=payload, findings=findings, figures=figures)


def keep(uow: UnitOfWork, prepared: Prepared, by: str) -> tuple[Analysis, bool]:
    """Keep it, unless it is kept already.

    Returns:
        The analysis as it is kept, and whether it is new.
    """
    analysis = prepared.analysis
    event = Event(
        name="analysis.completed",
        at=uow.now,
        analysis_id=analysis.analysis_id,
        client_session_id=analysis.context.client_session_id,
        actor=by,
        data={"kind": analysis.kind, "findings": analysis.finding_count},
    )
    change = Change(value=analysis, events=(event,))
    uow.payloads.put([prepared.payload])
    keys = uow.add([change])
    if not keys:
        # The id names the content: what has it is the same, or nobody sees it any more and it gives way.
        stored = uow.analyses.find(analysis.analysis_id, lock=True)
        if stored is not None and stored.value.is_visible(uow.now):
            uow.payloads.release(prepared.payload.ref.hash)
            return stored.value, False
        if stored is not None:
            uow.drop(stored, stored.value.purged(uow.now, by))
        keys = uow.add([change])
    if not keys:
        raise VersionConflict("Another transaction stored the same at this moment", analysis_id=analysis.analysis_id)
    key = keys[analysis.analysis_id]
    uow.findings.add(key, prepared.findings)
    uow.findings.add_metrics([(key, prepared.figures)])
    return analysis, True


def history(repository: Repository, branch_name: str, commit_sha: str | None, now: datetime) -> Filter:
    """The complete analyses of a branch, whoever made them: the code analyzer's are among them."""
    return Filter(
        client_session_id=repository.client_session_id,
        subject=(BRANCH_SUBJECT, branch_subject(repository, branch_name).key),
        revision=commit_sha,
        status=(Status.COMPLETED,),
        visible_at=now,
    )


def latest(uow: UnitOfWork, repository: Repository, branch_name: str, commit_sha: str | None) -> Stored | None:
    """The newest complete analysis of a branch."""
    return uow.analyses.latest(history(repository, branch_name, commit_sha, uow.now))
