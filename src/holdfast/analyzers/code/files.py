"""Analyses one file's content: the part function that runs in worker processes."""

from collections.abc import Sequence

from holdfast.analyzers.code import text as texts
from holdfast.analyzers.code.functions import ParserGaveUp, ParserTooSlow, find_functions
from holdfast.analyzers.code.languages import BY_NAME, Language, Sort, language_of_content
from holdfast.analyzers.code.manifests import read_manifest
from holdfast.analyzers.code.repository import GIT_ERRORS, cached_repository
from holdfast.analyzers.code.values import (
    COMPLEX,
    DEEP,
    LONG,
    MANY_PARAMETERS,
    FileFacts,
    FilePart,
    FunctionFacts,
    Reason,
)

_TOP = 5
_FUNCTIONS_KEPT = 40


def analyse_file(part: FilePart) -> FileFacts:
    """Read one content and measure it; what cannot be read is told in ``skip``, never raised."""
    try:
        content = cached_repository(part.repository).odb.read(part.blob)[1]
    except GIT_ERRORS as error:
        facts = _nothing()
        facts["skip"], facts["detail"] = Reason.UNREADABLE_OBJECT.value, texts.printable(str(error))
        return facts
    return analyse_content(content, BY_NAME.get(part.language), part.manifest)


def analyse_content(content: bytes, language: Language | None, manifest: str = "") -> FileFacts:
    """Measure one content.

    Args:
        content: the bytes.
        language: what the path tells; the interpreter line decides when it tells nothing.
        manifest: the kind of manifest that the path tells, or "".
    """
    facts = _nothing()
    if texts.is_lfs_pointer(content):
        facts["skip"] = Reason.LFS_POINTER.value
        return facts
    text = texts.decode(content)
    if text is None:
        facts["skip"] = Reason.BINARY.value
        return facts
    language = language or language_of_content(content[:200])
    lines = texts.split_lines(text)
    facts["lines"] = len(lines)
    facts["conflict"] = texts.find_conflict(lines) if "\n>>>>>>> " in text else 0
    facts["secrets"] = [list(secret) for secret in texts.find_secrets(text)]
    if manifest and (read := read_manifest(manifest, text)) is not None:
        facts["manifest"] = read
    if language is None:
        return facts
    facts["language"] = language.name
    if language.sort is Sort.PROSE:
        return facts
    if texts.is_minified(lines) or texts.is_generated(lines):
        facts["skip"] = Reason.GENERATED.value
        facts["detail"] = "minified" if texts.is_minified(lines) else "says so"
        return facts
    sorted_lines = texts.sort_lines(lines, language)
    facts["code"], facts["comments"] = sorted_lines.code, sorted_lines.comments
    if language.sort is not Sort.CODE:
        return facts
    facts["todos"], markers = texts.find_markers(lines)
    facts["markers"] = [list(marker) for marker in markers]
    facts["windows"], samples = texts.sample_windows(sorted_lines.code_lines)
    facts["samples"] = samples.hex()
    if language.parser is not None:
        try:
            _count_functions(facts, find_functions(text, language.parser))
        except ParserTooSlow:
            facts["skip"], facts["detail"] = Reason.TOO_COMPLEX.value, "the parser took too long; no functions"
        except ParserGaveUp as error:
            facts["skip"], facts["detail"] = Reason.UNPARSABLE.value, f"no functions: {error}"
    return facts


def _count_functions(facts: FileFacts, functions: Sequence[FunctionFacts]) -> None:
    facts["functions"] = len(functions)
    for function in functions:
        length, complexity = function.length, function.complexity
        facts["complexity"] += complexity
        facts["max_complexity"] = max(facts["max_complexity"], complexity)
        facts["function_lines"] += length
        if complexity > 10:
            facts["complex_lines"][(complexity > 20) + (complexity > 50)] += length
        if length > 60:
            facts["long_lines"][length > 120] += length
    ranked = sorted(functions, key=lambda function: (-function.complexity, function.line))
    telling = [function for place, function in enumerate(ranked) if place < _TOP or _stands_out(function)]
    facts["top"] = [list(function) for function in telling[:_FUNCTIONS_KEPT]]


def _stands_out(function: FunctionFacts) -> bool:
    return (
        function.complexity > COMPLEX
        or function.length > LONG
        or function.parameters > MANY_PARAMETERS
        or function.nesting > DEEP
    )


def _nothing() -> FileFacts:
    return FileFacts(
        skip="",
        detail="",
        language="",
        lines=0,
        code=0,
        comments=0,
        functions=0,
        complexity=0,
        max_complexity=0,
        function_lines=0,
        complex_lines=[0, 0, 0],
        long_lines=[0, 0],
        top=[],
        todos=0,
        markers=[],
        conflict=0,
        secrets=[],
        windows=0,
        samples="",
    )
