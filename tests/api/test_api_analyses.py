"""Analyses over HTTP: asked for, kept, found, read, changed."""

import gzip
import hashlib
import json
from typing import Any

import httpx
import pytest
import zstandard

from holdfast.bootstrap import Holdfast
from holdfast.domain.analysis import Status
from holdfast.services.results import NewResult
from holdfast.store.payloads import pack
from holdfast.testing import FakeClock
from tests.api.serving import LINT, store
from tests.services.samples import begin, ended, findings, settle


def test_a_result_is_kept_and_found_again(http: httpx.Client, hf: Holdfast) -> None:
    answer = http.post("/api/v1/analyses", json=LINT)
    assert answer.status_code == 201
    made = answer.json()
    place = answer.headers["location"]
    assert place == f"/api/v1/analyses/{made['analysis_id']}"
    assert made["status"] == "completed"
    assert made["created_at"] == "2030-01-01T00:00:00.000Z"
    assert hf.get_result(made["analysis_id"]) == LINT["result"]
    again = http.get(place)
    assert again.json() == made
    assert again.headers["etag"] == answer.headers["etag"]
    assert http.get(f"{place}/result").json() == LINT["result"]
    assert http.get(f"{place}/metrics").json()["items"] == [{"name": "warnings", "value": 2.0}]
    found = http.get(f"{place}/findings").json()
    assert [(one["ordinal"], one["rule"], one["line"]) for one in found["items"]] == [(0, "lint/unused", 3)]
    assert http.get(f"{place}/attempts").json() == {"items": [], "next_cursor": None}


def test_looking_counts_nothing(http: httpx.Client, hf: Holdfast) -> None:
    made = store(http)
    for part in ("", "/result", "/findings", "/metrics", "/attempts"):
        assert http.get(f"/api/v1/analyses/{made['analysis_id']}{part}").status_code == 200
    assert hf.get_analysis(made["analysis_id"]).retrieval_count == 0


def test_limited_retrievals_are_counted_and_end(http: httpx.Client) -> None:
    made = store(http, max_retrievals=2)
    place = f"/api/v1/analyses/{made['analysis_id']}/result"
    codes = [http.get(place).status_code for _ in range(4)]
    assert codes == [200, 200, 410, 410]


def test_known_states_are_not_sent_again(http: httpx.Client, hf: Holdfast) -> None:
    made = store(http)
    place = f"/api/v1/analyses/{made['analysis_id']}"
    first = http.get(place)
    unchanged = http.get(place, headers={"if-none-match": first.headers["etag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    hf.analyses.pin(made["analysis_id"])
    changed = http.get(place, headers={"if-none-match": first.headers["etag"]})
    assert changed.status_code == 200
    assert changed.json()["is_pinned"]


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("zstd, gzip", "zstd"),
        ("gzip", "gzip"),
        ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("zstd;q=0, gzip;q=0", None),
        ("identity", None),
        ("br", None),
        ("gzip;q=nonsense", None),
    ],
)
def test_a_result_comes_as_the_caller_takes_it(http: httpx.Client, accepted: str, encoding: str | None) -> None:
    made = store(http)
    place = f"/api/v1/analyses/{made['analysis_id']}/result"
    with http.stream("GET", place, headers={"accept-encoding": accepted}) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers.get("content-encoding") == encoding
    assert answer.headers["vary"] == "Accept-Encoding"
    content = raw
    if encoding is not None:
        content = zstandard.decompress(raw) if encoding == "zstd" else gzip.decompress(raw)
    assert json.loads(content) == LINT["result"]
    digest = hashlib.sha256(content).hexdigest()
    assert answer.headers["etag"].strip('"').partition("-")[0] == digest == made["result_hash"]
    if encoding == "zstd":
        assert raw == pack(content).data
    for known in (answer.headers["etag"], f'W/"{digest}"', f'"other", "{digest}"', "*"):
        assert http.get(place, headers={"if-none-match": known}).status_code == 304
    assert http.get(place, headers={"if-none-match": '"other"'}).status_code == 200


def test_what_is_to_be_analysed_is_queued(http: httpx.Client, hf: Holdfast) -> None:
    answer = http.post("/api/v1/analyses", json={"kind": "sample", "target": "there", "params": {"a": 1}})
    assert answer.status_code == 202
    made = answer.json()
    assert (made["status"], made["reused"]) == ("queued", False)
    assert http.get(answer.headers["location"]).json()["status"] == "queued"
    joined = http.post("/api/v1/analyses", json={"kind": "sample", "target": "there", "params": {"a": 1}})
    assert (joined.status_code, joined.json()["reused"]) == (202, True)
    job, analysis = begin(hf)
    settle(hf, job, analysis, ended(Status.COMPLETED, {"n": 1}))
    kept = http.post("/api/v1/analyses", json={"kind": "sample", "target": "there", "params": {"a": 1}})
    assert (kept.status_code, kept.json()["reused"]) == (200, True)
    assert kept.json()["analysis_id"] == made["analysis_id"]
    anew = http.post("/api/v1/analyses", json={"kind": "sample", "target": "there", "params": {"a": 1}, "force": True})
    assert (anew.status_code, anew.json()["reused"]) == (202, False)


def test_cancel_resume_refresh(http: httpx.Client, hf: Holdfast) -> None:
    place = http.post("/api/v1/analyses", json={"kind": "sample", "target": "t", "tags": ["x"]}).headers["location"]
    cancelled = http.post(f"{place}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelled")
    again = http.post(f"{place}/cancel")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "ILLEGAL_MOVE")
    resumed = http.post(f"{place}/resume", json={"timeout_seconds": 7})
    assert (resumed.status_code, resumed.json()["timeout_seconds"]) == (202, 7)
    job, analysis = begin(hf)
    settle(hf, job, analysis, ended(Status.COMPLETED, {"n": 1}))
    anew = http.post(f"{place}/refresh", json={"params": {"b": 2}})
    assert anew.status_code == 202
    assert anew.json()["refreshed_from"] == analysis.analysis_id
    assert (anew.json()["params"], anew.json()["tags"]) == ({"b": 2}, ["x"])
    assert anew.headers["location"] != place
    assert http.get(f"{place}/result").json() == {"n": 1}
    assert [one["number"] for one in http.get(f"{place}/attempts").json()["items"]] == [1]
    stored = store(http)
    refused = http.post(f"/api/v1/analyses/{stored['analysis_id']}/refresh")
    assert refused.status_code == 409


