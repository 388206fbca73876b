"""XCLIENT, as Postfix documents it: a listed host speaks in the name of a client.

A proxy or a test tells by it who the client is, from its address to its login; the session then begins
afresh, with a new greeting, as if that client had connected. TLS stays, as it cannot be undone.
"""

from __future__ import annotations

import logging
from typing import ClassVar

from ..protocol.grammar import is_domain, upper_case
from .attributes import UNAVAILABLE, AttributesExtension, parse_address, parse_port
from .base import Server, syntax

__all__ = ["XClient"]

log = logging.getLogger("mail.log")

_TEMPUNAVAIL = "[TEMPUNAVAIL]"

# What a later XCLIENT without it leaves as it is; the others belong to the session that ends with it.
_PERSISTENT = frozenset({"NAME", "ADDR", "PORT", "DESTADDR", "DESTPORT"})


class XClient(AttributesExtension):
    """``XCLIENT``, for listed networks.

    It sets ``session.peer`` to the address and port that it says, ``("", 0)`` where it says that they
    are not available; ``session.authenticated`` and ``session.auth_identity`` by LOGIN, and to None
    without; ``session.host_name`` and ``session.extended_smtp`` by HELO and PROTO, or the client greets
    next. All of it is in ``session.xclient``.
    """

    name = "XCLIENT"
    attributes: ClassVar[tuple[str, ...]] = (
        "NAME",
        "ADDR",
        "PORT",
        "PROTO",
        "HELO",
        "LOGIN",
        "DESTADDR",
        "DESTPORT",
    )

    @syntax("XCLIENT attribute=value...")
    async def smtp_XCLIENT(self, server: Server, arg: str | None) -> None:
        """Take the client's place, and greet anew (XC "Server response")."""
        given = self._read(server, arg)
        session = server.session
        if not session.xclient:
            session.peer_before_xclient = session.peer
        server._forget_client()
        server._count_anew()
        kept = {name: value for name, value in session.xclient.items() if name in _PERSISTENT}
        session.xclient = kept | given
        self._set_peer(server)
        # "The SMTP server must not reset attributes that were received with the last XCLIENT command."
        session.host_name = given.get("HELO")
        session.extended_smtp = given.get("PROTO") == "ESMTP"
        login = given.get("LOGIN")
        if login is not None:
            session.authenticated = True
            session.auth_identity = login
            session._login_data = login.encode("utf-8")
        await server.push(f"220 {server.hostname} {server.__ident__}")

    def _set_peer(self, server: Server) -> None:
        """Take the address and the port, from this command or an earlier one, for the peer's."""
        session = server.session
        before, said = session.peer_before_xclient, session.xclient
        address, port = before[:2] if isinstance(before, tuple) else ("", 0)
        if "ADDR" in said:
            address, port = said["ADDR"] or "", 0
        if "PORT" in said:
            port = int(said["PORT"] or 0)
        if "ADDR" in said or "PORT" in said:
            session.peer = (address, port)
        log.info("%r speaks for %r: %r", before, session.peer, said)

    def _parse_value(self, server: Server, name: str, value: str) -> str | None:
        utf8 = server.enable_SMTPUTF8
        if not value.isprintable() or not (value.isascii() or utf8):
            return None
        if name == "PROTO":
            return upper_case(value) if upper_case(value) in ("SMTP", "ESMTP") else None
        if name == "NAME" and upper_case(value) == _TEMPUNAVAIL:
            return _TEMPUNAVAIL
        if value == UNAVAILABLE or name in ("HELO", "LOGIN"):
            return value
        if name == "NAME":
            # "not an SMTP client address"
            return value if is_domain(value, utf8=utf8) and not parse_address(value) else None
        return parse_address(value) if name in ("ADDR", "DESTADDR") else parse_port(value)
