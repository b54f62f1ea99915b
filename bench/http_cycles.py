"""What a client does over and over: a store with Holdfast and its floor, a run's whole life with the peers.

Each cycle keeps a result of 4 KB. It counts when every one of its answers was the wanted one; a peer that answers
otherwise is asked for the next cycle. A peer's run takes three requests: it begins, this came of it, it ended.
"""

import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from bench.p1_store import result

_CONTENTS = 500
_COMPLAINT = 120
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: its status and its body."""

    status: int
    body: bytes


@dataclass(slots=True)
class Cycles:
    """What the clients of one process have done.

    Attributes:
        spent: seconds of each cycle that was done.
        acknowledged: the ids of what was said to be kept.
        complaints: answers that were not wanted, by how they begin.
    """

    spent: list[float] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    complaints: Counter[str] = field(default_factory=Counter)


class _RefusedError(Exception):
    """The answer was not the wanted one."""


Work = Generator[bytes, Answer, None]
# One cycle: yields requests, returns what is known by its id from now on.
_Cycle = Callable[[dict[str, Any], dict[str, Any]], Generator[bytes, Answer, str]]


def post(port: int, path: str, body: dict[str, Any]) -> bytes:
    """A POST of JSON."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


def _over_and_over(one: _Cycle) -> Callable[[Cycles, dict[str, Any], float], Work]:
    def work(cycles: Cycles, given: dict[str, Any], until: float) -> Work:
        while time.perf_counter() < until:
            began = time.perf_counter()
            try:
                known = yield from one(given, _content(given["seed"]))
            except _RefusedError as refused:
                cycles.complaints[str(refused)] += 1
            else:
                cycles.spent.append(time.perf_counter() - began)
                cycles.acknowledged.append(known)

    return work


_contents: dict[int, list[dict[str, Any]]] = {}


def _content(seed: int) -> dict[str, Any]:
    """A result of 4 KB like no other: making each of them from nothing would take the clients half of their time."""
    if seed not in _contents:
        source = random.Random(seed)
        _contents[seed] = [result(source) for _ in range(_CONTENTS)]
    number = next(_numbers)
    return _contents[seed][number % _CONTENTS] | {"number": number}


def _wanted(answer: Answer, *statuses: int) -> Any:
    if answer.status not in statuses:
        raise _RefusedError(f"{answer.status} {answer.body[:_COMPLAINT]!r}")
    return json.loads(answer.body)


def _store(path: str) -> _Cycle:
    def cycle(given: dict[str, Any], content: dict[str, Any]) -> Generator[bytes, Answer, str]:
        answer = yield post(given["port"], path, {"kind": "bench", "result": content})
        return str(_wanted(answer, 201)["analysis_id"])

    return cycle


def _mlflow(given: dict[str, Any], content: dict[str, Any]) -> Generator[bytes, Answer, str]:
    port, place = given["port"], "/api/2.0/mlflow/runs/"
    now = int(time.time() * 1000)
    begun = yield post(port, f"{place}create", {"experiment_id": "0", "run_name": "bench", "start_time": now})
    run_id = str(_wanted(begun, 200)["run"]["info"]["run_id"])
    # A tag holds up to 8,000 characters.
    said = {"run_id": run_id, "tags": [{"key": "result", "value": json.dumps(content)}]}
    _wanted((yield post(port, f"{place}log-batch", said)), 200)
    ended = {"run_id": run_id, "status": "FINISHED", "end_time": int(time.time() * 1000)}
    _wanted((yield post(port, f"{place}update", ended)), 200)
    return run_id


def _prefect(given: dict[str, Any], content: dict[str, Any]) -> Generator[bytes, Answer, str]:
    port = given["port"]
    # What is kept with a run are its parameters; its result itself would lie in a file elsewhere.
    asked = {"flow_id": given["flow"], "name": "bench", "parameters": {"result": content}, "state": {"type": "PENDING"}}
    run_id = str(_wanted((yield post(port, "/api/flow_runs/", asked)), 200, 201)["id"])
    for state in ("RUNNING", "COMPLETED"):
        change = {"state": {"type": state, "name": state.title()}, "force": False}
        answer = _wanted((yield post(port, f"/api/flow_runs/{run_id}/set_state", change)), 200, 201)
        if answer["status"] != "ACCEPT":
            raise _RefusedError(f"{state}: {answer['status']}")
    return run_id


KINDS = {
    "holdfast": _over_and_over(_store("/api/v1/analyses")),
    "floor": _over_and_over(_store("/store")),
    "mlflow": _over_and_over(_mlflow),
    "prefect": _over_and_over(_prefect),
}
