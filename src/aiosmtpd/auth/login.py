"""LOGIN (draft-murchison-sasl-login): two questions, as old clients still want them."""

from __future__ import annotations

from typing import ClassVar

from .mechanism import Challenge, Context, Mechanism
from .password import LoginPassword

__all__ = ["Login"]


class Login(Mechanism):
    """Ask for the name, then for the password.

    Attributes:
        username_challenge: what asks for the name; clients match it or ignore it. None leaves it to
            the server's ``AuthLoginUsernameChallenge``.
        password_challenge: what asks for the password; as above.
    """

    name = "LOGIN"
    needs = "check_password"
    username_challenge: ClassVar[bytes | None] = None
    password_challenge: ClassVar[bytes | None] = None

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._login: bytes | None = None

    def step(self, response: bytes | None) -> Challenge | LoginPassword:
        """Take the name, which may be an initial response, then the password."""
        if response is None:
            return _question(self.username_challenge, self.context.questions[0])
        if self._login is None:
            self._login = response
            return _question(self.password_challenge, self.context.questions[1])
        return LoginPassword(self._login, response)


def _question(own: bytes | None, usual: bytes) -> Challenge:
    return Challenge(usual if own is None else own)
