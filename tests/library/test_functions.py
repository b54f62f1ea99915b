"""Functions whose results are kept: ``@hf.analysis`` and ``@holdfast.analysis``."""

import importlib
import linecache
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast import Holdfast, Status
from holdfast.domain.errors import InvalidInput, InvalidParams, UnknownDocument
from holdfast.functions import AnalysedFunction
from holdfast.signatures import captured, default_kind, source_hash


@pytest.fixture
def hf(database: str) -> Iterator[Holdfast]:
    with holdfast.open(database) as opened:
        yield opened


def test_the_same_arguments_get_the_kept_result(hf: Holdfast) -> None:
    calls = []

    @hf.analysis
    def square(number: int, *more: int, shift: int = 0, **names: str) -> int:
        """Squares."""
        calls.append((number, more, shift, names))
        return number * number + shift

    assert square(3) == square(number=3) == square(3, shift=0) == 9
    assert len(calls) == 1
    assert (square(3, 4), square(3, shift=1), square(3, x="y")) == (9, 10, 9)
    assert len(calls) == 4
    assert square.fresh(3) == 9
    assert len(calls) == 5
    assert (square.__name__, square.__doc__) == ("square", "Squares.")
    analysis = square.kept(3)
    assert analysis is not None
    assert analysis.params == {"number": 3, "more": [], "shift": 0, "names": {}}
    assert analysis.kind == "square"
    assert analysis.subject is not None
    assert analysis.subject.kind == "function"
    assert analysis.subject.key.endswith("test_functions.test_the_same_arguments_get_the_kept_result.<locals>.square")
    assert square.kept(8) is None
    assert square.history()[0].analysis_id == analysis.analysis_id
    assert len(square.history()) == 5
    assert len(square.history(limit=2)) == 2
    with pytest.raises(TypeError):
        square()  # type: ignore[call-arg]


def make(hf: Holdfast, source: str, **options: Any) -> Any:
    """A function from its source, as after an edit of its module."""
    namespace: dict[str, Any] = {"__name__": "edited"}
    exec(source, namespace)
    return hf.analysis(**options)(namespace["f"])


