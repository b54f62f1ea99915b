import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from limits import parse_many

from holdfast.bootstrap import Holdfast
from holdfast.domain.access import Caller, Role
from holdfast.domain.errors import InvalidInput, InvalidParams, RateLimited
from holdfast.domain.limits import Window
from holdfast.services.limits import LimitsService, _refused
from holdfast.settings import Settings, read_settings
from holdfast.store import tables
from holdfast.store.unit_of_work import Store
from holdfast.testing import FakeClock
from tests.services.samples import opened
from tests.support.processes import spawn_python

ANN = Caller(name="token:a", owner="ann")
BOB = Caller(name="token:b", owner="bob")


@pytest.fixture
def hf(database: str, clock: FakeClock) -> Iterator[Holdfast]:
    options = {"rate_limit_start": "3/minute", "rate_limit_export": "", "rate_limit_anonymous": "2/minute"}
    with opened(database, clock, **options) as hf:
        yield hf


def passed(hf: Holdfast, caller: Caller, times: int = 10, name: str = "start", cost: int = 1) -> int:
    count = 0
    for _ in range(times):
        try:
            hf.limits.hit(name, caller, cost)
        except RateLimited:
            continue
        count += 1
    return count


def refusal(hf: Holdfast, caller: Caller, cost: int = 1) -> RateLimited:
    with pytest.raises(RateLimited) as caught:
        hf.limits.hit("start", caller, cost)
    return caught.value


def test_so_many_and_no_more_until_the_window_ends(hf: Holdfast, clock: FakeClock) -> None:
    assert passed(hf, ANN) == 3
    clock.advance(60)
    # The window before has not slid away yet.
    assert passed(hf, ANN) == 0
    clock.advance(20)
    assert passed(hf, ANN) == 1
    clock.advance(39)
    assert passed(hf, ANN) == 1
    clock.advance(120)
    assert passed(hf, ANN) == 3


def test_nobody_gets_twice_the_limit_where_windows_meet(hf: Holdfast, clock: FakeClock) -> None:
    hf.limits.hit("start", ANN)
    clock.advance(59)
    assert passed(hf, ANN) == 2
    clock.advance(2)
    assert passed(hf, ANN) == 0


def test_refusal_says_when_to_come_back(hf: Holdfast, clock: FakeClock) -> None:
    hf.limits.hit("start", ANN)
    error = refusal(hf, ANN, cost=3)
    assert error.details == {"retry_after_seconds": 120, "limit": "3 per 1 minute", "remaining": 2}
    hf.limits.hit("start", ANN, cost=2)
    clock.advance(18.5)
    for _ in range(2):
        error = refusal(hf, ANN)
        assert error.details == {"retry_after_seconds": 62, "limit": "3 per 1 minute", "remaining": 0}
        assert (error.code, error.retry_suggested) == ("RATE_LIMITED", True)
    json.dumps(error.details)


@given(
    most=st.integers(1, 20),
    steps=st.lists(st.tuples(st.floats(0, 90), st.integers(1, 20)), min_size=1, max_size=12),
)
def test_a_refusal_tells_the_very_second(most: int, steps: list[tuple[float, int]]) -> None:
    """Come back then, and it is let through; come back a second before, and it is not."""
    start, length = datetime(2030, 1, 1, tzinfo=UTC), timedelta(seconds=60)
    now, window = start, Window(count=0, earlier=0, ends_at=start + length, length=length)
    for pause, asked in steps:
        now += timedelta(seconds=pause)
        amount = min(asked, most)
        if window.allows(now, amount, most):
            window = replace(window.at(now), count=window.at(now).count + amount)
            continue
        free = window.free_at(now, amount, most)
        assert now < free <= now + 2 * length
        assert window.allows(free, amount, most)
        assert not window.allows(free - timedelta(milliseconds=1), amount, most)


def free_by_log(log: list[datetime], now: datetime, amount: int, most: int, length: timedelta) -> datetime:
    """When an exact log of every single one would let ``amount`` more through."""
    recent = sorted(at for at in log if at + length > now)
    too_many = len(recent) + amount - most
    return now if too_many <= 0 else recent[too_many - 1] + length


