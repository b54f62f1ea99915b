from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from holdfast.domain.errors import (
    AnalysisCancelled,
    AnalyzerNotImportable,
    InvalidInput,
    InvalidParams,
    UnknownDocument,
)
from holdfast.domain.ports import Clock, IdSource, Outcome, Request, RunContext
from holdfast.domain.subjects import Subject
from holdfast.testing import FakeClock, FakeIds, LocalRunContext

REQUEST = Request(subject=Subject(kind="number", key="7"), params={}, location="here")


def double(number: int) -> int:
    return 2 * number


def pack(number: int) -> bytes:
    return bytes([number])


def spoil(number: int) -> Any:
    return {"object": object()} if number else float("nan")


def day(number: int) -> Any:
    return {"day": date(2030, 1, number), "pair": (number, number)}


def test_it_is_a_run_context() -> None:
    context: RunContext = LocalRunContext(REQUEST)
    assert (context.request, context.analysis_id) == (REQUEST, "analysis")


def test_map_remembers() -> None:
    checkpoints: dict[str, Any] = {}
    first = LocalRunContext(REQUEST, checkpoints)
    assert list(first.map(double, [1, 2], key=str, remember=True)) == [2, 4]
    assert list(first.map(pack, [1, 2], key=str)) == [b"\1", b"\2"]
    resumed = LocalRunContext(REQUEST, checkpoints)
    assert list(resumed.map(pack, [1, 2, 3], key=str)) == [b"\1", b"\2", b"\3"]
    assert (resumed.computed, resumed.reused) == (1, 2)
    another = LocalRunContext(REQUEST, checkpoints, analysis_id="another")
    assert list(another.map(double, [2], key=str, remember=True)) == [4]
    assert list(another.map(pack, [2], key=str)) == [b"\2"]
    assert (another.computed, another.reused) == (1, 1)


def test_map_is_lazy_and_strict() -> None:
    context = LocalRunContext(REQUEST)
    values = context.map(double, iter([1, 2]), key=str)
    assert context.computed == 0
    assert next(values) == 2
    assert context.computed == 1
    for number in (0, 1):
        with pytest.raises(UnknownDocument):
            list(context.map(spoil, [number], key=lambda part: f"spoilt{part}"))
    with pytest.raises(AnalyzerNotImportable, match="top level"):
        list(context.map(lambda part: part, [1], key=lambda part: "inline"))
    with pytest.raises(InvalidParams, match="string"):
        list(context.map(double, [1], key=lambda part: part))  # type: ignore[arg-type,return-value]


def test_parts_with_equal_keys_are_one_part() -> None:
    context = LocalRunContext(REQUEST)
    assert list(context.map(double, [1, 2, 1], key=lambda part: "same")) == [2, 2, 2]
    assert (context.computed, context.reused) == (1, 2)


def test_values_come_back_as_json_says_them() -> None:
    context = LocalRunContext(REQUEST)
    assert list(context.map(day, [3], key=str)) == [{"day": "2030-01-03", "pair": [3, 3]}]
    context.save("day", date(2030, 1, 1))
    assert context.saved("day") == "2030-01-01"


def test_what_is_given_before_the_stop_is_kept() -> None:
    kept: dict[str, Any] = {}
    context = LocalRunContext(REQUEST, kept)
    context.cancel_after(0)
    with pytest.raises(AnalysisCancelled):
        context.save("k", 1)
    with pytest.raises(AnalysisCancelled):
        context.partial(Outcome(result="last words"))
    assert LocalRunContext(REQUEST, kept).saved("k") == 1
    assert [outcome.result for outcome in context.partials] == ["last words"]


def test_a_partial_that_cannot_be_kept_is_refused() -> None:
    with pytest.raises(UnknownDocument):
        LocalRunContext(REQUEST).partial(Outcome(result=object()))
    with pytest.raises(InvalidInput, match="metric"):
        LocalRunContext(REQUEST).partial(Outcome(result=1, metrics={"m": float("nan")}))


def test_cancelling() -> None:
    context = LocalRunContext(REQUEST)
    context.cancel_after(2)
    seen: list[int] = []
    with pytest.raises(AnalysisCancelled):
        seen.extend(iter_seen(context.map(double, [1, 2, 3], key=str), seen.append))
    assert seen == [2, 4]
    calls: list[Callable[[], object]] = [
        context.check,
        context.advance,
        lambda: context.phase("Next"),
        lambda: context.save("k", 1),
        lambda: context.saved("k"),
        lambda: context.partial(Outcome(result=None)),
    ]
    for call in calls:
        with pytest.raises(AnalysisCancelled):
            call()


def iter_seen(values: Any, see: Callable[[Any], None]) -> list[Any]:
    for value in values:
        see(value)
    return []


def test_it_records() -> None:
    context = LocalRunContext(REQUEST)
    context.phase("Counting", total=3)
    context.advance(2, found=1, message="half")
    context.advance()
    context.partial(Outcome(result=1))
    context.save("k", {"a": [1]})
    assert (context.phases, context.items, context.found, context.messages) == ([("Counting", 3)], 3, 1, ["half"])
    assert (context.partials[0].result, context.saved("k"), context.saved("other")) == (1, {"a": [1]}, None)


def test_fakes() -> None:
    clock: Clock = FakeClock()
    before = clock.now()
    assert isinstance(clock, FakeClock)
    assert (clock.advance(90) - before).total_seconds() == 90
    ids: IdSource = FakeIds()
    assert [len(ids.random(size)) for size in (1, 10)] == [1, 10]
    assert FakeIds().random(16) == FakeIds().random(16) != FakeIds(1).random(16)
    assert ids.random(10) != ids.random(10)
