"""Repositories and their branches: what is known of them, and what analyses of them are about."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from holdfast.domain.checks import check_moment, check_name, check_positive
from holdfast.domain.errors import InvalidInput
from holdfast.domain.fingerprint import canonical_json
from holdfast.domain.ids import check_id
from holdfast.domain.subjects import Subject
from holdfast.domain.sync import Version

BRANCH_SUBJECT = "git-branch"
"""The kind of subject that a branch is; the code analyzer's too, so that its analyses are the branch's."""

_NAME_LENGTH = 1024
_SHA_LENGTH = 256
_LARGEST_VERSION = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository.

    Attributes:
        repo_id: names it, among its owner's.
        client_session_id: whose it is here.
        owner: who owns it where it comes from; ``""`` if not known.
        name: what people call it.
        location: where it is, a path or a URL; ``""`` if only its data are kept.
        default_branch: the name of its main branch, if known.
        metadata: further facts, JSON-able.
        version: counts its changes, from 1.
        stale_after_seconds: after how long its branches are stale; the setting when None.
        synced_at: when its branches were last read from where it is.
        created_at: since when it is known.
        updated_at: when it was last changed.
        deleted_at: when it was put into the trash.
    """

    repo_id: str
    client_session_id: str
    owner: str = ""
    name: str
    location: str = ""
    default_branch: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    version: int = 1
    stale_after_seconds: float | None = None
    synced_at: datetime | None = None
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None

    def __post_init__(self) -> None:
        check_id(self.repo_id, "repo_id")
        check_name(self.client_session_id, "client_session_id", 256)
        check_name(self.name, "name", 256)
        for what, longest in (("owner", 256), ("location", _NAME_LENGTH), ("default_branch", _NAME_LENGTH)):
            if getattr(self, what):
                check_name(getattr(self, what), what, longest)
        check_positive("stale_after_seconds", self.stale_after_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A branch, as it is kept.

    Attributes:
        repo_id: its repository.
        client_session_id: whose it is.
        name: its name; slashes, dots and any letters may be in it.
        commit_sha: the commit that it is at; ``""`` if not known.
        previous_commit_sha: where it was before.
        is_default: whether it is the repository's main branch.
        last_commit_date: when its commit was made.
        last_analyzed: when its newest complete analysis ended.
        analyzed_commit_sha: what that analysis was of.
        marked_at: since when it is marked to be refreshed.
        marked_by: who marked it.
        stale_after_seconds: after how long it is stale; the repository's or the setting when None.
        metadata: further facts, JSON-able.
        version: counts the changes to what writers say of it, from 1.
        declared_at: when, by the writer's clock, it was so.
        declared_by: who said so.
        gone_at: since when the repository no longer has it.
        created_at: since when it is known.
        updated_at: when it was last changed.
    """

    repo_id: str
    client_session_id: str
    name: str
    commit_sha: str = ""
    previous_commit_sha: str | None = None
    is_default: bool = False
    last_commit_date: datetime | None = None
    last_analyzed: datetime | None = None
    analyzed_commit_sha: str | None = None
    marked_at: datetime | None = None
    marked_by: str | None = None
    stale_after_seconds: float | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    version: int = 1
    declared_at: datetime
    declared_by: str
    gone_at: datetime | None = None
    created_at: datetime
    updated_at: datetime

    def __post_init__(self) -> None:
        check_branch_name(self.name)
        if self.commit_sha:
            check_name(self.commit_sha, "commit_sha", _SHA_LENGTH)
        check_positive("stale_after_seconds", self.stale_after_seconds)

    def said(self) -> Version:
        """What writers say of it by now."""
        date = self.last_commit_date
        content = {
            "commit_sha": self.commit_sha,
            "is_default": self.is_default,
            "last_commit_date": None if date is None else date.astimezone(UTC).isoformat(),
            "metadata": self.metadata,
        }
        return Version(content=content, declared_at=self.declared_at, declared_by=self.declared_by)

    def saying(self, version: Version, now: datetime) -> "Branch":
        """The branch with what is said of it now, as its next version."""
        info = BranchInfo.of(self.name, version)
        moved = info.commit_sha != self.commit_sha
        return replace(
            self,
            commit_sha=info.commit_sha or "",
            previous_commit_sha=(self.commit_sha or None) if moved else self.previous_commit_sha,
            is_default=bool(info.is_default),
            last_commit_date=info.last_commit_date,
            metadata=info.metadata or {},
            version=self.version + 1,
            declared_at=version.declared_at,
            declared_by=version.declared_by,
            gone_at=None,
            updated_at=now,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchInfo:
    """What a writer says of a branch; of a field that is None it says nothing, and that stays as it is.

    Attributes:
        name: its name.
        commit_sha: the commit that it is at.
        is_default: whether it is the repository's main branch.
        last_commit_date: when its commit was made, aware; goes with ``commit_sha``.
        metadata: further facts, JSON-able.
        declared_at: when it was so, by the writer's clock, aware; the moment of the call when None.
        base_version: the version that the writer knew; None if none.
    """

    name: str
    commit_sha: str | None = None
    is_default: bool | None = None
    last_commit_date: datetime | None = None
    metadata: dict[str, Any] | None = None
    declared_at: datetime | None = None
    base_version: int | None = None

    def __post_init__(self) -> None:
        check_branch_name(self.name)
        if self.commit_sha:
            check_name(self.commit_sha, "commit_sha", _SHA_LENGTH)
        for what in ("last_commit_date", "declared_at"):
            moment = getattr(self, what)
            if moment is not None:
                check_moment(moment, what)
        if self.metadata is not None:
            if not isinstance(self.metadata, dict):
                raise InvalidInput("metadata must be an object", field="metadata")
            canonical_json(self.metadata)
        if self.base_version is not None and not 0 < self.base_version < _LARGEST_VERSION:
            raise InvalidInput("base_version counts from 1", field="base_version")

    @classmethod
    def of(cls, name: str, version: Version) -> "BranchInfo":
        """What a version says of a branch.

        Raises:
            InvalidInput: it has a wrong field.
        """
        content = version.content
        unknown = content.keys() - _NOTHING.keys()
        if unknown:
            raise InvalidInput(f"A branch has no field {', '.join(sorted(unknown))}", field=min(unknown))
        if not isinstance(content.get("is_default", False), bool):
            raise InvalidInput("is_default must be true or false", field="is_default")
        return cls(
            name=name,
            commit_sha=content.get("commit_sha") or "",
            is_default=content.get("is_default", False),
            last_commit_date=_moment(content.get("last_commit_date")),
            metadata=content.get("metadata", {}),
            declared_at=version.declared_at,
        )

    def said(self, now: datetime, by: str, before: Version | None = None) -> Version:
        """What is said of the branch, by whom, and now unless it says when.

        Args:
            now: the moment.
            by: who says it.
            before: what was said before, which holds where nothing is said.
        """
        content = dict(_NOTHING if before is None else before.content)
        if self.commit_sha is not None:
            date = None if self.last_commit_date is None else self.last_commit_date.astimezone(UTC).isoformat()
            content |= {"commit_sha": self.commit_sha, "last_commit_date": date}
        if self.is_default is not None:
            content["is_default"] = self.is_default
        if self.metadata is not None:
            content["metadata"] = self.metadata
        return Version(content=content, declared_at=self.declared_at or now, declared_by=by)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ref:
    """A branch, as a repository has it.

    Attributes:
        name: its name, without ``refs/heads/``.
        commit_sha: the commit that it is at.
        committed_at: when that was made.
    """

    name: str
    commit_sha: str
    committed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Refs:
    """The branches that a repository has.

    Attributes:
        location: what names the repository, as for the code analyzer.
        name: what people call it.
        default_branch: the branch that is checked out, or that a clone would check out; None if there is none.
        branches: its branches by name: those that are here, and those of ``origin`` that are not.
        failed: why a branch cannot be read, by its name.
    """

    location: str
    name: str
    default_branch: str | None
    branches: tuple[Ref, ...]
    failed: dict[str, str]


_NOTHING: dict[str, Any] = {"commit_sha": "", "is_default": False, "last_commit_date": None, "metadata": {}}


def _moment(value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{value!r} is no moment", field="last_commit_date") from error


def check_branch_name(name: str) -> str:
    """Return ``name`` if a branch may have it, or raise InvalidInput."""
    return check_name(name, "branch_name", _NAME_LENGTH)


def branch_subject(repository: Repository, name: str, commit_sha: str = "") -> Subject:
    """What analyses of a branch are about.

    Args:
        repository: its repository; its location names it, as for the code analyzer, or else its id.
        name: the branch.
        commit_sha: the commit analysed.
    """
    return Subject(
        kind=BRANCH_SUBJECT,
        key=f"{repository.location or repository.repo_id}#{name}",
        revision=commit_sha,
        title=f"{repository.name}@{name}",
        attributes={"repository": repository.location or repository.repo_id, "branch": name},
    )
