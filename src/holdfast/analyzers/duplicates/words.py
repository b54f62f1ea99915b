"""Words that mean something in titles and artists' names, besides the versions. Data."""

# Folded, as they stand in the artist field of tracks whose artist nobody knew.
UNKNOWN_ARTISTS = frozenset(
    {
        "", "-", "--", "?", "[no artist]", "[soundtrack]", "[unknown]", "artist", "n.a.", "n/a", "na", "no artist",
        "none", "null", "unknown", "unknown artist", "va", "v.a.", "various", "various artist", "various artists",
    }
)  # fmt: skip

# Titles that many different tracks of one artist bear: the album has to agree as well.
GENERIC_TITLES = frozenset(
    {
        "bonus track", "credits", "ending", "finale", "hidden track", "interlude", "intermission", "intro",
        "introduction", "opening", "outro", "overture", "prelude", "prologue", "skit", "track", "unknown", "untitled",
    }
)  # fmt: skip

# A guest's introduction, in brackets or bare; "with" and "w/" in brackets only ("With or Without You").
GUEST_WORDS = r"feat|ft|featuring"
GUEST_WORDS_IN_BRACKETS = rf"{GUEST_WORDS}|with|w/|duet with"

# What stands between the names of several artists. "and" and "&" part bands' names too ("Simon & Garfunkel"): no harm,
# as names are compared as sets.
NAME_JOINERS = (
    r"\s*[,;/&+|\u00b7\u3001]\s*"
    rf"|\s+(?:and|{GUEST_WORDS}|with|duet with|x|vs|versus|presents|pres|y|et|und)\b\.?\s+"
)

ROMAN = {
    "ii": "2", "iii": "3", "iv": "4", "vi": "6", "vii": "7", "viii": "8", "ix": "9", "xi": "11", "xii": "12",
}  # fmt: skip
"""Roman numbers that are no words: I, V and X stand alone too often ("Malcolm X")."""
AFTER_PART = ROMAN | {
    "i": "1", "v": "5", "x": "10", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6",
    "seven": "7", "eight": "8", "nine": "9", "ten": "10",
}  # fmt: skip
"""What may follow the word part."""
PART_WORDS = r"part|parts|pt|pts|vol|volume|no|nr|chapter|act|movement|mvt|teil|parte|partie|chast"

# Words that say nothing where a version is described: "live at the Apollo" is "live apollo".
VERSION_FILLERS = frozenset({"a", "at", "by", "from", "in", "of", "on", "the", "version", "versions"})

ARTICLES = ("the ", "a ", "an ")
