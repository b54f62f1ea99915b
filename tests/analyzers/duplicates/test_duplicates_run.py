"""The analyzer as runs see it: its result, its phases, and what an interruption leaves."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import psutil
import pytest
from tests.analyzers.duplicates.libraries import NEW_YEAR, invented, library, track
from tests.analyzers.duplicates.samples import SmallParts
from tests.analyzers.keepers import ALONE, AT_ONCE, MemoryKeeper

from holdfast.analyzers.duplicates import DuplicatesAnalyzer
from holdfast.analyzers.pools import SpreadSettings
from holdfast.analyzers.process import RunEnd, run_in_child
from holdfast.analyzers.registry import Registry
from holdfast.domain.analysis import Status
from holdfast.domain.errors import AnalysisCancelled, InvalidParams, InvalidTarget, TargetNotFound
from holdfast.domain.findings import Severity
from holdfast.domain.ports import MANIFEST, Outcome, Request
from holdfast.testing import LocalRunContext

SAMPLES = "tests.analyzers.duplicates.samples:"


def save(folder: Path, frame: pl.DataFrame, name: str = "music") -> str:
    path = folder / f"{name}.parquet"
    frame.write_parquet(path)
    return str(path)


def search(target: str, **params: Any) -> tuple[Outcome, LocalRunContext]:
    context = LocalRunContext(SmallParts().resolve(target, params))
    return SmallParts().run(context), context


@pytest.fixture
def big(tmp_path: Path) -> str:
    return save(tmp_path, invented(600))


def test_it_is_built_in() -> None:
    assert isinstance(Registry().get("duplicates"), DuplicatesAnalyzer)


def test_the_whole_result(tmp_path: Path) -> None:
    songs = [
        track(
            "Hello - 2020 Remaster", play_count=1, date_added=NEW_YEAR, rating=80, location="/a.mp3", bitrate_kbps=320
        ),
        track("Hello", play_count=41, last_played=NEW_YEAR, date_added=NEW_YEAR + timedelta(days=1)),
        track("Other"),
        track("Zebra", "Bob"),
        track("Zebra (feat. Cleo)", "Bob"),
    ]
    outcome, context = search(save(tmp_path, library(songs)))
    result = outcome.result
    json.dumps(result, allow_nan=False)
    assert list(result) == [
        "groups", "totals", "parameters", "problems", "library_changed_meanwhile", "phase_seconds",
        "processing_time_seconds",
    ]  # fmt: skip
    assert result["totals"] == {
        "library_track_count": 5,
        "total_tracks_analyzed": 5,
        "total_groups_found": 2,
        "total_duplicates_found": 2,
        "safe_groups": 1,
        "review_groups": 1,
        "groups_with_itunes_matches": 0,
        "average_similarity_score": 0.825,
    }
    assert outcome.metrics == {name: float(value) for name, value in result["totals"].items()}
    assert outcome.summary == "music.parquet: 2 duplicates in 2 groups among 5 tracks, 1 group to look at"

    safe, review = result["groups"]
    assert {name: value for name, value in safe.items() if name not in {"tracks", "group_id"}} == {
        "group_index": 0,
        "canonical_track_id": "t1",
        "canonical_reasons": ["played most often (41 times)", "has the shortest title"],
        "duplicate_count": 1,
        "average_similarity_score": 1.0,
        "lowest_similarity_score": 1.0,
        "tier": "safe",
        "suggested_action": "delete_duplicates",
        "reasons": [],
        "reason_texts": [],
        "has_itunes_matches": False,
        "carry_over": {
            "play_count": 42,
            "rating": 80,
            "date_added": "2020-01-01T00:00:00Z",
            "last_played": "2020-01-01T00:00:00Z",
        },
    }
    kept, other = safe["tracks"]
    assert (kept["track_id"], kept["is_canonical"], kept["similarity_score"]) == ("t1", True, 1.0)
    assert (other["song_name"], other["location"], other["bitrate_kbps"]) == ("Hello - 2020 Remaster", "/a.mp3", 320)
    assert (other["itunes_match_type"], other["itunes_match_found"]) == (None, None)
    assert (review["tier"], review["suggested_action"]) == ("manual_review", "manual_review")
    assert review["reasons"] == ["one_guest"]

    found = list(outcome.findings)
    assert [finding.rule for finding in found] == ["duplicates/safe", "duplicates/review"]
    assert [finding.severity for finding in found] == [Severity.MEDIUM, Severity.LOW]
    assert [finding.identity for finding in found] == [safe["group_id"], review["group_id"]]
    assert found[0].title == "Ada Byron - Hello: 2 tracks"
    assert found[0].message == "Keep t1: played most often (41 times), has the shortest title. The other can go."
    assert [item.key for item in found[0].items] == ["t1", "t0"]

    names = [name for name, _ in context.phases]
    assert list(dict.fromkeys(names)) == [phase.name for phase in SmallParts.phases]
    assert set(result["phase_seconds"]) == set(names)


def test_progress_counts_every_track_in_steps_of_a_hundred(big: str) -> None:
    outcome, context = search(big)
    assert context.computed > 3
    assert dict(context.phases)["Analyzing Similarities"] == 600
    groups = outcome.result["totals"]["total_groups_found"]
    assert context.items == 600 + 600 + groups


def test_itunes_is_looked_up(tmp_path: Path) -> None:
    ours = [track("Hello"), track("Hello"), track("Night Train"), track("Night Train"), track("Gone"), track("Gone")]
    theirs = [track("Hello - 2011 Remaster"), track("Nigt Train"), track("Gone (Live)"), track("Hello")]
    itunes = save(tmp_path, library(theirs), "itunes")
    outcome, context = search(save(tmp_path, library(ours)), itunes_library=itunes)
    by_song = {group["tracks"][0]["song_name"]: group for group in outcome.result["groups"]}
    told = {
        song: {(one["itunes_match_type"], one["itunes_track_id"]) for one in group["tracks"]}
        for song, group in by_song.items()
    }
    assert told == {"Hello": {("exact", "t0")}, "Night Train": {("fuzzy", "t1")}, "Gone": {("none", None)}}
    assert 0.8 < by_song["Night Train"]["tracks"][0]["itunes_match_confidence"] < 1
    assert by_song["Gone"]["tracks"][0]["itunes_match_confidence"] == 0
    assert [by_song[song]["has_itunes_matches"] for song in ("Hello", "Night Train", "Gone")] == [True, True, False]
    assert dict(context.phases)["Cross-referencing iTunes"] == 6


def test_the_revision_follows_both_libraries(tmp_path: Path) -> None:
    ours, theirs = save(tmp_path, library([track("Hello")])), save(tmp_path, library([track("Hello")]), "itunes")
    alone = SmallParts().resolve(ours, {}).subject
    both = SmallParts().resolve(ours, {"itunes_library": theirs}).subject
    save(tmp_path, library([track("Other")]), "itunes")
    changed = SmallParts().resolve(ours, {"itunes_library": theirs}).subject
    assert len({alone.revision, both.revision, changed.revision}) == 3
    assert len({alone.key, both.key, changed.key}) == 1


@pytest.mark.parametrize(
    ("sort_by", "first"),
    [
        ("artist", "b"), ("song", "a"), ("duplicates", "c"), ("confidence", "c"), ("play_count", "d"),
        ("last_played", "b"),        ("date_added", "c"),
    ],
)  # fmt: skip
def test_groups_are_sorted(sort_by: str, first: str, tmp_path: Path) -> None:
    songs = [
        *[track("Aaa", "Zoe", play_count=1)] * 2,
        *[track("Bbb (feat. X Y)", "Ann", last_played=NEW_YEAR), track("Bbb", "Ann")],
        *[track("Ccc", "Max", date_added=NEW_YEAR)] * 3,
        *[track("Ddd (feat. X Y)", "Ned", play_count=9), track("Ddd", "Ned")],
    ]
    outcome, _ = search(save(tmp_path, library(songs)), sort_by=sort_by)
    groups = outcome.result["groups"]
    assert [group["group_index"] for group in groups] == [0, 1, 2, 3]
    assert groups[0]["tracks"][0]["song_name"][0].lower() == first


def test_the_keeper_has_an_artist_if_any_has(tmp_path: Path) -> None:
    songs = [track("Ada Byron - Long Enough", "", play_count=99), track("Long Enough", play_count=1)]
    outcome, _ = search(save(tmp_path, library(songs)))
    assert outcome.result["groups"][0]["canonical_track_id"] == "t1"


def test_a_cancelled_run_keeps_what_it_has_and_is_resumed(big: str) -> None:
    whole, _ = search(big)
    request = SmallParts().resolve(big, {})
    checkpoints: dict[str, Any] = {}
    stopped = LocalRunContext(request, checkpoints)
    stopped.cancel_after(3)
    with pytest.raises(AnalysisCancelled):
        SmallParts().run(stopped)
    partial = stopped.partials[-1].result
    assert partial["totals"]["total_groups_found"] > 0
    assert all(group["lowest_similarity_score"] >= 0.6 for group in partial["groups"])
    resumed = LocalRunContext(request, checkpoints)
    outcome = SmallParts().run(resumed)
    assert resumed.reused == 3
    assert outcome.result["groups"] == whole.result["groups"]


def run(name: str, request: Request, keeper: MemoryKeeper, spread: SpreadSettings) -> RunEnd:
    return run_in_child(SAMPLES + name, request, analysis_id="a1", keeper=keeper, spread=spread)


def groups_in(end: RunEnd) -> bytes:
    assert end.report is not None, end.error
    return json.dumps(json.loads(end.report.payload)["groups"]).encode()


def keys_in(keeper: MemoryKeeper) -> set[str]:
    return {key for values in keeper.kept.values() for key in values}


@pytest.mark.parametrize("spread", [ALONE, AT_ONCE], ids=["alone", "spread"])
def test_a_killed_run_resumes_to_the_very_same_groups(spread: SpreadSettings, big: str) -> None:
    request = SmallParts().resolve(big, {})
    calm = MemoryKeeper()
    undisturbed = groups_in(run("SmallParts", request, calm, ALONE))
    assert b"mixed_fields" in undisturbed

    def kill_once_something_is_kept(keeper: MemoryKeeper) -> bool:
        if keeper.kept and not killed:
            for process in set(psutil.Process().children()) - others:
                killed.append(process.pid)
                process.send_signal(signal.SIGKILL)
        return False

    killed: list[int] = []
    # Children of other tests: the fork server, the resource tracker, a database.
    others = set(psutil.Process().children())
    keeper = MemoryKeeper(kill_once_something_is_kept)
    first = run("Stuck", request, keeper, spread)
    assert first.status is Status.FAILED
    assert killed
    kept = keys_in(keeper)
    assert kept < keys_in(calm)
    assert groups_in(run("SmallParts", request, keeper, spread)) == undisturbed
    # The same keys in another process: what was kept was found again, and nothing was computed twice.
    assert keys_in(keeper) == keys_in(calm)


def test_a_run_that_is_told_to_stop_leaves_a_partial_result(big: str) -> None:
    request = SmallParts().resolve(big, {})
    # What the library holds is kept before there is anything to show.
    end = run("Stuck", request, MemoryKeeper(lambda keeper: keys_in(keeper) > {MANIFEST}), ALONE)
    assert end.status is Status.CANCELLED
    assert end.report is not None
    assert json.loads(end.report.payload)["groups"]


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"tpo": 1}, "tpo"),
        ({"sort_by": "size"}, "sort_by"),
        ({"min_confidence": 1.1}, "min_confidence"),
        ({"min_confidence": True}, "min_confidence"),
        ({"min_confidence": float("nan")}, "min_confidence"),
        ({"safe_similarity": "high"}, "safe_similarity"),
        ({"search_term": "x" * 201}, "search_term"),
        ({"search_term": "\ud800"}, "search_term"),
        ({"same_versions": ["lives"]}, "same_versions"),
        ({"same_versions": [1]}, "same_versions"),
        ({"canonical_weights": {"plays": -1}}, "canonical_weights.plays"),
        ({"canonical_weights": {"luck": 1}}, "canonical_weights.luck"),
        (
            {"canonical_weights": {"plays": 0, "short_title": 0, "recency": 0, "earliest_added": 0}},
            "canonical_weights",
        ),
        ({"itunes_options": {"nonsense": 1}}, "itunes_options.nonsense"),
        ({"reading": {}}, "reading"),
    ],
)
def test_wrong_parameters_are_refused(params: dict[str, Any], field: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidParams) as refused:
        SmallParts().resolve(save(tmp_path, library([])), params)
    assert refused.value.details["field"] == field


def test_definite_parameters_stay_as_they_are(tmp_path: Path) -> None:
    target = save(tmp_path, library([]))
    given = {"same_versions": ["remix", "live"], "min_confidence": 1, "canonical_weights": {"plays": 1}}
    first = SmallParts().resolve(target, given)
    assert first.params["same_versions"] == ["live", "remix"]
    assert SmallParts().resolve(target, first.params) == first
    json.dumps(first.params)


@pytest.mark.parametrize(
    ("make", "error"), [(lambda path: None, TargetNotFound), (lambda path: path.write_bytes(b"?"), InvalidTarget)]
)
def test_what_is_no_library_is_refused(make: Callable[[Path], object], error: type[Exception], tmp_path: Path) -> None:
    make(tmp_path / "music.bin")
    with pytest.raises(error):
        SmallParts().resolve(str(tmp_path / "music.bin"), {})


def test_listing_analyzers_imports_no_table_library() -> None:
    script = (
        "import sys, holdfast, holdfast.cli; from holdfast.analyzers.registry import Registry; Registry()\n"
        "print({'polars', 'numpy', 'rapidfuzz'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"
