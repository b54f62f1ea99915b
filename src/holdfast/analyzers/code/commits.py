"""Reads commits: which there are, and what each changed. The second half runs in worker processes."""

import hashlib
import heapq
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pygit2
from pygit2.enums import FileMode

from holdfast.analyzers.code.repository import GIT_ERRORS, cached_repository, person_name, safe_text
from holdfast.analyzers.code.text import printable
from holdfast.analyzers.code.values import PART_FORMAT, CommitFacts, CommitPart

DIFF_MAX_BYTES = 1 << 20
DIFF_MAX_FILES = 2_000
_CHUNK_MAX = 256
_CHECK_EVERY = 256
# A chunk ends after an id whose first byte is below this: after one in 64.
_CHUNK_END = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """Which commits a history has.

    Attributes:
        commits: seconds and raw id of each, oldest first.
        cut: whether there are more than were asked for.
        failure: why a part of the history is missing; "" if it is not.
    """

    commits: list[tuple[int, bytes]]
    cut: bool
    failure: str


def walk_commits(
    repository: pygit2.Repository, start: str, limit: int, boundary: frozenset[str], check: Callable[[], None]
) -> Walk:
    """Find the newest commits that can be reached from one.

    Not with libgit2's own walk, which stops at the first commit that is missing: here its other ancestors count.

    Args:
        repository: where.
        start: the id of the newest.
        limit: how many to find at most.
        boundary: the commits at which a shallow clone ends.
        check: called now and then, may raise.
    """
    first = repository[start].peel(pygit2.Commit)
    commits: list[tuple[int, bytes]] = []
    seen = {first.id.raw}
    newest = [(-first.commit_time, first.id.raw, first)]
    failure = ""
    while newest and len(commits) < limit:
        negative, raw, commit = heapq.heappop(newest)
        commits.append((-negative, raw))
        if len(commits) % _CHECK_EVERY == 0:
            check()
        for parent in () if raw.hex() in boundary else commit.parent_ids:
            if parent.raw in seen:
                continue
            seen.add(parent.raw)
            try:
                found = repository[parent].peel(pygit2.Commit)
                heapq.heappush(newest, (-found.commit_time, parent.raw, found))
            except GIT_ERRORS as error:
                failure = printable(f"commit {parent}: {error}")
    # By time and id, whatever order the walk had: the same commits always make the same chunks.
    commits.sort()
    return Walk(commits=commits, cut=bool(newest), failure=failure)


def chunk_commits(
    repository: str, commits: Iterable[tuple[int, bytes]], boundary: frozenset[str]
) -> Iterator[CommitPart]:
    """Pack commits into parts whose limits depend on the ids alone, so that new commits leave old parts as they are.

    Args:
        repository: the git directory.
        commits: seconds and raw id of each, in order.
        boundary: the commits at which a shallow clone ends.
    """
    chunk: list[str] = []
    for _, raw in commits:
        name = raw.hex()
        chunk.append(name + "*" if name in boundary else name)
        if raw[0] < _CHUNK_END or len(chunk) == _CHUNK_MAX:
            yield _part(repository, chunk)
            chunk = []
    if chunk:
        yield _part(repository, chunk)


def _part(repository: str, chunk: list[str]) -> CommitPart:
    digest = hashlib.sha256(" ".join(chunk).encode()).hexdigest()
    return CommitPart(repository=repository, commits=tuple(chunk), key=f"commits:{PART_FORMAT}:{digest}")


def read_commits(part: CommitPart) -> bytes:
    """Find out who made the commits, when, and how many lines each changed in which file.

    Merges change nothing: what they bring was changed by the commits that they join. Renames are not detected:
    one is a deletion and an addition. Lines are not counted in contents over 1 MiB nor in commits over 2,000 files.

    Returns:
        Packed; ``unpack_commits`` reads it.
    """
    repository = cached_repository(part.repository)
    packed = [_read_commit(repository, name.rstrip("*"), at_boundary=name.endswith("*")) for name in part.commits]
    return zlib.compress(json.dumps(packed, separators=(",", ":")).encode(), 6)


def unpack_commits(packed: bytes) -> list[CommitFacts]:
    """What ``read_commits`` packed."""
    return [
        CommitFacts(seconds, author, [(path, added, deleted) for path, added, deleted in changes], counted, whole)
        for seconds, author, changes, counted, whole in json.loads(zlib.decompress(packed))
    ]


def _read_commit(repository: pygit2.Repository, name: str, *, at_boundary: bool) -> CommitFacts:
    try:
        commit = repository[name].peel(pygit2.Commit)
        author = printable(person_name(commit.author.raw_name or b"")) or "unknown"
        seconds = commit.commit_time
    except GIT_ERRORS:
        return CommitFacts(0, "unknown", [], counted=False, whole=False)
    # Past a shallow clone's boundary the parent is absent: everything would seem to be added here.
    if at_boundary or len(commit.parent_ids) > 1:
        return CommitFacts(seconds, author, [], counted=True, whole=True)
    try:
        diff = _diff(repository, commit)
    except GIT_ERRORS:
        return CommitFacts(seconds, author, [], counted=False, whole=False)
    changes: list[tuple[str, int, int]] = []
    counted, whole = True, True
    few = len(diff) <= DIFF_MAX_FILES
    for place, delta in enumerate(diff.deltas):
        path = safe_text(delta.new_file.raw_path or delta.old_file.raw_path or b"")
        lines = None
        try:
            lines = _changed_lines(repository, diff, place, delta) if few else None
        except GIT_ERRORS:
            whole = False
        counted = counted and lines is not None
        changes.append((path, *(lines or (0, 0))))
    return CommitFacts(seconds, author, changes, counted=counted, whole=whole)


def _diff(repository: pygit2.Repository, commit: pygit2.Commit) -> pygit2.Diff:
    if not commit.parent_ids:
        return commit.tree.diff_to_tree(swap=True, context_lines=0, interhunk_lines=0)
    parent = repository[commit.parent_ids[0]].peel(pygit2.Tree)
    return parent.diff_to_tree(commit.tree, context_lines=0, interhunk_lines=0)


def _changed_lines(
    repository: pygit2.Repository, diff: pygit2.Diff, place: int, delta: pygit2.DiffDelta
) -> tuple[int, int] | None:
    """Lines added and deleted; None when they are not worth counting, or not to be had (a submodule's)."""
    for side in (delta.old_file, delta.new_file):
        if side.mode == FileMode.COMMIT:
            return None
        absent = not any(side.id.raw)
        if not absent and repository.odb.read_header(side.id)[1] > DIFF_MAX_BYTES:
            return None
    patch = diff[place]
    if patch is None:
        return 0, 0
    _, added, deleted = patch.line_stats
    return added, deleted
