"""PLAIN (RFC 4616): authorization identity, authentication identity and password in one response."""

from __future__ import annotations

from .mechanism import BadResponse, Challenge, Mechanism
from .result import LoginPassword

__all__ = ["Plain"]


class Plain(Mechanism):
    """``[authzid] NUL authcid NUL passwd``; an authorization identity is read and not used."""

    name = "PLAIN"

    def step(self, response: bytes | None) -> Challenge | LoginPassword:
        """Ask with an empty challenge, or split the response (RFC 4616 section 2)."""
        if response is None:
            return Challenge(b"")
        parts = response.split(b"\0")
        if len(parts) != 3:
            raise BadResponse("not three parts")
        return LoginPassword(parts[1], parts[2])
