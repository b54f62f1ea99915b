"""What goes out comes in: everything, everywhere, once, and nothing damaged."""

import io
import os
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import holdfast
from holdfast.bootstrap import Holdfast
from holdfast.domain.analysis import ErrorInfo, Status
from holdfast.domain.context import Context
from holdfast.domain.errors import StoreCorrupt
from holdfast.domain.findings import Finding, FindingItem, Severity
from holdfast.formats.bundle import Digest, Reader, write_lines
from holdfast.formats.streams import InvalidBundle
from holdfast.services.results import NewResult
from holdfast.services.transfer import NotEqual, SourceChanged, StoreNotEmpty, bundles
from holdfast.store import schema, tables
from holdfast.store.intake_state import ImportTakenOver
from holdfast.store.lists import Filter
from holdfast.store.policies import POLICIES, Taken, columns, parts, refers_to
from holdfast.store.rows import RowRefused
from holdfast.store.truths import TRUTHS, differences
from holdfast.testing import FakeClock
from tests.services.samples import opened
from tests.transfer import stores
from tests.transfer.stores import add_many, exported, fill, open_store, without_header


def bring(hf: Holdfast, bundle: bytes) -> Any:
    return hf.transfer.import_bundle(io.BytesIO(bundle))


def wrong_counters(hf: Holdfast) -> dict[str, tuple[int, int]]:
    with hf.engine.read() as connection:
        return differences(connection)


# Policies.


def test_every_table_has_a_policy() -> None:
    assert POLICIES.keys() == tables.metadata.tables.keys(), "store/policies.py says how a table is carried"


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_policies_hold_together(name: str) -> None:
    policy, table = POLICIES[name], tables.metadata.tables[name]
    if policy.taken is Taken.NEVER:
        assert policy.why
        return
    assert not policy.why
    # What names a row is unique; a log has something to compare by.
    unique = [{c.name for c in table.primary_key}]
    unique += [{c.name for c in key.columns} for key in table.constraints if isinstance(key, sa.UniqueConstraint)]
    assert policy.same if not policy.key else set(policy.key) in unique or name == "tags"
    # The order of rows with parts is that of their numbers, which their parts are read by.
    if parts(table) and policy.part_of is None:
        assert policy.order == ("id",)
    if policy.part_of is not None:
        assert policy.key[0] == policy.part_of
    assert {column.name for column in columns(table) if refers_to(column) is not None} <= set(table.c.keys())


def test_every_counter_has_a_truth(database: str) -> None:
    with open_store(database) as hf:
        fill(hf)
        with hf.engine.read() as connection:
            kept = set(connection.execute(sa.select(tables.counters.c.name)).scalars())
        assert kept <= {name for truths in TRUTHS.values() for name in truths}
        assert wrong_counters(hf) == {}


# Round trips.


def test_there_and_back(database: str, other_database: str) -> None:
    with open_store(database) as here, open_store(other_database) as there:
        fill(here)
        out = exported(here, secrets=True)
        bring(there, out)
        assert without_header(exported(there, secrets=True)) == without_header(out)
        assert there.get_stats() == here.get_stats()
        assert wrong_counters(there) == {}
        assert there.get_result("first") == here.get_result("first")
        assert there.get_findings("first") == here.get_findings("first")
        assert there.get_metrics("first") == here.get_metrics("first")
        assert there.list_analyses(limit=100).items == here.list_analyses(limit=100).items
        assert [e.event for e in there.queries.events("first")] == [e.event for e in here.queries.events("first")]
        # It goes on there: new numbers are beyond those that came, and the feed reaches all.
        there.store_analysis("sample", 1, analysis_id="after")
        there.delete_analysis("same-a", purge=True)
        there.delete_analysis("same-b", purge=True)
        assert wrong_counters(there) == {}
        entries = there.store.follow(lambda uow: uow.ledger.feed(None, 1000))
        assert [e.event.name for e in entries][-3:] == ["analysis.completed", "analysis.purged", "analysis.purged"]
        with there.engine.read() as connection:
            counts = connection.execute(sa.select(tables.payloads.c.reference_count)).scalars().all()
        assert min(counts) >= 1


