"""P7's no-op jobs, through Holdfast's worker; each has an effect, a line in the ledger."""

import time
from typing import TYPE_CHECKING

import holdfast
from bench import protocol
from holdfast import worker as worker_module
from holdfast.domain.analysis import ErrorInfo
from holdfast.domain.events import Event
from holdfast.domain.jobs import Job, NewJob
from holdfast.services import Effect, Lease
from holdfast.store.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from holdfast.worker import Worker

KIND = "bench"
DONE = "bench.done"


class _NoOp:
    kind = KIND
    is_long = False

    def __init__(self, tally: protocol.Tally, last: int | None) -> None:
        self._tally = tally
        self._last = last
        self.worker: Worker | None = None

    def handle(self, job: Job, lease: Lease) -> Effect:
        self._tally.start(job.payload["at"])
        if self._tally.done == self._last and self.worker is not None:
            # Takes effect after this batch is settled: a worker that drains gives back what it has not begun.
            self.worker.stop()
        name = f"job-{job.payload['n']}"
        return lambda uow: uow.ledger.append([Event(name=DONE, at=uow.now, analysis_id=name)])

    def lost(self, uow: UnitOfWork, job: Job, error: ErrorInfo, *, dead: bool) -> bool:
        return True


def enqueue(hf: holdfast.Holdfast, number: int) -> None:
    """Enqueue ``number`` jobs, a thousand at once."""
    for first in range(0, number, 1000):
        at = time.time()
        hf.jobs.enqueue([_job(n, at) for n in range(first, min(first + 1000, number))])


def _job(n: int, at: float) -> NewJob:
    return NewJob(kind=KIND, payload={"n": n, "at": at})


def main() -> None:
    wanted = protocol.given()
    tally = protocol.Tally()
    role, number = wanted["role"], wanted["number"]
    # One job a batch shows what a job costs by itself.
    worker_module._BATCH = wanted.get("batch", worker_module._BATCH)
    handler = _NoOp(tally, number if role == "serve" else None)
    with holdfast.open(wanted["url"], handlers=[handler]) as hf:
        protocol.wait_for_go()
        tally.began = time.time()
        if role == "pace":
            for n, at in enumerate(protocol.paced(number, wanted["rate"])):
                hf.jobs.enqueue([_job(n, at)])
        else:
            handler.worker = hf.worker()
            handler.worker.run(until_idle=role == "work")
        tally.ended = time.time()
    protocol.tell(tally)


if __name__ == "__main__":
    main()
