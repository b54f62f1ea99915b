"""What changed between two commits: a quick look at trees, without reading any content."""

from pygit2.enums import DeltaStatus

from holdfast.analyzers.code.repository import GIT_ERRORS, discover, open_repository, root_tree, safe_text
from holdfast.domain.errors import CommitNotFound
from holdfast.domain.freshness import Changes

# A summary tells how much changed, not all of it; trees of two unrelated histories may differ in everything.
_MOST = 100_000
_SORTS = {DeltaStatus.ADDED: "added", DeltaStatus.DELETED: "deleted"}


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
