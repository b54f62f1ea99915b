"""A text in pieces that an embedding model takes.

The rule: a piece has at most ``SIZE`` characters. It ends at the last blank line of its second half; where there is
none at the last line end, else at the last end of a sentence, else at the last space, else where it is full. The next
one begins ``OVERLAP`` characters before that, at the start of a word, so that a sentence that was cut is whole in one
of the two. After ``MOST`` pieces the rest of the text is left out.
"""

import re
from collections.abc import Iterator
from itertools import islice

SIZE = 1000
OVERLAP = 120
MOST = 64

_ENDS = (re.compile(r"\n\s*\n"), re.compile(r"\n"), re.compile(r"[.!?]\s|[\u3002\uff01\uff1f]"), re.compile(r"\s"))


def chunks(text: str, *, size: int = SIZE, overlap: int = OVERLAP, most: int = MOST) -> list[str]:
    """The text's pieces in order, none of them blank.

    Args:
        text: any text.
        size: the characters of a piece, at most.
        overlap: how many of them the next one repeats, about; less than half of ``size``.
        most: how many pieces at most.
    """
    return list(islice(_pieces(text, size, overlap), most))


def _pieces(text: str, size: int, overlap: int) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = _end(text, start, size)
        if piece := text[start:end].strip():
            yield piece
        if end == len(text):
            return
        start = _restart(text, end, overlap)


def _end(text: str, start: int, size: int) -> int:
    full = start + size
    if full >= len(text):
        return len(text)
    for pattern in _ENDS:
        ends = [found.end() for found in pattern.finditer(text, start + size // 2, full)]
        if ends:
            return ends[-1]
    return full


def _restart(text: str, end: int, overlap: int) -> int:
    word = re.compile(r"(?<=\s)\S").search(text, max(end - overlap, 0), end)
    return end if word is None else word.start()
