"""Lists of networks: whom a server believes what it is told of other hosts.

A list is parsed once and looked into once a connection, so parsing is thorough and looking is quick. It
knows addresses and nothing of connections. What is no IP address, such as the client of a Unix socket,
is in no network.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

__all__ = ["Networks", "networks_of"]

_Network = IPv4Network | IPv6Network

# ::ffff:0:0/96, where a socket for both families has its IPv4 peers (RFC 4291 section 2.5.5.2).
_MAPPED = 0xFFFF
_MAPPED_PREFIX = 96


class Networks:
    """Some networks; ``address in networks`` tells whether one of them has the address.

    Args:
        networks: the networks.
    """

    __slots__ = ("_networks", "_prefixes")

    def __init__(self, networks: Iterable[_Network]) -> None:
        self._networks = tuple(dict.fromkeys(_unmapped(network) for network in networks))
        # By version, and by how many bits of an address are the host's: what the others may be. So
        # the time to look depends on how many lengths of prefixes there are, not on how many networks.
        self._prefixes: dict[int, dict[int, set[int]]] = {4: {}, 6: {}}
        for network in self._networks:
            host_bits = network.max_prefixlen - network.prefixlen
            known = self._prefixes[network.version].setdefault(host_bits, set())
            known.add(int(network.network_address) >> host_bits)

    def __contains__(self, address: object) -> bool:
        """Tell whether an address is in one of the networks.

        Args:
            address: an address of :mod:`ipaddress`, or its text; anything else is in no network.
        """
        if isinstance(address, str):
            try:
                address = ip_address(address)
            except ValueError:
                return False
        if not isinstance(address, (IPv4Address, IPv6Address)):
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        number = int(address)
        return any(
            number >> host_bits in known
            for host_bits, known in self._prefixes[address.version].items()
        )

    def has_peer(self, peer: object) -> bool:
        """Tell whether a peer as transports give it, a tuple that begins with the address, is in one."""
        return isinstance(peer, tuple) and bool(peer) and peer[0] in self

    def __repr__(self) -> str:
        return f"Networks({', '.join(map(str, self._networks))})"


def networks_of(argument: str, networks: Iterable[str | _Network] | Networks) -> Networks:
    """Read a list of networks that was given as an argument.

    A list that was read before is not read again.

    Args:
        argument: the name of the argument, for the text of exceptions.
        networks: the networks, such as ``"192.0.2.0/24"``, ``"2001:db8::/32"`` or a single address.

    Raises:
        TypeError: ``networks`` is one string or can be read only once, or one of them is of another
            type.
        ValueError: one of them is no network.
    """
    if isinstance(networks, Networks):
        return networks
    if isinstance(networks, (str, bytes)) or not isinstance(networks, Collection):
        # An iterator would be used up by the first connection, and a string is a list of letters.
        raise TypeError(f"{argument}: a list of networks is needed, not {networks!r}")
    for network in networks:
        if not isinstance(network, (str, IPv4Network, IPv6Network)):
            raise TypeError(f"{argument}: a network is a str or of ipaddress, not {network!r}")
    return _parsed(argument, tuple(networks))


# Bounded, for a program may compose its lists anew with each connection.
@functools.lru_cache(maxsize=64)
def _parsed(argument: str, networks: tuple[str | _Network, ...]) -> Networks:
    return Networks(_parse(argument, network) for network in networks)


def _parse(argument: str, network: str | _Network) -> _Network:
    try:
        return ip_network(network)
    except ValueError as error:
        raise ValueError(f"{argument}: {error}") from None


def _unmapped(network: _Network) -> _Network:
    """Give the IPv4 network that an IPv6 network of mapped addresses stands for."""
    if network.version == 6 and network.prefixlen >= _MAPPED_PREFIX:
        number = int(network.network_address)
        if number >> 32 == _MAPPED:
            prefix = network.prefixlen - _MAPPED_PREFIX
            return IPv4Network((number & 0xFFFFFFFF, prefix))
    return network
