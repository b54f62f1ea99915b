"""What people see: tables that never wrap, names that never act."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from holdfast.cli import text
from holdfast.domain.analysis import Analysis, ErrorInfo, Status
from holdfast.domain.errors import HoldfastError
from holdfast.domain.events import LedgerEntry
from holdfast.domain.findings import Finding, Severity

if TYPE_CHECKING:
    from holdfast.store.runs import Attempt

_MARKS = {
    Status.QUEUED: ("○", "cyan"),
    Status.RUNNING: ("●", "blue"),
    Status.COMPLETED: ("✓", "green"),
    Status.FAILED: ("✗", "red"),
    Status.CANCELLED: ("■", "yellow"),
    Status.TIMED_OUT: ("✗", "yellow"),
}
SEVERITY_STYLES = {
    Severity.CRITICAL: "bold red",
    Severity.HIGH: "red",
    Severity.MEDIUM: "yellow",
    Severity.LOW: "cyan",
    Severity.INFO: "dim",
}
_LEAST = 12
_DETAIL_LINES = 20


class Screen(Console):
    """A console that leaves it to the edge what a closed pipe means, and pads lines on a terminal only."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError

    def print(self, *objects: Any, **options: Any) -> None:
        if self.is_terminal:
            super().print(*objects, **options)
            return
        with self.capture() as shown:
            super().print(*objects, **options)
        self.file.write("\n".join(line.rstrip(" ") for line in shown.get().split("\n")))
        self.file.flush()


class Middle:
    """A name in one line: safe, and cropped in the middle, since names differ at their ends."""

    def __init__(self, value: object, style: str = "") -> None:
        """Show ``value``."""
        self._text = text.safe(value)
        self._style = style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(
            crop(self._text, options.max_width, unicode=not options.ascii_only), self._style, no_wrap=True, end=""
        )

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        width = cell_len(self._text)
        return Measurement(min(_LEAST, width), width)