@given(
    most=st.integers(1, 12),
    steps=st.lists(st.tuples(st.floats(0, 150), st.integers(1, 12)), min_size=1, max_size=20),
)
def test_nobody_waits_a_window_longer_than_by_an_exact_count(most: int, steps: list[tuple[float, int]]) -> None:
    """What is told in whole seconds is never too early, and at most a window later than a log of all would have it."""
    start, length = datetime(2030, 1, 1, tzinfo=UTC), timedelta(seconds=60)
    now, window = start, Window(count=0, earlier=0, ends_at=start + length, length=length)
    (item,), log = parse_many(f"{most}/minute"), list[datetime]()
    for pause, asked in steps:
        now += timedelta(seconds=pause)
        amount = min(asked, most)
        if window.allows(now, amount, most):
            window = replace(window.at(now), count=window.at(now).count + amount)
            log += [now] * amount
            continue
        refused = _refused(item, ("start", "ann"), window, amount, now)
        told = now + timedelta(seconds=refused.details["retry_after_seconds"])
        assert window.allows(told, amount, most)
        assert told <= free_by_log(log, now, amount, most, length) + length + timedelta(seconds=1)


def test_the_store_counts_as_the_rule_says(hf: Holdfast, clock: FakeClock) -> None:
    drawn = random.Random(7)
    window: Window | None = None
    for _ in range(150):
        clock.advance(drawn.choice([0, 1, 7, 20, 61, 130]) * drawn.random())
        now, amount = clock.now(), drawn.randint(1, 3)
        if window is None or now >= window.ends_at + window.length:
            window = Window(count=0, earlier=0, ends_at=now + timedelta(minutes=1), length=timedelta(minutes=1))
        allowed = window.allows(now, amount, 3)
        assert passed(hf, ANN, 1, cost=amount) == allowed
        if allowed:
            window = replace(window.at(now), count=window.at(now).count + amount)


def test_what_is_refused_does_not_count(hf: Holdfast) -> None:
    hf.limits.hit("start", ANN)
    for _ in range(5):
        refusal(hf, ANN, cost=3)
    assert passed(hf, ANN) == 2


def test_everybody_has_a_count_of_their_own(hf: Holdfast) -> None:
    assert (passed(hf, ANN), passed(hf, BOB)) == (3, 3)
    assert passed(hf, Caller(name="token:another", owner="ann", role=Role.ADMIN)) == 0


def test_no_limit(hf: Holdfast) -> None:
    assert passed(hf, ANN, 20, "export") == 20
    with hf.engine.read() as connection:
        assert connection.execute(sa.select(tables.rate_limits)).all() == []


def test_names_and_costs_that_are_none(hf: Holdfast) -> None:
    with pytest.raises(KeyError):
        hf.limits.hit("other", ANN)
    with pytest.raises(InvalidParams):
        hf.limits.hit("start", ANN, cost=-1)


def anonymous(number: int, ip: str | None) -> Caller:
    return Caller(name=f"anon-{number}", owner=f"anon-{number}", is_anonymous=True, ip=ip)


def test_new_ids_give_anonymous_clients_nothing(hf: Holdfast) -> None:
    assert sum(passed(hf, anonymous(number, "1.2.3.4"), 1) for number in range(5)) == 2
    assert sum(passed(hf, anonymous(number, f"2001:db8::{number}"), 1) for number in range(5)) == 2
    assert sum(passed(hf, anonymous(number, "1.2.3.5"), 1, "export") for number in range(5)) == 2
    # One limit for all that they do.
    assert passed(hf, anonymous(9, "1.2.3.4"), 1, "export") == 0
    assert passed(hf, anonymous(9, "1.2.3.4"), 1, "anonymous") == 0
    assert passed(hf, anonymous(7, None)) == 2
    assert passed(hf, ANN) == 3


def test_several_limits_count_together_or_not_at_all(database: str, clock: FakeClock) -> None:
    with opened(database, clock, rate_limit_start="2/second; 3/minute") as hf:
        assert passed(hf, ANN) == 2
        clock.advance(2)
        assert passed(hf, ANN) == 1
        clock.advance(2)
        assert passed(hf, ANN) == 0
        assert refusal(hf, ANN).details["limit"] == "3 per 1 minute"
        clock.advance(120)
        assert passed(hf, ANN) == 2


