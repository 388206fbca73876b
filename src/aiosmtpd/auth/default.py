"""The mechanisms that a server has unless it is told otherwise, in the order of their worth."""

from __future__ import annotations

from .external import External
from .login import Login
from .mechanism import Mechanism
from .oauth import OAuthBearer, XOAuth2
from .plain import Plain
from .scram import ScramSha1, ScramSha1Plus, ScramSha256, ScramSha256Plus

__all__ = ["DEFAULT_MECHANISMS"]

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
