"""What is looked for is found alike by the library, over HTTP and from the command line, and nothing else is."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.api.serving import UNLIMITED, served
from tests.cli.conftest import Cli
from tests.services.samples import opened

import holdfast
from holdfast.bootstrap import Holdfast
from holdfast.domain.query import Field, show
from holdfast.services.results import NewResult

Door = Callable[[str], set[str] | None]

# Labels and words that one another contain, that databases take for patterns or syntax, and of many scripts.
LABELS = [
    "art",
    "start",
    "Art",
    "tart",
    "%",
    "_",
    "a_t",
    "a%t",
    "café",
    "cafe",
    "caffè",
    "数据库",
    "数据",
    "محمد",
    "مح",
]
LABELS += ["50%", "50", "o'art", '"art"', "art*", "\\", "art start", "a:b", "(art)", "-art", "OR", "ß", "ss", "İ", "i"]
TEXTS = {
    "art": "art for its own sake",
    "start": "start again",
    "percent": "fifty 50% off",
    "under": "foo_bar",
    "accent": "Un café crème",
    "plain": "a cafe",
    "han": "数据库连接超时错误",
    "han2": "数据连接",
    "arabic": "مُحَمَّد يَكْتُبُ رِسَالَة",
    "arabic2": "محمود",
}
# A word, and which texts have it; None where there is nothing to look for.
WORDS: list[tuple[str, set[str] | None]] = [
    ("art", {"art"}),
    ("start", {"start"}),
    ("ar*", {"art"}),
    ("%", None),
    ("_", None),
    ("50%", {"percent"}),
    ("foo_bar", {"under"}),
    ("o_b", set()),
    ("café", {"accent", "plain"}),
    ("CAFE", {"accent", "plain"}),
    ("caf", set()),
    ("数据库", {"han"}),
    ("数据", {"han", "han2"}),
    ("据库", {"han"}),
    ("محمد", {"arabic"}),
    ("مُحَمَّد", {"arabic"}),
    ("محمود", {"arabic2"}),
    ("محم", set()),
    ("محم*", {"arabic", "arabic2"}),
]


@pytest.fixture
def doors(cli: Cli, environment: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Holdfast, dict[str, Door]]]:
    monkeypatch.setenv("HOLDFAST_PROCESSORS", "fulltext")
    with opened(environment, processors=("fulltext",), **UNLIMITED) as hf, served(hf) as http:
        new = [NewResult(kind="label", result={}, tags=[tag], analysis_id=f"l{n}") for n, tag in enumerate(LABELS)]
        new += [NewResult(kind="text", result={"t": text}, analysis_id=name) for name, text in TEXTS.items()]
        hf.store_analyses(new)
        while hf.process_pending_analyses("fulltext", 100):
            pass

        def library(query: str) -> set[str] | None:
            try:
                return {hit.analysis.analysis_id for hit in hf.search.search(query, limit=100).items}
            except holdfast.errors.InvalidInput:
                return None

        def over_http(query: str) -> set[str] | None:
            answer = http.get("/api/v1/searches", params={"q": query, "limit": 100})
            if answer.status_code == 422:
                return None
            return {hit["analysis"]["analysis_id"] for hit in answer.json()["items"]}

        def command(query: str) -> set[str] | None:
            done = cli("search", "--limit", "100", "--json", "--", query)
            if done.code == 5:
                return None
            return {hit["analysis"]["analysis_id"] for hit in done.json["items"]}

        yield hf, {"library": library, "HTTP": over_http, "command line": command}


def test_labels_are_found_letter_for_letter(doors: tuple[Holdfast, dict[str, Door]]) -> None:
    for number, label in enumerate(LABELS):
        query = show(Field(name="tag", op="=", value=label))
        for name, ask in doors[1].items():
            assert ask(query) == {f"l{number}"}, f"{label!r} by the {name}"


def test_words_are_found_whole(doors: tuple[Holdfast, dict[str, Door]]) -> None:
    for word, wanted in WORDS:
        for name, ask in doors[1].items():
            asked = ask(word if wanted is None else f"{word} kind:text")
            assert asked == wanted, f"{word!r} by the {name}"


@settings(max_examples=12, suppress_health_check=list(HealthCheck), deadline=None)
@given(
    st.text(st.sampled_from("art%_*café数据库مح\\\"'()-: 5"), min_size=1, max_size=6).filter(lambda text: text.strip())
)
def test_whatever_is_asked_the_doors_agree(doors: tuple[Holdfast, dict[str, Door]], text: str) -> None:
    exact = show(Field(name="tag", op="=", value=text))
    wanted = {f"l{number}" for number, label in enumerate(LABELS) if label == text}
    answers = {name: (ask(text), ask(exact)) for name, ask in doors[1].items()}
    assert len({repr((found and sorted(found), sorted(labels or ()))) for found, labels in answers.values()}) == 1
    assert answers["library"][1] == wanted
