"""SASL without I/O: mechanisms as step machines, what they hand on, and how its outcome is told.

A :class:`Mechanism` knows no socket and no user list: it turns the client's responses into credentials,
which an authenticator accepts or not: a callable, or an :class:`Authenticator`, whose methods say what
it can do. What carries a secret here has a ``repr`` without it.

What a server needs for an AUTH is imported when the first one comes, or a program asks for it: all of
it takes longer than the rest of the package takes to be imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..late import LateNames
from .password import LoginPassword, PlainPassword
from .result import AuthCallbackType, AuthenticatorType, AuthResult, login_always_fail
from .sanitize import sanitize, sanitized_log

if TYPE_CHECKING:
    from .authenticator import Authenticator
    from .binding import ChannelBindings
    from .crammd5 import CramMd5
    from .credentials import BearerToken, ExternalIdentity, ScramKeys, VerifiedIdentity
    from .external import External
    from .login import Login
    from .mechanism import BadResponse, Challenge, Context, KeyRequest, Mechanism, ProofFailed
    from .oauth import OAuthBearer, XOAuth2
    from .plain import Plain
    from .scram import ScramSha1, ScramSha1Plus, ScramSha256, ScramSha256Plus
    from .users import UsersFile

__all__ = [
    "DEFAULT_MECHANISMS",
    "AuthCallbackType",
    "AuthResult",
    "Authenticator",
    "AuthenticatorType",
    "BadResponse",
    "BearerToken",
    "Challenge",
    "ChannelBindings",
    "Context",
    "CramMd5",
    "External",
    "ExternalIdentity",
    "KeyRequest",
    "Login",
    "LoginPassword",
    "Mechanism",
    "OAuthBearer",
    "Plain",
    "PlainPassword",
    "ProofFailed",
    "ScramKeys",
    "ScramSha1",
    "ScramSha1Plus",
    "ScramSha256",
    "ScramSha256Plus",
    "UsersFile",
    "VerifiedIdentity",
    "XOAuth2",
    "login_always_fail",
    "sanitize",
    "sanitized_log",
]

DEFAULT_MECHANISMS: tuple[type[Mechanism], ...]
"""The mechanisms of a server; each is offered where the authenticator and the connection allow it."""

# Where the names are that are imported when they are asked for.
_MODULES = {
    "DEFAULT_MECHANISMS": "default",
    "Authenticator": "authenticator",
    "BadResponse": "mechanism",
    "BearerToken": "credentials",
    "Challenge": "mechanism",
    "ChannelBindings": "binding",
    "Context": "mechanism",
    "CramMd5": "crammd5",
    "External": "external",
    "ExternalIdentity": "credentials",
    "KeyRequest": "mechanism",
    "Login": "login",
    "Mechanism": "mechanism",
    "OAuthBearer": "oauth",
    "Plain": "plain",
    "ProofFailed": "mechanism",
    "ScramKeys": "credentials",
    "ScramSha1": "scram",
    "ScramSha1Plus": "scram",
    "ScramSha256": "scram",
    "ScramSha256Plus": "scram",
    "UsersFile": "users",
    "VerifiedIdentity": "credentials",
    "XOAuth2": "oauth",
}


_late = LateNames(globals(), **{name: f".auth.{module}" for name, module in _MODULES.items()})
__dir__ = _late.names
if not TYPE_CHECKING:  # to a type checker, any name at all would be there
    __getattr__ = _late.give
