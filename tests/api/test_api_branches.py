"""How branches stand, what they have differently, and answers that need not be sent twice."""

from typing import Any

import httpx

from holdfast.bootstrap import Holdfast
from holdfast.domain.access import Role
from holdfast.domain.branch_analyses import BranchAnalysisResult
from holdfast.domain.repositories import BranchInfo
from holdfast.domain.sync import Strategy
from holdfast.testing import FakeClock
from tests.api.serving import local, served, token
from tests.services.samples import opened

REPOSITORY = "/api/v1/repositories/r"
BOTH = {"branch": "feature/a.b/ß", "against": "main"}


def analyzed(hf: Holdfast, branch: str, sha: str, titles: str, score: float) -> str:
    issues = [{"title": title, "severity": "high", "path": f"{title}.py", "line": 1} for title in titles]
    found = BranchAnalysisResult(
        branch_name=branch, commit_sha=sha, issues=issues, metrics={"overall_score": score}, ai_summary=sha
    )
    return hf.history.store_analysis("r", found).analysis_id


def compared(http: httpx.Client, **params: Any) -> httpx.Response:
    return http.get(f"{REPOSITORY}/comparison", params=BOTH | params)


def test_two_branches_side_by_side(database: str) -> None:
    clock = FakeClock()
    with local(database, clock) as (hf, http):
        hf.repositories.store_repository("r")
        hf.repositories.store_branches("r", [BranchInfo(name="bare", commit_sha="c")])
        earlier = analyzed(hf, "main", "c1", "abc", 70)
        clock.advance(60)
        later = analyzed(hf, BOTH["branch"], "c2", "bcdef", 75.5)
        answer = compared(http).json()
        assert (answer["repo_id"], answer["branch"], answer["against_branch"]) == ("r", BOTH["branch"], "main")
        assert (answer["analysis_id"], answer["against"]) == (later, earlier)
        assert answer["findings"] == {"added": 3, "fixed": 1, "unchanged": 2}
        assert {"name": "overall_score", "before": 70, "after": 75.5, "difference": 5.5} in answer["metrics"]
        shown = [(one["change"], one["finding"]["title"]) for one in answer["items"]]
        assert shown == [("added", "d"), ("added", "e"), ("added", "f"), ("fixed", "a")]
        back = compared(http, branch="main", against=BOTH["branch"], change="fixed").json()
        assert [one["finding"]["title"] for one in back["items"]] == ["d", "e", "f"]
        first = compared(http, limit=3).json()
        # What is analysed meanwhile changes nothing for who reads on.
        clock.advance(60)
        analyzed(hf, BOTH["branch"], "c3", "", 100)
        rest = compared(http, limit=3, cursor=first["next_cursor"]).json()
        assert (first["items"] + rest["items"], rest["next_cursor"]) == (answer["items"], None)
        assert rest["analysis_id"] == later
        assert compared(http).json()["findings"] == {"added": 0, "fixed": 3, "unchanged": 0}
        assert compared(http, change="added", cursor=first["next_cursor"]).status_code == 400
        missing = compared(http, branch="bare")
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "NOTHING_TO_COMPARE")
        assert compared(http, against="none").json()["error"]["code"] == "BRANCH_UNKNOWN"
        assert http.get("/api/v1/repositories/none/comparison", params=BOTH).status_code == 404
        assert http.get(f"{REPOSITORY}/comparison", params={"branch": "main"}).status_code == 422


def test_what_is_known_is_not_sent_again(database: str) -> None:
    clock = FakeClock()
    with local(database, clock) as (hf, http):

        def again(place: str, first: httpx.Response, **params: Any) -> int:
            return http.get(place, params=params, headers={"if-none-match": first.headers["etag"]}).status_code

        hf.repositories.store_repository("r", location="/src/r")
        made = http.put(f"{REPOSITORY}/branches/x/y", json={"commit_sha": "c1"})
        place = f"{REPOSITORY}/branches/x/y"
        branch = http.get(place)
        assert made.headers["etag"] == branch.headers["etag"]
        assert again(place, branch) == 304
        assert http.get(place, headers={"if-none-match": '"1.0"'}).status_code == 200
        repository = http.get(REPOSITORY)
        assert again(REPOSITORY, repository) == 304
        one, many = "/api/v1/refresh/staleness/r/x/y", f"{REPOSITORY}/staleness"
        state, states = http.get(one), http.get(many, params={"branch_name": "x/y"})
        clock.advance(1)
        assert (again(one, state), again(many, states, branch_name="x/y")) == (304, 304)
        # None of these is a new version of what writers say of the branch.
        hf.refresh.mark_for_refresh("r", "x/y")
        assert (again(place, branch), again(one, state), again(many, states, branch_name="x/y")) == (200, 200, 200)
        assert http.get(place).json()["version"] == 1
        stored = http.put(place, json={"commit_sha": "c2"}, headers={"if-match": branch.headers["etag"]})
        assert stored.json() == http.get(place).json() | {"outcome": "applied", "conflict_id": None}
        torn = hf.sync.sync_branch_metadata("r", BranchInfo(name="x/y", commit_sha="c3"), strategy=Strategy.MANUAL)
        assert torn.conflict is not None
        place = f"/api/v1/conflicts/{torn.conflict.conflict_id}"
        conflict = http.get(place)
        assert again(place, conflict) == 304
        assert http.post(f"{place}/resolve", json={"resolution": "local"}, headers={"if-match": "*"}).status_code == 200
        assert again(place, conflict) == 200


