"""FUTURERELEASE (RFC 4865): a message that is to be held for some time before it goes on its way.

The extension reads for how long; whoever took the message holds it. It is for message submission, from
clients that are known.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from ..protocol import MalformedParameters, ProtocolError, Reply
from ..protocol.timestamp import parse_date_time
from .base import Extension, Server

__all__ = ["FutureRelease"]

#   future-release-integer = %x31-39 *8DIGIT
_INTERVAL = re.compile(r"[1-9][0-9]{0,8}")
_LONGEST = 999_999_999
_WEEK = 604_800

_TOO_LONG = Reply(501, "5.5.4", "Error: cannot hold a message for so long")
_TWICE = Reply(501, "5.5.4", "Error: HOLDFOR and HOLDUNTIL exclude each other")


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class FutureRelease(Extension):
    """``FUTURERELEASE`` with its limits.

    The value of ``HOLDFOR`` is an int of seconds, that of ``HOLDUNTIL`` a
    :class:`~datetime.datetime` with a time zone. A time that has gone by is
    accepted: such a message is due at once.

    Args:
        max_interval: for how many seconds a message is held at most.
        max_datetime: until when a message is held at most, with a time zone; None to derive it from
            ``max_interval`` each time.
        clock: gives the time, with a time zone; the system's time if not given.

    Raises:
        ValueError: ``max_interval`` is not from 1 to 999,999,999, or ``max_datetime`` has no time zone.
    """

    name = "FUTURERELEASE"
    mail_parameters = frozenset({"HOLDFOR", "HOLDUNTIL"})
    # RFC 4865 has 34, which is enough for a time in UTC, but not for one with another offset.
    longer: ClassVar[Mapping[str, int]] = {"MAIL": len(" HOLDUNTIL=2000-01-01T00:00:00+00:00")}
    checks = frozenset({"MAIL"})

    def __init__(
        self,
        max_interval: int = _WEEK,
        max_datetime: datetime.datetime | None = None,
        clock: Callable[[], datetime.datetime] = _now,
    ) -> None:
        if not 1 <= max_interval <= _LONGEST:
            raise ValueError(f"max_interval: {max_interval} is not from 1 to {_LONGEST} seconds")
        if max_datetime is not None and max_datetime.tzinfo is None:
            raise ValueError("max_datetime: it has no time zone")
        self.max_interval = max_interval
        self.max_datetime = max_datetime
        self.clock = clock

    def _latest(self) -> datetime.datetime:
        """Until when a message is held at most, to the second."""
        latest = self.max_datetime
        if latest is None:
            latest = self.clock() + datetime.timedelta(seconds=self.max_interval)
        return latest.astimezone(datetime.UTC).replace(microsecond=0)

    def ehlo_line(self, server: Server) -> str:
        """Offer it, with both limits (RFC 4865)."""
        return f"{self.name} {self.max_interval} {self._latest():%Y-%m-%dT%H:%M:%SZ}"

    def parse_mail(
        self, server: Server, keyword: str, value: str | None
    ) -> int | datetime.datetime:
        """Give for how long, or until when, to hold the message (RFC 4865).

        Raises:
            MalformedParameters: it has not the form.
            ProtocolError: it is beyond the limit.
        """
        if value is None:
            raise MalformedParameters
        if keyword == "HOLDUNTIL":
            until = parse_date_time(value)
            if until > self._latest():
                raise ProtocolError(reply=_TOO_LONG)
            return until
        if not _INTERVAL.fullmatch(value):
            raise MalformedParameters
        if int(value) > self.max_interval:
            raise ProtocolError(reply=_TOO_LONG)
        return int(value)

    def check(
        self, server: Server, verb: str, address: str | None, parameters: Mapping[str, Any]
    ) -> None:
        """Allow one of the two parameters only (RFC 4865).

        Raises:
            ProtocolError: both are there.
        """
        if "HOLDFOR" in parameters and "HOLDUNTIL" in parameters:
            raise ProtocolError(reply=_TWICE)
