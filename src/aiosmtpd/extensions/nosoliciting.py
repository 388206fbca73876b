"""NO-SOLICITING (RFC 3865): the sign at the door that says which advertisements are not wanted.

The extension shows the sign, reads how a client labels its message, and refuses what the sign names.
Where each recipient has a sign of its own, a RCPT hook compares.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import ClassVar

from ..protocol import MalformedParameters, ProtocolError, Reply
from .base import Extension, Server

__all__ = ["NoSoliciting"]

#   Solicitation-keywords = word 0*("," word)       ; at most 1000 characters (section 2.2)
#   word                  = ALPHA 0*(wordchar)
#   wordchar              = ("." / "-" / "_" / ":" / ALPHA / DIGIT)
_WORD = r"[A-Za-z][A-Za-z0-9.\-_:]*+"
_KEYWORDS = re.compile(rf"{_WORD}(?:,{_WORD})*")
_LIMIT = 1000


class NoSoliciting(Extension):
    """``NO-SOLICITING``; the value of ``SOLICIT`` is a tuple of the keywords, in the case of the client.

    Args:
        keywords: the classes of messages that nobody here wants, such as ``"net.example:ADV"``; none
            to leave it to the recipients.

    Raises:
        TypeError: ``keywords`` is a single ``str``.
        ValueError: ``keywords`` holds what is none, or more than 1000 characters.
    """

    name = "NO-SOLICITING"
    mail_parameters = frozenset({"SOLICIT"})
    longer: ClassVar[Mapping[str, int]] = {"MAIL": len(" SOLICIT=") + _LIMIT}

    def __init__(self, keywords: Iterable[str] = ()) -> None:
        if isinstance(keywords, str):
            raise TypeError("keywords: one str is not several keywords")
        self.keywords = tuple(keywords)
        text = ",".join(self.keywords)
        if self.keywords and not _is_keywords(text):
            raise ValueError(f"keywords: {text!r} are no solicitation class keywords")
        self._unwanted = frozenset(keyword.lower() for keyword in self.keywords)

    def ehlo_line(self, server: Server) -> str:
        """Show the sign (RFC 3865 section 2.1)."""
        return f"{self.name} {','.join(self.keywords)}".rstrip()

    def parse_mail(self, server: Server, keyword: str, value: str | None) -> tuple[str, ...]:
        """Give the keywords of a message (RFC 3865 section 2.3).

        Raises:
            MalformedParameters: there are none, or they have not the form.
            ProtocolError: one of them is on the sign.
        """
        if value is None or not _is_keywords(value):
            raise MalformedParameters
        keywords = tuple(value.split(","))
        for word in keywords:
            if word.lower() in self._unwanted:
                text = f"Error: messages of the class {word} are not wanted here"
                raise ProtocolError(reply=Reply(550, "5.7.1", text))
        return keywords


def _is_keywords(text: str) -> bool:
    return len(text) <= _LIMIT and _KEYWORDS.fullmatch(text) is not None
