"""What analyses found: findings with their items, and metrics."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from holdfast.domain.findings import Finding, FindingItem, Metric, Severity
from holdfast.store import tables
from holdfast.store.keysets import among

_f = tables.findings.c
_i = tables.finding_items.c
_m = tables.metrics.c
_BATCH = 1000


class Findings:
    """The findings and metrics of one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        """Work on ``connection``."""
        self._connection = connection

    def add(self, analysis: int, findings: Sequence[Finding]) -> None:
        """Keep the findings of an analysis, in order.

        Args:
            analysis: the analysis's internal key.
            findings: its findings.
        """
        for start in range(0, len(findings), _BATCH):
            self._add_batch(analysis, start, findings[start : start + _BATCH])

    def _add_batch(self, analysis: int, start: int, findings: Sequence[Finding]) -> None:
        rows = [
            {
                "analysis": analysis,
                "ordinal": start + offset,
                "rule": finding.rule,
                "severity": finding.severity.value,
                "title": finding.title,
                "message": finding.message,
                "path": finding.path,
                "line": finding.line,
                "end_line": finding.end_line,
                "identity": finding.identity,
                "score": finding.score,
                "data": finding.data,
            }
            for offset, finding in enumerate(findings)
        ]
        if not any(finding.items for finding in findings):
            self._connection.execute(sa.insert(tables.findings), rows)
            return
        inserted = self._connection.execute(
            sa.insert(tables.findings).returning(_f.id, sort_by_parameter_order=True), rows
        )
        items = [
            {"finding": key, "ordinal": ordinal, "key": item.key, "data": item.data}
            for key, finding in zip(inserted.scalars(), findings, strict=True)
            for ordinal, item in enumerate(finding.items)
        ]
        self._connection.execute(sa.insert(tables.finding_items), items)

    def add_metrics(self, metrics: Iterable[tuple[int, Mapping[str, float]]]) -> None:
        """Keep metrics of analyses, given as (internal key, value by name)."""
        rows = [
            {"analysis": analysis, "name": name, "value": float(value)}
            for analysis, values in metrics
            for name, value in values.items()
        ]
        if rows:
            self._connection.execute(sa.insert(tables.metrics), rows)

    def clear(self, analysis: int) -> None:
        """Drop the findings and metrics of an analysis."""
        self._connection.execute(sa.delete(tables.findings).where(_f.analysis == analysis))
        self._connection.execute(sa.delete(tables.metrics).where(_m.analysis == analysis))

    def count(self, analysis: int, severities: Sequence[Severity], most: int) -> int:
        """How many findings of these severities an analysis has; one more than ``most`` when there are more."""
        wanted = [severity.value for severity in severities]
        rows = sa.select(sa.literal(1)).where(_f.analysis == analysis, _f.severity.in_(wanted)).limit(most + 1)
        return int(self._connection.execute(sa.select(sa.func.count()).select_from(rows.subquery())).scalar_one())

    def of_analysis(
        self, analysis: int, *, severities: Sequence[Severity] = (), after: int = -1, limit: int | None = None
    ) -> list[tuple[int, Finding]]:
        """The findings of an analysis in order, each with its ordinal.

        Args:
            analysis: the analysis's internal key.
            severities: only these; all when empty.
            after: only those that stand later in the order.
            limit: how many at most; all when None.
        """
        select = (
            sa.select(tables.findings)
            .where(_f.analysis == analysis, _f.ordinal > after)
            .order_by(_f.ordinal)
            .limit(limit)
        )
        if severities:
            select = select.where(_f.severity.in_([severity.value for severity in severities]))
        rows = self._connection.execute(select).all()
        place = _f.ordinal.between(rows[0].ordinal, rows[-1].ordinal) if rows else sa.false()
        return self._findings(analysis, rows, place)

    def at(self, analysis: int, ordinals: Sequence[int]) -> list[tuple[int, Finding]]:
        """The findings of an analysis that have these places, in order."""
        place = _f.ordinal.in_(ordinals)
        select = sa.select(tables.findings).where(_f.analysis == analysis, place).order_by(_f.ordinal)
        return self._findings(analysis, self._connection.execute(select).all() if ordinals else [], place)

    def _findings(
        self, analysis: int, rows: Sequence[sa.Row[Any]], place: sa.ColumnElement[bool]
    ) -> list[tuple[int, Finding]]:
        items = self._items(analysis, place) if rows else {}
        return [
            (
                row.ordinal,
                Finding(
                    rule=row.rule,
                    severity=Severity(row.severity),
                    title=row.title,
                    message=row.message,
                    path=row.path,
                    line=row.line,
                    end_line=row.end_line,
                    identity=row.identity,
                    score=row.score,
                    data=row.data,
                    items=tuple(items.get(row.id, ())),
                ),
            )
            for row in rows
        ]

    def of_many(self, analyses: Sequence[int], most: int) -> dict[int, list[Finding]]:
        """The first findings of several analyses, ``most`` of each, by internal key and without their items."""
        select = (
            sa.select(tables.findings)
            .where(among(_f.analysis, "wanted"), _f.ordinal < most)
            .order_by(_f.analysis, _f.ordinal)
        )
        found: dict[int, list[Finding]] = {}
        for row in self._connection.execute(select, {"wanted": list(analyses)}):
            values = {name: getattr(row, name) for name in _PLAIN}
            found.setdefault(row.analysis, []).append(Finding(**values, severity=Severity(row.severity)))
        return found

    def _items(self, analysis: int, place: sa.ColumnElement[bool]) -> dict[int, list[FindingItem]]:
        select = (
            sa.select(_i.finding, _i.key, _i.data)
            .join(tables.findings, _f.id == _i.finding)
            .where(_f.analysis == analysis, place)
            .order_by(_i.finding, _i.ordinal)
        )
        items: dict[int, list[FindingItem]] = {}
        for row in self._connection.execute(select):
            items.setdefault(row.finding, []).append(FindingItem(key=row.key, data=row.data))
        return items

    def metrics_named(self, analyses: Sequence[int], names: Sequence[str]) -> dict[int, dict[str, float]]:
        """Some metrics of several analyses, by their internal keys."""
        found: dict[int, dict[str, float]] = {}
        select = sa.select(tables.metrics).where(_m.analysis.in_(analyses), _m.name.in_(names))
        for row in self._connection.execute(select):
            found.setdefault(row.analysis, {})[row.name] = row.value
        return found

    def metrics_of(self, analysis: int) -> list[Metric]:
        """The metrics of an analysis by name."""
        select = sa.select(_m.name, _m.value).where(_m.analysis == analysis).order_by(_m.name)
        return [Metric(name=row.name, value=row.value) for row in self._connection.execute(select)]


_PLAIN = tuple(name for name in Finding.__slots__ if name not in {"severity", "items"})
