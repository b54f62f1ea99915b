"""Every route, asked by everybody: nobody learns what is another's, nor that it is there."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from holdfast.analyzers.duplicates import DuplicatesAnalyzer
from holdfast.api.app import create_app
from holdfast.bootstrap import Holdfast
from holdfast.domain.access import Caller, Role
from holdfast.domain.branch_analyses import BranchAnalysisResult
from holdfast.domain.context import Context
from holdfast.domain.repositories import BranchInfo
from holdfast.domain.subjects import Subject
from holdfast.domain.sync import Strategy
from holdfast.services.results import NewResult
from holdfast.store import tables
from holdfast.testing import FakeClock
from tests.api.serving import LINT, UNLIMITED, bearer, served, token, without_names
from tests.services.duplicates import group, keep, track
from tests.services.samples import opened

SECRET = "what-nobody-else-may-read"
UNKNOWN = "01900000-0000-7000-8000-000000000000"
# Its document says so: a stranger is told that it is another's.
TOLD = {
    ("GET", "/api/v1/persistence/analyses/{client_id}"),
    ("DELETE", "/api/v1/persistence/analysis/{analysis_id}"),
    ("GET", "/api/v1/persistence/analyses/{analysis_id}/availability"),
}
OPEN = {"/health", "/ready"}
# Their documents say so: a retrieval is counted, an export noted in the audit trail.
COUNTED = {"/api/v1/persistence/analyses/{client_id}", "/api/v1/duplicates/analysis/{analysis_id}/export"}
# What the library held is not kept with a result that was made elsewhere.
UNKEPT = {"/api/v1/duplicates/analysis/{analysis_id}/library-changes"}
# Signed, instead of by a token; and what a client of another name than the token's asks for.
ONLY_SO = {"/api/v1/webhooks/push"}
BODIES: dict[str, Any] = {
    "/api/v1/analyses": {"kind": "lint", "result": 1},
    "/api/v1/tasks": {"task_description": "t"},
    "/api/v1/interactions": {"model": "m", "request": {}},
    "/api/v1/tokens": {"name": "n"},
    "/api/v1/duplicates/analyze": {"target": str(Path(__file__).parent)},
    "/api/v1/duplicates/exports": {"analysis_id": UNKNOWN},
    "/api/v1/duplicates/preferences": {"show_age_warnings": False},
    "/api/v1/duplicates/undo": {"batch_id": UNKNOWN},
    "/api/v1/duplicates/analysis/{analysis_id}/resolve": {"group_ids": ["g"], "resolution_action": "deleted"},
    "/api/v1/duplicates/analysis/{analysis_id}/delete": {"group_id": "g"},
    "/api/v1/duplicates/analysis/{analysis_id}/bulk-delete": {"groups": [{"group_id": "g", "track_ids": ["t"]}]},
    "/api/v1/duplicates/analysis/{analysis_id}/smart-delete": {"strategy": "keep_canonical"},
    "/api/v1/repositories/{repo_id}/branches": {"branches": [{"name": "feature/x", "commit_sha": "c"}]},
    "/api/v1/repositories/{repo_id}/analyses": {"branch_name": "feature/x", "commit_sha": "c"},
    "/api/v1/repositories/{repo_id}/metrics": {"branch_name": "feature/x", "points": []},
    "/api/v1/conflicts/{conflict_id}/resolve": {"resolution": "local"},
}
UNKNOWN_REPO = "nowhere"
UNKNOWN_TOKEN = "0" * 16
UNKNOWN_THREAD = "no-thread"
NAMED = ("analysis_id}", "client_id}", "repo_id}", "conflict_id}", "task_id}", "token_id}", "thread_id}", "/graph/")


def _keep_repository(hf: Holdfast) -> tuple[str, str]:
    """A repository of the owner's with a branch, an analysis of it and a conflict; every text in them is secret."""
    alice = Caller(name="alice", owner="alice")
    facts: dict[str, Any] = {SECRET: SECRET}
    hf.repositories.store_repository("theirs", name=SECRET, owner=SECRET, metadata=facts, caller=alice)
    said = BranchInfo(name="feature/x", commit_sha="c1", metadata=facts)
    hf.sync.sync_branch_metadata("theirs", said, caller=alice)
    torn = hf.sync.sync_branch_metadata(
        "theirs", replace(said, commit_sha=SECRET), strategy=Strategy.MANUAL, caller=alice
    )
    found = BranchAnalysisResult(branch_name="feature/x", commit_sha="c1", ai_summary=SECRET)
    hf.history.store_analysis("theirs", found, caller=alice)
    assert torn.conflict is not None
    return "theirs", torn.conflict.conflict_id


