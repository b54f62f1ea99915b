"""Analyses that run inside their callers' own processes.

Each has a job that is leased from birth by the process that runs it: the lease says that the process lives. When it
ends unrenewed, any worker and any other process that tracks something finds the job and tells the analysis's end.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from holdfast.domain import ids
from holdfast.domain.analysis import Analysis, Change, ErrorInfo, Status
from holdfast.domain.checks import check_kind, check_metrics, check_positive, check_tags
from holdfast.domain.errors import AnalysisNotFound, ProcessLost
from holdfast.domain.events import Event
from holdfast.domain.fingerprint import code_hash
from holdfast.domain.jobs import Job, NewJob
from holdfast.domain.ports import Clock, IdSource
from holdfast.domain.progress import Progress
from holdfast.domain.retention import Rules
from holdfast.domain.tracking import TRACK_JOB, Begun, Ending, Kept, Report, TrackRequest, track_scope
from holdfast.services import Lease
from holdfast.store.analyses import Stored
from holdfast.store.lists import Filter
from holdfast.store.payloads import Payload, pack, unpack
from holdfast.store.unit_of_work import Store, UnitOfWork


class TrackHandler:
    """Tells the end of an analysis whose process is gone; there is nothing to do for one whose process lives."""

    kind = TRACK_JOB
    is_long = False

    def handle(self, job: Job, lease: Lease) -> None:
        """Nothing: the job is never ready, so nobody claims it."""

    def lost(self, uow: UnitOfWork, job: Job, error: ErrorInfo, *, dead: bool) -> bool:
        """The process is gone, and what it ran has failed; nobody can repeat that, so the job is not kept."""
        stored = uow.analyses.find(str(job.payload["analysis_id"]), lock=True)
        if stored is None or stored.value.status is not Status.RUNNING:
            return False
        if stored.value.cancel_requested:
            # Nobody is left to stop it, so it stops here.
            status, why = Status.CANCELLED, ErrorInfo(code="ANALYSIS_CANCELLED", message="The analysis was cancelled")
        else:
            status = Status.FAILED
            why = ErrorInfo.of(ProcessLost(f"The process {job.lease_owner} ended, or was not heard of in time"))
        uow.runs.end_attempt(stored.key, stored.value.attempt, status, why, uow.now)
        uow.save(stored, stored.value.ended(status, uow.now, "system", why))
        return False


class TrackingService:
    """The use cases of an analysis that runs in this process."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        id_source: IdSource,
        *,
        process: str,
        reuse_seconds: float,
        lease_seconds: float,
        rules: Rules,
        take_back: Callable[[], object],
    ) -> None:
        """Work on ``store``.

        Args:
            store: where analyses are kept.
            clock: tells the time.
            id_source: gives randomness.
            process: this process's name, of no other process ever.
            reuse_seconds: how old a result may be to answer a new request for the same input.
            lease_seconds: how long the process may be silent before what it runs counts as lost.
            rules: how long things are kept.
            take_back: tells the end of what other processes have lost; where no worker runs, nobody else does.
        """
        self._store = store
        self._clock = clock
        self._ids = id_source
        self._process = process
        self._reuse = timedelta(seconds=reuse_seconds)
        self._lease = timedelta(seconds=lease_seconds)
        self._rules = rules
        self._take_back = take_back

    @property
    def reuses(self) -> bool:
        """Whether a kept result may answer at all."""
        return self._reuse > timedelta()

    def kept(self, wanted: TrackRequest) -> Kept | None:
        """The fresh kept result that answers; None when there is none."""
        # Never kept, only compared with what is kept.
        analysis = self._analysis(wanted, "")
        return self._store.read(lambda uow: self._answer(uow, analysis))

    def begin(self, wanted: TrackRequest) -> Begun | Kept:
        """Begin an analysis here, unless a kept result answers.

        Raises:
            InvalidInput: something that is wanted is not valid; the error names it.
            StoreError: nothing has begun.
        """
        # Looked for first: to give what is kept nothing is written.
        if wanted.reuse and (kept := self.kept(wanted)) is not None:
            return kept
        self._take_back()
        analysis = self._analysis(wanted, ids.uuid7(self._clock.now(), self._ids.random(10)))

        def work(uow: UnitOfWork) -> Begun | Kept:
            answer = self._answer(uow, analysis) if wanted.reuse else None
            return answer or self._insert(uow, analysis)

        return self._store.write(work)

    def beat(self, reports: Sequence[Report]) -> None:
        """Renew the leases of all that runs here, and keep how far it has come."""

        def work(uow: UnitOfWork) -> None:
            held = uow.jobs.heartbeat(self._process, uow.now + self._lease)
            for report in reports:
                if report.begun.job.id in held:
                    self._report(uow, report)

        self._store.write(work)

    def stopped(self, running: Sequence[Begun]) -> set[str]:
        """The ids of those that should stop: on request, or because they were deleted; nothing is written."""
        names = {begun.analysis.analysis_id for begun in running}
        there = self._store.read(lambda uow: uow.analyses.find_many(sorted(names)))
        return {name for name in names if name not in there or there[name].value.cancel_requested}

    def save(self, begun: Begun, key: str, value: bytes) -> None:
        """Keep a checkpoint: it is there for every later run of the same input, however this one ends."""
        # No fence: the scope is the input's, not the attempt's, so a process that lost its lease does no harm.
        self._store.write(lambda uow: uow.runs.save_checkpoints(begun.scope, {key: value}, uow.now))

    def load(self, begun: Begun, key: str) -> bytes | None:
        """A checkpoint, or None."""
        return self._store.load_checkpoints(begun.scope, [key]).get(key)

    def end(self, ending: Ending) -> Analysis:
        """Keep how an analysis ended, and forget its job.

        A process that was silent for too long (a laptop that slept) may have lost its analysis: it counts as
        failed. What it found all the same is as good as ever, so it is kept as a new analysis.

        Returns:
            The analysis as it is kept.

        Raises:
            AnalysisNotFound: it was deleted, and nothing is kept.
            StoreError: nothing is kept.
        """
        begun = ending.report.begun
        check_metrics(ending.metrics)
        payload = None if ending.content is None else pack(ending.content)

        def work(uow: UnitOfWork) -> Analysis:
            held = uow.jobs.remove(begun.job)
            stored = uow.analyses.find(begun.analysis.analysis_id, lock=True)
            if stored is None:
                raise AnalysisNotFound(
                    "The analysis was deleted while it ran, its result is not kept",
                    analysis_id=begun.analysis.analysis_id,
                )
            if held and stored.value.status is Status.RUNNING:
                return self._end(uow, stored, ending, payload)
            if ending.status is not Status.COMPLETED:
                return stored.value
            again = replace(
                begun.analysis,
                analysis_id=ids.uuid7(uow.now, self._ids.random(10)),
                refreshed_from=begun.analysis.analysis_id,
            )
            anew = self._insert(uow, again)
            uow.jobs.remove(anew.job)
            return self._end(uow, Stored(key=anew.key, value=again), ending, payload)

        return self._store.write(work)

    def _analysis(self, wanted: TrackRequest, analysis_id: str) -> Analysis:
        now = self._clock.now()
        revision = "" if wanted.subject is None else wanted.subject.revision
        return Analysis(
            analysis_id=analysis_id,
            kind=check_kind(wanted.kind),
            status=Status.RUNNING,
            context=wanted.context,
            subject=wanted.subject,
            params=dict(wanted.params),
            fingerprint=wanted.fingerprint,
            code_hash=code_hash(revision) if revision else None,
            analyzer_version=wanted.version,
            tags=check_tags(wanted.tags),
            attempt=1,
            created_at=now,
            started_at=now,
            updated_at=now,
            ttl_seconds=self._rules.ttl(
                wanted.kind, check_positive("ttl_seconds", wanted.ttl_seconds), is_anonymous=False
            ),
        )

    def _answer(self, uow: UnitOfWork, wanted: Analysis) -> Kept | None:
        same = Filter(
            client_session_id=wanted.context.client_session_id,
            kind=wanted.kind,
            status=(Status.COMPLETED,),
            visible_at=uow.now,
        )
        stored = uow.analyses.latest(same, fingerprint=wanted.fingerprint)
        if stored is None or not stored.value.answers(wanted, uow.now, self._reuse) or stored.value.result is None:
            return None
        digest = stored.value.result.hash
        return Kept(analysis=stored.value, content=unpack(digest, uow.payloads.read(digest)))

    def _insert(self, uow: UnitOfWork, analysis: Analysis) -> Begun:
        name = analysis.analysis_id
        key = uow.add([analysis.begun_here(self._actor)])[name]
        job = NewJob(kind=TRACK_JOB, payload={"analysis_id": name}, analysis_id=name)
        uow.runs.begin_attempt(key, analysis.attempt, self._process, uow.now)
        uow.runs.progressed(key, Progress(started_at=uow.now, updated_at=uow.now))
        return Begun(
            analysis=analysis,
            key=key,
            job=uow.jobs.lease_new(job, self._process, uow.now, self._lease),
            scope=track_scope(analysis),
        )

    def _report(self, uow: UnitOfWork, report: Report) -> None:
        analysis = report.begun.analysis
        uow.runs.progressed(report.begun.key, report.progress)
        events = [
            Event(
                name="analysis.entered_phase",
                at=entered.updated_at,
                analysis_id=analysis.analysis_id,
                client_session_id=analysis.context.client_session_id,
                actor=self._actor,
                data={
                    "kind": analysis.kind,
                    "phase": entered.phase,
                    "step": entered.current_step,
                    "steps": entered.total_steps,
                },
            )
            for entered in report.phases
        ]
        uow.ledger.append(events)

    def _end(self, uow: UnitOfWork, stored: Stored, ending: Ending, payload: Payload | None) -> Analysis:
        report = replace(ending.report, begun=replace(ending.report.begun, key=stored.key, analysis=stored.value))
        change = _change(stored.value, ending, payload, uow, self._actor)
        if ending.status is Status.COMPLETED:
            uow.runs.drop_checkpoints(report.begun.scope)
            report = replace(report, progress=report.progress.finished(uow.now))
        self._report(uow, report)
        uow.runs.end_attempt(stored.key, stored.value.attempt, ending.status, ending.error, uow.now)
        uow.save(stored, change, payload=payload, findings=ending.findings)
        uow.findings.add_metrics([(stored.key, ending.metrics)])
        return change.value

    @property
    def _actor(self) -> str:
        return f"process:{self._process}"


def _change(value: Analysis, ending: Ending, payload: Payload | None, uow: UnitOfWork, actor: str) -> Change:
    count = len(ending.findings)
    if ending.status is Status.COMPLETED and payload is not None:
        return value.completed(uow.now, actor, payload.ref, ending.summary, count)
    error = ending.error or ErrorInfo(code="RUN_ERROR", message="The analysis did not complete")
    change = value.ended(ending.status, uow.now, actor, error, None if payload is None else payload.ref)
    return replace(change, value=replace(change.value, summary=ending.summary, finding_count=count))
