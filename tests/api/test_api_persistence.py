"""The document's own addresses, in its own shapes."""

from typing import Any

import httpx
import pytest

from holdfast.bootstrap import Holdfast
from holdfast.domain.context import Context
from holdfast.services.results import NewResult
from holdfast.testing import FakeClock
from tests.api.serving import LINT, local, store
from tests.services.samples import begin

HERE = "/api/v1/persistence"


def test_a_clients_history(http: httpx.Client, clock: FakeClock) -> None:
    made = []
    for number in range(12):
        made.append(store(http, client_session_id="client-1", result=number)["analysis_id"])
        clock.advance(10)
    store(http, client_session_id="client-2")
    answer = http.get(f"{HERE}/analyses/client-1")
    assert answer.status_code == 200
    body = answer.json()
    assert body.keys() >= {"success", "client_id", "analyses", "count", "limit", "offset", "retrieved_at"}
    assert (body["success"], body["client_id"], body["count"], body["limit"], body["offset"]) == (
        True,
        "client-1",
        10,
        10,
        0,
    )
    assert [one["analysis_id"] for one in body["analyses"]] == made[:1:-1]
    assert body["analyses"][0].keys() >= {
        "analysis_id",
        "status",
        "created_at",
        "completed_at",
        "has_result",
        "retrieval_count",
    }
    assert body["analyses"][-1]["created_at"] == 1893456000.0 + 20
    rest = http.get(f"{HERE}/analyses/client-1", params={"offset": 10, "limit": 5}).json()
    assert [one["analysis_id"] for one in rest["analyses"]] == made[1::-1]
    follow = http.get(f"{HERE}/analyses/client-1", params={"cursor": body["next_cursor"]}).json()
    assert follow["analyses"] == rest["analyses"]
    nobody = http.get(f"{HERE}/analyses/nobody").json()
    assert (nobody["success"], nobody["analyses"], nobody["count"]) == (True, [], 0)


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"limit": 101}, {"limit": -1}, {"offset": -1}, {"offset": 10_001}])
def test_pages_have_limits(http: httpx.Client, wrong: dict[str, int]) -> None:
    assert http.get(f"{HERE}/analyses/x", params=wrong).status_code == 422


def test_one_analysis_is_retrieved_and_counted(http: httpx.Client) -> None:
    made = store(http, client_session_id="client-1", max_retrievals=2, ttl_seconds=3600, code_hash="ab")
    place = f"{HERE}/analyses/{made['analysis_id']}"
    first = http.get(place, params={"client_session_id": "client-1"})
    assert first.status_code == 200
    analysis = first.json()["analysis"]
    assert analysis["result_data"] == LINT["result"]
    assert analysis["retrieval_count"] == 1
    assert (analysis["created_at"], analysis["ttl_seconds"], analysis["code_hash"]) == (1893456000.0, 3600, "ab")
    stranger = http.get(place, params={"client_session_id": "client-2"})
    assert (stranger.status_code, stranger.json()["error"]["code"]) == (403, "ACCESS_DENIED")
    assert http.get(place, params={"client_session_id": "client-1"}).json()["analysis"]["retrieval_count"] == 2
    assert http.get(place, params={"client_session_id": "client-1"}).status_code == 410


