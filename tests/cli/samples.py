"""Analyzers for the tests of the command line, installed there as a package of their own."""

import time
from collections.abc import Mapping
from typing import Any

from holdfast.domain.errors import InvalidParams, TargetNotFound
from holdfast.domain.findings import Finding, Severity
from holdfast.domain.ports import Outcome, Request, RunContext
from holdfast.domain.progress import Phase
from holdfast.domain.subjects import Subject

EVIL = "[red]evil[/red]\n\x1b[31mname\x07"


def _request(target: str, params: Mapping[str, Any]) -> Request:
    if target == "missing":
        raise TargetNotFound("There is nothing at missing")
    subject = Subject(kind="thing", key=target, revision="1", title=target)
    return Request(subject=subject, params=dict(params), location=target)


class Sample:
    """Finds three things at once."""

    kind = "sample"
    version = "1"
    phases = (Phase(name="Looking"), Phase(name="Finding"))

    def resolve(self, target: str, params: Mapping[str, Any]) -> Request:
        if "wrong" in params:
            raise InvalidParams("wrong is no parameter", field="wrong")
        return _request(target, params)

    def run(self, ctx: RunContext) -> Outcome:
        if ctx.request.location == "fails":
            raise RuntimeError("it cannot be done")
        ctx.phase("Looking", total=2)
        ctx.advance(2)
        ctx.phase("Finding", total=3)
        ctx.advance(3, found=3, message=EVIL)
        return Outcome(
            result={"found": 3, "name": EVIL},
            summary=f"Three things in {ctx.request.location}",
            findings=[
                Finding(rule="sample/bad", severity=Severity.HIGH, title=EVIL, path=f"{EVIL}.py", line=3),
                Finding(rule="sample/odd", severity=Severity.LOW, title="odd " + "o" * 300),
                Finding(rule="sample/odd", severity=Severity.LOW, title="even"),
            ],
            metrics={"things": 3.0, "share": 0.25},
        )


class Slow:
    """Takes as long as it is told, and counts what it did before."""

    kind = "slow"
    version = "1"
    phases = (Phase(name="Working", weight=9), Phase(name="Resting"))

    def resolve(self, target: str, params: Mapping[str, Any]) -> Request:
        return _request(target, params)

    def run(self, ctx: RunContext) -> Outcome:
        steps = int(ctx.request.params.get("steps", 10))
        done = int(ctx.saved("done") or 0)
        ctx.phase("Working", total=steps)
        ctx.advance(done)
        for step in range(done, steps):
            time.sleep(0.02)
            ctx.save("done", step + 1)
            ctx.partial(Outcome(result={"done": step + 1}, summary=f"{step + 1} steps"))
            ctx.advance(message=f"step {step}")
        ctx.phase("Resting")
        return Outcome(result={"done": steps, "resumed_at": done}, summary=f"{steps} steps")
