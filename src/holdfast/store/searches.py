"""Searches for duplicates and their groups, each with what was decided about it."""

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.domain import ids
from holdfast.domain.access import Caller
from holdfast.domain.errors import NotASearch
from holdfast.domain.findings import Finding
from holdfast.domain.triage import KIND, Decision
from holdfast.store.analyses import Stored
from holdfast.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A group as a list shows it.

    Attributes:
        ordinal: its place in the analysis.
        finding: the group with its tracks.
        decision: what holds for it, if anything.
    """

    ordinal: int
    finding: Finding
    decision: Decision | None


def search(uow: UnitOfWork, analysis_id: str, caller: Caller, *, lock: bool = False) -> Stored:
    """A search for duplicates that the caller may see.

    Raises:
        AnalysisNotFound: there is none, or it is an analysis of another kind.
    """
    stored = uow.find_visible(ids.check_id(analysis_id), caller, lock=lock)
    if stored.value.kind != KIND:
        raise NotASearch(f"The analysis {analysis_id} is of kind {stored.value.kind}", analysis_id=analysis_id)
    return stored


def groups_at(uow: UnitOfWork, key: int, ordinals: Sequence[int]) -> list[Shown]:
    """The groups that have these places, in this order, with what holds for them."""
    found = dict(uow.findings.at(key, ordinals))
    decisions = uow.triage.decisions_at(key, ordinals)
    return [
        Shown(ordinal=ordinal, finding=found[ordinal], decision=decisions.get(ordinal))
        for ordinal in ordinals
        if ordinal in found
    ]
