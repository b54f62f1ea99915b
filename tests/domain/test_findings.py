from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.errors import InvalidInput
from holdfast.domain.findings import Finding, Severity

words = st.text(max_size=10)


def finding(rule: str, path: str | None, title: str, line: int = 1) -> Finding:
    return Finding(rule=rule, severity=Severity.LOW, title=title, path=path, line=line)


@given(words, st.none() | words, words, st.integers(1, 9))
def test_identity_survives_a_move_within_the_file(rule: str, path: str | None, title: str, line: int) -> None:
    assert finding(rule, path, title).identity == finding(rule, path, title, line).identity


def test_identity_tells_findings_apart() -> None:
    found = {
        finding("r", "p", "t").identity,
        finding("r2", "p", "t").identity,
        finding("r", "p2", "t").identity,
        finding("r", "p", "t2").identity,
        finding("r", "caf\udce9", "t").identity,
    }
    assert len(found) == 5


def test_given_identity_is_kept() -> None:
    assert Finding(rule="r", severity=Severity.LOW, title="t", identity="mine").identity == "mine"


@pytest.mark.parametrize(
    "wrong", [{"score": float("nan")}, {"score": -float("inf")}, {"line": 2**31}, {"end_line": -1}]
)
def test_figures_that_cannot_be_kept_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        Finding(rule="r", severity=Severity.LOW, title="t", **wrong)
