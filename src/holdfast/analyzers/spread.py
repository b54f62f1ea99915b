"""``ctx.map``: a sliding window over the parts, checkpointed as they come, in order whoever computes them.

    parts -> keys -> known? ---------------------------> window -> values in order
                       `-> to do -> alone, or in chunks by a pool -^
                                                     `-> checkpoint

It begins alone: starting processes costs about as much as PATIENCE_SECONDS of work. Once so much was done and
there is no sign that less is left, others are asked; so it never takes more than twice the best choice.
"""

import pickle
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import length_hint
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from holdfast.analyzers.codec import decode_value, encode_value
from holdfast.analyzers.dask_pool import DaskPool
from holdfast.analyzers.pools import Computed, Handle, Pool, ProcessPool, SpreadSettings
from holdfast.domain.errors import AnalyzerCrashed, AnalyzerNotImportable, InvalidParams

_CHUNK_SECONDS = 0.075
_CHUNK_PARTS = 512
_CHUNK_BYTES = 4 * 1024 * 1024
_WINDOW_PARTS = 1024
_WINDOW_BYTES = 64 * 1024 * 1024
_LOOKUP_PARTS = 256
_LOOKUP_BYTES = 8 * 1024 * 1024
_FIRST_LOOKUP = 16


class Checkpoints(Protocol):
    """Where values are kept."""

    def load(self, scope: str, keys: Sequence[str]) -> Mapping[str, bytes]:
        """The encoded values that are there, by key."""
        ...

    def add(self, scope: str, items: Iterable[tuple[str, bytes]]) -> None:
        """Keep encoded values, soon; called by any thread."""
        ...


class Spread:
    """What the maps of a run share: the settings, the checkpoints and the pool, started when first needed."""

    def __init__(self, settings: SpreadSettings, checkpoints: Checkpoints, check: Callable[[], None]) -> None:
        """Spread by ``settings``; ``check`` raises once the run should stop."""
        self.settings = settings
        self.checkpoints = checkpoints
        self.check = check
        self._lock = threading.Lock()
        self._pool: Pool | None = None
        self._serves: Callable[[Any], Any] | None = None
        self._borrowers = 0
        self._watcher: threading.Thread | None = None
        self._alone: tuple[_Window, float] | None = None

    @property
    def started(self) -> bool:
        """Whether there is a pool."""
        return self._pool is not None

    def borrow(self, function: Callable[[Any], Any]) -> Pool:
        """The pool, started if need be; new processes for another function, unless both maps go on at once.

        What a function leaves in memory (caches, parsers' heaps) would else add to what the next one needs.
        """
        with self._lock:
            address = self.settings.dask_address
            if isinstance(self._pool, ProcessPool) and not self._borrowers and self._serves is not function:
                self._pool.close()
                self._pool = None
            if self._pool is None:
                self._pool = DaskPool(address) if address else ProcessPool(self.settings.local_processes)
            self._serves = function
            self._borrowers += 1
            return self._pool

    def give_back(self) -> None:
        """A map that borrowed the pool is over."""
        with self._lock:
            self._borrowers -= 1

    def begins_alone(self, window: "_Window", at: float) -> None:
        """The run's thread computes a part; if it takes long, the others should not wait for it."""
        self._alone = (window, at)
        if self._watcher is None:
            # One thread for the whole run, not a timer: processes die with the thread that starts them.
            self._watcher = threading.Thread(target=self._watch, daemon=True, name="holdfast-spread")
            self._watcher.start()

    def ends_alone(self) -> None:
        """The part is computed."""
        self._alone = None

    def _watch(self) -> None:
        while True:
            time.sleep(self.settings.patience / 2)
            alone = self._alone
            if alone is not None and time.perf_counter() - alone[1] > self.settings.patience:
                alone[0].share()

    def map(
        self,
        function: Callable[[Any], Any],
        parts: Iterable[Any],
        key: Callable[[Any], str],
        scope: str,
    ) -> Iterator[Any]:
        """See ``RunContext.map``; parts with equal keys are the same part, computed once.

        Args:
            function: see there.
            parts: see there.
            key: see there.
            scope: whose checkpoints are read and written.

        Raises:
            AnalyzerNotImportable: the function cannot be sent to another process.
            InvalidParams: a key is not a string.
            AnalyzerCrashed: a process ended while it computed.
        """
        check_function(function)
        window = _Window(self, function, parts, key, scope)
        try:
            yield from window.values()
        finally:
            window.abandon()

    def close(self) -> None:
        """End the pool."""
        if self._pool is not None:
            self._pool.close()


