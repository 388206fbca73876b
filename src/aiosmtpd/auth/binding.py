"""Channel bindings of TLS (RFC 5056, RFC 5929, RFC 9266): what ties an exchange to its connection.

``tls-unique`` is a number of the handshake, sound up to TLS 1.2; ``tls-exporter`` its successor, where
Python offers it; ``tls-server-end-point`` a hash of the server's certificate. Python shows a server's
context but not the certificate in it. So it is read off a handshake in memory: the context serves, and
we are the client that it shows its certificate to.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import ssl
from collections.abc import Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

__all__ = ["ChannelBindings"]

END_POINT = "tls-server-end-point"
EXPORTER = "tls-exporter"
UNIQUE = "tls-unique"

# How often each side may speak in a handshake, and what a server says that has nothing for a client.
_FLIGHTS = 4
_NOTHING_FOR_CLIENT = {"NO_SHARED_CIPHER", "UNSUPPORTED_PROTOCOL"}

# Whether a context has one certificate that can be hashed. Asked at each EHLO, so it is kept.
_has_end_point: WeakKeyDictionary[ssl.SSLContext, bool] = WeakKeyDictionary()


class ChannelBindings(Mapping[str, bytes]):
    """The bindings of a connection, data by type; the data is computed when it is asked for.

    Args:
        tls: what ``session.ssl`` holds: ``ssl_object`` and ``sslcontext``; None without TLS.
    """

    def __init__(self, tls: Mapping[str, Any] | None) -> None:
        self._object: Any = tls.get("ssl_object") if tls else None
        self._context: Any = tls.get("sslcontext") if tls else None

    def __iter__(self) -> Iterator[str]:
        version = self._object.version() if self._object is not None else None
        if version == "TLSv1.3":
            if EXPORTER in ssl.CHANNEL_BINDING_TYPES:
                yield EXPORTER
        elif version is not None and UNIQUE in ssl.CHANNEL_BINDING_TYPES:
            yield UNIQUE  # not with TLS 1.3, where it is not defined (RFC 8446 appendix C.5)
        if self._context is not None and _can_hash(self._context):
            yield END_POINT

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, kind: str) -> bytes:
        if kind not in list(self):
            raise KeyError(kind)
        data = self._end_point() if kind == END_POINT else self._object.get_channel_binding(kind)
        if not data:
            raise KeyError(kind)
        return bytes(data)

    def _end_point(self) -> bytes | None:
        # Read anew, because a certificate may be renewed while its context is in use.
        return _end_point(self._context)


def _can_hash(context: ssl.SSLContext) -> bool:
    if context not in _has_end_point:
        _has_end_point[context] = _end_point(context) is not None
    return _has_end_point[context]


def _end_point(context: Any) -> bytes | None:
    """Hash the one certificate of a context (RFC 5929 section 4.1), or give None."""
    certificate = _own_certificate(context)
    name = _signature_hash(certificate) if certificate is not None else None
    if certificate is None or name is None:
        return None
    # The RFC has the older two replaced.
    name = "sha256" if name in ("md5", "sha1") else name
    return hashlib.new(name, certificate).digest()


def _signature_hash(certificate: bytes) -> str | None:
    """Give the hash of a certificate's signature; None where it has none, as with Ed25519."""
    if importlib.util.find_spec("asn1crypto") is None:
        return None
    from asn1crypto.x509 import Certificate

    try:
        name = str(Certificate.load(certificate, strict=True).hash_algo)
    except ValueError:
        return None
    return name if name in hashlib.algorithms_available else None


def _own_certificate(context: ssl.SSLContext) -> bytes | None:
    """Give the certificate that a context shows to every client; None if it depends on the client."""
    if context.sni_callback is not None:
        return None
    try:
        shown = {_shown_certificate(context, client) for client in _clients()}
    except ssl.SSLError:
        return None
    shown.discard(None)
    return shown.pop() if len(shown) == 1 else None


def _clients() -> Iterator[ssl.SSLContext]:
    """Make clients that would be shown each certificate of a context that has several.

    The first takes what any client is shown. Up to TLS 1.2 the cipher suites say which kind of
    certificate a client can use, so the others ask for one of RSA, and for one of elliptic curves.
    """
    for suites in ("DEFAULT", "aRSA", "aECDSA"):
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname = False
        client.verify_mode = ssl.CERT_NONE
        client.set_ciphers(f"{suites}:@SECLEVEL=0")
        if suites != "DEFAULT":
            client.maximum_version = ssl.TLSVersion.TLSv1_2
        yield client


def _shown_certificate(context: ssl.SSLContext, client: ssl.SSLContext) -> bytes | None:
    """Shake hands in memory; give the certificate that the client is shown, None if it is shown none.

    Raises:
        ssl.SSLError: the handshake failed for another reason.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    served = context.wrap_bio(to_server, to_client, server_side=True)
    asking = client.wrap_bio(to_client, to_server)
    try:
        for side in (asking, served) * _FLIGHTS:
            with contextlib.suppress(ssl.SSLWantReadError):  # it is the other side's turn
                side.do_handshake()
        return asking.getpeercert(binary_form=True)
    except ssl.SSLError as error:
        if error.reason in _NOTHING_FOR_CLIENT:
            return None
        raise
    except ValueError:  # the handshake was not done
        return None
