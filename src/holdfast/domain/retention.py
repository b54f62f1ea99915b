"""What is kept, for how long, and what goes: rules only, over candidates that somebody else looks up.

Each rule decides from what it is shown and the moment, so that a second look at what is left lets nothing more go.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from holdfast.domain.analysis import Status
from holdfast.domain.checks import check_positive

SWEEP_JOB = "retention.sweep"
DEFAULT_POLICY = "*"
_FILLED_AGAIN_TO = 0.8
# Mondays and midnights: the days of the epoch are counted from a Thursday.
_FIRST_MONDAY = 4 * 86_400


class Reason(StrEnum):
    """Why an analysis goes."""

    TRASH_EMPTIED = "trash_emptied"
    EXPIRED = "expired"
    USED_UP = "used_up"
    OVER_AGE = "over_age"
    OVER_COUNT = "over_count"
    THINNED = "thinned"
    OVER_CAP = "over_cap"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinning:
    """A step of thinning a history out.

    Attributes:
        after_seconds: from which age on.
        every_seconds: of each span of so many seconds the newest analysis stays; days begin at midnight UTC and
            weeks on Mondays.
    """

    after_seconds: float
    every_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How long analyses of a kind are kept.

    Attributes:
        max_age_seconds: how old one may become; None for any age.
        keep_last: how many of an owner stay, the newest and always the newest complete one; None for all.
        per_subject: whether ``keep_last`` counts for each subject on its own.
        thinning: how a subject's history becomes sparser with age; none keeps all of it.
        ttl_seconds: how long a new analysis is kept that does not say itself; None for ever.
    """

    max_age_seconds: float | None = None
    keep_last: int | None = None
    per_subject: bool = False
    thinning: tuple[Thinning, ...] = ()
    ttl_seconds: float | None = None

    @property
    def looks_at_history(self) -> bool:
        """Whether one analysis goes because of others."""
        return self.keep_last is not None or bool(self.thinning)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """All that retention goes by.

    Attributes:
        policies: a policy per kind, ``*`` for those that have none.
        trash_seconds: how long a deleted analysis may be restored; 0: it is deleted for good at once.
        anonymous_ttl_seconds: how long results of anonymous clients are kept.
        anonymous_max_retrievals: how often each may be retrieved.
        anonymous_bytes: how much all of them may take; the oldest go down to 80 % of it.
    """

    policies: Mapping[str, Policy] = field(default_factory=dict)
    trash_seconds: float = 86_400.0
    anonymous_ttl_seconds: float = 3600.0
    anonymous_max_retrievals: int = 10
    anonymous_bytes: int = 500_000_000

    def policy(self, kind: str) -> Policy:
        """The policy of a kind."""
        found = self.policies.get(kind)
        return found if found is not None else self.policies.get(DEFAULT_POLICY, Policy())

    def no_older_than(self, seconds: float) -> "Rules":
        """The same, with an age that no analysis of any kind may exceed."""
        kinds = {DEFAULT_POLICY, *self.policies}
        shortest = {kind: min(seconds, self.policy(kind).max_age_seconds or seconds) for kind in kinds}
        policies = {kind: replace(self.policy(kind), max_age_seconds=age) for kind, age in shortest.items()}
        return replace(self, policies=policies)

    def ttl(self, kind: str, wanted: float | None, *, is_anonymous: bool) -> float | None:
        """How long a new analysis is kept: as wanted, else by its policy; an anonymous one no longer than it may."""
        ttl = self.policy(kind).ttl_seconds if wanted is None else wanted
        if not is_anonymous:
            return ttl
        return self.anonymous_ttl_seconds if ttl is None else min(ttl, self.anonymous_ttl_seconds)

    def retrievals(self, wanted: int | None, *, is_anonymous: bool) -> int | None:
        """How often a new analysis may be retrieved; an anonymous one no more often than it may."""
        if not is_anonymous:
            return wanted
        return self.anonymous_max_retrievals if wanted is None else min(wanted, self.anonymous_max_retrievals)

    def limits(
        self, kind: str, ttl_seconds: float | None, max_retrievals: int | None, *, is_anonymous: bool
    ) -> dict[str, Any]:
        """The fields of a new analysis that say how long and for how many retrievals it is kept.

        Raises:
            InvalidInput: what is wanted is not positive.
        """
        ttl, retrievals = check_positive("ttl_seconds", ttl_seconds), check_positive("max_retrievals", max_retrievals)
        return {
            "ttl_seconds": self.ttl(kind, ttl, is_anonymous=is_anonymous),
            "max_retrievals": self.retrievals(retrievals, is_anonymous=is_anonymous),
            "is_anonymous": is_anonymous,
        }

    def trash_ends(self, deleted_at: datetime) -> datetime:
        """Until when an analysis that was deleted then may be restored."""
        return deleted_at + timedelta(seconds=self.trash_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What the rules need to know of an analysis.

    Attributes:
        key: its internal key.
        analysis_id: its id.
        kind: its kind.
        owner: its owner.
        line: whose history it is part of: its subject, or its input where it has none.
        status: where it stands.
        created_at: when it was asked for.
        expires_at: when it expires, if ever.
        retrieval_count: how often it was retrieved.
        max_retrievals: how often it may be.
        is_anonymous: whether its owner is anonymous.
        is_pinned: whether it stays whatever the rules say.
        deleted_at: when it was put into the trash.
        stored_size: bytes of its result as they are kept.
    """

    key: int
    analysis_id: str
    kind: str
    owner: str
    line: str
    status: Status
    created_at: datetime
    expires_at: datetime | None = None
    retrieval_count: int = 0
    max_retrievals: int | None = None
    is_anonymous: bool = False
    is_pinned: bool = False
    deleted_at: datetime | None = None
    stored_size: int = 0

    @property
    def may_go(self) -> bool:
        """Whether rules apply: it does not run, and is not pinned; a pin saves nothing that its owner deleted."""
        return self.status is not Status.RUNNING and (not self.is_pinned or self.deleted_at is not None)

    @property
    def is_history(self) -> bool:
        """Whether it counts among its owner's kept analyses: ended, not pinned, not in the trash."""
        return self.status.ended and not self.is_pinned and self.deleted_at is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Going:
    """An analysis that goes.

    Attributes:
        candidate: which.
        reason: why.
    """

    candidate: Candidate
    reason: Reason


def by_itself(candidate: Candidate, rules: Rules, now: datetime) -> Reason | None:
    """Why an analysis goes whatever others there are; None when it does not."""
    if not candidate.may_go:
        return None
    if candidate.deleted_at is not None and rules.trash_ends(candidate.deleted_at) <= now:
        return Reason.TRASH_EMPTIED
    if candidate.is_pinned:
        return None
    if candidate.expires_at is not None and candidate.expires_at <= now:
        return Reason.EXPIRED
    if candidate.max_retrievals is not None and candidate.retrieval_count >= candidate.max_retrievals:
        return Reason.USED_UP
    oldest = rules.policy(candidate.kind).max_age_seconds
    if candidate.is_history and oldest is not None and _age(candidate, now) >= oldest:
        return Reason.OVER_AGE
    return None


class History:
    """Looks at the analyses of one kind, newest first, and tells which go because of newer ones."""

    def __init__(self, rules: Rules, now: datetime) -> None:
        """Decide by ``rules`` at ``now``."""
        self._rules = rules
        self._now = now
        self._seen: set[tuple[str, str, str, int, int]] = set()
        self._kept: dict[tuple[str, str, str], _Kept] = {}

    def look(self, candidate: Candidate) -> list[Going]:
        """Which go now that this one was seen: it, or one that was seen before, or none."""
        reason = by_itself(candidate, self._rules, self._now)
        if reason is not None:
            return [Going(candidate=candidate, reason=reason)]
        if not candidate.is_history:
            return []
        policy = self._rules.policy(candidate.kind)
        if self._is_thinned(candidate, policy):
            return [Going(candidate=candidate, reason=Reason.THINNED)]
        if policy.keep_last is None:
            return []
        line = candidate.line if policy.per_subject else ""
        kept = self._kept.setdefault((candidate.owner, candidate.kind, line), _Kept())
        return [Going(candidate=over, reason=Reason.OVER_COUNT) for over in kept.add(candidate, policy.keep_last)]

    def _is_thinned(self, candidate: Candidate, policy: Policy) -> bool:
        age = _age(candidate, self._now)
        steps = [step for step in policy.thinning if step.after_seconds <= age]
        if not steps:
            return False
        # The last step that it has come to; several of one age: the sparsest.
        step = max(steps, key=lambda step: (step.after_seconds, step.every_seconds))
        place = math.floor((candidate.created_at.timestamp() - _FIRST_MONDAY) / step.every_seconds)
        bucket = (candidate.owner, candidate.kind, candidate.line, policy.thinning.index(step), place)
        if bucket in self._seen:
            return True
        self._seen.add(bucket)
        return False


class _Kept:
    """How many of one owner stay so far; the last place is held for the newest complete one."""

    __slots__ = ("_count", "_has_complete", "_last")

    def __init__(self) -> None:
        self._count = 0
        self._has_complete = False
        self._last: Candidate | None = None

    def add(self, candidate: Candidate, most: int) -> list[Candidate]:
        """Which one is too many."""
        is_complete = candidate.status is Status.COMPLETED
        if self._count < most:
            self._count += 1
            self._has_complete = self._has_complete or is_complete
            self._last = candidate
            return []
        if is_complete and not self._has_complete:
            # A row of failures must not push out the one result that there is.
            self._has_complete = True
            out, self._last = self._last, candidate
            return [] if out is None else [out]
        return [candidate]


def over_cap(oldest_first: Iterable[Candidate], used: int, rules: Rules) -> Iterator[Going]:
    """Which anonymous analyses go so that the rest takes at most 80 % of the cap; none while the cap holds.

    Args:
        oldest_first: the anonymous analyses.
        used: how many bytes all of them take.
        rules: the cap.
    """
    if used <= rules.anonymous_bytes:
        return
    wanted = rules.anonymous_bytes * _FILLED_AGAIN_TO
    for candidate in oldest_first:
        if used <= wanted:
            return
        if candidate.may_go and not candidate.is_pinned and candidate.stored_size:
            used -= candidate.stored_size
            yield Going(candidate=candidate, reason=Reason.OVER_CAP)


def decide(candidates: Iterable[Candidate], rules: Rules, now: datetime) -> list[Going]:
    """Which of all analyses go, each once: what a whole sweep does."""
    history = History(rules, now)
    newest_first = sorted(candidates, key=lambda candidate: (candidate.created_at, candidate.key), reverse=True)
    going = [gone for candidate in newest_first for gone in history.look(candidate)]
    left = {candidate.key: candidate for candidate in newest_first}
    for gone in going:
        left.pop(gone.candidate.key, None)
    pool = [candidate for candidate in reversed(left.values()) if candidate.is_anonymous]
    return going + list(over_cap(pool, sum(candidate.stored_size for candidate in pool), rules))


def _age(candidate: Candidate, now: datetime) -> float:
    return (now - candidate.created_at).total_seconds()
