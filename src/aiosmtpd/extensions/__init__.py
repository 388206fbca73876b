"""ESMTP extensions (RFC 5321 section 2.2), one module an extension.

Each tells its EHLO line for the session at hand, the parameters it adds to MAIL and RCPT with the check
of their values, and by how much it lengthens these commands. An extension keeps no state: what a client
said is kept in the session and the envelope.
"""

from .auth import Auth
from .base import Extension, Server
from .eightbitmime import EightBitMime
from .help import Help
from .pipelining import Pipelining
from .size import Size
from .smtputf8 import SmtpUtf8
from .starttls import StartTls

__all__ = [
    "DEFAULT",
    "Auth",
    "EightBitMime",
    "Extension",
    "Help",
    "Pipelining",
    "Server",
    "Size",
    "SmtpUtf8",
    "StartTls",
]

DEFAULT: tuple[Extension, ...] = (
    Size(),
    EightBitMime(),
    SmtpUtf8(),
    StartTls(),
    Auth(),
    Pipelining(),
    Help(),
)
"""The extensions of a server, in the order of their EHLO lines."""
