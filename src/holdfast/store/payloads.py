"""Results as compressed bytes, kept once per content."""

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
import zstandard

from holdfast.domain.analysis import PayloadRef
from holdfast.domain.errors import PayloadCorrupt, ResultNotFound
from holdfast.store import tables
from holdfast.store.prepared import Prepared

_LEVEL = 3
# Short texts come out as small, in two thirds of the time.
_QUICK_LEVEL = 1


class _Zstd(threading.local):
    """A thread's own contexts: making one costs more than compressing a small result, sharing one is not safe."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=_LEVEL, write_content_size=True)
        self.quick = zstandard.ZstdCompressor(level=_QUICK_LEVEL, write_content_size=True)
        self.decompressor = zstandard.ZstdDecompressor()


_zstd = _Zstd()
_t = tables.payloads.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """A result ready to be kept.

    Attributes:
        ref: its address and sizes.
        data: a zstd frame.
    """

    ref: PayloadRef
    data: bytes


def pack(content: bytes) -> Payload:
    """Hash and compress; done before the transaction, which then only writes."""
    data = _zstd.compressor.compress(content)
    digest = hashlib.sha256(content).hexdigest()
    return Payload(ref=PayloadRef(hash=digest, size=len(content), stored_size=len(data)), data=data)


def squeeze(content: bytes) -> bytes:
    """Compress what is no result: a zstd frame."""
    return _zstd.quick.compress(content)


def expand(data: bytes) -> bytes:
    """What was squeezed."""
    return _zstd.decompressor.decompress(data)


def unpack(digest: str, data: bytes) -> bytes:
    """The content again.

    Raises:
        PayloadCorrupt: the bytes are not what was kept.
    """
    try:
        content = _zstd.decompressor.decompress(data)
    except (zstandard.ZstdError, MemoryError) as error:
        # The frame says how much memory it needs, also one that is damaged.
        raise PayloadCorrupt(f"The result {digest[:12]} cannot be decompressed", hash=digest) from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise PayloadCorrupt(f"The result {digest[:12]} does not match its checksum", hash=digest)
    return content


_PUT = Prepared(
    lambda insert: insert(tables.payloads).on_conflict_do_update(
        index_elements=["hash"], set_={"reference_count": _t.reference_count + 1}
    )
)
_RELEASE = Prepared(
    lambda _: (
        sa.update(tables.payloads)
        .where(_t.hash == sa.bindparam("payload"))
        .values(reference_count=_t.reference_count - 1)
    )
)
_DROP = Prepared(
    lambda _: sa.delete(tables.payloads).where(_t.hash == sa.bindparam("payload"), _t.reference_count <= 0)
)
_READ = Prepared(lambda _: sa.select(_t.data).where(_t.hash == sa.bindparam("payload")))


class Payloads:
    """The payloads of one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        """Work on ``connection``."""
        self._connection = connection

    def put(self, payloads: Sequence[Payload]) -> None:
        """Keep each, or count one more reference to it."""
        rows = [
            {
                "hash": payload.ref.hash,
                "size": payload.ref.size,
                "stored_size": payload.ref.stored_size,
                "reference_count": 1,
                "data": payload.data,
            }
            # In one order for all writers, so that two of them never wait for each other's rows.
            for payload in sorted(payloads, key=lambda payload: payload.ref.hash)
        ]
        _PUT.run_many(self._connection, rows)

    def release(self, digest: str) -> None:
        """Count one reference less, and drop the payload with its last one."""
        _RELEASE.run(self._connection, {"payload": digest})
        _DROP.run(self._connection, {"payload": digest})

    def read(self, digest: str) -> bytes:
        """The zstd frame as it is kept; the caller decides whether to unpack it."""
        data = _READ.scalar(self._connection, {"payload": digest})
        if data is None:
            raise ResultNotFound("The result is no longer kept", hash=digest)
        return bytes(data)
