"""Files of exports, made group by group: a head, each group, a tail."""

import json
from typing import Any

from holdfast.domain.analysis import Analysis
from holdfast.domain.exporting import (
    COLUMNS,
    DECISION_COLUMNS,
    Exported,
    Format,
    csv_line,
    decision_rows,
    playlist_lines,
    rows,
)


class _Csv:
    """Writes all tracks of all groups as CSV."""

    def __init__(self, value: Analysis) -> None:
        params = value.params
        self._about: dict[str, Any] = {
            "analysis_id": value.analysis_id,
            "analysis_created_at": value.created_at.isoformat(),
            "analysis_status": value.status.value,
            "search_term": params.get("search_term"),
            "sort_by": params.get("sort_by"),
            "min_confidence": params.get("min_confidence"),
        }

    def head(self) -> bytes:
        return csv_line(COLUMNS).encode()

    def group(self, exported: Exported) -> str:
        return "".join(csv_line(row) for row in rows(self._about, exported))

    def tail(self) -> bytes:
        return b""


class _Json:
    """Writes all groups with their tracks as JSON."""

    def __init__(self, value: Analysis) -> None:
        self._value = value
        self._first = True

    def head(self) -> bytes:
        value = self._value
        about = {
            "analysis_id": value.analysis_id,
            "created_at": value.created_at.isoformat(),
            "completed_at": None if value.completed_at is None else value.completed_at.isoformat(),
            "status": value.status.value,
            "summary": value.summary,
            "parameters": value.params,
        }
        return f'{{"analysis": {json.dumps(about)},\n"groups": ['.encode()

    def group(self, exported: Exported) -> str:
        decision = exported.decision
        resolution = {
            "resolved": decision is not None and decision.action.settles,
            "resolution_action": None if decision is None else decision.action.value,
            "resolved_at": None if decision is None else decision.decided_at.isoformat(),
            "note": "" if decision is None else decision.note,
        }
        tracks = [
            {**item.data, "track_id": item.key, "still_exists": exported.exists(item.key)}
            for item in exported.finding.items
        ]
        before, self._first = ("\n" if self._first else ",\n"), False
        return before + json.dumps({**exported.finding.data, **resolution, "tracks": tracks})

    def tail(self) -> bytes:
        return b"\n]}\n"


class _DecisionsCsv(_Csv):
    """Writes what was decided about each track as CSV."""

    def head(self) -> bytes:
        return csv_line(DECISION_COLUMNS).encode()

    def group(self, exported: Exported) -> str:
        return "".join(csv_line(row) for row in decision_rows(exported))


class _DecisionsJson(_Json):
    """Writes what was decided about each track as JSON."""

    def group(self, exported: Exported) -> str:
        lines = []
        for row in decision_rows(exported):
            before, self._first = ("\n" if self._first else ",\n"), False
            lines.append(before + json.dumps(dict(zip(DECISION_COLUMNS, row, strict=True))))
        return "".join(lines)

    def head(self) -> bytes:
        return super().head().replace(b'"groups": [', b'"tracks": [')


class _Playlist(_Csv):
    """Writes what stays as a playlist."""

    stays = True

    def head(self) -> bytes:
        return b"#EXTM3U\n"

    def group(self, exported: Exported) -> str:
        return "".join(playlist_lines(exported, stays=self.stays))


class _Going(_Playlist):
    """Writes what goes as a playlist."""

    stays = False


WRITERS: dict[Format, type[_Csv] | type[_Json]] = {
    Format.CSV: _Csv,
    Format.JSON: _Json,
    Format.DECISIONS_CSV: _DecisionsCsv,
    Format.DECISIONS_JSON: _DecisionsJson,
    Format.KEPT_M3U: _Playlist,
    Format.GOES_M3U: _Going,
}
"""What writes a file of each format, made anew for each file."""
