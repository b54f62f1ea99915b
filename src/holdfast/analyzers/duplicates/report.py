"""Puts a result together: groups as people and programs read them. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from holdfast.analyzers.duplicates.canonical import keep_reasons
from holdfast.analyzers.duplicates.crossref import MATCHES, Match
from holdfast.analyzers.duplicates.doubts import FOR_REVIEW, Doubt, codes, texts
from holdfast.analyzers.duplicates.library import SCHEMA
from holdfast.analyzers.duplicates.matching import Groups
from holdfast.analyzers.duplicates.params import Params
from holdfast.analyzers.duplicates.text import fold
from holdfast.domain.errors import InvalidInput
from holdfast.domain.findings import Finding, FindingItem, Severity
from holdfast.domain.fingerprint import code_hash

SAFE_RULE = "duplicates/safe"
REVIEW_RULE = "duplicates/review"

_RENAMED = {"song": "song_name", "artist": "artist_name", "album": "album_name"}
_MATCH = [name for name in MATCHES if name != "row"]
_SNAPSHOT = [*(_RENAMED.get(name, name) for name in SCHEMA), *_MATCH]

Group = dict[str, Any]


def build_groups(groups: Groups, matches: pl.DataFrame | None, params: Params) -> list[Group]:
    """The groups in the order that was asked for, each with its tracks, the one to keep first.

    Args:
        groups: what was found.
        matches: what the tracks are in the other library, in MATCHES, if there is one.
        params: what was chosen.
    """
    members = _readable(groups.members, matches)
    ordered = members.sort(
        "group", "is_canonical", "similarity", "track_id", "row", descending=[False, True, True, False, False]
    )
    built: dict[int, list[dict[str, Any]]] = {}
    for track in ordered.iter_rows(named=True):
        built.setdefault(track["group"], []).append(track)
    place = _order(groups, params.sort_by)
    described = [_group(groups.ids[number], built[number], params) for number in place]
    for index, group in enumerate(described):
        group["group_index"] = index
    return described


def totals(groups: list[Group], tracks: int, library: int) -> dict[str, Any]:
    """The figures of a whole result.

    Args:
        groups: as ``build_groups`` gave them.
        tracks: how many tracks took part.
        library: how many the library has.
    """
    similarities = [
        track["similarity_score"] for group in groups for track in group["tracks"] if not track["is_canonical"]
    ]
    safe = sum(group["tier"] == "safe" for group in groups)
    return {
        "library_track_count": library,
        "total_tracks_analyzed": tracks,
        "total_groups_found": len(groups),
        "total_duplicates_found": len(similarities),
        "safe_groups": safe,
        "review_groups": len(groups) - safe,
        "groups_with_itunes_matches": sum(group["has_itunes_matches"] for group in groups),
        "average_similarity_score": round(sum(similarities) / len(similarities), 4) if similarities else 0.0,
    }


def findings(groups: list[Group]) -> Iterator[Finding]:
    """One finding for each group."""
    for group in groups:
        safe = group["tier"] == "safe"
        kept = group["tracks"][0]
        yield Finding(
            rule=SAFE_RULE if safe else REVIEW_RULE,
            severity=Severity.MEDIUM if safe else Severity.LOW,
            title=f"{_named(kept)}: {len(group['tracks'])} tracks",
            message=_message(group),
            identity=group["group_id"],
            score=group["average_similarity_score"],
            data={name: value for name, value in group.items() if name != "tracks"},
            items=tuple(FindingItem(key=track["track_id"], data=track) for track in group["tracks"]),
        )


def summarise(title: str, figures: Mapping[str, Any], *, changed_meanwhile: bool = False) -> str:
    """A sentence for lists and notices.

    Args:
        title: what the library is called.
        figures: as ``totals`` gave them.
        changed_meanwhile: whether the library was changed between the request and the end of reading it.
    """
    groups, duplicates = figures["total_groups_found"], figures["total_duplicates_found"]
    changed = "; the library was changed meanwhile" if changed_meanwhile else ""
    if not groups:
        return f"{title}: no duplicates among {_some(figures['total_tracks_analyzed'], 'track')}{changed}"
    return (
        f"{title}: {_some(duplicates, 'duplicate')} in {_some(groups, 'group')} among "
        f"{_some(figures['total_tracks_analyzed'], 'track')}, {_some(figures['review_groups'], 'group')} to look at"
        f"{changed}"
    )


def _some(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _readable(members: pl.DataFrame, matches: pl.DataFrame | None) -> pl.DataFrame:
    if matches is None:
        found = members.with_columns(pl.lit(None, dtype=MATCHES[name]).alias(name) for name in _MATCH)
    else:
        found = members.join(matches, on="row", how="left", maintain_order="left")
    moments = [name for name, dtype in SCHEMA.items() if isinstance(dtype, pl.Datetime)]
    return found.with_columns(pl.col(name).dt.to_string("%Y-%m-%dT%H:%M:%S%.fZ") for name in moments).rename(_RENAMED)


def _order(groups: Groups, sort_by: str) -> list[int]:
    """The groups' numbers in the order asked for; whatever it is, equal ones stand by artist, song and id."""
    members = groups.members
    canonical = members.filter("is_canonical").sort("group")
    whole = members.group_by("group").agg(
        duplicates=pl.len(),
        confidence=pl.col("similarity").mean(),
        play_count=pl.col("play_count").sum(),
        last_played=pl.col("last_played").max(),
        date_added=pl.col("date_added").max(),
    )
    rows = canonical.select("group").with_columns(
        artist=fold(canonical["artist"]), song=fold(canonical["song"]), group_id=pl.Series(groups.ids, dtype=pl.String)
    )
    by = [sort_by, *(name for name in ("artist", "song", "group_id") if name != sort_by)]
    descending = [name not in {"artist", "song", "group_id"} for name in by]
    table = rows.join(whole, on="group", how="left", maintain_order="left")
    return table.sort(by, descending=descending, nulls_last=True)["group"].to_list()


