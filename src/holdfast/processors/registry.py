"""Which processors there are: registered in code, or brought by packages."""

from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from holdfast.domain.errors import InvalidInput, ProcessorError, UnknownProcessor
from holdfast.domain.processing import processor_name
from holdfast.processors.contract import Processor, Surroundings
from holdfast.store.engine import Engine

GROUP = "holdfast.processors"


class Processors:
    """The processors by name, each made when it is first asked for."""

    def __init__(
        self,
        engine: Engine,
        enabled: Iterable[str],
        options: Mapping[str, Mapping[str, Any]] | None = None,
        classes: Iterable[type[Any]] = (),
    ) -> None:
        """Know the enabled ones.

        Args:
            engine: the database.
            enabled: the names of those that are kept up to date.
            options: the settings of each by its name.
            classes: processors that no package brings.
        """
        self._engine = engine
        self._options = dict(options or {})
        self._classes = {made.name: made for made in classes}
        self._made: dict[str, Processor] = {}
        self.enabled = tuple(dict.fromkeys(enabled))

    def installed(self) -> list[str]:
        """Every name that there is, enabled or not."""
        return sorted({*self._classes, *(entry.name for entry in _found()), *self.enabled})

    def get(self, name: str) -> Processor:
        """An enabled processor.

        Raises:
            UnknownProcessor: there is none of that name, or it is not enabled.
            ProcessorError: it cannot be loaded.
        """
        if name not in self.enabled:
            raise UnknownProcessor(
                f"{name[:80]!r} is no processor that is enabled; there are: {', '.join(self.enabled) or 'none'}",
                field="processor",
            )
        made = self._made.get(name)
        if made is None:
            made = self._made.setdefault(name, self._make(name))
        return made

    def renew(self, name: str, old: Processor) -> Processor:
        """Have another one made in the place of ``old`` when it is next asked for; returns ``old``."""
        if self._made.get(name) is old:
            del self._made[name]
        return old

    def check(self, names: Iterable[str] | None) -> list[str]:
        """The names, all of enabled processors; every enabled one when None.

        Raises:
            UnknownProcessor: one of them is none.
        """
        wanted = list(self.enabled if names is None else dict.fromkeys(map(processor_name, names)))
        for name in wanted:
            if name not in self.enabled:
                self.get(name)
        return wanted

    def close(self) -> None:
        """Release what they hold."""
        for processor in self._made.values():
            processor.close()

    def _make(self, name: str) -> Processor:
        surroundings = Surroundings(engine=self._engine, options=self._options.get(name, {}))
        try:
            made: Processor = self._class(name)(surroundings)
        except InvalidInput:
            raise
        # A plug-in may fail in any way while it is loaded.
        except (Exception, SystemExit) as error:
            raise ProcessorError(
                f"The processor {name!r} cannot be loaded: {type(error).__name__}: {error}", processor=name
            ) from error
        if made.name != name:
            raise ProcessorError(f"The entry point {name!r} brings the processor {made.name!r}", processor=name)
        return made

    def _class(self, name: str) -> Any:
        if name in self._classes:
            return self._classes[name]
        found = [entry for entry in _found() if entry.name == name]
        if not found:
            raise UnknownProcessor(f"There is no processor {name[:80]!r}", field="processor")
        return found[0].load()


def _found() -> list[EntryPoint]:
    return list(entry_points(group=GROUP))
