"""The commands that find and that tend the indexes."""

import json
from pathlib import Path

import pytest

import holdfast
from holdfast.cli.app import run


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HOLDFAST_PROCESSORS", "fulltext")
    url = f"sqlite:///{tmp_path}/found.db"
    monkeypatch.setenv("HOLDFAST_DATABASE_URL", url)
    with holdfast.open(url) as hf:
        hf.store_analysis("note", {"t": "a walrus on the ice"}, analysis_id="w", tags=["art"])
        hf.store_task_analysis("weigh it", {"r": 1}, task_name="Decision", thread_id="t1", analysis_id="d")
    return url


def said(capfd: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    capfd.readouterr()
    assert run(arguments) == status
    return capfd.readouterr().out


def test_from_waiting_to_found(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    before = json.loads(said(capfd, "status", "--analysis-id", "w", "--json"))
    assert {row["processor"]: row["status"] for row in before["items"]} == {
        "fulltext": "pending",
        "graph": "skipped",
        "substring": "skipped",
        "vector": "skipped",
    }
    assert json.loads(said(capfd, "process", "--processor-type", "fulltext", "--limit", "1", "--json")) == {
        "processed": 1
    }
    assert "1 analysis processed" in said(capfd, "process")
    assert "walrus" in said(capfd, "search", "WALRUS tag:art", "--facet", "tag")
    page = json.loads(said(capfd, "search", "*alru*", "--json"))
    assert page["items"] == []
    assert "HOLDFAST_PROCESSORS=fulltext,substring" in page["hints"][0]
    # Inside texts it is looked for with another index only, and that is told.
    assert "HOLDFAST_PROCESSORS=fulltext,substring" in said(capfd, "search", "*alru*").replace("\n", "")
    assert "HOLDFAST_PROCESSORS" not in said(capfd, "search", "alru")
    page = json.loads(said(capfd, "search", "walrus", "--json", "--facet", "kind"))
    assert [hit["analysis"]["analysis_id"] for hit in page["items"]] == ["w"]
    assert page["facets"] == {"kind": {"note": 1}}
    assert "Nothing fits" in said(capfd, "search", "nowhere")
    assert "completed" in said(capfd, "status", "--analysis-id", "w")
    assert "fulltext" in said(capfd, "status")
    assert json.loads(said(capfd, "reprocess", "w", "--processors", "fulltext", "--json"))["queued"] == 1
    assert "1 index to be built anew" in said(capfd, "reprocess", "--all")
    assert "0 jobs queued again" in said(capfd, "reprocess", "--failed")


def test_threads_and_tasks(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert "weigh it" in said(capfd, "thread", "t1", "--verbose", "--limit", "5")
    listed = json.loads(said(capfd, "thread", "t1", "--verbose", "--json"))
    assert listed["items"][0]["result"] == {"response": {"r": 1}}
    assert "Nothing fits" in said(capfd, "list", "--task-name", "Other")
    assert "Decision" in said(capfd, "list", "--task-name", "Decision", "--json")


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["thread", "nope"], 3),
        (["status", "--analysis-id", "nope"], 3),
        (["reprocess", "nope"], 3),
        (["search", "tag:"], 5),
        (["process", "--processor-type", "nope"], 5),
        (["reprocess"], 2),
        (["search", "x", "--cursor", "r1.1.x"], 5),
    ],
)
def test_what_fails_is_no_success(
    url: str, capfd: pytest.CaptureFixture[str], arguments: list[str], status: int
) -> None:
    said(capfd, *arguments, status=status)
