"""``ctx.map`` on this machine."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from holdfast.analyzers.pools import SpreadSettings
from holdfast.domain.analysis import Status
from tests.analyzers.keepers import ALONE, AT_ONCE, MemoryKeeper, lines, run

ADAPTIVE = SpreadSettings(processes=2)


@pytest.mark.parametrize("seed", range(6))
def test_values_come_in_order_wherever_they_are_computed(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    count, longest = chance.choice([0, 1, 2, 17, 300, 700]), chance.choice([0.0, 0.0005, 0.004])
    ends = []
    for number, spread in enumerate((ALONE, AT_ONCE, ADAPTIVE)):
        log = tmp_path / f"log{number}"
        end = run("Map", spread=spread, count=count, longest=longest, seed=seed, log=str(log))
        assert sorted(map(int, lines(log))) == list(range(count))
        ends.append(end)
    assert ends[0] == ends[1] == ends[2]
    assert ends[0].report is not None
    assert [value["n"] for value in json.loads(ends[0].report.payload)] == list(range(count))


def test_a_second_run_computes_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    keeper = MemoryKeeper()
    for _ in range(2):
        assert run("Map", keeper, AT_ONCE, count=500, log=str(log)).status is Status.COMPLETED
    assert len(lines(log)) == 500
    assert list(keeper.kept) == ["analysis:a1"]


def test_remembered_values_belong_to_the_kind_and_version(tmp_path: Path) -> None:
    keeper = MemoryKeeper()
    log = tmp_path / "log"
    first = run("Map", keeper, count=100, log=str(log), remember=True)
    assert list(keeper.kept) == ["kind:sample/1"]
    keeper.kept["kind:sample/1"].pop("n7")
    assert run("Map", keeper, count=100, log=str(log), remember=True) == first
    assert lines(log)[100:] == ["7"]


def test_parts_with_equal_keys_are_computed_once(tmp_path: Path) -> None:
    for number, spread in enumerate((ALONE, AT_ONCE)):
        log = tmp_path / f"log{number}"
        end = run("Duplicates", spread=spread, log=str(log))
        assert end.report is not None
        assert json.loads(end.report.payload) == [n % 7 for n in range(1000)]
        assert sorted(lines(log)) == [str(n) for n in range(7)]


def test_checkpoints_come_in_batches() -> None:
    keeper = MemoryKeeper()
    assert run("Wide", keeper, ALONE, count=5000).status is Status.COMPLETED
    assert sum(keeper.saves) == 5000
    assert max(keeper.saves) <= 256
    assert len(keeper.saves) <= 40


@pytest.mark.parametrize("spread", [ALONE, AT_ONCE])
def test_memory_does_not_grow_with_the_number_of_parts(spread: SpreadSettings) -> None:
    peaks = []
    for count in (1000, 100_000):
        end = run("Wide", spread=spread, count=count)
        assert end.report is not None
        assert json.loads(end.report.payload) == count * (count - 1)
        peaks.append(end.report.metrics["peak_kib"])
    assert peaks[1] - peaks[0] < 20_000


class Forgetful(MemoryKeeper):
    """Counts what it should keep: the test's own memory is not the subject."""

    def load(self, scope: str, keys: Sequence[str]) -> dict[str, bytes]:
        return {}

    def save(self, scope: str, items: object) -> None:
        return


def test_memory_does_not_grow_with_the_size_of_the_values() -> None:
    end = run("Blobs", Forgetful(), AT_ONCE, count=400)
    assert end.report is not None
    assert int(end.report.payload) == sum(1_000_000 + n for n in range(400))
    assert end.report.metrics["peak_kib"] < 250_000


@pytest.mark.parametrize(
    ("what", "code", "message"),
    [
        ("raise", "ANALYZER_FAILED", "KeyError: 'raise'"),
        ("strange", "ANALYZER_FAILED", "StrangeError: 1 and 2"),
        ("sys.exit", "ANALYZER_FAILED", "SystemExit: 7"),
        ("value", "NOT_JSON", "part 'value20'"),
    ],
)
def test_an_exception_of_a_part_is_the_same_wherever_it_is_raised(what: str, code: str, message: str) -> None:
    errors = [run("BadPart", spread=spread, what=what).error for spread in (ALONE, AT_ONCE)]
    for error in errors:
        assert error is not None
        assert error.code == code
        assert message in error.message
        assert "sample_analyzers.py" in error.details["traceback"] or what == "value"
    assert errors[0] is not None
    assert errors[1] is not None
    assert errors[0].message == errors[1].message
    assert errors[0].details.get("type") == errors[1].details.get("type")


@pytest.mark.parametrize(("what", "how"), [("segfault", "by signal SIGSEGV"), ("exit", "with exit code 7")])
def test_a_crash_in_the_pool_names_the_part(what: str, how: str) -> None:
    end = run("BadPart", spread=AT_ONCE, what=what)
    assert end.status is Status.FAILED
    assert end.error is not None
    assert end.error.code == "ANALYZER_CRASHED"
    assert end.error.message == f"A process ended {how} while it computed part '{what}20'"
    assert end.error.details["keys"] == [f"{what}20"]


def test_one_map_may_feed_another() -> None:
    ends = [run("TwoMaps", spread=spread) for spread in (ALONE, AT_ONCE)]
    assert ends[0] == ends[1]
    assert ends[0].report is not None
    assert json.loads(ends[0].report.payload) == [4 * n for n in range(2000)]


def test_each_function_gets_processes_without_what_another_left_there() -> None:
    end = run("ProcessesOfTwoMaps", spread=AT_ONCE)
    assert end.report is not None
    first, again, other = (set(pids) for pids in json.loads(end.report.payload))
    assert again <= first
    assert not other & first


def test_a_long_first_part_does_not_keep_the_others_waiting(tmp_path: Path) -> None:
    # Each part waits until the other one has begun.
    end = run("Meet", spread=ADAPTIVE, log=str(tmp_path / "log"))
    assert end.report is not None
    assert end.report.payload == b"[true,true]"
