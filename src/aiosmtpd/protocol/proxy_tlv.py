"""The TLV vectors of a PROXY header of version 2: what a proxy tells beside the addresses.

It knows how the vectors are laid out and what the registered ones mean, as HAProxy's
``proxy-protocol.txt`` has them (cited here as PP with its section). :class:`ProxyTLV` has the vectors
as they came, under the names of 1.4; :class:`ProxyDetails` has what they say.
"""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass
from enum import IntFlag
from typing import Any, ClassVar, Final

__all__ = [
    "NOT_FOUND",
    "ClientFlag",
    "MalformedTLV",
    "ProxyDetails",
    "ProxyTLV",
    "TLSDetails",
    "UnknownTypeTLV",
    "checksum_matches",
    "crc32c",
    "details_of",
    "judge",
]

_SSL: Final = 0x20
_SSL_HEAD: Final = struct.Struct("!BI")
_CHECKSUM_SIZE: Final = 4
NOT_FOUND: Final = object()


class MalformedTLV(RuntimeError):
    """A TLV vector announces more octets than there are, or its value lacks its fixed part."""


class UnknownTypeTLV(KeyError):
    """A TLV vector has a type that :attr:`ProxyTLV.PP2_TYPENAME` does not name."""


def judge(name: str, actual: object, expected: object, raises: bool) -> bool:
    """Tell whether what is found under a name is as expected.

    Args:
        name: the name.
        actual: what is found under it, or ``NOT_FOUND``.
        expected: what is expected.
        raises: raise instead of returning False.

    Raises:
        KeyError: if ``raises``, and nothing was found.
        ValueError: if ``raises``, and something else was found.
    """
    if actual is NOT_FOUND:
        if raises:
            raise KeyError(f"notfound:{name}")
        return False
    if actual != expected:
        if raises:
            raise ValueError(f"mismatch:{name} actual={actual!r} expect={expected!r}")
        return False
    return True


