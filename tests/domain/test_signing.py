import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.errors import InvalidCursor
from holdfast.domain.signing import seal, unseal

KEY = b"k" * 32


@given(value=st.binary(max_size=200), bound=st.lists(st.binary(max_size=20), max_size=3))
def test_round_trip(value: bytes, bound: list[bytes]) -> None:
    word = seal(KEY, value, *bound)
    assert unseal(KEY, word, *bound) == value
    assert word.replace("-", "a").replace("_", "a").isalnum()


@given(value=st.binary(max_size=50), place=st.integers(0, 200), letter=st.characters())
def test_no_letter_can_be_changed(value: bytes, place: int, letter: str) -> None:
    word = seal(KEY, value)
    place %= len(word)
    changed = word[:place] + letter + word[place + 1 :]
    if changed != word:
        with pytest.raises(InvalidCursor):
            unseal(KEY, changed)


@given(word=st.text(max_size=100))
def test_what_was_made_up_is_refused(word: str) -> None:
    with pytest.raises(InvalidCursor):
        unseal(KEY, word)


@pytest.mark.parametrize("bound", [(), (b"b",), (b"a", b""), (b"", b"a"), (b"aa",)])
def test_good_for_what_it_is_bound_to_only(bound: tuple[bytes, ...]) -> None:
    word = seal(KEY, b"value", b"a")
    assert unseal(KEY, word, b"a") == b"value"
    for key, parts in ((KEY, bound), (b"x" * 32, (b"a",))):
        with pytest.raises(InvalidCursor):
            unseal(key, word, *parts)


def test_parts_do_not_run_into_each_other() -> None:
    assert seal(KEY, b"", b"ab", b"c") != seal(KEY, b"", b"a", b"bc")


@pytest.mark.parametrize("more", ["=", " ", "\n", "!", "A" * 5000])
def test_one_value_has_one_word(more: str) -> None:
    with pytest.raises(InvalidCursor):
        unseal(KEY, seal(KEY, b"value") + more)
