"""The service over both stores."""

from collections.abc import Iterator

import httpx
import pytest

from holdfast.bootstrap import Holdfast
from holdfast.testing import FakeClock
from tests.api.serving import local


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def both(database: str, clock: FakeClock) -> Iterator[tuple[Holdfast, httpx.Client]]:
    with local(database, clock) as (hf, client):
        yield hf, client


@pytest.fixture
def hf(both: tuple[Holdfast, httpx.Client]) -> Holdfast:
    return both[0]


@pytest.fixture
def http(both: tuple[Holdfast, httpx.Client]) -> httpx.Client:
    return both[1]
