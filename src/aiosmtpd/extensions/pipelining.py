"""PIPELINING (RFC 2920): groups of commands without waiting; the engine groups the replies."""

from __future__ import annotations

from .base import Extension

__all__ = ["Pipelining"]


class Pipelining(Extension):
    """``PIPELINING``, always."""

    name = "PIPELINING"
