import hashlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.analyzers.code import functions as functions_module
from holdfast.analyzers.code.commits import chunk_commits
from holdfast.analyzers.code.files import analyse_content
from holdfast.analyzers.code.functions import ParserTooSlow, find_functions
from holdfast.analyzers.code.history import Churn, History, iso_time
from holdfast.analyzers.code.languages import BY_NAME, language_of_content, language_of_name
from holdfast.analyzers.code.manifests import manifest_kind, read_manifest
from holdfast.analyzers.code.paths import is_generated, is_test, is_vendored
from holdfast.analyzers.code.text import (
    decode,
    find_conflict,
    find_markers,
    find_secrets,
    sample_windows,
    sort_lines,
    split_lines,
    unpack_samples,
)
from holdfast.analyzers.code.values import CommitFacts, FunctionFacts

COMMITS = st.tuples(st.integers(0, 10**9), st.binary(min_size=20, max_size=20))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a.py", "Python"),
        ("A.PY", "Python"),
        ("src/x.test.tsx", "TSX"),
        ("include/a.h", "C"),
        ("Makefile", "Makefile"),
        ("docker/Dockerfile.prod", "Dockerfile"),
        ("CMakeLists.txt", "CMake"),
        ("notes.txt", "Text"),
        (".gitignore", None),
        (".py", None),
        ("dir.py/noext", None),
        ("a.unknown", None),
    ],
)
def test_language_of_name(path: str, name: str | None) -> None:
    found = language_of_name(path)
    assert (found and found.name) == name


def test_language_of_content() -> None:
    for line, name in (
        (b"#!/usr/bin/env python3\n", "Python"),
        (b"#!/bin/sh -e\n", "Shell"),
        (b"#!/usr/bin/node", "JavaScript"),
    ):
        found = language_of_content(line)
        assert found is not None
        assert found.name == name
    assert language_of_content(b"python") is None


def test_paths() -> None:
    assert is_vendored("a/node_modules/b/c.js")
    assert not is_vendored("src/vendors.py")
    assert is_generated("web/yarn.lock")
    assert is_generated("x/app.min.js")
    assert not is_generated("unlock.py")
    for path in ("tests/a.py", "a/b_test.go", "src/x.spec.ts", "pkg/FooTest.java", "spec/m_spec.rb", "conftest.py"):
        assert is_test(path), path
    for path in ("src/testing_tools.py", "latest/a.py", "contest.py", "attest.go"):
        assert not is_test(path), path


def test_lines_of_python() -> None:
    text = '''"""Module.

More.
"""
import os  # why

# alone
TEXT = """
not a comment
"""

def f():
    """One line."""
    return 1
'''
    lines = sort_lines(split_lines(text), BY_NAME["Python"])
    assert (lines.code, lines.comments) == (6, 6)


def test_lines_of_c() -> None:
    text = "/* one\n * two\n */\nint x; /* tail */\n// three\n\n/* four */\n"
    lines = sort_lines(split_lines(text), BY_NAME["C"])
    assert (lines.code, lines.comments) == (1, 5)


@given(st.text(), st.sampled_from(sorted(BY_NAME)))
def test_any_text_can_be_measured(text: str, name: str) -> None:
    content = text.encode(errors="surrogatepass")
    facts = analyse_content(content, BY_NAME[name])
    assert 0 <= facts["code"] + facts["comments"] <= facts["lines"]
    assert facts["functions"] >= len(facts["top"])


@given(st.binary(max_size=300), st.sampled_from(sorted(BY_NAME)))
def test_any_bytes_can_be_measured(content: bytes, name: str) -> None:
    analyse_content(content, BY_NAME[name], "npm")


def test_decoding() -> None:
    assert decode("é\r\nb\rc".encode()) == "é\nb\nc"
    assert decode(b"\xe9") == "é"
    assert decode(b"a\0b") is None
    assert decode("ä".encode("utf-16")) == "ä"
    assert decode(b"\xef\xbb\xbfa") == "a"
    assert decode(b"") == ""


def test_markers() -> None:
    lines = [
        "x = 1  # TODO(me): this",
        "// FIXME that",
        " * XXX",
        "todo()",
        "s = 'TODO'",
        "-- HACK",
        "# METHODOLOGY TODOS",
    ]
    count, kept = find_markers(lines)
    assert (count, kept[0], [number for number, _ in kept]) == (4, (1, "TODO(me): this"), [1, 2, 3, 6])


def test_conflicts() -> None:
    assert find_conflict(["a", "<<<<<<< HEAD", "x", "=======", "y", ">>>>>>> b"]) == 2
    assert find_conflict(["Title", "=======", ">>>>>>> quoted", "<<<<<<< a"]) == 0


def test_secrets_are_unmistakable() -> None:
    token = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    found = find_secrets(f"\n\ntoken: {token}\n")
    assert [(kind, line) for kind, line, _ in found] == [("GitHub token", 3)]
    for innocent in (
        "AKIAIOSFODNN7EXAMPLE",
        "AKIAAAAAAAAAAAAAAAAA",
        "ghp_" + "x" * 36,
        "-----BEGIN PRIVATE KEY-----",
        'if "-----BEGIN PRIVATE KEY-----" in text: ...',
        "-----BEGIN PUBLIC KEY-----\n" + token,
    ):
        assert [kind for kind, _, _ in find_secrets(innocent)] in ([], ["GitHub token"] if token in innocent else []), (
            innocent
        )


@given(st.lists(st.text(alphabet="abc =", min_size=1), max_size=60), st.lists(st.just("z = 1"), max_size=5))
def test_windows_are_sampled_by_content_alone(lines: list[str], before: list[str]) -> None:
    count, samples = sample_windows(lines)
    _, shifted = sample_windows(before + lines)
    assert count >= len(samples) // 6
    assert not Counter(unpack_samples(samples)) - Counter(unpack_samples(shifted))


def test_functions_of_several_languages() -> None:
    body = "\tif a > 1 {\n\t\tfor {\n\t\t\ta++\n\t\t}\n\t}\n\treturn nil\n}\n"
    go = "package a\nfunc (t *T) F(a int, b string) error {\n" + body
    (found,) = find_functions(go, "go")
    assert found == FunctionFacts(
        name="F", line=2, end_line=9, length=8, complexity=3, parameters=2, nesting=2, ordinal=0
    )
    head = 'def f(a,\n      b):\n    """Says.\n\n    More.\n    """\n'
    python = head + "    return g(\n        a,\n            b)\n\n\ndef f():\n    pass\n"
    first, second = find_functions(python, "py")
    assert (first.parameters, first.nesting, first.ordinal, second.ordinal) == (2, 0, 0, 1)
    assert first.end_line - first.line == 8
    assert first.length < 9


# The alarm may ring inside a hook of the garbage collector, Hypothesis's for one, which can only report it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_pathological_texts_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions_module, "MAX_SECONDS", 0.2)
    with pytest.raises(ParserTooSlow):
        find_functions("int f() { return 1; }\n" * 200_000, "c")
    monkeypatch.setattr(functions_module, "MAX_TOKENS", 100)
    with pytest.raises(ParserTooSlow):
        find_functions("x = 1\n" * 100, "py")
    facts = analyse_content(b"x = 1\n" * 100, BY_NAME["Python"])
    assert (facts["skip"], facts["code"]) == ("too_complex", 100)


def test_deep_nests_do_not_crash_the_parser() -> None:
    for text in ("(" * 9_000, "{" * 9_000, "f(" * 5_000, "[" * 4_000 + "]" * 4_000, "'" * 2_999, "/*" * 2_999):
        for name in ("C", "C++", "JavaScript", "TypeScript", "Python", "Rust", "Java", "Kotlin", "PHP", "Ruby"):
            wrapped = "\n".join(text[start : start + 1000] for start in range(0, len(text), 1000))
            analyse_content(wrapped.encode(), BY_NAME[name])


