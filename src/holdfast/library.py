"""What users of the library do most often, each a word to one service."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from holdfast.domain.analysis import Analysis, Status
from holdfast.domain.findings import Finding, Metric
from holdfast.domain.progress import Progress
from holdfast.domain.query import Field, show
from holdfast.domain.subjects import Subject
from holdfast.processors.graph.walks import Neighbourhood, Path
from holdfast.services.analyses import AnalysesService
from holdfast.services.processing import ProcessingService
from holdfast.services.queries import Page, QueriesService, Stats
from holdfast.services.relations import RelationsService, Similar
from holdfast.services.results import NewResult, ResultsService
from holdfast.services.retention import RetentionService, Sweep
from holdfast.services.search import Found, SearchService
from holdfast.services.submissions import Submission, SubmissionsService
from holdfast.services.tasks import TasksService
from holdfast.store.lists import Filter, Place


class Library:
    """The short ways to the services of an open store; ``bootstrap.Holdfast`` wires them."""

    submissions: SubmissionsService
    analyses: AnalysesService
    results: ResultsService
    tasks: TasksService
    queries: QueriesService
    retention: RetentionService
    processing: ProcessingService
    search: SearchService
    relations: RelationsService

    def store_analysis(self, /, kind: str, result: Any, **about: Any) -> Analysis:
        """Keep a result that was found elsewhere; durable when this returns.

        Args:
            kind: the kind of analysis, any lower-case name.
            result: the result, JSON-able.
            about: further fields of ``NewResult`` (subject, params, analysis_id, findings, metrics, tags,
                summary, context, ...).

        Raises:
            ContentConflict: the id is taken by other content.
            UnknownDocument: the result is not JSON-able.
            StoreError: nothing was stored.
        """
        return self.store_analyses([NewResult(kind=kind, result=result, **about)])[0]

    def store_analyses(self, results: Sequence[NewResult], *, idempotency_key: str | None = None) -> list[Analysis]:
        """Keep many results in one transaction: all of them or none; see ``ResultsService.store``."""
        return self.results.store(results, idempotency_key=idempotency_key)

    def submit(self, /, kind: str, target: str, **options: Any) -> Submission:
        """Ask for an analysis, to be run by a worker; see ``SubmissionsService.submit`` for the options."""
        return self.submissions.submit(kind, target, **options)

    def get_analysis(self, analysis_id: str) -> Analysis:
        """An analysis by its id."""
        return self.queries.get(analysis_id)

    def get_analysis_by_id(self, analysis_id: str) -> Analysis:
        """The same as ``get_analysis``: each of the two names is the one of a source document."""
        return self.get_analysis(analysis_id)

    def get_latest_analysis(
        self, kind: str | None = None, *, subject: Subject | None = None, client_session_id: str | None = None
    ) -> Analysis | None:
        """The newest completed analysis of a kind, a subject, an owner."""
        place = None if subject is None else (subject.kind, subject.key)
        return self.queries.latest(Filter(kind=kind, subject=place, client_session_id=client_session_id))

    def get_analysis_progress(self, analysis_id: str) -> Progress | None:
        """How far a run has come; None before it begins."""
        return self.queries.progress(analysis_id)[1]

    def get_result(self, analysis_id: str) -> Any:
        """The result, as it was given."""
        return msgspec.json.decode(self.queries.result(analysis_id))

    def get_findings(self, analysis_id: str) -> list[Finding]:
        """The findings in order."""
        return [finding for _, finding in self.queries.findings(analysis_id)]

    def get_metrics(self, analysis_id: str) -> dict[str, float]:
        """The metrics by name."""
        metrics: list[Metric] = self.queries.metrics(analysis_id)
        return {metric.name: metric.value for metric in metrics}

    def list_analyses(
        self,
        /,
        *,
        limit: int = 100,
        after: Place | None = None,
        ascending: bool = False,
        status: Status | Sequence[Status] = (),
        tags: Sequence[str] = (),
        **where: Any,
    ) -> Page:
        """A page of the analyses that fit, newest first.

        Args:
            limit: rows at most, up to 1,000.
            after: ``next`` of the page before.
            ascending: oldest first.
            status: one of these.
            tags: has each of them.
            where: further fields of ``Filter``.
        """
        statuses = (status,) if isinstance(status, Status) else tuple(status)
        found = Filter(status=statuses, tags=tuple(tags), **where)
        return self.queries.find(found, limit=limit, after=after, ascending=ascending)

    def similar_analyses(self, analysis_id: str, *, limit: int = 10) -> list[Similar]:
        """The analyses nearest in meaning to one, nearest first; see ``RelationsService.similar``."""
        return self.relations.similar(analysis_id, limit=limit)

    def neighbourhood(self, entity: str, *, hops: int = 1, limit: int = 100) -> Neighbourhood:
        """What an analysis or another entity has to do with; see ``RelationsService.neighbourhood``."""
        return self.relations.neighbourhood(entity, hops=hops, limit=limit)

    def path(self, start: str, end: str, *, hops: int = 6) -> Path:
        """How two entities have to do with each other; see ``RelationsService.path``."""
        return self.relations.path(start, end, hops=hops)

    def cancel_analysis(self, analysis_id: str) -> Analysis:
        """Stop an analysis."""
        return self.analyses.cancel(analysis_id)

    def resume_analysis(self, analysis_id: str) -> Analysis:
        """Queue an ended analysis again, to go on from its last checkpoint."""
        return self.analyses.resume(analysis_id)

    def delete_analysis(self, analysis_id: str, *, purge: bool = False) -> Analysis:
        """Put an analysis into the trash, or with ``purge`` drop it for good with everything that is kept of it."""
        return self.analyses.delete(analysis_id, purge=purge)

    def restore_analysis(self, analysis_id: str) -> Analysis:
        """Take an analysis out of the trash, within ``trash_hours``."""
        return self.analyses.restore(analysis_id)

    def pin_analysis(self, analysis_id: str) -> Analysis:
        """Keep an analysis whatever retention says."""
        return self.analyses.pin(analysis_id)

    def unpin_analysis(self, analysis_id: str) -> Analysis:
        """Leave an analysis to retention again."""
        return self.analyses.unpin(analysis_id)

    def sweep(self) -> Sweep:
        """Remove now what is not to be kept any longer; workers do it by themselves every ``sweep_seconds``."""
        return self.retention.sweep()

    def store_task_analysis(self, /, task_description: str, response_data: Any = None, **about: Any) -> Analysis:
        """Keep what a service has done; see ``TasksService.store_task_analysis``."""
        return self.tasks.store_task_analysis(task_description, response_data, **about)

    def store_openai_interaction(self, /, request: Mapping[str, Any], response: Any = None, **about: Any) -> Analysis:
        """Keep a call of a language model; see ``TasksService.store_openai_interaction``."""
        return self.tasks.store_openai_interaction(request, response, **about)

    def get_thread_conversation(self, thread_id: str, *, limit: int = 50) -> list[Analysis]:
        """The analyses of a thread, oldest first."""
        return [hit.analysis for hit in self.search.conversation(thread_id, limit=limit).items]

    def search_analyses(
        self, /, query: str = "", *, tags: Sequence[str] = (), limit: int = 20, **options: Any
    ) -> Found:
        """What fits a query and has each of the tags, best first; see ``SearchService.search`` for the options."""
        wanted = [show(Field(name="tag", op="=", value=tag)) for tag in tags]
        whole = " AND ".join([*([f"({query})"] if query.strip() else []), *wanted])
        return self.search.search(whole, limit=limit, **options)

    def reprocess_analysis(self, analysis_id: str, processors: Sequence[str] | None = None) -> bool:
        """Queue an analysis to be processed anew; by every enabled processor when None."""
        return self.processing.reprocess([analysis_id], processors) == 1

    def get_stats(self) -> Stats:
        """What the store holds."""
        return self.queries.stats()
