"""What a measurement tells: one line per figure."""

import argparse
import dataclasses
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

Measure = Callable[["Options", "Report"], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to measure.

    Attributes:
        small: only see that it runs.
        rows: the large list of P4.
        rounds: how often the measured thing and its floor take turns.
        seconds: how long the clients of P2 store on end.
        dialects: the stores to measure.
    """

    small: bool = False
    rows: int = 100_000
    rounds: int = 5
    seconds: float = 20.0
    dialects: tuple[str, ...] = ("sqlite", "postgresql")

    def pick(self, small: int, full: int) -> int:
        """A size for this run."""
        return small if self.small else full


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure.

    Attributes:
        target: the target in the list of figures to reach.
        name: what was measured.
        value: the figure.
        unit: its unit.
        ratio: the figure against a floor or peer of the same run.
        against: which floor or peer.
        goal: what the target asks for, in words.
        met: whether it does; None where the target says nothing or does not apply here.
    """

    target: str
    name: str
    value: float
    unit: str
    ratio: float | None = None
    against: str = ""
    goal: str = ""
    met: bool | None = None

    def line(self) -> str:
        """The figure as one line of text."""
        ratio = "" if self.ratio is None else f"{self.ratio:.3g} x {self.against}"
        verdict = {True: "met", False: "NOT MET", None: ""}[self.met]
        value = f"{self.value:,.0f}" if abs(self.value) >= 1000 else f"{self.value:.3g}"
        line = f"{self.target:<3} {self.name:<58} {value:>9} {self.unit:<8} {ratio:<44} {self.goal:<34} {verdict}"
        return line.rstrip()


class Report:
    """The figures of one run, printed as they come."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.figures: list[Figure] = []
        self.notes: list[str] = []
        self._as_json = as_json

    def add(
        self,
        target: str,
        name: str,
        value: float,
        unit: str,
        *,
        ratio: float | None = None,
        against: str = "",
        goal: str = "",
        met: bool | None = None,
    ) -> None:
        figure = Figure(
            target=target, name=name, value=value, unit=unit, ratio=ratio, against=against, goal=goal, met=met
        )
        self.figures.append(figure)
        if not self._as_json:
            print(figure.line(), flush=True)

    def note(self, text: str) -> None:
        """Say something that is no figure; loudly, as it is about what was not measured."""
        self.notes.append(text)
        print(f"!!! {text}", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._as_json:
            figures = [dataclasses.asdict(figure) for figure in self.figures]
            print(json.dumps({"figures": figures, "notes": self.notes}, indent=1))


def run(targets: dict[str, Measure]) -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    if len(targets) > 1:
        parser.add_argument("targets", nargs="*", metavar="target", help=f"of {', '.join(targets)}; all by default")
    parser.add_argument("--small", action="store_true", help="only see that they run: under a minute")
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    parser.add_argument("--rows", type=int, default=100_000, help="the large list of p4")
    parser.add_argument("--seconds", type=float, help="how long the clients of p2-long store on end; 20 by default")
    parser.add_argument("--rounds", type=int, help="how often measured thing and floor take turns")
    parser.add_argument("--only", choices=["sqlite", "postgresql"], help="one store instead of both")
    given = parser.parse_args()
    chosen = getattr(given, "targets", None) or list(targets)
    if unknown := set(chosen) - set(targets):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    options = Options(
        small=given.small,
        rows=given.rows,
        seconds=given.seconds or (2.0 if given.small else 20.0),
        rounds=given.rounds or (2 if given.small else 5),
        dialects=(given.only,) if given.only else ("sqlite", "postgresql"),
    )
    report = Report(as_json=given.json)
    for name in chosen:
        targets[name](options, report)
    report.end()


def quantile(values: Iterable[float], part: float) -> float:
    """The value below which ``part`` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(part * len(ordered)) - 1)]


def ratio(measured: Sequence[float], floor: Sequence[float]) -> float:
    """The median of the rounds' ratios: both halves of a round met the same weather."""
    return statistics.median(_ratios(measured, floor))


def spread(measured: Sequence[float], floor: Sequence[float], name: str) -> str:
    """What a ratio is against, and between what bounds the rounds' ratios lay: how far to trust it."""
    ratios = _ratios(measured, floor)
    return f"{name} ({min(ratios):.2g}-{max(ratios):.2g})"


def _ratios(measured: Sequence[float], floor: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(measured, floor, strict=True)]


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock and of this process's processor time."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu
