"""The engine: SMTP as octets in, events and replies out, without I/O, without a clock.

It knows framing (:class:`Connection` and its readers), the grammar, the sequence of commands and the
replies. It refuses to know sockets, tasks, TLS, handlers and policy: whatever drives it decides what a
command does. Anybody can unit-test it, fuzz it, or drive it from something else than asyncio::

    connection = Connection()
    connection.receive_data(b"NOOP\\r\\n")
    connection.next_event()   # Command(verb='NOOP', argument=None, size=4)
    connection.send("250 OK")  # b'250 OK\\r\\n'
"""

from .chunks import parse_chunk
from .connection import AUTH_LINE_LIMIT, Connection
from .errors import (
    BadCommand,
    BodyError,
    BodyIncomplete,
    BodyLineTooLong,
    BodyTooLarge,
    CommandTooLong,
    MalformedAddress,
    MalformedParameters,
    NonAsciiCommand,
    ProtocolError,
)
from .events import (
    AuthResponse,
    Body,
    BodyChunk,
    BodyEnd,
    Command,
    ConnectionClosed,
    Event,
    ProxyHeader,
)
from .readers import Mode
from .reply import Reply, encode_reply
from .sequence import Phase, phase_of, refusal

__all__ = [
    "AUTH_LINE_LIMIT",
    "AuthResponse",
    "BadCommand",
    "Body",
    "BodyChunk",
    "BodyEnd",
    "BodyError",
    "BodyIncomplete",
    "BodyLineTooLong",
    "BodyTooLarge",
    "Command",
    "CommandTooLong",
    "Connection",
    "ConnectionClosed",
    "Event",
    "MalformedAddress",
    "MalformedParameters",
    "Mode",
    "NonAsciiCommand",
    "Phase",
    "ProtocolError",
    "ProxyHeader",
    "Reply",
    "encode_reply",
    "parse_chunk",
    "phase_of",
    "refusal",
]
