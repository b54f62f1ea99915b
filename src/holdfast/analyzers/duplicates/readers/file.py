"""What all libraries have in common that are one file."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from holdfast.analyzers.duplicates.readers.library import BrokenLibrary, Library
from holdfast.domain.errors import InvalidTarget, TargetNotFound

_CHUNK = 1 << 20


def find(target: str) -> Path:
    """The file or folder that a target names, absolute, symbolic links resolved.

    Raises:
        TargetNotFound: there is nothing.
        InvalidTarget: its path cannot be kept as text.
    """
    try:
        target.encode()
        path = Path(target).expanduser().resolve()
        found = path.exists()
        os.fspath(path).encode()
    except UnicodeEncodeError as error:
        raise InvalidTarget("The library's path is not UTF-8; rename the file or folder") from error
    except (OSError, ValueError, RuntimeError) as error:
        raise TargetNotFound(f"There is nothing at {target!r}: {error}", target=target) from error
    if not target or not found:
        raise TargetNotFound(f"There is nothing at {target!r}", target=target)
    return path


def chunks(path: Path) -> Iterator[bytes]:
    """A file's bytes, a megabyte at a time.

    Raises:
        BrokenLibrary: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    except OSError as error:
        raise BrokenLibrary(f"{path} cannot be read: {error.strerror or error}") from error


class FileLibrary(Library):
    """A library in one file, known by its path; its revision is the hash of its content."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self.location = str(path)

    def _key(self) -> str:
        return self.location

    def _title(self) -> str:
        return self._path.name

    def _revision(self) -> str:
        return self._digest(lambda _: None)

    def _digest(self, look: Callable[[bytes], None]) -> str:
        digest = hashlib.sha256()
        for chunk in chunks(self._path):
            digest.update(chunk)
            look(chunk)
        return digest.hexdigest()
