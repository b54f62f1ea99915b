"""Decorated functions in scripts: the default store, forks, pickling, and what an import costs."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import holdfast


@holdfast.analysis(version="1")
def importable(x: int) -> int:
    return x + 1


def test_a_decorated_function_pickles_by_name() -> None:
    assert pickle.loads(pickle.dumps(importable)) is importable


_SCRIPT = """
import os, sys, threading
import holdfast

@holdfast.analysis
def report(day: str) -> dict[str, str]:
    print("computing", day, flush=True)
    return {"day": day}

assert "sqlalchemy" not in sys.modules, "decorating must be cheap"
print(report("monday"), report("monday"), flush=True)
child = os.fork() if "fork" in sys.argv else 0
if "fork" in sys.argv:
    if child == 0:
        print(report("monday"), report(f"in a fork"), flush=True)
        sys.exit()
    assert os.waitpid(child, 0)[1] == 0
    print(report("in a fork"), flush=True)
print(report.history()[0].subject.key)
"""


@pytest.mark.parametrize("arguments", [[], ["fork"]], ids=["plain", "fork"])
def test_a_script_with_the_default_store(database: str, tmp_path: Path, arguments: list[str]) -> None:
    script = tmp_path / "nightly.py"
    script.write_text(_SCRIPT)
    outputs = [
        subprocess.run(
            [sys.executable, "-W", "error", str(script), *arguments],
            env={**os.environ, "HOLDFAST_DATABASE_URL": database},
            check=True,
            capture_output=True,
            text=True,
        )
        for _ in range(2)
    ]
    kept = "{'day': 'monday'} {'day': 'monday'}\n"
    forked = "{'day': 'monday'} {'day': 'in a fork'}\n{'day': 'in a fork'}\n" if arguments else ""
    computing = "computing in a fork\n" if arguments else ""
    assert outputs[0].stdout == f"computing monday\n{kept}{computing}{forked}nightly.report\n"
    assert outputs[1].stdout == f"{kept}{forked}nightly.report\n"
    assert [output.stderr for output in outputs] == ["", ""]


def test_importing_the_door_is_cheap() -> None:
    code = "import sys, holdfast; print([name for name in ('sqlalchemy', 'msgspec', 'asyncio') if name in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert output.stdout == "[]\n"
