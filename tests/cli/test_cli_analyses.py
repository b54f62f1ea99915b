"""Analyses by the command line: begun, listed, shown, cancelled, resumed, deleted."""

import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from tests.analyzers.code.gitrepo import GitRepo
from tests.cli.conftest import COMMAND, Cli
from tests.support.processes import wait_until

import holdfast
from holdfast.domain.findings import Finding, Severity

RECORD = {
    *("analysis_id", "kind", "status", "client_session_id", "client_ip", "thread_id", "session_id"),
    *("process_instance_id", "subject", "location", "params", "tags", "summary", "code_hash", "fingerprint"),
    *("analyzer_version", "has_result", "result_is_partial", "result_hash", "result_size_bytes", "error"),
    *("progress", "finding_count", "priority", "timeout_seconds", "attempt", "cancel_requested", "version"),
    *("refreshed_from", "created_at", "started_at", "completed_at", "updated_at", "ttl_seconds", "expires_at"),
    *("retrieval_count", "max_retrievals", "is_anonymous", "is_pinned", "deleted_at"),
    *("freshness_level", "stale_at"),
}
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def test_code_is_analysed_and_found_again(cli: Cli, repository: GitRepo) -> None:
    where = str(repository.path)
    first = cli("analyze", where, "--tag", "nightly", "--tag", "x")
    assert first.code == 0
    assert "app@main" in first.out
    assert "Scores" in first.out
    assert "holdfast show" in first.out
    assert "Analysing files (2/4)" in first.err
    again = cli("analyze", where)
    assert again.code == 0
    assert "Nothing was run" in again.out
    assert "--force" in again.out
    listed = cli("list", "--tag", "nightly", "--json").json
    assert set(listed) == {"items", "next_cursor"}
    assert [set(item) for item in listed["items"]] == [RECORD - {"progress"}]
    assert listed["items"][0]["subject"]["title"] == "app@main"
    assert cli("list", "--tag", "night", "--json").json["items"] == []
    forced = cli("analyze", where, "--force", "--json")
    assert forced.json["reused"] is False
    assert forced.json["analysis_id"] != listed["items"][0]["analysis_id"]


def test_record(cli: Cli) -> None:
    done = cli(
        *("analyze", "a thing", "--kind", "sample", "--param", "depth=3", "--param", "name=x y", "--param", "list=1"),
        *("--param", "list=two", "--id", "mine", "--owner", "ada", "--thread-id", "t", "--session-id", "s"),
        *("--priority", "4", "--timeout", "30", "--tag", "b", "--tag", "a", "--json"),
    )
    assert done.code == 0
    record = done.json
    assert set(record) == RECORD | {"reused"}
    expected = {
        "analysis_id": "mine",
        "kind": "sample",
        "status": "completed",
        "client_session_id": "ada",
        "client_ip": None,
        "thread_id": "t",
        "session_id": "s",
        "params": {"depth": 3, "name": "x y", "list": [1, "two"]},
        "tags": ["a", "b"],
        "summary": "Three things in a thing",
        "has_result": True,
        "result_is_partial": False,
        "error": None,
        "finding_count": 3,
        "priority": 4,
        "timeout_seconds": 30.0,
        "attempt": 1,
        "ttl_seconds": None,
        "retrieval_count": 0,
        "max_retrievals": None,
        "is_anonymous": False,
        "is_pinned": False,
        "deleted_at": None,
    }
    assert {name: record[name] for name in expected} == expected
    assert record["subject"] == {
        "kind": "thing",
        "key": "a thing",
        "revision": "1",
        "title": "a thing",
        "attributes": {},
    }
    assert record["progress"]["percentage"] == 100.0
    assert all(MOMENT.fullmatch(record[name]) for name in ("created_at", "started_at", "completed_at", "updated_at"))
    assert cli("progress", "mine", "--json").json == {name: record[name] for name in RECORD}


