"""Every noun's store, on the connection of one transaction."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Generic, Self, TypeVar, overload

import sqlalchemy as sa

from holdfast.store.accounts import Accounts
from holdfast.store.analyses import Analyses
from holdfast.store.branches import Branches
from holdfast.store.cache_entries import CacheEntries
from holdfast.store.comparison import Comparisons
from holdfast.store.conflicts import Conflicts
from holdfast.store.counters import Counters
from holdfast.store.documents import Documents
from holdfast.store.engine import Engine
from holdfast.store.exports import Exports
from holdfast.store.findings import Findings
from holdfast.store.freshness import FreshnessFacts
from holdfast.store.idempotency import IdempotencyKeys
from holdfast.store.intake import Intake
from holdfast.store.integrity import Integrity
from holdfast.store.jobs import Jobs
from holdfast.store.ledger import Ledger
from holdfast.store.payloads import Payloads
from holdfast.store.processing import Processing
from holdfast.store.rate_limits import RateLimits
from holdfast.store.refreshes import Refreshes
from holdfast.store.repositories import Repositories
from holdfast.store.retention import Retention
from holdfast.store.runs import Runs
from holdfast.store.search import Search
from holdfast.store.search_facts import SearchFacts
from holdfast.store.series import Series
from holdfast.store.subjects import Subjects
from holdfast.store.transfer import Outflow
from holdfast.store.triage import Triage
from holdfast.store.watches import Watches

Noun = TypeVar("Noun")


class _Noun(Generic[Noun]):
    """Made when it is first asked for: there are thirty, and most transactions need five."""

    def __init__(self, make: Callable[["Nouns"], Noun]) -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, on: None, owner: type) -> Self: ...

    @overload
    def __get__(self, on: "Nouns", owner: type) -> Noun: ...

    def __get__(self, on: "Nouns | None", owner: type) -> "Noun | Self":
        if on is None:
            return self
        # From now on the instance's own attribute is found before this one.
        noun = on.__dict__[self._name] = self._make(on)
        return noun


class Nouns:
    """The nouns of one transaction.

    Attributes:
        connection: in a transaction.
        engine: the database.
        now: the moment that everything in it happens at.
        processors: which indexes are told of what changes.
        complete_below: see ``Ledger``.
        analyses: the analyses.
        payloads: their results.
        findings: their findings and metrics.
        subjects: what they are about.
        runs: attempts, progress and checkpoints.
        jobs: leased work.
        ledger: what happened.
        counters: figures.
        accounts: tokens and keys.
        idempotency: what requests with a key led to.
        rate_limits: how often things were done.
        retention: what goes by itself.
        outflow: rows on their way out, see ``Outflow``.
        intake: rows that come in.
        integrity: what is wrong with what is kept.
        comparisons: analyses side by side.
        freshness: how branches stand.
        watches: where they were seen.
        refreshes: refreshes of branches.
        repositories: the repositories.
        branches: their branches.
        search_facts: what is known of searches for duplicates beside their results.
        triage: groups of duplicates, and what was decided about them.
        exports: files that were asked for.
        conflicts: versions that somebody has to choose between.
        series: figures over time.
        cache_entries: what is noted of derived files.
        processing: indexes, and what is in them.
        documents: what indexes read.
        search: queries.
    """

    connection: sa.Connection
    engine: Engine
    now: datetime
    processors: Sequence[str]
    complete_below: int | None

    analyses = _Noun(lambda on: Analyses(on.connection, on.engine))
    payloads = _Noun(lambda on: Payloads(on.connection))
    findings = _Noun(lambda on: Findings(on.connection))
    subjects = _Noun(lambda on: Subjects(on.connection))
    runs = _Noun(lambda on: Runs(on.connection, on.engine))
    jobs = _Noun(lambda on: Jobs(on.connection, on.engine))
    ledger = _Noun(lambda on: Ledger(on.connection, on.engine, on.complete_below))
    counters = _Noun(lambda on: Counters(on.connection, on.engine))
    accounts = _Noun(lambda on: Accounts(on.connection))
    idempotency = _Noun(lambda on: IdempotencyKeys(on.connection, on.engine, on.now))
    rate_limits = _Noun(lambda on: RateLimits(on.connection, on.engine, on.now))
    retention = _Noun(lambda on: Retention(on.connection, on.engine))
    outflow = _Noun(lambda on: partial(Outflow, on.connection, on.engine))
    intake = _Noun(lambda on: Intake(on.connection, on.engine, on.counters, on.jobs, on.processors))
    integrity = _Noun(lambda on: Integrity(on.connection, on.engine, on.counters))
    comparisons = _Noun(lambda on: Comparisons(on.connection))
    repositories = _Noun(lambda on: Repositories(on.connection, on.engine))
    branches = _Noun(lambda on: Branches(on.connection, on.engine))
    triage = _Noun(lambda on: Triage(on.connection, on.engine))
    search_facts = _Noun(lambda on: SearchFacts(on.connection))
    exports = _Noun(lambda on: Exports(on.connection))
    freshness = _Noun(lambda on: FreshnessFacts(on.connection, on.repositories, on.now))
    watches = _Noun(lambda on: Watches(on.connection, on.now))
    refreshes = _Noun(lambda on: Refreshes(on.connection, on.engine))
    conflicts = _Noun(lambda on: Conflicts(on.connection, on.engine))
    series = _Noun(lambda on: Series(on.connection))
    cache_entries = _Noun(lambda on: CacheEntries(on.connection))
    processing = _Noun(lambda on: Processing(on.connection, on.engine))
    documents = _Noun(lambda on: Documents(on.connection))
    search = _Noun(lambda on: Search(on.connection))

    def __init__(
        self,
        connection: sa.Connection,
        engine: Engine,
        now: datetime,
        *,
        processors: Sequence[str] = (),
        complete_below: int | None = None,
    ) -> None:
        """Work on ``connection``.

        Args:
            connection: in a transaction.
            engine: the database.
            now: the moment.
            processors: which indexes are told of what changes.
            complete_below: see ``Ledger``.
        """
        self.connection = connection
        self.engine = engine
        self.now = now
        self.processors = processors
        self.complete_below = complete_below
