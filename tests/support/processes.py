"""Processes for tests: wait for them, start them, kill them with all that they started.

Run as a script this file is the watchdog of ``start_watchdog``.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

_POLL_SECONDS = 0.01
# The postmaster waits 5 s for its children before it kills them.
_GRACE_SECONDS = 6.0


def wait_until(condition: Callable[[], object], timeout: float, what: str) -> None:
    """Return as soon as ``condition`` holds.

    Raises:
        TimeoutError: it did not within ``timeout`` seconds; the message names ``what``.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() >= deadline:
            raise TimeoutError(f"Waited {timeout:g} s in vain for: {what}")
        time.sleep(_POLL_SECONDS)


def pressure() -> float | None:
    """Seconds, since it started, in which something on this machine waited for a processor or the disk.

    See https://docs.kernel.org/accounting/psi.html; None where the kernel does not tell.
    """
    told = [Path("/proc/pressure") / name for name in ("cpu", "io")]
    with contextlib.suppress(OSError):
        return sum(int(one.read_text().partition("total=")[2].split()[0]) for one in told) / 1e6
    return None


def held_back(pid: int) -> float:
    """Seconds that a process' first thread was ready to run, and did not; 0 where the kernel does not tell."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    return 0.0


def spawn_python(code_or_module: str, *args: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start a Python process whose unbuffered output can be read from ``stdout``.

    Args:
        code_or_module: a dotted module name, run with ``-m``; anything else is code, run with ``-c``.
        *args: its ``sys.argv[1:]``.
        env: added to this process's environment.
    """
    is_module = all(part.isidentifier() for part in code_or_module.split("."))
    return subprocess.Popen(
        [sys.executable, "-u", "-m" if is_module else "-c", code_or_module, *args],
        env={**os.environ, **(env or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def is_alive(process: psutil.Process) -> bool:
    """Whether the process runs; a zombie, which nobody may ever reap in a container, does not."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() not in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
    return False


def kill_tree(root: psutil.Process, timeout: float = 30) -> None:
    """SIGKILL a process and its descendants, in whatever sessions they are, and wait until they are gone.

    Raises:
        TimeoutError: they are not.
    """
    with contextlib.suppress(psutil.NoSuchProcess):
        # Stopped, it can start no more while we look.
        root.suspend()
        tree = [root, *root.children(recursive=True)]
        for process in tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        wait_until(lambda: not any(map(is_alive, tree)), timeout, f"the death of process {root.pid}")


def start_watchdog(directory: Path) -> subprocess.Popen[bytes]:
    """Start a process that cleans up when this one is gone, however it went.

    It reads process ids from its ``stdin``, a line each, and remembers the last (0: none). At end of file it
    shuts that process down and removes ``directory``.
    """
    return subprocess.Popen(
        [sys.executable, "-I", str(Path(__file__).absolute()), str(directory)],
        stdin=subprocess.PIPE,
        # Not this process's: who reads our output to its end must not wait for the watchdog.
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Ctrl-C in the terminal goes to the foreground's process group.
        start_new_session=True,
    )


def _watch(directory: Path) -> None:
    watched: psutil.Process | None = None
    for line in sys.stdin.buffer:
        watched = None
        with contextlib.suppress(psutil.NoSuchProcess):
            watched = psutil.Process(int(line)) if int(line) else None
    if watched is not None:
        with contextlib.suppress(psutil.NoSuchProcess, TimeoutError):
            # Immediate shutdown: unlike SIGKILL it gives shared memory back.
            watched.send_signal(signal.SIGQUIT)
            wait_until(lambda: not is_alive(watched), _GRACE_SECONDS, "immediate shutdown")
        with contextlib.suppress(TimeoutError):
            kill_tree(watched)
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    _watch(Path(sys.argv[1]))
