"""The values that pass between the parts of the code analyzer."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, NotRequired, TypedDict

# In every key of a remembered value: raise it when the same content gives another value.
PART_FORMAT = 1

# Over this a function stands out: it is kept by name, and the rules may tell of it.
COMPLEX = 15
LONG = 80
MANY_PARAMETERS = 7
DEEP = 5


class Reason(StrEnum):
    """Why something was not analysed in full."""

    BINARY = "binary"
    TOO_LARGE = "too_large"
    SYMLINK = "symlink"
    SUBMODULE = "submodule"
    UNREADABLE_OBJECT = "unreadable_object"
    LFS_POINTER = "lfs_pointer"
    VENDORED = "vendored"
    GENERATED = "generated"
    NOT_UTF8_NAME = "not_utf8_name"
    UNPARSABLE = "unparsable"
    TOO_COMPLEX = "too_complex"
    TOO_DEEP = "too_deep"
    TOO_MANY_FILES = "too_many_files"
    HISTORY_TRUNCATED = "history_truncated"
    HISTORY_UNREADABLE = "history_unreadable"
    HISTORY_NOT_DIFFED = "history_not_diffed"
    AI_SUMMARY = "ai_summary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """Something that was left out, or taken with a reservation.

    Attributes:
        path: what; None when it is not a file.
        reason: why.
        detail: the particulars, for people.
    """

    path: str | None
    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of a commit's tree.

    Attributes:
        path: its path, printable: bytes that are not UTF-8 stand as ``safe_text`` has them.
        blob: its content's object id, hexadecimal.
        size: bytes; -1 if the object could not be read.
    """

    path: str
    blob: str
    size: int


class FilePart(NamedTuple):
    """What is needed to analyse one content, in any process.

    Attributes:
        repository: the git directory.
        blob: the object id, hexadecimal.
        language: the name of the language that the path tells, or "".
        manifest: the kind of manifest that the path tells, or "".
    """

    repository: str
    blob: str
    language: str
    manifest: str

    @property
    def key(self) -> str:
        """Names the value: the content, and what of the path has a say."""
        return f"file:{PART_FORMAT}:{self.blob}:{self.language}:{self.manifest}"


class CommitPart(NamedTuple):
    """A run of commits, near each other in time.

    Attributes:
        repository: the git directory.
        commits: object ids, hexadecimal; those at the boundary of a shallow clone end with ``*``.
        key: names the value: made from the ids.
    """

    repository: str
    commits: tuple[str, ...]
    key: str


class FunctionFacts(NamedTuple):
    """One function.

    Attributes:
        name: with its class or namespace where the parser knows it.
        line: first line, from 1.
        end_line: last line.
        length: its lines without blank ones and comments.
        complexity: cyclomatic complexity, at least 1.
        parameters: how many it takes.
        nesting: depth of its deepest block.
        ordinal: 0 for the first function of that name in the file, 1 for the second, ...
    """

    name: str
    line: int
    end_line: int
    length: int
    complexity: int
    parameters: int
    nesting: int
    ordinal: int


class Manifest(TypedDict):
    """What a manifest file tells."""

    tool: str
    frameworks: list[str]
    dependencies: int


class FileFacts(TypedDict):
    """What one content holds; JSON-able, small whatever the size of the content."""

    skip: str
    detail: str
    language: str
    lines: int
    code: int
    comments: int
    functions: int
    complexity: int
    max_complexity: int
    function_lines: int
    complex_lines: list[int]
    long_lines: list[int]
    top: list[list[str | int]]
    todos: int
    markers: list[list[str | int]]
    conflict: int
    secrets: list[list[str | int]]
    windows: int
    samples: str
    manifest: NotRequired[Manifest]


class CommitFacts(NamedTuple):
    """One commit.

    Attributes:
        seconds: when it was committed, since 1970 in UTC.
        author: the author's name, without address.
        changes: path, lines added, lines deleted; as far as they could be read.
        counted: whether every change's lines were counted.
        whole: whether everything could be read.
    """

    seconds: int
    author: str
    changes: list[tuple[str, int, int]]
    counted: bool
    whole: bool
