"""Groups of duplicates looked at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from holdfast.domain.access import LOCAL, Caller
from holdfast.domain.checks import check_limit
from holdfast.domain.errors import GroupNotFound, InvalidInput
from holdfast.domain.triage import Action, Decision, Sort
from holdfast.store.searches import Shown, groups_at, search
from holdfast.store.triage import Counts, GroupFilter
from holdfast.store.unit_of_work import Store, UnitOfWork

_LARGEST_PAGE = 1000
_CANDIDATES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPage:
    """A page of groups.

    Attributes:
        items: in the order asked for.
        next: where the next page begins; None when this is the last one.
    """

    items: list[Shown]
    next: int | None


class GroupsService:
    """The use cases of looking at groups."""

    def __init__(self, store: Store) -> None:
        """Look into ``store``."""
        self._store = store

    def page(
        self,
        analysis_id: str,
        *,
        where: GroupFilter | None = None,
        sort: Sort = Sort.GROUP_INDEX,
        ascending: bool | None = None,
        after: int | None = None,
        limit: int = 100,
        caller: Caller = LOCAL,
    ) -> GroupPage:
        """A page of the groups of an analysis.

        Args:
            analysis_id: the analysis.
            where: which groups; all when None.
            sort: by what.
            ascending: least first; as people expect of that order when None.
            after: ``next`` of the page before.
            limit: how many at most, up to 1,000.
            caller: who asks.
        """
        check_limit(limit, _LARGEST_PAGE)
        rising = sort.ascends if ascending is None else ascending

        def look(uow: UnitOfWork) -> GroupPage:
            key = search(uow, analysis_id, caller).key
            found = uow.triage.page(
                key, where or GroupFilter(), sort=sort, ascending=rising, after=after, limit=limit + 1
            )
            shown = found[:limit]
            return GroupPage(items=groups_at(uow, key, shown), next=shown[-1] if len(found) > limit else None)

        return self._store.read(look)

    def get(self, analysis_id: str, group_id: str, *, caller: Caller = LOCAL) -> Shown:
        """One group of an analysis.

        Raises:
            GroupNotFound: it has no such group.
        """

        def look(uow: UnitOfWork) -> Shown:
            key = search(uow, analysis_id, caller).key
            places = uow.triage.ordinals_of(key, [group_id]).get(group_id)
            if not places:
                raise GroupNotFound(group_id=group_id)
            return groups_at(uow, key, places[:1])[0]

        return self._store.read(look)

    def identities(self, analysis_id: str, given: Sequence[str], *, caller: Caller = LOCAL) -> list[str]:
        """The groups that have these ids, or are the only ones whose ids begin so.

        Raises:
            GroupNotFound: none does.
            InvalidInput: several do.
        """

        def look(uow: UnitOfWork) -> list[str]:
            key = search(uow, analysis_id, caller).key
            return [_only(given_id, uow.triage.identities_from(key, given_id, _CANDIDATES)) for given_id in given]

        return self._store.read(look)

    def counts(self, analysis_id: str, *, caller: Caller = LOCAL) -> Counts:
        """How the groups of an analysis stand, and what the decisions about them concern."""
        return self._store.read(lambda uow: uow.triage.counts(search(uow, analysis_id, caller).key))

    def going(self, analysis_id: str, *, caller: Caller = LOCAL) -> Iterator[tuple[Shown, Decision]]:
        """The groups of an analysis whose tracks were decided to go, some at a time."""
        where, after = GroupFilter(action=Action.DELETED), None
        while True:
            page = self.page(analysis_id, where=where, after=after, limit=_LARGEST_PAGE, caller=caller)
            yield from ((one, one.decision) for one in page.items if one.decision is not None)
            after = page.next
            if after is None:
                return


def _only(given: str, found: Sequence[str]) -> str:
    if given in found:
        return given
    if not found:
        raise GroupNotFound(f"The analysis has no group {given[:80]}", group_id=given[:80])
    if len(found) > 1:
        raise InvalidInput(f"{given} begins several groups: {', '.join(found)}", field="group_ids")
    return found[0]
