"""The seven scores, 0 (worst) to 100 (best). Pure; each formula stands in its docstring and in the reference.

A score is None when there is nothing to measure: no code, no functions, no history.
"""

from collections.abc import Mapping
from dataclasses import dataclass

COMPLEXITY_WEIGHTS = (0.25, 0.6, 1.0)
FUNCTION_WEIGHTS = (0.4, 1.0)
FILE_WEIGHTS = (0.3, 1.0)
WEIGHTS = {
    "complexity_score": 0.25,
    "size_score": 0.15,
    "duplication_score": 0.15,
    "documentation_score": 0.15,
    "testing_score": 0.2,
    "ownership_score": 0.1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the scores are made of.

    Attributes:
        code_lines: lines of code.
        comment_lines: lines of comment in the same files.
        test_lines: those of the code lines that are in tests.
        function_lines: lines in functions.
        complex_lines: those in functions of complexity 11-20, 21-50, over 50.
        long_lines: those in functions of 61-120 lines, over 120 lines.
        big_file_lines: code lines in files of 501-1,000 code lines, over 1,000.
        windows: passages of six code lines that were sampled.
        repeated_windows: those of them that stand elsewhere too.
        owned_lines: code lines in files with a history.
        concentrated_lines: the same, each file's multiplied by how far its main owner's share is beyond one half
            (0 at half or less, 1 when nobody else ever changed it).
        bus_factor: the least number of people who own more than half of the files.
        critical: critical issues.
        high: high issues.
    """

    code_lines: int = 0
    comment_lines: int = 0
    test_lines: int = 0
    function_lines: int = 0
    complex_lines: tuple[int, int, int] = (0, 0, 0)
    long_lines: tuple[int, int] = (0, 0)
    big_file_lines: tuple[int, int] = (0, 0)
    windows: int = 0
    repeated_windows: int = 0
    owned_lines: int = 0
    concentrated_lines: float = 0.0
    bus_factor: int = 0
    critical: int = 0
    high: int = 0


def scores(figures: Figures) -> dict[str, float | None]:
    """All seven, by name, rounded to a tenth."""
    parts = {
        "complexity_score": complexity_score(figures),
        "size_score": size_score(figures),
        "duplication_score": duplication_score(figures),
        "documentation_score": documentation_score(figures),
        "testing_score": testing_score(figures),
        "ownership_score": ownership_score(figures),
    }
    found = {"overall_score": overall_score(parts, figures), **parts}
    return {name: None if value is None else round(value, 1) for name, value in found.items()}


def overall_score(parts: Mapping[str, float | None], figures: Figures) -> float | None:
    """Weighted mean of the others, less what the worst issues cost.

    ``mean x (1 - min(0.5, 0.05 critical + 0.05 high issues per 1,000 code lines))``, with the weights
    complexity 0.25, testing 0.2, size, duplication and documentation 0.15 each, ownership 0.1; a score that is
    not there leaves its weight to the rest.
    """
    known = [(WEIGHTS[name], value) for name, value in parts.items() if value is not None]
    if not known:
        return None
    mean = sum(weight * value for weight, value in known) / sum(weight for weight, _ in known)
    density = 1000 * figures.high / max(figures.code_lines, 1000)
    return _bounded(mean * (1 - min(0.5, 0.05 * figures.critical + 0.05 * density)))


def complexity_score(figures: Figures) -> float | None:
    """How little of the functions' lines is in complex functions.

    ``100 x (1 - 2.5 x risk)``, at least 0; ``risk`` is the share of function lines in functions of cyclomatic
    complexity 11-20 (weight 0.25), 21-50 (0.6) and over 50 (1).
    """
    if figures.function_lines <= 0:
        return None
    return _bounded(100 * (1 - 2.5 * _weighted(figures.complex_lines, COMPLEXITY_WEIGHTS, figures.function_lines)))


def size_score(figures: Figures) -> float | None:
    """How little is in long functions and big files.

    ``100 x (1 - 1.25 x (functions + files) / 2)``, at least 0; ``functions`` is the share of function lines in
    functions of 61-120 lines (weight 0.4) and over 120 (1), ``files`` the share of code lines in files of
    501-1,000 code lines (0.3) and over 1,000 (1).
    """
    if figures.code_lines <= 0:
        return None
    functions = _weighted(figures.long_lines, FUNCTION_WEIGHTS, figures.function_lines)
    files = _weighted(figures.big_file_lines, FILE_WEIGHTS, figures.code_lines)
    return _bounded(100 * (1 - 1.25 * (functions + files) / 2))


def duplication_score(figures: Figures) -> float | None:
    """How little is repeated: ``100 x (1 - 2 x repeated share of the passages)``, at least 0."""
    if figures.windows <= 0:
        return None
    return _bounded(100 * (1 - 2 * figures.repeated_windows / figures.windows))


def documentation_score(figures: Figures) -> float | None:
    """How well it is commented: ``100 x share / 0.2``, at most 100; comment lines of comment and code lines."""
    if figures.code_lines <= 0:
        return None
    return _bounded(500 * figures.comment_lines / (figures.comment_lines + figures.code_lines))


def testing_score(figures: Figures) -> float | None:
    """How much of the code is tests: ``100 x share / 0.35``, at most 100."""
    if figures.code_lines <= 0:
        return None
    return _bounded(100 * figures.test_lines / figures.code_lines / 0.35)


def ownership_score(figures: Figures) -> float | None:
    """How well knowledge is spread: the mean of two halves.

    ``50 x (1 - concentrated share of the owned lines) + 50 x min(1, (bus factor - 1) / 4)``.
    """
    if figures.owned_lines <= 0:
        return None
    spread = 1 - figures.concentrated_lines / figures.owned_lines
    people = min(1.0, max(figures.bus_factor - 1, 0) / 4)
    return _bounded(50 * spread + 50 * people)


def _weighted(lines: tuple[int, ...], weights: tuple[float, ...], whole: int) -> float:
    return sum(count * weight for count, weight in zip(lines, weights, strict=True)) / whole if whole > 0 else 0.0


def _bounded(value: float) -> float:
    return min(max(value, 0.0), 100.0)
