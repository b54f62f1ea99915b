"""Indexing when all goes wrong: workers that are killed, a back end that fails, is away and hangs.

The test does it small, ``bench/r1_chaos.py`` at full size.
"""

import logging
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from holdfast.bootstrap import Holdfast, open_holdfast
from holdfast.domain.errors import ProcessorUnavailable
from holdfast.domain.jobs import JobStatus
from holdfast.domain.processing import Document, Health, job_kind
from holdfast.processors.contract import Surroundings, Write
from holdfast.services.results import NewResult
from tests.durability import actors

NAME = "troubled"
KIND = job_kind(NAME)
POISON = "poison"
_AT_ONCE = 500
_PATIENCE = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What goes wrong.

    Attributes:
        count: how many analyses are stored.
        poisoned: how many of them the back end never takes, until it is mended.
        workers: how many processes work.
        kills: how often one of them is killed.
        failing: the part of the calls that fail.
        away: from when to when after the beginning the back end is away, in seconds.
        hangs: from when to when its calls hang, none of which ever returns.
        limit_seconds: after which it has come to nothing.
    """

    count: int
    poisoned: int
    workers: int = 4
    kills: int
    failing: float = 0.2
    away: tuple[float, float]
    hangs: tuple[float, float]
    limit_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of it.

    Attributes:
        indexed: how many analyses are in the index.
        times: how often each of them was written there.
        dead: why the jobs were given up that were.
        retried: how many of those one command queued again.
        after_trouble: how many were in the index before that.
        seconds: how long the troubled part took.
    """

    indexed: int
    times: set[int]
    dead: list[str]
    retried: int
    after_trouble: int
    seconds: float


class Troubled:
    """An index that says how often each document was written, behind a back end in trouble."""

    name = NAME
    version = "1"

    def __init__(self, surroundings: Surroundings) -> None:
        self._trouble: dict[str, Any] = dict(surroundings.options)
        self._random = random.Random()

    def create(self, connection: sa.Connection, generation: int) -> None:
        connection.exec_driver_sql(
            f"CREATE TABLE IF NOT EXISTS troubled_{generation} (analysis bigint PRIMARY KEY, number int)"
        )

    def discard(self, connection: sa.Connection, generation: int) -> None:
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS troubled_{generation}")

    def accepts(self, document: Document) -> bool:
        return True

    def process(self, documents: Sequence[Document], generations: Sequence[int]) -> Write:
        if self._trouble:
            self._suffer(documents)
        rows = [{"k": document.key} for document in documents]

        def write(connection: sa.Connection, generation: int) -> None:
            upsert = (
                f"INSERT INTO troubled_{generation} (analysis, number) VALUES (:k, 1) "
                f"ON CONFLICT (analysis) DO UPDATE SET number = troubled_{generation}.number + 1"
            )
            connection.execute(sa.text(upsert), rows)

        return write

    def _suffer(self, documents: Sequence[Document]) -> None:
        since = time.time() - self._trouble["began"]
        if self._trouble["away"][0] <= since < self._trouble["away"][1]:
            raise ProcessorUnavailable("Nobody answers at port 6333")
        if self._trouble["hangs"][0] <= since < self._trouble["hangs"][1]:
            threading.Event().wait()
        if self._random.random() < self._trouble["failing"]:
            raise ConnectionError("Connection reset by peer")
        if any(POISON in document.analysis.tags for document in documents):
            raise ValueError("The back end does not take this one")

    def remove(self, keys: Sequence[int], generations: Sequence[int]) -> Write:
        return lambda connection, generation: None

    def health(self, generation: int) -> Health:
        return Health(is_ready=True)

    def close(self) -> None:
        """There is nothing to release."""


def opened(url: str, trouble: dict[str, Any] | None = None) -> Holdfast:
    return open_holdfast(
        url,
        processors=(NAME,),
        processor_classes=(Troubled,),
        processor_options={NAME: trouble or {}},
        process_batch_size=50,
        lease_seconds=2.0,
        process_timeout_seconds=_PATIENCE,
        sweep_seconds=0.0,
    )


def work(url: str, trouble: dict[str, Any]) -> None:
    """A worker process; what fails is told by its jobs, and need not be shown."""
    logging.getLogger("holdfast").addHandler(logging.NullHandler())
    with opened(url, trouble) as hf:
        hf.worker().run()


def run(url: str, plan: Plan, *, seed: int = 0) -> Outcome:
    """Store, let all go wrong, mend the back end, and try again what was given up."""
    drawn = random.Random(seed)
    with opened(url) as hf:
        _store(hf, plan)
        began = time.time()
        trouble = {"began": began, "failing": plan.failing, "away": list(plan.away), "hangs": list(plan.hangs)}
        workers = [actors.start(work, url, trouble) for _ in range(plan.workers)]
        try:
            kills = plan.kills
            while kills or not _is_over(hf):
                if time.time() - began > plan.limit_seconds:
                    raise TimeoutError(f"There is still to do after {plan.limit_seconds} s: {hf.jobs.counts()}")
                time.sleep(drawn.uniform(0.1, 1.0))
                if kills:
                    kills -= 1
                    victim = workers.pop(drawn.randrange(len(workers)))
                    victim.kill()
                    victim.join()
                    workers.append(actors.start(work, url, trouble))
        finally:
            for worker in workers:
                worker.kill()
                worker.join()
        seconds = time.time() - began
        dead = [job.last_error or "" for job in hf.processing.failed(limit=1000)]
        before = _times(hf)
        retried = hf.processing.retry_failed()
        hf.worker().run(until_idle=True)
        after = _times(hf)
        return Outcome(
            indexed=len(after),
            times=set(after),
            dead=dead,
            retried=retried,
            after_trouble=len(before),
            seconds=seconds,
        )


def _store(hf: Holdfast, plan: Plan) -> None:
    # The index first, or to build it would read the analyses too.
    hf.worker().run(until_idle=True)
    new = [
        NewResult(kind="note", result=number, analysis_id=f"n{number}", tags=[POISON] * (number < plan.poisoned))
        for number in range(plan.count)
    ]
    for start in range(0, len(new), _AT_ONCE):
        hf.store_analyses(new[start : start + _AT_ONCE])


def _is_over(hf: Holdfast) -> bool:
    counts = hf.jobs.counts()
    return not any(counts.get((KIND, status.value)) for status in (JobStatus.READY, JobStatus.LEASED))


def _times(hf: Holdfast) -> list[int]:
    state = hf.store.read(lambda uow: uow.processing.index(NAME))
    assert state is not None
    with hf.engine.read() as connection:
        return list(connection.exec_driver_sql(f"SELECT number FROM troubled_{state.readable}").scalars())
