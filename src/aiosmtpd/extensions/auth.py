"""AUTH (RFC 4954): its EHLO line and its parameter of MAIL; the verb is the server's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..protocol import MalformedAddress, MalformedParameters, ProtocolError
from ..protocol import reply as replies
from ..protocol.grammar import decode_xtext, parse_mailbox
from .base import Extension, Server

__all__ = ["Auth"]


class Auth(Extension):
    """``AUTH`` with the mechanisms that could succeed now."""

    name = "AUTH"
    mail_parameters = frozenset({"AUTH"})
    longer: ClassVar[Mapping[str, int]] = {"MAIL": 500}  # RFC 4954 section 3 (6)

    def ehlo_line(self, server: Server) -> str | None:
        """Offer the mechanisms, if there are any."""
        mechanisms = server._advertised_mechanisms()
        return "AUTH " + " ".join(mechanisms) if mechanisms else None

    def parse_mail(self, server: Server, keyword: str, value: str | None) -> str:
        """Give the mailbox that submitted the message, or ``"<>"`` (RFC 4954 section 5)."""
        if not server._advertised_mechanisms():
            raise ProtocolError(reply=replies.MAIL_PARAMETERS_UNKNOWN)
        if value is None:
            raise MalformedParameters
        if value == "<>":
            return value
        try:
            return parse_mailbox(decode_xtext(value), utf8=server.enable_SMTPUTF8)
        except MalformedAddress as fault:
            raise MalformedParameters from fault