def test_a_job_that_was_leased_is_taken_back(database: str, other_database: str) -> None:
    with open_store(database) as here, open_store(other_database) as there:
        fill(here)
        bring(there, exported(here))
        running = there.list_analyses(status=Status.RUNNING).items[0].analysis_id
        there.jobs.take_back(["analysis.run"])
        assert there.get_analysis(running).status is Status.QUEUED


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abä\u2028", max_size=3), inner, max_size=3),
    max_leaves=8,
)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
FINDINGS = st.builds(
    Finding,
    rule=TEXT,
    severity=st.sampled_from(Severity),
    title=TEXT,
    message=TEXT,
    path=st.none() | TEXT,
    line=st.none() | st.integers(0, 2**31 - 1),
    score=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    data=st.dictionaries(TEXT, JSON, max_size=2),
    items=st.lists(st.builds(FindingItem, key=TEXT, data=st.dictionaries(TEXT, JSON, max_size=2)), max_size=3).map(
        tuple
    ),
)
RESULTS = st.builds(
    NewResult,
    kind=st.sampled_from(["code", "duplicates"]),
    result=JSON.filter(lambda value: value is not None),
    params=st.dictionaries(TEXT, JSON, max_size=2),
    summary=TEXT,
    findings=st.lists(FINDINGS, max_size=3),
    metrics=st.dictionaries(st.text("abÄ -", min_size=1, max_size=3), st.floats(allow_nan=False, allow_infinity=False)),
    tags=st.lists(st.text("abÄß", min_size=1, max_size=3), max_size=3, unique=True),
    context=st.builds(
        Context, client_session_id=st.sampled_from(["ann", "bob"]), thread_id=st.none() | TEXT.filter(bool)
    ),
    status=st.sampled_from([Status.COMPLETED, Status.FAILED]),
    error=st.none() | st.builds(ErrorInfo, code=st.just("WHY"), message=TEXT),
    ttl_seconds=st.none() | st.floats(1, 1e9),
)


@pytest.fixture
def pair(database: str, other_database: str) -> Any:
    with open_store(database) as here, open_store(other_database) as there:
        yield here, there


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(results=st.lists(RESULTS, max_size=4))
def test_any_store_goes_there_and_back(pair: Any, results: list[NewResult]) -> None:
    here, there = pair
    for hf in (here, there):
        hf.store.write(lambda uow: uow.intake.clear(uow.now))
    here.store_analyses(results)
    out = exported(here)
    bring(there, out)
    assert without_header(exported(there)) == without_header(out)
    assert wrong_counters(there) == {}
    here.store.write(lambda uow: uow.intake.clear(uow.now))
    bring(here, exported(there))
    assert without_header(exported(here)) == without_header(out)


def test_a_selection_brings_what_belongs_to_it(database: str, other_database: str) -> None:
    with open_store(database) as here, open_store(other_database) as there:
        fill(here)
        add_many(here, 1200)
        bring(there, exported(here, where=Filter(kind="many", tags=("t1", "all"))))
        ids = {item.analysis_id for item in there.list_analyses(limit=1000).items}
        # All of them: no page ends it.
        assert ids == {f"many-{number:06}" for number in range(1200) if number % 5 == 1}
        for analysis_id in ("many-000001", "many-001196"):
            assert there.get_result(analysis_id) == here.get_result(analysis_id)
            assert there.get_findings(analysis_id) == here.get_findings(analysis_id)
            assert [e.event for e in there.queries.events(analysis_id)] == [
                e.event for e in here.queries.events(analysis_id)
            ]
        assert there.accounts.list_tokens().items == []
        assert wrong_counters(there) == {}
        bring(there, exported(here, where=Filter(status=(Status.FAILED, Status.RUNNING))))
        assert {item.status for item in there.list_analyses(limit=1000).items} == {
            Status.COMPLETED,
            Status.FAILED,
            Status.RUNNING,
        }


def test_tokens_go_only_when_asked(database: str) -> None:
    with open_store(database) as hf:
        fill(hf)
        hf.accounts.create_token("other")
        assert b'"kind":"tokens"' not in exported(hf)
        assert b'"kind":"secrets"' not in exported(hf)
        assert exported(hf, secrets=True).count(b'"kind":"tokens"') == 2
        assert b'"kind":"tokens"' not in exported(hf, secrets=True, where=Filter(kind="sample"))


