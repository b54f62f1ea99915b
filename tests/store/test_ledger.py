import threading
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from holdfast.domain.events import Event, LedgerEntry, Position
from holdfast.store.ledger import Ledger
from holdfast.store.unit_of_work import Store
from tests.store.samples import START, opened, rows
from tests.support.postgres import Postgres
from tests.support.processes import wait_until

BEGINNING = Position()


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    with opened(database) as store:
        yield store


def event(analysis_id: str = "a", *, owner: str | None = "local", name: str = "analysis.started") -> Event:
    return Event(name=name, at=START, analysis_id=analysis_id, client_session_id=owner, actor="somebody")


def write(store: Store, *events: Event) -> None:
    store.write(lambda uow: uow.ledger.append(events))


def settle(store: Store) -> None:
    """Wait for whatever else writes in the same PostgreSQL database, its own housekeeping too: it holds the feed up."""
    # By the order of commits: of two that write at once, the later transaction may have the lower numbers.
    newest = store.read(lambda uow: uow.ledger.audit(1))
    if newest:
        wait_until(lambda: store.follow(lambda uow: uow.ledger.head()) >= newest[0].position, 30, "older transactions")


def feed(store: Store, after: Position | None = None, limit: int = 100, **bounds: Any) -> list[LedgerEntry]:
    return store.follow(lambda uow: uow.ledger.feed(after, limit, **bounds))


def names(entries: list[LedgerEntry]) -> list[str | None]:
    return [entry.event.analysis_id for entry in entries]


def follow(store: Store, limit: int = 7, **bounds: Any) -> list[str | None]:
    found: list[LedgerEntry] = []
    while page := feed(store, found[-1].position if found else None, limit, **bounds):
        found += page
    return names(found)


def test_pages_go_on_where_the_last_one_ended(store: Store) -> None:
    for number in range(20):
        write(store, event(f"{number}.0"), event(f"{number}.1"))
    settle(store)
    assert follow(store) == [f"{number}.{part}" for number in range(20) for part in range(2)]
    assert feed(store, store.follow(lambda uow: uow.ledger.head())) == []


def test_bounds(store: Store) -> None:
    for number in range(30):
        write(store, event(f"a{number % 3}", owner=f"o{number % 2}"))
    settle(store)
    everything = feed(store)
    until = everything[10].position
    assert feed(store, until=until) == everything[:11]
    assert feed(store, everything[4].position, until=until) == everything[5:11]
    assert feed(store, owner="o1") == everything[1::2]
    assert feed(store, analysis_id="a2") == everything[2::3]
    assert feed(store, everything[5].position, analysis_id="a2", owner="o0") == everything[8::6]
    assert follow(store, limit=2, owner="o1") == names(everything[1::2])


def test_place_of_a_number(store: Store) -> None:
    write(store, *(event(str(number)) for number in range(9)))
    settle(store)
    entries = feed(store)

    def place(sequence: int) -> Position | None:
        return store.follow(lambda uow: uow.ledger.position_of(sequence))

    assert [place(entry.sequence) for entry in entries] == [entry.position for entry in entries]
    assert place(0) == BEGINNING
    assert place(entries[-1].sequence + 1000) is None
    assert store.follow(lambda uow: uow.ledger.head()) == entries[-1].position
    # What is trimmed is gone, the first one after it is not.
    store.engine.write(
        lambda c: c.execute(sa.text("DELETE FROM ledger WHERE sequence < :s"), {"s": entries[5].sequence})
    )
    assert feed(store, place(entries[2].sequence)) == entries[5:]
    assert feed(store, place(0)) == entries[5:]


def test_head_of_nothing(store: Store) -> None:
    assert store.follow(lambda uow: uow.ledger.head()) == BEGINNING
    assert store.read(lambda uow: uow.ledger.position_of(7)) is None
    assert store.follow(lambda uow: uow.ledger.last_of("a", ["analysis.started"])) is None


def test_transactions_that_commit_in_the_other_order(database: str) -> None:
    """The earlier sequence is committed later: whoever follows must get both, each once."""
    if database.startswith("sqlite"):
        pytest.skip("SQLite has one writer")
    with opened(database) as store:
        write(store, event("before"))
        settle(store)
        appended, commit = threading.Event(), threading.Event()

        def slow() -> None:
            def work(connection: sa.Connection) -> None:
                _append(store, connection, "slow")
                appended.set()
                assert commit.wait(30)

            store.engine.write(work)

        thread = threading.Thread(target=slow)
        thread.start()
        assert appended.wait(30)
        found = feed(store)
        write(store, event("quick"))
        last = rows(store, "SELECT analysis_id FROM ledger ORDER BY sequence DESC LIMIT 1")
        assert last == [("quick",)]
        # The quick one is there for all to see, but who goes on from it would never get the slow one.
        found += feed(store, found[-1].position)
        assert names(found) == ["before"]
        commit.set()
        thread.join()
        settle(store)
        found += feed(store, found[-1].position)
        assert sorted(map(str, names(found))) == ["before", "quick", "slow"]
        assert found == feed(store)
        write(store, event("after"))
        settle(store)
        assert names(feed(store, found[-1].position)) == ["after"]


def test_transactions_of_other_databases_hold_nothing_up(database: str, postgres_server: Postgres) -> None:
    if database.startswith("sqlite"):
        pytest.skip("SQLite has one writer")
    with opened(database) as store, postgres_server.connect() as other, other.transaction():
        other.execute("SELECT pg_current_xact_id()")
        write(store, event("a"))
        write(store, event("b"))
        assert names(feed(store)) == ["a", "b"]
        assert store.follow(lambda uow: uow.ledger.head()) == feed(store)[-1].position


