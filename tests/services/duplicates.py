"""Results of searches for duplicates that nobody has searched for, for tests."""

from collections.abc import Sequence
from typing import Any

from holdfast.bootstrap import Holdfast
from holdfast.domain.access import Caller
from holdfast.domain.analysis import Analysis
from holdfast.domain.subjects import Subject

LIBRARY = Subject(kind="library", key="/music/Library.xml", revision="r1", title="Library.xml")
ALICE = Caller(name="alice", owner="alice")
BOB = Caller(name="bob", owner="bob")


def track(track_id: str, **facts: Any) -> dict[str, Any]:
    """A track's snapshot."""
    return {
        "track_id": track_id,
        "song_name": f"Song {track_id}",
        "artist_name": "Two Otters",
        "album_name": "Harbour",
        "play_count": 1,
        "size_bytes": 1000,
        "location": f"/music/{track_id}.mp3",
        "last_played": None,
        "date_added": "2024-01-01T00:00:00Z",
        "similarity_score": 0.9,
        **facts,
    }


def group(group_id: str, *tracks: dict[str, Any], **facts: Any) -> dict[str, Any]:
    """A group of tracks, of which the first is to be kept."""
    return {"group_id": group_id, "average_similarity_score": 0.9, "tracks": list(tracks), **facts}


def groups(count: int) -> list[dict[str, Any]]:
    """Groups of two tracks each, no two of which have a figure in common."""
    return [
        group(
            f"g{number:06}",
            track(f"{number}a", song_name=f"Song {count - number:06}", play_count=number),
            track(f"{number}b", song_name=f"song {count - number:06}", play_count=2 * number, size_bytes=2000),
            average_similarity_score=round(0.5 + number / (2 * count), 6),
        )
        for number in range(count)
    ]


def keep(
    hf: Holdfast,
    found: Sequence[dict[str, Any]],
    *,
    owner: str = "alice",
    subject: Subject | None = LIBRARY,
    analysis_id: str | None = None,
    **params: Any,
) -> Analysis:
    """Keep a result."""
    return hf.duplicates.save_analysis_result(
        analysis_id, owner, found, params, {"total_groups_found": len(found)}, subject=subject
    )
