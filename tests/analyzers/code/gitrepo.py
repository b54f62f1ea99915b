"""Makes real repositories with the git command."""

import itertools
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from holdfast.analyzers.code import CodeAnalyzer
from holdfast.domain.ports import Outcome
from holdfast.testing import LocalRunContext

_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "LC_ALL": "C",
}


_numbers = itertools.count()


class GitRepo:
    """A repository with a work tree; commits are a day apart."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._day = 0
        path.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str | bytes, stdin: bytes = b"", author: str = "Ada") -> str:
        when = f"{1_700_000_000 + 86_400 * self._day} +0000"
        environment = {
            **os.environ,
            **_ENVIRONMENT,
            "GIT_AUTHOR_NAME": author,
            "GIT_AUTHOR_DATE": when,
            "GIT_COMMITTER_DATE": when,
        }
        done = subprocess.run(
            ["git", "-C", str(self.path), *arguments],  # the git that is installed
            input=stdin,
            capture_output=True,
            env=environment,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout.decode(errors="surrogateescape").strip()

    def write(self, files: Mapping[str, str | bytes]) -> None:
        for name, content in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def commit(self, files: Mapping[str, str | bytes], message: str = "change", author: str = "Ada") -> str:
        """Write files, commit everything, and give the commit's id."""
        self.write(files)
        self.git("add", "-A")
        self._day += 1
        self.git("commit", "-q", "--allow-empty", "-m", message, author=author)
        return self.git("rev-parse", "HEAD")

    def commit_tree(self, listing: bytes) -> str:
        """Commit a tree made from ``git ls-tree`` lines ended by zero bytes; for what no work tree can hold."""
        tree = self.git("mktree", "-z", "--missing", stdin=listing)
        commit = self.git("commit-tree", tree, "-m", "tree")
        self.git("update-ref", "refs/heads/main", commit)
        return commit

    def rewrite_head(self, old: bytes, new: bytes) -> None:
        """Replace bytes of the newest commit, beyond what git itself would write."""
        raw = self.git("cat-file", "commit", "HEAD").encode() + b"\n"
        assert old in raw
        written = self.git("hash-object", "-t", "commit", "-w", "--literally", "--stdin", stdin=raw.replace(old, new))
        self.git("update-ref", "refs/heads/main", written)

    def blob(self, content: bytes) -> str:
        return self.git("hash-object", "-w", "--stdin", stdin=content)

    def object_path(self, name: str) -> Path:
        return self.path / ".git" / "objects" / name[:2] / name[2:]


def analyse(
    target: Path | str, params: Mapping[str, Any] | None = None, checkpoints: dict[str, Any] | None = None
) -> tuple[Outcome, LocalRunContext]:
    """Resolve and run, as an analysis of its own: of ``checkpoints`` only what is remembered counts."""
    analyzer = CodeAnalyzer()
    request = analyzer.resolve(str(target), params or {})
    context = LocalRunContext(request, checkpoints, analysis_id=f"analysis-{next(_numbers)}")
    return analyzer.run(context), context


def reasons(outcome: Outcome) -> dict[str, int]:
    """How many things were skipped for each reason."""
    counted: dict[str, int] = outcome.result["limits"]["skipped_by_reason"]
    return counted


def by_path(outcome: Outcome) -> dict[str, dict[str, Any]]:
    """The files of a result."""
    return {row["path"]: row for row in outcome.result["files"]}
