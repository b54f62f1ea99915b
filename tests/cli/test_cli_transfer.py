"""Carrying by the command line: files, pipes, exit statuses, nothing secret."""

import json
import os
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import COMMAND, Cli, Done
from tests.transfer.stores import add_many, fill, open_store
from tests.transfer.test_foreign import MLFLOW, SARIF

import holdfast


@pytest.fixture
def filled(environment: str) -> str:
    with open_store(environment) as hf:
        fill(hf)
    return environment


def test_export_and_import(cli: Cli, filled: str, tmp_path: Path) -> None:
    file = tmp_path / "all.jsonl.zst"
    other = f"sqlite:///{tmp_path / 'other.db'}"
    out = cli("export", str(file), "--json")
    assert (out.code, out.json["kinds"]["analyses"]) == (0, 8)
    taken = cli("export", str(file), "--json")
    assert (taken.code, taken.json["error"]["code"]) == (4, "FILE_EXISTS")
    assert cli("export", str(file), "--force").code == 0
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".all")] == []
    brought = cli("import", str(file), "--database", other, "--json")
    assert (brought.code, brought.json["added"]["analyses"]) == (0, 8)
    again = cli("import", str(file), "--database", other)
    assert again.code == 0
    assert "findings" in again.out
    with holdfast.open(other) as hf:
        hf.delete_analysis("first", purge=True)
        hf.store_analysis("sample", "mine", analysis_id="first")
    differing = cli("import", str(file), "--database", other)
    assert differing.code == 4
    assert "analyses first" in differing.err


def test_selections(cli: Cli, filled: str, tmp_path: Path) -> None:
    for number, (given, expected) in enumerate(
        [
            (["--tag", "zeta", "--tags", "alpha"], 1),
            (["--status", "failed", "--status", "running"], 2),
            (["--owner", "ann", "--thread-id", "t1", "--session-id", "s1", "--kind", "sample"], 1),
            (["--subject", "repository:ssh://host/ä"], 3),
            (["--since", "2031-01-01"], 0),
            (["--until", "2031-01-01"], 8),
        ]
    ):
        out = cli("export", str(tmp_path / f"{number}.jsonl"), *given, "--json")
        assert out.json["kinds"].get("analyses", 0) == expected, given
    assert cli("export", str(tmp_path / "x.sarif"), "--format", "sarif").code == 2
    assert cli("export", str(tmp_path / "no" / "folder")).code == 5


def test_pipes(filled: str, tmp_path: Path) -> None:
    other = f"sqlite:///{tmp_path / 'other.db'}"
    out = subprocess.run([*COMMAND, "export", "-"], capture_output=True, check=True)
    assert out.stdout.startswith(b'{"bundle":"holdfast"')
    done = subprocess.run(
        [*COMMAND, "import", "-", "--database", other, "--json"], input=out.stdout, capture_output=True, check=False
    )
    assert json.loads(done.stdout)["added"]["analyses"] == 8
    cut = subprocess.run(
        [*COMMAND, "import", "-", "--database", f"{other}2", "--json"],
        input=out.stdout[:-200],
        capture_output=True,
        check=False,
    )
    assert cut.returncode == 5
    assert json.loads(cut.stdout)["error"]["code"] == "INVALID_BUNDLE"
    document = subprocess.run([*COMMAND, "export", "-", "--format", "analyses"], capture_output=True, check=True)
    assert json.loads(document.stdout)["total_count"] == 8


def test_other_programs(cli: Cli, tmp_path: Path) -> None:
    for name, document in (("a.sarif", SARIF), ("run.json", MLFLOW)):
        (tmp_path / name).write_text(json.dumps(document))
        done = cli("import", str(tmp_path / name))
        assert done.code == 0, done.err
    assert "Kept in the results only" in done.out
    (tmp_path / "rubbish").write_text("rubbish")
    wrong = cli("import", str(tmp_path / "rubbish"), "--json")
    assert (wrong.code, wrong.json["error"]["code"]) == (5, "INVALID_FILE")
    assert cli("import", str(tmp_path / "missing")).code == 5


