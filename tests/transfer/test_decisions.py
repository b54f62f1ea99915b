"""Searches for duplicates and what was decided about them, carried from store to store."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from holdfast.bootstrap import Holdfast
from holdfast.domain.errors import DecisionNotFound
from holdfast.domain.ports import MANIFEST
from holdfast.domain.triage import Action
from holdfast.store import tables
from holdfast.store.lists import Filter
from holdfast.store.unit_of_work import UnitOfWork
from tests.services.duplicates import ALICE, BOB, group, groups, keep, track
from tests.transfer.stores import exported, open_store, without_header
from tests.transfer.test_bundles import bring, wrong_counters

_TABLES = ("duplicate_decisions", "duplicate_groups", "duplicate_searches", "duplicate_preferences", "manifests")


def decide(hf: Holdfast) -> str:
    """Decisions that took each other's place, on several searches of two owners; returns the newest request."""
    triage = hf.duplicates.triage
    first = keep(hf, groups(600), analysis_id="first")
    keep_manifest(hf, "first")
    # So many that one refers to another far before it, and others to the one just before.
    triage.resolve(first.analysis_id, [f"g{number:06}" for number in range(560)], Action.NOT_DUPLICATE, caller=ALICE)
    for number in range(6):
        action = (Action.DELETED, Action.KEPT_CANONICAL)[number % 2]
        triage.resolve("first", ["g000001", f"g{number:06}"], action, note="naïve \x1f", caller=ALICE)
    undone = triage.resolve("first", ["g000002"], Action.MANUAL_REVIEW, caller=ALICE)
    triage.undo(str(undone.batch_id), caller=ALICE)
    keep(hf, [*groups(3), group("odd \U0001f600", track("x"), track("y"))], analysis_id="second", run=2)
    newest = triage.resolve("second", ["g000001", "odd \U0001f600"], Action.NOT_DUPLICATE, caller=ALICE)
    keep(hf, groups(2), owner="bob", subject=None, analysis_id="bobs")
    triage.resolve("bobs", ["g000001"], Action.DELETED, caller=BOB)
    triage.set_preferences({"staleness_hours": 0.5}, caller=BOB)
    return str(newest.batch_id)


def keep_manifest(hf: Holdfast, analysis_id: str) -> None:
    def work(uow: UnitOfWork) -> None:
        stored = uow.analyses.find(analysis_id)
        assert stored is not None
        uow.runs.save_checkpoints("tried", {MANIFEST: b"\0manifest"}, uow.now)
        uow.search_facts.keep_manifest(stored.key, "tried")

    hf.store.write(work)


def decided(hf: Holdfast, analysis_id: str) -> dict[str, Any]:
    page = hf.duplicates.groups.page(analysis_id, limit=1000)
    return {one.finding.identity: one.decision for one in page.items}


def rows(hf: Holdfast) -> dict[str, int]:
    with hf.engine.read() as connection:
        return {
            name: connection.execute(sa.select(sa.func.count()).select_from(tables.metadata.tables[name])).scalar_one()
            for name in _TABLES
        }


@contextmanager
def third_store(folder: Path) -> Iterator[Holdfast]:
    with open_store(f"sqlite:///{folder / 'third.db'}") as hf:
        yield hf


def test_decisions_go_there_and_back(database: str, other_database: str, tmp_path: Path) -> None:
    with open_store(database) as here, open_store(other_database) as there, third_store(tmp_path) as back:
        batch = decide(here)
        out = exported(here)
        bring(there, out)
        assert without_header(exported(there)) == without_header(out)
        bring(back, exported(there))
        assert without_header(exported(back)) == without_header(out)
        assert rows(back) == rows(there) == rows(here)
        assert min(rows(here).values()) > 0
        for name in ("first", "second", "bobs"):
            assert decided(back, name) == decided(there, name) == decided(here, name)
            assert back.duplicates.groups.counts(name) == here.duplicates.groups.counts(name)
        # What took the place of what is known there too: it can be undone.
        for hf in (here, there, back):
            hf.duplicates.triage.undo(batch, caller=ALICE)
            with pytest.raises(DecisionNotFound):
                hf.duplicates.triage.undo(batch, caller=ALICE)
            assert decided(hf, "first")["g000001"].action is Action.KEPT_CANONICAL
        assert decided(back, "second") == decided(there, "second") == decided(here, "second")
        assert wrong_counters(back) == {}
        assert sum(bring(back, exported(here)).added.values()) == 0


def test_a_selection_takes_the_decisions_about_its_library(database: str, other_database: str) -> None:
    with open_store(database) as here, open_store(other_database) as there:
        batch = decide(here)
        here.delete_analysis("first", purge=True)
        bring(there, exported(here, where=Filter(client_session_id="alice")))
        assert decided(there, "second") == decided(here, "second")
        there.duplicates.triage.undo(batch, caller=ALICE)
        here.duplicates.triage.undo(batch, caller=ALICE)
        assert decided(there, "second") == decided(here, "second")
        with there.engine.read() as connection:
            owners = connection.execute(sa.select(tables.duplicate_decisions.c.client_session_id).distinct()).scalars()
            assert set(owners) == {"alice"}


def test_of_two_decisions_that_would_hold_the_one_that_is_there_does(database: str, other_database: str) -> None:
    with open_store(database) as here, open_store(other_database) as there:
        keep(here, groups(2), analysis_id="here")
        here.duplicates.triage.resolve("here", ["g000000", "g000001"], Action.DELETED, caller=ALICE)
        keep(there, groups(2), analysis_id="there")
        there.duplicates.triage.resolve("there", ["g000000"], Action.NOT_DUPLICATE, caller=ALICE)
        bring(there, exported(here))
        assert decided(there, "there")["g000000"].action is Action.NOT_DUPLICATE
        later = decided(there, keep(there, groups(2), analysis_id="later", run=2).analysis_id)
        assert later["g000000"].action is Action.NOT_DUPLICATE
        # As it was decided on the search that came along.
        assert decided(there, "here")["g000001"].action is Action.DELETED
        assert wrong_counters(there) == {}
