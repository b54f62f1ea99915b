"""Traces as a collector gets them: the service as a process, and a receiver of OTLP over HTTP."""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

import holdfast
from tests.api.serving import bearer
from tests.api.test_api_serve import serving
from tests.support.processes import wait_until

_PROTO = "opentelemetry.proto.collector.trace.v1.trace_service_pb2"
collector = pytest.importorskip(_PROTO, reason="the extra `otel` is not installed: no trace is exported")

SECRET = "what-a-trace-must-not-tell"


class Collector:
    """What was received, as it was sent and as it is to be understood."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.spans: list[dict[str, Any]] = []

    def take(self, path: str, media: str, body: bytes) -> None:
        assert (path, media) == ("/v1/traces", "application/x-protobuf")
        for resource in collector.ExportTraceServiceRequest.FromString(body).resource_spans:
            service = _attributes(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans.append(
                        {
                            "service": service,
                            "name": span.name,
                            "trace": span.trace_id.hex(),
                            "id": span.span_id.hex(),
                            "parent": span.parent_span_id.hex(),
                            "attributes": _attributes(span.attributes),
                        }
                    )
        self.bodies.append(body)

    def named(self, name: str) -> list[dict[str, Any]]:
        return [span for span in self.spans if span["name"] == name]


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


@contextmanager
def receiving() -> Iterator[tuple[Collector, str]]:
    got = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            packed = self.headers.get("content-encoding") == "gzip"
            got.take(self.path, self.headers["content-type"], gzip.decompress(body) if packed else body)
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield got, f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_requests_trace_arrives_and_tells_no_secret(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/traced.db"
    with holdfast.open(url) as hf:
        secret = hf.accounts.create_token("me").secret
    env = {
        "HOLDFAST_ANONYMOUS_CLIENTS": "true",
        "HOLDFAST_LOG_FORMAT": "json",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with (
        receiving() as (got, endpoint),
        serving(url, "--no-worker", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **env) as (_, address),
        httpx.Client(base_url=address, timeout=60) as http,
    ):
        headers = bearer(secret) | {"traceparent": caller}
        made = http.post("/api/v1/analyses", json={"kind": "lint", "result": {"s": SECRET}}, headers=headers)
        assert made.status_code == 201, made.text
        client = http.post("/api/v1/clients").json()["client_id"]
        known = f"/api/v1/persistence/analyses/{client}"
        assert http.get(known, params={"client_session_id": client}).status_code == 404
        assert http.get(known).status_code == 200
        # Where it does not belong, and where people put it nevertheless.
        assert http.get("/api/v1/analyses", params={"token": secret, "limit": "1"}).status_code == 401
        wait_until(lambda: got.named("GET /api/v1/analyses"), 60, "the trace")

    (request,) = got.named("POST /api/v1/analyses")
    assert (request["service"], request["trace"], request["parent"]) == (
        "holdfast",
        "0af7651916cd43dd8448eb211c80319c",
        "b7ad6b7169203331",
    )
    assert (
        request["attributes"].items()
        >= {
            "http.request.method": "POST",
            "http.route": "/api/v1/analyses",
            "http.response.status_code": 201,
            "url.path": "/api/v1/analyses",
        }.items()
    )
    writes = [span for span in got.named("store.write") if span["parent"] == request["id"]]
    assert [span["attributes"] for span in writes] == [{"holdfast.work": "ResultsService.store"}]
    retrieved, listed = got.named("GET /api/v1/persistence/analyses/{client_id}")
    assert retrieved["attributes"]["http.route"] == listed["attributes"]["http.route"]
    assert listed["attributes"]["url.path"].startswith(f"/api/v1/persistence/analyses/{client[:12]}")
    assert "ANALYSIS_NOT_FOUND" in {
        span["attributes"].get("error.type") for span in got.spans if span["parent"] == retrieved["id"]
    }
    (misplaced,) = got.named("GET /api/v1/analyses")
    assert misplaced["attributes"]["url.query"].endswith("limit=1")

    told = b"".join(got.bodies) + json.dumps(got.spans).encode()
    for hidden in (secret, secret.rpartition("_")[2], client, client.rpartition(".")[2], SECRET):
        assert hidden.encode() not in told, [span for span in got.spans if hidden in json.dumps(span)]
