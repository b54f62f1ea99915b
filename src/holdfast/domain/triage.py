"""Deciding what becomes of duplicates: what would go and why, what that concerns, what an old decision still says."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from holdfast.domain.checks import check_positive
from holdfast.domain.errors import InvalidInput
from holdfast.domain.findings import Finding

KIND = "duplicates"
RESOLVED_TO_SUGGEST = 20
"""From so many settled groups on it is worth searching anew."""


class Action(StrEnum):
    """What was decided about a group."""

    DELETED = "deleted"
    KEPT_CANONICAL = "kept_canonical"
    MANUAL_REVIEW = "manual_review"
    NOT_DUPLICATE = "not_duplicate"

    @property
    def settles(self) -> bool:
        """Whether the group is done with; one to be looked at by somebody is not."""
        return self is not Action.MANUAL_REVIEW


class KeepStrategy(StrEnum):
    """Which track of a group to keep, where nobody looks at each."""

    KEEP_CANONICAL = "keep_canonical"
    KEEP_MOST_PLAYED = "keep_most_played"
    KEEP_ITUNES_VERSION = "keep_itunes_version"
    KEEP_SHORTEST_TITLE = "keep_shortest_title"


class Sort(StrEnum):
    """What a list of groups is sorted by."""

    GROUP_INDEX = "group_index"
    ARTIST = "artist"
    SONG = "song"
    DUPLICATES = "duplicates"
    CONFIDENCE = "confidence"
    PLAY_COUNT = "play_count"
    LAST_PLAYED = "last_played"
    DATE_ADDED = "date_added"

    @property
    def ascends(self) -> bool:
        """Whether the first page holds the least: names do, figures and moments begin with the greatest."""
        return self in {Sort.GROUP_INDEX, Sort.ARTIST, Sort.SONG}


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A track of a group, as it was when it was found.

    Attributes:
        track_id: its id within its library.
        song: its title.
        artist: its artist.
        album: its album.
        play_count: how often it was played.
        size_bytes: how large its file is; 0 where that is not known.
        is_canonical: whether the analysis proposes to keep it.
        itunes_match: ``exact``, ``fuzzy``, ``none``; None where nothing was looked up.
        itunes_confidence: how sure that match is.
        location: where its file is.
    """

    track_id: str
    song: str = ""
    artist: str = ""
    album: str = ""
    play_count: int = 0
    size_bytes: int = 0
    is_canonical: bool = False
    itunes_match: str | None = None
    itunes_confidence: float = 0.0
    location: str | None = None

    @classmethod
    def of(cls, key: str, data: Mapping[str, Any]) -> "Track":
        """A track from its snapshot; what the snapshot lacks is as if unknown."""
        return cls(
            track_id=key,
            song=_text(data.get("song_name")),
            artist=_text(data.get("artist_name")),
            album=_text(data.get("album_name")),
            play_count=_count(data.get("play_count")),
            size_bytes=_count(data.get("size_bytes")),
            is_canonical=data.get("is_canonical") is True,
            itunes_match=_text(data.get("itunes_match_type")) or None,
            itunes_confidence=_number(data.get("itunes_match_confidence")),
            location=_text(data.get("location")) or None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group of duplicates.

    Attributes:
        group_id: its identity, the same in the next analysis of the library.
        tracks: at least one, in the order of the analysis.
        is_doubtful: whether somebody should look at it: its tracks may be other recordings.
    """

    group_id: str
    tracks: tuple[Track, ...]
    is_doubtful: bool = False

    @classmethod
    def of(cls, finding: Finding) -> "Group":
        """The group that a finding tells of."""
        return cls(
            group_id=finding.identity,
            tracks=tuple(Track.of(item.key, item.data) for item in finding.items),
            is_doubtful=finding.data.get("tier") == "manual_review",
        )

    @property
    def members(self) -> tuple[str, ...]:
        """Its tracks' ids, in order of the ids."""
        return tuple(sorted(track.track_id for track in self.tracks))

    @property
    def canonical(self) -> Track:
        """The track that the analysis proposes to keep."""
        return next((track for track in self.tracks if track.is_canonical), self.tracks[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What becomes of a group's tracks.

    Attributes:
        group: the group.
        keeps: the track that stays; None where all stay.
        goes: the tracks that go.
        reason: why, a plain sentence.
    """

    group: Group
    keeps: Track | None
    goes: tuple[Track, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """What decisions concern.

    Attributes:
        groups: how many groups.
        tracks: how many tracks go.
        bytes: how large their files are, as far as is known.
        plays: how often those tracks were played.
    """

    groups: int = 0
    tracks: int = 0
    bytes: int = 0
    plays: int = 0

    @classmethod
    def of(cls, choices: Iterable[Choice]) -> "Impact":
        """The impact of choices."""
        groups = tracks = size = plays = 0
        for choice in choices:
            groups += 1
            tracks += len(choice.goes)
            size += sum(track.size_bytes for track in choice.goes)
            plays += sum(track.play_count for track in choice.goes)
        return cls(groups=groups, tracks=tracks, bytes=size, plays=plays)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided about a group of a library.

    Attributes:
        batch_id: names the request that it was made by, with which it is undone.
        group_id: the group.
        action: what was decided.
        keeps: the track that stays, if one was chosen.
        goes: the tracks that go.
        members: all tracks that the group had.
        note: what whoever decided wrote to it.
        actor: who decided.
        decided_at: when.
    """

    batch_id: str
    group_id: str
    action: Action
    keeps: str | None
    goes: tuple[str, ...]
    members: tuple[str, ...]
    note: str
    actor: str
    decided_at: datetime

    def holds_for(self, members: Sequence[str]) -> bool:
        """Whether it still says what becomes of its group, which has these members in a later analysis.

        A new member makes it another question; a track that was to go and is there again was not deleted.
        """
        now = set(members)
        if not now <= set(self.members):
            return False
        return self.action is not Action.DELETED or now.isdisjoint(self.goes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """What an owner wants to be told of.

    Attributes:
        staleness_hours: from which age on a result counts as stale.
        change_percentage: a change of more of the library than this is worth a warning.
        change_count: a change of more tracks than this is.
        show_age_warnings: whether to warn of age.
        show_change_warnings: whether to warn of changes.
        auto_suggest: whether to suggest a new search.
    """

    staleness_hours: float = 24.0
    change_percentage: float = 10.0
    change_count: int = 50
    show_age_warnings: bool = True
    show_change_warnings: bool = True
    auto_suggest: bool = True

    def __post_init__(self) -> None:
        check_positive("staleness_hours", self.staleness_hours)
        if not 0 <= self.change_percentage <= 100:
            raise InvalidInput("change_percentage must be from 0 to 100", field="change_percentage")
        if self.change_count < 0:
            raise InvalidInput("change_count must not be negative", field="change_count")

    def warns_of_changes(self, changed: int, tracks: int) -> bool:
        """Whether so many changed tracks, of so many there were, are worth a warning."""
        if not self.show_change_warnings:
            return False
        return changed > self.change_count or changed * 100 > self.change_percentage * max(tracks, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """Whether to search anew.

    Attributes:
        should_run: whether there is a reason.
        reasons: ``groups_resolved``, ``library_changed``.
        resolved: how many groups are settled.
        changed: how many tracks changed since; None where that is not known.
        message: a plain sentence.
    """

    should_run: bool
    reasons: tuple[str, ...]
    resolved: int
    changed: int | None
    message: str


def suggest(resolved: int, changed: int | None, *, changed_items: int) -> Suggestion:
    """Whether it is worth searching anew.

    Args:
        resolved: how many groups are settled.
        changed: how many tracks changed since the analysis, if that is known.
        changed_items: more than so many are a reason.
    """
    reasons = []
    if resolved >= RESOLVED_TO_SUGGEST:
        reasons.append("groups_resolved")
    if changed is not None and changed > changed_items:
        reasons.append("library_changed")
    told = {
        "groups_resolved": f"{resolved:,} groups are settled",
        "library_changed": "1 track has changed since"
        if changed == 1
        else f"{changed or 0:,} tracks have changed since",
    }
    message = f"{' and '.join(told[reason] for reason in reasons)}: search anew" if reasons else "Nothing calls for it"
    return Suggestion(
        should_run=bool(reasons), reasons=tuple(reasons), resolved=resolved, changed=changed, message=message
    )


def times(count: int) -> str:
    """How often, in words."""
    return "once" if count == 1 else f"{count:,} times"


def keep(group: Group, track_id: str | None) -> Choice:
    """Keep one track, the canonical one where none is named; the others go.

    Raises:
        InvalidInput: the group has no such track.
    """
    if track_id is None:
        return _kept(group, group.canonical, "it is the one that the analysis proposes")
    found = next((track for track in group.tracks if track.track_id == track_id), None)
    if found is None:
        raise InvalidInput(f"The group {group.group_id} has no track {track_id}", field="keep", group_id=group.group_id)
    return _kept(group, found, "it was chosen")


def select(group: Group, strategy: KeepStrategy, *, include_doubtful: bool = False) -> Choice:
    """What would go if a group were decided by a rule; nothing goes where the rule does not tell.

    Among equals the canonical track stays, then the one whose id comes first.

    Args:
        group: the group.
        strategy: the rule.
        include_doubtful: whether groups are decided that somebody should look at.
    """
    if group.is_doubtful and not include_doubtful:
        return Choice(group=group, keeps=None, goes=(), reason="its tracks may be other recordings: look at it")
    return _STRATEGIES[strategy](group)


def _most_played(group: Group) -> Choice:
    best = _best(group, lambda track: track.play_count)
    if best.play_count == 0:
        return _kept(group, group.canonical, "none was ever played, and it is the one that the analysis proposes")
    return _kept(group, best, f"played most often ({times(best.play_count)})")


def _itunes_version(group: Group) -> Choice:
    matched = [track for track in group.tracks if track.itunes_match in {"exact", "fuzzy"}]
    if not matched:
        return Choice(group=group, keeps=None, goes=(), reason="none of its tracks is in the iTunes library")
    best = _best(group, lambda track: (_ITUNES.get(track.itunes_match or "", 0), track.itunes_confidence))
    return _kept(group, best, f"it is in the iTunes library ({best.itunes_match} match)")


def _shortest_title(group: Group) -> Choice:
    named = [track for track in group.tracks if track.song]
    if not named:
        return Choice(group=group, keeps=None, goes=(), reason="none of its tracks has a title")
    best = _best(group, lambda track: -len(track.song) if track.song else -(1 << 30))
    return _kept(group, best, "it has the shortest title")


def _canonical(group: Group) -> Choice:
    return keep(group, None)


_ITUNES = {"exact": 2, "fuzzy": 1}
_STRATEGIES: dict[KeepStrategy, Callable[[Group], Choice]] = {
    KeepStrategy.KEEP_CANONICAL: _canonical,
    KeepStrategy.KEEP_MOST_PLAYED: _most_played,
    KeepStrategy.KEEP_ITUNES_VERSION: _itunes_version,
    KeepStrategy.KEEP_SHORTEST_TITLE: _shortest_title,
}


def _best(group: Group, worth: Callable[[Track], Any]) -> Track:
    ordered = sorted(group.tracks, key=lambda track: track.track_id)
    # The first of equals, so that the canonical one must stand before the others.
    return max(sorted(ordered, key=lambda track: not track.is_canonical), key=worth)


def _kept(group: Group, kept: Track, reason: str) -> Choice:
    goes = tuple(track for track in group.tracks if track.track_id != kept.track_id)
    return Choice(group=group, keeps=kept, goes=goes, reason=reason)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _count(value: Any) -> int:
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return max(value, 0) if is_count else 0


def _number(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else 0.0
