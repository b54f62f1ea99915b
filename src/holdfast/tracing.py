"""Traces by OpenTelemetry, where that is in use; elsewhere nothing of it is imported."""

import atexit
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from holdfast.domain.ports import Spans, no_span

# A service that is told to stop has two seconds in all.
_FLUSH_SECONDS = 0.5
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def spans() -> Spans:
    """What opens spans: of OpenTelemetry where somebody wants them, and none otherwise."""
    if not (_is_asked_for() or "opentelemetry.sdk.trace" in sys.modules):
        return no_span
    trace = import_module("opentelemetry.trace")
    tracer = trace.get_tracer("holdfast")

    @contextmanager
    def span(name: str, /, **attributes: str | int) -> Iterator[object]:
        named = {f"holdfast.{key}": value for key, value in attributes.items()}
        quietly = {"record_exception": False, "set_status_on_exception": False}
        with tracer.start_as_current_span(name, attributes=named, **quietly) as opened:
            try:
                yield opened
            except Exception as error:
                # Of what sort it is, and no more: its message names what was asked for, which may open a door.
                opened.set_attribute("error.type", getattr(error, "code", type(error).__qualname__))
                opened.set_status(trace.StatusCode.ERROR)
                raise

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
    made = provider(shutdown_on_exit=False)
    made.add_span_processor(import_module("opentelemetry.sdk.trace.export").BatchSpanProcessor(exporter))
    trace.set_tracer_provider(made)
    end_in_time(made.shutdown)


def end_in_time(flush: Callable[[], None]) -> None:
    """Let ``flush`` send what is left when the process ends; a silent collector would keep it for half a minute."""
    ending, ended = threading.Event(), threading.Event()

    def wait() -> None:
        ending.wait()
        flush()
        ended.set()

    # Begun now: at the end of the process no thread can be begun any more.
    threading.Thread(target=wait, name="holdfast-traces", daemon=True).start()

    @atexit.register
    def end() -> None:
        ending.set()
        ended.wait(_FLUSH_SECONDS)


def current_ids() -> dict[str, str]:
    """The ids of the trace and the span that are under way, as logs show them; empty outside of any."""
    trace: Any = sys.modules.get("opentelemetry.trace")
    context = None if trace is None else trace.get_current_span().get_span_context()
    if context is None or not context.is_valid:
        return {}
    return {"trace_id": trace.format_trace_id(context.trace_id), "span_id": trace.format_span_id(context.span_id)}


def tell(**attributes: str) -> None:
    """Say something of the span that is under way, in the place of what was said; ``__`` stands for a point."""
    trace: Any = sys.modules.get("opentelemetry.trace")
    if trace is not None:
        span = trace.get_current_span()
        for name, value in attributes.items():
            span.set_attribute(name.replace("__", "."), value)


def _is_asked_for() -> bool:
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or os.environ.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    # Both, as the one is of no use without the other: the first is there with the service, the second with the extra.
    return any(os.environ.get(name) for name in _ENDPOINTS) and all(
        find_spec(name) is not None for name in ("opentelemetry", "opentelemetry.sdk", "opentelemetry.exporter")
    )
