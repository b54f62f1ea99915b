"""Whether two signatures are the same song in the same version, and how sure that is. Pure.

Similarity is 1 for two signatures that say the same; each difference takes something off, and a doubt sets a cap. It is
no probability, but it orders pairs: from 0.80 on nothing but spelling differs, below that a person should look.
"""

from collections.abc import Iterator
from typing import NamedTuple

from rapidfuzz import fuzz
from rapidfuzz.distance import OSA

from holdfast.analyzers.duplicates.doubts import Doubt, cap
from holdfast.analyzers.duplicates.triples import cosine_if_made_of


class Signature(NamedTuple):
    """One row of the table of Signatures, with what comparisons need; see there and Title and Artist.

    Attributes:
        own_album: the album without which the title says nothing ("Intro").
        loose: whether no track has an artist but in its title.
        common: bit 0 and 1 for the first and second word of a short core, if many titles have it.
    """

    core: str
    tight: str
    versions: int
    version_text: str
    numbers: str
    subtitle: str
    guests: frozenset[str]
    tail: str
    head: str
    unnumbered: str
    whole_title: str
    title_length: int
    names: tuple[str, ...]
    whole_artist: str
    artist_words: str
    albums: frozenset[str]
    least_seconds: float | None
    most_seconds: float | None
    own_album: str
    common: int
    loose: bool


class Verdict(NamedTuple):
    """Two signatures are alike.

    Attributes:
        similarity: 0 to 1.
        doubts: what differs.
    """

    similarity: float
    doubts: Doubt


class _Titles(NamedTuple):
    edits: int
    doubts: Doubt = Doubt(0)


# rapidfuzz's scale, 0-100. A name may be misspelt more where the title is the same to the letter.
ARTIST_WITH_SAME_TITLE = 78
_ARTIST_WITH_LIKE_TITLE = 85
_SURE_ARTIST = 95
_SAME_VERSION_TEXT = 85
_SAME_SUBTITLE = 75
_SAME_GUEST = 75
_IN_ALBUM = 85
SAME_SWAPPED = 88
TITLE_INSIDE = 70
# In letters: typos, and an "and" or "the" that a title goes without.
_LONGER = 4
_ALBUM_LETTERS = 3

# Two copies of one recording differ by silence at their ends; other recordings by chance, too, but more often by more.
_SECONDS_ALIKE = 4.0
SECONDS_APART = 12.0
SHARE_APART = 0.06
_SHARE_FAR_APART = 0.25


def compare(a: Signature, b: Signature) -> Verdict | None:
    """Compare two signatures; the order makes no difference.

    Returns:
        How alike they are; None if they are different songs or versions.
    """
    found = _compare_in_order(a, b)
    if found is None and is_swapped(a, b):
        return Verdict(cap(Doubt.SWAPPED_FIELDS), Doubt.SWAPPED_FIELDS)
    return found or _compare_mixed(a, b)


def _compare_in_order(a: Signature, b: Signature) -> Verdict | None:
    if a.versions != b.versions:
        return None
    titles = _compare_titles(a, b)
    if titles is None:
        return None
    doubts = titles.doubts
    artist = _compare_artists(a, b)
    if artist is None:
        if titles.edits > 1 or min(len(a.tight), len(b.tight)) < 5 or not _albums_alike(a, b):
            return None
        artist = 100.0
        doubts |= Doubt.ARTIST_UNKNOWN
    elif artist < (_ARTIST_WITH_LIKE_TITLE if titles.edits else ARTIST_WITH_SAME_TITLE):
        return None
    proven = _same_album_or_length(a, b)
    if artist < _SURE_ARTIST and not proven and _is_ordinary(a) and _is_ordinary(b):
        # Many have a song of that name: names that are nearly alike are little evidence.
        doubts |= Doubt.ORDINARY_TITLE
    # Last of the refusals, as it costs most.
    if _contradict_in_order(a, b):
        return None
    if artist < _SURE_ARTIST:
        doubts |= Doubt.ARTIST_SPELLING
    doubts |= _small_doubts(a, b, proven=proven) | _guest_doubt(a, b)
    apart = _seconds_apart(a, b)
    if _far_apart(apart, a, b):
        # A typo and another length: nothing is left that speaks for one recording.
        if titles.edits or doubts & (Doubt.ONE_GUEST | Doubt.ARTIST_UNKNOWN) or _other_take(apart, a, b):
            return None
        doubts |= Doubt.DURATIONS
    longer = max(len(a.tight), len(b.tight), 1)
    lost = titles.edits / longer * (1.2 if longer >= 8 else 1.8) + (100 - artist) / 100 * 0.5
    return Verdict(round(max(min(1 - lost, cap(doubts)), 0.5), 4), doubts)


