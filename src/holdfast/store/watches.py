"""Where branches were seen, beside what writers say of them."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa

from holdfast.domain.freshness import Changes
from holdfast.store import tables
from holdfast.store.freshness import BRANCH_ROWS, CURRENT
from holdfast.store.prepared import insert_into

_b = tables.branches.c
_r = tables.repositories.c
_w = tables.branch_watches.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Where a branch is, and where it is known to be.

    Attributes:
        key: its internal key.
        name: its name.
        commit_sha: the commit that is known.
        analyzed_commit_sha: the commit that was analysed last.
        client_session_id: whose it is.
        repo_id: its repository.
    """

    key: int
    name: str
    commit_sha: str
    analyzed_commit_sha: str | None
    client_session_id: str
    repo_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A repository to be looked at.

    Attributes:
        key: its internal key.
        location: where it is.
    """

    key: int
    location: str


class Watches:
    """Where branches are, in one transaction."""

    def __init__(self, connection: sa.Connection, now: datetime) -> None:
        """Work on ``connection``; ``now`` is the moment."""
        self._connection = connection
        self._now = now

    def watched(self, after: int, limit: int) -> list[Watched]:
        """A page of the repositories that have a place to look at, by internal key."""
        select = (
            sa.select(_r.id, _r.location)
            .where(_r.id > after, _r.location != "", _r.deleted_at.is_(None))
            .order_by(_r.id)
            .limit(limit)
        )
        return [Watched(key=row.id, location=row.location) for row in self._connection.execute(select)]

    def named(self, names: Iterable[str], limit: int) -> list[int]:
        """Internal keys of repositories of any owner that have one of these ids."""
        select = sa.select(_r.id).where(_r.repo_id.in_(list(names)), _r.deleted_at.is_(None)).order_by(_r.id)
        return list(self._connection.execute(select.limit(limit)).scalars())

    def seen(self, repository: int, *, after: str = "", limit: int, name: str | None = None) -> list[Seen]:
        """A page of a repository's branches by name, or the one of that name, with the commits that are known."""
        select = (
            sa.select(
                _b.id, _b.name, _b.client_session_id, _b.analyzed_commit_sha, CURRENT.label("current"), _r.repo_id
            )
            .select_from(BRANCH_ROWS)
            .where(_b.repository == repository, _b.name > after, _b.gone_at.is_(None))
            .order_by(_b.name)
            .limit(limit)
        )
        if name is not None:
            select = select.where(_b.name == name)
        return [
            Seen(
                key=row.id,
                name=row.name,
                commit_sha=row.current,
                analyzed_commit_sha=row.analyzed_commit_sha,
                client_session_id=row.client_session_id,
                repo_id=row.repo_id,
            )
            for row in self._connection.execute(select)
        ]

    def note(self, key: int, commit_sha: str, base: str | None, changes: Changes | None) -> bool:
        """Note where a branch was seen; False when that is known.

        Args:
            key: the branch's internal key.
            commit_sha: the commit.
            base: the commit that the changes are counted from.
            changes: what changed since; None if not known.
        """
        insert = insert_into(self._connection)(tables.branch_watches)
        values = {
            "branch": key,
            "seen_commit_sha": commit_sha,
            "seen_at": self._now,
            "base_commit_sha": base,
            "changes": None if changes is None else asdict(changes),
        }
        changed = {name: getattr(insert.excluded, name) for name in values if name != "branch"}
        # Two who look at once: the second one tells nothing.
        news = sa.or_(
            _w.seen_commit_sha != insert.excluded.seen_commit_sha,
            # It went somewhere else and came back: writers have said so since.
            _w.seen_at < sa.select(_b.updated_at).where(_b.id == key).scalar_subquery(),
        )
        upsert = insert.on_conflict_do_update(index_elements=["branch"], set_=changed, where=news)
        return self._connection.execute(upsert.returning(_w.branch), values).scalar() is not None
