"""The rules: what of a file's figures is worth telling. Pure."""

import hashlib
from collections.abc import Iterable, Iterator

from holdfast.analyzers.code.history import Churn
from holdfast.analyzers.code.paths import is_test
from holdfast.analyzers.code.values import COMPLEX, DEEP, LONG, MANY_PARAMETERS, FileFacts, FunctionFacts
from holdfast.domain.findings import Finding, FindingItem, Severity

LARGE_BYTES = 5 << 20
VERY_LARGE_BYTES = 50 << 20
SINGLE_OWNER_RULE = "code/single-owner-hotspot"
SINGLE_OWNER_SHARE = 0.8
SINGLE_OWNER_COMMITS = 10
SINGLE_OWNER_COMPLEXITY = 50
DUPLICATED_SHARE = 0.6
DUPLICATED_CODE_LINES = 100

_WORST_FIRST = {severity: place for place, severity in enumerate(Severity)}
# Each rule's steps, worst first: over so much, so severe.
_COMPLEX = ((50, Severity.HIGH), (25, Severity.MEDIUM), (COMPLEX, Severity.LOW))
_LONG = ((300, Severity.HIGH), (150, Severity.MEDIUM), (LONG, Severity.LOW))
_PARAMETERS = ((12, Severity.MEDIUM), (MANY_PARAMETERS, Severity.LOW))
_DEEP = ((8, Severity.MEDIUM), (DEEP, Severity.LOW))
_HUGE = ((5_000, Severity.HIGH), (2_000, Severity.MEDIUM), (1_000, Severity.LOW))
_LARGE = ((VERY_LARGE_BYTES, Severity.MEDIUM), (LARGE_BYTES, Severity.LOW))


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Findings in the order to show: by severity, then place."""
    return sorted(
        findings,
        key=lambda finding: (_WORST_FIRST[finding.severity], finding.path or "", finding.line or 0, finding.rule),
    )


def file_findings(path: str, facts: FileFacts) -> Iterator[Finding]:
    """What a content tells by itself.

    A finding's identity is made from the rule, the path and what it is about (a function's name, a secret's
    digest), never from lines or figures: it stays the same while the file changes around it.
    """
    in_test = is_test(path)
    for row in facts["top"]:
        yield from _function_findings(path, FunctionFacts(*row), in_test=in_test)  # type: ignore[arg-type]  # from JSON
    code = facts["code"]
    severity = _step(code, _HUGE, in_test=in_test)
    if severity is not None:
        yield Finding(
            rule="code/huge-file",
            severity=severity,
            title=f"File of {code} code lines",
            message="Split it by subject; over 1,000 code lines are hard to hold in mind.",
            path=path,
            identity=_identity("code/huge-file", path),
            score=float(code),
        )
    if facts["todos"]:
        yield _todos(path, facts)
    if facts["conflict"]:
        yield Finding(
            rule="code/merge-conflict",
            severity=Severity.LOW if in_test else Severity.HIGH,
            title="Merge-conflict markers were committed",
            message="Decide between the two sides and delete the markers.",
            path=path,
            line=facts["conflict"],
            identity=_identity("code/merge-conflict", path),
        )
    seen: set[str] = set()
    for kind, line, digest in facts["secrets"]:
        identity = _identity("code/secret", path, str(kind), str(digest))
        if identity not in seen:
            seen.add(identity)
            yield Finding(
                rule="code/secret",
                severity=Severity.LOW if in_test else Severity.CRITICAL,
                title=f"What looks like a {kind} was committed",
                message="Revoke it, then take it out of the code; it stays in the history.",
                path=path,
                line=int(line),
                identity=identity,
                data={"kind": kind},
            )


def size_finding(path: str, size: int) -> Finding | None:
    """A large file, whatever it holds."""
    severity = _step(size, _LARGE, in_test=False)
    if severity is None:
        return None
    return Finding(
        rule="code/large-file",
        severity=severity,
        title=f"File of {size / (1 << 20):.1f} MiB was committed",
        message="Every clone carries it for ever; keep it elsewhere, or with Git LFS.",
        path=path,
        identity=_identity("code/large-file", path),
        score=float(size),
    )


def ownership_finding(path: str, complexity: int, churn: Churn, *, authors: int) -> Finding | None:
    """A complex file that keeps changing and that one person knows; None in a project of one."""
    owner, share = churn.owner
    if (
        authors < 2
        or churn.commits < SINGLE_OWNER_COMMITS
        or complexity < SINGLE_OWNER_COMPLEXITY
        or share < SINGLE_OWNER_SHARE
    ):
        return None
    return Finding(
        rule=SINGLE_OWNER_RULE,
        severity=Severity.MEDIUM,
        title=f"{owner} made {share:.0%} of the changes to this hotspot",
        message="Let somebody else review or change it before its owner is away.",
        path=path,
        identity=_identity(SINGLE_OWNER_RULE, path),
        score=float(churn.commits * complexity),
        data={"owner": owner, "share": round(share, 3), "commits": churn.commits, "complexity": complexity},
    )


def duplication_finding(path: str, code: int, share: float) -> Finding | None:
    """A file that mostly repeats others, or itself."""
    if code < DUPLICATED_CODE_LINES or share < DUPLICATED_SHARE or is_test(path):
        return None
    return Finding(
        rule="code/duplicated-file",
        severity=Severity.LOW,
        title=f"About {share:.0%} of this file stands elsewhere too",
        message="Keep what is common in one place. The share is estimated from a sample of passages of six lines.",
        path=path,
        identity=_identity("code/duplicated-file", path),
        score=round(100 * share, 1),
    )


def _function_findings(path: str, function: FunctionFacts, *, in_test: bool) -> Iterator[Finding]:
    name = function.name
    rules = (
        ("code/complex-function", _COMPLEX, function.complexity, "has a cyclomatic complexity of {}",
         "Take branches out into functions of their own; every path wants a test."),
        ("code/long-function", _LONG, function.length, "has {} lines of code",
         "Take steps out into functions of their own."),
        ("code/many-parameters", _PARAMETERS, function.parameters, "takes {} parameters",
         "Group those that travel together into one value."),
        ("code/deep-nesting", _DEEP, function.nesting, "nests blocks {} deep",
         "Return early, or take the inner blocks out."),
    )  # fmt: skip  # one rule a line reads as the table it is
    for rule, steps, figure, fact, advice in rules:
        severity = _step(figure, steps, in_test=in_test)
        if severity is not None:
            yield Finding(
                rule=rule,
                severity=severity,
                title=f"{name} {fact.format(figure)}",
                message=advice,
                path=path,
                line=function.line,
                end_line=function.end_line,
                identity=_identity(rule, path, name, str(function.ordinal)),
                score=float(figure),
                data={"function": name},
            )


def _todos(path: str, facts: FileFacts) -> Finding:
    count = facts["todos"]
    return Finding(
        rule="code/todo",
        severity=Severity.INFO,
        title="1 note of work left to do" if count == 1 else f"{count} notes of work left to do",
        message="Do it, file it, or delete the note.",
        path=path,
        line=int(facts["markers"][0][0]),
        identity=_identity("code/todo", path),
        score=float(count),
        items=tuple(
            FindingItem(key=f"{path}:{line}", data={"line": line, "text": text}) for line, text in facts["markers"]
        ),
    )


def _step(figure: int, steps: tuple[tuple[int, Severity], ...], *, in_test: bool) -> Severity | None:
    severity = next((severity for over, severity in steps if figure > over), None)
    # A test may be long and flat; nobody builds on it.
    return Severity.INFO if severity is not None and in_test else severity


def _identity(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode(errors="backslashreplace")).hexdigest()[:32]
