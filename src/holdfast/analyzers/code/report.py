"""Puts a result together. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.analyzers.code.history import History
from holdfast.analyzers.code.issues import ownership_finding
from holdfast.analyzers.code.scores import scores
from holdfast.analyzers.code.tally import (
    FINDINGS_KEPT,
    FUNCTIONS_LISTED,
    SKIPPED_LISTED,
    Tally,
    file_row,
    file_tree,
)
from holdfast.domain.findings import Finding, Severity

FILES_LISTED = 50_000
ISSUES_LISTED = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A result without its summary.

    Attributes:
        result: the whole, JSON-able.
        metrics: its figures.
        findings: what was found, gravest first.
        languages: names, most used first.
        worst: titles of the gravest issues.
    """

    result: dict[str, Any]
    metrics: dict[str, float]
    findings: list[Finding]
    languages: list[str]
    worst: list[str]


def build_report(tally: Tally, history: History | None, limits: dict[str, Any]) -> Report:
    """Put a result together; with a history at most once for each tally, as that adds findings.

    Args:
        tally: what the files told.
        history: what the commits told, if any were read.
        limits: which limits held, and whether they were reached.
    """
    rows = tally.rows
    repeated = tally.repeated()
    complexity = tally.complexity_by_path()
    if history is not None:
        for path, summed in complexity.items():
            tally.find(ownership_finding(path, summed, history.files[path], authors=history.authors))
    figures = tally.figures(history, repeated)
    detailed = scores(figures)
    functions = sum(row.functions for row in rows)
    summed = sum(complexity.values())
    metrics: dict[str, float] = {name: value for name, value in detailed.items() if value is not None}
    metrics |= {f"issues_{severity.value}": float(tally.issue_counts[severity]) for severity in Severity}
    metrics |= {
        "files": float(len(rows)),
        "lines": float(sum(row.lines for row in rows)),
        "code_lines": float(figures.code_lines),
        "comment_lines": float(figures.comment_lines),
        "test_code_lines": float(figures.test_lines),
        "bytes": float(sum(row.size for row in rows)),
        "functions": float(functions),
        "mean_complexity": round(summed / functions, 3) if functions else 0.0,
        "max_complexity": float(max((row.max_complexity for row in rows), default=0)),
        "duplication_percent": round(100 * figures.repeated_windows / figures.windows, 2) if figures.windows else 0.0,
        "skipped": float(sum(tally.skip_counts.values())),
    }
    if history is not None:
        metrics |= {
            "commits": float(history.commits),
            "authors": float(history.authors),
            "bus_factor": float(figures.bus_factor),
        }
    findings = tally.findings()
    languages = tally.languages()
    technologies = _technologies(tally, languages)
    result = {
        "file_tree": file_tree(rows, FILES_LISTED),
        "technologies": technologies,
        "metrics": metrics,
        "issues": [_issue(finding) for finding in findings[:ISSUES_LISTED]],
        "ai_summary": "",
        "detailed_scores": detailed,
        "files": [
            file_row(row, None if history is None else history.files.get(row.path), repeated[row.path])
            for row in rows[:FILES_LISTED]
        ],
        "functions": tally.hot_functions(),
        "history": None if history is None else history.report(complexity),
        "skipped": [{"path": skip.path, "reason": skip.reason.value, "detail": skip.detail} for skip in tally.skipped],
        "limits": limits
        | {
            "skipped_by_reason": dict(sorted(tally.skip_counts.items())),
            "files_listed": FILES_LISTED,
            "issues_listed": ISSUES_LISTED,
            "findings_kept": FINDINGS_KEPT,
            "functions_listed": FUNCTIONS_LISTED,
            "skipped_listed": SKIPPED_LISTED,
        },
    }
    return Report(
        result=result,
        metrics=metrics,
        findings=findings,
        languages=[language["name"] for language in languages if language["code_lines"]],
        worst=_worst(findings),
    )


def _technologies(tally: Tally, languages: Sequence[dict[str, Any]]) -> dict[str, Any]:
    manifests = sorted(tally.manifests, key=lambda manifest: str(manifest["path"]))
    frameworks = sorted({name for manifest in manifests for name in manifest["frameworks"]}, key=str.lower)
    tools = sorted({manifest["tool"] for manifest in manifests}, key=str.lower)
    spoken = [language["name"] for language in languages if language["code_lines"]]
    return {
        # A tool may have its language's name (Docker files are both).
        "names": list(dict.fromkeys([*spoken, *frameworks, *tools])),
        "languages": list(languages),
        "frameworks": frameworks,
        "tools": tools,
        "manifests": manifests[:FILES_LISTED],
    }


def _issue(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "severity": finding.severity.value,
        "title": finding.title,
        "message": finding.message,
        "path": finding.path,
        "line": finding.line,
        "end_line": finding.end_line,
        "identity": finding.identity,
        "score": finding.score,
    }


def _worst(findings: Sequence[Finding]) -> list[str]:
    grave = [finding for finding in findings[:3] if finding.severity not in {Severity.LOW, Severity.INFO}]
    return [f"{finding.path}: {finding.title}" for finding in grave]
