"""ETRN (RFC 1985): a client asks that what is queued for a node be sent now.

The server has no queue: the hook ``handle_ETRN`` has one, or knows who has. Whoever asks is not told
anything but a reply code, and what is sent goes where it would have gone anyway (RFC 1985 section 7).
"""

from __future__ import annotations

from ..protocol import Phase, Reply, phase_of
from ..protocol.grammar import is_address_literal, is_domain
from ..protocol.reply import repeated
from .base import Extension, Server, syntax

__all__ = ["Etrn"]

_NOT_IMPLEMENTED = Reply(502, "5.5.1", "ETRN not implemented")
_SYNTAX = Reply(501, "5.5.4", "Syntax: ETRN [@]node | #queue")
_IN_TRANSACTION = Reply(503, "5.5.1", "Error: ETRN not allowed during a mail transaction")


class Etrn(Extension):
    """``ETRN``, where the handler has a queue: the hook ``handle_ETRN``."""

    name = "ETRN"

    def ehlo_line(self, server: Server) -> str | None:
        """Offer it if there is the hook."""
        return self.name if server._find_hook("handle_ETRN") is not None else None

    @syntax("ETRN [@]node | #queue")
    async def smtp_ETRN(self, server: Server, arg: str | None) -> None:
        """Have the handler start a queue (RFC 1985 section 5.1)."""
        if server._find_hook("handle_ETRN") is None:
            await server.push(_NOT_IMPLEMENTED)
            return
        greeting = "LHLO" if server._greeting_verb == "LHLO" else "EHLO"
        if await server.check_helo_needed(greeting) or await server.check_auth_needed("ETRN"):
            return
        if phase_of(server.session, server.envelope) not in (Phase.CONNECTED, Phase.GREETED):
            await server.push(_IN_TRANSACTION)
            return
        node = arg or ""
        if not _is_node(node, utf8=server.enable_SMTPUTF8):
            await server.push(_SYNTAX)
            return
        status = await server._call_handler_hook("ETRN", node)
        # RFC 1985 section 5.3
        default = f"250 OK, queuing for node {repeated(node)} started"
        await server.push(server._default_for(status, default, "ETRN"))


def _is_node(text: str, *, utf8: bool) -> bool:
    """Tell whether this is a node, perhaps with its subdomains, or a queue (RFC 1985 section 5.2)."""
    if text.startswith("#"):
        # What names a queue has is for the handler to say; they are one word.
        return len(text) > 1 and " " not in text and text.isprintable()
    node = text.removeprefix("@")
    return is_domain(node, utf8=utf8) or (node == text and is_address_literal(node))
