"""Lists of networks: what they hold, what they cannot be made of."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

import pytest

from aiosmtpd.networks import Networks, networks_of

LIST = ["192.0.2.0/24", "198.51.100.7", "2001:db8::/32", "::1", "::ffff:203.0.113.0/120"]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.0", True),
        ("192.0.2.255", True),
        ("192.0.3.0", False),
        ("198.51.100.7", True),
        ("198.51.100.6", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("::1", True),
        ("::2", False),
        # RFC 4291 section 2.5.5.2: an IPv4 host, as a socket for both families has it.
        ("::ffff:192.0.2.1", True),
        ("::FFFF:C000:0201", True),
        ("::ffff:192.0.3.1", False),
        ("::192.0.2.1", False),
        # A network of such addresses is one of IPv4 hosts.
        ("203.0.113.9", True),
        ("::ffff:203.0.113.9", True),
        ("203.0.114.9", False),
        ("2001:db8::1%eth0", True),
        (IPv4Address("192.0.2.1"), True),
        (IPv6Address("2001:db8::1"), True),
        (IPv6Address("::ffff:192.0.2.1"), True),
        ("", False),
        ("localhost", False),
        ("192.0.2.1/32", False),
        ("/run/socket", False),
        (None, False),
        (b"\xc0\x00\x02\x01", False),
        (0xC0000201, False),
    ],
)
def test_who_is_in_a_list(address: object, expected: bool) -> None:
    assert (address in networks_of("networks", LIST)) is expected


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        (("192.0.2.1", 25), True),
        (("2001:db8::1", 25, 0, 0), True),
        (("192.0.3.1", 25), False),
        (("", 0), False),
        ((), False),
        ("", False),
        ("192.0.2.1", False),
        ("/run/socket", False),
        (b"\0abstract", False),
        (None, False),
    ],
)
def test_which_peers_are_in_a_list(peer: object, expected: bool) -> None:
    assert networks_of("networks", LIST).has_peer(peer) is expected


def test_networks_of_every_kind() -> None:
    networks = networks_of(
        "networks", (IPv4Network("192.0.2.0/24"), IPv6Network("2001:db8::/32"), "10.0.0.0/8")
    )
    assert repr(networks) == "Networks(192.0.2.0/24, 2001:db8::/32, 10.0.0.0/8)"
    assert all(address in networks for address in ("192.0.2.1", "2001:db8::1", "10.1.2.3"))


@pytest.mark.parametrize(
    ("network", "inside"), [("0.0.0.0/0", "203.0.113.1"), ("::/0", "2001:db8::1")]
)
def test_everybody(network: str, inside: str) -> None:
    assert inside in networks_of("networks", [network])
    # The other family is not meant.
    other = "2001:db8::1" if ":" not in inside else "203.0.113.1"
    assert other not in networks_of("networks", [network])


def test_nobody() -> None:
    assert "192.0.2.1" not in networks_of("networks", [])


@pytest.mark.parametrize(
    ("networks", "kind", "text"),
    [
        ("192.0.2.0/24", TypeError, "mine: a list of networks is needed, not '192.0.2.0/24'"),
        (b"192.0.2.0/24", TypeError, "mine: a list of networks is needed"),
        (iter(["192.0.2.0/24"]), TypeError, "mine: a list of networks is needed"),
        (None, TypeError, "mine: a list of networks is needed, not None"),
        ([7], TypeError, "mine: a network is a str or of ipaddress, not 7"),
        ([None], TypeError, "mine: a network is a str or of ipaddress, not None"),
        ([[]], TypeError, "mine: a network is a str or of ipaddress, not []"),
        (["192.0.2.1/24"], ValueError, "mine: 192.0.2.1/24 has host bits set"),
        (["192.0.2.0/33"], ValueError, "mine: '192.0.2.0/33' does not appear to be an IPv4 or"),
        (["example.com"], ValueError, "mine: 'example.com' does not appear to be"),
        ([""], ValueError, "mine: '' does not appear to be"),
    ],
)
def test_what_is_no_list(networks: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as caught:
        networks_of("mine", networks)
    assert str(caught.value).startswith(text)


def test_a_list_is_parsed_once() -> None:
    first = networks_of("networks", ["192.0.2.0/24"])
    assert isinstance(first, Networks)
    assert networks_of("networks", first) is first
    assert networks_of("networks", ["192.0.2.0/24"]) is first
