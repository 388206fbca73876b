"""ESMTP extensions (RFC 5321 section 2.2), one module an extension.

Each tells its EHLO line for the session at hand, the parameters it adds to MAIL and RCPT with what
they mean, its verbs, and by how much it lengthens commands. What a server has is a tuple of them, and
what that adds up to a table.

Those that a server has by default are imported with this package, the others when they are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from ..late import LateNames
from .auth import Auth
from .base import Extension, Server, syntax
from .chunking import Chunking
from .eightbitmime import EightBitMime
from .expn import Expn
from .help import Help
from .pipelining import Pipelining
from .size import Size
from .smtputf8 import SmtpUtf8, StrictSmtpUtf8
from .starttls import StartTls
from .table import ExtensionTable, table_of

if TYPE_CHECKING:
    from .binarymime import BinaryMime
    from .deliverby import DeliverBy, DeliveryTime
    from .dsn import Dsn, OriginalRecipient
    from .enhancedstatuscodes import EnhancedStatusCodes
    from .etrn import Etrn
    from .futurerelease import FutureRelease
    from .limits import Limits
    from .mtpriority import MtPriority
    from .nosoliciting import NoSoliciting
    from .prdr import Prdr
    from .requiretls import RequireTls
    from .rrvs import Rrvs, ValidSince
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

# Where the names are that are imported when they are asked for.
_MODULES = {
    "BinaryMime": "binarymime",
    "DeliverBy": "deliverby",
    "DeliveryTime": "deliverby",
    "Dsn": "dsn",
    "EnhancedStatusCodes": "enhancedstatuscodes",
    "Etrn": "etrn",
    "FutureRelease": "futurerelease",
    "Limits": "limits",
    "MtPriority": "mtpriority",
    "NoSoliciting": "nosoliciting",
    "OriginalRecipient": "dsn",
    "Prdr": "prdr",
    "RequireTls": "requiretls",
    "Rrvs": "rrvs",
    "ValidSince": "rrvs",
    "XClient": "xclient",
    "XForward": "xforward",
}


_late = LateNames(globals(), **{name: f".extensions.{module}" for name, module in _MODULES.items()})
__dir__ = _late.names
if not TYPE_CHECKING:  # to a type checker, any name at all would be there
    __getattr__ = _late.give


class _BuiltIn(Mapping[str, Callable[[], Extension]]):
    """Classes by the names of their extensions, imported when they are looked up."""

    def __init__(self, classes: dict[str, str]) -> None:
        self._classes = classes

    def __getitem__(self, name: str) -> Callable[[], Extension]:
        made: Callable[[], Extension] = _late.give(self._classes[name])
        return made

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    def __len__(self) -> int:
        return len(self._classes)

    def __repr__(self) -> str:
        return repr(self._classes)


BUILT_IN: Mapping[str, Callable[[], Extension]] = _BuiltIn(
    {
        "BINARYMIME": "BinaryMime",
        "DELIVERBY": "DeliverBy",
        "DSN": "Dsn",
        "ENHANCEDSTATUSCODES": "EnhancedStatusCodes",
        "ETRN": "Etrn",
        "FUTURERELEASE": "FutureRelease",
        "LIMITS": "Limits",
        "MT-PRIORITY": "MtPriority",
        "NO-SOLICITING": "NoSoliciting",
        "PRDR": "Prdr",
        "REQUIRETLS": "RequireTls",
        "RRVS": "Rrvs",
    }
)
"""The extensions that are there to be added, by name; each can be made without arguments."""
