"""docs/reference/source-names.md has every name of the source documents, and each place that it names is there."""

import dataclasses
import importlib
import inspect
import re
import tomllib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

import holdfast
from holdfast.analyzers.duplicates import DuplicatesAnalyzer
from holdfast.api.app import create_app
from holdfast.cli.commands import app
from holdfast.settings import Settings
from holdfast.settings.values import Also
from holdfast.store.tables import metadata
from holdfast.testing import LocalRunContext
from tests.analyzers.duplicates.libraries import library, track

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "source-names.md"
DOCUMENTS: dict[str, dict[str, list[str]]] = tomllib.loads(Path(__file__).with_name("source-names.toml").read_text())
TO_COME = "to come"
ELSEWHERE = ["make test"]
NOWHERE = [
    "hf.sync.nothing",
    "hf.sync.resolve_conflict(nothing)",
    "holdfast.Nothing",
    "holdfast.domain.nothing",
    "holdfast.domain.sync.Strategy.NOTHING",
    "GET /api/v1/nothing",
    "POST /api/v1/persistence/stats",
    "GET /api/v1/analyses?nothing",
    "GET /api/v1/persistence/stats -> stats.nothing",
    "POST /api/v1/persistence/cleanup <- nothing",
    "holdfast nothing",
    "holdfast list --nothing",
    "HOLDFAST_NOTHING",
    "NOTHING",
    "analyses.nothing",
    "nothing",
    "duplicates -> totals.nothing",
]
_ROUTE = re.compile(
    r"(?P<method>[A-Z]+) (?P<path>/[^ ?]+)(\?(?P<parameter>\w+))?( (?P<direction>->|<-) (?P<field>\S+))?"
)
_REASON = re.compile(r"not kept: \w+|.*\]\(")


class Row(NamedTuple):
    """A row of a table: names, and where they are."""

    names: list[str]
    where: str

    def places(self) -> Iterator[str]:
        """Each place that is written there, with each name in the star's place."""
        for written in re.findall(r"`([^`]+)`", self.where):
            yield from (written.replace("*", name) for name in self.names) if "*" in written else [written]


def rows(document: str) -> list[Row]:
    section = PAGE.read_text().split(f"## {document}\n")[1].split("\n## ")[0]
    cells = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return [Row(re.findall(r"`([^`]+)`", names), where) for names, where in cells]


class Lookup:
    """Finds places as the page writes them."""

    def __init__(self, hf: holdfast.Holdfast, folder: Path) -> None:
        self._hf = hf
        self._folder = folder

    @cached_property
    def _openapi(self) -> dict[str, Any]:
        return create_app(self._hf).openapi()

    @cached_property
    def _duplicates(self) -> Any:
        tracks = self._folder / "music.parquet"
        library([track("Hello"), track("Hello")]).write_parquet(tracks)
        return DuplicatesAnalyzer().run(LocalRunContext(DuplicatesAnalyzer().resolve(str(tracks), {}))).result

    @cached_property
    def _variables(self) -> set[str]:
        fields = Settings.model_fields
        also = {one.variable for field in fields.values() for one in field.metadata if isinstance(one, Also)}
        return also | {f"HOLDFAST_{name.upper()}" for name in fields}

    def finds(self, place: str) -> bool:
        if route := _ROUTE.fullmatch(place):
            return self._finds_route(**route.groupdict())
        if found := re.fullmatch(r"duplicates -> (\S+)", place):
            return _holds(self._duplicates, found[1].split("."))
        if place.startswith("holdfast "):
            return _finds_command(place)
        if re.fullmatch(r"[A-Z0-9_]+", place):
            return place in self._variables
        if re.match(r"(hf|holdfast)\b", place):
            return self._finds_attribute(place)
        table, _, column = place.partition(".")
        return table in metadata.tables and (not column or column in metadata.tables[table].columns)

    def _finds_attribute(self, place: str) -> bool:
        path, _, argument = place.rstrip(")").partition("(")
        start, *names = path.split(".")
        value: Any = self._hf if start == "hf" else holdfast
        for name in names:
            if hasattr(value, "__path__") and importlib.util.find_spec(f"{value.__name__}.{name}"):
                value = importlib.import_module(f"{value.__name__}.{name}")
            elif inspect.isclass(value) and dataclasses.is_dataclass(value) and name in inspect.get_annotations(value):
                value = inspect.get_annotations(value)[name]
            elif hasattr(value, name):
                value = getattr(value, name)
            else:
                return False
        return not argument or argument in inspect.signature(value).parameters

    def _finds_route(
        self, method: str, path: str, parameter: str | None, direction: str | None, field: str | None
    ) -> bool:
        operation = self._openapi["paths"].get(path, {}).get(method.lower())
        if operation is None:
            return False
        if parameter and parameter not in {each["name"] for each in operation["parameters"]}:
            return False
        if field is None:
            return True
        body = operation["requestBody"] if direction == "<-" else operation["responses"]["200"]
        return self._describes(body["content"]["application/json"]["schema"], field.split("."))

    def _describes(self, schema: dict[str, Any], path: list[str]) -> bool:
        """Whether what the schema is of, or is a list of, has the field."""
        if "$ref" in schema:
            schema = self._openapi["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        if not path:
            return True
        below = schema.get("properties", {}).get(path[0])
        if below is not None and self._describes(below, path[1:]):
            return True
        others = [*schema.get("anyOf", []), *([schema["items"]] if "items" in schema else [])]
        return any(self._describes(other, path) for other in others)


def _holds(value: Any, path: list[str]) -> bool:
    if not path:
        return True
    if isinstance(value, list):
        return bool(value) and _holds(value[0], path)
    return isinstance(value, dict) and path[0] in value and _holds(value[path[0]], path[1:])


def _finds_command(place: str) -> bool:
    command: Any = typer.main.get_command(app)
    for word in place.split()[1:]:
        if word.startswith("-"):
            return any(word in parameter.opts for parameter in command.params)
        command = getattr(command, "commands", {}).get(word)
        if command is None:
            return False
    return True


@pytest.fixture(scope="module")
def lookup(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lookup]:
    folder = tmp_path_factory.mktemp("names")
    with holdfast.open(f"sqlite:///{folder / 'holdfast.db'}") as hf:
        yield Lookup(hf, folder)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_name_stands_in_its_table_once(document: str) -> None:
    assert sorted(name for row in rows(document) for name in row.names) == sorted(DOCUMENTS[document]["names"])


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_name_has_a_place_or_a_reason(document: str) -> None:
    to_come = [name for row in rows(document) if row.where == TO_COME for name in row.names]
    assert to_come == DOCUMENTS[document].get("to_come", [])
    others = [row for row in rows(document) if row.where != TO_COME]
    assert [row.names for row in others if not list(row.places()) and not _REASON.match(row.where)] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_place_is_there(document: str, lookup: Lookup) -> None:
    places = {place for row in rows(document) for place in row.places() if place not in ELSEWHERE}
    assert sorted(place for place in places if not lookup.finds(place)) == []


def test_what_is_nowhere_is_not_found(lookup: Lookup) -> None:
    assert [place for place in NOWHERE if lookup.finds(place)] == []
