"""The life of analyses and their jobs, played at random against a model."""

import json
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from holdfast.bootstrap import Holdfast
from holdfast.domain.analysis import RUN_JOB, Analysis, Status
from holdfast.domain.context import Context
from holdfast.domain.errors import (
    AnalysisGone,
    AnalysisNotFound,
    AnalyzerCrashed,
    ContentConflict,
    IllegalMove,
    LeaseLost,
    ResultNotFound,
)
from holdfast.domain.fingerprint import fingerprint
from holdfast.domain.jobs import Job
from holdfast.domain.progress import Progress
from holdfast.domain.subjects import Subject
from holdfast.services.results import NewResult
from holdfast.services.runs import _Keeper
from holdfast.store import tables
from holdfast.store.payloads import unpack
from holdfast.testing import FakeClock
from tests.services.samples import Held, ended, opened, run_handler, settle

LEASE, REUSE, ATTEMPTS = 30, 3600, 2
TRASH, KEEP = 900, 3
OWNERS, TARGETS, WORKERS = ("ann", "bob"), ("here", "there"), ("w1", "w2")
CONTENTS: tuple[Any, ...] = ({"a": 1}, [1, 2, 3], "text")
CHILDREN = ("findings", "metrics", "tags", "attempts", "progress")
picks = st.integers(0, 11)
END_EARLY = (Status.FAILED, Status.TIMED_OUT, Status.CANCELLED)


@dataclass
class Kept:
    """What the model knows of an analysis."""

    owner: str
    fingerprint: str
    status: Status
    events: list[str]
    runs: bool = True
    content: Any = None
    found: int = 0
    completed_at: datetime | None = None
    cancel_requested: bool = False
    # Its run was to be cancelled when the same was asked for again: that one took its place.
    replaced: bool = False
    attempts: int = 0
    checkpoints: set[str] = field(default_factory=set)
    deleted_at: datetime | None = None
    is_pinned: bool = False
    expires_at: datetime | None = None
    retrieved: int = 0
    max_retrievals: int | None = None
    # Of its job, while there is one.
    job_attempt: int = 0
    job_most: int = ATTEMPTS
    leased: bool = False
    lease_until: datetime | None = None

    @property
    def active(self) -> bool:
        return not self.status.ended

    @property
    def joinable(self) -> bool:
        return self.active and not self.replaced

    def expired(self, now: datetime) -> bool:
        if self.is_pinned:
            return False
        used_up = self.max_retrievals is not None and self.retrieved >= self.max_retrievals
        return used_up or (self.expires_at is not None and self.expires_at <= now)

    def visible(self, now: datetime) -> bool:
        return self.deleted_at is None and not self.expired(now)

    def end(self, status: Status) -> None:
        self.status, self.leased, self.cancel_requested, self.replaced = status, False, False, False
        self.events.append(f"analysis.{status.value}")


