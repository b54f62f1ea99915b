"""Every kind of damage is found; what follows from what is there is set right; nothing is taken away."""

from typing import Any

import pytest
import sqlalchemy as sa

from holdfast.bootstrap import Holdfast
from holdfast.store import tables
from tests.transfer.stores import fill, open_store


def damage(hf: Holdfast, statement: str) -> None:
    """Change rows as no program may: without the checks that the database makes."""
    if hf.engine.dialect == "postgresql":
        with hf.engine._writers.begin() as connection:
            connection.exec_driver_sql("SET session_replication_role = replica")
            connection.exec_driver_sql(statement)
            connection.exec_driver_sql("SET session_replication_role = DEFAULT")
        return
    with hf.engine._readers.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        connection.exec_driver_sql(statement)
        connection.exec_driver_sql("PRAGMA foreign_keys = ON")
        connection.exec_driver_sql("BEGIN")


REPAIRABLE = {
    "a counter": ("UPDATE counters SET value = value + 1 WHERE name = 'analyses'", "counter", "analyses"),
    "no counters": ("DELETE FROM counters", "counter", "analyses"),
    "bytes": ("UPDATE counters SET value = value + 5 WHERE name = 'result_bytes'", "counter", "result_bytes"),
    "references": ("UPDATE payloads SET reference_count = 7", "references", None),
    "findings": ("UPDATE analyses SET finding_count = 77 WHERE analysis_id = 'first'", "findings", "first"),
    "a tag lost": ("DELETE FROM tags WHERE tag = 'alpha'", "tags", "first"),
    "a tag changed": ("UPDATE tags SET tag = 'other' WHERE tag = 'alpha'", "tags", "first"),
    "owner": ("DELETE FROM owners WHERE client_session_id = 'ann'", "owner", "ann"),
    "size": ("UPDATE payloads SET size = 1", "size", None),
    "size of result": ("UPDATE analyses SET result_stored_size = 1 WHERE analysis_id = 'first'", "size", "first"),
}
LASTING = {
    "result": ("UPDATE payloads SET data = substr(data, 2)", "result", None),
    "result gone": ("DELETE FROM payloads", "orphan", None),
    "subject gone": ("DELETE FROM subjects", "orphan", None),
    "finding of nothing": ("UPDATE findings SET analysis = 999 WHERE ordinal = 5", "orphan", None),
    "item of nothing": ("UPDATE finding_items SET finding = 999 WHERE ordinal = 11", "orphan", None),
    "metric of nothing": ("UPDATE metrics SET analysis = 999 WHERE name = 'a'", "orphan", "999 a"),
    "tag of nothing": ("UPDATE tags SET analysis = 999 WHERE tag = 'alpha'", "orphan", None),
    "attempt of nothing": ("UPDATE attempts SET analysis = 999", "orphan", "999 1"),
    "progress of nothing": ("UPDATE progress SET analysis = 999", "orphan", "999"),
    "job of nothing": ("UPDATE jobs SET analysis_id = 'nobody' WHERE status = 'ready'", "orphan", None),
    "checkpoint of nothing": ("UPDATE checkpoints SET scope = 'analysis:nobody'", "orphan", "analysis:nobody kä"),
    "nobody works": ("DELETE FROM jobs", "stranded", None),
    "unused": ("UPDATE analyses SET result_hash = NULL WHERE analysis_id = 'first'", "unused", None),
}


def counts(hf: Holdfast) -> dict[str, int]:
    with hf.engine.read() as connection:
        return {
            name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for name, table in tables.metadata.tables.items()
        }


@pytest.mark.parametrize("what", [*REPAIRABLE, *LASTING])
def test_damage_is_found(what: str, database: str) -> None:
    statement, kind, key = (REPAIRABLE | LASTING)[what]
    with open_store(database) as hf:
        fill(hf)
        assert hf.integrity.check().found == ()
        damage(hf, statement)
        before = counts(hf)
        found = hf.integrity.check()
        assert found.left == found.found
        named = [problem for problem in found.found if problem.kind == kind]
        assert named
        assert key is None or key in {problem.key for problem in named}
        assert {problem.repairable for problem in named} == {what in REPAIRABLE}
        # To look changes nothing.
        assert hf.integrity.check() == found
        repaired = hf.integrity.check(repair=True)
        assert repaired.found == found.found
        if what in REPAIRABLE:
            assert repaired.left == ()
        else:
            assert kind in {problem.kind for problem in repaired.left}
            assert not any(problem.repairable for problem in repaired.left)
        # Nothing goes but entries of the index of tags that no analysis has.
        after = counts(hf)
        assert {name for name in before if after[name] < before[name]} <= {"tags"}
        assert hf.integrity.check(repair=True).left == repaired.left


def test_sequences_that_lag_behind(database: str) -> None:
    with open_store(database) as hf:
        fill(hf)
        if hf.engine.dialect == "sqlite":
            assert hf.integrity.check().found == ()
            return
        damage(hf, "SELECT setval(pg_get_serial_sequence('analyses', 'id'), 1)")
        (problem,) = hf.integrity.check().found
        assert (problem.kind, problem.table) == ("sequence", "analyses")
        assert hf.integrity.check(repair=True).left == ()
        hf.store_analysis("sample", 1)


def test_others_may_write_meanwhile(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_store(database) as hf:
        fill(hf)
        damage(hf, "UPDATE counters SET value = value + 1 WHERE name = 'analyses'")
        original: Any = hf.integrity._look
        looked: list[Any] = []

        def look() -> Any:
            looked.append(original())
            hf.store_analysis("sample", len(looked))
            return looked[-1]

        monkeypatch.setattr(hf.integrity, "_look", look)
        assert hf.integrity.check(repair=True).left == ()
        monkeypatch.undo()
        assert hf.integrity.check().found == ()
