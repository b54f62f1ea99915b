"""Analyzers that behave well, and analyzers that do not; importable here and in the process of a run."""

import ctypes
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from holdfast.domain.errors import AnalysisCancelled, TargetNotFound
from holdfast.domain.findings import Finding, Severity
from holdfast.domain.ports import Outcome, Request, RunContext
from holdfast.domain.progress import Phase
from holdfast.domain.subjects import Subject


def request(**params: Any) -> Request:
    return Request(subject=Subject(kind="sample", key="it"), params=params, location="")


class Sample:
    kind = "sample"
    version = "1"
    phases: ClassVar = (Phase(name="First"), Phase(name="Second", weight=3))

    def resolve(self, target: str, params: Mapping[str, Any]) -> Request:
        return request(**params)

    def run(self, ctx: RunContext) -> Outcome:
        raise NotImplementedError


def note(path: str, text: object) -> None:
    """Append a line; O_APPEND makes it whole whoever else writes."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{text}\n".encode())
    os.close(file)


class Steps(Sample):
    def run(self, ctx: RunContext) -> Outcome:
        for name in ("First", "Second"):
            ctx.phase(name, 50)
            for step in range(50):
                ctx.advance(found=1, message=f"step {step}")
                time.sleep(0.005)
        findings = (Finding(rule="r", severity=Severity.LOW, title=f"t{n}", score=n / 3) for n in range(1234))
        return Outcome(result={"b": [1, None], "a": "ü"}, summary="done", findings=findings, metrics={"m": 1})


class Quick(Sample):
    """Two items in a phase, three in the next; then it may fail."""

    def run(self, ctx: RunContext) -> Outcome:
        ctx.phase("First", 2)
        ctx.advance(2, found=1, message="both")
        ctx.phase("Second", 5)
        ctx.advance(3, message="three of five")
        if ctx.request.params["fails"]:
            raise RuntimeError("no good")
        return Outcome(result=None)


def double(part: int) -> int:
    return 2 * part


def slow_double(part: tuple[int, float, str]) -> dict[str, Any]:
    number, seconds, log = part
    if log:
        note(log, number)
    time.sleep(seconds)
    return {"n": number, "twice": 2 * number, "bytes": "x" * (number % 700)}


class Map(Sample):
    """Map numbers; parts last a random time."""

    def run(self, ctx: RunContext) -> Outcome:
        params = ctx.request.params
        count, longest, log = params["count"], params.get("longest", 0.0), params.get("log", "")
        chance = random.Random(params.get("seed", 0))
        parts = [(n, chance.random() * longest, log) for n in range(count)]
        ctx.phase("First", count)
        values = []
        for value in ctx.map(
            slow_double, parts, key=lambda part: f"n{part[0]}", remember=params.get("remember", False)
        ):
            values.append(value)
            ctx.advance()
        return Outcome(result=values, summary=f"{len(values)} values")


class Wide(Sample):
    """Map many trivial parts from a generator, keeping none; report the time and the memory it took."""

    def run(self, ctx: RunContext) -> Outcome:
        count = ctx.request.params["count"]
        total, began = 0, time.perf_counter()
        for value in ctx.map(double, iter(range(count)), key=str):
            total += value
        seconds = time.perf_counter() - began
        peak = next(
            int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line
        )
        return Outcome(result=total, metrics={"seconds": seconds, "peak_kib": peak})


class Blobs(Sample):
    """Map bytes that are large together."""

    def run(self, ctx: RunContext) -> Outcome:
        total = 0
        for value in ctx.map(os.urandom, [1_000_000 + n for n in range(ctx.request.params["count"])], key=str):
            total += len(value)
        peak = next(
            int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line
        )
        return Outcome(result=total, metrics={"peak_kib": peak})


class Duplicates(Sample):
    def run(self, ctx: RunContext) -> Outcome:
        log = ctx.request.params["log"]
        parts = [(n % 7, 0.0, log) for n in range(1000)]
        return Outcome(result=[v["n"] for v in ctx.map(slow_double, parts, key=lambda part: str(part[0]))])


def misbehave(part: tuple[str, str]) -> int:
    what, log = part
    if what == "good":
        return 1
    if log:
        note(log, os.getpid())
    if what == "sleep":
        time.sleep(1000)
    if what == "deaf":
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
        while True:
            pass
    if what == "segfault":
        ctypes.string_at(0)
    if what == "exit":
        os._exit(7)
    if what == "sys.exit":
        sys.exit(7)
    if what == "value":
        return object()  # type: ignore[return-value]
    if what == "strange":
        raise StrangeError(1, 2)
    raise KeyError(what)


class StrangeError(Exception):
    """Cannot be read back by pickle."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


class SpeechlessError(Exception):
    """Cannot be told."""

    def __str__(self) -> str:
        raise RuntimeError


class BadPart(Sample):
    """One part among many misbehaves."""

    def run(self, ctx: RunContext) -> Outcome:
        params = ctx.request.params
        ctx.partial(Outcome(result="so far", metrics={"x": 1.5}))
        kinds = ["good"] * 20 + [params["what"]] + ["good"] * 20
        parts = [(kind, params.get("log", "")) for kind in kinds]
        numbers = iter(range(1000))
        return Outcome(result=list(ctx.map(misbehave, parts, key=lambda part: f"{part[0]}{next(numbers)}")))


