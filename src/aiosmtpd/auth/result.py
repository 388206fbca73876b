"""How an authentication came out, and the callables that say so; no ``repr`` shows a secret."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

__all__ = [
    "AuthCallbackType",
    "AuthResult",
    "AuthenticatorType",
    "login_always_fail",
]


@dataclasses.dataclass(kw_only=True, repr=False)
class AuthResult:
    """The outcome of an authentication.

    Attributes:
        success: whether the identity is established.
        handled: on failure: True says that whoever returned this has told the client why, False that
            the server shall. A client that was told nothing is told in any case.
        message: the reply to send, with its code, instead of the usual one.
        auth_data: what to keep in ``session.auth_data``; never shown by ``repr``.
        identity: what to keep in ``session.auth_identity``: who the client is now. None leaves it to
            the server, which takes the login of PLAIN and LOGIN.
    """

    success: bool
    handled: bool = True
    message: str | None = None
    auth_data: Any = None
    identity: str | None = None

    def __repr__(self) -> str:
        data = None if self.auth_data is None else "..."
        identity = "" if self.identity is None else f", identity={self.identity!r}"
        return (
            f"AuthResult(success={self.success!r}, handled={self.handled!r}, "
            f"message={self.message!r}, auth_data={data}{identity})"
        )


AuthenticatorType = Callable[[Any, Any, Any, str, Any], AuthResult | Awaitable[AuthResult]]
"""``authenticator(server, session, envelope, mechanism, auth_data)``, plain or async."""

AuthCallbackType = Callable[[str, bytes, bytes], bool]
"""``auth_callback(mechanism, login, password)``; deprecated in favour of an authenticator."""


def login_always_fail(mechanism: str, login: bytes, password: bytes) -> bool:
    """Refuse everybody: the ``auth_callback`` where none was given."""
    return False
