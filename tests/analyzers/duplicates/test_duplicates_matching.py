"""Which tracks are duplicates, which are not, and what never changes it."""

import random
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.analyzers.duplicates.libraries import groups_of, invented, library, sets, similarity, track

from holdfast.analyzers.duplicates.candidates import find_candidates
from holdfast.analyzers.duplicates.compare import compare, contradict
from holdfast.analyzers.duplicates.doubts import Doubt
from holdfast.analyzers.duplicates.groups import build_clusters
from holdfast.analyzers.duplicates.matching import compare_all, find_duplicates, group, prepare
from holdfast.analyzers.duplicates.params import Params
from holdfast.analyzers.duplicates.parts import compare_part, join_edges, read_edges, read_signatures, split
from holdfast.analyzers.duplicates.report import build_groups
from holdfast.analyzers.duplicates.screening import screen
from holdfast.analyzers.duplicates.signatures import sign

PLAIN = Params()
LONG = "The Day That Nobody Wrote Down Anything At All"
ODD = library(
    [
        track(song, artist, album, track_id=f"odd{number}")
        for number, (song, artist, album) in enumerate(
            [
                (LONG, "Ada Byron", None), (LONG[:30], "Ada Byron", None), (LONG[:30], "Byron, Ada", None),
                ("07 Hello", "Ada Byron", None), ("7 Hello", "Ada Byron", None), ("Hello", "Ada Byron", "First Notes"),
                ("Hello - First Notes", "Ada Byron", None), ("Hello", None, "First Notes"),
                ("Hello", "Cleo & Ada Byron", None),
                ("Ada Byron", "Hello", None), ("Hello - First Notes", None, None), ("Ada Byron -Hello", "", None),
                ("Hello", "Ada Bryon", None), ("Hello", "Byron Ada", None), ("(Hello)", "Ada Byron", None),
            ]
        )
    ]
)  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (track("Hello"), track("HELLO")),
        (track("Hello"), track("Hello - 2020 Remaster")),
        (track("Hello"), track("Hello (Remastered 2011)")),
        (track("Hello"), track("Hello [Explicit]")),
        (track("Hello"), track("Hello (Album Version)")),
        (track("Hello"), track("Hello (Deluxe Edition) (Official Video)")),
        (track("Hello"), track("01 - Hello")),
        (track("Hello"), track("07. Hello")),
        (track("Rock & Roll"), track("Rock and Roll")),
        (track("Don't Stop"), track("Dont Stop")),
        (track("Don\u2019t Stop"), track("Don't Stop!")),
        (track("Déjà Vu"), track("Deja Vu")),
        (track("Déjà Vu"), track("DÃ©jÃ\xa0 Vu")),
        (track("Hallelujah"), track("Halelujah")),
        (track("Sing It Pt. 2"), track("Sing It (Part II)")),
        (track("Hello (Live)"), track("Hello - Live")),
        (track("Hello (Live)"), track("Hello (Live) [Remastered]")),
        (track("Hello (Ann Remix)"), track("Hello - Ann Remix")),
        (track("Hello (feat. Bob)"), track("Hello", "Ada Byron feat. Bob")),
        (track("Hello (feat. Bob)"), track("Hello ft. Bob")),
        (track("Hello", "Ada Byron & Bob"), track("Hello", "Bob, Ada Byron")),
        (track("Hello", "The Engines"), track("Hello", "Engines, The")),
        (track("Hello", "The Engines"), track("Hello", "Engines")),
        (track("Hello"), track("Ada Byron - Hello", "")),
        (track("Hello"), track("Ada Byron - Hello", "Unknown Artist")),
        (track("Hello"), track("Ada Byron - Hello")),
        (track("Группа крови", "Кино"), track("Gruppa krovi", "Kino")),
        (track("東京", "椎名林檎"), track("東京", "椎名林檎", "別のアルバム")),
        (track("สวัสดี", "ไทย"), track("สวัสดี", "ไทย", "อื่น")),
        (track("שָׁלוֹם", "אריק"), track("שלום", "אריק")),
        (track("مُحَمَّد", "فيروز"), track("محمد", "فيروز")),
        (track("Hello", album="A"), track("Hello", album="B")),
        (track("Hello", album="First"), track("Hello (Once More)", album="First")),
        (track("Hello", duration_seconds=200.0), track("Hello (Once More)", duration_seconds=201.0)),
        (track("Hello", duration_seconds=200.0), track("Hello", duration_seconds=205.0)),
        (track("Intro", album="First"), track("Intro", album="First (Deluxe)")),
        (track("\u00f7", album="First"), track("\u00f7", album="Second")),
    ],
)
def test_safe_duplicates(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert similarity(one, other) >= PLAIN.safe_similarity
    assert similarity(other, one) >= PLAIN.safe_similarity


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (track("Hello"), track("Hello (feat. Bob)")),
        (track("Hello"), track("Hello", "Ada Byron feat. Bob")),
        (track("Hello"), track("Ada Byron", "Hello")),
        (track("Long Enough", album="First"), track("Long Enough", None, "First")),
        (track("Hello", duration_seconds=200.0), track("Hello", duration_seconds=225.0)),
        (track("Hello", album="First"), track("Hello (Once More)", album="Second")),
    ],
)
def test_duplicates_that_a_person_should_look_at(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert 0 < similarity(one, other) < PLAIN.safe_similarity


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (track("Hello"), track("Hello (Live)")),
        (track("Hello"), track("Hello - Live at Wembley")),
        (track("Hello (Live at Wembley)"), track("Hello (Live at the Apollo)")),
        (track("Hello"), track("Hello (Remix)")),
        (track("Hello (Ann Remix)"), track("Hello (Bob Remix)")),
        (track("Hello"), track("Hello (Acoustic)")),
        (track("Hello"), track("Hello (Karaoke Version)")),
        (track("Hello"), track("Hello - Instrumental")),
        (track("Hello"), track("Hello (Radio Edit)")),
        (track("Hello"), track("Hello (Demo)")),
        (track("Hello"), track("Hello (Taylor's Version)")),
        (track("Hello"), track("Hello (Spanish Version)")),
        (track("Hello"), track("Hello (Sped Up)")),
        (track("Sing It Pt. 1"), track("Sing It Pt. 2")),
        (track("Sing It"), track("Sing It, Pt. 2")),
        (track("Sing It"), track("Sing It II")),
        (track("Sing It II"), track("Sing It III")),
        (track("Symphony No. 5"), track("Symphony No. 6")),
        (track("1999"), track("1998")),
        (track("Hello", "Ada Byron"), track("Hello", "Bob Marl")),
        (track("Hello (feat. Bob)"), track("Hello (feat. Cleo)")),
        (track("Stay", "Ada"), track("Stay", "Ida B")),
        (track("Intro", album="First"), track("Intro", album="Second")),
        (track("Intro"), track("Intro")),
        (track("Untitled", None), track("Untitled", None)),
        (track("", "Ada Byron"), track("", "Ada Byron")),
        (track(None, None), track(None, None)),
        (track("Hello", None), track("Hello", None)),
        (track("12", None, "Odd"), track("12", None, "Odd")),
        (track("Hello (Morning)"), track("Hello (Evening)")),
        (track("Hello", duration_seconds=180.0), track("Hello", duration_seconds=400.0)),
        (track("Helllo", duration_seconds=200.0), track("Hello", duration_seconds=230.0)),
        (track("東京", "椎名林檎"), track("京都", "椎名林檎")),
        (track("\u00f7"), track("\u00d7")),
        (track("???"), track("!!!")),
        (track("\U0001f525"), track("\U0001f525\U0001f525")),
        (track("ไม่", "ไทย"), track("ไม", "ไทย")),
    ],
)
def test_no_duplicates(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert similarity(one, other) == 0
    assert similarity(other, one) == 0


def test_one_ordinary_word_is_no_misspelling_of_another() -> None:
    songs = [track(song, artist) for artist in ("Ada", "Bob", "Cleo") for song in ("Stay", "Sway")]
    assert groups_of(library(songs)) == []


def test_an_ordinary_title_by_artists_of_nearly_one_name_is_for_a_person_to_judge() -> None:
    others = [track("Dancer", f"{name} and Friends") for name in ("Quincy", "Zora", "Max")]
    [odd] = find_duplicates(library([track("Dancer", "Elyor"), track("Dancer", "Kelyor"), *others])).members.group_by(
        "group"
    )
    assert set(odd[1]["similarity"]) == {1.0, 0.7}
    rare = find_duplicates(library([track("Dancer", "Elyor"), track("Dancer", "Kelyor")])).members
    assert rare["similarity"].min() > 0.9  # type: ignore[operator]


def test_the_person_chooses_which_versions_are_the_same() -> None:
    live, remaster = track("Hello (Live)"), track("Hello - 2020 Remaster")
    assert similarity(track("Hello"), live, same_versions=["live"]) == 1
    assert similarity(track("Hello"), remaster, same_versions=["live"]) == 0
    assert similarity(track("Hello"), remaster, same_versions=[]) == 0


def test_pairs_below_the_least_confidence_count_for_nothing() -> None:
    pair = track("Hello"), track("Hello (feat. Bob)")
    assert similarity(*pair, min_confidence=0.6) > 0
    assert similarity(*pair, min_confidence=0.8) == 0


def test_a_search_term_chooses_tracks_whatever_their_case_and_accents() -> None:
    songs = [track("Déjà Vu"), track("Deja vu"), track("Hello"), track("Hello")]
    assert groups_of(library(songs), search_term="dejà") == [{"t0", "t1"}]
    assert groups_of(library(songs), search_term="byron") == [{"t0", "t1"}, {"t2", "t3"}]
    assert groups_of(library(songs), search_term=".*") == []


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), shuffle=st.integers(0, 10_000))
def test_the_order_of_a_library_changes_nothing(seed: int, shuffle: int) -> None:
    frame = invented(120, seed)
    found = find_duplicates(frame)
    again = find_duplicates(frame.sample(fraction=1, shuffle=True, seed=shuffle))
    assert again.ids == found.ids
    assert again.members.equals(found.members)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), pairs_a_part=st.integers(1, 400))