class World:
    """A service with tokens, one owner's analyses, and everybody who may ask for them."""

    def __init__(self, hf: Holdfast, http: httpx.Client, clock: FakeClock) -> None:
        self.hf = hf
        self.http = http
        self.thread_id = "their-thread"
        subject = Subject(kind="file", key=SECRET)
        context = Context(client_session_id="alice", client_ip="10.1.1.1", thread_id=self.thread_id)
        new = NewResult(
            kind="lint",
            result={"s": SECRET},
            summary=SECRET,
            tags=[SECRET],
            metrics={SECRET: 1},
            context=context,
            subject=subject,
        )
        # Two, to be compared.
        hf.results.store([new])
        clock.advance(1)
        (kept,) = hf.results.store([new])
        self.analysis_id = kept.analysis_id
        self.repo_id, self.conflict_id = _keep_repository(hf)
        doubles = group(SECRET, track("1", song_name=SECRET, location=SECRET), track("2"))
        self.search_id = keep(hf, [doubles], subject=subject).analysis_id
        alice = Caller(name="alice", owner="alice")
        self.task_id = hf.refresh.schedule_refresh(self.repo_id, "feature/x", caller=alice).task_id
        expired = token(hf, "alice", expires_in_seconds=1)
        gone = hf.accounts.create_token("alice")
        hf.accounts.revoke_token(gone.token.token_id)
        clock.advance(2)
        # What searches and relations find is there to be found.
        while hf.process_pending_analyses(limit=100):
            pass
        made = hf.accounts.create_token("alice")
        self.owner, self.token_id = bearer(made.secret), made.token.token_id
        client = hf.accounts.create_client("10.1.1.1")
        self.askers = {
            "other": token(hf, "bob"),
            "reader": token(hf, "carol", Role.READER),
            "anonymous": {"x-client-session-id": client},
            "expired": expired,
            "revoked": bearer(gone.secret),
            "nobody": {},
            "malformed": bearer("x"),
            "other at the owner's address": token(hf, "dave") | {"x-forwarded-for": "10.1.1.1"},
            "nobody at the owner's address": {"x-forwarded-for": "10.1.1.1, 127.0.0.1"},
            "forged": {"x-client-session-id": "alice", "x-forwarded-for": "127.0.0.1"},
        }

    def names(self) -> tuple[str, ...]:
        return (
            self.analysis_id,
            self.search_id,
            self.repo_id,
            self.conflict_id,
            self.task_id,
            self.token_id,
            self.thread_id,
        )

    def filled(self, path: str, analysis_id: str) -> str:
        """The path with the owner's names in it, or with such that nobody has."""
        is_real = analysis_id == self.analysis_id
        if is_real and "/duplicates/" in path:
            analysis_id = self.search_id
        filled = path.replace("{client_id}", analysis_id).replace("{analysis_id}", analysis_id)
        filled = filled.replace("{repo_id}", self.repo_id if is_real else UNKNOWN_REPO)
        filled = filled.replace("{conflict_id}", self.conflict_id if is_real else UNKNOWN)
        filled = filled.replace("{branch_name}", "feature/x").replace("{conflict_index}", "0")
        filled = filled.replace("{export_id}", "x" * 32)
        filled = filled.replace("{job_id}", "1").replace("{token_id}", self.token_id if is_real else UNKNOWN_TOKEN)
        filled = filled.replace("{thread_id}", self.thread_id if is_real else UNKNOWN_THREAD)
        return filled.replace("{task_id}", self.task_id if is_real else UNKNOWN)

    def ask(self, method: str, path: str, analysis_id: str, headers: dict[str, str]) -> httpx.Response:
        filled = self.filled(path, analysis_id)
        params: dict[str, Any] = {"client_session_id": "alice"} if "/persistence/anal" in path else {}
        if path.endswith("/searches"):
            params |= {"facet": ["kind", "status", "tag", "owner"]}
        if "/graph/" in path:
            params |= {"entity": analysis_id, "start": analysis_id, "end": analysis_id}
        if path.endswith("/metrics"):
            params |= {"branch_name": "feature/x", "name": "score"}
        if path.endswith(("/staleness", "/comparison")):
            params |= {"branch_name": "feature/x", "branch": "feature/x", "against": "feature/x"}
        body = BODIES.get(path, {}) if method in {"POST", "PUT"} else None
        # Of whatever version it is: nothing else may be in the way of a change than whose it is.
        some = {} if method == "GET" else {"if-match": "*"}
        return self.http.request(method, filled, params=params, headers=headers | some, json=body)


