"""What retention takes away, and what a new result pushes out in the transaction that keeps it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from holdfast.domain.analysis import Analysis
from holdfast.domain.events import Event
from holdfast.domain.retention import History, Reason, Rules
from holdfast.domain.triage import KIND
from holdfast.store.retention import Found, Walk
from holdfast.store.unit_of_work import UnitOfWork

_MOST = 1000

# Figures that begin so count what retention has taken away, and end in its reason.
REMOVED = "removed."
REMOVED_BYTES = "removed_bytes."


def push_out(uow: UnitOfWork, value: Analysis, rules: Rules) -> None:
    """Drop the searches for duplicates that the owner has too many of, now that this one is kept.

    Args:
        uow: the transaction.
        value: the new result.
        rules: how many of them an owner keeps, and how long.
    """
    # The documents want it of searches at once; all other kinds wait for the sweep, which `retention plan` foretells.
    if value.kind != KIND or rules.policy(KIND).keep_last is None:
        return
    owner = value.context.client_session_id
    page = uow.retention.page(Walk.HISTORY, limit=_MOST, kind=value.kind, owner=owner)
    history = History(rules, uow.now)
    going = {gone.candidate.key: gone.reason for candidate in page for gone in history.look(candidate)}
    # Somebody may hold, pin or restore one at this moment: that one is left to the sweep.
    held = [found for found in uow.retention.held(sorted(going)) if found.candidate.may_go] if going else []
    if held:
        take_away(uow, [(found, going[found.candidate.key]) for found in held])


def take_away(uow: UnitOfWork, gone: Sequence[tuple[Found, Reason]], events: Iterable[Event] = ()) -> None:
    """Drop analyses that retention lets go, and add them to the figures of what it achieves.

    Args:
        uow: the transaction, which holds them.
        gone: the analyses, and why they go.
        events: what else the ledger is told.
    """
    uow.drop_many(
        [found for found, _ in gone], [*(_gone_event(found, reason, uow.now) for found, reason in gone), *events]
    )
    figures: Counter[str] = Counter()
    for found, reason in gone:
        figures[REMOVED + reason.value] += 1
        figures[REMOVED_BYTES + reason.value] += found.candidate.stored_size
    for name, value in figures.items():
        uow.counters.add(name, value)


def _gone_event(found: Found, reason: Reason, now: datetime) -> Event:
    gone = found.candidate
    return Event(
        name="analysis.purged" if reason is Reason.TRASH_EMPTIED else "analysis.expired",
        at=now,
        analysis_id=gone.analysis_id,
        client_session_id=gone.owner,
        data={"reason": reason.value, "kind": gone.kind, "bytes": gone.stored_size},
    )
