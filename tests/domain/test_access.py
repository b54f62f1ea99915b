import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.access import LOCAL, Caller, Role
from holdfast.domain.errors import Forbidden

owners = st.sampled_from(["ann", "bob", "anon-1"])
ips = st.sampled_from([None, "1.2.3.4", "5.6.7.8"])
callers = st.builds(
    Caller,
    name=owners,
    owner=owners,
    role=st.sampled_from(Role),
    is_anonymous=st.booleans(),
    ip=ips,
    recovers_by_ip=st.booleans(),
)


@given(caller=callers, owner=st.none() | owners, is_anonymous=st.booleans(), ip=ips)
def test_strangers_are_seen_by_their_address_only_where_that_is_allowed(
    caller: Caller, owner: str | None, is_anonymous: bool, ip: str | None
) -> None:
    sees = caller.may_see(owner, is_anonymous=is_anonymous, ip=ip)
    if caller.role is Role.ADMIN or caller.owner == owner:
        assert sees
    elif not (caller.recovers_by_ip and is_anonymous) or ip is None or caller.ip is None:
        # No address is nobody's address.
        assert not sees
    else:
        assert sees is (caller.ip == ip)


@given(caller=callers, owner=st.none() | owners)
def test_lists_are_narrowed_to_what_the_caller_may_see(caller: Caller, owner: str | None) -> None:
    if caller.role is Role.ADMIN:
        assert caller.narrowed(owner) == owner
    elif owner in {None, caller.owner}:
        assert caller.narrowed(owner) == caller.owner
    else:
        with pytest.raises(Forbidden):
            caller.narrowed(owner)


@pytest.mark.parametrize(
    ("role", "may"), [(Role.READER, [True, False, False]), (Role.WRITER, [True, True, False]), (Role.ADMIN, [True] * 3)]
)
def test_roles_are_ranked(role: Role, may: list[bool]) -> None:
    caller = Caller(name="x", owner="x", role=role)
    for needed, allowed in zip(Role, may, strict=True):
        if allowed:
            caller.require(needed)
        else:
            with pytest.raises(Forbidden):
                caller.require(needed)


def test_who_has_the_database_in_their_hands_sees_everything() -> None:
    LOCAL.require(Role.ADMIN)
    assert LOCAL.sees is None
