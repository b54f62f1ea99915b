"""Signed words: opaque to whoever carries them, and good only where they were given out."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64

from holdfast.domain.errors import InvalidCursor

_LONGEST = 4096
_SIGNATURE_BYTES = 16


def seal(key: bytes, value: bytes, *bound: bytes) -> str:
    """Sign ``value``.

    Args:
        key: the secret.
        value: what to carry; readable, not changeable.
        bound: what must be the same when it comes back.

    Returns:
        A word that is safe in a URL.
    """
    return urlsafe_b64encode(_signature(key, value, *bound) + value).decode().rstrip("=")


def unseal(key: bytes, word: str, *bound: bytes) -> bytes:
    """The value that was signed.

    Raises:
        InvalidCursor: it was not signed with this key, or is bound to something else.
    """
    if len(word) > _LONGEST:
        raise InvalidCursor
    try:
        data = urlsafe_b64decode(word.encode("ascii") + b"=" * (-len(word) % 4))
    except (NotBase64, ValueError) as error:
        raise InvalidCursor from error
    signature, value = data[:_SIGNATURE_BYTES], data[_SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _signature(key, value, *bound)):
        raise InvalidCursor
    # The decoder passes over what is no letter of its own: one value has one word.
    if seal(key, value, *bound) != word:
        raise InvalidCursor
    return value


def _signature(key: bytes, *parts: bytes) -> bytes:
    # Each with its length, so that no two lists of parts are signed alike.
    message = b"".join(len(part).to_bytes(8, "big") + part for part in (b"word", *parts))
    return hmac.digest(key, message, "sha256")[:_SIGNATURE_BYTES]
