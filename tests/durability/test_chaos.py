"""Each is indexed once in the end, whatever goes wrong on the way."""

import pytest

from tests.durability import chaos


@pytest.mark.long
@pytest.mark.timeout(420)
def test_each_is_indexed_once_in_the_end(database: str) -> None:
    plan = chaos.Plan(count=150, poisoned=2, workers=4, kills=4, away=(2.0, 5.0), hangs=(6.0, 8.0), limit_seconds=300)
    found = chaos.run(database, plan)
    # What was given up says why, and those that nobody could have indexed are among it.
    assert len(found.dead) >= plan.poisoned
    assert all(found.dead)
    assert sum("does not take this one" in reason or "reset by peer" in reason for reason in found.dead) >= 1
    assert found.after_trouble == plan.count - len(found.dead)
    # One command later all of them are there, each written once.
    assert found.retried == len(found.dead)
    assert (found.indexed, found.times) == (plan.count, {1})
