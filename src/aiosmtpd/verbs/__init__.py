"""The verbs of the server, in groups; :class:`aiosmtpd.smtp.SMTP` is made of them."""

from .at_once import AtOnce, note_own_methods
from .auth import AuthMechanismType, AuthVerbs, auth_mechanism
from .base import MISSING, syntax
from .chunks import ChunkVerbs
from .gates import Gates
from .proxy import ProxyOpening
from .session import SessionVerbs
from .tls import TLSSetupException, TlsVerbs
from .transaction import TransactionVerbs

__all__ = [
    "MISSING",
    "AtOnce",
    "AuthMechanismType",
    "AuthVerbs",
    "ChunkVerbs",
    "Gates",
    "ProxyOpening",
    "SessionVerbs",
    "TLSSetupException",
    "TlsVerbs",
    "TransactionVerbs",
    "auth_mechanism",
    "note_own_methods",
    "syntax",
]
