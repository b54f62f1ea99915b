from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.analysis import Status
from holdfast.domain.errors import InvalidQuery
from holdfast.domain.query import And, Field, Form, Not, Or, Query, Text, both, either, parse, show

plain = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
with_letter = plain.filter(lambda text: any(letter.isalnum() for letter in text))
leaves = st.one_of(
    st.builds(Text, value=with_letter, form=st.sampled_from([Form.WORDS, Form.PREFIX])),
    # A stretch that is not quoted cannot hold what ends it without a backslash, which show() writes.
    st.builds(Text, value=with_letter, form=st.just(Form.PART)),
    st.builds(
        Field, name=st.sampled_from(["tag", "kind", "owner", "thread"]), op=st.sampled_from(["=", "^"]), value=plain
    ),
    st.builds(Field, name=st.just("status"), op=st.just("="), value=st.sampled_from([one.value for one in Status])),
    st.builds(
        Field,
        name=st.just("created"),
        op=st.sampled_from(["<", "<=", ">", ">=", "="]),
        value=st.datetimes(min_value=datetime(1980, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 Hypothesis adds it
    ),
    st.builds(Field, name=st.just("findings"), op=st.sampled_from(["<", "=", ">="]), value=st.integers(-99, 10**9)),
)


def _joined(parts: st.SearchStrategy[Query]) -> st.SearchStrategy[Query]:
    several = st.lists(parts, min_size=2, max_size=3)
    return st.one_of(several.map(both), several.map(either), parts.map(lambda part: Not(part=part)))


queries = st.recursive(leaves, _joined, max_leaves=8)


@given(queries)
def test_what_is_shown_is_read_again(query: Query) -> None:
    assert parse(show(query)) == query


@given(st.text(max_size=60))
def test_anything_is_read_or_refused_with_its_place(text: str) -> None:
    try:
        found = parse(text)
    except InvalidQuery as error:
        position = error.details["position"]
    else:
        position = 0
        assert found is None or parse(show(found)) == found
    assert 0 <= position <= len(text)


def test_precedence() -> None:
    a, b, c = (Text(value=word) for word in "abc")
    assert parse("a b OR c") == Or(parts=(And(parts=(a, b)), c))
    assert parse("a (b OR c)") == And(parts=(a, Or(parts=(b, c))))
    assert parse("NOT a b") == And(parts=(Not(part=a), b))
    assert parse("-a AND b") == And(parts=(Not(part=a), b))
    assert parse("  ") is None


def test_days_and_ranges() -> None:
    first, following = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    assert parse("created:2026-01-01") == And(
        parts=(Field(name="created", op=">=", value=first), Field(name="created", op="<", value=following))
    )
    assert parse("created>2026-01-01") == Field(name="created", op=">=", value=following)
    assert parse("findings:[1 TO 3]") == And(
        parts=(Field(name="findings", op=">=", value=1), Field(name="findings", op="<=", value=3))
    )


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("(a", 0, "not closed"),
        ("a)", 1, "without its"),
        ("a AND", 5, "missing"),
        ('x "abc', 2, "quotation"),
        ("nope:1", 0, "no field"),
        ("created>soon", 8, "a day or a moment"),
        ("status:done", 7, "no status"),
        ("a %", 2, "no letter"),
        ("tag>3", 0, "no order"),
        ("findings:[1 2]", 12, "TO"),
        ("a\\", 1, "backslash"),
        ("(" * 50 + "a", 21, "deeper"),
    ],
)
def test_errors_name_the_place(text: str, place: int, says: str) -> None:
    with pytest.raises(InvalidQuery, match=says) as caught:
        parse(text)
    assert caught.value.details["position"] == place
