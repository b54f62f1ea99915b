"""The official client, against a small server of our own."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast import Holdfast
from holdfast.domain.analysis import Status
from holdfast.domain.errors import StoreError
from holdfast.integrations.openai import keep_calls

openai = pytest.importorskip("openai")

MESSAGES: Any = [{"role": "system", "content": "Be short"}, {"role": "user", "content": "Where is the walrus?"}]
CHAT = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "tiny-1",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "On the ice"}}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
}
OUTPUT = [
    {
        "id": "m1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "On the ice", "annotations": []}],
    }
]
RESPONSE = {
    "id": "r1",
    "object": "response",
    "created_at": 1,
    "model": "tiny-1",
    "output": OUTPUT,
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "usage": {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10},
}


def _chunk(content: str, **more: Any) -> dict[str, Any]:
    choices = [{"index": 0, "delta": {"content": content}, "finish_reason": None}]
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "tiny-1", "choices": choices, **more}


class _Model(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if asked["model"] == "broken":
            self._answer(400, b'{"error": {"message": "no such model"}}', "application/json")
        elif asked.get("stream"):
            events: list[dict[str, Any]] = [_chunk("On "), _chunk("the ice", usage=CHAT["usage"])]
            if self.path.endswith("/responses"):
                events = [
                    {
                        "type": "response.output_text.delta",
                        "delta": "On ",
                        "item_id": "m1",
                        "output_index": 0,
                        "content_index": 0,
                        "sequence_number": 1,
                        "logprobs": [],
                    },
                    {"type": "response.completed", "response": RESPONSE, "sequence_number": 2},
                ]
            lines = "".join(f"event: {event.get('type', 'message')}\ndata: {json.dumps(event)}\n\n" for event in events)
            end = "" if self.path.endswith("/responses") else "data: [DONE]\n\n"
            self._answer(200, (lines + end).encode(), "text/event-stream")
        else:
            whole = RESPONSE if self.path.endswith("/responses") else CHAT
            self._answer(200, json.dumps(whole).encode(), "application/json")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Model) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()
        thread.join()


@pytest.fixture
def hf(tmp_path: Path) -> Iterator[Holdfast]:
    with holdfast.open(f"sqlite:///{tmp_path}/calls.db") as opened:
        yield opened


def only(hf: Holdfast) -> tuple[Any, Any, dict[str, float]]:
    (kept,) = hf.list_analyses(kind="openai-interaction", thread_id="t").items
    result = None if kept.result is None else hf.get_result(kept.analysis_id)
    return kept, result, hf.get_metrics(kept.analysis_id)


def check(hf: Holdfast, operation: str) -> None:
    kept, result, metrics = only(hf)
    assert kept.status is Status.COMPLETED
    assert kept.summary == "Where is the walrus?"
    assert kept.params["operation"] == operation
    assert kept.params["model"] == "tiny-1"
    assert result["output_text"] == "On the ice"
    assert (metrics["input_tokens"], metrics["output_tokens"]) == (7, 3)
    assert metrics["latency_seconds"] >= 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("operation", ["chat.completions", "responses"])
def test_calls_are_kept(hf: Holdfast, url: str, operation: str, stream: bool) -> None:
    with openai.OpenAI(base_url=url, api_key="k", max_retries=0) as client:
        keep_calls(client, hf, thread_id="t", service_name="desk")
        if operation == "responses":
            answer = client.responses.create(model="tiny-1", input=MESSAGES, stream=stream)
        else:
            answer = client.chat.completions.create(model="tiny-1", messages=MESSAGES, stream=stream)
        if stream:
            with answer as parts:
                assert len(list(parts)) == 2
    check(hf, operation)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("operation", ["chat.completions", "responses"])
def test_calls_of_coroutines_are_kept(hf: Holdfast, url: str, operation: str, stream: bool) -> None:
    async def ask() -> None:
        async with openai.AsyncOpenAI(base_url=url, api_key="k", max_retries=0) as client:
            keep_calls(client, hf, thread_id="t")
            if operation == "responses":
                answer = await client.responses.create(model="tiny-1", input=MESSAGES, stream=stream)
            else:
                answer = await client.chat.completions.create(model="tiny-1", messages=MESSAGES, stream=stream)
            if stream:
                assert len([part async for part in answer]) == 2

    asyncio.run(ask())
    check(hf, operation)


def test_a_stream_that_is_left_is_kept_as_far_as_it_came(hf: Holdfast, url: str) -> None:
    with openai.OpenAI(base_url=url, api_key="k") as client:
        keep_calls(client, hf, thread_id="t")
        with client.chat.completions.create(model="tiny-1", messages=MESSAGES, stream=True) as parts:
            next(iter(parts))
    assert only(hf)[1]["output_text"] == "On "


def test_a_call_that_fails_is_kept_and_fails(hf: Holdfast, url: str) -> None:
    with openai.OpenAI(base_url=url, api_key="k", max_retries=0) as client:
        keep_calls(client, hf, thread_id="t")
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(model="broken", messages=MESSAGES)
    kept, _, _ = only(hf)
    assert kept.status is Status.FAILED
    assert "no such model" in kept.error.message


def test_what_cannot_be_kept_breaks_no_call_unless_asked(hf: Holdfast, url: str) -> None:
    with openai.OpenAI(base_url=url, api_key="k", max_retries=0) as client:
        keep_calls(client, hf, thread_id="t")
        hf.close()
        answer = client.chat.completions.create(model="tiny-1", messages=MESSAGES)
        assert answer.choices[0].message.content == "On the ice"
    with openai.OpenAI(base_url=url, api_key="k", max_retries=0) as strict:
        keep_calls(strict, hf, strict=True)
        with pytest.raises(StoreError):
            strict.chat.completions.create(model="tiny-1", messages=MESSAGES)
