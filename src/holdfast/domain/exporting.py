"""What leaves as a file: columns, cells that no spreadsheet takes for a formula, lines of playlists."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from holdfast.domain.findings import Finding
from holdfast.domain.triage import Action, Decision

EXPORT_JOB = "duplicates.export"
COLUMNS = (
    "analysis_id",
    "analysis_created_at",
    "analysis_status",
    "search_term",
    "sort_by",
    "min_confidence",
    "group_index",
    "group_canonical_track_id",
    "group_duplicate_count",
    "group_average_similarity",
    "group_suggested_action",
    "group_resolved",
    "group_resolution_action",
    "group_has_itunes_matches",
    "track_id",
    "track_song_name",
    "track_artist_name",
    "track_album_name",
    "track_play_count",
    "track_last_played",
    "track_date_added",
    "track_similarity_score",
    "track_is_canonical",
    "track_still_exists",
    "track_itunes_match_found",
    "track_itunes_match_confidence",
    "track_itunes_match_type",
)
DECISION_COLUMNS = ("group_id", "action", "stays", "track_id", "song_name", "artist_name", "album_name", "location")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Format(StrEnum):
    """What an export is written as.

    The first two hold the whole analysis; the others hold what was decided, for people, programs and players.
    """

    JSON = "json"
    CSV = "csv"
    DECISIONS_JSON = "decisions_json"
    DECISIONS_CSV = "decisions_csv"
    KEPT_M3U = "kept_m3u"
    GOES_M3U = "goes_m3u"

    @property
    def of_decisions(self) -> bool:
        """Whether only groups that were decided take part."""
        return self not in {Format.JSON, Format.CSV}

    @property
    def media_type(self) -> str:
        """As HTTP names it."""
        return {"json": "application/json", "csv": "text/csv; charset=utf-8", "m3u": "audio/x-mpegurl"}[self.suffix]

    @property
    def suffix(self) -> str:
        """Of its file's name."""
        return self.value.rpartition("_")[2]


class ExportStatus(StrEnum):
    """Where an export stands."""

    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """An export that a worker writes, to be fetched until it expires.

    Attributes:
        export_id: unguessable.
        owner: whose it is.
        analysis_id: what is exported.
        format: as what.
        status: where it stands.
        groups_done: how many groups were written.
        groups_total: how many there are.
        size: bytes written so far.
        error: why it failed.
        created_at: when it was asked for.
        completed_at: when it was ready, or failed.
        expires_at: when it goes.
    """

    export_id: str
    owner: str
    analysis_id: str
    format: Format
    status: ExportStatus
    groups_done: int
    groups_total: int
    size: int
    error: str | None
    created_at: datetime
    completed_at: datetime | None
    expires_at: datetime

    @property
    def percentage(self) -> float:
        """How much is written, 0 to 100."""
        if self.status is ExportStatus.READY:
            return 100.0
        return 100.0 * self.groups_done / self.groups_total if self.groups_total else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A group with what was decided about it.

    Attributes:
        finding: the group.
        decision: what holds for it, if anything.
    """

    finding: Finding
    decision: Decision | None

    def exists(self, track_id: str) -> bool:
        """Whether a track is still there, as far as the decisions tell."""
        decision = self.decision
        return decision is None or decision.action is not Action.DELETED or track_id not in decision.goes


def neutral(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: the apostrophe says that it is text.

    Numbers stay numbers: only text can be a formula.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return value
    return f"'{value}" if value.startswith(_FORMULA) or value.lstrip().startswith(_FORMULA) else value


def csv_line(cells: Iterable[Any]) -> str:
    """One line of CSV, RFC 4180, every cell neutral."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow([neutral(cell) for cell in cells])
    return line.getvalue()


def rows(about: Mapping[str, Any], exported: Exported) -> Iterator[list[Any]]:
    """The rows of a group in the order of COLUMNS, one for each track.

    Args:
        about: the first six columns: what the analysis was.
        exported: the group.
    """
    data, decision = exported.finding.data, exported.decision
    group = [
        data.get("group_index"),
        data.get("canonical_track_id"),
        data.get("duplicate_count"),
        data.get("average_similarity_score"),
        data.get("suggested_action"),
        decision is not None and decision.action.settles,
        None if decision is None else decision.action.value,
        data.get("has_itunes_matches"),
    ]
    for item in exported.finding.items:
        track = item.data
        yield [
            *about.values(),
            *group,
            item.key,
            *(track.get(name) for name in _TRACK),
            exported.exists(item.key),
            *(track.get(name) for name in ("itunes_match_found", "itunes_match_confidence", "itunes_match_type")),
        ]


_TRACK = (
    "song_name",
    "artist_name",
    "album_name",
    "play_count",
    "last_played",
    "date_added",
    "similarity_score",
    "is_canonical",
)


def decision_rows(exported: Exported) -> Iterator[list[Any]]:
    """What was decided about each track of a group, in the order of DECISION_COLUMNS."""
    decision = exported.decision
    if decision is None:
        return
    for item in exported.finding.items:
        named = [item.data.get(name) for name in ("song_name", "artist_name", "album_name", "location")]
        yield [decision.group_id, decision.action.value, item.key not in decision.goes, item.key, *named]


def playlist_lines(exported: Exported, *, stays: bool) -> Iterator[str]:
    """The lines of a playlist: of what stays or of what goes.

    A name with a line break in it cannot stand in a playlist, and is left out.
    """
    decision = exported.decision
    if decision is None:
        return
    for item in exported.finding.items:
        place = item.data.get("location")
        one_line = isinstance(place, str) and place != "" and not place.startswith("#") and place.isprintable()
        if one_line and (item.key not in decision.goes) is stays:
            yield f"{place}\n"
