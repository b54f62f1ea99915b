"""Made-up music libraries whose duplicates are known.

Artists follow Zipf's law, as they do in libraries. Of the songs 84 % are there once, 11 % twice, 3.5 % three times,
1.5 % more often; each further copy is spoilt in one to three of the ways in which fields are spoilt. 7 % of the songs
are traps: another version, part or artist of a song that is there already, which no duplicate finder may join with it.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import polars as pl

from holdfast.analyzers.duplicates.library import SCHEMA

_WORDS = """
love night heart baby time way world day life rain fire dream eyes home girl light road blue river moon summer dance
city sky gold street train winter angel ghost mirror shadow silver thunder ocean paper wild broken lonely golden crazy
little sweet hold run fall stay wait leave burn shine breathe remember forget believe tonight tomorrow yesterday forever
never always again without inside under over beyond between morning midnight sunday friday window letter garden stone
bridge station radio engine colours diamond feather island desert mountain hurricane machine telephone wedding holiday
soldier stranger sister brother mother father queen king devil doctor sailor rider dancer teacher hero fool liar thief
animal tiger wolf horse bird butterfly rose flower tree forest valley highway harbour lighthouse carousel cinema gravity
electric velvet crystal neon plastic wooden crimson violet emerald hollow gentle heavy simple perfect hungry holy sacred
secret silent distant ordinary beautiful dangerous invisible impossible closer higher deeper slower louder better
stronger younger together apart
""".split()  # noqa: SIM905 - a list of words is read as words
_SMALL = "the of in my your to a and me you for on with this no it all".split()  # noqa: SIM905 - as above
_SYLLABLES = """
ka ro mi len ta vo shi ber dan el fa gri ho in jo kel lu mar nor o per qui ras sol tu ul van wes xa yor zen bra cla dre
fen glo har is jun kor lim mon nel ott pri rud sta tho ver win
""".split()  # noqa: SIM905 - as above
_FIRST = """
Anna Ben Carla David Elena Frank Grace Hugo Iris Jonas Kira Leo Maya Nils Olga Paul Rita Sam Tom Vera Will
""".split()  # noqa: SIM905 - as above
_ACCENTS = {"a": "áàäâãå", "e": "éèëê", "i": "íìïî", "o": "óòöôõ", "u": "úùüû", "n": "ñ", "c": "ç"}
_CYRILLIC = """
ночь река свет город ветер огонь песня снег море звезда дорога весна группа кровь
""".split()  # noqa: SIM905 - as above
_JAPANESE = "夜 桜 海 星 東京 雨 夏 恋 花 空 月 風 涙 夢 君 道 光 雪".split()  # noqa: SIM905 - as above
_VERSIONS = ("(Live)", "- Live at the Arena", "(Acoustic)", "(Remix)", "(Karaoke Version)", "(Instrumental)", "(Demo)")
_LABELS = (
    " - {} Remaster", " (Remastered {})", " (Remastered)", " [Explicit]", " (Explicit)", " (Album Version)",
    " (Deluxe Edition)", " (Bonus Track)", " (Official Video)", " (Official Audio)", " - Original Mix", " (Mono)",
    " - Single Version",
)  # fmt: skip
# The same second part, whichever way it is written.
_NUMBERED = re.compile(r" (?:pt\. 2|part ii|ii|2)$")
_BEGAN = datetime(2005, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Song:
    """One song, or one copy of it."""

    title: str
    artist: str
    album: str
    seconds: float
    guest: str = ""

    def shown(self) -> "Song":
        return replace(self, title=f"{self.title} (feat. {self.guest})", guest="") if self.guest else self


def make_library(count: int, seed: int = 1) -> pl.DataFrame:
    """A library in SCHEMA with one column more, ``song_id``: the song that a track is a copy of.

    Args:
        count: how many tracks.
        seed: another number gives another library.
    """
    chance = random.Random(seed)
    names = [_artist(chance) for _ in range(max(20, count // 12))]
    weights = [1 / (rank + 1) ** 0.7 for rank in range(len(names))]
    cumulated = [0.0]
    for weight in weights:
        cumulated.append(cumulated[-1] + weight)
    leads = iter(chance.choices(names, cum_weights=cumulated[1:], k=2 * count))
    rows: list[tuple[int, Song]] = []
    known: list[Song] = []
    taken: set[tuple[str, str]] = set()
    while len(rows) < count:
        song = _trap(chance, chance.choice(known), next(leads)) if known and chance.random() < 0.07 else None
        song = song or _song(chance, next(leads))
        identity = (_NUMBERED.sub(" 2", song.title.lower()), song.artist.lower())
        if identity in taken:
            continue
        taken.add(identity)
        song_id = len(taken)
        if not song.title.endswith(")"):
            known.append(song)
        rows.append((song_id, song.shown()))
        rows += [(song_id, _spoil(chance, song)) for _ in range(_copies(chance) - 1)]
    rows = rows[:count]
    chance.shuffle(rows)
    return _frame(chance, rows)


def _copies(chance: random.Random) -> int:
    at = chance.random()
    return 1 if at < 0.84 else 2 if at < 0.95 else 3 if at < 0.985 else chance.randint(4, 7)


def _invented(chance: random.Random) -> str:
    return "".join(chance.choice(_SYLLABLES) for _ in range(chance.randint(2, 4)))


def _artist(chance: random.Random) -> str:
    at = chance.random()
    if at < 0.02:
        return f"{chance.choice(_CYRILLIC)} {chance.choice(_CYRILLIC)} {chance.randint(2, 99)}".title()
    if at < 0.45:
        return f"{chance.choice(_FIRST)} {_invented(chance).title()}"
    if at < 0.65:
        return f"The {_invented(chance).title()} {chance.choice(_WORDS).title()}s"
    if at < 0.75:
        return f"{_invented(chance).title()} & {_invented(chance).title()}"
    return _invented(chance).title()


def _song(chance: random.Random, artist: str) -> Song:
    at = chance.random()
    if at < 0.02:
        title = " ".join(chance.sample(_CYRILLIC, chance.randint(1, 3))).capitalize()
    elif at < 0.04:
        title = "".join(chance.sample(_JAPANESE, chance.randint(2, 4)))
    else:
        title = _title(chance)
    guest = f"{chance.choice(_FIRST)} {_invented(chance).title()}" if chance.random() < 0.06 else ""
    album = _title(chance) if chance.random() < 0.8 else title
    return Song(title, artist, album, float(chance.randint(110, 420)), guest)


def _title(chance: random.Random) -> str:
    words = [chance.choice(_WORDS)]
    more = chance.choices((0, 1, 2, 3, 4), (15, 30, 28, 17, 10))[0]
    words += [chance.choice(_SMALL if chance.random() < 0.35 else _WORDS) for _ in range(more)]
    if chance.random() < 0.45:
        words.insert(chance.randrange(len(words) + 1), _invented(chance))
    if chance.random() < 0.03:
        words.append(f"({' '.join(chance.sample(_WORDS, 3))})")
    return " ".join(words).title()


def _trap(chance: random.Random, song: Song, other: str) -> Song:
    """Another song that looks like ``song``."""
    seconds = max(60.0, song.seconds + chance.choice((-40, -25, 18, 30, 60)))
    at = chance.random()
    if at < 0.55:
        return replace(song, title=f"{song.title} {chance.choice(_VERSIONS)}", seconds=seconds)
    if at < 0.7:
        return replace(
            song, title=f"{song.title} {chance.choice(('Pt. 2', 'Pt. 3', 'Part II', 'II', '2'))}", seconds=seconds
        )
    return replace(song, artist=other, album=_title(chance), seconds=seconds)


def _spoil(chance: random.Random, song: Song) -> Song:
    copy = replace(song, seconds=song.seconds + chance.randint(-3, 3))
    if chance.random() < 0.25:
        return copy.shown()
    for change in chance.choices(_CHANGES, _WEIGHTS, k=chance.choice((1, 1, 2, 3))):
        copy = change(chance, copy)
    return copy.shown()


def _case(chance: random.Random, song: Song) -> Song:
    change = chance.choice((str.lower, str.upper))
    return replace(song, title=change(song.title), artist=change(song.artist))


def _punctuation(chance: random.Random, song: Song) -> Song:
    title = (
        song.title.replace("'", "\u2019")
        if "'" in song.title
        else song.title.replace(" ", chance.choice(("  ", ", ")), 1)
    )
    return replace(song, title=title)


def _accents(chance: random.Random, song: Song) -> Song:
    return replace(song, title=_accented(chance, song.title), artist=_accented(chance, song.artist))


def _accented(chance: random.Random, text: str) -> str:
    return "".join(chance.choice(_ACCENTS[c]) if c in _ACCENTS and chance.random() < 0.3 else c for c in text)


def _mojibake(chance: random.Random, song: Song) -> Song:
    spoilt = _accented(chance, song.title).encode().decode("cp1252", errors="ignore")
    # What cp1252 cannot show is lost, and then the text is beyond repair: not a fair question.
    whole = spoilt.encode("cp1252", errors="ignore").decode(errors="ignore") if spoilt else ""
    return replace(song, title=spoilt) if len(whole) == len(song.title) else song


def _guest_moved(chance: random.Random, song: Song) -> Song:
    if not song.guest:
        return song
    joiner = chance.choice((" feat. ", ", ", " & ", " ft. "))
    return replace(song, artist=f"{song.artist}{joiner}{song.guest}", guest="")


def _the(chance: random.Random, song: Song) -> Song:
    if song.artist.startswith("The "):
        bare = song.artist[4:]
        return replace(song, artist=chance.choice((bare, f"{bare}, The")))
    return replace(song, artist=f"The {song.artist}")


def _and(chance: random.Random, song: Song) -> Song:
    def change(text: str) -> str:
        return text.replace(" & ", " and ") if " & " in text else text.replace(" And ", " & ")

    return replace(song, title=change(song.title), artist=change(song.artist))


def _label(chance: random.Random, song: Song) -> Song:
    return replace(song, title=song.title + chance.choice(_LABELS).format(chance.randint(1995, 2023)))


def _prefix(chance: random.Random, song: Song) -> Song:
    number = chance.randint(1, 20)
    return replace(song, title=chance.choice((f"{number:02} - ", f"{number:02}. ", f"{number:02} ")) + song.title)


def _typo(chance: random.Random, song: Song) -> Song:
    if chance.random() < 0.3:
        return replace(song, artist=_misspelt(chance, song.artist))
    return replace(song, title=_misspelt(chance, song.title))


def _misspelt(chance: random.Random, text: str) -> str:
    if len(text) < 5:
        return text
    at = chance.randrange(1, len(text) - 1)
    letter = chance.choice("abcdefghijklmnopqrstuvwxyz")
    return chance.choice(
        (
            text[:at] + text[at + 1 :],
            text[:at] + letter + text[at:],
            text[:at] + letter + text[at + 1 :],
            text[:at] + text[at + 1] + text[at] + text[at + 2 :],
        )
    )


def _cut(chance: random.Random, song: Song) -> Song:
    shown = song.shown()
    return replace(shown, title=shown.title[:30], artist=shown.artist[:30], album=shown.album[:30])


def _artist_in_title(chance: random.Random, song: Song) -> Song:
    shown = song.shown()
    nobody = chance.choice(("", "Unknown Artist", "Various Artists"))
    return replace(shown, title=f"{song.artist} - {shown.title}", artist=nobody)


def _swapped(chance: random.Random, song: Song) -> Song:
    shown = song.shown()
    return replace(shown, title=shown.artist, artist=shown.title)


def _no_album(chance: random.Random, song: Song) -> Song:
    return replace(song, album="")


def _compilation(chance: random.Random, song: Song) -> Song:
    return replace(song, album=chance.choice(("Greatest Hits", "The Best Of", f"Now {chance.randint(1, 99)}")))


def _no_artist(chance: random.Random, song: Song) -> Song:
    return replace(song, artist="")


_CHANGES: tuple[Callable[[random.Random, Song], Song], ...]
_CHANGES, _WEIGHTS = zip(
    (_case, 12), (_punctuation, 6), (_accents, 4), (_mojibake, 2), (_guest_moved, 10), (_the, 6), (_and, 5),
    (_label, 20), (_prefix, 8), (_typo, 14), (_cut, 3), (_artist_in_title, 3), (_swapped, 1), (_no_album, 10),
    (_compilation, 8), (_no_artist, 1),
    strict=True,
)  # fmt: skip


def _frame(chance: random.Random, rows: list[tuple[int, Song]]) -> pl.DataFrame:
    days = [chance.randrange(7000) for _ in rows]
    frame = pl.DataFrame(
        {
            "track_id": [f"t{number:07}" for number in range(len(rows))],
            "song": [song.title for _, song in rows],
            "artist": [song.artist or None for _, song in rows],
            "album": [song.album or None for _, song in rows],
            "duration_seconds": [song.seconds if chance.random() < 0.7 else None for _, song in rows],
            "play_count": [int(chance.paretovariate(0.8)) - 1 for _ in rows],
            "date_added": [_BEGAN + timedelta(days=day) for day in days],
            "last_played": [
                _BEGAN + timedelta(days=day + chance.randrange(900)) if chance.random() < 0.6 else None for day in days
            ],
            "song_id": [song_id for song_id, _ in rows],
        },
    )
    missing = [pl.lit(None, dtype=kind).alias(name) for name, kind in SCHEMA.items() if name not in frame.columns]
    full = frame.with_columns(missing)
    return full.select(*(pl.col(name).cast(kind) for name, kind in SCHEMA.items()), "song_id")
