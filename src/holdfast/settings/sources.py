"""Where each value comes from: code, then the environment, then the file, then the default."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource, SettingsError

from holdfast.domain.errors import InvalidInput
from holdfast.settings.files import find_file, read_file
from holdfast.settings.masks import MASK, is_secret, masked
from holdfast.settings.model import Settings
from holdfast.settings.values import Also

_PREFIX = "HOLDFAST_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a value comes from.

    Attributes:
        kind: ``code``, ``environment``, ``file`` or ``default``.
        name: the variable, or the place in the file; empty otherwise.
        file: the file's path, if it is one.
    """

    kind: str
    name: str = ""
    file: Path | None = None

    def __str__(self) -> str:
        if self.kind == "environment":
            return self.name
        return f"{self.name} in {self.file}" if self.kind == "file" else self.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The settings and where they come from.

    Attributes:
        settings: the settings.
        origins: where each comes from, by name.
        file: the file that was read, if there was one.
    """

    settings: Settings
    origins: Mapping[str, Origin]
    file: Path | None

    def shown(self, name: str) -> Any:
        """A value as it may be shown, JSON-able: without passwords and keys."""
        value = getattr(self.settings, name)
        if is_secret(name, value):
            return MASK
        return masked(self.settings.model_dump(mode="json", include={name})[name])


def read_settings(**given: Any) -> Settings:
    """The settings: those given that are not None, then the environment's, then the file's, then the defaults.

    Raises:
        InvalidInput: a setting has a wrong value; the error names it, and where it stands.
    """
    return read_configuration(**given).settings


def read_configuration(**given: Any) -> Configuration:
    """The settings, as ``read_settings`` reads them, and where each comes from.

    Raises:
        InvalidInput: a setting has a wrong value; the error names it, and where it stands.
    """
    unknown = given.keys() - Settings.model_fields.keys()
    if unknown:
        raise InvalidInput(f"There is no setting {', '.join(sorted(unknown))}", settings=sorted(unknown))
    file = find_file()
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    if file is not None:
        for name, written in read_file(file).items():
            values[name], origins[name] = written.value, Origin(kind="file", name=written.place, file=file)
    for name, (value, variable) in _environment().items():
        values[name], origins[name] = value, Origin(kind="environment", name=variable)
    for name, value in given.items():
        if value is not None:
            values[name], origins[name] = value, Origin(kind="code")
    try:
        settings = Settings(**values)
    except ValidationError as error:
        problems = [_problem(problem["loc"], problem["msg"], origins) for problem in error.errors(include_input=False)]
        raise InvalidInput(f"A setting is not valid: {'; '.join(problems)}", problems=problems) from None
    default = Origin(kind="default")
    return Configuration(
        settings=settings, origins={name: origins.get(name, default) for name in Settings.model_fields}, file=file
    )


def _environment() -> dict[str, tuple[Any, str]]:
    """Values by name, each with the variable that gives it."""
    found: dict[str, tuple[Any, str]] = {}
    for name, field in Settings.model_fields.items():
        for also in field.metadata:
            if isinstance(also, Also) and (text := os.environ.get(also.variable)):
                found[name] = also.convert(text), also.variable
    try:
        given = EnvSettingsSource(Settings)()
    except SettingsError as error:
        name = next((name for name in Settings.model_fields if f'"{name}"' in str(error)), "")
        raise InvalidInput(
            f"A setting is not valid: {name} ({_PREFIX}{name.upper()}) is not JSON", setting=name
        ) from error
    found.update({name: (value, f"{_PREFIX}{name.upper()}") for name, value in given.items()})
    return found


def _problem(place: tuple[int | str, ...], message: str, origins: Mapping[str, Origin]) -> str:
    name = str(place[0]) if place else ""
    origin = origins.get(name)
    where = "" if origin is None or origin.kind == "code" else f" ({origin})"
    return f"{'.'.join(map(str, place))}{where}: {masked(message)}"
