"""Analyses as indexes read them: whole pages by one statement, and nothing made of what nobody asks for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from holdfast.domain.analysis import Analysis, Status
from holdfast.domain.findings import Finding
from holdfast.domain.processing import Document, digest
from holdfast.store import tables
from holdfast.store.analyses import stored_from
from holdfast.store.keysets import among
from holdfast.store.lists import ROWS
from holdfast.store.prepared import Prepared

_a = tables.analyses.c
_p = tables.payloads.c
_m = tables.processing.c

_LARGEST_RESULT = 8 * 1024 * 1024
_ENDED = frozenset(status.value for status in Status if status.ended)

_FRAME = sa.case((_a.result_size <= _LARGEST_RESULT, _p.data)).label("frame")
_MARK = tuple(_m[name].label(f"mark_{name}") for name in ("status", "digest", "processor_version"))
_SOURCES = (
    ROWS.add_columns(_FRAME, *_MARK)
    .outerjoin(tables.payloads, _p.hash == _a.result_hash)
    .outerjoin(
        tables.processing, sa.and_(_m.analysis == _a.id, _m.processor == sa.bindparam("processor", type_=sa.Text))
    )
    .order_by(_a.id)
)
_OF_KEYS = Prepared(lambda _: _SOURCES.where(among(_a.id, "wanted")))
_PAGE = Prepared(
    lambda _: _SOURCES.where(_a.id > sa.bindparam("after", type_=_a.id.type)).limit(
        sa.bindparam("most", type_=sa.Integer)
    )
)
_PLACES = {str(column.key): place for place, column in enumerate(_SOURCES.selected_columns)}
# What a document holds, in the order in which it is named by.
_FACTS = tuple(
    _PLACES[name]
    for name in (
        *("analysis_id", "kind", "status", "summary", "tags", "result_hash", "finding_count", "params", "fingerprint"),
        *("completed_at", "error", "client_session_id", "thread_id", "session_id", "process_instance_id"),
        *("subject_kind", "key", "revision", "title", "refreshed_from"),
    )
)
_ID, _VERSION, _STATUS, _DELETED = (_PLACES[name] for name in ("id", "version", "status", "deleted_at"))
_KIND, _SUMMARY, _TAGS, _PARAMS = (_PLACES[name] for name in ("kind", "summary", "tags", "params"))
_ERROR, _SUBJECT, _TITLE, _KEY = (_PLACES[name] for name in ("error", "subject", "title", "key"))
_FOUND, _HASH, _DATA = (_PLACES[name] for name in ("finding_count", "result_hash", "frame"))
_MARKED = slice(_PLACES["mark_status"], _PLACES["mark_processor_version"] + 1)


@dataclass(frozen=True, slots=True)
class Source:
    """An analysis as an index reads it, and how far it has come with it.

    Attributes:
        key: its internal key.
        version: its version.
        is_there: whether it is not in the trash.
        has_ended: whether it has ended.
        digest: names all that a document holds.
        mark: status, digest and version of the processor, of what was noted; all None where nothing was.
        row: the analysis, as the driver gave it.
        dialect: of the driver.
        query: what gave the row.
    """

    key: int
    version: int
    is_there: bool
    has_ended: bool
    digest: str
    mark: Sequence[str | None]
    row: Sequence[Any]
    dialect: str
    query: Prepared

    @property
    def has_findings(self) -> bool:
        """Whether it found anything."""
        return bool(self.row[_FOUND])

    @property
    def result(self) -> tuple[str, bytes] | None:
        """Hash and zstd frame of its result; None when there is none, or one too large to be decoded."""
        frame = self.row[_DATA]
        return None if frame is None else (self.row[_HASH], bytes(frame))

    def document(self, result: Any, findings: Sequence[Finding]) -> Document:
        """The document, with its result and findings."""
        row = self.row
        has_subject, error = row[_SUBJECT] is not None, row[_ERROR]
        return Document(
            key=self.key,
            kind=row[_KIND],
            subject=(row[_TITLE] or row[_KEY]) if has_subject else None,
            summary=row[_SUMMARY],
            tags=_decoded(row[_TAGS]),
            params=_decoded(row[_PARAMS]),
            error=None if error is None else _decoded(error)["message"],
            make=self.analysis,
            result=result,
            findings=tuple(findings),
            digest=self.digest,
        )

    def analysis(self) -> Analysis:
        """The analysis itself, made anew each time."""
        return stored_from(self.query.named(self.dialect, self.row)).value


class Documents:
    """What indexes read of one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        """Work on ``connection``."""
        self._connection = connection

    def of_keys(self, processor: str, wanted: Sequence[int]) -> list[Source]:
        """Analyses by their internal keys, in that order; those that are gone are missing."""
        return self._read(_OF_KEYS, {"processor": processor, "wanted": list(wanted)})

    def page(self, processor: str, after: int, most: int) -> list[Source]:
        """The analyses whose internal keys follow ``after``, ``most`` of them."""
        return self._read(_PAGE, {"processor": processor, "after": after, "most": most})

    def _read(self, query: Prepared, values: dict[str, Any]) -> list[Source]:
        dialect = self._connection.dialect.name
        return [
            Source(
                row[_ID],
                row[_VERSION],
                row[_DELETED] is None,
                row[_STATUS] in _ENDED,
                digest([row[place] for place in _FACTS]),
                row[_MARKED],
                row,
                dialect,
                query,
            )
            for row in query.rows(self._connection, values)
        ]


def _decoded(text: str) -> Any:
    return msgspec.json.decode(text)
