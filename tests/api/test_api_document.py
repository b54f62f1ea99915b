"""The OpenAPI document: whole, true, and good enough to make clients from."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks as openapi_checks

from holdfast.domain.access import Role
from tests.api.serving import LINT, UNLIMITED, listening, local, store, token
from tests.services.samples import opened

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / ".venv-client" / "bin"
# All operations together in less than a minute.
_EXAMPLES = 12
_ERRORS = {"400", "401", "403", "421", "422", "429", "500", "503"}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """A service with a little of everything in it, and an administrator's header.

    With a token from the start: the first one that a probe made would close the door to what comes after it.
    """
    with opened(f"sqlite:///{tmp_path / 'holdfast.db'}", **UNLIMITED) as hf, listening(hf) as address:
        header = token(hf, "admin", Role.ADMIN)
        with httpx.Client(base_url=address, headers=header) as http:
            for number in range(3):
                store(http, analysis_id=f"known-{number}", result=number)
            assert http.post("/api/v1/analyses", json={"kind": "sample", "target": "t"}).status_code == 202
        yield address, header


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    url = f"sqlite:///{tmp_path_factory.mktemp('document') / 'holdfast.db'}"
    with local(url) as (_, http):
        found: dict[str, Any] = http.get("/openapi.json", timeout=60).json()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_every_operation_is_described(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert set(document["components"]["securitySchemes"]) == {"bearer", "client"}
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(names) == len(set(names)) > 30
    known = {tag["name"] for tag in document["tags"]}
    for name, operation in operations(document):
        assert operation["description"], name
        assert set(operation["tags"]) <= known, name
        assert operation["responses"].keys() >= _ERRORS, name
        for code, response in operation["responses"].items():
            if code >= "400":
                reference = response["content"]["application/json"]["schema"]["$ref"]
                assert reference == "#/components/schemas/Problem", name
    examples = document["components"]["schemas"]["NewAnalysis"]["examples"]
    assert {"result", "target"} <= {key for example in examples for key in example}


_CHECKS = [
    schemathesis.checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_schema_conformance,
]


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # theirs
def test_nothing_but_what_is_documented(service: tuple[str, dict[str, str]]) -> None:
    address, header = service
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    bounded = settings(
        max_examples=_EXAMPLES,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    seen = 0
    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()
        # What streams never ends; it has tests of its own.
        if operation.path.endswith("/events"):
            continue
        seen += 1

        @bounded
        @given(case=operation.as_strategy())
        def probe(case: schemathesis.Case[Any]) -> None:
            case.call_and_validate(checks=_CHECKS, headers=header)

        probe()
    assert seen > 30
    assert httpx.get(f"{address}/api/v1/tokens", headers=header, timeout=60).status_code == 200


def test_no_two_schemas_share_a_name(document: dict[str, Any]) -> None:
    # Two of one name get their modules' names before it, and generators of clients drop one.
    assert [name for name in document["components"]["schemas"] if "__" in name] == []


@pytest.mark.skipif(not CLIENT.exists(), reason="No client generator: make .venv-client/.locked")
def test_a_client_made_from_it_works(
    service: tuple[str, dict[str, str]], document: dict[str, Any], tmp_path: Path
) -> None:
    address, header = service
    config = tmp_path / "config.yaml"
    # As it comes: to lint it again would test the linter.
    config.write_text("post_hooks: []\n")
    # The generator waits five seconds for an address, which a busy machine may take.
    described = tmp_path / "openapi.json"
    described.write_text(json.dumps(document))
    made = subprocess.run(
        [
            str(CLIENT / "openapi-python-client"),
            "generate",
            "--path",
            str(described),
            "--meta",
            "none",
            "--output-path",
            str(tmp_path / "made"),
            "--fail-on-warning",
            "--config",
            str(config),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-incremental", "--python-executable", str(CLIENT / "python"), "made"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
    used = subprocess.run(
        [str(CLIENT / "python"), "-c", _USE, address, header["authorization"].split()[1], str(described)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert used.returncode == 0, used.stderr
    told = ["completed", "True", "True", "completed", "1", "1", "fix/a", "scheduled", "cancelled", "True", "True"]
    assert used.stdout.split() == told


_USE = f"""
import importlib
import json
import sys

from made import AuthenticatedClient
from made.api.analyses import create_analysis, delete_analysis, get_analysis, list_analyses, restore_analysis
from made.api.freshness import cancel_refresh, get_scheduled_tasks, schedule_refresh
from made.api.repositories import get_branch, store_repository, sync_branches
from made.api.search import list_threads, search_analyses
from made.models import BranchBatch, NewAnalysis, RepositoryIn

with AuthenticatedClient(sys.argv[1], sys.argv[2], timeout=60, raise_on_unexpected_status=True) as client:
    new = NewAnalysis.from_dict({LINT!r})
    made = create_analysis.sync(client=client, body=new)
    print(made.status)
    found = get_analysis.sync(made.analysis_id, client=client)
    listed = list_analyses.sync(client=client, kind="lint")
    print(found.analysis_id in [one.analysis_id for one in listed.items])
    print(delete_analysis.sync(made.analysis_id, client=client).success)
    print(restore_analysis.sync(made.analysis_id, client=client).status)
    print(store_repository.sync("r", client=client, body=RepositoryIn(name="R")).version)
    said = BranchBatch.from_dict({{"branches": [{{"name": "fix/a", "commit_sha": "c"}}]}})
    print(sync_branches.sync("r", client=client, body=said).synced)
    print(get_branch.sync("r", "fix/a", client=client).name)
    task = schedule_refresh.sync("r", "fix/a", client=client, delay_minutes=60).task_id
    print(*[one.status for one in get_scheduled_tasks.sync(client=client).tasks if one.task_id == task])
    print(cancel_refresh.sync(task, client=client).status)
    create_analysis.sync(client=client, body=NewAnalysis.from_dict({{"kind": "task", "result": 1, "thread_id": "t7"}}))
    print("t7" in [one.id for one in list_threads.sync(client=client).items])
    print("task" in [one.analysis.kind for one in search_analyses.sync(client=client, q="kind:task").items])
    # Of every operation there is a function.
    for operations in json.load(open(sys.argv[3]))["paths"].values():
        for operation in operations.values():
            name = operation["operationId"]
            module = importlib.import_module(f"made.api.{{operation['tags'][0]}}.{{name}}")
            assert hasattr(module, "sync_detailed"), name
"""
