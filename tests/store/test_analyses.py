import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from holdfast.domain.analysis import Analysis, ErrorInfo, PayloadRef, Status
from holdfast.domain.context import Context
from holdfast.domain.errors import InvalidInput, VersionConflict
from holdfast.domain.fingerprint import canonical_json
from holdfast.domain.subjects import Subject
from holdfast.store import lists, tables
from holdfast.store.lists import Filter, Place
from holdfast.store.payloads import pack
from holdfast.store.unit_of_work import Store
from tests.domain.strategies import moments, params
from tests.store.samples import START, add, analysis, minutes, opened

NASTY = [
    "a\0b",
    "\ud800",
    "🎧\U0001f469\u200d\U0001f680",
    "שלום\u202e",
    "%_'\"\\;--",
    "\n\r\t",
    "\ufeff",
    "\uffff",
    "e\u0301",
]


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    with opened(database) as store:
        yield store


texts = st.text(max_size=20) | st.sampled_from(NASTY)
names = st.text(min_size=1, max_size=20).filter(lambda text: "\0" not in text)
seconds = st.floats(0.001, 10**8)
errors = st.builds(ErrorInfo, code=names, message=st.text(), suggestions=st.lists(st.text()).map(tuple), details=params)
subjects = st.builds(Subject, kind=names, key=names, revision=st.just("") | names, attributes=params)
analyses = st.builds(
    Analysis,
    analysis_id=st.just("a"),
    kind=st.sampled_from(["code", "duplicates"]),
    status=st.sampled_from(Status),
    context=st.builds(
        Context,
        client_session_id=names,
        **{name: st.none() | names for name in ("client_ip", "thread_id", "session_id", "process_instance_id")},
    ),
    subject=st.none() | subjects,
    location=texts,
    params=params,
    fingerprint=st.text("0123456789abcdef", min_size=64, max_size=64),
    code_hash=st.none() | texts,
    analyzer_version=texts,
    summary=texts,
    tags=st.sets(names, max_size=4).map(sorted).map(tuple),
    result=st.none() | st.integers(0, 2**62).map(lambda size: PayloadRef(hash="", size=size, stored_size=size)),
    result_is_partial=st.booleans(),
    error=st.none() | errors,
    finding_count=st.integers(0, 2**31 - 1),
    priority=st.integers(-(2**31), 2**31 - 1),
    timeout_seconds=st.none() | seconds,
    attempt=st.integers(0, 2**31 - 1),
    cancel_requested=st.booleans(),
    version=st.integers(1, 2**31 - 1),
    refreshed_from=st.none() | names,
    created_at=moments,
    started_at=st.none() | moments,
    completed_at=st.none() | moments,
    updated_at=moments,
    ttl_seconds=st.none() | seconds,
    retrieval_count=st.integers(0, 2**31 - 1),
    max_retrievals=st.none() | st.integers(0, 2**31 - 1),
)


def cleaned(text: str) -> str:
    """What a database can hold of a text."""
    return "".join("\ufffd" if char == "\0" or 0xD800 <= ord(char) < 0xE000 else char for char in text)


def as_kept(value: Analysis) -> Analysis:
    return replace(
        value,
        location=cleaned(value.location),
        analyzer_version=cleaned(value.analyzer_version),
        summary=cleaned(value.summary),
        code_hash=None if value.code_hash is None else cleaned(value.code_hash),
    )


@given(value=analyses)
@example(value=analysis(summary="x" * 1_000_000, location="🎧" * 250_000, tags=("art", "café", "%")))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_field_comes_back(store: Store, value: Analysis) -> None:
    if value.result is not None:
        payload = pack(value.summary.encode(errors="replace"))
        value = replace(value, result=replace(value.result, hash=payload.ref.hash))
        store.write(lambda uow: uow.payloads.put([payload]))
    clear(store)
    key = add(store, [value])["a"]
    stored = store.read(lambda uow: uow.analyses.find("a"))
    assert stored is not None
    assert stored.value == as_kept(value)
    # To Python 1, 1.0 and True are equal.
    assert canonical_json(stored.value.params) == canonical_json(value.params)
    changed = replace(value, version=value.version + 1, summary="other", error=None)
    if changed.version < 2**31:
        store.write(lambda uow: uow.analyses.update(key, value, changed))
        again = store.read(lambda uow: uow.analyses.find("a"))
        assert again is not None
        assert again.value == as_kept(changed)
    store.write(lambda uow: uow.analyses.delete(key))
    assert store.read(lambda uow: uow.analyses.find("a")) is None


