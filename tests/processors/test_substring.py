"""Stretches of letters are found wherever they stand in a text, and nowhere else."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.bootstrap import Holdfast, open_holdfast
from holdfast.domain.query import Form, Text, show
from holdfast.domain.words import GRAM, line_of
from holdfast.services.results import NewResult

TEXTS = [
    "A connection timeout after 30 seconds",
    "time out of mind",
    "déjà vu à Nîmes: crème brûlée",
    "数据库连接超时错误",
    "مُحَمَّد يَكْتُبُ رِسَالَة",
    "foo_bar(x) returns 50%_off",
    'he said "imeou" and it\'s \\ odd',
    "start of the art",
]


@pytest.fixture
def hf(database: str) -> Iterator[Holdfast]:
    with open_holdfast(database, processors=("fulltext", "substring")) as one:
        one.store_analyses(
            [NewResult(kind="text", result={"t": text}, analysis_id=f"n{n}") for n, text in enumerate(TEXTS)]
        )
        while one.process_pending_analyses(limit=100):
            pass
        yield one


def found(hf: Holdfast, query: str) -> set[str]:
    return {hit.analysis.analysis_id for hit in hf.search.search(query, limit=100).items}


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("*imeou*", {"n0", "n6"}),
        ("*ime\\ ou*", {"n1"}),
        ("*crEme\\ brU*", {"n2"}),
        ("*库连接*", {"n3"}),
        ("*库接*", set()),
        ("*كتب*", {"n4"}),
        ("*50\\ off*", {"n5"}),
        ("*tart*", {"n7"}),
        ("*imeou* seconds", {"n0"}),
        ("NOT *imeou* kind:text", {"n1", "n2", "n3", "n4", "n5", "n7"}),
        ("*imeou* OR *tart*", {"n0", "n6", "n7"}),
    ],
)
def test_stretches(hf: Holdfast, query: str, wanted: set[str]) -> None:
    assert found(hf, query) == wanted


@settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.data())
def test_every_stretch_and_nothing_else(hf: Holdfast, data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(TEXTS))
    start = data.draw(st.integers(0, len(text) - 1))
    piece = text[start : start + data.draw(st.integers(3, 12))]
    line = line_of(piece)
    if len(line) < GRAM:
        return
    wanted = {f"n{n}" for n, one in enumerate(TEXTS) if line in line_of(one)}
    assert found(hf, show(Text(value=piece, form=Form.PART))) == wanted


def test_what_changes_and_goes_is_found_no_more(hf: Holdfast) -> None:
    hf.delete_analysis("n0", purge=True)
    hf.store_analysis("text", {"t": "another timeout"}, analysis_id="new")
    while hf.process_pending_analyses(limit=100):
        pass
    assert found(hf, "*imeou*") == {"n6", "new"}
    assert hf.reprocess_analysis("new", processors=["substring"])
    hf.process_pending_analyses(limit=10)
    assert found(hf, "*imeou*") == {"n6", "new"}
