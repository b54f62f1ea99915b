"""Writes a music library to try things on: invented music, as iTunes exports it, with the duplicates people have."""

import random
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from urllib.parse import quote
from xml.sax.saxutils import escape

_BEFORE = ["Velvet", "Paper", "Northern", "Hollow", "Electric", "Cardboard", "Copper", "Lunar", "Ämber", "Crooked"]
_BAND = ["Otters", "Parade", "Télégraphe", "Harbour", "Tigers", "Orchard", "Signals", "Cousins", "Märchen"]
_FIRST = ["Zoë", "Ines", "Tomás", "Freja", "Aldo", "Mireille", "Kofi", "Anaïs", "Ruben", "Saoirse", "Björn", "Petra"]
_LAST = ["Quillfeather", "Abendrot", "Marwick", "Ostrander", "Lindqvåst", "Delacombe", "Okonjo-Vale", "Saltmarsh"]
_DOING = ["Running", "Falling", "Waiting", "Dancing", "Burning", "Drifting", "Calling", "Sleeping", "Leaving"]
_WHERE = ["Through the", "Under a", "Beyond the", "Without a", "Behind the", "Into the", "Against the"]
_HOW = ["Paper", "Winter", "Silver", "Static", "Naïve", "Broken", "Distant", "Golden", "Silent", "Neon", "Borrowed"]
_THING = ["Café", "River", "Harbour", "Garden", "Engine", "Hotel", "Señorita", "Ember", "Satellite", "Road"]
_SHORT = ["Intro", "Stay", "Ghosts (Pt. 1)", "Ghosts (Pt. 2)", "Don't Ask", "Hey, You & I", "Überall", "What's Left?"]
_GENRES = ["Alternative", "Electronic", "Folk", "Jazz", "Pop", "Rock", "Soul"]
_LONG_AGO = datetime(2012, 3, 4, 18, 30, tzinfo=UTC)
_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
\t<key>Major Version</key><integer>1</integer>
\t<key>Minor Version</key><integer>1</integer>
\t<key>Application Version</key><string>1.4.5</string>
\t<key>Music Folder</key><string>file:///Music/</string>
\t<key>Library Persistent ID</key><string>5A3D1F0C9B7E2468</string>
\t<key>Tracks</key>
\t<dict>
"""
_TAIL = "\t\t\t</array>\n\t\t</dict>\n\t</array>\n</dict>\n</plist>\n"


_Facts = dict[str, str | int | bool | datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Track:
    song: str
    artist: str
    album: str
    genre: str
    year: int
    number: int
    milliseconds: int
    suffix: str = "mp3"
    copy: int = 0


def write_sample(path: Path | str, tracks: int = 2_000, seed: int = 1) -> None:
    """Write a library in the format of iTunes and Music.

    Every name in it is invented. About one song in six is there twice or more: imported again, remastered, on a
    compilation, with its guest in another place, in other case, punctuation or accents; some have a live version
    besides, which is no duplicate.

    Args:
        path: the file to write; one that is there is replaced.
        tracks: how many songs.
        seed: the same seed gives the same file, byte for byte.
    """
    chance = random.Random(seed)  # noqa: S311 no secret
    with Path(path).open("w", encoding="utf-8", newline="\n") as file:
        file.write(_HEAD)
        numbered = enumerate(islice(_tracks(chance), tracks))
        file.writelines(_entry(_facts(track, number, chance)) for number, track in numbered)
        podcast: _Facts = {"Track ID": tracks, "Name": "Episode 12", "Artist": "Two Otters Talking", "Podcast": True}
        file.write(_entry(podcast))
        file.write("\t</dict>\n\t<key>Playlists</key>\n\t<array>\n\t\t<dict>\n")
        file.write("\t\t\t<key>Name</key><string>Library</string>\n\t\t\t<key>Playlist Items</key>\n\t\t\t<array>\n")
        listed = range(min(tracks, 25))
        file.writelines(f"\t\t\t\t<dict><key>Track ID</key><integer>{number}</integer></dict>\n" for number in listed)
        file.write(_TAIL)


def _tracks(chance: random.Random) -> Iterator[_Track]:
    artists = _artists(chance)
    while True:
        # A few artists have most of the songs.
        artist = artists[int(len(artists) * chance.random() ** 2)]
        album = _title(chance)
        year = chance.randint(1968, 2024)
        genre = chance.choice(_GENRES)
        for number in range(1, chance.randint(2, 12)):
            song = _title(chance)
            if chance.random() < 0.12:
                song = f"{song} (feat. {chance.choice(artists)})"
            track = _Track(
                song=song,
                artist=artist,
                album=album,
                genre=genre,
                year=year,
                number=number,
                milliseconds=chance.randint(95_000, 420_000),
                suffix=chance.choice(("mp3", "m4a")),
            )
            yield track
            while chance.random() < 0.17:
                yield _again(track, artists, chance)
            if chance.random() < 0.04:
                other = track.milliseconds + chance.randint(8_000, 60_000)
                yield replace(track, song=f"{song} (Live)", album=f"{album} Live", milliseconds=other)


def _again(track: _Track, artists: list[str], chance: random.Random) -> _Track:
    near = replace(track, milliseconds=track.milliseconds + chance.randint(-900, 900))
    song, guest, host = track.song, chance.choice(artists), track.artist
    if " (feat. " in song:
        song, _, guest = song[:-1].partition(" (feat. ")
        return replace(near, song=song, artist=f"{host} & {guest}" if chance.random() < 0.5 else f"{host} ft. {guest}")
    bare = song.replace("'", "").replace(",", "").replace("&", "and").replace("?", "")
    return chance.choice(
        (
            replace(track, copy=1),
            replace(near, song=f"{song} - {chance.randint(2005, 2023)} Remaster", album=f"{track.album} (Deluxe)"),
            replace(near, song=f"{song} (Remastered)", year=track.year + 20),
            replace(near, song=song.upper() if chance.random() < 0.5 else song.lower(), suffix="flac"),
            replace(near, song=_plain(song), artist=_plain(host)),
            replace(near, song=bare, artist=host.removeprefix("The ")),
            replace(near, album=f"Best of {track.genre}, Vol. {chance.randint(1, 9)}", number=chance.randint(1, 20)),
            replace(near, song=f"{track.number:02d} {song}", album="", copy=1),
        )
    )


def _artists(chance: random.Random) -> list[str]:
    bands = [f"The {before} {band}" for before in _BEFORE for band in _BAND]
    people = [f"{first} {last}" for first in _FIRST for last in _LAST]
    names = bands + people
    chance.shuffle(names)
    return names


def _title(chance: random.Random) -> str:
    if chance.random() < 0.08:
        return chance.choice(_SHORT)
    thing = f"{chance.choice(_HOW)} {chance.choice(_THING)}"
    return f"{chance.choice(_DOING)} {chance.choice(_WHERE)} {thing}" if chance.random() < 0.8 else thing


def _plain(text: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))


def _facts(track: _Track, number: int, chance: random.Random) -> _Facts:
    added = _LONG_AGO + timedelta(minutes=chance.randrange(6_000_000))
    plays = int(chance.paretovariate(0.8)) - 1
    bitrate = chance.choice((128, 192, 256, 320))
    copy = f" {track.copy}" if track.copy else ""
    place = (
        f"/Music/{track.artist}/{track.album or 'Unknown Album'}/{track.number:02d} {track.song}{copy}.{track.suffix}"
    )
    kinds = {"mp3": "MPEG audio file", "m4a": "Purchased AAC audio file", "flac": "FLAC audio file"}
    facts: _Facts = {
        "Track ID": number,
        "Size": track.milliseconds * bitrate // 8,
        "Total Time": track.milliseconds,
        "Track Number": track.number,
        "Year": track.year,
        "Bit Rate": bitrate,
        "Date Added": added,
        "Persistent ID": f"{chance.getrandbits(64):016X}",
        "Name": track.song,
        "Artist": track.artist,
        "Genre": track.genre,
        "Kind": kinds[track.suffix],
        "Location": "file://" + quote(place),
    }
    if track.album:
        facts["Album"] = track.album
    if plays > 0:
        facts["Play Count"] = min(plays, 2_000)
        facts["Play Date UTC"] = added + timedelta(minutes=chance.randrange(1_000_000))
    if chance.random() < 0.15:
        facts["Rating"] = chance.choice((40, 60, 80, 100))
    return facts


def _entry(facts: _Facts) -> str:
    lines = [f"\t\t<key>{facts['Track ID']}</key>", "\t\t<dict>"]
    for key, value in facts.items():
        match value:
            case bool():
                said = f"<{str(value).lower()}/>"
            case int():
                said = f"<integer>{value}</integer>"
            case datetime():
                said = f"<date>{value:%Y-%m-%dT%H:%M:%SZ}</date>"
            case _:
                said = f"<string>{escape(value)}</string>"
        lines.append(f"\t\t\t<key>{key}</key>{said}")
    return "\n".join([*lines, "\t\t</dict>\n"])
