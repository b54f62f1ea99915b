"""Which column of a source is which of a library's, told by their headers. Pure."""

import re
import unicodedata
from collections.abc import Mapping, Sequence

from holdfast.domain.errors import InvalidParams, InvalidTarget

# As exporters, databases and people write them, without case, spaces and punctuation; the better name first.
_SPELLINGS = {
    "track_id": "trackid persistentid trackpersistentid id trackuri spotifyid uuid",
    "song": "song songname songtitle title tracktitle trackname name titel titre titulo cancion track",
    "artist": "artist artistname artists trackartist trackartists artistnames performer kunstler interpret artiste"
    " artista",
    "album": "album albumname albumtitle release releasetitle disque",
    "album_artist": "albumartist albumartistname albumartists albumartistnames albuminterpret",
    "genre": "genre genres style",
    "year": "year releaseyear date releasedate albumreleasedate jahr annee ano",
    "disc_number": "discnumber disc disk disknumber discno cd cdnumber",
    "track_number": "tracknumber trackno tracknum trackn tracknr no nr number track",
    "duration_seconds": "durationseconds durationsec durations durationinseconds dursec lengthseconds duration length"
    " time dur runtime dauer duree",
    "duration_ms": "durationms durationmillis durationmilliseconds trackdurationms lengthms milliseconds totaltime"
    " totaltimems timems msplayed",
    "play_count": "playcount plays playcounter timesplayed played scrobbles",
    "last_played": "lastplayed lastplayedat lastplayeddate playdateutc playdate lastplay dateplayed",
    "date_added": "dateadded addedat added addeddate importdate dateimported createdat",
    "rating": "rating myrating stars userrating",
    "location": "location path filepath file filename uri url fullpath",
    "bitrate_kbps": "bitratekbps bitrate kbps",
    "format": "format kind codec filetype type extension",
    "size_bytes": "sizebytes size filesize filesizebytes bytes",
}


def match_columns(headers: Sequence[str], chosen: Mapping[str, str], *, source: str) -> dict[str, str]:
    """Find a library's columns among those of a source.

    Args:
        headers: the source's columns.
        chosen: by a library's column, the source's that was said to be it.
        source: what the source is called in messages.

    Returns:
        By a library's column, the source's; what was not found is left out.

    Raises:
        InvalidParams: a chosen column is not there.
        InvalidTarget: there is none that could be the song or its file.
    """
    for wanted, header in chosen.items():
        if header not in headers:
            raise InvalidParams(
                f"columns: {source} has no column {header!r} for {wanted}; it has {_listed(headers)}",
                field="columns",
            )
    found = dict(chosen)
    free: dict[str, str] = {}
    for header in headers:
        if header not in chosen.values():
            free.setdefault(_plain(header), header)
    for wanted, spellings in _SPELLINGS.items():
        if wanted in found:
            continue
        for spelling in spellings.split():
            if spelling in free:
                found[wanted] = free.pop(spelling)
                break
    if "duration_seconds" in chosen:
        found.pop("duration_ms", None)
    if "song" not in found and "location" not in found:
        raise InvalidTarget(
            f"{source} has no column that could be the song's title; it has {_listed(headers)}. "
            "Say which it is: columns={'song': '...'}"
        )
    return found


def _plain(header: str) -> str:
    folded = unicodedata.normalize("NFKD", header.replace("#", "number")).casefold()
    return re.sub(r"[^a-z0-9]", "", folded)


def _listed(headers: Sequence[str]) -> str:
    shown = ", ".join(repr(header[:60]) for header in headers[:20])
    return f"{shown} and {len(headers) - 20} more" if len(headers) > 20 else shown or "none"


def recognised(headers: Sequence[str]) -> int:
    """How many of a source's columns have a name that a library's column may have."""
    return sum(_plain(header) in _KNOWN for header in headers)


_KNOWN = frozenset(spelling for spellings in _SPELLINGS.values() for spelling in spellings.split())
