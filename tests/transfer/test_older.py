"""Bundles that older schemas have written, and such as are newer than the program."""

import io
import json
from pathlib import Path

import pytest
import sqlalchemy as sa
import zstandard
from alembic import command
from alembic.config import Config

from holdfast.services.transfer.bundles import BundleNewer
from holdfast.store import schema, tables
from holdfast.store.policies import POLICIES, Taken, columns
from holdfast.testing import FakeClock
from tests.services.samples import opened
from tests.transfer.stores import exported, open_store

# Written by the program as it was then, by ``fill`` of ``stores`` and, where there were any, with a repository.
OLDER = sorted((Path(__file__).parent / "older").glob("*.zst"))


def plain(file: Path) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(file.read_bytes())


@pytest.mark.parametrize("file", OLDER, ids=lambda file: file.name)
def test_a_bundle_of_an_older_schema_comes_in(file: Path, database: str) -> None:
    header = json.loads(plain(file).split(b"\n", 1)[0])
    assert header["schema"] == file.name.partition(".")[0] != schema.HEAD
    with opened(database, FakeClock(), processors=("fulltext",)) as hf:
        done = hf.transfer.import_analyses(io.BytesIO(file.read_bytes()))
        assert done.added["analyses"] == 8
        assert hf.get_result("same-a") == hf.get_result("same-b")
        assert hf.get_findings("first")[0].items[11].data == {"n": 11}
        assert hf.integrity.check().found == ()
        # It named analyses by numbers of that store.
        assert {job.payload["n"] for job in hf.jobs.listing() if job.kind == "any"} == {1, 2}
        hf.process_pending_analyses("fulltext", 1000)
        found = {hit.analysis.analysis_id for hit in hf.search.search("tag:zeta").items}
        assert found == {"first"}
        assert not hf.transfer.import_analyses(io.BytesIO(file.read_bytes())).added.get("analyses")


@pytest.mark.parametrize("file", OLDER, ids=lambda file: file.name)
def test_a_store_of_an_older_schema_is_restored(file: Path, database: str) -> None:
    with open_store(database) as hf:
        hf.transfer.restore(io.BytesIO(plain(file)))
        # And what it holds by now is what its next backup holds.
        hf.transfer.restore(io.BytesIO(exported(hf)), force=True)
        assert hf.get_result("same-a") == hf.get_result("same-b")


def test_a_bundle_of_a_newer_schema_is_refused(database: str) -> None:
    with open_store(database) as hf:
        hf.store_analysis("note", 1, analysis_id="a")
        head, rest = exported(hf).split(b"\n", 1)
        newer = json.dumps(json.loads(head) | {"schema": "9999"}, separators=(",", ":")).encode() + b"\n" + rest
        for bring in (hf.transfer.import_analyses, hf.transfer.restore):
            with pytest.raises(BundleNewer, match="schema 9999") as caught:
                bring(io.BytesIO(newer))
            assert caught.value.details["known"] == schema.HEAD
        assert hf.get_result("a") == 1


@pytest.mark.parametrize("revision", schema.REVISIONS[:-1])
def test_rows_of_every_older_schema_fit(revision: str, tmp_path: Path) -> None:
    # A revision that changes what is carried has to say here, and to an import, what becomes of older rows.
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'old.db'}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    inspector = sa.inspect(engine)
    for name in inspector.get_table_names():
        if name == "alembic_version" or (name in POLICIES and POLICIES[name].taken is Taken.NEVER):
            continue
        older = {column["name"] for column in inspector.get_columns(name)}
        wanted = tables.metadata.tables[name]
        assert older <= set(wanted.c.keys()), f"{name} has lost columns since {revision}"
        new = [column for column in columns(wanted) if column.name not in older]
        assert all(column.nullable for column in new), f"{name} has new columns since {revision}"
    engine.dispose()
