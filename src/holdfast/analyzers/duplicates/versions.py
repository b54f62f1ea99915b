"""The versions in which one song comes, and the words that tell of them. Data.

A class is what a person means by "another version". Production labels (a remaster, an explicit mark, an edition) stand
on the same recording and count as the same unless somebody says otherwise; performances and mixes do not.
"""

import re
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionClass:
    """One class of versions.

    Attributes:
        name: how parameters and results name it.
        words: a regular expression for the words that tell of it, in folded text.
        same: whether tracks that differ in it alone are duplicates, unless a parameter says otherwise.
        why: the reason for ``same``.
        pattern: ``words`` as whole words, compiled.
    """

    name: str
    words: str
    same: bool = False
    why: str = ""
    pattern: re.Pattern[str] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pattern", re.compile(rf"(?<!\w)(?:{self.words})(?!\w)"))


_YEAR = r"(?:(?:19|20)\d\d|'?\d\d)"
_LABEL = r"(?:version|mix|edit|edition)"

VERSION_CLASSES: tuple[VersionClass, ...] = (
    VersionClass(
        name="remaster",
        words=rf"(?:{_YEAR}\s+)?(?:digital(?:ly)?\s+|\d\d?[- ]?bit\s+)?re-?master(?:ed|izado|isee?|ing)?"
        rf"(?:\s+(?:version|edition|audio|track))?(?:\s+(?:in\s+)?{_YEAR})?",
        same=True,
        why="the same recording, made to sound better",
    ),
    VersionClass(
        name="explicit",
        words=rf"(?:explicit|clean|censored|uncensored|dirty)(?:\s+(?:{_LABEL}|lyrics|content|album version))?",
        same=True,
        why="a mark of the shop; a bleep at most",
    ),
    VersionClass(
        name="channels",
        words=rf"(?:mono|stereo)(?:\s+(?:{_LABEL}|single|recording))?",
        same=True,
        why="one recording, mixed down to one channel or two",
    ),
    VersionClass(
        name="edition",
        words=rf"(?:album|lp|ep|single|original(?:\s+\w+)?|full|main|standard|regular|deluxe|expanded|anniversary|bonus"
        rf"|special|limited|collector'?s)\s+(?:{_LABEL}|track|recording|song)|bonus|deluxe|expanded|full length",
        same=True,
        why="where it was sold, not what is heard",
    ),
    VersionClass(
        name="video",
        words=r"(?:official\s+)?(?:music\s+|lyrics?\s+|hd\s+)?(?:video|audio|visuali[sz]er)(?:\s+clip)?"
        r"|official|(?:with\s+)?lyrics?|hd|hq|4k|320\s?kbps",
        same=True,
        why="a label of the site it was taken from",
    ),
    VersionClass(
        name="live", words=r"live|concert|unplugged|mtv|en vivo|ao vivo|en directo|en concert|dal vivo|zhivoy"
    ),
    VersionClass(name="acoustic", words=r"acoustic|acoustique|acustic[oa]|stripped(?:\s+down)?|piano version"),
    VersionClass(name="remix", words=r"remix(?:ed|es)?|remiks|rmx|rework(?:ed)?|refix|bootleg|flip|vip|mash-?up"),
    VersionClass(name="mix", words=r"mix|dub"),
    VersionClass(name="instrumental", words=r"instrumental|backing track|no vocals"),
    VersionClass(
        name="karaoke", words=r"karaoke|originally performed|made famous|in the style of|tribute|sing-?along|playback"
    ),
    VersionClass(name="demo", words=r"demos?|rough|outtakes?|take|rehearsal|alternat(?:e|ive)|early version"),
    VersionClass(name="edit", words=r"edit|radio|short version|cut"),
    VersionClass(name="extended", words=r"extended|12\s?(?:''|\"|-?inch)|long version|maxi"),
    VersionClass(name="a cappella", words=r"a ?cappella|acapella|vocals only"),
    VersionClass(name="cover", words=r"cover(?:ed)?"),
    VersionClass(name="reprise", words=r"reprise"),
    VersionClass(name="interlude", words=r"interlude|skit|intro|outro"),
    VersionClass(name="re-recording", words=rf"re-?record(?:ed|ing)|taylor'?s version|new version|{_YEAR} version"),
    VersionClass(
        name="tempo", words=r"sped up|speed up|slowed(?:\s*(?:down|\+|and)\s*reverb)?|nightcore|8d(?: audio)?"
    ),
    VersionClass(
        name="language",
        words=r"(?:spanish|english|french|german|italian|japanese|portuguese|korean|chinese|russian|spanglish)"
        r"(?:\s+(?:version|mix|edit))?|en espanol|en francais|auf deutsch|in italiano",
    ),
    VersionClass(name="orchestral", words=r"orchestral|symphonic|orchestra version|string quartet"),
    VersionClass(name="session", words=r"sessions?"),
    VersionClass(name="version", words=r"versions?|versione|versiya|variant|medley|vers"),
)
"""Every class; its place is its bit in a mask, so append only."""

BIT = {version.name: 1 << place for place, version in enumerate(VERSION_CLASSES)}
SAME_BY_DEFAULT: tuple[str, ...] = tuple(version.name for version in VERSION_CLASSES if version.same)

# At the end of a title without brackets only these speak of a version: "Long Version", "To Live" and "My Mix" are
# titles. Several words, or one that is hardly ever a song's last word.
TRAILING = (
    r"live|live (?:at|in|from|on) .+|acoustic(?: version)?|(?:\S+ )?remix|instrumental(?: version)?"
    r"|karaoke(?: version)?|demo(?: version)?|(?:radio|single|club|extended|video|original|album) (?:edit|mix|version)"
    r"|unplugged|a cappella|(?:\d{4} )?remaster(?:ed)?(?: version)?(?: \d{4})?|bonus track|official (?:video|audio)"
    r"|explicit(?: version)?"
)

# Words that are put right when they have one typo, within brackets and behind dashes only; shorter ones have too many
# neighbours that are words themselves.
MENDED = (
    "acapella", "acoustic", "bootleg", "cappella", "deluxe", "explicit", "extended", "instrumental", "interlude",
    "karaoke", "original", "remaster", "remastered", "remix", "reprise", "session", "single", "unplugged", "version",
)  # fmt: skip
NOT_MENDED = frozenset({"aversion", "extender", "mission", "originals", "passion", "remi", "singles", "versions"})


def mask(names: tuple[str, ...]) -> int:
    """The bits of these classes."""
    return sum(BIT[name] for name in names)


def names(bits: int) -> list[str]:
    """The classes of these bits."""
    return [name for name, bit in BIT.items() if bits & bit]
