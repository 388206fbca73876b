"""ENHANCEDSTATUSCODES (RFC 2034): a code for programs in each reply, behind the reply code.

A code that a hook gave, or that stands in a text of this package, is left alone. Where there is none,
it follows from what is known: the text, if it is one of our own with a meaning that its reply code
does not tell; otherwise the verb and the reply code. The meanings are those of RFC 3463 section 3,
cited as "X.1.5", with the reply codes that the registry of RFC 5248 puts beside them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

from ..protocol import reply as replies
from ..protocol.reply import ENHANCED
from .base import Extension, Server

__all__ = ["EnhancedStatusCodes"]

# RFC 2034 section 4: of each line of a reply, behind its code.
# RFC 2034 section 4: not in 3yz.
_REPLY_LINE = re.compile(r"[245]\d\d(?:[ -]|\Z)", re.ASCII)

# RFC 2034 section 4: no response to these has a code.
_GREETINGS = frozenset({"HELO", "EHLO", "LHLO"})

# Of replies that are longer than this the result is not kept.
_SHORT = 200

_BY_TEXT: dict[str, str] = {
    # What each recipient's reply was is told already; here nothing but the class is known (X.0.0).
    replies.ALL_DEFERRED: "4.0.0",
    replies.ALL_REFUSED: "5.0.0",
    replies.LINE_TOO_LONG: "5.6.0",  # X.6.0: the content, not the command, cannot be taken
    replies.SIZE_EXCEEDED: "5.3.4",  # X.3.4: message too big for system (RFC 1870 section 6.1)
    replies.TOO_MUCH_DATA: "5.3.4",
    replies.TLS_REFUSED: "5.7.0",  # X.7.0: security, and no more is known
}

_OF_CONTENT = {
    "250": "2.0.0",
    "450": "4.2.0",
    "452": "4.3.1",  # X.3.1: mail system full
    "500": "5.6.1",  # X.6.1: media not supported; octets above 127 where text must be ASCII
    "550": "5.7.1",  # RFC 5321 section 4.2.3: rejected for policy reasons, which is X.7.1
    "552": "5.2.2",  # X.2.2: mailbox full; our own limits have texts of their own above
    "554": "5.0.0",  # transaction failed, for whatever reason
}

_OF_A_MAILBOX = {
    "250": "2.1.5",  # X.1.5: destination address valid
    "251": "2.1.5",
    "550": "5.1.1",  # X.1.1: bad destination mailbox address
    "553": "5.1.4",  # RFC 5321 section 3.5.1: ambiguous, which is X.1.4
}

_BY_VERB: dict[str, dict[str, str]] = {
    "MAIL": {
        "250": "2.1.0",  # X.1.0: other address status, here of the sender
        "450": "4.7.1",  # X.7.1: not authorized; it is no mailbox here that could be busy
        "550": "5.7.1",
        "552": "5.3.4",  # RFC 1870 section 6.1: larger than the server takes
        "553": "5.1.7",  # X.1.7: bad sender's mailbox address syntax
        "554": "5.7.1",
    },
    "RCPT": {
        **_OF_A_MAILBOX,
        "450": "4.2.0",  # X.2.0: other mailbox status; busy, or not yet (RFC 5321 section 4.2.3)
        "452": "4.5.3",  # X.5.3: too many recipients (RFC 5321 section 4.5.3.1.10)
        "551": "5.7.1",  # not local, and we do not relay; the registry has 551 with X.7.1
        "552": "5.2.2",  # X.2.2: mailbox full
        "553": "5.1.3",  # X.1.3: bad destination mailbox address syntax
        "554": "5.7.1",
    },
    "DATA": _OF_CONTENT,
    "BDAT": _OF_CONTENT,
    "VRFY": _OF_A_MAILBOX,
    "EXPN": _OF_A_MAILBOX,
    "AUTH": {
        "235": "2.7.0",  # RFC 4954 section 6, as all of these
        "432": "4.7.12",
        "454": "4.7.0",
        "534": "5.7.9",
        "535": "5.7.8",
        "538": "5.7.11",
        "550": "5.7.0",
    },
    "ETRN": {  # RFC 1985 section 5.3; the registry has all of its replies with X.5.0
        "250": "2.5.0",
        "251": "2.5.0",
        "252": "2.5.0",
        "253": "2.5.0",
        "458": "4.5.0",
        "459": "4.5.0",
    },
}

_BY_REPLY_CODE: dict[str, str] = {
    "220": "2.7.0",  # to STARTTLS: X.7.0, security, no fault
    "235": "2.7.0",
    "421": "4.3.2",  # X.3.2: system not accepting network messages
    "422": "4.7.12",
    "432": "4.7.12",
    "450": "4.2.0",
    "451": "4.3.0",  # X.3.0: other mail system status; an error in processing
    "452": "4.3.1",  # X.3.1: mail system full
    "453": "4.3.2",
    "454": "4.7.0",  # RFC 3207 section 4, RFC 4954 section 6
    "455": "4.3.3",  # X.3.3: system not capable of selected features
    "458": "4.5.0",
    "459": "4.5.0",
    "500": "5.5.2",  # X.5.2: syntax error, or the command is unrecognized
    "501": "5.5.4",  # X.5.4: invalid command arguments
    "502": "5.5.1",  # X.5.1: invalid command; unsupported
    "503": "5.5.1",  # X.5.1: invalid command; out of sequence
    "504": "5.5.4",
    "521": "5.3.2",  # RFC 7504 section 4
    "523": "5.7.10",
    "524": "5.7.11",
    "525": "5.7.13",
    "530": "5.7.0",  # RFC 3207 section 4, RFC 4954 section 6
    "533": "5.7.1",
    "534": "5.7.9",
    "535": "5.7.8",
    "538": "5.7.11",
    "550": "5.7.1",  # RFC 5321 section 4.2.3: rejected for policy reasons
    "551": "5.7.1",
    "552": "5.3.4",
    "553": "5.1.3",
    "555": "5.5.4",  # RFC 5321 section 4.1.1.11: parameters not recognized
    "556": "5.1.10",  # RFC 7504 section 4, RFC 7505 section 4.1
}


class EnhancedStatusCodes(Extension):
    """``ENHANCEDSTATUSCODES``: every reply but those to HELO, EHLO and LHLO carries a code."""

    name = "ENHANCEDSTATUSCODES"

    def filter_reply(self, server: Server, verb: str, status: str | bytes) -> str | bytes:
        """Add a code to each line that has none (RFC 2034 section 4)."""
        if verb in _GREETINGS:
            return status
        if isinstance(status, str):
            return _short_with_codes(verb, status) if len(status) < _SHORT else _all(verb, status)
        return _all(verb, status.decode("latin-1")).encode("latin-1")


def _all(verb: str, status: str) -> str:
    """Add codes to what may be several lines, and several replies."""
    return "\r\n".join(
        line for reply in _replies(status.split("\r\n")) for line in _with_code(verb, reply)
    )


# Of the same few replies a server sends many.
_short_with_codes = functools.lru_cache(maxsize=512)(_all)


def _replies(lines: list[str]) -> Iterator[list[str]]:
    """Give the lines of each reply: the last has no hyphen behind the reply code."""
    reply: list[str] = []
    for line in lines:
        if reply and (reply[-1][3:4] != "-" or reply[0][:3] != line[:3]):
            yield reply
            reply = []
        reply.append(line)
    yield reply


def _with_code(verb: str, reply: list[str]) -> list[str]:
    """Give the lines of one reply, each with a code."""
    if not _REPLY_LINE.match(reply[0]) or _is_greeting(verb, reply[0]):
        return reply
    given = [match and match[0] for match in (ENHANCED.match(line, 4) for line in reply)]
    if all(given):
        return reply
    # What a hook gave for some lines of its reply is what it means by all of them.
    code = next(filter(None, given), None) or _code_of(verb, reply)
    return [
        line if own else f"{line[:4]:4}{code} {line[4:]}".rstrip(" ")
        for line, own in zip(reply, given, strict=True)
    ]


def _is_greeting(verb: str, line: str) -> bool:
    """Tell whether a line greets, which it does without a code (RFC 2034 section 4).

    There is no verb before the first command, and none that is known in a line that was no command;
    the reply to that is 500. XCLIENT makes the server greet again.
    """
    return (not verb and not line.startswith("500")) or (
        verb == "XCLIENT" and line.startswith("220")
    )


def _code_of(verb: str, reply: list[str]) -> str:
    text = "\r\n".join(reply)
    if text in _BY_TEXT:
        return _BY_TEXT[text]
    if verb == "AUTH" and text == replies.COMMAND_TOO_LONG:
        return "5.5.6"  # RFC 4954 section 6: the line is one of the exchange
    if reply[0].startswith("502 Could not VRFY "):
        return "5.1.3"  # the argument is no address
    code = reply[0][:3]
    of_verb = _BY_VERB.get(verb, {}).get(code)
    return of_verb or _BY_REPLY_CODE.get(code) or f"{code[0]}.0.0"
