"""Where branches are, and what changed between two commits: quick looks, without reading any content."""

from collections.abc import Iterator

import pygit2
from pygit2.enums import DeltaStatus

from holdfast.analyzers.code.repository import GIT_ERRORS, discover, open_repository, root_tree, safe_text
from holdfast.domain.errors import CommitNotFound
from holdfast.domain.freshness import Changes

_LOCAL = b"refs/heads/"
_FETCHED = b"refs/remotes/origin/"
# A summary tells how much changed, not all of it; trees of two unrelated histories may differ in everything.
_MOST = 100_000


def branch_tips(location: str) -> dict[str, str]:
    """The commits of a repository's branches by name: its own, and those fetched from origin that it has not.

    Args:
        location: a path in or of the repository.

    Raises:
        InvalidTarget: there is no repository, or it cannot be read.
    """
    repository = open_repository(discover(location))
    tips: dict[str, str] = {}
    for prefix in (_FETCHED, _LOCAL):
        tips.update(_tips(repository, prefix))
    return tips


def _tips(repository: pygit2.Repository, prefix: bytes) -> Iterator[tuple[str, str]]:
    for raw in repository.raw_listall_references():
        if not raw.startswith(prefix) or raw == _FETCHED + b"HEAD":
            continue
        try:
            reference = repository.references[raw.decode()]
            yield raw[len(prefix) :].decode(), str(reference.peel(pygit2.Commit).id)
        except GIT_ERRORS:
            # A damaged branch, or one whose name is not UTF-8, hides none of the others.
            continue


def changed_files(location: str, before: str, after: str) -> Changes:
    """The files that differ between two commits; a file that was moved is one that is gone and one that is new.

    Args:
        location: a path in or of the repository.
        before: the one commit.
        after: the other.

    Raises:
        InvalidTarget: one of them is not there, or cannot be read.
    """
    repository = open_repository(discover(location))
    try:
        difference = root_tree(repository, before).diff_to_tree(root_tree(repository, after))
    except GIT_ERRORS as error:
        raise CommitNotFound(f"{before} and {after} cannot be compared: {error}") from error
    names: dict[str, list[str]] = {"added": [], "modified": [], "deleted": []}
    is_partial = False
    for count, delta in enumerate(difference.deltas):
        if count >= _MOST:
            is_partial = True
            break
        names[_SORTS.get(delta.status, "modified")].append(safe_text(delta.new_file.raw_path))
    return Changes.of(names["added"], names["modified"], names["deleted"], is_partial=is_partial)


_SORTS = {DeltaStatus.ADDED: "added", DeltaStatus.DELETED: "deleted"}
