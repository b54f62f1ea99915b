"""Who asks: a token's holder, an anonymous client, or whoever sits at this machine."""

import ipaddress
from dataclasses import dataclass, replace
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from holdfast.bootstrap import Holdfast
from holdfast.domain.access import LOCAL, Caller, Role
from holdfast.domain.addresses import client_ip
from holdfast.domain.checks import check_name
from holdfast.domain.errors import AuthenticationRequired, WrongOwner

_CLIENT_HEADER = b"x-client-session-id"
_REMEMBERED = 256
_LOCAL_NAMES = {"localhost", "ip6-localhost"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a request says of who sent it; nothing of it is checked yet.

    Attributes:
        token: the bearer token.
        client_id: the anonymous client's signed id.
        ip: where it came from, past trusted proxies.
    """

    token: str | None
    client_id: str | None
    ip: str | None


class Access:
    """The rules of who is let in."""

    def __init__(self, holdfast: Holdfast) -> None:
        """Let in whom the settings let in."""
        self._holdfast = holdfast
        settings = holdfast.settings
        self.asks = settings.authentication == "token"
        """Whether callers must show a token, as far as is known here: once they must, they always must."""
        self.gives_clients = settings.anonymous_clients
        """Whether clients without a token are served, each of them its own."""
        self._recovers = settings.same_ip_recovery
        trusted = settings.trusted_proxies
        # Most requests come from where others came from; to take an address apart costs more than all else here.
        self._address = lru_cache(_REMEMBERED)(lambda peer, hops: client_ip(peer, hops, trusted))

    def is_local(self) -> bool:
        """Whether everybody on this machine is let in, and nobody else: until there is a token, whoever makes it.

        The store is asked each time, so that nobody is let in by an answer from before the first token's commit.
        """
        if not self.asks:
            self.asks = self._holdfast.accounts.has_tokens()
        return not self.asks

    def credentials(self, request: HTTPConnection) -> Credentials:
        """What the request says."""
        token: str | None = None
        client_id: str | None = None
        hops: list[str] = []
        # In one go, as each request comes by here: to look for one that is not there costs as much as all this.
        for name, value in reversed(request.scope["headers"]):
            if name == b"authorization":
                scheme, _, shown = value.decode("latin-1").partition(" ")
                token = shown.strip() or None if scheme.lower() == "bearer" else None
            elif name == _CLIENT_HEADER:
                client_id = value.decode("latin-1")
            elif name == b"x-forwarded-for":
                hops.insert(0, value.decode("latin-1"))
        peer = request.scope.get("client")
        return Credentials(
            token=token, client_id=client_id, ip=self._address(None if peer is None else peer[0], tuple(hops))
        )

    def caller(self, given: Credentials, *, is_local: bool | None = None) -> Caller:
        """Who asks; looks into the store.

        Args:
            given: what the request says.
            is_local: ``is_local`` as it was after the request came, if the store was asked already.

        Raises:
            AuthenticationRequired: nobody known.
        """
        if self.is_local() if is_local is None else is_local:
            return LOCAL if given.ip is None else replace(LOCAL, ip=given.ip)
        if given.token is not None:
            return self._holdfast.accounts.authenticate(given.token, ip=given.ip)
        if given.client_id is not None and self.gives_clients:
            return self._holdfast.accounts.client(given.client_id, ip=given.ip)
        raise AuthenticationRequired

    def named(self, given: Credentials, owner: str) -> Caller:
        """Who asks on a route of the documents that names the owner in its address.

        Raises:
            AuthenticationRequired: nobody known.
            WrongOwner: they are somebody else.
        """
        check_name(owner, "client_session_id", 256)
        if self.is_local():
            return Caller(name=owner, owner=owner, ip=given.ip, recovers_by_ip=self._recovers)
        if given.token is None and given.client_id is None and self.gives_clients:
            # The id is its own proof: it is signed.
            return self._holdfast.accounts.client(owner, ip=given.ip)
        caller = self.caller(given, is_local=False)
        if caller.owner == owner:
            return caller if caller.role is not Role.ADMIN else replace(caller, role=Role.WRITER)
        if caller.role is Role.ADMIN:
            return Caller(name=caller.name, owner=owner, ip=given.ip)
        raise WrongOwner


def authenticates(holdfast: Holdfast) -> bool:
    """Whether callers must show a token."""
    return holdfast.settings.authentication == "token" or holdfast.accounts.has_tokens()


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own, whatever a name server says."""
    host = host.strip("[]").rstrip(".").lower()
    if host in _LOCAL_NAMES or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@lru_cache(_REMEMBERED)
def names_this_machine(host: str) -> bool:
    """Whether a Host header is this machine's own."""
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name is not None and is_loopback(name)


def comes_from_this_machine(origin: str) -> bool:
    """Whether the page of an Origin header was loaded from this machine."""
    try:
        name = urlsplit(origin).hostname
    except ValueError:
        return False
    return name is not None and is_loopback(name)
