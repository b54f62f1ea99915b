"""The jobs that refresh: one begins a refresh that is due, one looks for what is stale."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

from holdfast.domain.analysis import Analysis, ErrorInfo
from holdfast.domain.context import Context
from holdfast.domain.errors import BranchUnknown, HoldfastError
from holdfast.domain.freshness import FreshnessRules
from holdfast.domain.jobs import Job
from holdfast.domain.refresh import CHECK_JOB, RUN_REFRESH_JOB, TaskStatus
from holdfast.services import Effect, Lease
from holdfast.services.refresh.service import RefreshService
from holdfast.store.refreshes import StoredRefresh, Target
from holdfast.store.unit_of_work import Store, UnitOfWork

_log = logging.getLogger(__name__)


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
