"""Pins the types of the public door: mypy checks this file, nothing runs it."""

from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING, Any, assert_type

import holdfast
from holdfast import Analysis, AsyncHoldfast, Finding, Holdfast, Progress, Status, Subject, Submission, TrackedRun

if TYPE_CHECKING:
    from holdfast.functions import AnalysedCoroutine, AnalysedFunction


@holdfast.analysis
def plain(day: str, *, rows: int = 3) -> dict[str, int]:
    assert_type(holdfast.current(), TrackedRun)
    return {day: rows}


@holdfast.analysis(kind="report", version="1", reuse=True, tags=["a"], key=lambda day: day, ttl_seconds=60)
def with_options(day: str) -> int:
    return len(day)


@holdfast.analysis
async def coroutine(day: str) -> int:
    return len(day)


class Shop:
    @holdfast.analysis(key=lambda self, day: day)
    def sales(self, day: str) -> int:
        return len(day)

    @holdfast.analysis(key=lambda self, day: day)
    async def later(self, day: str) -> int:
        return len(day)


def functions() -> None:
    assert_type(plain("monday", rows=1), dict[str, int])
    assert_type(plain.fresh("monday"), dict[str, int])
    assert_type(plain.kept("monday"), Analysis | None)
    assert_type(plain.history(limit=5), list[Analysis])
    sync_function: AnalysedFunction[..., int] = with_options
    assert_type(sync_function.fresh(), int)
    assert_type(Shop().sales("monday"), int)
    assert_type(Shop().sales.kept("monday"), Analysis | None)
    plain(1)  # type: ignore[arg-type]
    plain("monday", row=1)  # type: ignore[call-arg]
    Shop().sales(1)  # type: ignore[arg-type]
    holdfast.analysis(knid="x")  # type: ignore[call-overload]


async def coroutines() -> None:
    coroutine_function: AnalysedCoroutine[..., int] = coroutine
    assert_type(await coroutine_function.fresh(), int)
    assert_type(await coroutine("monday"), int)
    assert_type(await coroutine.fresh("monday"), int)
    assert_type(await coroutine.kept("monday"), Analysis | None)
    assert_type(await coroutine.history(), list[Analysis])
    assert_type(await Shop().later("monday"), int)


def blocks(hf: Holdfast) -> None:
    with hf.track("report", subject=Subject(kind="shop", key="berlin"), params={"day": 1}, phases=["One"]) as run:
        assert_type(run, TrackedRun)
        assert_type(run.finding("rule", "low", "title"), Finding)
        assert_type(run.saved("key"), Any)
        assert_type(run.findings, list[Finding])
        assert_type(run.metrics, dict[str, float])
        run.result = object()
    assert_type(run.analysis.status, Status)


def library() -> None:
    with holdfast.open("sqlite:///x.db", reuse_hours=1) as hf:
        assert_type(hf, Holdfast)
        assert_type(hf.store_analysis("note", {"a": 1}, tags=["t"]), Analysis)
        assert_type(hf.submit("code", "."), Submission)
        assert_type(hf.analyze("code", "."), Analysis)
        assert_type(hf.watch("id", timeout=1), Iterator[tuple[Analysis, Progress | None]])
        assert_type(hf.get_analysis_progress("id"), Progress | None)
        assert_type(hf.get_findings("id"), list[Finding])
        assert_type(hf.get_metrics("id"), dict[str, float])
        assert_type(hf.list_analyses(status=Status.COMPLETED).items, list[Analysis])


async def asynchronous() -> None:
    async with holdfast.open_async("sqlite:///x.db") as hf:
        assert_type(hf, AsyncHoldfast)
        assert_type(await hf.store_analysis("note", {"a": 1}), Analysis)
        assert_type(await hf.get_analysis("id"), Analysis)
        assert_type(await hf.wait("id", timeout=1), Analysis)
        assert_type(hf.watch("id"), AsyncGenerator[tuple[Analysis, Progress | None], None])
        await hf.get_analysis(1)  # type: ignore[arg-type]
        async with hf.track("report") as run:
            assert_type(run, TrackedRun)
        async with hf.working():
            pass
    assert_type(await holdfast.open_async(), AsyncHoldfast)


def errors() -> None:
    assert_type(holdfast.errors.NotFound().code, str)
    assert_type(holdfast.HoldfastError("x").details, dict[str, Any])
