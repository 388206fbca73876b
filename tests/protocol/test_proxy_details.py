"""What a PROXY header of version 2 says beside the addresses, and its checksum."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from aiosmtpd.protocol.proxy import (
    V2_SIGNATURE,
    ClientFlag,
    ProxyData,
    ProxyDetails,
    parse_proxy_header,
)
from aiosmtpd.protocol.proxy_tlv import crc32c

INET = bytes([192, 0, 2, 1, 198, 51, 100, 2]) + struct.pack("!HH", 56324, 25)
INET6 = bytes(15) + b"\1" + bytes(15) + b"\2" + struct.pack("!HH", 1, 2)
UNIX = b"/run/client".ljust(108, b"\0") + b"/run/server".ljust(108, b"\0")


def header(vectors: bytes = b"", *, command: int = 0x21, family: int = 0x11) -> bytes:
    body = {0x11: INET, 0x12: INET, 0x21: INET6, 0x31: UNIX}.get(family, b"") + vectors
    return V2_SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


def vector(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def parse(octets: bytes) -> ProxyData:
    parsed = parse_proxy_header(octets)
    assert parsed is not None
    assert parsed[1] == len(octets) or parsed[0].error
    return parsed[0]


def tls(client: int, verify: int, *subvectors: bytes) -> bytes:
    return vector(0x20, struct.pack("!BI", client, verify) + b"".join(subvectors))


# -- what the vectors say -------------------------------------------------------------------------


def test_every_detail() -> None:
    details = parse(
        header(
            vector(0x01, b"smtp")
            + vector(0x02, "mx.exämple".encode())
            + vector(0x04, b"\0\0\0")
            + vector(0x05, b"\xff\x00id")
            + tls(
                0x07,
                0,
                vector(0x21, b"TLSv1.3"),
                vector(0x22, b"client.example"),
                vector(0x23, b"TLS_AES_256_GCM_SHA384"),
                vector(0x24, b"SHA256"),
                vector(0x25, b"RSA2048"),
            )
            + vector(0x30, b"blue")
        )
    ).details
    assert details.alpn == b"smtp"
    assert details.authority == "mx.exämple"
    assert details.unique_id == b"\xff\x00id"
    assert details.namespace == "blue"
    assert details.tls is not None
    assert details.tls.flags == ClientFlag.SSL | ClientFlag.CERT_CONN | ClientFlag.CERT_SESS
    assert details.tls.version == "TLSv1.3"
    assert details.tls.common_name == "client.example"
    assert details.tls.cipher == "TLS_AES_256_GCM_SHA384"
    assert details.tls.signature_algorithm == "SHA256"
    assert details.tls.key_algorithm == "RSA2048"
    assert details.tls.verify == 0
    assert details.tls.certificate_verified


@pytest.mark.parametrize(
    "octets",
    [
        header(),
        header(family=0x00),
        header(vector(0x04, b"")),
        header(vector(0xE0, b"our own")),
        header(b"\x01\x00\x09short"),
        header(vector(0x02, b"lost") + tls(1, 0, b"\x21\xff\xff")),
        header(vector(0x20, b"\x01\x00\x00")),
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN \x02\x00\x01x\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
    ],
)
def test_no_details(octets: bytes) -> None:
    assert parse(octets).details == ProxyDetails()


def test_a_text_that_is_no_utf8_is_escaped() -> None:
    assert parse(header(vector(0x02, b"\xe9.example"))).details.authority == "\\xe9.example"


@pytest.mark.parametrize("family", [0x00, 0x11, 0x21, 0x31])
def test_details_beside_addresses_of_any_family(family: int) -> None:
    assert parse(header(vector(0x02, b"mx"), family=family)).details.authority == "mx"


@pytest.mark.parametrize(
    ("client", "verify", "expected"),
    [
        (0x01, 0, False),  # without a certificate there was nothing to verify
        (0x03, 0, True),
        (0x05, 0, True),
        (0x07, 0, True),
        (0x07, 1, False),
        (0x07, 0xFFFFFFFF, False),
        (0x00, 0, False),
        (0xF8, 0, False),  # flags that nobody has defined
    ],
)
def test_whether_a_certificate_was_verified(client: int, verify: int, expected: bool) -> None:
    details = parse(header(tls(client, verify))).details
    assert details.tls is not None
    assert details.tls.certificate_verified is expected
    assert details.tls.common_name is None


# -- who the client is ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "source"),
    [
        (header(), ("192.0.2.1", 56324)),
        (header(family=0x12), ("192.0.2.1", 56324)),
        (header(family=0x21), ("::1", 1)),
        (header(family=0x31), "/run/client"),
        (header(command=0x20), None),  # LOCAL: the proxy's own
        (header(family=0x00), None),
        (header(INET, family=0x10), None),
        (header(command=0x22), None),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 0 2\r\n", ("192.0.2.1", 0)),
        (b"PROXY TCP6 2001:DB8::1 ::2 1 2\r\n", ("2001:db8::1", 1)),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN 192.0.2.1 192.0.2.2 1 2\r\n", None),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 99999\r\n", None),
    ],
)
def test_the_source_of_a_connection(octets: bytes, source: Any) -> None:
    assert parse(octets).source == source


# -- the checksum ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "checksum"),
    [  # the first from the catalogues of checksums, the others from RFC 3720 appendix B.4
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"", 0),
    ],
)
def test_crc32c(octets: bytes, checksum: int) -> None:
    assert crc32c(octets) == checksum


def signed(before: bytes = b"", after: bytes = b"", **parts: int) -> bytes:
    blank = header(before + vector(0x03, bytes(4)) + after, **parts)
    return header(before + vector(0x03, struct.pack("!I", crc32c(blank))) + after, **parts)


CHECKED = [
    signed(),
    signed(family=0x21),
    signed(family=0x31),
    signed(family=0x00),
    signed(command=0x20),
    signed(before=vector(0x02, b"mx.example")),
    signed(after=tls(1, 0, vector(0x21, b"TLSv1.3"))),
    signed(before=vector(0x05, b"\x03\x00\x04abcd"), after=vector(0x04, bytes(3))),
]


@pytest.mark.parametrize("octets", CHECKED)
def test_a_checksum_that_is_right(octets: bytes) -> None:
    assert parse(octets).checksum_ok is True


@pytest.mark.parametrize("octets", CHECKED)
def test_a_change_of_one_bit_is_seen(octets: bytes) -> None:
    # Not of those octets that the layout depends on: behind these the checksum would not be found.
    places = [at for at in range(16, len(octets)) if octets[at - 3 : at] != b"\x03\x00\x04"]
    seen = 0
    for at in places:
        changed = bytearray(octets)
        changed[at] ^= 0x10
        verdict = parse(bytes(changed)).checksum_ok
        assert verdict is not True
        seen += verdict is False
    assert seen >= 3


@pytest.mark.parametrize("size", [0, 3, 5, 8])
def test_a_checksum_of_another_size(size: int) -> None:
    assert parse(header(vector(0x03, bytes(size)))).checksum_ok is False


@pytest.mark.parametrize(
    "octets", [header(), header(vector(0x02, b"mx")), b"PROXY UNKNOWN \x03\x00\x04abcd\r\n"]
)
def test_no_checksum(octets: bytes) -> None:
    assert parse(octets).checksum_ok is None


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (b"/\xc3\xa9 x", "/\xe9 x"),
        (b"\0abstract", r"\x00abstract"),
        (b"/\r\nX: y\xff", r"/\r\nX: y\xff"),
        ("/\u2028".encode(), r"/\u2028"),
    ],
)
def test_a_path_cannot_begin_another_line(path: bytes, source: str) -> None:
    """It is written where an address is, such as a header field or the log."""
    octets = V2_SIGNATURE + b"\x21\x31\0\xd8" + path.ljust(216, b"\0")
    assert parse(octets).source == source
