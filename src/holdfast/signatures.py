"""What names a call of a function (its arguments, its code), and what its result is read as."""

import ast
import hashlib
import inspect
import math
import re
import sys
import textwrap
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import msgspec

from holdfast.domain.checks import KIND_LENGTH
from holdfast.domain.errors import InvalidInput, InvalidParams

_SUGGESTION = "Give @analysis(key=...) a function of the same arguments that returns what names the call"
_SCALARS = (str, bytes, int, float, complex, bool, type(None))
_FOREIGN = re.compile(r"[^a-z0-9._-]+")


def check_function(function: Any) -> FunctionType:
    """Return ``function`` if its results can be kept, or raise InvalidInput that says why not."""
    if isinstance(function, staticmethod | classmethod):
        raise InvalidInput(f"Write @{type(function).__name__} above @analysis, not below it")
    if not isinstance(function, FunctionType):
        raise InvalidInput(f"@analysis is for functions, not for {function!r:.80}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidInput(
            f"{function.__qualname__}() yields: there is no result to keep. Return a list, or keep what it yields "
            "with `with hf.track(...) as run`"
        )
    return function


def default_kind(function: FunctionType) -> str:
    """A kind of analysis made from the function's name."""
    name = _FOREIGN.sub("-", function.__name__.lower()).lstrip("._-").rstrip("-")
    return name[:KIND_LENGTH] or "function"


def key_of(function: FunctionType) -> str:
    """``module.qualname``; of a script's function the script's name in place of ``__main__``."""
    module = function.__module__
    if module == "__main__":
        main = sys.modules["__main__"]
        spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
        module = spec.name if spec is not None else Path(file).stem if file else module
    return f"{module}.{function.__qualname__}"


def source_hash(function: FunctionType) -> str:
    """SHA-256 in hexadecimal of the function's code: layout, comments and decorators do not count."""
    # A lambda's source is its whole line, which another lambda may share.
    text = None if function.__name__ == "<lambda>" else _source(function)
    return hashlib.sha256(_bytecode(function.__code__) if text is None else text.encode()).hexdigest()


def _source(function: FunctionType) -> str | None:
    try:
        text = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError, SyntaxError):
        # Typed into an interpreter, or made by exec().
        return None
    try:
        definition = ast.parse(text).body[0]
    except (SyntaxError, IndexError):
        return text
    if isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef):
        definition.decorator_list = []
    return ast.unparse(definition)


def _bytecode(code: CodeType) -> bytes:
    parts = [code.co_code, repr((code.co_names, code.co_varnames, code.co_freevars)).encode()]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            parts.append(_bytecode(constant))
        elif isinstance(constant, frozenset):
            # In the order of its hashes, which are other ones in each process.
            parts.append(repr(sorted(map(repr, constant))).encode())
        else:
            parts.append(repr(constant).encode())
    return b"\0".join(hashlib.sha256(part).digest() for part in parts)


def captured(function: FunctionType) -> str:
    """What a nested function has captured, shortly: functions that differ only in that are not the same.

    Only plain constants count. Whatever can change (a list, an open store) is not part of the code.
    """
    values = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            value = cell.cell_contents
        except ValueError:
            # Not bound yet: a function that calls itself.
            continue
        if isinstance(value, _SCALARS):
            values[name] = repr(value)
    return f"+{hashlib.sha256(repr(sorted(values.items())).encode()).hexdigest()[:16]}" if values else ""


class Arguments:
    """Turns the arguments of a call into an analysis's parameters."""

    def __init__(self, function: FunctionType, key: Callable[..., Any] | None) -> None:
        """Of ``function``, or what ``key`` makes of them."""
        self._name = function.__qualname__
        self._signature = inspect.signature(function)
        self._key = key

    def params(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments by name, defaults filled in.

        Raises:
            TypeError: they do not fit the function.
            InvalidParams: one cannot be said in JSON; the error names it.
        """
        bound = self._signature.bind(*args, **kwargs)
        if self._key is not None:
            return {"key": self._plain(f"What key= returned for {self._name}()", "key", self._key(*args, **kwargs))}
        bound.apply_defaults()
        return {
            name: self._plain(f"The argument {name!r} of {self._name}()", name, value)
            for name, value in bound.arguments.items()
        }

    def _plain(self, what: str, name: str, value: Any) -> Any:
        try:
            return _plain(value, "")
        except _NotPlainError as error:
            raise InvalidParams(
                f"{what} cannot be said in JSON: {error}. {_SUGGESTION}.", argument=name, function=self._name
            ) from None
        except RecursionError:
            raise InvalidParams(
                f"{what} cannot be said in JSON: it is nested too deeply. {_SUGGESTION}.",
                argument=name,
                function=self._name,
            ) from None


class _NotPlainError(Exception):
    pass


def _plain(value: Any, place: str) -> Any:
    """The value in JSON's types; what would come to equal another value is refused."""
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
            raise _NotPlainError(f"{place or 'it'} holds a character that is not Unicode")
        return value
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, list | tuple):
        return [_plain(item, f"{place}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {str(key): _plain(item, f"{place}[{key!r}]") for key, item in value.items()}
    kind = type(value)
    shown = value if isinstance(value, float) else f"of type {kind.__module__}.{kind.__qualname__}"
    if isinstance(value, dict):
        shown = "a dictionary whose keys are not all strings"
    raise _NotPlainError(f"{place or 'it'} is {shown}")


class Decoder:
    """Reads a kept result as what the function says that it returns, or as plain JSON."""

    def __init__(self, function: FunctionType) -> None:
        """For the results of ``function``."""
        self._function = function
        self._plain: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
        self._typed: msgspec.json.Decoder[Any] | None = None

    def decode(self, content: bytes) -> Any:
        """The result; if it does not fit the annotation, plain JSON."""
        # Late: an annotation may name what the module defines below the function.
        if self._typed is None:
            self._typed = self._made()
        try:
            return self._typed.decode(content)
        except msgspec.ValidationError:
            return self._plain.decode(content)

    def _made(self) -> msgspec.json.Decoder[Any]:
        try:
            returned = typing.get_type_hints(self._function, include_extras=True).get("return", Any)
            return msgspec.json.Decoder(returned)
        except Exception:  # noqa: BLE001 annotations are evaluated, and may be anything
            return self._plain
