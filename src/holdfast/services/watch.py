"""Looks where branches are by now, and tells when one is no longer where it was analysed."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from holdfast.domain.analysis import ErrorInfo
from holdfast.domain.errors import HoldfastError
from holdfast.domain.events import Event
from holdfast.domain.freshness import Changes, Reason
from holdfast.domain.jobs import Job
from holdfast.domain.refresh import WATCH_JOB, check_now
from holdfast.domain.repositories import check_branch_name
from holdfast.services import GivenBack, Lease
from holdfast.store.unit_of_work import Store, UnitOfWork
from holdfast.store.watches import Seen, Watched

_log = logging.getLogger(__name__)

_PAGE = 500
# Of owners who all know a repository by the name that a code host pushes for.
_SAME_NAME = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A branch that is somewhere else.

    Attributes:
        seen: the branch as it is known.
        commit_sha: where it is.
        changes: what changed since its analysis; None if that is not known.
    """

    seen: Seen
    commit_sha: str
    changes: Changes | None


class WatchService:
    """The use cases of watching."""

    def __init__(self, store: Store) -> None:
        """Watch what is in ``store``."""
        self._store = store

    def look(self, *, stop: Callable[[], bool] = lambda: False) -> int:
        """Look at every repository that is on this machine, once each, and note which branches have moved.

        Args:
            stop: asked between two repositories; the rest is left to the next look.

        Returns:
            How many have moved.
        """
        moved = 0
        for watched in self._watched():
            if stop():
                break
            moved += self._look_at(watched)
        return moved

    def _watched(self) -> Iterator[Watched]:
        after = 0
        while True:
            page = self._store.read(partial(_watched_page, after))
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].key

    def _look_at(self, watched: Watched) -> int:
        # With libgit2 it takes a tenth of a second, and only a worker looks.
        from holdfast.analyzers.code.refs import read_refs  # noqa: PLC0415

        if "://" in watched.location:
            return 0
        try:
            tips = {ref.name: ref.commit_sha for ref in read_refs(watched.location).branches}
        except HoldfastError as error:
            # It may be on another machine, or unmounted: what is known of it stays.
            _log.info("The repository %s cannot be looked at: %s", watched.location, error)
            return 0
        moved = 0
        for page in self._branches(watched.key):
            moves = [
                Move(seen=seen, commit_sha=tips[seen.name], changes=self._changes(watched, seen, tips[seen.name]))
                for seen in page
                if seen.name in tips and tips[seen.name] != seen.commit_sha
            ]
            moved += self._note(moves)
        return moved

    def _branches(self, repository: int) -> Iterator[list[Seen]]:
        after = ""
        while True:
            page = self._store.read(partial(_branch_page, repository, after))
            yield page
            if len(page) < _PAGE:
                return
            after = page[-1].name

    @staticmethod
    def _changes(watched: Watched, seen: Seen, commit_sha: str) -> Changes | None:
        from holdfast.analyzers.code.changes import changed_files  # noqa: PLC0415 as above

        if not seen.analyzed_commit_sha:
            return None
        try:
            return changed_files(watched.location, seen.analyzed_commit_sha, commit_sha)
        except HoldfastError as error:
            # After a force push what was analysed may be gone. That the branch has moved is told all the same.
            _log.info("What changed on %s cannot be told: %s", seen.name, error)
            return None

    def pushed(self, names: Iterable[str], branch_name: str, commit_sha: str, changes: Changes | None) -> int:
        """Note what a code host says: a branch is at another commit.

        Args:
            names: the ids under which the repository may be known here.
            branch_name: the branch.
            commit_sha: where it is.
            changes: what changed with the push.

        Returns:
            How many branches moved, of all owners who know the repository; 0 where nobody does.
        """
        check_branch_name(branch_name)

        def look(uow: UnitOfWork) -> list[Seen]:
            return [
                seen
                for repository in uow.watches.named(names, _SAME_NAME)
                for seen in uow.watches.seen(repository, name=branch_name, limit=1)
            ]

        known = self._store.read(look)
        # What a push brought is what has changed only where the analysis is of the commit before it.
        return self._note(
            [
                Move(
                    seen=seen,
                    commit_sha=commit_sha,
                    changes=changes if seen.analyzed_commit_sha == seen.commit_sha else None,
                )
                for seen in known
                if seen.commit_sha != commit_sha
            ]
        )

    def _note(self, moves: Sequence[Move]) -> int:
        """Write what was seen; of two who look at once, one tells of it."""
        if not moves:
            return 0

        def work(uow: UnitOfWork) -> int:
            # In one order for all writers, so that two of them never wait for each other's rows.
            noted = [
                move
                for move in sorted(moves, key=lambda move: move.seen.key)
                if uow.watches.note(move.seen.key, move.commit_sha, move.seen.analyzed_commit_sha, move.changes)
            ]
            stale = [move for move in noted if _is_stale(move)]
            if stale:
                uow.ledger.append([_became_stale(move, uow) for move in stale])
                uow.jobs.enqueue([check_now()], uow.now)
            return len(noted)

        return self._store.write(work)


def _watched_page(after: int, uow: UnitOfWork) -> list[Watched]:
    return uow.watches.watched(after, _PAGE)


def _branch_page(repository: int, after: str, uow: UnitOfWork) -> list[Seen]:
    return uow.watches.seen(repository, after=after, limit=_PAGE)


def _is_stale(move: Move) -> bool:
    """Whether the branch was analysed, and elsewhere than it is."""
    return bool(move.seen.analyzed_commit_sha) and move.seen.analyzed_commit_sha != move.commit_sha


def _became_stale(move: Move, uow: UnitOfWork) -> Event:
    seen, changes = move.seen, move.changes
    data: dict[str, object] = {
        "repo_id": seen.repo_id,
        "branch": seen.name,
        "reason": Reason.REVISION_MOVED.value,
        "commit_sha": move.commit_sha,
        "analyzed_commit_sha": seen.analyzed_commit_sha,
    }
    if changes is not None:
        data["changes"] = {
            "added": changes.added,
            "modified": changes.modified,
            "deleted": changes.deleted,
            "added_names": list(changes.added_names),
            "modified_names": list(changes.modified_names),
            "deleted_names": list(changes.deleted_names),
        }
    return Event(name="branch.became_stale", at=uow.now, client_session_id=seen.client_session_id, data=data)


class WatchHandler:
    """Looks where branches are, in a thread that no analysis waits for."""

    kind = WATCH_JOB
    is_long = True
    is_aside = True

    def __init__(self, watch: WatchService) -> None:
        """Look with ``watch``."""
        self._watch = watch

    def handle(self, job: Job, lease: Lease) -> None:
        """Look once."""
        moved = self._watch.look(stop=lambda: lease.lost() or lease.draining())
        if moved:
            _log.info("%d branches have moved", moved)
        if lease.draining():
            raise GivenBack

    def lost(self, uow: UnitOfWork, job: Job, error: ErrorInfo, *, dead: bool) -> bool:
        """Nothing is lost: the next look sees what there is then."""
        return False
