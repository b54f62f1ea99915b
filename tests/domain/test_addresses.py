from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.addresses import client_ip, subscriber

TRUSTED = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]

addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).filter(
    lambda address: not (isinstance(address, IPv6Address) and address.ipv4_mapped)
)
strangers = addresses.filter(lambda a: not any(a in network for network in TRUSTED if network.version == a.version))
proxies = st.one_of(
    st.integers(0, 2**24 - 1).map(lambda n: IPv4Address(0x0A000000 + n)),
    st.integers(0, 2**64).map(lambda n: IPv6Address((0xFD << 120) + n)),
)
# Whatever fits into a header, and what looks right.
headers = st.lists(
    st.one_of(
        st.text(max_size=40),
        st.lists(st.one_of(addresses.map(str), proxies.map(str), st.just("unknown"), st.text()), max_size=5).map(
            ",".join
        ),
    ),
    max_size=4,
)


@given(peer=strangers, header=headers)
def test_a_stranger_comes_from_where_it_is(peer: IPv4Address | IPv6Address, header: list[str]) -> None:
    assert client_ip(str(peer), header, TRUSTED) == str(peer)


@given(peer=addresses, header=headers)
def test_without_trusted_proxies_nobody_is_believed(peer: IPv4Address | IPv6Address, header: list[str]) -> None:
    assert client_ip(str(peer), header, []) == str(peer)


@given(forged=headers, client=strangers, between=st.lists(proxies, max_size=3), peer=proxies)
def test_through_proxies_the_client_cannot_be_another(
    forged: list[str],
    client: IPv4Address | IPv6Address,
    between: list[IPv4Address | IPv6Address],
    peer: IPv4Address | IPv6Address,
) -> None:
    """Each proxy appends whom it saw to whatever the client sent, in the same line or in one of its own."""
    appended = [str(client), *map(str, between)]
    assert client_ip(str(peer), [*forged, ", ".join(appended)], TRUSTED) == str(client)
    assert client_ip(str(peer), [*forged, *appended], TRUSTED) == str(client)
    in_one_line = ", ".join([*forged, *appended])
    assert client_ip(str(peer), [in_one_line], TRUSTED) == str(client)


@given(peer=proxies, header=headers)
def test_a_proxys_word_is_an_address_or_nothing(peer: IPv4Address | IPv6Address, header: list[str]) -> None:
    found = client_ip(str(peer), header, TRUSTED)
    assert found is not None
    assert str(ip_address(found)) == found


@pytest.mark.parametrize(
    ("peer", "header", "expected"),
    [
        (None, ["1.2.3.4"], None),
        ("", ["1.2.3.4"], None),
        ("testclient", ["1.2.3.4"], None),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["9.9.9.9, 1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["9.9.9.9", "1.2.3.4, 10.9.9.9"], "1.2.3.4"),
        ("10.0.0.1", ["10.2.2.2, 10.3.3.3"], "10.2.2.2"),
        ("10.0.0.1", ["1.2.3.4:5678"], "1.2.3.4"),
        ("10.0.0.1", ["[2001:db8::1]:443"], "2001:db8::1"),
        ("10.0.0.1", ["2001:DB8:0::1"], "2001:db8::1"),
        ("10.0.0.1", ["::ffff:1.2.3.4"], "1.2.3.4"),
        ("::ffff:10.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        ("fe80::1%eth0", ["1.2.3.4"], "fe80::1"),
        # Nothing is believed that stands behind what no proxy should have written.
        ("10.0.0.1", ["9.9.9.9, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["9.9.9.9, unknown, 10.2.2.2"], "10.2.2.2"),
        ("10.0.0.1", ["1.2.3.4, , "], "1.2.3.4"),
        ("10.0.0.1", ["1.2.3.4.5"], "10.0.0.1"),
        ("10.0.0.1", ["01.2.3.4"], "10.0.0.1"),
    ],
)
def test_examples(peer: str | None, header: list[str], expected: str | None) -> None:
    assert client_ip(peer, header, TRUSTED) == expected


@pytest.mark.parametrize(
    ("ip", "expected"),
    [("1.2.3.4", "1.2.3.4"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"), ("nowhere", "nowhere")],
)
def test_subscriber(ip: str, expected: str) -> None:
    assert subscriber(ip) == expected
