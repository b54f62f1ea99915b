"""Takes a title apart: what the song is called, which version, which part, with whom. Pure.

"03. Sing It Pt. II (feat. Ann) [Live at Rome] - 2011 Remaster"
  core "sing it 2", numbers "2", guests {ann}, versions {live}, version_text "rome"
"""

import re
from functools import lru_cache
from typing import NamedTuple

from rapidfuzz.distance import OSA

from holdfast.analyzers.duplicates.artists import names_of
from holdfast.analyzers.duplicates.text import tighten, words
from holdfast.analyzers.duplicates.versions import BIT, MENDED, NOT_MENDED, TRAILING, VERSION_CLASSES
from holdfast.analyzers.duplicates.words import (
    AFTER_PART,
    GUEST_WORDS,
    GUEST_WORDS_IN_BRACKETS,
    PART_WORDS,
    ROMAN,
    VERSION_FILLERS,
)


class Title(NamedTuple):
    """A title, taken apart.

    Attributes:
        core: what the song is called, in plain words; part numbers stand at its end.
        tight: the core without spaces, article and "and".
        versions: a mask of version classes.
        version_text: what else is said of the version.
        numbers: the numbers in the core and of the version, which must agree.
        subtitle: what stands in brackets and is none of these, without spaces.
        guests: names of guests.
        tail: what stands behind the last dash, without spaces, where nobody knows what it is: a subtitle or an album.
        head: the core's tight form without that tail.
        unnumbered: the tight form without a number that may be that of the track; "" if there is none.
    """

    core: str
    tight: str
    versions: int = 0
    version_text: str = ""
    numbers: str = ""
    subtitle: str = ""
    guests: frozenset[str] = frozenset()
    tail: str = ""
    head: str = ""
    unnumbered: str = ""


class _Segment(NamedTuple):
    versions: int = 0
    text: str = ""
    numbers: tuple[str, ...] = ()
    part: tuple[str, ...] = ()
    subtitle: str = ""
    guests: frozenset[str] = frozenset()


# A number, then a sign, then the title; or "07 title". "4.5 Miles" and "1-800" keep theirs.
_TRACK_PREFIX = re.compile(r"^(?:\d{1,3}\s*[-.)_]\s*(?=[^\d\s])|0\d\s+(?=\S))")
_BARE_NUMBER = re.compile(r"^\d{1,2} (?=\S)")
_BRACKETS = re.compile(r"[(\[{<]([^()\[\]{}<>]*)(?:[)\]}>]|$)")
_GUESTS_BARE = re.compile(rf"(?<=\S)\s+(?:{GUEST_WORDS})(?:\s*\.\s*|\s+)(.+?)(?=\s+-\s|\s*[(\[{{]|$)")
_GUESTS_SEGMENT = re.compile(rf"^\s*(?:{GUEST_WORDS_IN_BRACKETS})\b\s*\.?\s*(?=\S)")
_TAIL = re.compile(r"^(.*\S)\s+[-~|/]\s+(\S.*)$")
_OTHER_DASH = re.compile(r" [~|/] ")
_TRAILING = re.compile(rf"^(.*\S)\s+({TRAILING})$")
_NUMBER = rf"(?:\d{{1,3}}|{'|'.join(sorted(AFTER_PART, key=len, reverse=True))})"
_PART = re.compile(
    rf"(?<!\w)(?:{PART_WORDS})(?:\s*\.\s*|\s+)(?:#\s*)?({_NUMBER}(?:\s*(?:&|and|,|-)\s*{_NUMBER})*)(?!\w)"
)
_PART_ALONE = re.compile(rf"^\s*(?:no\.?\s*|#\s*)?(\d{{1,2}}|{'|'.join(ROMAN)}|i)\s*$")
_ANY_NUMBER = re.compile(_NUMBER)
_ROMAN_WORD = re.compile(rf"(?<=\S )(?:{'|'.join(sorted(ROMAN, key=len, reverse=True))})(?=\s|$)")
_DIGITS = re.compile(r"\d+")
_LONG_WORD = re.compile(r"[a-z]{4,}")

# A title in which nothing of this is found is its own core: most are, and much time is saved. Rust's syntax.
SIGNAL = (
    r"[()\[\]{}<>\p{N}_]| [-~|/] |(?:^|[^\p{L}\p{N}\p{M}])(?:"
    rf"{GUEST_WORDS}|(?:{PART_WORDS})[\s.#]+(?:{'|'.join(AFTER_PART)})|{'|'.join(ROMAN)}"
    r"|live|unplugged|cappella|remix|instrumental|karaoke|demo|mix|edit|version|acoustic|remaster|remastered|track|video|audio|explicit)(?:[^\p{L}\p{N}\p{M}]|$)"
)


def parse_title(text: str, same: int = 0) -> Title:
    """Take a folded title apart.

    Args:
        text: folded.
        same: a mask of the version classes that count as no version.
    """
    rest = _TRACK_PREFIX.sub("", text) or text
    rest, guests = _lift_guests(rest)
    segments: list[str] = _BRACKETS.findall(rest)
    outer = " ".join(_BRACKETS.sub(" ", rest).split()) if segments else rest
    outer, behind, tail = _split_tails(outer)
    parsed = [_parse_segment(segment, same) for segment in (*segments, *behind)]
    outer, trailing = _split_trailing(outer, same, known=any(segment.versions for segment in parsed))
    parsed += trailing
    outer, parts = _lift_parts(outer)
    parts += tuple(number for segment in parsed for number in segment.part)
    core = " ".join((*_arabic(words(outer)).split(), *parts))
    if not core:
        # All of it stood in brackets or was a version's name: then that is what the song is called.
        return _plain(words(text) or text, guests)
    return _put_together(core, parsed, guests, words(tail))