def test_show(cli: Cli, process: Cli) -> None:
    cli("analyze", "a", "--kind", "sample", "--id", "mine")
    shown = cli("show", "mine", "--json", "--metrics", "--events", "--attempts").json
    assert set(shown) == RECORD | {"findings", "metrics", "events", "attempts"}
    assert [finding["severity"] for finding in shown["findings"]] == ["high", "low", "low"]
    assert set(shown["findings"][0]) == {
        *("ordinal", "rule", "severity", "title", "message", "path", "line", "end_line", "identity", "score"),
        *("data", "items"),
    }
    assert shown["metrics"] == {"share": 0.25, "things": 3.0}
    assert [event["name"] for event in shown["events"]][0::3][0] == "analysis.submitted"
    assert set(shown["events"][0]) == {*("sequence", "name", "at", "analysis_id", "client_session_id", "actor", "data")}
    assert [attempt["status"] for attempt in shown["attempts"]] == ["completed"]
    assert set(shown["attempts"][0]) == {"number", "worker", "status", "started_at", "ended_at", "error"}
    few = cli("show", "mine", "--json", "--severity", "low", "--limit", "1").json["findings"]
    assert [finding["severity"] for finding in few] == ["low"]
    assert "findings" not in cli("show", "mine", "--json", "--no-findings").json
    people = cli("show", "mine", "--metrics", "--events", "--attempts").out
    assert "Three things in a" in people
    assert "analysis.completed" in people
    assert "0.25" in people
    raw = process("show", "mine", "--raw").out
    with holdfast.open(os.environ["HOLDFAST_DATABASE_URL"]) as hf:
        assert raw.encode() == hf.queries.result("mine")


def test_names_cannot_act_on_the_terminal(cli: Cli) -> None:
    evil = "[bold]x[/bold]\n\x1b[2Jy"
    done = cli("analyze", evil, "--kind", "sample", "--id", "mine", "--tag", "[red]\x1b[0m")
    texts = [done.out, done.err, cli("list").out, cli("show", "mine").out, cli("show", "mine", "--events").out]
    for shown in texts:
        assert "\x1b" not in shown
        assert "\x07" not in shown
    assert "[bold]x[/bold]\\n\\x1b[2Jy" in texts[2]
    assert len(texts[2].splitlines()) == 2, "a heading and one row"
    assert "[red]evil[/red]\\n\\x1b[31mname\\x07" in texts[3]


def test_beginning_of_an_id(cli: Cli, environment: str) -> None:
    with holdfast.open(environment) as hf:
        for name in ("run-1", "run-10", "run-2", "Run-3", "run.4", "other"):
            hf.store_analysis("sample", {"n": name}, analysis_id=name)
    assert cli("show", "o", "--json").json["analysis_id"] == "other"
    assert cli("show", "run-1", "--json").json["analysis_id"] == "run-1", "whole ids go before beginnings"
    assert cli("show", "run.", "--json").json["analysis_id"] == "run.4"
    ambiguous = cli("show", "run-", "--json")
    assert ambiguous.code == 5
    assert ambiguous.json["error"]["code"] == "AMBIGUOUS_ID"
    assert ambiguous.json["error"]["details"]["candidates"] == ["run-1", "run-10", "run-2"]
    assert "run-1, run-10, run-2" in cli("show", "run-").err
    assert cli("show", "zzz").code == 3


