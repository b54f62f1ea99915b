"""Submissions: an analysis is asked for, and run, or answered by what is kept or under way."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from holdfast.analyzers.registry import Registry
from holdfast.domain import ids
from holdfast.domain.access import LOCAL, Caller
from holdfast.domain.analysis import Analysis, Status
from holdfast.domain.checks import check_positive, check_priority, check_tags
from holdfast.domain.context import Context
from holdfast.domain.errors import (
    ContentConflict,
    IllegalMove,
)
from holdfast.domain.events import Event
from holdfast.domain.fingerprint import code_hash, fingerprint
from holdfast.domain.ports import Clock, IdSource
from holdfast.domain.retention import Rules
from holdfast.store.analyses import Stored
from holdfast.store.idempotency import Keyed
from holdfast.store.lists import Filter
from holdfast.store.unit_of_work import Store, UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What a request for an analysis led to.

    Attributes:
        analysis: the analysis.
        reused: whether it was there before: kept and fresh, or running for the same input.
    """

    analysis: Analysis
    reused: bool


class SubmissionsService:
    """Requests for analyses, for the first time and again."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        clock: Clock,
        id_source: IdSource,
        *,
        reuse_seconds: float,
        timeout_seconds: float | None,
        max_attempts: int,
        rules: Rules,
    ) -> None:
        """Work on ``store``.

        Args:
            store: where analyses are kept.
            registry: the analyzers.
            clock: tells the time.
            id_source: gives randomness.
            reuse_seconds: how old a result may be to answer a new request for the same input.
            timeout_seconds: how long an attempt may run unless the request says otherwise.
            max_attempts: how often a run is begun when its worker or process is lost.
            rules: how long things are kept.
        """
        self._rules = rules
        self._store = store
        self._registry = registry
        self._clock = clock
        self._ids = id_source
        self._reuse = timedelta(seconds=reuse_seconds)
        self._timeout_seconds = timeout_seconds
        self._max_attempts = max_attempts

    def submit(  # noqa: PLR0913 each is a choice of its own, all by keyword
        self,
        kind: str,
        target: str,
        *,
        params: Mapping[str, Any] | None = None,
        context: Context | None = None,
        tags: Sequence[str] = (),
        force: bool = False,
        analysis_id: str | None = None,
        priority: int = 0,
        timeout_seconds: float | None = None,
        ttl_seconds: float | None = None,
        max_retrievals: int | None = None,
        refreshed_from: str | None = None,
        idempotency_key: str | None = None,
        caller: Caller = LOCAL,
    ) -> Submission:
        """Ask for an analysis; a worker runs it.

        The same owner, kind, subject revision and parameters are answered by the result that is kept, if it is
        fresh, or by the run that is under way.

        Args:
            kind: the kind of analysis.
            target: what to analyse, in the analyzer's terms (a path, a URL).
            params: the analyzer's parameters.
            context: owner and surroundings.
            tags: labels for the new analysis.
            force: run anew though a fresh result is kept; a run under way still answers.
            analysis_id: the caller's own id.
            priority: higher runs first.
            timeout_seconds: how long an attempt may run, 0 for no limit; what the analyzer or the setting says when
                None.
            ttl_seconds: how long to keep it; as the kind's policy says when None.
            max_retrievals: how often its result may be retrieved; None without limit.
            refreshed_from: the analysis that it will take the place of.
            idempotency_key: names the request: within a day the same key of the same owner leads to the same
                analysis, whatever has become of it, and makes nothing.
            caller: who asks; what an anonymous one asks for is kept only for a while.

        Raises:
            UnknownKind: there is no such analyzer.
            InvalidTarget: there is nothing to analyse.
            InvalidParams: a parameter is wrong.
            ContentConflict: the id names another analysis.
            IdempotencyConflict: the key was used for another request.
            AnalysisGone: the key led to an analysis that is no longer there.
            Forbidden: it would belong to another owner than the caller.
        """
        check_positive("timeout_seconds", timeout_seconds or None)
        context = caller.context(context or Context())
        what = [kind, target, dict(params or {}), tags, force, analysis_id, refreshed_from]
        how = [priority, timeout_seconds, ttl_seconds, max_retrievals, replace(context, client_ip=None)]
        keyed = Keyed.of(context.client_session_id, idempotency_key, ["submit", what, how])
        # Before anything is looked at: what is repeated is answered though its target may be gone by now.
        again = None if keyed is None else self._store.read(lambda uow: uow.again(uow.idempotency.find(keyed)))
        if again is not None:
            return Submission(analysis=again[0], reused=True)
        work = self.prepare(
            kind,
            target,
            params=params,
            context=context,
            tags=tags,
            force=force,
            analysis_id=analysis_id,
            priority=priority,
            timeout_seconds=timeout_seconds,
            ttl_seconds=ttl_seconds,
            max_retrievals=max_retrievals,
            refreshed_from=refreshed_from,
            caller=caller,
        )

        def once(uow: UnitOfWork) -> Submission:
            again = uow.again(uow.idempotency.claim(keyed))
            if again is not None:
                return Submission(analysis=again[0], reused=True)
            submission = work(uow)
            uow.idempotency.settle(keyed, [submission.analysis.analysis_id])
            return submission

        return self._store.write(once)

    def prepare(  # noqa: PLR0913 as for submit
        self,
        kind: str,
        target: str,
        *,
        params: Mapping[str, Any] | None = None,
        context: Context,
        tags: Sequence[str] = (),
        force: bool = False,
        analysis_id: str | None = None,
        priority: int = 0,
        timeout_seconds: float | None = None,
        ttl_seconds: float | None = None,
        max_retrievals: int | None = None,
        refreshed_from: str | None = None,
        caller: Caller = LOCAL,
    ) -> Callable[[UnitOfWork], Submission]:
        """Make a request definite, to be submitted in a transaction with whatever else belongs to it.

        Args:
            kind: see ``submit``, as for all others.
            target: what to analyse; it is looked at here, outside of any transaction.
            params: the analyzer's parameters.
            context: owner and surroundings.
            tags: labels.
            force: run anew though a fresh result is kept.
            analysis_id: the caller's own id.
            priority: higher runs first.
            timeout_seconds: how long an attempt may run.
            ttl_seconds: how long to keep it.
            max_retrievals: how often its result may be retrieved.
            refreshed_from: the analysis that it will take the place of.
            caller: who asks.
        """
        analyzer = self._registry.get(kind)
        self._registry.import_path(kind)
        request = analyzer.resolve(target, dict(params or {}))
        default = request.timeout_seconds or self._timeout_seconds
        now = self._clock.now()
        analysis = Analysis(
            analysis_id=ids.given_or_new(analysis_id, now, self._ids.random),
            kind=kind,
            status=Status.QUEUED,
            context=context,
            subject=request.subject,
            location=request.location,
            params=dict(request.params),
            fingerprint=fingerprint(kind, request.subject, request.params),
            code_hash=code_hash(request.subject.revision) if request.subject.revision else None,
            analyzer_version=analyzer.version,
            tags=check_tags(tags),
            priority=check_priority(priority),
            timeout_seconds=(default if timeout_seconds is None else timeout_seconds) or None,
            created_at=now,
            updated_at=now,
            **self._rules.limits(kind, ttl_seconds, max_retrievals, is_anonymous=caller.is_anonymous),
            refreshed_from=None if refreshed_from is None else ids.check_id(refreshed_from, "refreshed_from"),
        )
        active_key = f"{context.client_session_id}\n{analysis.fingerprint}"

        def work(uow: UnitOfWork) -> Submission:
            while True:
                known = None if analysis_id is None else uow.find_taken(analysis_id, caller)
                if known is not None:
                    return _same_request(known.value, analysis)
                kept = None if force else self._fresh(uow, analysis)
                kept = kept or self._active(uow, active_key)
                if kept is not None:
                    uow.ledger.append([_reused(kept.value, analysis, uow)])
                    return Submission(analysis=kept.value, reused=True)
                if uow.add([analysis.submitted(self._max_attempts)], active_key=active_key):
                    return Submission(analysis=analysis, reused=False)
                # Another transaction was quicker: it took the id, or began the same run. Look again.
                if analysis_id is None and uow.analyses.find(analysis.analysis_id) is not None:
                    raise ContentConflict("The id that was drawn is taken", analysis_id=analysis.analysis_id)

        return work

    def refresh(
        self,
        analysis_id: str,
        *,
        params: Mapping[str, Any] | None = None,
        timeout_seconds: float | None = None,
        idempotency_key: str | None = None,
        caller: Caller = LOCAL,
    ) -> Submission:
        """Ask for the same analysis anew; the old result stays readable, and the new one says what it replaces.

        Args:
            analysis_id: the analysis.
            params: other parameters; the same when None.
            timeout_seconds: how long an attempt may run; as long as it might before when None.
            idempotency_key: the request's own name; repeated, it is answered by what it led to.
            caller: who asks.

        Raises:
            AnalysisNotFound: there is none.
            IllegalMove: it was not run by a worker, so none can run it again.
        """
        before = self._store.read(lambda uow: uow.find_visible(ids.check_id(analysis_id), caller)).value
        if not before.location:
            raise IllegalMove(
                "Only an analysis that a worker runs can be refreshed; call the function or store the result again",
                analysis_id=analysis_id,
            )
        return self.submit(
            before.kind,
            before.location,
            params=before.params if params is None else params,
            context=before.context,
            tags=before.tags,
            force=True,
            priority=before.priority,
            timeout_seconds=before.timeout_seconds if timeout_seconds is None else timeout_seconds,
            ttl_seconds=before.ttl_seconds,
            max_retrievals=before.max_retrievals,
            refreshed_from=analysis_id,
            idempotency_key=idempotency_key,
            caller=caller,
        )

    @staticmethod
    def _active(uow: UnitOfWork, active_key: str) -> Stored | None:
        """The run of the same input that is under way, unless it will bear no result that anybody may see."""
        active = uow.analyses.find_active(active_key)
        if active is None or not (active.value.cancel_requested or active.value.is_expired(uow.now)):
            return active
        uow.analyses.deactivate(active.key)
        return None

    def _fresh(self, uow: UnitOfWork, wanted: Analysis) -> Stored | None:
        same = Filter(
            client_session_id=wanted.context.client_session_id,
            kind=wanted.kind,
            status=(Status.COMPLETED,),
            visible_at=uow.now,
        )
        kept = uow.analyses.latest(same, fingerprint=wanted.fingerprint)
        return kept if kept is not None and kept.value.answers(wanted, uow.now, self._reuse) else None


def _same_request(kept: Analysis, wanted: Analysis) -> Submission:
    same = ("kind", "fingerprint", "context")
    if all(getattr(kept, name) == getattr(wanted, name) for name in same):
        return Submission(analysis=kept, reused=True)
    raise ContentConflict.of(kept.analysis_id)


def _reused(kept: Analysis, wanted: Analysis, uow: UnitOfWork) -> Event:
    return Event(
        name="analysis.reused",
        at=uow.now,
        analysis_id=kept.analysis_id,
        client_session_id=kept.context.client_session_id,
        actor=wanted.context.client_session_id,
        data={"kind": kept.kind, "status": kept.status.value},
    )
