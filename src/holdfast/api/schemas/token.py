"""Tokens and anonymous clients."""

from pydantic import Field

from holdfast.api.schemas.base import LARGEST, Incoming, Moment, Outgoing
from holdfast.domain.access import Role


class NewToken(Incoming):
    """A token to be made."""

    name: str = Field(min_length=1, max_length=256, examples=["ci"])
    owner: str | None = Field(
        default=None,
        min_length=1,
        max_length=256,
        description="Whose things it reaches; an owner of the token's name when left out.",
        examples=["team-a"],
    )
    role: Role = Role.WRITER
    expires_in_seconds: float | None = Field(
        default=None, gt=0, le=LARGEST, description="How long it is good for; null for ever."
    )


class TokenOut(Outgoing):
    """A token as it is kept; its secret is told once, when it is made."""

    token_id: str
    name: str
    owner: str
    role: Role
    created_at: Moment
    created_by: str
    expires_at: Moment | None
    revoked_at: Moment | None
    last_used_at: Moment | None


class CreatedToken(TokenOut):
    """A token that was just made."""

    secret: str = Field(description="Send it as `Authorization: Bearer ...`; it is not told again.")


class TokenPage(Outgoing):
    """Tokens, newest first."""

    items: list[TokenOut]
    next_cursor: str | None


class ClientOut(Outgoing):
    """An anonymous client."""

    client_id: str = Field(description="Signed; whoever has it reaches the client's results.")
