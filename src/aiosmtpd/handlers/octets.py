"""A message as octets: what handlers that store or relay it do without parsing it.

The email package reads broken mail generously and writes it anew in good order, which is right for
programs that look at a message and wrong for those that keep it: long header lines are folded,
missing MIME boundaries are closed, line ends are changed. So this room finds the header section,
takes fields out of it and puts fields into it, and leaves every other octet as it came.

CR, LF and CRLF all end a line here, as they do for the email package and for many other readers: a
field that any of them would see must not escape us.
"""

from __future__ import annotations

import email.message
import email.policy
import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..session import Envelope

__all__ = [
    "ahead_of",
    "content_octets",
    "crlf_lines",
    "field_lines",
    "header_end",
    "without_fields",
]

_CRLF = b"\r\n"
_LINE_END = re.compile(rb"\r\n|\r|\n")
_FIELD_POLICY = email.policy.compat32.clone(linesep="\r\n")


def content_octets(envelope: Envelope) -> bytes:
    """Give the content of an envelope as the octets that the client sent.

    It reads ``envelope.content``, not ``envelope.original_content``, so that a handler may change
    the content before it hands the envelope on. With ``decode_data`` the text is encoded again,
    which is the exact inverse of how the server decoded it.

    Raises:
        TypeError: if the content is neither ``bytes`` nor ``str``.
    """
    content = envelope.content
    if isinstance(content, str):
        return content.encode("utf-8", "surrogateescape")
    if isinstance(content, (bytes, bytearray)):
        return bytes(content)
    raise TypeError(f"Expected str or bytes, got {type(content)}")


def header_end(octets: bytes) -> int:
    """Give the position of the empty line that ends the header section (RFC 5322 section 2.1).

    Returns:
        Its position, or the length of the message if no line of it is empty.
    """
    if octets.startswith((b"\r", b"\n")):
        return 0
    # A line is empty where a line end follows a line end; CR LF alone is one of them, not two.
    # Each search is bounded by the last find, so a long body is not read for a late pair.
    end = len(octets)
    for pair in (b"\n\r", b"\n\n", b"\r\r"):
        found = octets.find(pair, 0, end)
        if found >= 0:
            end = found + 1
    return end


@lru_cache(maxsize=8)
def _fields_named(names: frozenset[bytes]) -> re.Pattern[bytes]:
    """Compile what matches whole fields of these names, their continuation lines included."""
    # White space before the colon is obsolete syntax that is still read (RFC 5322 section 4.5.8).
    alternatives = b"|".join(re.escape(name) for name in sorted(names))
    line = rb"[^\r\n]*+(?:\r\n|\r|\n|\Z)"
    return re.compile(
        rb"(?<![^\r\n])(?:" + alternatives + rb")[ \t]*+:" + line + rb"(?:[ \t]" + line + rb")*+",
        re.IGNORECASE,
    )


def without_fields(header: bytes, names: Iterable[str]) -> bytes:
    """Take all fields of these names out of a header section.

    Args:
        header: the octets up to the empty line, as :func:`header_end` finds it.
        names: the names of the fields, in any case.

    Returns:
        The header section without them; every other octet is what it was.
    """
    return _fields_named(frozenset(name.lower().encode("ascii") for name in names)).sub(b"", header)


def field_lines(fields: Mapping[str, str]) -> bytes:
    """Write header fields: folded, ended with CRLF, non-ASCII text as encoded words (RFC 2047).

    Raises:
        email.errors.HeaderParseError: if a value would begin another field.
    """
    message = email.message.Message(policy=_FIELD_POLICY)
    for name, value in fields.items():
        message[name] = value
    return message.as_bytes(policy=_FIELD_POLICY).removesuffix(_CRLF)


def ahead_of(message: bytes, fields: bytes) -> bytes:
    """Give what has to stand in front of a message for these fields to head it.

    That is the fields, as a rule. But a message whose first line begins with white space has no
    header section, and that line would become part of our last field (RFC 5322 section 2.2.3): an
    empty line between the two leaves it in the body.
    """
    return fields + _CRLF if message.startswith((b" ", b"\t")) else fields


def crlf_lines(octets: bytes) -> bytes:
    """End every line with CRLF: a bare CR or a bare LF becomes one (RFC 5321 section 2.3.8).

    Servers differ in what they take for a line end, and a message that one of them reads as two is
    how mail is smuggled past the checks of the first.
    """
    pairs = octets.count(_CRLF)
    if octets.count(b"\r") == pairs == octets.count(b"\n"):
        return octets
    return _LINE_END.sub(_CRLF, octets)
