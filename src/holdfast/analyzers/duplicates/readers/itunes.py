"""Reads the Library.xml that iTunes and Music export, as it streams by."""

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from posixpath import splitext
from typing import Any
from urllib.parse import unquote
from xml.parsers import expat

import polars as pl

from holdfast.analyzers.duplicates.readers.file import FileLibrary, chunks
from holdfast.analyzers.duplicates.readers.library import BATCH_ROWS, BrokenLibrary, Problems
from holdfast.analyzers.duplicates.readers.params import ReaderParams
from holdfast.analyzers.duplicates.readers.table import Conformer

_KEYS = {
    "Persistent ID": "track_id",
    "Name": "song",
    "Artist": "artist",
    "Album": "album",
    "Album Artist": "album_artist",
    "Genre": "genre",
    "Year": "year",
    "Disc Number": "disc_number",
    "Track Number": "track_number",
    "Total Time": "duration_ms",
    "Play Count": "play_count",
    "Play Date UTC": "last_played",
    "Date Added": "date_added",
    "Rating": "rating",
    "Location": "location",
    "Bit Rate": "bitrate_kbps",
    "Kind": "format",
    "Size": "size_bytes",
}
_OTHER_MEDIA = frozenset({"Podcast", "Movie", "TV Show", "Has Video", "Music Video", "iTunesU", "Books", "Ringtone"})
_OTHER_KINDS = re.compile(r"ringtone|klingelton|pdf|book|stream|video|movie", re.IGNORECASE)
_MEMOS = re.compile(r"voice memos?|sprachmemos?|dictaphone", re.IGNORECASE)
# What a kind says in whichever language: "Purchased AAC audio file", "MPEG-Audiodatei".
_FORMATS = (
    ("lossless", "alac"),
    ("aac", "aac"),
    ("mpeg", "mp3"),
    ("mp3", "mp3"),
    ("wav", "wav"),
    ("aiff", "aiff"),
    ("flac", "flac"),
)
_DRIVE = re.compile(r"/[A-Za-z]:/")
_COUNTED = b"<key>Persistent ID</key>"
# plist / dict / dict under "Tracks"; a dict for each track in it.
_TRACKS_DEPTH = 3
_DEEPEST = 64
_WRITTEN = {"string", "integer", "real", "date"}
_SAID_BY_NAME = {"true", "false"}
_LONGEST_VALUE = 1 << 20


class ItunesLibrary(FileLibrary):
    """A property list in XML with the tracks of an iTunes or Music library."""

    kind = "itunes"

    def __init__(self, path: Path, params: ReaderParams) -> None:
        super().__init__(path)
        self._params = params
        self._counted: int | None = None

    @property
    def count(self) -> int | None:
        return self._counted

    def _revision(self) -> str:
        end = b""
        found = 0

        def look(chunk: bytes) -> None:
            nonlocal end, found
            found += (end + chunk).count(_COUNTED)
            end = chunk[-(len(_COUNTED) - 1) :]

        digest = self._digest(look)
        # UTF-16, which no iTunes writes, says it in other bytes.
        self._counted = found or None
        return digest

    def batches(self) -> Iterator[pl.DataFrame]:
        self._problems.clear()
        conformer = Conformer(self._params, self._problems)
        parser = _TrackParser(self._path.name)
        rows: list[tuple[int, dict[str, str]]] = []
        for track in parser.tracks(self._path):
            line, facts = track
            if (reason := _no_song(facts)) is not None:
                self._problems.add("not_music", f"line {line}: {facts.get('Name', '')[:80]!r} is {reason}")
                continue
            rows.append(track)
            if len(rows) == BATCH_ROWS:
                yield _batch(rows, conformer, self._problems)
                rows.clear()
        if rows:
            yield _batch(rows, conformer, self._problems)


def _batch(rows: list[tuple[int, dict[str, str]]], conformer: Conformer, problems: Problems) -> pl.DataFrame:
    columns = {name: [facts.get(key) for _, facts in rows] for key, name in _KEYS.items()}
    for at, (line, facts) in enumerate(rows):
        place = columns["location"][at]
        location = None if place is None else path_of(place)
        if place is not None and location is None:
            problems.add("bad_value", f"line {line}: location {place[:80]!r}")
        columns["location"][at] = location
        columns["format"][at] = _format(columns["format"][at], location)
        # An export of few words: where the file is names a track nearly as well.
        columns["track_id"][at] = columns["track_id"][at] or location
        if facts.get("Rating Computed") == "true":
            columns["rating"][at] = None
    lines = [line for line, _ in rows]
    return conformer.conform(
        pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)), lambda place: f"line {lines[place]}"
    )


def path_of(location: str) -> str | None:
    """The path in a track's location, or the address where the track is no file; None if it makes no sense.

    ``file://localhost/C:/Music/a%20b.mp3`` and ``file:///C:/Music/a%20b.mp3`` are ``C:/Music/a b.mp3``.
    """
    if not location.startswith("file://"):
        return location if "://" in location else None
    # Not as a URL: a name may hold ? and #, and old exports do not escape them.
    host, _, path = location.removeprefix("file://").partition("/")
    try:
        path = unquote("/" + path, errors="strict").rstrip("/")
    except UnicodeDecodeError:
        return None
    if _DRIVE.match(path):
        path = path[1:]
    return path if host in {"", "localhost"} else f"//{host}{path}"


