"""One transaction: every noun's store on one connection, and the way a change is written whole."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import sqlalchemy as sa

from holdfast.domain.access import Caller
from holdfast.domain.analysis import Analysis, Change, ErrorInfo, Status
from holdfast.domain.errors import (
    AnalysisGone,
    AnalysisNotFound,
    BranchUnknown,
    ContentConflict,
    RepositoryNotFound,
    WrongOwner,
)
from holdfast.domain.events import Event
from holdfast.domain.findings import Finding
from holdfast.domain.fingerprint import canonical_json, code_hash
from holdfast.domain.jobs import NewJob
from holdfast.domain.ports import Clock, Spans, no_span
from holdfast.domain.processing import sync_jobs
from holdfast.domain.repositories import BRANCH_SUBJECT
from holdfast.domain.triage import KIND as DUPLICATES
from holdfast.store.analyses import Stored
from holdfast.store.branches import StoredBranch
from holdfast.store.engine import Engine
from holdfast.store.nouns import Nouns
from holdfast.store.payloads import Payload
from holdfast.store.refreshes import StoredRefresh
from holdfast.store.repositories import StoredRepository, repository_event
from holdfast.store.retention import Found
from holdfast.store.runs import run_scope
from holdfast.store.triage import Scope

T = TypeVar("T")

# Often enough for a limit of days, and seldom enough that loading usually writes nothing.
_USE_NOTED_EVERY = timedelta(days=1)


class UnitOfWork(Nouns):
    """One transaction: its nouns, and the changes that touch more than one of them."""

    def find_visible(self, analysis_id: str, caller: Caller, *, lock: bool = False) -> Stored:
        """An analysis that the caller may see; with ``lock`` nobody else changes it until the transaction ends.

        Raises:
            AnalysisNotFound: there is none.
            WrongOwner: it belongs to somebody else.
            AnalysisGone: it has expired, is used up, or is in the trash.
        """
        stored = self.find_owned(analysis_id, caller, lock=lock)
        if not stored.value.is_visible(self.now):
            raise AnalysisGone(analysis_id=analysis_id)
        return stored

    def find_owned(self, analysis_id: str, caller: Caller, *, lock: bool = False) -> Stored:
        """An analysis that is the caller's, also one that is expired or in the trash.

        Raises:
            AnalysisNotFound: there is none.
            WrongOwner: it belongs to somebody else.
        """
        return self.owned(self.analyses.find(analysis_id, lock=lock), analysis_id, caller)

    @staticmethod
    def owned(stored: Stored | None, analysis_id: str, caller: Caller) -> Stored:
        """What was found, if the caller may see it; see ``find_owned``."""
        if stored is None:
            raise AnalysisNotFound(f"There is no analysis {analysis_id}", analysis_id=analysis_id)
        value = stored.value
        owner, ip = value.context.client_session_id, value.context.client_ip
        if not caller.may_see(owner, is_anonymous=value.is_anonymous, ip=ip):
            raise WrongOwner(analysis_id=analysis_id)
        return stored

    def find_taken(self, analysis_id: str, caller: Caller) -> Stored | None:
        """The analysis that has an id already; one that nobody sees any more gives way, as if it were swept.

        Raises:
            ContentConflict: it gives way to its owner only.
        """
        stored = self.analyses.find(analysis_id, lock=True)
        if stored is None or stored.value.is_visible(self.now):
            return stored
        if not caller.may_see(stored.value.context.client_session_id):
            raise ContentConflict.of(analysis_id)
        self.drop(stored, stored.value.purged(self.now, caller.name))
        return None

    def again(self, analysis_ids: Sequence[str] | None) -> list[Analysis] | None:
        """The analyses that a repeated request led to, in order; None when it is no repeated one.

        Raises:
            AnalysisGone: one of them is no longer there.
        """
        if analysis_ids is None:
            return None
        kept: list[Analysis] = []
        for analysis_id in analysis_ids:
            stored = self.analyses.find(analysis_id)
            if stored is None or not stored.value.is_visible(self.now):
                raise AnalysisGone(analysis_id=analysis_id)
            kept.append(stored.value)
        return kept

    def add(self, changes: Sequence[Change], *, active_key: str | None = None) -> dict[str, int]:
        """Keep new analyses with their events and jobs.

        Args:
            changes: what each of them brings; payloads are put apart, before.
            active_key: see ``Analyses.insert``.

        Returns:
            The internal key by analysis_id; one whose id or active key is taken is missing, and nothing of it
            is written.
        """
        subjects = {(subject.kind, subject.key): subject for change in changes if (subject := change.value.subject)}
        keys = {place: self.subjects.ensure(subject, self.now) for place, subject in sorted(subjects.items())}
        rows = [
            (
                change.value,
                None if (subject := change.value.subject) is None else keys[subject.kind, subject.key],
            )
            for change in changes
        ]
        inserted = self.analyses.insert(rows, active_key)
        added = [change for change in changes if change.value.analysis_id in inserted]
        self.ledger.append([event for change in added for event in change.events])
        jobs = [job for change in added for job in change.jobs]
        if self.processors:
            for change in added:
                if change.value.status.ended:
                    jobs += self._sync(inserted[change.value.analysis_id], change.value.analysis_id)
        self.jobs.enqueue(jobs, self.now)
        for owner in sorted({change.value.context.client_session_id for change in added}):
            if self.analyses.greet_owner(owner, self.now):
                self.counters.add("owners")
        for change in added:
            self._count(change.value, 1)
            self._note_branch(inserted[change.value.analysis_id], change.value)
        return inserted

    def save(
        self,
        stored: Stored,
        change: Change,
        *,
        payload: Payload | None = None,
        findings: Sequence[Finding] | None = None,
    ) -> None:
        """Write a changed analysis with its events and jobs.

        Args:
            stored: the analysis as it was read in this transaction.
            change: what becomes of it.
            payload: its new result, if it has one.
            findings: its findings, in place of those before.
        """
        before, after = stored.value, change.value
        if payload is not None:
            self.payloads.put([payload])
        if after is not before:
            self.analyses.update(stored.key, before, after)
            self._count(before, -1)
            self._count(after, 1)
            if before.status is not after.status:
                self._note_branch(stored.key, after)
                self._note_refreshes(after)
        if payload is not None and before.result is not None:
            self.payloads.release(before.result.hash)
        if findings is not None:
            self.findings.clear(stored.key)
            self.put_findings(stored.key, after, findings)
        self.ledger.append(change.events)
        self.jobs.enqueue(change.jobs, self.now)
        if self.processors and after is not before and after.status.ended:
            self.jobs.enqueue(self._sync(stored.key, after.analysis_id), self.now)

    def _sync(self, key: int, analysis_id: str | None) -> list[NewJob]:
        return sync_jobs(self.processors, [key], analysis_id)

    def put_findings(self, key: int, value: Analysis, findings: Sequence[Finding]) -> None:
        """Keep the findings of an analysis that has none, given by its internal key."""
        self.findings.add(key, findings)
        if value.kind == DUPLICATES:
            owner, term = value.context.client_session_id, value.params.get("search_term")
            self.search_facts.note(
                key, owner, term if isinstance(term, str) else "", params_hash(value.params), value.created_at
            )
            self.triage.index(key, scope_of(value), findings)

    def drop(self, stored: Stored, change: Change) -> bool:
        """Delete an analysis with everything that is kept of it, and note that in the ledger.

        Returns:
            False when another transaction has deleted it already.
        """
        value = stored.value
        if not self.analyses.delete(stored.key):
            return False
        if not value.status.ended and value.location:
            gone = ErrorInfo(code="ANALYSIS_GONE", message="Its analysis was deleted while it ran")
            for refresh in self.refreshes.of_analysis(value.analysis_id):
                self.end_refresh(refresh, gone)
        if value.result is not None:
            self.payloads.release(value.result.hash)
        self.runs.drop_checkpoints(run_scope(value.analysis_id))
        self.jobs.drop_of_analysis(value.analysis_id)
        subject = None if value.subject is None else self.subjects.find(value.subject.kind, value.subject.key)
        self.retention.drop_unused_subjects(set() if subject is None else {subject})
        self._count(value, -1)
        self.ledger.append(change.events)
        self.jobs.enqueue(self._sync(stored.key, None), self.now)
        return True

    def drop_many(self, gone: Sequence[Found], events: Sequence[Event]) -> None:
        """Delete analyses with everything that is kept of them, by one statement a table.

        Args:
            gone: the analyses, held by this transaction.
            events: what the ledger is told.
        """
        self.retention.remove(gone)
        self.jobs.enqueue(sync_jobs(self.processors, [found.candidate.key for found in gone]), self.now)
        for found in gone:
            one = found.candidate
            self._add_up(one.status, one.stored_size, -1, is_anonymous=one.is_anonymous, is_trash=bool(one.deleted_at))
        self.ledger.append(events)

    def find_repository(self, repo_id: str, caller: Caller, *, lock: bool = False) -> StoredRepository:
        """A repository that the caller may see and that is not in the trash.

        Raises:
            RepositoryNotFound: there is none.
        """
        stored = self.repositories.find(repo_id, caller, lock=lock)
        if stored is None or stored.value.deleted_at is not None:
            raise RepositoryNotFound(f"There is no repository {repo_id}", repo_id=repo_id)
        return stored

    def find_branch(self, repository: StoredRepository, name: str, *, lock: bool = False) -> StoredBranch:
        """A branch of a repository.

        Raises:
            BranchUnknown: nothing is kept of it.
        """
        stored = self.branches.find(repository, name, lock=lock)
        if stored is None:
            raise BranchUnknown(f"Nothing is kept of the branch {name!r}", branch=name)
        return stored

    def purge_repository(self, stored: StoredRepository, by: str) -> None:
        """Delete a repository with its branches and all that is kept of them; analyses stand for themselves."""
        count, size = self.cache_entries.of_repository(stored.key)
        self.counters.add("cache_entries", -count)
        self.counters.add("cache_bytes", -size)
        self.repositories.purge(stored.key)
        self.ledger.append([repository_event("repository.purged", stored.value, by, self.now)])

    def flush(self) -> None:
        """Write what was held back until the end of the transaction."""
        self.ledger.flush()
        self.counters.flush()

    def _note_branch(self, key: int, value: Analysis) -> None:
        """A branch knows when it was last analysed, whoever did it."""
        about = value.subject
        if about is None or about.kind != BRANCH_SUBJECT or value.status is not Status.COMPLETED:
            return
        subject = self.subjects.find(about.kind, about.key)
        if subject is not None:
            at = value.completed_at or value.updated_at
            self.branches.analyzed(subject, value.context.client_session_id, key, about.revision, at)

    def _note_refreshes(self, value: Analysis) -> None:
        """A refresh ends with its analysis, however that ends."""
        if not value.status.ended or not value.location:
            return
        for stored in self.refreshes.of_analysis(value.analysis_id):
            self.end_refresh(stored, value.error if value.status is not Status.COMPLETED else None)

    def end_refresh(self, stored: StoredRefresh, error: ErrorInfo | None) -> None:
        """Write that a refresh is over, with its event; where it ran by itself, the next one may begin.

        Args:
            stored: the refresh as it was read in this transaction.
            error: why there is no new result; None if there is one.
        """
        change = stored.value.ended(self.now, error)
        self.refreshes.update(stored, change.value)
        if error is None:
            self.refreshes.forgive(stored.branch)
        self.ledger.append(change.events)
        self.jobs.enqueue(change.jobs, self.now)

    def _count(self, value: Analysis, sign: int) -> None:
        size = 0 if value.result is None else value.result.stored_size
        is_trash = value.deleted_at is not None
        self._add_up(value.status, size, sign, is_anonymous=value.is_anonymous, is_trash=is_trash)

    def _add_up(self, status: Status, size: int, sign: int, *, is_anonymous: bool, is_trash: bool) -> None:
        if is_anonymous:
            # The cap is on what the disk holds, so the trash counts.
            self.counters.add("anonymous_bytes", sign * size)
        if not is_trash:
            self.counters.add("analyses", sign)
            self.counters.add(f"analyses.{status.value}", sign)
            self.counters.add("result_bytes", sign * size)


def scope_of(value: Analysis) -> Scope:
    """Whose decisions about which library a search for duplicates goes by."""
    about = value.subject
    library = f"analysis {value.analysis_id}" if about is None else f"{about.kind} {about.key}"
    return Scope(owner=value.context.client_session_id, library=library)


def params_hash(params: Mapping[str, Any]) -> str:
    """Names parameters: equal ones, whatever their order, have one name."""
    return code_hash(canonical_json(dict(params)))


class Store:
    """The door to the store: one transaction a call."""

    def __init__(self, engine: Engine, clock: Clock, processors: Sequence[str] = (), span: Spans = no_span) -> None:
        """Keep things in ``engine``; what changes is queued for ``processors``, and each transaction is a ``span``."""
        self.engine = engine
        self.processors = tuple(processors)
        self._span = span
        self.bell = engine.bell
        self._clock = clock

    def write(self, work: Callable[[UnitOfWork], T]) -> T:
        """Run ``work`` in one transaction; returns its result after the commit.

        ``work`` may run more than once, and in another thread: it changes nothing but the unit of work.
        """

        def transaction(connection: sa.Connection) -> T:
            uow = UnitOfWork(connection, self.engine, self._clock.now(), processors=self.processors)
            result = work(uow)
            uow.flush()
            return result

        with self._span("store.write", work=_named(work)):
            return self.engine.write(transaction)

    def read(self, look: Callable[[UnitOfWork], T]) -> T:
        """Run ``look`` on one consistent state of the store."""
        with self._span("store.read", work=_named(look)), self.engine.read() as connection:
            return look(UnitOfWork(connection, self.engine, self._clock.now()))

    def follow(self, look: Callable[[UnitOfWork], T]) -> T:
        """As ``read``, and the ledger knows how far it is complete, so that it can be followed."""
        with self._span("store.follow", work=_named(look)), self.engine.follow() as (connection, below):
            return look(UnitOfWork(connection, self.engine, self._clock.now(), complete_below=below))

    def load_checkpoints(self, scope: str, keys: Sequence[str]) -> dict[str, bytes]:
        """The values of those keys that have one, which are thereby in use: retention forgets others by their age."""

        def look(uow: UnitOfWork) -> tuple[dict[str, bytes], list[str]]:
            found = uow.runs.load_checkpoints(scope, keys)
            return found, uow.runs.old_checkpoints(scope, found, uow.now - _USE_NOTED_EVERY)

        found, old = self.read(look)
        if old:
            self.write(lambda uow: uow.runs.touch_checkpoints(scope, old, uow.now))
        return found


def _named(work: Callable[[UnitOfWork], object]) -> str:
    """Which use case a transaction is of."""
    return getattr(work, "__qualname__", type(work).__qualname__).partition(".<locals>")[0]
