"""Which analyzers there are: registered in code, or brought by packages."""

import difflib
import importlib
import sys
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple

from holdfast.domain.errors import AnalyzerNotImportable, InvalidInput, UnknownKind
from holdfast.domain.ports import Analyzer

GROUP = "holdfast.analyzers"


class AnalyzerBroken(InvalidInput):
    """The analyzer cannot be loaded."""

    code = "ANALYZER_BROKEN"
    suggestions = ("Repair, upgrade or remove the package that brings the analyzer",)


class KindRow(NamedTuple):
    """One kind of analysis.

    Attributes:
        kind: its name.
        version: its analyzer's version; ``""`` if that cannot be loaded.
        where: the analyzer's class and the package that brings it, or why it cannot be loaded.
    """

    kind: str
    version: str
    where: str


class Registry:
    """The analyzers by kind; what is registered in code goes before what a package brings."""

    def __init__(self, found: Iterable[EntryPoint] | None = None) -> None:
        """Start with the installed plug-ins, none of which is imported before it is asked for.

        Args:
            found: entry points to use instead of the installed ones.
        """
        self._found = None if found is None else list(found)
        self._classes: dict[str, type[Analyzer]] = {}
        self._by_kind: dict[str, list[EntryPoint]] | None = None

    def register(self, analyzer_class: type[Any]) -> type[Any]:
        """Add an analyzer; usable as a decorator.

        Raises:
            InvalidInput: it is no analyzer, or its kind is taken by another one.
        """
        _check(analyzer_class)
        kind: str = analyzer_class.kind
        known = self._classes.get(kind)
        if known is not None and (known.__module__, known.__qualname__) != (
            analyzer_class.__module__,
            analyzer_class.__qualname__,
        ):
            raise InvalidInput(
                f"The kind {kind!r} is that of {known.__module__}.{known.__qualname__} already", field="kind"
            )
        self._classes[kind] = analyzer_class
        return analyzer_class

    def get(self, kind: str) -> Analyzer:
        """A new analyzer of that kind.

        Raises:
            UnknownKind: there is none.
            AnalyzerBroken: there is one that cannot be loaded.
        """
        analyzer_class = self._class(kind)
        try:
            return analyzer_class()
        except Exception as error:
            # Its constructor is somebody else's, and fails in any way it likes.
            raise AnalyzerBroken(
                f"The analyzer of kind {kind!r} cannot be made: {type(error).__qualname__}: {error}",
                kind=kind,
            ) from error

    def version(self, kind: str) -> str:
        """The version of a kind's analyzer.

        Raises:
            UnknownKind: there is none.
            AnalyzerBroken: there is one that cannot be loaded.
        """
        version: str = self._class(kind).version
        return version

    def kinds(self) -> list[KindRow]:
        """Every kind, by name; a broken one is in the list and spoils no other."""
        return [self._row(kind) for kind in self._names()]

    def import_path(self, kind: str) -> str:
        """``module:qualname`` by which another process imports the analyzer.

        Raises:
            AnalyzerNotImportable: no other process can import it.
            UnknownKind: there is none.
            AnalyzerBroken: there is one that cannot be loaded.
        """
        analyzer_class = self._class(kind)
        module, name = analyzer_class.__module__, analyzer_class.__qualname__
        if module == "__main__" or "<locals>" in name:
            raise AnalyzerNotImportable(
                f"The analyzer of kind {kind!r}, {module}.{name}, cannot be imported by another process",
                kind=kind,
            )
        try:
            found: Any = sys.modules.get(module) or importlib.import_module(module)
            for attribute in name.split("."):
                found = getattr(found, attribute)
        except (ImportError, AttributeError) as error:
            raise AnalyzerNotImportable(
                f"The analyzer of kind {kind!r} is not at {module}.{name}: {error}", kind=kind
            ) from error
        if found is not analyzer_class:
            raise AnalyzerNotImportable(
                f"Another thing than the analyzer of kind {kind!r} is at {module}.{name}", kind=kind
            )
        return f"{module}:{name}"

    def _plugins(self) -> dict[str, list[EntryPoint]]:
        if self._by_kind is None:
            # Filled before it is shown: another thread must not take a part for the whole.
            by_kind: dict[str, list[EntryPoint]] = {}
            for entry in entry_points(group=GROUP) if self._found is None else self._found:
                same = by_kind.setdefault(entry.name, [])
                # One package may be found twice on the path, installed and as a checkout.
                if entry.value not in [other.value for other in same]:
                    same.append(entry)
            self._by_kind = by_kind
        return self._by_kind

    def _names(self) -> list[str]:
        return sorted({*self._classes, *self._plugins()})

    def _class(self, kind: str) -> type[Analyzer]:
        if kind not in self._classes:
            plugins = self._plugins().get(kind)
            if plugins is None:
                raise self._unknown(kind)
            if len(plugins) > 1:
                sources = " and ".join(sorted(_source(entry) for entry in plugins))
                raise AnalyzerBroken(f"Several packages bring the kind {kind!r}: {sources}", kind=kind)
            self._classes[kind] = _load(plugins[0])
        return self._classes[kind]

    def _unknown(self, kind: str) -> UnknownKind:
        known = self._names()
        close = difflib.get_close_matches(str(kind), known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else f"; there are: {', '.join(known) or 'none'}"
        return UnknownKind(f"There is no analyzer of kind {str(kind)[:100]!r}{hint}", known=known, nearest=close)

    def _row(self, kind: str) -> KindRow:
        try:
            analyzer_class = self._class(kind)
        except AnalyzerBroken as error:
            return KindRow(kind, "", error.message)
        where = f"{analyzer_class.__module__}.{analyzer_class.__qualname__}"
        plugins = self._plugins().get(kind, [])
        source = plugins[0].dist if len(plugins) == 1 else None
        return KindRow(kind, analyzer_class.version, f"{where} ({source.name})" if source else where)


def _load(entry: EntryPoint) -> type[Analyzer]:
    try:
        analyzer_class: type[Analyzer] = entry.load()
        _check(analyzer_class)
    # A plug-in may fail in any way while it is imported, by sys.exit() too; that must stay its own trouble.
    except (Exception, SystemExit) as error:
        raise AnalyzerBroken(
            f"The analyzer of kind {entry.name!r}, {_source(entry)}, cannot be loaded: "
            f"{type(error).__qualname__}: {error}",
            kind=entry.name,
        ) from error
    if analyzer_class.kind != entry.name:
        raise AnalyzerBroken(
            f"The entry point {entry.name!r}, {_source(entry)}, brings the kind {analyzer_class.kind!r}",
            kind=entry.name,
        )
    return analyzer_class


def _source(entry: EntryPoint) -> str:
    return f"{entry.value} of {entry.dist.name}" if entry.dist else entry.value


def _check(analyzer_class: Any) -> None:
    problem = None
    if not isinstance(analyzer_class, type):
        problem = "it is not a class"
    else:
        for name in ("kind", "version"):
            value = getattr(analyzer_class, name, None)
            if not isinstance(value, str) or not value:
                problem = f"its {name} must be a string"
        for name in ("resolve", "run"):
            if not callable(getattr(analyzer_class, name, None)):
                problem = f"it has no method {name}"
        if getattr(analyzer_class, "phases", None) is None:
            problem = "it has no phases"
    if problem:
        raise InvalidInput(f"{analyzer_class!r:.200} is no analyzer: {problem}")
