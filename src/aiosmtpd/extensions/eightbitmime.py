"""8BITMIME (RFC 6152): bodies with octets above 127."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..protocol import ProtocolError
from ..protocol import reply as replies
from .base import Extension, Server

__all__ = ["EightBitMime"]


class EightBitMime(Extension):
    """``BODY=8BITMIME`` or ``BODY=7BIT``; not with ``decode_data``, where octets would be lost."""

    name = "8BITMIME"
    mail_parameters = frozenset({"BODY"})
    longer: ClassVar[Mapping[str, int]] = {"MAIL": 17}  # RFC 6152 section 2

    def ehlo_line(self, server: Server) -> str | None:
        """Offer it where content is handed on as octets."""
        return None if server._decode_data else self.name

    def parse_mail(self, server: Server, keyword: str, value: str | None) -> str:
        """Give the body type, ``"7BIT"`` or ``"8BITMIME"`` (RFC 6152 section 3)."""
        if server._decode_data:
            raise ProtocolError(reply=replies.MAIL_PARAMETERS_UNKNOWN)
        if value is None or value.upper() not in ("7BIT", "8BITMIME"):
            raise ProtocolError(reply=replies.BODY_UNKNOWN)
        return value.upper()