def test_an_unknown_id_is_no_list(http: httpx.Client) -> None:
    store(http, client_session_id="client-1")
    answer = http.get(f"{HERE}/analyses/unknown", params={"client_session_id": "client-1"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "ANALYSIS_NOT_FOUND")
    assert "analyses" not in answer.json()


def test_expired_is_gone(http: httpx.Client, clock: FakeClock) -> None:
    made = store(http, client_session_id="client-1", ttl_seconds=60)
    clock.advance(61)
    place = f"{HERE}/analyses/{made['analysis_id']}"
    answer = http.get(place, params={"client_session_id": "client-1"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (410, "ANALYSIS_GONE")
    assert http.get(f"{HERE}/analyses/client-1").json()["count"] == 0


def test_availability_counts_nothing(http: httpx.Client, hf: Holdfast, clock: FakeClock) -> None:
    made = store(http, client_session_id="client-1", ttl_seconds=60)["analysis_id"]

    def state(analysis_id: str, client: str) -> Any:
        answer = http.get(f"{HERE}/analyses/{analysis_id}/availability", params={"client_session_id": client})
        assert answer.status_code == 200
        return answer.json()["availability"]

    assert state(made, "client-1") == "completed"
    assert state(made, "client-2") == "unauthorized"
    assert state("unknown", "client-1") == "not_found"
    assert hf.get_analysis(made).retrieval_count == 0
    clock.advance(61)
    assert state(made, "client-1") == "expired"


def test_only_the_owner_deletes(http: httpx.Client) -> None:
    made = store(http, client_session_id="client-1")["analysis_id"]
    place = f"{HERE}/analysis/{made}"
    assert http.delete(place).status_code == 422
    assert http.delete(place, params={"client_session_id": "client-2"}).status_code == 403
    done = http.delete(place, params={"client_session_id": "client-1"})
    assert (done.status_code, done.json()["success"], done.json()["analysis_id"]) == (200, True, made)
    assert http.delete(place, params={"client_session_id": "client-1"}).status_code in {404, 410}
    assert http.delete(f"{HERE}/analysis/unknown", params={"client_session_id": "client-1"}).status_code == 404


def test_stats(http: httpx.Client) -> None:
    store(http, client_session_id="client-1")
    http.post("/api/v1/analyses", json={"kind": "sample", "target": "t"})
    body = http.get(f"{HERE}/stats").json()
    assert body["success"]
    stats = body["stats"]
    assert stats.keys() >= {
        "total_results",
        "total_sessions",
        "storage_size_bytes",
        "storage_size_mb",
        "storage_limit_mb",
        "status_counts",
        "last_cleanup",
    }
    assert (stats["total_results"], stats["total_sessions"]) == (2, 2)
    assert stats["status_counts"] == {"completed": 1, "queued": 1}
    general = http.get("/api/v1/stats").json()
    assert general["jobs"] == [{"kind": "analysis.run", "status": "ready", "count": 1}]


def test_health_and_cleanup(http: httpx.Client) -> None:
    assert http.get(f"{HERE}/health").json()["status"] == "healthy"
    done = http.post(f"{HERE}/cleanup")
    assert (done.status_code, done.json()["success"]) == (200, True)
    assert http.get("/api/v1/retention/plan").status_code == 200
    assert http.post("/api/v1/retention/sweep").status_code == 200


def test_jobs(http: httpx.Client, hf: Holdfast) -> None:
    for number in range(3):
        http.post("/api/v1/analyses", json={"kind": "sample", "target": f"t{number}"})
    first = http.get("/api/v1/jobs", params={"limit": 2}).json()
    rest = http.get("/api/v1/jobs", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [one["status"] for one in first["items"] + rest["items"]] == ["ready"] * 3
    assert http.get("/api/v1/jobs", params={"status": "dead"}).json()["items"] == []
    job, _ = begin(hf)
    assert http.get("/api/v1/jobs", params={"status": "leased"}).json()["items"][0]["id"] == job.id
    refused = http.post(f"/api/v1/jobs/{job.id}/retry")
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "JOB_NOT_FOUND")
    assert http.post("/api/v1/jobs/99999999999999999999/retry").status_code == 422


def test_the_service_tells_of_itself(http: httpx.Client, hf: Holdfast) -> None:
    store(http)
    assert http.get("/health").json()["status"] == "ok"
    assert http.get("/ready").json() == {"status": "ready", "store": hf.engine.dialect}
    assert [one["kind"] for one in http.get("/api/v1/kinds").json()["items"]] == ["sample"]
    once = store(http, max_retrievals=1)
    assert http.get(f"/api/v1/analyses/{once['analysis_id']}/result").status_code == 200
    hf.sweep()
    text = http.get("/metrics").text
    assert 'holdfast_http_requests_total{method="POST",route="/api/v1/analyses",status="201"} 2.0' in text
    assert 'holdfast_analyses{status="completed"} 1.0' in text
    assert "holdfast_store_up 1.0" in text
    assert 'holdfast_removed_total{reason="used_up"} 1.0' in text
    assert 'holdfast_removed_bytes_total{reason="used_up"}' in text
    page = http.get("/", follow_redirects=True)
    assert page.status_code == 200
    assert "/api/v1/analyses" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


@pytest.mark.parametrize("recovers", [True, False])
def test_recovery_by_address_is_a_setting(database: str, recovers: bool) -> None:
    with local(database, same_ip_recovery=recovers) as (hf, http):
        context = Context(client_session_id="client-1", client_ip="127.0.0.1")
        kept = hf.results.store([NewResult(kind="k", result=1, context=context)])[0]
        answer = http.get(f"{HERE}/analyses/{kept.analysis_id}", params={"client_session_id": "client-2"})
        # What is not an anonymous client's is never recovered.
        assert answer.status_code == 403
