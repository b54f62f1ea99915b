"""An object database that damaged repositories cannot hold up.

libgit2 1.9 never returns from reading a truncated loose object, the commonest damage there is: what a power cut
leaves. It also writes beyond its buffer when a loose object's header tells too small a size. So loose objects are
read here, by Python's zlib; packs by libgit2.
"""

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import pygit2
from pygit2.enums import ObjectType

from holdfast.analyzers.code.reading import read_beginning, read_file, refuse_pipes

_TYPES = {
    b"commit": ObjectType.COMMIT,
    b"tree": ObjectType.TREE,
    b"blob": ObjectType.BLOB,
    b"tag": ObjectType.TAG,
}
_HEADER_BYTES = 64
_MAX_BYTES = 256 << 20
_MAX_ALTERNATES = 32
_ALTERNATES_BYTES = 1 << 20
_HEX = frozenset("0123456789abcdef")


def object_database(git_directory: Path) -> pygit2.Odb:
    """The objects of a repository and of its alternates.

    Raises:
        OSError: there is a pipe or a device where a pack should be.
    """
    database = pygit2.Odb()
    for folder in _object_folders(git_directory / "objects"):
        refuse_pipes(folder / "pack")
        database.add_backend(pygit2.OdbBackendPack(str(folder)), 2)
        database.add_backend(LooseObjects(folder), 1)
    return database


def _object_folders(first: Path) -> list[Path]:
    found = [first]
    for folder in found:
        try:
            lines = os.fsdecode(read_file(folder / "info" / "alternates", _ALTERNATES_BYTES)).split("\n")
        except OSError:
            continue
        for line in lines:
            alternate = (folder / line).resolve()
            if line and not line.startswith("#") and alternate not in found and len(found) < _MAX_ALTERNATES:
                found.append(alternate)
    return [folder for folder in found if folder.is_dir()]


class LooseObjects(pygit2.OdbBackend):
    """The loose objects of one folder, for libgit2 to ask.

    A KeyError says that an object is not here, a ValueError that it is damaged or that a prefix fits several.

    Args:
        folder: a repository's ``objects``.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def read_cb(self, oid: pygit2.Oid) -> tuple[int, bytes]:
        """An object's type and content."""
        name = str(oid)
        packed = self._packed(name)
        kind, size, content = _inflate(name, packed, _MAX_BYTES)
        if len(content) != size:
            raise ValueError(f"{name}: loose object of {len(content)} bytes, {size} were expected")
        return kind, content

    def read_header_cb(self, oid: pygit2.Oid) -> tuple[int, int]:
        """An object's type and size in bytes; only its beginning is read."""
        name = str(oid)
        try:
            packed = read_beginning(self._path(name), 4096)
        except OSError as error:
            raise KeyError(name) from error
        kind, size, _ = _inflate(name, packed, 0)
        return kind, size

    def read_prefix_cb(self, oid: str) -> tuple[int, bytes, pygit2.Oid]:
        """The type, content and id of the one object whose id begins so."""
        whole = self.exists_prefix_cb(oid)
        return *self.read_cb(whole), whole

    def exists_cb(self, oid: pygit2.Oid) -> bool:
        """Whether there is a file for it."""
        return self._path(str(oid)).is_file()

    def exists_prefix_cb(self, oid: str) -> pygit2.Oid:
        """The id of the one object whose id begins so."""
        prefix = str(oid)
        names = [name for name in self._names(prefix[:2]) if name.startswith(prefix)]
        if not names:
            raise KeyError(prefix)
        if len(names) > 1:
            raise ValueError(f"{prefix} is ambiguous")
        return pygit2.Oid(hex=names[0])

    def refresh_cb(self) -> None:
        """Nothing is cached."""

    def __iter__(self) -> Iterator[pygit2.Oid]:
        for number in range(256):
            for name in self._names(f"{number:02x}"):
                yield pygit2.Oid(hex=name)

    def _path(self, name: str) -> Path:
        return self._folder / name[:2] / name[2:]

    def _packed(self, name: str) -> bytes:
        try:
            return read_file(self._path(name), _MAX_BYTES)
        except OSError as error:
            raise KeyError(name) from error

    def _names(self, first: str) -> list[str]:
        try:
            rest = [path.name for path in (self._folder / first).iterdir()]
        except OSError:
            return []
        return [first + name for name in rest if len(name) == 38 and _HEX.issuperset(name)]


def _inflate(name: str, packed: bytes, most: int) -> tuple[ObjectType, int, bytes]:
    """Type and size from the header, and the content: none if ``most`` is 0, else never more than the size."""
    stream = zlib.decompressobj()
    try:
        begin = stream.decompress(packed, _HEADER_BYTES)
        header, zero, content = begin.partition(b"\0")
        kind, _, digits = header.partition(b" ")
        if not zero or kind not in _TYPES or not digits.isdigit():
            raise ValueError(f"{name}: loose object without a header")
        size = int(digits)
        if most == 0:
            return _TYPES[kind], size, b""
        if size > most:
            raise ValueError(f"{name}: loose object of {size} bytes is too large")
        content += stream.decompress(stream.unconsumed_tail, max(size - len(content), 0) + 1)
        return _TYPES[kind], size, content
    except zlib.error as error:
        raise ValueError(f"{name}: damaged loose object: {error}") from error
