"""What a command may make and write: no database by looking, no escapes in the log, no traceback for a full disk."""

import io
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.cli.conftest import COMMAND, Cli
from tests.cli.samples import EVIL

import holdfast
from holdfast.domain.findings import Severity
from holdfast.telemetry import configure_logging


@pytest.mark.parametrize(
    "command",
    [
        ["list"],
        ["show", "x"],
        ["progress", "x"],
        ["stats"],
        ["cancel", "x"],
        ["resume", "x"],
        ["delete", "x"],
        ["delete", "x", "--purge", "--yes"],
        ["restore", "x"],
        ["trash"],
        ["pin", "x"],
        ["unpin", "x"],
        ["retention", "plan"],
        ["retention", "sweep"],
        ["jobs", "list"],
        ["jobs", "retry", "--all"],
        ["jobs", "schedules"],
        ["token", "list"],
        ["token", "revoke", "x"],
        ["worker", "--status"],
        ["db", "check"],
    ],
    ids=" ".join,
)
def test_looking_makes_no_database(cli: Cli, tmp_path: Path, command: list[str]) -> None:
    folder = tmp_path / "no" / "folder"
    done = cli(*command, "--json", "--database", f"sqlite:///{folder}/x.db")
    assert done.code == 3
    assert done.json["error"]["code"] == "NO_DATABASE"
    assert not folder.parent.exists()


def test_looking_makes_no_schema(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    done = cli("list", "--json", "--database", f"sqlite:///{path}")
    assert (done.code, done.json["error"]["code"]) == (3, "NO_DATABASE")
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []


def test_log_cannot_act_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    configure_logging("INFO", "text")
    log = logging.getLogger("holdfast.analyzers.output")
    log.info("said %s", EVIL, extra={"analysis": EVIL})
    try:
        raise ValueError(EVIL)  # noqa: TRY301 as in a run
    except ValueError:
        log.exception("failed")
    shown = written.getvalue()
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "said [red]evil[/red]\\n\\x1b[31mname\\x07" in shown
    assert "Traceback (most recent call last):\n" in shown


def test_failed_run_is_shown_with_its_traceback(cli: Cli) -> None:
    cli("analyze", "fails", "--kind", "sample", "--id", "mine")
    shown = cli("show", "mine").out
    assert "Traceback" in shown
    assert "RuntimeError: it cannot be done" in shown


def test_resume_with_another_timeout(cli: Cli) -> None:
    cli("analyze", "a", "--kind", "slow", "--param", "steps=60", "--timeout", "0.5", "--id", "mine")
    done = cli("resume", "mine", "--timeout", "50", "--json")
    assert done.code == 0
    assert done.json["timeout_seconds"] == 50.0


def test_options_without_effect_are_told(cli: Cli) -> None:
    cli("analyze", "a", "--kind", "sample", "--id", "mine", "--tag", "x")
    assert "no effect" not in cli("analyze", "a", "--kind", "sample", "--tag", "x").err
    options = ("--id", "other", "--tag", "y", "--priority", "3", "--timeout", "9")
    told = cli("analyze", "a", "--kind", "sample", *options, "--json")
    assert told.json["analysis_id"] == "mine"
    assert "--id, --tag, --priority, --timeout had no effect" in told.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", [["stats"], ["list", "--json"], ["--help"], ["show", "x", "--json"]], ids=" ".join)
def test_full_output(environment: str, command: list[str], unbuffered: str) -> None:
    with holdfast.open(environment), Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, *command],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("error OUTPUT_FAILED: ")
    assert "Traceback" not in done.stderr


def test_closed_output(environment: str) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f'"{COMMAND[0]}" stats >&-'], stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error OUTPUT_FAILED: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("stop", [KeyboardInterrupt, "Terminated"])
def test_interrupted_json_is_one_document(cli: Cli, monkeypatch: pytest.MonkeyPatch, stop: object) -> None:
    from holdfast.cli.errors import Terminated  # noqa: PLC0415

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt if stop is KeyboardInterrupt else Terminated

    monkeypatch.setattr("holdfast.bootstrap.Holdfast.get_stats", interrupt)
    done = cli("stats", "--json")
    assert done.code == (130 if stop is KeyboardInterrupt else 143)
    assert done.json["error"]["code"] == "INTERRUPTED"


@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt, 130), ("terminated", 143)])
def test_stopped_in_the_midst_of_a_statement(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, stop: object, code: int
) -> None:
    from holdfast.cli.errors import Terminated  # noqa: PLC0415
    from holdfast.domain.errors import StoreUnavailable  # noqa: PLC0415

    def interrupt(*_: object, **__: object) -> None:
        try:
            try:
                raise KeyboardInterrupt if stop is KeyboardInterrupt else Terminated
            finally:
                # The connection cannot be tidied up: its last statement has no answer yet.
                raise OSError("another command is already in progress")
        except OSError as error:
            raise StoreUnavailable from error

    monkeypatch.setattr("holdfast.bootstrap.Holdfast.get_stats", interrupt)
    done = cli("stats", "--json")
    assert done.code == code
    assert done.json["error"]["code"] == "INTERRUPTED"


def test_sigterm_of_a_run_with_json(environment: str) -> None:
    command = [*COMMAND, "analyze", "a", "--kind", "slow", "--param", "steps=100000", "--id", "mine", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    with holdfast.open(environment) as hf:
        until = time.monotonic() + 30
        while not hf.list_analyses(status=holdfast.Status.RUNNING).items and time.monotonic() < until:
            time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 143
    assert '"INTERRUPTED"' in out


def test_pipes_get_no_padding(cli: Cli, environment: str) -> None:
    with holdfast.open(environment) as hf:
        found = [holdfast.Finding(rule="r", severity=Severity.LOW, title=title) for title in ("short", "longer " * 9)]
        hf.store_analysis("x", {"n": 1}, analysis_id="mine", findings=found)
        hf.store_analysis("longer-kind", {"n": 1}, analysis_id="mine-too", tags=["a"])
    for command in (["list"], ["show", "mine", "--attempts", "--events"], ["stats"]):
        lines = cli(*command).out.splitlines()
        assert [line for line in lines if line != line.rstrip()] == []


def test_eighty_columns_cut_no_language(terminal: Cli, repository: object) -> None:
    path: Path = repository.path  # type: ignore[attr-defined]
    (path / "docs.md").write_text("# words\n")
    shown = terminal("analyze", str(path), columns=80, NO_COLOR="1").out
    section = shown.split("Scores")[1].split("Kept")[0]
    assert "documentation" in section
    assert "documentati…" not in section


def test_demo_says_how_the_command_is_called(cli: Cli, monkeypatch: pytest.MonkeyPatch, repository: object) -> None:
    path: Path = repository.path  # type: ignore[attr-defined]
    spaced = path.rename(path.with_name("my app"))
    monkeypatch.setattr("shutil.which", lambda *_: None)
    out = cli("demo", str(spaced)).out
    assert f"{COMMAND[0]} analyze '{spaced}'" in out or f".venv/bin/holdfast analyze '{spaced}'" in out