def test_changed_code_runs_anew(hf: Holdfast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / "edited_module.py"

    def load(source: str) -> Any:
        module.write_text(source)
        sys.modules.pop("edited_module", None)
        importlib.invalidate_caches()
        linecache.checkcache()
        # Two edits within one second look alike to the cache of bytecode.
        for file in tmp_path.rglob("*.pyc"):
            file.unlink()
        return hf.analysis(importlib.import_module("edited_module").f)

    first = load("def f(x):\n    return x + 1\n")
    assert first(1) == 2
    same = load("# a comment\n\ndef f(x):\n    # another one\n    return (x +\n            1)\n")
    assert same.kept(1) is not None
    changed = load("def f(x):\n    return x + 2\n")
    assert changed.kept(1) is None
    assert changed(1) == 3
    assert len(changed.history()) == 2


def test_without_source_the_bytecode_counts(hf: Holdfast) -> None:
    assert make(hf, "def f(x): return x + 1")(1) == 2
    assert make(hf, "def f(x): return x + 1").kept(1) is not None
    assert make(hf, "def f(x): return x + 2")(1) == 3
    double, triple = lambda x: x * 2, lambda x: x * 3
    assert source_hash(double) != source_hash(triple)  # type: ignore[arg-type]
    assert default_kind(double) == "lambda"  # type: ignore[arg-type]


def test_bytecode_hash_is_the_same_in_every_process() -> None:
    code = (
        "from holdfast.signatures import source_hash\n"
        "namespace = {}\n"
        'exec(\'def f(x):\\n    def g(): return x in {"a", "b", "c"}\\n    return g()\', namespace)\n'
        "print(source_hash(namespace['f']))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1


def test_a_version_stands_for_the_code(hf: Holdfast) -> None:
    assert make(hf, "def f(x): return x + 1", version="1")(1) == 2
    assert make(hf, "def f(x): return x + 2", version="1")(1) == 2
    assert make(hf, "def f(x): return x + 2", version="2")(1) == 3


def test_what_a_closure_captured_counts(hf: Holdfast) -> None:
    def times(factor: int) -> AnalysedFunction[[int], int]:
        @hf.analysis
        def multiply(number: int) -> int:
            return number * factor

        return multiply

    assert (times(2)(5), times(3)(5), times(2)(5)) == (10, 15, 10)
    mutable: list[int] = []
    assert captured(lambda: mutable) == ""  # type: ignore[arg-type]


@dataclass(frozen=True)
class Report:
    day: str
    rows: tuple[int, ...]


def test_the_result_is_the_same_the_first_time_and_later(hf: Holdfast) -> None:
    @hf.analysis
    def typed(day: str) -> Report:
        return Report(day=day, rows=(1, 2))

    @hf.analysis
    def plain(day: str):  # type: ignore[no-untyped-def]  # noqa: ANN202 that is the case
        return {"rows": (1, 2), "at": {"b", "a"}}

    @hf.analysis
    def wrong(day: str) -> int:
        return [day]  # type: ignore[return-value]

    @hf.analysis
    def unresolvable(day: str) -> "Nowhere":  # type: ignore[name-defined] # noqa: F821 that is the case
        return (day,)

    untyped: Any = unresolvable
    for _ in range(2):
        assert typed("mon") == Report(day="mon", rows=(1, 2))
        assert plain("mon") == {"rows": [1, 2], "at": ["a", "b"]}
        assert wrong("mon") == ["mon"]  # type: ignore[comparison-overlap]
        assert untyped("mon") == ["mon"]


def test_the_function_sees_its_run(hf: Holdfast) -> None:
    @hf.analysis(kind="counting", tags=["nightly"], ttl_seconds=60)
    def count(rows: int) -> int:
        run = holdfast.current()
        run.phase("Counting", total=rows)
        run.advance(rows)
        run.metric("rows", rows)
        run.finding("count/many", "info", "Many")
        run.summary = f"{rows} rows"
        return rows

    count(5)
    analysis = count.kept(5)
    assert analysis is not None
    assert (analysis.kind, analysis.tags, analysis.ttl_seconds) == ("counting", ("nightly",), 60)
    assert (analysis.summary, analysis.finding_count) == ("5 rows", 1)
    assert hf.get_metrics(analysis.analysis_id) == {"rows": 5.0}


def test_failures_are_kept_and_not_reused(hf: Holdfast) -> None:
    calls = []

    @hf.analysis
    def fails(x: int) -> int:
        calls.append(x)
        if len(calls) == 1:
            raise ValueError("not yet")
        return x

    with pytest.raises(ValueError, match="not yet"):
        fails(1)
    assert fails(1) == 1
    assert [analysis.status for analysis in fails.history()] == [Status.COMPLETED, Status.FAILED]
    error = fails.history()[1].error
    assert error is not None
    assert 'raise ValueError("not yet")' in error.details["traceback"]


def test_a_result_that_cannot_be_kept_is_an_error(hf: Holdfast) -> None:
    @hf.analysis
    def opaque() -> object:
        return object()

    with pytest.raises(UnknownDocument):
        opaque()
    (analysis,) = opaque.history()
    assert (analysis.status, analysis.error and analysis.error.code) == (Status.FAILED, "NOT_JSON")


@pytest.mark.parametrize(
    "argument",
    [object(), {1: "x"}, [{"a": float("nan")}], b"bytes", {1, 2}, Path("x"), "\udce9"],
    ids=["object", "keys", "nan", "bytes", "set", "path", "surrogate"],
)
def test_an_argument_that_is_not_json_is_refused(hf: Holdfast, argument: Any) -> None:
    @hf.analysis
    def taken(first: int, second: Any) -> int:
        return first

    with pytest.raises(InvalidParams, match=r"'second'.*taken\(\).*key=") as raised:
        taken(1, argument)
    assert raised.value.details["argument"] == "second"
    assert taken.history() == []


def test_key_names_the_call(hf: Holdfast) -> None:
    calls = []

    @hf.analysis(key=lambda path, **_: str(path))
    def size(path: Path, *, loud: bool = False) -> int:
        calls.append(path)
        return len(str(path))

    assert size(Path("abc")) == size(Path("abc"), loud=True) == 3
    assert len(calls) == 1
    assert size.kept(Path("abc")).params == {"key": "abc"}  # type: ignore[union-attr]


def test_methods_need_a_key(hf: Holdfast) -> None:
    class Shop:
        def __init__(self, name: str) -> None:
            self.name = name

        @hf.analysis
        def refused(self, day: int) -> int:
            return day

        @hf.analysis(key=lambda self, day: [self.name, day])
        def sales(self, day: int) -> str:
            return f"{self.name} {day}"

        @staticmethod
        @hf.analysis
        def tax(amount: int) -> int:
            return amount // 5

    berlin, paris = Shop("berlin"), Shop("paris")
    with pytest.raises(InvalidParams, match="'self'"):
        berlin.refused(1)
    assert (berlin.sales(1), paris.sales(1), Shop("berlin").sales(1)) == ("berlin 1", "paris 1", "berlin 1")
    assert len(berlin.sales.history()) == 2
    assert berlin.sales.kept(1) == Shop("berlin").sales.kept(1)
    assert berlin.sales.fresh(1) == "berlin 1"
    assert Shop.tax(10) == 2


def test_what_cannot_be_decorated_is_refused(hf: Holdfast) -> None:
    def generator() -> Iterator[int]:
        yield 1

    async def async_generator() -> Any:
        yield 1

    for function in (generator, async_generator):
        with pytest.raises(InvalidInput, match="yields"):
            hf.analysis(function)
    for thing in (len, int, 5, staticmethod(generator)):
        with pytest.raises(InvalidInput, match="analysis"):
            hf.analysis(thing)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="no kind"):
        hf.analysis(kind="No Kind")
    with pytest.raises(TypeError):
        hf.analysis(knid="x")  # type: ignore[call-overload]


def test_many_threads_with_the_same_arguments_compute_once(hf: Holdfast) -> None:
    calls = []

    @hf.analysis
    def slow(x: int) -> int:
        calls.append(x)
        time.sleep(0.3)
        return x + 1

    with ThreadPoolExecutor(32) as pool:
        assert set(pool.map(slow, [1] * 32)) == {2}
    assert len(calls) == 1


def test_threads_that_wait_for_a_failure_try_themselves(hf: Holdfast) -> None:
    calls = []
    gate = threading.Barrier(3)

    @hf.analysis
    def flaky(x: int) -> int:
        calls.append(x)
        time.sleep(0.2)
        if len(calls) < 3:
            raise ValueError
        return x

    def call() -> int | None:
        gate.wait()
        try:
            return flaky(1)
        except ValueError:
            return None

    with ThreadPoolExecutor(3) as pool:
        results = [future.result() for future in [pool.submit(call) for _ in range(3)]]
    assert sorted(results, key=str) == [1, None, None]


def test_reuse_can_be_off(database: str) -> None:
    calls = []
    with holdfast.open(database, reuse_hours=0) as hf:

        @hf.analysis
        def never(x: int) -> int:
            calls.append(x)
            return x

        @hf.analysis(reuse=False)
        def nor(x: int) -> int:
            calls.append(x)
            return x

        assert never(1) == never(1) == nor(1) == nor(1) == 1
    assert len(calls) == 4


def test_a_function_may_call_itself(hf: Holdfast) -> None:
    @hf.analysis
    def fibonacci(n: int) -> int:
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    assert fibonacci(12) == 144
    assert len(fibonacci.history(100)) == 13
