"""PLAIN (RFC 4616): authorization identity, authentication identity and password in one response."""

from __future__ import annotations

from .mechanism import BadResponse, Challenge, Mechanism
from .password import LoginPassword, PlainPassword

__all__ = ["Plain"]


class Plain(Mechanism):
    """``[authzid] NUL authcid NUL passwd`` (RFC 4616 section 2)."""

    name = "PLAIN"
    needs = "check_password"

    def step(self, response: bytes | None) -> Challenge | LoginPassword:
        """Ask with an empty challenge, or split the response."""
        if response is None:
            return Challenge(b"")
        parts = response.split(b"\0")
        if len(parts) != 3:
            raise BadResponse("not three parts")
        authzid, login, password = parts
        if authzid:
            return PlainPassword(login, password, authzid)
        return LoginPassword(login, password)
