"""Accounts: tokens, anonymous clients, and words that nobody else can write."""

import hmac
import logging
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from holdfast.documents import to_json
from holdfast.domain import tokens
from holdfast.domain.access import LOCAL, Caller, Role
from holdfast.domain.checks import check_limit, check_name, check_positive
from holdfast.domain.errors import AuthenticationRequired, Forbidden, InvalidCursor, InvalidInput, TokenNotFound
from holdfast.domain.events import Event
from holdfast.domain.ports import Clock, IdSource
from holdfast.domain.signing import seal, unseal
from holdfast.domain.tokens import NewToken, Token, TokenPage
from holdfast.store.lists import Place
from holdfast.store.token_uses import TokenUses
from holdfast.store.unit_of_work import Store, UnitOfWork

_log = logging.getLogger(__name__)

_LARGEST_PAGE = 1000
_NAME_LENGTH = 256
_KEY = "signing"
_KEY_BYTES = 32
# A token that another process revokes is refused here within five seconds: this, and a slow read.
_VERIFIED_FOR = timedelta(seconds=4)
_VERIFIED_AT_MOST = 1000
_NO_HASH = tokens.secret_hash("")
_REFUSED = "The token is not valid"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class AccountsService:
    """Who callers are, and what they were given to come back with."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        id_source: IdSource,
        *,
        anonymous_clients: bool = False,
        same_ip_recovery: bool = False,
    ) -> None:
        """Work on ``store``.

        Args:
            store: where tokens are kept.
            clock: tells the time.
            id_source: gives randomness.
            anonymous_clients: whether clients that nobody vouches for are let in.
            same_ip_recovery: whether, in local mode, they also see what was asked for from their address.
        """
        self._store = store
        self._clock = clock
        self._ids = id_source
        self._anonymous_clients = anonymous_clients
        self._same_ip_recovery = same_ip_recovery
        self._verified = _Verified()
        self._uses = TokenUses(store)
        self._signing_key: bytes | None = None
        self._has_tokens = False

    def close(self) -> None:
        """Write what is still to be noted."""
        self._uses.close()

    def create_token(
        self,
        name: str,
        *,
        owner: str | None = None,
        role: Role = Role.WRITER,
        expires_in_seconds: float | None = None,
        caller: Caller = LOCAL,
    ) -> NewToken:
        """Make a token.

        Args:
            name: what people call it.
            owner: whose things it opens; an owner of the token's name when None, so that no two tokens share things
                unless somebody says so.
            role: what it allows.
            expires_in_seconds: how long it is good for; None for ever.
            caller: who makes it.

        Returns:
            The token and its secret, which cannot be had again.

        Raises:
            Forbidden: only administrators make tokens.
            InvalidInput: the name or the owner cannot be kept.
        """
        caller.require(Role.ADMIN)
        check_name(name, "name", _NAME_LENGTH)
        owner = check_name(name if owner is None else owner, "owner", _NAME_LENGTH)
        if tokens.looks_like_client_id(owner):
            raise InvalidInput("A token cannot have an anonymous client's things", field="owner")
        seconds = check_positive("expires_in_seconds", expires_in_seconds)
        token_id = self._ids.random(tokens.ID_BYTES).hex()
        secret = tokens.new_secret(token_id, self._ids.random(tokens.SECRET_BYTES))

        def work(uow: UnitOfWork) -> NewToken:
            token = Token(
                token_id=token_id,
                name=name,
                owner=owner,
                role=role,
                created_at=uow.now,
                created_by=caller.name,
                expires_at=None if seconds is None else uow.now + timedelta(seconds=seconds),
            )
            uow.accounts.insert(token, tokens.secret_hash(secret))
            uow.ledger.append([_event("token.created", token, caller, uow.now)])
            return NewToken(token=token, secret=secret)

        return self._store.write(work)

    def has_tokens(self) -> bool:
        """Whether a token was ever made, by whatever process; one that is revoked or has expired counts as well."""
        if not self._has_tokens:
            # Only a yes is remembered: tokens are never forgotten, and a no ends with another process's commit.
            self._has_tokens = self._store.read(lambda uow: uow.accounts.any())
        return self._has_tokens

    def list_tokens(self, caller: Caller = LOCAL, after: str | None = None, limit: int = 100) -> TokenPage:
        """A page of the tokens, newest first; of everybody's for administrators, of their owner's for writers.

        Args:
            caller: who asks.
            after: ``next`` of the page before.
            limit: tokens at most, up to 1,000.

        Raises:
            Forbidden: neither readers nor anonymous clients see tokens.
            InvalidCursor: ``after`` is not what a page ended with.
        """
        _require_keeper(caller)
        check_limit(limit, _LARGEST_PAGE)

        def look(uow: UnitOfWork) -> TokenPage:
            last = None if after is None else self._visible(uow, after, caller)
            if after is not None and last is None:
                raise InvalidCursor
            rows = uow.accounts.page(caller.sees, limit=limit + 1, after=last)
            more, rows = len(rows) > limit, rows[:limit]
            return TokenPage(items=rows, next=rows[-1].token_id if more else None)

        return self._store.read(look)

    def revoke_token(self, token_id: str, caller: Caller = LOCAL) -> Token:
        """End a token; harmless when it has been revoked before.

        Here it is refused at once, in other processes within five seconds.

        Args:
            token_id: the token.
            caller: who ends it: an administrator, or a writer of the same owner.

        Raises:
            TokenNotFound: there is none that the caller may revoke.
            Forbidden: neither readers nor anonymous clients revoke tokens.
        """
        _require_keeper(caller)

        def work(uow: UnitOfWork) -> Token:
            token = self._visible(uow, token_id, caller)
            if token is None:
                raise TokenNotFound(f"There is no token {token_id[:80]}", token_id=token_id[:80])
            if uow.accounts.revoke(token_id, uow.now):
                uow.ledger.append([_event("token.revoked", token, caller, uow.now)])
                return replace(token, revoked_at=uow.now)
            return token

        try:
            return self._store.write(work)
        finally:
            # Whatever became of it: what is not known is read again.
            self._verified.forget()

    @staticmethod
    def _visible(uow: UnitOfWork, token_id: str, caller: Caller) -> Token | None:
        found = uow.accounts.find(token_id) if tokens.is_token_id(token_id) else None
        return found[0] if found is not None and caller.may_see(found[0].owner) else None

    def authenticate(self, secret: str, *, ip: str | None) -> Caller:
        """Who shows a secret.

        Args:
            secret: the token's secret.
            ip: where it is shown from, if known.

        Raises:
            AuthenticationRequired: it is none, or has expired, or was revoked; the log says which.
        """
        now = self._clock.now()
        token_id = tokens.token_id_of(secret)
        if token_id is None:
            raise _refused("malformed", None, ip)
        shown = tokens.secret_hash(secret)
        token = self._verified.get(shown, now)
        if token is None:
            turn = self._verified.turn
            found = self._store.read(lambda uow: uow.accounts.find(token_id))
            # Compared in any case, and in constant time: how long it takes tells nothing about what is kept.
            is_right = hmac.compare_digest(shown, found[1] if found else _NO_HASH)
            if found is None or not is_right:
                raise _refused("unknown", token_id, ip)
            token = found[0]
            if token.problem(now) is None:
                self._verified.put(shown, token, now, turn)
        problem = token.problem(now)
        if problem is not None:
            raise _refused(problem, token_id, ip)
        if token.use_is_due(now):
            self._verified.update(shown, replace(token, last_used_at=now))
            self._uses.note(token_id, now)
        return token.caller(ip)

    def create_client(self, ip: str | None, *, local_mode: bool = False) -> str:
        """A new id for a client that nobody vouches for: what it makes belongs to whoever has the id.

        Args:
            ip: where it asks from, if known.
            local_mode: whether the service serves one person's own machine, and no other.

        Raises:
            AuthenticationRequired: anonymous clients are not let in.
        """
        self._let_in(local_mode)
        client_id = tokens.new_client_id(self._key(), self._ids.random(tokens.CLIENT_BYTES))
        # Its beginning only: the whole opens the door.
        _log.info("An anonymous client came", extra={"client": client_id[:12], "ip": ip})
        return client_id

    def client(self, client_id: str, *, ip: str | None, local_mode: bool = False) -> Caller:
        """The anonymous client that has an id.

        Args:
            client_id: what ``create_client`` gave.
            ip: where it asks from, if known.
            local_mode: whether the service serves one person's own machine, and no other; only then may results be
                recovered by address.

        Raises:
            AuthenticationRequired: the id was not given out here, or anonymous clients are not let in.
        """
        self._let_in(local_mode)
        if not tokens.is_client_id(self._key(), client_id):
            _log.info("A client id was refused", extra={"reason": "forged", "ip": ip})
            raise AuthenticationRequired("The client id is not valid")
        return Caller(
            name=client_id,
            owner=client_id,
            role=Role.WRITER,
            is_anonymous=True,
            ip=ip,
            recovers_by_ip=self._same_ip_recovery and local_mode,
        )

    def _let_in(self, local_mode: bool) -> None:  # noqa: FBT001 its callers' own, by name there
        if not (self._anonymous_clients or local_mode):
            raise AuthenticationRequired

    def sign(self, purpose: str, value: Any, caller: Caller, *, scope: Any = None) -> str:
        """A word for the caller to come back with.

        Args:
            purpose: what it is good for, such as the name of a list.
            value: what it says, JSON-able; the caller can read it, and not change it.
            caller: who gets it; good for nobody else.
            scope: what must be the same when it comes back, such as the list's filter and sort; JSON-able.

        Returns:
            The word, safe in a URL.
        """
        return seal(self._key(), to_json(value, "What is signed"), _bound(purpose, caller, scope))

    def unsign(self, purpose: str, word: str, caller: Caller, *, scope: Any = None) -> Any:
        """What a word says; see ``sign`` for the arguments.

        Raises:
            InvalidCursor: it was forged, or given out to somebody else or for something else.
        """
        return msgspec.json.decode(unseal(self._key(), word, _bound(purpose, caller, scope)))

    def sign_place(self, purpose: str, place: Place | None, caller: Caller, *, scope: Any = None) -> str | None:
        """The cursor of a list's next page; None when there is none. See ``sign``."""
        if place is None:
            return None
        microseconds = (place.created_at - _EPOCH) // timedelta(microseconds=1)
        return self.sign(f"place:{purpose}", [microseconds, place.key], caller, scope=scope)

    def unsign_place(self, purpose: str, cursor: str | None, caller: Caller, *, scope: Any = None) -> Place | None:
        """Where a list goes on; None, its beginning, without a cursor. See ``unsign``.

        Raises:
            InvalidCursor: it is not a cursor of this caller, list, filter and sort.
        """
        if cursor is None:
            return None
        microseconds, key = self.unsign(f"place:{purpose}", cursor, caller, scope=scope)
        return Place(created_at=_EPOCH + timedelta(microseconds=microseconds), key=key)

    def _key(self) -> bytes:
        """The key that all processes of the installation sign with; made by the first that needs it."""
        if self._signing_key is None:
            key = self._store.read(lambda uow: uow.accounts.key(_KEY))
            if key is None:
                drawn = self._ids.random(_KEY_BYTES)
                key = self._store.write(lambda uow: uow.accounts.ensure_key(_KEY, drawn, uow.now))
            self._signing_key = key
        return self._signing_key