class ProxyTLV(dict[str, Any]):
    """The TLV vectors of a version 2 header, by name (PP 2.2.1 to 2.2.8).

    A vector whose type is known is found under its name in :attr:`PP2_TYPENAME`, any other under
    ``xNN``; where a type comes more than once, the last counts. ``SSL`` is True where the vector of
    that name is well formed; what it contains stands beside it, as ``SSL_CLIENT`` and
    ``SSL_VERIFY`` (both ``int``) and the ``SSL_`` names of its subvectors. All values may be read
    as attributes too; an attribute for which there is no vector is None.

    Args:
        args: as for :class:`dict`.
        _tlv_loc: what becomes :attr:`tlv_loc`.
        kwargs: as for :class:`dict`.

    Attributes:
        tlv_loc: for each name the offset of its vector in octets from the first vector. Of the
            subvectors of SSL, it is the offset from the first subvector, plus that of SSL.
    """

    __slots__ = ("tlv_loc",)

    PP2_TYPENAME: ClassVar[dict[int, str]] = {
        0x01: "ALPN",
        0x02: "AUTHORITY",
        0x03: "CRC32C",
        0x04: "NOOP",
        0x05: "UNIQUE_ID",
        _SSL: "SSL",
        0x21: "SSL_VERSION",
        0x22: "SSL_CN",
        0x23: "SSL_CIPHER",
        0x24: "SSL_SIG_ALG",
        0x25: "SSL_KEY_ALG",
        0x30: "NETNS",
    }

    def __init__(self, *args: Any, _tlv_loc: dict[str, int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tlv_loc = _tlv_loc

    def __getattr__(self, item: str) -> Any:
        # No vector is named like this, while ``copy`` and ``pickle`` ask whether methods exist.
        if item.startswith("__"):
            raise AttributeError(item)
        return self.get(item)

    def same_attribs(self, _raises: bool = False, **kwargs: Any) -> bool:
        """Tell whether there is a vector of each name given, with that value.

        Args:
            _raises: raise instead of returning False.
            kwargs: the expected values by name.

        Returns:
            Whether all are as expected.

        Raises:
            KeyError: if ``_raises``, and a vector is missing.
            ValueError: if ``_raises``, and a vector has another value.
        """
        return all(
            judge(name, self.get(name, NOT_FOUND), expected, _raises)
            for name, expected in kwargs.items()
        )

    @classmethod
    def parse(
        cls,
        data: bytes | bytearray | memoryview,
        partial_ok: bool = True,
        strict: bool = False,
    ) -> tuple[dict[str, Any], dict[str, int]]:
        """Read TLV vectors (PP 2.2).

        Up to two octets that are left over at the end count as a vector without a value, as in 1.4:
        some senders pad with them.

        Args:
            data: the octets of all vectors.
            partial_ok: give what was read before the first malformed vector, instead of raising.
            strict: raise at a vector of an unknown type.

        Returns:
            The values by name, and the offsets as in :attr:`tlv_loc`.

        Raises:
            MalformedTLV: a vector is malformed, and ``partial_ok`` is false.
            UnknownTypeTLV: a vector has an unknown type, and ``strict`` is true.
        """
        values: dict[str, Any] = {}
        places: dict[str, int] = {}
        try:
            cls._read_vectors(data, values, places, strict=strict)
        except MalformedTLV:
            if not partial_ok:
                raise
        return values, places

    @classmethod
    def _read_vectors(
        cls,
        data: bytes | bytearray | memoryview,
        values: dict[str, Any],
        places: dict[str, int],
        *,
        strict: bool,
        ssl_at: int | None = None,
    ) -> None:
        """Add all vectors in ``data``; ``ssl_at`` is where the SSL vector is that they are in."""
        at = 0
        while at < len(data):
            kind = data[at]
            start = at + 3
            end = start + int.from_bytes(data[at + 1 : start], "big")
            # An SSL vector has no place within another (PP 2.2.6): were one read there, it would
            # overwrite the outer one's SSL_VERIFY, and a chain of them would exhaust the stack.
            if start < end > len(data) or (kind == _SSL and ssl_at is not None):
                raise _malformed(kind)
            name = cls.PP2_TYPENAME.get(kind)
            if name is None:
                name = f"x{kind:02X}"
                if strict:
                    raise UnknownTypeTLV(name)
            places[name] = at + (ssl_at or 0)
            if kind == _SSL:
                cls._read_ssl(data[start:end], values, places, strict=strict, at=at)
            else:
                values[name] = data[start:end]
            at = end

    @classmethod
    def _read_ssl(
        cls,
        value: bytes | bytearray | memoryview,
        values: dict[str, Any],
        places: dict[str, int],
        *,
        strict: bool,
        at: int,
    ) -> None:
        values["SSL"] = False
        # A value that is cut short must not pass: the verify that is missing would read as zero,
        # which says that the client's certificate was verified.
        if len(value) < _SSL_HEAD.size:
            raise _malformed(_SSL)
        values["SSL_CLIENT"], values["SSL_VERIFY"] = _SSL_HEAD.unpack_from(value)
        subvectors = value[_SSL_HEAD.size :]
        cls._read_vectors(subvectors, values, places, strict=strict, ssl_at=at)
        values["SSL"] = True

    @classmethod
    def from_raw(cls, raw: bytes | bytearray | memoryview, strict: bool = False) -> ProxyTLV | None:
        """Read TLV vectors, all of them or none.

        Args:
            raw: the octets of all vectors.
            strict: raise at a vector of an unknown type.

        Returns:
            The vectors, or None if there are none.

        Raises:
            MalformedTLV: a vector is malformed.
            UnknownTypeTLV: a vector has an unknown type, and ``strict`` is true.
        """
        if len(raw) == 0:
            return None
        values, places = cls.parse(raw, partial_ok=False, strict=strict)
        return cls(values, _tlv_loc=places)

    @classmethod
    def name_to_num(cls, name: str) -> int | None:
        """Give the type that has the name, or None if none has."""
        return next((kind for kind, known in cls.PP2_TYPENAME.items() if known == name), None)


def _malformed(kind: int) -> MalformedTLV:
    return MalformedTLV(f"TLV 0x{kind:02X} is malformed!")


# -- what the vectors say -------------------------------------------------------------------------


class ClientFlag(IntFlag):
    """What a proxy saw of the client's TLS (PP 2.2.6)."""

    SSL = 0x01
    CERT_CONN = 0x02
    CERT_SESS = 0x04


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSDetails:
    """What a proxy tells of the TLS that it ended (PP 2.2.6). What it does not tell is None.

    Attributes:
        flags: whether the client used TLS, and whether it showed a certificate, on this connection
            or earlier in its TLS session.
        verify: zero if a certificate of the client was verified, or if there was none to verify; see
            :attr:`certificate_verified`.
        version: the version of TLS, such as ``"TLSv1.3"``.
        common_name: the Common Name in the client's certificate, verified or not.
        cipher: the cipher suite.
        signature_algorithm: by what the certificate that the proxy showed was signed.
        key_algorithm: what key that certificate is for.
    """

    flags: ClientFlag
    verify: int
    version: str | None
    common_name: str | None
    cipher: str | None
    signature_algorithm: str | None
    key_algorithm: str | None

    @property
    def certificate_verified(self) -> bool:
        """Whether the client showed a certificate and the proxy has verified it."""
        shown = self.flags & (ClientFlag.CERT_CONN | ClientFlag.CERT_SESS)
        return bool(shown) and self.verify == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyDetails:
    """What a proxy tells beside the addresses (PP 2.2.1 to 2.2.7). What it does not tell is None.

    Octets in a text that are no UTF-8 are escaped (``\\xe9``).

    Attributes:
        alpn: the protocol that the client and the proxy agreed on by ALPN (RFC 7301).
        authority: the host name that the client asked for, by SNI under TLS (RFC 6066 section 3).
        unique_id: what identifies the connection across several proxies.
        namespace: the name of the network namespace.
        tls: what is known of the client's TLS.
    """

    alpn: bytes | None = None
    authority: str | None = None
    unique_id: bytes | None = None
    namespace: str | None = None
    tls: TLSDetails | None = None


def details_of(vectors: ProxyTLV | None) -> ProxyDetails:
    """Give what TLV vectors say.

    Args:
        vectors: the vectors, or None where there are none.
    """
    if vectors is None:
        return ProxyDetails()
    return ProxyDetails(
        alpn=_octets(vectors, "ALPN"),
        authority=_text(vectors, "AUTHORITY"),
        unique_id=_octets(vectors, "UNIQUE_ID"),
        namespace=_text(vectors, "NETNS"),
        tls=_tls_details(vectors) if vectors.get("SSL") else None,
    )


def _tls_details(vectors: ProxyTLV) -> TLSDetails:
    return TLSDetails(
        flags=ClientFlag(vectors["SSL_CLIENT"]),
        verify=vectors["SSL_VERIFY"],
        version=_text(vectors, "SSL_VERSION"),
        common_name=_text(vectors, "SSL_CN"),
        cipher=_text(vectors, "SSL_CIPHER"),
        signature_algorithm=_text(vectors, "SSL_SIG_ALG"),
        key_algorithm=_text(vectors, "SSL_KEY_ALG"),
    )


def _octets(vectors: ProxyTLV, name: str) -> bytes | None:
    value = vectors.get(name)
    return None if value is None else bytes(value)


def _text(vectors: ProxyTLV, name: str) -> str | None:
    value = vectors.get(name)
    return None if value is None else bytes(value).decode("utf-8", "backslashreplace")


# -- the checksum ---------------------------------------------------------------------------------


def checksum_matches(vectors: ProxyTLV, header: bytes | bytearray, first: int) -> bool | None:
    """Tell whether a header is the one that its checksum was made of (PP 2.2.3).

    Args:
        vectors: the TLV vectors of the header.
        header: the whole header.
        first: the offset of the first vector in it.

    Returns:
        Whether it is, or None if the header has no checksum.
    """
    value = vectors.get("CRC32C")
    if value is None:
        return None
    if len(value) != _CHECKSUM_SIZE:
        return False
    at = first + vectors.tlv_loc["CRC32C"] + 3
    blanked = bytes(header[:at]) + bytes(_CHECKSUM_SIZE) + bytes(header[at + _CHECKSUM_SIZE :])
    return crc32c(blanked) == int.from_bytes(value, "big")


def crc32c(octets: bytes) -> int:
    """Give the CRC32c checksum of some octets (RFC 9260 appendix A)."""
    table = _crc32c_table()
    remainder = 0xFFFFFFFF
    for octet in octets:
        remainder = table[(remainder ^ octet) & 0xFF] ^ (remainder >> 8)
    return remainder ^ 0xFFFFFFFF


@functools.cache
def _crc32c_table() -> tuple[int, ...]:
    """Give the remainders of all octets, the polynomial 0x1EDC6F41 and its bits in reverse order."""
    remainders = []
    for octet in range(256):
        remainder = octet
        for _ in range(8):
            remainder = (remainder >> 1) ^ (0x82F63B78 if remainder & 1 else 0)
        remainders.append(remainder)
    return tuple(remainders)