def routes(hf: Holdfast) -> list[tuple[str, str]]:
    paths = create_app(hf).openapi()["paths"]
    found = [(method.upper(), path) for path, operations in paths.items() for method in operations]
    # What streams has no end to wait for, and tests of its own.
    return sorted((method, path) for method, path in found if not path.endswith("/events"))


@pytest.fixture
def world(database: str) -> Iterator[tuple[World, list[tuple[str, str]]]]:
    clock = FakeClock()
    settings: dict[str, Any] = UNLIMITED | {"anonymous_clients": True, "authentication": "token"}
    settings |= {"processors": ("fulltext", "graph", "vector"), "target_roots": (Path("/"),)}
    with opened(database, clock, **settings) as hf, served(hf) as http:
        hf.registry.register(DuplicatesAnalyzer)
        yield World(hf, http, clock), routes(hf)


def test_nobody_learns_of_what_is_anothers(world: tuple[World, list[tuple[str, str]]]) -> None:
    there, all_routes = world
    assert len(all_routes) > 30
    for method, path in all_routes:
        for name, headers in there.askers.items():
            real = there.ask(method, path, there.analysis_id, headers)
            what = f"{method} {path} by {name}: {real.status_code} {real.text[:300]}"
            assert real.status_code < 500, what
            assert SECRET not in real.text, what
            assert path == "/openapi.json" or "alice" not in real.text.replace("client_session_id", ""), what
            if not any(name in path for name in NAMED):
                continue
            unknown = there.ask(method, path, UNKNOWN, headers)
            if (method, path) in TOLD and real.status_code in {200, 403}:
                continue
            same = (
                without_names(real, *there.names()),
                without_names(unknown, UNKNOWN, UNKNOWN_REPO, UNKNOWN_TOKEN, UNKNOWN_THREAD),
            )
            assert same[0] == same[1], what
    # After all that it is as it was.
    place = f"/api/v1/analyses/{there.analysis_id}"
    kept = there.http.get(place, headers=there.owner).json()
    tasks = there.http.get("/api/v1/refresh/scheduled-tasks", headers=there.owner).json()["tasks"]
    assert [(task["task_id"], task["status"]) for task in tasks] == [(there.task_id, "scheduled")]
    assert (kept["status"], kept["is_pinned"], kept["deleted_at"], kept["retrieval_count"]) == (
        "completed",
        False,
        None,
        0,
    )
    assert there.http.get(f"{place}/result", headers=there.owner).json() == {"s": SECRET}
    branch = there.http.get(f"/api/v1/repositories/{there.repo_id}/branches/feature/x", headers=there.owner).json()
    assert (branch["version"], branch["commit_sha"], branch["metadata"]) == (1, "c1", {SECRET: SECRET})
    conflict = there.http.get(f"/api/v1/conflicts/{there.conflict_id}", headers=there.owner).json()
    assert (conflict["remote"]["commit_sha"], conflict["resolved_at"]) == (SECRET, None)


