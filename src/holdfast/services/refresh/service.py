"""Refreshes: marked, scheduled, called off, and begun by themselves where something is stale."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast.domain import ids
from holdfast.domain.access import LOCAL, Caller
from holdfast.domain.checks import check_limit
from holdfast.domain.errors import RefreshNotFound, RefreshUnderWay
from holdfast.domain.events import Event
from holdfast.domain.freshness import FreshnessRules
from holdfast.domain.ports import IdSource
from holdfast.domain.refresh import (
    CHECK_JOB,
    AutoRefresh,
    RefreshRules,
    RefreshTask,
    TaskStatus,
    check_now,
    due,
    run_key,
)
from holdfast.store.lists import Place
from holdfast.store.refreshes import StoredRefresh
from holdfast.store.retention import Mark
from holdfast.store.unit_of_work import Store, UnitOfWork

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
