"""What the tests of the store share: values to keep, and a store at a clock that stands still."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from holdfast.domain.analysis import Analysis, Change, Status
from holdfast.domain.context import Context
from holdfast.store.engine import Engine
from holdfast.store.unit_of_work import Store, UnitOfWork
from holdfast.testing import FakeClock

START = FakeClock().now()


def analysis(analysis_id: str = "a", *, at: datetime = START, owner: str = "local", **fields: Any) -> Analysis:
    """A completed analysis."""
    values: dict[str, Any] = {
        "analysis_id": analysis_id,
        "kind": "code",
        "status": Status.COMPLETED,
        "context": Context(client_session_id=owner),
        "fingerprint": "f" * 64,
        "created_at": at,
        "updated_at": at,
    }
    return Analysis(**values | fields)


@contextmanager
def opened(url: str, clock: FakeClock | None = None) -> Iterator[Store]:
    engine = Engine(url)
    try:
        yield Store(engine, clock or FakeClock())
    finally:
        engine.close()


def add(store: Store, analyses: Iterable[Analysis]) -> dict[str, int]:
    """Keep analyses as they are, without events and jobs."""
    changes = [Change(value=value) for value in analyses]

    def work(uow: UnitOfWork) -> dict[str, int]:
        batches = (changes[start : start + 500] for start in range(0, len(changes), 500))
        return {key: value for batch in batches for key, value in uow.add(batch).items()}

    return store.write(work)


def minutes(number: float) -> datetime:
    return START + timedelta(minutes=number)


def rows(store: Store, statement: str, **values: Any) -> list[Any]:
    """What a query of the test's own finds."""
    with store.engine.read() as connection:
        return [tuple(row) for row in connection.execute(sa.text(statement), values)]