def clear(store: Store) -> None:
    """Forget what the example before has left: a subject's first title, and counters near their column's end."""
    for table in (tables.analyses, tables.subjects, tables.counters):
        store.engine.write(lambda c: c.execute(sa.delete(table)).close())  # noqa: B023 written at once


def test_update_is_refused_after_another(store: Store) -> None:
    before = analysis()
    key = add(store, [before])["a"]
    after = replace(before, version=2, summary="one")
    store.write(lambda uow: uow.analyses.update(key, before, after))
    with pytest.raises(VersionConflict):
        store.write(lambda uow: uow.analyses.update(key, before, replace(after, summary="two")))
    with pytest.raises(VersionConflict):
        store.write(lambda uow: uow.analyses.update(key + 1, after, replace(after, version=3)))
    kept = store.read(lambda uow: uow.analyses.find("a"))
    assert kept is not None
    assert kept.value.summary == "one"


def test_taken_ids_and_active_keys_are_left_out(store: Store) -> None:
    def insert(*ids: str, active_key: str | None = None) -> dict[str, int]:
        values = [(analysis(name), None) for name in ids]
        return store.write(lambda uow: uow.analyses.insert(values, active_key))

    assert insert("a", active_key="k").keys() == {"a"}
    assert insert("a") == insert("b", active_key="k") == {}
    assert insert("a", "b", "c").keys() == {"b", "c"}


# Lists.

TAGS = ["art", "start", "%", "_", "café", "cafe\u0301", "ART", "🎧", "a b", "x" * 128]
OWNERS = ["me", "you", "%"]


