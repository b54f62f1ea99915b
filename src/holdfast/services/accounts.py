"""Accounts: tokens, anonymous clients, and what the installation signs."""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from holdfast.domain import ids
from holdfast.domain.access import LOCAL, Caller, Role
from holdfast.domain.errors import AuthenticationRequired, InvalidInput, NotFound
from holdfast.domain.ports import Clock, IdSource
from holdfast.store import tables
from holdfast.store.engine import Engine

_t = tables.tokens.c


class TokenNotFound(NotFound):
    """There is no such token."""

    code = "TOKEN_NOT_FOUND"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token as it is kept; its secret is known to its holder only.

    Attributes:
        token_id: its id.
        name: what people call it.
        owner: whose things it reaches.
        role: what its holder may do.
        created_at: when it was made.
        expires_at: when it ends; None for never.
        revoked_at: when it was revoked.
        last_used_at: when it was last used, about.
    """

    token_id: str
    name: str
    owner: str
    role: Role
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class AccountsService:
    """Who callers are."""

    def __init__(self, engine: Engine, clock: Clock, id_source: IdSource) -> None:
        """Work on ``engine``."""
        self._engine = engine
        self._clock = clock
        self._ids = id_source
        self._key: bytes | None = None

    def authenticate(self, secret: str, *, ip: str | None = None) -> Caller:
        """Who has this token.

        Raises:
            AuthenticationRequired: nobody.
        """
        wanted = hashlib.sha256(secret.encode(errors="replace")).hexdigest()
        with self._engine.read() as connection:
            row = connection.execute(sa.select(tables.tokens).where(_t.hash == wanted)).one_or_none()
        now = self._clock.now()
        if row is None or row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
            raise AuthenticationRequired("The token is not valid: it is unknown, expired or revoked")
        return Caller(name=f"token:{row.name}", owner=row.owner, role=Role(row.role), ip=ip)

    def create_token(
        self,
        name: str,
        *,
        owner: str,
        role: Role = Role.WRITER,
        ttl_seconds: float | None = None,
        caller: Caller = LOCAL,
    ) -> tuple[Token, str]:
        """A new token and its secret, which is told this once."""
        caller.require(Role.ADMIN)
        now = self._clock.now()
        secret = "hf_" + base64.urlsafe_b64encode(self._ids.random(32)).decode().rstrip("=")
        token = Token(
            token_id=ids.uuid7(now, self._ids.random(10)), name=name, owner=owner, role=role, created_at=now,
            expires_at=None if ttl_seconds is None else now + timedelta(seconds=ttl_seconds),
            revoked_at=None, last_used_at=None,
        )  # fmt: skip
        row = {field: getattr(token, field) for field in Token.__slots__}
        row |= {
            "role": role.value,
            "hash": hashlib.sha256(secret.encode()).hexdigest(),
            "created_by": caller.name,
        }
        self._engine.write(lambda connection: connection.execute(sa.insert(tables.tokens).values(row)).rowcount)
        return token, secret

    def list_tokens(self, *, caller: Caller = LOCAL) -> list[Token]:
        """Every token, newest first."""
        caller.require(Role.ADMIN)
        with self._engine.read() as connection:
            rows = connection.execute(sa.select(tables.tokens).order_by(_t.created_at.desc()).limit(1000)).all()
        return [
            Token(**{field: getattr(row, field) for field in Token.__slots__} | {"role": Role(row.role)})
            for row in rows
        ]

    def revoke_token(self, token_id: str, *, caller: Caller = LOCAL) -> Token:
        """End a token now."""
        caller.require(Role.ADMIN)
        now = self._clock.now()
        self._engine.write(
            lambda connection: (
                connection.execute(
                    sa.update(tables.tokens).where(_t.token_id == token_id).values(revoked_at=now)
                ).rowcount
            )
        )
        for token in self.list_tokens():
            if token.token_id == token_id:
                return token
        raise TokenNotFound(f"There is no token {token_id}")

    def create_client(self, ip: str | None = None) -> str:
        """A new anonymous client's id, signed."""
        return self.sign(self._ids.random(12).hex())

    def client(self, client_id: str, *, ip: str | None = None) -> Caller:
        """The anonymous client of that id.

        Raises:
            AuthenticationRequired: this installation has not given the id.
        """
        try:
            self.unsign(client_id)
        except InvalidInput as error:
            raise AuthenticationRequired("The client id is not valid; POST /api/v1/clients gives one") from error
        return Caller(name=client_id, owner=client_id, is_anonymous=True, ip=ip)

    def sign(self, text: str) -> str:
        """The text with a signature, as URLs can hold it."""
        return f"{text}.{self._signature(text)}"

    def unsign(self, signed: str) -> str:
        """The text that was signed here.

        Raises:
            InvalidInput: it was not.
        """
        text, _, signature = signed.rpartition(".")
        try:
            if hmac.compare_digest(self._signature(text).encode(), signature.encode()):
                return text
        except (UnicodeEncodeError, binascii.Error):
            pass
        raise InvalidInput("The signature is not valid")

    def _signature(self, text: str) -> str:
        if self._key is None:
            self._key = self._engine.write(self._load_key)
        digest = hmac.new(self._key, text.encode(errors="replace"), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest[:18]).decode()

    def _load_key(self, connection: sa.Connection) -> bytes:
        select = sa.select(tables.secrets.c.value).where(tables.secrets.c.name == "signing")
        kept = connection.execute(select).scalar_one_or_none()
        if kept is None:
            kept = self._ids.random(32)
            row = {"name": "signing", "value": kept, "created_at": self._clock.now()}
            connection.execute(sa.insert(tables.secrets).values(row))
        return bytes(kept)
