"""What a mechanism gathers and what an authenticator says of it; neither shows a secret."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

__all__ = [
    "AuthCallbackType",
    "AuthResult",
    "AuthenticatorType",
    "LoginPassword",
    "login_always_fail",
]


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


@dataclasses.dataclass(kw_only=True, repr=False)
class AuthResult:
    """The outcome of an authentication.

    Attributes:
        success: whether the identity is established.
        handled: on failure: True says that whoever returned this has told the client why, False that
            the server shall. A client that was told nothing is told in any case.
        message: the reply to send, with its code, instead of the usual one.
        auth_data: what to keep in ``session.auth_data``; never shown by ``repr``.
    """

    success: bool
    handled: bool = True
    message: str | None = None
    auth_data: Any = None

    def __repr__(self) -> str:
        data = None if self.auth_data is None else "..."
        return (
            f"AuthResult(success={self.success!r}, handled={self.handled!r}, "
            f"message={self.message!r}, auth_data={data})"
        )


AuthenticatorType = Callable[[Any, Any, Any, str, Any], AuthResult | Awaitable[AuthResult]]
"""``authenticator(server, session, envelope, mechanism, auth_data)``, plain or async."""

AuthCallbackType = Callable[[str, bytes, bytes], bool]
"""``auth_callback(mechanism, login, password)``; deprecated in favour of an authenticator."""


def login_always_fail(mechanism: str, login: bytes, password: bytes) -> bool:
    """Refuse everybody: the ``auth_callback`` where none was given."""
    return False
