"""Reads git repositories with libgit2: read-only, without a checkout, within bounded memory."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pygit2
from pygit2.enums import FileMode, ObjectType, RepositoryOpenFlag

from holdfast.analyzers.code.objects import object_database
from holdfast.analyzers.code.reading import read_file, refuse_pipe, refuse_pipes
from holdfast.analyzers.code.values import Entry, Reason, Skip
from holdfast.domain.errors import CorruptTarget, InvalidTarget, NotARepository, TargetNotFound

# What libgit2 raises through pygit2 for objects that are missing or damaged.
GIT_ERRORS = (pygit2.GitError, KeyError, ValueError, OSError)

_WINDOW_BYTES = 1 << 20
_MAPPED_BYTES = 16 << 20
_CACHE_BYTES = 14 << 20
_WALK_CACHE_BYTES = 2 << 20
_CACHED_TREE_BYTES = 128 << 10
_MAX_DEPTH = 100
_MAX_FILES = 500_000
_LINK_BYTES = 64 << 10
_SHALLOW_BYTES = 64 << 20
_local = threading.local()


def configure_libgit2() -> None:
    """Bound libgit2's memory in this process and let it read other users' repositories.

    libgit2 maps whole packs by default; here a process maps at most 16 MiB of them. Trees up to 128 KiB are
    cached (4 KiB by default), because neighbouring commits share most of theirs; a walk over files or commits
    meets each object once, so that only those who compare commits get a cache worth its memory.

    Git refuses repositories of other users since it would run hooks and helpers that their configuration
    names. Nothing is run here, only objects are read, so a service may analyse repositories it does not own.
    """
    pygit2.settings.mwindow_size = _WINDOW_BYTES
    pygit2.settings.mwindow_mapped_limit = _MAPPED_BYTES
    pygit2.settings.cache_max_size(_WALK_CACHE_BYTES)
    pygit2.settings.cache_object_limit(ObjectType.TREE, _CACHED_TREE_BYTES)
    pygit2.settings.owner_validation = False


configure_libgit2()


def safe_text(raw: bytes) -> str:
    """Bytes as text that every encoder accepts: UTF-8, what is not stands as a backslash, x and two digits."""
    return raw.decode("utf-8", "backslashreplace")


def person_name(raw: bytes) -> str:
    """An author's name as text: UTF-8, else Latin-1, as old commits have it."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def discover(target: str) -> str:
    """Find the git directory of a path.

    Args:
        target: a bare repository, a work tree, or a folder or file inside one.

    Returns:
        The git directory, absolute, symbolic links resolved.

    Raises:
        TargetNotFound: there is nothing at that path.
        NotARepository: there is no repository there, nor above.
        InvalidTarget: the path cannot be kept as text.
    """
    try:
        target.encode()
        path = Path(target).expanduser().resolve()
        found = path.exists()
    except UnicodeEncodeError as error:
        raise InvalidTarget("The repository's path is not UTF-8", target=ascii(target)) from error
    except (OSError, ValueError, RuntimeError) as error:
        raise TargetNotFound(f"There is nothing at {target!r}: {error}", target=target) from error
    if not target or not found:
        raise TargetNotFound(f"There is nothing at {target!r}", target=target)
    try:
        _refuse_pipes_on_the_way(path)
        git_directory = pygit2.discover_repository(str(path))
    except GIT_ERRORS as error:
        raise NotARepository(f"{target!r} cannot be opened as a git repository: {error}", target=target) from error
    if git_directory is None:
        raise NotARepository(f"There is no git repository at {target!r}", target=target)
    return os.path.realpath(git_directory)


def _refuse_pipes_on_the_way(path: Path) -> None:
    # To find a repository libgit2 reads this one file of what looks like one.
    for folder in (path, *path.parents):
        link = folder / ".git"
        for candidate in (folder, link, folder / _linked(link) if link.is_file() else link):
            if (candidate / "HEAD").is_file():
                refuse_pipe(candidate / "commondir")


def _linked(link: Path) -> str:
    return os.fsdecode(read_file(link, _LINK_BYTES)).removeprefix("gitdir:").strip()


def open_repository(git_directory: str) -> pygit2.Repository:
    """Open a repository, without its work tree: what is checked out, and its attributes, have no say.

    Raises:
        NotARepository: libgit2 cannot read it (an unknown object format or reference store among the reasons),
            or would wait for ever, as a pipe stands where a file should.
    """
    try:
        common = _common_directory(Path(git_directory))
        for folder in {Path(git_directory), common}:
            refuse_pipes(folder)
            refuse_pipes(folder / "refs", below=True)
        repository = pygit2.Repository(git_directory, RepositoryOpenFlag.BARE)
        repository.set_odb(object_database(common))
    except GIT_ERRORS as error:
        raise NotARepository(
            f"{git_directory!r} cannot be opened as a git repository: {error}", target=git_directory
        ) from error
    return repository