def _no_song(facts: dict[str, str]) -> str | None:
    # Hardly any track has one of these keys at all.
    if not _OTHER_MEDIA.isdisjoint(facts):
        for key in sorted(_OTHER_MEDIA & facts.keys()):
            if facts[key] == "true":
                return key
    genre, kind = facts.get("Genre", ""), facts.get("Kind", "")
    if _is_memo(genre):
        return genre
    if _is_other(kind):
        return kind
    return "a stream" if facts.get("Track Type") == "URL" else None


# Of genres and kinds there are few, and each is looked at once.
@lru_cache(maxsize=1 << 10)
def _is_memo(genre: str) -> bool:
    return _MEMOS.fullmatch(genre) is not None


@lru_cache(maxsize=1 << 10)
def _is_other(kind: str) -> bool:
    return _OTHER_KINDS.search(kind) is not None


@lru_cache(maxsize=1 << 10)
def _told(kind: str | None) -> str | None:
    told = (kind or "").casefold()
    return next((name for word, name in _FORMATS if word in told), None)


def _format(kind: str | None, location: str | None) -> str | None:
    told = _told(kind)
    if told is not None:
        return told
    suffix = splitext(location)[1] if location else ""
    return suffix[1:].lower() or kind


class _TrackParser:
    """Takes the tracks out of a property list and forgets the rest.

    A property list nests; only the facts of a dict under ``Tracks`` are kept, so that playlists, which name the same
    things, are passed over. Nearly every element is a fact of a track: those have handlers of their own, which do next
    to nothing.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        # The document type names Apple's: nothing is fetched, and an entity of ours would be a bomb or a spy.
        self._parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        self._parser.EntityDeclHandler = self._refuse_entity
        self._parser.CharacterDataHandler = self._characters
        # The element's name, and the key that it stands under in a dictionary.
        self._open: list[tuple[str, str]] = []
        self._key = ""
        self._text: list[str] = []
        self._ready: list[tuple[int, dict[str, str]]] = []
        self._has_tracks = False
        self._done = False
        self._listen_outside()

    def tracks(self, path: Path) -> Iterator[tuple[int, dict[str, str]]]:
        """Each track's line, and its facts by key; numbers and dates as they are written.

        Raises:
            BrokenLibrary: the file is no such list, is damaged, or declares entities.
        """
        try:
            for chunk in chunks(path):
                self._parser.Parse(chunk)
                yield from self._ready
                self._ready.clear()
                if self._done:
                    return
                if sum(map(len, self._text)) > _LONGEST_VALUE:
                    raise self._broken("a value longer than any exported library's")
            self._parser.Parse(b"", True)  # noqa: FBT003 pyexpat takes it by position only
        except expat.ExpatError as error:
            said = f"{expat.ErrorString(error.code)}; the file is damaged or cut short"
            raise BrokenLibrary(f"{self._name}, line {error.lineno}: {said}") from error
        except (LookupError, UnicodeError, ValueError) as error:
            raise self._broken(f"its encoding cannot be read: {error}") from error
        if not self._has_tracks:
            raise BrokenLibrary(f"{self._name} has no tracks in it: export the whole library")

    def _broken(self, said: str) -> BrokenLibrary:
        return BrokenLibrary(f"{self._name}, line {self._parser.CurrentLineNumber}: {said}")

    def _refuse_entity(self, *_: Any) -> None:
        raise self._broken("declares an entity, as no exported library does")

    def _characters(self, data: str) -> None:
        if self._open and self._open[-1][0] == "key":
            self._text.append(data)

    def _listen_outside(self) -> None:
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters

    def _start(self, name: str, _: dict[str, str]) -> None:
        opened = self._open
        if not opened and name != "plist":
            raise self._broken(f"no property list: it begins with <{name[:40]}>")
        if len(opened) >= _DEEPEST:
            raise self._broken("nested deeper than any exported library")
        opened.append((name, self._key))
        self._key = ""
        self._text.clear()
        inside = len(opened) >= _TRACKS_DEPTH and opened[_TRACKS_DEPTH - 1] == ("dict", "Tracks")
        if inside and len(opened) == _TRACKS_DEPTH:
            self._has_tracks = True
        elif inside and name == "dict":
            self._listen_to_track()

    def _end(self, name: str) -> None:
        _, under = self._open.pop()
        self._key = "".join(self._text) if name == "key" else ""
        self._text.clear()
        if name == "dict" and under == "Tracks" and len(self._open) == _TRACKS_DEPTH - 1:
            self._done = True

    def _listen_to_track(self) -> None:
        track: dict[str, str] = {}
        line = self._parser.CurrentLineNumber
        text = self._text
        key = ""
        depth = 0

        def start(_: str, __: dict[str, str]) -> None:
            nonlocal depth
            depth += 1
            text.clear()

        def end(name: str) -> None:
            nonlocal depth, key
            depth -= 1
            if depth == 0:
                if name == "key":
                    key = "".join(text)
                elif name in _WRITTEN:
                    track[key] = "".join(text)
                elif name in _SAID_BY_NAME:
                    track[key] = name
            elif depth < 0:
                self._ready.append((line, track))
                self._listen_outside()
                self._end(name)

        self._parser.StartElementHandler = start
        self._parser.EndElementHandler = end
        self._parser.CharacterDataHandler = text.append