def test_what_is_there_stays(database: str, other_database: str) -> None:
    with open_store(database) as here, open_store(other_database) as there:
        there.store_analysis("sample", "mine", analysis_id="first", findings=[], metrics={"mine": 1})
        there.store_analysis("sample", {"same": stores.ODD}, analysis_id="unrelated")
        fill(here)
        done = bring(there, exported(here))
        assert done.differing["analyses"] == 1
        assert "analyses first" in done.named
        assert there.get_result("first") == "mine"
        assert there.get_findings("first") == []
        assert there.get_metrics("first") == {"mine": 1}
        assert there.get_result("same-a") == {"same": stores.ODD}
        assert wrong_counters(there) == {}
        again = bring(there, exported(here))
        assert sum(again.added.values()) == 0
        assert len(there.queries.events("same-a")) == len(here.queries.events("same-a"))
        assert sum(there.jobs.counts().values()) == sum(here.jobs.counts().values())


def test_the_export_is_one_state(database: str) -> None:
    """Who writes between two rows of an export is not in it."""
    with open_store(database) as hf:
        add_many(hf, 300)

        class Sink(io.BytesIO):
            written = 0

            def write(self, content: Any) -> int:
                self.written += 1
                if self.written % 100 == 5:
                    hf.store_analysis("late", self.written, analysis_id=f"late-{self.written}", tags=["late"])
                return super().write(content)

        sink = Sink()
        hf.transfer.export_analyses(sink)
        assert b'"late' not in sink.getvalue()
        assert hf.transfer.check(io.BytesIO(sink.getvalue()))[1].kinds["analyses"].rows == 300


def test_compressed_is_the_same(database: str) -> None:
    with open_store(database) as hf:
        add_many(hf, 100)
        packed = exported(hf, compress=True)
        assert len(packed) < len(exported(hf)) / 3
        assert hf.transfer.check(io.BytesIO(packed)) == hf.transfer.check(io.BytesIO(exported(hf)))


# Damage.


