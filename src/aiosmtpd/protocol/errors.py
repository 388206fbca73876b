"""What can be wrong with what a client sent: one exception a kind, each with the reply for it.

A reader or the grammar raises where the fault is found; one place in the driver turns ``error.reply``
into octets. :class:`BodyError` and its kinds are the other direction: they are raised into a
``handle_BODY`` hook that reads a body which can no longer be completed.
"""

from __future__ import annotations

from . import reply as replies
from .reply import Reply

__all__ = [
    "BadCommand",
    "BodyError",
    "BodyIncomplete",
    "BodyLineTooLong",
    "BodyTooLarge",
    "CommandTooLong",
    "MalformedAddress",
    "MalformedParameters",
    "NonAsciiCommand",
    "ProtocolError",
]


class ProtocolError(Exception):
    """The client sent something that the protocol does not allow.

    Attributes:
        reply: the :class:`~aiosmtpd.protocol.Reply` that answers the fault.
        is_last: whether the connection has to end with that reply, since nobody can tell whether what
            follows is commands.
    """

    reply: Reply = replies.BAD_SYNTAX
    is_last = False

    def __init__(self, message: str = "", *, reply: Reply | None = None) -> None:
        super().__init__(message or str(reply or self.reply))
        if reply is not None:
            self.reply = reply


class BadCommand(ProtocolError):
    """A command line holds no verb, or octets that no verb has."""

    reply = replies.BAD_SYNTAX


class NonAsciiCommand(ProtocolError):
    """A command line holds octets above 127, and SMTPUTF8 is not enabled."""

    reply = replies.STRICT_ASCII


class CommandTooLong(ProtocolError):
    """A command line is longer than its limit (RFC 5321 section 4.5.3.1.4)."""

    reply = replies.COMMAND_TOO_LONG


class MalformedAddress(ProtocolError):
    """A path is not one of RFC 5321 section 4.1.2."""

    reply = replies.MALFORMED_ADDRESS


class MalformedParameters(ProtocolError):
    """What follows a path is no list of ESMTP parameters (RFC 5321 section 4.1.2)."""

    reply = Reply(501, "5.5.4", "Error: malformed parameters")


class BodyError(ProtocolError):
    """A message body cannot be had whole; what a hook stored of it must be dropped."""

    reply = replies.LOCAL_ERROR


class BodyTooLarge(BodyError):
    """The body is larger than ``data_size_limit``; the client is answered 552."""

    reply = replies.TOO_MUCH_DATA


class BodyLineTooLong(BodyError):
    """The body has a line longer than ``line_length_limit``; the client is answered 500."""

    reply = replies.LINE_TOO_LONG


class BodyIncomplete(BodyError):
    """The connection ended before the body did; there is nobody left to answer."""
