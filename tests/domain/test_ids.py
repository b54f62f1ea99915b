import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.domain.errors import InvalidId
from holdfast.domain.ids import check_id, uuid7
from tests.domain.strategies import moments

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
randomness = st.binary(min_size=10, max_size=10)


@given(moments, randomness)
@example(EPOCH + timedelta(milliseconds=4_249_178_873), bytes(10))
def test_uuid7_says_when_it_was_made(at: datetime, random: bytes) -> None:
    made = uuid.UUID(uuid7(at, random))
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert made.int >> 80 == (at - EPOCH) // MILLISECOND


@given(moments, st.integers(1, 10**9), randomness, randomness)
def test_later_uuid7_sorts_later(at: datetime, later: int, one: bytes, other: bytes) -> None:
    assert uuid7(at, one) < uuid7(at + later * MILLISECOND, other)


@given(moments, randomness, randomness)
def test_uuid7_keeps_74_random_bits(at: datetime, one: bytes, other: bytes) -> None:
    mask = bytes([0x0F, 0xFF, 0x3F] + 7 * [0xFF])
    same = [a & m for a, m in zip(one, mask, strict=True)] == [b & m for b, m in zip(other, mask, strict=True)]
    assert (uuid7(at, one) == uuid7(at, other)) == same


@given(moments, randomness)
def test_uuid7_is_an_id(at: datetime, random: bytes) -> None:
    assert check_id(uuid7(at, random)) == uuid7(at, random)


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}", fullmatch=True).filter(str.isascii))
def test_valid_ids_pass_unchanged(value: str) -> None:
    assert check_id(value) == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        ".",
        "..",
        "../etc/passwd",
        "a/../../b",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "%2e%2e%2f",
        "~root",
        "-rf",
        ".hidden",
        "a b",
        " a",
        "a\n",
        "a\r\n",
        "a\0.json",
        "ä",
        "١٢٣",
        "a\u202eb",
        "\ud800",
        "a" * 129,
        "a'; DROP TABLE analyses; --",
        None,
        7,
        b"abc",
        ["abc"],
    ],
)
def test_what_is_no_id_is_refused(value: str) -> None:
    with pytest.raises(InvalidId) as caught:
        check_id(value, "thing_id")
    assert caught.value.details["field"] == "thing_id"
    assert len(caught.value.message) < 800
    caught.value.message.encode()


@given(st.text(min_size=1))
def test_an_accepted_id_cannot_leave_a_folder(value: str) -> None:
    try:
        check_id(value)
    except InvalidId:
        return
    assert value.isascii()
    assert value[0].isalnum()
    assert not set(value) & set("/\\\0\n\r\t %~'\"")
