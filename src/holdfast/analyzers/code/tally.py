"""Adds up what the files tell. Pure."""

import heapq
import itertools
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from holdfast.analyzers.code import issues
from holdfast.analyzers.code.history import Churn, History
from holdfast.analyzers.code.languages import BY_NAME, Sort
from holdfast.analyzers.code.paths import is_test
from holdfast.analyzers.code.scores import Figures
from holdfast.analyzers.code.text import unpack_samples
from holdfast.analyzers.code.values import Entry, FileFacts, FunctionFacts, Reason, Skip
from holdfast.domain.findings import Finding, Severity

FINDINGS_KEPT = 10_000
FUNCTIONS_LISTED = 100
SKIPPED_LISTED = 1_000


@dataclass(slots=True, kw_only=True)
class FileRow:
    """What is kept of one file.

    Attributes:
        path: where.
        size: bytes.
        language: its name, or "".
        lines: all lines.
        code: code lines, 0 unless the language is one of code.
        comments: comment lines, likewise.
        functions: how many.
        complexity: summed over the functions.
        max_complexity: of the most complex.
        samples: hashes of its sampled passages.
    """

    path: str
    size: int
    language: str = ""
    lines: int = 0
    code: int = 0
    comments: int = 0
    functions: int = 0
    complexity: int = 0
    max_complexity: int = 0
    samples: "array[int]" = field(default_factory=lambda: array("Q"))


class Tally:
    """Takes files one by one and keeps a small row of each."""

    def __init__(self) -> None:
        self.rows: list[FileRow] = []
        self.skipped: list[Skip] = []
        self.skip_counts: Counter[str] = Counter()
        self.issue_counts: Counter[Severity] = Counter()
        self.manifests: list[dict[str, Any]] = []
        self._findings: list[Finding] = []
        self._functions: list[tuple[int, int, str, FunctionFacts]] = []
        self._function_lines = 0
        self._complex_lines = [0, 0, 0]
        self._long_lines = [0, 0]
        self._repeated: dict[str, tuple[int, int]] | None = None

    def skip(self, skip: Skip) -> None:
        """Note that something was left out; every one counts, the first 1,000 are listed."""
        self.skip_counts[skip.reason.value] += 1
        if len(self.skipped) < SKIPPED_LISTED:
            self.skipped.append(skip)

    def find(self, finding: Finding | None) -> int:
        """Keep a finding, if it is one; beyond 10,000 the gravest stay.

        Returns:
            How many findings there are more: 0 or 1.
        """
        if finding is None:
            return 0
        self.issue_counts[finding.severity] += 1
        self._findings.append(finding)
        if len(self._findings) >= 2 * FINDINGS_KEPT:
            self._findings = self.findings()
        return 1

    def findings(self) -> list[Finding]:
        """The findings, gravest first."""
        return issues.worst_first(self._findings)[:FINDINGS_KEPT]

    def add_unread(self, entry: Entry, reason: Reason | None, detail: str = "") -> int:
        """Take a file that was not read.

        Returns:
            How many findings it made.
        """
        if reason is not None:
            self.skip(Skip(path=entry.path, reason=reason, detail=detail))
        self.rows.append(FileRow(path=entry.path, size=max(entry.size, 0)))
        return self.find(issues.size_finding(entry.path, entry.size))

    def add(self, entry: Entry, facts: FileFacts) -> int:
        """Take a file that was read.

        Returns:
            How many findings it made.
        """
        if facts["skip"]:
            self.skip(Skip(path=entry.path, reason=Reason(facts["skip"]), detail=facts["detail"]))
        language = BY_NAME.get(facts["language"])
        coded = language is not None and language.sort is Sort.CODE
        self.rows.append(
            FileRow(
                path=entry.path,
                size=max(entry.size, 0),
                language=facts["language"],
                lines=facts["lines"],
                code=facts["code"] if coded else 0,
                comments=facts["comments"] if coded else 0,
                functions=facts["functions"],
                complexity=facts["complexity"],
                max_complexity=facts["max_complexity"],
                samples=array("Q", unpack_samples(bytes.fromhex(facts["samples"]))),
            )
        )
        if "manifest" in facts:
            self.manifests.append({"path": entry.path, **facts["manifest"]})
        self._function_lines += facts["function_lines"]
        self._complex_lines = [a + b for a, b in zip(self._complex_lines, facts["complex_lines"], strict=True)]
        self._long_lines = [a + b for a, b in zip(self._long_lines, facts["long_lines"], strict=True)]
        for row in facts["top"]:
            function = FunctionFacts(*row)  # type: ignore[arg-type]  # from JSON
            ranked = (function.complexity, -function.line, entry.path, function)
            push = heapq.heappush if len(self._functions) < FUNCTIONS_LISTED else heapq.heappushpop
            push(self._functions, ranked)
        found = sum(self.find(finding) for finding in issues.file_findings(entry.path, facts))
        return found + self.find(issues.size_finding(entry.path, entry.size))

    def hot_functions(self) -> list[dict[str, Any]]:
        """The most complex functions."""
        return [
            {
                "path": path,
                "name": function.name,
                "line": function.line,
                "end_line": function.end_line,
                "lines": function.length,
                "complexity": function.complexity,
                "parameters": function.parameters,
                "nesting": function.nesting,
            }
            for _, _, path, function in sorted(self._functions, key=lambda item: (-item[0], item[2], -item[1]))
        ]

    def repeated(self) -> dict[str, tuple[int, int]]:
        """How many of each file's sampled passages stand elsewhere too, and how many it has; by path.

        To be asked when every file is in; the first time it adds the findings that need the whole.
        """
        if self._repeated is None:
            self._repeated = self._compare()
            for row in self.rows:
                part, whole = self._repeated[row.path]
                if whole:
                    self.find(issues.duplication_finding(row.path, row.code, part / whole))
        return self._repeated

    def _compare(self) -> dict[str, tuple[int, int]]:
        everything = array("Q")
        for row in self.rows:
            everything.extend(row.samples)
        ordered = sorted(everything)
        twice = {one for one, other in itertools.pairwise(ordered) if one == other}
        return {row.path: (sum(1 for sample in row.samples if sample in twice), len(row.samples)) for row in self.rows}

    def figures(self, history: History | None, repeated: dict[str, tuple[int, int]]) -> Figures:
        """What the scores are made of."""
        code_lines = sum(row.code for row in self.rows)
        figures = Figures(
            code_lines=code_lines,
            comment_lines=sum(row.comments for row in self.rows),
            test_lines=sum(row.code for row in self.rows if is_test(row.path)),
            function_lines=self._function_lines,
            complex_lines=(self._complex_lines[0], self._complex_lines[1], self._complex_lines[2]),
            long_lines=(self._long_lines[0], self._long_lines[1]),
            big_file_lines=(
                sum(row.code for row in self.rows if 500 < row.code <= 1000),
                sum(row.code for row in self.rows if row.code > 1000),
            ),
            windows=sum(whole for _, whole in repeated.values()),
            repeated_windows=sum(part for part, _ in repeated.values()),
            critical=self.issue_counts[Severity.CRITICAL],
            high=self.issue_counts[Severity.HIGH],
        )
        if history is None:
            return figures
        known = [(row.code, history.files[row.path]) for row in self.rows if row.code and row.path in history.files]
        owned = [(code, churn.owner[1]) for code, churn in known if churn.commits]
        return replace(
            figures,
            owned_lines=sum(code for code, _ in owned),
            concentrated_lines=sum(code * max(share - 0.5, 0) / 0.5 for code, share in owned),
            bus_factor=history.bus_factor(),
        )

    def complexity_by_path(self) -> dict[str, int]:
        """Summed complexity of each file that has functions."""
        return {row.path: row.complexity for row in self.rows if row.complexity}

    def languages(self) -> list[dict[str, Any]]:
        """Languages with their files and lines, those with most code first; ``share`` in per cent of all code lines."""
        sums: dict[str, list[int]] = {}
        for row in self.rows:
            if row.language:
                figures = sums.setdefault(row.language, [0, 0, 0])
                figures[0] += 1
                figures[1] += row.lines
                figures[2] += row.code
        whole = sum(figures[2] for figures in sums.values())
        ranked = sorted(sums.items(), key=lambda item: (-item[1][2], -item[1][1], item[0]))
        return [
            {
                "name": name,
                "files": files,
                "lines": lines,
                "code_lines": code,
                "share": round(100 * code / whole, 2) if whole else 0.0,
            }
            for name, (files, lines, code) in ranked
        ]


