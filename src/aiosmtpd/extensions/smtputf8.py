"""SMTPUTF8 (RFC 6531): internationalised addresses and headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..protocol import ProtocolError
from ..protocol import reply as replies
from .base import Extension, Server

__all__ = ["SmtpUtf8"]


class SmtpUtf8(Extension):
    """``SMTPUTF8``, where the server has it enabled."""

    name = "SMTPUTF8"
    mail_parameters = frozenset({"SMTPUTF8"})
    longer: ClassVar[Mapping[str, int]] = {"MAIL": 10}  # RFC 6531 section 3.1 (8), (9)

    def ehlo_line(self, server: Server) -> str | None:
        """Offer it if it is enabled."""
        return self.name if server.enable_SMTPUTF8 else None

    def parse_mail(self, server: Server, keyword: str, value: str | None) -> bool:
        """Allow it, without a value, where it is enabled (RFC 6531 section 3.4)."""
        if not server.enable_SMTPUTF8:
            raise ProtocolError(reply=replies.SMTPUTF8_DISABLED)
        if value is not None:
            raise ProtocolError(reply=replies.SMTPUTF8_ARGUMENT)
        return True
