"""Replies: what a server says, and the catalogue of what this one says by itself.

A :class:`Reply` is a ``str``, because hooks return strings and overridden ``push`` methods take them;
it only adds the field's names for its parts. Everything is derived from the text, nothing is stored.
The texts of the catalogue are those of aiosmtpd 1.4: test suites of other projects compare them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

__all__ = ["ENHANCED", "Reply", "encode_reply", "repeated"]

# A line of a reply has at most 512 octets (RFC 5321 section 4.5.3.1.5); this leaves room for all that
# stands around what is repeated.
_REPEATED_LIMIT = 400

ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?![^ ])", re.ASCII)


class Reply(str):
    """One SMTP reply without its final CRLF (RFC 5321 section 4.2).

    Args:
        code: the three-digit reply code, 200 to 599.
        enhanced: the enhanced status code (RFC 3463) such as ``"5.7.8"``, or None to send none.
        lines: the text, one argument a line; none at all gives the code alone.

    Raises:
        ValueError: if the code is not one that SMTP knows, the enhanced code does not fit it, or a
            line holds CR or LF.
    """

    __slots__ = ()

    def __new__(cls, code: int, enhanced: str | None, *lines: str) -> Reply:
        if not 200 <= code <= 599:
            raise ValueError(f"code: {code} is not an SMTP reply code")
        if enhanced is not None and (
            not ENHANCED.fullmatch(enhanced) or (code // 100 != 3 and enhanced[0] != str(code)[0])
        ):
            raise ValueError(f"enhanced: {enhanced!r} does not go with {code}")
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("lines: a line of a reply holds CR or LF")
        prefix = f"{enhanced} " if enhanced else ""
        texts = [f"{prefix}{line}" for line in lines] or [enhanced or ""]
        marks = ["-"] * (len(texts) - 1) + [" "]
        return super().__new__(
            cls, "\r\n".join(f"{code}{mark}{text}" for mark, text in zip(marks, texts, strict=True))
        )

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        # What ``str`` does to be copied or pickled calls the class with the text alone.
        return str.__new__, (type(self), str(self))

    @property
    def code(self) -> int:
        """The three-digit reply code."""
        return int(self[:3])

    @property
    def enhanced(self) -> str | None:
        """The enhanced status code of the first line, or None if it has none (RFC 2034)."""
        match = ENHANCED.match(self, 4)
        return match[0] if match else None

    @property
    def lines(self) -> tuple[str, ...]:
        """The text of each line, without code and enhanced status code."""
        enhanced = self.enhanced
        texts = (line[4:] for line in self.split("\r\n"))
        if enhanced is None:
            return tuple(texts)
        return tuple(
            "" if text == enhanced else text.removeprefix(f"{enhanced} ") for text in texts
        )


def encode_reply(status: str | bytes, encoding: str = "ascii") -> bytes:
    """Give the octets of a reply, with its final CRLF.

    Args:
        status: what a hook returned or a verb pushes. A CRLF inside is kept: such a string is
            several lines, or several replies, as its author meant it.
        encoding: ``"ascii"``, or ``"utf-8"`` where the client may be sent it (RFC 6531 section 3.7.4).
            What cannot be encoded is sent escaped (``\\xe9``), so that a stray letter in a text
            never costs the client its answer.

    Raises:
        TypeError: if ``status`` is neither ``str`` nor ``bytes``.
    """
    if isinstance(status, str):
        return _KNOWN.get(status) or status.encode(encoding, "backslashreplace") + b"\r\n"
    if isinstance(status, (bytes, bytearray)):
        return bytes(status) + b"\r\n"
    raise TypeError(f"status: a reply is str or bytes, not {type(status).__name__}")


def repeated(text: str) -> str:
    """Give what a client sent in a form that a reply may repeat.

    Args:
        text: what the client sent, on one line.

    Returns:
        The text; or the beginning of it, escaped, where the line of the reply would be longer than
        RFC 5321 section 4.5.3.1.5 allows.
    """
    escaped = text.encode("ascii", "backslashreplace").decode("ascii")
    return text if len(escaped) <= _REPEATED_LIMIT else f"{escaped[:_REPEATED_LIMIT]}..."


# -- the catalogue, by code -----------------------------------------------------------------------

START_TLS = Reply(220, None, "Ready to start TLS")
BYE = Reply(221, None, "Bye")
AUTHENTICATED = Reply(235, "2.7.0", "Authentication successful")
OK = Reply(250, None, "OK")
CANNOT_VRFY = Reply(252, None, "Cannot VRFY user, but will accept message and attempt delivery")
ANALYSIS_BEGINS = Reply(353, None, "Content analysis has begun")
START_DATA = Reply(354, None, "End data with <CR><LF>.<CR><LF>")
SHUTTING_DOWN = Reply(421, "4.3.2", "Server shutting down")
TOO_MANY_FAILURES = Reply(421, "4.7.0", "Too many failed authentication attempts")
ALL_DEFERRED = Reply(450, None, "Error: the message was accepted for nobody yet")
HOOK_TIMED_OUT = Reply(451, "4.3.0", "Error: processing took too long")
LOCAL_ERROR = Reply(451, "4.3.0", "Error: local error in processing")
TOO_MANY_RECIPIENTS = Reply(452, "4.5.3", "Error: too many recipients")
TOO_MANY_DOMAINS = Reply(452, "4.5.3", "Error: too many domains of recipients")
TLS_UNAVAILABLE = Reply(454, None, "TLS not available")
BAD_SYNTAX = Reply(500, None, "Error: bad syntax")
STRICT_ASCII = Reply(500, None, "Error: strict ASCII mode")
COMMAND_TOO_LONG = Reply(500, None, "Command line too long")
LINE_TOO_LONG = Reply(500, None, "Line too long (see RFC5321 4.5.3.1.6)")
BAD_BASE64 = Reply(501, "5.5.2", "Can't decode base64")
AUTH_ABORTED = Reply(501, "5.7.0", "Auth aborted")
AUTH_UNSPLITTABLE = Reply(501, "5.5.2", "Can't split auth value")
AUTH_TOO_FEW = Reply(501, None, "Not enough value")
AUTH_TOO_MANY = Reply(501, None, "Too many values")
BODY_UNKNOWN = Reply(501, None, "Error: BODY can only be one of 7BIT, 8BITMIME")
SMTPUTF8_DISABLED = Reply(501, None, "Error: SMTPUTF8 disabled")
SMTPUTF8_ARGUMENT = Reply(501, None, "Error: SMTPUTF8 takes no arguments")
EXPN_UNKNOWN = Reply(502, None, "EXPN not implemented")
TOO_MANY_BOGUS = Reply(502, "5.5.1", "Too many unrecognized commands, goodbye.")
ALREADY_AUTHENTICATED = Reply(503, None, "Already authenticated")
NESTED_MAIL = Reply(503, None, "Error: nested MAIL command")
NEED_MAIL = Reply(503, None, "Error: need MAIL command")
NEED_RCPT = Reply(503, None, "Error: need RCPT command")
MESSAGE_BEGUN = Reply(503, None, "Error: BDAT has begun the message")
NEED_BDAT = Reply(503, None, "Error: BODY=BINARYMIME needs BDAT")
AUTH_IN_TRANSACTION = Reply(503, "5.5.1", "Error: AUTH not allowed during a mail transaction")
TLS_ACTIVE = Reply(503, "5.5.1", "Error: TLS already active")
AUTH_UNKNOWN = Reply(504, "5.5.4", "Unrecognized authentication type")
AUTH_REQUIRED = Reply(530, "5.7.0", "Authentication required")
STARTTLS_REQUIRED = Reply(530, None, "Must issue a STARTTLS command first")
AUTH_FAILED = Reply(535, "5.7.8", "Authentication credentials invalid")
AUTH_NEEDS_TLS = Reply(538, "5.7.11", "Encryption required for requested authentication mechanism")
ALL_REFUSED = Reply(550, None, "Error: the message was accepted for nobody")
SIZE_EXCEEDED = Reply(552, None, "Error: message size exceeds fixed maximum message size")
TOO_MUCH_DATA = Reply(552, None, "Error: Too much mail data")
MALFORMED_ADDRESS = Reply(553, "5.1.3", "Error: malformed address")
SENDER_REFUSED = Reply(553, "5.7.1", "Error: sender address not allowed for this identity")
TLS_REFUSED = Reply(554, None, "Command refused due to lack of security")
MAIL_PARAMETERS_UNKNOWN = Reply(555, None, "MAIL FROM parameters not recognized or not implemented")
RCPT_PARAMETERS_UNKNOWN = Reply(555, None, "RCPT TO parameters not recognized or not implemented")

# The octets of what is said again and again, whatever the encoding.
_KNOWN: dict[str, bytes] = {
    reply: reply.encode("ascii") + b"\r\n" for reply in (OK, BYE, START_DATA)
}


def command_unknown(verb: str) -> Reply:
    """The answer to a verb that nobody implements."""
    return Reply(500, None, f'Error: command "{repeated(verb)}" not recognized')


def send_greeting_first(verb: str) -> Reply:
    """The answer to a command that needs HELO, EHLO or LHLO before it."""
    return Reply(503, None, f"Error: send {verb} first")


def sent_too_many_times(verb: str) -> Reply:
    """The answer to a verb over its ``command_call_limit``."""
    return Reply(421, "4.7.0", f"{repeated(verb)} sent too many times")


def octets_received(count: int) -> Reply:
    """The answer to a chunk that more will follow (RFC 3030 section 4)."""
    return Reply(250, None, f"OK, {count} octets received")
