"""Makes texts comparable: one form for case, accents, quotes, scripts and broken encodings. Pure."""

import re
import unicodedata
from collections.abc import Callable

import polars as pl
from anyascii import anyascii

from holdfast.analyzers.duplicates.words import ARTICLES

# What UTF-8 looks like that was read as Windows-1252 or Latin-1: a lead byte and as many continuation bytes as it asks
# for. One letter at a time, as some of a text may have been broken and some not.
_CONTINUATION = (
    r"[\u0080-\u00bf\u20ac\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u017d"
    r"\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\u017e\u0178]"
)
_MOJIBAKE = rf"[\u00c2-\u00df]{_CONTINUATION}|[\u00e0-\u00ef]{_CONTINUATION}{{2}}|[\u00f0-\u00f4]{_CONTINUATION}{{3}}"
_BROKEN_LETTER = re.compile(_MOJIBAKE)

# Marks that a careless writer leaves out without making another word: Latin, Greek and Cyrillic accents, Arabic and
# Hebrew vowel points, the Arabic stretch. All other marks (Thai, Indic, ...) carry the word and stay.
_OPTIONAL_MARKS = (
    r"[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0640\u064b-\u0652\u0670"
    r"\u200b-\u200f\u2060\ufeff]"
)

# Letters that no normal form takes apart, and punctuation with many looks.
_LOOKALIKES = {
    "\u00df": "ss", "\u00f8": "o", "\u0111": "d", "\u0142": "l", "\u00e6": "ae", "\u0153": "oe", "\u00fe": "th",
    "\u00f0": "d", "\u0131": "i", "\u2019": "'", "\u2018": "'", "\u00b4": "'", "`": "'", "\u02bc": "'",
    "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-",
    "\u2010": "-", "\u2011": "-", "\u2212": "-", "\u30fb": " ", "\u3000": " ",
}  # fmt: skip

# Alphabets whose words are often written in Latin letters, letter by letter. Not those where the letters leave the
# vowels out (Arabic, Hebrew) or where one sign has many readings (Han).
_ALPHABETS = r"[\p{Cyrillic}\p{Greek}\p{Armenian}\p{Georgian}\p{Hangul}\p{Hiragana}\p{Katakana}]"
_HAN = r"\p{Han}"


def fold(texts: pl.Series) -> pl.Series:
    """One form for texts that people take for the same; folding twice is folding once.

    Args:
        texts: strings; null is taken for the empty one.
    """
    given = texts.fill_null("")
    plain = given.str.len_bytes() == given.str.len_chars()
    if plain.all():
        return _tidied(given)
    # Most texts are ASCII, and need a tenth of the work.
    places = (~plain).arg_true()
    return _tidied(given).scatter(places, _fold_foreign(given.gather(places)))


def _tidied(texts: pl.Series) -> pl.Series:
    column = pl.col("t").str.to_lowercase().str.replace_all("`", "'", literal=True)
    return texts.to_frame("t").select(_spaced(column)).to_series()


def _fold_foreign(texts: pl.Series) -> pl.Series:
    # Replaced before and after: a normal form makes spaces of some of these, and these of others.
    column = _replaced(pl.col("t"))
    lowered = column.str.to_lowercase().str.normalize("NFKD").str.replace_all(_OPTIONAL_MARKS, "")
    # Lowered again: some compatibility forms come apart into capitals.
    composed = lowered.str.normalize("NFKC").str.to_lowercase().str.replace_all(_OPTIONAL_MARKS, "")
    tidy = _spaced(_replaced(composed))
    return _romanise(_repair(texts).to_frame("t").select(tidy).to_series())


def _spaced(column: pl.Expr) -> pl.Expr:
    tidy = pl.when(column.str.contains(r"\s\s|[^\S ]")).then(column.str.replace_all(r"\s+", " ")).otherwise(column)
    return tidy.str.strip_chars()


def _replaced(column: pl.Expr) -> pl.Expr:
    return column.str.replace_many(list(_LOOKALIKES), list(_LOOKALIKES.values()))


def words(text: str) -> str:
    """The words of a folded text, without punctuation; "&" is "and"."""
    return " ".join(text.replace("&", " and ").translate(_WORDS_ONLY).split())


def words_of(column: pl.Expr) -> pl.Expr:
    """``words`` for a column."""
    plain = column.str.replace_all("&", " and ", literal=True).str.replace_all("'", "", literal=True)
    return plain.str.replace_all(r"[^\p{L}\p{N}\p{M}]+", " ").str.strip_chars(" ")


def tighten(core: str) -> str:
    """Words without spaces, leading article and the "and" between them."""
    for article in ARTICLES:
        if core.startswith(article) and len(core) > len(article):
            core = core[len(article) :]
            break
    return core.replace(" and ", " ").replace(" ", "")


def tightened(column: pl.Expr) -> pl.Expr:
    """``tighten`` for a column of words."""
    bare = column.str.replace(rf"^(?:{'|'.join(ARTICLES)})(.)", "$1")
    return bare.str.replace_all(" and ", " ", literal=True).str.replace_all(" ", "", literal=True)


def squash(column: pl.Expr) -> pl.Expr:
    """Letters, digits and marks alone, without spaces."""
    return column.str.replace_all(r"[^\p{L}\p{N}\p{M}]", "")


class _WordsOnly(dict[int, str | int]):
    """A table for ``str.translate``: letters, digits and marks stay, the apostrophe goes, all else parts words."""

    def __missing__(self, code: int) -> str | int:
        kept = unicodedata.category(chr(code))[0] in "LNM"
        self[code] = value = code if kept else ("" if code == ord("'") else " ")
        return value


_WORDS_ONLY = _WordsOnly()


def _repair(texts: pl.Series) -> pl.Series:
    return _change(texts, texts.str.contains(_MOJIBAKE), _unmojibake)


def _romanise(texts: pl.Series) -> pl.Series:
    foreign = texts.str.contains(_ALPHABETS) & ~texts.str.contains(_HAN)
    return _change(texts, foreign, lambda text: re.sub(r"\s+", " ", anyascii(text).lower()).strip())


def _change(texts: pl.Series, where: pl.Series, change: Callable[[str], str]) -> pl.Series:
    places = where.arg_true()
    if not len(places):
        return texts
    changed = pl.Series([change(text) for text in texts.gather(places)], dtype=pl.String)
    return texts.scatter(places, changed)


def _unmojibake(text: str) -> str:
    # Twice at most: what was broken three times is beyond reading.
    once = _BROKEN_LETTER.sub(_decoded, text)
    return _BROKEN_LETTER.sub(_decoded, once)


def _decoded(letter: re.Match[str]) -> str:
    try:
        return b"".join(_byte(sign) for sign in letter[0]).decode()
    except UnicodeDecodeError:
        return letter[0]


def _byte(sign: str) -> bytes:
    # Windows-1252 leaves five bytes undefined; those stand as themselves, as in Latin-1.
    return sign.encode("latin-1" if ord(sign) < 256 else "cp1252")
