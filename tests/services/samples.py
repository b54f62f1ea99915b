"""What the tests of the services share: an analyzer that resolves anything, and ends of runs that nobody ran."""

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, ClassVar

from holdfast.analyzers.registry import Registry
from holdfast.analyzers.runs import RunEnd, RunReport
from holdfast.bootstrap import Holdfast, open_holdfast
from holdfast.documents import to_json
from holdfast.domain.analysis import RUN_JOB, Analysis, ErrorInfo, Status
from holdfast.domain.errors import HoldfastError, TargetNotFound
from holdfast.domain.findings import Finding, FindingItem, Severity
from holdfast.domain.jobs import Job
from holdfast.domain.ports import Clock, Outcome, Request, RunContext
from holdfast.domain.progress import Phase
from holdfast.domain.subjects import Subject
from holdfast.services import runs
from holdfast.services.runs import RunHandler
from holdfast.testing import FakeClock, FakeIds


class Sample:
    """Finds what it was told to."""

    kind = "sample"
    version = "1"
    phases: ClassVar = (Phase(name="Looking"),)

    def resolve(self, target: str, params: Mapping[str, Any]) -> Request:
        if target == "nowhere":
            raise TargetNotFound(f"There is nothing at {target}")
        return Request(subject=Subject(kind="sample", key=target, revision="r1"), params=params, location=target)

    def run(self, ctx: RunContext) -> Outcome:
        ctx.phase("Looking", 1)
        ctx.advance()
        return Outcome(result=dict(ctx.request.params), summary=f"Looked at {ctx.request.location}")


@contextmanager
def opened(url: str, clock: Clock | None = None, **options: Any) -> Iterator[Holdfast]:
    """A store at a clock that stands still, with the sample analyzer only."""
    registry = Registry([])
    registry.register(Sample)
    with open_holdfast(url, registry=registry, clock=clock or FakeClock(), id_source=FakeIds(), **options) as hf:
        yield hf


class Held:
    """A lease that is held, until it is said otherwise."""

    def __init__(self, *, lost: bool = False, draining: bool = False) -> None:
        self.is_lost = lost
        self.is_draining = draining

    def lost(self) -> bool:
        return self.is_lost

    def draining(self) -> bool:
        return self.is_draining


def run_handler(hf: Holdfast) -> RunHandler:
    handler = hf._handlers[RUN_JOB]
    assert isinstance(handler, RunHandler)
    return handler


def claim(hf: Holdfast, worker: str = "w") -> Job:
    """The one job that is due."""
    (job,) = hf.jobs.claim(worker, [RUN_JOB], 1)
    return job


def begin(hf: Holdfast, worker: str = "w") -> tuple[Job, Analysis]:
    job = claim(hf, worker)
    analysis = run_handler(hf)._begin(job)
    assert analysis is not None
    return job, analysis


def findings(count: int) -> list[Finding]:
    return [
        Finding(
            rule="sample/rule",
            severity=Severity.LOW,
            title=f"Finding {number}",
            items=tuple(FindingItem(key=f"item{item}") for item in range(number % 3)),
        )
        for number in range(count)
    ]


def report(result: Any, found: int = 0) -> RunReport:
    return RunReport(
        payload=to_json(result), summary=f"{found} found", findings=findings(found), metrics={"found": found}
    )


def ended(status: Status, result: Any = None, found: int = 0) -> RunEnd:
    """How a run ended, with a whole or partial result or none."""
    given = None if result is None else report(result, found)
    if status is Status.COMPLETED:
        return RunEnd(status=status, report=given)
    return RunEnd(status=status, report=given, error=ErrorInfo(code="WHY", message="why"))


def settle(hf: Holdfast, job: Job, analysis: Analysis, end: RunEnd, worker: str = "w") -> None:
    """Write the end of a run as a worker does."""
    result = runs._Result.of(end.report)
    hf.jobs.settle(worker, [(job, lambda uow: runs._end(uow, analysis, job, end, result, hf.settings.rules()))])


def together(works: list[Callable[[], Any]]) -> list[Any]:
    """The results or errors of works that begin at once."""
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[], Any]) -> Any:
        barrier.wait()
        try:
            return work()
        except HoldfastError as error:
            return error

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))