def test_backup_and_restore(cli: Cli, filled: str, tmp_path: Path) -> None:
    file = str(tmp_path / "backup.zst")
    other = f"sqlite:///{tmp_path / 'restored.db'}"
    made = cli("db", "backup", file, "--json")
    assert made.code == 0
    assert Path(file).stat().st_mode & 0o077 == 0
    done = cli("db", "restore", file, "--database", other, "--json")
    assert (done.code, done.json["sha256"]) == (0, made.json["sha256"])
    assert cli("db", "restore", file, "--database", other).code == 4
    assert cli("db", "restore", file, "--database", other, "--force").code == 0
    assert cli("token", "list", "--database", other, "--json").json["items"][0]["name"] == "ci"
    Path(file).write_bytes(Path(file).read_bytes()[:-40])
    assert cli("db", "restore", file, "--database", other, "--force").code == 5
    assert cli("show", "first", "--database", other).code == 0


def test_migrate_to(cli: Cli, filled: str, tmp_path: Path) -> None:
    other = f"sqlite:///{tmp_path / 'moved.db'}"
    done = cli("db", "migrate-to", other, "--json")
    assert (done.code, done.json["added"]["analyses"]) == (0, 8)
    assert cli("db", "migrate-to", other).code == 4
    assert cli("db", "migrate-to", other, "--force").code == 0
    assert cli("db", "migrate-to", filled).code == 5


def test_check_and_repair(cli: Cli, filled: str) -> None:
    assert cli("db", "check").code == 0
    with holdfast.open(filled) as hf:
        hf.store.write(lambda uow: uow.counters.add("analyses", 3))
    found = cli("db", "check")
    assert found.code == 6
    assert "--repair sets it right" in found.out
    assert cli("db", "check", "--json").json["left"][0]["kind"] == "counter"
    assert "repaired: " in cli("db", "check", "--repair").out
    assert cli("db", "check").code == 0


def test_a_bar_on_a_terminal(terminal: Any, filled: str, tmp_path: Path) -> None:
    with open_store(filled) as hf:
        add_many(hf, 400)
    done: Done = terminal("export", str(tmp_path / "out.jsonl"))
    assert done.code == 0
    assert "rows" in done.out


def test_config_show(cli: Cli, environment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = uuid.uuid4().hex
    config = tmp_path / "holdfast.toml"
    config.write_text(f'[runs]\nconcurrency = 3\ndask_address = "tls://me:{secret}@scheduler:8786"\n')
    monkeypatch.setenv("HOLDFAST_CONFIG", str(config))
    monkeypatch.setenv("HOLDFAST_DATABASE_URL", f"postgresql://app:{secret}@db.example.org/holdfast?password={secret}")
    shown = cli("config", "show", "--json")
    settings = shown.json["settings"]
    assert settings["concurrency"] == {"value": 3, "source": "file", "name": "runs.concurrency", "file": str(config)}
    assert settings["database_url"]["name"] == "HOLDFAST_DATABASE_URL"
    assert settings["reuse_hours"]["source"] == "default"
    people = cli("config", "show")
    assert "[access]" in people.out
    # Nor in what goes wrong.
    failing = [cli("list", "--json"), cli("list"), cli("db", "check"), cli("db", "migrate-to", "sqlite:///x.db")]
    monkeypatch.setenv("HOLDFAST_RATE_LIMIT_START", f"https://me:{secret}@x/")
    wrong = cli("config", "show")
    assert wrong.code == 5
    assert "HOLDFAST_RATE_LIMIT_START" in wrong.err
    for done in (shown, people, wrong, *failing):
        assert secret not in done.out + done.err
    assert os.environ["HOLDFAST_CONFIG"] == str(config)
