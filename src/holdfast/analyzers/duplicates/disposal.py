"""Moves files that were decided to go out of a music folder, never for good."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from holdfast.domain.errors import InvalidTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class Going:
    """A track that was decided to go.

    Attributes:
        track_id: its path within the folder.
        keeps: the track that stays in its place, within the folder.
        size_bytes: how large its file was when it was found; 0 where that is not known.
    """

    track_id: str
    keeps: str | None
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One file's way.

    Attributes:
        track_id: its path within the folder.
        source: where it is.
        destination: where it goes.
        problem: why it stays; None where it goes, or has gone.
    """

    track_id: str
    source: Path
    destination: Path
    problem: str | None = None


def trash_beside(folder: Path) -> Path:
    """Where files go unless somebody says otherwise: beside the folder, so that no search finds them there."""
    return folder.with_name(f"{folder.name} (duplicates)")


def plan(folder: Path, trash: Path, tracks: Iterable[Going]) -> list[Move]:
    """Say what would be moved; nothing is.

    Args:
        folder: the library.
        trash: where the files go.
        tracks: what was decided to go.

    Raises:
        InvalidTarget: the trash is within the library, or the library is no folder.
    """
    home, away = folder.resolve(), trash.expanduser().resolve()
    if not home.is_dir():
        raise InvalidTarget(f"{folder} is no folder: only folders of audio files can be written to")
    if away.is_relative_to(home) or home.is_relative_to(away):
        raise InvalidTarget(f"{away} and {home} must not be within each other", field="trash")
    return [_move(home, away, track) for track in tracks]


def carry_out(moves: Iterable[Move]) -> Iterator[Move]:
    """Move files, one after the other; what cannot be moved stays, and says why."""
    for move in moves:
        if move.problem is not None:
            yield move
            continue
        try:
            move.destination.parent.mkdir(parents=True, exist_ok=True)
            # A hard link fails where the name is taken, which a rename would overwrite.
            os.link(move.source, move.destination, follow_symlinks=False)
            move.source.unlink()
        except OSError as error:
            yield replace(move, problem=error.strerror or str(error))
        else:
            yield move


def _move(home: Path, away: Path, track: Going) -> Move:
    source, destination = home / track.track_id, away / track.track_id
    return Move(
        track_id=track.track_id,
        source=source,
        destination=destination,
        problem=_problem(home, source, destination, track),
    )


def _problem(home: Path, source: Path, destination: Path, track: Going) -> str | None:
    if not _within(home, source) or ".." in Path(track.track_id).parts:
        return "it is not within the folder"
    if not source.is_file():
        return "it is not there any more"
    if track.size_bytes and source.stat().st_size != track.size_bytes:
        return "it was changed since the search"
    if track.keeps is None or not _within(home, home / track.keeps) or not (home / track.keeps).is_file():
        return "the track that was to stay is not there"
    if (home / track.keeps).samefile(source):
        return "it is the track that stays"
    return "there is a file of that name in the trash already" if destination.exists() else None


def _within(home: Path, path: Path) -> bool:
    try:
        return path.resolve().is_relative_to(home) and not path.is_symlink()
    except (OSError, RuntimeError):
        return False
