"""RRVS (RFC 7293): a recipient that must have had its mailbox since some time.

The extension reads since when. Whoever knows the mailboxes compares: a hook answers
``550 5.7.17`` if the mailbox has another owner now, ``550 5.7.18`` if the domain has, and
``550 5.7.19`` if that cannot be told.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

from ..protocol import MalformedParameters
from ..protocol.grammar import upper_case
from ..protocol.timestamp import parse_date_time
from .base import Extension, Server

__all__ = ["Rrvs", "ValidSince"]


class ValidSince(NamedTuple):
    """What ``RRVS=`` asks for (RFC 7293 section 3.1).

    Attributes:
        since: since when the recipient must have had the mailbox.
        action: what a relay is to do where the next hop lacks the extension: ``"C"`` to continue,
            ``"R"`` to reject; None if the client did not say.
    """

    since: datetime.datetime
    action: str | None


class Rrvs(Extension):
    """``RRVS``; the parameter's value is a :class:`ValidSince`."""

    name = "RRVS"
    rcpt_parameters = frozenset({"RRVS"})
    longer: ClassVar[Mapping[str, int]] = {"RCPT": 33}  # RFC 7293 section 3.1

    def parse_rcpt(self, server: Server, keyword: str, value: str | None) -> ValidSince:
        """Give since when, and the action.

        Raises:
            MalformedParameters: it has not the form of section 3.1.
        """
        time, semicolon, action = (value or "").partition(";")
        if semicolon and upper_case(action) not in ("C", "R"):
            raise MalformedParameters
        return ValidSince(parse_date_time(time), upper_case(action) or None)