def cached_repository(git_directory: str) -> pygit2.Repository:
    """The repository, opened once in each thread; opening costs more than reading a file.

    The last one only: a worker process serves one run at a time. libgit2's objects must not be shared by threads.
    """
    if getattr(_local, "git_directory", None) != git_directory:
        pygit2.settings.cache_max_size(_CACHE_BYTES)
        _local.repository = open_repository(git_directory)
        _local.git_directory = git_directory
    repository: pygit2.Repository = _local.repository
    return repository


def git_directory_of(repository: pygit2.Repository) -> str:
    """The git directory that holds the objects: one for all the worktrees of a repository."""
    return str(_common_directory(Path(repository.path)))


def _common_directory(git_directory: Path) -> Path:
    git_directory = git_directory.resolve()
    try:
        common = os.fsdecode(read_file(git_directory / "commondir", _LINK_BYTES)).strip()
    except FileNotFoundError:
        return git_directory
    return (git_directory / common).resolve()


def canonical_path(repository: pygit2.Repository) -> str:
    """What names the repository: the folder that holds its ``.git``, or the git directory of any other."""
    git_directory = Path(git_directory_of(repository))
    return str(git_directory.parent if git_directory.name == ".git" else git_directory)


def shallow_boundary(repository: pygit2.Repository) -> frozenset[str]:
    """The ids of the commits where a shallow clone ends; empty for a whole one.

    Raises:
        CorruptTarget: its list cannot be read.
    """
    try:
        found = read_file(Path(git_directory_of(repository)) / "shallow", _SHALLOW_BYTES)
    except FileNotFoundError:
        return frozenset()
    except OSError as error:
        raise CorruptTarget(f"The list of where the shallow clone ends cannot be read: {error}") from error
    return frozenset(found.decode("ascii", "replace").split())


def root_tree(repository: pygit2.Repository, commit: str) -> pygit2.Tree:
    """The tree of a commit.

    Raises:
        CorruptTarget: the commit or its tree is missing or damaged.
    """
    try:
        return repository[commit].peel(pygit2.Tree)
    except GIT_ERRORS as error:
        raise CorruptTarget(f"Commit {commit} cannot be read: {error}", commit=commit) from error


def list_files(
    repository: pygit2.Repository, commit: str, wanted: Callable[[str], bool], skipped: Callable[[Skip], None]
) -> Iterator[Entry]:
    """Walk a commit's tree, without loading any content.

    Args:
        repository: where.
        commit: its id.
        wanted: says of a path whether it takes part.
        skipped: told of what is no regular file, or cannot be read.

    Yields:
        Its regular files in git's order, at most 500,000.

    Raises:
        CorruptTarget: the commit or its root tree is missing or damaged.
    """
    count = 0
    # A stack of iterators, not recursion: the depth is the repository's choice.
    stack = [("", iter(root_tree(repository, commit)))]
    while stack:
        folder, entries = stack[-1]
        entry = next(entries, None)
        if entry is None:
            stack.pop()
            continue
        raw = entry.raw_name or b""
        name = safe_text(raw)
        path = folder + name
        if entry.filemode == FileMode.TREE:
            if len(stack) >= _MAX_DEPTH:
                skipped(Skip(path=path, reason=Reason.TOO_DEEP, detail=f"deeper than {_MAX_DEPTH} folders"))
                continue
            try:
                stack.append((path + "/", iter(repository[entry.id].peel(pygit2.Tree))))
            except GIT_ERRORS as error:
                skipped(Skip(path=path, reason=Reason.UNREADABLE_OBJECT, detail=f"folder: {error}"))
            continue
        if not wanted(path):
            continue
        if entry.filemode == FileMode.LINK:
            skipped(Skip(path=path, reason=Reason.SYMLINK))
        elif entry.filemode == FileMode.COMMIT:
            skipped(Skip(path=path, reason=Reason.SUBMODULE, detail=str(entry.id)))
        else:
            if count >= _MAX_FILES:
                skipped(Skip(path=path, reason=Reason.TOO_MANY_FILES, detail=f"only {_MAX_FILES} files are read"))
                return
            count += 1
            if not _is_utf8(raw):
                skipped(Skip(path=path, reason=Reason.NOT_UTF8_NAME, detail="analysed under this name"))
            yield Entry(path=path, blob=str(entry.id), size=size_of(repository, entry.id))


def size_of(repository: pygit2.Repository, blob: pygit2.Oid) -> int:
    """A content's size in bytes, from its header alone; -1 if it is missing or damaged."""
    try:
        return repository.odb.read_header(blob)[1]
    except GIT_ERRORS:
        return -1


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
