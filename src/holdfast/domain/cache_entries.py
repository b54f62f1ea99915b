"""Files that were derived from what is kept, and may be derived again."""

from dataclasses import dataclass
from datetime import datetime

from holdfast.domain.checks import check_name
from holdfast.domain.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEntry:
    """What is noted of a derived file; the file itself is its maker's.

    Attributes:
        client_session_id: whose it is.
        key: names it, among its owner's.
        location: where the file is.
        size: its size in bytes.
        hits: how often it was used.
        created_at: when it was made.
        last_used_at: when it was last used.
        expires_at: until when it is of use; None for as long as there is room.
    """

    client_session_id: str
    key: str
    location: str = ""
    size: int
    hits: int = 0
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime | None = None

    def __post_init__(self) -> None:
        check_name(self.key, "key", 1024)
        if not 0 <= self.size < 2**63:
            raise InvalidInput("size must be a number of bytes", field="size")
