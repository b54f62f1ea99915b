"""P5: words in many results: how soon they are found, how quickly, and how quickly the index is built anew.

Texts are of words drawn by Zipf's law, a tenth of them Chinese and a tenth Arabic, so that there are common and rare
ones. The floor of building is the same words, cut before, put into a bare index of the same database by the driver
alone; P1 says what storing costs with an index to feed. In full: ``--rows 1000000``.
"""

import random
import time
from collections.abc import Callable, Iterator

import holdfast
from bench import floors
from bench.floors import Raw, Stores
from bench.report import Options, Report, quantile, run, timed
from holdfast import Holdfast
from holdfast.domain.words import tokens
from holdfast.services.results import NewResult

_AT_ONCE = 500
_WORDS = 20_000
_LONG, _SHORT = 300, 50
_ASKED = 40
_GOAL_MS = 50.0
_GOAL_RATE = 10_000
_GOAL_SECONDS = 2.0
_HAN = "数据库连接超时错误分析结果音乐重复代码检索引擎测试"
_ARABIC = ("رسالة", "محمد", "تحليل", "خطأ", "نتيجة")


def _texts(count: int, words: int = _LONG) -> Iterator[str]:
    seed = random.Random(count)
    for number in range(count):
        if number % 10 == 0:
            text = "".join(seed.choices(_HAN, k=words // 3))
        elif number % 10 == 1:
            text = " ".join(seed.choices(_ARABIC, k=words // 3))
        else:
            text = " ".join(f"w{int(_WORDS ** seed.random())}" for _ in range(words))
        yield f"{text} n{number}"


def _fill(hf: Holdfast, count: int, words: int = _LONG) -> None:
    new: list[NewResult] = []
    for number, text in enumerate(_texts(count, words)):
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
    _rebuild(options, report, stores, _SHORT)
    url = stores.fresh()
    with holdfast.open(url, processors=("fulltext",), process_batch_size=_AT_ONCE) as hf:
        hf.worker().run(until_idle=True)
        _fill(hf, count)
        before = time.perf_counter()
        hf.worker().run(until_idle=True)
        report.add(
            "P5", f"{stores.dialect}: {count:,} results indexed from jobs", count / (time.perf_counter() - before), "/s"
        )
        _build(report, stores, hf, url, count, _LONG)
        _ask(options, report, stores, hf, count)
        _follow(options, report, stores, hf)


def _rebuild(options: Options, report: Report, stores: Stores, words: int) -> None:
    url = stores.fresh()
    count = options.pick(500, options.rows // 5)
    with holdfast.open(url, processors=()) as hf:
        _fill(hf, count, words)
    # The first index of a store that has been kept without one: nothing has been processed before.
    with holdfast.open(url, processors=("fulltext",)) as hf:
        _build(report, stores, hf, url, count, words)


def _build(report: Report, stores: Stores, hf: Holdfast, url: str, count: int, words: int) -> None:
    def build() -> None:
        hf.worker().run(until_idle=True)

    hf.processing.rebuild()
    wall, cpu = timed(build)
    least, least_cpu = _floor(stores, url, count, words)
    name = f"{stores.dialect}: {count:,} results of {words} words rebuilt"
    report.add("P5", name, count / wall, "/s", ratio=least / wall, against="words alone, by the driver",
               goal=f">= {_GOAL_RATE:,}", met=count / wall >= _GOAL_RATE)  # fmt: skip
    # The database's own share of it is in this process on SQLite only.
    report.add("P5", f"{name}: processor time of each", cpu / count * 1e6, "us", ratio=cpu / max(least_cpu, 1e-6),
               against="words alone, by the driver")  # fmt: skip


def _floor(stores: Stores, url: str, count: int, words: int) -> tuple[float, float]:
    cut = [tokens(text) for text in _texts(count, words)]
    raw = Raw(url)
    columns: tuple[str, str]
    if stores.dialect == "sqlite":
        raw.run("CREATE VIRTUAL TABLE bare USING fts5(words, content='', tokenize='ascii')")
        columns = ("rowid", "words")
        rows = [(key, " ".join(text)) for key, text in enumerate(cut, 1)]
    else:
        raw.run("CREATE TABLE bare (analysis bigint PRIMARY KEY, words tsvector NOT NULL)")
        raw.run("CREATE INDEX ON bare USING gin (words)")
        columns = ("analysis", "words")
        rows = [(key, " ".join(f"'{word}':{place}" for place, word in enumerate(text, 1))) for key, text in
                enumerate(cut, 1)]  # fmt: skip
    raw.commit()

    def load() -> None:
        for start in range(0, count, _AT_ONCE):
            raw.load("bare", columns, rows[start : start + _AT_ONCE])

    found = timed(load)
    raw.run("DROP TABLE bare")
    raw.commit()
    raw.close()
    return found


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
