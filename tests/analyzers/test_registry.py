"""Finding analyzers."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from holdfast.analyzers.registry import GROUP, AnalyzerBroken, Registry
from holdfast.domain.errors import AnalyzerNotImportable, InvalidInput, UnknownKind
from tests.analyzers.sample_analyzers import Sample, Steps


def entry(kind: str, value: str) -> EntryPoint:
    return EntryPoint(name=kind, value=value, group=GROUP)


class Other(Steps):
    kind = "other"

    def __init__(self) -> None:
        raise RuntimeError("no room")


def test_a_registered_analyzer_is_found_and_another_process_can_import_it() -> None:
    registry = Registry([])
    assert registry.register(Steps) is Steps
    registry.register(Steps)
    assert isinstance(registry.get("sample"), Steps)
    assert registry.import_path("sample") == "tests.analyzers.sample_analyzers:Steps"
    assert registry.kinds() == [("sample", "1", "tests.analyzers.sample_analyzers.Steps")]


def test_a_plug_in_is_imported_only_when_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lazy_plugin.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry([entry("lazy", "lazy_plugin:Lazy"), entry("sample", "tests.analyzers.sample_analyzers:Steps")])
    assert registry.get("sample").version == "1"
    with pytest.raises(AnalyzerBroken, match="SystemExit: imported"):
        registry.get("lazy")


def test_a_broken_plug_in_spoils_no_other() -> None:
    registry = Registry(
        [
            entry("absent", "no_such_module:X"),
            entry("nothing", "tests.analyzers.sample_analyzers:note"),
            entry("misnamed", "tests.analyzers.sample_analyzers:Steps"),
            entry("twice", "tests.analyzers.sample_analyzers:Steps"),
            entry("twice", "tests.analyzers.sample_analyzers:Map"),
            entry("sample", "tests.analyzers.sample_analyzers:Steps"),
            entry("sample", "tests.analyzers.sample_analyzers:Steps"),
        ]
    )
    rows = {row.kind: row for row in registry.kinds()}
    assert rows["sample"].version == "1"
    assert "No module named 'no_such_module'" in rows["absent"].where
    assert "is not a class" in rows["nothing"].where
    assert "brings the kind 'sample'" in rows["misnamed"].where
    assert "Several packages" in rows["twice"].where
    assert [row.kind for row in registry.kinds() if not row.version] == [
        "absent",
        "misnamed",
        "nothing",
        "twice",
    ]


def test_an_unknown_kind_names_the_nearest() -> None:
    registry = Registry([entry("sample", "tests.analyzers.sample_analyzers:Steps"), entry("code", "x:Y")])
    with pytest.raises(UnknownKind, match="did you mean 'sample'") as caught:
        registry.get("sampel")
    assert caught.value.details["known"] == ["code", "sample"]
    with pytest.raises(UnknownKind, match="there are: code, sample"):
        registry.import_path("music")
    with pytest.raises(UnknownKind, match="there are: none"):
        Registry([]).get("x")


def test_what_is_no_analyzer_is_refused() -> None:
    registry = Registry([])
    registry.register(Sample)
    with pytest.raises(InvalidInput, match=r"sample_analyzers\.Sample already"):
        registry.register(Steps)
    with pytest.raises(InvalidInput, match="it is not a class"):
        registry.register(Steps())  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="has no phases"):
        registry.register(type("Bare", (), {"kind": "x", "version": "1", "resolve": print, "run": print}))
    with pytest.raises(InvalidInput, match="version must be"):
        registry.register(type("Old", (Steps,), {"version": 1}))


def test_an_analyzer_that_cannot_be_made_is_told_of() -> None:
    registry = Registry([])
    registry.register(Other)
    with pytest.raises(AnalyzerBroken, match="RuntimeError: no room"):
        registry.get("other")


def test_what_another_process_cannot_import_is_refused() -> None:
    class Local(Steps):
        kind = "local"

    registry = Registry([])
    registry.register(Local)
    with pytest.raises(AnalyzerNotImportable):
        registry.import_path("local")
    Local.__qualname__ = "Local"
    with pytest.raises(AnalyzerNotImportable, match="is not at"):
        registry.import_path("local")
    Local.__module__ = "__main__"
    with pytest.raises(AnalyzerNotImportable):
        registry.import_path("local")


def test_threads_that_ask_first_find_all_kinds() -> None:
    entries = [entry("map", "tests.analyzers.sample_analyzers:Map")]

    class Slow(list[EntryPoint]):
        def __iter__(self) -> Iterator[EntryPoint]:
            for one in list.__iter__(self):
                time.sleep(0.05)  # long enough for the other threads to ask meanwhile
                yield one

    registry = Registry()
    registry._found = Slow(entries)
    with ThreadPoolExecutor(8) as pool:
        assert {tuple(names) for names in pool.map(lambda _: registry._names(), range(8))} == {("map",)}
