"""Analyses of other programs' files into a store, and the export that such programs read."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from itertools import islice
from typing import IO, Any

import msgspec

from holdfast.documents import to_json
from holdfast.domain import ids
from holdfast.domain.analysis import Analysis, Change
from holdfast.domain.checks import check_kind, check_metrics, check_tags
from holdfast.domain.errors import UnknownDocument
from holdfast.domain.events import Event
from holdfast.domain.fingerprint import code_hash, fingerprint
from holdfast.formats import analyses, mlflow, otel, sarif
from holdfast.formats.foreign import Foreign, Format, InvalidFile
from holdfast.services.transfer.bundles import Imported, Told
from holdfast.store.analyses import Stored
from holdfast.store.lists import Filter, Place
from holdfast.store.payloads import Payload, pack, unpack
from holdfast.store.unit_of_work import Store, UnitOfWork

_AT_ONCE = 100
_PAGE = 100
# Whole files are read at once: theirs are of one run. Larger ones come as a bundle or as an export of analyses.
_LARGEST = 1024 * 1024 * 1024


def read(source: IO[bytes], kind: Format) -> Iterator[Foreign]:
    """The analyses of a file.

    Raises:
        InvalidFile: it is not of that format.
    """
    if kind is Format.ANALYSES:
        return analyses.read(source)
    content = source.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise InvalidFile("The file is larger than 1 GiB")
    if kind is Format.OTEL:
        return otel.analyses(content.decode("utf-8", "replace"))
    try:
        document = msgspec.json.decode(content.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidFile(f"The file is not JSON: {error}") from error
    return sarif.runs(document) if kind is Format.SARIF else mlflow.runs(document)


def keep(store: Store, found: Iterator[Foreign], told: Told) -> Imported:
    """Keep analyses that are not kept yet, some at a time; to do it again does no harm.

    Raises:
        InvalidFile: one cannot be kept; those before it are.
    """
    tally: Counter[str] = Counter()
    differing: list[str] = []
    skipped: Counter[str] = Counter()
    while batch := list(islice(found, _AT_ONCE)):
        for foreign in batch:
            skipped.update(foreign.skipped)
        prepared = [_prepared(foreign) for foreign in batch]

        def work(uow: UnitOfWork, prepared: list["_Prepared"] = prepared) -> tuple[int, list[str], list[str]]:
            return _keep(uow, prepared)

        added, same, other = store.write(work)
        tally.update({"added": added, "there": len(same)})
        differing += other
        told("analyses", sum(tally.values()) + len(differing), None)
    return Imported(
        added={"analyses": tally["added"]},
        there={"analyses": tally["there"]} if tally["there"] else {},
        differing={"analyses": len(differing)} if differing else {},
        named=tuple(f"analyses {name}" for name in differing[:20]),
        skipped=skipped,
    )


_Prepared = tuple[Foreign, Payload | None]


def _prepared(foreign: Foreign) -> _Prepared:
    try:
        ids.check_id(foreign.analysis_id)
        check_kind(foreign.kind)
        check_tags(foreign.tags)
        check_metrics(foreign.metrics)
        return foreign, None if foreign.result is None else pack(to_json(foreign.result))
    except UnknownDocument as error:
        raise InvalidFile(f"{foreign.analysis_id}: {error.message}") from error


def _keep(uow: UnitOfWork, prepared: Iterable[_Prepared]) -> tuple[int, list[str], list[str]]:
    wanted = {foreign.analysis_id: (foreign, payload) for foreign, payload in prepared}
    there = uow.analyses.find_many(list(wanted))
    same = [name for name, stored in there.items() if _is_same(stored, *wanted[name])]
    new = {name: pair for name, pair in wanted.items() if name not in there}
    uow.payloads.put([payload for _, payload in new.values() if payload is not None])
    values = {name: _analysis(foreign, payload, uow.now) for name, (foreign, payload) in new.items()}
    keys = uow.add([Change(value=value, events=(_event(value, uow.now),)) for value in values.values()])
    for name, key in keys.items():
        if findings := new[name][0].findings:
            uow.findings.add(key, findings)
    uow.findings.add_metrics((key, new[name][0].metrics) for name, key in keys.items())
    return len(keys), same, [name for name in there if name not in same]


def _is_same(stored: Stored, foreign: Foreign, payload: Payload | None) -> bool:
    kept = stored.value
    hashes = (kept.result and kept.result.hash, payload and payload.ref.hash)
    return hashes[0] == hashes[1] and (kept.kind, kept.status) == (foreign.kind, foreign.status)


def _analysis(foreign: Foreign, payload: Payload | None, now: datetime) -> Analysis:
    subject = foreign.subject
    created_at = foreign.created_at or foreign.completed_at or now
    return Analysis(
        analysis_id=foreign.analysis_id,
        kind=foreign.kind,
        status=foreign.status,
        context=foreign.context,
        subject=subject,
        params=dict(foreign.params),
        fingerprint=fingerprint(foreign.kind, subject, foreign.params),
        code_hash=code_hash(subject.revision) if subject is not None and subject.revision else None,
        analyzer_version=foreign.analyzer_version,
        summary=foreign.summary,
        tags=check_tags(foreign.tags),
        result=None if payload is None else payload.ref,
        error=foreign.error,
        finding_count=len(foreign.findings),
        created_at=created_at,
        started_at=created_at,
        completed_at=foreign.completed_at or created_at,
        updated_at=now,
    )


def _event(value: Analysis, now: datetime) -> Event:
    return Event(
        name=f"analysis.{value.status.value}",
        at=now,
        analysis_id=value.analysis_id,
        client_session_id=value.context.client_session_id,
        actor=value.context.client_session_id,
        data={"kind": value.kind, "findings": value.finding_count},
    )


def write(uow: UnitOfWork, where: Filter, told: Told) -> Iterator[bytes]:
    """The export that other programs read, of what one transaction sees."""
    total = uow.outflow(where, secrets=False).count_analyses()

    def entries() -> Iterator[dict[str, Any]]:
        number = 0
        after: Place | None = None
        while page := uow.analyses.page(where, limit=_PAGE, after=after, ascending=True):
            for stored in page:
                number += 1
                yield _entry(uow, stored)
            told("analyses", number, total)
            last = page[-1]
            after = Place(created_at=last.value.created_at, key=last.key)

    return analyses.write(uow.now.isoformat(), total, entries())


def _entry(uow: UnitOfWork, stored: Stored) -> dict[str, Any]:
    value = stored.value
    result = None
    if value.result is not None:
        result = msgspec.json.decode(unpack(value.result.hash, uow.payloads.read(value.result.hash)))
    output, raw = analyses.parted(result)
    plain = {name: getattr(value, name) for name in _PLAIN}
    about = {
        **plain,
        **asdict(value.context),
        "subject": value.subject,
        "error": value.error,
        "tags": value.tags,
        "findings": [finding for _, finding in uow.findings.of_analysis(stored.key)],
        "metrics": {metric.name: metric.value for metric in uow.findings.metrics_of(stored.key)},
    }
    return {
        "metadata": about,
        "input_data": value.params,
        "output_data": output,
        "raw_response": raw,
        "processing_log": [entry.event for entry in _events(uow, value.analysis_id)],
    }


def _events(uow: UnitOfWork, analysis_id: str) -> Iterator[Any]:
    after = 0
    while entries := uow.ledger.of_analysis(analysis_id, after=after, limit=1000):
        yield from entries
        after = entries[-1].sequence


_PLAIN = (
    "analysis_id",
    "kind",
    "status",
    "summary",
    "created_at",
    "started_at",
    "completed_at",
    "code_hash",
    "analyzer_version",
)
