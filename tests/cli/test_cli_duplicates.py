"""Searching for duplicates, deciding and acting on it, in a terminal."""

import csv
import io
import re
from pathlib import Path

from tests.analyzers.duplicates.audio import WRITERS
from tests.cli.conftest import Cli

_SAME = {"title": "Harbour Lights", "artist": "Two Otters", "album": "Quay"}
_OTHER = {"title": "Static River", "artist": "Paper Tigers", "album": "Delta"}


def music(folder: Path) -> Path:
    """A folder of real audio files, with one song in three of them."""
    folder.mkdir()
    for name, tags in (("a.mp3", _SAME), ("b.flac", _SAME), ("c.ogg", _SAME), ("d.mp3", _OTHER)):
        WRITERS[name.partition(".")[2]](folder / name, tags)
    return folder


def test_from_the_search_to_the_files(cli: Cli, tmp_path: Path) -> None:
    folder = music(tmp_path / "music")
    found = cli("duplicates", "scan", str(folder), "--json")
    assert (found.code, found.json["status"], found.json["finding_count"]) == (0, "completed", 1)
    analysis_id = found.json["analysis_id"]
    people = cli("duplicates", "scan", str(folder))
    assert "Nothing was run" in people.out
    assert "Two Otters" in people.out
    assert "Harbour Lights" in people.out

    (group,) = cli("duplicates", "groups", analysis_id, "--json").json["items"]
    kept = group["canonical_track_id"]
    shown = cli("duplicates", "show", analysis_id, group["group_id"][:8])
    assert all(str(folder / track["track_id"]) in shown.out for track in group["tracks"])
    one = cli("duplicates", "show", analysis_id, group["group_id"], "--json").json
    assert (one["group_id"], one["canonical_track_id"]) == (group["group_id"], kept)
    others = sorted(track["track_id"] for track in group["tracks"] if track["track_id"] != kept)
    rules = ("duplicates", "resolve", analysis_id, "--strategy", "keep_canonical")
    assert cli(*rules, "--dry-run", "--json").json["batch_id"] is None
    assert "1 groups, 2 tracks" in cli(*rules, "--dry-run").out
    done = cli(*rules, "--json").json
    assert sorted(done["groups"][0]["goes"]) == others
    assert "1 of 1 groups" in cli("duplicates", "show", analysis_id).out
    assert cli("duplicates", "show", analysis_id, "--json").json["impact"]["left"]["tracks"] == 0

    sheet = cli("duplicates", "export", analysis_id, "--format", "decisions_csv").out
    rows = list(csv.DictReader(io.StringIO(sheet)))
    assert sorted(row["track_id"] for row in rows if row["stays"] == "false") == others
    target = tmp_path / "out.json"
    told = cli("duplicates", "export", analysis_id, "--format", "json", "-o", str(target), "--json").json
    assert (told["size_bytes"], told["path"]) == (target.stat().st_size, str(target))
    assert not list(tmp_path.glob(".out*"))

    # Said first, done on request, and nothing is lost.
    planned = cli("duplicates", "apply", analysis_id)
    assert "Would move 2 files" in planned.out
    assert len(list(folder.iterdir())) == 4
    moved = cli("duplicates", "apply", analysis_id, "--yes", "--json")
    assert (moved.code, [item["problem"] for item in moved.json["items"]]) == (0, [None, None])
    assert sorted(path.name for path in folder.iterdir()) == sorted({kept, "d.mp3"})
    assert sorted(path.name for path in (tmp_path / "music (duplicates)").iterdir()) == others
    again = cli("duplicates", "apply", analysis_id, "--yes")
    assert (again.code, "Moved 0 files, 2 stay" in again.out) == (1, True)

    undone = cli("duplicates", "undo", done["batch_id"], "--json")
    assert (undone.code, undone.json["groups"]) == (0, 1)
    assert cli("duplicates", "undo", done["batch_id"]).code == 3
    changes = cli("duplicates", "show", analysis_id, "--json").json["age"]["library_changes"]
    assert (changes["deleted"], changes["added"]) == (2, 0)


def test_groups_are_named_by_their_beginnings(cli: Cli, tmp_path: Path) -> None:
    analysis_id = cli("duplicates", "scan", str(music(tmp_path / "music")), "--json").json["analysis_id"]
    listed = cli("duplicates", "list").out
    assert analysis_id[:8] in listed
    assert "Analysis from " in listed
    (group,) = cli("duplicates", "groups", analysis_id, "--json").json["items"]
    short = re.search(rf"^{group['group_id'][:8]}", cli("duplicates", "groups", analysis_id).out, re.MULTILINE)
    assert short is not None
    decided = cli("duplicates", "resolve", analysis_id, short[0], "--action", "not_duplicate")
    assert (decided.code, "undo" in decided.out) == (0, True)
    assert cli("duplicates", "groups", analysis_id, "--unresolved", "--json").json["items"] == []
    assert cli("duplicates", "resolve", analysis_id, "nothing", "--action", "deleted").code == 3
    for wrong in (
        ["resolve", analysis_id],
        ["resolve", analysis_id, "--action", "deleted"],
        ["export", analysis_id, "--json"],
    ):
        assert cli("duplicates", *wrong).code == 2


def test_what_changed_since_stays(cli: Cli, tmp_path: Path) -> None:
    folder = music(tmp_path / "music")
    analysis_id = cli("duplicates", "scan", str(folder), "--json").json["analysis_id"]
    cli("duplicates", "resolve", analysis_id, "--strategy", "keep_canonical")
    (group,) = cli("duplicates", "groups", analysis_id, "--json").json["items"]
    kept, first, second = (track["track_id"] for track in group["tracks"])
    with (folder / first).open("ab") as file:
        file.write(b"more")
    outside = tmp_path / "outside.mp3"
    outside.write_bytes((folder / second).read_bytes())
    (folder / second).unlink()
    (folder / second).symlink_to(outside)
    moved = cli("duplicates", "apply", analysis_id, "--yes", "--json")
    assert moved.code == 1
    assert {item["track_id"]: item["problem"] for item in moved.json["items"]} == {
        first: "it was changed since the search",
        second: "it is not within the folder",
    }
    assert outside.exists()
    (folder / kept).unlink()
    assert all(item["problem"] for item in cli("duplicates", "apply", analysis_id, "--json").json["items"])
    assert cli("duplicates", "apply", analysis_id, "--trash", str(folder / "x")).code == 5
