"""Indexes elsewhere know an analysis by its number: one that is gone must not lend it to the next."""

from collections.abc import Iterator

import pytest
from qdrant_client import QdrantClient

from holdfast.bootstrap import Holdfast, open_holdfast


@pytest.fixture
def hf(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Holdfast]:
    client = QdrantClient(location=":memory:")
    monkeypatch.setattr("qdrant_client.QdrantClient", lambda **_: client)
    with open_holdfast(database, processors=("vector",), qdrant_url="http://nowhere:6333") as one:
        yield one


def number_of(hf: Holdfast, analysis_id: str) -> int:
    return hf.store.read(lambda uow: uow.analyses.keys_of([analysis_id]))[analysis_id]


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect")
def test_what_is_gone_is_not_found_as_what_came_after(hf: Holdfast) -> None:
    hf.store_analysis("note", "The walrus rests on the ice", analysis_id="old", summary="A walrus on the ice")
    assert hf.process_pending_analyses("vector", 10) == 1
    assert [hit.analysis.analysis_id for hit in hf.search.search("walrus", by=["vector"]).items] == ["old"]
    number = number_of(hf, "old")
    hf.delete_analysis("old", purge=True)
    hf.store_analysis("note", "Quarterly budget of the harbour", analysis_id="new", summary="A budget")
    assert number_of(hf, "new") > number
    # The index does not know of either yet.
    assert hf.search.search("walrus", by=["vector"]).items == []
    while hf.process_pending_analyses("vector", 10):
        pass
    assert [hit.analysis.analysis_id for hit in hf.search.search("budget", by=["vector"]).items] == ["new"]
