"""Parts computed by a Dask cluster; its workers must be able to import Holdfast and the function."""

import pickle
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError as FutureCancelled
from typing import Any

from holdfast.analyzers.pools import Computed, Done, Handle, compute
from holdfast.domain.errors import AnalyzerCrashed, AnalyzerFailed, HoldfastError, RunError

DASK_TIMEOUT_SECONDS = 10.0
_COUNT_SECONDS = 5.0


class ClusterUnavailable(RunError):
    """The Dask cluster cannot be reached."""

    code = "CLUSTER_UNAVAILABLE"
    suggestions = (
        "Check that the scheduler runs and that its address is right",
        "Leave the address out to use this machine",
    )
    retry_suggested = True


class MissingExtra(HoldfastError):
    """An optional package is not installed."""

    code = "MISSING_EXTRA"


def compute_pickled(chunk: bytes) -> Computed:
    """``compute`` for Dask: pickled by us, so the function travels by reference and Dask looks at no part."""
    return compute(*pickle.loads(chunk))  # noqa: S301 - whoever may submit to the scheduler may run anything


class DaskPool:
    """The workers of a Dask scheduler; they must be able to import Holdfast and the function's module."""

    def __init__(self, address: str) -> None:
        """Connect to the scheduler at ``address``.

        Raises:
            MissingExtra: ``distributed`` is not installed.
            ClusterUnavailable: nobody answers there.
        """
        try:
            import distributed  # noqa: PLC0415 - an optional extra
        except ImportError as error:
            raise MissingExtra(
                "A Dask address is set, but Dask is not installed: pip install 'holdfast[dask]'"
            ) from error
        try:
            self._client: Any = distributed.Client(  # type: ignore[no-untyped-call]
                address, timeout=DASK_TIMEOUT_SECONDS, set_as_default=False, name="holdfast"
            )
        except (OSError, ValueError) as error:
            raise ClusterUnavailable(f"The Dask scheduler at {address} does not answer: {error}") from error
        self._address = address
        self._distributed = distributed
        self._slots = 0
        self._counted_at = 0.0

    @property
    def slots(self) -> int:
        """See Pool; workers may come and go, so they are counted every few seconds."""
        now = time.monotonic()
        if not self._slots or now - self._counted_at > _COUNT_SECONDS:
            try:
                self._slots, self._counted_at = sum(self._client.nthreads().values()) or 1, now
            except (OSError, ValueError, RuntimeError) as error:
                raise self._lost(error) from error
        return self._slots

    def submit(self, function: Callable[[Any], Any], keys: Sequence[str], parts: Sequence[Any], done: Done) -> Handle:
        """See Pool; Dask gives a chunk whose worker is lost to another worker."""

        def finish(future: Any) -> None:
            try:
                done(future.result())
            except self._distributed.KilledWorker as error:
                done(AnalyzerCrashed(f"Dask workers were lost while they computed: {error}", keys=list(keys)))
            except (self._distributed.CancelledError, FutureCancelled) as error:
                # We give chunks up only when nobody waits for them; else the scheduler was lost.
                done(self._lost(error))
            except Exception as error:  # noqa: BLE001 - a module that the workers lack, mostly
                if isinstance(error, OSError) and future.status != "error":
                    # It was computed, and the scheduler was lost while its value was fetched.
                    done(self._lost(error))
                else:
                    done(AnalyzerFailed(f"A Dask worker could not compute: {type(error).__qualname__}: {error}"))

        chunk = pickle.dumps((function, list(keys), list(parts)))
        try:
            future: Any = self._client.submit(compute_pickled, chunk, pure=False)
        except (
            OSError,
            ValueError,
            RuntimeError,
        ) as error:  # the client closes itself when it loses the scheduler
            raise self._lost(error) from error
        future.add_done_callback(finish)
        handle: Handle = future
        return handle

    def close(self) -> None:
        """See Pool; a part that a worker has begun is computed to its end there."""
        self._client.close(timeout=0.2)

    def _lost(self, error: BaseException) -> ClusterUnavailable:
        return ClusterUnavailable(f"The Dask scheduler at {self._address} was lost: {error}")
