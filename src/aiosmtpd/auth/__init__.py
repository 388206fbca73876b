"""SASL without I/O: mechanisms as step machines, what they hand on, and how its outcome is told.

A :class:`Mechanism` knows no socket and no user list: it turns the client's responses into credentials,
which an authenticator accepts or not: a callable, or an :class:`Authenticator`, whose methods say what
it can do. What carries a secret here has a ``repr`` without it.
"""

from .authenticator import Authenticator
from .binding import ChannelBindings
from .crammd5 import CramMd5
from .credentials import (
    BearerToken,
    ExternalIdentity,
    LoginPassword,
    PlainPassword,
    ScramKeys,
    VerifiedIdentity,
)
from .external import External
from .login import Login
from .mechanism import BadResponse, Challenge, Context, KeyRequest, Mechanism, ProofFailed
from .oauth import OAuthBearer, XOAuth2
from .plain import Plain
from .result import AuthCallbackType, AuthenticatorType, AuthResult, login_always_fail
from .sanitize import sanitize, sanitized_log
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

DEFAULT_MECHANISMS: tuple[type[Mechanism], ...] = (
    ScramSha256Plus,
    ScramSha256,
    ScramSha1Plus,
    ScramSha1,
    OAuthBearer,
    XOAuth2,
    External,
    Plain,
    Login,
)
"""The mechanisms of a server; each is offered where the authenticator and the connection allow it."""
