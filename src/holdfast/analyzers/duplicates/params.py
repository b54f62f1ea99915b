"""Checks the parameters of a search for duplicates. Pure."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from holdfast.analyzers.duplicates.readers import PARAMETERS
from holdfast.analyzers.duplicates.versions import BIT, SAME_BY_DEFAULT, mask
from holdfast.domain.errors import InvalidParams

SORTS = ("artist", "song", "duplicates", "confidence", "play_count", "last_played", "date_added")
_MAX_TERM = 200
_MAX_TARGET = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What makes a track the one to keep; only the relation of the weights counts.

    Attributes:
        plays: how often it was played.
        short_title: how short its title is: labels make titles long.
        recency: how lately it was played.
        earliest_added: how long it has been in the library.
    """

    plays: float = 40.0
    short_title: float = 30.0
    recency: float = 20.0
    earliest_added: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """What can be chosen.

    Attributes:
        search_term: only tracks take part whose song, artist or album has it; "" for all.
        sort_by: the order of the groups.
        min_confidence: pairs less similar than this (0 to 1) count for nothing.
        safe_similarity: groups whose members all are at least so similar (0 to 1) are safe, others are for review.
        same_versions: the version classes that make no difference.
        itunes_library: another library, in which each duplicate is looked up; "" for none.
        canonical_weights: what makes a track the one to keep.
        reading: how to read the library, as its reader wants it; given beside the other parameters.
        itunes_options: the same for the other one.
    """

    search_term: str = ""
    sort_by: str = "artist"
    min_confidence: float = 0.0
    safe_similarity: float = 0.8
    same_versions: tuple[str, ...] = SAME_BY_DEFAULT
    itunes_library: str = ""
    canonical_weights: Weights = Weights()
    reading: Mapping[str, Any] = field(default_factory=dict)
    itunes_options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def same_mask(self) -> int:
        """The bits of the version classes that make no difference."""
        return mask(self.same_versions)

    def to_json(self) -> dict[str, Any]:
        """All parameters."""
        return {
            "search_term": self.search_term,
            "sort_by": self.sort_by,
            "min_confidence": self.min_confidence,
            "safe_similarity": self.safe_similarity,
            "same_versions": list(self.same_versions),
            "itunes_library": self.itunes_library,
            "canonical_weights": asdict(self.canonical_weights),
            "itunes_options": dict(self.itunes_options),
            **self.reading,
        }


def read_params(given: Mapping[str, Any]) -> Params:
    """Check what was given and fill in the rest.

    Raises:
        InvalidParams: a parameter is unknown or has a wrong value.
    """
    known = [*(one.name for one in fields(Params) if one.name != "reading"), *PARAMETERS]
    _refuse_unknown(given, known, "")
    default = Params()
    sort_by = given.get("sort_by") or default.sort_by
    if sort_by not in SORTS:
        raise InvalidParams(f"sort_by must be one of {', '.join(SORTS)}", field="sort_by")
    return Params(
        search_term=_text(given, "search_term", _MAX_TERM),
        sort_by=sort_by,
        min_confidence=_share(given, "min_confidence", default.min_confidence),
        safe_similarity=_share(given, "safe_similarity", default.safe_similarity),
        same_versions=_versions(given.get("same_versions")),
        itunes_library=_text(given, "itunes_library", _MAX_TARGET),
        canonical_weights=_weights(given.get("canonical_weights")),
        reading={name: given[name] for name in PARAMETERS if given.get(name) is not None},
        itunes_options=_options(given.get("itunes_options")),
    )


def _refuse_unknown(given: Mapping[str, Any], known: list[str], within: str) -> None:
    unknown = sorted(str(name) for name in given if name not in known)
    if unknown:
        name = f"{within}.{unknown[0]}" if within else unknown[0]
        raise InvalidParams(f"Unknown parameter {name!r}; there are {', '.join(known)}", field=name, unknown=unknown)


def _text(given: Mapping[str, Any], name: str, longest: int) -> str:
    value = given.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > longest or "\0" in value:
        raise InvalidParams(f"{name} must be a text of at most {longest} characters", field=name)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidParams(f"{name} is not UTF-8", field=name) from error
    return value.strip()


def _share(given: Mapping[str, Any], name: str, default: float) -> float:
    value = given.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InvalidParams(f"{name} must be a number from 0 to 1", field=name)
    return float(value)


def _versions(value: Any) -> tuple[str, ...]:
    if value is None:
        return SAME_BY_DEFAULT
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) and name in BIT for name in names):
        raise InvalidParams(f"same_versions must be a list out of {', '.join(BIT)}", field="same_versions")
    # In the order of the classes: the same choice has one fingerprint.
    return tuple(name for name in BIT if name in names)


def _weights(value: Any) -> Weights:
    if value is None:
        return Weights()
    name = "canonical_weights"
    if not isinstance(value, Mapping):
        raise InvalidParams(f"{name} must be an object of numbers", field=name)
    known = [one.name for one in fields(Weights)]
    _refuse_unknown(value, known, name)
    for key, weight in value.items():
        number = isinstance(weight, int | float) and not isinstance(weight, bool) and math.isfinite(weight)
        if not number or not 0 <= weight <= 1_000_000:
            raise InvalidParams(f"{name}.{key} must be a number from 0 to 1000000", field=f"{name}.{key}")
    weights = Weights(**{key: float(weight) for key, weight in value.items()})
    if not any(asdict(weights).values()):
        raise InvalidParams(f"{name} must not all be 0", field=name)
    return weights


def _options(value: Any) -> Mapping[str, Any]:
    name = "itunes_options"
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidParams(f"{name} must be an object of the parameters for reading a library", field=name)
    # What their values may be, the readers say.
    _refuse_unknown(value, list(PARAMETERS), name)
    return dict(value)
