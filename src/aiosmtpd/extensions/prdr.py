"""PRDR (draft-hall-prdr-00): a reply to the message for each recipient, as LMTP has them.

A client that says PRDR with MAIL is ready for them. They come only where a hook tells recipients apart,
by a list or a dict of replies: ``353``, a reply for each recipient that was accepted, in their order,
and one for the message as a whole. Everything else is answered by one reply, as ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..protocol import MalformedParameters, ProtocolError
from ..protocol import reply as replies
from .base import Extension, Server

__all__ = ["Prdr"]


class Prdr(Extension):
    """``PRDR``, but not on an LMTP server, where each recipient has a reply anyway."""

    name = "PRDR"
    mail_parameters = frozenset({"PRDR"})
    longer: ClassVar[Mapping[str, int]] = {"MAIL": 5}

    def ehlo_line(self, server: Server) -> str | None:
        """Offer it on an SMTP server."""
        return None if server._greeting_verb == "LHLO" else self.name

    def parse_mail(self, server: Server, keyword: str, value: str | None) -> bool:
        """Note that the client asks for it; it takes no value (section 4.2)."""
        if server._greeting_verb == "LHLO":
            raise ProtocolError(reply=replies.MAIL_PARAMETERS_UNKNOWN)
        if value is not None:
            raise MalformedParameters
        return True
