"""A process that works for another one must not outlive it."""

import ctypes
import faulthandler
import os
import resource
import select
import signal
import socket
import sys
import threading
from multiprocessing import process
from typing import NoReturn

_PR_SET_PDEATHSIG = 1


def stand_guard(pid: int, connection: socket.socket) -> NoReturn:
    """Wait for a child process and end as it ended; kill our process group if the other end goes first.

    Args:
        pid: the child.
        connection: a stream socket; nothing is read from it.
    """
    threading.Thread(target=_kill_group_without, args=(connection, os.getppid()), daemon=True).start()
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        # The child has told of its fault and left its core, if any: we only pass on how it ended.
        faulthandler.disable()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -code not in {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code if code >= 0 else 128 - code)


def _kill_group_without(connection: socket.socket, worker: int) -> None:
    hung_up = select.poll()
    hung_up.register(connection, 0)  # a hang-up is told in any case, and data that waits is none of our business
    # A process that the worker forked may hold the other end open after the worker: so look for its pid, too.
    while not hung_up.poll(1000) and os.getppid() == worker:
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when the thread that started it ends; does nothing but on Linux.

    It is the *thread* that counts: whoever starts such a process must do so from a thread that lives as long
    as the process should.

    Args:
        parent_pid: who started this process; if it is gone already, this process ends at once, for the signal
            is only sent for a death that comes after the call.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(1)


def die_with_pool_owner() -> None:
    """Bind a process of a pool to the process that owns the pool."""
    owner = process.parent_process()
    if owner is None or owner.pid is None:
        return
    die_with_parent(owner.pid)
    if sys.platform != "linux":
        # Without a signal from the kernel a thread has to watch; it cannot stop a part that holds the GIL.
        threading.Thread(target=_watch, args=(owner,), daemon=True, name="holdfast-lifeline").start()


def _watch(owner: process.BaseProcess) -> None:
    owner.join()
    os._exit(1)
