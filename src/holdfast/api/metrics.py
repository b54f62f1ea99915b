"""Figures for Prometheus: of requests as they come, of the store when somebody asks."""

import os
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from holdfast.bootstrap import Holdfast
from holdfast.domain.errors import StoreError

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The figures of one service process, or of all where several share a folder for them."""

    def __init__(self, holdfast: Holdfast) -> None:
        """Begin at zero."""
        self._registry = CollectorRegistry(auto_describe=False)
        self._requests = Counter(
            "holdfast_http_requests", "Requests answered.", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "holdfast_http_request_seconds",
            "How long answers took, streams included.",
            ["method", "route"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self.watchers = Gauge(
            "holdfast_feed_watchers",
            "Open live streams.",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._store = CollectorRegistry(auto_describe=False)
        self._store.register(_StoreFigures(holdfast))

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        key = (method, route, status)
        known = self._known.get(key)
        if known is None:
            # So many as there are routes and statuses; to look them up by their labels costs more than to count.
            known = self._requests.labels(method, route, str(status)), self._seconds.labels(method, route)
            self._known[key] = known
        known[0].inc()
        known[1].observe(seconds)

    def text(self) -> bytes:
        """All figures in Prometheus' text format; asks the store."""
        requests = self._registry
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            requests = CollectorRegistry(auto_describe=False)
            MultiProcessCollector(requests)  # type: ignore[no-untyped-call]
        return generate_latest(requests) + generate_latest(self._store)


class _StoreFigures(Collector):
    """What the store holds, at the moment somebody asks."""

    def __init__(self, holdfast: Holdfast) -> None:
        self._holdfast = holdfast

    def collect(self) -> Iterable[GaugeMetricFamily | CounterMetricFamily]:
        up = GaugeMetricFamily("holdfast_store_up", "Whether the store answers.")
        try:
            stats = self._holdfast.queries.stats()
            waiting = self._holdfast.jobs.counts()
            lags = self._holdfast.processing.lags()
        except StoreError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield GaugeMetricFamily("holdfast_owners", "Owners known.", value=stats.total_sessions)
        yield GaugeMetricFamily("holdfast_result_bytes", "Results as they are kept.", value=stats.storage_size_bytes)
        analyses = GaugeMetricFamily("holdfast_analyses", "Analyses kept.", labels=["status"])
        for status, count in stats.status_counts.items():
            analyses.add_metric([status], count)
        yield analyses
        jobs = GaugeMetricFamily("holdfast_jobs", "Jobs not yet done.", labels=["kind", "status"])
        for (kind, status), count in sorted(waiting.items()):
            jobs.add_metric([kind, status], count)
        yield jobs
        behind = GaugeMetricFamily(
            "holdfast_processing_lag_seconds",
            "How long the next analysis of an index has waited.",
            labels=["processor"],
        )
        for name, seconds in lags.items():
            behind.add_metric([name], seconds)
        yield behind
        for name, about, values in (
            ("holdfast_removed", "Analyses that retention removed.", stats.removed_counts),
            ("holdfast_removed_bytes", "Results that retention removed, as they were kept.", stats.removed_bytes),
        ):
            removed = CounterMetricFamily(name, about, labels=["reason"])
            for reason, value in values.items():
                removed.add_metric([reason], value)
            yield removed