class Life(RuleBasedStateMachine):
    """Each rule does one thing to the service and the same to the model; the invariants compare."""

    url: str

    def __init__(self) -> None:
        super().__init__()
        # Anew each time: what is left of another example's ids, times or rows would make this one another.
        self.clock = FakeClock()
        self.kept_open = ExitStack()
        self.hf = self.kept_open.enter_context(
            opened(
                self.url,
                self.clock,
                lease_seconds=LEASE,
                reuse_hours=REUSE / 3600,
                run_attempts=ATTEMPTS,
                trash_hours=TRASH / 3600,
                retention={"kept": {"keep_last": KEEP}},
            )
        )
        self.hf.engine.write(clear)
        self.model: dict[str, Kept] = {}
        self.gone: dict[str, list[str]] = {}
        self.owners: set[str] = set()
        self.number = 0
        # Runs that were begun, and those of them whose end was told.
        self.held: list[tuple[Job, Analysis]] = []
        self.stale: list[tuple[Job, Analysis]] = []

    def teardown(self) -> None:
        self.kept_open.close()

    def name(self, pick: int) -> str:
        """One of the analyses, or now and then one that is gone."""
        # The first are drawn most often: those that can do more than be deleted.
        names = sorted(self.model, key=lambda name: not self.model[name].runs)
        return [*names, *sorted(self.gone.keys() - self.model.keys())[:1], "none"][pick % (len(names) + 1)]

    def take(self, pick: int) -> tuple[Job, Analysis]:
        """A run whose end is to be told."""
        run = self.held.pop(pick % len(self.held))
        self.stale.append(run)
        return run

    def now(self) -> datetime:
        return self.clock.now()

    # What owners do.

    @rule(
        owner=st.sampled_from(OWNERS),
        place=st.sampled_from(TARGETS),
        force=st.booleans(),
        priority=st.integers(-1, 1),
        begins=st.booleans(),
    )
    def ask(self, owner: str, place: str, force: bool, priority: int, begins: bool) -> None:
        self.submit(owner, place, force, priority)
        # Left to chance alone, few would ever run.
        if begins:
            self.begin("w1")

    def submit(self, owner: str, place: str, force: bool, priority: int) -> None:
        submission = self.hf.submit(
            "sample", place, context=Context(client_session_id=owner), force=force, priority=priority, tags=[place]
        )
        name = submission.analysis.analysis_id
        wanted = fingerprint("sample", Subject(kind="sample", key=place, revision="r1"), {})
        same = {
            known: kept
            for known, kept in self.model.items()
            if (kept.owner, kept.fingerprint) == (owner, wanted) and kept.runs
        }
        fresh = [
            known
            for known, kept in same.items()
            if kept.completed_at is not None
            and (self.now() - kept.completed_at).total_seconds() <= REUSE
            and kept.visible(self.now())
        ]
        running = [known for known, kept in same.items() if kept.joinable and not kept.cancel_requested]
        assert submission.reused == bool((fresh and not force) or running)
        if submission.reused:
            assert name in ((fresh if not force else []) or running)
            self.model[name].events.append("analysis.reused")
            return
        for kept in same.values():
            kept.replaced = kept.replaced or kept.active
        self.owners.add(owner)
        self.model[name] = Kept(owner, wanted, Status.QUEUED, ["analysis.submitted"])

    @rule(
        number=st.integers(1, 3),
        content=st.sampled_from(CONTENTS),
        owner=st.sampled_from(OWNERS),
        found=st.integers(0, 2),
        ttl=st.sampled_from([None, None, 300.0]),
        most=st.sampled_from([None, None, 1, 2]),
    )
    def store(self, number: int, content: Any, owner: str, found: int, ttl: float | None, most: int | None) -> None:
        name = f"mine{number}"
        known = self.model.get(name)
        # What nobody sees any more makes room.
        hidden = known is not None and not known.visible(self.now())
        new = NewResult(
            kind="sample",
            result=content,
            analysis_id=name,
            context=Context(client_session_id=owner),
            findings=ended(Status.COMPLETED, content, found).report.findings,  # type: ignore[union-attr]
            metrics={"found": found},
            ttl_seconds=ttl,
            max_retrievals=most,
        )
        # Never alone: the other one of the batch is kept if and only if this one may be.
        self.number += 1
        other = NewResult(kind="sample", result=content, analysis_id=f"other{self.number}")
        if known is not None and hidden:
            self.vanish(name, "analysis.purged")
            known = None
        if known is not None and (known.content, known.owner, known.found) != (content, owner, found):
            with pytest.raises(ContentConflict):
                self.hf.store_analyses([other, new])
            return
        stored = self.hf.store_analyses([other, new])
        assert [value.analysis_id for value in stored] == [f"other{self.number}", name]
        added = {f"other{self.number}": "local"} | ({} if known else {name: owner})
        for added_name, added_owner in added.items():
            count = found if added_name == name else 0
            self.owners.add(added_owner)
            self.model[added_name] = Kept(
                added_owner,
                fingerprint("sample", None, {}),
                Status.COMPLETED,
                ["analysis.completed"],
                runs=False,
                content=content,
                found=count,
                completed_at=self.now(),
                expires_at=self.now() + timedelta(seconds=ttl) if ttl and added_name == name else None,
                max_retrievals=most if added_name == name else None,
            )

    @rule(count=st.integers(1, 3))
    def keep_some(self, count: int) -> None:
        """Of a kind of which few stay."""
        for _ in range(count):
            self.number += 1
            name = f"kept{self.number}"
            self.clock.advance(0.001)
            self.hf.store_analysis("kept", self.number, analysis_id=name)
            self.owners.add("local")
            self.model[name] = Kept(
                "local",
                fingerprint("kept", None, {}),
                Status.COMPLETED,
                ["analysis.completed"],
                runs=False,
                content=self.number,
                completed_at=self.now(),
            )

    @rule(pick=picks, what=st.sampled_from(["cancel", "resume", "resume", "delete", "purge", "pin", "unpin"]))
    def act(self, pick: int, what: str) -> None:
        getattr(self, what)(self.name(pick))

    @rule(pick=picks, what=st.sampled_from(["restore", "restore", "purge", "delete"]))
    def act_on_the_hidden(self, pick: int, what: str) -> None:
        names = sorted(name for name, kept in self.model.items() if not kept.visible(self.now()))
        getattr(self, what)(names[pick % len(names)] if names else "none")

    @rule(pick=picks)
    def retrieve(self, pick: int) -> None:
        names = sorted(name for name, kept in self.model.items() if kept.max_retrievals is not None)
        name = names[pick % len(names)] if names else self.name(pick)
        kept = self.model.get(name)
        if kept is None or not kept.visible(self.now()):
            with pytest.raises(AnalysisNotFound):
                self.hf.results.retrieve(name)
        elif kept.content is None:
            with pytest.raises(ResultNotFound):
                self.hf.results.retrieve(name)
        else:
            kept.retrieved += 1
            analysis, data = self.hf.results.retrieve(name)
            assert analysis.retrieval_count == kept.retrieved
            assert analysis.result is not None
            assert json.loads(unpack(analysis.result.hash, data)) == kept.content

    @rule()
    def sweep(self) -> None:
        reasons: dict[str, str] = {}
        now = self.now()
        for name, kept in self.model.items():
            if kept.status is Status.RUNNING:
                continue
            if kept.deleted_at is not None and now - kept.deleted_at >= timedelta(seconds=TRASH):
                reasons[name] = "trash_emptied"
            elif kept.expired(now):
                reasons[name] = "expired" if kept.expires_at is not None and kept.expires_at <= now else "used_up"
        counted = [
            name
            for name, kept in self.model.items()
            if name.startswith("kept") and name not in reasons and not kept.is_pinned and kept.deleted_at is None
        ]
        counted.sort(key=lambda name: int(name.removeprefix("kept")), reverse=True)
        reasons.update(dict.fromkeys(counted[KEEP:], "over_count"))
        plan = self.hf.retention.plan()
        assert {going.candidate.analysis_id: going.reason.value for going in plan.items} == reasons
        assert self.hf.sweep().counts == Counter(reasons.values())
        assert self.hf.retention.plan().total == 0
        for name, reason in reasons.items():
            self.vanish(name, "analysis.purged" if reason == "trash_emptied" else "analysis.expired")

    def vanish(self, name: str, event: str) -> None:
        kept = self.model.pop(name)
        self.gone.setdefault(name, [])
        self.gone[name] += [*kept.events, event]

    def seen(self, name: str, act: Any) -> Kept | None:
        """The analysis, if anybody sees it; otherwise nothing can be done to it."""
        kept = self.model.get(name)
        if kept is not None and kept.visible(self.now()):
            return kept
        with pytest.raises(AnalysisNotFound if kept is None else AnalysisGone):
            act(name)
        assert self.hf.queries.available(name) == ("not_found" if kept is None else "expired")
        return None

    def cancel(self, name: str) -> None:
        kept = self.seen(name, self.hf.cancel_analysis)
        if kept is None:
            return
        if not kept.active:
            with pytest.raises(IllegalMove):
                self.hf.cancel_analysis(name)
        elif kept.status is Status.QUEUED:
            self.hf.cancel_analysis(name)
            kept.end(Status.CANCELLED)
        else:
            self.hf.cancel_analysis(name)
            if not kept.cancel_requested:
                kept.events.append("analysis.cancel_requested")
            kept.cancel_requested = True

    def resume(self, name: str) -> None:
        kept = self.seen(name, self.hf.resume_analysis)
        if kept is None:
            return
        occupied = any(
            other.joinable and (other.owner, other.fingerprint) == (kept.owner, kept.fingerprint)
            for other in self.model.values()
        )
        if not kept.runs or kept.active or kept.status is Status.COMPLETED or occupied:
            with pytest.raises(IllegalMove):
                self.hf.resume_analysis(name)
            return
        self.hf.resume_analysis(name)
        kept.status, kept.job_attempt, kept.job_most = Status.QUEUED, 0, ATTEMPTS
        kept.events.append("analysis.resumed")

    def delete(self, name: str) -> None:
        kept = self.seen(name, self.hf.delete_analysis)
        if kept is None:
            return
        self.hf.delete_analysis(name)
        if kept.status is Status.QUEUED:
            kept.end(Status.CANCELLED)
        kept.events.append("analysis.deleted")
        kept.deleted_at = self.now()
        kept.replaced = kept.active
        kept.cancel_requested = kept.active

    def restore(self, name: str) -> None:
        kept = self.model.get(name)
        if kept is None:
            wanted: type[Exception] = AnalysisNotFound
        elif kept.expired(self.now()) or (
            kept.deleted_at is not None and self.now() - kept.deleted_at >= timedelta(seconds=TRASH)
        ):
            wanted = AnalysisGone
        else:
            self.hf.restore_analysis(name)
            kept.deleted_at = None
            kept.events.append("analysis.restored")
            return
        with pytest.raises(wanted):
            self.hf.restore_analysis(name)

    def purge(self, name: str) -> None:
        if name not in self.model:
            with pytest.raises(AnalysisNotFound):
                self.hf.delete_analysis(name, purge=True)
            return
        self.hf.delete_analysis(name, purge=True)
        self.vanish(name, "analysis.purged")

    def pin(self, name: str) -> None:
        if (kept := self.seen(name, self.hf.pin_analysis)) is not None:
            assert self.hf.pin_analysis(name).is_pinned
            kept.events += [] if kept.is_pinned else ["analysis.pinned"]
            kept.is_pinned = True

    def unpin(self, name: str) -> None:
        if (kept := self.seen(name, self.hf.unpin_analysis)) is not None:
            assert not self.hf.unpin_analysis(name).is_pinned
            kept.events += ["analysis.unpinned"] if kept.is_pinned else []
            kept.is_pinned = False

    # What workers do.

    @precondition(lambda self: any(kept.active and not kept.leased for kept in self.model.values()))
    @rule(worker=st.sampled_from(WORKERS))
    def begin(self, worker: str) -> None:
        due = [job for job in self.hf.jobs.listing(None) if not job.lease_owner and job.run_at <= self.now()]
        claimed = self.hf.jobs.claim(worker, [RUN_JOB], 1)
        first = sorted(due, key=lambda job: (-job.priority, job.run_at, job.id))[:1]
        assert [job.id for job in claimed] == [job.id for job in first]
        if not claimed:
            return
        (job,) = claimed
        kept = self.model[str(job.analysis_id)]
        assert (kept.status, kept.leased) == (Status.QUEUED, False)
        begun = run_handler(self.hf)._begin(job)
        assert begun is not None
        kept.status, kept.leased, kept.lease_until = Status.RUNNING, True, job.lease_until
        kept.attempts += 1
        kept.job_attempt += 1
        kept.events.append("analysis.started")
        assert (begun.attempt, job.attempt) == (kept.attempts, kept.job_attempt)
        self.held.append((job, begun))

    def holder(self, run: tuple[Job, Analysis]) -> Kept | None:
        """The analysis of a run, if the run still has it."""
        job, begun = run
        kept = self.model.get(begun.analysis_id)
        if kept is None or not kept.leased or kept.attempts != begun.attempt:
            return None
        return kept if kept.job_attempt == job.attempt else None

    @precondition(lambda self: self.held)
    @rule(
        pick=picks,
        how=st.sampled_from([*END_EARLY, Status.COMPLETED, "crash", "drain"]),
        content=st.sampled_from(CONTENTS),
        is_partial=st.booleans(),
        found=st.integers(0, 3),
        again=st.booleans(),
    )
    def finish(self, pick: int, how: Status | str, content: Any, is_partial: bool, found: int, again: bool) -> None:
        run = self.take(pick)
        name = run[1].analysis_id
        if how == "crash":
            self.crash(run)
        elif how == "drain":
            self.drain(run)
        else:
            has_result = is_partial or how == Status.COMPLETED
            self.settle(run, Status(how), content if has_result else None, found)
        if again and name in self.model:
            if self.model[name].status.ended and self.model[name].deleted_at is None:
                self.resume(name)
            self.clock.advance(2)
            self.begin("w2")

    @precondition(lambda self: self.stale)
    @rule(pick=picks, content=st.sampled_from(CONTENTS))
    def come_too_late(self, pick: int, content: Any) -> None:
        run = self.stale[pick % len(self.stale)]
        assert self.holder(run) is None
        self.settle(run, Status.COMPLETED, content, 1)
        with pytest.raises(LeaseLost):
            self.keeper(run).save("analysis:" + run[1].analysis_id, {"late": b"late"})
        self.hf.jobs.fail(run[0], AnalyzerCrashed())
        self.hf.jobs.give_back(run[0])

    def settle(self, run: tuple[Job, Analysis], status: Status, content: Any, found: int) -> None:
        kept = self.holder(run)
        job, begun = run
        settle(self.hf, job, begun, ended(status, content, found), worker=str(job.lease_owner))
        if kept is None:
            return
        kept.end(status)
        if content is not None:
            kept.content, kept.found = content, found
        if status is Status.COMPLETED:
            kept.completed_at = self.now()
            kept.checkpoints.clear()

    def keeper(self, run: tuple[Job, Analysis]) -> _Keeper:
        return _Keeper(self.hf.store, run[0], Held(), run[1])

    @precondition(lambda self: self.held)
    @rule(pick=picks, key=st.sampled_from(["one", "two"]))
    def checkpoint(self, pick: int, key: str) -> None:
        run = self.held[pick % len(self.held)]
        kept, scope = self.holder(run), f"analysis:{run[1].analysis_id}"
        if kept is None:
            with pytest.raises(LeaseLost):
                self.keeper(run).save(scope, {key: b"value"})
            return
        keeper = self.keeper(run)
        keeper.save(scope, {key: b"value"})
        kept.checkpoints.add(key)
        assert keeper.load(scope, ["one", "two", "three"]).keys() == kept.checkpoints
        keeper.progressed(Progress(phase="Looking", started_at=self.now(), updated_at=self.now()))
        kept.events.append("analysis.entered_phase")
        assert keeper.stop_asked() == kept.cancel_requested

    def crash(self, run: tuple[Job, Analysis]) -> None:
        kept = self.holder(run)
        self.hf.jobs.fail(run[0], AnalyzerCrashed())
        if kept is not None:
            self.give_up(kept)

    def drain(self, run: tuple[Job, Analysis]) -> None:
        kept = self.holder(run)
        self.hf.jobs.give_back(run[0])
        if kept is not None:
            kept.job_most += 1
            self.give_up(kept)

    def give_up(self, kept: Kept) -> None:
        kept.leased = False
        if kept.cancel_requested:
            kept.end(Status.CANCELLED)
        elif kept.job_attempt < kept.job_most:
            kept.status = Status.QUEUED
            kept.events.append("analysis.interrupted")
        else:
            kept.end(Status.FAILED)

    @rule(worker=st.sampled_from(WORKERS))
    def beat(self, worker: str) -> None:
        mine = [job for job in self.hf.jobs.listing(None) if job.lease_owner == worker]
        # Of those that it should have by now it hears only of what it still has.
        assert self.hf.jobs.heartbeat(worker, [job.id for job in self.hf.jobs.listing(None)]) == {
            job.id for job in mine
        }
        for job in mine:
            self.model[str(job.analysis_id)].lease_until = self.now() + timedelta(seconds=LEASE)

    @rule(seconds=st.sampled_from([0.5, 20, LEASE + 1, 600, REUSE]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        lost = [
            kept
            for kept in self.model.values()
            if kept.leased and kept.lease_until is not None and kept.lease_until < self.now()
        ]
        assert self.hf.jobs.take_back() == len(lost)
        for kept in lost:
            self.give_up(kept)

    # What is always true.

    @invariant()
    def agrees(self) -> None:
        tables_ = Tables(self.hf)
        tables_.count()
        assert {row.analysis_id: row.status for row in tables_.analyses} == {
            name: kept.status.value for name, kept in self.model.items()
        }
        for row in tables_.analyses:
            kept = self.model[row.analysis_id]
            assert (row.finding_count, row.attempt) == (kept.found, kept.attempts)
            assert row.cancel_requested == kept.cancel_requested
            assert (row.is_pinned, row.retrieval_count) == (kept.is_pinned, kept.retrieved)
            assert row.deleted_at == kept.deleted_at
            assert (row.active_key is not None) == kept.joinable
            assert (row.result_hash is None) == (kept.content is None)
            assert row.result_is_partial == (kept.content is not None and kept.status is not Status.COMPLETED)
            assert (row.completed_at is not None) == row_ended(row)
            if kept.content is not None:
                assert json.loads(tables_.results[row.result_hash]) == kept.content
        now = self.now()
        shown = sorted(name for name, kept in self.model.items() if kept.visible(now))
        listed_names = sorted(item.analysis_id for item in self.hf.list_analyses(limit=1000).items)
        assert listed_names == shown
        restorable = sorted(
            name
            for name, kept in self.model.items()
            if kept.deleted_at is not None
            and now - kept.deleted_at < timedelta(seconds=TRASH)
            and not kept.expired(now)
        )
        assert sorted(item.analysis_id for item in self.hf.queries.trash(limit=1000).items) == restorable
        readable = [name for name in shown if self.model[name].content is not None]
        if readable:
            # One each time: on PostgreSQL all of them would take half the time of the test.
            self.number += 1
            name = readable[self.number % len(readable)]
            assert self.hf.get_result(name) == self.model[name].content
            assert len(self.hf.get_findings(name)) == self.model[name].found
        assert tables_.owners == self.owners
        listed = self.hf.jobs.listing(None)
        jobs = {job.analysis_id: job for job in listed}
        assert len(jobs) == len(listed)
        assert jobs.keys() == {name for name, kept in self.model.items() if kept.active}
        for job in listed:
            kept = self.model[str(job.analysis_id)]
            assert (job.lease_owner is not None) == kept.leased == (kept.status is Status.RUNNING)
            assert (job.attempt, job.max_attempts) == (kept.job_attempt, kept.job_most)
        expected = {name: list(kept.events) for name, kept in self.model.items()}
        for name, events in self.gone.items():
            expected[name] = events + expected.get(name, [])
        assert tables_.events == expected
        assert tables_.checkpoints == {
            f"analysis:{name}": kept.checkpoints for name, kept in self.model.items() if kept.checkpoints
        }


def row_ended(row: Any) -> bool:
    return Status(row.status).ended


class Tables:
    """Everything that is kept, read row by row, and checked to fit together."""

    def __init__(self, hf: Holdfast) -> None:
        self.hf = hf
        with hf.engine.read() as connection:
            self.rows = {
                table.name: connection.execute(sa.select(table)).all() for table in tables.metadata.sorted_tables
            }
        self.analyses = self.rows["analyses"]
        self.owners = {row.client_session_id for row in self.rows["owners"]}
        self.events: dict[str, list[str]] = {}
        assert {row.subject for row in self.analyses if row.subject} == {row.id for row in self.rows["subjects"]}
        for row in sorted(self.rows["ledger"], key=lambda row: row.sequence):
            self.events.setdefault(row.analysis_id, []).append(row.name)
        self.results = {row.hash: unpack(row.hash, bytes(row.data)) for row in self.rows["payloads"]}
        self.checkpoints: dict[str, set[str]] = {}
        for row in self.rows["checkpoints"]:
            self.checkpoints.setdefault(row.scope, set()).add(row.key)

    def count(self) -> None:
        keys = {row.id for row in self.analyses}
        for name in CHILDREN:
            assert {row.analysis for row in self.rows[name]} <= keys, f"orphans in {name}"
        findings = Counter(row.analysis for row in self.rows["findings"])
        assert {row.id: row.finding_count for row in self.analyses if row.finding_count} == findings
        assert {row.finding for row in self.rows["finding_items"]} <= {row.id for row in self.rows["findings"]}
        references = Counter(row.result_hash for row in self.analyses if row.result_hash)
        assert {row.hash: row.reference_count for row in self.rows["payloads"]} == references
        active = [row.active_key for row in self.analyses if row.active_key is not None]
        assert len(active) == len(set(active))
        attempts = Counter(row.analysis for row in self.rows["attempts"])
        assert {row.id: row.attempt for row in self.analyses if row.attempt} == attempts
        running = {row.id for row in self.analyses if row.status == Status.RUNNING.value}
        assert {row.analysis for row in self.rows["attempts"] if row.ended_at is None} == running
        stats = self.hf.get_stats()
        kept = [row for row in self.analyses if row.deleted_at is None]
        assert stats.total_results == len(kept)
        assert stats.total_sessions == len(self.owners)
        assert stats.storage_size_bytes == sum(row.result_stored_size or 0 for row in kept)
        assert stats.status_counts == Counter(row.status for row in kept)


def clear(connection: sa.Connection) -> None:
    for table in reversed(tables.metadata.sorted_tables):
        connection.execute(sa.delete(table))


@pytest.mark.long
@pytest.mark.timeout(600)
def test_life(database: str) -> None:
    class Here(Life):
        url = database

    # Enough to kill the usual mutants; on PostgreSQL each costs four times as much.
    usual = 80 if database.startswith("sqlite") else 20
    examples = settings().max_examples
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=examples if examples > 1000 else usual,
            stateful_step_count=40,
            suppress_health_check=list(HealthCheck),
        ),
    )
