"""Every command and option that the source of the command line documents is there, and does what it says."""

import json
from typing import Any

import pytest
import typer
from tests.cli.conftest import Cli

import holdfast
from holdfast.cli.commands import app

# analysis_cli.py and analysis_processing_daemon.py: what they take, and what ours is called.
DOCUMENTED = {
    "list": ["--thread-id", "--session-id", "--task-name", "--tags", "--status", "--limit"],
    "show": ["analysis_id"],
    "thread": ["thread_id", "--limit", "--verbose"],
    "process": ["--processor-type", "--limit"],
    "reprocess": ["analysis_ids", "--processors"],
    "status": ["--analysis-id"],
    "export": ["file", "--thread-id", "--session-id", "--task-name", "--tags", "--status"],
    "import": ["file"],
    "worker": [
        *("--storage-dir", "--interval", "--batch-size", "--no-vector-store", "--no-graph-db", "--once", "--status"),
        *("--verbose", "--detach", "--enable", "--disable", "order"),
    ],
}
# As the document writes them, with our program's names.
EXAMPLES = [
    ["list", "--limit", "20"],
    ["thread", "conversation_456", "--verbose"],
    ["process", "--limit", "50"],
    ["status"],
    ["export", "{tmp}/analyses.json", "--tags", "decision", "analysis"],
    ["export", "{tmp}/more.json", "--tags", "decision", "analysis", "--format", "analyses"],
    ["list", "--tags", "decision", "analysis", "--limit", "5"],
    ["reprocess", "first", "--processors", "fulltext"],
    ["worker", "--interval", "60", "--batch-size", "20", "--once"],
    ["worker", "--once"],
    ["worker", "--status"],
]


@pytest.mark.parametrize(
    ("command", "name"), [(command, name) for command, names in DOCUMENTED.items() for name in names]
)
def test_it_is_there(command: str, name: str) -> None:
    group: Any = typer.main.get_command(app)
    known = {option for one in group.commands[command].params for option in (one.name, *one.opts)}
    assert name in known


def test_the_document_is_followed(cli: Cli, environment: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("HOLDFAST_PROCESSORS", "fulltext")
    with holdfast.open(environment) as hf:
        about: dict[str, Any] = {
            "thread_id": "conversation_456",
            "tags": ["decision", "analysis"],
            "task_name": "Decision Analysis",
        }
        hf.tasks.store_task_analysis("Analyze alternatives", {"a": 1}, analysis_id="first", **about)
        hf.tasks.store_task_analysis("Something else", {"a": 2}, tags=["decision"])
    for example in EXAMPLES:
        done = cli(*(one.format(tmp=tmp_path) for one in example))
        assert done.code == 0, (example, done.err)
    exported = json.loads((tmp_path / "more.json").read_text())
    assert [one["metadata"]["analysis_id"] for one in exported["analyses"]] == ["first"]
    by_name = cli("list", "--task-name", "Decision Analysis", "--json").json["items"]
    assert [one["analysis_id"] for one in by_name] == ["first"]
    assert cli("export", str(tmp_path / "n.json"), "--task-name", "Decision Analysis").code == 0
    assert cli("show", "nothing").code == 3
    assert cli("thread", "nothing").code == 3
    assert cli("reprocess", "nothing").code == 3
