"""What routes depend on."""

from holdfast.domain.access import LOCAL, Caller


def caller_of() -> Caller:
    """Who asks: whoever reaches a service without authentication has the machine in their hands."""
    return LOCAL
