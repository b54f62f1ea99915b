"""An index that is built anew while many write and its builders die is whole in the end."""

import itertools
import os
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from holdfast.bootstrap import Holdfast, open_holdfast
from holdfast.domain.processing import Document
from holdfast.processors.contract import Surroundings, Write
from holdfast.processors.fulltext import FullText
from holdfast.services.processing import indexing
from holdfast.services.results import NewResult
from holdfast.services.search import Hit
from tests.durability import actors
from tests.support.processes import wait_until

KEPT, WRITERS, PAGE = 400, 8, 40
MOST = 40
BUILT = 2


class Mortal(FullText):
    """Dies of kill -9 in the middle of the index that is built: as it cuts a page ahead, or as it writes one."""

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self._dies = surroundings.options.get("dies")
        self._calls = itertools.count(1)

    def process(self, documents: Sequence[Document], generations: Sequence[int]) -> Write:
        write = super().process(documents, generations)
        # What has changed goes into both, and the builder's pages into its own alone.
        if self._dies is None or list(generations) != [BUILT] or next(self._calls) < 5:
            return write
        if self._dies == "ahead":
            os.kill(os.getpid(), signal.SIGKILL)

        def die(connection: sa.Connection, generation: int) -> None:
            write(connection, generation)
            os.kill(os.getpid(), signal.SIGKILL)

        return die


def opened(url: str, dies: str | None = None) -> Holdfast:
    return open_holdfast(
        url,
        processors=("fulltext",),
        processor_classes=(Mortal,),
        processor_options={"fulltext": {"dies": dies}},
        lease_seconds=2.0,
    )


def build_until_killed(url: str, dies: str | None) -> None:
    indexing._REBUILD_AT_ONCE = PAGE
    with opened(url, dies) as hf:
        hf.worker().run()


def write_on(hf: Holdfast, writer: int) -> set[str]:
    """Store, trash, restore and drop; returns what is there in the end."""
    there: list[str] = []
    trashed: list[str] = []
    for number in range(MOST):
        name = f"w{writer}-{number}"
        hf.store_analysis("note", {"t": f"fresh {name.replace('-', 'x')}"}, analysis_id=name)
        there.append(name)
        if number % 3 == 1:
            gone = there.pop(0)
            hf.delete_analysis(gone)
            trashed.append(gone)
        if number % 5 == 4:
            hf.delete_analysis(there.pop(0), purge=True)
        if number % 7 == 6:
            there.append(hf.restore_analysis(trashed.pop(0)).analysis_id)
    return set(there)


def in_index(hf: Holdfast, generation: int) -> set[int]:
    with hf.engine.read() as connection:
        return set(connection.exec_driver_sql(f"SELECT analysis FROM fulltext_{generation}").scalars())


@pytest.mark.timeout(300)
def test_builders_die_while_many_write(database: str) -> None:
    with opened(database) as hf:
        kept = [NewResult(kind="note", result={"t": f"old o{n}"}, analysis_id=f"o{n}") for n in range(KEPT)]
        hf.store_analyses(kept)
        hf.worker().run(until_idle=True)
        old = in_index(hf, BUILT - 1)
        assert hf.processing.rebuild() == ["fulltext"]
        with ThreadPoolExecutor(WRITERS) as pool:
            writing = [pool.submit(write_on, hf, writer) for writer in range(WRITERS)]
            for dies in ("ahead", "writing"):
                builder = actors.start(build_until_killed, database, dies)
                builder.join(90)
                assert builder.exitcode == -signal.SIGKILL
                # Neither nothing was built by then, nor all.
                assert not old.issubset(in_index(hf, BUILT))
            assert in_index(hf, BUILT)
            survivor = actors.start(build_until_killed, database, None)
            try:
                expected = {f"o{n}" for n in range(KEPT)}.union(*(one.result(120) for one in writing))
                wait_until(lambda: not hf.jobs.counts(), 120, "the end of all that waits")
            finally:
                survivor.kill()
                survivor.join()
        state = hf.store.read(lambda uow: uow.processing.index("fulltext"))
        assert state is not None
        assert (state.generation, state.building) == (BUILT, None)
        there = hf.store.read(
            lambda uow: {one.value.analysis_id for one in uow.analyses.of_keys(sorted(in_index(hf, BUILT)))}
        )
        assert there == expected
        found = {hit.analysis.analysis_id for page in pages(hf, "fresh") for hit in page}
        assert found == {name for name in expected if name.startswith("w")}


def pages(hf: Holdfast, query: str) -> list[list[Hit]]:
    found: list[list[Hit]] = []
    after = None
    while True:
        page = hf.search.search(query, limit=100, after=after)
        found.append(page.items)
        if page.next is None:
            return found
        after = page.next
