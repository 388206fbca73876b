"""REQUIRETLS (RFC 8689): a message that may travel under TLS only.

The extension takes the demand; whoever relays the message keeps it, and adds it to notifications about
the message (section 5). The header field ``TLS-Required`` is for them to read, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..protocol import MalformedParameters, ProtocolError, Reply
from .base import Extension, Server

__all__ = ["RequireTls"]

# X.7.10 of the registry of RFC 5248.
_NEEDS_TLS = Reply(530, "5.7.10", "Encryption needed for REQUIRETLS")


class RequireTls(Extension):
    """``REQUIRETLS``, under TLS; the parameter's value is True."""

    name = "REQUIRETLS"
    mail_parameters = frozenset({"REQUIRETLS"})
    longer: ClassVar[Mapping[str, int]] = {"MAIL": 11}  # RFC 8689 section 2 (5)

    def ehlo_line(self, server: Server) -> str | None:
        """Offer it under TLS, however that came about (RFC 8689 section 2)."""
        return None if server._tls_protocol is None else self.name

    def parse_mail(self, server: Server, keyword: str, value: str | None) -> bool:
        """Take the demand, without a value, under TLS only (RFC 8689 section 2).

        Raises:
            MalformedParameters: it has a value.
            ProtocolError: the connection itself is not encrypted.
        """
        if value is not None:
            raise MalformedParameters
        if server._tls_protocol is None:
            raise ProtocolError(reply=_NEEDS_TLS)
        return True
