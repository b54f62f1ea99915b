"""Searches for duplicates over HTTP, from the search to the file that is fetched."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from holdfast.analyzers.duplicates import DuplicatesAnalyzer
from holdfast.analyzers.duplicates.sample import write_sample
from holdfast.api import duplicates, triage
from holdfast.bootstrap import Holdfast
from holdfast.domain.access import Role
from holdfast.domain.exporting import Format
from holdfast.domain.triage import Action
from holdfast.system import SystemClock
from tests.api.serving import UNLIMITED, served, token
from tests.services.duplicates import groups, keep
from tests.services.samples import opened

ROOT = "/api/v1/duplicates"


@pytest.fixture
def world(database: str, tmp_path: Path) -> Iterator[tuple[Holdfast, httpx.Client]]:
    settings: dict[str, Any] = UNLIMITED | {"authentication": "token", "target_roots": (tmp_path,), "processes": 1}
    with opened(database, SystemClock(), **settings) as hf:
        hf.registry.register(DuplicatesAnalyzer)
        with served(hf) as http:
            http.timeout = httpx.Timeout(60)
            yield hf, http


def run(hf: Holdfast, http: httpx.Client, place: str, headers: dict[str, str]) -> dict[str, Any]:
    """Let a worker do what waits, until a search has ended; how it went, as it is polled."""
    until = time.monotonic() + 120
    with hf.working():
        while time.monotonic() < until:
            progress: dict[str, Any] = http.get(place, headers=headers).json()
            if progress["status"] in {"completed", "failed", "cancelled", "timed_out"}:
                return progress
            time.sleep(0.1)
    raise AssertionError("it has not ended")


def test_from_the_search_to_the_file(world: tuple[Holdfast, httpx.Client], tmp_path: Path) -> None:
    hf, http = world
    library = tmp_path / "Library.xml"
    write_sample(library, tracks=300)
    alice, bob = token(hf, "alice"), token(hf, "bob")
    wanted = {"target": str(library), "min_confidence": 0.5}

    made = http.post(f"{ROOT}/analyze", json=wanted, headers=alice)
    assert made.status_code == 202, made.text
    analysis_id = made.json()["analysis_id"]
    # The same search runs: nobody needs it twice. Another owner's is another one.
    again = http.post(f"{ROOT}/analyze", json=wanted, headers=alice)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "ANALYSIS_ALREADY_RUNNING")
    assert again.json()["error"]["analysis_id"] == analysis_id
    assert http.post(f"{ROOT}/analyze", json=wanted, headers=bob).status_code == 202
    progress = run(hf, http, f"{ROOT}/progress/{analysis_id}", alice)
    assert (progress["status"], progress["percentage"], progress["total_steps"]) == ("completed", 100.0, 4)

    # The very same parameters are answered, others are not.
    kept = http.post(f"{ROOT}/analyze", json=wanted, headers=alice)
    assert (kept.status_code, kept.json()["analysis_id"], kept.json()["reused"]) == (200, analysis_id, True)
    shown = http.get(f"{ROOT}/analysis/{analysis_id}", headers=alice).json()
    assert shown["age"]["message"].startswith("Analysis from ")
    assert shown["resolution"]["total_groups"] == shown["metrics"]["total_groups_found"] > 10
    first = shown["groups"][0]
    assert first["tracks"][0]["track_id"] == first["canonical_track_id"]
    assert all(one["still_exists"] for one in first["tracks"])

    place = f"{ROOT}/analysis/{analysis_id}"
    more = http.get(f"{place}/filter", params={"cursor": shown["next_cursor"]}, headers=alice)
    assert more.json()["items"][0]["group_index"] == 20, more.text
    best = http.get(f"{place}/filter", params={"sort_by": "play_count", "limit": 5}, headers=alice).json()
    assert len(best["items"]) == 5

    planned = http.post(f"{place}/smart-delete", json={"strategy": "keep_canonical"}, headers=alice).json()
    assert planned["batch_id"] is None
    done = http.post(f"{place}/smart-delete", json={"strategy": "keep_canonical", "dry_run": False}, headers=alice)
    assert done.json()["impact"] == planned["impact"]
    impact = http.get(f"{place}/impact", headers=alice).json()
    assert impact["decided"]["tracks"] == planned["impact"]["tracks"] > 0
    status = http.get(f"{place}/resolution-status", headers=alice).json()
    assert status["by_action"]["deleted"]["groups"] == status["resolved_groups"] == planned["impact"]["groups"]
    suggested = http.get(f"{place}/suggest-new-analysis", headers=alice).json()
    assert (suggested["should_run"], suggested["reasons"], suggested["changed"]) == (True, ["groups_resolved"], 0)
    undone = http.post(f"{ROOT}/undo", json={"batch_id": done.json()["batch_id"]}, headers=alice)
    assert undone.json()["groups"] == planned["impact"]["groups"]
    assert http.get(f"{place}/impact", headers=alice).json()["decided"]["tracks"] == 0

    # The same library of another owner is another search: nothing of the one is in the other.
    mine = http.get(f"{ROOT}/analyses", headers=bob).json()["items"]
    assert [one["client_session_id"] for one in mine] == ["bob"]
    for path in ("", "/age-check", "/library-changes", "/filter", "/impact", "/export", "/resolution-status"):
        assert http.get(f"{place}{path}", headers=bob).status_code == 404

    # What was played since is no change; what was added is.
    changed = http.get(f"{place}/library-changes", headers=alice).json()
    assert (changed["total"], changed["suggest_refresh"]) == (0, False)
    write_sample(library, tracks=320)
    changed = http.get(f"{place}/library-changes", headers=alice).json()
    assert (changed["added"] > 0, changed["suggest_refresh"]) == (True, True)
    checked = http.get(f"{place}/age-check", headers=alice).json()["age"]
    assert checked["recommendation"]["reasons"] == ["items_changed"]

    refreshed = http.post(f"{ROOT}/quick-refresh", headers=alice)
    assert refreshed.json()["refreshed_from"] == analysis_id
    assert http.post(f"{place}/refresh", headers=alice).status_code == 409
    other = http.post(f"{place}/refresh", json={"params": {"min_confidence": 0.9}}, headers=alice)
    assert (other.status_code, other.json()["params"]["min_confidence"]) == (202, 0.9)
    cancelled = http.post(f"{ROOT}/analysis/{other.json()['analysis_id']}/cancel", headers=alice)
    assert cancelled.json()["status"] == "cancelled"
    assert http.get(place, headers=alice).json()["analysis"]["status"] == "completed"
    history = http.get(f"{ROOT}/parameters", headers=alice).json()["items"]
    assert history[0]["changed"] == {"min_confidence": [0.5, 0.9]}


def test_answers_are_as_described(world: tuple[Holdfast, httpx.Client]) -> None:
    hf, http = world
    alice = token(hf, "alice")
    analysis = keep(hf, groups(3))
    hf.duplicates.triage.resolve(analysis.analysis_id, ["g000001"], Action.DELETED)
    export = hf.duplicates.exports.request(analysis.analysis_id, Format.CSV)
    asked = 0
    for route in (*duplicates.router.routes, *triage.router.routes):
        if not isinstance(route, APIRoute) or not route.path.startswith(ROOT) or "GET" not in (route.methods or ()):
            continue
        place = route.path.replace("{analysis_id}", analysis.analysis_id).replace("{export_id}", export.export_id)
        answer = http.get(place, headers=alice)
        if place.endswith(("/library-changes", "/download")):
            # Nobody has read that library, and nobody has written that export.
            assert answer.status_code in {404, 409}
            continue
        assert answer.status_code == 200, f"{place}: {answer.text}"
        if route.response_model is not None:
            TypeAdapter(route.response_model).validate_python(answer.json())
            asked += 1
    assert asked >= 12


def test_exports_over_http(world: tuple[Holdfast, httpx.Client]) -> None:
    hf, http = world
    alice, bob, admin = token(hf, "alice"), token(hf, "bob"), token(hf, "root", Role.ADMIN)
    analysis = keep(hf, groups(30))
    streamed = http.get(f"{ROOT}/analysis/{analysis.analysis_id}/export", params={"format": "csv"}, headers=alice)
    assert streamed.headers["content-type"].startswith("text/csv")
    assert "attachment" in streamed.headers["content-disposition"]
    made = http.post(f"{ROOT}/exports", json={"analysis_id": analysis.analysis_id, "format": "csv"}, headers=alice)
    assert (made.status_code, made.json()["download"]) == (202, None)
    place = f"{ROOT}/exports/{made.json()['export_id']}"
    assert http.get(f"{place}/download", headers=alice).status_code == 409
    until = time.monotonic() + 60
    with hf.working():
        while (ready := http.get(place, headers=alice).json())["status"] == "pending" and time.monotonic() < until:
            time.sleep(0.05)
    assert (ready["status"], ready["size_bytes"]) == ("ready", len(streamed.content))
    assert http.get(ready["download"], headers=alice).content == streamed.content
    assert [one["export_id"] for one in http.get(f"{ROOT}/exports", headers=alice).json()["items"]] == [
        ready["export_id"]
    ]
    for method, path in (("GET", place), ("GET", f"{place}/download"), ("DELETE", place)):
        assert http.request(method, path, headers=bob).status_code == 404
        assert http.request(method, path).status_code == 401
    assert http.get(f"{ROOT}/exports", headers=bob).json()["items"] == []
    assert http.get(place, headers=admin).status_code == 200
    assert http.delete(place, headers=alice).status_code == 200
    assert http.get(place, headers=alice).status_code == 404
    trail = http.get(f"{ROOT}/audit-trail", headers=alice).json()["items"]
    assert [one["name"] for one in trail][:3] == [
        "duplicates.export_deleted",
        "duplicates.exported",
        "duplicates.exported",
    ]


def test_deciding_over_http(world: tuple[Holdfast, httpx.Client]) -> None:
    hf, http = world
    alice, bob = token(hf, "alice"), token(hf, "bob")
    place = f"{ROOT}/analysis/{keep(hf, groups(6)).analysis_id}"
    posts: list[tuple[str, dict[str, Any], int]] = [
        ("resolve", {"group_ids": ["g000000", "g000001"], "resolution_action": "kept_canonical"}, 2),
        ("delete", {"group_id": "g000002"}, 1),
        ("delete", {"group_id": "g000002", "track_ids": ["2a"]}, 1),
        ("bulk-delete", {"groups": [{"group_id": f"g00000{one}", "track_ids": [f"{one}b"]} for one in (3, 4)]}, 2),
    ]
    for path, body, count in posts:
        assert http.post(f"{place}/{path}", json=body, headers=bob).status_code == 404
        done = http.post(f"{place}/{path}", json=body, headers=alice)
        assert (done.status_code, done.json()["impact"]["groups"]) == (200, count), done.text
        assert http.post(f"{ROOT}/undo", json={"batch_id": done.json()["batch_id"]}, headers=bob).status_code == 404
    shown = http.get(f"{place}/filter", params={"resolved": True}, headers=alice).json()["items"]
    assert [one["group_index"] for one in shown] == [0, 1, 2, 3, 4]
    assert shown[2]["resolution"]["goes"] == ["2a"]
    gone = {track["track_id"]: track["deleted_at"] for track in shown[2]["tracks"] if not track["still_exists"]}
    assert gone == {"2a": shown[2]["resolved_at"]}
    assert {track["deleted_at"] for track in shown[0]["tracks"]} == {None}
    for body in (
        {"group_ids": [], "resolution_action": "deleted"},
        {"group_ids": ["g000000"], "resolution_action": "burnt"},
        {"group_ids": ["nothing"], "resolution_action": "deleted"},
    ):
        assert http.post(f"{place}/resolve", json=body, headers=alice).status_code in {404, 422}
    assert http.put(f"{ROOT}/preferences", json={"change_count": 3}, headers=alice).json()["change_count"] == 3
    assert http.get(f"{ROOT}/preferences", headers=bob).json()["change_count"] == 50
    assert http.put(f"{ROOT}/preferences", json={}, headers=alice).status_code == 422
    cleaned = http.post(f"{ROOT}/cleanup", headers=alice).json()
    assert (cleaned["deleted"], cleaned["kept"]) == (0, 1)
    assert len(http.get(f"{ROOT}/cleanup/history", headers=alice).json()["items"]) == 1
    assert "alice" not in json.dumps(http.get(f"{ROOT}/audit-trail", headers=bob).json())