def test_storm_costs_no_transactions(hf: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    assert passed(hf, ANN) == 3

    def none(self: Store, work: object) -> None:
        raise AssertionError("a closed door was asked")

    monkeypatch.setattr(Store, "write", none)
    assert passed(hf, ANN, 100) == 0


def test_counts_that_are_over_are_forgotten(hf: Holdfast, clock: FakeClock) -> None:
    for number in range(50):
        hf.limits.hit("start", Caller(name="x", owner=f"owner{number}"))
    clock.advance(120)
    for number in range(3):
        hf.limits.hit("start", Caller(name="x", owner=f"new{number}"))
    with hf.engine.read() as connection:
        assert len(connection.execute(sa.select(tables.rate_limits)).all()) == 3


def test_threads_share_a_limit(database: str) -> None:
    with opened(database, rate_limit_start="20/hour") as hf, ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: passed(hf, ANN, 5), range(8))) == 20


HITTER = """
import sys
import holdfast
from holdfast.domain.access import Caller
from holdfast.domain.errors import RateLimited

with holdfast.open(sys.argv[1], rate_limit_start="50/hour") as hf:
    hf.limits
    print("ready")
    sys.stdin.readline()
    passed = 0
    for _ in range(30):
        try:
            hf.limits.hit("start", Caller(name="token:a", owner="ann"))
            passed += 1
        except RateLimited:
            pass
    print(passed)
"""


def test_processes_share_a_limit(database: str) -> None:
    processes = [spawn_python(HITTER, database) for _ in range(4)]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        counts = []
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        for process in processes:
            out, _ = process.communicate(timeout=60)
            counts.append(int(out))
            assert process.returncode == 0
        assert sum(counts) == 50
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_nobody_waits_for_the_library_who_has_no_limits(database: str) -> None:
    code = "import sys, holdfast; hf = holdfast.open(sys.argv[1]); hf.close(); print('limits' in sys.modules)"
    process = spawn_python(code, database)
    assert process.communicate(timeout=60)[0] == "False\n"


# Settings.


def test_defaults_are_limits() -> None:
    """They are not checked when settings are read."""
    defaults = {name: field.default for name, field in Settings.model_fields.items() if name.startswith("rate_limit_")}
    per_minute = {name: parse_many(value)[0].amount for name, value in defaults.items()}
    assert per_minute == {"rate_limit_start": 60, "rate_limit_export": 10, "rate_limit_anonymous": 20}


@pytest.mark.parametrize("wrong", ["often", "60", "60/", "-1/minute", "0/minute", "5/minute;", "1/eon"])
def test_limits_that_are_none(wrong: str) -> None:
    for name in ("start", "export", "anonymous"):
        with pytest.raises(InvalidInput, match=f"rate_limit_{name}"):
            read_settings(**{f"rate_limit_{name}": wrong})


def test_limits_from_the_environment(monkeypatch: pytest.MonkeyPatch, database: str) -> None:
    monkeypatch.setenv("HOLDFAST_RATE_LIMIT_START", " 5/minute; 100 per day ")
    monkeypatch.setenv("HOLDFAST_RATE_LIMIT_EXPORT", "")
    monkeypatch.setenv("HOLDFAST_TRUSTED_PROXIES", "10.0.0.0/8, ::1")
    settings = read_settings()
    assert (settings.rate_limit_start, settings.rate_limit_export) == ("5/minute; 100 per day", "")
    assert [str(network) for network in settings.trusted_proxies] == ["10.0.0.0/8", "::1/128"]
    with opened(database) as hf:
        assert isinstance(hf.limits, LimitsService)
        assert passed(hf, ANN) == 5


@pytest.mark.parametrize("wrong", ["proxy.example.org", "10.0.0.1/8", "10.0.0.0/33"])
def test_networks_that_are_none(wrong: str) -> None:
    with pytest.raises(InvalidInput, match="trusted_proxies"):
        read_settings(trusted_proxies=wrong)