def test_list_pages_and_filters(cli: Cli, environment: str) -> None:
    with holdfast.open(environment) as hf:
        for number in range(5):
            hf.store_analysis(
                "even" if number % 2 == 0 else "odd",
                {"n": number},
                analysis_id=f"a{number}",
                context=holdfast.Context(client_session_id=f"o{number % 2}", thread_id=f"t{number}", session_id="s"),
                subject=holdfast.Subject(kind="thing", key=f"k:{number}"),
            )

    def ids(*options: str) -> list[str]:
        return [item["analysis_id"] for item in cli("list", "--json", *options).json["items"]]

    assert ids() == ["a4", "a3", "a2", "a1", "a0"]
    assert ids("--ascending", "--limit", "2") == ["a0", "a1"]
    page = cli("list", "--json", "--limit", "2").json
    assert ids("--limit", "2", "--cursor", page["next_cursor"]) == ["a2", "a1"]
    assert page["next_cursor"] in cli("list", "--limit", "2").out
    assert ids("--kind", "odd") == ["a3", "a1"]
    assert ids("--status", "failed") == []
    assert ids("--status", "failed", "--status", "completed", "--owner", "o1") == ["a3", "a1"]
    assert ids("--thread-id", "t2") == ["a2"]
    assert len(ids("--session-id", "s")) == 5
    assert ids("--subject", "thing:k:3") == ["a3"]
    assert cli("list", "--cursor", "nonsense").code == 5
    assert cli("list", "--subject", "nonsense").code == 5
    assert "Nothing fits" in cli("list", "--kind", "none").out


def test_empty_store_says_how_to_begin(cli: Cli) -> None:
    assert "holdfast analyze PATH" in cli("list").out
    assert cli("stats", "--json").json["total_results"] == 0


def test_queued_then_cancelled_then_resumed(cli: Cli) -> None:
    queued = cli("analyze", "a", "--kind", "sample", "--no-wait", "--json")
    assert queued.code == 0
    assert queued.json["status"] == "queued"
    name = queued.json["analysis_id"]
    assert "holdfast worker" in cli("analyze", "b", "--kind", "sample", "--no-wait").out
    cancelled = cli("cancel", name, "nobody", "--json")
    assert cancelled.code == 3
    assert cancelled.json["success"] is False
    assert [item["status"] for item in cancelled.json["items"]] == ["cancelled"]
    assert [error["code"] for error in cancelled.json["errors"]] == ["ANALYSIS_NOT_FOUND"]
    assert cli("cancel", name).code == 4
    assert cli("resume", name, "--no-wait", "--json").json["status"] == "queued"
    assert cli("resume", name).code == 0
    assert cli("resume", name).code == 4


def test_delete_for_good(cli: Cli) -> None:
    cli("analyze", "a", "--kind", "sample", "--id", "mine")
    refused = cli("delete", "mine", "--purge")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert "Deleted for good mine" in cli("delete", "mine", "--purge", "--yes").out
    assert cli("show", "mine").code == 3
    assert cli("restore", "mine").code == 3


def test_the_trash(cli: Cli) -> None:
    assert "empty" in cli("trash").out
    cli("analyze", "a", "--kind", "sample", "--id", "mine")
    cli("analyze", "b", "--kind", "sample", "--id", "other")
    assert "into the trash: mine" in cli("delete", "mine").out
    assert cli("delete", "oth", "--json").json["items"][0]["deleted_at"] is not None
    assert cli("show", "mine").code == 3
    listed = cli("trash", "--limit", "1", "--json").json
    assert [item["analysis_id"] for item in listed["items"]] == ["other"]
    listed = cli("trash", "--cursor", listed["next_cursor"], "--json").json
    assert [item["analysis_id"] for item in listed["items"]] == ["mine"]
    assert "mine" in cli("trash").out
    assert "Restored mine" in cli("restore", "mi").out
    assert cli("show", "mine").code == 0
    assert cli("restore", "mine").code == 4


def test_pins(cli: Cli) -> None:
    cli("analyze", "a", "--kind", "sample", "--id", "mine")
    assert "Pinned mine" in cli("pin", "mine").out
    assert "pinned" in cli("show", "mine").out
    assert cli("unpin", "mine", "--json").json["items"][0]["is_pinned"] is False


