"""Which language a file is written in, from its name and, failing that, its first line."""

import re
from dataclasses import dataclass
from enum import StrEnum


class Sort(StrEnum):
    """What a language is for; only ``CODE`` counts as code lines."""

    CODE = "code"
    STYLE = "style"
    MARKUP = "markup"
    DATA = "data"
    PROSE = "prose"


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """How to read one language.

    Attributes:
        name: what people call it.
        sort: what it is for.
        line_comments: what begins a comment that ends with the line.
        block_comments: what begins and ends a comment over several lines; Python's docstrings among them.
        parser: the file extension by which lizard knows it; None if it does not.
    """

    name: str
    sort: Sort = Sort.CODE
    line_comments: tuple[str, ...] = ()
    block_comments: tuple[tuple[str, str], ...] = ()
    parser: str | None = None


_C_BLOCK = (("/*", "*/"),)
_XML_BLOCK = (("<!--", "-->"),)
_PYTHON_BLOCK = (('"""', '"""'), ("'''", "'''"))


def _c(name: str, parser: str | None = None, sort: Sort = Sort.CODE) -> Language:
    return Language(name=name, sort=sort, line_comments=("//",), block_comments=_C_BLOCK, parser=parser)


def _hash(name: str, parser: str | None = None, sort: Sort = Sort.CODE) -> Language:
    return Language(name=name, sort=sort, line_comments=("#",), parser=parser)


def _markup(name: str, sort: Sort = Sort.MARKUP) -> Language:
    return Language(name=name, sort=sort, block_comments=_XML_BLOCK)


def _plain(name: str, sort: Sort) -> Language:
    return Language(name=name, sort=sort)


def _dash(name: str, parser: str | None = None) -> Language:
    return Language(name=name, line_comments=("--",), block_comments=_C_BLOCK, parser=parser)


# One line for each language: the language, then its extensions.
_TABLE: tuple[tuple[Language, str], ...] = (
    (Language(name="Python", line_comments=("#",), block_comments=_PYTHON_BLOCK, parser="py"), "py pyi pyw pyx"),
    (_c("JavaScript", "js"), "js mjs cjs jsx"),
    (_c("TypeScript", "ts"), "ts mts cts"),
    (_c("TSX", "tsx"), "tsx"),
    (Language(name="Vue", line_comments=("//",), block_comments=_XML_BLOCK + _C_BLOCK, parser="vue"), "vue"),
    (_markup("Svelte", Sort.CODE), "svelte"),
    (_c("C", "c"), "c h"),
    (_c("C++", "cpp"), "cc cpp cxx c++ hh hpp hxx h++ ipp tpp inl"),
    (_c("CUDA", "cpp"), "cu cuh"),
    (_c("Objective-C", "m"), "m mm"),
    (_c("C#", "cs"), "cs"),
    (_c("Java", "java"), "java"),
    (_c("Kotlin", "kt"), "kt kts"),
    (_c("Scala", "scala"), "scala sc"),
    (_c("Groovy"), "groovy gradle"),
    (_c("Go", "go"), "go"),
    (_c("Rust", "rs"), "rs"),
    (_c("Swift", "swift"), "swift"),
    (_c("Dart"), "dart"),
    (_c("Zig", "zig"), "zig"),
    (_c("Solidity", "sol"), "sol"),
    (Language(name="PHP", line_comments=("//", "#"), block_comments=_C_BLOCK, parser="php"), "php phtml"),
    (
        Language(name="Ruby", line_comments=("#",), block_comments=(("=begin", "=end"),), parser="rb"),
        "rb rake gemspec ru builder",
    ),
    (Language(name="Perl", line_comments=("#",), block_comments=(("=pod", "=cut"),), parser="pl"), "pl pm t"),
    (
        Language(name="Lua", line_comments=("--",), block_comments=(("--[[", "]]"),), parser="lua"),
        "lua",
    ),
    (_hash("R", "r"), "r"),
    (_hash("GDScript", "gd"), "gd"),
    (_hash("Shell"), "sh bash zsh ksh fish"),
    (Language(name="PowerShell", line_comments=("#",), block_comments=(("<#", "#>"),)), "ps1 psm1 psd1"),
    (Language(name="Batch", line_comments=("rem ", "REM ", "::")), "bat cmd"),
    (Language(name="Erlang", line_comments=("%",), parser="erl"), "erl hrl"),
    (_hash("Elixir"), "ex exs"),
    (Language(name="Clojure", line_comments=(";",)), "clj cljs cljc edn"),
    (Language(name="Lisp", line_comments=(";",)), "lisp lsp el scm rkt"),
    (Language(name="Haskell", line_comments=("--",), block_comments=(("{-", "-}"),)), "hs lhs"),
    (Language(name="Elm", line_comments=("--",), block_comments=(("{-", "-}"),)), "elm"),
    (Language(name="OCaml", block_comments=(("(*", "*)"),)), "ml mli"),
    (Language(name="F#", line_comments=("//",), block_comments=(("(*", "*)"),)), "fs fsi fsx"),
    (Language(name="Pascal", line_comments=("//",), block_comments=(("{", "}"), ("(*", "*)"))), "pas dpr"),
    (Language(name="Fortran", line_comments=("!",), parser="f90"), "f f90 f95 f03 f08 for"),
    (Language(name="Julia", line_comments=("#",), block_comments=(("#=", "=#"),)), "jl"),
    (_hash("Nim"), "nim"),
    (_c("D"), "d"),
    (_c("V"), "v"),
    (_dash("SQL"), "sql ddl"),
    (_dash("PL/SQL", "pls"), "pls pks pkb plsql"),
    (Language(name="Assembly", line_comments=(";", "#", "//"), block_comments=_C_BLOCK), "asm s"),
    (_c("GLSL"), "glsl vert frag comp"),
    (_c("Protocol Buffers"), "proto"),
    (_hash("GraphQL"), "graphql gql"),
    (Language(name="HCL", line_comments=("#", "//"), block_comments=_C_BLOCK), "tf hcl"),
    (_hash("Nix"), "nix"),
    (_hash("CMake"), "cmake"),
    (_hash("Makefile"), "mk mak"),
    (_hash("Starlark"), "bzl bazel star"),
    (Language(name="CSS", sort=Sort.STYLE, block_comments=_C_BLOCK), "css"),
    (_c("SCSS", sort=Sort.STYLE), "scss sass less styl"),
    (_markup("HTML"), "html htm xhtml"),
    (_markup("Template"), "erb ejs hbs mustache jinja jinja2 j2 twig liquid haml slim pug"),
    (_markup("XML"), "xml xsd xsl xslt plist csproj props targets"),
    (_markup("SVG", Sort.DATA), "svg"),
    (_plain("JSON", Sort.DATA), "json jsonc json5 jsonl ndjson geojson webmanifest"),
    (_hash("YAML", sort=Sort.DATA), "yaml yml"),
    (_hash("TOML", sort=Sort.DATA), "toml"),
    (Language(name="INI", sort=Sort.DATA, line_comments=("#", ";")), "ini cfg conf properties env"),
    (_plain("CSV", Sort.DATA), "csv tsv"),
    (_hash("gettext", sort=Sort.DATA), "po pot"),
    (_plain("Jupyter Notebook", Sort.DATA), "ipynb"),
    (_plain("Diff", Sort.DATA), "diff patch"),
    (_plain("Markdown", Sort.PROSE), "md markdown mdx"),
    (_plain("reStructuredText", Sort.PROSE), "rst"),
    (_plain("AsciiDoc", Sort.PROSE), "adoc asciidoc"),
    (_plain("Text", Sort.PROSE), "txt text log"),
    (Language(name="TeX", sort=Sort.PROSE, line_comments=("%",)), "tex sty cls bib"),
)

