"""What is never shown: passwords and keys, and those inside of URLs."""

import re
from typing import Any

from pydantic import SecretStr

MASK = "***"
_SECRET = re.compile(r"(password|secret|api_key|token)$")
# The password of a URL, and of the parameters that drivers take it from.
_IN_URL = re.compile(r"(?P<head>[a-z][a-z0-9+.-]*://[^:@/\s]*:)[^/?#\s]*(?=@)", re.IGNORECASE)
_IN_QUERY = re.compile(r"(?P<head>[?&;](?:password|passwd|sslpassword|api_key|token)=)[^&;#\s]*", re.IGNORECASE)


def is_secret(name: str, value: Any) -> bool:
    """Whether nothing of a setting's value may be shown."""
    return bool(value) and (isinstance(value, SecretStr) or _SECRET.search(name) is not None)


def masked(value: Any) -> Any:
    """A value without the passwords in its URLs, however deep they stand."""
    if isinstance(value, dict):
        return {key: masked(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [masked(inner) for inner in value]
    if isinstance(value, str):
        value = _IN_URL.sub(rf"\g<head>{MASK}", value)
        return _IN_QUERY.sub(rf"\g<head>{MASK}", value)
    return value