class Pipe(io.RawIOBase):
    """Can be read once only, as standard input."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._content.readinto(buffer)


@pytest.mark.parametrize("how", ["flipped", "missing", "swapped", "cut", "cut between", "twice", "after"])
def test_damage_is_named_and_a_rerun_goes_on(how: str, database: str, tmp_path: Any) -> None:
    with open_store(f"sqlite:///{tmp_path / 'source.db'}") as source:
        add_many(source, 800)
        good = exported(source)
    lines = good.splitlines(keepends=True)
    at = len(lines) * 2 // 3
    damaged = list(lines)
    number = at + 1
    if how == "flipped":
        damaged[at] = damaged[at].replace(b'"kind"', b'"kinb"', 1) if b'"m"' not in damaged[at] else damaged[at]
        damaged[at] = lines[at][:30] + bytes([lines[at][30] ^ 1]) + lines[at][31:]
    elif how == "missing":
        del damaged[at]
    elif how == "swapped":
        damaged[at], damaged[at + 1] = damaged[at + 1], damaged[at]
    elif how == "cut":
        damaged[at:] = [damaged[at][:50]]
    elif how == "cut between":
        damaged[at:] = []
    elif how == "twice":
        damaged.insert(at, damaged[at - 1])
    else:
        damaged.append(b"more\n")
        number = len(lines) + 1
    bad = b"".join(damaged)
    with open_store(database) as hf:
        with pytest.raises(InvalidBundle, match=rf"[Ll]ine {number}\b"):
            hf.transfer.import_bundle(io.BytesIO(bad))
        assert hf.get_stats().total_results == 0
        with pytest.raises(InvalidBundle, match=rf"[Ll]ine {number}\b"):
            hf.transfer.import_bundle(io.BufferedReader(Pipe(bad)))
        with hf.engine.read() as connection:
            some = connection.execute(sa.select(sa.func.count()).select_from(tables.ledger)).scalar_one()
        assert some > 0
        bring(hf, good)
        assert without_header(exported(hf)) == without_header(good)
        assert wrong_counters(hf) == {}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "ends before line 1"),
        (b"{}\n", "Line 1 is not the header"),
        (b"\x28\xb5\x2f\xfdrubbish", "damaged or cut off"),
        (b'{"analyses":[]}\n', "Line 1"),
    ],
)
def test_what_is_no_bundle(content: bytes, said: str, database: str) -> None:
    with open_store(database) as hf, pytest.raises(InvalidBundle, match=said):
        bring(hf, content)


def test_newer_ones_are_refused(database: str) -> None:
    with open_store(database) as hf:
        out = exported(hf)
        with pytest.raises(InvalidBundle, match="schema 9999"):
            bring(hf, out.replace(f'"schema":"{schema.HEAD}"'.encode(), b'"schema":"9999"'))
        with pytest.raises(InvalidBundle, match="format 2"):
            bring(hf, out.replace(b'"version":1', b'"version":2'))


def remade(hf: Holdfast, change: Any) -> bytes:
    """A bundle with a right checksum and a wrong row."""

    def work(uow: Any) -> bytes:
        rows = [change(kind, dict(row)) for kind, row in uow.outflow(None, secrets=False).rows()]
        made = bundles.lines(uow, None, secrets=False, digest=Digest(), told=lambda *_: None)
        header = Reader.open(io.BytesIO(next(made))).header
        return b"".join(write_lines(header, iter(rows), Digest()))

    return hf.store.read(work)


@pytest.mark.parametrize(
    ("kind", "column", "value", "said"),
    [
        ("analyses", "attempt", "3", "attempt of analyses cannot be used"),
        ("analyses", "is_pinned", 1, "is_pinned of analyses cannot be used"),
        ("analyses", "kind", None, "kind of analyses cannot be used: it has no value"),
        ("analyses", "strange", 1, "has 'strange', which analyses has not"),
        ("analyses", "result_hash", "0" * 64, "which is not in the bundle"),
        ("findings", "analysis", "nobody", "which is not in the bundle"),
        ("payloads", "hash", "0" * 64, "does not match its checksum"),
        ("payloads", "size", 1, "says a wrong size"),
        ("payloads", "data", "%%", "data of payloads cannot be used"),
        ("owners", "client_session_id", 3, "cannot be used"),
    ],
)
def test_rows_that_cannot_be(kind: str, column: str, value: Any, said: str, database: str, tmp_path: Any) -> None:
    with open_store(f"sqlite:///{tmp_path / 'source.db'}") as source:
        fill(source)
        bad = remade(source, lambda k, row: (k, {**row, column: value} if k == kind else row))
    with open_store(database) as hf:
        with pytest.raises((RowRefused, StoreCorrupt), match=said):
            bring(hf, bad)
        assert hf.get_stats().total_results == 0


def test_kinds_that_are_unknown(database: str) -> None:
    with open_store(database) as hf:
        fill(hf)
        for name in ("nonsense", "counters", "alembic_version"):
            with pytest.raises(RowRefused, match=name):
                bring(hf, remade(hf, lambda kind, row, name=name: (name if kind == "owners" else kind, row)))


def test_of_two_that_import_the_same_one_gives_way(database: str, tmp_path: Any) -> None:
    with open_store(f"sqlite:///{tmp_path / 'source.db'}") as source:
        add_many(source, 600)
        good = exported(source)
    with open_store(database) as hf:

        def told(_what: str, done: int, _total: int | None) -> None:
            if done > 1500 and not finished:
                finished.append(bring(hf, good))

        finished: list[Any] = []
        with pytest.raises(ImportTakenOver):
            hf.transfer.import_bundle(io.BufferedReader(Pipe(good)), told=told)
        assert without_header(exported(hf)) == without_header(good)


# Whole stores.


def test_restore_makes_it_what_it_was(database: str, other_database: str) -> None:
    with open_store(database) as here, open_store(other_database) as there:
        fill(here)
        backup = exported(here, secrets=True, compress=True)
        there.transfer.restore(io.BytesIO(backup))
        assert without_header(exported(there, secrets=True)) == without_header(exported(here, secrets=True))
        there.store_analysis("sample", "new", analysis_id="new")
        with pytest.raises(StoreNotEmpty):
            there.transfer.restore(io.BytesIO(backup))
        with pytest.raises(InvalidBundle):
            there.transfer.restore(io.BytesIO(backup[: len(backup) // 2]), force=True)
        assert there.get_result("new") == "new"
        there.transfer.restore(io.BytesIO(backup), force=True)
        assert without_header(exported(there, secrets=True)) == without_header(exported(here, secrets=True))
        assert wrong_counters(there) == {}
        with pytest.raises(InvalidBundle, match="selected"):
            there.transfer.restore(io.BytesIO(exported(here, where=Filter(kind="sample"))), force=True)


def test_move_to_another_store(database: str, other_database: str) -> None:
    with open_store(database) as here, open_store(other_database) as there:
        fill(here)
        add_many(here, 500)
        here.transfer.move_to(there.store)
        assert without_header(exported(there, secrets=True)) == without_header(exported(here, secrets=True))
        with pytest.raises(StoreNotEmpty):
            here.transfer.move_to(there.store)
        here.store_analysis("sample", "more", analysis_id="more")
        here.transfer.move_to(there.store, force=True)
        assert there.get_result("more") == "more"


def test_a_move_of_what_has_changed(database: str, other_database: str) -> None:
    class Stopped(Exception):
        pass

    def stop(_what: str, done: int, _total: int | None) -> None:
        if done > 2500:
            raise Stopped

    with open_store(database) as here, open_store(other_database) as there:
        add_many(here, 800)
        with pytest.raises(Stopped):
            here.transfer.move_to(there.store, told=stop)
        begun = exported(there)
        # It goes on where it was.
        here.transfer.move_to(there.store)
        there.store.write(lambda uow: uow.intake.clear(uow.now))
        with pytest.raises(Stopped):
            here.transfer.move_to(there.store, told=stop)
        assert without_header(exported(there)) == without_header(begun)
        here.delete_analysis("many-000000", purge=True)
        with pytest.raises(SourceChanged):
            here.transfer.move_to(there.store)
        here.transfer.move_to(there.store, force=True)
        assert without_header(exported(there)) == without_header(exported(here))


def test_a_target_that_others_write_to_is_noticed(database: str, other_database: str) -> None:
    with open_store(database) as here, open_store(other_database) as there:
        add_many(here, 400)
        wrote: list[Any] = []

        def told(_what: str, done: int, _total: int | None) -> None:
            if done > 1000 and not wrote:
                wrote.append(there.store_analysis("intruder", 1, analysis_id="intruder"))

        with pytest.raises((NotEqual, holdfast.errors.StoreError)):
            here.transfer.move_to(there.store, told=told)


def test_memory_is_bounded() -> None:
    """Lines are made one by one: the export of a store is never in memory."""
    with tempfile.TemporaryDirectory() as folder, open_store(f"sqlite:///{folder}/holdfast.db") as hf:
        for start in range(40):
            hf.store_analysis("large", os.urandom(500_000).hex(), analysis_id=f"large-{start:03}")
        path = f"{folder}/bundle"
        tracemalloc.start()
        try:
            with Path(path).open("wb") as sink:
                hf.transfer.export_analyses(sink)
            with open_store(f"sqlite:///{folder}/other.db") as other, Path(path).open("rb") as source:
                other.transfer.import_bundle(source)
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert Path(path).stat().st_size > 25_000_000
        assert most < 20_000_000


def test_times_are_kept_to_the_microsecond(database: str, other_database: str) -> None:
    clock = FakeClock()
    clock.advance(86_400 * 300 + 0.000001)
    with opened(database, clock) as here, open_store(other_database) as there:
        here.store_analysis("sample", 1, analysis_id="a", ttl_seconds=0.5)
        bring(there, exported(here))
        out = there.store.read(lambda uow: uow.analyses.find("a"))
        assert out is not None
        assert out.value.created_at == clock.now()


def test_a_result_that_went_before_its_analysis_came(database: str, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(what: str, done: int, total: int | None) -> None:
        if what == "rows" and done >= 2000 and done != total:
            raise Stopped

    with open_store(f"sqlite:///{tmp_path / 'source.db'}") as source:
        source.store_analyses(
            [NewResult(kind="k", result={"n": number}, analysis_id=f"a{number}") for number in range(700)]
        )
        good = exported(source)
    with open_store(database) as hf:
        # The same as one of those to come, and gone before it is referred to.
        hf.store_analysis("own", {"n": 699}, analysis_id="own")
        with pytest.raises(Stopped):
            hf.transfer.import_bundle(io.BytesIO(good), told=stop)
        hf.delete_analysis("own", purge=True)
        bring(hf, good)
        assert hf.get_result("a699") == {"n": 699}
        assert hf.integrity.check().found == ()
