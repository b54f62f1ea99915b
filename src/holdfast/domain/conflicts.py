"""Two versions that somebody has to choose between."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class ConflictKind(StrEnum):
    """What the two versions are of."""

    BRANCH = "branch"
    ANALYSIS = "analysis"


class Resolution(StrEnum):
    """Which version was chosen."""

    LOCAL = "local"
    REMOTE = "remote"
    MERGED = "merged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A conflict; nothing of either side is lost.

    Attributes:
        conflict_id: names it.
        client_session_id: whose it is.
        repo_id: the repository.
        branch_name: the branch.
        kind: what the versions are of.
        reason: why they were not settled.
        base: what the writer of the remote version knew; None if that is not known.
        local: what was kept when the conflict arose.
        remote: what came in.
        local_version: the branch's version when it arose; None for analyses.
        base_version: the version that the writer knew.
        branch_version: the branch's version by now.
        version: counts the conflict's changes, from 1.
        created_at: when it arose.
        created_by: whose the remote version is.
        resolved_at: when somebody chose.
        resolved_by: who.
        resolution: what they chose.
    """

    conflict_id: str
    client_session_id: str
    repo_id: str
    branch_name: str
    kind: ConflictKind
    reason: str
    base: Any = None
    local: Any
    remote: Any
    local_version: int | None = None
    base_version: int | None = None
    branch_version: int
    version: int = 1
    created_at: datetime
    created_by: str
    resolved_at: datetime | None = None
    resolved_by: str | None = None
    resolution: Resolution | None = None
