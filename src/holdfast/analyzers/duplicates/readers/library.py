"""What a reader gives: a music library in batches, what it is called, and what was wrong with it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import polars as pl

from holdfast.domain.errors import CorruptTarget
from holdfast.domain.subjects import Subject

BATCH_ROWS = 5_000
_EXAMPLES = 5
_EXAMPLE_LENGTH = 200


class BrokenLibrary(CorruptTarget):
    """The library cannot be read to its end."""

    suggestions = ("Export the library again, and see that the export completes",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One way in which rows were bad.

    Attributes:
        count: how many rows, or values of rows, there were.
        examples: the first of them: where, and what it said.
    """

    count: int
    examples: tuple[str, ...]


class Problems:
    """What was skipped or left out on the way, counted by kind.

    Kinds: ``no_id``, ``duplicate_id``, ``not_music`` and ``bad_name`` are rows that were skipped; ``bad_value`` and
    ``cut_text`` are values left out or shortened; ``bad_row`` is a row with too few or too many values; ``unreadable``
    is a file or folder that could not be opened, ``bad_tags`` one whose tags make no sense.
    """

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._examples: dict[str, list[str]] = {}

    def add(self, kind: str, example: str, count: int = 1) -> None:
        """Count ``count`` more of a kind; the first examples are kept."""
        self._counts[kind] = self._counts.get(kind, 0) + count
        examples = self._examples.setdefault(kind, [])
        if len(examples) < _EXAMPLES:
            examples.append(example[:_EXAMPLE_LENGTH])

    def wants_examples(self, kind: str) -> int:
        """How many more examples of a kind will be kept."""
        return _EXAMPLES - len(self._examples.get(kind, ()))

    def clear(self) -> None:
        """Forget all: the library is read anew."""
        self._counts.clear()
        self._examples.clear()

    def by_kind(self) -> dict[str, Problem]:
        """Everything counted so far."""
        return {
            kind: Problem(count=count, examples=tuple(self._examples[kind])) for kind, count in self._counts.items()
        }


class Library(ABC):
    """A music library that can be read, again and again, in bounded memory.

    Attributes:
        kind: ``itunes``, ``csv``, ``folder``, ``sql`` or ``parquet``.
        location: what opens the same library again, in any process of this machine; holds no secret.
    """

    kind: ClassVar[str]
    location: str

    def __init__(self) -> None:
        self._problems = Problems()

    @property
    def problems(self) -> Mapping[str, Problem]:
        """What was wrong with the rows that the newest iteration over ``batches`` has passed."""
        return self._problems.by_kind()

    @cached_property
    def subject(self) -> Subject:
        """The library at its present revision; reads the whole source, or a folder's file names, once.

        Raises:
            InvalidTarget: the source cannot be read.
        """
        return Subject(
            kind="library",
            key=self._key(),
            revision=self._revision(),
            title=self._title(),
            attributes={"reader": self.kind},
        )

    @property
    @abstractmethod
    def count(self) -> int | None:
        """How many tracks there are before bad ones are skipped.

        None where only reading them tells: in text always, in a Library.xml and a database until ``subject`` was asked.
        """

    @abstractmethod
    def batches(self) -> Iterator[pl.DataFrame]:
        """The tracks in the order of the source, some thousands at a time; every id once.

        Yields:
            Tables in SCHEMA.

        Raises:
            BrokenLibrary: the source ends or breaks in the midst; the message names the line or row.
        """

    @abstractmethod
    def _key(self) -> str: ...

    @abstractmethod
    def _revision(self) -> str: ...

    @abstractmethod
    def _title(self) -> str: ...
