"""Words, and where they stand, told in a quick way, are those that the slow way tells."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.query import Form, Text
from holdfast.domain.snippets import snippet
from holdfast.domain.words import line, tokens

PARTS = ["foo", "Bar", "_", "café", "数据库", " ", "-", "\n", "x", "9", "a" * 33, "ß", "\x1c", "\x85"]
texts = st.lists(st.sampled_from(PARTS), max_size=40).map("".join) | st.text()


@given(text=texts, most=st.integers(1, 60))
def test_a_line_holds_the_tokens(text: str, most: int) -> None:
    assert line(text, most).split() == tokens(text, most)


@given(text=texts, word=st.sampled_from(["foo", "bar", "fo", "oob", "café", "数", "数据", "a" * 66, "x9"]), form=...)
def test_a_snippet_is_where_looking_from_the_start_finds_it(text: str, word: str, form: Form) -> None:
    wanted = [Text(value=word, form=form), Text(value="9")]
    # What is not ASCII is looked through from its start: so is the same text with such a letter at its end.
    quick, slow = snippet(text, wanted), snippet(f"{text} é", wanted)
    assert (quick is None) == (slow is None)
    if quick is not None and slow is not None:
        assert quick.highlights == slow.highlights
        assert slow.text.startswith(quick.text)
