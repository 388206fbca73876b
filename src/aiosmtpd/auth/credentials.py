"""What mechanisms gather but passwords, and what is stored to judge by; no ``repr`` shows a secret."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "BearerToken",
    "ExternalIdentity",
    "ScramKeys",
    "VerifiedIdentity",
]


@dataclass(frozen=True)
class BearerToken:
    """What OAUTHBEARER and XOAUTH2 gather.

    Attributes:
        token: the access token (RFC 6750), never shown by ``repr``.
        user: the identity that the client wants to act as; None if it named none.
        host: the host that the client means to talk to, if it says so.
        port: the port that the client means to talk to, if it says so.
    """

    token: str = field(repr=False)
    user: str | None = None
    host: str | None = None
    port: int | None = None


@dataclass(frozen=True)
class ExternalIdentity:
    """What EXTERNAL finds: a client certificate that the TLS layer has verified.

    Attributes:
        certificate: its fields, as :meth:`ssl.SSLSocket.getpeercert` gives them.
        der: the certificate itself.
        authzid: the identity that the client wants to act as; None if it leaves that to the server.
    """

    certificate: Mapping[str, Any]
    der: bytes | None = field(default=None, repr=False)
    authzid: str | None = None


@dataclass(frozen=True)
class VerifiedIdentity:
    """An identity that the arithmetic of the mechanism has proved (SCRAM, CRAM-MD5).

    Attributes:
        login: the identity.
        authzid: the identity that the client wants to act as; None if it named none.
    """

    login: str
    authzid: str | None = None


@dataclass(frozen=True)
class ScramKeys:
    """What is stored of a password for SCRAM (RFC 5802 section 3).

    Attributes:
        salt: the salt, at least 12 octets.
        stored_key: the hash of the client's key, never shown by ``repr``.
        server_key: the server's key, never shown by ``repr``.
        iterations: the iteration count, at least 4096.
    """

    salt: bytes
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)
    iterations: int = 4096

    @classmethod
    def decoy(
        cls, secret: bytes, mechanism: str, login: str, iterations: int = 4096, salt_size: int = 16
    ) -> ScramKeys:
        """Make keys that nobody has, for a login that does not exist.

        The same login is shown the same salt each time, as one that exists is; and no proof can be
        right for keys that are no hash of anything.

        Args:
            secret: what the salt is derived from; the same in all processes of a server.
            mechanism: the mechanism's name.
            login: the identity that the client named.
            iterations: the iteration count to show.
            salt_size: the octets of the salt to show.
        """

        def derive(purpose: str) -> bytes:
            return hmac.digest(secret, f"{purpose}\0{mechanism}\0{login}".encode(), "sha256")

        salt = hashlib.shake_256(derive("salt")).digest(salt_size)
        return cls(salt, derive("stored"), derive("server"), iterations)
