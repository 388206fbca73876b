"""BINARYMIME (RFC 3030 section 3): bodies that are no lines, such as an attachment without encoding.

``BODY=BINARYMIME`` is a third value of the parameter of 8BITMIME. Only BDAT can carry such a message,
since DATA ends at a line of one dot.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..protocol import ProtocolError
from ..protocol import reply as replies
from .base import Extension, Server

__all__ = ["BinaryMime"]


class BinaryMime(Extension):
    """``BODY=BINARYMIME``; not with ``decode_data``, where octets would be lost."""

    name = "BINARYMIME"
    needs = frozenset({"8BITMIME", "CHUNKING"})
    body_types = ("BINARYMIME",)
    checks = frozenset({"MAIL", "DATA"})

    def ehlo_line(self, server: Server) -> str | None:
        """Offer it where content is handed on as octets."""
        return None if server._decode_data else self.name

    def check(
        self, server: Server, verb: str, address: str | None, parameters: Mapping[str, Any]
    ) -> None:
        """Refuse such a message where it is not offered, and DATA for it (RFC 3030 section 3)."""
        if verb == "MAIL":
            if server._decode_data and parameters.get("BODY") == "BINARYMIME":
                raise ProtocolError(reply=replies.MAIL_PARAMETERS_UNKNOWN)
        elif server.envelope.mail_parameters.get("BODY") == "BINARYMIME":
            raise ProtocolError(reply=replies.NEED_BDAT)
