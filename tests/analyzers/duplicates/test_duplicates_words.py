"""How titles and artists are taken apart."""

from typing import Any

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.analyzers.duplicates.apart import (
    ARTIST_SCHEMA,
    plain_titles,
    take_artists_apart,
    titles_with_brackets,
)
from holdfast.analyzers.duplicates.artists import parse_artist
from holdfast.analyzers.duplicates.text import fold, tighten, tightened, words, words_of
from holdfast.analyzers.duplicates.titles import SIGNAL, Title, parse_title
from holdfast.analyzers.duplicates.versions import BIT, SAME_BY_DEFAULT, mask, names

SAME = mask(SAME_BY_DEFAULT)
# Python and Rust disagree about letters that are newer than the older of their tables.
LETTERS = st.characters(exclude_categories=["Cn", "Co", "Cs"])
PIECES = st.sampled_from(
    """love the a and feat. ft ( ) [ ] live remix pt. ii 2 & ' é (Live) Remastered 2011 with 東京 ไทย Ã© x , 03. IV
    \u0130 \ufb01 !!! version -""".split()  # noqa: SIM905 - a list of words is read as words
)
TITLES = st.one_of(
    st.text(LETTERS, max_size=30), st.lists(PIECES, max_size=7).map(" ".join), st.lists(PIECES, max_size=7).map("".join)
)

BRACKETS = [
    "live",
    "feat. bob",
    "feat bob & cleo",
    "ft.the bob",
    "with love",
    "pt. 2",
    "no. 5 mix",
    "2",
    "ii",
    "radio edit",
]
ARTISTS = ["the engines", "ann & bob", "bob, ann", "x", "y con ann", "ann vs. bob", "the the", "various artists", "!!!"]


def folded(text: str) -> str:
    found: str = fold(pl.Series([text])).item()
    return found


def parsed(text: str) -> Title:
    return parse_title(folded(text), SAME)


@given(st.lists(TITLES, min_size=1, max_size=20))
@example(["\u00b4", "\u0130", "\ufb01", "\u2163", "\u017f", "\u01c5", "Ã©", "ÃƒÂ©", "\u0345", "\u212a", "ё", "ñ"])
def test_folding_twice_is_folding_once(texts: list[str]) -> None:
    once = fold(pl.Series(texts, dtype=pl.String))
    assert fold(once).to_list() == once.to_list()


@given(TITLES)
def test_words_of_words_are_the_same(text: str) -> None:
    plain = words(folded(text))
    assert words(plain) == plain


@given(st.lists(TITLES, min_size=1, max_size=20))
@example(["The And", "a", "the a b", "and and", "rock and roll", "☆"])
def test_columns_are_treated_as_single_texts_are(texts: list[str]) -> None:
    frame = fold(pl.Series(texts, dtype=pl.String)).to_frame("t")
    frame = frame.with_columns(words=words_of(pl.col("t"))).with_columns(tight=tightened(pl.col("words")))
    assert frame["words"].to_list() == [words(text) for text in frame["t"]]
    assert frame["tight"].to_list() == [tighten(text) for text in frame["words"]]


def told(frame: pl.DataFrame) -> list[tuple[object, ...]]:
    """A frame of titles as ``parse_title`` gives them."""
    titles = (Title(**row) for row in frame.select(Title._fields).iter_rows(named=True))
    return [tuple(title._replace(guests=frozenset(str(title.guests).split()))) for title in titles]


@given(st.lists(TITLES, min_size=1, max_size=20))
@example(["part of me", "no way out", "no . way", "act like that", "volume", "pt x", "sing it part one"])
def test_the_short_way_through_a_plain_title_gives_what_the_long_one_gives(texts: list[str]) -> None:
    titles = fold(pl.Series(texts, dtype=pl.String))
    plain = titles.filter(~titles.str.contains(SIGNAL))
    assert told(plain_titles(plain)) == [parse_title(text, SAME) for text in plain]


@given(st.lists(TITLES, max_size=8), st.lists(TITLES | st.sampled_from(BRACKETS), min_size=1, max_size=8))
@example(
    ["hello", "the", "an"], ["part two", "pt. 2 & 3", "no. 5 live", "feat. the the bob", "feat. .bob", "feat . bob"]
)
def test_the_short_way_through_brackets_gives_what_the_long_one_gives(before: list[str], within: list[str]) -> None:
    both = [f"{one}{space}({two})" for one in ("hello", *before) for two in within for space in ("", " ")]
    titles = fold(pl.Series(both, dtype=pl.String)).unique(maintain_order=True)
    short = titles_with_brackets(titles, SAME)
    assert told(short) == [parse_title(text, SAME) for text in short["title"]]


def test_plain_titles_with_brackets_go_the_short_way() -> None:
    titles = pl.Series(["hello (live)", "hello [feat. bob]", "hello (once more)", "hello (live", "hello - live (demo)"])
    assert titles_with_brackets(titles, SAME)["title"].to_list() == titles[:3].to_list()


