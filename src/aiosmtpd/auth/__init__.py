"""SASL without I/O: mechanisms as step machines, what they hand on, and how its outcome is told.

A :class:`Mechanism` knows no socket and no user list: it turns the client's responses into credentials,
which an authenticator accepts or not. What carries a secret here has a ``repr`` without it.
"""

from .login import Login
from .mechanism import BadResponse, Challenge, Mechanism
from .plain import Plain
from .result import (
    AuthCallbackType,
    AuthenticatorType,
    AuthResult,
    LoginPassword,
    login_always_fail,
)
from .sanitize import sanitize, sanitized_log

__all__ = [
    "AuthCallbackType",
    "AuthResult",
    "AuthenticatorType",
    "BadResponse",
    "Challenge",
    "Login",
    "LoginPassword",
    "Mechanism",
    "Plain",
    "login_always_fail",
    "sanitize",
    "sanitized_log",
]
