"""Groups of duplicates as people see them: many in a table, one with all its tracks."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.console import Group as Lines
from rich.text import Text

from holdfast.cli import text, views
from holdfast.store.searches import Shown

SHORT = 8
"""How many characters of a group's id are shown; they name it wherever one is asked for."""

Snapshot = Mapping[str, Any]


def table(console: Console, groups: Iterable[Shown]) -> RenderableType:
    """Groups, one a line: which track to keep, what the others are called, and why."""
    columns = [
        views.Column(title="group"),
        views.Column(title="artist", since=90, flexible=True),
        views.Column(title="keep", flexible=True),
        views.Column(title="others", flexible=True),
        views.Column(title="alike", right=True),
        views.Column(title="tier", since=80),
        views.Column(title="decided", since=110),
        views.Column(title="why", since=130, flexible=True),
    ]
    return views.table(console.width, columns, (_row(one, console) for one in groups))


def _row(one: Shown, console: Console) -> tuple[views.Cell, ...]:
    kept, *others = (item.data for item in one.finding.items)
    is_narrow = console.width < 90
    return (
        one.finding.identity[:SHORT],
        views.Middle(_artist(kept)),
        views.Middle(_titled(kept) if is_narrow else _title(kept)),
        views.Middle("; ".join(dict.fromkeys(_beside(other, kept) for other in others))),
        _percent(one.finding.score),
        _tier(one),
        _decided(one),
        views.Middle(_why(one)),
    )


def one(console: Console, group: Shown) -> RenderableType:
    """A group with all that is known of its tracks, the one to keep first."""
    data, decision = group.finding.data, group.decision
    tracks = [item.data | {"track_id": item.key} for item in group.finding.items]
    carried = data.get("carry_over")
    facts = views.facts(
        [
            ("group", group.finding.identity),
            ("tier", _tier(group)),
            ("doubts", "; ".join(_texts(data.get("reason_texts"))) or None),
            ("kept for", "; ".join(_texts(data.get("canonical_reasons"))) or None),
            ("take over", _carried(carried) if isinstance(carried, Mapping) else None),
            ("decided", None if decision is None else f"{_decided(group)} by {decision.actor}"),
            ("note", None if decision is None else decision.note or None),
        ]
    )
    fates: dict[str | None, str] = {}
    if decision is not None:
        fates = {decision.keeps: "stays", **dict.fromkeys(decision.goes, "goes")}
    columns = [
        views.Column(title=""),
        views.Column(title="track", flexible=True),
        views.Column(title="title", flexible=True),
        views.Column(title="artist", flexible=True),
        views.Column(title="album", since=100, flexible=True),
        views.Column(title="length", right=True),
        views.Column(title="plays", right=True, since=70),
        views.Column(title="kbit/s", right=True, since=80),
        views.Column(title="size", right=True, since=110),
        views.Column(title="added", since=120),
        views.Column(title="alike", right=True),
    ]
    rows = (
        (
            fates.get(track["track_id"], "keep" if track.get("is_canonical") else ""),
            views.Middle(track["track_id"]),
            views.Middle(_title(track)),
            views.Middle(_artist(track)),
            views.Middle(track.get("album_name") or ""),
            _length(track.get("duration_seconds")),
            _figure(track.get("play_count")),
            _figure(track.get("bitrate_kbps")),
            text.size(track["size_bytes"]) if track.get("size_bytes") else "",
            str(track.get("date_added") or "")[:10],
            _percent(track.get("similarity_score")),
        )
        for track in tracks
    )
    places = [(str(track["track_id"]), str(track["location"])) for track in tracks if track.get("location")]
    parts: list[RenderableType] = [facts, Text(), views.table(console.width, columns, rows)]
    return Lines(*parts, *([views.section("Files", views.facts(places))] if places else []))


def _tier(group: Shown) -> Text:
    return Text("safe", "green") if group.finding.data.get("tier") == "safe" else Text("look", "yellow")


def _decided(group: Shown) -> str:
    return "" if group.decision is None else group.decision.action.value.replace("_", " ")


def _why(group: Shown) -> str:
    data = group.finding.data
    reasons = data.get("canonical_reasons") if data.get("tier") == "safe" else data.get("reason_texts")
    return "; ".join(_texts(reasons))


def _texts(value: object) -> Sequence[str]:
    return [str(one) for one in value] if isinstance(value, list) else []


def _title(track: Snapshot) -> str:
    return str(track.get("song_name") or "?")


def _artist(track: Snapshot) -> str:
    return str(track.get("artist_name") or "?")


def _titled(track: Snapshot) -> str:
    return f"{_artist(track)} - {_title(track)}"


def _beside(other: Snapshot, kept: Snapshot) -> str:
    """What another track has other than the one to keep: its artist, its title, at least its album."""
    if _artist(other) != _artist(kept):
        return _titled(other)
    if _title(other) != _title(kept):
        return _title(other)
    album = other.get("album_name")
    return f"= ({album})" if album and album != kept.get("album_name") else "="


def _carried(values: Snapshot) -> str | None:
    known = {name.replace("_", " "): value for name, value in values.items() if value not in {None, 0}}
    return ", ".join(f"{name} {value}" for name, value in known.items()) or None


def _length(seconds: object) -> str:
    if not isinstance(seconds, int | float) or seconds <= 0:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"


def _figure(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else ""


def _percent(share: object) -> str:
    return f"{100 * share:.0f} %" if isinstance(share, int | float) else ""
