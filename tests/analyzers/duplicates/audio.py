"""Writes tiny audio files of each format, byte by byte as their specifications say; importable by several tests."""

import struct
import wave
from collections.abc import Mapping
from pathlib import Path

Tags = Mapping[str, str]
_ID3 = {"title": "TIT2", "artist": "TPE1", "album": "TALB", "albumartist": "TPE2", "track": "TRCK", "year": "TYER"}
_ILST = {"title": b"\xa9nam", "artist": b"\xa9ART", "album": b"\xa9alb", "albumartist": b"aART", "year": b"\xa9day"}
_INFO = {"title": b"INAM", "artist": b"IART", "album": b"IPRD"}


def mp3(path: Path, tags: Tags, seconds: int = 3) -> None:
    frames = b""
    for name, value in tags.items():
        text = b"\x01" + value.encode("utf-16")
        frames += _ID3[name].encode() + struct.pack(">IH", len(text), 0) + text
    size = len(frames)
    synchsafe = bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
    # MPEG 1 layer III, 128 kbit/s, 44.1 kHz: 1152 samples in 417 bytes.
    audio = (b"\xff\xfb\x90\x00" + bytes(413)) * round(seconds * 44_100 / 1152)
    path.write_bytes(b"ID3\x03\0\0" + synchsafe + frames + audio)


def flac(path: Path, tags: Tags, seconds: int = 3) -> None:
    rate, channels, bits = 44_100, 2, 16
    packed = rate << 44 | (channels - 1) << 41 | (bits - 1) << 36 | rate * seconds
    info = struct.pack(">HH", 4096, 4096) + bytes(6) + packed.to_bytes(8) + bytes(16)
    comments = _vorbis_comments(tags)
    blocks = b"\x00" + len(info).to_bytes(3) + info + b"\x84" + len(comments).to_bytes(3) + comments
    path.write_bytes(b"fLaC" + blocks + bytes(64))


def ogg(path: Path, tags: Tags, seconds: int = 3) -> None:
    head = b"\x01vorbis" + struct.pack("<IBIiiiBB", 0, 2, 44_100, 0, 112_000, 0, 0xB8, 1)
    comments = b"\x03vorbis" + _vorbis_comments(tags) + b"\x01"
    path.write_bytes(
        _ogg_page(head, 0, 0, 2) + _ogg_page(comments, 1, 0, 0) + _ogg_page(bytes(64), 2, 44_100 * seconds, 4)
    )


def opus(path: Path, tags: Tags, seconds: int = 3) -> None:
    head = b"OpusHead" + struct.pack("<BBHIhB", 1, 2, 0, 48_000, 0, 0)
    comments = b"OpusTags" + _vorbis_comments(tags)
    path.write_bytes(
        _ogg_page(head, 0, 0, 2) + _ogg_page(comments, 1, 0, 0) + _ogg_page(bytes(64), 2, 48_000 * seconds, 4)
    )


def m4a(path: Path, tags: Tags, seconds: int = 3) -> None:
    mvhd = _atom(b"mvhd", bytes(12) + struct.pack(">II", 1000, seconds * 1000) + bytes(80))
    sample = bytes(16) + struct.pack(">HHI", 2, 16, 0) + struct.pack(">I", 44_100 << 16)
    config = b"\x04\x11\x40\x15" + bytes(3) + struct.pack(">II", 128_000, 128_000) + b"\x05\x02\x12\x10"
    esds = _atom(b"esds", bytes(4) + b"\x03" + bytes([3 + len(config)]) + b"\0\0\0" + config)
    stsd = _atom(b"stsd", struct.pack(">II", 0, 1) + _atom(b"mp4a", sample + esds))
    trak = _atom(b"trak", _atom(b"mdia", _atom(b"minf", _atom(b"stbl", stsd))))
    items = b"".join(
        _atom(_ILST[name], _atom(b"data", struct.pack(">II", 1, 0) + value.encode()))
        for name, value in tags.items()
        if name in _ILST
    )
    meta = _atom(b"udta", _atom(b"meta", bytes(4) + _atom(b"ilst", items)))
    path.write_bytes(
        _atom(b"ftyp", b"M4A \0\0\0\0M4A ") + _atom(b"moov", mvhd + trak + meta) + _atom(b"mdat", bytes(8))
    )


def wav(path: Path, tags: Tags, seconds: int = 3) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8_000)
        file.writeframes(bytes(2 * 8_000 * seconds))
    items = b"INFO"
    for name, value in tags.items():
        if name in _INFO:
            text = value.encode() + b"\0"
            items += _INFO[name] + struct.pack("<I", len(text)) + text + bytes(len(text) % 2)
    data = path.read_bytes() + b"LIST" + struct.pack("<I", len(items)) + items
    path.write_bytes(data[:4] + struct.pack("<I", len(data) - 8) + data[8:])


def aiff(path: Path, tags: Tags, seconds: int = 3) -> None:
    rate = b"\x40\x0b\xfa\x00" + bytes(6)  # 8,000 as an 80-bit float
    chunks = b"COMM" + struct.pack(">IhIh", 18, 1, 8_000 * seconds, 16) + rate
    for name, code in (("title", b"NAME"), ("artist", b"AUTH")):
        text = tags.get(name, "").encode()
        chunks += code + struct.pack(">I", len(text)) + text + bytes(len(text) % 2)
    sound = bytes(8 + 2 * 8_000 * seconds)
    chunks += b"SSND" + struct.pack(">I", len(sound)) + sound
    path.write_bytes(b"FORM" + struct.pack(">I", len(chunks) + 4) + b"AIFF" + chunks)


def _vorbis_comments(tags: Tags) -> bytes:
    names = {"track": "TRACKNUMBER", "year": "DATE"}
    lines = [f"{names.get(name, name.upper())}={value}".encode() for name, value in tags.items()]
    vendor = b"tests"
    return (
        struct.pack("<I", len(vendor))
        + vendor
        + struct.pack("<I", len(lines))
        + b"".join(struct.pack("<I", len(line)) + line for line in lines)
    )


def _ogg_page(packet: bytes, sequence: int, granule: int, flags: int) -> bytes:
    sizes = bytes([255] * (len(packet) // 255) + [len(packet) % 255])
    return b"OggS" + struct.pack("<BBqIIIB", 0, flags, granule, 7, sequence, 0, len(sizes)) + sizes + packet


def _atom(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data) + 8) + name + data


WRITERS = {"mp3": mp3, "flac": flac, "ogg": ogg, "opus": opus, "m4a": m4a, "wav": wav, "aiff": aiff}
