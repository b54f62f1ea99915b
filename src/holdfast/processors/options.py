"""What a processor is set up with, as a typed value."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from holdfast.domain.errors import InvalidInput

T = TypeVar("T")


def typed(options: Mapping[str, Any], kind: type[T], processor: str) -> T:
    """The options as a ``kind``, a frozen dataclass with defaults.

    Raises:
        InvalidInput: there is no such option, or it has a wrong value.
    """
    unknown = options.keys() - kind.__dataclass_fields__.keys()  # type: ignore[attr-defined]
    if unknown:
        raise InvalidInput(f"The processor {processor} has no option {', '.join(sorted(unknown))}")
    try:
        return msgspec.convert(dict(options), kind)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"An option of the processor {processor} is not valid: {error}") from error
