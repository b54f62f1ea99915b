"""Streams of bytes as readers want them: buffered, unpacked, made while they are read."""

import io
from collections.abc import Iterator
from typing import IO, Any

import zstandard

from holdfast.domain.errors import InvalidInput

ZSTD = b"\x28\xb5\x2f\xfd"
_AT_ONCE = 1 << 16


class InvalidBundle(InvalidInput):
    """The bundle is damaged, cut off, or not one at all."""

    code = "INVALID_BUNDLE"
    suggestions = ("Export it again, or take another copy: what was imported of it is whole, and a rerun goes on",)


def buffered(stream: IO[bytes] | io.RawIOBase) -> io.BufferedReader:
    """The same stream, whose beginning can be looked at without reading it."""
    if isinstance(stream, io.BufferedReader):
        return stream
    return io.BufferedReader(stream if isinstance(stream, io.RawIOBase) else _Raw(stream), _AT_ONCE)


def uncompressed(stream: IO[bytes]) -> io.BufferedReader:
    """The stream, unpacked if zstd compressed it."""
    packed = buffered(stream)
    if packed.peek(4)[:4] != ZSTD:
        return packed
    reader = zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True, closefd=False)
    return buffered(_Unpacked(reader))


class LineStream(io.RawIOBase):
    """Lines that are made while they are read."""

    def __init__(self, made: Iterator[bytes]) -> None:
        """Read what ``made`` yields."""
        self._made = made
        self._left = memoryview(b"")

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with what there is."""
        while not self._left:
            following = next(self._made, None)
            if following is None:
                return 0
            self._left = memoryview(following)
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size


class _Raw(io.RawIOBase):
    """Any binary stream as one that can be buffered."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._source = stream

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._source.seekable()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._source.seek(offset, whence)

    def tell(self) -> int:
        return self._source.tell()

    def readinto(self, buffer: Any) -> int:
        content = self._source.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)


class _Unpacked(_Raw):
    def seekable(self) -> bool:
        return False

    def readinto(self, buffer: Any) -> int:
        try:
            return super().readinto(buffer)
        except zstandard.ZstdError as error:
            raise InvalidBundle(f"The bundle is damaged or cut off: {error}") from error
