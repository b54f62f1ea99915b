"""What becomes of two versions of one thing that were written without knowing of each other."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from holdfast.domain.fingerprint import canonical_json

COMMIT_SHA_MISMATCH = "Commit SHA mismatch"
METADATA_MISMATCH = "Metadata mismatch"
ANALYSIS_TIMESTAMP_MISMATCH = "Analysis timestamp mismatch"

# A commit and its date are one fact: never the commit of one writer with the date of another.
_TOGETHER = ("commit_sha", "last_commit_date")
_MISSING: Any = object()


class Strategy(StrEnum):
    """How concurrent writers are settled."""

    LATEST_WINS = "latest_wins"
    MERGE = "merge"
    MANUAL = "manual"


class Outcome(StrEnum):
    """What became of a version that came in.

    UNCHANGED: it says what is kept already. APPLIED: it, or what it was merged to, is kept now. OUTDATED: a later
    one is kept. CONFLICT: somebody has to choose.
    """

    UNCHANGED = "unchanged"
    APPLIED = "applied"
    OUTDATED = "outdated"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What a writer says.

    Attributes:
        content: fields by name, JSON-able.
        declared_at: when it was so, by the writer's clock.
        declared_by: who says so.
    """

    content: Mapping[str, Any]
    declared_at: datetime
    declared_by: str

    @property
    def rank(self) -> tuple[datetime, bytes, str]:
        """Its place among all versions: later ones are greater.

        Of the same moment the one with the greater canonical JSON is, then the one of the greater writer: whatever
        order versions come in, the same one is the greatest.
        """
        return self.declared_at, canonical_json(self.content), self.declared_by

    def says_the_same(self, other: "Version") -> bool:
        """Whether the contents are equal."""
        return _same(self.content, other.content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What was settled.

    Attributes:
        outcome: what became of the version that came in.
        version: what is to be kept.
        reason: why somebody has to choose.
    """

    outcome: Outcome
    version: Version
    reason: str = ""


def settle(
    strategy: Strategy, local: Version, remote: Version, base: Version | None, counters: Collection[str] = ()
) -> Settled:
    """Decide what is kept of two versions.

    Args:
        strategy: how.
        local: what is kept.
        remote: what comes in.
        base: what the writer of ``remote`` knew; None if nothing.
        counters: see ``merge``.
    """
    if strategy is Strategy.MERGE:
        merged = merge(base, local, remote, counters)
        outcome = Outcome.UNCHANGED if merged.says_the_same(local) else Outcome.APPLIED
        return Settled(outcome=outcome, version=merged)
    latest = _latest(local, remote)
    if local.says_the_same(remote):
        # That it was still so later is worth knowing: a version from in between is outdated.
        return Settled(outcome=Outcome.UNCHANGED, version=latest)
    if strategy is Strategy.LATEST_WINS:
        return Settled(outcome=Outcome.APPLIED if latest is remote else Outcome.OUTDATED, version=latest)
    if base is not None and base.says_the_same(local):
        return Settled(outcome=Outcome.APPLIED, version=remote)
    if base is not None and base.says_the_same(remote):
        return Settled(outcome=Outcome.OUTDATED, version=local)
    return Settled(outcome=Outcome.CONFLICT, version=local, reason=_reason(local, remote))


def merge(base: Version | None, local: Version, remote: Version, counters: Collection[str] = ()) -> Version:
    """Merge two versions field by field against what both began with.

    What one of them changed is taken from it. Where both did, it goes by the kind of field: maps are merged key by key;
    lists without repetitions are sets, from which goes what one removed and to which comes what one added; to counters
    both sums are added; of all other values the later version's is taken. A field that one removed stays if the other
    changed it. A commit and its date, which are no maps, are taken from one side, both or neither. Without a base,
    every field counts as added by both, and nothing adds up.

    Two versions of the same content, moment and writer are one version, written twice.

    Args:
        base: what both began with; None if that is not known.
        local: one version.
        remote: the other one; merging them the other way round gives the same.
        counters: the paths of whole numbers that add up (``metadata.downloads``).
    """
    if local.rank == remote.rank:
        return local
    later, earlier = (remote, local) if remote.rank > local.rank else (local, remote)
    merger = _Merger(frozenset(counters) if base is not None else frozenset())
    content = merger.fields({} if base is None else base.content, earlier.content, later.content, "")
    if all(_is_plain(side.content.get(name, _MISSING)) for name in _TOGETHER for side in (earlier, later)):
        sides = [
            {name: side[name] for name in _TOGETHER if name in side}
            for side in ({} if base is None else base.content, earlier.content, later.content)
        ]
        content |= _scalar(*sides)
    return Version(content=content, declared_at=later.declared_at, declared_by=later.declared_by)


class _Merger:
    def __init__(self, counters: Collection[str]) -> None:
        self._counters = counters

    def fields(
        self, base: Mapping[str, Any], earlier: Mapping[str, Any], later: Mapping[str, Any], path: str
    ) -> dict[str, Any]:
        merged = {
            name: self._value(
                base.get(name, _MISSING), earlier.get(name, _MISSING), later.get(name, _MISSING), f"{path}{name}"
            )
            for name in sorted(earlier.keys() | later.keys())
        }
        return {name: value for name, value in merged.items() if value is not _MISSING}

    def _value(self, base: Any, earlier: Any, later: Any, path: str) -> Any:
        if isinstance(earlier, Mapping) and isinstance(later, Mapping):
            return self.fields(base if isinstance(base, Mapping) else {}, earlier, later, f"{path}.")
        if path in self._counters and _is_count(earlier) and _is_count(later):
            start = base if _is_count(base) else 0
            return earlier + later - start
        if isinstance(earlier, list) and isinstance(later, list):
            known = base if isinstance(base, list) else []
            # Of one who left the list alone nothing is taken, not even its order.
            if not _any_same(base, earlier, later) and all(map(_is_set, (known, earlier, later))):
                return _sets(known, earlier, later)
        return _scalar(base, earlier, later)


def _scalar(base: Any, earlier: Any, later: Any) -> Any:
    if _same(later, base):
        return earlier
    if later is _MISSING and not _same(earlier, base):
        return earlier
    return later


def _sets(base: Sequence[Any], earlier: Sequence[Any], later: Sequence[Any]) -> list[Any]:
    known, one, other = ({canonical_json(item): item for item in items} for items in (base, earlier, later))
    stay = [item for key, item in known.items() if key in one and key in other]
    added = {key: item for key, item in (one | other).items() if key not in known}
    return stay + [added[key] for key in sorted(added)]


def _is_set(items: Sequence[Any]) -> bool:
    return len({canonical_json(item) for item in items}) == len(items)


def _is_plain(value: Any) -> bool:
    return value is not _MISSING and not isinstance(value, Mapping)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _same(one: Any, other: Any) -> bool:
    if one is _MISSING or other is _MISSING:
        return one is other
    # Python takes True, 1 and 1.0 for equal; they are different content.
    return one is other or canonical_json(one) == canonical_json(other)


def _any_same(base: Any, earlier: Any, later: Any) -> bool:
    return _same(earlier, later) or _same(earlier, base) or _same(later, base)


def _reason(local: Version, remote: Version) -> str:
    if local.content.get("commit_sha") != remote.content.get("commit_sha"):
        return COMMIT_SHA_MISMATCH
    return METADATA_MISMATCH


def _latest(local: Version, remote: Version) -> Version:
    # Times nearly always differ, and the rest of a rank is dear.
    if local.declared_at != remote.declared_at:
        return local if local.declared_at > remote.declared_at else remote
    return remote if remote.rank > local.rank else local
