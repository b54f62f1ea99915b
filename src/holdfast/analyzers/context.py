"""What a running analyzer sees of Holdfast, in the process of its run."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from holdfast.analyzers.codec import decode_value, encode_value
from holdfast.analyzers.pools import SpreadSettings
from holdfast.analyzers.spread import Spread
from holdfast.analyzers.wire import (
    FINDINGS_CHUNK,
    PAYLOAD_CHUNK,
    Channel,
    Found,
    Load,
    Loaded,
    Moved,
    Payload,
    Reported,
    Save,
)
from holdfast.documents import to_json
from holdfast.domain.checks import check_metrics
from holdfast.domain.errors import AnalysisCancelled, AnalyzerFailed
from holdfast.domain.findings import Finding
from holdfast.domain.ports import Analyzer, Outcome, Request
from holdfast.domain.progress import Progress

Part = TypeVar("Part")
Value = TypeVar("Value")

_PROGRESS_SECONDS = 0.1
_FLUSH_SECONDS = 0.25
_FLUSH_VALUES = 256
_FLUSH_BYTES = 4 * 1024 * 1024


class Outbox:
    """Checkpoints on their way to the worker, a batch at a time."""

    def __init__(self, channel: Channel, check: Callable[[], None]) -> None:
        """Send over ``channel``; ``check`` raises once the run should stop."""
        self._channel = channel
        self._check = check
        self._replies: SimpleQueue[Loaded] = SimpleQueue()
        self._asking = threading.Lock()
        self._asked = 0
        # Held while a batch is sent: whoever asks for a checkpoint finds it here, or it went before.
        self._lock = threading.Lock()
        self._batch: dict[str, dict[str, bytes]] = {}
        self._values = 0
        self._bytes = 0
        self._oldest = 0.0

    def add(self, scope: str, items: Iterable[tuple[str, bytes]]) -> None:
        """Keep encoded values, within a quarter of a second."""
        with self._lock:
            batch = self._batch.setdefault(scope, {})
            for key, value in items:
                if not self._values:
                    self._oldest = time.monotonic()
                batch[key] = value
                self._values += 1
                self._bytes += len(value)
                if self._values >= _FLUSH_VALUES or self._bytes >= _FLUSH_BYTES:
                    self._send()
                    batch = self._batch.setdefault(scope, {})

    def load(self, scope: str, keys: Sequence[str]) -> dict[str, bytes]:
        """The encoded values that are kept already."""
        with self._lock:
            waiting = self._batch.get(scope, {})
            here = {key: waiting[key] for key in keys if key in waiting}
        wanted = [key for key in keys if key not in here] if here else list(keys)
        if wanted:
            here.update(self._ask(scope, wanted))
        return here

    def answered(self, reply: Loaded) -> None:
        """Take an answer; called by the thread that receives."""
        self._replies.put(reply)

    def flush(self, *, older_than: float = 0.0) -> None:
        """Send what is here, if it is older than so many seconds."""
        with self._lock:
            if self._values and time.monotonic() - self._oldest >= older_than:
                self._send()

    def _ask(self, scope: str, keys: list[str]) -> dict[str, bytes]:
        with self._asking:
            self._asked += 1
            self._channel.send(Load(number=self._asked, scope=scope, keys=keys))
            while True:
                try:
                    reply = self._replies.get(timeout=0.1)
                except Empty:
                    self._check()
                    continue
                if reply.number == self._asked:
                    return reply.values

    def _send(self) -> None:
        batch, self._batch = self._batch, {}
        self._values = self._bytes = 0
        self._channel.send(*(Save(scope=scope, items=items) for scope, items in batch.items() if items))


class ChildContext:
    """The RunContext of a real run."""

    def __init__(
        self, channel: Channel, analyzer: Analyzer, analysis_id: str, request: Request, spread: SpreadSettings
    ) -> None:
        """Give ``analyzer`` its context for one run."""
        self._channel = channel
        self._phases = tuple(analyzer.phases)
        self._analysis_id = analysis_id
        self._request = request
        self._stopping = threading.Event()
        self.outbox = Outbox(channel, self.check)
        self._spread = Spread(spread, self.outbox, self.check)
        self._scope = f"analysis:{analysis_id}"
        self._shared_scope = f"kind:{analyzer.kind}/{analyzer.version}"
        now = datetime.now(UTC)
        self._progress = Progress(total_steps=len(self._phases), started_at=now, updated_at=now)
        # The ticker reports what the analyzer's thread counts; neither holds this for longer than a message.
        self._counting = threading.Lock()
        self._items = self._found = 0
        self._message: str | None = None
        self._moved = False
        self._sent_at = 0.0
        self._closed = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True, name="holdfast-ticker")
        self._ticker.start()

    @property
    def analysis_id(self) -> str:
        """See RunContext."""
        return self._analysis_id

    @property
    def request(self) -> Request:
        """See RunContext."""
        return self._request

    def stop(self) -> None:
        """Have the next call raise AnalysisCancelled; called by the thread that receives."""
        self._stopping.set()

    def check(self) -> None:
        """See RunContext."""
        if self._stopping.is_set():
            raise AnalysisCancelled(analysis_id=self._analysis_id)

    def phase(self, name: str, total: int | None = None) -> None:
        """See RunContext."""
        self.check()
        with self._counting:
            # The last counts of the phase that ends: the next message is of another.
            self._report_moved()
            self._items = 0
            self._progress = self._progress.enter(self._phases, name, total, datetime.now(UTC))
            self._report()

    def advance(self, items: int = 1, *, found: int = 0, message: str | None = None) -> None:
        """See RunContext."""
        if self._stopping.is_set():
            self.check()
        with self._counting:
            self._items += items
            self._found += found
            if message is not None:
                self._message = message
            self._moved = True
            if time.monotonic() - self._sent_at >= _PROGRESS_SECONDS:
                self._count()
                self._report()

    def map(
        self,
        function: Callable[[Part], Value],
        parts: Iterable[Part],
        *,
        key: Callable[[Part], str],
        remember: bool = False,
    ) -> Iterator[Value]:
        """See RunContext."""
        self.check()
        return self._spread.map(function, parts, key, self._shared_scope if remember else self._scope)

    def save(self, key: str, value: Any) -> None:
        """See RunContext."""
        # Saved first: what was done before the stop should not be done again.
        self.outbox.add(self._scope, [(key, encode_value(value, f"The checkpoint {key!r}"))])
        self.check()

    def saved(self, key: str) -> Any:
        """See RunContext."""
        self.check()
        value = self.outbox.load(self._scope, [key]).get(key)
        return None if value is None else decode_value(value)

    def partial(self, outcome: Outcome) -> None:
        """See RunContext."""
        self._channel.send(*encode_outcome(outcome, final=False))
        self.check()

    def finish(self, outcome: Outcome) -> None:
        """Send the whole result; the run is over."""
        messages = encode_outcome(outcome, final=True)  # first: its findings may still be computed as they are read
        self.close()
        with self._counting:
            self._count()
            self._progress = self._progress.finished(datetime.now(UTC))
            self._report()
        self._channel.send(*messages)

    def close(self) -> None:
        """Send what waits to be sent, and end the pool."""
        self._closed.set()
        with self._counting:
            self._report_moved()
        self.outbox.flush()
        self._spread.close()

    def _count(self) -> None:
        self._progress = self._progress.moved(
            self._phases,
            datetime.now(UTC),
            items_processed=self._items,
            groups_found=self._found,
            message=self._message,
        )
        self._message = None

    def _report_moved(self) -> None:
        if self._moved:
            self._count()
            self._report()

    def _report(self) -> None:
        self._moved = False
        self._sent_at = time.monotonic()
        self._channel.send(Moved(progress=self._progress))

    def _tick(self) -> None:
        # Without it the last steps before a long silence would be neither shown nor kept.
        while not self._closed.wait(_PROGRESS_SECONDS):
            with self._counting:
                self._report_moved()
            self.outbox.flush(older_than=_FLUSH_SECONDS - _PROGRESS_SECONDS)


def encode_outcome(outcome: Outcome, *, final: bool) -> list[Payload | Found | Reported]:
    """The messages that carry an outcome.

    Raises:
        AnalyzerFailed: it is no outcome, or a finding of it is none.
        UnknownDocument: the result or a finding cannot be kept.
        InvalidInput: a metric cannot be kept.
    """
    # All is encoded before anything is sent: an error leaves no half result on the wire.
    if not isinstance(outcome, Outcome):
        raise AnalyzerFailed(f"The analyzer gave {type(outcome).__qualname__} where an Outcome is needed")
    payload = memoryview(to_json(outcome.result))
    messages: list[Payload | Found | Reported] = [
        Payload(data=payload[start : start + PAYLOAD_CHUNK])  # type: ignore[arg-type]  # msgspec takes views
        for start in range(0, len(payload), PAYLOAD_CHUNK)
    ]
    findings = iter(outcome.findings)
    while chunk := list(islice(findings, FINDINGS_CHUNK)):
        messages.append(Found(data=_findings_json(chunk)))
    check_metrics(outcome.metrics)
    metrics = {name: float(value) for name, value in outcome.metrics.items()}
    messages.append(Reported(final=final, summary=outcome.summary, metrics=metrics))
    return messages


def _findings_json(findings: list[Finding]) -> bytes:
    for finding in findings:
        if not isinstance(finding, Finding):
            raise AnalyzerFailed(f"The analyzer gave {type(finding).__qualname__} where a Finding is needed")
    return to_json(findings, "A finding")
