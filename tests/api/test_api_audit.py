"""The audit list, schedules, and totals."""

from typing import Any

import httpx

from holdfast.bootstrap import Holdfast
from holdfast.domain.access import Role
from tests.api.serving import UNLIMITED, served, store, token
from tests.services.samples import opened


def test_what_happened_is_listed_newest_first(http: httpx.Client, hf: Holdfast) -> None:
    places = [store(http)["analysis_id"] for _ in range(3)]
    for name in places:
        http.put(f"/api/v1/analyses/{name}/pin")
    pages: list[dict[str, Any]] = []
    cursor: str | None = None
    while not pages or cursor:
        params = {"limit": 2} | ({} if cursor is None else {"cursor": cursor})
        page = http.get("/api/v1/audit", params=params).json()
        pages += page["items"]
        cursor = page["next_cursor"]
    assert [one["sequence"] for one in pages] == sorted((one["sequence"] for one in pages), reverse=True)
    assert [one["name"] for one in pages] == ["analysis.pinned"] * 3 + ["analysis.completed"] * 3
    named = http.get("/api/v1/audit", params={"name": ["analysis.pinned", "token.revoked"]}).json()["items"]
    assert named == pages[:3]
    assert http.get("/api/v1/audit", params={"actor": "local"}).json()["items"] == pages
    assert http.get("/api/v1/audit", params={"actor": "nobody"}).json()["items"] == []
    first = http.get("/api/v1/audit", params={"limit": 2}).json()["next_cursor"]
    assert http.get("/api/v1/audit", params={"cursor": first, "actor": "local"}).status_code == 400


def test_everybody_sees_what_happened_to_their_own(database: str) -> None:
    settings: dict[str, Any] = UNLIMITED | {"authentication": "token"}
    with opened(database, **settings) as hf, served(hf) as http:
        people = {name: token(hf, name) for name in ("ann", "bob")}
        admin = token(hf, "root", Role.ADMIN)
        for headers in people.values():
            http.post("/api/v1/analyses", json={"kind": "lint", "result": 1}, headers=headers)

        def owners(headers: dict[str, str], **params: str) -> set[str]:
            found = http.get("/api/v1/audit", params=params, headers=headers)
            assert found.status_code == 200, found.text
            return {one["client_session_id"] for one in found.json()["items"]}

        assert owners(people["ann"]) == {"ann"}
        assert owners(people["bob"], name="analysis.completed") == {"bob"}
        assert owners(admin) == {"ann", "bob", "root"}
        assert owners(admin, client_session_id="ann") == {"ann"}
        refused = http.get("/api/v1/audit", params={"client_session_id": "bob"}, headers=people["ann"])
        assert refused.status_code == 403


def test_schedules_are_listed(http: httpx.Client, hf: Holdfast) -> None:
    hf.jobs.schedule("b", "job", 60, {"n": 1})
    hf.jobs.schedule("a", "job", 90.5)
    found = http.get("/api/v1/schedules").json()
    assert [(one["name"], one["every_seconds"], one["payload"]) for one in found["items"]] == [
        ("a", 90.5, {}),
        ("b", 60.0, {"n": 1}),
    ]
    assert found["items"][0]["next_at"].endswith("Z")


def test_totals_come_when_asked_for(http: httpx.Client) -> None:
    made = [store(http)["analysis_id"] for _ in range(3)]
    exact = {"value": 3, "relation": "exact"}
    assert "total" not in http.get("/api/v1/analyses").json()
    for count in ("exact", "estimate"):
        params = {"limit": "1", "count": count, "tag": "main"}
        assert http.get("/api/v1/analyses", params=params).json()["total"] == exact
    findings = http.get(f"/api/v1/analyses/{made[0]}/findings", params={"count": "exact"}).json()
    assert findings["total"] == {"value": 1, "relation": "exact"}
    jobs = http.get("/api/v1/jobs", params={"count": "estimate", "status": "dead"}).json()
    assert jobs["total"] == {"value": 0, "relation": "exact"}
    assert http.get("/api/v1/analyses", params={"count": "yes"}).status_code == 422
