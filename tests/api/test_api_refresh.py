"""What is stale over HTTP, comparisons, and pushes that code hosts tell of."""

import hmac
import json
from typing import Any

import httpx
import pytest

from holdfast.bootstrap import Holdfast
from holdfast.domain.access import Role
from holdfast.domain.repositories import BranchInfo
from holdfast.testing import FakeClock
from tests.api.serving import LINT, local, served, store, token
from tests.services.samples import opened
from tests.services.test_refresh import Code, analyze

SECRET = "a-secret-of-some-length"
PUSH: dict[str, Any] = {
    "ref": "refs/heads/feature/a",
    "after": "c" * 40,
    "repository": {"full_name": "team/repo", "name": "repo"},
    "commits": [
        {"added": ["new.py"], "modified": ["a.py"], "removed": []},
        {"added": [], "modified": ["new.py"], "removed": ["old.py"]},
    ],
}


def add(hf: Holdfast, *names: str, repo_id: str = "repo") -> None:
    hf.repositories.store_repository(repo_id, name=repo_id, location=f"/src/{repo_id}")
    hf.repositories.store_branches(repo_id, [BranchInfo(name=name, commit_sha="c1") for name in names])


def push(http: httpx.Client, body: Any = PUSH, secret: str = SECRET, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    signature = "sha256=" + hmac.digest(secret.encode(), content, "sha256").hex()
    return http.post("/api/v1/webhooks/push", content=content, headers={"x-hub-signature-256": signature} | headers)


def test_a_branch_from_stale_to_refreshed(database: str) -> None:
    clock = FakeClock()
    with local(database, clock) as (hf, http):
        hf.registry.register(Code)
        add(hf, "main", "feature/a/b")
        analyze(hf, "feature/a/b")
        place = "repo/feature/a/b"
        info = http.get(f"/api/v1/refresh/staleness/{place}").json()
        assert (info["exists"], info["is_stale"], info["level"], info["reason"]) == (True, False, "fresh", None)
        assert info["stale_at"] == "2030-01-02T00:00:00.000Z"
        assert info["checked_at"] == "2030-01-01T00:00:00.000Z"
        clock.advance(25 * 3600)
        info = http.get(f"/api/v1/refresh/staleness/{place}").json()
        assert (info["is_stale"], info["reasons"], info["age_hours"], info["threshold_hours"]) == (
            True,
            ["age"],
            25,
            24,
        )
        assert info["recommendation"]["message"] == "Analysis from 1 day ago"
        page = http.get("/api/v1/refresh/stale-branches/repo", params={"limit": 1}).json()
        assert [one["branch_name"] for one in page["stale_branches"]] == ["feature/a/b"]
        after = {"limit": 1, "cursor": page["next_cursor"]}
        page = http.get("/api/v1/refresh/stale-branches/repo", params=after).json()
        assert [one["branch_name"] for one in page["stale_branches"]] == ["main"]
        assert page["next_cursor"] is None
        assert http.post(f"/api/v1/refresh/mark/{place}").json()["success"]
        marked = http.get(f"/api/v1/refresh/staleness/{place}").json()
        assert marked["reasons"] == ["marked", "age"]
        made = http.post(f"/api/v1/refresh/schedule/{place}")
        assert made.status_code == 202
        assert (made.json()["delay_minutes"], made.json()["branch_name"]) == (60, "feature/a/b")
        task_id = made.json()["task_id"]
        (task,) = http.get("/api/v1/refresh/scheduled-tasks").json()["tasks"]
        assert (task["task_id"], task["status"]) == (task_id, "scheduled")
        assert http.get("/api/v1/refresh/scheduled-tasks", params={"status": "failed"}).json()["tasks"] == []
        gone = http.delete(f"/api/v1/refresh/scheduled-tasks/{task_id}")
        assert (gone.status_code, gone.json()["status"]) == (200, "cancelled")
        assert http.delete(f"/api/v1/refresh/scheduled-tasks/{task_id}").status_code == 409
        assert http.delete("/api/v1/refresh/scheduled-tasks/none").status_code == 404
        assert http.post("/api/v1/refresh/schedule/repo/none").status_code == 404
        assert http.get("/api/v1/refresh/stale-branches/none").status_code == 404
        for wrong in ("-1", "nan", "inf", "x", "1e9"):
            assert http.post(f"/api/v1/refresh/schedule/{place}", params={"delay_minutes": wrong}).status_code == 422


def test_refreshing_by_itself_is_switched(database: str) -> None:
    with local(database) as (_, http):
        first = http.get("/api/v1/auto-refresh/status").json()
        assert (first["auto_refresh_enabled"], first["check_interval_minutes"]) == (False, 30)
        assert http.post("/api/v1/auto-refresh/enable").json()["auto_refresh_enabled"]
    with local(database) as (_, http):
        assert http.get("/api/v1/auto-refresh/status").json()["auto_refresh_enabled"]
        assert not http.post("/api/v1/auto-refresh/disable").json()["auto_refresh_enabled"]


def test_only_administrators_switch_it(database: str) -> None:
    with opened(database, authentication="token") as hf, served(hf) as http:
        for role, status in ((Role.WRITER, 403), (Role.ADMIN, 200)):
            headers = token(hf, role.value, role)
            assert http.post("/api/v1/auto-refresh/enable", headers=headers).status_code == status


def test_each_analysis_says_how_old_it_is(database: str) -> None:
    clock = FakeClock()
    with local(database, clock) as (_, http):
        place = f"/api/v1/analyses/{store(http)['analysis_id']}"
        first = http.get(place)
        assert (first.json()["freshness_level"], first.json()["stale_at"]) == ("fresh", "2030-01-02T00:00:00.000Z")
        known = {"if-none-match": first.headers["etag"]}
        assert http.get(place, headers=known).status_code == 304
        clock.advance(2 * 3600)
        # That it is older is something new to who has it.
        again = http.get(place, headers=known)
        assert (again.status_code, again.json()["freshness_level"]) == (200, "moderate")
        (listed,) = http.get("/api/v1/analyses").json()["items"]
        assert listed["freshness_level"] == "moderate"
        failed = store(http, result=None, status="failed", error={"code": "WHY", "message": "why"}, findings=[])
        assert (failed["freshness_level"], failed["stale_at"]) == (None, None)


def test_two_analyses_side_by_side(database: str) -> None:
    clock = FakeClock()
    with local(database, clock) as (_, http):
        finding = LINT["findings"][0]
        first = store(http)["analysis_id"]
        place = f"/api/v1/analyses/{first}/changes"
        assert http.get(place).json()["error"]["code"] == "NOTHING_TO_COMPARE"
        clock.advance(60)
        found = [finding | {"title": f"Other {number}"} for number in range(3)]
        second = store(http, findings=found, metrics={"warnings": 3})["analysis_id"]
        place = f"/api/v1/analyses/{second}/changes"
        compared = http.get(place).json()
        assert compared["against"] == first
        assert compared["findings"] == {"added": 3, "fixed": 1, "unchanged": 0}
        assert compared["metrics"] == [{"name": "warnings", "before": 2, "after": 3, "difference": 1}]
        assert compared["chain"] == [second]
        seen = []
        params: dict[str, Any] = {"limit": 2}
        while True:
            page = http.get(place, params=params).json()
            seen += [(one["change"], one["finding"]["title"]) for one in page["items"]]
            if page["next_cursor"] is None:
                break
            params["cursor"] = page["next_cursor"]
        assert seen == [*(("added", f"Other {number}") for number in range(3)), ("fixed", "Unused import")]
        assert http.get(place, params={"against": first, "cursor": "x"}).status_code == 400
        assert http.get(place, params={"against": "01900000-0000-7000-8000-000000000000"}).status_code == 404
        fixed = http.get(place, params={"change": "fixed"}).json()["items"]
        assert [one["change"] for one in fixed] == ["fixed"]


def test_a_push_is_heard_if_it_is_signed(database: str) -> None:
    with local(database, webhook_secret=SECRET) as (hf, http):
        add(hf, "feature/a")
        add(hf, "feature/a", repo_id="team-repo")
        analyze(hf, "feature/a")
        assert push(http).status_code == 202
        info = http.get("/api/v1/refresh/staleness/repo/feature/a").json()
        assert (info["reasons"], info["commit_sha"]) == (["revision_moved"], "c" * 40)
        changes = info["changes"]
        assert (changes["added_names"], changes["modified_names"], changes["deleted_names"]) == (
            ["new.py"],
            ["a.py"],
            ["old.py"],
        )
        assert http.get("/api/v1/refresh/staleness/team-repo/feature/a").json()["commit_sha"] == "c" * 40
        told = [entry for entry in hf.queries.audit() if entry.event.name == "branch.became_stale"]
        assert [entry.event.data["reason"] for entry in told] == ["revision_moved"]
        # Told again, it is no news.
        assert push(http).status_code == 202
        assert len([entry for entry in hf.queries.audit() if entry.event.name == "branch.became_stale"]) == 1


def test_nobody_else_is_heard_and_nobody_learns_anything(database: str) -> None:
    with local(database, webhook_secret=SECRET) as (hf, http):
        add(hf, "feature/a")
        unknown = PUSH | {"repository": {"full_name": "nobody/knows"}}
        answers = [push(http), push(http, unknown), push(http, PUSH | {"ref": "refs/tags/v1"}), push(http, {})]
        assert {(answer.status_code, answer.text) for answer in answers} == {(202, '{"success":true}')}
        content = json.dumps(PUSH).encode()
        good = hmac.digest(SECRET.encode(), content, "sha256").hex()
        for signature in (good, f"sha1={good}", f"sha256={good[:-1]}", f"sha256={good.upper()}x", "sha256=", "é"):
            headers = {"x-hub-signature-256": signature.encode()}
            answer = http.post("/api/v1/webhooks/push", content=content, headers=headers)  # type: ignore[arg-type]
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "NOT_SIGNED")
        assert push(http, secret="another-secret-of-that-length").status_code == 401
        assert http.post("/api/v1/webhooks/push", content=content).status_code == 401
        for wrong in (
            b"{",
            b"[]",
            b'{"ref": 1}',
            b"\xff",
            b'{"ref": "refs/heads/\\u0000", "after": "a", "repository": {"name": "repo"}}',
        ):
            assert push(http, wrong).status_code == 400
    with local(database) as (_, http):
        # Without a secret none is heard, whatever it is signed with.
        assert push(http, secret="").status_code == 401


@pytest.mark.parametrize("size", [26 * 1024 * 1024])
def test_a_push_that_is_too_large_is_refused(database: str, size: int) -> None:
    with local(database, webhook_secret=SECRET) as (_, http):
        assert push(http, b" " * size).status_code == 413
