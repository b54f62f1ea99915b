"""Bodies, ids and clients that mean harm, or are broken."""

import json
import logging
import socket
import time
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest

from holdfast.api import errors as edge
from holdfast.bootstrap import Holdfast
from holdfast.domain import errors
from tests.api.serving import LINT, local
from tests.support.processes import wait_until


def deep(depth: int) -> bytes:
    return b'{"kind":"lint","result":' + b"[" * depth + b"]" * depth + b"}"


BODIES = [
    (b"", 400),
    (b"{", 400),
    (b"nonsense", 400),
    (b"\xff\xfe{}", 400),
    (b'{"kind":"lint","result":"\xff"}', 400),
    (b'{"kind":"lint","result":NaN}', 422),
    (b'{"kind":"lint","result":[1,Infinity]}', 422),
    (b'{"kind":"lint","result":1e999}', 422),
    (b'{"kind":"lint","result":' + b"9" * 400 + b"}", 201),
    (b'{"kind":"lint","result":' + b"9" * 5000 + b"}", 400),
    (b'{"kind":"lint","result":1,"priority":1e400}', 422),
    (b'{"kind":"lint","result":1,"ttl_seconds":1e308}', 422),
    (b'{"kind":"lint","result":1,"metrics":{"a":NaN}}', 422),
    (b'{"kind":"lint\\u0000","result":1}', 422),
    (b'{"kind":"lint","result":1,"client_session_id":"a\\u0000b"}', 422),
    (b'{"kind":"lint","result":1,"tags":["\\u0000"]}', 422),
    (b'{"kind":"lint","result":1,"tags":["\\ud800"]}', 400),
    (b'{"kind":"lint","result":1} {"kind":"lint","result":2}', 400),
    (deep(100_000), 400),
    (deep(150), 201),
    (b'{"kind":"lint","result":{"\\u0000":"\\u0000"}}', 201),
    (b'{"kind":"lint","result":1,"summary":"\\u0000"}', 201),
    (b'{"kind":"lint","result":1,"params":{"a":"\\u0000","b":"x"}}', 201),
    (b'{"kind":"lint","result":1,"findings":[{"rule":"r","severity":"low","title":"\\u0000"}]}', 201),
]


@pytest.mark.parametrize(("body", "status"), BODIES, ids=map(str, range(len(BODIES))))
def test_hostile_bodies(http: httpx.Client, body: bytes, status: int) -> None:
    answer = http.post("/api/v1/analyses", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text
    if status < 300:
        place = answer.headers["location"]
        wanted = json.loads(body)["result"]
        assert http.get(f"{place}/result").json() == wanted
        assert http.get(place).status_code == 200
        assert http.get(f"{place}/findings").status_code == 200


def ids() -> Iterator[str]:
    parts = ["..", ".", "etc", "passwd", "%2e%2e", "..%2f", "..\\", "\0", "%00", "~", "C:", "//", "\u202e", "é", "'--"]
    for number in range(1000):
        count = number % 5 + 1
        yield "/".join(parts[(number * (step + 3) + step) % len(parts)] for step in range(count))


def test_no_id_is_a_path(http: httpx.Client) -> None:
    http.post("/api/v1/analyses", json=LINT)
    for number, one in enumerate(ids()):
        where = (
            "/api/v1/analyses/{}",
            "/api/v1/analyses/{}/result",
            "/api/v1/persistence/analyses/{}?client_session_id=c",
        )
        answer = http.get(where[number % 3].format(quote(one, safe="")))
        assert answer.status_code in {400, 404, 422}, one
        assert answer.json()["error"]["request_id"]


def test_a_body_may_be_so_large(database: str) -> None:
    with local(database, max_body_mb=0.01) as (_, http):
        allowed = int(0.01 * 1024 * 1024)
        body = json.dumps(LINT | {"result": "x" * allowed}).encode()
        told = http.post("/api/v1/analyses", content=body, headers={"content-type": "application/json"})
        assert told.status_code == 413
        assert told.json()["error"]["details"] == {"actual_bytes": len(body), "allowed_bytes": allowed}

        def pieces() -> Iterator[bytes]:
            for start in range(0, len(body), 1000):
                yield body[start : start + 1000]

        chunked = http.post("/api/v1/analyses", content=pieces(), headers={"content-type": "application/json"})
        assert chunked.status_code == 413
        assert chunked.json()["error"]["details"]["allowed_bytes"] == allowed
        assert http.post("/api/v1/analyses", json=LINT).status_code == 201


def test_a_slow_body_is_not_waited_for(database: str) -> None:
    with local(database, body_timeout_seconds=0.3) as (_, http):
        address = (http.base_url.host, http.base_url.port or 0)
        with socket.create_connection(address, timeout=60) as slow:
            slow.sendall(
                b"POST /api/v1/analyses HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: 1000\r\n\r\n{"
            )
            began = time.monotonic()
            # Others are answered meanwhile.
            assert http.post("/api/v1/analyses", json=LINT).status_code == 201
            answer = b""
            while piece := slow.recv(65536):
                answer += piece
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b"BODY_TOO_SLOW" in answer
            # Without the setting it would be thirty seconds.
            assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1.evil.example"}, 421),
        ({"host": "localhost.evil.example:80"}, 421),
        ({"host": "[::1"}, 421),
        ({"host": "169.254.169.254"}, 421),
        ({"origin": "https://evil.example"}, 421),
        ({"origin": "null"}, 421),
        ({"host": "localhost:1"}, 200),
        ({"host": "app.localhost"}, 200),
        ({"host": "[::1]:8000"}, 200),
        ({"host": "127.1.2.3"}, 200),
        ({"origin": "http://localhost:5173"}, 200),
    ],
)
def test_pages_of_others_do_not_reach_a_local_service(http: httpx.Client, headers: dict[str, str], status: int) -> None:
    answer = http.get("/api/v1/stats", headers=headers)
    assert answer.status_code == status
    if status != 200:
        assert answer.json()["error"]["code"] == "FOREIGN_HOST"


