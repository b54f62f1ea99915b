"""Analyses: cancelled, resumed, deleted, restored, pinned."""

from collections.abc import Collection

from holdfast.domain import ids
from holdfast.domain.access import LOCAL, Caller
from holdfast.domain.analysis import Analysis, Status
from holdfast.domain.checks import check_positive, check_version
from holdfast.domain.errors import (
    AnalysisGone,
    AnalysisNotFound,
    IllegalMove,
)
from holdfast.domain.retention import Rules
from holdfast.domain.tracking import track_scope
from holdfast.store.analyses import Stored
from holdfast.store.unit_of_work import Store, UnitOfWork


class AnalysesService:
    """The use cases that change analyses."""

    def __init__(self, store: Store, *, max_attempts: int, rules: Rules) -> None:
        """Work on ``store``.

        Args:
            store: where analyses are kept.
            max_attempts: how often a run is begun when its worker or process is lost.
            rules: how long things are kept.
        """
        self._store = store
        self._max_attempts = max_attempts
        self._rules = rules

    def cancel(self, analysis_id: str, *, versions: Collection[int] | None = None, caller: Caller = LOCAL) -> Analysis:
        """Stop an analysis; one that runs ends as soon as its worker hears of it, within a second.

        Args:
            analysis_id: the analysis.
            versions: only if it is at one of these; whichever it is at when None.
            caller: who asks.

        Raises:
            AnalysisNotFound: there is none.
            StaleVersion: it is at another version.
            IllegalMove: it has ended already.
        """

        def work(uow: UnitOfWork) -> Analysis:
            stored = _found(uow, analysis_id, caller, versions)
            change = stored.value.cancel_asked(uow.now, caller.name)
            uow.save(stored, change)
            if change.value.status.ended:
                uow.jobs.drop_of_analysis(analysis_id)
            return change.value

        return self._store.write(work)

    def resume(
        self,
        analysis_id: str,
        *,
        timeout_seconds: float | None = None,
        versions: Collection[int] | None = None,
        caller: Caller = LOCAL,
    ) -> Analysis:
        """Queue an analysis that failed, timed out or was cancelled again; it goes on from its last checkpoint.

        Args:
            analysis_id: the analysis.
            timeout_seconds: how long the attempt may run; as long as the one before when None; 0 for no limit.
            versions: only if it is at one of these; whichever it is at when None.
            caller: who asks.

        Raises:
            AnalysisNotFound: there is none.
            StaleVersion: it is at another version.
            IllegalMove: it has not ended, is complete, or was not run by a worker.
        """
        check_positive("timeout_seconds", timeout_seconds or None)

        def work(uow: UnitOfWork) -> Analysis:
            stored = _found(uow, analysis_id, caller, versions)
            value = stored.value
            if not value.location:
                raise IllegalMove(
                    "Only an analysis that a worker runs can be resumed; call the function or store the result again",
                    analysis_id=analysis_id,
                )
            change = value.resumed(uow.now, caller.name, self._max_attempts, timeout_seconds)
            uow.save(stored, change)
            active_key = f"{value.context.client_session_id}\n{value.fingerprint}"
            if not uow.analyses.activate(stored.key, active_key):
                raise IllegalMove("The same input is being analysed by another run", analysis_id=analysis_id)
            return change.value

        return self._store.write(work)

    def delete(
        self,
        analysis_id: str,
        *,
        purge: bool = False,
        versions: Collection[int] | None = None,
        caller: Caller = LOCAL,
    ) -> Analysis:
        """Put an analysis into the trash, from where it may be restored for a while; a run under way stops.

        It is invisible at once, and its input may be run again.

        Args:
            analysis_id: the analysis.
            purge: drop it for good, with its result, findings and checkpoints; also one that is in the trash.
            versions: only if it is at one of these; whichever it is at when None.
            caller: who asks.

        Raises:
            AnalysisNotFound: there is none.
            StaleVersion: it is at another version.
        """

        def work(uow: UnitOfWork) -> Analysis:
            find = uow.find_owned if purge else uow.find_visible
            stored = find(ids.check_id(analysis_id), caller, lock=True)
            value = stored.value
            check_version(value.version, versions, analysis_id)
            if value.attempt and not value.location and not uow.analyses.runs_elsewhere(value):
                # What ran inside somebody's own process: nobody goes on from where it stopped.
                uow.runs.drop_checkpoints(track_scope(value))
            if not purge and self._rules.trash_seconds:
                change = value.trashed(uow.now, caller.name)
                uow.save(stored, change)
                uow.analyses.deactivate(stored.key)
                if value.status is Status.QUEUED:
                    uow.jobs.drop_of_analysis(analysis_id)
                return change.value
            if not uow.drop(stored, value.purged(uow.now, caller.name)):
                raise AnalysisNotFound(analysis_id=analysis_id)
            return value

        return self._store.write(work)

    def restore(self, analysis_id: str, *, versions: Collection[int] | None = None, caller: Caller = LOCAL) -> Analysis:
        """Take an analysis out of the trash.

        Args:
            analysis_id: the analysis.
            versions: only if it is at one of these; whichever it is at when None.
            caller: who asks.

        Raises:
            AnalysisNotFound: there is none.
            AnalysisGone: it was deleted too long ago, or has expired.
            StaleVersion: it is at another version.
            IllegalMove: it is not in the trash.
        """

        def work(uow: UnitOfWork) -> Analysis:
            stored = uow.find_owned(ids.check_id(analysis_id), caller, lock=True)
            value = stored.value
            deleted_at = value.deleted_at
            if value.is_expired(uow.now) or (deleted_at and self._rules.trash_ends(deleted_at) <= uow.now):
                raise AnalysisGone(analysis_id=analysis_id)
            check_version(value.version, versions, analysis_id)
            if deleted_at is None:
                raise IllegalMove("The analysis is not in the trash", analysis_id=analysis_id)
            change = value.restored(uow.now, caller.name)
            uow.save(stored, change)
            return change.value

        return self._store.write(work)

    def pin(self, analysis_id: str, *, versions: Collection[int] | None = None, caller: Caller = LOCAL) -> Analysis:
        """Keep an analysis whatever retention says, until it is unpinned: it does not expire and is not used up.

        Args:
            analysis_id: the analysis.
            versions: only if it is at one of these; whichever it is at when None.
            caller: who asks.

        Raises:
            AnalysisNotFound: there is none.
            StaleVersion: it is at another version.
        """
        return self._pin(analysis_id, caller, versions, is_pinned=True)

    def unpin(self, analysis_id: str, *, versions: Collection[int] | None = None, caller: Caller = LOCAL) -> Analysis:
        """Leave an analysis to retention again; one whose time is past is gone at once.

        Args:
            analysis_id: the analysis.
            versions: only if it is at one of these; whichever it is at when None.
            caller: who asks.

        Raises:
            AnalysisNotFound: there is none.
            StaleVersion: it is at another version.
        """
        return self._pin(analysis_id, caller, versions, is_pinned=False)

    def _pin(self, analysis_id: str, caller: Caller, versions: Collection[int] | None, *, is_pinned: bool) -> Analysis:
        def work(uow: UnitOfWork) -> Analysis:
            stored = _found(uow, analysis_id, caller, versions)
            change = stored.value.pinned(uow.now, caller.name, is_pinned=is_pinned)
            uow.save(stored, change)
            return change.value

        return self._store.write(work)


def _found(uow: UnitOfWork, analysis_id: str, caller: Caller, versions: Collection[int] | None) -> Stored:
    """The analysis that is to be changed, held, and at one of these versions."""
    stored = uow.find_visible(ids.check_id(analysis_id), caller, lock=True)
    check_version(stored.value.version, versions, analysis_id)
    return stored
