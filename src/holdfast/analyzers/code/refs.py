"""Reads which branches a repository has, and where they are; nothing is checked out and no file is read."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pygit2

from holdfast.analyzers.code.repository import GIT_ERRORS, canonical_path, discover, git_directory_of, open_repository
from holdfast.domain.repositories import Ref, Refs

_HEADS = b"refs/heads/"
_FETCHED = b"refs/remotes/origin/"
_TOLD_EVERY = 100
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC).timestamp(), datetime(9999, 12, 31, tzinfo=UTC).timestamp()


def read_refs(target: str, told: Callable[[int, int], None] = lambda _read, _total: None) -> Refs:
    """The branches of a repository.

    Args:
        target: a path in or of a repository.
        told: is told how many branches of how many were read.

    Raises:
        TargetNotFound: there is nothing at that path.
        NotARepository: there is no repository there, nor above.
    """
    # Of a worktree, the repository that it is one of: what is checked out here is not what a clone would get.
    repository = open_repository(git_directory_of(open_repository(discover(target))))
    location = canonical_path(repository)
    found: dict[str, Ref] = {}
    failed: dict[str, str] = {}
    names = _names(repository)
    for number, (name, reference) in enumerate(names.items()):
        if number % _TOLD_EVERY == 0:
            told(number, len(names))
        try:
            commit = repository.references[reference].peel(pygit2.Commit)
        except GIT_ERRORS as error:
            failed[name] = f"its commit cannot be read: {error}"
            continue
        at = datetime.fromtimestamp(min(max(commit.commit_time, _FIRST), _LAST), UTC)
        found[name] = Ref(name=name, commit_sha=str(commit.id), committed_at=at)
    told(len(names), len(names))
    default = _default(repository)
    return Refs(
        location=location,
        name=Path(location).name.removesuffix(".git") or "repository",
        default_branch=default if default in found else None,
        branches=tuple(found[name] for name in sorted(found)),
        failed=failed | _unreadable(repository),
    )


def _names(repository: pygit2.Repository) -> dict[str, str]:
    names: dict[str, str] = {}
    # Those that are here last: a branch of the same name at origin is where it was when it was fetched.
    for prefix in (_FETCHED, _HEADS):
        for raw in repository.raw_listall_references():
            short = raw[len(prefix) :]
            if raw.startswith(prefix) and _is_utf8(raw) and (prefix, short) != (_FETCHED, b"HEAD"):
                names[short.decode()] = raw.decode()
    return names


def _unreadable(repository: pygit2.Repository) -> dict[str, str]:
    return {
        raw.decode("utf-8", "backslashreplace"): "its name is not UTF-8"
        for raw in repository.raw_listall_references()
        if raw.startswith((_HEADS, _FETCHED)) and not _is_utf8(raw)
    }


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _default(repository: pygit2.Repository) -> str | None:
    for name, prefix in (("refs/remotes/origin/HEAD", "refs/remotes/origin/"), ("HEAD", "refs/heads/")):
        try:
            target = repository.references[name].target
        except GIT_ERRORS:
            continue
        if isinstance(target, str) and target.startswith(prefix):
            return target.removeprefix(prefix)
    return None
