import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements" / "dev.txt"

# Whoever redistributes Holdfast under Apache-2.0 meets the conditions of these by passing on notices.
PERMISSIVE = {
    "0BSD",
    "Apache-2.0",
    "BSD",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",  # by file, and we change none of its files
    "PSF-2.0",
    "Python-2.0",
    "Unlicense",
    "Zlib",
}
# Licences that are fine for the reason given and for that package only.
EXCEPTIONS = {
    "psycopg": "LGPL-3.0: imported, not copied; users can replace it",
    "psycopg-binary": "LGPL-3.0: as psycopg; its libpq and OpenSSL are permissive",
    "pygit2": "GPL-2.0 with a linking exception: unlimited permission to link it into other programs",
}
# What classifiers and free texts say, for packages without a licence expression.
SPDX = {
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd": "BSD",
    "3-clause bsd license": "BSD-3-Clause",
    "bsd license": "BSD",
    "isc license (iscl)": "ISC",
    "mit": "MIT",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
}


def runtime_distributions(name: str, *extras: str) -> dict[str, metadata.Distribution]:
    found: dict[str, metadata.Distribution] = {}
    seen: set[tuple[str, str]] = set()
    todo = [(name, extra) for extra in ("", *extras)]
    while todo:
        name, extra = todo.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        distribution = found.setdefault(name, metadata.distribution(name))
        for text in distribution.requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                dependency = canonicalize_name(requirement.name)
                todo += [(dependency, wanted) for wanted in ("", *requirement.extras)]
    return found


def licences(package: metadata.PackageMetadata) -> set[str]:
    """Every licence that must be acceptable; of alternatives (OR) one that is."""
    if "License-Expression" in package:
        terms = (part.strip(" ()") for part in re.split(r"\bAND\b", package["License-Expression"]))
        alternatives = ([option.strip(" ()") for option in term.split(" OR ")] for term in terms)
        return {next((o for o in options if o in PERMISSIVE), options[0]) for options in alternatives}
    classifiers = package.get_all("Classifier") or []
    named = [c.rpartition(" :: ")[2] for c in classifiers if c.startswith("License :: OSI Approved ::")]
    named = named or package.get_all("License") or ["no licence named"]
    # Some give the whole text, which its first line names.
    single = {part.strip() for text in named for part in re.split(r"\bAND\b", text.splitlines()[0])}
    return {SPDX.get(term.lower(), term) for term in single}


def committed_files() -> Iterator[Path]:
    if (ROOT / ".git").exists():
        listed = subprocess.run(
            ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "-co", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
        files = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        # An unpacked source distribution: only what is ours, not what tools left there.
        files = [p for folder in ("src", "tests", "docs", "bench") for p in (ROOT / folder).rglob("*")]
        files += ROOT.glob("*.*")
    yield from (file for file in files if file.is_file() and "__pycache__" not in file.parts)


def test_runtime_dependencies_may_be_distributed_with_us() -> None:
    extras = metadata.metadata("holdfast").get_all("Provides-Extra") or []
    distributions = runtime_distributions("holdfast", *extras)
    refused = {
        name: found
        for name, distribution in distributions.items()
        if name not in EXCEPTIONS and not (found := licences(distribution.metadata)) <= PERMISSIVE
    }
    assert not refused
    assert {"sqlalchemy", "psycopg-binary", "pydantic-core"} <= set(distributions), "the walk lost its way"


def test_licence_exceptions_are_still_used() -> None:
    extras = metadata.metadata("holdfast").get_all("Provides-Extra") or []
    assert set(EXCEPTIONS) <= set(runtime_distributions("holdfast", *extras))


def test_no_file_names_a_developers_machine() -> None:
    personal = re.compile(rb"/(?:home|Users)/[\w.-]+|/(?:root)/|[A-Z]:\\\\?Users\\")
    # Short folders (/app, /src) name nobody, and would be found in every other line.
    here = [os.fsencode(p) for p in (ROOT, Path.home()) if len(p.parts) > 2]
    offences = [
        f"{file.relative_to(ROOT)}:{number}"
        for file in committed_files()
        for number, line in enumerate(file.read_bytes().split(b"\n"), 1)
        if personal.search(line) or any(path in line for path in here)
    ]
    assert not offences


def test_domain_imports_the_standard_library_only() -> None:
    imported = {
        (file.name, name)
        for file in (ROOT / "src" / "holdfast" / "domain").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_bytes()))
        for name in _imports(node)
    }
    assert imported
    assert {
        (file, name)
        for file, name in imported
        if name.partition(".")[0] not in sys.stdlib_module_names and not name.startswith("holdfast.domain")
    } == set()


def _imports(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module or ''}.{alias.name}" for alias in node.names]
    return []


def test_readme_links_lead_somewhere() -> None:
    linked = re.findall(r"\]\(([^)\s]+)", (ROOT / "README.md").read_text())
    # Links to other sites are not followed: tests need no network.
    local = [target.partition("#")[0] for target in linked if ":" not in target]
    assert [target for target in local if not (ROOT / target).exists()] == []


def test_lock_names_no_host_and_pins_by_hash() -> None:
    text = LOCK.read_text()
    assert "://" not in text
    pins = [line for line in text.splitlines() if line and line[0] not in "# "]
    assert pins
    assert [pin for pin in pins if "==" not in pin or not pin.endswith("\\")] == []


def test_lock_satisfies_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [
        *project["project"]["dependencies"],
        *(line for extra in project["project"]["optional-dependencies"].values() for line in extra),
        *project["dependency-groups"]["dev"],
        *project["build-system"]["requires"],
    ]
    locked = dict(re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)", LOCK.read_text(), flags=re.MULTILINE))
    for requirement in map(Requirement, wanted):
        version = locked.get(canonicalize_name(requirement.name))
        assert version is not None, f"make lock: {requirement.name} is missing"
        assert requirement.specifier.contains(version), f"make lock: {requirement} is locked at {version}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_wheel_carries_its_licence(wheel: zipfile.ZipFile) -> None:
    info = next(name.partition("/")[0] for name in wheel.namelist() if ".dist-info/" in name)
    assert wheel.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert wheel.read(f"{info}/licenses/NOTICE") == (ROOT / "NOTICE").read_bytes()
    assert b"License-Expression: Apache-2.0\n" in wheel.read(f"{info}/METADATA")


def test_wheel_holds_the_package_only(wheel: zipfile.ZipFile) -> None:
    assert {name.partition("/")[0].partition("-")[0] for name in wheel.namelist()} == {"holdfast"}
