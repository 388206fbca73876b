"""XFORWARD, as Postfix documents it: a listed host tells whom it has a message from, for the log.

It changes nothing but what stands in the envelope of the next transaction. It ends with that
transaction, as the envelope does (XF "Server operation").
"""

from __future__ import annotations

import re
from typing import ClassVar

from ..protocol import reply as replies
from ..protocol.grammar import upper_case
from .attributes import UNAVAILABLE, AttributesExtension, parse_address, parse_port
from .base import Server, syntax

__all__ = ["XForward"]

_PROTO_LIMIT = 64
# What a value must not contain (XF note 1). It was chosen by the client of the host that forwards it,
# which is not to blame: so it is not refused, but cannot do harm in a header field.
_SPECIAL = re.compile(r'[^!-~]|[()<>@,;\\"]')


class XForward(AttributesExtension):
    """``XFORWARD``, for listed networks.

    What it says is in ``envelope.xforward``, all attributes by name; None for what is unavailable or
    was not said. Where ADDR is None, the message was submitted on the forwarding host itself.
    """

    name = "XFORWARD"
    attributes: ClassVar[tuple[str, ...]] = (
        "NAME",
        "ADDR",
        "PORT",
        "PROTO",
        "HELO",
        "IDENT",
        "SOURCE",
    )

    @syntax("XFORWARD attribute=value...")
    async def smtp_XFORWARD(self, server: Server, arg: str | None) -> None:
        """Note what is known of the client of the client (XF "Server operation")."""
        given = self._read(server, arg)
        envelope = server.envelope
        # The first one says of all attributes that they are unavailable, so that nothing of this
        # session is mixed with them (XF note 4).
        before = envelope.xforward or dict.fromkeys(self.attributes)
        envelope.xforward = {**before, **given}
        await server.push(replies.OK)

    def _parse_value(self, server: Server, name: str, value: str) -> str | None:
        if value == UNAVAILABLE:
            return value
        if name == "PORT":
            return parse_port(value)
        if name == "SOURCE":
            return upper_case(value) if upper_case(value) in ("LOCAL", "REMOTE") else None
        if name == "PROTO" and len(value) > _PROTO_LIMIT:
            return None
        if name == "ADDR":
            value = parse_address(value) or value  # "may be a non-IP address"
        return _SPECIAL.sub("?", value)
