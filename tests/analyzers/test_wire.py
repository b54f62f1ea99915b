"""Values as bytes, messages as frames."""

import math
import socket
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.analyzers.codec import decode_value, encode_value
from holdfast.analyzers.wire import Closed, Failed, Inbox, Payload, Reported, Save, pack
from holdfast.documents import to_json
from holdfast.domain.errors import PayloadCorrupt, UnknownDocument

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(json_values | st.binary(max_size=3000))
def test_a_value_comes_back(value: Any) -> None:
    assert decode_value(encode_value(value)) == value


@given(json_values, st.sampled_from([math.nan, math.inf, -math.inf]))
def test_not_a_number_is_refused_wherever_it_is(value: Any, bad: float) -> None:
    for holder in ([value, bad], {"a": {"b": (value, [bad])}}, [[{"x": value}], {"y": bad}], bad):
        with pytest.raises(UnknownDocument, match=r"inf|nan"):
            to_json(holder)


def test_compression_is_used_where_it_pays() -> None:
    assert len(encode_value("x" * 10_000)) < 100
    assert len(encode_value(b"x" * 10_000)) < 100
    assert encode_value(b"xy") == b"bxy"
    assert encode_value({"b": 1, "a": 2}) == b'j{"a":2,"b":1}'


@dataclass
class Point:
    x: float


@pytest.mark.parametrize("value", [object(), {1: 2}, "\udcff", [1j], Point(math.nan)])
def test_what_is_not_json_is_refused(value: Any) -> None:
    with pytest.raises(UnknownDocument):
        to_json(value)


def test_a_cycle_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(UnknownDocument):
        to_json(value)


def test_the_place_of_the_fault_is_named() -> None:
    with pytest.raises(UnknownDocument, match=r"nan at \$\.a\[1\]\.b"):
        to_json({"a": [0, {"b": math.nan}]})


@pytest.mark.parametrize("data", [b"", b"x1", b"J12", b"j{"])
def test_damaged_checkpoints_are_told_of(data: bytes) -> None:
    with pytest.raises(PayloadCorrupt):
        decode_value(data)


def test_frames_come_out_whole_however_they_come_in() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    inbox = Inbox(ours)
    messages: list[Any] = [
        Save(scope="s", items={"k": bytes(range(256)), "": b""}),
        Payload(data=b"x" * 70_000),
        Reported(final=True, summary="ü", metrics={"m": 0.1}),
        Failed(code="C", message="m", suggestions=["s"], details=b"{}", traceback=""),
    ]
    stream = b"".join(bytes(pack(message)) for message in messages)
    received = []
    with ours, theirs:
        for start in range(0, len(stream), 7001):
            theirs.sendall(stream[start : start + 7001])
            while (message := inbox.read()) is not None:
                received.append(message)
        assert received == messages
        theirs.sendall(stream[:20])
        theirs.close()
        with pytest.raises(Closed):
            inbox.read()
