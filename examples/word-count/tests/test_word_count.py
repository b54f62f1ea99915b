"""The analyzer in the test's own process: no database, no worker."""

from pathlib import Path
from typing import Any

import pytest
from holdfast_word_count import WordCount

from holdfast import errors
from holdfast.testing import LocalRunContext


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("To be, or not to be.")
    (tmp_path / "b.txt").write_text("")
    (tmp_path / "c.md").write_text("ignored")
    return tmp_path


def test_words_are_counted(folder: Path) -> None:
    context = LocalRunContext(WordCount().resolve(str(folder), {"top": 2}))
    outcome = WordCount().run(context)
    assert outcome.result == {
        "words": 6,
        "most_frequent": [{"word": "be", "count": 2}, {"word": "to", "count": 2}],
        "files": {"a.txt": 6, "b.txt": 0},
    }
    assert [finding.title for finding in outcome.findings] == ["b.txt is empty"]
    assert context.items == 2


def test_a_changed_folder_is_another_input(folder: Path) -> None:
    before = WordCount().resolve(str(folder), {})
    assert WordCount().resolve(str(folder), {}) == before
    (folder / "d.txt").write_text("more")
    assert WordCount().resolve(str(folder), {}).subject.revision != before.subject.revision


def test_a_resumed_run_counts_what_is_missing(folder: Path) -> None:
    request, kept = WordCount().resolve(str(folder), {}), {}
    first = LocalRunContext(request, kept)
    first.cancel_after(1)
    with pytest.raises(errors.AnalysisCancelled):
        WordCount().run(first)
    second = LocalRunContext(request, kept)
    WordCount().run(second)
    assert (second.reused, second.computed) == (1, 1)


@pytest.mark.parametrize("params", [{"tpo": 3}, {"top": 0}, {"pattern": ""}])
def test_wrong_parameters_are_told(folder: Path, params: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidParams):
        WordCount().resolve(str(folder), params)


def test_nothing_to_count_is_told(folder: Path) -> None:
    with pytest.raises(errors.TargetNotFound, match="no folder"):
        WordCount().resolve(str(folder / "nowhere"), {})
    with pytest.raises(errors.TargetNotFound, match=r"no file \*\.rst"):
        WordCount().resolve(str(folder), {"pattern": "*.rst"})
    (folder / "z.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(errors.CorruptTarget):
        WordCount().run(LocalRunContext(WordCount().resolve(str(folder), {})))
