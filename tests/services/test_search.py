"""Search on both stores: what should be found is, and nothing else."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from operator import eq, ge, lt
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.bootstrap import Holdfast, open_holdfast
from holdfast.domain.access import Caller, Role
from holdfast.domain.analysis import Analysis, Status
from holdfast.domain.context import Context
from holdfast.domain.errors import InvalidCursor, InvalidQuery, ProcessorUnavailable, UnknownProcessor
from holdfast.domain.findings import Finding, Severity
from holdfast.domain.processing import Ranked
from holdfast.domain.query import And, Field, Not, Or, Query, Text, both, either, show
from holdfast.domain.subjects import Subject
from holdfast.services.results import NewResult
from holdfast.services.search import fused
from holdfast.testing import FakeClock


@pytest.fixture
def hf(database: str, clock: FakeClock) -> Iterator[Holdfast]:
    with open_holdfast(database, processors=("fulltext",), clock=clock) as opened:
        yield opened


def work(hf: Holdfast) -> None:
    hf.worker().run(until_idle=True)


def found(hf: Holdfast, query: str, **options: Any) -> set[str]:
    return {hit.analysis.analysis_id for hit in hf.search.search(query, limit=100, **options).items}


TEXTS = {
    "en": "The quick brown fox jumps over a time out error",
    "fr": "Un café crème, déjà vu à Nîmes",
    "de": "Die Straße führt über die Brücke",
    "el": "γρήγορη σκέψη",
    "ru": "Съешь ещё этих мягких булок",
    "zh": "数据库连接超时错误",
    "ja": "東京タワーで検索エンジンを試す",
    "ko": "데이터베이스 연결 오류",
    "ar": "مُحَمَّد يَكْتُبُ رِسَالَة",
    "he": "שָׁלוֹם עולם",
    "hi": "हिन्दी में खोज",
    "th": "ภาษาไทยไม่มีช่องว่าง",
    "code": "def foo_bar(x): return 50%_off",
}


@pytest.fixture
def languages(hf: Holdfast) -> Holdfast:
    hf.store_analyses([NewResult(kind="text", result={"t": text}, analysis_id=name) for name, text in TEXTS.items()])
    work(hf)
    return hf


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("fox", {"en"}),
        ("FOX", {"en"}),
        ('"brown fox"', {"en"}),
        ('"fox brown"', set()),
        ("fo*", {"en", "code"}),
        ("fo", set()),
        ("café", {"fr"}),
        ("cafe", {"fr"}),
        ("CAFE\u0301", {"fr"}),
        ("creme nimes", {"fr"}),
        ("strasse", {"de"}),
        ("bruc*", {"de"}),
        ("γρηγορη", {"el"}),
        ("еще", {"ru"}),
        ("булок", {"ru"}),
        ("数据库", {"zh"}),
        ("超时", {"zh"}),
        ("据连", set()),
        ("误", {"zh"}),
        ("東京", {"ja"}),
        ("タワー", {"ja"}),
        ("検索エンジン", {"ja"}),
        ("연결", {"ko"}),
        ("데이터", {"ko"}),
        ("محمد", {"ar"}),
        ("رسالة", {"ar"}),
        ("שלום", {"he"}),
        ("हिन्दी", {"hi"}),
        ("ไทย", {"th"}),
        ("foo_bar", {"code"}),
        ("bar", {"code"}),
        ("50", {"code"}),
        ("error OR café", {"en", "fr"}),
        ("time NOT fox", set()),
        ("kind:text NOT fox", set(TEXTS) - {"en"}),
    ],
)
def test_words_of_any_language(languages: Holdfast, query: str, wanted: set[str]) -> None:
    assert found(languages, query) == wanted


@pytest.mark.parametrize("query", ["%", "_", "* *", '"%"', "'; DROP TABLE analyses --\""])
def test_what_is_no_word_is_refused(hf: Holdfast, query: str) -> None:
    with pytest.raises(InvalidQuery):
        hf.search.search(query)


@pytest.mark.parametrize("query", ["fox' OR 1=1", "a:*", "foo\\'bar", "NEAR fox", "x* -- y", "\x00a", '"a"" b'])
def test_what_databases_take_for_syntax_is_text(languages: Holdfast, query: str) -> None:
    try:
        found(languages, query)
    except InvalidQuery as error:
        assert error.details["position"] >= 0  # noqa: PT017 either is well


def test_tags_are_exact(hf: Holdfast) -> None:
    for name, tags in {"a": ["art"], "s": ["start"], "p": ["%"], "u": ["_"], "c": ["café"], "e": ["cafe"]}.items():
        hf.store_analysis("note", {"t": name}, analysis_id=name, tags=tags)
    work(hf)
    assert found(hf, "tag:art") == {"a"}
    assert found(hf, "tag:start") == {"s"}
    assert found(hf, "tag:%") == {"p"}
    assert found(hf, "tag:_") == {"u"}
    assert found(hf, "tag:café") == {"c"}
    assert found(hf, "tag:ar*") == {"a"}
    assert found(hf, "tag:A*") == set()
    assert found(hf, "art") == {"a"}
    assert found(hf, "*art*") == {"a", "s"}
    assert found(hf, "*tar*") == {"s"}
    assert found(hf, "cafe") == {"c", "e"}
    assert {one.analysis_id for one in hf.list_analyses(tags=["art"]).items} == {"a"}
    assert {hit.analysis.analysis_id for hit in hf.search_analyses("start", tags=["start"]).items} == {"s"}


def test_names_findings_and_parameters_are_indexed(hf: Holdfast) -> None:
    finding = Finding(rule="r", severity=Severity.LOW, title="Overlong function", path="src/walrus.py")
    subject = Subject(kind="git-branch", key="k", title="release kestrel")
    hf.store_analysis("code", 1, analysis_id="x", findings=[finding], subject=subject, params={"p": ["osprey"]})
    work(hf)
    for word in ("overlong", "walrus", "kestrel", "osprey"):
        assert found(hf, word) == {"x"}, word
    (hit,) = hf.search.search("kestrel OR walrus").items
    assert hit.title is not None
    assert hit.text is not None
    assert [hit.title.text[start:end] for start, end in hit.title.highlights] == ["kestrel"]
    assert [hit.text.text[start:end] for start, end in hit.text.highlights] == ["walrus"]


def test_filters_come_before_the_limit(hf: Holdfast) -> None:
    new = [NewResult(kind="bulk", result={"t": "needle"}, analysis_id=f"b{n}") for n in range(60)]
    hf.store_analyses([NewResult(kind="rare", result={"t": "needle"}, analysis_id="old"), *new])
    work(hf)
    assert [hit.analysis.analysis_id for hit in hf.search.search("needle kind:rare", limit=1).items] == ["old"]
    assert [hit.analysis.analysis_id for hit in hf.search.search("kind:rare", limit=1).items] == ["old"]


def test_pages_follow_each_other(hf: Holdfast, clock: FakeClock) -> None:
    for n in range(23):
        hf.store_analysis("note", {"t": "needle " * (n % 5 + 1)}, analysis_id=f"n{n}")
        clock.advance(1)
    work(hf)
    for query in ("needle", "kind:note"):
        seen: list[str] = []
        after = None
        while True:
            page = hf.search.search(query, limit=5, after=after)
            seen += [hit.analysis.analysis_id for hit in page.items]
            after = page.next
            if after is None:
                break
        assert len(seen) == len(set(seen)) == 23
        assert page.is_ranked == (query == "needle")
    with pytest.raises(InvalidCursor):
        hf.search.search("kind:note", after=Ranked(key=1, score=1.0))


def test_facets_count_what_fits(hf: Holdfast) -> None:
    for n in range(9):
        hf.store_analysis("even" if n % 2 == 0 else "odd", {"t": "needle"}, tags=[f"t{n % 3}"])
    hf.store_analysis("other", {"t": "hay"})
    work(hf)
    facets = hf.search.search("needle", limit=1, facets=["kind", "tag", "status"]).facets
    assert facets == {
        "kind": {"even": 5, "odd": 4},
        "tag": {"t0": 3, "t1": 3, "t2": 3},
        "status": {"completed": 9},
    }


def test_owners_see_their_own(hf: Holdfast) -> None:
    for owner in ("alice", "bob"):
        context = Context(client_session_id=owner, thread_id="shared")
        hf.store_analysis("note", {"t": f"secret {owner}"}, context=context, tags=[owner], analysis_id=owner)
    work(hf)
    bob = Caller(name="bob", owner="bob", role=Role.WRITER)
    for query in ("secret", "alice OR secret", "NOT bob", "kind:note", "owner:alice OR owner:bob", "", "*ecre*"):
        page = hf.search.search(query, facets=["owner", "tag"], caller=bob)
        assert {hit.analysis.analysis_id for hit in page.items} <= {"bob"}, query
        assert set(page.facets["owner"]) <= {"bob"}
        assert set(page.facets["tag"]) <= {"bob"}
    assert found(hf, "secret") == {"alice", "bob"}
    assert [hit.analysis.analysis_id for hit in hf.search.conversation("shared", caller=bob).items] == ["bob"]
    assert [group.count for group in hf.search.groups(caller=bob)] == [1]


def test_what_is_gone_is_not_found_even_before_the_index_knows(hf: Holdfast, clock: FakeClock) -> None:
    hf.store_analysis("note", {"t": "needle"}, analysis_id="short", ttl_seconds=10)
    hf.store_analysis("note", {"t": "needle"}, analysis_id="trash")
    work(hf)
    hf.delete_analysis("trash")
    assert found(hf, "needle") == {"short"}
    clock.advance(11)
    assert found(hf, "needle") == set()


def test_threads(hf: Holdfast, clock: FakeClock) -> None:
    for n in range(5):
        hf.store_task_analysis(f"step {n}", {"n": n}, task_name="plan", thread_id="t1", session_id="s1")
        clock.advance(1)
    failed = hf.store_task_analysis("broken", task_name="plan", thread_id="t2", session_id="s1", error="no route")
    assert failed.status is Status.FAILED
    assert [one.summary for one in hf.get_thread_conversation("t1")] == [f"step {n}" for n in range(5)]
    first = hf.search.conversation("t1", limit=2)
    assert first.next is not None
    assert not isinstance(first.next, Ranked)
    rest = hf.search.conversation("t1", limit=9, after=first.next)
    assert [hit.analysis.summary for hit in rest.items] == ["step 2", "step 3", "step 4"]
    assert [(group.id, group.count, group.unfinished) for group in hf.search.groups()] == [("t1", 5, 0), ("t2", 1, 1)]
    assert [(group.id, group.count) for group in hf.search.groups(by="session")] == [("s1", 6)]
    assert len(found(hf, "task:plan")) == 6
    assert len(found(hf, "thread:t1 task:plan")) == 5


def test_without_an_index_it_is_said(hf: Holdfast, database: str) -> None:
    with pytest.raises(ProcessorUnavailable):
        hf.search.search("word")
    with open_holdfast(database, processors=()) as without, pytest.raises(UnknownProcessor):
        without.search.search("word")


def test_fusion_counts_ranks() -> None:
    def ranked(*keys: int) -> list[Ranked]:
        return [Ranked(key=key, score=1000.0 / place) for place, key in enumerate(keys, 1)]

    assert [hit.key for hit in fused([ranked(1, 2, 3), ranked(2, 4)])] == [2, 1, 4, 3]


START = datetime(2030, 1, 1, tzinfo=UTC)
WORDS = ["ant", "bee", "cat"]
worlds = st.lists(
    st.tuples(
        st.sampled_from(["k1", "k2"]),
        st.lists(st.sampled_from(["t", "tt", "u"]), max_size=2, unique=True),
        st.sampled_from([None, "th", "other"]),
        st.lists(st.sampled_from(WORDS), min_size=1, max_size=3),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=8,
)
fields = st.one_of(
    st.builds(Field, name=st.just("kind"), op=st.just("="), value=st.sampled_from(["k1", "k2", "k"])),
    st.builds(Field, name=st.just("tag"), op=st.sampled_from(["=", "^"]), value=st.sampled_from(["t", "tt", "u"])),
    st.builds(Field, name=st.just("thread"), op=st.sampled_from(["=", "^"]), value=st.sampled_from(["th", "t"])),
    st.builds(Field, name=st.just("findings"), op=st.sampled_from(["=", "<", ">="]), value=st.integers(0, 3)),
    st.builds(Text, value=st.sampled_from(WORDS)),
)


def _joined(parts: st.SearchStrategy[Query]) -> st.SearchStrategy[Query]:
    several = st.lists(parts, min_size=2, max_size=3)
    return st.one_of(several.map(both), several.map(either), parts.map(lambda part: Not(part=part)))


trees = st.recursive(fields, _joined, max_leaves=5)


def fits(query: Query, value: Analysis, words: list[str]) -> bool:
    """The same by hand."""
    if isinstance(query, And):
        return all(fits(part, value, words) for part in query.parts)
    if isinstance(query, Or):
        return any(fits(part, value, words) for part in query.parts)
    if isinstance(query, Not):
        return not fits(query.part, value, words)
    if isinstance(query, Text):
        return query.value in words
    values: dict[str, list[Any]] = {
        "kind": [value.kind],
        "tag": list(value.tags),
        "thread": [value.context.thread_id] if value.context.thread_id else [],
        "findings": [value.finding_count],
    }
    have = values[query.name]
    compares: dict[str, Callable[[Any, Any], bool]] = {"=": eq, "^": str.startswith, "<": lt, ">=": ge}
    compare = compares[query.op]
    return any(compare(one, query.value) for one in have)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=worlds, queries=st.lists(trees, min_size=4, max_size=8))
def test_filters_are_what_they_say(database: str, world: list[Any], queries: list[Query]) -> None:
    with open_holdfast(database, processors=("fulltext",)) as hf:
        for old in hf.list_analyses(limit=1000).items:
            hf.delete_analysis(old.analysis_id, purge=True)
        new = [
            NewResult(
                kind=kind,
                result={"t": " ".join(words)},
                tags=tags,
                context=Context(thread_id=thread),
                findings=[Finding(rule="r", severity=Severity.LOW, title=f"x{n}") for n in range(findings)],
            )
            for kind, tags, thread, words, findings in world
        ]
        kept = hf.store_analyses(new)
        work(hf)
        for query in queries:
            wanted = {one.analysis_id for one, row in zip(kept, world, strict=True) if fits(query, one, row[3])}
            assert found(hf, show(query)) == wanted, show(query)


def test_rebuilt_page_of_many(hf: Holdfast) -> None:
    """More than one statement takes, and more than one page holds: the last one counts as much as the first."""
    stored = hf.store_analyses([NewResult(kind="text", result={"t": f"number{n}"}) for n in range(731)])
    work(hf)
    hf.processing.rebuild()
    work(hf)
    for n in (0, 99, 100, 499, 500, 730):
        assert found(hf, f"number{n}") == {stored[n].analysis_id}
    assert len(found(hf, "number*")) == 100
    (status,) = (one for one in hf.processing.status() if one.is_enabled)
    assert (status.generation, status.is_building, status.counts) == (2, False, {"completed": 731})
