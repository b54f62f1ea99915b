"""Two indexes that write of the same analyses take turns; neither waits for what the other waits for."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

from holdfast.store.graph import Graph
from holdfast.store.unit_of_work import UnitOfWork
from tests.services.samples import opened


def test_what_is_held_is_held_as_strongly_from_the_beginning(database: str) -> None:
    with opened(database) as hf:
        made = hf.store_analysis("sample", 1)
        key = hf.store.read(lambda uow: uow.analyses.key_of(made.analysis_id))
        assert key is not None
        both, runs = threading.Barrier(2), []

        def work(uow: UnitOfWork) -> None:
            runs.append(threading.get_ident())
            uow.analyses.hold_versions([key])
            # Both come so far only where they share what they hold; then each would want it alone.
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(1)
            assert Graph(uow.connection, uow.engine).held([key]) == {key}

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda _: hf.store.write(work), range(2)))
        # One that was part of a circle would have run again.
        assert len(runs) == 2
