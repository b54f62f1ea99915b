"""Results: received and given out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from holdfast.documents import to_json
from holdfast.domain import ids
from holdfast.domain.access import LOCAL, Caller
from holdfast.domain.analysis import Analysis, Change, ErrorInfo, Status
from holdfast.domain.checks import check_kind, check_metrics, check_tags
from holdfast.domain.context import Context
from holdfast.domain.errors import AnalysisGone, ContentConflict, InvalidInput, ResultNotFound, VersionConflict
from holdfast.domain.events import Event
from holdfast.domain.findings import Finding
from holdfast.domain.fingerprint import code_hash, fingerprint
from holdfast.domain.jobs import NewJob
from holdfast.domain.ports import Clock, IdSource
from holdfast.domain.retention import SWEEP_JOB, Rules
from holdfast.domain.subjects import Subject
from holdfast.store.idempotency import Keyed
from holdfast.store.payloads import Payload, pack
from holdfast.store.types import storable
from holdfast.store.unit_of_work import Store, UnitOfWork

_STORE_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class NewResult:
    """A result that was found elsewhere and is to be kept.

    Attributes:
        kind: the kind of analysis, any lower-case name.
        result: the result, JSON-able; None for an analysis that failed without one.
        subject: what was analysed.
        params: with what parameters, JSON-able.
        analysis_id: the caller's own id; a new one when None.
        status: how the analysis ended.
        error: why it did not complete.
        summary: one or two sentences.
        findings: what was found, in order.
        metrics: figures by name.
        tags: labels.
        context: its owner and surroundings.
        code_hash: SHA-256 of what was analysed; of the subject's revision when None.
        analyzer_version: the version of what analysed it.
        ttl_seconds: how long to keep it; None for ever.
        max_retrievals: how often it may be retrieved; None without limit.
    """

    kind: str
    result: Any = None
    subject: Subject | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    analysis_id: str | None = None
    status: Status = Status.COMPLETED
    error: ErrorInfo | None = None
    summary: str = ""
    findings: Sequence[Finding] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Sequence[str] = ()
    context: Context = Context()
    code_hash: str | None = None
    analyzer_version: str = ""
    ttl_seconds: float | None = None
    max_retrievals: int | None = None


class ResultsService:
    """The use cases of results that others made, and of giving results out."""

    def __init__(self, store: Store, clock: Clock, id_source: IdSource, *, rules: Rules) -> None:
        """Work on ``store``.

        Args:
            store: where results are kept.
            clock: tells the time.
            id_source: gives randomness.
            rules: how long things are kept.
        """
        self._store = store
        self._clock = clock
        self._ids = id_source
        self._rules = rules

    def store(
        self, results: Sequence[NewResult], *, idempotency_key: str | None = None, caller: Caller = LOCAL
    ) -> list[Analysis]:
        """Keep results that were found elsewhere, all in one transaction.

        Storing the same content under the same id again is harmless.

        Args:
            results: the results; their ids must differ from each other.
            idempotency_key: names the request, see ``SubmissionsService.submit``; the results must be one owner's then.
            caller: who stores them; what an anonymous one stores is kept only for a while.

        Returns:
            The analyses, in the same order.

        Raises:
            ContentConflict: an id is taken by other content; nothing was stored.
            IdempotencyConflict: the key was used for another request; nothing was stored.
            AnalysisGone: the key led to analyses that are no longer there.
            Forbidden: a result would belong to another owner than the caller.
        """
        prepared = [self._prepare(result, caller) for result in results]
        keyed = _keyed_results(prepared, idempotency_key)
        if len({analysis.analysis_id for analysis, _, _ in prepared}) != len(prepared):
            raise InvalidInput("Two results to be stored have the same analysis_id", field="analysis_id")

        # In one order for all writers: two batches that share ids or contents never wait for each other in a circle.
        ordered = sorted(prepared, key=lambda one: one[0].analysis_id)

        def work(uow: UnitOfWork) -> list[Analysis]:
            again = uow.again(uow.idempotency.claim(keyed))
            if again is not None:
                return again
            uow.payloads.put([payload for _, payload, _ in ordered if payload is not None])
            kept = {
                kept.analysis_id: kept
                for start in range(0, len(ordered), _STORE_AT_ONCE)
                for kept in _store(uow, ordered[start : start + _STORE_AT_ONCE], caller)
            }
            analyses = [kept[analysis.analysis_id] for analysis, _, _ in prepared]
            uow.idempotency.settle(keyed, [analysis.analysis_id for analysis in analyses])
            if caller.is_anonymous and uow.counters.value("anonymous_bytes") > self._rules.anonymous_bytes:
                # A flood of results must not have the disk until the next sweep is due.
                uow.jobs.enqueue([NewJob(kind=SWEEP_JOB, unique_key=f"schedule:{SWEEP_JOB}")], uow.now)
            return analyses

        return self._store.write(work)

    def _prepare(self, new: NewResult, caller: Caller) -> "_Prepared":
        check_kind(new.kind)
        if not new.status.ended:
            raise InvalidInput("A result is stored when its analysis has ended", field="status")
        if new.status is Status.COMPLETED and new.result is None:
            raise InvalidInput("A completed analysis needs a result", field="result")
        check_metrics(new.metrics)
        payload = None if new.result is None else pack(to_json(new.result))
        now = self._clock.now()
        hashed = new.code_hash
        if hashed is None and new.subject is not None and new.subject.revision:
            hashed = code_hash(new.subject.revision)
        analysis = Analysis(
            analysis_id=ids.given_or_new(new.analysis_id, now, self._ids.random),
            kind=new.kind,
            status=new.status,
            context=caller.context(new.context),
            subject=new.subject,
            params=dict(new.params),
            fingerprint=fingerprint(new.kind, new.subject, new.params),
            code_hash=hashed,
            analyzer_version=new.analyzer_version,
            summary=new.summary,
            tags=check_tags(new.tags),
            result=None if payload is None else payload.ref,
            result_is_partial=payload is not None and new.status is not Status.COMPLETED,
            error=new.error,
            finding_count=len(new.findings),
            created_at=now,
            started_at=now,
            completed_at=now,
            updated_at=now,
            **self._rules.limits(new.kind, new.ttl_seconds, new.max_retrievals, is_anonymous=caller.is_anonymous),
        )
        return analysis, payload, new

    def retrieve(self, analysis_id: str, *, caller: Caller = LOCAL) -> tuple[Analysis, bytes]:
        """An analysis and its result, and one retrieval counted.

        However many retrieve at once, no more get it than ``max_retrievals``.

        Args:
            analysis_id: the analysis.
            caller: who asks.

        Returns:
            The analysis, and its result's JSON as it is kept: a zstd frame.

        Raises:
            AnalysisNotFound: there is none.
            AnalysisGone: it has expired or is used up.
            ResultNotFound: it has no result; nothing is counted.
        """

        def work(uow: UnitOfWork) -> tuple[Analysis, bytes]:
            stored = uow.find_visible(ids.check_id(analysis_id), caller)
            value = stored.value
            if value.result is None:
                raise ResultNotFound(f"The analysis is {value.status} and has no result", analysis_id=analysis_id)
            count = uow.analyses.retrieved(stored.key, uow.now)
            if count is None:
                # Somebody else had the last one since it was looked at.
                raise AnalysisGone(analysis_id=analysis_id)
            return replace(value, retrieval_count=count), uow.payloads.read(value.result.hash)

        return self._store.write(work)


_Prepared = tuple[Analysis, Payload | None, NewResult]


def _keyed_results(prepared: Sequence[_Prepared], key: str | None) -> Keyed | None:
    owners = {analysis.context.client_session_id for analysis, _, _ in prepared}
    if key is None or not owners:
        return None
    if len(owners) > 1:
        raise InvalidInput("An idempotency key is for results of one owner", field="idempotency_key")
    asked = [
        [
            None if payload is None else payload.ref.hash,
            replace(new, result=None, context=replace(analysis.context, client_ip=None)),
        ]
        for analysis, payload, new in prepared
    ]
    return Keyed.of(owners.pop(), key, ["store", asked])


def _store(uow: UnitOfWork, prepared: Sequence[_Prepared], caller: Caller) -> list[Analysis]:
    changes = {
        analysis.analysis_id: Change(value=analysis, events=(_stored_event(analysis),)) for analysis, _, _ in prepared
    }
    keys = uow.add(list(changes.values()))
    for taken in sorted(changes.keys() - keys.keys()):
        if uow.find_taken(taken, caller) is None:
            keys |= uow.add([changes[taken]])
    kept = []
    metrics = []
    for analysis, payload, new in prepared:
        key = keys.get(analysis.analysis_id)
        if key is None:
            if payload is not None:
                uow.payloads.release(payload.ref.hash)
            kept.append(_same_content(uow, analysis, new))
            continue
        metrics.append((key, new.metrics))
        if new.findings:
            uow.findings.add(key, new.findings)
        kept.append(analysis)
    uow.findings.add_metrics(metrics)
    return kept


def _stored_event(analysis: Analysis) -> Event:
    return Event(
        name=f"analysis.{analysis.status.value}",
        at=analysis.created_at,
        analysis_id=analysis.analysis_id,
        client_session_id=analysis.context.client_session_id,
        actor=analysis.context.client_session_id,
        data={"kind": analysis.kind, "findings": analysis.finding_count},
    )


def _same_content(uow: UnitOfWork, analysis: Analysis, new: NewResult) -> Analysis:
    stored = uow.analyses.find(analysis.analysis_id)
    if stored is None:
        raise VersionConflict("It was deleted while the same was stored again", analysis_id=analysis.analysis_id)
    kept = stored.value
    metrics = {metric.name: metric.value for metric in uow.findings.metrics_of(stored.key)}
    findings = [finding for _, finding in uow.findings.of_analysis(stored.key)]
    there = [*(getattr(kept, name) for name in _CONTENT), findings]
    wanted = [*(getattr(analysis, name) for name in _CONTENT), list(new.findings)]
    if metrics != dict(new.metrics) or _as_read(there) != _as_read(wanted):
        raise ContentConflict.of(analysis.analysis_id)
    return kept


def _as_read(value: Any) -> Any:
    """A value as the store gives it back: JSON knows no tuples, and databases not every character."""
    plain = msgspec.to_builtins(value, str_keys=True)

    def cleaned(item: Any) -> Any:
        if isinstance(item, dict):
            return {storable(key): cleaned(inner) for key, inner in item.items()}
        if isinstance(item, (list, tuple)):
            return [cleaned(inner) for inner in item]
        return storable(item) if isinstance(item, str) else item

    return cleaned(plain)


_CONTENT = ("kind", "status", "context", "fingerprint", "code_hash", "summary", "tags", "result", "error")