def _compare_mixed(a: Signature, b: Signature) -> Verdict | None:
    """Whether the title of one without an artist holds the other's title and artist, or title and album."""
    if not (a.loose or b.loose) or _versions_or_subtitles_differ(a, b):
        return None
    found = max(_made_of(a, b) if a.loose else 0.0, _made_of(b, a) if b.loose else 0.0)
    if not found or _far_apart(_seconds_apart(a, b), a, b):
        return None
    doubts = Doubt.MIXED_FIELDS | _small_doubts(a, b, proven=_same_album_or_length(a, b))
    only_a, only_b = _without(a.guests, b.guests), _without(b.guests, a.guests)
    if only_a and only_b:
        return None
    if only_a or only_b:
        doubts |= Doubt.ONE_GUEST
    return Verdict(round(min(found, cap(doubts)), 4), doubts)


def _versions_or_subtitles_differ(a: Signature, b: Signature) -> bool:
    return a.versions != b.versions or _version_texts_differ(a, b) or _subtitles_differ(a, b)


def _made_of(loose: Signature, other: Signature) -> float:
    """How well all that is told of one without an artist is made of the other's fields, 0 to 1."""
    # What was taken for the artist may be the track's number.
    number = loose.whole_artist.isdigit() and len(loose.whole_artist) <= 3
    beside = () if number or not loose.whole_artist else (loose.whole_artist,)
    told = [(title, *beside) for title in dict.fromkeys((loose.tight, loose.unnumbered or loose.tight))]
    tried = [(given, meant) for meant in _meanings(loose, other) for given in told if _as_long(given, meant)]
    if not tried or fuzz.partial_ratio(loose.whole_artist + loose.tight, other.tight) < TITLE_INSIDE:
        return 0.0
    return max(cosine_if_made_of(given, meant) or 0.0 for given, meant in tried)


def _meanings(loose: Signature, other: Signature) -> Iterator[tuple[str, ...]]:
    """What the title of ``loose`` may hold: the other's title with its artist, its album, or both."""
    artists = {name for name in (other.whole_artist, *other.names[:1]) if name}
    albums = [album for album in other.albums if len(album) >= _ALBUM_LETTERS]
    # With the same artist the titles have been compared as they stand, more closely than here.
    for artist in artists - {loose.whole_artist}:
        yield other.tight, artist
    for album in albums:
        yield other.tight, album
        yield from ((other.tight, artist, album) for artist in artists)


def _as_long(given: tuple[str, ...], meant: tuple[str, ...]) -> bool:
    one, two = "".join(given), "".join(meant)
    return abs(len(one) - len(two)) <= _LONGER and sorted(_digits(one)) == sorted(_digits(two))


def contradict(a: Signature, b: Signature) -> bool:
    """Whether two signatures must not be in one group, whatever else speaks for it."""
    return _contradict_in_order(a, b) and not is_swapped(a, b)


def _contradict_in_order(a: Signature, b: Signature) -> bool:
    if a.versions != b.versions:
        return True
    same_title = a.whole_title == b.whole_title
    if a.numbers != b.numbers and not (same_title or _unnumbered(a, b)):
        return True
    if _version_texts_differ(a, b) and not same_title:
        return True
    if a.own_album and b.own_album and a.names and b.names and not _albums_alike(a, b):
        return True
    return (_subtitles_differ(a, b) and not same_title) or _other_guests(a, b)


