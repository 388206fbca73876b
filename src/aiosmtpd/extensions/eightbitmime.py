"""8BITMIME (RFC 6152): bodies with octets above 127."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..protocol import ProtocolError
from ..protocol import reply as replies
from ..protocol.grammar import upper_case
from .base import Extension, Server

__all__ = ["EightBitMime"]


class EightBitMime(Extension):
    """``BODY=8BITMIME`` or ``BODY=7BIT``; not with ``decode_data``, where octets would be lost."""

    name = "8BITMIME"
    mail_parameters = frozenset({"BODY"})
    body_types = ("7BIT", "8BITMIME")
    longer: ClassVar[Mapping[str, int]] = {"MAIL": 17}  # RFC 6152 section 2

    def ehlo_line(self, server: Server) -> str | None:
        """Offer it unless content has to be ASCII; SMTPUTF8 needs it (RFC 6531 section 3.1 (8))."""
        return self.name if _is_possible(server) else None

    def parse_mail(self, server: Server, keyword: str, value: str | None) -> str:
        """Give the body type: ``"7BIT"``, ``"8BITMIME"`` (RFC 6152 section 3), or one of others."""
        if not _is_possible(server):
            raise ProtocolError(reply=replies.MAIL_PARAMETERS_UNKNOWN)
        types = server._table.body_types
        if value is None or upper_case(value) not in types:
            raise ProtocolError(
                reply=replies.BODY_UNKNOWN
                if types == self.body_types
                else replies.Reply(501, None, f"Error: BODY can only be one of {', '.join(types)}")
            )
        return upper_case(value)


def _is_possible(server: Server) -> bool:
    """Tell whether any octet of a body can be handed on."""
    return server.enable_SMTPUTF8 or not server._decode_data
