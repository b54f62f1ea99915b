"""What happened: the audit trail and the live feed are one list of events."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened.

    Attributes:
        name: ``noun.verb`` in the past tense, one of EVENTS.
        at: when, aware.
        analysis_id: the analysis concerned, if any.
        client_session_id: the owner of what changed, who may see the event.
        actor: who did it (an owner, ``token:<id>``, ``worker:<id>``, ``system``).
        data: small JSON-able facts.
    """

    name: str
    at: datetime
    analysis_id: str | None = None
    client_session_id: str | None = None
    actor: str = "system"
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Position:
    """A place in the ledger; the greater one is later in the order of commits.

    Attributes:
        transaction: the transaction that wrote the event; 0 where sequences alone are in the order of commits.
        sequence: the event's number.
    """

    transaction: int = 0
    sequence: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """An event in the ledger.

    Attributes:
        sequence: its number in the ledger; increasing, with gaps.
        event: what happened.
        transaction: the transaction that wrote it; see ``Position``.
    """

    sequence: int
    event: Event
    transaction: int = 0

    @property
    def position(self) -> Position:
        """Its place in the order of commits."""
        return Position(transaction=self.transaction, sequence=self.sequence)


EVENTS = {
    "analysis.submitted": "An analysis was asked for and queued",
    "analysis.started": "A run began",
    "analysis.entered_phase": "A run entered its next phase",
    "analysis.progressed": "A run came further; told live only, not kept in the ledger",
    "analysis.interrupted": "A run was lost with its process and queued again",
    "analysis.completed": "A result was kept",
    "analysis.failed": "A run ended with an error",
    "analysis.cancel_requested": "Somebody asked a run to stop",
    "analysis.cancelled": "A run was stopped on request",
    "analysis.timed_out": "A run took longer than it may",
    "analysis.resumed": "An ended run was queued again, to continue from its last checkpoint",
    "analysis.reused": "A kept result answered a request for a new analysis",
    "analysis.deleted": "An analysis was put into the trash",
    "analysis.restored": "An analysis was taken out of the trash",
    "analysis.purged": "An analysis was deleted for good, by hand or with the trash",
    "analysis.expired": "An analysis was removed by retention; `reason` says why",
    "analysis.pinned": "An analysis was pinned: retention leaves it alone",
    "analysis.unpinned": "An analysis was unpinned",
    "duplicates.decided": "Decisions about groups of duplicates were kept; `batch_id` undoes them",
    "duplicates.undone": "Decisions about groups of duplicates were undone",
    "duplicates.exported": "A search for duplicates was exported",
    "duplicates.export_deleted": "An export was deleted before its time",
    "duplicates.cleaned_up": "An owner's old searches for duplicates were removed on request",
    "duplicates.moved_to_trash": "Files that were decided to go were moved into a folder beside the library",
    "branch.marked": "Somebody asked for a refresh of a branch",
    "branch.became_stale": "A branch was seen at another commit than the one analysed; the data sum up what changed",
    "refresh.scheduled": "A refresh waits for its time",
    "refresh.started": "A refresh began: its analysis was submitted",
    "refresh.completed": "A refresh is over, with a new result",
    "refresh.failed": "A refresh is over without one; the result before stays",
    "refresh.cancelled": "A refresh was called off before it began",
    "auto_refresh.enabled": "Stale branches are refreshed by themselves from now on",
    "auto_refresh.disabled": "Stale branches are no longer refreshed by themselves",
    "repository.added": "A repository was made known",
    "repository.changed": "What is known of a repository changed",
    "repository.synced": "A repository's branches were read from where it is",
    "repository.deleted": "A repository was put into the trash",
    "repository.restored": "A repository was taken out of the trash",
    "repository.purged": "A repository was deleted for good, with its branches",
    "branch.added": "A branch was made known",
    "branch.changed": "What writers say of a branch changed",
    "branch.gone": "A repository no longer has a branch",
    "conflict.arose": "Two versions wait for somebody to choose between them",
    "conflict.resolved": "Somebody chose between two versions",
    "job.died": "A job used up its attempts and waits for somebody to look at it",
    "job.retried": "A dead job was queued again",
    "token.created": "A token was made",
    "token.revoked": "A token was revoked",
}

ENDINGS = frozenset(
    {
        "analysis.completed",
        "analysis.failed",
        "analysis.cancelled",
        "analysis.timed_out",
        "analysis.deleted",
        "analysis.expired",
        "analysis.purged",
    }
)
"""After these nothing more is to be expected of an analysis, unless it is begun again."""

BEGINNINGS = frozenset({"analysis.submitted", "analysis.started", "analysis.resumed"})
"""After these more is to be expected, whatever came before."""