def population(count: int = 90) -> list[Analysis]:
    statuses = list(Status)
    return [
        analysis(
            f"a{number}",
            # Several at one moment: then the order must not depend on luck.
            at=minutes(number * 7919 % count // 4),
            kind=["code", "duplicates", "task"][number % 3],
            status=statuses[number * 5 % 6],
            fingerprint=f"{number % 10:064d}",
            subject=None if number % 4 == 0 else Subject(kind="s", key=f"k{number % 5}"),
            tags=tuple(sorted({TAGS[number % 10], TAGS[number * 3 % 10]})),
            context=Context(
                client_session_id=OWNERS[number % 3],
                thread_id=f"t{number % 6}" if number % 2 else None,
                session_id=f"s{number % 4}" if number % 5 else None,
                process_instance_id="p" if number % 10 == 0 else None,
            ),
        )
        for number in range(count)
    ]


POPULATION = population()


def fits(value: Analysis, where: Filter) -> bool:
    """The filter's meaning, in Python."""
    context = value.context
    return all(
        (
            where.client_session_id in {None, context.client_session_id},
            where.kind in {None, value.kind},
            not where.status or value.status in where.status,
            where.subject is None
            or (value.subject is not None and where.subject == (value.subject.kind, value.subject.key)),
            set(where.tags) <= set(value.tags),
            where.thread_id in {None, context.thread_id},
            where.session_id in {None, context.session_id},
            where.process_instance_id in {None, context.process_instance_id},
            where.created_after is None or value.created_at >= where.created_after,
            where.created_before is None or value.created_at < where.created_before,
        )
    )


def pages(store: Store, where: Filter, size: int, *, ascending: bool) -> Iterator[list[Analysis]]:
    place: Place | None = None
    while True:
        found = store.read(lambda uow: uow.analyses.page(where, limit=size, after=place, ascending=ascending))  # noqa: B023 read at once
        assert len(found) <= size
        if not found:
            return
        yield [stored.value for stored in found]
        place = Place(created_at=found[-1].value.created_at, key=found[-1].key)


filters = st.builds(
    Filter,
    client_session_id=st.none() | st.sampled_from([*OWNERS, "nobody"]),
    kind=st.none() | st.sampled_from(["code", "duplicates", "none"]),
    status=st.lists(st.sampled_from(Status), max_size=4).map(tuple),
    subject=st.none() | st.tuples(st.just("s"), st.sampled_from(["k1", "k3", "k9"])),
    tags=st.lists(st.sampled_from([*TAGS, "rt", "caf"]), max_size=2).map(tuple),
    thread_id=st.none() | st.sampled_from(["t1", "t3", "%"]),
    session_id=st.none() | st.sampled_from(["s1", "s2"]),
    process_instance_id=st.none() | st.just("p"),
    created_after=st.none() | st.integers(0, 40).map(minutes),
    created_before=st.none() | st.integers(0, 40).map(minutes),
)
each = [
    Filter(),
    *(Filter(client_session_id=owner) for owner in OWNERS),
    *(Filter(tags=(tag,)) for tag in TAGS),
    *(Filter(client_session_id="me", tags=(tag,)) for tag in TAGS),
    Filter(tags=("art", "%")),
    Filter(tags=("art", "art")),
    Filter(status=tuple(Status)),
    Filter(status=(Status.FAILED, Status.QUEUED, Status.FAILED)),
]


@pytest.fixture
def populated(store: Store) -> Store:
    add(store, POPULATION)
    return store


def check_pages(store: Store, where: Filter, size: int, *, ascending: bool) -> None:
    found = [value for page in pages(store, where, size, ascending=ascending) for value in page]
    wanted = [value for value in POPULATION if fits(value, where)]
    assert sorted(value.analysis_id for value in found) == sorted(value.analysis_id for value in wanted)
    moments = [value.created_at for value in found]
    assert moments == sorted(moments, reverse=not ascending)


@given(where=filters, size=st.integers(2, 60), ascending=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_filters_pages_are_complete(populated: Store, where: Filter, size: int, ascending: bool) -> None:
    check_pages(populated, where, size, ascending=ascending)


def test_each_filters_pages_are_complete(populated: Store) -> None:
    for where in each:
        for ascending in (False, True):
            check_pages(populated, where, 9, ascending=ascending)
            everything = populated.read(
                lambda uow: uow.analyses.page(where, limit=1000, ascending=ascending)  # noqa: B023 read at once
            )
            again = [value for page in pages(populated, where, 20, ascending=ascending) for value in page]
            # Equal moments come in the same order whatever the pages' size.
            assert [stored.value for stored in everything] == again


def test_naive_moments_are_refused() -> None:
    naive = datetime(2030, 1, 1)  # noqa: DTZ001 - that is the point
    for wrong in ({"created_after": naive}, {"created_before": naive}):
        with pytest.raises(InvalidInput):
            Filter(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("ascending", [False, True])
@pytest.mark.parametrize("where", [Filter(), Filter(tags=("art",)), Filter(status=(Status.FAILED, Status.COMPLETED))])
def test_pages_hold_still_while_others_write(populated: Store, where: Filter, ascending: bool) -> None:
    stop = threading.Event()
    newest = max(value.created_at for value in POPULATION)

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            at = newest + timedelta(microseconds=number)
            add(populated, [analysis(f"new{number}", at=at, tags=("art",), status=Status.FAILED)])

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        found: list[str] = []
        try:
            for page in pages(populated, where, 10, ascending=ascending):
                found.extend(value.analysis_id for value in page)
                if len(found) > 400:
                    break
        finally:
            stop.set()
        writing.result()
    assert len(set(found)) == len(found)
    wanted = {value.analysis_id for value in POPULATION if fits(value, where)}
    assert wanted <= set(found)


def test_a_row_that_changes_its_status_is_neither_twice_nor_never_in_a_list(store: Store) -> None:
    value = analysis(status=Status.QUEUED)
    key = add(store, [value])["a"]
    where = Filter(status=(Status.QUEUED, Status.RUNNING))
    stop = threading.Event()

    def change() -> None:
        before = value
        while not stop.is_set():
            other = Status.RUNNING if before.status is Status.QUEUED else Status.QUEUED
            after = replace(before, status=other, version=before.version + 1)
            store.write(lambda uow: uow.analyses.update(key, before, after))  # noqa: B023 written at once
            before = after

    with ThreadPoolExecutor(1) as pool:
        changing = pool.submit(change)
        try:
            for _ in range(150):
                found = store.read(lambda uow: uow.analyses.page(where, limit=10))
                assert len(found) == 1
        finally:
            stop.set()
        changing.result()


def test_latest_by_fingerprint(populated: Store) -> None:
    def latest(where: Filter, fingerprint: str | None) -> str | None:
        found = populated.read(lambda uow: uow.analyses.latest(where, fingerprint=fingerprint))
        return None if found is None else found.value.analysis_id

    for where in (Filter(), Filter(client_session_id="you", status=(Status.COMPLETED,))):
        for fingerprint in (f"{6:064d}", None):
            fitting = [value for value in POPULATION if fits(value, where) and fingerprint in {None, value.fingerprint}]
            newest = max(fitting, key=lambda value: (value.created_at, POPULATION.index(value)))
            assert latest(where, fingerprint) == newest.analysis_id
    assert latest(Filter(kind="none"), None) is None


# What a list costs.


def statements(store: Store, use: Callable[[], object]) -> list[str]:
    """The statements that ``use`` sends, Core's and the prepared ones."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    sa.event.listen(store.engine._readers, "before_cursor_execute", note)
    try:
        use()
    finally:
        sa.event.remove(store.engine._readers, "before_cursor_execute", note)
    return sent


def test_a_page_costs_the_same_statements_whatever_its_size(populated: Store) -> None:
    def cost(where: Filter, limit: int) -> int:
        page = lambda: populated.read(lambda uow: uow.analyses.page(where, limit=limit))  # noqa: E731
        return len([sent for sent in statements(populated, page) if not sent.startswith("BEGIN")])

    for where in (Filter(), Filter(client_session_id="me", tags=("art",))):
        assert cost(where, 1) == cost(where, 100) == 1
    # One to see which of the tags is the rarer.
    several = Filter(client_session_id="me", tags=("art", "start"))
    assert cost(several, 1) == cost(several, 100) == 2
    assert cost(Filter(status=(Status.FAILED, Status.QUEUED)), 100) == 2


SCALE = 20_000


def fill(store: Store) -> None:
    """Keep 20,000 analyses; made by the database, which takes a second instead of ten."""
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {SCALE - 1})"
    at = f"{int(START.timestamp()) * 1_000_000} + i * CAST(60000000 AS BIGINT)"
    statuses = " ".join(f"WHEN {number} THEN '{status.value}'" for number, status in enumerate(Status))
    values = {
        "id": "i + 1",
        "analysis_id": "'a' || i",
        "kind": "CASE i % 2 WHEN 0 THEN 'code' ELSE 'duplicates' END",
        "status": f"CASE WHEN i % 50 > 0 THEN 'completed' ELSE CASE i / 50 % 6 {statuses} END END",
        "client_session_id": "'owner' || (i % 40)",
        "thread_id": "'t' || (i % 400)",
        "session_id": "'s' || (i % 100)",
        "process_instance_id": "'p' || (i % 1000)",
        "subject": "i % 400 + 1",
        **dict.fromkeys(("revision", "location", "analyzer_version", "summary"), "''"),
        "params": "'{}'",
        "tags": "'[]'",
        "fingerprint": "'f' || i",
        **dict.fromkeys(("result_is_partial", "cancel_requested", "is_anonymous", "is_pinned"), "false"),
        **dict.fromkeys(("finding_count", "priority", "attempt", "retrieval_count"), "0"),
        "version": "1",
        **dict.fromkeys(("created_at", "updated_at"), at),
    }
    tag = "created_at, id, client_session_id FROM analyses"
    made = [
        f"INSERT INTO subjects {numbers} SELECT i + 1, 's', 'k' || i, '', '{{}}', 0 FROM n WHERE i < 400",
        f"INSERT INTO analyses ({', '.join(values)}) {numbers} SELECT {', '.join(values.values())} FROM n",
        f"INSERT INTO tags (tag, created_at, analysis, client_session_id) SELECT 'common', {tag}",
        f"INSERT INTO tags (tag, created_at, analysis, client_session_id) SELECT 'rare' || ((id - 1) % 400), {tag}",
        "ANALYZE",
    ]
    store.engine.write(lambda c: [c.execute(sa.text(statement)) for statement in made][-1].close())


WHERES = {
    "nothing": Filter(),
    "owner": Filter(client_session_id="owner3"),
    "kind": Filter(kind="code"),
    "common status": Filter(status=(Status.COMPLETED,)),
    "rare status": Filter(status=(Status.TIMED_OUT,)),
    "statuses": Filter(status=(Status.TIMED_OUT, Status.COMPLETED)),
    "subject": Filter(subject=("s", "k3")),
    "common tag": Filter(tags=("common",)),
    "rare tag": Filter(tags=("rare3",)),
    "tags": Filter(tags=("rare3", "common")),
    "thread": Filter(thread_id="t3"),
    "session": Filter(session_id="s3"),
    "process": Filter(process_instance_id="p3"),
    "owner, kind": Filter(client_session_id="owner3", kind="duplicates"),
    "owner, status": Filter(client_session_id="owner3", status=(Status.FAILED,)),
    "owner, statuses": Filter(client_session_id="owner3", status=(Status.FAILED, Status.COMPLETED)),
    "owner, tag": Filter(client_session_id="owner3", tags=("common",)),
    "owner, rare tag": Filter(client_session_id="owner3", tags=("rare3",)),
    "owner, subject": Filter(client_session_id="owner3", subject=("s", "k3")),
    "owner, thread": Filter(client_session_id="owner3", thread_id="t3"),
    "owner, session": Filter(client_session_id="owner3", session_id="s3"),
    "owner, kind, status": Filter(client_session_id="owner3", kind="duplicates", status=(Status.COMPLETED,)),
    "kind, subject, status": Filter(kind="duplicates", subject=("s", "k3"), status=(Status.COMPLETED,)),
    "kind, tag": Filter(kind="code", tags=("common",)),
    "after": Filter(created_after=minutes(SCALE / 2)),
    "between": Filter(created_after=minutes(SCALE / 4), created_before=minutes(SCALE / 2)),
    "owner, after": Filter(client_session_id="owner3", created_after=minutes(SCALE / 2)),
    "tag, before": Filter(tags=("common",), created_before=minutes(SCALE / 2)),
}


# Rows that PostgreSQL may fetch by an index and then sort: to it that costs less than a walk in order.
FEW = 500


def faults(connection: sa.Connection, select: sa.Select[Any]) -> list[str]:
    """The steps of a statement's plan that cost more the more there is."""
    sql = str(select.compile(connection, compile_kwargs={"literal_binds": True})).replace("%", "%%")
    if connection.dialect.name == "sqlite":
        plan = [str(row[-1]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}")]
        return [step for step in plan if "TEMP B-TREE" in step or (step.startswith("SCAN") and "USING" not in step)]
    (whole,) = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {sql}").scalar_one()
    nodes, found = [whole["Plan"]], []
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        large = node["Node Type"] == "Seq Scan" and node["Relation Name"] != "subjects"
        if large or ("Sort" in node["Node Type"] and node["Plans"][0]["Plan Rows"] > FEW):
            found.append(f"{node['Node Type']}: {node['Plan Rows']} rows of {node.get('Relation Name')}")
    return found


@pytest.mark.timeout(300)
def test_every_list_walks_an_index(store: Store) -> None:
    fill(store)
    found = store.read(lambda uow: uow.analyses.page(WHERES["owner, kind, status"], limit=1))
    assert found[0].value.context.client_session_id == "owner3"
    places = (None, Place(created_at=minutes(SCALE / 3), key=SCALE // 3))
    selects = {
        (name, where.visible_at, alternative.status, ascending, after is None): lists.page(
            alternative, 100, after, ascending=ascending
        )
        for name, filter_ in WHERES.items()
        for where in (filter_, replace(filter_, visible_at=minutes(SCALE)))
        for alternative in ([replace(where, status=(status,)) for status in where.status] or [where])
        for ascending in (False, True)
        for after in places
    }
    with store.engine.read() as connection:
        bad = {name: wrong for name, select in selects.items() if (wrong := faults(connection, select))}
        assert not bad
        # What no index serves is noticed.
        assert faults(connection, sa.select(tables.analyses).order_by(tables.analyses.c.summary).limit(100))
