"""Finds out which commit of which repository is meant."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pygit2

from holdfast.analyzers.code.params import Params, read_params
from holdfast.analyzers.code.repository import (
    GIT_ERRORS,
    canonical_path,
    discover,
    git_directory_of,
    open_repository,
    root_tree,
    shallow_boundary,
)
from holdfast.domain.errors import (
    BranchNotFound,
    CommitNotFound,
    CorruptTarget,
    EmptyRepository,
    InvalidTarget,
)
from holdfast.domain.ports import Request
from holdfast.domain.subjects import Subject

_HEX = re.compile(r"[0-9a-fA-F]{4,40}")
_NAMES_SHOWN = 20
# A hundred thousand commits take minutes the first time, and the default of a few minutes is meant for small things.
_TIMEOUT_SECONDS = 3600.0


class _NoSuchCommit(CommitNotFound):
    """The repository, which is whole, has no such commit."""

    suggestions = ("Give a commit's id, its beginning, or a tag; see `git log` and `git tag`",)


def resolve_target(target: str, given: Mapping[str, Any]) -> Request:
    """Make a target definite.

    Args:
        target: a path in or of a repository.
        given: the parameters.

    Returns:
        The request: its parameters name the branch that was found, and the whole id of a commit that was given.

    Raises:
        InvalidTarget: there is nothing to analyse (its subclasses say why).
        InvalidParams: a parameter is unknown or has a wrong value.
    """
    params = read_params(given)
    repository = open_repository(discover(target))
    branch, commit = _find(repository, params)
    # Noticed now rather than after a wait in the queue.
    root_tree(repository, str(commit.id))
    path = canonical_path(repository)
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise InvalidTarget("The repository's path is not UTF-8", target=ascii(target)) from error
    name = Path(path).name.removesuffix(".git") or "repository"
    revision = str(commit.id)
    pinned = revision if params.commit is not None or branch is None else None
    return Request(
        subject=Subject(
            kind="git-commit" if branch is None else "git-branch",
            key=f"{path}#{revision if branch is None else branch}",
            revision=revision,
            title=f"{name}@{revision[:10] if branch is None else branch}",
            attributes={"repository": path, "branch": branch},
        ),
        params=params.to_json(branch=branch, commit=pinned),
        location=git_directory_of(repository),
        timeout_seconds=_TIMEOUT_SECONDS,
    )


def _find(repository: pygit2.Repository, params: Params) -> tuple[str | None, pygit2.Commit]:
    if params.branch is not None:
        tip = _branch_tip(repository, params.branch)
        return params.branch, tip if params.commit is None else _commit(repository, params.commit)
    if params.commit is not None:
        return None, _commit(repository, params.commit)
    try:
        unborn, detached = repository.head_is_unborn, repository.head_is_detached
    except GIT_ERRORS as error:
        raise CorruptTarget(f"HEAD cannot be read: {error}") from error
    if unborn:
        _refuse_empty(repository)
        raise BranchNotFound("The branch that is checked out has no commit yet", branches=_branches(repository))
    if detached:
        return None, _peel(repository.head, "HEAD")
    return repository.head.shorthand, _peel(repository.head, repository.head.shorthand)


def _branch_tip(repository: pygit2.Repository, name: str) -> pygit2.Commit:
    # As in git: a branch here, else one that was fetched (`origin/topic`, or `topic` of origin), else a whole name.
    candidates = [f"refs/heads/{name}", f"refs/remotes/{name}", f"refs/remotes/origin/{name}"]
    if name.startswith(("refs/heads/", "refs/remotes/")):
        candidates.insert(0, name)
    for candidate in candidates:
        try:
            reference = repository.references.get(candidate)
        except GIT_ERRORS:
            continue
        if reference is not None:
            return _peel(reference, name)
    _refuse_empty(repository)
    raise BranchNotFound(f"The repository has no branch {name!r}", branch=name, branches=_branches(repository))


def _peel(reference: pygit2.Reference, name: str) -> pygit2.Commit:
    try:
        return reference.peel(pygit2.Commit)
    except GIT_ERRORS as error:
        raise CorruptTarget(f"The commit of {name!r} cannot be read: {error}", branch=name) from error


def _commit(repository: pygit2.Repository, name: str) -> pygit2.Commit:
    found: pygit2.Object | None = None
    try:
        reference = repository.references.get(f"refs/tags/{name.removeprefix('refs/tags/')}")
    except GIT_ERRORS:
        reference = None
    if reference is not None:
        return _peel(reference, name)
    if _HEX.fullmatch(name):
        try:
            found = repository[name]
        except ValueError as error:
            raise _NoSuchCommit(f"{name!r} is the beginning of several ids", commit=name) from error
        except KeyError:
            found = None
        except (pygit2.GitError, OSError) as error:
            raise CorruptTarget(f"Commit {name} cannot be read: {error}", commit=name) from error
    if found is None:
        _refuse_empty(repository)
        if not _HEX.fullmatch(name):
            message = f"The repository has no tag {name!r}; a commit is named by the id of a commit or a tag"
            raise _NoSuchCommit(message, commit=name)
        missing = CommitNotFound if shallow_boundary(repository) else _NoSuchCommit
        raise missing(f"The repository has no commit or tag {name!r}", commit=name)
    try:
        return found.peel(pygit2.Commit)
    except GIT_ERRORS as error:
        raise _NoSuchCommit(f"{name!r} is a {found.type_str}, not a commit", commit=name) from error


def _refuse_empty(repository: pygit2.Repository) -> None:
    if next(iter(repository.references), None) is None:
        raise EmptyRepository


def _branches(repository: pygit2.Repository) -> list[str]:
    prefix = b"refs/heads/"
    names = (name for name in repository.raw_listall_references() if name.startswith(prefix))
    return sorted(name[len(prefix) :].decode("utf-8", "backslashreplace") for name in names)[:_NAMES_SHOWN]
