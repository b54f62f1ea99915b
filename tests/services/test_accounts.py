import logging
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.bootstrap import Holdfast
from holdfast.domain.access import LOCAL, Caller, Role
from holdfast.domain.context import Context
from holdfast.domain.errors import (
    AuthenticationRequired,
    Forbidden,
    InvalidCursor,
    InvalidInput,
    InvalidParams,
    StoreUnavailable,
    TokenNotFound,
)
from holdfast.domain.ids import check_id
from holdfast.settings import read_settings
from holdfast.store import tables
from holdfast.store.lists import Filter, Place
from holdfast.store.unit_of_work import Store
from holdfast.testing import FakeClock, FakeIds
from tests.services.samples import opened
from tests.support.processes import wait_until


@pytest.fixture
def hf(database: str, clock: FakeClock) -> Iterator[Holdfast]:
    with opened(database, clock, anonymous_clients=True) as hf:
        yield hf


@pytest.fixture
def other(database: str, clock: FakeClock) -> Iterator[Holdfast]:
    """The same store in another process, as far as anything in memory goes."""
    with opened(database, clock, anonymous_clients=True) as hf:
        yield hf


WRITER = Caller(name="w", owner="ann", role=Role.WRITER)
READER = Caller(name="r", owner="ann", role=Role.READER)
STRANGER = Caller(name="s", owner="bob", role=Role.WRITER)


def events(hf: Holdfast) -> list[tuple[str, str, str, dict[str, Any]]]:
    with hf.engine.read() as connection:
        rows = connection.execute(sa.select(tables.ledger).order_by(tables.ledger.c.sequence)).all()
    return [(row.name, row.client_session_id, row.actor, row.data) for row in rows]


def refused(hf: Holdfast, secret: str) -> AuthenticationRequired:
    with pytest.raises(AuthenticationRequired) as caught:
        hf.accounts.authenticate(secret, ip="1.2.3.4")
    return caught.value


# Tokens.


def test_token_opens_what_it_says(hf: Holdfast, clock: FakeClock) -> None:
    made = hf.accounts.create_token("ci", owner="ann", role=Role.READER)
    assert re.fullmatch(rf"hf_{made.token.token_id}_[A-Za-z0-9_-]{{43}}", made.secret)
    assert (made.token.created_at, made.token.created_by, made.token.expires_at) == (clock.now(), "local", None)
    caller = hf.accounts.authenticate(made.secret, ip="1.2.3.4")
    token_id = made.token.token_id
    assert caller == Caller(name=f"token:{token_id}", owner="ann", role=Role.READER, ip="1.2.3.4", token_id=token_id)
    assert (caller.sees, caller.is_anonymous, caller.recovers_by_ip) == ("ann", False, False)


def test_tokens_share_nothing_unless_it_is_said(hf: Holdfast) -> None:
    ann, bob = (hf.accounts.create_token(name) for name in ("ann", "bob"))
    assert (ann.token.owner, bob.token.owner, ann.token.role) == ("ann", "bob", Role.WRITER)
    assert ann.secret != bob.secret


def test_secret_is_kept_nowhere(hf: Holdfast) -> None:
    made = hf.accounts.create_token("ci")
    hf.accounts.authenticate(made.secret, ip=None)
    random = made.secret[-43:]
    with hf.engine.read() as connection:
        kept = [
            str(row) for table in tables.metadata.sorted_tables for row in connection.execute(sa.select(table)).all()
        ]
    assert not [row for row in kept if random in row]
    assert "secret" not in str(hf.accounts.list_tokens().items[0])


def test_events(hf: Holdfast) -> None:
    made = hf.accounts.create_token("ci", owner="ann", role=Role.ADMIN)
    admin = hf.accounts.authenticate(made.secret, ip=None)
    hf.accounts.revoke_token(made.token.token_id, admin)
    hf.accounts.revoke_token(made.token.token_id)
    facts = {"token_id": made.token.token_id, "name": "ci", "role": "admin"}
    assert events(hf) == [
        ("token.created", "ann", "local", facts),
        ("token.revoked", "ann", f"token:{made.token.token_id}", facts),
    ]


