"""Reads a folder of audio files by their tags."""

import functools
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
from tinytag import TinyTag, TinyTagException

from holdfast.analyzers.duplicates.readers.library import BATCH_ROWS, Library, Problems
from holdfast.analyzers.duplicates.readers.params import ReaderParams
from holdfast.analyzers.duplicates.readers.table import Conformer, text

_FORMATS = {
    "mp3": "mp3 mp2 mp1",
    "flac": "flac",
    "ogg": "ogg oga spx",
    "opus": "opus",
    "aac": "m4a m4b mp4 aac",
    "wav": "wav wave",
    "aiff": "aiff aif aifc",
    "wma": "wma asf",
    "ape": "ape",
    "wavpack": "wv",
    "musepack": "mpc",
    "dsd": "dsf dff",
    "tta": "tta",
}
_FORMAT_OF = {f".{suffix}": name for name, suffixes in _FORMATS.items() for suffix in suffixes.split()}
SUFFIXES = frozenset(_FORMAT_OF)
_WITHOUT_TAG_READER = {"ape", "wavpack", "musepack", "dsd", "tta"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFile:
    """A file as it was found; picklable, so that its tags can be read in another process.

    Attributes:
        path: where it is.
        relative: the same from the library's folder on, with slashes: the track's id.
        size: in bytes.
        modified_ns: when it was last written to, in nanoseconds since 1970.
    """

    path: str
    relative: str
    size: int
    modified_ns: int

    @property
    def key(self) -> str:
        """The same as long as the file is the same; what was read of it may be remembered under this."""
        said = f"{self.path}\0{self.size}\0{self.modified_ns}"
        return hashlib.blake2b(said.encode(), digest_size=16).hexdigest()


def read_file(file: AudioFile) -> dict[str, Any]:
    """Read the tags of one file.

    Returns:
        What the file says, JSON-able: columns of a library as text, and ``problem`` (a kind of problem, and what was
        wrong) where something was. A file whose tags cannot be read is still a track, known by its name.
    """
    path = Path(file.path)
    form = _FORMAT_OF.get(path.suffix.lower(), "")
    # As players show a file without a title.
    found: dict[str, Any] = {
        "track_id": file.relative,
        "location": file.path,
        "size_bytes": str(file.size),
        "format": form,
        "song": path.stem,
    }
    if form in _WITHOUT_TAG_READER:
        return found
    try:
        tag = TinyTag.get(file.path)
    except TinyTagException as error:
        return found | {"problem": ["bad_tags", f"{file.relative}: {error}"]}
    except OSError as error:
        return found | {"problem": ["unreadable", f"{file.relative}: {error.strerror or error}"]}
    said = {
        "song": tag.title,
        "artist": tag.artist,
        "album": tag.album,
        "album_artist": tag.albumartist,
        "genre": tag.genre,
        "year": tag.year,
        "disc_number": tag.disc,
        "track_number": tag.track,
        "duration_seconds": tag.duration,
        "bitrate_kbps": None if tag.bitrate is None else round(tag.bitrate),
        "format": "alac" if form == "aac" and tag.is_lossless else None,
    }
    if not tag.duration:
        found["problem"] = ["bad_tags", f"{file.relative}: no audio found in it"]
    return found | {name: text(value) for name, value in said.items() if value not in (None, "")}


class FolderLibrary(Library):
    """The audio files in a folder and in all below it.

    What symbolic links lead to takes part too, but nothing twice, so that no file is taken for its own duplicate.
    """

    kind = "folder"

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self.location = str(path)
        self._counted: int | None = None

    @property
    def count(self) -> int | None:
        if self._counted is None:
            self._counted = sum(1 for _ in _Walk(self._path, Problems()))
        return self._counted

    def files(self) -> Iterator[AudioFile]:
        """Every audio file, by folder and name; begins the count of problems anew."""
        self._problems.clear()
        return iter(_Walk(self._path, self._problems))

    def table(self, read: Iterable[dict[str, Any]]) -> Iterator[pl.DataFrame]:
        """Batches of what ``read_file`` gave of ``files``, wherever it was called."""
        conformer = Conformer(ReaderParams(columns={}), self._problems)
        values = iter(read)
        while rows := list(islice(values, BATCH_ROWS)):
            for row in rows:
                if problem := row.get("problem"):
                    self._problems.add(*problem)
            yield conformer.conform(
                pl.DataFrame({name: [row.get(name) for row in rows] for name in _READ}, schema=_READ),
                functools.partial(_id_of, rows),
            )

    def batches(self) -> Iterator[pl.DataFrame]:
        return self.table(map(read_file, self.files()))

    def _key(self) -> str:
        return self.location

    def _title(self) -> str:
        return self._path.name or self.location

    def _revision(self) -> str:
        digest = hashlib.sha256()
        count = 0
        for file in _Walk(self._path, Problems()):
            digest.update(f"{file.relative}\0{file.size}\0{file.modified_ns}\n".encode())
            count += 1
        self._counted = count
        return digest.hexdigest()


class _Walk:
    """One way through a folder, in the order of names; what cannot be entered is counted."""

    def __init__(self, path: Path, problems: Problems) -> None:
        self._path = path
        self._problems = problems
        self._links: list[tuple[Path, str]] = []
        # By device and number: folders, and files that links lead to.
        self._seen: set[tuple[int, int]] = set()

    def __iter__(self) -> Iterator[AudioFile]:
        yield from self._folder(self._path, "")
        # After all that is really there, so that a link never comes before what it leads to.
        files: list[tuple[Path, Path, str]] = []
        while self._links:
            link, relative = self._links.pop(0)
            try:
                target = link.resolve(strict=True)
                status = target.stat()
            except (OSError, RuntimeError) as error:
                self._problems.add("unreadable", f"{_shown(relative)}: {getattr(error, 'strerror', None) or error}")
                continue
            if stat.S_ISDIR(status.st_mode):
                yield from self._folder(link, relative)
            elif stat.S_ISREG(status.st_mode):
                files.append((link, target, relative))
        for link, target, relative in files:
            try:
                if self._is_new(target.parent, remember=False) and self._is_new(target):
                    yield from self._file(str(link), relative, target.stat())
            except OSError as error:
                self._problems.add("unreadable", f"{_shown(relative)}: {error.strerror or error}")

    def _is_new(self, path: Path | str, *, remember: bool = True) -> bool:
        status = os.stat(path)  # noqa: PTH116 a Path per folder and file is half of the time
        place = (status.st_dev, status.st_ino)
        is_new = place not in self._seen
        if remember:
            self._seen.add(place)
        return is_new

    def _folder(self, top: Path, relative: str) -> Iterator[AudioFile]:
        waiting = [(str(top), relative)]
        while waiting:
            folder, under = waiting.pop()
            try:
                if not self._is_new(folder):
                    continue
                with os.scandir(folder) as entries:
                    found = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                self._problems.add("unreadable", f"{_shown(under or folder)}: {error.strerror or error}")
                continue
            below: list[tuple[str, str]] = []
            for entry in found:
                name = f"{under}/{entry.name}" if under else entry.name
                # Hidden: the halves of files that other systems leave behind ("._Song.mp3"), trash, indexes.
                if entry.name.startswith("."):
                    continue
                if entry.is_symlink():
                    self._links.append((Path(entry.path), name))
                elif entry.is_dir(follow_symlinks=False):
                    below.append((entry.path, name))
                elif _is_audio(entry.name) and entry.is_file(follow_symlinks=False):
                    yield from self._entry(entry, name)
            waiting += reversed(below)

    def _entry(self, entry: os.DirEntry[str], relative: str) -> Iterator[AudioFile]:
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError as error:
            self._problems.add("unreadable", f"{_shown(relative)}: {error.strerror or error}")
            return
        yield from self._file(entry.path, relative, status)

    def _file(self, path: str, relative: str, status: os.stat_result) -> Iterator[AudioFile]:
        if not _is_audio(relative):
            return
        try:
            path.encode()
        except UnicodeEncodeError:
            self._problems.add("bad_name", f"{_shown(relative)}: its name is not UTF-8")
            return
        yield AudioFile(path=path, relative=relative, size=status.st_size, modified_ns=status.st_mtime_ns)


_READ = pl.Schema(
    dict.fromkeys(
        (
            "track_id",
            "song",
            "artist",
            "album",
            "album_artist",
            "genre",
            "year",
            "disc_number",
            "track_number",
            "duration_seconds",
            "location",
            "bitrate_kbps",
            "format",
            "size_bytes",
        ),
        pl.String,
    )
)


def _id_of(rows: list[dict[str, Any]], place: int) -> str:
    return str(rows[place]["track_id"])


def _is_audio(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122 as above


def _shown(name: str) -> str:
    return os.fsencode(name).decode(errors="backslashreplace")
