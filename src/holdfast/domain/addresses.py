"""Where a request comes from, when proxies stand between."""

import ipaddress
import re
from collections.abc import Iterable, Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Some proxies add the port that the connection came from.
_WITH_PORT = re.compile(r"\[([^\[\]]+)\](?::\d+)?|([0-9.]+):\d+")
# Whoever has one IPv6 address mostly has the 2^64 around it.
_IPV6_SUBSCRIBER = 64


def client_ip(peer: str | None, forwarded_for: Sequence[str], trusted: Iterable[Network]) -> str | None:
    """The address that a request comes from.

    ``X-Forwarded-For`` is believed from a trusted proxy only, and from right to left: each proxy appends whom it saw,
    and what stands to the left of the first address that is no trusted proxy's was written by the client itself.

    Args:
        peer: the address at the other end of the connection; None for a socket without one.
        forwarded_for: the values of the header's lines, as they came.
        trusted: the networks of the proxies that are believed.

    Returns:
        The address in its shortest form; None when the peer has none.
    """
    known = _address(peer or "")
    if known is None:
        return None
    networks = tuple(trusted)
    hops = [hop for line in forwarded_for for hop in map(str.strip, line.split(",")) if hop]
    for hop in reversed(hops):
        if not any(known in network for network in networks if network.version == known.version):
            break
        seen = _address(hop)
        if seen is None:
            # Where a trusted proxy did not write an address, nothing says who wrote what stands before.
            break
        known = seen
    return str(known)


def subscriber(ip: str) -> str:
    """What one subscriber has: an IPv4 address, or the IPv6 network around an address."""
    address = _address(ip)
    if address is None or address.version == 4:
        return ip
    return str(ipaddress.IPv6Network((int(address), _IPV6_SUBSCRIBER), strict=False))


def _address(text: str) -> Address | None:
    match = _WITH_PORT.fullmatch(text)
    try:
        address = ipaddress.ip_address(match[1] or match[2] if match else text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        # The zone names an interface of the machine that wrote it; a mapped address is an IPv4 client's.
        address = ipaddress.IPv6Address(int(address))
        return address.ipv4_mapped or address
    return address
