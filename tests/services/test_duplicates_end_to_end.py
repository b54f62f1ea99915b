"""A library, from the search to the next one: reuse, changes, kill -9, cancel."""

import itertools
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import holdfast
from holdfast import Holdfast, Status
from holdfast.analyzers.duplicates.sample import write_sample
from holdfast.domain.errors import SearchUnderWay
from holdfast.domain.triage import Action, KeepStrategy
from tests.support.processes import kill_tree, wait_until

_HOLDFAST = str(Path(sys.executable).with_name("holdfast"))


@pytest.fixture
def library(tmp_path: Path) -> Path:
    path = tmp_path / "Library.xml"
    write_sample(path, tracks=2_000)
    return path


@pytest.fixture
def hf(database: str) -> Iterator[Holdfast]:
    with holdfast.open(database, processes=1, lease_seconds=10.0) as hf:
        yield hf


@pytest.mark.long
def test_from_one_search_to_the_next(hf: Holdfast, database: str, library: Path) -> None:
    duplicates = hf.duplicates
    phases: list[str] = []
    found = duplicates.find_duplicates_with_persistence(
        str(library), progress_callback=lambda progress: phases.append(progress.phase)
    )
    analysis_id, totals = found["analysis_id"], found["metadata"]["totals"]
    assert found["metadata"]["status"] == "completed"
    assert totals["total_tracks_analyzed"] == totals["library_track_count"] == 2_000
    assert totals["total_groups_found"] == len(found["duplicate_groups"]) > 200
    named = [phase for phase, _ in itertools.groupby(phases) if phase]
    known = ["Loading Tracks", "Analyzing Similarities", "Cross-referencing iTunes", "Saving Results"]
    assert named
    assert [phase for phase in known if phase in named] == named

    # The very same parameters are answered, others are not.
    assert duplicates.find_duplicates_with_persistence(str(library))["analysis_id"] == analysis_id
    sure = duplicates.start(str(library), {"search_term": "otters", "sort_by": "artist"})
    assert sure.reused is False
    hf.cancel_analysis(sure.analysis.analysis_id)

    # One group is left, all others that nobody has to look at are decided by a rule.
    first = found["duplicate_groups"][0]["group_id"]
    duplicates.mark_groups_resolved(analysis_id, [first], "not_duplicate")
    decided = duplicates.triage.smart_delete(analysis_id, KeepStrategy.KEEP_MOST_PLAYED)
    assert decided.impact.groups + decided.skipped_count == totals["total_groups_found"] - 1

    # To play songs is no change of the library, though its file is another one.
    played = re.sub(r"(<key>Play Count</key><integer>)\d+", r"\g<1>4711", library.read_text())
    library.write_text(played)
    assert duplicates.get_library_change_summary(analysis_id).changes.total == 0
    assert not duplicates.get_refresh_recommendations(analysis_id).freshness.is_stale

    # A worker that is killed, and a search that is cancelled, leave what there was.
    refreshed = duplicates.refresh_analysis(analysis_id)
    with pytest.raises(SearchUnderWay):
        duplicates.quick_refresh()
    running = refreshed.analysis.analysis_id
    environment = os.environ | {"HOLDFAST_DATABASE_URL": database, "HOLDFAST_LEASE_SECONDS": "10"}
    worker = subprocess.Popen([_HOLDFAST, "worker"], env=environment, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: hf.get_analysis(running).status is not Status.QUEUED, 60, "the search to begin")
    finally:
        kill_tree(psutil.Process(worker.pid))
        worker.wait()
    assert hf.get_analysis(analysis_id).status is Status.COMPLETED
    assert duplicates.load_analysis_result(analysis_id) is not None
    if not hf.get_analysis(running).status.ended:
        with hf.working():
            ended = hf.wait(running, timeout=120)
        assert ended.status is Status.COMPLETED

    # The new search knows what was decided: what is no duplicate stays so, what was not deleted is shown again.
    group = duplicates.groups.get(running, first)
    assert group.decision is not None
    assert group.decision.action is Action.NOT_DUPLICATE
    counts = duplicates.groups.counts(running)
    assert set(counts.decided) == {Action.NOT_DUPLICATE}
    latest = duplicates.get_latest_analysis()
    assert latest is not None
    assert latest.analysis_id == running
    cancelled = duplicates.refresh_analysis(running)
    duplicates.cancel_analysis(cancelled.analysis.analysis_id)
    latest = duplicates.get_latest_analysis()
    assert latest is not None
    assert latest.analysis_id == running


def test_a_library_that_changes_meanwhile_is_said_to(hf: Holdfast, tmp_path: Path) -> None:
    library = tmp_path / "Library.xml"
    write_sample(library, tracks=60)
    waiting = hf.duplicates.start(str(library)).analysis.analysis_id
    write_sample(library, tracks=80)
    with hf.working():
        ended = hf.wait(waiting, timeout=120)
    assert ended.summary.endswith("the library was changed meanwhile")
    result = hf.duplicates.load_analysis_result(waiting)
    assert result is not None
    assert result["library_changed_meanwhile"] is True
    # What it says is of the library as it was read.
    assert result["totals"]["library_track_count"] == 80
    assert hf.duplicates.get_library_change_summary(waiting).changes.total == 0
    # Asked for again, it is another library: nothing of that answers.
    assert hf.duplicates.start(str(library)).reused is False
