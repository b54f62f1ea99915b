"""Stores to be carried: what every kind of row looks like, and how two are compared."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from holdfast.bootstrap import Holdfast
from holdfast.domain.analysis import ErrorInfo, Status
from holdfast.domain.context import Context
from holdfast.domain.findings import Finding, FindingItem, Severity
from holdfast.domain.jobs import NewJob
from holdfast.domain.subjects import Subject
from holdfast.services.results import NewResult
from holdfast.testing import FakeClock
from tests.services.samples import begin, findings, opened

ODD = "naïve “quotes” \t\n\\ 日本語 עברית \U0001f600 end"


@contextmanager
def open_store(url: str, seed: int = 0) -> Iterator[Holdfast]:
    with opened(url, FakeClock()) as hf:
        yield hf


def fill(hf: Holdfast) -> None:
    """Some of every kind of row."""
    subject = Subject(kind="repository", key="ssh://host/ä", revision="r1", title=ODD, attributes={"a": [1, None, ODD]})
    hf.store_analysis(
        "sample",
        {"text": ODD, "large": 2**62, "small": 5e-324, "most": 1.7976931348623157e308, "list": [[], {}, None, True]},
        subject=subject,
        analysis_id="first",
        findings=[
            Finding(
                rule="a/b",
                severity=Severity.CRITICAL,
                title=ODD,
                path="ä/ö.py",
                line=2**31 - 1,
                score=0.1,
                data={"x": 1e-9},
                items=tuple(FindingItem(key=f"{ODD}{n}", data={"n": n}) for n in range(12)),
            ),
            *findings(5),
        ],
        metrics={"Ärger": 0.1, "a": -0.0, "B": 1e300, "b c": 3},
        tags=["zeta", "Ärger", "alpha", "Beta"],
        context=Context(client_session_id="ann", thread_id="t1", session_id="s1", process_instance_id="p1"),
        ttl_seconds=1e9,
        max_retrievals=3,
    )
    hf.results.retrieve("first")
    # The same result again: kept once.
    for name in ("same-b", "same-a"):
        hf.store_analysis("sample", {"same": ODD}, analysis_id=name, subject=subject, findings=findings(3))
    hf.store_analysis(
        "sample",
        analysis_id="failed",
        result=None,
        status=Status.FAILED,
        error=ErrorInfo(code="WHY", message=ODD, suggestions=("a", "b"), details={"n": 1}),
    )
    hf.store_analysis("other", list(range(5000)), analysis_id="trashed")
    hf.delete_analysis("trashed")
    hf.pin_analysis("same-a")
    hf.submit("sample", "running")
    begin(hf)
    hf.submit("sample", "waiting", params={"p": 1})
    hf.jobs.enqueue([NewJob(kind="any", payload={"n": 1}), NewJob(kind="any", payload={"n": 2}, unique_key="u")])
    hf.jobs.schedule("nightly", "any", 3600)
    hf.accounts.create_token("ci")
    hf.store.write(lambda uow: uow.runs.save_checkpoints("analysis:first", {"k\u00e4": b"\0\xff"}, uow.now))
    hf.results.store([NewResult(kind="keyed", result=1)], idempotency_key="key")


def exported(hf: Holdfast, **options: Any) -> bytes:
    sink = io.BytesIO()
    hf.transfer.export_analyses(sink, **options)
    return sink.getvalue()


def without_header(bundle: bytes) -> bytes:
    return bundle.split(b"\n", 1)[1]


def add_many(hf: Holdfast, count: int, kind: str = "many") -> None:
    for start in range(0, count, 200):
        hf.store_analyses(
            [
                NewResult(
                    kind=kind,
                    analysis_id=f"{kind}-{number:06}",
                    result={"number": number // 3, "filler": "x" * (number % 900)},
                    findings=findings(number % 4),
                    metrics={"m": number, "n": number / 7},
                    tags=[f"t{number % 5}", "all"],
                )
                for number in range(start, min(start + 200, count))
            ]
        )
