"""EXPN (RFC 5321 section 3.5): its EHLO line; the verb itself is the server's, and the handler's."""

from __future__ import annotations

from .base import Extension, Server

__all__ = ["Expn"]


class Expn(Extension):
    """``EXPN``, where the handler expands mailing lists by ``handle_EXPN``."""

    name = "EXPN"

    def ehlo_line(self, server: Server) -> str | None:
        """Offer it if there is the hook; who supports it must say so (RFC 5321 section 3.5.2)."""
        return self.name if server._find_hook("handle_EXPN") is not None else None
