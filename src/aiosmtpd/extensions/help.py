"""HELP (RFC 5321 section 4.1.1.8): its EHLO line, which ends the reply as 1.4 did."""

from __future__ import annotations

from .base import Extension

__all__ = ["Help"]


class Help(Extension):
    """``HELP``, always."""

    name = "HELP"
