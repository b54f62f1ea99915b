from pathlib import Path

import pytest
from tests.analyzers.code.gitrepo import GitRepo


@pytest.fixture
def repo(tmp_path: Path) -> GitRepo:
    return GitRepo(tmp_path / "project")


@pytest.fixture(autouse=True)
def _no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOLDFAST_LLM_URL", "HOLDFAST_LLM_MODEL", "HOLDFAST_LLM_API_KEY"):
        monkeypatch.delenv(name, raising=False)
