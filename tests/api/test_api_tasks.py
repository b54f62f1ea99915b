"""Tasks and calls of language models over HTTP: kept once, for their owner, within limits."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from holdfast.bootstrap import Holdfast
from holdfast.domain.access import Role
from tests.api.serving import UNLIMITED, served, token
from tests.services.samples import opened

TASK: dict[str, Any] = {
    "task_description": "Compare the options",
    "task_id": "task_123",
    "task_name": "Decision",
    "variables": {"budget": 10000},
    "response_data": {"recommendation": "Option A"},
    "raw_response": "Option A, I think",
    "structured_output": {"option": "A"},
    "service_name": "desk",
    "thread_id": "conversation_456",
    "session_id": "s1",
    "process_instance_id": "p1",
    "tags": ["decision"],
    "usage": {"calls": 2},
    "latency_seconds": 0.5,
}
CALL: dict[str, Any] = {
    "model": "tiny-1",
    "request": {"messages": [{"role": "user", "content": "Which?"}]},
    "response": {"choices": [{"message": {"content": "A"}}]},
    "output_text": "A",
    "prompt_text": "Which?",
    "usage": {"input_tokens": 7, "output_tokens": 1},
    "thread_id": "conversation_456",
}
KINDS = [("/api/v1/tasks", TASK, "task"), ("/api/v1/interactions", CALL, "openai-interaction")]


@pytest.fixture
def both(database: str) -> Iterator[tuple[Holdfast, httpx.Client]]:
    settings = UNLIMITED | {"authentication": "token", "processors": ("fulltext",)}
    with opened(database, **settings) as hf, served(hf) as http:
        yield hf, http


@pytest.mark.parametrize(("path", "body", "kind"), KINDS)
def test_kept_once_and_for_their_owner(
    path: str, body: dict[str, Any], kind: str, both: tuple[Holdfast, httpx.Client]
) -> None:
    hf, http = both
    alice, bob, reader = token(hf, "alice"), token(hf, "bob"), token(hf, "carol", Role.READER)
    named = body | {"analysis_id": "mine"}
    made = http.post(path, json=named, headers=alice)
    assert made.status_code == 201, made.text
    kept = made.json()
    assert (kept["kind"], kept["client_session_id"], kept["thread_id"]) == (kind, "alice", "conversation_456")
    assert kept["client_ip"] == "127.0.0.1"
    assert made.headers["location"] == "/api/v1/analyses/mine"
    result = http.get("/api/v1/analyses/mine/result", headers=alice).json()
    assert result["raw_response"] == body.get("raw_response", body.get("response"))
    # Again: the same one, and its index is fed once.
    assert http.post(path, json=named, headers=alice).json()["analysis_id"] == "mine"
    assert hf.get_stats().total_results == 1
    assert hf.jobs.counts()["process.fulltext", "ready"] == 1
    # Other content, or another owner: taken, in the same words.
    other = http.post(path, json=named | {"output_text" if kind != "task" else "task_description": "x"}, headers=alice)
    foreign = http.post(path, json=named, headers=bob)
    assert (other.status_code, foreign.status_code) == (409, 409)
    assert other.json()["error"]["code"] == foreign.json()["error"]["code"]
    assert http.get("/api/v1/analyses/mine", headers=bob).status_code == 404
    assert http.get("/api/v1/threads/conversation_456", headers=bob).json()["items"] == []
    assert len(http.get("/api/v1/threads/conversation_456", headers=alice).json()["items"]) == 1
    assert http.post(path, json=body, headers=reader).status_code == 403
    assert http.post(path, json=body).status_code == 401


@pytest.mark.parametrize(("path", "body", "kind"), KINDS)
def test_a_request_with_a_name_has_one_effect(
    path: str, body: dict[str, Any], kind: str, both: tuple[Holdfast, httpx.Client]
) -> None:
    hf, http = both
    alice = token(hf, "alice") | {"idempotency-key": "k1"}
    first, second = (http.post(path, json=body, headers=alice).json() for _ in range(2))
    assert first["analysis_id"] == second["analysis_id"]
    assert hf.get_stats().total_results == 1


@pytest.mark.parametrize(("path", "body", "kind"), KINDS)
def test_what_cannot_be_kept_is_refused(
    path: str, body: dict[str, Any], kind: str, both: tuple[Holdfast, httpx.Client]
) -> None:
    hf, http = both
    alice = token(hf, "alice")
    wrong: list[dict[str, Any]] = [
        {"unknown": 1},
        {"tags": ["x"] * 101},
        {"tags": ["x" * 129]},
        {"thread_id": "x" * 257},
        {"thread_id": ""},
        {"usage": {f"u{n}": n for n in range(101)}},
        {"latency_seconds": -1},
        {"analysis_id": "../x"},
        {"error": "x" * 1_000_001},
    ]
    for change in wrong:
        answer = http.post(path, json=body | change, headers=alice)
        assert answer.status_code == 422, (change, answer.text[:300])
    # The required field of each.
    answer = http.post(path, json={"tags": []}, headers=alice)
    assert answer.status_code == 422
    assert hf.get_stats().total_results == 0


def test_a_failure_is_kept_as_one(both: tuple[Holdfast, httpx.Client]) -> None:
    hf, http = both
    alice = token(hf, "alice")
    body = {"task_description": "Try", "error": "It was too dark"}
    kept = http.post("/api/v1/tasks", json=body, headers=alice).json()
    assert (kept["status"], kept["error"]["message"]) == ("failed", "It was too dark")


def test_hits_say_how_old_they_are(both: tuple[Holdfast, httpx.Client]) -> None:
    hf, http = both
    alice = token(hf, "alice")
    http.post("/api/v1/tasks", json=TASK, headers=alice)
    hf.process_pending_analyses("fulltext", 10)
    (listed,) = http.get("/api/v1/analyses", headers=alice).json()["items"]
    (hit,) = http.get("/api/v1/searches", params={"q": "options"}, headers=alice).json()["items"]
    (turn,) = http.get("/api/v1/threads/conversation_456", headers=alice).json()["items"]
    assert listed["freshness_level"] == "fresh"
    assert hit["analysis"] == turn == listed
