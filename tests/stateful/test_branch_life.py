"""A branch under every strategy, against a model that knows all that was said of it."""

import itertools
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from holdfast.bootstrap import Holdfast
from holdfast.domain.conflicts import Resolution
from holdfast.domain.fingerprint import canonical_json
from holdfast.domain.repositories import Branch, BranchInfo
from holdfast.domain.sync import Outcome, Strategy
from tests.services.samples import opened
from tests.store.samples import START

_numbers = itertools.count()
_SHAS = st.sampled_from(["a", "b", "c"])
_FACTS = st.dictionaries(st.sampled_from(["x", "y", "tags"]), st.integers(0, 2) | st.just(["t"]), max_size=3)
_SECONDS = st.integers(0, 9)


@pytest.fixture
def hf(database: str) -> Iterator[Holdfast]:
    with opened(database) as hf:
        hf.repositories.store_repository("r")
        yield hf


class BranchLife(RuleBasedStateMachine):
    hf: Holdfast

    def __init__(self) -> None:
        super().__init__()
        self.name = f"branch-{next(_numbers)}"
        self.open: set[str] = set()
        self.versions: dict[int, Branch] = {}

    @initialize(sha=_SHAS, facts=_FACTS, second=_SECONDS)
    def begin(self, sha: str, facts: dict[str, Any], second: int) -> None:
        done = self.hf.sync.sync_branch_metadata("r", self._said(sha, facts, second))
        assert done.is_new
        self._note()

    def _said(self, sha: str, facts: dict[str, Any], second: int, base: int | None = None) -> BranchInfo:
        at = START + timedelta(seconds=second)
        return BranchInfo(name=self.name, commit_sha=sha, metadata=facts, declared_at=at, base_version=base)

    def _now(self) -> Branch:
        return self.hf.repositories.get_branch("r", self.name)

    def _note(self) -> None:
        kept = self._now()
        self.versions[kept.version] = kept

    @rule(
        sha=_SHAS,
        facts=_FACTS,
        second=_SECONDS,
        strategy=st.sampled_from(Strategy),
        back=st.none() | st.integers(0, 3),
    )
    def said(self, sha: str, facts: dict[str, Any], second: int, strategy: Strategy, back: int | None) -> None:
        before = self._now()
        base = None if back is None else max(1, before.version - back)
        info = self._said(sha, facts, second, base)
        remote = info.said(START, "local")
        done = self.hf.sync.sync_branch_metadata("r", info, strategy=strategy)
        after = self._now()
        assert done.branch == after
        assert after.version == before.version + (done.outcome is Outcome.APPLIED)
        assert after.said().says_the_same(before.said()) is (done.outcome is not Outcome.APPLIED)
        if strategy is Strategy.LATEST_WINS:
            assert after.said().rank == max(before.said().rank, remote.rank)
        if done.outcome is Outcome.CONFLICT:
            assert strategy is Strategy.MANUAL
            assert done.conflict is not None
            self.open.add(done.conflict.conflict_id)
        self._note()

    @precondition(lambda self: self.open)
    @rule(resolution=st.sampled_from([Resolution.LOCAL, Resolution.REMOTE]))
    def resolve(self, resolution: Resolution) -> None:
        conflict_id = min(self.open)
        conflict = self.hf.sync.get_conflict(conflict_id)
        before = self._now()
        self.hf.sync.resolve_conflict(conflict_id, resolution)
        self.open.remove(conflict_id)
        after = self._now()
        if resolution is Resolution.LOCAL:
            assert after == before
        else:
            assert canonical_json(after.said().content) == canonical_json(conflict.remote)
            assert after.declared_at >= before.declared_at
        self._note()

    @invariant()
    def conflicts_are_those_that_arose(self) -> None:
        found = self.hf.sync.get_conflicts().items
        assert {one.conflict_id for one in found if one.branch_name == self.name} == self.open

    @invariant()
    def each_version_is_kept(self) -> None:
        def look(uow: Any) -> Any:
            (stored,) = uow.repositories.page(None, limit=1)
            branch = uow.branches.find(stored, self.name)
            if branch is None:
                return {}
            found = uow.branches.versions({(branch.key, number) for number in self.versions})
            return {number: version for (_, number), version in found.items()}

        kept = self.hf.store.read(look)
        assert kept.keys() == self.versions.keys()
        for number, branch in self.versions.items():
            assert kept[number].says_the_same(branch.said())


def test_branch_lives_as_its_model_says(hf: Holdfast) -> None:
    class Bound(BranchLife):
        pass

    Bound.hf = hf
    run_state_machine_as_test(
        Bound,
        settings=settings(
            max_examples=15, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
