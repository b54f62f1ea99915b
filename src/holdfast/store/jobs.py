"""The one table of leased work."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from holdfast.domain.jobs import ATTEMPTS, Job, JobStatus, NewJob, Schedule
from holdfast.domain.processing import PROCESS_JOBS
from holdfast.store import tables
from holdfast.store.engine import Engine
from holdfast.store.prepared import Prepared, insert_into
from holdfast.store.types import Timestamp

_t = tables.jobs.c
_s = tables.schedules.c

_HELD = sa.and_(
    _t.id == sa.bindparam("job"),
    _t.lease_owner == sa.bindparam("worker"),
    _t.attempt == sa.bindparam("held_attempt"),
)
_HOLDS = sa.select(_t.id).where(_HELD)
_REMOVE = Prepared(lambda _: sa.delete(tables.jobs).where(_HELD))
_ENQUEUE = Prepared(lambda insert: insert(tables.jobs).on_conflict_do_nothing(index_elements=["unique_key"]))
_DUE = Prepared(
    lambda _: (
        sa.select(_t.id)
        .where(
            _t.status == JobStatus.READY.value,
            _t.kind == sa.bindparam("wanted", type_=_t.kind.type),
            _t.run_at <= sa.bindparam("now", type_=Timestamp),
        )
        .limit(1)
    )
)
_DUE_IN_ORDER = (
    sa.select(_t.id, _t.rank, _t.run_at)
    .where(
        _t.status == JobStatus.READY.value,
        _t.kind == sa.bindparam("wanted", type_=_t.kind.type),
        _t.run_at <= sa.bindparam("now", type_=Timestamp),
    )
    .order_by(_t.rank, _t.run_at, _t.id)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_NEXT_SCHEDULE = sa.select(sa.func.min(_s.next_at, type_=Timestamp)).where(_s.enabled)


def _fence(job: Job) -> dict[str, Any]:
    return {"job": job.id, "worker": job.lease_owner, "held_attempt": job.attempt}


# What was postponed may have many more by now than it began with.
_FRESH = _t.attempt + sa.case((_t.max_attempts < ATTEMPTS, _t.max_attempts), else_=ATTEMPTS)


class Jobs:
    """The jobs of one transaction.

    A worker proves that it still has a job by its name and the job's attempt: a job that was taken over has
    another attempt, so a slow worker can change nothing any more.
    """

    def __init__(self, connection: sa.Connection, engine: Engine) -> None:
        """Work on ``connection``."""
        self._connection = connection
        self._engine = engine

    def enqueue(self, jobs: Sequence[NewJob], now: datetime) -> None:
        """Keep new jobs; one whose unique key is taken is left out."""
        rows = [
            {
                "kind": job.kind,
                "payload": job.payload,
                "status": JobStatus.READY.value,
                "rank": -job.priority,
                "run_at": job.run_at or now,
                "attempt": 0,
                "max_attempts": job.max_attempts,
                "unique_key": job.unique_key,
                "analysis_id": job.analysis_id,
                "created_at": now,
            }
            for job in jobs
        ]
        _ENQUEUE.run_many(self._connection, rows)

    def claim(self, worker: str, kinds: Sequence[str], limit: int, now: datetime, lease: timedelta) -> list[Job]:
        """Lease due jobs: higher priority first, then in the order in which they became due.

        Args:
            worker: who leases them.
            kinds: the kinds that it can do.
            limit: how many at most.
            now: the moment.
            lease: how long until they go back if the worker is not heard of.
        """
        if limit <= 0 or not kinds:
            return []
        # Kind by kind, so that each look-up walks its index in order and stops at the limit.
        due = self._engine.skip_locked(_DUE_IN_ORDER)
        found = sorted(
            (row.rank, row.run_at, row.id)
            for kind in kinds
            for row in self._connection.execute(due, {"wanted": kind, "now": now, "most": limit})
        )
        if not found:
            return []
        chosen = [key for _, _, key in found[:limit]]
        update = (
            sa.update(tables.jobs)
            .where(_t.id.in_(chosen))
            .values(
                status=JobStatus.LEASED.value,
                lease_owner=worker,
                lease_until=now + lease,
                attempt=_t.attempt + 1,
            )
            .returning(tables.jobs)
        )
        claimed = {row.id: _job(row) for row in self._connection.execute(update)}
        return [claimed[key] for key in chosen]

    def holds(self, job: Job) -> bool:
        """Whether the job is still the worker's who claimed it; it stays so until the transaction ends."""
        select = self._engine.locked(_HOLDS)
        return self._connection.execute(select, _fence(job)).scalar_one_or_none() is not None

    def heartbeat(self, worker: str, until: datetime, jobs: Collection[int] | None = None) -> set[int]:
        """Extend a worker's leases; returns the jobs that it still has.

        Args:
            worker: the worker.
            until: when the leases will end.
            jobs: those that it knows of; one that it does not, as the answer to its claim was lost, goes back when
                its lease ends. All when None.
        """
        update = (
            sa.update(tables.jobs)
            .where(_t.lease_owner == worker, _t.status == JobStatus.LEASED.value, _t.lease_until.is_not(None))
            .values(lease_until=until)
            .returning(_t.id)
        )
        if jobs is not None:
            update = update.where(_t.id.in_(jobs))
        return set(self._connection.execute(update).scalars())

    def remove(self, job: Job) -> bool:
        """The job is done; False when another worker has it by now."""
        return _REMOVE.run(self._connection, _fence(job)) == 1

    def remove_many(self, jobs: Sequence[Job], worker: str) -> set[int]:
        """The jobs are done; returns those that were still the worker's."""
        if len(jobs) == 1:
            return {jobs[0].id} if self.remove(jobs[0]) else set()
        claims = sa.tuple_(_t.id, _t.attempt).in_([(job.id, job.attempt) for job in jobs])
        delete = sa.delete(tables.jobs).where(claims, _t.lease_owner == worker).returning(_t.id)
        return set(self._connection.execute(delete).scalars())

    def release(self, job: Job, *, run_at: datetime, error: str | None, counted: bool) -> bool:
        """Give a job back.

        Args:
            job: the job, as claimed.
            run_at: when it may be claimed again.
            error: why, if the attempt failed.
            counted: whether the attempt counts against its maximum.

        Returns:
            False when another worker has it by now.
        """
        values: dict[str, Any] = {
            "status": JobStatus.READY.value,
            "lease_owner": None,
            "lease_until": None,
            "run_at": run_at,
            "last_error": error,
        }
        if not counted:
            # The number itself must not be given out twice, or the fence would let the old worker through.
            values["max_attempts"] = _t.max_attempts + 1
        return self._connection.execute(sa.update(tables.jobs).where(_HELD).values(values), _fence(job)).rowcount == 1

    def bury(self, job: Job, error: str) -> bool:
        """The job has used up its attempts: keep it for somebody to look at."""
        update = (
            sa.update(tables.jobs)
            .where(_HELD)
            .values(
                status=JobStatus.DEAD.value,
                lease_owner=None,
                lease_until=None,
                last_error=error,
                # A dead job must not stand in the way of a new one.
                unique_key=None,
            )
        )
        return self._connection.execute(update, _fence(job)).rowcount == 1

    def expired(
        self, now: datetime, limit: int, kinds: Sequence[str], *, sparing: str = "", hold: bool = True
    ) -> list[Job]:
        """Jobs whose workers were not heard of in time.

        Args:
            now: the moment.
            limit: how many at most.
            kinds: of these kinds.
            sparing: not this worker's: it lives, and a clock that jumped must not cost it its own jobs.
            hold: whether nobody else may take them until the transaction ends; not to be asked of one that only
                reads: where another has just changed such a row, PostgreSQL ends it.
        """
        select = (
            sa.select(tables.jobs)
            .where(_t.lease_until < now, _t.kind.in_(kinds), _t.lease_owner != sparing)
            .order_by(_t.lease_until)
            .limit(limit)
        )
        return [_job(row) for row in self._connection.execute(self._engine.skip_locked(select) if hold else select)]

    def revive(self, job_id: int, now: datetime) -> Job | None:
        """Queue a dead job again with fresh attempts."""
        update = (
            sa.update(tables.jobs)
            .where(_t.id == job_id, _t.status == JobStatus.DEAD.value)
            .values(status=JobStatus.READY.value, run_at=now, max_attempts=_FRESH)
            .returning(tables.jobs)
        )
        row = self._connection.execute(update).one_or_none()
        return None if row is None else _job(row)

    def drop_of_analysis(self, analysis_id: str) -> None:
        """Nothing more is to be done for an analysis, but to tell the indexes of it."""
        is_processing = _t.kind.startswith(PROCESS_JOBS, autoescape=True)
        self._connection.execute(sa.delete(tables.jobs).where(_t.analysis_id == analysis_id, ~is_processing))

    def of_analysis(self, analysis_id: str, kinds: Sequence[str]) -> list[Job]:
        """The jobs of those kinds for an analysis, by number."""
        select = sa.select(tables.jobs).where(_t.analysis_id == analysis_id, _t.kind.in_(kinds)).order_by(_t.id)
        return [_job(row) for row in self._connection.execute(select)]

    def postpone(self, jobs: Sequence[Job], run_at: datetime, error: str) -> int:
        """Give jobs of one worker back for later, without counting the attempt; returns how many it still had."""
        claims = sa.tuple_(_t.id, _t.attempt).in_([(job.id, job.attempt) for job in jobs])
        update = (
            sa.update(tables.jobs)
            .where(claims, _t.lease_owner == jobs[0].lease_owner)
            .values(
                status=JobStatus.READY.value,
                lease_owner=None,
                lease_until=None,
                run_at=run_at,
                last_error=error,
                max_attempts=_t.max_attempts + 1,
            )
        )
        return self._connection.execute(update).rowcount

    def revive_all(self, kinds: Sequence[str], now: datetime, limit: int) -> list[Job]:
        """Queue dead jobs of those kinds again with fresh attempts, ``limit`` at most."""
        dead = sa.select(_t.id).where(_t.status == JobStatus.DEAD.value, _t.kind.in_(kinds)).limit(limit)
        update = (
            sa.update(tables.jobs)
            .where(_t.id.in_(dead), _t.status == JobStatus.DEAD.value)
            .values(status=JobStatus.READY.value, run_at=now, max_attempts=_FRESH)
            .returning(tables.jobs)
        )
        return [_job(row) for row in self._connection.execute(update)]

    def waiting_since(self, kind: str) -> datetime | None:
        """When the next job of a kind to be done was enqueued; None when none waits."""
        select = (
            sa.select(_t.created_at)
            .where(_t.status == JobStatus.READY.value, _t.kind == kind)
            .order_by(_t.rank, _t.run_at, _t.id)
            .limit(1)
        )
        return self._connection.execute(select).scalar()

    def listing(self, status: JobStatus | None, *, after: int = 0, limit: int = 100) -> list[Job]:
        """Jobs by number, of one status or of all."""
        select = sa.select(tables.jobs).where(_t.id > after).order_by(_t.id).limit(limit)
        if status is not None:
            select = select.where(_t.status == status.value)
        return [_job(row) for row in self._connection.execute(select)]

    def counts(self) -> dict[tuple[str, str], int]:
        """How many jobs there are, by kind and status; waiting work only, so the table is small."""
        select = sa.select(_t.kind, _t.status, sa.func.count()).group_by(_t.kind, _t.status)
        return {(kind, status): count for kind, status, count in self._connection.execute(select)}

    def is_due(self, kinds: Sequence[str], now: datetime) -> bool:
        """Whether there is a job to claim."""
        return any(_DUE.scalar(self._connection, {"wanted": kind, "now": now}) for kind in kinds)

    def next_due(self, kinds: Sequence[str]) -> datetime | None:
        """When the earliest job that waits for its time, or the next schedule, is due."""
        moments = [
            self._connection.execute(
                sa.select(sa.func.min(_t.run_at, type_=Timestamp)).where(
                    _t.status == JobStatus.READY.value, _t.kind == kind
                )
            ).scalar()
            for kind in kinds
        ]
        moments.append(self._connection.execute(_NEXT_SCHEDULE).scalar())
        return min((moment for moment in moments if moment is not None), default=None)

    def is_schedule_due(self, now: datetime) -> bool:
        """Whether a schedule is to be fired."""
        moment = self._connection.execute(_NEXT_SCHEDULE).scalar()
        return moment is not None and moment <= now

    def drop_unique(self, unique_key: str) -> None:
        """Forget the job that has a key."""
        self._connection.execute(sa.delete(tables.jobs).where(_t.unique_key == unique_key))

    def drop(self, job_id: int) -> None:
        """Forget a job."""
        self._connection.execute(sa.delete(tables.jobs).where(_t.id == job_id))

    def lease_new(self, job: NewJob, worker: str, now: datetime, lease: timedelta) -> Job:
        """Keep a job that its own maker does: the lease tells whether the maker still lives."""
        insert = (
            sa.insert(tables.jobs)
            .values(
                kind=job.kind,
                payload=job.payload,
                status=JobStatus.LEASED.value,
                rank=-job.priority,
                run_at=now,
                attempt=1,
                max_attempts=1,
                lease_owner=worker,
                lease_until=now + lease,
                analysis_id=job.analysis_id,
                created_at=now,
            )
            .returning(tables.jobs)
        )
        return _job(self._connection.execute(insert).one())

    def put_schedule(self, schedule: Schedule) -> None:
        """Keep a schedule, in place of the one of that name, whose next moment stays unless it is the later one."""
        insert = insert_into(self._connection)(tables.schedules)
        changed = ("kind", "payload", "every_seconds", "enabled")
        values = {name: getattr(insert.excluded, name) for name in changed}
        # Put again at every start it must not be put off, but a shorter interval counts from now on.
        earlier = sa.case((_s.next_at > insert.excluded.next_at, insert.excluded.next_at), else_=_s.next_at)
        upsert = insert.on_conflict_do_update(index_elements=["name"], set_=values | {"next_at": earlier})
        row = {name: getattr(schedule, name) for name in Schedule.__slots__}
        self._connection.execute(upsert, row)

    def schedules(self) -> list[Schedule]:
        """Every schedule by name."""
        select = sa.select(tables.schedules).order_by(_s.name)
        return [Schedule(**row._mapping) for row in self._connection.execute(select)]

    def remove_schedule(self, name: str) -> bool:
        """Forget a schedule."""
        return self._connection.execute(sa.delete(tables.schedules).where(_s.name == name)).rowcount == 1

    def fire_schedules(self, now: datetime) -> int:
        """Enqueue the jobs of the schedules that are due; returns how many."""
        select = self._engine.skip_locked(
            sa.select(tables.schedules).where(_s.next_at <= now, _s.enabled).order_by(_s.next_at).limit(100)
        )
        due = [Schedule(**row._mapping) for row in self._connection.execute(select)]
        for schedule in due:
            advance = sa.update(tables.schedules).where(_s.name == schedule.name).values(next_at=schedule.after(now))
            self._connection.execute(advance)
        self.enqueue(
            [
                NewJob(kind=schedule.kind, payload=schedule.payload, unique_key=f"schedule:{schedule.name}")
                for schedule in due
            ],
            now,
        )
        return len(due)


def _job(row: sa.Row[Any]) -> Job:
    return Job(
        id=row.id,
        kind=row.kind,
        payload=row.payload,
        status=JobStatus(row.status),
        priority=-row.rank,
        run_at=row.run_at,
        attempt=row.attempt,
        max_attempts=row.max_attempts,
        lease_owner=row.lease_owner,
        lease_until=row.lease_until,
        unique_key=row.unique_key,
        analysis_id=row.analysis_id,
        last_error=row.last_error,
        created_at=row.created_at,
    )
