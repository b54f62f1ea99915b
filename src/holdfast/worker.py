"""The loop that does jobs: claimed in batches, long ones in threads, leases kept alive, effects settled."""

import itertools
import logging
import os
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

from holdfast.domain.errors import HoldfastError, StoreError
from holdfast.domain.jobs import Job, backoff
from holdfast.domain.ports import Spans, no_span
from holdfast.services import BatchHandler, Effect, GivenBack, Handler
from holdfast.services.jobs import JobsService
from holdfast.store.bell import Bell

_log = logging.getLogger(__name__)

_BATCH = 100
_AFTER_STORE_ERROR_SECONDS = 0.5
# How often a worker that always finds a job looks after lost jobs and schedules.
_TEND_SECONDS = 0.25
# How long the end waits for batches: they take moments, unless a back end hangs.
_LANES_SECONDS = 1.0


def worker_name(random: bytes) -> str:
    """A name for a worker: where it runs, and random bytes, as process numbers come again."""
    return f"{socket.gethostname()}-{os.getpid()}-{random.hex()}"


class _Hold:
    """A worker's hold on one job."""

    def __init__(self, job: Job, drain: threading.Event) -> None:
        self.job = job
        self.is_lost = False
        self._drain = drain

    def lost(self) -> bool:
        return self.is_lost

    def draining(self) -> bool:
        return self._drain.is_set()


class _Holds:
    """A worker's hold on a batch of jobs."""

    def __init__(self, holds: Sequence[_Hold], drain: threading.Event) -> None:
        self._holds = holds
        self._drain = drain

    def lost(self) -> bool:
        return all(hold.is_lost for hold in self._holds)

    def draining(self) -> bool:
        return self._drain.is_set()


