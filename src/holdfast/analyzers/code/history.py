"""Adds up what the commits tell. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from holdfast.analyzers.code.values import CommitFacts

_AUTHORS_LISTED = 50
_HOTSPOTS_LISTED = 50


@dataclass(slots=True, kw_only=True)
class Churn:
    """How one file has changed.

    Attributes:
        commits: how many commits touched it.
        added: lines added.
        deleted: lines deleted.
        authors: commits by each author.
    """

    commits: int = 0
    added: int = 0
    deleted: int = 0
    authors: Counter[str] = field(default_factory=Counter)

    @property
    def owner(self) -> tuple[str, float]:
        """Who made most of its commits, and their share (0-1); the first by name among equals."""
        name, count = min(self.authors.items(), key=lambda item: (-item[1], item[0]), default=("", 0))
        return name, count / self.commits if self.commits else 0.0


@dataclass(slots=True, kw_only=True)
class _Author:
    commits: int = 0
    added: int = 0
    deleted: int = 0
    first: int = 0
    last: int = 0


class History:
    """Takes commits one by one and keeps sums only.

    Args:
        paths: the files whose changes count by file; those of files long gone count in the sums alone.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self.files: dict[str, Churn] = {path: Churn() for path in paths}
        self.commits = 0
        self.unreadable = 0
        self.uncounted = 0
        self._authors: dict[str, _Author] = {}
        self._months: dict[str, list[int]] = {}

    def add(self, commit: CommitFacts) -> None:
        """Take one more commit."""
        self.commits += 1
        self.unreadable += not commit.whole
        self.uncounted += commit.whole and not commit.counted
        changes = commit.changes
        added = sum(change[1] for change in changes)
        deleted = sum(change[2] for change in changes)
        author = self._authors.setdefault(commit.author, _Author(first=commit.seconds, last=commit.seconds))
        author.commits += 1
        author.added += added
        author.deleted += deleted
        author.first = min(author.first, commit.seconds)
        author.last = max(author.last, commit.seconds)
        month = self._months.setdefault(iso_time(commit.seconds)[:7], [0, 0, 0])
        month[0] += 1
        month[1] += added
        month[2] += deleted
        for path, path_added, path_deleted in changes:
            churn = self.files.get(path)
            if churn is not None:
                churn.commits += 1
                churn.added += path_added
                churn.deleted += path_deleted
                churn.authors[commit.author] += 1

    @property
    def authors(self) -> int:
        """How many people there are, told apart by name."""
        return len(self._authors)

    def bus_factor(self) -> int:
        """The least number of people who are together the main owners of more than half of the files."""
        owned = Counter(churn.owner[0] for churn in self.files.values() if churn.commits)
        left = sum(owned.values()) / 2
        for place, (_, count) in enumerate(owned.most_common(), 1):
            left -= count
            if left < 0:
                return place
        return 0

    def hotspots(self, complexity: Mapping[str, int]) -> list[dict[str, Any]]:
        """The files where change meets complexity: commits x summed complexity, highest first.

        Args:
            complexity: summed complexity of each file's functions.
        """
        found = [
            (churn.commits * complexity[path], path, churn)
            for path, churn in self.files.items()
            if churn.commits > 1 and complexity.get(path, 0) > 0
        ]
        found.sort(key=lambda item: (-item[0], item[1]))
        return [
            {
                "path": path,
                "score": score,
                "commits": churn.commits,
                "complexity": complexity[path],
                "authors": len(churn.authors),
                "main_owner": churn.owner[0],
                "main_owner_share": round(churn.owner[1], 3),
            }
            for score, path, churn in found[:_HOTSPOTS_LISTED]
        ]

    def report(self, complexity: Mapping[str, int]) -> dict[str, Any]:
        """The ``history`` of a result."""
        ranked = sorted(self._authors.items(), key=lambda item: (-item[1].commits, item[0]))
        seconds = [author.first for author in self._authors.values()] + [
            author.last for author in self._authors.values()
        ]
        return {
            "commits": self.commits,
            "first_commit": iso_time(min(seconds)) if seconds else None,
            "last_commit": iso_time(max(seconds)) if seconds else None,
            "months": [
                {"month": month, "commits": sums[0], "added": sums[1], "deleted": sums[2]}
                for month, sums in sorted(self._months.items())
            ],
            "authors": len(self._authors),
            "top_authors": [
                {
                    "name": name,
                    "commits": author.commits,
                    "added": author.added,
                    "deleted": author.deleted,
                    "first_commit": iso_time(author.first),
                    "last_commit": iso_time(author.last),
                }
                for name, author in ranked[:_AUTHORS_LISTED]
            ],
            "hotspots": self.hotspots(complexity),
            "bus_factor": self.bus_factor(),
        }


def iso_time(seconds: int) -> str:
    """Seconds since 1970 as ISO 8601 in UTC; dates that no calendar has come out as the nearest it has."""
    bounded = min(max(seconds, -62_135_596_800), 253_402_300_799)
    return datetime.fromtimestamp(bounded, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")
