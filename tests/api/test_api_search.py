"""Searches, threads and processing over HTTP."""

from collections.abc import Iterator

import httpx
import pytest

from holdfast.bootstrap import Holdfast
from holdfast.domain.access import Role
from tests.api.serving import UNLIMITED, served, token
from tests.services.samples import opened


@pytest.fixture
def both(database: str) -> Iterator[tuple[Holdfast, httpx.Client]]:
    settings = UNLIMITED | {"authentication": "token", "processors": ("fulltext",)}
    with opened(database, **settings) as hf, served(hf) as http:
        hf.worker().run(until_idle=True)
        yield hf, http


def test_found_page_by_page_and_by_its_owner_only(both: tuple[Holdfast, httpx.Client]) -> None:
    hf, http = both
    alice, bob, admin = token(hf, "alice"), token(hf, "bob"), token(hf, "root", Role.ADMIN)
    for n in range(5):
        body = {"kind": "note", "result": {"t": "walrus"}, "tags": [f"t{n}"], "thread_id": "th"}
        assert http.post("/api/v1/analyses", json=body, headers=alice).status_code == 201
    hf.worker().run(until_idle=True)
    for query in ("walrus", "kind:note"):
        first = http.get("/api/v1/searches", params={"q": query, "limit": 3, "facet": "tag"}, headers=alice).json()
        assert len(first["items"]) == 3
        assert len(first["facets"]["tag"]) == 5
        following = {"q": query, "limit": 3, "cursor": first["next_cursor"]}
        second = http.get("/api/v1/searches", params=following, headers=alice).json()
        ids = [hit["analysis"]["analysis_id"] for hit in first["items"] + second["items"]]
        assert len(set(ids)) == 5
        assert second["next_cursor"] is None
        assert http.get("/api/v1/searches", params=following, headers=bob).status_code == 400
        assert http.get("/api/v1/searches", params={"q": query}, headers=bob).json()["items"] == []
    assert [one["id"] for one in http.get("/api/v1/threads", headers=alice).json()["items"]] == ["th"]
    assert http.get("/api/v1/threads", headers=bob).json()["items"] == []
    assert len(http.get("/api/v1/threads/th", headers=alice).json()["items"]) == 5
    assert http.get("/api/v1/threads/th", headers=bob).json()["items"] == []
    place = f"/api/v1/analyses/{ids[0]}"
    rows = http.get(f"{place}/processing", headers=alice).json()["items"]
    assert {row["processor"]: row["status"] for row in rows} == {
        "fulltext": "completed",
        "graph": "skipped",
        "substring": "skipped",
        "vector": "skipped",
    }
    assert http.get(f"{place}/processing", headers=bob).status_code == 404
    assert http.post(f"{place}/reprocess", headers=bob).status_code == 404
    assert http.post(f"{place}/reprocess", headers=alice).json() == {"success": True, "queued": 1}
    assert http.post("/api/v1/processors/rebuild", headers=alice).status_code == 403
    assert http.post("/api/v1/processors/rebuild", headers=admin).status_code == 202
    listed = http.get("/api/v1/processors", headers=admin).json()["items"]
    assert [(one["name"], one["is_building"]) for one in listed] == [
        ("fulltext", True),
        ("graph", False),
        ("substring", False),
        ("vector", False),
    ]
    told = [http.get("/api/v1/searches", params={"q": q}, headers=alice).json()["hints"] for q in ("*alru*", "walrus")]
    assert [len(hints) for hints in told] == [1, 0]
    wrong = http.get("/api/v1/searches", params={"q": "walrus ("}, headers=alice)
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (422, "INVALID_QUERY")
    assert wrong.json()["error"]["details"]["position"] == 8
    assert "holdfast_processing_lag_seconds" in http.get("/metrics", headers=admin).text
