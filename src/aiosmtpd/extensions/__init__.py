"""ESMTP extensions (RFC 5321 section 2.2), one module an extension.

Each tells its EHLO line for the session at hand, the parameters it adds to MAIL and RCPT with what
they mean, its verbs, and by how much it lengthens commands. What a server has is a tuple of them, and
what that adds up to a table.
"""

from collections.abc import Callable

from .auth import Auth
from .base import Extension, Server, syntax
from .binarymime import BinaryMime
from .chunking import Chunking
from .deliverby import DeliverBy, DeliveryTime
from .dsn import Dsn, OriginalRecipient
from .eightbitmime import EightBitMime
from .enhancedstatuscodes import EnhancedStatusCodes
from .etrn import Etrn
from .expn import Expn
from .futurerelease import FutureRelease
from .help import Help
from .limits import Limits
from .mtpriority import MtPriority
from .nosoliciting import NoSoliciting
from .pipelining import Pipelining
from .prdr import Prdr
from .requiretls import RequireTls
from .rrvs import Rrvs, ValidSince
from .size import Size
from .smtputf8 import SmtpUtf8, StrictSmtpUtf8
from .starttls import StartTls
from .table import ExtensionTable, table_of
from .xclient import XClient
from .xforward import XForward

__all__ = [
    "BUILT_IN",
    "DEFAULT",
    "Auth",
    "BinaryMime",
    "Chunking",
    "DeliverBy",
    "DeliveryTime",
    "Dsn",
    "EightBitMime",
    "EnhancedStatusCodes",
    "Etrn",
    "Expn",
    "Extension",
    "ExtensionTable",
    "FutureRelease",
    "Help",
    "Limits",
    "MtPriority",
    "NoSoliciting",
    "OriginalRecipient",
    "Pipelining",
    "Prdr",
    "RequireTls",
    "Rrvs",
    "Server",
    "Size",
    "SmtpUtf8",
    "StartTls",
    "StrictSmtpUtf8",
    "ValidSince",
    "XClient",
    "XForward",
    "syntax",
    "table_of",
]

DEFAULT: tuple[Extension, ...] = (
    Size(),
    EightBitMime(),
    SmtpUtf8(),
    StartTls(),
    Auth(),
    Pipelining(),
    Chunking(),
    Expn(),
    Help(),
)
"""The extensions of a server, in the order of their EHLO lines."""

BUILT_IN: dict[str, Callable[[], Extension]] = {
    "BINARYMIME": BinaryMime,
    "DELIVERBY": DeliverBy,
    "DSN": Dsn,
    "ENHANCEDSTATUSCODES": EnhancedStatusCodes,
    "ETRN": Etrn,
    "FUTURERELEASE": FutureRelease,
    "LIMITS": Limits,
    "MT-PRIORITY": MtPriority,
    "NO-SOLICITING": NoSoliciting,
    "PRDR": Prdr,
    "REQUIRETLS": RequireTls,
    "RRVS": Rrvs,
}
"""The extensions that are there to be added, by name; each can be made without arguments."""
