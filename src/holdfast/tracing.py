"""Traces by OpenTelemetry, where that is in use; elsewhere nothing of it is imported."""

import os
import sys
from contextlib import AbstractContextManager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from holdfast.domain.ports import Spans, no_span

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def spans() -> Spans:
    """What opens spans: of OpenTelemetry where somebody wants them, and none otherwise."""
    if not (_is_asked_for() or "opentelemetry.sdk.trace" in sys.modules):
        return no_span
    tracer = import_module("opentelemetry.trace").get_tracer("holdfast")

    def span(name: str, /, **attributes: str | int) -> AbstractContextManager[object]:
        named = {f"holdfast.{key}": value for key, value in attributes.items()}
        opened: AbstractContextManager[object] = tracer.start_as_current_span(name, attributes=named)
        return opened

    return span


def export_spans() -> None:
    """Send spans where the environment says, unless this program has its own way to."""
    if not _is_asked_for():
        return
    trace = import_module("opentelemetry.trace")
    provider = import_module("opentelemetry.sdk.trace").TracerProvider
    if isinstance(trace.get_tracer_provider(), provider):
        return
    os.environ.setdefault("OTEL_SERVICE_NAME", "holdfast")
    exporter = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter").OTLPSpanExporter()
    made = provider()
    made.add_span_processor(import_module("opentelemetry.sdk.trace.export").BatchSpanProcessor(exporter))
    trace.set_tracer_provider(made)


def current_ids() -> dict[str, str]:
    """The ids of the trace and the span that are under way, as logs show them; empty outside of any."""
    trace: Any = sys.modules.get("opentelemetry.trace")
    context = None if trace is None else trace.get_current_span().get_span_context()
    if context is None or not context.is_valid:
        return {}
    return {"trace_id": trace.format_trace_id(context.trace_id), "span_id": trace.format_span_id(context.span_id)}


def _is_asked_for() -> bool:
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or os.environ.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    # Both, as the one is of no use without the other: the first is there with the service, the second with the extra.
    return any(os.environ.get(name) for name in _ENDPOINTS) and all(
        find_spec(name) is not None for name in ("opentelemetry", "opentelemetry.sdk", "opentelemetry.exporter")
    )