def crop(value: str, width: int, *, unicode: bool = True) -> str:
    """At most ``width`` cells of a line, without its middle if that is too much."""
    if cell_len(value) <= width:
        return value
    dots = "…" if unicode else "..."
    left = max(width - len(dots), 0)
    head, tail = value, value
    # A wide character may be two cells, so by cells, not by characters.
    while cell_len(head) > left // 2:
        head = head[: -max(1, (cell_len(head) - left // 2) // 2)]
    while cell_len(tail) > left - left // 2:
        tail = tail[max(1, (cell_len(tail) - left + left // 2) // 2) :]
    return (head + dots + tail) if width > len(dots) else value[:width]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table.

    Attributes:
        title: its heading.
        right: whether it is flush right.
        since: how wide the terminal must be for it.
        flexible: whether it gives way when there is too little room.
    """

    title: str
    right: bool = False
    since: int = 0
    flexible: bool = False


Cell = str | Text | Middle


def table(width: int, columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> Table:
    """A table in which each row is one line, of the columns that there is room for."""
    shown = [place for place, column in enumerate(columns) if column.since <= width]
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for place in shown:
        column = columns[place]
        made.add_column(
            Text(column.title, no_wrap=True, overflow="ellipsis"),
            justify="right" if column.right else "left",
            no_wrap=not column.flexible,
            overflow="ellipsis",
        )
    for row in rows:
        made.add_row(*(_renderable(row[place]) for place in shown))
    return made


def _renderable(cell: Cell) -> RenderableType:
    return Text(text.safe(cell), no_wrap=True) if isinstance(cell, str) else cell


def status(value: Status, console: Console, *, words: bool = True) -> Text:
    """A status as a mark and a word; the word alone where the marks cannot be shown."""
    mark, style = _MARKS[value]
    word = value.value.replace("_", " ")
    if console.options.ascii_only:
        return Text(word, style)
    return Text(f"{mark} {word}" if words else mark, style)


def subject_of(value: Analysis) -> str:
    """What people call what was analysed."""
    if value.subject is None:
        return value.location or "-"
    return value.subject.title or value.subject.key


def analyses(console: Console, items: Sequence[Analysis]) -> Table:
    """A list of analyses."""
    now = datetime.now(UTC)
    short = text.short_ids([item.analysis_id for item in items])
    wide = console.width >= 60
    columns = [
        Column(title="id", flexible=True),
        Column(title="status"),
        Column(title="kind", since=70),
        Column(title="subject", flexible=True),
        Column(title="findings", right=True, since=70),
        Column(title="created", since=60),
        Column(title="tags", since=100, flexible=True),
    ]
    return table(
        console.width,
        columns,
        (
            (
                Middle(short[item.analysis_id]),
                status(item.status, console, words=wide),
                Middle(item.kind),
                Middle(subject_of(item)),
                f"{item.finding_count:,}" if item.status.ended else "",
                text.age(item.created_at, now),
                Middle(", ".join(item.tags)),
            )
            for item in items
        ),
    )


def facts(rows: Iterable[tuple[str, Cell | None]]) -> Table:
    """Names and values, one a line; what has no value is left out."""
    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows:
        if value is not None:
            made.add_row(Text(name), _renderable(value) if isinstance(value, Middle) else _wrapped(value))
    return made


def _wrapped(value: str | Text) -> Text:
    return Text(text.safe(value)) if isinstance(value, str) else value


def section(title: str, body: RenderableType) -> Group:
    """A heading and what stands under it, with an empty line before."""
    return Group(Text(), Text(title, "bold"), Padding(body, (0, 0, 0, 2), expand=False))


def findings(console: Console, items: Sequence[Finding]) -> Table:
    """Findings, one a line."""
    columns = [
        Column(title="severity"),
        Column(title="finding", flexible=True),
        Column(title="where", flexible=True, since=60),
        Column(title="rule", since=140),
    ]
    rows = (
        (
            Text(item.severity.value, SEVERITY_STYLES[item.severity]),
            Middle(item.title),
            Middle(place(item)),
            Middle(item.rule),
        )
        for item in items
    )
    return table(console.width, columns, rows)


def place(finding: Finding) -> str:
    """Where a finding is, in a few words."""
    if finding.path is None:
        return f"{text.count(len(finding.items), 'item')}" if finding.items else ""
    return finding.path if finding.line is None else f"{finding.path}:{finding.line}"


def metrics(console: Console, values: Mapping[str, float]) -> Table:
    """Metrics by name."""
    rows = ((Middle(name), number(value)) for name, value in values.items())
    return table(console.width, [Column(title="metric", flexible=True), Column(title="value", right=True)], rows)


def number(value: float) -> str:
    """A figure without needless decimals."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.3f}".rstrip("0")


def attempts(console: Console, items: Sequence["Attempt"]) -> Table:
    """The runs of an analysis."""
    columns = [
        Column(title="attempt", right=True),
        Column(title="status"),
        Column(title="began", since=60),
        Column(title="took", right=True),
        Column(title="why it ended", flexible=True, since=60),
        Column(title="worker", flexible=True, since=100),
    ]
    rows = (
        (
            str(item.number),
            "interrupted" if item.status is Status.QUEUED else status(item.status, console),
            text.moment(item.started_at),
            "" if item.ended_at is None else text.duration((item.ended_at - item.started_at).total_seconds()),
            Middle("" if item.error is None else f"{item.error.code}: {item.error.message}"),
            Middle(item.worker),
        )
        for item in items
    )
    return table(console.width, columns, rows)


def events(console: Console, items: Sequence[LedgerEntry]) -> Table:
    """What happened."""
    columns = [
        Column(title="when"),
        Column(title="event"),
        Column(title="facts", flexible=True, since=60),
        Column(title="by", flexible=True, since=100),
    ]
    rows = (
        (
            text.moment(item.event.at),
            item.event.name,
            Middle(", ".join(f"{name}={value}" for name, value in item.event.data.items())),
            Middle(item.event.actor),
        )
        for item in items
    )
    return table(console.width, columns, rows)


def print_error(console: Console, error: HoldfastError) -> None:
    """An error that ended a command, with what to do next."""
    extra: list[str] = []
    branches = error.details.get("branches")
    if isinstance(branches, list) and branches:
        extra = [f"There are: {', '.join(map(str, branches))}"]
    _print_error(console, error.code, error.message, [*extra, *error.suggestions])


def print_why(console: Console, error: ErrorInfo) -> None:
    """Why an analysis ended without a complete result."""
    _print_error(console, error.code, error.message, error.suggestions)


def print_details(console: Console, error: ErrorInfo) -> None:
    """Where it went wrong, and what was printed before: the ends of both."""
    for name, title in (("traceback", "Traceback"), ("output", "Output")):
        written = error.details.get(name)
        if not isinstance(written, str) or not written.strip():
            continue
        lines = written.rstrip().split("\n")
        cut = f"  (the last {_DETAIL_LINES} of {len(lines):,} lines)" if len(lines) > _DETAIL_LINES else ""
        body = Text("\n".join(text.safe(line.expandtabs().rstrip("\r")) for line in lines[-_DETAIL_LINES:]))
        console.print(section(f"{title}{cut}", body))


def _print_error(console: Console, code: str, message: str, suggestions: Sequence[str]) -> None:
    console.print(Text.assemble((f"error {code}: ", "bold red"), text.paragraph(message)))
    for suggestion in suggestions:
        console.print(Text(f"  {text.safe(suggestion)}"))
