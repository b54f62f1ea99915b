"""What an analysis tells of entities and relations."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.context import Context
from holdfast.domain.findings import Finding, Severity
from holdfast.domain.processing import Document
from holdfast.domain.subjects import Subject
from holdfast.processors.graph.extract import KINDS, extract, place, place_of
from holdfast.processors.graph.index import Place
from tests.store.samples import analysis

_texts = st.text(min_size=1, max_size=300)
_json = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["name", "names", "title", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)
_findings = st.builds(Finding, rule=_texts, severity=st.sampled_from(Severity), title=_texts, path=st.none() | _texts)


def document(result: Any = None, findings: tuple[Finding, ...] = (), **fields: Any) -> Document:
    return Document.of(1, analysis(**fields), result, findings)


@given(
    _json,
    st.fixed_dictionaries({}, optional=dict.fromkeys(("technologies", "recommendation", "recommendations"), _json)),
    st.lists(_findings, max_size=5),
)
def test_whatever_there_is_makes_a_whole_graph(anything: Any, result: Any, findings: list[Finding]) -> None:
    for value in (anything, result):
        told = extract(document(value, tuple(findings)))
        places = [entity.place for entity in told.entities]
        assert len(set(places)) == len(places)
        assert len(set(told.relations)) == len(told.relations)
        assert {end for one in told.relations for end in (one.source, one.target)} <= set(places)
        assert {where.kind for where in places} <= set(KINDS)
        # What a database's index takes.
        assert all(len(where.key.encode()) <= 800 and "\0" not in where.key for where in places)
        assert told == extract(document(value, tuple(findings)))


def test_everything_that_is_told() -> None:
    finding = Finding(rule="r", severity=Severity.LOW, title="Too long", path="a.py", identity="i")
    told = extract(
        document(
            {"technologies": {"names": ["Python", "Docker"]}, "recommendations": [{"title": "Split it"}, 7, " "]},
            (finding,),
            analysis_id="new",
            subject=Subject(kind="repository", key="r1", title="The repository"),
            context=Context(client_session_id="me", thread_id="t", session_id="s", process_instance_id="p"),
            tags=("nightly",),
            refreshed_from="old",
        )
    )
    assert sorted((one.source.key, one.kind, one.target.key) for one in told.relations) == [
        ("new", "about", "repository:r1"),
        ("new", "found", "repository:r1#r#i"),
        ("new", "in-process", "p"),
        ("new", "in-session", "s"),
        ("new", "in-thread", "t"),
        ("new", "owned-by", "me"),
        ("new", "recommends", "Split it"),
        ("new", "refreshed-from", "old"),
        ("new", "tagged", "nightly"),
        ("new", "uses", "docker"),
        ("new", "uses", "python"),
        ("repository:r1", "contains", "repository:r1#a.py"),
        ("repository:r1#r#i", "located-in", "repository:r1#a.py"),
    ]
    assert Place(kind="analysis", key="old") not in {entity.place for entity in told.entities}


@given(_texts, _texts)
def test_long_names_stay_apart(one: str, other: str) -> None:
    if place("file", "x" * 300 + one) == place("file", "x" * 300 + other):
        assert place("file", one) == place("file", other)


def test_names_that_people_give() -> None:
    assert place_of("0198f3a2") == Place(kind="analysis", key="0198f3a2")
    assert place_of("task:1") == Place(kind="task", key="1")
    assert place_of("job:1") == Place(kind="analysis", key="job:1")
    assert place_of("technology:Python") == Place(kind="technology", key="python")
    assert place_of("file:repository:r#a.py") == Place(kind="file", key="repository:r#a.py")
