"""Finds the functions of a text and measures them, by lizard, within bounds."""

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from lizard import FileInfoBuilder, get_extensions, get_reader_for

from holdfast.analyzers.code.text import printable
from holdfast.analyzers.code.values import FunctionFacts

MAX_TOKENS = 1_000_000
MAX_SECONDS = 20.0
_ALARM_AGAIN_SECONDS = 0.1
_CHECK_EVERY = 4096
_PROCESSORS = get_extensions([])


class ParserGaveUp(Exception):
    """The parser met something that it cannot read."""


class ParserTooSlow(Exception):
    """The parser took too long."""


def find_functions(text: str, extension: str) -> list[FunctionFacts]:
    """Find the functions.

    Args:
        text: source code with line feeds as line ends.
        extension: the file extension by which lizard knows the language.

    Returns:
        The functions in the parser's order: inner ones before those that hold them.

    Raises:
        ParserGaveUp: the text is beyond the parser.
        ParserTooSlow: over 20 s of processor time, or over 1,000,000 tokens.
    """
    context = FileInfoBuilder(f"file.{extension}")
    reader = get_reader_for(f"file.{extension}")(context)
    try:
        with _processor_time(MAX_SECONDS):
            tokens: Iterator[Any] = _bounded(reader.generate_tokens(text))
            for processor in _PROCESSORS:
                tokens = processor(tokens, reader)
            for _ in reader(tokens, reader):
                pass
    except ParserTooSlow:
        raise
    except Exception as error:
        # Not ours: a parser of thirty languages, fed with whatever people commit, fails in every way there is.
        raise ParserGaveUp(f"{type(error).__name__}: {printable(str(error))}") from error
    lines = text.split("\n")
    indents = [_indent(line) for line in lines]
    seen: dict[str, int] = {}
    functions = []
    for found in context.fileinfo.function_list:
        name = printable(found.name or "(anonymous)")
        ordinal = seen.get(name, 0)
        seen[name] = ordinal + 1
        start = min(max(int(found.start_line), 1), len(lines))
        end = min(max(int(found.end_line), start), len(lines))
        functions.append(
            FunctionFacts(
                name=name,
                line=start,
                end_line=end,
                length=min(int(found.nloc), end - start + 1),
                complexity=max(int(found.cyclomatic_complexity), 1),
                parameters=int(found.parameter_count),
                nesting=nesting(lines[start - 1 : end], indents[start - 1 : end]),
                ordinal=ordinal,
            )
        )
    return functions


def nesting(lines: Sequence[str], indents: Sequence[int]) -> int:
    """Depth of the deepest block in a function, by indentation; 0 for a body without inner blocks.

    Lines inside open brackets do not count: their indentation is a matter of layout. So blocks inside a call's
    arguments go unseen.

    Args:
        lines: the function's lines, its head first.
        indents: how far each is indented; -1 for blank ones.
    """
    levels: list[int] = []
    deepest = brackets = 0
    for line, indent in zip(lines, indents, strict=True):
        if indent < 0:
            continue
        if brackets == 0:
            while levels and levels[-1] > indent:
                levels.pop()
            if not levels or indent > levels[-1]:
                levels.append(indent)
            deepest = max(deepest, len(levels))
        brackets += line.count("(") + line.count("[") - line.count(")") - line.count("]")
        brackets = max(brackets, 0)
    # The head is the first level, the body the second.
    return max(deepest - 2, 0)


def _indent(line: str) -> int:
    stripped = line.lstrip()
    return len(line[: len(line) - len(stripped)].expandtabs(4)) if stripped else -1


def _bounded(tokens: Iterator[Any]) -> Iterator[Any]:
    deadline = time.thread_time() + MAX_SECONDS
    for count, token in enumerate(tokens):
        if count >= MAX_TOKENS or (count % _CHECK_EVERY == 0 and time.thread_time() > deadline):
            raise ParserTooSlow
        yield token


@contextmanager
def _processor_time(seconds: float) -> Iterator[None]:
    """Raise ParserTooSlow in this thread after so much processor time, even inside a regular expression.

    Signals reach the main thread only; elsewhere (a thread of a cluster's worker) the check between tokens must do.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGVTALRM, _too_slow)
    # Again and again: an exception that a destructor or the garbage collector meets is swallowed.
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, _ALARM_AGAIN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _too_slow(_signal: int, _frame: FrameType | None) -> None:
    raise ParserTooSlow
