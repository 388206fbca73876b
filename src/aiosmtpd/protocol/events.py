"""What the readers hand up: one small immutable tuple a kind of thing that the client said."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .proxy import ProxyData

__all__ = [
    "AuthResponse",
    "Body",
    "BodyChunk",
    "BodyEnd",
    "Command",
    "ConnectionClosed",
    "Event",
    "ProxyHeader",
]


class Command(NamedTuple):
    """A command line (RFC 5321 section 2.4).

    Attributes:
        verb: the verb, in upper case.
        argument: what followed the verb, without the white space around it; None if nothing did.
            Octets that are no UTF-8 stand in it as lone surrogates (:pep:`383`).
        size: the length of the line in octets, without its CRLF.
    """

    verb: str
    argument: str | None
    size: int

    def __repr__(self) -> str:
        # The argument of AUTH holds a secret, and so may that of an AUTH with a space before it.
        shown = "..." if self.argument and self.verb in ("AUTH", "") else self.argument
        return f"Command(verb={self.verb!r}, argument={shown!r}, size={self.size!r})"


class Body(NamedTuple):
    """A whole body, transparency undone (RFC 5321 section 4.5.2), its last CRLF included."""

    content: bytes


class BodyChunk(NamedTuple):
    """A part of a body that is read as a stream, transparency undone; never empty."""

    data: bytes


class BodyEnd(NamedTuple):
    """The end of a body that was read as a stream."""

    def __bool__(self) -> bool:
        return True  # an event is never None, also where it is an empty tuple


class AuthResponse(NamedTuple):
    """A line that answers a 334 challenge (RFC 4954 section 4), without its line end.

    ``repr`` shows its length only: it holds a secret.
    """

    line: bytes

    def __repr__(self) -> str:
        return f"AuthResponse(<{len(self.line)} octets>)"


class ProxyHeader(NamedTuple):
    """The PROXY header that opened the connection; its ``valid`` tells whether it is one."""

    data: ProxyData


class ConnectionClosed(NamedTuple):
    """The client will send nothing more, and all that it sent has been read."""

    def __bool__(self) -> bool:
        return True


Event = Command | Body | BodyChunk | BodyEnd | AuthResponse | ProxyHeader | ConnectionClosed
