"""Embedders: what they make, and what becomes of what they cannot make."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.errors import EmbeddingFailed, InvalidInput, ProcessorUnavailable
from holdfast.processors.vector.chunking import MOST, chunks
from holdfast.processors.vector.embedders import OpenAIEmbedder, WordLlamaEmbedder, normalized
from holdfast.processors.vector.index import Model

Answer = Callable[[dict[str, Any]], tuple[int, Any]]


@contextmanager
def endpoint(answer: Answer) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An endpoint of OpenAI's protocol, and what it was asked."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked.append(body | {"key": self.headers["authorization"], "path": self.path})
            status, answered = answer(body)
            sent = json.dumps(answered).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(sent)))
            if status in {301, 307}:
                self.send_header("location", "http://127.0.0.1:9/v1/embeddings")
            self.send_header("retry-after-ms", "1")
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1", asked
        finally:
            server.shutdown()
            thread.join()


def embedded(*rows: list[float]) -> Any:
    data = [{"object": "embedding", "index": place, "embedding": row} for place, row in enumerate(rows)]
    return {"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 1, "total_tokens": 1}}


def embed(url: str, *texts: str, **options: Any) -> Any:
    embedder = OpenAIEmbedder(model="m", base_url=url, api_key="secret", **options)
    try:
        return embedder.embed(texts)
    finally:
        embedder.close()


def test_words_near_in_meaning_are_near() -> None:
    rows = WordLlamaEmbedder().embed(["songs on an album", "music tracks", "a bug in the Python parser"])
    assert rows.shape == (3, 256)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert rows[0] @ rows[1] > rows[0] @ rows[2]


def test_it_needs_no_network_and_nothing_of_the_user() -> None:
    code = """
import socket
def refuse(*_): raise AssertionError("the network")
socket.socket.connect = socket.getaddrinfo = refuse
from holdfast.processors.vector.embedders import WordLlamaEmbedder
print(WordLlamaEmbedder().embed(["one"]).shape)
"""
    done = subprocess.run([sys.executable, "-c", code], env={}, capture_output=True, text=True, check=False)
    assert done.stdout == "(1, 256)\n", done.stderr


@pytest.mark.parametrize("rows", [[[0.0, 0.0]], [[float("nan"), 1.0]], [[1.0], [1.0]], [], [[]], [[1.0], [1.0, 2.0]]])
def test_no_vector_is_made_up(rows: Any) -> None:
    with pytest.raises(EmbeddingFailed):
        normalized(rows, 1, Model(name="m", version="1"))


def test_a_blank_text_has_no_vector() -> None:
    with pytest.raises(EmbeddingFailed):
        WordLlamaEmbedder().embed([""])


def test_the_endpoint_is_asked_and_lengths_made_one() -> None:
    def answer(body: dict[str, Any]) -> tuple[int, Any]:
        return 200, embedded(*([3.0, 4.0] for _ in body["input"]))

    with endpoint(answer) as (url, asked):
        rows = embed(url, *(["text"] * 300), dimensions=2)
    assert rows.shape == (300, 2)
    np.testing.assert_allclose(rows[0], [0.6, 0.8])
    assert [len(one["input"]) for one in asked] == [128, 128, 44]
    assert asked[0] | {"input": []} == {
        "input": [],
        "model": "m",
        "encoding_format": "float",
        "dimensions": 2,
        "key": "Bearer secret",
        "path": "/v1/embeddings",
    }


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_what_fails_in_passing_is_tried_again(status: int) -> None:
    answers = iter([(status, {}), (status, {}), (200, embedded([1.0, 0.0]))])
    with endpoint(lambda _: next(answers)) as (url, asked):
        assert embed(url, "text").tolist() == [[1.0, 0.0]]
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, {"error": {"message": "too long"}}, EmbeddingFailed),
        (401, {}, ProcessorUnavailable),
        (404, {}, ProcessorUnavailable),
        (503, {}, ProcessorUnavailable),
        (307, {}, ProcessorUnavailable),
        (200, {"hello": "world"}, ProcessorUnavailable),
        (200, embedded(), ProcessorUnavailable),
        (200, embedded([1.0], [1.0]), EmbeddingFailed),
        (200, embedded([0.0, 0.0]), EmbeddingFailed),
    ],
)
def test_what_the_endpoint_refuses_is_told(status: int, body: Any, error: type[Exception]) -> None:
    with endpoint(lambda _: (status, body)) as (url, _), pytest.raises(error):
        embed(url, "text", retries=1)


def test_nobody_there() -> None:
    with pytest.raises(ProcessorUnavailable):
        embed("http://127.0.0.1:9/v1", "text", retries=0)


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "ftp://x/v1", "http://", "localhost:8000"])
def test_the_endpoint_is_one_of_http(url: str) -> None:
    with pytest.raises(InvalidInput):
        OpenAIEmbedder(model="m", base_url=url)


@given(st.text(alphabet=st.sampled_from("ab .\n\u3002"), max_size=600), st.integers(10, 80))
def test_chunks_hold_the_whole_text(text: str, size: int) -> None:
    found = chunks(text, size=size, overlap=size // 4, most=1000)
    assert all(0 < len(piece) <= size and piece.strip() for piece in found)
    at = 0
    for piece in found:
        # Each begins where the one before ends, or earlier.
        start = text.find(piece, max(at - size, 0))
        assert start >= 0
        assert not text[at:start].strip()
        at = max(at, start + len(piece))
    assert not text[at:].strip()


def test_a_sentence_is_not_cut() -> None:
    text = "The first sentence is here. " * 60
    assert all(piece.endswith(".") for piece in chunks(text))
    assert len(chunks("word " * 100_000)) == MOST
    assert chunks("") == []
    assert chunks(" \n ") == []