def test_forms_are_no_json(http: httpx.Client) -> None:
    for media in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = http.post("/api/v1/analyses", content=json.dumps(LINT), headers={"content-type": media})
        assert (answer.status_code, answer.json()["error"]["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


def test_every_error_has_one_shape(http: httpx.Client) -> None:
    answers = {
        http.get("/nowhere"): 404,
        http.get("/api/v1/analyses/unknown"): 404,
        http.patch("/api/v1/stats"): 405,
        http.get("/api/v1/analyses", params={"limit": "many"}): 422,
        http.post("/api/v1/analyses", content=b"{"): 400,
    }
    for answer, status in answers.items():
        assert answer.status_code == status
        body = answer.json()
        assert body.keys() == {"success", "error"}
        assert body["success"] is False
        assert body["error"].keys() == {
            "code",
            "message",
            "details",
            "suggestions",
            "analysis_id",
            "partial_results_available",
            "retry_suggested",
            "request_id",
        }
        assert body["error"]["request_id"] == answer.headers["x-request-id"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert http.patch("/api/v1/stats").headers["allow"] == "GET"


def named(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "holdfast.access"]


def test_a_request_may_bring_its_name(http: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="holdfast.access"):
        assert http.get("/health", headers={"x-request-id": "trace-12345"}).headers["x-request-id"] == "trace-12345"
        given = http.get("/health", headers={"x-request-id": "a b\tc"}).headers["x-request-id"]
        # Written when the answer is out, so perhaps after it is read.
        wait_until(lambda: len(named(caplog)) == 2, 60, "the log")
    assert given != "a b\tc"
    records = named(caplog)
    assert [getattr(record, "request_id", "") for record in records] == ["trace-12345", given]
    assert getattr(records[0], "status", None) == 200


def test_what_a_store_says_stays_inside(
    database: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(error: Exception) -> None:
        def stats() -> None:
            raise error

        monkeypatch.setattr(hf.queries, "stats", stats)

    with local(database) as (hf, http):
        away(errors.StoreUnavailable("connection to server at 10.0.0.7, user holdfast failed"))
        answer = http.get("/ready")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "STORE_UNAVAILABLE")
        assert int(answer.headers["retry-after"]) >= 1
        assert "10.0.0.7" not in answer.text
        # The log has it, in a line: each request says so as long as the store is away.
        (told,) = [record for record in caplog.records if answer.headers["x-request-id"] in record.getMessage()]
        assert "10.0.0.7" in told.getMessage()
        assert not told.exc_info
        assert "holdfast_store_up 0.0" in http.get("/metrics").text
        away(RuntimeError("secret of the inside"))
        answer = http.get("/ready")
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "UNEXPECTED_ERROR")
        assert "secret" not in answer.text
        assert answer.json()["error"]["request_id"] == answer.headers["x-request-id"]


def test_too_often_is_told_with_when(database: str) -> None:
    with local(database, rate_limit_start="1/minute") as (_, http):
        asked = [http.post("/api/v1/analyses", json={"kind": "sample", "target": "t"}) for _ in range(2)]
        assert [answer.status_code for answer in asked] == [202, 429]
        # The window slides: one that was full takes another to fade out.
    assert 1 <= int(asked[1].headers["retry-after"]) <= 120


def test_every_class_of_error_has_a_status() -> None:
    def below(error: type[errors.HoldfastError]) -> Iterator[type[errors.HoldfastError]]:
        yield error
        for child in error.__subclasses__():
            yield from below(child)

    named = {kind for kind, _ in edge.STATUSES}
    for kind in below(errors.HoldfastError):
        # By its own class or a more special one than the root.
        fitting = next(one for one in kind.__mro__ if one in named)
        if fitting is errors.HoldfastError:
            assert kind is fitting or issubclass(kind, errors.RunError | errors.NoCurrentRun) or "." in kind.__module__


def test_the_store_is_asked_for_readiness(both: tuple[Holdfast, httpx.Client]) -> None:
    assert both[1].get("/ready").status_code == 200
