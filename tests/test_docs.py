"""What is not documented fails here.

``python -m tests.test_docs`` writes the generated parts of docs/reference anew.
"""

import ast
import dataclasses
import enum
import inspect
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast import AsyncHoldfast, Holdfast, TrackedRun
from holdfast.api.app import create_app
from holdfast.api.errors import STATUSES
from holdfast.domain import errors
from holdfast.domain.events import EVENTS
from holdfast.functions import AnalysedCoroutine, AnalysedFunction, Decorator
from holdfast.settings import Settings

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SOURCE = ROOT / "src" / "holdfast"
_GENERATED = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def read(page: str) -> str:
    return (DOCS / "reference" / page).read_text()


def trees() -> Iterator[ast.Module]:
    for file in sorted(SOURCE.rglob("*.py")):
        yield ast.parse(file.read_bytes())


def constant(node: ast.AST) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def error_rows() -> list[str]:
    """A row for each class of the tree, in the source's order; read, not imported: extras may be missing."""
    rows = ["| code | raised as | meaning | what to do |", "|---|---|---|---|"]
    found: dict[str, str] = {}
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                code = next((value for name, value in _assigned(node) if name == "code" and constant(value)), None)
                if code is not None:
                    tips = next((value for name, value in _assigned(node) if name == "suggestions"), ast.Tuple(elts=[]))
                    told = "; ".join(ast.literal_eval(tips))
                    meaning = (ast.get_docstring(node) or "").splitlines()[0]
                    found[str(constant(code))] = f"| `{constant(code)}` | `{node.name}` | {meaning} | {told} |"
    # Codes that are only ever kept with an analysis or a job, never raised.
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                for keyword in node.keywords:
                    code_kept = constant(keyword.value) if keyword.arg == "code" else None
                    if code_kept is not None and re.fullmatch(r"[A-Z_]+", code_kept) and code_kept not in found:
                        meaning = _KEPT_ONLY[code_kept]
                        found[code_kept] = f"| `{code_kept}` | only kept | {meaning} | |"
    return rows + [row for _, row in sorted(found.items())]


_KEPT_ONLY = {
    "TASK_FAILED": "A task, or a call of a language model, that was kept had failed where it was done.",
    "UNEXPECTED_ERROR": "A job's handler raised an error that is not of this tree.",
    "WORKER_DRAINED": "The worker was stopped, and somebody else does the job.",
    "WORKER_LOST": "The worker was not heard of in time, and somebody else does the job.",
}