def test_what_strangers_ask_for_is_there(world: tuple[World, list[tuple[str, str]]]) -> None:
    """The same requests of the owner: none is refused for its form, so a stranger's is not either."""
    there, all_routes = world
    # What takes things away comes last.
    for method, path in sorted(all_routes, key=lambda route: route[0] == "DELETE"):
        answer = there.ask(method, path, there.analysis_id, there.owner)
        what = f"{method} {path}: {answer.status_code} {answer.text[:300]}"
        assert "{" not in str(answer.request.url.path), what
        if path in ONLY_SO:
            continue
        assert answer.status_code < 500, what
        assert answer.status_code not in {400, 401, 405, 412, 415, 422, 428}, what
        if path in UNKEPT:
            assert answer.json()["error"]["code"] == "MANIFEST_NOT_FOUND", what
        elif method == "GET" and any(name in path for name in NAMED):
            assert answer.status_code in {200, 410}, what


def test_who_is_not_known_is_asked_who_they_are(world: tuple[World, list[tuple[str, str]]]) -> None:
    there, all_routes = world
    for method, path in all_routes:
        for name in ("expired", "revoked", "nobody", "malformed", "nobody at the owner's address", "forged"):
            answer = there.ask(method, path, there.analysis_id, there.askers[name])
            if path in OPEN or path == "/api/v1/clients":
                assert answer.status_code in {200, 201}
                continue
            assert answer.status_code == 401, f"{method} {path} by {name}: {answer.text}"
            assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_stranger_is_told_nothing_of_a_body(world: tuple[World, list[tuple[str, str]]]) -> None:
    there, _ = world
    found = [
        (method.upper(), path)
        for path, operations in create_app(there.hf).openapi()["paths"].items()
        for method, operation in operations.items()
        if "requestBody" in operation
    ]
    assert len(found) > 20
    contents = (b'{"kind":', b"\xff\xfe", b"[" * 20_000, b'"text"', b'{"unknown": {}}')
    for method, path in found:
        address = there.filled(path, there.analysis_id)
        for name, media, content in itertools.product(
            ("nobody", "expired", "malformed"), ("application/json", "text/plain"), contents
        ):
            headers = there.askers[name] | {"content-type": media, "idempotency-key": "x" * 300}
            answer = there.http.request(method, address, headers=headers, content=content)
            what = f"{method} {path} by {name}, {media} {content[:20]!r}: {answer.status_code} {answer.text}"
            assert answer.status_code == 401, what


def test_readers_change_nothing(world: tuple[World, list[tuple[str, str]]]) -> None:
    there, all_routes = world
    for method, path in all_routes:
        # A push is signed: it is nobody's request.
        if method != "GET" and path not in {"/api/v1/clients", "/api/v1/webhooks/push"}:
            answer = there.ask(method, path, there.analysis_id, there.askers["reader"])
            assert answer.status_code == 403, f"{method} {path}: {answer.status_code} {answer.text}"


def test_looking_writes_nothing(world: tuple[World, list[tuple[str, str]]]) -> None:
    there, all_routes = world
    asked = [(method, path) for method, path in all_routes if method == "GET" and path not in COUNTED]
    # That somebody was there is noted once a minute.
    there.ask("GET", "/api/v1/analyses", there.analysis_id, there.owner)
    before = everything(there.hf)
    for method, path in asked:
        there.ask(method, path, there.analysis_id, there.owner)
    assert len(asked) > 30
    assert everything(there.hf) == before


