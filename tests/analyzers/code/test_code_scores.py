from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from holdfast.analyzers.code.scores import WEIGHTS, Figures, scores


@st.composite
def figures(draw: st.DrawFn) -> Figures:
    def up_to(most: int) -> int:
        return draw(st.integers(0, most))

    code = up_to(100_000)
    functions = up_to(code)
    windows = up_to(1_000)
    owned = up_to(code)
    simple, middle = up_to(functions), up_to(functions)
    return Figures(
        code_lines=code,
        comment_lines=up_to(100_000),
        test_lines=up_to(code),
        function_lines=functions,
        complex_lines=(simple // 3, middle // 3, up_to(functions) // 3),
        long_lines=(simple // 2, middle // 2),
        big_file_lines=(up_to(code) // 2, up_to(code) // 2),
        windows=windows,
        repeated_windows=up_to(windows),
        owned_lines=owned,
        concentrated_lines=draw(st.floats(0, 1)) * owned,
        bus_factor=up_to(20),
        critical=up_to(20),
        high=up_to(1_000),
    )


def raised(before: Figures, after: Figures, name: str) -> None:
    old, new = scores(before), scores(after)
    for score in (name, "overall_score"):
        assert (old[score] is None) == (new[score] is None)
        assert (new[score] or 0) >= (old[score] or 0)


@given(figures())
def test_bounded(given_figures: Figures) -> None:
    found = scores(given_figures)
    assert list(found) == ["overall_score", *WEIGHTS]
    assert all(value is None or 0 <= value <= 100 for value in found.values())
    parts = [value for name, value in found.items() if name != "overall_score" and value is not None]
    assert (found["overall_score"] is None) == (not parts)
    if found["overall_score"] is not None:
        assert found["overall_score"] <= max(parts) + 0.1


@given(figures(), st.integers(0, 1_000))
def test_more_of_the_bad_never_raises_a_score(worse: Figures, less: int) -> None:
    a, b, c = worse.complex_lines
    raised(worse, replace(worse, complex_lines=(a, b, max(c - less, 0))), "complexity_score")
    # Out of the gravest class into a milder one.
    moved = min(less, c)
    raised(worse, replace(worse, complex_lines=(a, b + moved, c - moved)), "complexity_score")
    raised(worse, replace(worse, long_lines=(worse.long_lines[0], max(worse.long_lines[1] - less, 0))), "size_score")
    raised(
        worse,
        replace(worse, big_file_lines=(max(worse.big_file_lines[0] - less, 0), worse.big_file_lines[1])),
        "size_score",
    )
    raised(worse, replace(worse, repeated_windows=max(worse.repeated_windows - less, 0)), "duplication_score")
    raised(worse, replace(worse, comment_lines=worse.comment_lines + less), "documentation_score")
    raised(worse, replace(worse, test_lines=min(worse.test_lines + less, worse.code_lines)), "testing_score")
    raised(worse, replace(worse, bus_factor=worse.bus_factor + less), "ownership_score")
    raised(worse, replace(worse, concentrated_lines=max(worse.concentrated_lines - less, 0)), "ownership_score")
    raised(worse, replace(worse, critical=max(worse.critical - less, 0)), "overall_score")
    raised(worse, replace(worse, high=max(worse.high - less, 0)), "overall_score")


def test_known_values() -> None:
    flawless = Figures(
        code_lines=1_000,
        comment_lines=250,
        test_lines=350,
        function_lines=800,
        windows=100,
        owned_lines=1_000,
        bus_factor=5,
    )
    assert set(scores(flawless).values()) == {100.0}
    assert scores(replace(flawless, critical=1))["overall_score"] == 95.0
    assert scores(replace(flawless, high=2))["overall_score"] == 90.0
    assert scores(replace(flawless, complex_lines=(0, 0, 160)))["complexity_score"] == 50.0
    assert scores(replace(flawless, repeated_windows=10))["duplication_score"] == 80.0
    assert scores(replace(flawless, bus_factor=1))["ownership_score"] == 50.0
    assert scores(replace(flawless, comment_lines=0))["documentation_score"] == 0.0
    assert scores(Figures()) == dict.fromkeys(["overall_score", *WEIGHTS])
