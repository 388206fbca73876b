"""OAUTHBEARER (RFC 7628) and XOAUTH2, its predecessor: access tokens of OAuth 2.0 (RFC 6750).

Both send one response of key-value pairs. A token that is refused is first answered by a challenge, a
JSON object that says why; the client's response to it has no meaning (RFC 7628 section 3.2.3).
"""

from __future__ import annotations

import json
import re
from typing import ClassVar

from .credentials import BearerToken
from .mechanism import BadResponse, Challenge, Mechanism, ProofFailed, text_of

__all__ = ["OAuthBearer", "XOAuth2"]

_SEPARATOR = "\x01"
_KEY = re.compile(r"[A-Za-z]+")  # RFC 7628 section 3.1
# RFC 6750 section 2.1; "b64token" is what it calls more than the letters of base64.
_BEARER = re.compile(r"bearer +(?P<token>[A-Za-z0-9\-._~+/]+=*)", re.IGNORECASE)


class OAuthBearer(Mechanism):
    r"""``n,[a=user],`` and ``key=value`` pairs, each part ended by ``\x01`` (RFC 7628 section 3.1).

    Attributes:
        scope: the scope that a token needs, told to a client that was refused.
        openid_configuration: the URL of the OpenID discovery document, told likewise.
    """

    name = "OAUTHBEARER"
    needs = "check_token"
    scope: ClassVar[str | None] = None
    openid_configuration: ClassVar[str | None] = None

    def step(self, response: bytes | None) -> Challenge | BearerToken:
        """Ask with an empty challenge, or read the token."""
        return Challenge(b"") if response is None else self._read(text_of(response))

    def _read(self, message: str) -> BearerToken:
        header, separator, rest = message.partition(_SEPARATOR)
        match = re.fullmatch(r"[ny],(?:a=(?P<user>[^,]+))?,", header)
        if not separator or match is None:
            raise BadResponse("no GS2 header")
        pairs = _pairs_of(rest)
        port = pairs.get("port")
        if port is not None and not (port.isascii() and port.isdigit() and len(port) <= 5):
            raise BadResponse("the port is no number")
        return BearerToken(
            _token_of(pairs),
            None if match["user"] is None else _unescaped(match["user"]),
            pairs.get("host"),
            None if port is None else int(port),
        )

    def refused(self) -> Challenge | None:
        """Tell why: ``invalid_token``, and where a better one is to be had (section 3.2.2)."""
        told = {"status": "invalid_token"}
        if self.scope is not None:
            told["scope"] = self.scope
        if self.openid_configuration is not None:
            told["openid-configuration"] = self.openid_configuration
        return Challenge(json.dumps(told).encode())


class XOAuth2(OAuthBearer):
    r"""``user=`` and ``auth=``, each ended by ``\x01``, and one ``\x01`` more, as Google wants them."""

    name = "XOAUTH2"

    def _read(self, message: str) -> BearerToken:
        pairs = _pairs_of(message)
        if not pairs.get("user"):
            raise BadResponse("no user")
        return BearerToken(_token_of(pairs), pairs["user"])

    def refused(self) -> Challenge | None:
        """Tell why, in the words of its inventor."""
        told = {"status": "401", "schemes": "bearer"}
        if self.scope is not None:
            told["scope"] = self.scope
        return Challenge(json.dumps(told).encode())


def _pairs_of(text: str) -> dict[str, str]:
    """Read ``*(key "=" value %x01) %x01``."""
    *pairs, last, end = ["", *text.split(_SEPARATOR)]
    if last or end:
        raise BadResponse("no end")
    found: dict[str, str] = {}
    for pair in pairs[1:]:
        key, separator, value = pair.partition("=")
        if not separator or not _KEY.fullmatch(key) or key in found:
            raise BadResponse("no pair of a key and a value")
        found[key] = value
    return found


def _token_of(pairs: dict[str, str]) -> str:
    if "auth" not in pairs:
        raise BadResponse("no auth")
    if not pairs["auth"]:
        # RFC 7628 section 4.3: so a client asks for the challenge that tells where to get a token.
        raise ProofFailed("no token")
    match = _BEARER.fullmatch(pairs["auth"])
    if match is None:
        raise BadResponse("no bearer token")
    return match["token"]


def _unescaped(name: str) -> str:
    """Undo the escapes of a SASL name (RFC 5801 section 4)."""
    if re.search(r"=(?!2C|3D)", name):
        raise BadResponse("a wrong escape")
    return name.replace("=2C", ",").replace("=3D", "=")
