"""Checkpoint values as bytes: what is written is what every later reader gets."""

import threading
from typing import Any

import msgspec
import zstandard

from holdfast.documents import to_json
from holdfast.domain.errors import PayloadCorrupt

_BYTES, _JSON, _ZSTD_BYTES, _ZSTD_JSON = b"b", b"j", b"B", b"J"
_WORTH_COMPRESSING = 512

_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
# zstandard's (de)compressors must not be used by two threads at once.
_local = threading.local()


def encode_value(value: Any, what: str = "The value") -> bytes:
    """Encode a checkpoint value: bytes as they are, all else as JSON, compressed when that pays.

    Raises:
        UnknownDocument: see ``to_json``.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        plain, packed, data = _BYTES, _ZSTD_BYTES, bytes(value)
    else:
        plain, packed, data = _JSON, _ZSTD_JSON, to_json(value, what)
    if len(data) >= _WORTH_COMPRESSING:
        small = _compressor().compress(data)
        if len(small) < 0.9 * len(data):
            return packed + small
    return plain + data


def decode_value(data: bytes) -> Any:
    """The value that ``encode_value`` was given; tuples come back as lists, dataclasses as dictionaries.

    Raises:
        PayloadCorrupt: the bytes are damaged.
    """
    codec, body = data[:1], data[1:]
    try:
        if codec in {_ZSTD_BYTES, _ZSTD_JSON}:
            body = _decompressor().decompress(body)
        if codec in {_BYTES, _ZSTD_BYTES}:
            return body
        if codec in {_JSON, _ZSTD_JSON}:
            return _decoder.decode(body)
    except (zstandard.ZstdError, msgspec.DecodeError) as error:
        raise PayloadCorrupt(f"A checkpoint cannot be read: {error}") from error
    raise PayloadCorrupt(f"A checkpoint cannot be read: unknown codec {codec!r}")


def _compressor() -> zstandard.ZstdCompressor:
    if not hasattr(_local, "compressor"):
        _local.compressor = zstandard.ZstdCompressor(level=3)
    compressor: zstandard.ZstdCompressor = _local.compressor
    return compressor


def _decompressor() -> zstandard.ZstdDecompressor:
    if not hasattr(_local, "decompressor"):
        _local.decompressor = zstandard.ZstdDecompressor()
    decompressor: zstandard.ZstdDecompressor = _local.decompressor
    return decompressor