BY_EXTENSION = {extension: language for language, extensions in _TABLE for extension in extensions.split()}
BY_NAME = {language.name: language for language, _ in _TABLE}
_DOCKERFILE = _hash("Dockerfile")
BY_NAME[_DOCKERFILE.name] = _DOCKERFILE
_BY_FILE_NAME = {
    "makefile": BY_NAME["Makefile"],
    "gnumakefile": BY_NAME["Makefile"],
    "cmakelists.txt": BY_NAME["CMake"],
    "dockerfile": _DOCKERFILE,
    "containerfile": _DOCKERFILE,
    "gemfile": BY_NAME["Ruby"],
    "rakefile": BY_NAME["Ruby"],
    "vagrantfile": BY_NAME["Ruby"],
    "podfile": BY_NAME["Ruby"],
    "brewfile": BY_NAME["Ruby"],
    "jenkinsfile": BY_NAME["Groovy"],
    "build": BY_NAME["Starlark"],
    "workspace": BY_NAME["Starlark"],
    "sconstruct": BY_NAME["Python"],
    "wscript": BY_NAME["Python"],
    ".bashrc": BY_NAME["Shell"],
    ".profile": BY_NAME["Shell"],
    ".zshrc": BY_NAME["Shell"],
    "readme": BY_NAME["Text"],
    "license": BY_NAME["Text"],
    "changelog": BY_NAME["Text"],
}
_BY_INTERPRETER = (
    (re.compile(rb"python|pypy"), "Python"),
    (re.compile(rb"node|deno|bun"), "JavaScript"),
    (re.compile(rb"ruby"), "Ruby"),
    (re.compile(rb"perl"), "Perl"),
    (re.compile(rb"php"), "PHP"),
    (re.compile(rb"lua"), "Lua"),
    (re.compile(rb"Rscript"), "R"),
    (re.compile(rb"pwsh"), "PowerShell"),
    (re.compile(rb"\b(?:ba|da|z|k|a)?sh\b|fish"), "Shell"),
)


def language_of_name(path: str) -> Language | None:
    """The language that a path's last part tells, or None; a leading folder has no say."""
    name = path.rsplit("/", 1)[-1].lower()
    known = _BY_FILE_NAME.get(name)
    if known is not None:
        return known
    if name.startswith(("dockerfile.", "containerfile.")):
        return _DOCKERFILE
    stem, dot, extension = name.rpartition(".")
    return BY_EXTENSION.get(extension) if dot and stem else None


def language_of_content(head: bytes) -> Language | None:
    """The language that an interpreter line (``#!/usr/bin/env python3``) tells, or None."""
    if not head.startswith(b"#!"):
        return None
    line = head[2:200].split(b"\n", 1)[0]
    return next((BY_NAME[name] for pattern, name in _BY_INTERPRETER if pattern.search(line)), None)
