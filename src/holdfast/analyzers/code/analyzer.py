"""The code analyzer: a commit of a git repository in, its figures and issues out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from holdfast.analyzers.code.commits import chunk_commits, read_commits, unpack_commits, walk_commits
from holdfast.analyzers.code.files import analyse_file
from holdfast.analyzers.code.history import History
from holdfast.analyzers.code.issues import SINGLE_OWNER_RULE
from holdfast.analyzers.code.languages import language_of_name
from holdfast.analyzers.code.manifests import manifest_kind
from holdfast.analyzers.code.params import Params, read_params
from holdfast.analyzers.code.paths import is_generated, is_vendored
from holdfast.analyzers.code.report import Report, build_report
from holdfast.analyzers.code.repository import list_files, open_repository, shallow_boundary
from holdfast.analyzers.code.resolve import resolve_target
from holdfast.analyzers.code.summary import Model, ModelFailed, ask_model, summarise
from holdfast.analyzers.code.tally import Tally
from holdfast.analyzers.code.values import CommitPart, Entry, FileFacts, FilePart, Reason, Skip
from holdfast.domain.ports import Outcome, Request, RunContext
from holdfast.domain.progress import Phase

LISTING = "Listing files"
ANALYSING = "Analysing files"
READING = "Reading history"
SUMMARISING = "Summarising"


class CodeAnalyzer:
    """Analyses a branch or a commit of a git repository, without a checkout and without changing anything."""

    kind = "code"
    version = "1"
    phases: Sequence[Phase] = (
        Phase(name=LISTING, weight=1),
        Phase(name=ANALYSING, weight=50),
        Phase(name=READING, weight=45),
        Phase(name=SUMMARISING, weight=4),
    )

    def resolve(self, target: str, params: Mapping[str, Any]) -> Request:
        """Find out which commit ``target`` means.

        Args:
            target: a path in or of a repository, bare or with a work tree.
            params: ``branch``, ``commit``, ``max_file_bytes``, ``history``, ``include``, ``exclude``.

        Raises:
            InvalidTarget: there is nothing to analyse there; its subclasses say why.
            InvalidParams: a parameter is unknown or has a wrong value.
        """
        return resolve_target(target, params)

    def run(self, ctx: RunContext) -> Outcome:
        """Analyse the commit that the request names.

        Raises:
            CorruptTarget: the commit or its root tree cannot be read.
        """
        params = read_params(ctx.request.params)
        tally = Tally()
        groups, unread = _list(ctx, params, tally)
        _analyse(ctx, tally, groups, unread)
        # git's order is by bytes with folders as if they ended in a slash; a reader expects plain order.
        tally.rows.sort(key=lambda row: row.path)
        limits: dict[str, Any] = {
            "max_file_bytes": params.max_file_bytes,
            "history": params.history,
            "history_cut": False,
            "history_shallow": False,
        }
        title = ctx.request.subject.title
        history = None
        if params.history:
            # The longest phase comes next: whoever stops it keeps what the files have shown.
            ctx.partial(_outcome(build_report(tally, None, limits), title))
            history = _history(ctx, params, tally, limits)
        ctx.phase(SUMMARISING, total=2)
        report = build_report(tally, history, limits)
        ctx.advance(message="Writing the summary")
        outcome = _outcome(report, title)
        _ask_model(report, title)
        ctx.advance()
        return outcome


def _outcome(report: Report, title: str) -> Outcome:
    report.result["ai_summary"] = summarise(title, report.metrics, report.languages, report.worst)
    return Outcome(
        result=report.result,
        summary=_headline(title, report.metrics),
        findings=report.findings,
        metrics=report.metrics,
    )


def _list(
    ctx: RunContext, params: Params, tally: Tally
) -> tuple[dict[FilePart, list[Entry]], list[tuple[Entry, Reason]]]:
    """Sort the files into those to read, by part since equal contents are read once, and the others."""
    ctx.phase(LISTING)
    location = ctx.request.location
    groups: dict[FilePart, list[Entry]] = {}
    unread: list[tuple[Entry, Reason]] = []
    files = list_files(open_repository(location), ctx.request.subject.revision, params.wanted(), tally.skip)
    for entry in files:
        ctx.advance()
        reason = _refuse(entry, params)
        if reason is not None:
            unread.append((entry, reason))
            continue
        language = language_of_name(entry.path)
        part = FilePart(
            repository=location,
            blob=entry.blob,
            language="" if language is None else language.name,
            manifest=manifest_kind(entry.path),
        )
        groups.setdefault(part, []).append(entry)
    return groups, unread


def _refuse(entry: Entry, params: Params) -> Reason | None:
    if is_vendored(entry.path):
        return Reason.VENDORED
    if is_generated(entry.path):
        return Reason.GENERATED
    if entry.size < 0:
        return Reason.UNREADABLE_OBJECT
    return Reason.TOO_LARGE if entry.size > params.max_file_bytes else None


def _analyse(
    ctx: RunContext, tally: Tally, groups: Mapping[FilePart, list[Entry]], unread: Iterable[tuple[Entry, Reason]]
) -> None:
    ctx.phase(ANALYSING, total=sum(map(len, groups.values())))
    for entry, reason in unread:
        ctx.check()
        tally.add_unread(entry, reason, _unread_detail(entry, reason))
    parts = list(groups)
    failed = []
    for part, facts in zip(parts, ctx.map(analyse_file, parts, key=_file_key, remember=True), strict=True):
        if facts["skip"] == Reason.UNREADABLE_OBJECT:
            failed.append(part)
        else:
            _add(ctx, tally, groups[part], facts)
    # What could not be read is remembered too, but it may have been mended since: those are tried every time.
    again = ctx.map(analyse_file, failed, key=_retry_key)
    for part, facts in zip(failed, again, strict=True):
        _add(ctx, tally, groups[part], facts)


def _add(ctx: RunContext, tally: Tally, entries: Sequence[Entry], facts: FileFacts) -> None:
    for entry in entries:
        ctx.advance(found=tally.add(entry, facts), message=entry.path)


def _unread_detail(entry: Entry, reason: Reason) -> str:
    if reason is Reason.UNREADABLE_OBJECT:
        return f"object {entry.blob} is missing or damaged"
    return f"{entry.size} bytes" if reason is Reason.TOO_LARGE else "by its path"


def _file_key(part: FilePart) -> str:
    return part.key


def _retry_key(part: FilePart | CommitPart) -> str:
    return f"again:{part.key}"


def _commit_key(part: CommitPart) -> str:
    return part.key


def _history(ctx: RunContext, params: Params, tally: Tally, limits: dict[str, Any]) -> History:
    ctx.phase(READING)
    location = ctx.request.location
    repository = open_repository(location)
    boundary = shallow_boundary(repository)
    walk = walk_commits(repository, ctx.request.subject.revision, params.history, boundary, ctx.check)
    # What it has cached and mapped is of no more use here: the rest is read by other processes.
    repository.free()
    ctx.phase(READING, total=len(walk.commits))
    history = History(row.path for row in tally.rows)
    failed: list[CommitPart] = []
    for part, packed in _mapped(ctx, chunk_commits(location, walk.commits, boundary)):
        commits = unpack_commits(packed)
        if not all(commit.whole for commit in commits):
            failed.append(part)
            continue
        for commit in commits:
            history.add(commit)
        ctx.advance(len(commits))
    for packed in ctx.map(read_commits, failed, key=_retry_key):
        commits = unpack_commits(packed)
        for commit in commits:
            history.add(commit)
        ctx.advance(len(commits))
    limits["history_cut"] = walk.cut
    limits["history_shallow"] = any(raw.hex() in boundary for _, raw in walk.commits)
    _note_gaps(tally, history, walk.failure, limits)
    return history


def _mapped(ctx: RunContext, parts: Iterator[CommitPart]) -> Iterator[tuple[CommitPart, bytes]]:
    # The parts that went in and have not come out: as many as the context keeps in flight, never all.
    waiting: list[CommitPart] = []

    def noted() -> Iterator[CommitPart]:
        for part in parts:
            waiting.append(part)
            yield part

    for packed in ctx.map(read_commits, noted(), key=_commit_key, remember=True):
        yield waiting.pop(0), packed


def _note_gaps(tally: Tally, history: History, failure: str, limits: Mapping[str, Any]) -> None:
    if limits["history_shallow"]:
        tally.skip(Skip(path=None, reason=Reason.HISTORY_TRUNCATED, detail="the clone is shallow"))
    if limits["history_cut"]:
        detail = f"only the newest {limits['history']} commits were read"
        tally.skip(Skip(path=None, reason=Reason.HISTORY_TRUNCATED, detail=detail))
    if failure:
        tally.skip(
            Skip(path=None, reason=Reason.HISTORY_UNREADABLE, detail=f"a part of the history is missing: {failure}")
        )
    if history.unreadable:
        detail = f"{history.unreadable} commits have objects that are missing or damaged"
        tally.skip(Skip(path=None, reason=Reason.HISTORY_UNREADABLE, detail=detail))
    if history.uncounted:
        detail = f"{history.uncounted} commits have changes whose lines were not counted"
        tally.skip(Skip(path=None, reason=Reason.HISTORY_NOT_DIFFED, detail=detail))


def _ask_model(report: Report, title: str) -> None:
    """Let a language model write the summary, where one is configured."""
    result = report.result
    model = Model.from_environment()
    if model is None:
        return
    issues = result["issues"][:25]
    facts = {
        "title": title,
        "metrics": report.metrics,
        "technologies": result["technologies"]["names"][:40],
        "issues": [_told(issue) for issue in issues],
        "hotspots": [spot["path"] for spot in (result["history"] or {}).get("hotspots", [])[:10]],
    }
    try:
        result["ai_summary"] = ask_model(model, facts)
    except ModelFailed as error:
        detail = f"the language model gave no summary ({error}); it was made from the figures"
        result["skipped"].append({"path": None, "reason": Reason.AI_SUMMARY.value, "detail": detail})


def _told(issue: Mapping[str, Any]) -> str:
    # That rule's titles name a person, and people's names are sent nowhere.
    title = "one person made most of its changes" if issue["rule"] == SINGLE_OWNER_RULE else issue["title"]
    return f"{issue['severity']}: {issue['path']}: {title}"


def _headline(title: str, metrics: Mapping[str, float]) -> str:
    score = f"score {metrics['overall_score']:.0f}, " if "overall_score" in metrics else ""
    grave = int(metrics["issues_critical"] + metrics["issues_high"])
    return f"{title}: {score}{int(metrics['code_lines']):,} code lines, {grave} grave issues"
