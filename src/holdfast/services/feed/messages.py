"""What watchers get: an event, made into bytes once, whoever gets it."""

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from holdfast.documents import to_json
from holdfast.domain.events import ENDINGS, LedgerEntry, Position
from holdfast.store.runs import Reported

PROGRESSED = "analysis.progressed"
_REVOKED = "token.revoked"
_CREATED = "token.created"

RETRY = b"retry: 1000\n\n"
"""Comes first: how many milliseconds a browser waits before it connects again."""

HEARTBEAT = b": still here\n\n"
"""A comment, so that nobody on the way takes a quiet stream for a dead one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """An event as it is sent.

    Attributes:
        name: the event's name.
        analysis_id: the analysis concerned, if any.
        owner: who may see it besides administrators.
        kind: the analysis's kind, if it is known.
        position: its place in the ledger; None for progress, which is not in the ledger.
        reported_at: when progress was reported; None for what is in the ledger.
        ends_token: the token that can no longer be used, if that is what happened.
        chunk: its bytes in a stream.
    """

    name: str
    analysis_id: str | None
    owner: str | None
    kind: str | None
    position: Position | None = None
    reported_at: datetime | None = None
    ends_token: str | None = None
    chunk: bytes

    @property
    def key(self) -> int | str:
        """What it takes the place of in a queue: progress that of earlier progress, an event nothing's."""
        return self.analysis_id or "" if self.position is None else self.position.sequence

    @property
    def ends_watches(self) -> bool:
        """Whether it may be that somebody is let in no longer."""
        return self.ends_token is not None or self.name == _CREATED

    def is_older(self, progress: "Message") -> bool:
        """Whether it tells of the same run's progress, and nothing newer."""
        if self.reported_at is None or progress.reported_at is None:
            return False
        return self.analysis_id == progress.analysis_id and self.reported_at <= progress.reported_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which events a watcher gets.

    Attributes:
        owner: only this owner's; None for everybody's.
        analysis_id: only of this analysis.
        names: only of these names; all when empty.
        kinds: only of analyses of these kinds; all when empty.
        token_id: the token that lets the watcher in, if one does; the watch ends with it.
        until_tokens: whether the watcher is let in because there are no tokens; the watch ends with the first one.
    """

    owner: str | None
    analysis_id: str | None = None
    names: Collection[str] = frozenset()
    kinds: Collection[str] = frozenset()
    token_id: str | None = None
    until_tokens: bool = False

    def is_ended_by(self, message: Message) -> bool:
        """Whether the watcher is let in no longer once that has happened."""
        if message.ends_token is not None:
            return message.ends_token == self.token_id
        return self.until_tokens and message.name == _CREATED

    def fits(self, message: Message) -> bool:
        """Whether ``message`` is one of them."""
        return (
            (self.owner is None or message.owner == self.owner)
            and (self.analysis_id is None or message.analysis_id == self.analysis_id)
            and (not self.names or message.name in self.names)
            and (not self.kinds or message.kind in self.kinds)
        )


def document(entry: LedgerEntry) -> dict[str, Any]:
    """An event of the ledger, as JSON says it."""
    return {"sequence": entry.sequence, **asdict(entry.event)}


def of_entry(entry: LedgerEntry) -> Message:
    """An event of the ledger."""
    event = entry.event
    kind = event.data.get("kind")
    data = to_json(document(entry), "An event")
    return Message(
        name=event.name,
        analysis_id=event.analysis_id,
        owner=event.client_session_id,
        kind=kind if isinstance(kind, str) else None,
        position=entry.position,
        ends_token=event.data.get("token_id") if event.name == _REVOKED else None,
        chunk=b"id: %d\nevent: %s\ndata: %s\n\n" % (entry.sequence, event.name.encode(), data),
    )


def of_progress(reported: Reported) -> Message:
    """How far a run has come."""
    progress = asdict(reported.progress)
    data = to_json({"analysis_id": reported.analysis_id, "kind": reported.kind, **progress}, "Progress")
    return Message(
        name=PROGRESSED,
        analysis_id=reported.analysis_id,
        owner=reported.client_session_id,
        kind=reported.kind,
        reported_at=reported.progress.updated_at,
        chunk=b"event: %s\ndata: %s\n\n" % (PROGRESSED.encode(), data),
    )


def arranged(events: Iterable[Message], progress: Iterable[Message]) -> list[Message]:
    """Events in order with the progress reported meanwhile: an end comes after the last of its run's progress."""
    left = {message.analysis_id: message for message in progress}
    arranged: list[Message] = []
    for message in events:
        if message.name in ENDINGS and (last := left.pop(message.analysis_id, None)) is not None:
            arranged.append(last)
        arranged.append(message)
    return arranged + list(left.values())