@pytest.mark.parametrize(
    ("path", "text", "tool", "frameworks"),
    [
        ("package.json", '{"packageManager": "pnpm@9", "devDependencies": {"vite": "5"}}', "pnpm", ["Vite"]),
        ("pyproject.toml", '[build-system]\nbuild-backend = "hatchling.build"\n', "Hatch", []),
        ("pyproject.toml", '[project]\ndependencies = ["Django[argon2] ~= 5"]\n', "pyproject", ["Django"]),
        ("pyproject.toml", '[tool.poetry.group.dev.dependencies]\npytest = "*"\n', "pyproject", ["pytest"]),
        ("requirements-dev.txt", "# c\n-r base.txt\nfastapi==1 ; python_version > '3'\n", "pip", ["FastAPI"]),
        ("a/Cargo.toml", '[dependencies]\ntokio = { version = "1" }\n', "Cargo", ["Tokio"]),
        ("go.mod", "module m\n\nrequire (\n\tgithub.com/gin-gonic/gin v1.9.1\n)\n", "Go modules", ["Gin"]),
        ("Gemfile", 'gem "rails", "~> 8"\n', "Bundler", ["Ruby on Rails"]),
        ("composer.json", '{"require": {"laravel/framework": "11"}}', "Composer", ["Laravel"]),
        (
            "pom.xml",
            "<dependency>\n<groupId>g</groupId>\n<artifactId>spring-boot-starter-web</artifactId></dependency>",
            "Maven",
            ["Spring Boot"],
        ),
        (".github/workflows/ci.yml", "on: push", "GitHub Actions", []),
    ],
)
def test_manifests(path: str, text: str, tool: str, frameworks: list[str]) -> None:
    found = read_manifest(manifest_kind(path), text)
    assert found is not None
    assert (found["tool"], found["frameworks"]) == (tool, frameworks)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"dependencies": 3}', '"x"', "[" * 100_000, "\0", "a = 1\na = 2"])
def test_manifests_that_are_none(text: str) -> None:
    for kind in ("npm", "pyproject", "Cargo", "Composer", "pip", "Pipenv", "Go modules", "Maven", ".NET", "Bundler"):
        read_manifest(kind, text)


@given(
    st.lists(COMMITS, unique_by=lambda commit: commit[1], max_size=300),
    COMMITS,
)
def test_a_new_commit_leaves_most_chunks_as_they_are(old: list[tuple[int, bytes]], new: tuple[int, bytes]) -> None:
    old = [commit for commit in old if commit[1] != new[1]]
    before = {part.key for part in chunk_commits("r", sorted(old), frozenset())}
    after = list(chunk_commits("r", sorted({*old, new}), frozenset()))
    assert len({part.key for part in after}) == len(after)
    assert [name for part in after for name in part.commits] == [raw.hex() for _, raw in sorted({*old, new})]
    # It changes its own chunk; further ones only until a natural end comes.
    assert all(len(part.commits) <= 256 for part in after)
    assert len(before - {part.key for part in after}) <= 4


def test_an_old_commit_that_turns_up_changes_its_own_chunk_alone() -> None:
    # What a merge of an old branch brings: commits in the middle of those that are known.
    commits = [(number, hashlib.sha1(b"%d" % number).digest()) for number in range(5_000)]  # as git does
    late = commits.pop(1_234)
    before = {part.key for part in chunk_commits("r", commits, frozenset())}
    after = {part.key for part in chunk_commits("r", sorted([*commits, late]), frozenset())}
    assert 40 < len(before) < 160
    assert len(before - after) == 1


def test_history_adds_up() -> None:
    history = History(["a.py", "b.py"])
    for seconds, author, path in (
        (10, "Ada", "a.py"),
        (20, "Ada", "a.py"),
        (30, "Grace", "a.py"),
        (40, "Grace", "b.py"),
    ):
        history.add(CommitFacts(seconds, author, [(path, 3, 1), ("gone.py", 1, 0)], counted=True, whole=True))
    assert history.files["a.py"].owner == ("Ada", 2 / 3)
    assert (history.bus_factor(), history.authors) == (2, 2)
    report = history.report({"a.py": 7, "b.py": 9})
    assert report["months"] == [{"month": "1970-01", "commits": 4, "added": 16, "deleted": 4}]
    assert [(spot["path"], spot["score"]) for spot in report["hotspots"]] == [("a.py", 21)]
    assert History([]).report({})["first_commit"] is None
    assert Churn().owner == ("", 0)
    assert iso_time(-(10**15)) == "0001-01-01T00:00:00Z"
