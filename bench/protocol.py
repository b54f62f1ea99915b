"""How a process that is measured talks to the measurement: a line to begin, a line of results. Standard library only.

Each script has the same four roles: ``enqueue`` a number of jobs at once, ``work`` until none is left, ``pace`` jobs
one by one, and ``serve`` until a number is done.
"""

import json
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

_RESULT = "RESULT "


@dataclass(slots=True)
class Tally:
    """What a worker did.

    Attributes:
        done: how many jobs were begun.
        began: when the first was, or the work as a whole.
        ended: when the last was over.
        waits: seconds from enqueue to start of each.
    """

    done: int = 0
    began: float = 0.0
    ended: float = 0.0
    waits: list[float] = field(default_factory=list)

    def start(self, enqueued: float) -> None:
        """A job begins."""
        now = time.time()
        self.began = self.began or now
        self.waits.append(now - enqueued)
        self.done += 1
        self.ended = now


def given() -> dict[str, Any]:
    """What the measurement wants of this process."""
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    return wanted


def wait_for_go() -> None:
    """Everything is open and imported: wait until all the others are ready, too."""
    print("ready", flush=True)
    sys.stdin.readline()


def tell(tally: Tally) -> None:
    result = {"done": tally.done, "began": tally.began, "ended": tally.ended, "waits": tally.waits}
    print(_RESULT + json.dumps(result), flush=True)


def read(lines: Iterable[str]) -> Tally:
    """The result among whatever else a process printed.

    Raises:
        ValueError: there is none.
    """
    for line in lines:
        if line.startswith(_RESULT):
            return Tally(**json.loads(line[len(_RESULT) :]))
    raise ValueError("the process has not told any result")


def paced(number: int, per_second: float) -> Iterable[float]:
    """The moments to enqueue at, as they come."""
    begin = time.perf_counter()
    for index in range(number):
        time.sleep(max(0.0, begin + index / per_second - time.perf_counter()))
        yield time.time()