class Misbehave(Sample):
    """The analyzer itself misbehaves."""

    def run(self, ctx: RunContext) -> Outcome:  # noqa: C901, PLR0912 - one branch for each way
        params = ctx.request.params
        what, log = params["what"], params.get("log", "")
        ctx.phase("First", 10)
        ctx.partial(Outcome(result={"so": "far"}, summary="partial", metrics={"x": 1.5}))
        if log:
            note(log, os.getpid())
        if what == "cooperative":
            for step in range(10**9):
                ctx.save(f"step{step}", step)
                time.sleep(0.001)
        if what == "last words":
            try:
                while True:
                    ctx.check()
                    time.sleep(0.001)
            except AnalysisCancelled:
                ctx.partial(Outcome(result="last words"))
        if what == "busy":
            while True:
                pass
        if what == "busy in C":
            sum(range(10**14))
        if what == "deaf":
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
            while True:
                time.sleep(1)
        if what == "children":
            subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    f"import os,time; open({log!r},'a').write(f'{{os.getpid()}}\\n'); time.sleep(1000)",
                ]
            )
            numbers = iter(range(9))
            list(ctx.map(misbehave, [("sleep", log)] * 2, key=lambda part: str(next(numbers))))
        if what == "raise":
            raise RuntimeError("no \udcff good")
        if what == "speechless":
            raise SpeechlessError
        if what == "holdfast error":
            raise TargetNotFound("nothing at /there", path=Path("/there"))
        if what == "sys.exit":
            sys.exit(3)
        if what == "exit":
            print("last line", file=sys.stderr)
            os._exit(3)
        if what == "segfault":
            ctypes.string_at(0)
        if what == "print":
            for number in range(100_000):
                print(f"{number:099d}")
            print("the end")
        if what == "not json":
            return Outcome(result={"x": object()})
        if what == "nan":
            return Outcome(result={"x": [1, {"y": float("nan")}]})
        if what == "nan metric":
            return Outcome(result=1, metrics={"m": float("inf")})
        if what == "nan finding":
            return Outcome(
                result=1,
                findings=[Finding(rule="r", severity=Severity.LOW, title="t", data={"a": float("nan")})],
            )
        if what == "surrogate":
            return Outcome(result="\udcff")
        if what == "no outcome":
            return {"x": 1}  # type: ignore[return-value]
        if what == "lambda":
            list(ctx.map(lambda part: part, [1, 2], key=str))
        if what == "key":
            list(ctx.map(double, [1, 2], key=lambda part: part))  # type: ignore[arg-type,return-value]
        if what == "large":
            return Outcome(result=["x" * 1000] * params["size"])
        if what == "modules":
            return Outcome(result=sorted(sys.modules))
        return Outcome(result="well")


class Resume(Sample):
    """Kill itself in the middle of a map, the first time."""

    def run(self, ctx: RunContext) -> Outcome:
        params = ctx.request.params
        assert ctx.saved("nothing") is None
        times = ctx.saved("times") or 0
        ctx.save("times", times + 1)
        parts = [(n, 0.002, params["log"]) for n in range(params["count"])]
        total = 0
        for n, value in enumerate(ctx.map(slow_double, parts, key=lambda part: str(part[0]))):
            total += value["twice"]
            if not times and n == params["count"] // 2:
                os.kill(os.getpid(), signal.SIGKILL)
        return Outcome(result={"total": total, "times": times})


class TwoMaps(Sample):
    """Map over the values of a map."""

    def run(self, ctx: RunContext) -> Outcome:
        def inner() -> Iterator[int]:
            yield from ctx.map(double, range(2000), key=lambda part: f"inner{part}")

        return Outcome(result=list(ctx.map(double, inner(), key=lambda part: f"outer{part}")))


def own_pid(part: int) -> int:
    time.sleep(0.005)
    return os.getpid()


def pid_of_another_function(part: int) -> int:
    return own_pid(part)


class ProcessesOfTwoMaps(Sample):
    """In which processes the parts of three maps are computed, two of them of one function."""

    def run(self, ctx: RunContext) -> Outcome:
        functions = {"first": own_pid, "again": own_pid, "other": pid_of_another_function}
        return Outcome(
            result=[
                list(ctx.map(function, range(40), key=(name + "{}").format)) for name, function in functions.items()
            ]
        )


def meet(part: tuple[int, str]) -> bool:
    number, log = part
    note(log, number)
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if len(Path(log).read_text().splitlines()) > 1:
            return True
        time.sleep(0.01)
    return False


class Meet(Sample):
    """Two parts that need each other."""

    def run(self, ctx: RunContext) -> Outcome:
        log = ctx.request.params["log"]
        return Outcome(result=list(ctx.map(meet, [(0, log), (1, log)], key=lambda part: str(part[0]))))


class Slow(Sample):
    """A few long parts."""

    def run(self, ctx: RunContext) -> Outcome:
        began = time.perf_counter()
        count, seconds = ctx.request.params["count"], ctx.request.params["seconds"]
        list(ctx.map(slow_double, [(n, seconds, "") for n in range(count)], key=lambda part: str(part[0])))
        return Outcome(result=None, metrics={"seconds": time.perf_counter() - began})
