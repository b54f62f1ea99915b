"""Who an analysis belongs to, and in what surroundings it happened."""

from dataclasses import dataclass

from holdfast.domain.checks import check_name

LOCAL_OWNER = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Owner and surroundings of an analysis.

    Attributes:
        client_session_id: the owner; every query of a caller is bound to it.
        client_ip: where the request came from, if known.
        thread_id: a conversation or chain of related analyses.
        session_id: a broader working session that may hold several threads.
        process_instance_id: one execution of a workflow engine's process.
    """

    client_session_id: str = LOCAL_OWNER
    client_ip: str | None = None
    thread_id: str | None = None
    session_id: str | None = None
    process_instance_id: str | None = None

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None:
                check_name(value, name, 256)
