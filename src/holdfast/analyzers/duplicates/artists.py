"""Takes an artist's field apart: who they are, as a set of names. Pure."""

import re
from functools import lru_cache
from typing import NamedTuple

from holdfast.analyzers.duplicates.text import words
from holdfast.analyzers.duplicates.words import GUEST_WORDS, NAME_JOINERS, UNKNOWN_ARTISTS


class Artist(NamedTuple):
    """An artist's field, taken apart.

    Attributes:
        names: each name without spaces, in the order given; none where nobody knew.
        whole: all of it without spaces.
        words: all of it as words in alphabetical order, without what joins names.
    """

    names: tuple[str, ...] = ()
    whole: str = ""
    words: str = ""

    @property
    def lead(self) -> str:
        """The first name; "" where nobody knew."""
        return self.names[0] if self.names else ""


_JOINERS = re.compile(NAME_JOINERS)
_TURNED = re.compile(r"^(.*\S)\s*,\s*(the|die|der|les|los|las)$")
_LEADING_THE = re.compile(r"^the\s+(?=\S)")

# A field in which nothing of this is found is one name. Rust's syntax, and wider than the joiners.
SIGNAL = (
    rf"[,;/&+|\u{{b7}}\u{{3001}}]|(?:^|\s)(?:and|{GUEST_WORDS}|with|duet|x|vs|versus|presents|pres|y|et|und)"
    r"(?:[^\p{L}\p{N}\p{M}]|$)"
)


def parse_artist(text: str) -> Artist:
    """Take a folded artist's field apart; "Beatles, The" and "The Beatles" are the same."""
    if text in UNKNOWN_ARTISTS:
        return Artist()
    text = _LEADING_THE.sub("", _TURNED.sub(r"\2 \1", text))
    names = tuple(dict.fromkeys(name for part in _JOINERS.split(text) if (name := _squash(part))))
    whole = _squash(text)
    if not names:
        # Nothing but joiners ("X", "&"), or nothing but signs ("!!!"): then that is the name.
        return Artist(names=(whole or text,), whole=whole or text, words=whole or text)
    parts = " ".join(_JOINERS.split(text))
    return Artist(names=names, whole=whole, words=" ".join(sorted(words(parts).split())))


@lru_cache(maxsize=1 << 16)
def names_of(text: str) -> frozenset[str]:
    """The names in a guests' list."""
    return frozenset(name for part in _JOINERS.split(text) if (name := _squash(part)))


def _squash(text: str) -> str:
    return words(_LEADING_THE.sub("", text.strip())).replace(" ", "")
