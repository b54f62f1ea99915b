"""kill -9 in the middle of imports and moves, and backups while others write."""

import io
import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import holdfast
from holdfast.store import tables
from tests.durability import actors
from tests.support.processes import wait_until
from tests.transfer.stores import add_many, exported, fill, open_store, without_header

ROWS = 1500
_KILLS = 3


def _slowly(what: str, done: int, total: int | None) -> None:
    # So that there is a midst to be killed in, on a fast machine as well.
    if what == "rows" and done != total:
        time.sleep(0.3)


def import_file(url: str, file: str) -> None:
    """What the killed processes do."""
    with holdfast.open(url) as hf, Path(file).open("rb") as source:
        hf.transfer.import_analyses(source, told=_slowly)


def move(url: str, target: str) -> None:
    """Or this."""
    with holdfast.open(url) as hf, holdfast.open(target) as there:
        hf.transfer.move_to(there.store, told=_slowly)


def lines_in(hf: holdfast.Holdfast) -> int:
    """How far the import is by its mark; 0 for none."""
    with hf.engine.read() as connection:
        marks = connection.execute(sa.select(tables.marks.c.data).where(tables.marks.c.name.startswith("import:")))
        return max((data["line"] for data in marks.scalars()), default=0)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", ["import", "move"])
def test_what_was_killed_goes_on(how: str, database: str, other_database: str, tmp_path: Path) -> None:
    chance = random.Random(3)
    with open_store(database) as here:
        fill(here)
        add_many(here, ROWS)
        out = exported(here, secrets=True)
    file = tmp_path / "bundle"
    file.write_bytes(out)
    with holdfast.open(other_database) as there:
        reached = [0]
        for _ in range(_KILLS):
            started = (
                actors.start(import_file, other_database, str(file))
                if how == "import"
                else actors.start(move, database, other_database)
            )
            wait_until(lambda: lines_in(there) > reached[-1], 60, "some more of it is in")
            time.sleep(chance.random() * 0.05)
            started.kill()
            started.join()
            # Never back: what is in stays in.
            assert lines_in(there) > reached[-1]
            reached.append(lines_in(there))
        if how == "import":
            done = there.transfer.import_bundle(io.BytesIO(out))
            added = sum(done.added.values()) + sum(done.there.values())
            assert added == out.count(b"\n") - 2
        else:
            move(database, other_database)
        assert without_header(exported(there, secrets=True)) == without_header(out)
        assert there.integrity.check().found == ()
        assert lines_in(there) == 0


@pytest.mark.timeout(300)
def test_a_backup_while_many_write(database: str, other_database: str) -> None:
    errors: list[BaseException] = []
    ends = threading.Event()
    with open_store(database) as hf:
        add_many(hf, 300)

        def write(writer: int) -> None:
            try:
                number = 0
                while not ends.is_set():
                    number += 1
                    name = f"w{writer}-{number}"
                    hf.store_analysis("busy", {"n": number}, analysis_id=name, tags=["x"], metrics={"n": number})
                    if number % 3 == 0:
                        hf.delete_analysis(name, purge=True)
            except BaseException as error:  # noqa: BLE001 told below
                errors.append(error)

        writers = [threading.Thread(target=write, args=(writer,)) for writer in range(8)]
        for writer in writers:
            writer.start()
        backups: list[bytes] = []
        try:
            backups += [exported(hf, secrets=True, compress=True) for _ in range(3)]
        finally:
            ends.set()
            for writer in writers:
                writer.join()
        assert errors == []
        for backup in backups:
            with open_store(other_database) as there:
                there.transfer.restore(io.BytesIO(backup), force=True)
                # One state: every figure, reference and count of it agrees.
                assert there.integrity.check().found == ()
                assert _whole(there)


def _whole(hf: Any) -> bool:
    with hf.engine.read() as connection:
        busy = sa.select(tables.analyses.c.id).where(tables.analyses.c.kind == "busy")
        count = len(connection.execute(busy).all())
        tags = connection.execute(sa.select(tables.tags.c.tag).where(tables.tags.c.analysis.in_(busy))).all()
        metrics = connection.execute(sa.select(tables.metrics.c.name).where(tables.metrics.c.analysis.in_(busy))).all()
        return len(tags) == len(metrics) == count
