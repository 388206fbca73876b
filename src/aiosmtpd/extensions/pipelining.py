"""PIPELINING (RFC 2920): groups of commands without waiting; the engine groups the replies."""

from __future__ import annotations

from .base import Extension, Server

__all__ = ["Pipelining"]


class Pipelining(Extension):
    """``PIPELINING``, always."""

    def ehlo_line(self, server: Server) -> str | None:
        """Offer it."""
        return "PIPELINING"
