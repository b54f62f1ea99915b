"""The first token, made by another process while the service runs: from its commit on everybody needs one."""

import asyncio
import json
import subprocess
from collections.abc import Iterator

import pytest

from holdfast.api.app import create_app
from holdfast.bootstrap import Holdfast
from tests.api.serving import LINT, UNLIMITED, bearer, listening, local, store
from tests.api.test_api_matrix import BODIES
from tests.api.test_stream_access import STREAM, port_of, until_it_ends
from tests.cli.conftest import COMMAND
from tests.services.samples import opened
from tests.support.streams import chunk, get, request

OPEN = {"/health", "/ready", "/api/v1/clients"}


def make_token(database: str) -> dict[str, str]:
    """A new token's header, once the command that makes it has ended."""
    command = [*COMMAND, "token", "create", "me", "--role", "admin", "--json", "--database", database]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return bearer(json.loads(done.stdout)["secret"])


def routes(hf: Holdfast) -> Iterator[tuple[str, str]]:
    for path, operations in create_app(hf).openapi()["paths"].items():
        if path not in OPEN:
            yield from ((method.upper(), path) for method in operations)


def test_no_request_without_a_token_is_answered_once_there_is_one(database: str) -> None:
    with local(database) as (hf, http):
        made = store(http)
        place = f"/api/v1/analyses/{made['analysis_id']}"
        assert http.get(place).status_code == 200
        known = [*routes(hf)]
        headers = make_token(database)
        # The routes that are read past the others first: nothing before them can have noticed.
        for method, path in [("GET", place), ("GET", f"{place}/result"), *known]:
            filled = path.replace("{analysis_id}", made["analysis_id"]).replace("{client_id}", "local")
            for name in ("repo_id", "branch_name", "conflict_id", "task_id", "token_id"):
                filled = filled.replace(f"{{{name}}}", "x")
            filled = filled.replace("{conflict_index}", "0").replace("{job_id}", "1")
            body = BODIES.get(path, {}) if method in {"POST", "PUT"} else None
            answer = http.request(method, filled, params={"client_session_id": "local"}, json=body)
            assert answer.status_code == 401, f"{method} {path}: {answer.status_code} {answer.text[:200]}"
        assert http.get(place, headers=headers).json()["analysis_id"] == made["analysis_id"]
        assert len(known) > 60


@pytest.mark.parametrize("path", ["/api/v1/analyses", "/api/v1/persistence/analyses/local"])
def test_the_very_next_request_needs_it(database: str, path: str) -> None:
    with local(database) as (_, http):
        store(http)
        assert http.get(path).status_code == 200
        with opened(database, **UNLIMITED) as another:
            secret = another.accounts.create_token("me").secret
            assert http.get(path).status_code == 401
            assert http.get(path, headers=bearer(secret)).status_code in {200, 403}
            # It stays so when the token is gone.
            another.accounts.revoke_token(another.accounts.list_tokens().items[0].token_id)
        assert http.post("/api/v1/analyses", json=LINT).status_code == 401


def test_a_name_from_elsewhere_is_served_from_then_on(database: str) -> None:
    elsewhere = {"host": "holdfast.example.org"}
    with local(database) as (_, http):
        assert http.get("/api/v1/analyses", headers=elsewhere).status_code == 421
        with opened(database, **UNLIMITED) as another:
            headers = bearer(another.accounts.create_token("me").secret)
        assert http.get("/api/v1/analyses", headers=elsewhere | headers).status_code == 200


@pytest.mark.parametrize("behind", [False, True])
def test_streams_of_those_without_one_end(database: str, behind: bool) -> None:
    async def work(port: int) -> None:
        path = f"/api/v1/events{'?last_event_id=0' if behind else ''}"
        async with request(port, path, STREAM) as (status, _, body):
            assert status == 200
            assert await chunk(body) == b"retry: 1000\n\n"
            headers = await asyncio.to_thread(make_token, database)
            async with asyncio.timeout(60):
                await until_it_ends(body)
        status, _, _ = await get(port, path, STREAM)
        assert status == 401
        async with request(port, path, STREAM | headers) as (status, _, _):
            assert status == 200

    with opened(database, **UNLIMITED) as hf, listening(hf) as address:
        asyncio.run(work(port_of(address)))
