"""Checking what is kept, and setting right what can be."""

from holdfast.domain.integrity import Checked, Problem
from holdfast.store.unit_of_work import Store, UnitOfWork

_RESULTS_AT_ONCE = 32


class IntegrityService:
    """The use cases of checking."""

    def __init__(self, store: Store) -> None:
        """Work on ``store``."""
        self._store = store

    def check(self, *, repair: bool = False) -> Checked:
        """Compare everything with everything.

        What is computed from other rows is set right on request, in one transaction; nothing else is changed, and
        nothing is ever taken away.

        Args:
            repair: whether to set right what can be.
        """
        found, results = self._look()
        if not repair or not any(problem.repairable for problem in found):
            return Checked(found=found, left=found, results=results)

        def work(uow: UnitOfWork) -> None:
            for problem in found:
                if problem.kind == "size" and problem.table == "payloads":
                    uow.integrity.repair_size(problem.key)
            uow.integrity.repair()

        self._store.write(work)
        left, _ = self._look()
        return Checked(found=found, left=left, results=results)

    def _look(self) -> tuple[tuple[Problem, ...], int]:
        found = list(self._store.read(lambda uow: list(uow.integrity.problems())))
        results = 0
        # In steps: a long look at one state keeps the database from tidying up.
        last: int | None = 0
        while last is not None:
            after = last

            def look(uow: UnitOfWork, after: int = after) -> tuple[int | None, int, list[Problem]]:
                return uow.integrity.results(after, _RESULTS_AT_ONCE)

            last, checked, damaged = self._store.read(look)
            found += damaged
            results += checked
        return tuple(found), results
