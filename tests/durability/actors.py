"""What the processes of these tests do; started by a fork server that has imported everything before."""

import contextlib
import itertools
import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Any

import holdfast
import holdfast.bootstrap  # the door imports it when it is first asked for: here, once, before the fork
from holdfast.domain.analysis import ErrorInfo
from holdfast.domain.events import Event
from holdfast.domain.jobs import Job
from holdfast.services import Effect, Lease
from holdfast.store.unit_of_work import UnitOfWork

COUNTED = "test.counted"


def context() -> ForkServerContext:
    """Processes that start in milliseconds: two hundred of them are started here."""
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload([__name__])
    return server


def start(target: Callable[..., None], *args: Any) -> ForkServerProcess:
    """Start a process."""
    process: ForkServerProcess = context().Process(target=target, args=args, daemon=True)
    process.start()
    return process


def acknowledged_writes(url: str, prefix: str, threads: int, acknowledgements: Any) -> None:
    """Store results from many threads, and name each one as soon as it is acknowledged."""
    # A killed database is an error for whoever writes, and no acknowledgement.
    with contextlib.suppress(holdfast.errors.StoreUnavailable), holdfast.open(url) as hf:
        pipe = acknowledgements.fileno()

        def write(thread: int, number: int) -> None:
            analysis_id = f"{prefix}-{thread}-{number}"
            hf.store_analysis(
                "killed",
                {"id": analysis_id, "filler": "x" * (97 * number % 4000)},
                analysis_id=analysis_id,
                tags=["a", "b"],
                metrics={"number": number},
                findings=[holdfast.Finding(rule="r", severity=holdfast.Severity.LOW, title=analysis_id)],
            )
            # Short enough to be written whole, whichever thread writes.
            os.write(pipe, f"{analysis_id}\n".encode())

        def write_on(thread: int) -> None:
            with contextlib.suppress(holdfast.errors.StoreUnavailable):
                for number in itertools.count(1):
                    write(thread, number)

        running = [threading.Thread(target=write_on, args=(thread,)) for thread in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()


class Counted:
    """A job whose effect is one event in the ledger."""

    kind = COUNTED
    is_long = False

    def handle(self, job: Job, lease: Lease) -> Effect | None:
        """Take a moment now and then, so that kills meet work half done."""
        if job.payload["number"] % 50 == 0:
            time.sleep(0.02)

        def effect(uow: UnitOfWork) -> None:
            uow.ledger.append([Event(name="test.done", at=uow.now, analysis_id=f"n{job.payload['number']}")])

        return effect

    def lost(self, uow: UnitOfWork, job: Job, error: ErrorInfo, *, dead: bool) -> bool:
        """Nothing to tidy up."""
        return True


def work(url: str) -> None:
    """A worker process."""
    with holdfast.open(url, handlers=[Counted()], lease_seconds=1) as hf:
        hf.worker().run()


def contend(url: str, name: str, threads: int, seconds: float, report: Any) -> None:
    """Write from many threads for a while; report how many were kept, and every error a caller saw."""
    errors: list[str] = []
    counts = [0] * threads
    with holdfast.open(url) as hf:
        until = time.monotonic() + seconds

        def write(thread: int) -> None:
            while time.monotonic() < until:
                try:
                    number = counts[thread]
                    hf.store_analysis("contended", {"n": number}, analysis_id=f"{name}-{thread}-{number}")
                    hf.get_analysis(f"{name}-{thread}-{number}")
                    counts[thread] += 1
                except holdfast.HoldfastError as error:
                    errors.append(str(error))

        running = [threading.Thread(target=write, args=(thread,)) for thread in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    report.send((sum(counts), errors))