def test_the_trash_gives_back(http: httpx.Client) -> None:
    made = store(http)
    place = f"/api/v1/analyses/{made['analysis_id']}"
    gone = http.delete(place)
    assert gone.status_code == 200
    assert gone.json()["restore"] == f"{place}/restore"
    assert gone.json()["deleted_at"] == "2030-01-01T00:00:00.000Z"
    assert http.get(place).status_code == 410
    assert http.get("/api/v1/analyses").json()["items"] == []
    assert [one["analysis_id"] for one in http.get("/api/v1/trash").json()["items"]] == [made["analysis_id"]]
    assert http.post(gone.json()["restore"]).status_code == 200
    assert http.get(f"{place}/result").json() == LINT["result"]
    assert http.get("/api/v1/trash").json()["items"] == []


def test_pins(http: httpx.Client) -> None:
    place = f"/api/v1/analyses/{store(http)['analysis_id']}"
    assert http.put(f"{place}/pin").json()["is_pinned"]
    assert not http.delete(f"{place}/pin").json()["is_pinned"]


def test_lists_are_filtered_ordered_and_paged(http: httpx.Client, hf: Holdfast, clock: FakeClock) -> None:
    for number in range(25):
        hf.store_analysis("lint" if number % 2 else "spell", {"n": number}, tags=["odd"] if number % 2 else [])
        clock.advance(60)
    seen: list[str] = []
    cursor = None
    while True:
        page = http.get("/api/v1/analyses", params={"limit": 10} | ({"cursor": cursor} if cursor else {})).json()
        seen += [one["created_at"] for one in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == 25
    assert seen == sorted(seen, reverse=True)
    assert len(http.get("/api/v1/analyses").json()["items"]) == 20
    odd = http.get("/api/v1/analyses", params={"tag": "odd", "kind": "lint", "limit": 100, "order": "asc"}).json()
    assert len(odd["items"]) == 12
    assert [one["created_at"] for one in odd["items"]] == sorted(one["created_at"] for one in odd["items"])
    span = {"created_after": "2030-01-01T00:05:00Z", "created_before": "2030-01-01T02:10:00+02:00"}
    assert len(http.get("/api/v1/analyses", params=span).json()["items"]) == 5
    states: dict[str, Any] = {"status": ["failed", "completed"], "limit": 100}
    assert len(http.get("/api/v1/analyses", params=states).json()["items"]) == 25
    assert http.get("/api/v1/analyses", params={"status": "failed"}).json()["items"] == []


def test_lists_by_subject_and_surroundings(http: httpx.Client) -> None:
    one = store(http, thread_id="t", session_id="s", process_instance_id="p", client_session_id="me")
    store(http, subject={"kind": "file", "key": "b.py"})
    for where in (
        {"subject_kind": "file", "subject_key": "a.py"},
        {"thread_id": "t"},
        {"session_id": "s"},
        {"process_instance_id": "p"},
        {"client_session_id": "me"},
    ):
        found = http.get("/api/v1/analyses", params=where).json()["items"]
        assert [item["analysis_id"] for item in found] == [one["analysis_id"]], where
    assert http.get("/api/v1/analyses", params={"subject_kind": "file"}).status_code == 422


def test_a_cursor_is_for_its_list_only(http: httpx.Client) -> None:
    for number in range(3):
        store(http, result=number)
    cursor = http.get("/api/v1/analyses", params={"limit": 1}).json()["next_cursor"]
    assert http.get("/api/v1/analyses", params={"limit": 2, "cursor": cursor}).status_code == 200
    for where, path in (
        ({"kind": "lint"}, "/api/v1/analyses"),
        ({"order": "asc"}, "/api/v1/analyses"),
        ({}, "/api/v1/trash"),
        ({}, "/api/v1/jobs"),
        ({}, "/api/v1/persistence/analyses/local"),
    ):
        refused = http.get(path, params=where | {"cursor": cursor})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "INVALID_CURSOR"), path
    for forged in ("", "x", cursor[:-2], cursor + "A", "é", "'; --", "0" * 1000):
        assert http.get("/api/v1/analyses", params={"cursor": forged}).status_code == 400, forged


