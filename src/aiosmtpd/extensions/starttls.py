"""STARTTLS (RFC 3207): its EHLO line; the verb itself is the server's."""

from __future__ import annotations

from .base import Extension, Server

__all__ = ["StartTls"]


class StartTls(Extension):
    """``STARTTLS``, while there is a certificate to use and no TLS yet."""

    name = "STARTTLS"

    def ehlo_line(self, server: Server) -> str | None:
        """Offer it, but not under TLS (RFC 3207 section 4.2)."""
        return self.name if server.tls_context and server._tls_protocol is None else None
