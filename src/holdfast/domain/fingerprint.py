"""Hashes that are the same in every process, on every machine, in every release."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from holdfast.domain.errors import InvalidParams
from holdfast.domain.subjects import Subject


def canonical_json(value: Any) -> bytes:
    """Encode JSON with sorted keys and no spaces, so that equal values give equal bytes.

    Raises:
        InvalidParams: for what JSON cannot say (NaN, bytes, sets, ...).
    """
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidParams(f"Parameters must be JSON: {error}") from error


def fingerprint(kind: str, subject: Subject | None, params: Mapping[str, Any]) -> str:
    """Name one input of one kind of analysis: the same input gives the same fingerprint.

    Args:
        kind: the kind of analysis.
        subject: what is analysed; its kind, key and revision count, its title does not.
        params: the parameters of the analysis.

    Returns:
        SHA-256 in hexadecimal, 64 characters.
    """
    about = None if subject is None else [subject.kind, subject.key, subject.revision]
    return hashlib.sha256(canonical_json([kind, about, dict(params)])).hexdigest()


def code_hash(content: str | bytes) -> str:
    """SHA-256 in hexadecimal of what was analysed: its bytes, or its revision where that names the content."""
    # A name of a file need not be Unicode: os.fsdecode makes lone surrogates of the rest.
    data = content.encode(errors="surrogatepass") if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()
