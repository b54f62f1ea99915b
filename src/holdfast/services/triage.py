"""Groups of duplicates looked at and decided."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from holdfast.domain import ids
from holdfast.domain.access import LOCAL, Caller
from holdfast.domain.errors import DecisionNotFound, GroupNotFound, InvalidInput, VersionConflict
from holdfast.domain.events import Event
from holdfast.domain.ports import IdSource
from holdfast.domain.triage import (
    Action,
    Choice,
    Decision,
    Group,
    Impact,
    KeepStrategy,
    Preferences,
    keep,
    select,
)
from holdfast.store.analyses import Stored
from holdfast.store.searches import search
from holdfast.store.triage import GroupFilter
from holdfast.store.unit_of_work import Store, UnitOfWork, scope_of

NAMED = 100
"""How many choices an outcome names; all are counted."""

_LONGEST_NOTE = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What a request to decide led to, or would lead to.

    Attributes:
        batch_id: undoes it; None where nothing was kept.
        action: what was decided.
        impact: what it concerns.
        choices: the first of the groups that were decided.
        skipped: the first of the groups that the rule did not decide, with the reason.
        skipped_count: how many those are.
    """

    batch_id: str | None
    action: Action
    impact: Impact
    choices: list[Choice]
    skipped: list[Choice] = field(default_factory=list)
    skipped_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """What was undone.

    Attributes:
        batch_id: the request whose decisions hold no more.
        groups: how many groups it was about.
    """

    batch_id: str
    groups: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A request to decide."""

    action: Action
    note: str
    caller: Caller
    strategy: KeepStrategy | None = None

    def decision(self, choice: Choice, batch_id: str, now: datetime) -> Decision:
        return Decision(
            batch_id=batch_id,
            group_id=choice.group.group_id,
            action=self.action,
            keeps=None if choice.keeps is None else choice.keeps.track_id,
            goes=tuple(track.track_id for track in choice.goes),
            members=choice.group.members,
            note=self.note,
            actor=self.caller.name,
            decided_at=now,
        )


class TriageService:
    """The use cases of deciding."""

    def __init__(self, store: Store, id_source: IdSource) -> None:
        """Work on ``store``; ``id_source`` gives randomness."""
        self._store = store
        self._ids = id_source

    def resolve(
        self,
        analysis_id: str,
        group_ids: Sequence[str],
        action: Action,
        *,
        keeps: Mapping[str, str] | None = None,
        note: str = "",
        caller: Caller = LOCAL,
    ) -> Decided:
        """Decide about groups, all of them in one transaction.

        Args:
            analysis_id: the analysis that has them.
            group_ids: which.
            action: what is decided; with DELETED all tracks but one go.
            keeps: by group, the track that stays where it is not the canonical one.
            note: for whoever looks at it later.
            caller: who decides.

        Raises:
            GroupNotFound: the analysis has no such group.
            InvalidInput: a group has no such track.
        """
        wanted = dict.fromkeys(group_ids)
        if not wanted:
            raise InvalidInput("Name at least one group", field="group_ids")
        named = keeps or {}
        foreign = sorted(named.keys() - wanted)
        if foreign:
            raise InvalidInput(f"keep names a group that is not decided: {foreign[0]}", field="keep")

        def choose(group: Group) -> Choice:
            choice = keep(group, named.get(group.group_id))
            return choice if action is Action.DELETED else _staying(choice, action)

        asked = _Asked(action=action, note=_note(note), caller=caller)
        return self._write(analysis_id, list(wanted), choose, asked)

    def delete_tracks(
        self, analysis_id: str, tracks: Mapping[str, Sequence[str]], *, note: str = "", caller: Caller = LOCAL
    ) -> Decided:
        """Decide that these tracks go; one of each group stays.

        Args:
            analysis_id: the analysis.
            tracks: the tracks by group.
            note: for whoever looks at it later.
            caller: who decides.
        """

        def choose(group: Group) -> Choice:
            wanted = set(tracks[group.group_id])
            unknown = sorted(wanted - set(group.members))
            if unknown or not wanted:
                told = f"has no track {unknown[0]}" if unknown else "has no track named that goes"
                raise InvalidInput(f"The group {group.group_id} {told}", field="track_ids")
            stays = [track for track in group.tracks if track.track_id not in wanted]
            if not stays:
                raise InvalidInput(f"All tracks of {group.group_id} would go: leave one", field="track_ids")
            kept = group.canonical if group.canonical in stays else stays[0]
            goes = tuple(track for track in group.tracks if track.track_id in wanted)
            return Choice(group=group, keeps=kept, goes=goes, reason="they were chosen")

        if not tracks:
            raise InvalidInput("Name at least one track", field="track_ids")
        asked = _Asked(action=Action.DELETED, note=_note(note), caller=caller)
        return self._write(analysis_id, list(tracks), choose, asked)

    def preview(
        self,
        analysis_id: str,
        strategy: KeepStrategy,
        *,
        group_ids: Sequence[str] | None = None,
        where: GroupFilter | None = None,
        include_doubtful: bool = False,
        caller: Caller = LOCAL,
    ) -> Decided:
        """What would go by a rule, and why; nothing is kept.

        Args:
            analysis_id: the analysis.
            strategy: the rule.
            group_ids: these groups; those that ``where`` says when None.
            where: which; those that no decision settles when None.
            include_doubtful: also those that somebody should look at; groups that are named are always decided.
            caller: who asks.
        """
        doubtful = include_doubtful or group_ids is not None

        def look(uow: UnitOfWork) -> Decided:
            stored = search(uow, analysis_id, caller)
            choices = [
                select(group, strategy, include_doubtful=doubtful) for group in _wanted(uow, stored, group_ids, where)
            ]
            return _outcome(None, Action.DELETED, choices)

        return self._store.read(look)

    def smart_delete(
        self,
        analysis_id: str,
        strategy: KeepStrategy,
        *,
        group_ids: Sequence[str] | None = None,
        where: GroupFilter | None = None,
        include_doubtful: bool = False,
        note: str = "",
        caller: Caller = LOCAL,
    ) -> Decided:
        """Decide by a rule; as ``preview`` says it, in one transaction."""
        doubtful = include_doubtful or group_ids is not None

        def choose(uow: UnitOfWork, stored: Stored) -> list[Choice]:
            groups = _wanted(uow, stored, group_ids, where)
            return [select(group, strategy, include_doubtful=doubtful) for group in groups]

        asked = _Asked(action=Action.DELETED, note=_note(note), caller=caller, strategy=strategy)
        return self._decide(analysis_id, asked, choose, spares_settled=group_ids is None)

    def undo(self, batch_id: str, *, caller: Caller = LOCAL) -> Undone:
        """Undo what one request decided; what held before holds again.

        Raises:
            DecisionNotFound: nothing of it holds any more.
        """

        def work(uow: UnitOfWork) -> Undone:
            held = uow.triage.batch(caller.sees, batch_id)
            if not held:
                raise DecisionNotFound(f"There is nothing of {batch_id[:80]} to undo", batch_id=batch_id[:80])
            first = held[0]
            stored = uow.analyses.find(first.analysis_id, lock=True)
            if stored is not None and stored.value.subject is not None:
                uow.triage.hold(stored.value.subject)
            count = uow.triage.undo([one.key for one in held], uow.now)
            event = Event(
                name="duplicates.undone",
                at=uow.now,
                analysis_id=first.analysis_id,
                client_session_id=first.owner,
                actor=caller.name,
                data={"batch_id": batch_id, "groups": count},
            )
            uow.ledger.append([event])
            return Undone(batch_id=batch_id, groups=count)

        return self._store.write(work)

    def note_moved(self, analysis_id: str, moved: int, failed: int, trash: str, *, caller: Caller = LOCAL) -> None:
        """Note in the ledger that files were moved."""

        def work(uow: UnitOfWork) -> None:
            value = search(uow, analysis_id, caller).value
            event = Event(
                name="duplicates.moved_to_trash",
                at=uow.now,
                analysis_id=analysis_id,
                client_session_id=value.context.client_session_id,
                actor=caller.name,
                data={"moved": moved, "failed": failed, "trash": trash},
            )
            uow.ledger.append([event])

        self._store.write(work)

    def preferences(self, *, caller: Caller = LOCAL) -> Preferences:
        """What the caller wants to be told of."""
        return self._store.read(lambda uow: uow.search_facts.preferences(caller.owner))

    def set_preferences(self, changes: Mapping[str, Any], *, caller: Caller = LOCAL) -> Preferences:
        """Change what the caller wants to be told of.

        Args:
            changes: fields of ``Preferences``.
            caller: who changes them.
        """

        def work(uow: UnitOfWork) -> Preferences:
            changed = replace(uow.search_facts.preferences(caller.owner), **changes)
            uow.search_facts.put_preferences(caller.owner, changed, uow.now)
            return changed

        return self._store.write(work)

    def _write(
        self,
        analysis_id: str,
        group_ids: list[str],
        choose: Callable[[Group], Choice],
        asked: "_Asked",
    ) -> Decided:
        def choices(uow: UnitOfWork, stored: Stored) -> list[Choice]:
            return [choose(group) for group in _wanted(uow, stored, group_ids, None)]

        return self._decide(analysis_id, asked, choices, spares_settled=False)

    def _decide(
        self,
        analysis_id: str,
        asked: "_Asked",
        choose: Callable[[UnitOfWork, Stored], list[Choice]],
        *,
        spares_settled: bool,
    ) -> Decided:
        # Chosen before the transaction that writes: to read a hundred thousand groups must not keep writers waiting.
        def look(uow: UnitOfWork) -> tuple[Stored, list[Choice]]:
            stored = search(uow, analysis_id, asked.caller)
            return stored, choose(uow, stored)

        seen, choices = self._store.read(look)

        def work(uow: UnitOfWork) -> Decided:
            stored = search(uow, analysis_id, asked.caller, lock=True)
            if (stored.key, stored.value.completed_at) != (seen.key, seen.value.completed_at):
                raise VersionConflict("The search has run again meanwhile", analysis_id=analysis_id)
            spared = uow.triage.settled(stored.key) if spares_settled else set()
            left = [choice for choice in choices if choice.group.group_id not in spared]
            return self._keep(uow, stored, left, asked)

        return self._store.write(work)

    def _keep(self, uow: UnitOfWork, stored: Stored, choices: Sequence[Choice], asked: "_Asked") -> Decided:
        action, caller = asked.action, asked.caller
        batch_id = ids.uuid7(uow.now, self._ids.random(10))
        # A decision is about an identity: of two groups that share one, the first stands for both.
        choices = list({choice.group.group_id: choice for choice in reversed(choices)}.values())[::-1]
        outcome = _outcome(batch_id, action, choices)
        decided = [
            (choice, asked.decision(choice, batch_id, uow.now))
            for choice in choices
            if choice.keeps is not None or action is not Action.DELETED
        ]
        if not decided:
            return replace(outcome, batch_id=None)
        value = stored.value
        if value.subject is not None:
            # Decisions on two analyses of one library wait for each other here, not at the index of what holds.
            uow.triage.hold(value.subject)
        uow.triage.decide(stored.key, value.analysis_id, scope_of(value), decided)
        event = Event(
            name="duplicates.decided",
            at=uow.now,
            analysis_id=value.analysis_id,
            client_session_id=value.context.client_session_id,
            actor=caller.name,
            data={
                "batch_id": batch_id,
                "action": action.value,
                "strategy": None if asked.strategy is None else asked.strategy.value,
                "groups": outcome.impact.groups,
                "tracks": outcome.impact.tracks,
                "bytes": outcome.impact.bytes,
                "group_ids": [choice.group.group_id for choice in outcome.choices],
            },
        )
        uow.ledger.append([event])
        return outcome


def _wanted(
    uow: UnitOfWork, stored: Stored, group_ids: Sequence[str] | None, where: GroupFilter | None
) -> Iterable[Group]:
    if group_ids is None:
        for ordinals in uow.triage.groups(stored.key, where or GroupFilter(resolved=False)):
            yield from _distinct(uow, stored.key, ordinals)
        return
    places = uow.triage.ordinals_of(stored.key, list(dict.fromkeys(group_ids)))
    missing = next((group_id for group_id in group_ids if group_id not in places), None)
    if missing is not None:
        raise GroupNotFound(
            f"The analysis {stored.value.analysis_id} has no group {str(missing)[:80]}",
            analysis_id=stored.value.analysis_id,
            group_id=str(missing)[:80],
        )
    first = sorted(ordinals[0] for ordinals in places.values())
    for start in range(0, len(first), 500):
        yield from _distinct(uow, stored.key, first[start : start + 500])


def _distinct(uow: UnitOfWork, key: int, ordinals: Sequence[int]) -> Iterable[Group]:
    return (Group.of(finding) for _, finding in uow.findings.at(key, ordinals))


def _staying(choice: Choice, action: Action) -> Choice:
    keeps = choice.keeps if action is Action.KEPT_CANONICAL else None
    return replace(choice, keeps=keeps, goes=(), reason="nothing goes")


def _outcome(batch_id: str | None, action: Action, choices: Sequence[Choice]) -> Decided:
    decided = [choice for choice in choices if choice.keeps is not None or action is not Action.DELETED]
    skipped = [choice for choice in choices if choice.keeps is None and action is Action.DELETED]
    return Decided(
        batch_id=batch_id,
        action=action,
        impact=Impact.of(decided),
        choices=decided[:NAMED],
        skipped=skipped[:NAMED],
        skipped_count=len(skipped),
    )


def _note(note: str) -> str:
    if len(note) > _LONGEST_NOTE:
        raise InvalidInput(f"note must have at most {_LONGEST_NOTE} characters", field="note")
    return note