def everything(hf: Holdfast) -> dict[str, list[Any]]:
    """What every table holds, but for when tokens were used."""
    with hf.engine.read() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(sa.select(table))))
            for table in tables.metadata.sorted_tables
            if table.name != "tokens"
        }


@pytest.mark.parametrize("body", [{"result": 1}, {"result": {"s": SECRET}}, {"kind": "sample", "target": "a"}])
def test_of_what_has_an_id_a_stranger_learns_that_it_is_taken(
    world: tuple[World, list[tuple[str, str]]], body: dict[str, Any]
) -> None:
    there, _ = world
    bob = there.askers["other"]
    own = there.http.post("/api/v1/analyses", json={"kind": "lint", "result": 7}, headers=bob).json()["analysis_id"]

    def taken(name: str, headers: dict[str, str]) -> tuple[int, str]:
        given = {"kind": "lint", "analysis_id": name} | body
        return without_names(there.http.post("/api/v1/analyses", json=given, headers=headers), name)

    # In the same words, whoever has it, whatever it is, and whether it can still be seen.
    expected = taken(own, bob)
    assert expected[0] == 409
    assert taken(there.analysis_id, bob) == expected
    assert there.http.delete(f"/api/v1/analyses/{there.analysis_id}", headers=there.owner).status_code == 200
    assert taken(there.analysis_id, bob) == expected
    assert there.http.get(f"/api/v1/analyses/{there.analysis_id}", headers=bob).status_code == 404


def test_everybody_sees_their_own(world: tuple[World, list[tuple[str, str]]]) -> None:
    there, _ = world
    for name in ("other", "anonymous"):
        headers = there.askers[name]
        made = there.http.post("/api/v1/analyses", json=LINT, headers=headers)
        assert made.status_code == 201, made.text
        own = there.http.get("/api/v1/analyses", headers=headers).json()["items"]
        assert [one["analysis_id"] for one in own] == [made.json()["analysis_id"]]
        assert there.http.get(f"{made.headers['location']}/result", headers=headers).json() == LINT["result"]
        owner = made.json()["client_session_id"]
        history = there.http.get(f"/api/v1/persistence/analyses/{owner}", headers=headers)
        assert [one["analysis_id"] for one in history.json()["analyses"]] == [made.json()["analysis_id"]]
        refused = there.http.post("/api/v1/analyses", json=LINT | {"client_session_id": "alice"}, headers=headers)
        assert refused.status_code == 403
        listed = there.http.get("/api/v1/analyses", params={"client_session_id": "alice"}, headers=headers)
        assert listed.status_code == 403


def test_what_is_anonymous_is_kept_for_a_while(world: tuple[World, list[tuple[str, str]]]) -> None:
    there, _ = world
    client = there.http.post("/api/v1/clients").json()["client_id"]
    made = there.http.post("/api/v1/analyses", json=LINT, headers={"x-client-session-id": client}).json()
    assert (made["ttl_seconds"], made["max_retrievals"], made["client_session_id"]) == (3600, 10, client)
    # On the document's addresses the id is its own proof.
    place = f"/api/v1/persistence/analyses/{made['analysis_id']}"
    codes = [there.http.get(place, params={"client_session_id": client}).status_code for _ in range(11)]
    assert codes == [200] * 10 + [410]
    assert there.http.get(place, params={"client_session_id": "alice"}).status_code == 401


@pytest.mark.parametrize(("proxies", "seen"), [((), "127.0.0.1"), (("127.0.0.0/8",), "10.9.9.9")])
def test_addresses_are_believed_of_proxies_only(database: str, proxies: tuple[str, ...], seen: str) -> None:
    with opened(database, trusted_proxies=proxies, **UNLIMITED) as hf, served(hf) as http:
        headers = {"x-forwarded-for": "1.2.3.4, 10.9.9.9"}
        made = http.post("/api/v1/analyses", json={"kind": "lint", "result": 1}, headers=headers)
        assert made.json()["client_ip"] == seen
