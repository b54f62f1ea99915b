"""The place in a text where something was found."""

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.domain.query import Form, Text
from holdfast.domain.words import Piece, fold, pieces

_BEFORE = 60
_LONGEST = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """A stretch of a text.

    Attributes:
        text: the stretch, as it was written.
        highlights: where in it something was found, as [first, end) of characters.
    """

    text: str
    highlights: tuple[tuple[int, int], ...] = ()


def snippet(text: str, wanted: Sequence[Text]) -> Snippet | None:
    """The first place where one of the texts stands, with its surroundings; None where none does."""
    words: set[str] = set()
    beginnings: list[str] = []
    parts: list[str] = []
    for one in wanted:
        if one.form is Form.PART:
            parts += [fold(piece) for piece in one.value.split()]
            continue
        found = [
            token for piece in pieces(one.value) for token in (piece.tokens[:-1] if piece.is_run else piece.tokens)
        ]
        if one.form is Form.PREFIX and found:
            beginnings.append(found.pop())
        words.update(found or [fold(one.value)])
    first: int | None = None
    marks: list[tuple[int, int]] = []
    for piece in pieces(text, _start(text, [*words, *beginnings, *parts])):
        if first is not None and piece.end > first + _LONGEST:
            break
        if _fits(piece, text, words, beginnings, parts):
            first = max(piece.start - _BEFORE, 0) if first is None else first
            marks.append((piece.start, piece.end))
    if first is None:
        return None
    stretch = text[first : max(first + _LONGEST, marks[0][1])].replace("\n", " ")
    inside = tuple((start - first, end - first) for start, end in dict.fromkeys(marks) if end - first <= len(stretch))
    return Snippet(text=stretch, highlights=inside)


def _start(text: str, sought: Sequence[str]) -> int:
    """Where the first run of letters begins that may fit; plain text is looked through much faster than run by run."""
    if not text.isascii():
        return 0
    plain = text.lower()
    places = [place for one in sought if (place := plain.find(one)) >= 0]
    start = min(places, default=len(text))
    while start and plain[start - 1].isalnum():
        start -= 1
    return start


def _fits(piece: Piece, text: str, words: set[str], beginnings: list[str], parts: list[str]) -> bool:
    if not words.isdisjoint(piece.tokens):
        return True
    if beginnings and any(token.startswith(tuple(beginnings)) for token in piece.tokens):
        return True
    return bool(parts) and any(part in fold(text[piece.start : piece.end]) for part in parts)
