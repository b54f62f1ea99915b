"""Spans of language models, as collectors write them."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast.domain.analysis import Status
from holdfast.domain.errors import InvalidInput
from holdfast.formats.foreign import Format
from holdfast.integrations.otel import import_spans


def _attribute(key: str, value: Any) -> dict[str, Any]:
    kind = {int: "intValue", str: "stringValue", float: "doubleValue"}[type(value)]
    return {"key": key, "value": {kind: str(value) if kind == "intValue" else value}}


def _span(number: int, status: dict[str, Any] | None = None, **facts: Any) -> dict[str, Any]:
    return {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": f"eee19b7ec3c1b{number:03}",
        "name": "chat tiny-1",
        "startTimeUnixNano": "1544712660000000000",
        "endTimeUnixNano": "1544712661500000000",
        "attributes": [_attribute(name.replace("__", "."), value) for name, value in facts.items()],
        "status": status or {},
    }


def _document(*spans: dict[str, Any]) -> dict[str, Any]:
    resource = {"attributes": [_attribute("service.name", "desk")]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": list(spans)}]}]}


MESSAGES = [{"role": "user", "parts": [{"type": "text", "content": "Where is the walrus?"}]}]
ANSWER = [{"role": "assistant", "parts": [{"type": "text", "content": "On the ice"}]}]
CHAT: dict[str, Any] = {
    "gen_ai__operation__name": "chat",
    "gen_ai__provider__name": "openai",
    "gen_ai__request__model": "tiny",
    "gen_ai__response__model": "tiny-1",
    "gen_ai__conversation__id": "t7",
    "gen_ai__usage__input_tokens": 7,
    "gen_ai__usage__output_tokens": 3,
    "gen_ai__input__messages": json.dumps(MESSAGES),
    "gen_ai__output__messages": json.dumps(ANSWER),
}


def test_spans_are_kept_once(database: str, tmp_path: Path) -> None:
    plain = _span(1, http__method="GET")
    failed = _span(3, {"code": 2, "message": "rate limited"}, gen_ai__request__model="tiny", gen_ai__system="openai")
    file = tmp_path / "traces.jsonl"
    file.write_text("\n".join(json.dumps(_document(one)) for one in (plain, _span(2, **CHAT), failed)))
    with holdfast.open(database) as hf:
        first = import_spans(hf, file)
        assert [one.analysis_id for one in import_spans(hf, file)] == [one.analysis_id for one in first]
        assert hf.get_stats().total_results == 2
        chat, broken = first
        assert (chat.summary, chat.context.thread_id, chat.tags) == ("Where is the walrus?", "t7", ("openai",))
        assert chat.params["service_name"] == "desk"
        assert hf.get_result(chat.analysis_id)["output_text"] == "On the ice"
        metrics = hf.get_metrics(chat.analysis_id)
        assert metrics == {"input_tokens": 7, "output_tokens": 3, "latency_seconds": 1.5}
        assert broken.status is Status.FAILED
        assert broken.error is not None
        assert broken.error.message == "rate limited"


@pytest.mark.parametrize(
    "document", [{}, {"resourceSpans": [1]}, {"resourceSpans": [{"scopeSpans": [{"spans": [1]}]}]}]
)
def test_what_is_no_trace_is_refused(tmp_path: Path, document: dict[str, Any]) -> None:
    with holdfast.open(f"sqlite:///{tmp_path}/a.db") as hf:
        with pytest.raises(InvalidInput):
            import_spans(hf, document)
        with pytest.raises(InvalidInput):
            import_spans(hf, tmp_path / "nothing.json")


@pytest.mark.parametrize("is_lines", [False, True])
def test_a_file_is_imported(is_lines: bool, database: str) -> None:
    spans = [_span(1, http__method="GET"), _span(2, **CHAT), _span(3, {"code": 2}, gen_ai__request__model="tiny")]
    documents = [_document(one) for one in spans] if is_lines else [_document(*spans)]
    content = "\n".join(map(json.dumps, documents)).encode()
    with holdfast.open(database) as hf:
        assert hf.transfer.import_analyses(io.BytesIO(content)).added == {"analyses": 2}
        (chat,) = hf.list_analyses(thread_id="t7").items
        assert (chat.kind, chat.summary, chat.tags) == ("openai-interaction", "Where is the walrus?", ("openai",))
        assert chat.created_at.isoformat() == "2018-12-13T14:51:00+00:00"
        assert chat.completed_at is not None
        assert (chat.completed_at - chat.created_at).total_seconds() == 1.5
        # Again, in either way: kept once.
        assert hf.transfer.import_analyses(io.BytesIO(content), Format.OTEL).there == {"analyses": 2}
        assert [one.analysis_id for one in import_spans(hf, documents[-1])]
        assert hf.get_stats().total_results == 2
