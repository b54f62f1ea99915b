"""A bundle: everything of a store, or a part of it, as lines of JSON. docs/reference/bundle.md describes it.

    {"bundle":"holdfast","version":1,"schema":...,...}       the header
    {"kind":"subjects","row":{...},"chain":"5f0c9a417be3d2a8"}   a line for each row
    {"rows":...,"kinds":{...},"sha256":"..."}                the footer

Each line carries the beginning of the digest of itself and all rows before it, so that damage is found at its line.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

import msgspec

from holdfast.formats.streams import InvalidBundle, uncompressed

NAME = "holdfast"
VERSION = 1
_SEED = hashlib.sha256(b"holdfast bundle 1").digest()
_HEX = 16
_HEAD = b',"chain":"'
_TAIL = b'"}'
_SUFFIX = len(_HEAD) + _HEX + len(_TAIL)
# A result of 64 MiB in base64, and room.
_LONGEST = 512 * 1024 * 1024

_encode = msgspec.json.Encoder(order="deterministic").encode


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle begins with.

    Attributes:
        bundle: whose format it is.
        version: of the format.
        schema: of the store it comes from.
        created_at: when, ISO 8601 in UTC.
        source: the program and the store that it comes from.
        selection: the filters, by name; None for everything.
        secrets: whether tokens and keys are in it.
    """

    bundle: str
    version: int
    schema: str
    created_at: str
    source: dict[str, Any]
    selection: dict[str, Any] | None
    secrets: bool


class KindTotal(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle holds of a kind.

    Attributes:
        rows: how many.
        sha256: of their lines.
    """

    rows: int
    sha256: str


class Footer(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle ends with: two bundles with equal footers hold the same.

    Attributes:
        rows: how many.
        kinds: how many and which, by kind.
        sha256: of all rows in their order.
    """

    rows: int
    kinds: dict[str, KindTotal]
    sha256: str


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A row.

    Attributes:
        kind: its table.
        row: its columns; documents inside as they are written.
        chain: the beginning of the digest up to it.
    """

    kind: str
    row: dict[str, msgspec.Raw]
    chain: str


_line = msgspec.json.Decoder(Line)


@dataclass(slots=True)
class Digest:
    """Adds up rows; the same for who writes and who reads."""

    state: bytes = _SEED
    rows: int = 0
    _counts: dict[str, int] = field(default_factory=dict)
    _hashes: dict[str, Any] = field(default_factory=dict)

    def add(self, kind: str, body: bytes) -> str:
        """Take in one row; returns what its line carries."""
        self.state = hashlib.sha256(self.state + body).digest()
        self.rows += 1
        self._counts[kind] = self._counts.get(kind, 0) + 1
        self._hashes.setdefault(kind, hashlib.sha256()).update(body)
        return self.state.hex()[:_HEX]

    def footer(self) -> Footer:
        """All of it."""
        kinds = {
            kind: KindTotal(rows=count, sha256=self._hashes[kind].hexdigest())
            for kind, count in sorted(self._counts.items())
        }
        return Footer(rows=self.rows, kinds=kinds, sha256=self.state.hex())


def write_lines(header: Header, rows: Iterator[tuple[str, Mapping[str, Any]]], digest: Digest) -> Iterator[bytes]:
    """The lines of a bundle, one at a time.

    Args:
        header: its first line.
        rows: each row's kind and columns.
        digest: takes them in.
    """
    yield _encode(header) + b"\n"
    for kind, row in rows:
        body = b'{"kind":"' + kind.encode() + b'","row":' + _encode(row)
        yield body + _HEAD + digest.add(kind, body).encode() + _TAIL + b"\n"
    yield _encode(digest.footer()) + b"\n"


@dataclass(slots=True)
class Reader:
    """Reads a bundle from a stream, line by line, and checks each.

    Attributes:
        header: the header.
        identity: names this bundle among all: the header's digest.
        digest: what was read so far.
        number: the number of the line last read, from 1.
        body: the row last read, as it is counted.
        footer: the footer, once it was read.
    """

    header: Header
    identity: str
    digest: Digest
    number: int
    footer: Footer | None
    _stream: IO[bytes]
    body: bytes = b""

    @classmethod
    def open(cls, stream: IO[bytes]) -> "Reader":
        """Begin to read; a stream that zstd compressed is unpacked.

        Raises:
            InvalidBundle: it does not begin like a bundle, or like one of a newer format.
        """
        plain = uncompressed(stream)
        first = _read_line(plain, 1)
        try:
            header = msgspec.json.decode(first, type=Header)
        except msgspec.MsgspecError as error:
            raise InvalidBundle(f"Line 1 is not the header of a bundle: {error}", line=1) from error
        if header.bundle != NAME:
            raise InvalidBundle(f"Line 1 says {header.bundle!r}, not {NAME!r}", line=1)
        if header.version != VERSION:
            raise InvalidBundle(f"The bundle has format {header.version}, this Holdfast reads format {VERSION}", line=1)
        identity = hashlib.sha256(first.rstrip(b"\n")).hexdigest()[:32]
        return cls(header, identity, Digest(), 1, None, plain)

    def lines(self) -> Iterator[Line]:
        """The rows; ends after the footer.

        Raises:
            InvalidBundle: a line is damaged, is missing, or stands where it should not; the message names it.
        """
        while self.footer is None:
            self.number += 1
            text = _read_line(self._stream, self.number).rstrip(b"\n")
            if text.startswith(b'{"kind":"'):
                yield self._checked(text)
            else:
                self.footer = self._ended(text)
        if self._stream.read(1):
            raise InvalidBundle(f"Line {self.number + 1} stands after the end", line=self.number + 1)

    def _checked(self, text: bytes) -> Line:
        number = self.number
        try:
            line = _line.decode(text)
        except msgspec.MsgspecError as error:
            raise InvalidBundle(f"Line {number} is damaged: {error}", line=number) from error
        self.body = text[:-_SUFFIX]
        expected = self.digest.add(line.kind, self.body)
        if line.chain != expected or text[-_SUFFIX:] != _HEAD + expected.encode() + _TAIL:
            raise InvalidBundle(
                f"Line {number} is damaged, or lines before it are missing: its checksum does not fit", line=number
            )
        return line

    def _ended(self, text: bytes) -> Footer:
        number = self.number
        try:
            footer = msgspec.json.decode(text, type=Footer)
        except msgspec.MsgspecError as error:
            raise InvalidBundle(f"Line {number} is damaged: {error}", line=number) from error
        if footer != self.digest.footer():
            raise InvalidBundle(f"Line {number}, the last, counts other rows than there are", line=number)
        return footer


def _read_line(stream: IO[bytes], number: int) -> bytes:
    text = stream.readline(_LONGEST)
    if not text.endswith(b"\n"):
        what = "ends in the midst of" if text else "ends before"
        raise InvalidBundle(f"The bundle {what} line {number}: it was cut off", line=number)
    return text
