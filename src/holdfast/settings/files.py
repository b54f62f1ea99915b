"""The TOML file: where it is looked for, and what it says."""

import difflib
import os
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_config_path

from holdfast.domain.errors import InvalidInput
from holdfast.settings.model import GROUPS, Settings

VARIABLE = "HOLDFAST_CONFIG"
NAME = "holdfast.toml"

_SECTIONS: dict[str, frozenset[str]] = {str(vars(group)["section"]): frozenset(group.model_fields) for group in GROUPS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A value that stands in the file.

    Attributes:
        value: as TOML has it.
        place: its section and name there.
    """

    value: Any
    place: str


def find_file() -> Path | None:
    """The one file that is read: the one HOLDFAST_CONFIG names, else the working folder's, else the user's.

    Returns:
        Its path; None when there is none, or HOLDFAST_CONFIG is empty.

    Raises:
        InvalidInput: HOLDFAST_CONFIG names none.
    """
    named = os.environ.get(VARIABLE)
    if named is not None:
        path = Path(named).expanduser()
        if named and not path.is_file():
            raise InvalidInput(f"{VARIABLE} names {named}, where there is no file", variable=VARIABLE)
        return path if named else None
    usual = (Path(NAME), user_config_path("holdfast") / NAME)
    return next((path.absolute() for path in usual if _is_there(path)), None)


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        # In a folder that is somebody else's: nothing there is meant for us.
        return False


def read_file(path: Path) -> dict[str, Written]:
    """What a file says, by setting.

    Raises:
        InvalidInput: it cannot be read, is no TOML, or says what is no setting; the error names file and place.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"The file {path} cannot be read: {error}", file=str(path)) from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"The file {path} is not TOML: {error}", file=str(path)) from error
    found: dict[str, Written] = {}
    for key, value in content.items():
        section = _SECTIONS.get(key)
        if section is not None and isinstance(value, dict):
            for name, inner in value.items():
                _check_known(path, name, section, key)
                _note(path, found, name, Written(value=inner, place=f"{key}.{name}"))
        else:
            _check_known(path, key, Settings.model_fields.keys(), None)
            _note(path, found, key, Written(value=value, place=key))
    return found


def _note(path: Path, found: dict[str, Written], name: str, written: Written) -> None:
    if name in found:
        raise InvalidInput(
            f"The file {path} gives {name} twice: as {found[name].place} and as {written.place}",
            file=str(path),
            setting=name,
        )
    found[name] = written


def _check_known(path: Path, name: str, known: Iterable[str], section: str | None) -> None:
    if name in (known := set(known)):
        return
    where = f"section [{section}] of the file {path}" if section else f"file {path}"
    home = next((other for other, names in _SECTIONS.items() if section is not None and name in names), None)
    candidates = [*known, *(() if section else _SECTIONS)]
    near = difflib.get_close_matches(name, candidates, n=1) or difflib.get_close_matches(
        name, list(Settings.model_fields), n=1
    )
    hint = f"; it belongs to [{home}]" if home else f"; did you mean {near[0]}?" if near else ""
    raise InvalidInput(f"The {where} gives {name!r}, which is no setting there{hint}", file=str(path), setting=name)