class _Settling:
    """How the jobs of a batch end.

    Attributes:
        done: how many are done.
    """

    def __init__(self, jobs: JobsService, worker: str, holds: Sequence[_Hold]) -> None:
        self.done = 0
        self._jobs = jobs
        self._worker = worker
        self._left = {hold.job.id: hold.job for hold in holds}

    def left(self) -> list[Job]:
        """Those that have not ended."""
        return list(self._left.values())

    def settle(self, jobs: Sequence[Job], effect: Effect | None) -> None:
        self._jobs.settle_together(self._worker, jobs, effect)
        self._end(jobs)
        self.done += len(jobs)

    def fail(self, job: Job, error: BaseException) -> None:
        self._end([job])
        _tell_failed(self._jobs, job, error)

    def postpone(self, jobs: Sequence[Job], error: BaseException, seconds: float) -> None:
        self._end(jobs)
        try:
            self._jobs.postpone(jobs, error, seconds)
        except StoreError as trouble:
            _log.warning("%d jobs come back when their leases end: %s", len(jobs), trouble)

    def _end(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._left.pop(job.id, None)


class Worker:
    """Does jobs until it is told to stop.

    Attributes:
        name: its name.
        idle_seconds: how long it waits at most, where nothing tells it of new work.
    """

    def __init__(
        self,
        jobs: JobsService,
        handlers: Mapping[str, Handler],
        bell: Bell,
        *,
        name: str,
        concurrency: int,
        lease_seconds: float,
        idle_seconds: float = 1.0,
        span: Spans = no_span,
    ) -> None:
        """Prepare to work.

        Args:
            jobs: where jobs come from.
            handlers: what does them, by kind.
            bell: tells when something was committed.
            name: the worker's name, of no other worker ever.
            concurrency: how many long jobs at once.
            lease_seconds: how long it may be silent before its jobs go to others.
            idle_seconds: how long it waits at most: a ring may be lost, so it looks without one now and then.
            span: tells which job is being done.
        """
        self.name = name
        self._span = span
        self._jobs = jobs
        self._handlers = handlers
        self._bell = bell
        self._concurrency = concurrency
        self._lease_seconds = lease_seconds
        self._batched = {kind: handler for kind, handler in handlers.items() if isinstance(handler, BatchHandler)}
        self._lanes: dict[str, threading.Thread] = {}
        self._short = [kind for kind, handler in handlers.items() if not handler.is_long and kind not in self._batched]
        # Housekeeping is long too, but must neither wait for analyses nor keep them waiting.
        self._aside = [kind for kind, handler in handlers.items() if getattr(handler, "is_aside", False)]
        apart = {*self._aside, *self._batched}
        self._long = [kind for kind, handler in handlers.items() if handler.is_long and kind not in apart]
        self.idle_seconds = idle_seconds
        self._batch_size: int | None = None
        self._beside: threading.Thread | None = None
        self._drain = threading.Event()
        self._holds: dict[int, _Hold] = {}
        self._mutex = threading.Lock()
        self._finished = 0
        self._was_busy = False
        self._tended_at = 0.0

    def set_batch(self, size: int) -> None:
        """Give batch handlers that many jobs at a time."""
        self._batch_size = size

    def stop(self) -> None:
        """Ask it to stop: long jobs are given back, ``run`` returns soon. Safe in a signal handler."""
        self._drain.set()

    def run(self, *, until_idle: bool = False) -> int:
        """Do jobs until stopped; with ``until_idle``, until nothing is due.

        Returns:
            How many jobs it has finished.
        """
        heart = threading.Thread(target=self._beat, name="holdfast-heart", daemon=True)
        heart.start()
        threads: list[threading.Thread] = []
        try:
            while True:
                # Taken before it is asked whether to stop: the ring that tells of that cannot fall in between.
                count = self._bell.count()
                if self._drain.is_set():
                    break
                threads = [thread for thread in threads if thread.is_alive()]
                # Asked before it looks for more: one that ends afterwards has kept what waits for it from being seen.
                was_free = not threads and not self._is_any_lane_busy()
                busy = self._was_busy = self._step(threads)
                if until_idle and was_free and not busy:
                    break
                if not busy:
                    self._bell.wait(count, self._pause())
        finally:
            self._drain.set()
            self._bell.nudge()
            for thread in threads:
                thread.join()
            self._leave_lanes()
            heart.join()
        return self._finished

    def _step(self, threads: list[threading.Thread]) -> bool:
        """Claim and start what is due; True when there was something."""
        try:
            if not self._was_busy or time.monotonic() - self._tended_at >= _TEND_SECONDS:
                self._jobs.take_back(worker=self.name)
                self._jobs.fire_schedules()
                self._tended_at = time.monotonic()
            short = self._claim(self._short, _BATCH, likely=self._was_busy)
            if short:
                self._do_short(short)
            aside = self._claim(self._aside, 0 if self._is_beside_busy() else 1)
            batched = self._start_lanes()
            free = self._concurrency - sum(thread.is_alive() for thread in threads if thread is not self._beside)
            long = self._claim(self._long, free)
        except StoreError as error:
            _log.warning("The store does not answer, the worker tries again: %s", error)
            time.sleep(_AFTER_STORE_ERROR_SECONDS)
            return True
        for hold in [*long, *aside]:
            thread = threading.Thread(target=self._do_long, args=(hold,), name=f"holdfast-job-{hold.job.id}")
            thread.start()
            threads.append(thread)
            self._beside = thread if hold in aside else self._beside
        return bool(short or long or aside or batched)

    def _start_lanes(self) -> bool:
        """Give each batch handler that is free what waits for it; True when there was something."""
        started = False
        for kind, handler in self._batched.items():
            lane = self._lanes.get(kind)
            if handler.is_paused() or (lane is not None and lane.is_alive()):
                continue
            holds = self._claim([kind], self._batch_of(handler), likely=lane is not None and self._was_busy)
            if holds:
                # A daemon: a back end that hangs must not keep the process.
                thread = threading.Thread(
                    target=self._do_batch, args=(handler, holds), name=f"holdfast-{kind}", daemon=True
                )
                self._lanes[kind] = thread
                thread.start()
                started = True
        return started

    def _batch_of(self, handler: BatchHandler) -> int:
        # Some take one at a time whatever is wanted.
        return handler.batch if self._batch_size is None or handler.batch == 1 else self._batch_size

    def _is_any_lane_busy(self) -> bool:
        return any(lane.is_alive() for lane in self._lanes.values())

    def _leave_lanes(self) -> None:
        """Wait a moment for what is done in batches, and give back what hangs."""
        until = time.monotonic() + _LANES_SECONDS
        for lane in self._lanes.values():
            lane.join(max(until - time.monotonic(), 0))
        with self._mutex:
            stuck = [hold for hold in self._holds.values() if hold.job.kind in self._batched]
        for hold in stuck:
            self._give_back(hold.job)
        self._release(stuck)

    def run_batches(self, kinds: Sequence[str], limit: int) -> int:
        """Do ``limit`` jobs at most of batch handlers here and now; returns how many were done."""
        heart = threading.Thread(target=self._beat, name="holdfast-heart", daemon=True)
        heart.start()
        try:
            for kind in kinds:
                handler = self._batched[kind]
                while (left := limit - self._finished) > 0 and not handler.is_paused():
                    before = self._finished
                    holds = self._claim([kind], min(left, handler.batch))
                    if not holds:
                        break
                    self._do_batch(handler, holds)
                    if self._finished == before:
                        break
        finally:
            self._drain.set()
            heart.join()
        return self._finished

    def _do_batch(self, handler: BatchHandler, holds: Sequence[_Hold]) -> None:
        settling = _Settling(self._jobs, self.name, holds)
        try:
            handler.handle_batch([hold.job for hold in holds], _Holds(holds, self._drain), settling)
        except GivenBack:
            for job in settling.left():
                self._give_back(job)
        except Exception as error:  # noqa: BLE001 as above
            for job in settling.left():
                self._failed(job, error)
        finally:
            self._count(settling.done)
            self._release(holds)
            self._bell.nudge()

    def _is_beside_busy(self) -> bool:
        return self._beside is not None and self._beside.is_alive()

    def _pause(self) -> float:
        try:
            due = self._jobs.next_due([*self._short, *self._long, *self._aside, *self._batched])
        except StoreError:
            return self.idle_seconds
        # What is due but unclaimed waits for a free thread, whose end rings the bell.
        return self.idle_seconds if due is None or due <= 0 else min(due, self.idle_seconds)

    def _claim(self, kinds: Sequence[str], limit: int, *, likely: bool = False) -> list[_Hold]:
        holds = [_Hold(job, self._drain) for job in self._jobs.claim(self.name, kinds, limit, likely=likely)]
        with self._mutex:
            self._holds.update((hold.job.id, hold) for hold in holds)
        return holds

    def _do_short(self, holds: Sequence[_Hold]) -> None:
        done: list[tuple[Job, Effect | None]] = []
        try:
            for hold in holds:
                if self._drain.is_set():
                    self._give_back(hold.job)
                    continue
                try:
                    with self._doing(hold.job):
                        done.append((hold.job, self._handlers[hold.job.kind].handle(hold.job, hold)))
                except GivenBack:
                    self._give_back(hold.job)
                except Exception as error:  # noqa: BLE001 a handler may fail in any way, and the job keeps the reason
                    self._failed(hold.job, error)
            self._settle(done)
        finally:
            self._release(holds)

    def _settle(self, done: Sequence[tuple[Job, Effect | None]]) -> None:
        try:
            self._jobs.settle(self.name, done)
        except Exception:  # noqa: BLE001 as above
            # One effect spoils the batch: settle one by one, and only that one has failed.
            for job, effect in done:
                self._settle_one(job, effect)
        else:
            self._count(len(done))

    def _do_long(self, hold: _Hold) -> None:
        try:
            with self._doing(hold.job):
                self._settle_one(hold.job, self._handlers[hold.job.kind].handle(hold.job, hold))
        except GivenBack:
            self._give_back(hold.job)
        except Exception as error:  # noqa: BLE001 as above
            self._failed(hold.job, error)
        finally:
            self._release([hold])
            self._bell.nudge()

    def _doing(self, job: Job) -> AbstractContextManager[object]:
        about = {} if job.analysis_id is None else {"analysis_id": job.analysis_id}
        return self._span(f"job {job.kind}", job_id=job.id, attempt=job.attempt, worker=self.name, **about)

    def _settle_one(self, job: Job, effect: Effect | None) -> None:
        try:
            self._settle_patiently(job, effect)
        except Exception as error:  # noqa: BLE001 as above
            self._failed(job, error)
        else:
            self._count(1)

    def _settle_patiently(self, job: Job, effect: Effect | None) -> None:
        # What took minutes to find is not given up because the database restarts; the lease is the limit.
        until = time.monotonic() + self._lease_seconds
        for attempt in itertools.count(1):
            try:
                self._jobs.settle(self.name, [(job, effect)])
            except StoreError as error:
                pause = backoff(attempt, 0.5, base=0.1, cap=2.0).total_seconds()
                if not error.retry_suggested or time.monotonic() + pause > until:
                    raise
                _log.warning("Job %d is done but cannot be settled yet: %s", job.id, error)
                time.sleep(pause)
            else:
                return

    def _failed(self, job: Job, error: BaseException) -> None:
        _tell_failed(self._jobs, job, error)

    def _give_back(self, job: Job) -> None:
        try:
            self._jobs.give_back(job)
        except StoreError as trouble:
            _log.warning("Job %d comes back when its lease ends: %s", job.id, trouble)

    def _release(self, holds: Sequence[_Hold]) -> None:
        with self._mutex:
            for hold in holds:
                self._holds.pop(hold.job.id, None)

    def _count(self, finished: int) -> None:
        with self._mutex:
            self._finished += finished

    def _beat(self) -> None:
        """Keep the leases alive, until the last job is over."""
        while True:
            with self._mutex:
                holds = dict(self._holds)
            if self._drain.is_set():
                # Here, as a signal's handler must not take the bell's lock.
                self._bell.nudge()
                if not holds:
                    return
            if holds:
                try:
                    kept = self._jobs.heartbeat(self.name, holds.keys())
                except StoreError as error:
                    _log.warning("A heartbeat failed: %s", error)
                else:
                    for key in holds.keys() - kept:
                        holds[key].is_lost = True
            self._drain.wait(self._lease_seconds / 4) if not self._drain.is_set() else time.sleep(0.05)


def _tell_failed(jobs: JobsService, job: Job, error: BaseException) -> None:
    if isinstance(error, HoldfastError):
        _log.warning("Job %d (%s) failed: %s", job.id, job.kind, error)
    else:
        _log.error("Job %d (%s) failed", job.id, job.kind, exc_info=error)
    try:
        jobs.fail(job, error)
    except StoreError as trouble:
        _log.warning("Job %d comes back when its lease ends: %s", job.id, trouble)