def _require_keeper(caller: Caller) -> None:
    caller.require(Role.WRITER)
    if caller.is_anonymous:
        raise Forbidden("Anonymous clients have no tokens")


def _refused(reason: str, token_id: str | None, ip: str | None) -> AuthenticationRequired:
    _log.info("A token was refused", extra={"reason": reason, "token_id": token_id, "ip": ip})
    return AuthenticationRequired(_REFUSED)


def _bound(purpose: str, caller: Caller, scope: Any) -> bytes:
    return to_json([purpose, caller.owner, caller.sees, caller.is_anonymous, scope], "What is signed")


def _event(name: str, token: Token, caller: Caller, at: datetime) -> Event:
    return Event(
        name=name,
        at=at,
        client_session_id=token.owner,
        actor=caller.name,
        data={"token_id": token.token_id, "name": token.name, "role": token.role.value},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    token: Token
    at: datetime


class _Verified:
    """Tokens that were right a moment ago, by the hash of their secret: most requests come in bursts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, _Seen] = {}
        self.turn = 0

    def get(self, shown: str, now: datetime) -> Token | None:
        seen = self._seen.get(shown)
        # A clock that was set back must not make a token good for longer.
        fresh = seen is not None and timedelta() <= now - seen.at < _VERIFIED_FOR
        return seen.token if seen is not None and fresh else None

    def put(self, shown: str, token: Token, now: datetime, turn: int) -> None:
        with self._lock:
            # Read before a revocation and put after it, it would be good again.
            if turn != self.turn:
                return
            if len(self._seen) >= _VERIFIED_AT_MOST:
                self._seen.clear()
            self._seen[shown] = _Seen(token=token, at=now)

    def update(self, shown: str, token: Token) -> None:
        with self._lock:
            seen = self._seen.get(shown)
            if seen is not None:
                self._seen[shown] = replace(seen, token=token)

    def forget(self) -> None:
        with self._lock:
            self.turn += 1
            self._seen.clear()
