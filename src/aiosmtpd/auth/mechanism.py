"""A SASL mechanism as a step machine (RFC 4422 section 3)."""

from __future__ import annotations

import abc
from typing import Any, ClassVar, NamedTuple

__all__ = ["BadResponse", "Challenge", "Mechanism"]


class Challenge(NamedTuple):
    """What to send to the client next, before base64."""

    data: bytes


class BadResponse(ValueError):
    """The client's response is not what the mechanism allows."""


class Mechanism(abc.ABC):
    """One exchange of one mechanism; made anew for each AUTH command.

    Attributes:
        name: the mechanism's registered name, for example ``"PLAIN"``.
    """

    name: ClassVar[str]

    @abc.abstractmethod
    def step(self, response: bytes | None) -> Challenge | Any:
        """Go one step on.

        Args:
            response: what the client sent, base64 undone; None at first if it sent no initial response.

        Returns:
            A :class:`Challenge` to be sent, or the credentials, which end the exchange.

        Raises:
            BadResponse: the exchange is over: the response is malformed.
        """
