"""The example package, installed as its users would, run by a real worker."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "word-count"

_USE = """
import json, pathlib, sys
import holdfast

folder = pathlib.Path(sys.argv[2])
with holdfast.open(sys.argv[1], processes=1) as hf:
    kinds = {row.kind: row.where for row in hf.registry.kinds()}
    first = hf.analyze("word-count", str(folder))
    reused = hf.submit("word-count", str(folder)).reused
    (folder / "b.txt").write_bytes(b"\\xff\\xfe")
    failed = hf.analyze("word-count", str(folder))
    (folder / "b.txt").write_text("one two three")
    # Counted already: what it holds by now must not be read again.
    (folder / "a.txt").write_text("")
    hf.resume_analysis(failed.analysis_id)
    with hf.working():
        resumed = hf.wait(failed.analysis_id)
    try:
        hf.submit("word-count", str(folder), params={"tpo": 3})
    except holdfast.HoldfastError as error:
        refused = error.message
    print(json.dumps({
        "where": kinds["word-count"],
        "first": [first.status, first.summary, hf.get_metrics(first.analysis_id)["words"]],
        "reused": reused,
        "failed": [failed.status, failed.error.code],
        "resumed": [resumed.status, hf.get_result(resumed.analysis_id)["files"], resumed.attempt],
        "refused": refused,
    }))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example in it and nothing else."""
    folder = tmp_path_factory.mktemp("plugin")
    # A copy: a build leaves files behind.
    source = shutil.copytree(EXAMPLE, folder / "source")
    command = [
        str(Path(sys.executable).with_name("uv")),
        *("pip", "install", "--quiet", "--offline", "--no-config", "--no-deps", "--no-build-isolation"),
        *("--python", sys.executable, "--target", str(folder / "site"), str(source)),
    ]
    subprocess.run(command, check=True, cwd=folder)
    return folder / "site"


def python(installed: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": str(installed)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_example_runs_in_a_worker(installed: Path, database: str, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.txt").write_text("one two")
    (folder / "b.txt").write_text("three")
    told: dict[str, Any] = json.loads(python(installed, "-c", _USE, database, str(folder)))
    assert told == {
        "where": "holdfast_word_count.analyzer.WordCount (holdfast-word-count)",
        "first": ["completed", "3 words in 2 files.", 3.0],
        "reused": True,
        "failed": ["failed", "CORRUPT_TARGET"],
        "resumed": ["completed", {"a.txt": 2, "b.txt": 3}, 2],
        "refused": "word-count has no parameter 'tpo'; it has: pattern, top",
    }


def test_the_examples_own_tests_pass(installed: Path) -> None:
    options = ["-q", "-n", "0", "--import-mode", "importlib", "-p", "no:cacheprovider", "--rootdir", str(EXAMPLE)]
    tests = str(EXAMPLE / "tests")
    assert " passed" in python(installed, "-m", "pytest", "-c", str(EXAMPLE / "pyproject.toml"), *options, tests)
