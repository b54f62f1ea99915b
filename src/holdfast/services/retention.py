"""Retention: what is kept no longer."""

from dataclasses import dataclass

from holdfast.store.unit_of_work import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What a sweep did, or would do.

    Attributes:
        expired: analyses past their time.
        used_up: analyses without retrievals left.
        evicted: analyses over the storage limit.
        purged: analyses whose time in the trash was over.
    """

    expired: int = 0
    used_up: int = 0
    evicted: int = 0
    purged: int = 0


class RetentionService:
    """What is kept no longer."""

    def __init__(self, store: Store) -> None:
        """Work on ``store``."""
        self._store = store

    def plan(self, *, limit: int = 100) -> Sweep:
        """What the next sweep would do."""
        del limit
        return Sweep()

    def sweep(self) -> Sweep:
        """Remove what is due."""
        return Sweep()
