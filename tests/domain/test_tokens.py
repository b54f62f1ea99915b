"""What logs and traces may have of what opens doors."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.tokens import CLIENT_BYTES, ID_BYTES, SECRET_BYTES, masked, new_client_id, new_secret

around = st.text(alphabet="/?&=ab 12é", max_size=10)


def of_bytes(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


@given(before=around, after=around, token=of_bytes(ID_BYTES), random=of_bytes(SECRET_BYTES))
def test_a_secret_is_never_shown_whole(before: str, after: str, token: bytes, random: bytes) -> None:
    secret = new_secret(token.hex(), random)
    told = masked(f"{before}/{secret}/{after}")
    assert told == f"{before}/hf_{token.hex()}_.../{after}"


@given(before=around, after=around, key=of_bytes(32), random=of_bytes(CLIENT_BYTES))
def test_nor_is_a_clients_id(before: str, after: str, key: bytes, random: bytes) -> None:
    client_id = new_client_id(key, random)
    told = masked(f"{before}={client_id}&{after}")
    assert told == f"{before}={client_id[:12]}...&{after}"


@given(st.text(alphabet="abcdefh_-/.1", max_size=40))
def test_all_else_is_told_as_it_is(text: str) -> None:
    assert masked(text) == text
