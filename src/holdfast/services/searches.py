"""Searches for duplicates, found again by what they were made with."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.domain.access import LOCAL, Caller
from holdfast.domain.analysis import Analysis, Status
from holdfast.domain.events import Event
from holdfast.domain.retention import History, Rules
from holdfast.domain.triage import KIND
from holdfast.store.keeping import take_away
from holdfast.store.lists import Filter
from holdfast.store.retention import Walk
from holdfast.store.searches import search
from holdfast.store.unit_of_work import Store, UnitOfWork, params_hash

_ACTIVE = 100
_MOST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterChange:
    """What one search had other than the one before it.

    Attributes:
        analysis: the search.
        changed: by parameter: the value before and then; empty for the oldest one.
    """

    analysis: Analysis
    changed: dict[str, tuple[Any, Any]]


class SearchesService:
    """The use cases of searches."""

    def __init__(self, store: Store, rules: Rules) -> None:
        """Look into ``store``.

        Args:
            store: where searches are kept.
            rules: how long.
        """
        self._store = store
        self._rules = rules

    def get(self, analysis_id: str, *, caller: Caller = LOCAL) -> Analysis:
        """A search.

        Raises:
            AnalysisNotFound: there is none, or it is an analysis of another kind.
        """
        return self._store.read(lambda uow: search(uow, analysis_id, caller).value)

    def latest(
        self,
        owner: str | None = None,
        *,
        search_term: str | None = None,
        params: Mapping[str, Any] | None = None,
        caller: Caller = LOCAL,
    ) -> Analysis | None:
        """The newest complete search of an owner.

        Args:
            owner: whose; the caller's when None.
            search_term: with this term; None for any.
            params: with exactly these parameters.
            caller: who asks.

        Raises:
            Forbidden: it would be another owner's.
        """
        whose = owner or caller.owner
        caller.narrowed(whose)
        hashed = None if params is None else params_hash(params)

        def look(uow: UnitOfWork) -> Analysis | None:
            if search_term is None and hashed is None:
                where = Filter(client_session_id=whose, kind=KIND, status=(Status.COMPLETED,), visible_at=uow.now)
                found = uow.analyses.latest(where)
                return None if found is None else found.value
            keys = uow.search_facts.searches(whose, search_term=search_term, params_hash=hashed)
            for stored in uow.analyses.at(keys):
                if stored.value.status is Status.COMPLETED and stored.value.is_visible(uow.now):
                    return stored.value
            return None

        return self._store.read(look)

    def under_way(self, like: Analysis, params: Mapping[str, Any], *, caller: Caller = LOCAL) -> Analysis | None:
        """The search of the same library with the same parameters that waits or runs, whatever the library's state."""
        owner = like.context.client_session_id
        hashed = params_hash(params)

        def look(uow: UnitOfWork) -> Analysis | None:
            where = Filter(
                client_session_id=owner,
                kind=KIND,
                status=(Status.QUEUED, Status.RUNNING),
                visible_at=uow.now,
            )
            for stored in uow.analyses.page(where, limit=_ACTIVE):
                value = stored.value
                same = value.location == like.location and params_hash(value.params) == hashed
                if same and not value.cancel_requested and caller.may_see(owner):
                    return value
            return None

        return self._store.read(look)

    def clean_up(self, owner: str | None = None, *, caller: Caller = LOCAL) -> dict[str, int]:
        """Remove the searches that an owner has too many of, or that are too old.

        Args:
            owner: whose; the caller's when None.
            caller: who asks.

        Returns:
            How many were ``deleted`` and are ``kept``, and how many by reason.

        Raises:
            Forbidden: they would be another owner's.
        """
        whose = owner or caller.owner
        caller.narrowed(whose)

        def work(uow: UnitOfWork) -> dict[str, int]:
            page = uow.retention.page(Walk.HISTORY, limit=_MOST, kind=KIND, owner=whose)
            history = History(self._rules, uow.now)
            going = {gone.candidate.key: gone.reason for candidate in page for gone in history.look(candidate)}
            held = [found for found in uow.retention.held(sorted(going)) if found.candidate.may_go] if going else []
            reasons = Counter(going[found.candidate.key].value for found in held)
            cleaned = Event(
                name="duplicates.cleaned_up",
                at=uow.now,
                client_session_id=whose,
                actor=caller.name,
                data={"deleted": len(held), "bytes": sum(found.candidate.stored_size for found in held), **reasons},
            )
            if held:
                take_away(uow, [(found, going[found.candidate.key]) for found in held], [cleaned])
            else:
                uow.ledger.append([cleaned])
            return {"deleted": len(held), "kept": len(page) - len(held), **reasons}

        return self._store.write(work)


def parameter_changes(found: Sequence[Analysis]) -> list[ParameterChange]:
    """Searches, newest first, each with what it had other than the one before."""
    return [
        ParameterChange(analysis=one, changed={} if before is None else _differences(before.params, one.params))
        for one, before in zip(found, [*found[1:], None], strict=False)
    ]


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = sorted(before.keys() | after.keys())
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}
