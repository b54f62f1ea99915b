"""Running an analyzer in a process of its own, and never being held up by it."""

import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

import msgspec

import holdfast
from holdfast.analyzers.pools import SpreadSettings, ending
from holdfast.analyzers.runs import TAIL_BYTES, Output, RunEnd, RunKeeper, RunReport
from holdfast.analyzers.wire import (
    Closed,
    Failed,
    Found,
    FromRun,
    Inbox,
    Load,
    Loaded,
    Moved,
    Payload,
    Reported,
    Save,
    Start,
    Stop,
    pack,
)
from holdfast.domain.analysis import ErrorInfo, Status
from holdfast.domain.errors import (
    AnalysisCancelled,
    AnalysisTimeout,
    AnalyzerCrashed,
    AnalyzerFailed,
    HoldfastError,
)
from holdfast.domain.findings import Finding
from holdfast.domain.ports import Request

__all__ = ["RunEnd", "RunKeeper", "RunReport", "SpreadSettings", "run_in_child"]

_POLL_SECONDS = 0.1
_DRAIN_SECONDS = 0.3
_EMPTY_SECONDS = 0.1
_REAP_SECONDS = 5.0

_log = logging.getLogger(__name__)
_findings: msgspec.json.Decoder[list[Finding]] = msgspec.json.Decoder(list[Finding])
_details: msgspec.json.Decoder[dict[str, object]] = msgspec.json.Decoder(dict[str, object])


def run_in_child(
    analyzer_path: str,
    request: Request,
    *,
    analysis_id: str,
    keeper: RunKeeper,
    timeout_seconds: float | None = None,
    grace_seconds: float = 0.4,
    spread: SpreadSettings | None = None,
    python: str = sys.executable,
) -> RunEnd:
    """Run an analyzer to its end, whatever that is; nothing of its process group is left when this returns.

    The thread that calls must live until then: the process dies with it.

    Args:
        analyzer_path: ``module:qualname`` of the analyzer's class.
        request: what to analyse.
        analysis_id: the analysis.
        keeper: where checkpoints and progress go.
        timeout_seconds: stop it after so long.
        grace_seconds: how long a run that should stop may take to save what it has, before it is killed.
        spread: how ``ctx.map`` works.
        python: the interpreter.

    Returns:
        The end; an error of the analyzer's own is in it, not raised.

    Raises:
        Exception: what the keeper raised.
    """
    run = _Run(keeper, timeout_seconds, grace_seconds, python)
    try:
        run.send(
            Start(
                analyzer=analyzer_path,
                analysis_id=analysis_id,
                request=request,
                sys_path=[path or str(Path.cwd()) for path in sys.path],
                python_path=os.environ.get("PYTHONPATH"),
                spread=spread or SpreadSettings(),
            )
        )
        run.drive()
        return run.end()
    finally:
        run.close()