def is_swapped(a: Signature, b: Signature) -> bool:
    """Whether one's title is the other's artist, and the other way round."""
    if not a.whole_artist or not b.whole_artist or a.whole_artist == b.whole_artist:
        return False
    if a.whole_title == b.whole_artist and b.whole_title == a.whole_artist:
        return True
    return (
        fuzz.ratio(a.tight, b.whole_artist, score_cutoff=SAME_SWAPPED) > 0
        and fuzz.ratio(b.tight, a.whole_artist, score_cutoff=SAME_SWAPPED) > 0
        and a.versions == b.versions
    )


def _compare_titles(a: Signature, b: Signature) -> _Titles | None:
    if a.tight == b.tight or a.whole_title == b.whole_title:
        return _Titles(0)
    if _tail_explained(a, b) or _tail_explained(b, a):
        return _Titles(0, Doubt.ALBUM_BEHIND_TITLE)
    if _unnumbered(a, b):
        return _Titles(0, Doubt.TRACK_NUMBER)
    edits = OSA.distance(a.tight, b.tight, score_cutoff=3)
    if edits <= _allowed(a, b) and _same_words(a, b, edits):
        return _Titles(edits, Doubt.TITLE_SPELLING)
    return _Titles(0, Doubt.TITLE_CUT) if _is_cut(a, b) else None


def _allowed(a: Signature, b: Signature) -> int:
    longer = max(len(a.tight), len(b.tight))
    return 0 if longer <= 3 else 1 if longer < 8 else 2 if longer < 16 else 3


def _same_words(a: Signature, b: Signature, edits: int) -> bool:
    """Whether the difference is one of spelling: not one ordinary word for another ("Stay", "Sway")."""
    left, right = a.core.split(" "), b.core.split(" ")
    if len(left) != len(right):
        # A space too many or too few, and hardly anything else.
        one_more = abs(len(left) - len(right)) == 1 and min(len(left), len(right)) <= 2
        return edits <= 1 and (not one_more or len(a.tight) == len(b.tight))
    for place, (one, other) in enumerate(zip(left, right, strict=True)):
        if one == other:
            continue
        if len(left) <= 2 and a.common >> place & b.common >> place & 1:
            return False
        if OSA.distance(one, other) > (1 if max(len(one), len(other)) < 6 else 2):
            return edits <= 1
    return True


def _unnumbered(a: Signature, b: Signature) -> bool:
    return (a.unnumbered != "" and a.unnumbered == b.tight) or (b.unnumbered != "" and b.unnumbered == a.tight)


def _tail_explained(a: Signature, b: Signature) -> bool:
    """Whether what stands behind the dash of ``a`` is the album or the subtitle of ``b``."""
    if not a.tail or a.head != b.tight:
        return False
    if b.subtitle and fuzz.ratio(a.tail, b.subtitle) >= _SAME_SUBTITLE:
        return True
    return any(
        fuzz.ratio(a.tail[: len(album) + 4], album) >= 80
        or (len(album) >= 6 and fuzz.partial_ratio(a.tail, album) >= 90)
        for album in b.albums
        if len(album) >= 3
    )


def _is_cut(a: Signature, b: Signature) -> bool:
    short, long = sorted((a, b), key=lambda one: (len(one.tight), one.tight))
    return 27 <= short.title_length <= 31 and len(short.tight) >= 16 and long.tight.startswith(short.tight)


def _compare_artists(a: Signature, b: Signature) -> float | None:
    """How alike the artists are, 0-100; None if one is unknown."""
    if not a.names or not b.names:
        return None
    if a.names[0] == b.names[0] or a.whole_artist == b.whole_artist:
        return 100.0
    if a.names[0] in b.names or b.names[0] in a.names:
        return 96.0
    if _digits(a.whole_artist) != _digits(b.whole_artist):
        return 0.0
    found = fuzz.ratio(a.names[0], b.names[0])
    whole = fuzz.ratio(a.whole_artist, b.whole_artist)
    in_any_order = fuzz.ratio(a.artist_words, b.artist_words)
    return max(found, whole, in_any_order if in_any_order >= _ARTIST_WITH_LIKE_TITLE else 0.0)


def _is_ordinary(a: Signature) -> bool:
    """Whether the title is one or two words that many titles have."""
    return a.common == (1 if " " not in a.core else 3)


