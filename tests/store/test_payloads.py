import hashlib
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import pytest
import sqlalchemy as sa
import zstandard
from hypothesis import given
from hypothesis import strategies as st

import holdfast
from holdfast.domain.errors import PayloadCorrupt, ResultNotFound
from holdfast.store import tables
from holdfast.store.payloads import pack, unpack
from holdfast.store.unit_of_work import Store
from tests.store.samples import opened, rows

PAYLOAD = pack(b'{"kept": true}' * 20)


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    with opened(database) as store:
        yield store


@given(st.binary(max_size=2000))
def test_what_was_packed_comes_back(content: bytes) -> None:
    payload = pack(content)
    assert unpack(payload.ref.hash, payload.data) == content
    assert payload.ref.hash == hashlib.sha256(content).hexdigest()
    assert (payload.ref.size, payload.ref.stored_size) == (len(content), len(payload.data))


@given(place=st.integers(0, 10**6), other=st.integers(1, 255))
def test_any_damaged_byte_is_noticed(place: int, other: int) -> None:
    data = bytearray(PAYLOAD.data)
    data[place % len(data)] ^= other
    try:
        content = unpack(PAYLOAD.ref.hash, bytes(data))
    except PayloadCorrupt:
        return
    # A bit that no reader looks at.
    assert content == b'{"kept": true}' * 20


@pytest.mark.parametrize(
    "data",
    [
        b"",
        PAYLOAD.data[:-1],
        PAYLOAD.data[:10],
        pack(b"other").data,
        b"\0" * 50,
        # Says that it holds 2^62 bytes.
        zstandard.FRAME_HEADER + b"\xe0" + (2**62).to_bytes(8, "little") + b"\0" * 9,
    ],
)
def test_damaged_payload(data: bytes) -> None:
    with pytest.raises(PayloadCorrupt) as caught:
        unpack(PAYLOAD.ref.hash, data)
    assert caught.value.details["hash"] == PAYLOAD.ref.hash


def test_damaged_row(database: str) -> None:
    with holdfast.open(database) as hf:
        kept = hf.store_analysis("sample", {"a": 1}).analysis_id
        hf.engine.write(lambda c: c.execute(sa.update(tables.payloads).values(data=b"nonsense")))
        with pytest.raises(PayloadCorrupt):
            hf.get_result(kept)
        # All the rest is readable, and nobody clears away what somebody may still mend.
        hf.worker().run(until_idle=True)
        hf.sweep()
        assert hf.get_analysis(kept).result is not None
        with hf.engine.read() as connection:
            assert connection.execute(sa.select(tables.payloads.c.data)).scalar_one() == b"nonsense"


def counts(store: Store) -> dict[str, int]:
    return dict(rows(store, "SELECT hash, reference_count FROM payloads"))


def test_references_are_counted(store: Store) -> None:
    one, other = pack(b"one"), pack(b"other")
    store.write(lambda uow: uow.payloads.put([one, other, one]))
    assert counts(store) == {one.ref.hash: 2, other.ref.hash: 1}
    store.write(lambda uow: uow.payloads.release(one.ref.hash))
    store.write(lambda uow: uow.payloads.release(other.ref.hash))
    assert counts(store) == {one.ref.hash: 1}
    assert store.read(lambda uow: unpack(one.ref.hash, uow.payloads.read(one.ref.hash))) == b"one"
    with pytest.raises(ResultNotFound):
        store.read(lambda uow: uow.payloads.read(other.ref.hash))


def test_references_are_counted_under_concurrency(store: Store) -> None:
    payloads = [pack(bytes([number])) for number in range(4)]

    def use(seed: int) -> list[int]:
        choice = random.Random(seed)
        held: list[int] = []
        for _ in range(40):
            if held and choice.random() < 0.5:
                gone = payloads[held.pop(choice.randrange(len(held)))]
                store.write(lambda uow: uow.payloads.release(gone.ref.hash))  # noqa: B023 written at once
            else:
                some = choice.choices(range(4), k=choice.randint(1, 3))
                # In any order: the store sees to it that two writers do not wait for each other.
                store.write(lambda uow: uow.payloads.put([payloads[number] for number in some]))  # noqa: B023 as above
                held.extend(some)
        return held

    with ThreadPoolExecutor(6) as pool:
        held = list(chain.from_iterable(pool.map(use, range(6))))
    wanted = {payloads[number].ref.hash: held.count(number) for number in set(held)}
    assert counts(store) == wanted
