"""From every older schema with data to the newest: nothing is lost, also when the upgrade is killed."""

import signal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from holdfast.bootstrap import Holdfast, open_holdfast
from holdfast.domain.errors import SchemaOutdated
from holdfast.store import schema
from holdfast.store.engine import Engine
from holdfast.testing import FakeClock
from tests.services.samples import opened
from tests.support.processes import spawn_python, wait_until
from tests.transfer.stores import fill

OLDER = schema.REVISIONS[:-1]
# Made anew by a revision, and of minutes only.
_LEFT = {"alembic_version", "rate_limits"}


def make(url: str, revision: str) -> None:
    """The schema as it was at a revision, with some of every kind of row."""
    engine = Engine(url)
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))

    def migrate(connection: sa.Connection) -> None:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    try:
        engine.exclusively(migrate)
    finally:
        engine.close()
    # What every revision has, today's program writes as the program of then did.
    with opened(url, FakeClock(), migrate=False) as hf:
        fill(hf)


def dump(url: str) -> dict[str, list[Any]]:
    """Every row of every table, as the database holds it."""
    engine = Engine(url)
    try:
        with engine.read() as connection:
            names = set(sa.inspect(connection).get_table_names()) - _LEFT
            return {name: sorted(map(repr, connection.exec_driver_sql(f"SELECT * FROM {name}"))) for name in names}
    finally:
        engine.close()


def upgrade(url: str) -> tuple[str | None, str]:
    engine = Engine(url)
    try:
        return schema.upgrade(engine)
    finally:
        engine.close()


def check(hf: Holdfast) -> None:
    assert hf.integrity.check().found == ()
    assert hf.engine.check() == []
    assert hf.get_result("same-a") == hf.get_result("same-b")
    assert len(hf.get_findings("first")) == 6
    # It goes on: deletions reach all that belongs to a row, and numbers are new.
    hf.delete_analysis("first", purge=True)
    hf.store_analysis("note", 1, analysis_id="after")
    assert hf.integrity.check().found == ()


@pytest.mark.parametrize("revision", OLDER)
def test_nothing_is_lost(revision: str, empty_database: str) -> None:
    make(empty_database, revision)
    before = dump(empty_database)
    assert len(before["analyses"]) == 8
    with pytest.raises(SchemaOutdated):
        open_holdfast(empty_database)
    assert upgrade(empty_database) == (revision, schema.HEAD)
    after = dump(empty_database)
    assert {name: after[name] for name in before} == before
    # To do it again changes nothing.
    assert upgrade(empty_database) == (schema.HEAD, schema.HEAD)
    with opened(empty_database, FakeClock()) as hf:
        check(hf)


_DIE = """
import os, signal, sys
import alembic.op
from holdfast.store import schema
from holdfast.store.engine import Engine

# The last thing that each revision does.
done = getattr(alembic.op, sys.argv[2])

def and_die(*args, **options):
    done(*args, **options)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(alembic.op, sys.argv[2], and_die)
schema.upgrade(Engine(sys.argv[1]))
"""


@pytest.mark.parametrize(
    ("revision", "step"), [("0005", "drop_table"), ("0004", "create_table"), ("0007", "create_index")]
)
def test_an_upgrade_that_is_killed_has_changed_nothing(revision: str, step: str, empty_database: str) -> None:
    make(empty_database, revision)
    before = dump(empty_database)
    with spawn_python(_DIE, empty_database, step) as process:
        assert process.wait(120) == -signal.SIGKILL
    # On PostgreSQL the server may need a moment to see that its client is gone.
    wait_until(lambda: dump(empty_database) == before, 60, "everything as it was")
    assert upgrade(empty_database) == (revision, schema.HEAD)
    with opened(empty_database, FakeClock()) as hf:
        check(hf)
