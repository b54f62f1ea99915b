"""Refreshes: marked, scheduled, called off, and begun by themselves where something is stale."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from holdfast.domain import ids
from holdfast.domain.access import LOCAL, Caller
from holdfast.domain.analysis import Analysis, ErrorInfo
from holdfast.domain.checks import check_limit
from holdfast.domain.context import Context
from holdfast.domain.errors import BranchUnknown, HoldfastError, RefreshNotFound, RefreshUnderWay
from holdfast.domain.events import Event
from holdfast.domain.freshness import FreshnessRules
from holdfast.domain.jobs import Job
from holdfast.domain.ports import IdSource
from holdfast.domain.refresh import (
    CHECK_JOB,
    RUN_REFRESH_JOB,
    AutoRefresh,
    RefreshRules,
    RefreshTask,
    TaskStatus,
    check_now,
    due,
    run_key,
)
from holdfast.services import Effect, Lease
from holdfast.store.lists import Place
from holdfast.store.refreshes import StoredRefresh, Target
from holdfast.store.retention import Mark
from holdfast.store.unit_of_work import Store, UnitOfWork

_log = logging.getLogger(__name__)

DEFAULT_DELAY_MINUTES = 60.0
_SWITCH = "auto_refresh"
_LARGEST_PAGE = 1000
_NAMED = 100
_FORGOTTEN_AT_ONCE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPage:
    """A page of refreshes.

    Attributes:
        items: newest first.
        next: where the next page begins; None when this is the last one.
    """

    items: list[RefreshTask]
    next: Place | None


class RefreshService:
    """The use cases of refreshes."""

    def __init__(self, store: Store, id_source: IdSource, rules: RefreshRules) -> None:
        """Work on ``store``.

        Args:
            store: where refreshes are kept.
            id_source: gives randomness.
            rules: what refreshing by itself goes by.
        """
        self._store = store
        self._ids = id_source
        self._rules = rules

    def mark_for_refresh(self, repo_id: str, branch_name: str, *, caller: Caller = LOCAL) -> datetime:
        """Ask for a refresh of a branch, whenever there is time: it is stale from now on.

        An analysis that began later answers it; one under way does not.

        Args:
            repo_id: the repository.
            branch_name: the branch.
            caller: who asks.

        Returns:
            The moment.

        Raises:
            BranchUnknown: there is no such branch.
        """

        def work(uow: UnitOfWork) -> datetime:
            known = uow.freshness.branch(repo_id, branch_name, caller)
            uow.freshness.mark(known.key, caller.name)
            event = Event(
                name="branch.marked",
                at=uow.now,
                client_session_id=known.client_session_id,
                actor=caller.name,
                data={"repo_id": known.repo_id, "branch": known.branch_name},
            )
            uow.ledger.append([event])
            if self._is_enabled(uow):
                uow.jobs.enqueue([check_now()], uow.now)
            return uow.now

        return self._store.write(work)

    def schedule_refresh(
        self,
        repo_id: str,
        branch_name: str,
        delay_minutes: float = DEFAULT_DELAY_MINUTES,
        *,
        caller: Caller = LOCAL,
    ) -> RefreshTask:
        """Refresh a branch after a delay; one that waits already is put to the new moment.

        Args:
            repo_id: the repository.
            branch_name: the branch.
            delay_minutes: how long to wait; 0 for at once.
            caller: who asks.

        Raises:
            BranchUnknown: there is no such branch.
            RefreshUnderWay: it is being refreshed.
            InvalidInput: the delay is none.
        """

        def work(uow: UnitOfWork) -> RefreshTask:
            known = uow.freshness.branch(repo_id, branch_name, caller)
            run_at = due(uow.now, delay_minutes)
            while True:
                waiting = uow.refreshes.open_of(known.key, lock=True)
                if waiting is not None and waiting.value.status is not TaskStatus.SCHEDULED:
                    raise RefreshUnderWay(
                        f"The branch {branch_name!r} is being refreshed",
                        analysis_id=waiting.value.analysis_id,
                        task_id=waiting.value.task_id,
                    )
                if waiting is not None:
                    return self._moved(uow, waiting, run_at, delay_minutes, caller)
                task = self._new(uow, known.key, run_at, delay_minutes, caller.name, is_automatic=False)
                if task is not None:
                    return task

        return self._store.write(work)

    @staticmethod
    def _moved(
        uow: UnitOfWork, waiting: StoredRefresh, run_at: datetime, delay_minutes: float, caller: Caller
    ) -> RefreshTask:
        task = waiting.value.rescheduled(run_at, delay_minutes)
        uow.refreshes.update(waiting, task)
        uow.jobs.drop_unique(run_key(task.task_id))
        uow.jobs.enqueue([task.job()], uow.now)
        uow.ledger.append([task.event("refresh.scheduled", uow.now, caller.name, delay_minutes=delay_minutes)])
        return task

    def _new(
        self, uow: UnitOfWork, branch: int, run_at: datetime, delay_minutes: float, by: str, *, is_automatic: bool
    ) -> RefreshTask | None:
        """Keep a refresh that waits; None when another transaction was quicker."""
        owner, repo_id, name = uow.refreshes.branch(branch)
        task = RefreshTask(
            task_id=ids.given_or_new(None, uow.now, self._ids.random),
            client_session_id=owner,
            repo_id=repo_id,
            branch_name=name,
            is_automatic=is_automatic,
            delay_minutes=delay_minutes,
            run_at=run_at,
            created_at=uow.now,
            created_by=by,
            failures=uow.refreshes.failures(branch),
        )
        if not uow.refreshes.insert(branch, task):
            return None
        uow.jobs.enqueue([task.job()], uow.now)
        uow.ledger.append([task.event("refresh.scheduled", uow.now, by, delay_minutes=delay_minutes)])
        return task

    def get_scheduled_tasks(
        self,
        statuses: Sequence[TaskStatus] = (),
        *,
        limit: int = 100,
        after: Place | None = None,
        caller: Caller = LOCAL,
    ) -> TaskPage:
        """A page of refreshes, newest first: those that wait, run, or were over lately.

        Args:
            statuses: one of these; of all when empty.
            limit: rows at most, up to 1,000.
            after: ``next`` of the page before.
            caller: who asks.
        """
        check_limit(limit, _LARGEST_PAGE)

        def look(uow: UnitOfWork) -> TaskPage:
            rows = uow.refreshes.page(caller.sees, statuses, limit=limit + 1, after=after)
            shown = rows[:limit]
            more = len(rows) > limit
            place = Place(created_at=shown[-1].value.created_at, key=shown[-1].key) if more else None
            return TaskPage(items=[row.value for row in shown], next=place)

        return self._store.read(look)

    def cancel_refresh(self, task_id: str, *, caller: Caller = LOCAL) -> RefreshTask:
        """Call off a refresh that waits.

        Raises:
            RefreshNotFound: there is none.
            IllegalMove: it has begun; then its analysis can be cancelled.
        """

        def work(uow: UnitOfWork) -> RefreshTask:
            stored = uow.refreshes.find(ids.check_id(task_id, "task_id"), lock=True)
            if stored is None or not caller.may_see(stored.value.client_session_id):
                raise RefreshNotFound(f"There is no refresh {task_id}", task_id=task_id)
            change = stored.value.cancelled(uow.now, caller.name)
            uow.refreshes.update(stored, change.value)
            uow.jobs.drop_unique(run_key(task_id))
            uow.ledger.append(change.events)
            return change.value

        return self._store.write(work)

    def cleanup_completed_tasks(self, older_than_hours: float = 24.0, *, caller: Caller = LOCAL) -> int:
        """Forget refreshes that were over so long ago; returns how many."""
        owner, age = caller.sees, timedelta(hours=older_than_hours)
        gone = 0
        while True:
            count = self._store.write(lambda uow: uow.refreshes.forget(uow.now - age, owner, _FORGOTTEN_AT_ONCE))
            gone += count
            if count < _FORGOTTEN_AT_ONCE:
                return gone

    def enable_auto_refresh(self, *, caller: Caller = LOCAL) -> AutoRefresh:
        """Let workers refresh what is stale by themselves, from now on and after every restart."""
        return self._switch(caller, is_on=True)

    def disable_auto_refresh(self, *, caller: Caller = LOCAL) -> AutoRefresh:
        """Let workers refresh nothing by themselves any more; what has begun goes on."""
        return self._switch(caller, is_on=False)

    def _switch(self, caller: Caller, *, is_on: bool) -> AutoRefresh:
        def work(uow: UnitOfWork) -> AutoRefresh:
            if self._is_enabled(uow) is not is_on:
                name = "auto_refresh.enabled" if is_on else "auto_refresh.disabled"
                uow.ledger.append([Event(name=name, at=uow.now, actor=caller.name)])
            uow.retention.put_mark(_SWITCH, Mark(at=uow.now, data={"enabled": is_on}))
            if is_on:
                uow.jobs.enqueue([check_now()], uow.now)
            return self._status(uow, caller)

        return self._store.write(work)

    def get_status(self, *, caller: Caller = LOCAL) -> AutoRefresh:
        """How refreshing by itself stands; of what is being refreshed, what the caller may see."""
        return self._store.read(lambda uow: self._status(uow, caller))

    def _status(self, uow: UnitOfWork, caller: Caller) -> AutoRefresh:
        count, shown = uow.refreshes.executing(caller.sees, _NAMED)
        next_at = next((one.next_at for one in uow.jobs.schedules() if one.name == CHECK_JOB and one.enabled), None)
        return AutoRefresh(
            # A schedule is kept going by workers: where it is long overdue, there are none.
            running=next_at is not None and uow.now < next_at + timedelta(seconds=self._rules.check_seconds),
            auto_refresh_enabled=self._is_enabled(uow),
            check_interval_minutes=self._rules.check_seconds / 60,
            refreshing_branches=tuple(shown),
            currently_refreshing=count,
            next_check_at=next_at,
        )

    def _is_enabled(self, uow: UnitOfWork) -> bool:
        mark = uow.retention.mark(_SWITCH)
        return self._rules.is_enabled if mark is None else bool(mark.data["enabled"])

    def check(self, rules: FreshnessRules, versions: dict[str, str]) -> list[RefreshTask]:
        """Begin to refresh what is stale, as much as may run at once; nothing while that is disabled.

        Args:
            rules: what is stale.
            versions: the present version of analyzers by kind.

        Returns:
            What was begun.
        """

        def work(uow: UnitOfWork) -> list[RefreshTask]:
            free = self._rules.concurrency - uow.refreshes.open_automatic()
            window = self._rules.window
            if free <= 0 or not self._is_enabled(uow) or (window is not None and not window.holds(uow.now)):
                return []
            since = uow.now - timedelta(seconds=self._rules.check_seconds)
            chosen = uow.freshness.to_refresh(rules, versions, since, free)
            begun = [self._new(uow, branch, uow.now, 0, "system", is_automatic=True) for branch in chosen]
            return [task for task in begun if task is not None]

        return self._store.write(work)


class Submitted(Protocol):
    """What a request for an analysis led to."""

    @property
    def analysis(self) -> Analysis:
        """The analysis."""
        ...


class Prepare(Protocol):
    """Makes a request for an analysis definite; see ``SubmissionsService.prepare``."""

    def __call__(
        self,
        kind: str,
        target: str,
        *,
        params: Mapping[str, Any],
        context: Context,
        tags: Sequence[str],
        force: bool,
        refreshed_from: str | None,
    ) -> Callable[[UnitOfWork], Submitted]:
        """What submits it."""
        ...


class RefreshHandler:
    """Begins a refresh that is due: its analysis is submitted in the transaction that removes the job."""

    kind = RUN_REFRESH_JOB
    is_long = True

    def __init__(self, store: Store, prepare: Prepare, kind: str) -> None:
        """Refresh what is in ``store``.

        Args:
            store: where refreshes are kept.
            prepare: makes a request definite.
            kind: the kind of analysis of a branch that was not analysed before.
        """
        self._store = store
        self._prepare = prepare
        self._kind = kind

    def handle(self, job: Job, lease: Lease) -> Effect | None:
        """Look at the branch, and return how its analysis is submitted."""
        task_id = str(job.payload["task_id"])

        def look(uow: UnitOfWork) -> tuple[StoredRefresh, Target] | None:
            stored = uow.refreshes.find(task_id)
            return None if stored is None else (stored, uow.refreshes.target(stored.branch))

        found = self._store.read(look)
        if found is None:
            return None
        try:
            submit = self._submission(found[1])
        except HoldfastError as error:
            if error.retry_suggested:
                raise
            _log.warning("The refresh %s cannot begin: %s", task_id, error)
            why = ErrorInfo.of(error)
            return lambda uow: _give_up(uow, task_id, why)
        return lambda uow: _begin(uow, task_id, submit)

    def lost(self, uow: UnitOfWork, job: Job, error: ErrorInfo, *, dead: bool) -> bool:
        """The refresh has failed with its last attempt; it tells of that itself."""
        if dead:
            _give_up(uow, str(job.payload["task_id"]), error)
        return False

    def _submission(self, target: Target) -> Callable[[UnitOfWork], Submitted]:
        place = target.location or target.repository
        if target.is_gone or not place:
            raise BranchUnknown(f"There is nowhere to read the branch {target.branch_name!r} from")
        kind = target.kind or self._kind
        params = dict(target.params)
        if kind == self._kind:
            # The branch as it is now, not the commit that somebody once wanted.
            params = {name: value for name, value in params.items() if name != "commit"} | {
                "branch": target.branch_name
            }
        return self._prepare(
            kind,
            place,
            params=params,
            context=Context(client_session_id=target.client_session_id),
            tags=target.tags,
            force=True,
            refreshed_from=target.analysis_id,
        )


def _begin(uow: UnitOfWork, task_id: str, submit: Callable[[UnitOfWork], Submitted]) -> None:
    stored = uow.refreshes.find(task_id, lock=True)
    # Called off meanwhile.
    if stored is None or stored.value.status is not TaskStatus.SCHEDULED:
        return
    analysis = submit(uow).analysis
    change = stored.value.started(uow.now, analysis.analysis_id)
    uow.refreshes.update(stored, change.value)
    uow.ledger.append(change.events)


def _give_up(uow: UnitOfWork, task_id: str, why: ErrorInfo) -> None:
    stored = uow.refreshes.find(task_id, lock=True)
    if stored is not None and stored.value.status is TaskStatus.SCHEDULED:
        uow.end_refresh(stored, why)


class CheckHandler:
    """Looks for what is stale, and lets it be refreshed."""

    kind = CHECK_JOB
    is_long = True
    is_aside = True

    def __init__(
        self, refresh: RefreshService, rules: FreshnessRules, versions: Callable[[], dict[str, str]], keep: timedelta
    ) -> None:
        """Look by ``rules``.

        Args:
            refresh: refreshes.
            rules: what is stale.
            versions: the present version of analyzers by kind.
            keep: how long refreshes are kept that are over.
        """
        self._refresh = refresh
        self._rules = rules
        self._versions = versions
        self._keep = keep

    def handle(self, job: Job, lease: Lease) -> None:
        """Look once."""
        begun = self._refresh.check(self._rules, self._versions())
        if begun:
            _log.info("%d stale branches are refreshed", len(begun))
        self._refresh.cleanup_completed_tasks(self._keep / timedelta(hours=1))

    def lost(self, uow: UnitOfWork, job: Job, error: ErrorInfo, *, dead: bool) -> bool:
        """Nothing is lost: the next one sees what is stale then."""
        return False
