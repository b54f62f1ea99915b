"""The edge: exit statuses, errors, pipes, help, versions, and that the documents tell it all."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import typer
from tests.analyzers.code.gitrepo import GitRepo
from tests.cli.conftest import COMMAND, Cli

import holdfast
from holdfast.cli.commands import app
from holdfast.cli.errors import MEANINGS, ExitCode, exit_code
from holdfast.domain import errors
from holdfast.store.engine import Engine

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command
    else:
        for name, sub in below.items():
            yield from _commands(sub, f"{path} {name}")


COMMANDS = dict(_commands(typer.main.get_command(app), "holdfast"))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.AnalysisNotFound(), 3),
        (errors.ResultNotFound(), 3),
        (errors.JobNotFound(), 3),
        (errors.ContentConflict(), 4),
        (errors.IllegalMove(), 4),
        (errors.InvalidId(), 5),
        (errors.InvalidParams(), 5),
        (errors.UnknownKind(), 5),
        (errors.BranchNotFound(), 5),
        (errors.InvalidDatabaseUrl(), 5),
        (errors.StoreUnavailable(), 6),
        (errors.StoreFull(), 6),
        (errors.StoreReadOnly(), 6),
        (errors.StoreCorrupt(), 6),
        (errors.PayloadCorrupt(), 6),
        (errors.StoreError(), 6),
        (errors.NoDatabase(), 3),
        (errors.SchemaNewer(), 7),
        (errors.SchemaOutdated(), 7),
        (errors.AnalysisCancelled(), 130),
        (errors.AnalysisTimeout(), 1),
        (errors.AnalyzerCrashed(), 1),
        (errors.HoldfastError(), 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_exit_status_of_each_error(error: errors.HoldfastError, status: int) -> None:
    assert exit_code(error) == status


def test_document_is_complete() -> None:
    text = DOCUMENT.read_text()
    sections = dict(re.findall(r"^### `(holdfast [^`]+)`\n(.*?)(?=^### |\Z)", text, flags=re.MULTILINE | re.DOTALL))
    assert set(sections) == set(COMMANDS)
    common = {"--database", "--json", "--help"}
    for path, command in COMMANDS.items():
        for param in (one for one in command.params if not getattr(one, "hidden", False)):
            known = [param.metavar] if param.param_type_name == "argument" else param.opts + param.secondary_opts
            for name in known:
                assert name in common or f"`{name or param.name.upper()}`" in sections[path], f"{path}: {name}"
        said = set(re.findall(r"^\| `(--[a-z-]+)`", sections[path], flags=re.MULTILINE))
        assert said <= {name for param in command.params for name in param.opts}, f"{path}: what is gone"
    for name in ("--version", "--install-completion", "--show-completion", *common):
        assert f"`{name}`" in text
    table = dict(re.findall(r"^\| (\d+) \| (.+) \|$", text, flags=re.MULTILINE))
    assert table == {str(int(code)): meaning for code, meaning in MEANINGS.items()}
    assert set(MEANINGS) == set(ExitCode)


@pytest.mark.parametrize("path", COMMANDS)
def test_each_command_has_help_a_database_and_json(path: str, cli: Cli) -> None:
    shown = cli(*path.split()[1:], "--help")
    assert shown.code == 0
    assert "Usage: holdfast" in shown.out
    options = {name for param in COMMANDS[path].params for name in param.opts}
    assert "--json" in options
    assert "--database" in options or path in {"holdfast kinds", "holdfast version"}


def test_alone_it_says_what_there_is(cli: Cli) -> None:
    alone = cli()
    assert alone.code == 0
    assert all(f"  {path.split()[1]} " in alone.out for path in COMMANDS)
    assert "retry" in cli("jobs").out
    assert "check" in cli("db").out


def test_version(cli: Cli) -> None:
    assert cli("--version").out == f"holdfast {holdfast.__version__}\n"
    assert holdfast.__version__ in cli("version").out
    assert set(cli("version", "--json").json) == {"holdfast", "python", "sqlite", "platform"}


@pytest.mark.parametrize(
    "wrong",
    [
        ["nonsense"],
        ["list", "--nonsense"],
        ["list", "--status", "nonsense"],
        ["list", "--limit", "0"],
        ["show"],
        ["analyze", ".", "--param", "novalue"],
        ["jobs", "retry"],
        ["jobs", "retry", "1", "--all"],
    ],
)
def test_usage(cli: Cli, wrong: list[str]) -> None:
    done = cli(*wrong)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error USAGE: ")
    assert " --help`" in done.err or "--param" in done.err or "--all" in done.err
    told = cli(*wrong, "--json")
    assert (told.code, told.err) == (2, "")
    assert told.json["error"]["code"] == "USAGE"


def test_errors_as_json_and_for_people(cli: Cli) -> None:
    done = cli("show", "nobody", "--json")
    assert (done.code, done.err) == (3, "")
    assert done.json["success"] is False
    assert set(done.json["error"]) == {*("code", "message", "suggestions", "details", "analysis_id", "retry_suggested")}
    assert cli("--json", "show", "nobody").json == done.json
    people = cli("show", "nobody")
    assert (people.code, people.out) == (3, "")
    assert people.err.startswith("error ANALYSIS_NOT_FOUND: There is no analysis nobody\n")
    assert "holdfast list" in people.err


def test_invalid_input(cli: Cli, repository: GitRepo, tmp_path: Path) -> None:
    where = str(repository.path)
    expected = {
        ("analyze", where, "--kind", "cod"): "UNKNOWN_KIND",
        ("analyze", where, "--branch", "nonsense"): "BRANCH_NOT_FOUND",
        ("analyze", where, "--commit", "abcdef"): "COMMIT_NOT_FOUND",
        ("analyze", where, "--param", "nonsense=1"): "INVALID_PARAMS",
        ("analyze", where, "--id", "../x"): "INVALID_ID",
        ("analyze", str(tmp_path / "nonsense")): "TARGET_NOT_FOUND",
        ("analyze", str(tmp_path)): "NOT_A_REPOSITORY",
        ("list", "--database", "mysql://x"): "INVALID_DATABASE_URL",
        ("list", "--database", "nonsense"): "INVALID_DATABASE_URL",
        ("show", "../../etc/passwd"): "INVALID_ID",
    }
    found = {given: cli(*given, "--json") for given in expected}
    assert {given: done.json["error"]["code"] for given, done in found.items()} == expected
    assert {done.code for done in found.values()} == {5}
    assert "There are: main" in cli("analyze", where, "--branch", "nonsense").err


def test_unusable_store(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("this is no database, it only looks so" * 100)
    assert cli("list", "--database", f"sqlite:///{tmp_path}/file").code == 6
    assert cli("db", "upgrade", "--database", f"sqlite:///{tmp_path}/file/below/x.db").code == 6
    gone = cli("list", "--json", "--database", "postgresql://nobody:secret@127.0.0.1:1/none")
    assert gone.code == 6
    assert gone.json["error"]["code"] == "STORE_UNAVAILABLE"
    assert gone.json["error"]["retry_suggested"] is True
    assert "secret" not in gone.out


def test_setting_of_a_wrong_form(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_CONCURRENCY", "many")
    done = cli("list")
    assert done.code == 5
    assert "concurrency" in done.err


def test_database_before_the_command(cli: Cli, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/another.db"
    assert cli("--database", url, "db", "upgrade").code == 0
    assert cli("--database", url, "stats", "--json").json["database"].endswith("another.db")
    assert cli("--database", "nonsense", "stats", "--database", url).code == 0


def test_newer_schema(cli: Cli, environment: str) -> None:
    engine = Engine(environment)
    engine.write(lambda connection: connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'")))
    engine.close()
    done = cli("list", "--json")
    assert done.code == 7
    assert done.json["error"]["code"] == "SCHEMA_NEWER"
    assert cli("db", "upgrade").code == 7
    check = cli("db", "check", "--json")
    assert check.code == 7
    assert (check.json["schema"], check.json["schema_status"]) == ("9999", "other")


def test_db(cli: Cli, empty_database: str, tmp_path: Path) -> None:
    # The other database of this test has the same file.
    url = f"sqlite:///{tmp_path}/new.db" if empty_database.startswith("sqlite") else empty_database
    there = ("--database", url)
    upgraded = cli("db", "upgrade", *there, "--json")
    assert upgraded.code == 0
    assert set(upgraded.json) == {"database", "before", "after"}
    assert upgraded.json["before"] is None
    assert "up to date" in cli("db", "upgrade", *there).out
    checked = cli("db", "check", *there, "--json")
    assert checked.code == 0
    told = {"database", "schema", "schema_needed", "schema_status", "problems", "found", "left", "results_checked"}
    assert set(checked.json) == told
    assert checked.json["schema_status"] == "current"
    assert "no problem" in cli("db", "check", *there).out
    missing = tmp_path / "missing.db"
    assert cli("db", "check", "--database", f"sqlite:///{missing}").code == 3
    assert not missing.exists()


def test_damaged_database(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "damaged.db"
    with holdfast.open(f"sqlite:///{path}") as hf:
        hf.store_analyses([holdfast.NewResult(kind="x", result={"n": number}) for number in range(300)])
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 20_000] = b"\xa5" * 20_000
    path.write_bytes(content)
    assert cli("db", "check", "--database", f"sqlite:///{path}").code == 6


def test_kinds_and_stats(cli: Cli) -> None:
    kinds = cli("kinds", "--json").json["items"]
    assert {row["kind"] for row in kinds} >= {"code", "sample", "slow"}
    assert set(kinds[0]) == {"kind", "version", "where"}
    assert "sample" in cli("kinds").out
    cli("analyze", "a", "--kind", "sample")
    cli("analyze", "b", "--kind", "sample", "--no-wait")
    stats = cli("stats", "--json").json
    assert set(stats) == {
        *("total_results", "total_sessions", "storage_size_bytes", "status_counts", "jobs", "database"),
        *("last_cleanup", "storage_limit_mb", "anonymous_size_bytes", "removed_counts", "removed_bytes"),
    }
    assert stats["status_counts"] == {"queued": 1, "completed": 1}
    assert stats["jobs"] == [{"kind": "analysis.run", "status": "ready", "count": 1}]
    assert "1 queued" in cli("stats").out


def test_broken_pipe(environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # With it, Python itself does not notice that a pipe was closed in the middle of a text.
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    with holdfast.open(environment) as hf:
        # More than any pipe holds by itself.
        subject = holdfast.Subject(kind="t", key="k", title="t" * 400)
        hf.store_analyses([holdfast.NewResult(kind="x", result=number, subject=subject) for number in range(1000)])
    for options in (["list", "--limit", "1000"], ["list", "--limit", "1000", "--json"]):
        process = subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        err = process.stderr.read().decode()
        process.stderr.close()
        assert (process.wait(timeout=30), err) == (141, "")


def test_unforeseen_error_has_no_traceback_unless_asked(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("holdfast.bootstrap.Holdfast.get_stats", fail)
    done = cli("stats")
    assert done.code == 1
    assert done.err.startswith("error UNEXPECTED_ERROR: ZeroDivisionError: by zero")
    assert "Traceback" not in done.err
    monkeypatch.setenv("HOLDFAST_LOG_LEVEL", "DEBUG")
    assert "Traceback" in cli("stats").err


@pytest.mark.parametrize("shell", ["bash"])
def test_completion(shell: str, environment: str) -> None:
    # Typer looks which shell it was called from.
    script = subprocess.run(
        [shell, "-c", f"{COMMAND[0]} --show-completion {shell}; :"], capture_output=True, text=True, check=True
    )
    assert "_HOLDFAST_COMPLETE" in script.stdout
    words = subprocess.run(
        COMMAND,
        env=os.environ | {"_HOLDFAST_COMPLETE": "complete_bash", "COMP_WORDS": "holdfast resu", "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert words.stdout.split() == ["resume"]


def test_help_imports_neither_database_nor_tables() -> None:
    code = (
        "import sys, json; from holdfast.cli.app import run; run(['--help']);"
        "print(json.dumps([name for name in ('sqlalchemy', 'rich', 'pydantic', 'psycopg') if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_a_store_in_a_file_needs_no_servers_driver_and_no_log_its_format(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'kept.db'}"
    with holdfast.open(url) as hf:
        hf.store_analysis("x", 1)
    code = (
        "import sys, json; from holdfast.cli.app import run; assert run(['list', '--database', sys.argv[1]]) == 0;"
        "print(json.dumps([name for name in ('psycopg', 'structlog', 'alembic') if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []
