"""The summary of an analysis: its own for code, findings and metrics for every other kind."""

import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from holdfast.cli import text, views
from holdfast.cli.views import Column, Middle
from holdfast.domain.analysis import Analysis, Status
from holdfast.domain.errors import NotFound
from holdfast.domain.findings import Severity

if TYPE_CHECKING:
    from holdfast.bootstrap import Holdfast

_ROWS = 5
_LANGUAGES = 7
_FINDINGS = 10
_METRICS = 12
_SIDE_BY_SIDE = 96
_LONG_BARS = 60
_NAME = 10


class _Language(msgspec.Struct):
    name: str
    code_lines: int = 0
    files: int = 0
    share: float = 0.0


class _Technologies(msgspec.Struct):
    languages: list[_Language] = []
    frameworks: list[str] = []


class _Function(msgspec.Struct):
    path: str
    name: str
    complexity: int
    lines: int
    line: int | None = None


class _Hotspot(msgspec.Struct):
    path: str
    commits: int
    complexity: int
    main_owner: str = ""
    main_owner_share: float = 0.0


class _History(msgspec.Struct):
    commits: int = 0
    authors: int = 0
    hotspots: list[_Hotspot] = []


class _Limits(msgspec.Struct):
    skipped_by_reason: dict[str, int] = {}


class _Code(msgspec.Struct):
    """What the summary needs of a code result; the rest of it is not even decoded."""

    detailed_scores: dict[str, float | None]
    technologies: _Technologies
    functions: list[_Function]
    limits: _Limits
    ai_summary: str = ""
    history: _History | None = None


def print_report(
    console: Console,
    holdfast: "Holdfast",
    analysis: Analysis,
    *,
    findings: bool = True,
    limit: int = _FINDINGS,
    severities: Sequence[Severity] = (),
) -> None:
    """Print what an analysis found.

    Args:
        console: where to.
        holdfast: the store.
        analysis: the analysis, ended.
        findings: whether to list findings.
        limit: how many findings to list.
        severities: only these findings; all when empty.
    """
    code = _code_of(holdfast, analysis)
    if code is not None:
        _print_code(console, code)
    elif analysis.summary:
        console.print(Text(text.paragraph(analysis.summary)))
    if findings and analysis.finding_count:
        by_severity = _by_severity(holdfast, analysis)
        listed = [
            found for _, found in holdfast.queries.findings(analysis.analysis_id, severities=severities, limit=limit)
        ]
        whole = sum(by_severity.get(severity, 0) for severity in severities or Severity)
        title = f"Worst {len(listed):,} of {text.count(whole, 'finding')}" if whole > len(listed) else "Findings"
        body: RenderableType = views.findings(console, listed) if listed else Text("none of that severity", "dim")
        console.print(views.section(f"{title}  ({_counted(by_severity)})", body))
    if code is None:
        metrics = {metric.name: metric.value for metric in holdfast.queries.metrics(analysis.analysis_id)}
        if metrics:
            shown = dict(list(metrics.items())[:_METRICS])
            more = f"  ({len(metrics) - len(shown)} more: --metrics)" if len(metrics) > len(shown) else ""
            console.print(views.section(f"Metrics{more}", views.metrics(console, shown)))
    elif code.limits.skipped_by_reason:
        skipped = ", ".join(
            f"{number:,} {reason.replace('_', ' ')}"
            for reason, number in sorted(code.limits.skipped_by_reason.items(), key=lambda item: -item[1])
        )
        console.print(Text())
        console.print(Text.assemble(("Skipped  ", "bold"), text.safe(skipped)))


def headline(console: Console, analysis: Analysis) -> Text:
    """What was analysed, how it ended, when, and how long it took."""
    ended = views.status(analysis.status, console)
    if analysis.completed_at is not None:
        if analysis.started_at is not None and analysis.started_at != analysis.completed_at:
            took = (analysis.completed_at - analysis.started_at).total_seconds()
            ended.append(f" in {text.duration(took)}")
        old = f", {text.age(analysis.completed_at, datetime.now(UTC))}"
        if cell_len(ended.plain + old) + _NAME <= console.width:
            ended.append(old, "dim")
    name = views.crop(text.safe(views.subject_of(analysis)), max(console.width - cell_len(ended.plain) - 2, _NAME))
    return Text.assemble((name, "bold"), "  ", ended)


def _by_severity(holdfast: "Holdfast", analysis: Analysis) -> dict[Severity, int]:
    counted = {
        metric.name.removeprefix("issues_"): int(metric.value)
        for metric in holdfast.queries.metrics(analysis.analysis_id)
        if metric.name.startswith("issues_")
    }
    known = {severity: counted.get(severity.value, 0) for severity in Severity}
    # Only the code analyzer counts them itself, and it counts those too that it does not keep.
    if analysis.kind == "code" and sum(known.values()) >= analysis.finding_count:
        return known
    found: dict[Severity, int] = {}
    for _, finding in holdfast.queries.findings(analysis.analysis_id):
        found[finding.severity] = found.get(finding.severity, 0) + 1
    return found


def _counted(by_severity: dict[Severity, int]) -> str:
    return ", ".join(
        f"{by_severity[severity]:,} {severity.value}" for severity in Severity if by_severity.get(severity)
    )


def _code_of(holdfast: "Holdfast", analysis: Analysis) -> _Code | None:
    if analysis.kind != "code" or analysis.status is not Status.COMPLETED:
        return None
    # Anybody may store a result of that kind, with other fields.
    with contextlib.suppress(msgspec.DecodeError, NotFound):
        return msgspec.json.decode(holdfast.queries.result(analysis.analysis_id), type=_Code)
    return None


def _print_code(console: Console, code: _Code) -> None:
    if code.ai_summary:
        console.print(Text(text.paragraph(code.ai_summary)))
    scores = _scores(console, code.detailed_scores)
    languages = [language for language in code.technologies.languages if language.code_lines] or (
        code.technologies.languages
    )
    spoken = _languages(console, languages)
    if console.width >= _SIDE_BY_SIDE:
        both = Table.grid(padding=(0, 4, 0, 0))
        both.add_row(views.section("Scores", scores), views.section("Languages", spoken))
        console.print(both)
    else:
        console.print(views.section("Scores", scores))
        console.print(views.section("Languages", spoken))
    if code.history is not None and code.history.hotspots:
        people = f"{text.count(code.history.commits, 'commit')} by {text.count(code.history.authors, 'author')}"
        title = f"Hotspots: often changed and complex  ({people})"
        console.print(views.section(title, _hotspots(console, code.history.hotspots[:_ROWS])))
    if code.functions:
        console.print(views.section("Most complex functions", _functions(console, code.functions[:_ROWS])))


def _scores(console: Console, scores: dict[str, float | None]) -> Table:
    names = sorted(scores, key=lambda name: (name != "overall_score", name))
    cells = 20 if console.width >= _LONG_BARS else 10
    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(no_wrap=True)
    made.add_column(justify="right", no_wrap=True)
    made.add_column(no_wrap=True)
    for name in names:
        value = scores[name]
        title = text.safe(name.removesuffix("_score").replace("_", " "))
        style = "bold" if name == "overall_score" else ""
        if value is None:
            made.add_row(Text(title, style), Text("-"), Text("nothing to measure", "dim"))
            continue
        colour = "green" if value >= 80 else "yellow" if value >= 50 else "red"
        made.add_row(Text(title, style), Text(f"{value:.0f}", style), bar(console, value / 100, cells, colour))
    return made


def bar(console: Console, share: float, cells: int, style: str) -> Text:
    """A bar of ``cells`` characters, filled to ``share``."""
    filled = min(max(round(share * cells), 0), cells)
    full, empty = ("#", ".") if console.options.ascii_only else ("█", "░")
    return Text.assemble((full * filled, style), (empty * (cells - filled), "dim"))


def _languages(console: Console, languages: Sequence[_Language]) -> Table:
    columns = [
        Column(title="language"),
        Column(title="share", right=True),
        Column(title="code lines", right=True),
        Column(title="files", right=True, since=50),
    ]
    rows = [
        (language.name, f"{language.share:.1f} %", f"{language.code_lines:,}", f"{language.files:,}")
        for language in languages[:_LANGUAGES]
    ]
    if len(languages) > _LANGUAGES:
        rest = languages[_LANGUAGES:]
        rows.append(
            (
                f"{len(rest)} more",
                f"{sum(language.share for language in rest):.1f} %",
                f"{sum(language.code_lines for language in rest):,}",
                f"{sum(language.files for language in rest):,}",
            )
        )
    return views.table(console.width, columns, rows)


def _hotspots(console: Console, hotspots: Sequence[_Hotspot]) -> Table:
    columns = [
        Column(title="file", flexible=True),
        Column(title="commits", right=True),
        Column(title="complexity", right=True, since=60),
        Column(title="main owner", flexible=True, since=80),
    ]
    rows = (
        (
            Middle(spot.path),
            f"{spot.commits:,}",
            f"{spot.complexity:,}",
            Middle(f"{spot.main_owner} ({100 * spot.main_owner_share:.0f} %)"),
        )
        for spot in hotspots
    )
    return views.table(console.width, columns, rows)


def _functions(console: Console, functions: Sequence[_Function]) -> Table:
    columns = [
        Column(title="function", flexible=True),
        Column(title="complexity", right=True),
        Column(title="lines", right=True, since=60),
        Column(title="where", flexible=True, since=60),
    ]
    rows = (
        (
            Middle(function.name),
            f"{function.complexity:,}",
            f"{function.lines:,}",
            Middle(function.path if function.line is None else f"{function.path}:{function.line}"),
        )
        for function in functions
    )
    return views.table(console.width, columns, rows)
