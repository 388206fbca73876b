"""Stored passwords: the texts that ``htpasswd``, ``argon2`` and PostgreSQL write, and how to check them.

Each is one line without secrets that could be used as they are. The arithmetic is that of the packages
``argon2-cffi`` and ``bcrypt`` (the extra ``auth``) and ``scramp`` (the extra ``scram``). To check a
password takes a tenth of a second, by intention: that is not for an event loop.
"""

from __future__ import annotations

import base64
import hmac
import importlib.util
import re
from collections.abc import Callable
from typing import Protocol

from .credentials import ScramKeys

__all__ = ["ScramHash", "StoredHash", "parse_hash"]

_BASE64 = "[A-Za-z0-9+/]"
_ARGON2 = re.compile(
    rf"\$argon2(?:id|i|d)\$v=\d+\$m=\d+,t=\d+,p=\d+\${_BASE64}{{11,}}\${_BASE64}{{16,}}"
)
_BCRYPT = re.compile(r"\$2[aby]\$(?:0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")
_SCRAM = re.compile(
    rf"(?P<mechanism>SCRAM-SHA-(?:1|256))\$(?P<iterations>[1-9]\d{{3,7}}):(?P<salt>{_BASE64}+=*)"
    rf"\$(?P<stored>{_BASE64}+=*):(?P<server>{_BASE64}+=*)"
)
_KEY_SIZES = {"SCRAM-SHA-1": 20, "SCRAM-SHA-256": 32}

# bcrypt uses so many octets of a password; programs that write hashes cut it off there.
_BCRYPT_SIZE = 72
# Nobody has a password of more octets for SCRAM: SASLprep prepares it in Python, a character at a time,
# and a thread that does so takes turns with the event loop.
_SCRAM_SIZE = 1024


class StoredHash(Protocol):
    """What is stored of a password.

    Attributes:
        kind: ``"password"``, or the mechanism that can use the hash besides.
    """

    @property
    def kind(self) -> str: ...

    def matches(self, password: bytes) -> bool:
        """Tell whether a password is the one; takes its time."""


class _Argon2Hash:
    kind = "password"

    def __init__(self, text: str) -> None:
        self._text = text

    def matches(self, password: bytes) -> bool:
        from argon2 import PasswordHasher
        from argon2.exceptions import InvalidHashError, VerificationError

        try:
            return PasswordHasher().verify(self._text, password)
        except (VerificationError, InvalidHashError):  # of which a mismatch is one
            return False


class _BcryptHash:
    kind = "password"

    def __init__(self, text: str) -> None:
        self._octets = text.encode("ascii")

    def matches(self, password: bytes) -> bool:
        import bcrypt

        return bcrypt.checkpw(password[:_BCRYPT_SIZE], self._octets)


class ScramHash:
    """The keys of a SCRAM mechanism, against which a password can be checked as well.

    Args:
        mechanism: the mechanism's name.
        keys: the keys.
    """

    def __init__(self, mechanism: str, keys: ScramKeys) -> None:
        self.kind = mechanism
        self.keys = keys

    def matches(self, password: bytes) -> bool:
        """Derive the keys from a password, and compare."""
        from scramp import ScramException, ScramMechanism

        if len(password) > _SCRAM_SIZE:
            return False
        try:
            _, stored_key, _, _ = ScramMechanism(self.kind).make_auth_info(
                password.decode("utf-8"), self.keys.iterations, self.keys.salt
            )
        except (UnicodeDecodeError, ScramException):  # SASLprep allows no such password
            return False
        return hmac.compare_digest(stored_key, self.keys.stored_key)


def parse_hash(text: str) -> StoredHash:
    """Read a stored password.

    Args:
        text: ``$argon2id$...``, ``$2b$...`` or ``$2y$...`` (bcrypt), or
            ``SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`` with base64, or the same
            of SCRAM-SHA-1.

    Raises:
        ValueError: it is none of these, or the package for it is not installed. What was read is not
            told.
    """
    if _ARGON2.fullmatch(text):
        return _need("argon2", "auth", lambda: _Argon2Hash(text))
    if _BCRYPT.fullmatch(text):
        return _need("bcrypt", "auth", lambda: _BcryptHash(text))
    match = _SCRAM.fullmatch(text)
    if match is None:
        raise ValueError("not a hash of argon2, bcrypt or SCRAM")
    mechanism, iterations = match["mechanism"], int(match["iterations"])
    try:
        salt, stored, server = (
            base64.b64decode(match[name], validate=True) for name in ("salt", "stored", "server")
        )
    except ValueError:
        raise ValueError("the keys are not in base64") from None
    if len(stored) != _KEY_SIZES[mechanism] or len(server) != _KEY_SIZES[mechanism]:
        raise ValueError(f"the keys are not those of {mechanism}")
    if len(salt) < 12 or not 4096 <= iterations <= 10_000_000:  # what scramp takes
        raise ValueError(
            "a salt has 12 octets at least, and an iteration count is 4096 to 10,000,000"
        )
    keys = ScramKeys(salt, stored, server, iterations)
    return _need("scramp", "scram", lambda: ScramHash(mechanism, keys))


def _need(package: str, extra: str, make: Callable[[], StoredHash]) -> StoredHash:
    if importlib.util.find_spec(package) is None:
        raise ValueError(f"the package for this hash is not installed: aiosmtpd[{extra}]")
    return make()