def _same_album_or_length(a: Signature, b: Signature) -> bool:
    apart = _seconds_apart(a, b)
    return bool(a.albums & b.albums) or (apart is not None and apart <= _SECONDS_ALIKE)


def _albums_alike(a: Signature, b: Signature) -> bool:
    return bool(a.albums & b.albums) or any(fuzz.ratio(one, two) >= _IN_ALBUM for one in a.albums for two in b.albums)


def _version_texts_differ(a: Signature, b: Signature) -> bool:
    if a.version_text == b.version_text:
        return False
    return fuzz.ratio(a.version_text.replace(" ", ""), b.version_text.replace(" ", "")) < _SAME_VERSION_TEXT


def _subtitles_differ(a: Signature, b: Signature) -> bool:
    if not a.subtitle or not b.subtitle or a.subtitle == b.subtitle:
        return False
    if _digits(a.subtitle) == _digits(b.subtitle) and fuzz.ratio(a.subtitle, b.subtitle) >= _SAME_SUBTITLE:
        return False
    # A subtitle that is the album's name says nothing of the song.
    return not any(
        len(subtitle) >= 3 and len(album) >= 3 and fuzz.partial_ratio(subtitle, album) >= _IN_ALBUM
        for subtitle in (a.subtitle, b.subtitle)
        for album in a.albums | b.albums
    )


def _digits(text: str) -> list[str]:
    return [letter for letter in text if letter.isdigit()]


def _small_doubts(a: Signature, b: Signature, *, proven: bool) -> Doubt:
    doubts = Doubt(0)
    if bool(a.subtitle) != bool(b.subtitle):
        doubts |= Doubt(0) if proven else Doubt.ONE_SUBTITLE
    elif a.subtitle and fuzz.ratio(a.subtitle, b.subtitle) < _SAME_SUBTITLE:
        doubts |= Doubt.OTHER_SUBTITLES
    if a.version_text != b.version_text:
        doubts |= Doubt.VERSION_WORDING
    return doubts


def _other_guests(a: Signature, b: Signature) -> bool:
    """Whether each names somebody whom the other does not: then they are two recordings."""
    only_a, only_b = _unshared_names(a, b)
    if not only_a or not only_b:
        return False
    # One lead against another, both alone, is a matter of spelling, and judged there.
    return len(a.names) + len(a.guests) + len(b.names) + len(b.guests) > 2


def _guest_doubt(a: Signature, b: Signature) -> Doubt:
    """A guest whom only one names: a fuller credit, or another recording; the same album settles it."""
    only_a, only_b = _unshared_names(a, b)
    if not a.names or not b.names or bool(only_a) == bool(only_b):
        return Doubt(0)
    return Doubt(0) if a.albums & b.albums else Doubt.ONE_GUEST


def _unshared_names(a: Signature, b: Signature) -> tuple[list[str], list[str]]:
    all_a, all_b = a.guests.union(a.names), b.guests.union(b.names)
    if all_a == all_b:
        return [], []
    return _without(all_a, all_b), _without(all_b, all_a)


def _without(some: frozenset[str], others: frozenset[str]) -> list[str]:
    rest = others - some
    return [name for name in some - others if not any(_same_name(name, other) for other in rest)]


def _same_name(one: str, other: str) -> bool:
    if (len(other) > 3 and other in one) or (len(one) > 3 and one in other):
        return True
    return fuzz.ratio(one, other) >= _SAME_GUEST


def _seconds_apart(a: Signature, b: Signature) -> float | None:
    if a.least_seconds is None or b.least_seconds is None or a.most_seconds is None or b.most_seconds is None:
        return None
    return max(a.least_seconds - b.most_seconds, b.least_seconds - a.most_seconds, 0.0)


def _other_take(apart: float | None, a: Signature, b: Signature) -> bool:
    return apart is not None and apart > _SHARE_FAR_APART * max(a.most_seconds or 0.0, b.most_seconds or 0.0)


def _far_apart(apart: float | None, a: Signature, b: Signature) -> bool:
    longest = max(a.most_seconds or 0.0, b.most_seconds or 0.0)
    return apart is not None and apart > max(SECONDS_APART, SHARE_APART * longest)
