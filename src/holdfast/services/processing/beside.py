"""Work in threads of their own, which nobody has to wait for longer than they want."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from holdfast.domain.errors import ProcessorUnavailable

T = TypeVar("T")


def begun(work: Callable[[], T]) -> Future[T]:
    """What ``work`` comes to in a thread of its own."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 whoever asks for the result gets it
            future.set_exception(error)

    # A daemon, as a lane is: a back end that hangs must not keep the process.
    threading.Thread(target=run, name="holdfast-index", daemon=True).start()
    return future


def within(seconds: float, work: Callable[[], T], name: str) -> T:
    """What ``work`` of the processor ``name`` comes to, if that takes no longer; a thread cannot be ended, only left.

    Raises:
        DidNotReturn: it takes longer; whatever it comes to is lost.
    """
    future = begun(work)
    try:
        return future.result(timeout=seconds)
    except TimeoutError:
        if future.done():
            # It came in this moment, or the work itself says so.
            return future.result()
        raise DidNotReturn(
            f"The processor {name!r} has not returned within {seconds:g} s (process_timeout_seconds)"
        ) from None


class DidNotReturn(ProcessorUnavailable):
    """A processor hangs, or is given more at a time than it can do in its time."""
