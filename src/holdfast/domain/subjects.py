"""What an analysis is about: a branch at a commit, a library at a fingerprint, a task."""

from dataclasses import dataclass, field
from typing import Any

from holdfast.domain.checks import check_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The thing analysed, in one of its revisions.

    Attributes:
        kind: what sort of thing it is (``git-branch``, ``music-library``, ``function``, ...).
        key: which one, unique within its kind; stays the same while the thing changes.
        revision: its state when it was analysed (a commit, a content hash); ``""`` if it has none.
        title: what people call it.
        attributes: small JSON-able facts about it that stay the same in all its revisions (a repository's path).
    """

    kind: str
    key: str
    revision: str = ""
    title: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name(self.kind, "subject.kind", 64)
        check_name(self.key, "subject.key", 2048)
        if self.revision:
            check_name(self.revision, "subject.revision", 256)
