"""What comes into a store is found there, without anybody asking for it."""

import io
import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from holdfast.bootstrap import Holdfast
from holdfast.domain.jobs import NewJob
from holdfast.services.transfer import bundles
from holdfast.testing import FakeClock
from tests.services import samples
from tests.transfer.stores import add_many, exported, fill, without_header
from tests.transfer.test_foreign import MLFLOW, SARIF


def opened(url: str) -> AbstractContextManager[Holdfast]:
    return samples.opened(url, FakeClock(), processors=("fulltext",))


def work(hf: Holdfast) -> None:
    # What else waits is not for an index: the analyses of other tests' kind.
    while hf.process_pending_analyses("fulltext", 1000):
        pass


def found(hf: Holdfast, query: str) -> set[str]:
    return {hit.analysis.analysis_id for hit in hf.search.search(query, limit=1000).items}


def queued(hf: Holdfast) -> int:
    return sum(number for (kind, _), number in hf.jobs.counts().items() if kind == "process.fulltext")


def indexed(hf: Holdfast) -> dict[str, int]:
    (status,) = [one for one in hf.processing.status() if one.name == "fulltext"]
    return status.counts


def test_a_bundle_is_indexed(database: str, other_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # So that an analysis and its findings come in by several transactions.
    monkeypatch.setattr(bundles, "_ROWS_AT_ONCE", 7)
    with opened(database) as here, opened(other_database) as there:
        fill(here)
        add_many(here, 20)
        here.store_analysis("note", "zanzibar", analysis_id="z", findings=[])
        # Neither the indexes' jobs nor those that build one are taken along: they go by this store's numbers.
        out = exported(here)
        assert b'"process.' not in out
        work(here)

        work(there)
        there.transfer.import_bundle(io.BytesIO(out))
        # All but the one that runs and the one that waits.
        assert queued(there) == 27
        work(there)
        assert indexed(there) == indexed(here)
        for query in ("zanzibar", "tag:t1", "Ärger"):
            assert found(there, query) == found(here, query) != set()
        # Again: nothing new, so nothing to do.
        there.transfer.import_bundle(io.BytesIO(out))
        assert queued(there) == 0


def test_a_store_that_is_replaced_leaves_nothing_in_the_index(database: str, other_database: str) -> None:
    with opened(database) as here, opened(other_database) as there:
        here.store_analysis("note", "new words", analysis_id="new")
        there.store_analysis("note", "old words", analysis_id="old")
        work(there)
        there.transfer.restore(io.BytesIO(exported(here)), force=True)
        work(there)
        assert found(there, "words") == {"new"}
        assert indexed(there) == {"completed": 1}


def test_a_moved_store_is_indexed_and_equal(database: str, other_database: str) -> None:
    with opened(database) as here, opened(other_database) as there:
        fill(here)
        here.store_analysis("note", "zanzibar", analysis_id="z")
        # What is the same in both is the same though indexes are fed on one side.
        here.transfer.move_to(there.store)
        assert queued(there) > 0
        assert without_header(exported(there)) == without_header(exported(here))
        work(there)
        assert found(there, "zanzibar") == {"z"}


def test_an_import_that_goes_on_queues_what_was_left(
    database: str, other_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "_ROWS_AT_ONCE", 10)
    with opened(database) as here, opened(other_database) as there:
        add_many(here, 30)
        out = exported(here)

        class Stopped(Exception):
            pass

        def stop(_what: str, done: int, _total: int | None) -> None:
            if done > 60:
                raise Stopped

        with pytest.raises(Stopped):
            there.transfer.import_bundle(io.BytesIO(out), told=lambda w, d, t: stop(w, d, t) if w == "rows" else None)
        there.transfer.import_bundle(io.BytesIO(out))
        assert queued(there) == 30
        work(there)
        assert found(there, "all") == {f"many-{number:06}" for number in range(30)}


@pytest.mark.parametrize("what", ["sarif", "mlflow", "document"])
def test_other_files_are_indexed(what: str, database: str, other_database: str) -> None:
    document: Any = {"sarif": SARIF, "mlflow": MLFLOW}.get(what)
    with opened(database) as hf, opened(other_database) as other:
        if document is None:
            other.store_analysis("note", "zanzibar", analysis_id="z")
            sink = io.BytesIO()
            other.transfer.export_document(sink)
            document = json.loads(sink.getvalue())
        hf.transfer.import_analyses(io.BytesIO(json.dumps(document).encode()))
        count = hf.get_stats().total_results
        assert count == queued(hf) > 0
        work(hf)
        assert sum(indexed(hf).values()) == count
        hf.transfer.import_analyses(io.BytesIO(json.dumps(document).encode()))
        assert queued(hf) == 0


def test_old_jobs_of_indexes_in_a_bundle_are_passed_over(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path / 'a.db'}") as here, opened(f"sqlite:///{tmp_path / 'b.db'}") as there:
        here.store_analysis("note", 1)
        here.jobs.enqueue([NewJob(kind="any", payload={"n": 1})])
        lines = exported(here).splitlines()
        assert sum(b'"kind":"jobs"' in line for line in lines) == 1
        there.transfer.import_bundle(io.BytesIO(exported(here)))
        assert {job.kind for job in there.jobs.listing()} == {"any", "process.fulltext"}