def check_function(function: Callable[[Any], Any]) -> None:
    """Raise AnalyzerNotImportable unless another process can find the function."""
    try:
        pickle.dumps(function)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise AnalyzerNotImportable(
            f"The function given to ctx.map must stand at the top level of a module: {error}"
        ) from error


def check_key(key: object) -> None:
    """Raise InvalidParams unless it can name a part."""
    if not isinstance(key, str):
        raise InvalidParams(f"The key of a part must be a string, not {key!r:.100}")


class _Slot:
    """A part in the window; it stands there several times if its key does."""

    __slots__ = ("error", "key", "part", "uses", "value")

    def __init__(self, key: str, part: Any) -> None:
        self.key = key
        self.part = part
        self.uses = 0
        self.value: bytes | None = None
        self.error: Exception | None = None


class _Window:
    """One map.

    The run's thread reads parts, hands out chunks and yields values. Two other threads come in: the pool's,
    which puts what it computed into ``_arrived``, and the watcher, which may hand out chunks while the run's
    thread computes alone; ``_lock`` is for these two threads that take from ``_todo``.
    """

    def __init__(
        self,
        spread: Spread,
        function: Callable[[Any], Any],
        parts: Iterable[Any],
        key: Callable[[Any], str],
        scope: str,
    ) -> None:
        self._spread = spread
        self._function = function
        self._key = key
        self._scope = scope
        self._left_hint = length_hint(parts, -1)
        self._parts = iter(parts)
        self._exhausted = False
        self._window: deque[_Slot] = deque()
        self._slots: dict[str, _Slot] = {}
        self._held = 0
        self._lookup = _FIRST_LOOKUP
        self._lock = threading.Lock()
        self._todo: deque[_Slot] = deque()
        self._pool: Pool | None = None
        self._start_error: Exception | None = None
        self._handles: dict[int, Handle] = {}
        self._chunks = 0
        self._arrived: SimpleQueue[tuple[int, list[_Slot], Computed | Exception]] = SimpleQueue()
        self._failed = False
        self._over = False
        self._computed = 0
        self._spent = 0.0
        self._mean_seconds = 0.0
        self._mean_bytes = 0.0
        self._shared = False

    def values(self) -> Iterator[Any]:
        """Yield the values in order."""
        check, window = self._spread.check, self._window
        while True:
            check()
            self._take_arrived(0)
            if self._has_room():
                self._read()
            if self._shared:
                self._hand_out()
            for _ in range(64):  # then the pool is looked after again
                if not window or (window[0].value is None and window[0].error is None):
                    break
                yield self._pop()
                check()
            else:
                continue
            if not window:
                if self._exhausted:
                    return
            elif not self._shared:
                self._compute_alone()
            elif not self._has_room():
                self._take_arrived(0.1)

    def _has_room(self) -> bool:
        if self._exhausted or self._failed or self._held >= _WINDOW_BYTES:
            return False
        if self._pool is None:
            return len(self._window) < self._lookup
        # Enough for every process to have its next chunk at hand, and for those that come out of order.
        return len(self._window) + self._lookup <= max(_WINDOW_PARTS, 4 * self._pool.slots * self._chunk_size())

    def _read(self) -> None:
        fresh: list[_Slot] = []
        count = 0
        for part in islice(self._parts, self._lookup):
            count += 1
            key = self._key(part)
            slot = self._slots.get(key)
            if slot is None:
                check_key(key)
                slot = self._slots[key] = _Slot(key, part)
                fresh.append(slot)
            elif slot.value is not None:
                self._held += len(slot.value)
            slot.uses += 1
            self._window.append(slot)
        self._left_hint -= count
        self._exhausted = count < self._lookup
        if not fresh:
            return
        known = self._spread.checkpoints.load(self._scope, [slot.key for slot in fresh])
        missing = []
        for slot in fresh:
            value = known.get(slot.key)
            if value is None:
                missing.append(slot)
            else:
                self._settle(slot, value)
        with self._lock:
            self._todo.extend(missing)
        # Small steps first, that work may begin; then as large as the values allow.
        size = sum(map(len, known.values()))
        self._lookup = max(1, self._lookup // 2) if size > _LOOKUP_BYTES else min(self._lookup * 2, _LOOKUP_PARTS)

    def _settle(self, slot: _Slot, value: bytes) -> None:
        slot.value = value
        slot.part = None
        self._held += len(value) * slot.uses

    def _pop(self) -> Any:
        slot = self._window.popleft()
        slot.uses -= 1
        if not slot.uses:
            del self._slots[slot.key]
        if slot.value is None:
            raise slot.error or AssertionError("a slot that is not settled was taken")
        self._held -= len(slot.value)
        return decode_value(slot.value)

    def _compute_alone(self) -> None:
        alone = self._spread.settings.alone
        if not alone and (self._spread.started or not self._spread.settings.patience):
            self.share()
        with self._lock:
            if self._shared or not self._todo:
                return
            slot = self._todo.popleft()
        began = time.perf_counter()
        if not alone:
            self._spread.begins_alone(self, began)
        # What it raises goes straight to the analyzer: this slot is the window's first.
        value = encode_value(self._function(slot.part), f"The value of part {slot.key!r}")
        self._spread.ends_alone()
        self._learn(1, time.perf_counter() - began, len(value))
        self._spread.checkpoints.add(self._scope, [(slot.key, value)])
        self._settle(slot, value)
        if self._is_worth_sharing():
            self.share()

    def _is_worth_sharing(self) -> bool:
        patience = self._spread.settings.patience
        if self._shared or self._spread.settings.alone or self._spent < patience / 10:
            return False
        left = self._mean_seconds * (self._left_hint + len(self._todo)) if self._left_hint >= 0 else self._spent
        speed_up = 1 - 1 / self._spread.settings.local_processes if self._spread.settings.dask_address is None else 1
        return left * speed_up > patience

    def share(self) -> None:
        """Ask others from now on; called by the run's thread or the watcher."""
        with self._lock:
            if self._over or self._shared or (self._exhausted and not self._todo):
                return
            self._shared = True
            try:
                self._pool = self._spread.borrow(self._function)
                self._fill(self._pool)
            except Exception as error:  # noqa: BLE001 - raised in the run's thread
                self._start_error = error

    def _chunk_size(self) -> int:
        if not self._computed:
            return 1
        size = min(_CHUNK_PARTS, _CHUNK_SECONDS / max(self._mean_seconds, 1e-7))
        return max(1, int(min(size, _CHUNK_BYTES / max(self._mean_bytes, 1))))

    def _hand_out(self) -> None:
        with self._lock:
            if self._start_error is not None:
                raise self._start_error
            if self._pool is not None:
                self._fill(self._pool)

    def _fill(self, pool: Pool) -> None:
        slots = pool.slots
        while self._todo and len(self._handles) < 2 * slots and not self._failed:
            if self._held >= _WINDOW_BYTES and self._handles:
                return
            size = self._chunk_size()
            if self._exhausted:
                size = min(size, -(-len(self._todo) // slots))
            elif len(self._todo) < size and len(self._handles) >= slots:
                return
            chunk = [self._todo.popleft() for _ in range(min(size, len(self._todo)))]
            self._submit(pool, chunk)

    def _submit(self, pool: Pool, chunk: list[_Slot]) -> None:
        self._chunks = number = self._chunks + 1

        def done(outcome: Computed | Exception) -> None:
            if isinstance(outcome, Computed):
                # Kept even if the map was left in the meantime: a resumed run will want it.
                items = zip((slot.key for slot in chunk), outcome.values, strict=False)
                self._spread.checkpoints.add(self._scope, items)
            self._arrived.put((number, chunk, outcome))

        parts = [slot.part for slot in chunk]
        self._handles[number] = pool.submit(self._function, [slot.key for slot in chunk], parts, done)

    def _take_arrived(self, seconds: float) -> None:
        try:
            arrived = self._arrived.get(timeout=seconds) if seconds else self._arrived.get_nowait()
            while True:
                self._arrive(*arrived)
                arrived = self._arrived.get_nowait()
        except Empty:
            return

    def _arrive(self, number: int, chunk: list[_Slot], outcome: Computed | Exception) -> None:
        with self._lock:
            self._handles.pop(number, None)
        if isinstance(outcome, AnalyzerCrashed):
            raise outcome
        if isinstance(outcome, Exception):
            # Raised in its turn, as the exception of a part is: the error is the same wherever it ran.
            self._failed = True
            chunk[0].error = outcome
            return
        for slot, value in zip(chunk, outcome.values, strict=False):
            self._settle(slot, value)
        if outcome.failure is not None:
            self._failed = True
            chunk[len(outcome.values)].error = outcome.failure.revive()
        if outcome.values:
            self._learn(len(outcome.values), outcome.seconds, sum(map(len, outcome.values)))

    def _learn(self, parts: int, seconds: float, size: int) -> None:
        # The mean of the last few hundred milliseconds counts most: parts may grow along the way.
        self._computed += parts
        self._spent += seconds
        share = max(parts / self._computed, 0.2)
        self._mean_seconds += (seconds / parts - self._mean_seconds) * share
        self._mean_bytes += (size / parts - self._mean_bytes) * share

    def abandon(self) -> None:
        """Give up what nobody waits for."""
        with self._lock:
            self._over = True
            handles, self._handles = self._handles, {}
        for handle in handles.values():
            handle.cancel()
        if self._pool is not None:
            self._spread.give_back()
