"""The lines of curl in the documentation, as they are printed, by a real curl against a real service."""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import holdfast
from holdfast.domain.access import Role
from tests.analyzers.code.gitrepo import GitRepo
from tests.api.test_api_serve import serving

DOCS = Path(__file__).parents[2] / "docs"
CURL = shutil.which("curl")
pytestmark = pytest.mark.skipif(CURL is None, reason="no curl here")

_BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)
# What the pages call a service that asks for tokens.
_ELSEWHERE = ("http://server:8000", "https://holdfast.example.org")

_ITEM = {"analysis_id", "status", "created_at", "completed_at", "has_result", "retrieval_count"}
_STATS = {
    "total_results",
    "total_sessions",
    "storage_size_bytes",
    "storage_size_mb",
    "storage_limit_mb",
    "status_counts",
    "last_cleanup",
}
_RECORD = {
    "analysis_id",
    "client_session_id",
    "client_ip",
    "code_hash",
    "result_data",
    "status",
    "created_at",
    "completed_at",
    "ttl_seconds",
    "retrieval_count",
    "max_retrievals",
}
# What the source document names, with its shapes: each must be among the lines.
SHAPES: dict[str, dict[str, Any]] = {
    "GET /api/v1/persistence/analyses/client-456": {
        "": {"success", "client_id", "analyses", "count", "limit", "offset", "retrieved_at"},
        "analyses": _ITEM,
    },
    "GET /api/v1/persistence/analyses/analysis-123": {"analysis": _RECORD},
    "GET /api/v1/persistence/stats": {"": {"success", "stats", "retrieved_at"}, "stats": _STATS},
    "DELETE /api/v1/persistence/analysis/analysis-123": {"": {"success", "analysis_id"}},
}


def lines() -> Iterator[str]:
    for page in sorted(DOCS.rglob("*.md")):
        if page.parent.name == "decisions":
            continue
        for block in _BLOCK.findall(page.read_text()):
            yield from (line for line in block.replace("\\\n", "").splitlines() if line.startswith("curl "))


def run(line: str) -> tuple[str, Any]:
    """What was asked for, and the answer."""
    words = shlex.split(line)
    done = subprocess.run(
        [*words, "--silent", "--show-error", "--fail-with-body"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    address = next(word for word in words[1:] if "/api/" in word)
    method = words[words.index("-X") + 1] if "-X" in words else "POST" if "--json" in words else "GET"
    path = urlsplit(address if "//" in address else f"//{address}").path
    return f"{method} {path}", json.loads(done.stdout)


def test_the_lines_work_as_printed_and_answer_in_the_documented_shapes(tmp_path: Path) -> None:
    made = GitRepo(tmp_path / "app")
    made.commit({"app.py": "def f(a):\n    return a\n"})
    local = [line for line in lines() if not any(name in line for name in _ELSEWHERE)]
    asked: dict[str, Any] = {}
    with serving(f"sqlite:///{tmp_path}/local.db", "--no-worker") as (_, address):
        host = urlsplit(address).netloc.replace("127.0.0.1", "localhost")
        for line in local:
            # As printed, but for the port, which others may have, and the folder, which is not here.
            what, answer = run(line.replace("localhost:8000", host).replace("/srv/app", str(made.path)))
            asked.setdefault(what, answer)
    assert SHAPES.keys() - asked.keys() == set()
    for what, shapes in SHAPES.items():
        for part, names in shapes.items():
            found = asked[what] if not part else asked[what][part]
            for one in found if isinstance(found, list) else [found]:
                assert names <= one.keys(), f"{what}: {names - one.keys()}"
    (listed,) = asked["GET /api/v1/persistence/analyses/client-456"]["analyses"]
    assert isinstance(listed["created_at"], float)
    assert asked["GET /api/v1/persistence/analyses/analysis-123"]["analysis"]["result_data"] == {"warnings": 3}


def test_the_lines_with_a_token_work(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/tokens.db"
    with holdfast.open(url) as hf:
        secret = hf.accounts.create_token("me", role=Role.ADMIN).secret
    elsewhere = [line for line in lines() if any(name in line for name in _ELSEWHERE)]
    assert len(elsewhere) >= 2
    with serving(url, "--no-worker") as (_, address):
        for line in elsewhere:
            for name in _ELSEWHERE:
                line = line.replace(name, address)  # noqa: PLW2901 each page has a name of its own
            run(line.replace("hf_...", secret))
