"""What the tests of runs share: a keeper in memory, a short way to run, waiting without sleeping for luck."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from holdfast.analyzers.pools import SpreadSettings
from holdfast.analyzers.process import RunEnd, run_in_child
from holdfast.domain.progress import Progress
from tests.analyzers.sample_analyzers import request

AT_ONCE = SpreadSettings(processes=2, patience_seconds=0)
ALONE = SpreadSettings(processes=1)


class MemoryKeeper:
    """Keeps checkpoints; asks for a stop once ``stop_when`` says so, and notes when that was."""

    def __init__(self, stop_when: Callable[["MemoryKeeper"], bool] = lambda keeper: False) -> None:
        self.kept: dict[str, dict[str, bytes]] = {}
        self.progress: list[Progress] = []
        self.saves: list[int] = []
        self.asked_at: float | None = None
        self._stop_when = stop_when

    def load(self, scope: str, keys: Sequence[str]) -> dict[str, bytes]:
        known = self.kept.get(scope, {})
        return {key: known[key] for key in keys if key in known}

    def save(self, scope: str, items: Mapping[str, bytes]) -> None:
        self.saves.append(len(items))
        self.kept.setdefault(scope, {}).update(items)

    def progressed(self, progress: Progress) -> None:
        self.progress.append(progress)

    def stop_asked(self) -> bool:
        if self.asked_at is None and self._stop_when(self):
            self.asked_at = time.monotonic()
        return self.asked_at is not None


def run(
    name: str,
    keeper: MemoryKeeper | None = None,
    spread: SpreadSettings | None = None,
    timeout_seconds: float | None = None,
    **params: Any,
) -> RunEnd:
    return run_in_child(
        f"tests.analyzers.sample_analyzers:{name}",
        request(**params),
        analysis_id="a1",
        keeper=keeper or MemoryKeeper(),
        spread=spread,
        timeout_seconds=timeout_seconds,
    )


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come to be in time"
        time.sleep(0.01)


def alive(pids: list[int]) -> list[int]:
    def is_alive(pid: int) -> bool:
        try:
            return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    return [pid for pid in pids if is_alive(pid)]
