"""How old a result is, what has changed since, and whether to make it anew: one rule for every place that asks.

It compares moments that one side, the server, has noted; a client needs no clock of its own.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from heapq import nsmallest
from statistics import median

from holdfast.domain.ages import in_words
from holdfast.domain.errors import InvalidInput

NAMED = 20
"""How many names of each sort a change summary holds."""

_JUST_NOW_SECONDS = 5.0


class Level(StrEnum):
    """How old a result is, best first."""

    FRESH = "fresh"
    MODERATE = "moderate"
    STALE = "stale"
    VERY_STALE = "very_stale"

    @property
    def rank(self) -> int:
        """Its place, from 0; older is greater."""
        return list(Level).index(self)


class Reason(StrEnum):
    """Why a result should be made anew."""

    NEVER_ANALYZED = "never_analyzed"
    MARKED = "marked"
    REVISION_MOVED = "revision_moved"
    ITEMS_CHANGED = "items_changed"
    ANALYZER_VERSION_CHANGED = "analyzer_version_changed"
    AGE = "age"


class Urgency(StrEnum):
    """How much it matters to refresh."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """From which age on a result is of the next level.

    Attributes:
        fresh_seconds: fresh below it.
        stale_seconds: moderate below it, stale from it on.
        very_stale_seconds: very stale from it on.
    """

    fresh_seconds: float = 3600.0
    stale_seconds: float = 86_400.0
    very_stale_seconds: float = 7 * 86_400.0

    def __post_init__(self) -> None:
        if not 0 < self.fresh_seconds <= self.stale_seconds <= self.very_stale_seconds < math.inf:
            raise InvalidInput("Thresholds of age are positive and do not fall", field="freshness")

    def level(self, age_seconds: float) -> Level:
        """The level of that age."""
        if age_seconds < self.fresh_seconds:
            return Level.FRESH
        if age_seconds < self.stale_seconds:
            return Level.MODERATE
        return Level.STALE if age_seconds < self.very_stale_seconds else Level.VERY_STALE

    def stale_after(self, seconds: float | None) -> "Thresholds":
        """The same with another moment of becoming stale, which the two others give way to; None for no other."""
        if seconds is None:
            return self
        return Thresholds(
            fresh_seconds=min(self.fresh_seconds, seconds),
            stale_seconds=seconds,
            very_stale_seconds=max(self.very_stale_seconds, seconds),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshnessRules:
    """All that freshness goes by.

    Attributes:
        default: the thresholds of kinds that have none of their own.
        kinds: thresholds by kind.
        changed_items: more changed items than this are a reason to refresh.
    """

    default: Thresholds = Thresholds()
    kinds: Mapping[str, Thresholds] = field(default_factory=dict)
    changed_items: int = 10

    def of(self, kind: str, stale_seconds: float | None = None) -> Thresholds:
        """The thresholds of a kind, and of a subject that has an age of its own."""
        return self.kinds.get(kind, self.default).stale_after(stale_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Age:
    """How old a result is, without what has changed since.

    Attributes:
        level: by its age; None when there is no complete result.
        stale_at: when it becomes stale by its age.
    """

    level: Level | None = None
    stale_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What has changed since an analysis.

    Attributes:
        added: how many items are new.
        modified: how many are other than they were.
        deleted: how many are gone.
        added_names: the first of them by name.
        modified_names: likewise.
        deleted_names: likewise.
        is_partial: whether there may be more than were counted.
    """

    added: int = 0
    modified: int = 0
    deleted: int = 0
    added_names: tuple[str, ...] = ()
    modified_names: tuple[str, ...] = ()
    deleted_names: tuple[str, ...] = ()
    is_partial: bool = False

    @property
    def total(self) -> int:
        """How many items changed."""
        return self.added + self.modified + self.deleted

    @classmethod
    def of(
        cls, added: Sequence[str], modified: Sequence[str], deleted: Sequence[str], *, is_partial: bool = False
    ) -> "Changes":
        """The summary of names, each of which changed once."""
        return cls(
            added=len(added),
            modified=len(modified),
            deleted=len(deleted),
            added_names=tuple(nsmallest(NAMED, added)),
            modified_names=tuple(nsmallest(NAMED, modified)),
            deleted_names=tuple(nsmallest(NAMED, deleted)),
            is_partial=is_partial,
        )

    @classmethod
    def between(cls, before: Mapping[str, str], after: Mapping[str, str]) -> "Changes":
        """The difference of two manifests.

        Args:
            before: for each item a digest of all that matters of it, as it was analysed; what does not matter
                (how often a track was played) is no part of the digest, and so no change.
            after: the same, as it is now.
        """
        return cls.of(
            [name for name in after if name not in before],
            [name for name, digest in after.items() if name in before and before[name] != digest],
            [name for name in before if name not in after],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a subject's latest complete analysis, and of the subject since.

    Attributes:
        analyzed_at: when the analysis was complete; None when there is none.
        begun_at: when it was begun, which is what it knows of; ``analyzed_at`` when None.
        revision: the subject's revision that it saw; ``""`` for none.
        current_revision: the revision that was seen last; ``""`` when it is not known.
        analyzer_version: the version that made it; ``""`` for none.
        current_version: the version that would make it now; ``""`` when it is not known.
        marked_at: when somebody last asked for a refresh.
        changes: what has changed since, if it is known.
    """

    analyzed_at: datetime | None = None
    begun_at: datetime | None = None
    revision: str = ""
    current_revision: str = ""
    analyzer_version: str = ""
    current_version: str = ""
    marked_at: datetime | None = None
    changes: Changes | None = None

    def __post_init__(self) -> None:
        for name in ("analyzed_at", "begun_at", "marked_at"):
            moment = getattr(self, name)
            if moment is not None and moment.utcoffset() is None:
                raise InvalidInput(f"{name} needs a time zone", field=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """What to do.

    Attributes:
        should_refresh: whether there is a reason to refresh.
        urgency: how much it matters.
        message: how old the result is, a plain sentence.
        suggestion: what to do and why, a plain sentence; None when there is nothing to do.
    """

    should_refresh: bool
    urgency: Urgency
    message: str
    suggestion: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How a result stands.

    Attributes:
        level: by its age alone; None when there is no result.
        is_stale: whether there is a reason to refresh.
        reasons: each of them, the weightiest first.
        age_seconds: its age, never less than 0.
        stale_at: when it becomes stale, or became so, by its age alone.
        threshold_seconds: the age that is stale.
        changes: what has changed since, if it is known.
        recommendation: what to do.
    """

    level: Level | None
    is_stale: bool
    reasons: tuple[Reason, ...]
    age_seconds: float | None
    stale_at: datetime | None
    threshold_seconds: float
    changes: Changes | None
    recommendation: Recommendation


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a refresh will probably take.

    Attributes:
        seconds: the median of earlier runs, which one that hung or one that found all in a cache does not move; None
            when there was none.
        runs: of how many.
        basis: ``subject`` for runs of the same kind on the same subject, ``kind`` for any of that kind, ``none``.
    """

    seconds: float | None = None
    runs: int = 0
    basis: str = "none"


def judge(facts: Facts, thresholds: Thresholds, now: datetime, *, changed_items: int = 10) -> Freshness:
    """Whether a result should be made anew, and why.

    Args:
        facts: what is known.
        thresholds: what is old.
        now: the moment, aware.
        changed_items: more changed items than this are a reason.

    Raises:
        InvalidInput: a moment has no time zone.
    """
    if now.utcoffset() is None:
        raise InvalidInput("now needs a time zone", field="now")
    age = None if facts.analyzed_at is None else age_seconds(facts.analyzed_at, now)
    level = None if age is None else thresholds.level(age)
    reasons = tuple(_reasons(facts, age, thresholds, now, changed_items))
    return Freshness(
        level=level,
        is_stale=bool(reasons),
        reasons=reasons,
        age_seconds=age,
        stale_at=None if facts.analyzed_at is None else stale_at(facts.analyzed_at, thresholds),
        threshold_seconds=thresholds.stale_seconds,
        changes=facts.changes,
        recommendation=Recommendation(
            should_refresh=bool(reasons),
            urgency=_urgency(reasons, level),
            message=age_text(age),
            suggestion=_suggestion(reasons, facts),
        ),
    )


def age_of(analyzed_at: datetime | None, thresholds: Thresholds, now: datetime) -> Age:
    """How old a result is; cheap enough for each row of a list.

    Args:
        analyzed_at: when it was complete; None when there is none.
        thresholds: what is old.
        now: the moment.
    """
    if analyzed_at is None:
        return Age()
    return Age(level=thresholds.level(age_seconds(analyzed_at, now)), stale_at=stale_at(analyzed_at, thresholds))


def age_seconds(at: datetime, now: datetime) -> float:
    """How long ago; 0 for what another machine's clock has put into the future."""
    return max((now - at).total_seconds(), 0.0)


def stale_at(analyzed_at: datetime, thresholds: Thresholds) -> datetime:
    """When a result becomes stale by its age."""
    return analyzed_at + timedelta(seconds=thresholds.stale_seconds)


def age_text(age: float | None) -> str:
    """An age as people say it: ``Analysis from 2 hours ago``."""
    if age is None:
        return "Not analyzed yet"
    return "Analysis from just now" if age < _JUST_NOW_SECONDS else f"Analysis from {in_words(age)} ago"


def is_marked(facts: Facts, now: datetime) -> bool:
    """Whether a refresh was asked for that no analysis has answered yet; one that was under way then does not."""
    begun = facts.begun_at or facts.analyzed_at
    # One that began in the future did so by a clock that tells nothing about what came first.
    return facts.marked_at is not None and (begun is None or begun > now or facts.marked_at >= begun)


def _reasons(
    facts: Facts, age: float | None, thresholds: Thresholds, now: datetime, changed_items: int
) -> Sequence[Reason]:
    changed = 0 if facts.changes is None else facts.changes.total
    found = {
        Reason.NEVER_ANALYZED: age is None,
        Reason.MARKED: is_marked(facts, now),
        Reason.REVISION_MOVED: age is not None and _differ(facts.revision, facts.current_revision),
        Reason.ITEMS_CHANGED: age is not None and changed > changed_items,
        Reason.ANALYZER_VERSION_CHANGED: age is not None and _differ(facts.analyzer_version, facts.current_version),
        Reason.AGE: age is not None and age >= thresholds.stale_seconds,
    }
    return [reason for reason, holds in found.items() if holds]


def _differ(before: str, now: str) -> bool:
    return bool(before and now) and before != now


def _urgency(reasons: Sequence[Reason], level: Level | None) -> Urgency:
    if not reasons:
        return Urgency.NONE
    if level is Level.VERY_STALE or {Reason.MARKED, Reason.NEVER_ANALYZED} & set(reasons):
        return Urgency.HIGH
    return Urgency.MEDIUM if {Reason.REVISION_MOVED, Reason.ITEMS_CHANGED} & set(reasons) else Urgency.LOW


def _suggestion(reasons: Sequence[Reason], facts: Facts) -> str | None:
    if not reasons:
        return None
    if Reason.NEVER_ANALYZED in reasons:
        return "Analyze it to have a result"
    if facts.changes is not None and facts.changes.total:
        least = "At least " if facts.changes.is_partial else ""
        count = facts.changes.total
        named = f"{count:,} item has changed" if count == 1 else f"{count:,} items have changed"
        return f"{least}{named} since: refresh to include them"
    return _SUGGESTIONS[reasons[0]]


_SUGGESTIONS = {
    Reason.MARKED: "Somebody asked for a refresh",
    Reason.REVISION_MOVED: "It has moved on since: refresh to include what is new",
    Reason.ITEMS_CHANGED: "Its items have changed since: refresh to include them",
    Reason.ANALYZER_VERSION_CHANGED: "The analyzer has changed since: refresh to use the new one",
    Reason.AGE: "It is old: consider refreshing",
}


def estimated(of_subject: Sequence[float], of_kind: Sequence[float]) -> Estimate:
    """What a refresh will probably take.

    Args:
        of_subject: seconds that the last complete runs of that kind on that subject took.
        of_kind: those of the kind on any subject, asked when the subject has none.
    """
    for basis, seconds in (("subject", of_subject), ("kind", of_kind)):
        if seconds:
            return Estimate(seconds=max(median(seconds), 0.0), runs=len(seconds), basis=basis)
    return Estimate()
