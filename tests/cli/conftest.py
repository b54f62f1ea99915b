"""The command line in this process and as a process of its own, with two analyzers that a package brings."""

import fcntl
import json
import logging
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.analyzers.code.gitrepo import GitRepo

from holdfast.cli.app import run

COMMAND = [str(Path(sys.executable).with_name("holdfast"))]


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Cli = Callable[..., Done]


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    logger = logging.getLogger("holdfast")
    before = logger.handlers, logger.level, logger.propagate
    yield
    logger.handlers, logger.propagate = before[0], before[2]
    logger.setLevel(before[1])


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with an installed package that brings the kinds ``sample`` and ``slow``."""
    folder = tmp_path / "plugins"
    about = folder / "holdfast_cli_samples-1.dist-info"
    about.mkdir(parents=True)
    shutil.copyfile(Path(__file__).with_name("samples.py"), folder / "holdfast_cli_samples.py")
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: holdfast-cli-samples\nVersion: 1\n")
    points = "sample = holdfast_cli_samples:Sample\nslow = holdfast_cli_samples:Slow\n"
    (about / "entry_points.txt").write_text(f"[holdfast.analyzers]\n{points}")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.syspath_prepend(folder)
    yield folder
    sys.modules.pop("holdfast_cli_samples", None)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, database: str, plugins: Path) -> str:
    """The database's URL, where the command line finds it by itself."""
    for name in [name for name in os.environ if name.startswith("HOLDFAST_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("HOLDFAST_DATABASE_URL", database)
    # Whoever tests indexes enables them: their jobs count among all others.
    monkeypatch.setenv("HOLDFAST_PROCESSORS", "")
    return database


@pytest.fixture
def cli(environment: str, capfd: pytest.CaptureFixture[str]) -> Cli:
    """Run a command line in this process."""

    def call(*arguments: str) -> Done:
        capfd.readouterr()
        code = run(arguments)
        sys.stdout.flush()
        out, err = capfd.readouterr()
        return Done(code, out, err)

    return call


@pytest.fixture
def process(environment: str) -> Cli:
    """Run a command line as a process."""

    def call(*arguments: str, **env: str) -> Done:
        done = subprocess.run([*COMMAND, *arguments], capture_output=True, env=os.environ | env, check=False)
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    return call


@pytest.fixture
def terminal(environment: str) -> Callable[..., Done]:
    """Run a command line as a process on a terminal of so many columns; what it shows comes as ``out``."""

    def call(*arguments: str, columns: int = 80, **env: str) -> Done:
        main, secondary = pty.openpty()
        fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        # Not dumb, as a test runner's may be: that would be no terminal to draw on.
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=secondary,
            stdout=secondary,
            stderr=secondary,
            env=os.environ | {"TERM": "xterm-256color"} | env,
        )
        os.close(secondary)
        shown = b""
        try:
            while chunk := os.read(main, 65536):
                shown += chunk
        except OSError:
            # How Linux says that the other end is closed.
            pass
        finally:
            os.close(main)
        return Done(process.wait(timeout=60), shown.decode(errors="replace").replace("\r\n", "\n"), "")

    return call


@pytest.fixture
def repository(tmp_path: Path) -> GitRepo:
    """A small git repository."""
    made = GitRepo(tmp_path / "app")
    made.commit({"app.py": "def f(a):\n    if a:\n        return 1\n    return 2\n", "README.md": "# app\n"})
    made.commit({"app.py": "def f(a):\n    return 1 if a else 2\n"}, author="Grace")
    return made
