"""DELIVERBY (RFC 2852): until when a message is to be delivered, and what to do if it is not.

The extension reads the parameter and refuses what cannot be fulfilled; whoever delivers the message
keeps the time, counted from the MAIL command.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

from ..protocol import MalformedParameters, ProtocolError, Reply
from .base import Extension, Server

__all__ = ["DeliverBy", "DeliveryTime"]

#   by-value = by-time ";" by-mode [by-trace]           ; RFC 2852 section 4
#   by-time  = ["-" / "+"]1*9DIGIT
#   by-mode  = "N" / "R"
#   by-trace = "T"
_BY = re.compile(r"([+\-]?[0-9]{1,9});([NRnr])([Tt]?)")
_LONGEST = 999_999_999


class DeliveryTime(NamedTuple):
    """What ``BY=`` asks for (RFC 2852 section 4).

    Attributes:
        seconds: the seconds that are left from the MAIL command on; zero or less if the time is over,
            as it may be for a message that was relayed.
        mode: what to do when they are over: ``"N"`` to notify the sender and go on, ``"R"`` to return
            the message.
        trace: whether the sender wants to be told of each relay that the message passes.
    """

    seconds: int
    mode: str
    trace: bool


class DeliverBy(Extension):
    """``DELIVERBY``; the value of ``BY`` is a :class:`DeliveryTime`.

    Args:
        minimum: the least number of seconds that a client may ask for with mode ``R``; None for any.

    Raises:
        ValueError: ``minimum`` is not from 1 to 999,999,999.
    """

    name = "DELIVERBY"
    mail_parameters = frozenset({"BY"})
    longer: ClassVar[Mapping[str, int]] = {"MAIL": 17}  # RFC 2852

    def __init__(self, minimum: int | None = None) -> None:
        if minimum is not None and not 1 <= minimum <= _LONGEST:
            raise ValueError(f"minimum: {minimum} is not from 1 to {_LONGEST} seconds")
        self.minimum = minimum

    def ehlo_line(self, server: Server) -> str:
        """Offer it, with ``min-by-time``."""
        return self.name if self.minimum is None else f"{self.name} {self.minimum}"

    def parse_mail(self, server: Server, keyword: str, value: str | None) -> DeliveryTime:
        """Give the time and the mode (RFC 2852 section 4).

        Raises:
            MalformedParameters: it has not the form; or the mode is ``R`` and no time is left, which
                makes no sense.
            ProtocolError: the mode is ``R`` and the time is less than the minimum.
        """
        match = _BY.fullmatch(value or "")
        if match is None:
            raise MalformedParameters
        found = DeliveryTime(int(match[1]), match[2].upper(), bool(match[3]))
        if found.mode == "R":
            if found.seconds <= 0:
                raise MalformedParameters
            if self.minimum is not None and found.seconds < self.minimum:
                text = f"Error: cannot deliver within less than {self.minimum} seconds"
                raise ProtocolError(reply=Reply(555, "5.5.4", text))
        return found
