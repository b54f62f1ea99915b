"""Text that no terminal takes for a command. Pure, and below everything that shows or logs something."""

import unicodedata

_HIDDEN = {"Cc", "Cs", "Zl", "Zp"}
# Format characters change how their neighbours look (direction, invisible); these two only join letters.
_JOINERS = "\u200c\u200d"


def safe(value: object) -> str:
    """One line that no terminal takes for a command: control characters come out as escapes."""
    text = str(value)
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(character) if _is_hidden(character) else character for character in text)


def paragraph(value: object) -> str:
    """As ``safe``, but its line ends stay."""
    return "\n".join(safe(line) for line in str(value).split("\n"))


def _is_hidden(character: str) -> bool:
    category = unicodedata.category(character)
    return category in _HIDDEN or (category == "Cf" and character not in _JOINERS)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
