"""Words for figures, and names made safe."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from holdfast.cli import text
from holdfast.cli.session import cursor_of, place_of
from holdfast.cli.views import crop
from holdfast.store.lists import Place

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"),
        (42, "42 seconds ago"),
        (60, "1 minute ago"),
        (7300, "2 hours ago"),
        (86_400 * 3, "3 days ago"),
        (86_400 * 21, "3 weeks ago"),
        (86_400 * 90, "2 months ago"),
        (86_400 * 800, "2 years ago"),
        (-300, "in 5 minutes"),
    ],
)
def test_age(seconds: int, words: str) -> None:
    assert text.age(NOW - timedelta(seconds=seconds), NOW) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.34, "0.3 s"), (42, "42 s"), (185, "3 min 05 s"), (7800, "2 h 10 min"), (-1, "0.0 s")]
)
def test_duration(seconds: float, words: str) -> None:
    assert text.duration(seconds) == words


@given(st.text())
def test_safe_text_is_one_harmless_line(value: str) -> None:
    shown = text.safe(value)
    assert len(shown.splitlines()) <= 1
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in shown)
    assert "\u202e" not in shown


@given(st.text(st.characters(exclude_categories=("C", "M", "Z"))), st.integers(4, 40))
def test_cropped_in_the_middle(value: str, width: int) -> None:
    short = crop(value, width)
    assert cell_len(short) <= width
    if cell_len(value) > width:
        assert "…" in short
        assert value.startswith(short.partition("…")[0])
    else:
        assert short == value


def test_short_ids() -> None:
    same = ["01a1f97a-0058-7aaa-8000-000000000001", "01a1f97a-0058-7bbb-8000-000000000001"]
    assert text.short_ids(same[:1]) == {same[0]: "01a1f97a-0058"}
    assert list(text.short_ids(same).values()) == ["01a1f97a-0058-7aaa", "01a1f97a-0058-7bbb"]
    assert text.short_ids(["an id of my own"]) == {"an id of my own": "an id of my own"}


@given(st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1)), st.integers(0, 2**62))  # noqa: DTZ001 made aware below
def test_cursor_round_trip(at: datetime, key: int) -> None:
    place = Place(created_at=at.replace(tzinfo=UTC), key=key)
    cursor = cursor_of(place)
    assert cursor is not None
    assert place_of(cursor) == place
