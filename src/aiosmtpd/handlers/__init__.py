"""Handlers that come with the server, one module each.

They are given to a controller or a server as its handler, named on the command line, or subclassed.
"""

import smtplib

from .. import smtp
from ..session import Envelope as SMTPEnvelope
from ..session import Session as SMTPSession
from .debugging import Debugging
from .mailbox import Mailbox
from .message import AsyncMessage, Message, MessageBase
from .proxy import Proxy
from .sink import Sink

#: The server's class, under the name it had here in 1.4.
SMTPServer = smtp.SMTP

__all__ = [
    "AsyncMessage",
    "Debugging",
    "Mailbox",
    "Message",
    "MessageBase",
    "Proxy",
    "SMTPEnvelope",
    "SMTPServer",
    "SMTPSession",
    "Sink",
    "smtplib",
]
