"""The store of a process that opens none of its own: of ``@holdfast.analysis``."""

import atexit
import os
import threading
from typing import TYPE_CHECKING

import holdfast
from holdfast.functions import Decorator

if TYPE_CHECKING:
    from holdfast.bootstrap import Holdfast


class _Default:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened: Holdfast | None = None
        self._inherited: list[Holdfast] = []

    def get(self) -> "Holdfast":
        """The store that HOLDFAST_DATABASE_URL names, or the default one; opened when first asked for."""
        opened = self._opened
        if opened is not None:
            return opened
        with self._lock:
            if self._opened is None:
                self._opened = holdfast.open()
            return self._opened

    def close(self) -> None:
        """Close it; the next call opens it again."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def forked(self) -> None:
        """This process is a fork: its parent's connections must be neither used nor closed here."""
        self._lock = threading.Lock()
        if self._opened is not None:
            self._inherited.append(self._opened)
            self._opened = None


_default = _Default()
os.register_at_fork(after_in_child=_default.forked)
atexit.register(_default.close)

default_store = _default.get
analysis = Decorator(default_store)