@given(st.lists(TITLES | st.sampled_from(ARTISTS), min_size=1, max_size=20))
@example(["the the", "the the the", "x", "!!!", "! !", "the", "beatles, the", "ann x bob", "x ambassadors", "andy", ""])
def test_the_short_way_through_an_artist_gives_what_the_long_one_gives(texts: list[str]) -> None:
    artists = fold(pl.Series(texts, dtype=pl.String)).unique()
    short = take_artists_apart(artists)
    long = {text: parse_artist(text) for text in artists}
    for text, *columns in short.select("artist", *ARTIST_SCHEMA).iter_rows():
        called = " ".join(long[text].names)
        assert columns == [called, called.split(" ")[0], long[text].whole, long[text].words]


@pytest.mark.parametrize(
    ("text", "same_as"),
    [
        ("BEYONCÉ", "beyonce"),
        ("TiÃ«sto", "tiesto"),
        ("TiÃ«sto é", "tiesto e"),
        ("Ã\u0089tude", "etude"),
        ("æ\u009d±äº¬", "東京"),
        ("Bjo\u0308rk", "bjork"),
        ("Don\u2019t  Stop", "don't stop"),
        ("Straße", "strasse"),
        ("Кино", "kino"),
        ("שָׁלוֹם", "שלום"),
        ("مُحَمَّد", "محمد"),
        ("ﬁre", "fire"),
        ("\uff34\uff4f\uff4b\uff59\uff4f", "tokyo"),
    ],
)
def test_texts_that_people_take_for_the_same(text: str, same_as: str) -> None:
    assert folded(text) == same_as


@pytest.mark.parametrize("text", ["สวัสดี", "नमस्ते", "東京事変", "ありがとう世界"])
def test_marks_that_carry_the_word_stay(text: str) -> None:
    assert words(folded(text)) == folded(text)
    assert len(folded(text)) >= len(text) - text.count(" ")


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Hello", {"core": "hello"}),
        ("Hello - Remastered 2011", {"core": "hello"}),
        ("Hello (2020 Remaster) [Explicit]", {"core": "hello"}),
        ("Hello - 2020 - Remaster", {"core": "hello 2020", "numbers": "2020", "tail": "2020", "head": "hello"}),
        ("Hello (Live)", {"core": "hello", "versions": BIT["live"]}),
        ("Hello (Live at the Apollo)", {"core": "hello", "versions": BIT["live"], "version_text": "apollo"}),
        ("Hello - Ann Remix", {"core": "hello", "versions": BIT["remix"], "version_text": "ann"}),
        ("Hello (Radio Edit)", {"core": "hello", "versions": BIT["edit"]}),
        ("Hello (Rmeix)", {"core": "hello", "versions": BIT["remix"]}),
        ("Hello (Aversion)", {"core": "hello", "subtitle": "aversion"}),
        ("Live", {"core": "live"}),
        ("(Live)", {"core": "live"}),
        ("Remix", {"core": "remix"}),
        ("Hello feat. Ann & Bob", {"core": "hello", "guests": frozenset({"ann", "bob"})}),
        ("Hello (with Ann)", {"core": "hello", "guests": frozenset({"ann"})}),
        ("With or Without You", {"core": "with or without you"}),
        ("03. Sing It, Pt. II", {"core": "sing it 2", "numbers": "2"}),
        ("Sing It (Part Two)", {"core": "sing it 2", "numbers": "2"}),
        ("Sing It II", {"core": "sing it 2", "numbers": "2"}),
        ("Part II", {"core": "part 2", "numbers": "2"}),
        ("Footsteps - Pt. 1 & 2", {"core": "footsteps 1 2", "numbers": "1,2"}),
        ("1-800", {"core": "1 800", "numbers": "1,800", "unnumbered": "800"}),
        ("4.5 Miles", {"core": "4 5 miles", "numbers": "4,5", "unnumbered": "5miles"}),
        ("(I Can't) Wait", {"core": "wait", "subtitle": "icant"}),
        ("Malcolm X", {"core": "malcolm x"}),
        ("", {"core": ""}),
    ],
)
def test_titles(title: str, expected: dict[str, Any]) -> None:
    found = parsed(title)
    told = {name: value for name, value in found._asdict().items() if value and name != "tight"}
    assert told == {name: value for name, value in expected.items() if value}
    assert found.tight == tighten(found.core)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The Beatles", "Beatles, The"),
        ("The Beatles", "BEATLES"),
        ("Simon & Garfunkel", "Garfunkel and Simon"),
        ("Ann feat. Bob", "Bob; Ann"),
        ("Unknown Artist", ""),
        ("Various Artists", "n/a"),
    ],
)
def test_artists_that_are_the_same(one: str, other: str) -> None:
    assert parse_artist(folded(one)).words == parse_artist(folded(other)).words


@pytest.mark.parametrize(
    ("artist", "names_"), [("X", ("x",)), ("!!!", ("!!!",)), ("Malcolm X", ("malcolmx",)), ("&", ("and",))]
)
def test_artists_with_odd_names(artist: str, names_: tuple[str, ...]) -> None:
    assert parse_artist(folded(artist)).names == names_


def test_every_class_of_versions_has_a_bit_of_its_own() -> None:
    assert names(mask(tuple(BIT))) == list(BIT)
    assert sum(BIT.values()) == 2 ** len(BIT) - 1
