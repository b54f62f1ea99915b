"""Repositories, branches and conflicts over HTTP."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from holdfast.bootstrap import Holdfast
from holdfast.testing import FakeClock
from tests.api.serving import local
from tests.services.test_repositories import make_repository

BRANCH = "feature/a.b/ß"
RESULT: dict[str, Any] = {
    "branch_name": BRANCH,
    "commit_sha": "c1",
    "analysis_timestamp": "2030-01-01T00:00:00Z",
    "file_tree": {"type": "directory"},
    "technologies": ["Python"],
    "metrics": {"overall_score": 85.5},
    "issues": [{"title": "Long"}],
    "ai_summary": "Good",
    "detailed_scores": {"style": 1},
}


@pytest.fixture
def service(database: str) -> Iterator[tuple[Holdfast, httpx.Client]]:
    with local(database) as (hf, http):
        put(http, "", {"name": "R"})
        yield hf, http


def put(http: httpx.Client, path: str, body: dict[str, Any], etag: str | None = None) -> httpx.Response:
    headers = {} if etag is None else {"if-match": etag}
    return http.put(f"/api/v1/repositories/r{path}", json=body, headers=headers)


def code(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["code"])


def test_changes_say_what_they_change(service: tuple[Holdfast, httpx.Client]) -> None:
    _, http = service
    assert (put(http, "", {"name": "S"}).status_code, code(put(http, "", {"name": "S"}))) == (
        428,
        "VERSION_REQUIRED",
    )
    made = http.get("/api/v1/repositories/r")
    changed = put(http, "", {"name": "S"}, made.headers["etag"])
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    stale = put(http, "", {"name": "T"}, made.headers["etag"])
    assert (stale.status_code, code(stale), stale.json()["error"]["details"]["version"]) == (
        412,
        "STALE_VERSION",
        2,
    )
    foreign = put(http, "", {"name": "T"}, '"x", "0"')
    assert (foreign.status_code, code(foreign), foreign.json()["error"]["details"]["version"]) == (
        412,
        "STALE_VERSION",
        2,
    )
    assert put(http, "", {"name": "T"}, '"7", "2", "x"').json()["version"] == 3
    assert http.put("/api/v1/repositories/new", json={"name": "N"}, headers={"if-match": '"1"'}).status_code == 412
    assert http.delete("/api/v1/repositories/r").status_code == 428
    gone = http.delete("/api/v1/repositories/r", headers={"if-match": '"3"'}).json()
    assert http.get("/api/v1/repositories/r").status_code == 404
    assert http.get("/api/v1/repositories").json()["items"] == []
    assert http.post(gone["restore"]).json()["name"] == "T"


def test_branches_have_slashes(service: tuple[Holdfast, httpx.Client]) -> None:
    _, http = service
    place = f"/branches/{BRANCH}"
    made = put(http, place, {"commit_sha": "c1", "metadata": {"a": 1}})
    assert (made.status_code, made.json()["name"]) == (200, BRANCH)
    assert made.headers["etag"].startswith('"1.')
    assert put(http, place, {"commit_sha": "c2"}).status_code == 428
    moved = put(http, place, {"commit_sha": "c2"}, '"1"').json()
    assert (moved["previous_commit_sha"], moved["metadata"]) == ("c1", {"a": 1})
    stale = put(http, place, {"commit_sha": "c3"}, '"1"')
    details = stale.json()["error"]["details"]
    assert stale.status_code == 412
    assert (details["current"]["commit_sha"], details["base"]["commit_sha"]) == ("c2", "c1")
    listed = http.get("/api/v1/persistence/branches/r").json()
    assert [set(one) for one in listed["branches"]] == [
        {"name", "commit_sha", "is_default", "last_commit_date", "last_analyzed"}
    ]
    assert http.get("/api/v1/repositories/r/branches/feature").status_code == 404


def test_batches_and_pages(service: tuple[Holdfast, httpx.Client]) -> None:
    _, http = service
    branches = [{"name": f"b{number}", "commit_sha": "c"} for number in range(5)]
    batch = http.post("/api/v1/repositories/r/branches", json={"branches": [*branches, branches[0]]}).json()
    assert (batch["total"], batch["synced"], batch["conflicts"]) == (6, 5, 0)
    assert [one["branch"] for one in batch["failed"]] == ["b0"]
    found: list[str] = []
    cursor: str | None = None
    while cursor is not None or not found:
        page = http.get(
            "/api/v1/repositories/r/branches", params={"limit": 2} | ({"cursor": cursor} if cursor else {})
        ).json()
        found += [one["name"] for one in page["items"]]
        cursor = page["next_cursor"]
    assert found == [f"b{number}" for number in range(5)]
    for wrong in (0, -1, 101):
        assert http.get("/api/v1/repositories/r/branches", params={"limit": wrong}).status_code == 422
        assert http.get(f"/api/v1/persistence/analysis-history/r/b0?limit={wrong}").status_code == 422


def test_repositories_by_page(service: tuple[Holdfast, httpx.Client]) -> None:
    _, http = service
    for name in ("a", "b:c"):
        assert http.put(f"/api/v1/repositories/{name}", json={}).status_code == 200
    first = http.get("/api/v1/repositories", params={"limit": 2}).json()
    rest = http.get("/api/v1/repositories", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [one["repo_id"] for one in first["items"] + rest["items"]] == ["a", "b:c", "r"]
    assert rest["next_cursor"] is None


def test_documented_shapes_of_analyses(service: tuple[Holdfast, httpx.Client]) -> None:
    hf, http = service
    made = http.post("/api/v1/repositories/r/analyses", json=RESULT).json()
    assert made["outcome"] == "applied"
    assert http.post("/api/v1/repositories/r/analyses", json=RESULT).json() == made | {"outcome": "unchanged"}
    place = f"/api/v1/persistence/analysis/r/{BRANCH}"
    found = http.get(place).json()
    assert {name: found[name] for name in RESULT if name != "analysis_timestamp"} == {
        name: value for name, value in RESULT.items() if name != "analysis_timestamp"
    }
    assert (found["repo_id"], found["analysis_id"]) == ("r", made["analysis_id"])
    assert http.get(place, params={"commit_sha": "c1"}).json() == found
    assert http.get(place, params={"commit_sha": "c2"}).status_code == 404
    history = http.get(f"/api/v1/persistence/analysis-history/r/{BRANCH}").json()
    assert (history["count"], history["limit"]) == (1, 10)
    item = history["history"][0]
    assert (item["commit_sha"], item["overall_score"], item["technologies"], item["issue_count"]) == (
        "c1",
        85.5,
        ["Python"],
        1,
    )
    assert http.get("/api/v1/persistence/repository/r").json()["name"] == "R"
    assert hf.get_analysis(made["analysis_id"]).retrieval_count == 0


def test_figures_over_time(service: tuple[Holdfast, httpx.Client]) -> None:
    _, http = service
    http.post("/api/v1/repositories/r/analyses", json=RESULT)
    points = [{"name": "score", "at": f"2029-12-31T{hour:02}:00:00Z", "value": hour} for hour in range(4)]
    kept = http.post("/api/v1/repositories/r/metrics", json={"branch_name": BRANCH, "points": points})
    assert kept.json() == {"success": True, "count": 4}
    where = {"branch_name": BRANCH, "name": "score", "until": "2030-01-01T00:00:00Z"}
    series = http.get("/api/v1/repositories/r/metrics", params=where).json()
    assert [one["value"] for one in series["items"]] == [0, 1, 2, 3]
    steps = http.get(
        "/api/v1/repositories/r/metrics",
        params=where | {"since": "2029-12-31T00:00:00Z", "every_seconds": "7200"},
    ).json()
    assert [(one["value"], one["count"]) for one in steps["items"]] == [(0.5, 2), (2.5, 2)]


def torn(http: httpx.Client, names: tuple[str, ...] = ("a", "b", "c")) -> list[str]:
    for sha, strategy in (("c1", None), ("c2", "manual")):
        branches = [{"name": name, "commit_sha": sha} for name in names]
        http.post("/api/v1/repositories/r/branches", json={"branches": branches, "strategy": strategy})
    return [one["conflict_id"] for one in http.get("/api/v1/conflicts").json()["items"]]


def test_conflicts_by_their_documented_index(service: tuple[Holdfast, httpx.Client]) -> None:
    _, http = service
    ids = torn(http)
    listed = http.get("/api/v1/sync/conflicts").json()
    assert ([one["conflict_id"] for one in listed["conflicts"]], listed["count"]) == (ids, 3)
    done = http.post("/api/v1/sync/resolve-conflict/1", params={"use_local": False}).json()
    assert (done["success"], done["conflict"]["conflict_id"], done["conflict"]["resolution"]) == (
        True,
        ids[1],
        "remote",
    )
    assert ids[1] in done["message"]
    assert http.get("/api/v1/repositories/r/branches/b").json()["commit_sha"] == "c2"
    done = http.post("/api/v1/sync/resolve-conflict/1", params={"use_local": True}).json()
    assert (done["conflict"]["conflict_id"], done["conflict"]["branch_name"]) == (ids[2], "c")
    assert http.get("/api/v1/repositories/r/branches/c").json()["commit_sha"] == "c1"
    assert code(http.post("/api/v1/sync/resolve-conflict/1")) == "CONFLICT_NOT_FOUND"
    assert http.post("/api/v1/sync/resolve-conflict/-1").status_code == 422
    stats = http.get("/api/v1/sync/stats").json()
    assert (stats["strategy"], stats["pending_conflicts"], len(stats["conflicts"])) == ("latest_wins", 1, 1)


def test_conflicts_by_id(service: tuple[Holdfast, httpx.Client]) -> None:
    _, http = service
    one, other, third = (f"/api/v1/conflicts/{name}" for name in torn(http))
    seen = http.get(one)
    assert (seen.json()["base"], seen.json()["local"]["commit_sha"], seen.json()["remote"]["commit_sha"]) == (
        None,
        "c1",
        "c2",
    )
    choice = {"resolution": "remote"}
    assert http.post(f"{one}/resolve", json=choice).status_code == 428
    put(http, "/branches/a", {"commit_sha": "newer"}, "*")
    stale = http.post(f"{one}/resolve", json=choice, headers={"if-match": seen.headers["etag"]})
    assert (stale.status_code, stale.json()["error"]["details"]["current"]["commit_sha"]) == (412, "newer")
    tag = {"if-match": http.get(one).headers["etag"]}
    assert http.post(f"{one}/resolve", json=choice, headers=tag).json()["resolution"] == "remote"
    again = http.post(f"{one}/resolve", json=choice, headers={"if-match": "*"})
    assert (again.status_code, code(again)) == (409, "ALREADY_RESOLVED")
    tag = {"if-match": http.get(other).headers["etag"]}
    merged = {"resolution": "merged", "merged": {"commit_sha": "both"}}
    assert http.post(f"{other}/resolve", json=merged, headers=tag).status_code == 200
    assert http.get("/api/v1/repositories/r/branches/b").json()["commit_sha"] == "both"
    wrong = {"resolution": "merged", "merged": {"stars": 1}}
    assert http.post(f"{third}/resolve", json=wrong, headers={"if-match": "*"}).status_code == 422
    assert http.get("/api/v1/conflicts/none").status_code == 404


def test_stats_are_those_of_both_documents(service: tuple[Holdfast, httpx.Client]) -> None:
    hf, http = service
    hf.cache_entries.put("k", 1024 * 1024)
    answer = http.get("/api/v1/persistence/stats").json()
    assert answer["cache"] == {"total_entries": 1, "total_size_bytes": 1024 * 1024, "total_size_mb": 1.0}
    assert answer["sync"] == {"strategy": "latest_wins", "pending_conflicts": 0, "conflicts": []}
    assert answer["stats"]["total_results"] == 0


def test_cleanup_does_what_its_body_says(database: str) -> None:
    clock = FakeClock()
    with local(database, clock, trash_hours=1000) as (hf, http):
        hf.repositories.store_repository("kept")
        hf.repositories.store_repository("r")
        hf.repositories.delete_repository("r")
        hf.store_analysis("lint", {"a": 1}, analysis_id="old")
        hf.store_analysis("lint", {"a": 1}, analysis_id="pinned")
        hf.pin_analysis("pinned")
        hf.cache_entries.put("k", 1)
        clock.advance(2 * 86_400)
        hf.store_analysis("lint", {"a": 1}, analysis_id="new")
        clean = "/api/v1/persistence/cleanup"
        assert http.post(clean).json()["cleaned"] == 0
        ages = {"max_age_hours": 24, "max_age_days": 1}
        assert http.post(clean, json=ages).json()["cleaned"] == 0
        wanted = ("cleanup_old_repos", "cleanup_old_analyses", "cleanup_cache")
        for name in wanted:
            later = {name: True, "max_age_hours": 72, "max_age_days": 3}
            assert http.post(clean, json=later).json()["cleaned"] == 0
            assert http.post(clean, json=ages | {name: True}).json()["cleaned"] == 1
        assert {one.analysis_id for one in hf.list_analyses().items} == {"pinned", "new"}
        assert [one.repo_id for one in hf.repositories.list_repositories().items] == ["kept"]
        assert http.post(clean, json={"max_age_hours": -1}).status_code == 422


def test_branches_are_read_from_git(service: tuple[Holdfast, httpx.Client], tmp_path: Path) -> None:
    _, http = service
    make_repository(tmp_path / "g", ["main", "fix/a"])
    assert http.put("/api/v1/repositories/g", json={"location": str(tmp_path / "g")}).status_code == 200
    read = http.post("/api/v1/repositories/g/sync").json()
    assert (read["total"], read["added"], read["failed"]) == (2, 2, [])
    assert http.post("/api/v1/repositories/r/sync").status_code == 422
