"""The form in which duplicates leave as JSON, by HTTP and from the command line; field names are stable."""

from typing import TYPE_CHECKING

from holdfast.domain.exporting import Export, Exported
from holdfast.domain.triage import Action, Choice, Impact
from holdfast.records.common import Record, time

if TYPE_CHECKING:
    from holdfast.duplicates import Aged
    from holdfast.services.libraries import LibraryChanges
    from holdfast.services.triage import Decided
    from holdfast.store.searches import Shown
    from holdfast.store.triage import Counts


def group(value: "Shown") -> Record:
    """A group of duplicates, its tracks, and what was decided about it."""
    finding_, decision = value.finding, value.decision
    exists = Exported(finding=finding_, decision=decision).exists
    decided_at = None if decision is None else time(decision.decided_at)
    return {
        "group_index": value.ordinal,
        **finding_.data,
        "group_id": finding_.identity,
        "title": finding_.title,
        "message": finding_.message,
        "resolved": decision is not None and decision.action.settles,
        "resolution_action": None if decision is None else decision.action.value,
        "resolved_at": decided_at,
        "resolution": None
        if decision is None
        else {
            "batch_id": decision.batch_id,
            "keeps": decision.keeps,
            "goes": list(decision.goes),
            "note": decision.note,
            "actor": decision.actor,
        },
        "tracks": [
            {
                **item.data,
                "track_id": item.key,
                "still_exists": exists(item.key),
                "deleted_at": None if exists(item.key) else decided_at,
            }
            for item in finding_.items
        ],
    }


def impact(value: Impact) -> Record:
    """What decisions concern."""
    return {"groups": value.groups, "tracks": value.tracks, "size_bytes": value.bytes, "plays": value.plays}


def decided(value: "Decided") -> Record:
    """What a request to decide led to."""
    return {
        "success": True,
        "batch_id": value.batch_id,
        "action": value.action.value,
        "impact": impact(value.impact),
        "groups": [_choice(one) for one in value.choices],
        "skipped": [_choice(one) for one in value.skipped],
        "skipped_count": value.skipped_count,
    }


def _choice(value: Choice) -> Record:
    return {
        "group_id": value.group.group_id,
        "keeps": None if value.keeps is None else value.keeps.track_id,
        "goes": [track.track_id for track in value.goes],
        "reason": value.reason,
    }


def resolution(value: "Counts") -> Record:
    """How the groups of a search stand."""
    settled = [found for action, found in value.decided.items() if action.settles]
    resolved = sum(found.groups for found in settled)
    total = value.total.groups
    return {
        "total_groups": total,
        "resolved_groups": resolved,
        "unresolved_groups": total - resolved,
        "percentage": round(100 * resolved / total, 2) if total else 100.0,
        "by_action": {action.value: impact(value.decided.get(action, Impact())) for action in Action},
    }


def impacts(value: "Counts") -> Record:
    """What all groups concern, what went by decisions, and what is left."""
    gone = value.decided.get(Action.DELETED, Impact())
    return {
        "before": impact(value.total),
        "decided": impact(gone),
        "left": {
            "groups": value.total.groups - sum(one.groups for action, one in value.decided.items() if action.settles),
            "tracks": max(value.total.tracks - gone.tracks, 0),
            "size_bytes": max(value.total.bytes - gone.bytes, 0),
            "plays": max(value.total.plays - gone.plays, 0),
        },
    }


def library_changes(value: "LibraryChanges") -> Record:
    """What has changed in a library."""
    changes = value.changes
    return {
        "added": changes.added,
        "modified": changes.modified,
        "deleted": changes.deleted,
        "total": changes.total,
        "added_track_ids": list(changes.added_names),
        "modified_track_ids": list(changes.modified_names),
        "deleted_track_ids": list(changes.deleted_names),
        "tracks_before": value.tracks_before,
        "tracks_now": value.tracks_now,
    }


def aged(value: "Aged") -> Record:
    """How old a search is, and what to do."""
    found, advice = value.freshness, value.freshness.recommendation
    return {
        "level": None if found.level is None else found.level.value,
        "age_seconds": found.age_seconds,
        "message": advice.message,
        "analyzed_at": None if found.level is None else time(value.analysis.completed_at),
        "stale_at": time(found.stale_at),
        "threshold_seconds": found.threshold_seconds,
        "is_stale": found.is_stale,
        "show_age_warning": value.warns_of_age,
        "show_change_warning": value.warns_of_changes,
        "library_changes": None if value.changes is None else library_changes(value.changes),
        "changes_unknown": value.why_unknown,
        "recommendation": {
            "should_refresh": advice.should_refresh,
            "urgency": advice.urgency.value,
            "suggestion": advice.suggestion,
            "reasons": [reason.value for reason in found.reasons],
        },
    }


def export(value: Export) -> Record:
    """An export, and where to fetch it."""
    ready = value.status.value == "ready"
    return {
        "export_id": value.export_id,
        "analysis_id": value.analysis_id,
        "format": value.format.value,
        "status": value.status.value,
        "percentage": round(value.percentage, 1),
        "size_bytes": value.size if ready else None,
        "error": value.error,
        "download": f"/api/v1/duplicates/exports/{value.export_id}/download" if ready else None,
        "created_at": time(value.created_at),
        "completed_at": time(value.completed_at),
        "expires_at": time(value.expires_at),
    }