def test_the_number_of_parts_changes_nothing(seed: int, pairs_a_part: int) -> None:
    tracks = prepare(invented(120, seed))
    signatures = sign(tracks, PLAIN.same_mask)
    candidates = find_candidates(signatures.table)
    parts = list(split(signatures.table, candidates, pairs_a_part))
    assert len(parts) == max(1, -(-len(candidates.left) // pairs_a_part))
    assert sum(part.tracks for part in parts) == signatures.table["tracks"].sum()
    edges = join_edges([read_edges(part, compare_part(part)) for part in reversed(parts)])
    whole = compare_all(signatures.table, candidates)
    found, expected = (group(tracks, signatures, some, PLAIN) for some in (edges, whole))
    assert found.ids == expected.ids
    assert found.members.equals(expected.members)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_no_chain_of_unlike_members(seed: int) -> None:
    signatures = sign(prepare(invented(150, seed)), PLAIN.same_mask)
    table = signatures.table
    values = dict(read_signatures(table, np.arange(table.height)))
    clusters = build_clusters(table, compare_all(table, find_candidates(table)))
    seen: set[int] = set()
    for cluster in clusters:
        assert not seen & set(cluster.members)
        seen |= set(cluster.members)
        for row in cluster.members:
            assert row == cluster.centre or compare(values[row], values[cluster.centre]) is not None
            alike = [other for other in cluster.members if compare(values[row], values[other]) is None]
            assert not [other for other in alike if contradict(values[row], values[other])]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_comparison_has_no_direction(seed: int) -> None:
    table = sign(prepare(invented(40, seed)), PLAIN.same_mask).table
    values = dict(read_signatures(table, np.arange(table.height)))
    for one in values.values():
        for other in values.values():
            assert compare(one, other) == compare(other, one)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_screening_leaves_out_nothing_that_a_comparison_takes(seed: int) -> None:
    table = sign(prepare(pl.concat([invented(60, seed), ODD])), PLAIN.same_mask).table
    values = dict(read_signatures(table, np.arange(table.height)))
    left, right = np.triu_indices(table.height, 1)
    alike = [compare(values[one], values[other]) for one, other in zip(left.tolist(), right.tolist(), strict=True)]
    # What is swapped and misspelt as well meets under no key.
    taken = np.array([verdict is not None and not verdict.doubts & Doubt.SWAPPED_FIELDS for verdict in alike])
    worth = screen(table, left, right)
    assert taken.any()
    assert worth[taken].all()
    assert worth.sum() < len(left) / 2
    assert (screen(table, right, left) == worth).all()


def test_a_chain_breaks_where_its_ends_are_unlike() -> None:
    # The first and the last have two different guests; the one between has both.
    songs = [
        track("Hello (feat. Bob)", play_count=1),
        track("Hello (feat. Bob & Cleo)"),
        track("Hello (feat. Cleo)"),
    ]
    found = groups_of(library(songs))
    assert len(found) == 1
    assert not {"t0", "t2"} <= found[0]


def test_the_id_of_a_group_stays_when_tracks_come_and_go() -> None:
    songs = [track("Hello"), track("Hello"), track("Other"), track("Other")]
    [hello, other] = find_duplicates(library(songs)).ids
    more = [track("Hello - 2011 Remaster"), track("Another"), *songs, track("Hello, again"), track("hello")]
    renamed = library([{**song, "track_id": f"new{number}"} for number, song in enumerate(more)])
    assert find_duplicates(renamed).ids == [hello, other]


def test_ten_thousand_equal_titles_by_others_are_little_work() -> None:
    names = [f"{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}{n} quartet" for n in range(10_000)]
    for title in ("Intro", "Untitled", "Stay"):
        songs = library([track(title, name, f"Album {name}") for name in names])
        candidates = find_candidates(sign(songs, PLAIN.same_mask).table)
        assert candidates.looked_at <= 150 * len(names)
        assert groups_of(songs.head(2_000)) == []


def test_ten_thousand_copies_are_one_group() -> None:
    [found] = groups_of(library([track("Hello", album=f"Album {n}") for n in range(10_000)]))
    assert len(found) == 10_000


def test_an_artist_with_fifty_thousand_tracks_is_bounded_work() -> None:
    letters = "bcdfghjklmnpqrstvwz"
    count = 50_000
    titles = [
        f"{letters[n % 19]}a{letters[n // 19 % 19]}e{letters[n // 361 % 19]}i{letters[n // 6859 % 19]}o song"
        for n in range(count)
    ]
    table = sign(library([track(title) for title in titles]), PLAIN.same_mask).table
    candidates = find_candidates(table)
    assert table.height == count
    assert candidates.looked_at <= 150 * count
    assert len(candidates.left) <= 50 * count


def test_an_empty_library() -> None:
    found = find_duplicates(library([]))
    assert found.ids == []
    assert found.members.height == 0


def test_equal_ids_do_no_harm() -> None:
    frame = pl.concat([library([track("Hello")])] * 3)
    assert find_duplicates(frame).members.height == 3
    assert sets(find_duplicates(frame)) == [{"t0"}]


THUNDER = track("Distant Thunder", "Ada Byron", "Notes on Engines")


@pytest.mark.parametrize(
    "other",
    [
        track("Distant Thunder - Notes on Engines", None),
        track("Notes on Engines - Distant Thunder", "Unknown Artist"),
        track("Distant Thundr - Notes on Engines", ""),
        track("Ada Byron -Distant Thunder", None, "Found Somewhere"),
        track("02 - Ada Byron - Distant Thunder", None),
        track("Various Artists - Ada Byron - Distant Thunder", "Various Artists", "Found Somewhere"),
        track("Ada Byron - Notes on Engines - Distant Thunder", None),
    ],
)
def test_fields_in_one_without_an_artist_are_for_a_person_whatever_counts_as_safe(other: dict[str, Any]) -> None:
    for pair in ((THUNDER, other), (other, THUNDER)):
        found = find_duplicates(library(pair))
        [group] = build_groups(found, None, Params(safe_similarity=0.1))
        assert (group["tier"], group["suggested_action"]) == ("manual_review", "manual_review")
        assert group["reasons"] == ["mixed_fields"]


@pytest.mark.parametrize(
    "other",
    [
        track("Distant Thunder (Live) - Notes on Engines", None),
        track("Distant Thunder II - Notes on Engines", None),
        track("Distant Thunder 2 - Notes on Engines", None),
        track("Silent Thunder - Notes on Engines", None),
        track("Thunder - Notes on Engines", None),
        track("Distant Thunder - Bob Marl", None),
        track("Notes on Engines", None, "Notes on Engines"),
        track("Distant Thunder - Notes on Engines", "Bob Marl"),
    ],
)
def test_fields_in_one_that_say_something_else(other: dict[str, Any]) -> None:
    assert similarity(THUNDER, other) == 0
    assert similarity(other, THUNDER) == 0


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), behind=st.booleans(), album=st.booleans())
def test_a_track_in_one_field_finds_its_twin_among_many(seed: int, *, behind: bool, album: bool) -> None:
    chance = random.Random(seed)
    songs = [track(*(_phrase(chance) for _ in range(3))) for _ in range(60)]
    twin = chance.choice(songs)
    fields = [twin["song"], twin["album" if album else "artist"]]
    messy = track(" - ".join(fields if behind else fields[::-1]), None)
    [found] = groups_of(library([*songs, messy]))
    assert found == {f"t{songs.index(twin)}", "t60"}


def _phrase(chance: random.Random) -> str:
    return " ".join("".join(chance.choices("aeioubdfgklmnprst", k=7)) for _ in range(2))


def test_ten_thousand_equal_messy_titles_are_little_work() -> None:
    ends = [f"{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}{chr(97 + n // 676)} song" for n in range(10_000)]
    for songs in (
        [track("Nowhere - Nothing", None, f"Album {end}") for end in ends],
        [track("Nowhere Nothing", None, f"Album {end}") for end in ends],
        [track(f"Nowhere Man - Nothing {end}", None) for end in ends],
        [track("Nowhere", f"Man {end}", "Nothing") for end in ends] + [track("Nowhere - Nothing", None)],
    ):
        candidates = find_candidates(sign(library(songs), PLAIN.same_mask).table)
        assert candidates.looked_at <= 200 * len(songs)
        assert len(candidates.left) <= 50 * len(songs)
