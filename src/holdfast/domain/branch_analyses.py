"""What was found of a branch at a commit, by whatever analysed it."""

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from holdfast.domain.checks import check_moment, check_name
from holdfast.domain.errors import InvalidInput
from holdfast.domain.findings import Finding, Severity
from holdfast.domain.fingerprint import canonical_json
from holdfast.domain.repositories import check_branch_name
from holdfast.domain.sync import Version

BRANCH_KIND = "branch"
"""The kind of analysis that such a result is kept as."""

_TAG_LENGTH = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchAnalysisResult:
    """What was found of a branch at a commit.

    Attributes:
        branch_name: the branch.
        commit_sha: the commit.
        analysis_timestamp: when it was analysed, aware; when it is stored if None.
        file_tree: the files, JSON-able.
        technologies: names of languages, frameworks and the like.
        metrics: figures by name.
        issues: what is wrong, JSON-able, each an object or a text.
        ai_summary: a summary that a language model wrote.
        detailed_scores: further scores by name.
    """

    branch_name: str
    commit_sha: str
    analysis_timestamp: datetime | None = None
    file_tree: Any = None
    technologies: list[str] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    issues: list[Any] = field(default_factory=list)
    ai_summary: str | None = None
    detailed_scores: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_branch_name(self.branch_name)
        check_name(self.commit_sha, "commit_sha", 256)
        if self.analysis_timestamp is not None:
            check_moment(self.analysis_timestamp, "analysis_timestamp")
        for what in self.technologies:
            check_name(what, "technologies", _TAG_LENGTH)

    def content(self) -> dict[str, Any]:
        """The result as it is kept."""
        return {
            "file_tree": self.file_tree,
            "technologies": list(self.technologies),
            "metrics": dict(self.metrics),
            "issues": list(self.issues),
            "ai_summary": self.ai_summary,
            "detailed_scores": dict(self.detailed_scores),
        }

    @classmethod
    def of(cls, branch_name: str, commit_sha: str, version: Version) -> "BranchAnalysisResult":
        """What a version of a result says.

        Raises:
            InvalidInput: it has a wrong field.
        """
        try:
            return cls(
                branch_name=branch_name,
                commit_sha=commit_sha,
                analysis_timestamp=version.declared_at,
                **version.content,
            )
        except TypeError as error:
            raise InvalidInput("The result has a field that no branch's analysis has", field="result") from error

    def said(self, now: datetime, by: str) -> Version:
        """The result as a version, of now unless it says when."""
        return Version(content=self.content(), declared_at=self.analysis_timestamp or now, declared_by=by)

    def figures(self) -> dict[str, float]:
        """What of it can be followed over time: the metrics that are numbers, the overall score, how many issues."""
        given = {"overall_score": self.detailed_scores.get("overall_score"), **self.metrics}
        numbers = {name: float(value) for name, value in given.items() if _is_number(value)}
        return {"issue_count": float(len(self.issues))} | numbers

    def findings(self) -> list[Finding]:
        """The issues as findings, so that two analyses can be compared."""
        return [_finding(issue) for issue in self.issues]

    def analysis_id(self, owner: str, subject_key: str) -> str:
        """The id that the same result always has: stored again it is no second analysis.

        Args:
            owner: whose it is.
            subject_key: the key of what it is about.
        """
        at = self.analysis_timestamp
        when = None if at is None else at.astimezone(UTC).isoformat()
        about = [owner, subject_key, self.commit_sha, when, self.content()]
        return f"branch-{hashlib.sha256(canonical_json(about)).hexdigest()[:40]}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _finding(issue: Any) -> Finding:
    if not isinstance(issue, Mapping):
        return Finding(rule="branch/issue", severity=Severity.MEDIUM, title=_line(issue), message=str(issue))
    named = str(issue.get("severity", "")).lower()
    severity = Severity(named) if named in set(Severity) else Severity.MEDIUM
    message = str(issue.get("message") or issue.get("description") or "")
    line = issue.get("line")
    is_line = isinstance(line, int) and not isinstance(line, bool) and 0 <= line < 2**31
    return Finding(
        rule=str(issue.get("rule") or issue.get("type") or "branch/issue"),
        severity=severity,
        title=_line(issue.get("title") or message or issue.get("rule") or issue.get("type") or "Issue"),
        message=message,
        path=str(path) if (path := issue.get("path") or issue.get("file")) else None,
        line=line if is_line else None,
        data=dict(issue),
    )


def _line(value: Any) -> str:
    return (str(value).strip().splitlines() or ["Issue"])[0][:200]
