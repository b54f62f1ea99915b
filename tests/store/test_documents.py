"""What indexes read of an analysis is what everybody else reads of it."""

from collections.abc import Iterator
from dataclasses import fields
from functools import partial

import pytest

from holdfast.bootstrap import Holdfast, open_holdfast
from holdfast.domain.context import Context
from holdfast.domain.findings import Finding, Severity
from holdfast.domain.processing import Document
from holdfast.domain.subjects import Subject
from holdfast.services.results import NewResult
from holdfast.store.documents import Source
from holdfast.store.unit_of_work import UnitOfWork

RICH = Context(client_session_id="o", thread_id="t", session_id="s", process_instance_id="p")
FOUND = Finding(rule="r", severity=Severity.LOW, title="found é", message="m", path="a/b")
RESULTS = [
    NewResult(kind="plain", result={"a": ["b", 1, None]}),
    NewResult(
        kind="rich",
        result="r",
        tags=["b", "a"],
        context=RICH,
        findings=[FOUND],
        subject=Subject(kind="task", key="k", revision="1", title="Tïtle"),
    ),
    NewResult(
        kind="named", result=[], params={"q": "é\0", "n": 1.5}, subject=Subject(kind="file", key="a/b", revision="")
    ),
]


@pytest.fixture
def hf(database: str) -> Iterator[Holdfast]:
    with open_holdfast(database, processors=("fulltext",)) as one:
        one.store_analyses(RESULTS)
        with pytest.raises(ZeroDivisionError), one.track("fails"):
            raise ZeroDivisionError("nought")
        one.delete_analysis(one.store_analysis("gone", 1).analysis_id)
        yield one


def page(uow: UnitOfWork) -> list[Source]:
    return uow.documents.page("fulltext", 0, 100)


def following(key: int, uow: UnitOfWork) -> list[Source]:
    return uow.documents.page("fulltext", key, 1)


def test_a_document_says_what_its_analysis_says(hf: Holdfast) -> None:
    def look(uow: UnitOfWork) -> None:
        for source in page(uow):
            made = source.document(None, ())
            (stored,) = uow.analyses.of_keys([source.key])
            assert made.analysis == stored.value
            assert source.version == stored.value.version
            assert (source.is_there, source.has_ended) == (stored.value.kind != "gone", True)
            meant = Document.of(source.key, stored.value)
            for field in {field.name for field in fields(Document)} - {"make", "digest"}:
                one, other = getattr(made, field), getattr(meant, field)
                assert (tuple(one) if field == "tags" else one) == other, field

    hf.store.read(look)


def test_pages_and_keys_give_the_same(hf: Holdfast) -> None:
    sources = hf.store.read(page)
    keys = [source.key for source in sources]
    assert len(keys) == len(RESULTS) + 2
    again = hf.store.read(lambda uow: uow.documents.of_keys("fulltext", [*reversed(keys), max(keys) + 1]))
    assert [(one.key, one.digest, one.row) for one in again] == [(one.key, one.digest, one.row) for one in sources]
    walked = [hf.store.read(partial(following, key - 1)) for key in keys]
    assert [one.key for found in walked for one in found] == keys
    assert len({source.digest for source in sources}) == len(sources)


def test_what_was_noted_is_read_with_it(hf: Holdfast) -> None:
    assert {tuple(source.mark) for source in hf.store.read(page)} == {(None, None, None)}
    hf.worker().run(until_idle=True)
    for source in hf.store.read(page):
        assert tuple(source.mark) == (("completed", source.digest, "1") if source.is_there else (None, None, None))
    assert hf.store.read(lambda uow: uow.documents.page("another", 0, 100))[0].mark[0] is None
