"""What PLAIN and LOGIN gather; no ``repr`` shows a secret.

It stands alone, for it is all that an ``authenticator`` of 1.4 must know of SASL.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["LoginPassword", "PlainPassword"]


class LoginPassword(NamedTuple):
    """What PLAIN and LOGIN gather.

    Attributes:
        login: the identity that authenticates.
        password: its password, never shown by ``repr`` or ``str``.
    """

    login: bytes
    password: bytes

    def __repr__(self) -> str:
        # The client chose the login: its control characters must not reach a terminal or end a line.
        login = self.login.decode(errors="backslashreplace")
        return f"LoginPassword(login={login!r}, password=...)"

    def __str__(self) -> str:
        return repr(self)


class PlainPassword(LoginPassword):
    """A :class:`LoginPassword` of a client that also says as whom it wants to act (RFC 4616).

    Attributes:
        authzid: the authorization identity, never empty.
    """

    authzid: bytes

    def __new__(cls, login: bytes, password: bytes, authzid: bytes) -> PlainPassword:
        credentials = super().__new__(cls, login, password)
        credentials.authzid = authzid
        return credentials

    def __getnewargs__(self) -> tuple[bytes, bytes, bytes]:
        return self.login, self.password, self.authzid