def file_row(row: FileRow, churn: Churn | None, repeated: tuple[int, int]) -> dict[str, Any]:
    """One member of a result's ``files``."""
    found: dict[str, Any] = {
        "path": row.path,
        "language": row.language or None,
        "bytes": row.size,
        "lines": row.lines,
        "code_lines": row.code,
        "comment_lines": row.comments,
        "functions": row.functions,
        "max_complexity": row.max_complexity,
        "mean_complexity": round(row.complexity / row.functions, 2) if row.functions else 0.0,
        "duplicated_share": round(repeated[0] / repeated[1], 3) if repeated[1] else 0.0,
    }
    if churn is not None:
        owner, share = churn.owner
        found |= {
            "commits": churn.commits,
            "added": churn.added,
            "deleted": churn.deleted,
            "authors": len(churn.authors),
            "main_owner": owner or None,
            "main_owner_share": round(share, 3),
        }
    return found


def file_tree(rows: Sequence[FileRow], listed: int) -> dict[str, Any]:
    """The folders and files as a tree.

    Args:
        rows: the files.
        listed: how many files to put in; the folders' sums hold the rest too.
    """
    root: dict[str, Any] = _folder("")
    for place, row in enumerate(rows):
        *folders, name = row.path.split("/")
        node = root
        _count(node, row)
        for folder in folders:
            # With the slash a folder cannot meet a file of its name: damaged trees may hold both.
            children = node["children"]
            node = children.get(folder + "/") or children.setdefault(folder + "/", _folder(folder))
            _count(node, row)
        if place < listed:
            node["children"][name] = {
                "type": "file",
                "name": name,
                "language": row.language or None,
                "bytes": row.size,
                "lines": row.lines,
            }
    return _listed(root)


def _folder(name: str) -> dict[str, Any]:
    return {"type": "directory", "name": name, "files": 0, "bytes": 0, "lines": 0, "children": {}}


def _count(folder: dict[str, Any], row: FileRow) -> None:
    folder["files"] += 1
    folder["bytes"] += row.size
    folder["lines"] += row.lines


def _listed(folder: dict[str, Any]) -> dict[str, Any]:
    children = [_listed(child) if child["type"] == "directory" else child for child in folder["children"].values()]
    children.sort(key=lambda child: (child["type"] != "directory", child["name"]))
    return {**folder, "children": children}
