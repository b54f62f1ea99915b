"""Databases of PostgreSQL with the schema that are emptied and used again: a copy costs five times as much."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from tests.support.postgres import Postgres

_LARGEST = 4_000_000
_CATALOGS = (
    *("pg_attrdef", "pg_attribute", "pg_class", "pg_constraint", "pg_extension", "pg_index", "pg_namespace"),
    *("pg_proc", "pg_rewrite", "pg_sequence", "pg_statistic", "pg_trigger", "pg_type"),
)
_SETTINGS = """SELECT 'settings', count(*), 0 FROM pg_db_role_setting JOIN pg_database ON pg_database.oid = setdatabase
    WHERE datname = current_database()"""
# Whatever changes a schema, or what the planner knows of it, changes a row of these.
_SHAPE = " UNION ALL ".join(
    [f"SELECT '{name}', count(*), max(xmin::text::bigint) FROM {name}" for name in _CATALOGS]
    + [
        "SELECT 'statistics', sum(relpages), sum(reltuples)::bigint FROM pg_class WHERE oid >= 16384",
        _SETTINGS,
        "SELECT version_num, count(*), 0 FROM alembic_version GROUP BY version_num",
    ]
)
_SIZE = "SELECT sum(pg_relation_size(oid)) FROM pg_class WHERE oid >= 16384 AND relkind IN ('r', 'i', 't')"
# Emptied, a table keeps its pages: what has none was never written.
_WRITTEN = "SELECT relname FROM pg_class WHERE oid >= 16384 AND relkind = 'r' AND pg_relation_size(oid) > 0"
_LEFT = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s"


class Pool:
    """Databases that are copies of a template, or as good as that."""

    def __init__(self, server: Postgres, template: str) -> None:
        """Make them on ``server``, of ``template``, which has a schema and of rows only its revision."""
        self._server = server
        self._template = template
        self._free: list[str] = []
        self._shape: list[tuple[object, ...]] = []
        self._admin = server.connect()

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a database that nobody else uses, as long as the block lasts."""
        name = f"test_{uuid.uuid4().hex}"
        if self._free:
            # Who was left over from another test knows it by another name, and stays out.
            self._rename(self._free.pop(), name)
        else:
            self._server.create_database(name, self._template)
            self._shape = self._shape or self._shape_of(name)
        try:
            yield self._server.url(name)
        finally:
            if not self._take_back(name):
                self._server.drop_database(name)

    def close(self) -> None:
        """Drop them."""
        self._admin.close()
        for name in self._free:
            self._server.drop_database(name)

    def _shape_of(self, name: str) -> list[tuple[object, ...]]:
        with self._server.connect(name) as connection:
            return connection.execute(_SHAPE).fetchall()

    def _rename(self, old: str, new: str) -> None:
        rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
        self._admin.execute(rename.format(sql.Identifier(old), sql.Identifier(new)))

    def _take_back(self, name: str) -> bool:
        """Empty a database to be used again; False if it is another than it was, or still in use."""
        free = f"free_{uuid.uuid4().hex}"
        try:
            self._admin.execute(_LEFT, [name])
            self._rename(name, free)
        except psycopg.Error:
            # Somebody came back at once, or the test itself has dropped it.
            return False
        if not self._empty(free):
            self._server.drop_database(free)
        else:
            self._free.append(free)
        return True

    def _empty(self, name: str) -> bool:
        with self._server.connect(name) as connection:
            size = connection.execute(_SIZE).fetchone()
            if size is None or size[0] > _LARGEST or connection.execute(_SHAPE).fetchall() != self._shape:
                return False
            tables = [table for (table,) in connection.execute(_WRITTEN) if table != "alembic_version"]
            # No trigger fires, and no reference is looked after: all of it goes.
            connection.execute("SET session_replication_role = replica")
            connection.execute(
                sql.SQL(";").join(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)) for table in tables)
            )
            connection.execute("SELECT setval(seqrelid, seqstart, false) FROM pg_sequence")
            return True
