"""What a worker and the process of its run say to each other: MessagePack in frames, never pickle.

    worker  -> process   Start, then Loaded (answers a Load) and Stop
    process -> worker    Load, Save, Moved; Payload* Found* Reported (a result, partial or whole); Failed

A frame is eight bytes of length, big-endian, and one message. Only one process at a time writes at each end,
so the order of the frames is the order in which things happened: a Load sees every Save before it, and a
Reported result stands for every checkpoint being with the worker.
"""

import socket
import threading
from typing import Any

import msgspec

from holdfast.analyzers.pools import SpreadSettings
from holdfast.domain.ports import Request
from holdfast.domain.progress import Progress

_HEADER = 8
PAYLOAD_CHUNK = 4 * 1024 * 1024
FINDINGS_CHUNK = 500


class _Message(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    pass


class Start(_Message, tag="start", frozen=True, kw_only=True):
    """Run this.

    Attributes:
        analyzer: ``module:qualname`` of the analyzer's class.
        analysis_id: the analysis.
        request: what to analyse.
        sys_path: the worker's module search path.
        python_path: the worker's own PYTHONPATH, to be put back.
        spread: how ``ctx.map`` works.
    """

    analyzer: str
    analysis_id: str
    request: Request
    sys_path: list[str]
    python_path: str | None
    spread: SpreadSettings


class Loaded(_Message, tag="loaded", frozen=True, kw_only=True):
    """The checkpoints that were asked for and are there.

    Attributes:
        number: of the Load.
        values: encoded, by key.
    """

    number: int
    values: dict[str, bytes]


class Stop(_Message, tag="stop", frozen=True, kw_only=True):
    """End the run at the next call of the context."""


class Load(_Message, tag="load", frozen=True, kw_only=True):
    """Ask for checkpoints.

    Attributes:
        number: identifies the answer.
        scope: whose checkpoints.
        keys: which.
    """

    number: int
    scope: str
    keys: list[str]


class Save(_Message, tag="save", frozen=True, kw_only=True):
    """Keep checkpoints.

    Attributes:
        scope: whose checkpoints.
        items: encoded values by key.
    """

    scope: str
    items: dict[str, bytes]


class Moved(_Message, tag="moved", frozen=True, kw_only=True):
    """How far the run has come."""

    progress: Progress


class Payload(_Message, tag="payload", frozen=True, kw_only=True):
    """The next piece of a result's JSON."""

    data: bytes


class Found(_Message, tag="found", frozen=True, kw_only=True):
    """The next findings of a result, as a JSON list."""

    data: bytes


class Reported(_Message, tag="reported", frozen=True, kw_only=True):
    """The pieces so far are a result.

    Attributes:
        final: whether it is the whole result, and the run is over.
        summary: the result's summary.
        metrics: finite figures by name.
    """

    final: bool
    summary: str
    metrics: dict[str, float]


class Failed(_Message, tag="failed", frozen=True, kw_only=True):
    """The run is over, without a result.

    Attributes:
        code: a code of the error tree.
        message: what was wrong.
        suggestions: what to do next.
        details: a JSON object.
        traceback: for people.
    """

    code: str
    message: str
    suggestions: list[str]
    details: bytes
    traceback: str


FromWorker = Start | Loaded | Stop
FromRun = Load | Save | Moved | Payload | Found | Reported | Failed

_encoder = msgspec.msgpack.Encoder()
_from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)
_from_run: msgspec.msgpack.Decoder[FromRun] = msgspec.msgpack.Decoder(FromRun)


def pack(message: _Message) -> bytearray:
    """One frame."""
    frame = bytearray(_HEADER)
    _encoder.encode_into(message, frame, _HEADER)
    frame[:_HEADER] = (len(frame) - _HEADER).to_bytes(_HEADER, "big")
    return frame


class Closed(Exception):
    """The other end is gone."""


class Inbox:
    """Frames as they come in, read piece by piece from a socket that does not block; linear in their size."""

    def __init__(self, connection: socket.socket) -> None:
        """Read from ``connection``."""
        self._connection = connection
        self._body = False
        self._expect(_HEADER)

    def read(self) -> FromRun | None:
        """The next message, or None when it is not here yet.

        Raises:
            Closed: the other end is gone; a frame that it had begun is dropped.
            msgspec.DecodeError: it is no message.
        """
        while True:
            try:
                while self._filled < len(self._buffer):
                    count = self._connection.recv_into(memoryview(self._buffer)[self._filled :])
                    if not count:
                        raise Closed
                    self._filled += count
            except BlockingIOError:
                return None
            except ConnectionError as error:
                raise Closed from error
            buffer, self._body = self._buffer, not self._body
            if self._body:
                self._expect(int.from_bytes(buffer, "big"))
            else:
                self._expect(_HEADER)
                return _from_run.decode(buffer)

    def _expect(self, size: int) -> None:
        self._buffer = bytearray(size)
        self._filled = 0


class Channel:
    """The end of the process that runs the analyzer: blocking, any thread may send, one receives."""

    def __init__(self, connection: socket.socket) -> None:
        """Speak over ``connection``."""
        self._connection = connection
        self._sending = threading.Lock()

    def send(self, *messages: _Message) -> None:
        """Send ``messages``, with nothing in between.

        Raises:
            Closed: the worker is gone.
        """
        with self._sending:
            try:
                for message in messages:
                    self._connection.sendall(pack(message))
            except OSError as error:
                raise Closed from error

    def receive(self) -> FromWorker:
        """Wait for the next message.

        Raises:
            Closed: the worker is gone.
        """
        size = int.from_bytes(self._receive(_HEADER), "big")
        return _from_worker.decode(self._receive(size))

    def _receive(self, size: int) -> bytearray:
        buffer = bytearray(size)
        view: Any = memoryview(buffer)
        while view:
            try:
                count = self._connection.recv_into(view)
            except OSError as error:
                raise Closed from error
            if not count:
                raise Closed
            view = view[count:]
        return buffer
