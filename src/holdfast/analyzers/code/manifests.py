"""Reads the files that tell what a project is built with. Pure."""

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from holdfast.analyzers.code.values import Manifest

_FRAMEWORKS = {
    "aiohttp": "aiohttp",
    "angular": "Angular",
    "@angular/core": "Angular",
    "actix-web": "Actix Web",
    "astro": "Astro",
    "axum": "Axum",
    "celery": "Celery",
    "dask": "Dask",
    "django": "Django",
    "djangorestframework": "Django REST framework",
    "electron": "Electron",
    "express": "Express",
    "fastapi": "FastAPI",
    "fastify": "Fastify",
    "flask": "Flask",
    "github.com/gin-gonic/gin": "Gin",
    "github.com/labstack/echo/v4": "Echo",
    "github.com/spf13/cobra": "Cobra",
    "gradio": "Gradio",
    "jest": "Jest",
    "junit": "JUnit",
    "junit-jupiter": "JUnit",
    "laravel/framework": "Laravel",
    "@nestjs/core": "NestJS",
    "next": "Next.js",
    "numpy": "NumPy",
    "nuxt": "Nuxt",
    "pandas": "pandas",
    "@playwright/test": "Playwright",
    "playwright": "Playwright",
    "polars": "Polars",
    "pydantic": "Pydantic",
    "pytest": "pytest",
    "rails": "Ruby on Rails",
    "react": "React",
    "react-native": "React Native",
    "rocket": "Rocket",
    "rspec": "RSpec",
    "scikit-learn": "scikit-learn",
    "scipy": "SciPy",
    "serde": "Serde",
    "sinatra": "Sinatra",
    "spring-boot-starter": "Spring Boot",
    "spring-boot-starter-web": "Spring Boot",
    "sqlalchemy": "SQLAlchemy",
    "starlette": "Starlette",
    "streamlit": "Streamlit",
    "svelte": "Svelte",
    "symfony/framework-bundle": "Symfony",
    "tailwindcss": "Tailwind CSS",
    "tensorflow": "TensorFlow",
    "tokio": "Tokio",
    "torch": "PyTorch",
    "typer": "Typer",
    "typescript": "TypeScript",
    "vite": "Vite",
    "vitest": "Vitest",
    "vue": "Vue",
    "webpack": "webpack",
}
# File name -> kind; the kind is the tool that reads the file.
_NAMES = {
    "package.json": "npm",
    "pyproject.toml": "pyproject",
    "requirements.txt": "pip",
    "pipfile": "Pipenv",
    "setup.py": "setuptools",
    "setup.cfg": "setuptools",
    "cargo.toml": "Cargo",
    "go.mod": "Go modules",
    "pom.xml": "Maven",
    "build.gradle": "Gradle",
    "build.gradle.kts": "Gradle",
    "build.sbt": "sbt",
    "gemfile": "Bundler",
    "composer.json": "Composer",
    "mix.exs": "Mix",
    "pubspec.yaml": "pub",
    "package.swift": "Swift Package Manager",
    "deno.json": "Deno",
    "dockerfile": "Docker",
    "docker-compose.yml": "Docker Compose",
    "docker-compose.yaml": "Docker Compose",
    "compose.yaml": "Docker Compose",
    "compose.yml": "Docker Compose",
    "cmakelists.txt": "CMake",
    "meson.build": "Meson",
    "makefile": "Make",
    "module.bazel": "Bazel",
    "tox.ini": "tox",
    "chart.yaml": "Helm",
    "flake.nix": "Nix",
    ".gitlab-ci.yml": "GitLab CI",
    "jenkinsfile": "Jenkins",
    ".pre-commit-config.yaml": "pre-commit",
}
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_MAX_DEPENDENCIES = 5_000


def manifest_kind(path: str) -> str:
    """The kind of manifest that a path tells, or ""."""
    lower = path.lower()
    name = lower.rsplit("/", 1)[-1]
    if re.fullmatch(r"requirements[-_.a-z0-9]*\.(?:txt|in)", name):
        return "pip"
    if name.endswith((".csproj", ".fsproj")):
        return ".NET"
    if ".github/workflows/" in lower and name.endswith((".yml", ".yaml")):
        return "GitHub Actions"
    return _NAMES.get(name, "")


