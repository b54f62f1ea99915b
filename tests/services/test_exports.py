"""Exports: the documented columns, cells that stay text, files of any size, and who may fetch them."""

import csv
import io
import json
import tracemalloc
from typing import Any

import pytest

from holdfast.bootstrap import Holdfast
from holdfast.domain.access import Caller
from holdfast.domain.analysis import ErrorInfo
from holdfast.domain.errors import ExportNotFound, ExportNotReady, LeaseLost
from holdfast.domain.exporting import COLUMNS, EXPORT_JOB, ExportStatus, Format
from holdfast.domain.findings import Finding, FindingItem, Severity
from holdfast.domain.triage import Action
from holdfast.services.exports import ExportHandler
from holdfast.testing import FakeClock
from tests.services.duplicates import ALICE, BOB, group, groups, keep, track
from tests.services.samples import Held, opened

DAY = 86_400.0


def whole(hf: Holdfast, analysis_id: str, form: Format, caller: Caller = ALICE) -> bytes:
    return b"".join(hf.duplicates.exports.stream(analysis_id, form, caller=caller))


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def write(hf: Holdfast) -> None:
    """Do the export that waits, as a worker does."""
    (job,) = hf.jobs.claim("w", [EXPORT_JOB], 1)
    effect = ExportHandler(hf.store).handle(job, Held())
    hf.jobs.settle("w", [(job, effect)])


def test_csv_has_the_documented_columns(hf: Holdfast) -> None:
    found = [
        group(
            "g",
            track("a", play_count=7, last_played="2024-05-06T07:08:09Z", itunes_match_found=True,
                  itunes_match_type="exact", itunes_match_confidence=1.0),
            track("b"),
            suggested_action="delete_duplicates",
        )
    ]  # fmt: skip
    analysis = keep(hf, found, search_term="otters", sort_by="artist", min_confidence=0.8)
    hf.duplicates.triage.resolve(analysis.analysis_id, ["g"], Action.DELETED)
    content = whole(hf, analysis.analysis_id, Format.CSV)
    assert content.splitlines()[0].decode().split(",") == list(COLUMNS)
    first, second = rows(content)
    assert (first["analysis_id"], first["search_term"], first["min_confidence"]) == (
        analysis.analysis_id,
        "otters",
        "0.8",
    )
    assert (first["group_canonical_track_id"], first["group_duplicate_count"]) == ("a", "1")
    assert (first["group_resolved"], first["group_resolution_action"]) == ("true", "deleted")
    assert (first["track_id"], first["track_play_count"], first["track_is_canonical"]) == ("a", "7", "true")
    assert (first["track_still_exists"], second["track_still_exists"]) == ("true", "false")
    assert (first["track_itunes_match_type"], second["track_itunes_match_type"]) == ("exact", "")


@pytest.mark.parametrize(
    "name",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=cmd|"/c calc"!A1', ' =HYPERLINK("x")', 'a"b,c\nd', "plain"],
)
def test_no_cell_is_a_formula(hf: Holdfast, name: str) -> None:
    hostile = track(name, song_name=name, artist_name=name, album_name=name)
    analysis = keep(hf, [group(name, hostile, track("b", play_count=3))], search_term=name)
    hf.duplicates.triage.resolve(analysis.analysis_id, [name], Action.NOT_DUPLICATE)
    for form in (Format.CSV, Format.DECISIONS_CSV):
        for row in rows(whole(hf, analysis.analysis_id, form)):
            for cell in row.values():
                assert not cell.lstrip().startswith(("=", "+", "-", "@")), (form, cell)
                assert not cell.startswith(("\t", "\r"))
    row = rows(whole(hf, analysis.analysis_id, Format.CSV))[0]
    assert row["track_song_name"].removeprefix("'") == name
    document = json.loads(whole(hf, analysis.analysis_id, Format.JSON))
    assert document["groups"][0]["tracks"][0]["song_name"] == name


def test_json_holds_all_groups_with_their_decisions(hf: Holdfast) -> None:
    analysis = keep(hf, groups(450))
    made = hf.duplicates.triage.resolve(analysis.analysis_id, ["g000003"], Action.MANUAL_REVIEW, note="listen")
    assert made.batch_id is not None
    document = json.loads(whole(hf, analysis.analysis_id, Format.JSON))
    assert [one["group_id"] for one in document["groups"]] == [f"g{number:06}" for number in range(450)]
    third = document["groups"][3]
    assert (third["resolved"], third["resolution_action"], third["note"]) == (False, "manual_review", "listen")
    assert document["analysis"]["analysis_id"] == analysis.analysis_id
    empty = keep(hf, [])
    assert json.loads(whole(hf, empty.analysis_id, Format.JSON))["groups"] == []
    assert rows(whole(hf, empty.analysis_id, Format.CSV)) == []


def test_what_was_decided_leaves_for_players_and_programs(hf: Holdfast) -> None:
    analysis = keep(
        hf,
        [
            group("g", track("a"), track("b", location="/music/line\nbreak.mp3"), track("c")),
            group("h", track("d"), track("e")),
        ],
    )
    hf.duplicates.triage.resolve(analysis.analysis_id, ["g"], Action.DELETED)
    kept = whole(hf, analysis.analysis_id, Format.KEPT_M3U)
    goes = whole(hf, analysis.analysis_id, Format.GOES_M3U)
    # A name that would be two lines of a playlist is left out of it.
    assert kept == b"#EXTM3U\n/music/a.mp3\n"
    assert goes == b"#EXTM3U\n/music/c.mp3\n"
    decided = rows(whole(hf, analysis.analysis_id, Format.DECISIONS_CSV))
    assert [(row["track_id"], row["stays"]) for row in decided] == [("a", "true"), ("b", "false"), ("c", "false")]
    document = json.loads(whole(hf, analysis.analysis_id, Format.DECISIONS_JSON))
    assert [row["track_id"] for row in document["tracks"]] == ["a", "b", "c"]