class _Run:
    """One process and the conversation with it."""

    def __init__(self, keeper: RunKeeper, timeout_seconds: float | None, grace_seconds: float, python: str) -> None:
        self._keeper = keeper
        self._timeout_seconds = timeout_seconds
        self._grace_seconds = grace_seconds
        self._stopping: Status | None = None
        self._kill_at: float | None = None
        self._outgoing: deque[memoryview] = deque()
        self._payload: list[bytes] = []
        self._found: list[Finding] = []
        self._partial: RunReport | None = None
        self._final: RunReport | None = None
        self._failed: Failed | None = None
        self._exit_code: int | None = None
        self._output = Output()
        self._timeout_at = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        self._next_poll = 0.0
        self._taken = 0
        self._socket, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                [python, "-P", "-X", "faulthandler", "-m", "holdfast.analyzers.child", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                env=_environment(),
            )
        except BaseException:
            # Also when Ctrl-C comes while it starts: nobody else knows of the socket.
            self._socket.close()
            raise
        finally:
            theirs.close()
        self._socket.setblocking(False)  # noqa: FBT003 - its only parameter
        assert self._process.stdout is not None
        self._pipe = self._process.stdout.fileno()
        os.set_blocking(self._pipe, False)
        self._inbox = Inbox(self._socket)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)
        self._selector.register(self._pipe, selectors.EVENT_READ)

    def send(self, message: Start | Loaded | Stop) -> None:
        """Send as the process reads: one that hangs must not hang us."""
        self._outgoing.append(memoryview(pack(message)))
        self._write()

    def drive(self) -> None:
        """Converse until the run is over or must not go on."""
        while self._final is None and self._failed is None:
            now = time.monotonic()
            if self._kill_at is not None and now >= self._kill_at:
                break
            if now >= self._next_poll:
                self._poll(now)
                if self._has_exited():
                    break
            if not self._converse(_POLL_SECONDS):
                break
        self._settle()

    def end(self) -> RunEnd:
        """How it ended."""
        if self._final is not None:
            # It may have finished in the moment when it was told to stop: the result is there, and whole.
            return RunEnd(status=Status.COMPLETED, report=self._final)
        why: HoldfastError
        if self._stopping is Status.TIMED_OUT:
            why = AnalysisTimeout(f"The analysis took longer than {self._timeout_seconds:g} seconds")
            return RunEnd(status=Status.TIMED_OUT, report=self._partial, error=ErrorInfo.of(why))
        if self._stopping is Status.CANCELLED:
            return RunEnd(status=Status.CANCELLED, report=self._partial, error=ErrorInfo.of(AnalysisCancelled()))
        if self._failed is not None:
            return RunEnd(status=self._failed_status(), report=self._partial, error=self._failed_info(self._failed))
        code = self._exit_code or 0
        why = AnalyzerCrashed(f"The analyzer's process ended {ending(code)} before it gave a result", exit_code=code)
        return RunEnd(status=Status.FAILED, report=self._partial, error=ErrorInfo.of(why, output=self._output.tail()))

    def close(self) -> None:
        """Leave nothing behind."""
        self._kill()
        self._selector.close()
        self._socket.close()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _poll(self, now: float) -> None:
        self._next_poll = now + _POLL_SECONDS
        if self._stopping is not None:
            return
        if self._timeout_at is not None and now >= self._timeout_at:
            self._stop(Status.TIMED_OUT)
        elif self._keeper.stop_asked():
            self._stop(Status.CANCELLED)

    def _stop(self, reason: Status) -> None:
        self._stopping = reason
        self._kill_at = time.monotonic() + self._grace_seconds
        self.send(Stop())

    def _converse(self, seconds: float) -> bool:
        """Read what is there, write what can be written; False once the process has closed its end."""
        for key, events in self._selector.select(seconds):
            if key.fileobj == self._pipe:
                self._read_output()
                continue
            if events & selectors.EVENT_WRITE:
                self._write()
            if events & selectors.EVENT_READ:
                try:
                    message = self._inbox.read()
                except Closed:
                    return False
                except msgspec.DecodeError as error:
                    _log.warning("The run's process sent what is no message: %s", error)
                    return False
                if message is not None:
                    self._take(message)
        return True

    def _take(self, message: FromRun) -> None:
        self._taken += 1
        match message:
            case Load():
                values = self._keeper.load(message.scope, message.keys)
                self.send(Loaded(number=message.number, values=dict(values)))
            case Save():
                self._keeper.save(message.scope, message.items)
            case Moved():
                self._keeper.progressed(message.progress)
            case Payload():
                self._payload.append(message.data)
            case Found():
                self._found.extend(_findings.decode(message.data))
            case Reported():
                report = RunReport(
                    payload=b"".join(self._payload),
                    summary=message.summary,
                    findings=self._found,
                    metrics=message.metrics,
                )
                self._payload, self._found = [], []
                if message.final:
                    self._final = report
                else:
                    self._partial = report
            case Failed():
                self._failed = message

    def _settle(self) -> None:
        """Stop the process, and take what it sent and printed before: checkpoints, a partial result."""
        if self._final is None and self._failed is None and self._stopping is None:
            self._wait_for_exit(_DRAIN_SECONDS)
        self._kill()
        until = time.monotonic() + _DRAIN_SECONDS
        # To the end of both streams; not for ever, as a process that left the group may hold them open. What the
        # keeper takes to keep a message does not count: the result may stand behind it.
        while time.monotonic() < until and self._final is None and self._failed is None:
            taken = self._taken
            if not self._converse(0.02):
                break
            if self._taken != taken:
                until = time.monotonic() + _DRAIN_SECONDS
        while self._read_output() and time.monotonic() < until:
            pass

    def _write(self) -> None:
        try:
            while self._outgoing:
                view = self._outgoing[0]
                self._outgoing[0] = view[self._socket.send(view) :]
                if not self._outgoing[0]:
                    self._outgoing.popleft()
        except BlockingIOError:
            pass
        except ConnectionError:
            self._outgoing.clear()  # reading will tell
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._outgoing else 0)
        self._selector.modify(self._socket, events)

    def _read_output(self) -> bool:
        try:
            data = os.read(self._pipe, TAIL_BYTES)
        except BlockingIOError:
            return False
        if data:
            self._output.take(data)
        elif self._pipe in self._selector.get_map():
            self._selector.unregister(self._pipe)
        return bool(data)

    def _has_exited(self) -> bool:
        # WNOWAIT leaves the zombie: until it is reaped its number, and so its group's, is nobody else's.
        if self._process.returncode is not None:
            return True
        if not hasattr(os, "waitid"):
            return False  # then the end of its stream must do
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, flags) is not None

    def _wait_for_exit(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._has_exited() and time.monotonic() < until:
            time.sleep(0.005)

    def _kill(self) -> None:
        if self._process.returncode is not None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            self._process.kill()
        try:
            self._exit_code = self._process.wait(_REAP_SECONDS)
        except subprocess.TimeoutExpired:
            _log.error("The run's process %d cannot be killed; is it stuck in the kernel?", self._process.pid)

        # Its process is reaped; the others are dying, and are reaped by whoever has adopted them. Where nobody
        # does that (a container without an init), the group is never empty: hence the limit.
        until = time.monotonic() + _EMPTY_SECONDS
        while _exists(self._process.pid) and time.monotonic() < until:
            time.sleep(0.001)

    def _failed_status(self) -> Status:
        assert self._failed is not None
        # The analyzer may give up by itself.
        return Status.CANCELLED if self._failed.code == AnalysisCancelled.code else Status.FAILED

    def _failed_info(self, failed: Failed) -> ErrorInfo:
        details = {**_details.decode(failed.details), "traceback": failed.traceback}
        if failed.code in {AnalyzerFailed.code, AnalyzerCrashed.code} and self._output.tail():
            details["output"] = self._output.tail()
        return ErrorInfo(
            code=failed.code, message=failed.message, suggestions=tuple(failed.suggestions), details=details
        )


def _exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _environment() -> dict[str, str]:
    """The child's environment: it must find this very Holdfast before it is told our module search path."""
    # glibc would keep what an analyzer frees: larger blocks go back to the system at once, in one arena.
    environment = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", **os.environ}
    # namespace packages have no __file__
    root = Path(next(iter(holdfast.__path__))).parent
    if root.name not in {"site-packages", "dist-packages"}:
        paths = [str(root), *filter(None, [environment.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(paths)
    return environment
