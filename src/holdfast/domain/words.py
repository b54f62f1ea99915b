"""Text as words: the same for what is indexed and for what is looked for, on every database and in every language."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

# Marks that readers of these scripts leave out when they search: accents, Hebrew points, Arabic vowels and tatweel.
# Those of other scripts make other words.
_LEFT_OUT = re.compile("[\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670]")
# Scripts that put no spaces between words, and Hangul, whose words have changing ends.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    "\u3005-\u3007\u3041-\u3096\u3099\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003fffd"
)
# Letters of Indic scripts stand between signs that are no letters.
_SIGNS = "\u0900-\u0963\u0966-\u0dff\u0f00-\u0fff\u1b00-\u1bff"
_WORD = re.compile(f"[{_UNSPACED}]+|(?:[^\\W_{_UNSPACED}]|[{_SIGNS}])+")
_PLAIN_WORD = re.compile("[0-9a-z]+")
_LONGEST = 64
# ASCII as it is compared, with a space for all that is no part of a word.
_APART = {ord(letter): letter.lower() if letter.isalnum() else " " for letter in map(chr, range(128))}
_TOO_LONG = re.compile(f" [^ ]{{{_LONGEST + 1}}}")
GRAM = 3
"""How many letters of a stretch are looked for together."""
SPACE = "_"
"""Stands for what is between words in a gram; no word holds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A run of letters as it is indexed.

    Attributes:
        tokens: what it is found by; those of one piece follow each other.
        is_run: whether it is a stretch of a script without spaces, cut into pairs.
        start: where it begins in the text.
        end: where it ends.
    """

    tokens: tuple[str, ...]
    is_run: bool
    start: int
    end: int


def fold(text: str) -> str:
    """As it is compared: without case, accents, and forms of the same letter."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", text.casefold()).casefold()
    return unicodedata.normalize("NFKC", _LEFT_OUT.sub("", plain))


def tokens(text: str, most: int = 1_000_000) -> list[str]:
    """What a text is found by, in order."""
    if text.isascii():
        return [word[:_LONGEST] for word in _PLAIN_WORD.findall(text.lower())[:most]]
    found: list[str] = []
    for word in _WORD.findall(fold(text)):
        if _is_run(word):
            found.extend(_pairs(word))
        else:
            found.append(word[:_LONGEST])
        if len(found) >= most:
            break
    return found[:most]


def line(text: str, most: int = 1_000_000) -> str:
    """The same tokens as one text, divided by spaces, of which there may be several."""
    # Nothing but spaces between them to be made in the usual text: a third of the time, as no word is taken out.
    if text.isascii() and len(text) < 2 * most:
        plain = " " + text.translate(_APART)
        if _TOO_LONG.search(plain) is None:
            return plain
    return " ".join(tokens(text, most))


def pieces(text: str, start: int = 0) -> Iterator[Piece]:
    """The runs of letters of a text from ``start`` on, with their places in it."""
    # Folded one by one: folding changes lengths.
    for match in _RAW.finditer(text, start):
        begin = match.start()
        for part in _WORD.finditer(fold(match[0])):
            word = part[0]
            is_run = _is_run(word)
            made = tuple(_pairs(word)) if is_run else (word[:_LONGEST],)
            yield Piece(tokens=made, is_run=is_run, start=begin, end=match.end())


# As words, but in the text as it was written, with every mark.
_RAW = re.compile(
    f"[{_UNSPACED}]+|(?:[^\\W_{_UNSPACED}]|[{_SIGNS}\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670])+"
)


def line_of(text: str) -> str:
    """A text as stretches of it are looked for: its words, with ``SPACE`` between them."""
    return SPACE.join(_WORD.findall(fold(text)))


def grams(text: str, most: int = 1_000_000) -> list[str]:
    """The overlapping threes of a text's letters, so that a stretch of it is a sequence of them.

    The last ones are shorter: what is shorter than three letters is the beginning of one of them.
    """
    line = line_of(text)
    return [line[place : place + GRAM] for place in range(min(len(line), most))]


def stretch(text: str) -> tuple[list[str], bool]:
    """What a stretch of letters is looked for by in ``grams``: a sequence, and whether its last is a beginning only."""
    line = line_of(text)
    if len(line) < GRAM:
        return ([line] if line else []), True
    return [line[place : place + GRAM] for place in range(len(line) - GRAM + 1)], False


def _is_run(word: str) -> bool:
    return not word.isascii() and _RUN.match(word) is not None


_RUN = re.compile(f"[{_UNSPACED}]")


def _pairs(run: str) -> list[str]:
    """Each two neighbours, and the last one alone, so that each one is the beginning of a token."""
    return [run[place : place + 2] for place in range(len(run))]
