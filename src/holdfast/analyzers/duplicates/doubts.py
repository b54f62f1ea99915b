"""Why two tracks that were found alike may still be two. Data."""

from enum import IntFlag
from typing import NamedTuple


class Doubt(IntFlag):
    """What speaks against a pair, or against a group."""

    TITLE_SPELLING = 1
    ARTIST_SPELLING = 2
    ONE_SUBTITLE = 4
    OTHER_SUBTITLES = 8
    VERSION_WORDING = 16
    TITLE_CUT = 32
    TRACK_NUMBER = 64
    ALBUM_BEHIND_TITLE = 128
    SWAPPED_FIELDS = 256
    ARTIST_UNKNOWN = 512
    ONE_GUEST = 1024
    DURATIONS = 2048
    ORDINARY_TITLE = 4096
    MIXED_FIELDS = 8192


class Meaning(NamedTuple):
    """What a doubt means.

    Attributes:
        code: how results name it.
        text: for people.
        at_most: the similarity that a pair with it can reach.
    """

    code: str
    text: str
    at_most: float = 1.0


MEANINGS: dict[Doubt, Meaning] = {
    Doubt.TITLE_SPELLING: Meaning("title_spelling", "the titles are spelt differently"),
    Doubt.ARTIST_SPELLING: Meaning("artist_spelling", "the artists are not named alike"),
    Doubt.ONE_SUBTITLE: Meaning(
        "one_subtitle", "only one title has a subtitle, and neither album nor duration agrees", 0.78
    ),
    Doubt.OTHER_SUBTITLES: Meaning("other_subtitles", "the subtitles differ, though the album agrees", 0.90),
    Doubt.VERSION_WORDING: Meaning("version_wording", "the version is described in other words", 0.95),
    Doubt.TITLE_CUT: Meaning("title_cut", "one title seems to be the other, cut off", 0.88),
    Doubt.TRACK_NUMBER: Meaning("track_number", "one title begins with a number that may be that of the track", 0.90),
    Doubt.ALBUM_BEHIND_TITLE: Meaning("album_behind_title", "one title seems to have the album behind it", 0.85),
    Doubt.SWAPPED_FIELDS: Meaning("swapped_fields", "title and artist seem to be swapped", 0.79),
    Doubt.ARTIST_UNKNOWN: Meaning("artist_unknown", "only the album tells that the artist is the same", 0.75),
    Doubt.ORDINARY_TITLE: Meaning(
        "ordinary_title", "many have a song of this name, and the artists' names are only nearly alike", 0.70
    ),
    Doubt.MIXED_FIELDS: Meaning(
        "mixed_fields", "one field seems to hold what stands in several, and only the letters together agree", 0.65
    ),
    Doubt.ONE_GUEST: Meaning("one_guest", "only one names a guest: it may be another recording", 0.65),
    Doubt.DURATIONS: Meaning("durations", "the durations differ: it may be another recording", 0.60),
}


FOR_REVIEW = Doubt.MIXED_FIELDS
"""With one of these a person decides, whatever similarity was said to be safe."""


def cap(doubts: Doubt) -> float:
    """The similarity that a pair with these doubts can reach."""
    return min((MEANINGS[doubt].at_most for doubt in doubts), default=1.0)


def codes(doubts: Doubt) -> list[str]:
    """How results name them, gravest first."""
    return [meaning.code for meaning in _sorted(doubts)]


def texts(doubts: Doubt) -> list[str]:
    """For people, gravest first."""
    return [meaning.text for meaning in _sorted(doubts)]


def _sorted(doubts: Doubt) -> list[Meaning]:
    return sorted((MEANINGS[doubt] for doubt in doubts), key=lambda meaning: meaning.at_most)
