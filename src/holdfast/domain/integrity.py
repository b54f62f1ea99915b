"""What a check of a store finds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that is not as it must be.

    Attributes:
        kind: what is wrong, one of few words.
        table: where.
        key: which row, or which figure.
        message: what is wrong, in a sentence.
        repairable: whether it can be set right from what is there.
    """

    kind: str
    table: str
    key: str
    message: str
    repairable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was found.

    Attributes:
        found: all that was wrong.
        left: what still is.
        results: how many results were compared with their checksums.
    """

    found: tuple[Problem, ...] = ()
    left: tuple[Problem, ...] = ()
    results: int = 0
