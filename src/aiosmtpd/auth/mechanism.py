"""A SASL mechanism as a step machine (RFC 4422 section 3): responses in, challenges and credentials out.

A mechanism knows no socket and no list of users. What it must know of the connection is in its
:class:`Context`; what is stored for an identity it asks for, and is told. So one is written and tested
as a plain object, step by step.
"""

from __future__ import annotations

import abc
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

__all__ = ["BadResponse", "Challenge", "Context", "KeyRequest", "Mechanism", "ProofFailed"]

_PROCESS_SECRET = secrets.token_bytes(32)


class Challenge(NamedTuple):
    """What to send to the client next, before base64."""

    data: bytes


class KeyRequest(NamedTuple):
    """What a mechanism must know of an identity before it can go on.

    Attributes:
        ability: the method of the :class:`~aiosmtpd.auth.Authenticator` to ask: ``"scram_keys"`` or
            ``"shared_secret"``.
        login: the identity that the client named.
        mechanism: the mechanism's name, without ``-PLUS``.
    """

    ability: str
    login: str
    mechanism: str


class BadResponse(ValueError):
    """The exchange is over: the client's response is not what the mechanism allows."""


class ProofFailed(ValueError):
    """The exchange is over: the response is well-formed, and does not prove what it should."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a mechanism may know of the connection and of who judges.

    Attributes:
        hostname: the name of the server.
        tls: whether the connection has TLS.
        certificate: the fields of the client's certificate, empty if the TLS layer has verified none.
        certificate_der: that certificate itself.
        bindings: the channel bindings (RFC 5056) of the connection, data by type.
        abilities: what the authenticator can do: the names of its methods.
        offered: the names of the mechanisms that are offered now.
        questions: what LOGIN asks: for the name, and for the password.
        decoy_secret: what the salts of identities that do not exist are derived from.
        nonce: makes a text that was never used before.
    """

    hostname: str = "localhost"
    tls: bool = False
    certificate: Mapping[str, Any] = field(default_factory=dict)
    certificate_der: bytes | None = field(default=None, repr=False)
    bindings: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    abilities: frozenset[str] = frozenset()
    offered: frozenset[str] = frozenset()
    questions: tuple[bytes, bytes] = (b"User Name\x00", b"Password\x00")
    decoy_secret: bytes = field(default=_PROCESS_SECRET, repr=False)
    nonce: Callable[[], str] = secrets.token_urlsafe


class Mechanism(abc.ABC):
    """One exchange of one mechanism; made anew for each AUTH command.

    Args:
        context: what it may know.

    Attributes:
        name: the mechanism's registered name, for example ``"PLAIN"``.
        needs: what the authenticator must be able to do: the name of its method; None for nothing.
        context: what it was made with.
    """

    name: ClassVar[str]
    needs: ClassVar[str | None] = None

    def __init__(self, context: Context) -> None:
        self.context = context

    @classmethod
    def usable(cls, context: Context) -> bool:
        """Tell whether the mechanism could succeed now; one that could not is not offered."""
        return cls.needs is None or cls.needs in context.abilities

    @abc.abstractmethod
    def step(self, response: bytes | None) -> Challenge | KeyRequest | Any:
        """Go one step on.

        Args:
            response: what the client sent, base64 undone; None at first if it sent no initial response.

        Returns:
            A :class:`Challenge` to be sent, whose response is given to the next step; a
            :class:`KeyRequest`, whose answer is given to :meth:`supply`; or the credentials, which end
            the exchange.

        Raises:
            BadResponse: the response is malformed.
            ProofFailed: the response proves that the client is not who it says.
        """

    def supply(self, keys: Any) -> Challenge | KeyRequest | Any:
        """Take what is stored for the identity that was asked for, and go on.

        A mechanism takes the same way where the identity is unknown, so that nobody learns who exists.

        Args:
            keys: what the authenticator gave, or None if it does not know the identity.

        Returns:
            As :meth:`step`.

        Raises:
            ProofFailed: the client is not who it says.
        """
        raise NotImplementedError(f"{self.name} asks for no keys")

    def refused(self) -> Challenge | None:
        """Give what the client is sent before the reply that refuses it; its response is not used."""
        return None


def text_of(octets: bytes) -> str:
    """Decode a text of the client's.

    Raises:
        BadResponse: it is no UTF-8, or holds a NUL, which no mechanism allows in a text.
    """
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        raise BadResponse("no UTF-8") from None  # the cause would hold the octets
    if "\0" in text:
        raise BadResponse("a NUL in a text")
    return text