def test_retention(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Nothing would go" in cli("retention", "plan").out
    for number in range(3):
        cli("analyze", f"a{number}", "--kind", "sample", "--id", f"a{number}")
    monkeypatch.setenv("HOLDFAST_RETENTION", '{"*": {"keep_last": 1}}')
    plan = cli("retention", "plan", "--json").json
    assert [(item["analysis_id"], item["reason"]) for item in plan["items"]] == [
        ("a1", "over_count"),
        ("a0", "over_count"),
    ]
    assert (plan["total"], plan["counts"]) == (2, {"over_count": 2})
    shown = cli("retention", "plan", "--limit", "1").out
    assert "over count" in shown
    assert "1 more" in shown
    assert cli("stats", "--json").json["last_cleanup"] is None
    assert "2 analyses removed" in cli("retention", "sweep").out
    assert cli("retention", "sweep", "--json").json["total"] == 0
    assert cli("stats", "--json").json["last_cleanup"] is not None
    assert "swept" in cli("stats").out


def test_failure_is_told_with_its_code(cli: Cli) -> None:
    done = cli("analyze", "fails", "--kind", "sample")
    assert done.code == 1
    assert "✗ failed" in done.out
    assert "ANALYZER_FAILED" in done.err
    assert "it cannot be done" in done.err
    assert "holdfast resume" in done.out
    record = cli("analyze", "fails", "--kind", "sample", "--json")
    assert record.code == 1
    assert record.json["error"]["code"] == "ANALYZER_FAILED"


def test_timeout(cli: Cli) -> None:
    done = cli("analyze", "a", "--kind", "slow", "--param", "steps=10000", "--timeout", "1", "--json")
    assert done.code == 1
    assert done.json["status"] == "timed_out"
    assert done.json["result_is_partial"]


def test_follow(cli: Cli, process: Cli) -> None:
    name = cli("analyze", "a", "--kind", "slow", "--param", "steps=30", "--no-wait", "--json").json["analysis_id"]
    worker = threading.Thread(target=process, args=("worker", "--until-idle"))
    worker.start()
    try:
        followed = cli("progress", name, "--follow")
    finally:
        worker.join()
    assert followed.code == 0
    assert "Working (1/2)" in followed.err
    assert "completed" in followed.out


@pytest.mark.long
@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c(environment: str, cli: Cli, presses: int) -> None:
    command = [*COMMAND, "analyze", "a", "--kind", "slow", "--param", "steps=100000", "--id", "mine"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    with holdfast.open(environment) as hf, process:

        def begun() -> bool:
            found = hf.list_analyses().items
            progress = hf.get_analysis_progress("mine") if found else None
            return progress is not None and progress.items_processed > 2

        wait_until(begun, 30, "a run under way")
        os.killpg(process.pid, signal.SIGINT)
        if presses == 2:
            time.sleep(0.05)
            os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    if presses == 1:
        assert "Cancelling" in err
        assert "holdfast resume mine" in out
        record = cli("show", "mine", "--json").json
        assert (record["status"], record["result_is_partial"]) == ("cancelled", True)


def test_sigterm_gives_the_analysis_back(environment: str) -> None:
    process = subprocess.Popen([*COMMAND, "analyze", "a", "--kind", "slow", "--param", "steps=100000", "--id", "mine"])
    with holdfast.open(environment) as hf:
        wait_until(lambda: hf.list_analyses(status=holdfast.Status.RUNNING).items, 30, "a run")
        process.terminate()
        assert process.wait(timeout=60) == 143
        assert hf.get_analysis("mine").status is holdfast.Status.QUEUED


def test_resume_goes_on(cli: Cli) -> None:
    done = cli("analyze", "a", "--kind", "slow", "--param", "steps=60", "--timeout", "0.9", "--id", "mine")
    assert done.code == 1
    for _ in range(10):
        if cli("resume", "mine").code == 0:
            break
    with holdfast.open(os.environ["HOLDFAST_DATABASE_URL"]) as hf:
        assert hf.get_result("mine")["resumed_at"] > 0


def test_resume_goes_on_with_what_was_killed(environment: str, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_LEASE_SECONDS", "2")
    command = [*COMMAND, "analyze", "a", "--kind", "slow", "--param", "steps=400", "--id", "mine"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    with holdfast.open(environment) as hf:
        try:
            wait_until(lambda: bool(hf.list_analyses(status=holdfast.Status.RUNNING).items), 60, "a run")
            wait_until(lambda: _done(hf, "mine") > 2, 60, "a checkpoint")
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        assert hf.get_analysis("mine").status is holdfast.Status.RUNNING
    done = cli("resume", "mine", "--timeout", "500")
    assert done.code == 0, done.err
    assert "as soon as its lease has ended" in done.err
    assert "no effect" in done.err
    with holdfast.open(environment) as hf:
        assert hf.get_result("mine")["resumed_at"] > 0


def _done(hf: holdfast.Holdfast, analysis_id: str) -> int:
    progress = hf.get_analysis_progress(analysis_id)
    return 0 if progress is None else progress.items_processed


def test_long_names_and_narrow_terminals(terminal: Cli, environment: str) -> None:
    with holdfast.open(environment) as hf:
        for number in range(3):
            newest = hf.store_analysis(
                "kind-with-a-long-name",
                {"n": number},
                summary="words " * 40,
                subject=holdfast.Subject(kind="t", key=f"k{number}", title=f"begin/{'界' * 90}/end{number}"),
                tags=["t" * 100, "u" * 100],
                findings=[
                    Finding(rule="r/x", severity=Severity.HIGH, title="title " * 60, path="p/" * 90 + "x.py", line=1)
                ],
                metrics={"m" * 90: 1.5},
            )
    for columns in (40, 80, 120):
        shown = terminal("list", columns=columns, NO_COLOR="1").out
        assert len(shown.splitlines()) == 4, "a heading and three rows, none of them wrapped"
        assert f"end{0}" in shown
        assert max(map(_cells, shown.splitlines())) <= columns
        about = terminal("show", newest.analysis_id, columns=columns, NO_COLOR="1").out
        assert max(map(_cells, about.splitlines())) <= columns
    assert f'"analysis_id": "{newest.analysis_id}"' in terminal("list", "--limit", "1", "--json").out


def _cells(line: str) -> int:
    from rich.cells import cell_len  # noqa: PLC0415

    return cell_len(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line))


def test_live_line_on_a_terminal(terminal: Cli) -> None:
    for columns in (40, 100):
        done = terminal("analyze", f"a{columns}", "--kind", "slow", "--param", "steps=60", columns=columns)
        assert done.code == 0
        assert "Working" in done.out
        assert "%" in done.out
        assert "\x1b[?25h" in done.out, "the cursor is back"
        assert max(map(_cells, re.split(r"[\r\n]+", done.out))) <= columns


def test_colours(terminal: Cli) -> None:
    terminal("analyze", "a", "--kind", "sample")
    assert "\x1b[32m" in terminal("list").out
    assert "\x1b[32m" not in terminal("list", NO_COLOR="1").out


def test_other_encodings(process: Cli, environment: str) -> None:
    with holdfast.open(environment) as hf:
        subject = holdfast.Subject(kind="t", key="k", title="Zoë 界")
        hf.store_analysis("x", {"n": 1}, subject=subject, analysis_id="mine")
    latin = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    assert "Zo\\xeb \\u754c" in process("list", **latin).out
    assert process("show", "mine", "--json", **latin).json["subject"]["title"] == "Zoë 界"
    assert process("show", "mine", "--json").json["subject"]["title"] == "Zoë 界"


def test_demo(cli: Cli, repository: GitRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository.path)
    done = cli("demo")
    assert done.code == 0
    assert "$ holdfast list" in done.out
    assert "$ holdfast show" in done.out
    assert "Try next" in done.out
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    monkeypatch.chdir(nowhere)
    refused = cli("demo")
    assert refused.code == 5
    assert "NOT_A_REPOSITORY" in refused.err
    assert "holdfast demo PATH" in refused.err
    assert cli("demo", str(repository.path), "--json").json["reused"] is True