def test_transactions_of_other_roles_are_waited_for(database: str, postgres_server: Postgres) -> None:
    """Who is no superuser sees that somebody else writes, though not what."""
    if database.startswith("sqlite"):
        pytest.skip("SQLite has one writer")
    name = sa.make_url(database).database
    assert name is not None
    with opened(database) as store, postgres_server.connect(name) as other:
        write(store, event("before"))
        settle(store)
        role = f"reader_{name}"
        other.execute(f"CREATE ROLE {role} LOGIN".encode())
        try:
            other.execute(f"GRANT SELECT ON ledger TO {role}".encode())
            with opened(database.replace("postgres@", f"{role}@", 1)) as reader, other.transaction():
                other.execute("SELECT pg_current_xact_id()")
                write(store, event("after"))
                assert names(feed(reader)) == ["before"]
        finally:
            other.execute(f"DROP OWNED BY {role}".encode())
            other.execute(f"DROP ROLE {role}".encode())


def _append(store: Store, connection: sa.Connection, name: str) -> None:
    ledger = Ledger(connection, store.engine)
    ledger.append([event(name)])
    ledger.flush()


def test_followed_while_many_write(store: Store) -> None:
    """Several writers, several events a transaction, a follower: every event exactly once."""
    writers, each = 6, 25

    def work(writer: int) -> None:
        for number in range(each):
            write(store, event(f"{writer}-{number}-a"), event(f"{writer}-{number}-b"))

    threads = [threading.Thread(target=work, args=(writer,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    found: list[LedgerEntry] = []
    while True:
        alive = any(thread.is_alive() for thread in threads)
        if not alive:
            settle(store)
        page = feed(store, found[-1].position if found else None, 10)
        found += page
        if not alive and not page:
            break
    assert len(found) == writers * each * 2
    assert len(set(names(found))) == len(found)
    assert [entry.position for entry in found] == sorted(entry.position for entry in found)


def test_audit(store: Store) -> None:
    for number in range(12):
        name = "analysis.deleted" if number % 4 == 0 else "analysis.started"
        write(store, event(str(number), owner=f"o{number % 2}", name=name))

    def audit(limit: int = 100, **bounds: Any) -> list[LedgerEntry]:
        return store.read(lambda uow: uow.ledger.audit(limit, **bounds))

    everything = audit()
    assert names(everything) == [str(number) for number in range(11, -1, -1)]
    assert audit(5) + audit(100, before=everything[4].position) == everything
    assert names(audit(owner="o1")) == ["11", "9", "7", "5", "3", "1"]
    assert names(audit(names=["analysis.deleted"])) == ["8", "4", "0"]
    assert names(audit(names=["analysis.deleted", "analysis.started"])) == names(everything)
    assert audit(actor="nobody") == []
    # By its owner, by another owner, and by nobody's worker.
    for owner, actor in (("a", "a"), ("b", "a"), (None, "a"), ("a", "b")):
        write(store, Event(name="analysis.completed", at=START, client_session_id=owner, actor=actor))
    assert [entry.event.client_session_id for entry in audit(actor="a")] == [None, "b", "a"]
    assert audit(2, actor="a") + audit(9, actor="a", before=audit(2, actor="a")[-1].position) == audit(actor="a")
    assert [entry.event.actor for entry in audit(actor="a", owner="b")] == ["a"]
    assert audit(actor="a", names=["analysis.deleted"]) == []
    assert len(audit(names=["analysis.completed"])) == 4
    assert names(audit(1, owner="o0", before=everything[3].position)) == ["6"]


def plan(store: Store, select: sa.Select[Any]) -> str:
    explain = "EXPLAIN QUERY PLAN " if store.engine.dialect == "sqlite" else "EXPLAIN "
    with store.engine.read() as connection:
        if store.engine.dialect == "postgresql":
            # So few rows are sorted as quickly; whether they need be is the question.
            connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
        text = select.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}).string
        return "\n".join(str(tuple(row)) for row in connection.exec_driver_sql(explain + text.replace("%", "%%")))


def test_every_list_has_its_index(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """No list reads what it does not show: none sorts, none walks the ledger from its beginning."""
    for number in range(20):
        write(store, *(event(f"{number}-{part}", owner=f"o{part % 125}", name=f"n{part % 20}") for part in range(250)))
    sqlite = store.engine.dialect == "sqlite"
    store.engine.write(lambda c: c.exec_driver_sql("ANALYZE"))
    settle(store)
    middle = feed(store, limit=2500)[-1].position
    seen: list[sa.Select[Any]] = []

    def look(uow: Any) -> None:
        entries = uow.ledger._entries

        def noted(select: sa.Select[Any]) -> Any:
            seen.append(select)
            return entries(select)

        monkeypatch.setattr(uow.ledger, "_entries", noted)
        uow.ledger.feed(middle, 100)
        uow.ledger.feed(middle, 10, owner="o4")
        uow.ledger.audit(100, before=middle)
        uow.ledger.audit(10, before=middle, owner="o4")
        uow.ledger.audit(10, before=middle, names=["token.revoked"])
        uow.ledger.audit(10, before=middle, actor="worker")

    store.follow(look)
    by_place = "PRIMARY KEY" if sqlite else "ix_ledger_transaction_sequence"
    by_owner = "ix_ledger_client_session_id_transaction_sequence"
    by_name, by_actor = (f"ix_ledger_{column}_transaction_sequence" for column in ("name", "actor"))
    for select, index in zip(seen, [*[by_place, by_owner] * 2, by_name, by_owner, by_actor], strict=True):
        told = plan(store, select)
        assert index in told, told
        assert "Sort" not in told, told
        assert "TEMP B-TREE" not in told, told
        assert "SCAN" not in told, told
