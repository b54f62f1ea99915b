import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from holdfast.domain.errors import SchemaNewer, SchemaOutdated, StoreError
from holdfast.store import schema, tables
from holdfast.store.engine import Engine
from tests.store.samples import add, analysis, opened
from tests.support.processes import spawn_python, wait_until


def test_migrations_make_exactly_the_tables(database: str) -> None:
    engine = Engine(database)
    try:
        with engine.read() as connection:
            # Alembic takes an Identity, which SQLite does not have, for a default that is missing.
            defaults = connection.dialect.name != "sqlite"
            context = MigrationContext.configure(
                connection, opts={"compare_type": True, "compare_server_default": defaults}
            )
            assert compare_metadata(context, tables.metadata) == []
            # Alembic compares neither keys, nor what follows from ON DELETE, nor an index's WHERE.
            inspector = sa.inspect(connection)
            for table in tables.metadata.sorted_tables:
                assert inspector.get_pk_constraint(table.name)["constrained_columns"] == [
                    column.name for column in table.primary_key
                ]
                kept = {
                    (key["constrained_columns"][0], key["referred_table"], key["options"].get("ondelete"))
                    for key in inspector.get_foreign_keys(table.name)
                }
                assert kept == {(key.parent.name, key.column.table.name, key.ondelete) for key in table.foreign_keys}
                option = f"{connection.dialect.name}_where"
                partial = {
                    index["name"]: index.get("dialect_options", {}).get(option)
                    for index in inspector.get_indexes(table.name)
                    if not index.get("duplicates_constraint")
                }
                assert {name for name, where in partial.items() if where is not None} == {
                    index.name for index in table.indexes if index.dialect_kwargs.get(option) is not None
                }
    finally:
        engine.close()


def test_sqlite_options_are_those_of_the_tables(tmp_path: Path) -> None:
    engine = Engine(f"sqlite:///{tmp_path / 'a.db'}")
    schema.prepare(engine)
    other = sa.create_engine("sqlite://")
    tables.metadata.create_all(other)
    listing = "SELECT name, wr, strict FROM pragma_table_list WHERE type = 'table' AND schema = 'main'"
    counted = "SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%' ORDER BY name"
    with engine.read() as made, other.connect() as wanted:
        ours = {tuple(row) for row in made.exec_driver_sql(listing) if row[0] != "alembic_version"}
        assert ours == {tuple(row) for row in wanted.exec_driver_sql(listing)}
        assert made.exec_driver_sql(counted).all() == wanted.exec_driver_sql(counted).all()
    engine.close()
    other.dispose()


def test_head_is_the_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [schema.HEAD]
    assert {script.revision for script in scripts.walk_revisions()} == set(schema.REVISIONS)


def test_newer_schema_is_refused(database: str) -> None:
    engine = Engine(database)
    try:
        engine.write(lambda c: c.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'"))
        for use in (schema.prepare, schema.upgrade):
            with pytest.raises(SchemaNewer):
                use(engine)
    finally:
        engine.close()


def test_older_schema_is_upgraded_on_request_only(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(database)
    try:
        monkeypatch.setattr(schema, "REVISIONS", (*schema.REVISIONS, "9999"))
        monkeypatch.setattr(schema, "HEAD", "9999")
        with pytest.raises(SchemaOutdated):
            schema.prepare(engine)
    finally:
        engine.close()


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TABLE jobs (id INTEGER)"],
        ["CREATE TABLE analyses (id INTEGER)"],
        # Another program that uses Alembic.
        ["CREATE TABLE alembic_version (version_num TEXT)", "INSERT INTO alembic_version VALUES ('ae10')"],
        [
            "CREATE TABLE alembic_version (version_num TEXT)",
            "CREATE TABLE analyses (id INTEGER)",
            "INSERT INTO alembic_version VALUES ('ae10')",
        ],
        ["CREATE TABLE alembic_version (version_num TEXT)", "CREATE TABLE analyses (id INTEGER)"],
    ],
)
def test_database_of_another_program_is_left_alone(empty_database: str, statements: list[str]) -> None:
    engine = Engine(empty_database)
    try:
        for statement in statements:
            engine.write(lambda c: c.exec_driver_sql(statement))  # noqa: B023 written at once
        with engine.read() as connection:
            before = sa.inspect(connection).get_table_names()
        for use in (schema.prepare, schema.upgrade):
            with pytest.raises(StoreError):
                use(engine)
        with engine.read() as connection:
            assert sa.inspect(connection).get_table_names() == before
    finally:
        engine.close()


_OPEN = """
import sys
from holdfast.store import schema
from holdfast.store.engine import Engine
sys.stdin.readline()
for url in sys.argv[1:]:
    engine = Engine(url)
    schema.prepare(engine)
    engine.close()
    print("open", flush=True)
"""


@pytest.mark.long
def test_two_processes_open_a_fresh_database_at_once(empty_database: str, tmp_path: Path) -> None:
    if empty_database.startswith("sqlite"):
        urls = [f"sqlite:///{tmp_path / f'{number}.db'}" for number in range(20)]
    else:
        urls = [empty_database]
    with spawn_python(_OPEN, *urls) as one, spawn_python(_OPEN, *urls) as other:
        assert one.stdin is not None
        assert other.stdin is not None
        for process in (one, other):
            process.stdin.write("go\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
        for process in (one, other):
            out, _ = process.communicate(timeout=120)
            assert out == "open\n" * len(urls)
    for url in urls:
        with opened(url) as store:
            assert schema.revision_of(store.engine) == schema.HEAD


def test_threads_open_fresh_databases_at_once(tmp_path: Path) -> None:
    urls = [f"sqlite:///{tmp_path / f'{number}.db'}" for number in range(8)] * 2
    barrier = threading.Barrier(len(urls))

    def prepare(url: str) -> str | None:
        engine = Engine(url)
        try:
            barrier.wait()
            schema.prepare(engine)
            return schema.revision_of(engine)
        finally:
            engine.close()

    with ThreadPoolExecutor(len(urls)) as pool:
        assert set(pool.map(prepare, urls)) == {schema.HEAD}


_DIE_MIGRATING = """
import os, signal, sys
import alembic.op
from holdfast.store import schema
from holdfast.store.engine import Engine

create, left = alembic.op.create_table, [int(sys.argv[2])]

def create_table(*args, **options):
    create(*args, **options)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)

alembic.op.create_table = create_table
schema.prepare(Engine(sys.argv[1]))
"""


@pytest.mark.parametrize("tables_made", [1, 9])
def test_kill_during_migration(empty_database: str, tables_made: int) -> None:
    with spawn_python(_DIE_MIGRATING, empty_database, str(tables_made)) as process:
        assert process.wait(60) == -signal.SIGKILL
    with opened(empty_database) as store:
        # On PostgreSQL the server may need a moment to see that its client is gone.
        wait_until(lambda: schema.revision_of(store.engine) is None, 60, "nothing of the schema to be there")
        schema.prepare(store.engine)
        assert schema.revision_of(store.engine) == schema.HEAD
        assert add(store, [analysis()])