def read_manifest(kind: str, text: str) -> Manifest | None:
    """Read a manifest.

    Args:
        kind: what ``manifest_kind`` said.
        text: the file.

    Returns:
        The tool, the frameworks among the dependencies by their usual names, and how many dependencies there
        are; None if the file is not what its name says.
    """
    reader = _READERS.get(kind)
    try:
        tool, names = (kind, []) if reader is None else reader(text)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
    found = {name.strip().lower() for name in names[:_MAX_DEPENDENCIES]}
    return Manifest(
        tool=tool,
        frameworks=sorted({_FRAMEWORKS[name] for name in found if name in _FRAMEWORKS}),
        dependencies=len(found),
    )


def _table(value: Any, *path: str) -> Mapping[str, Any]:
    for step in path:
        value = value.get(step, {}) if isinstance(value, Mapping) else {}
    return value if isinstance(value, Mapping) else {}


def _requirements(lines: Iterable[Any]) -> list[str]:
    found = (_REQUIREMENT.match(line) for line in lines if isinstance(line, str))
    return [match[1].replace("_", "-") for match in found if match is not None]


def _npm(text: str) -> tuple[str, list[str]]:
    document = json.loads(text)
    keys = ("dependencies", "devDependencies", "peerDependencies", "optionalDependencies")
    manager = str(document.get("packageManager", "npm")).split("@")[0]
    names = [name for key in keys for name in _table(document, key)]
    return (manager if manager in {"npm", "yarn", "pnpm", "bun"} else "npm"), names


def _composer(text: str) -> tuple[str, list[str]]:
    document = json.loads(text)
    return "Composer", [*_table(document, "require"), *_table(document, "require-dev")]


def _pyproject(text: str) -> tuple[str, list[str]]:
    document = tomllib.loads(text)
    project = _table(document, "project")
    poetry = _table(document, "tool", "poetry")
    lists: list[Any] = [project.get("dependencies", [])]
    lists += _table(project, "optional-dependencies").values()
    lists += _table(document, "dependency-groups").values()
    names = [name for group in lists if isinstance(group, list) for name in _requirements(group)]
    names += [*_table(poetry, "dependencies"), *_table(poetry, "dev-dependencies")]
    for group in _table(poetry, "group").values():
        names += _table(group, "dependencies")
    backend = str(_table(document, "build-system").get("build-backend", ""))
    tool = backend.split(".", maxsplit=1)[0].split(":", maxsplit=1)[0].removesuffix("_core")
    return {"hatchling": "Hatch", "poetry": "Poetry", "flit": "Flit"}.get(tool, tool or "pyproject"), names


def _pip(text: str) -> tuple[str, list[str]]:
    return "pip", _requirements(line for line in text.split("\n") if not line.lstrip().startswith(("#", "-")))


def _pipfile(text: str) -> tuple[str, list[str]]:
    document = tomllib.loads(text)
    return "Pipenv", [*_table(document, "packages"), *_table(document, "dev-packages")]


def _cargo(text: str) -> tuple[str, list[str]]:
    document = tomllib.loads(text)
    keys = ("dependencies", "dev-dependencies", "build-dependencies")
    names = [name for key in keys for name in _table(document, key)]
    return "Cargo", names + list(_table(document, "workspace", "dependencies"))


def _by_pattern(tool: str, pattern: str) -> Callable[[str], tuple[str, list[str]]]:
    compiled = re.compile(pattern, re.MULTILINE)

    def read(text: str) -> tuple[str, list[str]]:
        return tool, compiled.findall(text)

    return read


_READERS: Mapping[str, Callable[[str], tuple[str, list[str]]]] = {
    "npm": _npm,
    "Composer": _composer,
    "pyproject": _pyproject,
    "pip": _pip,
    "Pipenv": _pipfile,
    "Cargo": _cargo,
    "Go modules": _by_pattern("Go modules", r"^(?:require)?\s+([\w.-]+\.[\w.-]+/\S+) v\d"),
    "Maven": _by_pattern(
        "Maven", r"<dependency>[^<]{0,500}<groupId>[^<]{0,500}</groupId>\s*<artifactId>([^<]{1,200})<"
    ),
    "Bundler": _by_pattern("Bundler", r"""^\s*gem\s+["']([\w.-]+)["']"""),
    ".NET": _by_pattern(".NET", r"""<PackageReference\s[^>]{0,500}?Include="([\w.-]+)\""""),
}