def test_wrong_secrets(hf: Holdfast, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """All are refused with the same words; the log alone says why, and never the secret."""
    caplog.set_level(logging.INFO, "holdfast")
    good, expired, revoked = (hf.accounts.create_token(name, expires_in_seconds=60) for name in "abc")
    hf.accounts.revoke_token(revoked.token.token_id)
    another = good.secret[:-1] + ("A" if good.secret[-1] != "A" else "B")
    forged = f"hf_{expired.token.token_id}_{good.secret[-43:]}"
    hf.accounts.authenticate(good.secret, ip=None)
    wrong = [another, forged, revoked.secret, "", "hf__", "Bearer x", "hf_" + "0" * 16 + "_" + "A" * 43, "é" * 63, "\0"]
    told = {str(refused(hf, secret)) for secret in wrong}
    clock.advance(60)
    told |= {str(refused(hf, expired.secret)), str(refused(hf, good.secret))}
    assert len(told) == 1
    reasons = [record.__dict__["reason"] for record in caplog.records if "refused" in record.message]
    assert set(reasons) == {"unknown", "malformed", "revoked", "expired"}
    assert not [record for record in caplog.records if good.secret[-43:] in str(record.__dict__)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(secret=st.text())
def test_no_text_is_a_secret(hf: Holdfast, secret: str) -> None:
    refused(hf, secret)


def test_what_cannot_be_made(hf: Holdfast) -> None:
    client = hf.accounts.create_client("1.2.3.4")
    for kind, options in (
        (InvalidInput, {"name": ""}),
        (InvalidInput, {"name": "x" * 257}),
        (InvalidInput, {"name": "a\0b"}),
        (InvalidInput, {"name": "a", "owner": ""}),
        (InvalidInput, {"name": "a", "owner": client}),
        (InvalidParams, {"name": "a", "expires_in_seconds": 0}),
        (InvalidParams, {"name": "a", "expires_in_seconds": -1}),
        (InvalidParams, {"name": "a", "expires_in_seconds": 2.0**40}),
        (InvalidParams, {"name": "a", "expires_in_seconds": float("nan")}),
    ):
        with pytest.raises(kind):
            hf.accounts.create_token(**options)
    for caller in (WRITER, READER, hf.accounts.client(client, ip=None)):
        with pytest.raises(Forbidden):
            hf.accounts.create_token("a", caller=caller)
    assert hf.accounts.list_tokens().items == []


def test_revoked_at_once_here(hf: Holdfast, clock: FakeClock) -> None:
    made = hf.accounts.create_token("ci")
    hf.accounts.authenticate(made.secret, ip=None)
    revoked = hf.accounts.revoke_token(made.token.token_id)
    assert revoked.revoked_at == clock.now()
    refused(hf, made.secret)
    clock.advance(10)
    assert hf.accounts.revoke_token(made.token.token_id).revoked_at == revoked.revoked_at


def test_revoked_within_five_seconds_elsewhere(hf: Holdfast, other: Holdfast, clock: FakeClock) -> None:
    made = hf.accounts.create_token("ci")
    other.accounts.authenticate(made.secret, ip=None)
    hf.accounts.revoke_token(made.token.token_id)
    clock.advance(5)
    refused(other, made.secret)


def test_clock_that_is_set_back_keeps_no_token_good(hf: Holdfast, other: Holdfast, clock: FakeClock) -> None:
    made = hf.accounts.create_token("ci")
    other.accounts.authenticate(made.secret, ip=None)
    hf.accounts.revoke_token(made.token.token_id)
    clock.advance(-3600)
    refused(other, made.secret)


def test_expiry_is_seen_at_once_though_it_was_good_a_moment_ago(hf: Holdfast, clock: FakeClock) -> None:
    made = hf.accounts.create_token("ci", expires_in_seconds=2)
    clock.advance(1.5)
    hf.accounts.authenticate(made.secret, ip=None)
    clock.advance(0.5)
    refused(hf, made.secret)


def test_read_before_a_revocation_and_remembered_after_it(hf: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    made = hf.accounts.create_token("ci")
    read = Store.read

    def slow(self: Store, look: Any) -> Any:
        found = read(self, look)
        monkeypatch.undo()
        hf.accounts.revoke_token(made.token.token_id)
        return found

    monkeypatch.setattr(Store, "read", slow)
    hf.accounts.authenticate(made.secret, ip=None)
    refused(hf, made.secret)


def test_one_read_at_most(hf: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    made = hf.accounts.create_token("ci")
    reads: list[object] = []
    read = Store.read

    def counted(self: Store, look: Any) -> Any:
        reads.append(look)
        return read(self, look)

    monkeypatch.setattr(Store, "read", counted)
    for expected in (1, 1):
        hf.accounts.authenticate(made.secret, ip=None)
        assert len(reads) == expected
    refused(hf, made.secret[:-1] + ("A" if made.secret[-1] != "A" else "B"))
    assert len(reads) == 2


def last_used(hf: Holdfast) -> Any:
    return hf.accounts.list_tokens().items[0].last_used_at


def test_last_use_is_noted_once_a_minute(hf: Holdfast, clock: FakeClock) -> None:
    made = hf.accounts.create_token("ci")
    assert last_used(hf) is None
    first = clock.now()
    hf.accounts.authenticate(made.secret, ip=None)
    wait_until(lambda: last_used(hf) == first, 60, "the first use")
    clock.advance(59)
    hf.accounts.authenticate(made.secret, ip=None)
    second = clock.advance(1)
    hf.accounts.authenticate(made.secret, ip=None)
    wait_until(lambda: last_used(hf) == second, 60, "the second use")


def test_use_is_noted_before_the_store_is_closed(database: str, clock: FakeClock) -> None:
    with opened(database, clock) as hf:
        hf.accounts.authenticate(hf.accounts.create_token("ci").secret, ip=None)
    with opened(database, clock) as hf:
        assert last_used(hf) == clock.now()


def test_noting_a_use_is_never_in_the_way(hf: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    made = hf.accounts.create_token("ci")
    gate = threading.Event()
    write = Store.write

    def stuck(self: Store, work: Any) -> Any:
        gate.wait(120)
        return write(self, work)

    monkeypatch.setattr(Store, "write", stuck)
    began = time.monotonic()
    assert hf.accounts.authenticate(made.secret, ip=None).owner == "ci"
    assert time.monotonic() - began < 5
    gate.set()
    wait_until(lambda: last_used(hf) is not None, 60, "the use")


def test_use_that_cannot_be_noted_is_no_error(
    hf: Holdfast, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = hf.accounts.create_token("ci")

    def away(self: Store, work: object) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(Store, "write", away)
    assert hf.accounts.authenticate(made.secret, ip=None).owner == "ci"
    wait_until(lambda: "could not be noted" in caplog.text, 60, "the log")
    monkeypatch.undo()
    later = clock.advance(60)
    hf.accounts.authenticate(made.secret, ip=None)
    wait_until(lambda: last_used(hf) == later, 60, "the next use")


def test_many_threads(hf: Holdfast) -> None:
    made = [hf.accounts.create_token(f"t{number}") for number in range(4)]
    with ThreadPoolExecutor(8) as pool:
        callers = list(pool.map(lambda one: hf.accounts.authenticate(one.secret, ip=None).owner, made * 20))
    assert callers == [one.token.owner for one in made] * 20


# Lists.


def test_list_pages(hf: Holdfast, clock: FakeClock) -> None:
    names = []
    for number in range(7):
        # Some in the same moment.
        clock.advance(number % 2)
        names.append(hf.accounts.create_token(f"t{number}", owner="ann" if number % 3 else "bob").token.name)
    for caller, expected in ((LOCAL, 7), (WRITER, 4), (STRANGER, 3)):
        seen: list[str] = []
        after = None
        while True:
            page = hf.accounts.list_tokens(caller, after, 2)
            seen += [token.name for token in page.items]
            if page.next is None:
                break
            assert len(page.items) == 2
            after = page.next
        assert len(seen) == len(set(seen)) == expected
    times = [token.created_at for token in hf.accounts.list_tokens().items]
    assert times == sorted(times, reverse=True)


def test_who_sees_and_revokes(hf: Holdfast) -> None:
    mine = hf.accounts.create_token("mine", owner="ann").token.token_id
    theirs = hf.accounts.create_token("theirs", owner="bob").token.token_id
    anonymous = hf.accounts.client(hf.accounts.create_client(None), ip=None)
    assert [token.token_id for token in hf.accounts.list_tokens(WRITER).items] == [mine]
    for caller in (READER, anonymous):
        with pytest.raises(Forbidden):
            hf.accounts.list_tokens(caller)
        with pytest.raises(Forbidden):
            hf.accounts.revoke_token(mine, caller)
    for token_id in (theirs, "0" * 16, "", "../x", "\0", "\ud800", mine + "\n", "x" * 10_000):
        with pytest.raises(TokenNotFound):
            hf.accounts.revoke_token(token_id, WRITER)
    with pytest.raises(InvalidCursor):
        hf.accounts.list_tokens(WRITER, after=theirs)
    for after in ("none", "", "\0", "\ud800"):
        with pytest.raises(InvalidCursor):
            hf.accounts.list_tokens(after=after)
    for limit in (0, -1, 1001):
        with pytest.raises(InvalidInput):
            hf.accounts.list_tokens(limit=limit)
    assert hf.accounts.revoke_token(mine, WRITER).revoked_at is not None
    assert hf.accounts.list_tokens(STRANGER).items[0].revoked_at is None


# Anonymous clients.


def test_client_comes_back(hf: Holdfast, other: Holdfast) -> None:
    client_id = hf.accounts.create_client("1.2.3.4")
    caller = other.accounts.client(client_id, ip="5.6.7.8")
    assert caller == Caller(name=client_id, owner=client_id, role=Role.WRITER, is_anonymous=True, ip="5.6.7.8")
    assert check_id(client_id) == client_id == Context(client_session_id=client_id).client_session_id
    assert re.fullmatch(r"[A-Za-z0-9._~-]+", client_id)
    assert len({hf.accounts.create_client(None) for _ in range(100)}) == 100


def test_forged_clients(hf: Holdfast) -> None:
    client_id = hf.accounts.create_client(None)
    name, _, signature = client_id.partition(".")
    swapped = hf.accounts.create_client(None).partition(".")[2]
    letters = [*range(len(client_id))]
    changed = [client_id[:at] + ("A" if client_id[at] != "A" else "B") + client_id[at + 1 :] for at in letters]
    wrong = ["", "local", "anon-", name, f"{name}.", f"{name}.{swapped}", client_id + "A", client_id + "\n", signature]
    for forged in wrong + changed:
        with pytest.raises(AuthenticationRequired):
            hf.accounts.client(forged, ip=None)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(client_id=st.one_of(st.text(), st.from_regex(r"anon-[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}", fullmatch=True)))
def test_no_text_is_a_client(hf: Holdfast, client_id: str) -> None:
    with pytest.raises(AuthenticationRequired):
        hf.accounts.client(client_id, ip=None)


def test_anonymous_clients_are_let_in_by_setting_or_in_local_mode(database: str) -> None:
    with opened(database) as hf:
        client_id = hf.accounts.create_client(None, local_mode=True)
        assert hf.accounts.client(client_id, ip=None, local_mode=True).is_anonymous
        for use in (lambda: hf.accounts.create_client(None), lambda: hf.accounts.client(client_id, ip=None)):
            with pytest.raises(AuthenticationRequired):
                use()


@pytest.mark.parametrize("is_set", [False, True])
@pytest.mark.parametrize("local_mode", [False, True])
def test_recovery_by_address_needs_the_setting_and_local_mode(database: str, is_set: bool, local_mode: bool) -> None:
    with opened(database, anonymous_clients=True, same_ip_recovery=is_set) as hf:
        caller = hf.accounts.client(hf.accounts.create_client("::1"), ip="::1", local_mode=local_mode)
        assert caller.recovers_by_ip is (is_set and local_mode)
        assert caller.may_see("anon-other", is_anonymous=True, ip="::1") is (is_set and local_mode)


def test_whoever_is_first_makes_the_key_for_all(database: str) -> None:
    """Processes that start at once, each with randomness of its own, sign with one key."""
    holdfasts = [
        Holdfast(read_settings(database_url=database, anonymous_clients=True), id_source=FakeIds(seed))
        for seed in range(6)
    ]
    try:
        with ThreadPoolExecutor(len(holdfasts)) as pool:
            ids = list(pool.map(lambda hf: hf.accounts.create_client(None), holdfasts))
        assert {hf.accounts.client(client_id, ip=None).owner for hf in holdfasts for client_id in ids} == set(ids)
        with holdfasts[0].engine.read() as connection:
            assert connection.execute(sa.select(sa.func.count()).select_from(tables.secrets)).scalar_one() == 1
    finally:
        for hf in holdfasts:
            hf.close()


# Signed words.


def test_signed_word_is_for_one_caller_purpose_and_scope(hf: Holdfast, other: Holdfast) -> None:
    scope = [Filter(kind="code", tags=("a",)), "created_at", "desc"]
    value = {"after": [1, "x"], "n": None}
    word = hf.accounts.sign("analyses", value, WRITER, scope=scope)
    assert other.accounts.unsign("analyses", word, WRITER, scope=scope) == value
    assert re.fullmatch(r"[A-Za-z0-9_-]+", word)
    # Another token of the same owner sees the same.
    assert hf.accounts.unsign("analyses", word, READER, scope=scope) == value
    for purpose, shown, caller, other_scope in (
        ("tokens", word, WRITER, scope),
        ("analyses", word, STRANGER, scope),
        ("analyses", word, replace(WRITER, role=Role.ADMIN), scope),
        ("analyses", word, replace(WRITER, is_anonymous=True), scope),
        ("analyses", word, WRITER, [Filter(kind="code"), "created_at", "desc"]),
        ("analyses", word, WRITER, [*scope[:2], "asc"]),
        ("analyses", word, WRITER, None),
        ("analyses", word[:-2], WRITER, scope),
        ("analyses", "", WRITER, scope),
        ("analyses", "é", WRITER, scope),
    ):
        with pytest.raises(InvalidCursor) as caught:
            hf.accounts.unsign(purpose, shown, caller, scope=other_scope)
        assert caught.value.code == "INVALID_CURSOR"
        assert isinstance(caught.value, InvalidInput)


def test_places(hf: Holdfast, clock: FakeClock) -> None:
    place = Place(created_at=clock.now() + timedelta(microseconds=1), key=7)
    cursor = hf.accounts.sign_place("analyses", place, WRITER, scope=Filter(kind="code"))
    assert hf.accounts.unsign_place("analyses", cursor, WRITER, scope=Filter(kind="code")) == place
    assert hf.accounts.sign_place("analyses", None, WRITER) is None
    assert hf.accounts.unsign_place("analyses", None, WRITER) is None
    with pytest.raises(InvalidCursor):
        hf.accounts.unsign_place("analyses", cursor, WRITER, scope=Filter(kind="other"))
    # A word of another kind is no place, though its purpose has the same name.
    with pytest.raises(InvalidCursor):
        hf.accounts.unsign_place("analyses", hf.accounts.sign("analyses", [1, 2], WRITER), WRITER)
