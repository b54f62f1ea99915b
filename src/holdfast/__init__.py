"""Holdfast keeps what analyses find.

    import holdfast

    with holdfast.open("sqlite:///results.db") as hf:
        analysis = hf.analyze("code", "path/to/repository")
        print(analysis.summary, hf.get_findings(analysis.analysis_id))

What stands here is the public door; the rest may move between releases.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.asynchronous import AsyncHoldfast, open_async
    from holdfast.bootstrap import Holdfast
    from holdfast.bootstrap import open_holdfast as open  # noqa: A004 read as holdfast.open
    from holdfast.default import analysis
    from holdfast.domain import errors
    from holdfast.domain.analysis import Analysis, Status
    from holdfast.domain.context import Context
    from holdfast.domain.errors import HoldfastError
    from holdfast.domain.findings import Finding, FindingItem, Metric, Severity
    from holdfast.domain.ports import Analyzer, Outcome, Request, RunContext
    from holdfast.domain.progress import Phase, Progress
    from holdfast.domain.subjects import Subject
    from holdfast.services.results import NewResult
    from holdfast.services.submissions import Submission
    from holdfast.tracking import TrackedRun, current

__version__ = "0.1.0"

# Imported when first asked for: the database libraries take ten times as long to import as everything else,
# and a run's process, or a shell's completion, needs none of them.
_WHERE = {
    "Analysis": "domain.analysis",
    "Analyzer": "domain.ports",
    "AsyncHoldfast": "asynchronous",
    "Context": "domain.context",
    "Finding": "domain.findings",
    "FindingItem": "domain.findings",
    "Holdfast": "bootstrap",
    "HoldfastError": "domain.errors",
    "Metric": "domain.findings",
    "NewResult": "services.results",
    "Outcome": "domain.ports",
    "Phase": "domain.progress",
    "Progress": "domain.progress",
    "Request": "domain.ports",
    "RunContext": "domain.ports",
    "Severity": "domain.findings",
    "Status": "domain.analysis",
    "Subject": "domain.subjects",
    "Submission": "services.submissions",
    "TrackedRun": "tracking",
    "analysis": "default",
    "current": "tracking",
    "errors": "domain",
    "open": "bootstrap",
    "open_async": "asynchronous",
}

__all__ = [
    "Analysis",
    "Analyzer",
    "AsyncHoldfast",
    "Context",
    "Finding",
    "FindingItem",
    "Holdfast",
    "HoldfastError",
    "Metric",
    "NewResult",
    "Outcome",
    "Phase",
    "Progress",
    "Request",
    "RunContext",
    "Severity",
    "Status",
    "Subject",
    "Submission",
    "TrackedRun",
    "analysis",
    "current",
    "errors",
    "open",
    "open_async",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_WHERE[name]}")
    value = import_module(f"{__name__}.domain.errors") if name == "errors" else getattr(module, _NAMES.get(name, name))
    globals()[name] = value
    return value


_NAMES = {"open": "open_holdfast"}
