"""The ways of answering; encoded once, by msgspec."""

import gzip
import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from holdfast import records
from holdfast.domain.analysis import Analysis
from holdfast.domain.freshness import Age
from holdfast.records import Record, time
from holdfast.store.payloads import unpack

_encoder = msgspec.json.Encoder()


def json(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON."""
    return Response(_encoder.encode(body), status, headers, "application/json")


def epoch(at: datetime | None) -> float | None:
    """Seconds since 1970, as the documents show times."""
    return None if at is None else at.timestamp()


def plain(value: Any) -> Record:
    """Any other value of the services: its fields, with times as everywhere."""
    fields = {name: getattr(value, name) for name in value.__dataclass_fields__}
    return {name: time(field) if isinstance(field, datetime) else field for name, field in fields.items()}


def etag_of(value: Analysis, age: Age) -> str:
    """Names the state of an analysis: its version, how often it was retrieved, and how old it has grown.

    If-Match compares the version alone: neither a retrieval nor age between reading and changing takes anything away.
    """
    return f'"{value.version}.{value.retrieval_count}.{age.level or ""}"'


def is_known(request: Request, etag: str) -> bool:
    """Whether the asker has it already, in whatever encoding."""
    given = request.headers.get("if-none-match")
    if given is None:
        return False
    wanted = _base(etag)
    return any(part.strip() == "*" or _base(part) == wanted for part in given.split(","))


def _base(etag: str) -> str:
    return etag.strip().removeprefix("W/").strip('"').partition("-")[0]


def unchanged(etag: str, vary: str | None = None) -> Response:
    """The answer to who has it already."""
    headers = {"etag": etag, "cache-control": "private, no-cache"}
    return Response(status_code=304, headers=headers if vary is None else headers | {"vary": vary})


def one(request: Request, value: Analysis, age: Age) -> Response:
    """An analysis, unless the asker has it already."""
    etag = etag_of(value, age)
    if is_known(request, etag):
        return unchanged(etag)
    return json(records.analysis(value, age), headers={"etag": etag, "cache-control": "private, no-cache"})


def tag_of(content: Any, *versions: int) -> str:
    """Names a state by versions, for If-Match, and by all that is shown of it, for what changes without a version."""
    shown = int.from_bytes(hashlib.blake2b(_encoder.encode(content), digest_size=8).digest())
    return f'"{".".join(map(str, (*versions, shown)))}"'


def tagged(request: Request, content: Any, tag: str) -> Response:
    """An answer in JSON, unless the asker has this state of it already."""
    if is_known(request, tag):
        return unchanged(tag)
    return json(content, headers={"etag": tag, "cache-control": "private, no-cache"})


def payload(taken: str, digest: str, frame: bytes) -> Response:
    """A result's bytes: as they are kept for who takes zstd, otherwise unpacked, and packed anew for who takes gzip.

    Args:
        taken: the encoding to answer in, see ``accepted``.
        digest: SHA-256 of the content.
        frame: the content as it is kept.
    """
    headers = {"vary": "Accept-Encoding", "cache-control": "private, no-cache"}
    if taken == "zstd":
        content, headers["content-encoding"] = frame, "zstd"
    else:
        content = unpack(digest, frame)
        if taken == "gzip":
            # Level 1: two thirds of the gain for a fifth of the time.
            content, headers["content-encoding"] = gzip.compress(content, 1, mtime=0), "gzip"
    # Each form has a tag of its own, as strong tags are of bytes.
    headers["etag"] = f'"{digest}"' if taken == "identity" else f'"{digest}-{taken}"'
    return Response(content, headers=headers, media_type="application/json")


def accepted(header: str) -> str:
    """The encoding to answer in: zstd, gzip or identity."""
    weights: dict[str, float] = {}
    for part in header.split(","):
        name, _, parameters = part.strip().lower().partition(";")
        weight = 1.0
        if parameters.strip().startswith("q="):
            try:
                weight = float(parameters.strip()[2:])
            except ValueError:
                weight = 0.0
        weights[name.strip()] = weight
    # What is kept is zstd: it is taken unless gzip is liked better.
    zstd, packed = weights.get("zstd", 0.0), weights.get("gzip", 0.0)
    if zstd > 0 and zstd >= packed:
        return "zstd"
    return "gzip" if packed > 0 else "identity"
