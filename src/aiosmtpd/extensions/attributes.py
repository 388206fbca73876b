"""What XCLIENT and XFORWARD share: who may send them, and the form of what they say.

Both come from Postfix (its XCLIENT_README and XFORWARD_README, cited here as XC and XF), and both let
one host speak of another. So they are for listed networks only, and who is listed is asked of the peer
that connected, never of the one that XCLIENT names, or it would decide on itself.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TYPE_CHECKING, Any, ClassVar

from ..networks import Networks, networks_of
from ..protocol import MalformedParameters, Phase, ProtocolError, Reply, phase_of
from ..protocol.grammar import decode_xtext, upper_case
from .base import Extension, Server

if TYPE_CHECKING:
    from ..session import Session

__all__ = ["UNAVAILABLE", "AttributesExtension", "parse_address", "parse_port"]

log = logging.getLogger("mail.log")

_NOT_AUTHORIZED = Reply(550, "5.7.0", "Error: insufficient authorization")
_IN_TRANSACTION = Reply(503, "5.5.1", "Error: mail transaction in progress")
_SIZE_LIMIT = 255  # XC note 1, XF note 1
UNAVAILABLE = "[UNAVAILABLE]"
_IPV6_TAG = "IPV6:"
_LOCAL = 0  # the command of a PROXY header


def parse_address(text: str) -> str | None:
    """Give the IP address that an attribute says, or None if it is none.

    Args:
        text: an IPv4 address, or an IPv6 address behind ``IPV6:``.
    """
    tagged = text[: len(_IPV6_TAG)].upper() == _IPV6_TAG
    if "%" in text:  # a scope has no meaning on another host
        return None
    try:
        address = ip_address(text[len(_IPV6_TAG) :] if tagged else text)
    except ValueError:
        return None
    return str(address) if tagged is (address.version == 6) else None


def parse_port(text: str) -> str | None:
    """Give the TCP port that an attribute says, or None if it is none."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 0xFFFF):
        return None
    return str(int(text))


class AttributesExtension(Extension):
    """A verb with attributes, for listed networks.

    Args:
        networks: whose clients may send it: networks such as ``"192.0.2.0/24"`` or addresses, as
            strings or of :mod:`ipaddress`.
        unix_sockets: whether clients that connect by a Unix socket may send it.

    Attributes:
        attributes: the names of the attributes, in upper case.

    Raises:
        TypeError: ``networks`` is no list of them.
        ValueError: one of ``networks`` is none.
    """

    attributes: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        networks: Iterable[str | IPv4Network | IPv6Network] | Networks,
        *,
        unix_sockets: bool = False,
    ) -> None:
        self.networks = networks_of("networks", networks)
        self.unix_sockets = unix_sockets

    def ehlo_line(self, server: Server) -> str | None:
        """Offer the attributes to those who may send them."""
        return f"{self.name} {' '.join(self.attributes)}" if self._is_listed(server) else None

    def _is_listed(self, server: Server) -> bool:
        peer = _connected_peer(server)
        if isinstance(peer, str):
            # The path of a Unix socket, mostly empty; but not one that a proxy told of.
            return self.unix_sockets and server.session.proxy_data is None
        return self.networks.has_peer(peer)

    def _read(self, server: Server, arg: str | None) -> dict[str, str | None]:
        """Judge whether the command may come, and give its attributes.

        Raises:
            ProtocolError: it may not come, or is malformed.
        """
        if not self._is_listed(server):
            log.warning("%r may not send %s", server.session.peer, self.name)
            raise ProtocolError(reply=_NOT_AUTHORIZED)
        if phase_of(server.session, server.envelope) not in (Phase.CONNECTED, Phase.GREETED):
            raise ProtocolError(reply=_IN_TRANSACTION)
        given = (arg or "").split()
        if not given:
            raise _syntax_error(f"Syntax: {self.name} attribute=value...")
        return dict(self._read_one(server, attribute) for attribute in given)

    def _read_one(self, server: Server, attribute: str) -> tuple[str, str | None]:
        name, _, encoded = attribute.partition("=")
        name = name.upper()  # "they are in fact case insensitive"
        if name not in self.attributes:
            raise _syntax_error("Error: unknown attribute")
        try:
            value: str | None = decode_xtext(encoded)
        except MalformedParameters:
            value = None
        if not value or len(value) > _SIZE_LIMIT:
            raise _syntax_error(f"Error: bad {name} attribute")
        unavailable = upper_case(value) == UNAVAILABLE
        value = self._parse_value(server, name, UNAVAILABLE if unavailable else value)
        if value is None:
            raise _syntax_error(f"Error: bad {name} attribute")
        return name, None if value == UNAVAILABLE else value

    def _parse_value(self, server: Server, name: str, value: str) -> str | None:
        """Give what a value means, ``[UNAVAILABLE]`` itself included; None if it is malformed."""
        raise NotImplementedError


def _syntax_error(text: str) -> ProtocolError:
    return ProtocolError(reply=Reply(501, "5.5.4", text))


def _connected_peer(server: Server) -> Any:
    """Give the peer that connected, whatever XCLIENT said since.

    Behind a proxy that is the client whom the PROXY header names, also where no hook has written it
    into the session: or else whoever reaches the proxy would be taken for the proxy. It is nobody
    if the header does not name it, unless that is the proxy's own (LOCAL).
    """
    session: Session = server.session
    peer = session.peer_before_xclient if session.xclient else session.peer
    transport = server.transport
    data = session.proxy_data
    if data and transport is not None and peer == transport.get_extra_info("peername"):
        return peer if data.command == _LOCAL else data.source
    return peer