def _assigned(node: ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    for statement in node.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            yield statement.targets[0].id, statement.value
        elif (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and statement.value is not None
        ):
            yield statement.target.id, statement.value


def event_rows() -> list[str]:
    return [
        "| event | what happened |",
        "|---|---|",
        *(f"| `{name}` | {meaning} |" for name, meaning in EVENTS.items()),
    ]


def value_sections() -> list[str]:
    """The public values with their fields, as their docstrings describe them."""
    lines: list[str] = []
    for name in sorted(holdfast.__all__):
        value = getattr(holdfast, name)
        if not inspect.isclass(value) or not (dataclasses.is_dataclass(value) or issubclass(value, enum.Enum)):
            continue
        doc = inspect.getdoc(value) or ""
        lines += [f"### `holdfast.{name}`", "", doc.splitlines()[0], ""]
        if issubclass(value, enum.Enum):
            lines += [", ".join(f"`{name}.{member.name}`" for member in value), ""]
            continue
        described = attributes(doc)
        lines += ["| field | default | |", "|---|---|---|"]
        for field in dataclasses.fields(value):
            default = "" if field.default is dataclasses.MISSING else f"`{field.default!r}`"
            if field.default_factory is not dataclasses.MISSING:
                default = f"`{field.default_factory()!r}`"
            # Shorter than they show themselves.
            default = "`Context()`" if default.startswith("`Context(") else default
            default = f"`{field.default}`" if isinstance(field.default, enum.Enum) else default
            lines.append(f"| `{field.name}` | {default} | {described[field.name]} |")
        lines.append("")
    return lines[:-1]


def attributes(doc: str) -> dict[str, str]:
    part = re.search(r"Attributes:\n((?: {4}.*\n?|\n)+)", doc)
    assert part is not None, doc
    text = re.sub(r"\n {8,}", " ", part[1])
    return dict(re.findall(r"^ {4}(\w+): (.*)$", text, flags=re.MULTILINE))


def route_rows() -> list[str]:
    """Every route by its tag, from the service's own document."""
    with tempfile.TemporaryDirectory() as folder, holdfast.open(f"sqlite:///{folder}/holdfast.db") as hf:
        document = create_app(hf).openapi()
    lines: list[str] = []
    for tag in document["tags"]:
        rows = [
            f"| `{method.upper()} {path}` | {_first_line(operation)} | {' '.join(sorted(operation['responses']))} |"
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
            if operation["tags"][0] == tag["name"]
        ]
        if rows:
            head = [f"## {tag['name'].capitalize()}", "", tag["description"], ""]
            lines += [*head, "| route | what it does | answers |", "|---|---|---|", *rows, ""]
    return lines[:-1]


def _first_line(operation: dict[str, Any]) -> str:
    line: str = operation["description"].split("\n")[0]
    return line.replace("|", "\\|")


def status_rows() -> list[str]:
    """Which error has which status; the first class that fits decides."""
    rows = [f"| {status} | `{kind.code}` | `{kind.__name__}` |" for kind, status in STATUSES]
    return ["| status | code | raised as, and what is below it |", "|---|---|---|", *rows]


GENERATED: dict[str, tuple[str, Callable[[], list[str]]]] = {
    "errors": ("errors.md", error_rows),
    "events": ("events.md", event_rows),
    "routes": ("http.md", route_rows),
    "statuses": ("http.md", status_rows),
    "values": ("library.md", value_sections),
}


def rewritten(name: str) -> tuple[Path, str]:
    page, lines = GENERATED[name]
    path = DOCS / "reference" / page
    content = re.sub(r"``(.+?)``", r"`\1`", "\n".join(lines()))
    return path, _GENERATED.sub(
        lambda match: f"{match[1]}\n{content}\n\n{match[3]}" if match[2] == name else match[0], path.read_text()
    )


@pytest.mark.parametrize("name", GENERATED)
def test_generated_parts_are_up_to_date(name: str) -> None:
    path, text = rewritten(name)
    assert f"<!-- generated: {name} -->" in text
    assert path.read_text() == text, "python -m tests.test_docs writes it anew"


def test_every_error_of_the_tree_is_described() -> None:
    def below(error: type[errors.HoldfastError]) -> Iterator[type[errors.HoldfastError]]:
        yield error
        for child in error.__subclasses__():
            yield from below(child)

    text = read("errors.md")
    # Those that tests define are not ours.
    ours = [error for error in below(errors.HoldfastError) if error.__module__.startswith("holdfast.")]
    assert [error.code for error in ours if f"`{error.code}`" not in text] == []


def test_every_setting_is_described() -> None:
    text = read("settings.md")
    rows = {
        match[1]: (match[2], match[3])
        for match in re.finditer(r"^\| `HOLDFAST_(\w+)` \| ([^|]*) \| ([^|]*) \| \S", text, flags=re.MULTILINE)
    }
    for name, field in Settings.model_fields.items():
        in_code, default = rows.pop(name.upper())
        assert f"`{name}`" in in_code
        if field.default_factory is None and field.default is not None:
            assert default == f"`{field.default}`", name
    assert rows == {}


def test_every_variable_that_is_read_is_described() -> None:
    known = {f"HOLDFAST_{name.upper()}" for name in Settings.model_fields}
    named = {
        text
        for tree in trees()
        for node in ast.walk(tree)
        if (text := constant(node)) is not None and re.fullmatch(r"HOLDFAST_[A-Z][A-Z_]+", text)
    } - {errors.HoldfastError.code}
    text = read("settings.md")
    assert {name for name in named | known if f"`{name}`" not in text} == set()


def test_every_event_that_is_written_is_known() -> None:
    nouns = re.compile(r"(analysis|branch|conflict|job|repository|token)\.[a-z_]+")
    written = {
        text
        for tree in trees()
        for node in ast.walk(tree)
        if (text := constant(node)) is not None and nouns.fullmatch(text)
    }
    assert written - EVENTS.keys() - {"analysis.run", "analysis.track"} == set()


def test_every_public_name_is_described() -> None:
    text = read("library.md")
    assert {name for name in holdfast.__all__ if not re.search(rf"`@?holdfast\.{name}\b", text)} == set()


@pytest.mark.parametrize("owner", [Holdfast, AsyncHoldfast, TrackedRun, AnalysedFunction, AnalysedCoroutine, Decorator])
def test_every_public_member_is_described(owner: type) -> None:
    text = read("library.md")
    ours = [base for base in owner.__mro__ if base.__module__.startswith("holdfast")]
    members = {name for base in ours for name in vars(base) if not name.startswith("_")}
    members |= set(attributes(inspect.getdoc(owner) or "")) if "Attributes:" in (owner.__doc__ or "") else set()
    assert {name for name in members if not re.search(rf"`(?:await )?(?:\w+\.)?{name}\b", text)} == set()


def pages() -> list[Path]:
    return sorted([*DOCS.rglob("*.md"), ROOT / "README.md"])


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)|src(?:set)?=\"([^\":]+)\"", page.read_text())
    targets = {first or second for first, second in links}
    assert {target for target in targets if not (page.parent / target).exists()} == set()


def python_blocks(page: Path) -> str:
    return "\n".join(re.findall(r"^```python\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE))


def scripts() -> list[Path]:
    """Pages whose blocks make one script; a reference shows fragments, of any surroundings."""
    return [page for page in pages() if python_blocks(page) and page.parent.name != "reference"]


@pytest.mark.parametrize("page", scripts(), ids=lambda page: page.name)
def test_examples_run(page: Path, tmp_path: Path) -> None:
    script = tmp_path / "example.py"
    script.write_text(python_blocks(page))
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=tmp_path,
        env={**os.environ, "HOLDFAST_DATABASE_URL": "sqlite:///default.db", "HOLDFAST_PROCESSORS": "fulltext"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_the_plug_in_page_shows_the_example() -> None:
    page = (DOCS / "how-to" / "write-an-analyzer.md").read_text()
    example = (ROOT / "examples" / "word-count" / "pyproject.toml").read_text()
    toml: Any = re.search(r"^```toml\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
    assert {line for line in toml[1].splitlines() if line not in example.splitlines()} == set()


if __name__ == "__main__":
    for part in GENERATED:
        written_to, new = rewritten(part)
        written_to.write_text(new)
