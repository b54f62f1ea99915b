"""SARIF 2.1.0 logs: each run is an analysis, each result a finding. The run itself is kept whole as the result.

Source: OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0, 2020.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from holdfast.documents import to_json
from holdfast.domain.analysis import ErrorInfo, Status
from holdfast.domain.findings import Finding, FindingItem, Severity
from holdfast.domain.subjects import Subject
from holdfast.formats.foreign import Foreign, InvalidFile, moment

_LEVELS = {"error": Severity.HIGH, "warning": Severity.MEDIUM, "note": Severity.LOW, "none": Severity.INFO}
# By CVSS 3's ratings, as code hosts read `security-severity`.
_SCORES = ((9.0, Severity.CRITICAL), (7.0, Severity.HIGH), (4.0, Severity.MEDIUM), (0.0, Severity.LOW))
_FINE = {"pass", "notApplicable", "informational"}
_TITLE = 200


def runs(log: Any) -> Iterator[Foreign]:
    """The analyses of a log.

    Raises:
        InvalidFile: it is no SARIF log of version 2.1.
    """
    if not isinstance(log, dict) or not isinstance(log.get("runs"), list):
        raise InvalidFile("The file is no SARIF log: it has no list of runs")
    if not str(log.get("version", "")).startswith("2.1"):
        raise InvalidFile(f"The SARIF log has version {log.get('version')!r}; version 2.1.0 is read")
    for number, run in enumerate(log["runs"]):
        try:
            yield _analysis(run)
        except (AttributeError, KeyError, TypeError, IndexError, ValueError) as error:
            raise InvalidFile(f"Run {number} of the SARIF log is not as SARIF has it: {error!r}") from error


def _analysis(run: Mapping[str, Any]) -> Foreign:
    driver = run["tool"]["driver"]
    rules = _rules(run)
    findings = tuple(_finding(result, rules) for result in run.get("results") or ())
    invocations = run.get("invocations") or [{}]
    failed = [call for call in invocations if call.get("executionSuccessful") is False]
    version = driver.get("semanticVersion") or driver.get("version") or ""
    name = f"{driver['name']} {version}".strip()
    return Foreign(
        analysis_id=f"sarif-{_identity(run)}",
        kind="sarif",
        result=run,
        status=Status.FAILED if failed else Status.COMPLETED,
        error=_error(failed[0]) if failed else None,
        created_at=moment(invocations[0].get("startTimeUtc")),
        completed_at=moment(invocations[-1].get("endTimeUtc")),
        subject=_subject(run),
        params={"tool": driver["name"]},
        summary=f"{len(findings)} results of {name}",
        findings=findings,
        metrics={f"results.{severity.value}": float(_count(findings, severity)) for severity in Severity},
        tags=("sarif",),
        analyzer_version=version,
    )


def _count(findings: tuple[Finding, ...], severity: Severity) -> int:
    return sum(finding.severity is severity for finding in findings)


def _identity(run: Mapping[str, Any]) -> str:
    given = (run.get("automationDetails") or {}).get("guid")
    return str(given).lower() if given else hashlib.sha256(to_json(run)).hexdigest()[:32]


def _error(call: Mapping[str, Any]) -> ErrorInfo:
    notes = [note.get("message", {}).get("text", "") for note in call.get("toolExecutionNotifications") or ()]
    why = call.get("exitCodeDescription") or next(filter(None, notes), "The tool says that it did not succeed")
    return ErrorInfo(code="ANALYZER_FAILED", message=str(why), details={"exit_code": call.get("exitCode")})


def _subject(run: Mapping[str, Any]) -> Subject | None:
    found = next(iter(run.get("versionControlProvenance") or ()), None)
    if found is None:
        return None
    uri = str(found["repositoryUri"])
    branch = found.get("branch")
    revision = str(found.get("revisionId") or "")
    return Subject(kind="repository", key=uri, revision=revision, title=f"{uri} {branch}" if branch else uri)


def _rules(run: Mapping[str, Any]) -> list[list[Mapping[str, Any]]]:
    """The rules of the driver, and of each extension in order."""
    tool = run["tool"]
    return [tool["driver"].get("rules") or [], *(part.get("rules") or [] for part in tool.get("extensions") or ())]


def _rule_of(result: Mapping[str, Any], rules: list[list[Mapping[str, Any]]]) -> Mapping[str, Any]:
    reference = result.get("rule") or {}
    component = reference.get("toolComponent", {}).get("index", -1) + 1
    index = result.get("ruleIndex", reference.get("index", -1))
    if 0 <= component < len(rules) and 0 <= index < len(rules[component]):
        known: Mapping[str, Any] = rules[component][index]
        return known
    name = result.get("ruleId") or reference.get("id")
    # A rule's id may have parts behind it: "CA1000/1" is of the rule CA1000.
    ids = (name, str(name).rpartition("/")[0])
    return next((rule for group in rules for rule in group if name and rule["id"] in ids), {})


def _finding(result: Mapping[str, Any], rules: list[list[Mapping[str, Any]]]) -> Finding:
    rule = _rule_of(result, rules)
    name = result.get("ruleId") or (result.get("rule") or {}).get("id") or rule.get("id") or "unnamed"
    message = _message(result.get("message") or {}, rule)
    short = (rule.get("shortDescription") or {}).get("text") or rule.get("name")
    title = (message or short or name).strip().splitlines()[0][:_TITLE]
    places = [_place(location) for location in result.get("locations") or ()]
    related = [_place(location) for location in result.get("relatedLocations") or ()]
    path, line, end_line = places[0] if places else (None, None, None)
    prints = result.get("partialFingerprints") or result.get("fingerprints") or {}
    told = ("level", "kind", "baselineState", "suppressions", "fingerprints", "partialFingerprints", "properties")
    return Finding(
        rule=str(name),
        severity=_severity(result, rule),
        title=title,
        message=message,
        path=path,
        line=line,
        end_line=end_line,
        identity=next((f"{name}:{prints[key]}" for key in sorted(prints)), ""),
        data={key: result[key] for key in told if key in result}
        | ({"help": rule["helpUri"]} if "helpUri" in rule else {}),
        items=tuple(
            FindingItem(key=place or "", data={"line": first, "end_line": last})
            for place, first, last in [*places[1:], *related]
        ),
    )


def _severity(result: Mapping[str, Any], rule: Mapping[str, Any]) -> Severity:
    if result.get("kind", "fail") in _FINE:
        return Severity.INFO
    score = (result.get("properties") or {}).get(
        "security-severity", (rule.get("properties") or {}).get("security-severity")
    )
    if score is not None:
        return next((severity for least, severity in _SCORES if float(score) >= least), Severity.LOW)
    level = result.get("level") or (rule.get("defaultConfiguration") or {}).get("level") or "warning"
    return _LEVELS.get(level, Severity.MEDIUM)


def _message(message: Mapping[str, Any], rule: Mapping[str, Any]) -> str:
    text = message.get("text")
    if text is None and "id" in message:
        text = (rule.get("messageStrings") or {}).get(message["id"], {}).get("text", "")
    arguments = message.get("arguments") or []

    def filled(match: re.Match[str]) -> str:
        number = int(match[1])
        return str(arguments[number]) if number < len(arguments) else match[0]

    return re.sub(r"\{(\d+)\}", filled, str(text or ""))


def _place(location: Mapping[str, Any]) -> tuple[str | None, int | None, int | None]:
    physical = location.get("physicalLocation") or {}
    uri = (physical.get("artifactLocation") or {}).get("uri")
    region = physical.get("region") or {}
    first = region.get("startLine")
    return None if uri is None else unquote(str(uri)), first, region.get("endLine", first)
