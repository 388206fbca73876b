"""CRAM-MD5 (RFC 2195): a challenge, answered by its digest under a shared secret.

It is off unless asked for: the server must store the password itself, and its digest is an old one
(RFC 8314 and draft-ietf-sasl-crammd5-to-historic advise against it). Some devices know nothing better.
"""

from __future__ import annotations

import hmac
import secrets

from .credentials import VerifiedIdentity
from .mechanism import BadResponse, Challenge, Context, KeyRequest, Mechanism, ProofFailed, text_of

__all__ = ["CramMd5"]


class CramMd5(Mechanism):
    """``challenge``, then ``login SP digest`` with the digest in lower-case hexadecimal."""

    name = "CRAM-MD5"
    needs = "shared_secret"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._challenge: bytes | None = None
        self._login = ""
        self._digest = b""

    def step(self, response: bytes | None) -> Challenge | KeyRequest:
        """Send the challenge; then split the response and ask for the secret."""
        if self._challenge is None:
            if response is not None:
                # RFC 4954 section 4: the server speaks first, so there is no initial response.
                raise BadResponse("an initial response")
            self._challenge = f"<{self.context.nonce()}@{self.context.hostname}>".encode()
            return Challenge(self._challenge)
        login, space, self._digest = (response or b"").rpartition(b" ")
        if not space or not login:
            raise BadResponse("not a login and a digest")
        self._login = text_of(login)
        return KeyRequest("shared_secret", self._login, self.name)

    def supply(self, keys: bytes | str | None) -> VerifiedIdentity:
        """Compare the digest with ours; under a random secret where there is none."""
        assert self._challenge is not None
        if keys is None:
            secret = secrets.token_bytes(16)
        else:
            secret = keys.encode("utf-8") if isinstance(keys, str) else keys
        expected = hmac.digest(secret, self._challenge, "md5").hex().encode("ascii")
        if not hmac.compare_digest(self._digest, expected) or keys is None:
            raise ProofFailed("another digest")
        return VerifiedIdentity(self._login)
