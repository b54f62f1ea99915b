"""The worker as a command, and the commands about jobs."""

import os
import signal
import subprocess
import time

import pytest
from tests.cli.conftest import COMMAND, Cli
from tests.support.processes import wait_until

import holdfast
from holdfast.domain.jobs import JobStatus, NewJob

JOB = {
    *("id", "kind", "payload", "status", "priority", "run_at", "attempt", "max_attempts", "lease_owner"),
    *("lease_until", "unique_key", "analysis_id", "last_error", "created_at"),
}


def test_until_idle(cli: Cli) -> None:
    for name in ("a", "b"):
        cli("analyze", name, "--kind", "sample", "--id", name, "--no-wait")
    status = cli("worker", "--status", "--json").json
    assert set(status) == {"workers", "jobs", "processors", "background"}
    assert status["workers"] == []
    assert status["jobs"] == [{"kind": "analysis.run", "status": "ready", "count": 2}]
    done = cli("worker", "--until-idle", "--concurrency", "2", "--json")
    assert done.code == 0
    assert set(done.json) == {"worker", "finished"}
    assert done.json["finished"] == 2
    assert cli("show", "b", "--json").json["status"] == "completed"
    assert "0 jobs finished" in cli("worker", "--once").err
    assert "Nothing waits" in cli("worker", "--status").out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_drains_within_two_seconds(environment: str, cli: Cli, number: signal.Signals) -> None:
    cli("analyze", "a", "--kind", "slow", "--param", "steps=100000", "--id", "mine", "--no-wait")
    process = subprocess.Popen([*COMMAND, "worker"], stderr=subprocess.PIPE, text=True, start_new_session=True)
    with holdfast.open(environment) as hf, process:

        def begun() -> bool:
            progress = hf.get_analysis_progress("mine")
            return progress is not None and progress.items_processed > 2

        wait_until(begun, 30, "a run under way")
        assert cli("worker", "--status", "--json").json["workers"][0]["jobs"] == 1
        began = time.monotonic()
        os.killpg(process.pid, number)
        _, err = process.communicate(timeout=60)
        took = time.monotonic() - began
        assert process.returncode == 0, err
        assert "Traceback" not in err
        assert hf.get_analysis("mine").status is holdfast.Status.QUEUED
    assert took < 2, f"it took {took:.1f} s"


def test_jobs(cli: Cli, environment: str) -> None:
    assert "No jobs" in cli("jobs", "list").out
    assert "No schedules" in cli("jobs", "schedules").out
    with holdfast.open(environment) as hf:
        hf.jobs.enqueue([NewJob(kind="index", max_attempts=1, payload={"n": number}) for number in range(3)])
        for job in hf.jobs.claim("somebody", ["index"], 2):
            hf.jobs.fail(job, RuntimeError("[red]no\x1b[0m"))
        hf.jobs.schedule("sweep", "sweep", 300)
    listed = cli("jobs", "list", "--json").json
    assert [set(job) for job in listed["items"]] == [JOB] * 3
    assert [job["status"] for job in listed["items"]] == ["dead", "dead", "ready"]
    dead = cli("jobs", "list", "--status", "dead", "--limit", "1", "--json").json
    assert dead["next_cursor"] == str(dead["items"][0]["id"])
    people = cli("jobs", "list").out
    assert "[red]no\\x1b[0m" in people
    retried = cli("jobs", "retry", str(dead["items"][0]["id"]), "--json")
    assert retried.json["success"] is True
    assert [job["status"] for job in retried.json["items"]] == ["ready"]
    assert cli("jobs", "retry", "999").code == 3
    assert "1 job queued" in cli("jobs", "retry", "--all").out
    with holdfast.open(environment) as hf:
        assert {job.status for job in hf.jobs.listing()} == {JobStatus.READY}
    schedules = cli("jobs", "schedules", "--json").json["items"]
    assert set(schedules[0]) == {"name", "kind", "payload", "every_seconds", "next_at", "enabled"}
    assert "sweep" in cli("jobs", "schedules").out