def _group(group_id: str, tracks: list[dict[str, Any]], params: Params) -> Group:
    kept, others = tracks[0], tracks[1:]
    doubts = Doubt(0)
    for track in others:
        doubts |= Doubt(track["doubts"])
    least = min((track["similarity"] for track in others), default=1.0)
    safe = least >= params.safe_similarity and not doubts & FOR_REVIEW
    matched = [track for track in tracks if track["itunes_match_type"] not in {None, Match.NONE.value}]
    return {
        "group_id": group_id,
        "group_index": 0,
        "canonical_track_id": kept["track_id"],
        "canonical_reasons": keep_reasons({**kept, "song": kept["song_name"]}),
        "duplicate_count": len(others),
        "average_similarity_score": round(sum(track["similarity"] for track in others) / max(len(others), 1), 4),
        "lowest_similarity_score": least,
        "tier": "safe" if safe else "manual_review",
        "suggested_action": "delete_duplicates" if safe else "manual_review",
        "reasons": codes(doubts),
        "reason_texts": texts(doubts),
        "has_itunes_matches": bool(matched),
        "carry_over": _carry_over(tracks),
        "tracks": [_track(track) for track in tracks],
    }


def _carry_over(tracks: list[dict[str, Any]]) -> dict[str, Any]:
    """What the track to keep should take over from the others, so that nothing is lost with them."""
    return {
        "play_count": sum(track["play_count"] or 0 for track in tracks),
        "rating": max((track["rating"] for track in tracks if track["rating"] is not None), default=None),
        "date_added": min((track["date_added"] for track in tracks if track["date_added"]), default=None),
        "last_played": max((track["last_played"] for track in tracks if track["last_played"]), default=None),
    }


def _track(track: dict[str, Any]) -> dict[str, Any]:
    kind = track["itunes_match_type"]
    return {
        **{name: track[name] for name in _SNAPSHOT},
        "itunes_match_found": None if kind is None else kind != Match.NONE.value,
        "similarity_score": track["similarity"],
        "reasons": codes(Doubt(track["doubts"])),
        "keep_score": track["keep_score"],
        "is_canonical": track["is_canonical"],
    }


def _named(track: Mapping[str, Any]) -> str:
    return " - ".join(part for part in (track["artist_name"], track["song_name"]) if part)


def _message(group: Group) -> str:
    kept = f"Keep {group['canonical_track_id']}: {', '.join(group['canonical_reasons'])}."
    if group["tier"] == "safe":
        others = "other" if group["duplicate_count"] == 1 else f"other {group['duplicate_count']:,}"
        return f"{kept} The {others} can go."
    why = "; ".join(group["reason_texts"]) or "they are less alike than asked for"
    return f"Look at it yourself: {why}. {kept}"


def whole_group(number: int, given: Mapping[str, Any]) -> Group:
    """A group that was found elsewhere, with all that a group of ``build_groups`` has, as far as a finding needs it.

    Args:
        number: its place.
        given: the group, with at least its tracks and their ids.

    Raises:
        InvalidInput: it has no tracks, or one has no id.
    """
    tracks = [dict(track) for track in given.get("tracks", ())]
    if not tracks or not all(isinstance(track.get("track_id"), str) for track in tracks):
        raise InvalidInput(f"Group {number} needs tracks, each with a track_id", field="duplicate_groups")
    named = [track for track in tracks if track.get("is_canonical")] or tracks[:1]
    tracks.sort(key=lambda track: track is not named[0])
    for track in tracks:
        track["is_canonical"] = track is named[0]
    members = "\0".join(sorted(track["track_id"] for track in tracks))
    snapshots = [{"song_name": None, "artist_name": None, **track} for track in tracks]
    return {
        # Named by its tracks: another one among them makes it another group.
        "group_id": code_hash(members)[:32],
        "canonical_reasons": [],
        "average_similarity_score": 1.0,
        "tier": "safe",
        "suggested_action": "delete_duplicates",
        "reason_texts": [],
        "has_itunes_matches": False,
        **given,
        "group_index": number,
        "canonical_track_id": tracks[0]["track_id"],
        "duplicate_count": len(tracks) - 1,
        "tracks": snapshots,
    }
