"""A store at a clock that stands still."""

from collections.abc import Iterator

import pytest

from holdfast.bootstrap import Holdfast
from holdfast.testing import FakeClock
from tests.services.samples import opened


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def hf(database: str, clock: FakeClock) -> Iterator[Holdfast]:
    with opened(database, clock) as hf:
        yield hf