def test_whoever_says_of_a_branch_is_told_what_became_of_it(database: str) -> None:
    place = f"{REPOSITORY}/branches/main"
    with local(database, FakeClock()) as (hf, http):
        hf.repositories.store_repository("r")
        http.put(place, json={"commit_sha": "c1", "declared_at": "2030-01-02T00:00:00Z"})
        told = []
        for sha, day in (("c2", 3), ("c2", 3), ("c0", 1)):
            known = http.get(place).headers["etag"]
            said = {"commit_sha": sha, "declared_at": f"2030-01-{day:02}T00:00:00Z"}
            answer = http.put(place, json=said, headers={"if-match": known})
            assert answer.status_code == 200
            assert answer.headers["etag"] == http.get(place).headers["etag"]
            told.append((answer.json()["outcome"], answer.json()["commit_sha"], answer.json()["version"]))
        assert told == [("applied", "c2", 2), ("unchanged", "c2", 2), ("outdated", "c2", 2)]


def test_a_write_against_another_strategy_names_the_conflict(database: str) -> None:
    place = f"{REPOSITORY}/branches/main"
    with local(database, FakeClock(), sync_strategy=Strategy.MANUAL) as (hf, http):
        hf.repositories.store_repository("r")
        http.put(place, json={"commit_sha": "c1"})
        answer = http.put(place, json={"commit_sha": "c2"}, headers={"if-match": "*"}).json()
        (conflict,) = hf.sync.get_conflicts().items
        assert (answer["outcome"], answer["conflict_id"]) == ("conflict", conflict.conflict_id)
        assert answer["commit_sha"] == "c1"


def test_states_of_several_branches(database: str) -> None:
    with local(database, FakeClock()) as (hf, http):
        hf.repositories.store_repository("r")
        hf.repositories.store_branches("r", [BranchInfo(name=f"b/{number}", commit_sha="c") for number in range(5)])
        analyzed(hf, "b/3", "old", "", 1)
        place = f"{REPOSITORY}/staleness"
        asked = http.get(place, params={"branch_name": ["b/3", "none", "b/0"]}).json()["items"]
        assert [(one["branch_name"], one["exists"], one["reasons"]) for one in asked] == [
            ("b/3", True, ["revision_moved"]),
            ("none", False, ["never_analyzed"]),
            ("b/0", False, ["never_analyzed"]),
        ]
        first = http.get(place, params={"limit": 3}).json()
        rest = http.get(place, params={"limit": 3, "cursor": first["next_cursor"]}).json()
        assert [one["branch_name"] for one in first["items"] + rest["items"]] == [f"b/{number}" for number in range(5)]
        assert rest["next_cursor"] is None
        assert http.get(place, params={"branch_name": ["x"] * 101}).status_code == 422
        assert http.get("/api/v1/repositories/none/staleness").status_code == 404


def test_nobody_compares_anothers_branches(database: str) -> None:
    with opened(database, authentication="token") as hf, served(hf) as http:
        mine, other = (token(hf, name, Role.WRITER) for name in ("ann", "bob"))
        for headers, sha in ((mine, "c1"), (other, "c2")):
            assert http.put(REPOSITORY, json={}, headers=headers).status_code == 200
            for branch in BOTH.values():
                new = {"branch_name": branch, "commit_sha": sha, "issues": [{"title": sha}]}
                assert http.post(f"{REPOSITORY}/analyses", json=new, headers=headers).status_code == 200
        for headers, sha in ((mine, "c1"), (other, "c2")):
            answer = http.get(f"{REPOSITORY}/comparison", params=BOTH | {"change": "unchanged"}, headers=headers)
            assert [one["finding"]["title"] for one in answer.json()["items"]] == [sha]
        assert http.put("/api/v1/repositories/secret", json={}, headers=mine).status_code == 200
        for name in ("secret", "nowhere"):
            answer = http.get(f"/api/v1/repositories/{name}/comparison", params=BOTH, headers=other)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "REPOSITORY_NOT_FOUND")
