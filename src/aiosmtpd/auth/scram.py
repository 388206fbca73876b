"""SCRAM-SHA-1, SCRAM-SHA-256 and their -PLUS forms (RFC 5802, RFC 7677).

Neither side sends the password, and each proves to the other that it knows what follows from it. The
messages and the arithmetic are those of the package ``scramp`` (the extra ``scram``); here is what it
leaves to a server: which channel binding holds, when the client may do without one, and keys that come
later, from an authenticator that may be asynchronous.

An authorization identity is refused, as ``scramp`` knows none.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
from collections.abc import Callable
from typing import Any, ClassVar

from .credentials import ScramKeys, VerifiedIdentity
from .mechanism import BadResponse, Challenge, Context, KeyRequest, Mechanism, ProofFailed, text_of

__all__ = ["ScramSha1", "ScramSha1Plus", "ScramSha256", "ScramSha256Plus"]

log = logging.getLogger("mail.log")

_PLUS = "-PLUS"
# The longest mailbox with the longest nonce in use, and more. SASLprep (RFC 4013) prepares the login in
# Python, a character at a time, of which normalisation makes up to 18: of the 9 kB that AUTH can carry
# it would hold up the event loop for a quarter of a second.
_FIRST_LIMIT = 512
# The errors of RFC 5802 section 7 that say of a well-formed message that it proves nothing.
_UNPROVED = {
    "channel-binding-not-supported",
    "channel-bindings-dont-match",
    "invalid-proof",
    "server-does-support-channel-binding",
    "unsupported-channel-binding-type",
}


@functools.cache
def _is_installed() -> bool:
    """Look for the package, once; say so if an authenticator has keys for nothing."""
    found = importlib.util.find_spec("scramp") is not None
    if not found:
        log.warning("SCRAM is not offered: aiosmtpd[scram] is not installed")
    return found


class _Scram(Mechanism):
    """A SCRAM exchange: client first, keys, server first, client final, server final."""

    needs = "scram_keys"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._binding: tuple[str, bytes] | None = None
        self._client_first = ""
        self._login = ""
        self._server: Any = None
        self._nonce = context.nonce()
        self._take: Callable[[str], Challenge | KeyRequest | VerifiedIdentity] = self._take_first

    @classmethod
    def usable(cls, context: Context) -> bool:
        """Offer it where its package is installed; a -PLUS form where a channel can be bound to."""
        if not super().usable(context) or not _is_installed():
            return False
        return not cls.name.endswith(_PLUS) or any(
            _can_bind(cls.name, kind) for kind in context.bindings
        )

    def step(self, response: bytes | None) -> Challenge | KeyRequest | VerifiedIdentity:
        """Take the client's next message; the exchange ends with an empty one (RFC 4422 section 5)."""
        if response is None:
            return Challenge(b"")
        return self._take(text_of(response))

    def _take_first(self, message: str) -> KeyRequest:
        if len(message.encode("utf-8")) > _FIRST_LIMIT:
            raise BadResponse("a message too long")
        self._binding = self._chosen_binding(message.partition(",")[0])
        self._client_first = message
        # Read for the login alone: the keys of this server are made up.
        self._make_server(self._note_login)
        return KeyRequest("scram_keys", self._login, self.name.removesuffix(_PLUS))

    def _note_login(self, login: str) -> tuple[bytes, bytes, bytes, int]:
        self._login = login
        return bytes(16), bytes(32), bytes(32), 4096

    def _chosen_binding(self, flag: str) -> tuple[str, bytes] | None:
        """Judge the client's flag (RFC 5802 section 6), and give the binding that it chose."""
        plus = self.name.endswith(_PLUS)
        if flag in ("n", "y"):
            # With "y" the client could bind, and thinks that we cannot: if we have said that we can,
            # somebody between us has taken it out.
            if plus or (flag == "y" and self.name + _PLUS in self.context.offered):
                raise ProofFailed("no channel binding")
            return None
        if not flag.startswith("p="):
            raise BadResponse("no GS2 header")
        kind = flag.removeprefix("p=")
        # Asked once: that of the certificate takes some handshakes to find out.
        data = self.context.bindings.get(kind) if plus and _can_bind(self.name, kind) else None
        if data is None:
            raise ProofFailed("a channel binding that there is not")
        return kind, data

    def _make_server(self, find_keys: Callable[[str], tuple[bytes, bytes, bytes, int]]) -> Any:
        from scramp import ScramException, ScramMechanism

        server = ScramMechanism(self.name).make_server(
            find_keys, channel_binding=self._binding, s_nonce=self._nonce
        )
        try:
            server.set_client_first(self._client_first)
        except ScramException as error:
            raise _fault(error) from None
        return server

    def supply(self, keys: ScramKeys | None) -> Challenge:
        """Send the salt and the iteration count, made-up ones for an identity that does not exist."""
        if keys is None:
            mechanism = self.name.removesuffix(_PLUS)
            keys = ScramKeys.decoy(self.context.decoy_secret, mechanism, self._login)
        stored = (keys.salt, keys.stored_key, keys.server_key, keys.iterations)
        try:
            self._server = self._make_server(lambda _: stored)
        except BadResponse as error:
            # It was read before, so the fault is with the keys: that is not the client's to mend.
            raise RuntimeError(f"{self.name}: unusable keys: {error}") from None
        self._take = self._take_final
        return Challenge(self._server.get_server_first().encode("utf-8"))

    def _take_final(self, message: str) -> Challenge:
        from scramp import ScramException

        try:
            self._server.set_client_final(message)
        except ScramException as error:
            raise _fault(error) from None
        self._take = self._take_end
        # RFC 4954 section 4: a reply of 235 carries no data, so this goes as a challenge.
        return Challenge(self._server.get_server_final().encode("utf-8"))

    def _take_end(self, message: str) -> VerifiedIdentity:
        if message:
            raise BadResponse("a message after the last")
        return VerifiedIdentity(self._login)


class ScramSha1(_Scram):
    """SCRAM-SHA-1 (RFC 5802)."""

    name: ClassVar[str] = "SCRAM-SHA-1"


class ScramSha1Plus(_Scram):
    """SCRAM-SHA-1 bound to the TLS channel (RFC 5802 section 6)."""

    name: ClassVar[str] = "SCRAM-SHA-1-PLUS"


class ScramSha256(_Scram):
    """SCRAM-SHA-256 (RFC 7677)."""

    name: ClassVar[str] = "SCRAM-SHA-256"


class ScramSha256Plus(_Scram):
    """SCRAM-SHA-256 bound to the TLS channel (RFC 7677)."""

    name: ClassVar[str] = "SCRAM-SHA-256-PLUS"


def _fault(error: Any) -> BadResponse | ProofFailed:
    """Translate an error of ``scramp``, whose text may hold what the client sent."""
    kind = error.server_error.value if error.server_error is not None else "other-error"
    return ProofFailed(kind) if kind in _UNPROVED else BadResponse(kind)


def _can_bind(name: str, kind: str) -> bool:
    """Tell whether ``scramp`` knows a type of channel binding."""
    from scramp import ScramException, ScramMechanism

    try:
        ScramMechanism(name).make_server(lambda _: None, channel_binding=(kind, b"data"))
    except ScramException:
        return False
    return True
