"""Calls of language models that OpenTelemetry has traced: OTLP's JSON, one document or one a line.

Attributes are those of the semantic conventions for generative AI, https://opentelemetry.io/docs/specs/semconv/gen-ai/;
of older ones those are read that were in wide use (``gen_ai.system``, ``gen_ai.usage.prompt_tokens``).
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from holdfast.domain.tasks import Belonging, Interaction
from holdfast.formats.foreign import Foreign, InvalidFile

_PREFIX = "gen_ai."
_USAGE = {
    "gen_ai.usage.input_tokens": "input_tokens",
    "gen_ai.usage.prompt_tokens": "input_tokens",
    "gen_ai.usage.output_tokens": "output_tokens",
    "gen_ai.usage.completion_tokens": "output_tokens",
}
_INPUT = ("gen_ai.input.messages", "gen_ai.prompt")
_OUTPUT = ("gen_ai.output.messages", "gen_ai.completion")
_FAILED = {2, "STATUS_CODE_ERROR"}


def documents(content: str) -> list[Any]:
    """The documents of a file.

    Raises:
        InvalidFile: it is no JSON.
    """
    try:
        try:
            return [json.loads(content)]
        except ValueError:
            return [json.loads(line) for line in content.splitlines() if line.strip()]
    except ValueError as error:
        raise InvalidFile(f"The file is no OTLP JSON: {error}") from error


def calls(found: Iterable[Any]) -> Iterator[tuple[str, Interaction, datetime, datetime]]:
    """Every span that is a call of a language model, once: its id, what it says, when it began and ended.

    Raises:
        InvalidFile: one of the documents is no ``ExportTraceServiceRequest``.
    """
    seen: set[str] = set()
    for document in found:
        for span, resource in _spans(document):
            try:
                name = f"span-{span['traceId']}-{span['spanId']}"
                if name not in seen:
                    seen.add(name)
                    began, ended = (_moment(span.get(f"{which}TimeUnixNano")) for which in ("start", "end"))
                    yield name, _interaction(span, resource), began, ended
            except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
                raise InvalidFile(f"The file is no OTLP trace: {error!r}") from error


def analyses(content: str) -> Iterator[Foreign]:
    """The calls of a file as analyses.

    Raises:
        InvalidFile: it holds no trace.
    """
    for name, call, began, ended in calls(documents(content)):
        fields = call.analysis() | {"tags": tuple(call.tags)}
        yield Foreign(**fields, analysis_id=name, created_at=began, completed_at=ended)


def _spans(document: Any) -> Iterator[tuple[Mapping[str, Any], dict[str, Any]]]:
    try:
        for traced in document["resourceSpans"]:
            resource = _attributes(traced.get("resource", {}))
            for scope in traced.get("scopeSpans", ()):
                for span in scope.get("spans", ()):
                    if any(one["key"].startswith(_PREFIX) for one in span.get("attributes", ())):
                        yield span, resource
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidFile(f"The file is no OTLP trace: {error!r}") from error


def _attributes(holder: Mapping[str, Any]) -> dict[str, Any]:
    return {one["key"]: _value(one.get("value", {})) for one in holder.get("attributes", ())}


def _value(value: Mapping[str, Any]) -> Any:
    """A value of OTLP's: one field named for its type; 64-bit integers are texts."""
    if "intValue" in value:
        return int(value["intValue"])
    if "arrayValue" in value:
        return [_value(one) for one in value["arrayValue"].get("values", ())]
    if "kvlistValue" in value:
        return {one["key"]: _value(one.get("value", {})) for one in value["kvlistValue"].get("values", ())}
    return next(iter(value.values()), None)


def _moment(nanoseconds: Any) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(nanoseconds or 0) // 1000)


def _interaction(span: Mapping[str, Any], resource: Mapping[str, Any]) -> Interaction:
    facts = _attributes(span)
    for event in span.get("events", ()):
        facts |= _attributes(event)
    asked, answered = _first(facts, _INPUT), _first(facts, _OUTPUT)
    status = span.get("status", {})
    began, ended = int(span.get("startTimeUnixNano", 0)), int(span.get("endTimeUnixNano", 0))
    conversation = facts.get("gen_ai.conversation.id")
    return Interaction(
        model=str(facts.get("gen_ai.response.model") or facts.get("gen_ai.request.model") or "unknown"),
        request={
            "messages": asked,
            "span": span.get("name", ""),
            "trace_id": span["traceId"],
            "started_at_unix_nano": began,
            "attributes": {name: value for name, value in facts.items() if name not in {*_INPUT, *_OUTPUT}},
        },
        response=answered,
        output_text=_text(answered),
        prompt_text=_text(asked) or str(span.get("name", "")),
        service_name=resource.get("service.name"),
        operation=facts.get("gen_ai.operation.name"),
        tags=[tag for tag in (facts.get("gen_ai.provider.name") or facts.get("gen_ai.system"),) if tag],
        belonging=Belonging(thread_id=None if conversation is None else str(conversation)),
        usage={name: facts[known] for known, name in _USAGE.items() if known in facts},
        latency_seconds=max(ended - began, 0) / 1e9,
        error=(status.get("message") or str(facts.get("error.type") or "error"))
        if status.get("code") in _FAILED
        else None,
    )


def _first(facts: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The first of the attributes that is there; messages are often JSON in a text."""
    value = next((facts[name] for name in names if name in facts), None)
    if isinstance(value, str) and value[:1] in {"[", "{"}:
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _text(value: Any) -> str:
    """The text of the last message."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value:
        return _text(value[-1])
    if isinstance(value, dict):
        return next((text for name in ("content", "parts", "text") if (text := _text(value.get(name)))), "")
    return ""
