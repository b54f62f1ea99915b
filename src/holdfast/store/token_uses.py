"""When tokens were used."""

import logging
import threading
from datetime import datetime
from functools import partial

from holdfast.store.unit_of_work import Store, UnitOfWork

_log = logging.getLogger(__name__)


class TokenUses:
    """Notes when tokens were used, in a thread of its own: no request waits for it, or fails with it."""

    def __init__(self, store: Store) -> None:
        """Note it in ``store``."""
        self._store = store
        self._lock = threading.Lock()
        self._due: dict[str, datetime] = {}
        self._thread: threading.Thread | None = None
        self._closed = False

    def note(self, token_id: str, at: datetime) -> None:
        """Note that a token was used."""
        with self._lock:
            if self._closed:
                return
            self._due[token_id] = at
            if self._thread is None:
                self._thread = threading.Thread(target=self._write, name="holdfast-token-uses", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Wait until what was noted is written."""
        with self._lock:
            self._closed = True
            thread = self._thread
        if thread is not None:
            thread.join()

    def _write(self) -> None:
        while due := self._taken():
            try:
                self._store.write(partial(_write, due))
            except Exception as error:  # noqa: BLE001 noted again with the next use
                _log.warning("When tokens were used could not be noted: %s", error)

    def _taken(self) -> dict[str, datetime]:
        with self._lock:
            due, self._due = self._due, {}
            if not due:
                self._thread = None
            return due


def _write(due: dict[str, datetime], uow: UnitOfWork) -> None:
    # In one order for all processes, so that two never wait for each other in a circle.
    for token_id, at in sorted(due.items()):
        uow.accounts.used(token_id, at)
