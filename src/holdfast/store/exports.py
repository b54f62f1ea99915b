"""Exports: what was asked for, and the parts of their files."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from holdfast.domain.exporting import Export, ExportStatus, Format
from holdfast.store import tables

_e = tables.exports.c
_p = tables.export_parts.c


class Exports:
    """The exports of one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        """Work on ``connection``."""
        self._connection = connection

    def add(self, analysis: int, export: Export) -> None:
        """Keep a new export of an analysis, given by its internal key."""
        row = {
            "export_id": export.export_id,
            "client_session_id": export.owner,
            "analysis": analysis,
            "analysis_id": export.analysis_id,
            "format": export.format.value,
            "status": export.status.value,
            "groups_done": 0,
            "groups_total": export.groups_total,
            "size": 0,
            "error": None,
            "created_at": export.created_at,
            "completed_at": None,
            "expires_at": export.expires_at,
        }
        self._connection.execute(sa.insert(tables.exports), row)

    def find(self, export_id: str) -> Export | None:
        """An export, expired or not."""
        row = self._connection.execute(sa.select(tables.exports).where(_e.export_id == export_id)).one_or_none()
        return None if row is None else _export(row)

    def page(self, owner: str | None, now: datetime, *, limit: int, after: str | None) -> list[Export]:
        """Exports that have not expired, newest first.

        Args:
            owner: only this owner's.
            now: the moment.
            limit: how many at most.
            after: the id where the page before ended.
        """
        select = sa.select(tables.exports).where(_e.expires_at > now)
        if owner is not None:
            select = select.where(_e.client_session_id == owner)
        if after is not None:
            last = tables.exports.alias("last").c
            end = sa.select(last.created_at).where(last.export_id == after).scalar_subquery()
            select = select.where(sa.tuple_(_e.created_at, _e.export_id) < sa.tuple_(end, sa.literal(after)))
        ordered = select.order_by(_e.created_at.desc(), _e.export_id.desc()).limit(limit)
        return [_export(row) for row in self._connection.execute(ordered)]

    def restart(self, export_id: str) -> None:
        """Forget what an attempt before has written."""
        self._connection.execute(sa.delete(tables.export_parts).where(_p.export_id == export_id))
        self._change(export_id, groups_done=0, size=0)

    def append(self, export_id: str, ordinal: int, data: bytes, *, groups_done: int, size: int) -> None:
        """Keep a part of the file.

        Args:
            export_id: the export.
            ordinal: the part's place, from 0.
            data: its bytes, compressed.
            groups_done: how many groups are written by now.
            size: how many bytes the parts so far have, uncompressed.
        """
        self._connection.execute(
            sa.insert(tables.export_parts), {"export_id": export_id, "ordinal": ordinal, "data": data}
        )
        self._change(export_id, groups_done=groups_done, size=size)

    def settle(self, export_id: str, status: ExportStatus, now: datetime, error: str | None = None) -> None:
        """Say that it is ready or has failed."""
        self._change(export_id, status=status.value, completed_at=now, error=error)

    def _change(self, export_id: str, **values: Any) -> None:
        self._connection.execute(sa.update(tables.exports).where(_e.export_id == export_id).values(**values))

    def part(self, export_id: str, ordinal: int) -> bytes | None:
        """A part of the file; None beyond the last."""
        select = sa.select(_p.data).where(_p.export_id == export_id, _p.ordinal == ordinal)
        data = self._connection.execute(select).scalar()
        return None if data is None else bytes(data)

    def delete(self, export_ids: Sequence[str]) -> int:
        """Drop exports with their files."""
        return self._connection.execute(sa.delete(tables.exports).where(_e.export_id.in_(export_ids))).rowcount


def _export(row: sa.Row[Any]) -> Export:
    return Export(
        export_id=row.export_id,
        owner=row.client_session_id,
        analysis_id=row.analysis_id,
        format=Format(row.format),
        status=ExportStatus(row.status),
        groups_done=row.groups_done,
        groups_total=row.groups_total,
        size=row.size,
        error=row.error,
        created_at=row.created_at,
        completed_at=row.completed_at,
        expires_at=row.expires_at,
    )
