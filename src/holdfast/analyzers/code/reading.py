"""Reads a repository's own files: whoever made the repository must not hold up whoever reads it."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path


def read_file(path: Path, most: int) -> bytes:
    """A regular file's content; a pipe in its place is refused, not waited for.

    Raises:
        OSError: it is not there, is no regular file, or holds more than ``most`` bytes.
    """
    return _read(path, most, whole=True)


def read_beginning(path: Path, size: int) -> bytes:
    """The first ``size`` bytes of a regular file.

    Raises:
        OSError: it is not there, or is no regular file.
    """
    return _read(path, size, whole=False)


def refuse_pipes(folder: Path, *, below: bool = False) -> None:
    """Look for what libgit2 would wait for for ever when it opens it as a file.

    Sockets may stay (git's file system monitor keeps one there): they cannot be opened.

    Args:
        folder: where; it need not be there.
        below: whether to look into the folders below, too.

    Raises:
        OSError: there is a pipe or a device.
    """
    todo = [folder]
    while todo:
        for entry in _entries(todo.pop()):
            if entry.is_file(follow_symlinks=False):
                continue
            if entry.is_dir(follow_symlinks=False):
                if below:
                    todo.append(Path(entry.path))
            else:
                refuse_pipe(Path(entry.path))


def refuse_pipe(path: Path) -> None:
    """Refuse a single file, if it is there.

    Raises:
        OSError: it is a pipe or a device.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise OSError(errno.EINVAL, "no regular file", str(path))


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except (FileNotFoundError, NotADirectoryError):
        return


def _read(path: Path, most: int, *, whole: bool) -> bytes:
    # Without O_NONBLOCK opening a pipe waits for somebody who writes to it.
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "no regular file", str(path))
        if whole and found.st_size > most:
            raise OSError(errno.EFBIG, f"more than {most} bytes", str(path))
        left = min(most, found.st_size)
        chunks = []
        while left and (chunk := os.read(file, left)):
            chunks.append(chunk)
            left -= len(chunk)
        return b"".join(chunks)
    finally:
        os.close(file)
