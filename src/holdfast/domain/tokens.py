"""Tokens and client ids: what a client shows to say who it is."""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast.domain.access import Caller, Role

_ID = re.compile(r"[0-9a-f]{16}")
_SECRET = re.compile(r"hf_([0-9a-f]{16})_[A-Za-z0-9_-]{43}")
_CLIENT = re.compile(r"(anon-[A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})")
_SHOWN = re.compile(r"(hf_[0-9a-f]{16}_|anon-[A-Za-z0-9_-]{7})[A-Za-z0-9_.-]+")
_USED_EVERY = timedelta(minutes=1)

ID_BYTES = 8
SECRET_BYTES = 32
CLIENT_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token as it is kept, without its secret.

    Attributes:
        token_id: its id, which is no secret.
        name: what people call it.
        owner: whose things it opens.
        role: what it allows.
        created_at: when it was made.
        created_by: who made it.
        expires_at: when it ends; None for never.
        revoked_at: when somebody ended it.
        last_used_at: when it was last shown, to the minute.
    """

    token_id: str
    name: str
    owner: str
    role: Role
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    def problem(self, now: datetime) -> str | None:
        """Why it opens nothing any more; None while it does."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else None

    def use_is_due(self, now: datetime) -> bool:
        """Whether its use is to be noted again."""
        return self.last_used_at is None or now - self.last_used_at >= _USED_EVERY

    def caller(self, ip: str | None) -> Caller:
        """Who shows it."""
        # By its id, since anybody may choose the name of a worker or of another token.
        name = f"token:{self.token_id}"
        return Caller(name=name, owner=self.owner, role=self.role, ip=ip, token_id=self.token_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token that was just made.

    Attributes:
        token: the token.
        secret: what a client sends; shown this once, since only its hash is kept.
    """

    token: Token
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPage:
    """A page of a list of tokens.

    Attributes:
        items: the tokens, newest first.
        next: where the next page begins, to give as ``after``; None when this is the last one.
    """

    items: list[Token]
    next: str | None


def text_of(data: bytes) -> str:
    """Bytes as letters that are safe in a URL."""
    return urlsafe_b64encode(data).decode().rstrip("=")


def new_secret(token_id: str, random: bytes) -> str:
    """The secret of a token, made of 32 random bytes."""
    return f"hf_{token_id}_{text_of(random)}"


def is_token_id(text: str) -> bool:
    """Whether a text has the form of a token's id; no other need be looked for."""
    return _ID.fullmatch(text) is not None


def token_id_of(secret: str) -> str | None:
    """The id of the token that a secret is one of; None when it has not the form of a secret."""
    match = _SECRET.fullmatch(secret)
    return None if match is None else match[1]


def secret_hash(secret: str) -> str:
    """What is kept of a secret. It is random and long, so a fast hash can be no help in guessing it."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_client_id(key: bytes, random: bytes) -> str:
    """The id of an anonymous client, made of 16 random bytes and signed with ``key``."""
    client = f"anon-{text_of(random)}"
    return f"{client}.{_client_signature(key, client)}"


def is_client_id(key: bytes, client_id: str) -> bool:
    """Whether a client id was signed with ``key``."""
    match = _CLIENT.fullmatch(client_id)
    # As text: the last letter of a signature has bits to spare, and two ids must not be one client.
    return match is not None and hmac.compare_digest(_client_signature(key, match[1]), match[2])


def looks_like_client_id(name: str) -> bool:
    """Whether a name could be taken for an anonymous client's."""
    return _CLIENT.fullmatch(name) is not None


def masked(text: str) -> str:
    """A text for logs and traces: of each secret and client id in it the beginning only, as the whole opens a door."""
    return _SHOWN.sub(r"\1...", text) if "hf_" in text or "anon-" in text else text


def _client_signature(key: bytes, client: str) -> str:
    return text_of(hmac.digest(key, f"client\n{client}".encode(), "sha256"))