def test_an_export_is_written_by_a_worker_and_fetched(hf: Holdfast, clock: FakeClock) -> None:
    analysis = keep(hf, groups(300))
    exports = hf.duplicates.exports
    export = exports.request(analysis.analysis_id, Format.CSV, caller=ALICE)
    assert (export.status, export.groups_total) == (ExportStatus.PENDING, 300)
    assert len(export.export_id) == 32
    with pytest.raises(ExportNotReady):
        exports.download(export.export_id, caller=ALICE)
    write(hf)
    ready, parts = exports.download(export.export_id, caller=ALICE)
    content = b"".join(parts)
    assert (ready.status, ready.percentage, ready.size) == (ExportStatus.READY, 100.0, len(content))
    assert content == whole(hf, analysis.analysis_id, Format.CSV)
    assert [one.export_id for one in exports.list(caller=ALICE).items] == [export.export_id]
    # Nobody else's, and nobody's after a day.
    assert exports.list(caller=BOB).items == []
    for attempt in (exports.get, exports.download, exports.delete):
        with pytest.raises(ExportNotFound):
            attempt(export.export_id, caller=BOB)
    clock.advance(DAY)
    with pytest.raises(ExportNotFound):
        exports.get(export.export_id, caller=ALICE)
    clock.advance(1)
    hf.sweep()
    assert _parts_left(hf) == 0


def test_exports_made_in_one_moment_have_names_of_their_own(hf: Holdfast) -> None:
    first, second = keep(hf, groups(1)), keep(hf, groups(1), owner="bob")
    made = [
        hf.duplicates.exports.request(one.analysis_id, Format.CSV, caller=caller).export_id
        for one, caller in ((first, ALICE), (first, ALICE), (second, BOB))
    ]
    assert len(set(made)) == 3
    hf.duplicates.exports.delete(made[0], caller=ALICE)
    assert [one.export_id for one in hf.duplicates.exports.list(caller=ALICE).items] == [made[1]]


def test_a_killed_worker_leaves_an_export_that_the_next_one_writes(hf: Holdfast, clock: FakeClock) -> None:
    analysis = keep(hf, groups(300))
    export = hf.duplicates.exports.request(analysis.analysis_id, Format.JSON, caller=ALICE)
    (job,) = hf.jobs.claim("first", [EXPORT_JOB], 1)
    handler = ExportHandler(hf.store)
    handler.handle(job, Held())  # and dies before its effect
    assert hf.duplicates.exports.get(export.export_id).status is ExportStatus.PENDING
    clock.advance(60)
    hf.jobs.take_back([EXPORT_JOB])
    clock.advance(600)
    write(hf)
    assert b"".join(hf.duplicates.exports.download(export.export_id)[1]) == whole(hf, analysis.analysis_id, Format.JSON)
    with pytest.raises(LeaseLost):
        handler.handle(job, Held())


def test_an_export_that_cannot_be_written_says_so(hf: Holdfast) -> None:
    analysis = keep(hf, groups(1))
    export = hf.duplicates.exports.request(analysis.analysis_id, Format.JSON, caller=ALICE)
    (job,) = hf.jobs.claim("w", [EXPORT_JOB], 1)
    error = ErrorInfo(code="STORE_UNAVAILABLE", message="The disk is full")
    hf.store.write(lambda uow: ExportHandler(hf.store).lost(uow, job, error, dead=True))
    assert hf.duplicates.exports.get(export.export_id).status is ExportStatus.FAILED
    with pytest.raises(ExportNotReady, match="disk is full"):
        hf.duplicates.exports.download(export.export_id)


def test_ten_thousand_groups_leave_in_bounded_memory(database: str) -> None:
    if not database.startswith("sqlite"):
        pytest.skip("as the other; filling it takes most of the time")
    with opened(database, FakeClock()) as hf:
        analysis = keep(hf, [])
        key = hf.store.read(lambda uow: uow.analyses.key_of(analysis.analysis_id))
        assert key is not None
        tracks = tuple(FindingItem(key=one, data=track(one)) for one in ("a", "b"))
        found = [
            Finding(rule="r", severity=Severity.LOW, title="t", message="m", identity=f"g{number}", items=tracks)
            for number in range(10_000)
        ]
        hf.store.write(lambda uow: uow.put_findings(key, analysis, found))

        def streamed(form: Format) -> tuple[int, int]:
            tracemalloc.start()
            size = sum(len(piece) for piece in hf.duplicates.exports.stream(analysis.analysis_id, form))
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return size, peak

        size, peak = streamed(Format.CSV)
        assert size > 2_000_000
        # All of it would be a multiple of its size; a page of it is not.
        assert peak < 8_000_000


def _parts_left(hf: Holdfast) -> int:
    def look(uow: Any) -> int:
        return int(uow.exports._connection.exec_driver_sql("SELECT count(*) FROM export_parts").scalar_one())

    return hf.store.read(look)
