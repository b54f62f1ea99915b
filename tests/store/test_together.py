"""Statements of many rows: what goes in comes out, by one statement where each would be a round trip."""

from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import json

from holdfast.documents import to_json
from holdfast.store import prepared
from holdfast.store.engine import Engine
from holdfast.store.together import Together
from holdfast.store.types import FreeText, Json, Timestamp, storable

_kept = sa.Table(
    "kept_together",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), sa.Identity(), primary_key=True),
    sa.Column("name", FreeText().with_variant(FreeText(collation="C"), "postgresql"), nullable=False, unique=True),
    sa.Column("text", FreeText),
    sa.Column("number", sa.BigInteger),
    sa.Column("share", sa.Float),
    sa.Column("flag", sa.Boolean),
    sa.Column("document", Json),
    sa.Column("moment", Timestamp),
)
_NAMES = ("name", "text", "number", "share", "flag", "document", "moment")
_INSERT = Together.insert(_kept, _NAMES, lambda insert: insert.on_conflict_do_nothing().returning(_kept.c.name))
_UPDATE = Together.change(
    {"wanted": _kept.c.name.type, "other": _kept.c.text.type, "at_least": _kept.c.number.type},
    lambda row: (
        sa.update(_kept)
        .where(_kept.c.name == row["wanted"], _kept.c.number >= row["at_least"])
        .values(text=row["other"])
        .returning(_kept.c.name)
    ),
)
_DELETE = Together.change(
    {"wanted": _kept.c.name.type}, lambda row: sa.delete(_kept).where(_kept.c.name == row["wanted"])
)

_moments = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 see timezones
# What an array is written with, and what looks like nothing.
_texts = st.one_of(st.text(), st.sampled_from(["", "NULL", "{}", '"', "\\", '\\"', "a,b", " ", "\n", "{a,NULL}"]))
_rows = st.lists(
    st.fixed_dictionaries(
        {
            "name": _texts,
            "text": st.none() | _texts,
            "number": st.none() | st.integers(-(2**63), 2**63 - 1),
            "share": st.none() | st.floats(allow_nan=False),
            "flag": st.none() | st.booleans(),
            "document": st.none() | st.dictionaries(_texts, st.lists(_texts | st.integers(0, 9))),
            "moment": st.none() | _moments,
        }
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda row: storable(str(row["name"])),
)


@pytest.fixture
def engine(database: str) -> Any:
    found = Engine(database)
    found.write(_kept.create)
    yield found
    found.close()


def _row(name: str, **fields: Any) -> dict[str, Any]:
    return dict.fromkeys(_NAMES) | {"name": name} | fields


def test_rows_come_out_as_they_went_in(engine: Engine) -> None:
    @settings(max_examples=60, deadline=None)
    @given(rows=_rows)
    def check(rows: list[dict[str, Any]]) -> None:
        def work(connection: sa.Connection) -> list[dict[str, Any]]:
            connection.execute(sa.delete(_kept))
            _INSERT.run(connection, rows)
            found = connection.execute(sa.select(_kept).order_by(_kept.c.id)).mappings()
            return [{name: row[name] for name in _NAMES} for row in found]

        for row, kept in zip(rows, engine.write(work), strict=True):
            texts = {name: None if row[name] is None else storable(row[name]) for name in ("name", "text")}
            document = None if row["document"] is None else json.decode(to_json(row["document"], "A document"))
            assert kept == row | texts | {"document": document}

    check()


def test_only_what_was_written_is_told(engine: Engine) -> None:
    def work(connection: sa.Connection) -> list[set[str]]:
        rows = [_row(name, number=number) for number, name in enumerate("abc")]
        told = [_INSERT.fetch(connection, rows), _INSERT.fetch(connection, [*rows, _row("d"), _row("d")])]
        wanted = [{"wanted": name, "other": f"new {name}", "at_least": 1} for name in "abcd"]
        told += [
            _UPDATE.fetch(connection, wanted),
            _UPDATE.fetch(connection, []),
            _UPDATE.fetch(connection, wanted[1:2]),
        ]
        _DELETE.run(connection, [{"wanted": "a"}, {"wanted": "c"}])
        found = [{row["name"] for row in one} for one in told]
        texts = {f"{name} {text}" for name, text in connection.execute(sa.select(_kept.c.name, _kept.c.text))}
        return [*found, texts]

    inserted, again, updated, none, one, left = engine.write(work)
    assert (inserted, again) == ({"a", "b", "c"}, {"d"})
    assert (updated, none, one) == ({"b", "c"}, set(), {"b"})
    assert left == {"b new b", "d None"}


def test_many_rows_are_one_statement_where_each_is_a_round_trip(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    for name in ("run", "run_many", "fetch", "fetch_many"):
        real = getattr(prepared.Prepared, name)

        def note(self: Any, connection: Any, rows: Any, real: Any = real, name: str = name) -> Any:
            ran.append(name)
            return real(self, connection, rows)

        monkeypatch.setattr(prepared.Prepared, name, note)
    engine.write(lambda connection: _INSERT.run(connection, [_row(str(number)) for number in range(500)]))
    assert ran == (["run_many"] if engine.dialect == "sqlite" else ["run"])
