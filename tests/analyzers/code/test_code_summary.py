import contextlib
import itertools
import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import pytest
from tests.analyzers.code.gitrepo import GitRepo, analyse

from holdfast.analyzers.code import summary
from holdfast.analyzers.code.summary import Model, ModelFailed, ask_model

GOOD = json.dumps({"choices": [{"message": {"content": " All is well.\n\x07Indeed. "}}]}).encode()


class Endpoint(BaseHTTPRequestHandler):
    status: ClassVar[int] = 200
    answer: ClassVar[bytes] = b""
    headers_sent: ClassVar[dict[str, str]] = {}
    asked: ClassVar[list[tuple[str, str | None, dict[str, Any]]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, self.headers["Authorization"], body))
        self.send_response(self.status)
        for name, value in self.headers_sent.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.answer)))
        self.end_headers()
        self.wfile.write(self.answer)

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers["Authorization"], {}))
        self.send_response(200)
        self.send_header("Content-Length", str(len(GOOD)))
        self.end_headers()
        self.wfile.write(GOOD)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # its name there
        pass


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    Endpoint.status, Endpoint.headers_sent, Endpoint.asked = 200, {}, []
    Endpoint.answer = GOOD
    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/v1"
    monkeypatch.setenv("HOLDFAST_LLM_URL", url)
    monkeypatch.setenv("HOLDFAST_LLM_MODEL", "small")
    monkeypatch.setenv("HOLDFAST_LLM_API_KEY", "hush-hush")
    yield url
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_configured_model_writes_the_summary(repo: GitRepo, endpoint: str) -> None:
    repo.commit({"a.py": "secret_sauce = 1\n"})
    outcome, context = analyse(repo.path)
    assert outcome.result["ai_summary"] == "All is well.\nIndeed."
    ((path, authorization, body),) = Endpoint.asked
    assert (path, authorization, body["model"]) == ("/v1/chat/completions", "Bearer hush-hush", "small")
    assert "secret_sauce" not in json.dumps(body)
    assert "hush-hush" not in json.dumps([outcome.result, dict(context.request.params)])


@pytest.mark.parametrize(
    ("status", "answer", "headers"),
    [
        (500, b"{}", {}),
        (401, b"hush-hush", {}),
        (302, b"", {"Location": "/elsewhere"}),
        (200, b"not json", {}),
        (200, b"[]", {}),
        (200, b'{"choices": []}', {}),
        (200, b'{"choices": [{"message": {"content": null}}]}', {}),
        (200, b'{"choices": [{"message": {"content": "  "}}]}', {}),
        (200, b" " * (2 << 20), {}),
    ],
)
def test_a_model_that_fails_leaves_the_figures(
    repo: GitRepo, endpoint: str, status: int, answer: bytes, headers: dict[str, str]
) -> None:
    Endpoint.status, Endpoint.answer, Endpoint.headers_sent = status, answer, headers
    repo.commit({"a.py": "x = 1\n"})
    outcome, _ = analyse(repo.path)
    assert outcome.result["ai_summary"].startswith("project@main holds 1 file with 1 code line, mostly Python.")
    assert [skip["reason"] for skip in outcome.result["skipped"]] == ["ai_summary"]
    # The key goes nowhere but to the configured address.
    assert [path for path, _, _ in Endpoint.asked] == ["/v1/chat/completions"]
    assert "hush-hush" not in json.dumps(outcome.result)


def test_a_model_that_cannot_be_reached_or_is_too_slow(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("http://127.0.0.1:1/v1", "file:///etc/passwd", "ftp://x", "http://[", "http://a b"):
        with pytest.raises(ModelFailed):
            ask_model(Model(url=url, name="m"), {})
    monkeypatch.setattr(summary, "_TIMEOUT_SECONDS", 1e-9)
    with pytest.raises(ModelFailed):
        ask_model(Model(url=endpoint, name="m"), {})


def test_a_model_that_trickles_its_headers_does_not_hold_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "_TIMEOUT_SECONDS", 0.5)
    stop = threading.Event()

    def trickle() -> None:
        connection, _ = server.accept()
        # Who listened may have left.
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            for number in itertools.count():
                if stop.wait(0.1):
                    return
                connection.sendall(f"X-{number}: 1\r\n".encode())

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=trickle)
        thread.start()
        began = time.monotonic()
        with pytest.raises(ModelFailed, match="Timeout"):
            ask_model(Model(url=f"http://127.0.0.1:{server.getsockname()[1]}", name="m"), {})
        assert time.monotonic() - began < 3
        stop.set()
        thread.join()


def test_no_person_is_named_to_the_model(repo: GitRepo, endpoint: str) -> None:
    branches = "".join(f"    if a == {number}:\n        a += 1\n" for number in range(60))
    repo.commit({"other.py": "x = 1\n"}, author="Grace Hopper")
    for number in range(12):
        repo.commit({"a.py": f"def f(a):\n{branches}x = {number}\n"}, author="Ada Lovelace")
    outcome, _ = analyse(repo.path)
    assert any("Ada Lovelace" in finding.title for finding in outcome.findings)
    ((_, _, body),) = Endpoint.asked
    said = json.dumps(body)
    assert "one person made most of its changes" in said
    assert "Lovelace" not in said
    assert "Hopper" not in said


def test_the_key_does_not_show() -> None:
    assert "hush" not in repr(Model(url="http://x", name="m", api_key="hush"))