def test_findings_are_paged(http: httpx.Client, hf: Holdfast) -> None:
    kept = hf.results.store([NewResult(kind="k", result=1, findings=findings(7))])[0]
    place = f"/api/v1/analyses/{kept.analysis_id}/findings"
    first = http.get(place, params={"limit": 5}).json()
    rest = http.get(place, params={"limit": 5, "cursor": first["next_cursor"]}).json()
    assert [one["ordinal"] for one in first["items"] + rest["items"]] == list(range(7))
    assert rest["next_cursor"] is None
    assert http.get(place, params={"severity": ["high", "critical"]}).json()["items"] == []


def test_a_repeated_request_has_one_effect(http: httpx.Client) -> None:
    key = {"idempotency-key": "k1"}
    first, second = (http.post("/api/v1/analyses", json=LINT, headers=key) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    other = http.post("/api/v1/analyses", json=LINT | {"summary": "another"}, headers=key)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    asked = [
        http.post(
            "/api/v1/analyses",
            json={"kind": "sample", "target": "t", "force": True},
            headers=key | {"idempotency-key": "k2"},
        )
        for _ in range(2)
    ]
    assert asked[0].json()["analysis_id"] == asked[1].json()["analysis_id"]
    assert http.post("/api/v1/analyses", json=LINT, headers={"idempotency-key": "x" * 256}).status_code == 422


def test_an_id_may_be_brought(http: httpx.Client) -> None:
    assert store(http, analysis_id="mine:1")["analysis_id"] == "mine:1"
    assert store(http, analysis_id="mine:1")["analysis_id"] == "mine:1"
    taken = http.post("/api/v1/analyses", json=LINT | {"analysis_id": "mine:1", "result": 5})
    assert (taken.status_code, taken.json()["error"]["code"]) == (409, "CONTENT_CONFLICT")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "kind"),
        ({"kind": "lint"}, "body"),
        ({"kind": "Lint!", "result": 1}, "kind"),
        ({"kind": "lint", "result": None}, "result"),
        ({"kind": "lint", "result": 1, "target": "t"}, "body"),
        ({"kind": "lint", "result": 1, "force": True}, "body"),
        ({"kind": "lint", "result": 1, "misspelt": True}, "misspelt"),
        ({"kind": "lint", "result": 1, "status": "running"}, "status"),
        ({"kind": "lint", "result": 1, "ttl_seconds": -1}, "ttl_seconds"),
        ({"kind": "lint", "result": 1, "tags": [1]}, "tags.0"),
        ({"kind": "lint", "result": 1, "metrics": {"a": "x"}}, "metrics.a"),
        ({"kind": "lint", "result": 1, "analysis_id": "../../etc/passwd"}, "analysis_id"),
        ({"kind": "sample", "target": "nowhere"}, None),
        ({"kind": "unknown", "target": "t"}, None),
        ([], "body"),
        (7, "body"),
    ],
)
def test_what_is_wrong_is_told(http: httpx.Client, body: Any, field: str | None) -> None:
    answer = http.post("/api/v1/analyses", json=body)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["request_id"] == answer.headers["x-request-id"]
    if field is not None:
        assert error["details"]["field"] == field
