"""Traces: a program of its own each, since OpenTelemetry is set up once in a process."""

import json
import os
import subprocess
import sys

TRACED = """
import json, logging, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter = InMemorySpanExporter()
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))

from holdfast.telemetry import configure_logging
from tests.api.serving import local
from tests.services.samples import Sample

configure_logging("INFO", "json")
with local(sys.argv[1]) as (hf, http):
    made = http.post("/api/v1/analyses", json={"kind": "lint", "result": 1})
    assert made.status_code == 201, made.text
    caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert http.get(made.headers["location"], headers={"traceparent": caller}).status_code == 200
    hf.jobs.schedule("sweep", "retention.sweep", 1)
    worker = hf.worker()
    from holdfast.domain.jobs import NewJob
    hf.jobs.enqueue([NewJob(kind="retention.sweep", payload={})])
    worker.run(until_idle=True)
for span in exporter.get_finished_spans():
    print(json.dumps({
        "name": span.name,
        "trace": trace.format_trace_id(span.context.trace_id),
        "parent": span.parent and trace.format_span_id(span.parent.span_id),
        "id": trace.format_span_id(span.context.span_id),
        "attributes": dict(span.attributes),
    }))
"""

ENDING = """
import sys, threading
from holdfast.tracing import end_in_time

def silent():
    print("asked", flush=True)
    threading.Event().wait()

end_in_time(silent if sys.argv[1] == "silent" else lambda: print("sent", flush=True))
"""

UNTRACED = """
import sys
import holdfast

with holdfast.open(sys.argv[1]) as hf:
    hf.store_analysis("lint", 1)
    hf.worker().run(until_idle=True)
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""


def run(code: str, *args: str) -> tuple[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, timeout=150, check=False, env=env
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_requests_transactions_and_jobs_are_traced(database: str) -> None:
    out, logged = run(TRACED, database)
    spans = [json.loads(line) for line in out.splitlines()]
    by_name = {span["name"]: span for span in spans}

    request = by_name["POST /api/v1/analyses"]
    writes = [span for span in spans if span["name"] == "store.write" and span["parent"] == request["id"]]
    assert [span["attributes"]["holdfast.work"] for span in writes] == ["ResultsService.store"]
    # The caller's trace goes on, to the transaction that a thread reads for several.
    asked = by_name["GET /api/v1/analyses/{analysis_id}"]
    assert asked["trace"] == "0af7651916cd43dd8448eb211c80319c"
    assert asked["parent"] == "b7ad6b7169203331"
    assert "store.read" in {span["name"] for span in spans if span["parent"] == asked["id"]}

    job = by_name["job retention.sweep"]
    assert job["attributes"]["holdfast.attempt"] == 1
    assert any(span["parent"] == job["id"] for span in spans)

    lines = [json.loads(line) for line in logged.splitlines() if line.startswith("{")]
    (told,) = [line for line in lines if line.get("method") == "POST"]
    assert (told["trace_id"], told["span_id"]) == (request["trace"], request["id"])


def test_without_it_nothing_of_it_is_imported(database: str) -> None:
    out, _ = run(UNTRACED, database)
    assert out == "[]\n"


def test_a_silent_collector_holds_nobody_up() -> None:
    # For ever, if it did: the run has a limit.
    assert run(ENDING, "silent")[0] == "asked\n"
    assert run(ENDING, "quick")[0] == "sent\n"
