"""What a new result pushes out, in the transaction that keeps it."""

from datetime import datetime

from holdfast.domain.analysis import Analysis
from holdfast.domain.events import Event
from holdfast.domain.retention import History, Reason, Rules
from holdfast.domain.triage import KIND
from holdfast.store.retention import Found, Walk
from holdfast.store.unit_of_work import UnitOfWork

_MOST = 1000


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
        events = [gone_event(found, going[found.candidate.key], uow.now) for found in held]
        uow.drop_many(held, events)


def gone_event(found: Found, reason: Reason, now: datetime) -> Event:
    """What the ledger is told of an analysis that retention removes."""
    gone = found.candidate
    return Event(
        name="analysis.purged" if reason is Reason.TRASH_EMPTIED else "analysis.expired",
        at=now,
        analysis_id=gone.analysis_id,
        client_session_id=gone.owner,
        data={"reason": reason.value, "kind": gone.kind, "bytes": gone.stored_size},
    )
