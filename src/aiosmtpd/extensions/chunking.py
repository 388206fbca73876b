"""CHUNKING (RFC 3030): messages by BDAT, in chunks of announced sizes, beside those by DATA.

There is no terminator to look for and no transparency to undo, lines may be of any length, and a client
learns of a refusal before it has sent the whole message.
"""

from __future__ import annotations

from .base import Extension, Server, syntax

__all__ = ["Chunking"]


class Chunking(Extension):
    """``CHUNKING`` and the verb BDAT, always."""

    name = "CHUNKING"

    # HELP's list is for people, who do not count octets; and tests of others compare it.
    @syntax("BDAT <size> [LAST]", listed=False)
    async def smtp_BDAT(self, server: Server, arg: str | None) -> None:
        """Receive a chunk of the message (RFC 3030 section 2)."""
        await server._receive_chunk(arg)
