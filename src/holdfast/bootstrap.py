"""Settings become a wired Holdfast: the one place that knows every part."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from holdfast.analyzers.pools import SpreadSettings
from holdfast.analyzers.registry import Registry
from holdfast.domain.analysis import Analysis
from holdfast.domain.context import Context
from holdfast.domain.ports import Clock, IdSource
from holdfast.domain.processing import REBUILD_JOB, job_kind, processor_name
from holdfast.domain.progress import Phase, Progress
from holdfast.domain.refresh import CHECK_JOB, WATCH_JOB
from holdfast.domain.repositories import Refs
from holdfast.domain.retention import SWEEP_JOB
from holdfast.domain.subjects import Subject
from holdfast.domain.tracking import TRACK_JOB, TrackRequest
from holdfast.functions import Decorator
from holdfast.library import Library
from holdfast.processors.registry import Processors
from holdfast.services import Handler
from holdfast.services.accounts import AccountsService
from holdfast.services.analyses import AnalysesService
from holdfast.services.branch_history import BranchHistoryService
from holdfast.services.cache_entries import CacheEntriesService
from holdfast.services.comparison import ComparisonService
from holdfast.services.exports import ExportHandler
from holdfast.services.feed import Feed
from holdfast.services.freshness import FreshnessService
from holdfast.services.integrity import IntegrityService
from holdfast.services.jobs import JobsService
from holdfast.services.processing import Indexing, ProcessHandler, ProcessingService, RebuildHandler
from holdfast.services.queries import QueriesService
from holdfast.services.refresh import CheckHandler, RefreshHandler, RefreshService
from holdfast.services.relations import RelationsService
from holdfast.services.repositories import RepositoriesService, Told
from holdfast.services.results import NewResult, ResultsService
from holdfast.services.retention import Horizons, RetentionService, SweepHandler
from holdfast.services.runs import RunHandler
from holdfast.services.search import SearchService
from holdfast.services.submissions import SubmissionsService
from holdfast.services.sync import SyncService
from holdfast.services.tasks import TasksService
from holdfast.services.tracking import TrackHandler, TrackingService
from holdfast.services.transfer import TransferService
from holdfast.services.watch import WatchHandler, WatchService
from holdfast.settings import Settings, read_settings
from holdfast.store import schema
from holdfast.store.unit_of_work import Store
from holdfast.system import SystemClock, SystemIds
from holdfast.tracing import spans
from holdfast.tracker import Tracker
from holdfast.tracking import TrackedRun
from holdfast.worker import Worker, worker_name

if TYPE_CHECKING:
    from holdfast.duplicates import Duplicates
    from holdfast.services.limits import LimitsService


class Holdfast(Library):
    """An open store and everything that can be done with it; safe to share between threads.

    Attributes:
        settings: how it is set up.
        registry: the analyzers; register your own with ``registry.register``.
        submissions: requests for analyses.
        analyses: the use cases that change analyses.
        results: those of results that were made elsewhere, and of giving results out.
        tasks: what services have done and language models have answered.
        queries: the use cases that only look.
        accounts: tokens, anonymous clients, signed cursors.
        retention: what is not to be kept any longer.
        freshness: how old results are, and what has changed since.
        refresh: refreshes: marked, scheduled, or by themselves.
        watcher: looks where branches are.
        comparison: analyses side by side.
        feed: live events for many watchers.
        jobs: leased work.
        transfer: everything out of a store, and into another.
        integrity: what is wrong with what is kept.
        repositories: repositories and their branches.
        history: what was found of branches, and their figures over time.
        cache_entries: what is noted of derived files.
        sync: concurrent writers of branches, and their conflicts.
        processors: the indexes that there are.
        processing: how far they have come.
        search: finding analyses by words and filters, and by what they belong to.
        relations: what analyses are like, and what they have to do with.
        tracker: speaks for the analyses that run inside this process.
        analysis: decorates functions whose results are kept, ``@hf.analysis``; see ``Decorator``.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        registry: Registry | None = None,
        handlers: Sequence[Handler] = (),
        processor_classes: Sequence[type[Any]] = (),
        clock: Clock | None = None,
        id_source: IdSource | None = None,
        migrate: bool = True,
        create: bool = True,
    ) -> None:
        """Open the store that ``settings`` name; see ``holdfast.open``."""
        self.settings = settings
        self.registry = registry or Registry()
        self._clock = clock or SystemClock()
        self._ids = id_source or SystemIds()
        self.engine = schema.opened(settings.database_url, settings.database_path(), migrate=migrate, create=create)
        self._span = spans()
        enabled = settings.enabled_processors()
        self.store = Store(self.engine, self._clock, enabled, self._span)
        self.processors = Processors(self.engine, enabled, settings.all_processor_options(), processor_classes)
        rules = settings.rules()
        self.submissions = SubmissionsService(
            self.store,
            self.registry,
            self._clock,
            self._ids,
            reuse_seconds=settings.reuse_hours * 3600,
            timeout_seconds=settings.analysis_timeout_seconds or None,
            max_attempts=settings.run_attempts,
            rules=rules,
        )
        self.analyses = AnalysesService(self.store, max_attempts=settings.run_attempts, rules=rules)
        self.results = ResultsService(self.store, self._clock, self._ids, rules=rules)
        self.tasks = TasksService(
            lambda about, key, caller: self.results.store([NewResult(**about)], idempotency_key=key, caller=caller)[0]
        )
        self.queries = QueriesService(self.store, rules)
        self.retention = RetentionService(
            self.store,
            rules,
            Horizons(
                checkpoints=timedelta(days=settings.checkpoint_days),
                dead_jobs=timedelta(days=settings.dead_job_days),
                ledger=None if settings.ledger_days is None else timedelta(days=settings.ledger_days),
            ),
        )
        self.accounts = AccountsService(
            self.store,
            self._clock,
            self._ids,
            anonymous_clients=settings.anonymous_clients,
            same_ip_recovery=settings.same_ip_recovery,
        )
        freshness, refresh = settings.freshness_rules(), settings.refresh_rules()
        self.freshness = FreshnessService(
            self.store, self._clock, freshness, branch_kind=refresh.kind, version_of=self.registry.version
        )
        self.refresh = RefreshService(self.store, self._ids, refresh)
        self.watcher = WatchService(self.store)
        self.comparison = ComparisonService(self.store)
        self.repositories = RepositoriesService(self.store, self._clock, self._ids, rules=rules, read_refs=_read_refs)
        self.history = BranchHistoryService(self.store, self._clock, rules=rules)
        self.cache_entries = CacheEntriesService(self.store, most_bytes=int(settings.cache_mb * 1_000_000))
        self.sync = SyncService(
            self.store,
            self._clock,
            self._ids,
            strategy=settings.sync_strategy,
            counters=settings.sync_counters,
            rules=rules,
        )
        self.feed = Feed(self.store)
        self._indexing = Indexing(self.store, self.processors, settings.process_timeout_seconds)
        self.processing = ProcessingService(self.store, self.processors, self._indexing)
        self.search = SearchService(self.store, self.processors)
        self.relations = RelationsService(self.store, self.processors)
        self._handlers = {handler.kind: handler for handler in (*self._own_handlers(), *handlers)}
        self.jobs = JobsService(self.store, self._handlers, settings.lease_seconds)
        tracking = TrackingService(
            self.store,
            self._clock,
            self._ids,
            process=worker_name(self._ids.random(4)),
            reuse_seconds=settings.reuse_hours * 3600,
            lease_seconds=settings.lease_seconds,
            rules=rules,
            take_back=lambda: self.jobs.take_back([TRACK_JOB]),
        )
        self.transfer = TransferService(self.store, self._ids, name=self.engine.shown)
        self.integrity = IntegrityService(self.store)
        self.tracker = Tracker(tracking, settings.lease_seconds)
        self.analysis = Decorator(lambda: self)

    def _own_handlers(self) -> list[Handler]:
        settings, refresh = self.settings, self.settings.refresh_rules()
        spread = SpreadSettings(processes=settings.processes, dask_address=settings.dask_address)
        return [
            RunHandler(self.store, self.registry, spread, settings.rules()),
            ExportHandler(self.store),
            TrackHandler(),
            SweepHandler(self.retention),
            RefreshHandler(self.store, self.submissions.prepare, refresh.kind),
            CheckHandler(
                self.refresh,
                settings.freshness_rules(),
                lambda: {refresh.kind: self.registry.version(refresh.kind)},
                timedelta(days=settings.dead_job_days),
            ),
            WatchHandler(self.watcher),
            RebuildHandler(self._indexing, self.processors.enabled),
            *(ProcessHandler(self._indexing, name, settings.process_batch_size) for name in self.processors.enabled),
        ]

    def close(self) -> None:
        """Release every connection; what is still tracked has failed."""
        self.tracker.close()
        self.accounts.close()
        self.feed.close()
        self.processors.close()
        self.engine.close()

    @cached_property
    def limits(self) -> "LimitsService":
        """How often callers may do what is costly."""
        # With all that it imports in turn it takes 0.15 s, and only the service has limits.
        from holdfast.services.limits import LimitsService  # noqa: PLC0415

        settings = self.settings
        limits = {
            "start": settings.rate_limit_start,
            "export": settings.rate_limit_export,
            "anonymous": settings.rate_limit_anonymous,
        }
        return LimitsService(self.store, self._clock, limits)

    @cached_property
    def duplicates(self) -> "Duplicates":
        """Searches for duplicates."""
        # With the tables that it compares libraries by it takes 0.2 s, and few need it.
        from holdfast.duplicates import Duplicates  # noqa: PLC0415

        settings = self.settings
        return Duplicates(
            self.store,
            self.registry,
            self._clock,
            self._ids,
            submissions=self.submissions,
            analyses=self.analyses,
            queries=self.queries,
            results=self.results,
            run=self._run_watched,
            rules=settings.rules(),
            freshness=settings.freshness_rules(),
            exports_kept=timedelta(hours=settings.export_hours),
        )

    def _run_watched(self, analysis_id: str, watcher: Callable[[Progress], object] | None) -> Analysis:
        with self.working():
            for analysis, progress in self.watch(analysis_id):
                if progress is not None and watcher is not None:
                    watcher(progress)
                if analysis.status.ended:
                    return analysis
        raise AssertionError("a watch ends with the analysis")

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def analyze(self, kind: str, target: str, **options: Any) -> Analysis:
        """Run an analysis in a worker of this process, or get the kept result; returns when it has ended.

        Raises:
            HoldfastError: it could not be submitted. How it ended is told by its status.
        """
        submission = self.submit(kind, target, **options)
        with self.working():
            return self.wait(submission.analysis.analysis_id)

    def wait(self, analysis_id: str, *, timeout: float | None = None) -> Analysis:
        """Return the analysis when it has ended.

        Args:
            analysis_id: the analysis.
            timeout: seconds at most.

        Raises:
            AnalysisNotFound: it was deleted.
            TimeoutError: it has not ended in time.
        """
        for analysis, _ in self.watch(analysis_id, timeout=timeout):
            if analysis.status.ended:
                return analysis
        raise AssertionError("a watch ends with the analysis")

    def watch(self, analysis_id: str, *, timeout: float | None = None) -> Iterator[tuple[Analysis, Progress | None]]:
        """Yield the analysis and how far its run has come: now, at each change, and last when it has ended.

        Args:
            analysis_id: the analysis.
            timeout: seconds at most.

        Raises:
            AnalysisNotFound: there is none, or it was deleted.
            TimeoutError: it has not ended in time.
        """
        until = None if timeout is None else time.monotonic() + timeout
        seen = None
        while True:
            count = self.store.bell.count()
            now = self.queries.progress(analysis_id)
            if now != seen:
                yield now
            if now[0].status.ended:
                return
            seen = now
            left = 1.0 if until is None else until - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"The analysis {analysis_id} has not ended after {timeout} seconds")
            self.store.bell.wait(count, min(left, 1.0))

    def track(  # noqa: PLR0913 each is a choice of its own, all but one by keyword
        self,
        kind: str,
        *,
        subject: Subject | None = None,
        params: Mapping[str, Any] | None = None,
        phases: Sequence[Phase | str] = (),
        tags: Sequence[str] = (),
        context: Context | None = None,
        version: str = "",
        reuse: bool = False,
        ttl_seconds: float | None = None,
    ) -> TrackedRun:
        """Keep what a block of the caller's own code finds: ``with hf.track("nightly-report") as run``.

        Args:
            kind: the kind of analysis, any lower-case name.
            subject: what it is about.
            params: with what parameters, JSON-able.
            phases: its phases in order, if they are known; percentages are then of the whole run.
            tags: labels.
            context: owner and surroundings.
            version: of the code; a result of another version is not reused.
            reuse: whether a fresh kept result answers; ask ``run.reused`` before computing.
            ttl_seconds: how long to keep it; None for ever.
        """
        request = TrackRequest(
            kind=kind,
            subject=subject,
            params=dict(params or {}),
            version=version,
            context=context or Context(),
            tags=tags,
            reuse=reuse,
            ttl_seconds=ttl_seconds,
        )
        return TrackedRun(self.tracker, request, phases)

    def worker(self, *, concurrency: int | None = None, without: Sequence[str] = ()) -> Worker:
        """A worker for this store; ``run`` it.

        Args:
            concurrency: how many analyses at once; as the settings say when None.
            without: processors that it leaves to other workers.

        It also keeps house, every ``sweep_seconds``, looks where branches are, and refreshes what is stale; of many
        workers one does.
        """
        self._schedule_all()
        self.processing.prepare()
        left = {processor_name(name) for name in without}
        skipped = {job_kind(name) for name in left}
        if left and left.issuperset(self.processors.enabled):
            skipped.add(REBUILD_JOB)
        return Worker(
            self.jobs,
            {kind: handler for kind, handler in self._handlers.items() if kind not in skipped},
            self.store.bell,
            name=worker_name(self._ids.random(4)),
            concurrency=concurrency or self.settings.concurrency,
            lease_seconds=self.settings.lease_seconds,
            idle_seconds=self.settings.process_interval,
            span=self._span,
        )

    def _schedule_all(self) -> None:
        # Here and not when the store is opened: who only looks must not have to write, and without a worker nobody
        # would do it anyway.
        settings = self.settings
        known = {schedule.name: schedule.every_seconds for schedule in self.jobs.schedules()}
        for job, every in (
            (SWEEP_JOB, settings.sweep_seconds),
            (WATCH_JOB, settings.watch_seconds),
            (CHECK_JOB, settings.auto_refresh_minutes * 60),
        ):
            if not every and job in known:
                self.jobs.unschedule(job)
            elif every and known.get(job) != every:
                self.jobs.schedule(job, job, every)

    @contextmanager
    def working(self, *, concurrency: int | None = None, without: Sequence[str] = ()) -> Iterator[Worker]:
        """A worker in a thread of this process, as long as the block lasts; see ``worker``."""
        worker = self.worker(concurrency=concurrency, without=without)
        thread = threading.Thread(target=worker.run, name="holdfast-worker", daemon=True)
        thread.start()
        try:
            yield worker
        finally:
            worker.stop()
            thread.join()

    def process_pending_analyses(self, processor_type: str | None = None, limit: int = 10) -> int:
        """Process what waits, here and now, without a worker; returns how many jobs were done.

        Args:
            processor_type: for this processor only.
            limit: how many at most.
        """
        names = self.processors.check(None if processor_type is None else [processor_type])
        return self.worker().run_batches([job_kind(name) for name in names], limit)


def open_holdfast(url: str | None = None, **options: Any) -> Holdfast:
    """Open a store; see ``holdfast.open``."""
    wiring = {name: options.pop(name) for name in _WIRING & options.keys()}
    return Holdfast(read_settings(database_url=url, **options), **wiring)


def _read_refs(target: str, told: Told) -> Refs:
    # libgit2 takes a while to load, and most who open a store read no repository.
    from holdfast.analyzers.code.refs import read_refs  # noqa: PLC0415

    return read_refs(target, told)


_WIRING = {"registry", "handlers", "processor_classes", "clock", "id_source", "migrate", "create"}
