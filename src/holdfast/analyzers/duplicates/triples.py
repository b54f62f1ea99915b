"""Whether one field holds what stands in several, compared by triples of letters, in any order. Pure."""

from functools import lru_cache
from math import sqrt

# A letter changed, lost or added costs three triples at most, and so does a space between two fields.
_TRIPLES_AN_EDIT = 3
_MOST_EDITS = 2
_LEAST_COSINE = 0.75
# A part that is not longer than this must be there to the letter: of a shorter one a typo leaves nothing.
_SHORT = 5


def cosine_if_made_of(given: tuple[str, ...], meant: tuple[str, ...]) -> float | None:
    """How well texts are explained by other texts together, whatever their order.

    Args:
        given: texts without spaces.
        meant: what they may be made of; every one must be found in them.

    Returns:
        The cosine of the two sets of triples, 0 to 1; None if a part is missing or something is left over.
    """
    have = frozenset[str]().union(*map(_triples, given))
    parts = [_triples(text) for text in meant]
    made_of = frozenset[str]().union(*parts)
    missing, left_over = len(made_of - have), len(have - made_of)
    # Another word adds triples and takes hardly any away; a typo takes as many as it adds.
    if missing > _MOST_EDITS * _TRIPLES_AN_EDIT or left_over > missing + 1:
        return None
    if any(not _is_told(text, part, have) for text, part in zip(meant, parts, strict=True)):
        return None
    # A part that says what another says is told by nobody: an album of its song's name.
    if any(len(part - other) <= _TRIPLES_AN_EDIT for part in parts for other in parts if part is not other):
        return None
    found = len(have & made_of) / sqrt(max(len(have) * len(made_of), 1))
    return found if found >= _LEAST_COSINE else None


def _is_told(text: str, part: frozenset[str], have: frozenset[str]) -> bool:
    lost = len(part - have)
    # The two at its ends change when it stands beside something else.
    return lost <= (2 if len(text) <= _SHORT else _TRIPLES_AN_EDIT + 1) and 2 * lost < len(part)


@lru_cache(maxsize=1 << 16)
def _triples(text: str) -> frozenset[str]:
    # Marks at the ends, so that a text of one letter has a triple, too.
    marked = f"\n{text}\n"
    return frozenset(marked[at : at + 3] for at in range(len(marked) - 2))
