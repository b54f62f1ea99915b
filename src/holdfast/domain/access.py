"""Who asks, and what they may see and do."""

from dataclasses import dataclass, replace
from enum import StrEnum

from holdfast.domain.context import LOCAL_OWNER, Context
from holdfast.domain.errors import Forbidden


class Role(StrEnum):
    """What a caller may do; each role may do what those before it may."""

    READER = "reader"
    WRITER = "writer"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """Its place among the roles, from 0."""
        return list(Role).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks.

    Attributes:
        name: how the ledger calls them.
        owner: the owner that they are: what they make is this owner's.
        role: what they may do; ADMIN sees every owner's, all others their own only.
        is_anonymous: whether they are a client that nobody vouches for.
        ip: where they ask from, if known.
        recovers_by_ip: whether they may also see anonymous results that were asked for from the same address.
        token_id: the token that they have shown, if any; it may end while they are served.
    """

    name: str
    owner: str
    role: Role = Role.WRITER
    is_anonymous: bool = False
    ip: str | None = None
    recovers_by_ip: bool = False
    token_id: str | None = None

    @property
    def sees(self) -> str | None:
        """The one owner whose things they see; None for everybody's."""
        return None if self.role is Role.ADMIN else self.owner

    def may_see(self, owner: str | None, *, is_anonymous: bool = False, ip: str | None = None) -> bool:
        """Whether they may see what belongs to ``owner`` and was asked for from ``ip``."""
        if self.role is Role.ADMIN or owner == self.owner:
            return True
        return self.recovers_by_ip and is_anonymous and ip is not None and ip == self.ip

    def require(self, role: Role) -> None:
        """Raise Forbidden unless they have at least ``role``."""
        if self.role.rank < role.rank:
            raise Forbidden(f"This needs the role {role}; {self.name} has {self.role}", role=role.value)

    def context(self, wanted: Context) -> Context:
        """The surroundings of what they make: it is theirs, unless an administrator says whose.

        Raises:
            Forbidden: it would be another owner's.
        """
        owner = wanted.client_session_id
        if self.sees is None or (owner == self.sees and wanted.client_ip is not None):
            return wanted
        if owner not in {self.sees, LOCAL_OWNER}:
            raise Forbidden(f"{self.name} may not make what belongs to {owner}")
        return replace(wanted, client_session_id=self.sees, client_ip=wanted.client_ip or self.ip)

    def narrowed(self, owner: str | None) -> str | None:
        """The owner that a list is to be bound to when ``owner``'s is asked for.

        Raises:
            Forbidden: they may not see that owner's.
        """
        if self.sees is None:
            return owner
        if owner is not None and owner != self.sees:
            raise Forbidden(f"{self.name} may not see what belongs to {owner}")
        return self.sees


LOCAL = Caller(name=LOCAL_OWNER, owner=LOCAL_OWNER, role=Role.ADMIN)
"""Whoever uses the library or the command line: they have the database in their hands."""
