"""LOGIN (draft-murchison-sasl-login): two questions, as old clients still want them."""

from __future__ import annotations

from .mechanism import Challenge, Mechanism
from .result import LoginPassword

__all__ = ["Login"]


class Login(Mechanism):
    """Ask for the name, then for the password.

    Args:
        username_challenge: what asks for the name; clients match it or ignore it.
        password_challenge: what asks for the password.
    """

    name = "LOGIN"

    def __init__(self, username_challenge: bytes, password_challenge: bytes) -> None:
        self._username_challenge = username_challenge
        self._password_challenge = password_challenge
        self._login: bytes | None = None

    def step(self, response: bytes | None) -> Challenge | LoginPassword:
        """Take the name, which may be an initial response, then the password."""
        if response is None:
            return Challenge(self._username_challenge)
        if self._login is None:
            self._login = response
            return Challenge(self._password_challenge)
        return LoginPassword(self._login, response)
