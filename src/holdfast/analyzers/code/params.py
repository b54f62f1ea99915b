"""Checks the parameters of a code analysis. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pathspec import GitIgnoreSpec

from holdfast.domain.errors import InvalidParams

DEFAULT_MAX_FILE_BYTES = 1 << 20
DEFAULT_HISTORY = 50_000
_MAX_FILE_BYTES = 64 << 20
_MAX_HISTORY = 1_000_000
_MAX_PATTERNS = 200
_MAX_PATTERN_LENGTH = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """What can be chosen.

    Attributes:
        branch: a branch's name; None for the one that is checked out.
        commit: a commit's id, whole or short, or a tag; None for the branch's newest.
        max_file_bytes: larger files are counted, not read.
        history: how many commits to read at most, newest first; 0 for none.
        include: only paths that match one of these patterns take part, if there are any.
        exclude: paths that match one of these do not.
    """

    branch: str | None = None
    commit: str | None = None
    max_file_bytes: int = DEFAULT_MAX_FILE_BYTES
    history: int = DEFAULT_HISTORY
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def to_json(self, *, branch: str | None, commit: str | None) -> dict[str, Any]:
        """All parameters, with the branch and the commit that were found."""
        return {
            "branch": branch,
            "commit": commit,
            "max_file_bytes": self.max_file_bytes,
            "history": self.history,
            "include": list(self.include),
            "exclude": list(self.exclude),
        }

    def wanted(self) -> Callable[[str], bool]:
        """A function that says whether a path takes part."""
        include = GitIgnoreSpec.from_lines(self.include) if self.include else None
        exclude = GitIgnoreSpec.from_lines(self.exclude) if self.exclude else None

        def test(path: str) -> bool:
            return (include is None or include.match_file(path)) and not (
                exclude is not None and exclude.match_file(path)
            )

        return test


def read_params(given: Mapping[str, Any]) -> Params:
    """Check what was given and fill in the rest.

    Raises:
        InvalidParams: a parameter is unknown or has a wrong value.
    """
    known = Params.__slots__
    unknown = sorted(str(name) for name in given if name not in known)
    if unknown:
        raise InvalidParams(
            f"Unknown parameter {unknown[0]!r}; there are {', '.join(known)}", field=unknown[0], unknown=unknown
        )
    history = given.get("history", True)
    if history is None or isinstance(history, bool):
        history = 0 if history is False else DEFAULT_HISTORY
    return Params(
        branch=_name(given, "branch"),
        commit=_name(given, "commit"),
        max_file_bytes=_number(
            "max_file_bytes", given.get("max_file_bytes"), DEFAULT_MAX_FILE_BYTES, 1, _MAX_FILE_BYTES
        ),
        history=_number("history", history, DEFAULT_HISTORY, 0, _MAX_HISTORY),
        include=_patterns(given, "include"),
        exclude=_patterns(given, "exclude"),
    )


def _name(given: Mapping[str, Any], field: str) -> str | None:
    value = given.get(field)
    if value is None:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= 1024 or "\0" in value:
        raise InvalidParams(f"{field} must be a name of 1 to 1024 characters", field=field)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidParams(f"{field} is not UTF-8", field=field) from error
    return value


def _number(field: str, value: Any, default: int, least: int, most: int) -> int:
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidParams(f"{field} must be a whole number from {least} to {most}", field=field)
    return value


def _patterns(given: Mapping[str, Any], field: str) -> tuple[str, ...]:
    value = given.get(field)
    if value is None:
        return ()
    patterns = [value] if isinstance(value, str) else value
    if (
        not isinstance(patterns, list | tuple)
        or len(patterns) > _MAX_PATTERNS
        or not all(isinstance(pattern, str) and 0 < len(pattern) <= _MAX_PATTERN_LENGTH for pattern in patterns)
    ):
        raise InvalidParams(
            f"{field} must be a list of at most {_MAX_PATTERNS} patterns like 'src/**/*.py'", field=field
        )
    try:
        GitIgnoreSpec.from_lines(patterns)
    except ValueError as error:
        raise InvalidParams(f"{field}: {error}", field=field) from error
    return tuple(patterns)
