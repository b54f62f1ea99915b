"""P5: words in many results: how soon they are found, how quickly, and how quickly the index is built anew.

Texts are of words drawn by Zipf's law, a tenth of them Chinese or Arabic, so that there are common and rare ones. The
floor of building is the same tokens put into a bare table of words; P1 says what storing costs with an index to feed.
"""

import random
import time
from collections.abc import Callable, Iterator

import holdfast
from bench import floors
from bench.floors import Stores
from bench.report import Options, Report, quantile, run
from holdfast import Holdfast
from holdfast.services.results import NewResult

_AT_ONCE = 500
_WORDS = 20_000
_LONG = 300
_ASKED = 40
_GOAL_MS = 50.0
_GOAL_RATE = 10_000
_GOAL_SECONDS = 2.0
_HAN = "数据库连接超时错误分析结果音乐重复代码检索引擎测试"
_ARABIC = ("رسالة", "محمد", "تحليل", "خطأ", "نتيجة")


def _texts(count: int) -> Iterator[str]:
    seed = random.Random(count)
    for number in range(count):
        if number % 10 == 0:
            text = "".join(seed.choices(_HAN, k=_LONG // 3))
        elif number % 10 == 1:
            text = " ".join(seed.choices(_ARABIC, k=_LONG // 3))
        else:
            text = " ".join(f"w{int(_WORDS ** seed.random())}" for _ in range(_LONG))
        yield f"{text} n{number}"


def _fill(hf: Holdfast, count: int) -> None:
    new: list[NewResult] = []
    for number, text in enumerate(_texts(count)):
        owner = holdfast.Context(client_session_id=f"owner-{number % 100}")
        new.append(NewResult(kind="text", result={"t": text}, context=owner, tags=[f"t{number % 50}"]))
        if len(new) == _AT_ONCE:
            hf.store_analyses(new)
            new.clear()
    hf.store_analyses(new)


_QUERIES: dict[str, Callable[[random.Random, int], str]] = {
    "a rare word": lambda seed, count: f"n{seed.randrange(count)}",
    "a word in the middle": lambda seed, count: f"w{seed.randrange(500, 2_000)}",
    "a common word": lambda seed, count: f"w{seed.randrange(1, 5)}",
    "two words": lambda seed, count: f"w{seed.randrange(5, 100)} w{seed.randrange(100, 1_000)}",
    "a phrase": lambda seed, count: f'"w{seed.randrange(1, 10)} w{seed.randrange(1, 10)}"',
    "a beginning": lambda seed, count: f"n{seed.randrange(10, 100)}*",
    "Chinese": lambda seed, count: _HAN[(at := seed.randrange(len(_HAN) - 2)) : at + 2],
    "Arabic": lambda seed, count: seed.choice(_ARABIC),
    "a word of one owner": lambda seed, count: f"w{seed.randrange(1, 50)} owner:owner-{seed.randrange(100)}",
    "a word and a tag": lambda seed, count: f"w{seed.randrange(1, 50)} tag:t{seed.randrange(50)}",
}


def measure(options: Options, report: Report) -> None:
    with floors.stores(options, report) as found:
        for stores in found:
            _measure(options, report, stores)


def _measure(options: Options, report: Report, stores: Stores) -> None:
    count = options.pick(500, options.rows)
    with holdfast.open(stores.fresh(), processors=("fulltext",), process_batch_size=_AT_ONCE) as hf:
        hf.worker().run(until_idle=True)
        _fill(hf, count)
        before = time.perf_counter()
        hf.worker().run(until_idle=True)
        report.add(
            "P5", f"{stores.dialect}: {count:,} results indexed from jobs", count / (time.perf_counter() - before), "/s"
        )
        hf.processing.rebuild()
        before = time.perf_counter()
        hf.worker().run(until_idle=True)
        rate = count / (time.perf_counter() - before)
        report.add(
            "P5", f"{stores.dialect}: rebuilt", rate, "/s", goal=f">= {_GOAL_RATE:,}", met=rate >= _GOAL_RATE
        )  # fmt: skip
        _ask(options, report, stores, hf, count)
        _follow(options, report, stores, hf)


def _ask(options: Options, report: Report, stores: Stores, hf: Holdfast, count: int) -> None:
    for name, query in _QUERIES.items():
        seed = random.Random(name)
        spent = []
        for _ in range(options.pick(5, _ASKED)):
            asked = query(seed, count)
            before = time.perf_counter()
            hf.search.search(asked)
            spent.append((time.perf_counter() - before) * 1000)
        p95 = quantile(spent, 0.95)
        report.add(
            "P5", f"{stores.dialect}: {name}, p95", p95, "ms", goal=f"< {_GOAL_MS:g} at a million",
            met=p95 < _GOAL_MS,
        )  # fmt: skip


def _follow(options: Options, report: Report, stores: Stores, hf: Holdfast) -> None:
    """From the commit until it is found."""
    spent = []
    with hf.working():
        for number in range(options.pick(3, 20)):
            hf.store_analysis("text", {"t": f"fresh{number}"})
            before = time.perf_counter()
            while not hf.search.search(f"fresh{number}").items:
                time.sleep(0.002)
            spent.append(time.perf_counter() - before)
    slowest = quantile(spent, 0.95)
    report.add(
        "P5", f"{stores.dialect}: found after the commit, p95", slowest, "s", goal=f"< {_GOAL_SECONDS:g}",
        met=slowest < _GOAL_SECONDS,
    )  # fmt: skip


if __name__ == "__main__":
    run({"p5": measure})