def parse_brackets(text: str, same: int = 0) -> Title:
    """What brackets add to a title that is plain before them; the core is the part's number.

    Args:
        text: what stands between them, folded.
        same: a mask of the version classes that count as no version.
    """
    parsed = _parse_segment(text, same)
    return _put_together(" ".join(parsed.part), [parsed], frozenset(), "")._replace(unnumbered="")


def _plain(core: str, guests: frozenset[str] = frozenset()) -> Title:
    return Title(core=core, tight=tighten(core), numbers=_numbers(core), guests=guests)


def _put_together(core: str, parsed: list[_Segment], guests: frozenset[str], tail: str) -> Title:
    versions = 0
    for segment in parsed:
        versions |= segment.versions
    numbers = sorted(number for segment in parsed for number in segment.numbers)
    tight = tighten(core)
    tail_tight = tail.replace(" ", "")
    bare = _BARE_NUMBER.sub("", core)
    return Title(
        core=core,
        tight=tight,
        versions=versions,
        version_text=" ".join(dict.fromkeys(segment.text for segment in parsed if segment.text)),
        numbers="|".join(part for part in (_numbers(core), ",".join(numbers)) if part),
        subtitle="".join(segment.subtitle for segment in parsed),
        guests=guests.union(*(segment.guests for segment in parsed)),
        tail=tail_tight,
        head=tighten(core[: -len(tail)].rstrip()) if tail and core.endswith(tail) else "",
        unnumbered=tighten(bare) if bare != core else "",
    )


def _numbers(core: str) -> str:
    return ",".join(sorted(number.lstrip("0") or "0" for number in _DIGITS.findall(core)))


def _lift_guests(text: str) -> tuple[str, frozenset[str]]:
    match = _GUESTS_BARE.search(text) if " f" in text else None
    # Inside brackets it is the segment's own.
    if match is None or text.count("(", 0, match.start()) > text.count(")", 0, match.start()):
        return text, frozenset()
    if text.count("[", 0, match.start()) > text.count("]", 0, match.start()):
        return text, frozenset()
    return f"{text[: match.start()]} {text[match.end() :]}".strip(), names_of(match[1])


def _split_tails(outer: str) -> tuple[str, list[str], str]:
    """What stands behind dashes: the versions among it, and the last thing that is none."""
    behind: list[str] = []
    for _ in range(3):
        # Most have none, and to see that needs no pattern.
        match = _TAIL.match(outer) if " - " in outer or _OTHER_DASH.search(outer) else None
        if match is None:
            return outer, behind, ""
        if not _tells_version(match[2]):
            return outer, behind, match[2]
        outer = match[1]
        behind.append(match[2])
    return outer, behind, ""


@lru_cache(maxsize=1 << 16)
def _tells_version(text: str) -> bool:
    mended = _mend(text)
    return (
        any(version.pattern.search(mended) for version in VERSION_CLASSES)
        or _GUESTS_SEGMENT.match(mended) is not None
        or _PART.fullmatch(mended) is not None
    )


def _split_trailing(outer: str, same: int, *, known: bool) -> tuple[str, list[_Segment]]:
    parsed: list[_Segment] = []
    while not known:
        match = _TRAILING.match(outer)
        if match is None:
            break
        outer = match[1].rstrip(" -")
        parsed.append(_parse_segment(match[2], same))
        known = parsed[-1].versions != 0
    return outer, parsed


def _lift_parts(outer: str) -> tuple[str, tuple[str, ...]]:
    parts = _parts(outer)
    if not parts:
        return outer, ()
    left = _PART.sub(" ", outer).strip(" -,:")
    # "Part Two" alone is a title.
    return (left, parts) if left else (outer, ())


def _parts(text: str) -> tuple[str, ...]:
    return tuple(
        AFTER_PART.get(number, number) for match in _PART.finditer(text) for number in _ANY_NUMBER.findall(match[1])
    )


def _arabic(outer: str) -> str:
    return _ROMAN_WORD.sub(lambda match: ROMAN[match[0]], outer)


@lru_cache(maxsize=1 << 16)
def _parse_segment(text: str, same: int) -> _Segment:
    """What brackets hold, or what stands behind a dash; there are few different ones, so each is parsed once."""
    guests = _GUESTS_SEGMENT.match(text)
    if guests is not None:
        return _Segment(guests=names_of(text[guests.end() :]))
    alone = _PART_ALONE.match(text)
    if alone is not None:
        return _Segment(part=(AFTER_PART.get(alone[1], alone[1]),))
    rest, parts = _mend(_PART.sub(" ", text)), _parts(text)
    versions, found = 0, False
    for version in VERSION_CLASSES:
        bit = BIT[version.name]
        if not version.pattern.search(rest):
            continue
        # The word "version" alone says something only where nothing else does.
        if not (found and version.name == "version"):
            versions |= bit & ~same
        found = True
        rest = version.pattern.sub(" ", rest)
    left = " ".join(word for word in words(rest).split() if not (versions and word in VERSION_FILLERS))
    if versions:
        return _Segment(versions=versions, text=left, numbers=tuple(_DIGITS.findall(left)), part=parts)
    return _Segment(subtitle=left.replace(" ", ""), part=parts)


@lru_cache(maxsize=1 << 16)
def _mend(text: str) -> str:
    return _LONG_WORD.sub(lambda match: _mended(match[0]), text)


@lru_cache(maxsize=1 << 16)
def _mended(word: str) -> str:
    if word in MENDED or word in NOT_MENDED:
        return word
    near = (known for known in MENDED if OSA.distance(word, known, score_cutoff=1) <= 1)
    return next(near, word)
