"""The PROXY headers of versions 1 and 2, each fed whole, octet by octet, and split at random."""

from __future__ import annotations

import copy
import pickle
import random
import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest

from aiosmtpd.protocol.proxy import (
    AF,
    PROTO,
    V2_CMD,
    V2_PARSE_ADDR_FAMPRO,
    V2_SIGNATURE,
    V2_VALID_CMDS,
    V2_VALID_FAMS,
    V2_VALID_PROS,
    MalformedTLV,
    ProxyData,
    ProxyTLV,
    UnknownTypeTLV,
    parse_proxy_header,
)

TRAILERS = [b"", b"EHLO client.example\r\nQUIT\r\n", b"\x16\x03\x01\x02\x00", b"\n", b"PROXY "]

IP4 = bytes([192, 0, 2, 1, 198, 51, 100, 2]) + struct.pack("!HH", 56324, 25)
IP6 = (
    IPv6Address("2001:db8::1").packed
    + IPv6Address("2001:db8::2").packed
    + struct.pack("!HH", 56324, 25)
)
UNIX = b"/run/client".ljust(108, b"\0") + b"/run/server".ljust(108, b"\0")


def v2(
    body: bytes = b"", *, command: int = 0x21, family: int = 0x11, length: int | None = None
) -> bytes:
    size = len(body) if length is None else length
    return V2_SIGNATURE + struct.pack("!BBH", command, family, size) + body


def vector(kind: int, value: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("!BH", kind, len(value) if length is None else length) + value


def ssl_vector(*subvectors: bytes, client: int = 1, verify: int = 0) -> bytes:
    return vector(0x20, struct.pack("!BI", client, verify) + b"".join(subvectors))


def feed(octets: bytes, cuts: list[int]) -> tuple[ProxyData, int] | None:
    """Parse with the octets up to each cut in turn, until it is decided."""
    buffer = bytearray()
    for start, end in zip([0, *cuts], [*cuts, len(octets)], strict=True):
        buffer += octets[start:end]
        before = bytes(buffer)
        parsed = parse_proxy_header(buffer)
        assert buffer == before, "the buffer is the caller's"
        if parsed is not None:
            return parsed
    return None


def parse(octets: bytes) -> tuple[ProxyData, int] | None:
    """Feed whole, octet by octet, and split at random; all must agree."""
    whole = feed(octets, [])
    assert parse_proxy_header(octets) == whole
    assert feed(octets, list(range(1, len(octets)))) == whole
    random_ = random.Random(octets)
    for _ in range(5):
        cuts = sorted(random_.choices(range(len(octets) + 1), k=random_.randint(1, 6)))
        assert feed(octets, cuts) == whole
    return whole


def read(header: bytes) -> ProxyData:
    """Parse a header that is complete; what follows it must be left alone, and not matter."""
    results = []
    for trailer in TRAILERS:
        parsed = parse(header + trailer)
        assert parsed is not None
        data, length = parsed
        assert length == len(header)
        assert data.whole_raw == header
        results.append(data)
    assert all(data == results[0] for data in results)
    for cut in range(len(header)):
        assert parse_proxy_header(header[:cut]) is None
    return results[0]


def refuse(octets: bytes, at: int | None = None) -> ProxyData:
    """Parse what is no header; it must be refused at the octet with index ``at``, not earlier."""
    decided = len(octets) if at is None else at + 1
    parsed = parse(octets)
    assert parsed is not None
    data, length = parsed
    assert length == decided
    assert parse_proxy_header(octets[: decided - 1]) is None
    for trailer in TRAILERS:
        assert parse_proxy_header(octets[:decided] + trailer) == parsed
    assert data.error
    assert not data.valid
    assert not data
    return data


# --- what is no header at all ---


@pytest.mark.parametrize(
    ("octets", "at"),
    [
        (b"EHLO client.example\r\n", 0),
        (b"proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n", 0),
        (b"\x16\x03\x01\x02\x00", 0),
        (b"\x00", 0),
        (b" PROXY", 0),
        (b"\n", 0),
        (b"PRoxy", 2),
        (b"PROX \r\n", 4),
        (b"\r\r", 1),
        (b"\r\nEHLO", 2),
        (b"\r\n\r\nQUIT\r\n", 4),
    ],
)
def test_other_protocols_are_refused_at_the_first_wrong_octet(octets: bytes, at: int) -> None:
    data = refuse(octets, at)
    assert data.version is None
    assert data.error == "PROXY unrecognized signature"


@pytest.mark.parametrize("wrong", [b"T", b"\r", b"\n", b"\t", b"\0"])
def test_v1_name_is_followed_by_a_space(wrong: bytes) -> None:
    data = refuse(b"PROXY" + wrong + b"CP4 192.0.2.1 192.0.2.2 1 2\r\n", 5)
    assert data.version == 1
    assert data.error == "PROXYv1 wrong signature"


@pytest.mark.parametrize("at", range(5, 12))
def test_v2_signature_is_refused_at_the_first_wrong_octet(at: int) -> None:
    header = bytearray(v2(IP4))
    header[at] ^= 0x20
    data = refuse(bytes(header), at)
    assert data.version == 2
    assert data.error == "PROXYv2 wrong signature"


# --- version 1 ---


@pytest.mark.parametrize(
    ("line", "family", "src", "dst", "ports"),
    [
        ("TCP4 192.0.2.1 198.51.100.2 56324 25", AF.INET, "192.0.2.1", "198.51.100.2", (56324, 25)),
        ("TCP4 0.0.0.0 255.255.255.255 0 65535", AF.INET, "0.0.0.0", "255.255.255.255", (0, 65535)),
        (
            "TCP4 255.255.255.255 255.255.255.255 65535 65535",
            AF.INET,
            "255.255.255.255",
            "255.255.255.255",
            (65535, 65535),
        ),
        ("TCP6 ::1 2001:db8::2 1 2", AF.INET6, "::1", "2001:db8::2", (1, 2)),
        ("TCP6 2001:DB8::AbCd :: 10 20", AF.INET6, "2001:db8::abcd", "::", (10, 20)),
        ("TCP6 ::ffff:192.0.2.1 ::1 1 2", AF.INET6, "::ffff:192.0.2.1", "::1", (1, 2)),
        (
            f"TCP6 {':'.join(['ffff'] * 8)} {':'.join(['ffff'] * 8)} 65535 65535",
            AF.INET6,
            ":".join(["ffff"] * 8),
            ":".join(["ffff"] * 8),
            (65535, 65535),
        ),
    ],
)
def test_v1_addresses(line: str, family: AF, src: str, dst: str, ports: tuple[int, int]) -> None:
    data = read(b"PROXY " + line.encode() + b"\r\n")
    address = IPv4Address if family == AF.INET else IPv6Address
    assert data.same_attribs(
        _raises=True,
        version=1,
        command=None,
        family=family,
        protocol=PROTO.STREAM,
        src_addr=address(src),
        dst_addr=address(dst),
        src_port=ports[0],
        dst_port=ports[1],
        rest=b"",
        tlv_start=None,
        tlv=None,
        error="",
    )
    assert data.valid
    assert data


@pytest.mark.parametrize(
    "rest",
    [
        b"",
        b" ",
        b" 192.0.2.1 192.0.2.2 1 2",
        b" anything \xff\x00\r at all",
        b" " + b"x" * 91,
    ],
)
def test_v1_unknown_ignores_the_rest(rest: bytes) -> None:
    data = read(b"PROXY UNKNOWN" + rest + b"\r\n")
    assert data.same_attribs(
        _raises=True,
        version=1,
        family=AF.UNSPEC,
        protocol=PROTO.UNSPEC,
        src_addr=None,
        dst_addr=None,
        src_port=None,
        dst_port=None,
        rest=rest,
        tlv=None,
    )
    assert data.valid


ADDRESS = "PROXYv1 address malformed"
PORT = "PROXYv1 port malformed"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("", "PROXYv1 unrecognized family"),
        (" TCP4 192.0.2.1 192.0.2.2 1 2", "PROXYv1 unrecognized family"),
        ("TCP 192.0.2.1 192.0.2.2 1 2", "PROXYv1 unrecognized family"),
        ("TCP5 192.0.2.1 192.0.2.2 1 2", "PROXYv1 unrecognized family"),
        ("TCP4\t192.0.2.1 192.0.2.2 1 2", "PROXYv1 unrecognized family"),
        ("UNIX /run/a /run/b 1 2", "PROXYv1 unrecognized family"),
        ("UNKNOWN\t", "PROXYv1 unrecognized family"),
        ("UNKNOWNX", "PROXYv1 unrecognized family"),
        ("\xff 192.0.2.1 192.0.2.2 1 2", "PROXYv1 unrecognized family"),
        ("UDP4 192.0.2.1 192.0.2.2 1 2", "PROXYv1 unrecognized protocol"),
        ("UDP6 ::1 ::2 1 2", "PROXYv1 unrecognized protocol"),
        ("tcp4 192.0.2.1 192.0.2.2 1 2", "PROXYv1 unrecognized protocol"),
        ("TCP44 192.0.2.1 192.0.2.2 1 2", "PROXYv1 unrecognized protocol"),
        ("TCP64 192.0.2.1 192.0.2.2 1 2", "PROXYv1 unrecognized protocol"),
        ("4", "PROXYv1 unrecognized protocol"),
        ("TCP4", ADDRESS),
        ("TCP4 ", ADDRESS),
        ("TCP4 192.0.2.1", ADDRESS),
        ("TCP4 192.0.2.1 ", ADDRESS),
        ("TCP4  192.0.2.1 192.0.2.2 1 2", ADDRESS),
        ("TCP4 192.0.2.1  192.0.2.2 1 2", ADDRESS),
        ("TCP4 192.0.2 192.0.2.2 1 2", ADDRESS),
        ("TCP4 192.0.2.1.5 192.0.2.2 1 2", ADDRESS),
        ("TCP4 192.0.2.256 192.0.2.2 1 2", ADDRESS),
        ("TCP4 192.0.2.01 192.0.2.2 1 2", ADDRESS),
        ("TCP4 192.0.2.1/32 192.0.2.2 1 2", ADDRESS),
        ("TCP4 3221225985 192.0.2.2 1 2", ADDRESS),
        ("TCP4 192.0.2.\xb2 192.0.2.2 1 2", ADDRESS),
        ("TCP4 192.0.2.1 client 1 2", ADDRESS),
        ("TCP6 fe80::1%eth0 ::2 1 2", ADDRESS),
        ("TCP6 [::1] ::2 1 2", ADDRESS),
        ("TCP6 ::1 1::2::3 1 2", ADDRESS),
        ("TCP6 ::1 ::g 1 2", ADDRESS),
        ("TCP6 ::1 0:0:0:0:0:0:0:0:1 1 2", ADDRESS),
        ("TCP4 ::1 ::2 1 2", "PROXYv1 address not IPv4"),
        ("TCP4 192.0.2.1 ::2 1 2", "PROXYv1 address not IPv4"),
        ("TCP6 192.0.2.1 192.0.2.2 1 2", "PROXYv1 address not IPv6"),
        ("TCP6 ::1 192.0.2.2 1 2", "PROXYv1 address not IPv6"),
        ("TCP4 192.0.2.1 192.0.2.2", PORT),
        ("TCP4 192.0.2.1 192.0.2.2 ", PORT),
        ("TCP4 192.0.2.1 192.0.2.2  1 2", PORT),
        ("TCP4 192.0.2.1 192.0.2.2 1", PORT),
        ("TCP4 192.0.2.1 192.0.2.2 1 ", PORT),
        ("TCP4 192.0.2.1 192.0.2.2 1  2", PORT),
        ("TCP4 192.0.2.1 192.0.2.2 01 2", PORT),
        ("TCP4 192.0.2.1 192.0.2.2 1 02", PORT),
        ("TCP4 192.0.2.1 192.0.2.2 00 2", PORT),
        ("TCP4 192.0.2.1 192.0.2.2 +1 2", PORT),
        ("TCP4 192.0.2.1 192.0.2.2 1 -2", PORT),
        ("TCP4 192.0.2.1 192.0.2.2 1_0 2", PORT),
        ("TCP4 192.0.2.1 192.0.2.2 1 2_0", PORT),
        ("TCP4 192.0.2.1 192.0.2.2 0x1 2", PORT),
        ("TCP4 192.0.2.1 192.0.2.2 1 \xb2", PORT),
        ("TCP4 192.0.2.1 192.0.2.2 1 2\0", PORT),
        ("TCP4 192.0.2.1 192.0.2.2 smtp 2", PORT),
        ("TCP4 192.0.2.1 192.0.2.2 1 2\r", PORT),
        ("TCP4 192.0.2.1 192.0.2.2 65536 2", "PROXYv1 src port out of bounds"),
        ("TCP4 192.0.2.1 192.0.2.2 99999999999999 2", "PROXYv1 src port out of bounds"),
        ("TCP4 192.0.2.1 192.0.2.2 1 65536", "PROXYv1 dst port out of bounds"),
        ("TCP4 192.0.2.1 192.0.2.2 1 2 ", "PROXYv1 unrecognized extraneous data"),
        ("TCP4 192.0.2.1 192.0.2.2 1 2 3", "PROXYv1 unrecognized extraneous data"),
    ],
)
def test_v1_refuses(line: str, error: str) -> None:
    header = b"PROXY " + line.encode("latin-1") + b"\r\n"
    data = refuse(header)
    assert data.version == 1
    assert data.error == error
    assert data.whole_raw == header


@pytest.mark.parametrize("line", [b"TCP4 192.0.2.1 192.0.2.2 1 2", b"UNKNOWN", b"UNKNOWN a", b""])
def test_v1_is_not_ended_by_lf_alone(line: bytes) -> None:
    header = b"PROXY " + line + b"\n"
    data = refuse(header + b"more\r\n", len(header) - 1)
    assert data.version == 1
    assert data.error == "PROXYv1 malformed"
    assert data.whole_raw == header


def test_v1_is_not_ended_by_cr_alone() -> None:
    assert parse(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r") is None
    assert parse(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\rEHLO a\r") is None


def test_v1_takes_107_octets() -> None:
    header = b"PROXY UNKNOWN ".ljust(105, b"x") + b"\r\n"
    assert len(header) == 107
    assert read(header).valid


@pytest.mark.parametrize(
    "octets",
    [
        b"PROXY UNKNOWN ".ljust(106, b"x") + b"\r\n",
        b"PROXY UNKNOWN ".ljust(107, b"x"),
        b"PROXY TCP4 ".ljust(500, b"1"),
        b"PROXY ".ljust(100_000, b" "),
    ],
)
def test_v1_refuses_a_longer_line_without_waiting_for_its_end(octets: bytes) -> None:
    data = parse_proxy_header(octets)
    assert data is not None
    assert data[0].error == "PROXYv1 header too long"
    assert refuse(octets[:200], 106) == data[0]
    assert len(data[0].whole_raw) == 107


# --- version 2 ---


@pytest.mark.parametrize("command", V2_CMD)
@pytest.mark.parametrize("tlvs", [b"", vector(0x04, b"\0" * 3)])
@pytest.mark.parametrize("protocol", [PROTO.STREAM, PROTO.DGRAM])
@pytest.mark.parametrize(
    ("family", "addresses", "expected"),
    [
        (AF.INET, IP4, (IPv4Address("192.0.2.1"), IPv4Address("198.51.100.2"), 56324, 25)),
        (AF.INET6, IP6, (IPv6Address("2001:db8::1"), IPv6Address("2001:db8::2"), 56324, 25)),
        (AF.UNIX, UNIX, (UNIX[:108], UNIX[108:], None, None)),
    ],
)
def test_v2_addresses(
    command: V2_CMD,
    tlvs: bytes,
    protocol: PROTO,
    family: AF,
    addresses: bytes,
    expected: tuple[Any, ...],
) -> None:
    data = read(v2(addresses + tlvs, command=0x20 | command, family=family << 4 | protocol))
    assert data.valid
    assert data.same_attribs(
        _raises=True,
        version=2,
        command=command,
        family=family,
        protocol=protocol,
        src_addr=expected[0],
        dst_addr=expected[1],
        src_port=expected[2],
        dst_port=expected[3],
        rest=tlvs,
        tlv_start=16 + len(addresses) if tlvs else None,
        tlv={"NOOP": b"\0" * 3} if tlvs else None,
        error="",
    )
    assert isinstance(data.command, V2_CMD)
    assert isinstance(data.family, AF)
    assert isinstance(data.protocol, PROTO)


@pytest.mark.parametrize("command", V2_CMD)
@pytest.mark.parametrize("body", [b"", IP4, vector(0x04, b"ab"), b"\0" * 300])
@pytest.mark.parametrize(
    ("family", "protocol"),
    [(family, protocol) for family in AF for protocol in PROTO if not (family and protocol)],
)
def test_v2_unspecified(command: V2_CMD, body: bytes, family: AF, protocol: PROTO) -> None:
    data = read(v2(body, command=0x20 | command, family=family << 4 | protocol))
    assert data.valid
    assert data.same_attribs(
        _raises=True,
        version=2,
        command=command,
        family=family,
        protocol=protocol,
        src_addr=None,
        dst_addr=None,
        src_port=None,
        dst_port=None,
        rest=body,
        tlv_start=None,
    )


@pytest.mark.parametrize("octet", [0x01, 0x11, 0x31, 0xF1, 0x10])
def test_v2_refuses_other_versions(octet: int) -> None:
    data = refuse(v2(IP4, command=octet), 12)
    assert data.same_attribs(_raises=True, version=2, error="PROXYv2 illegal version", command=None)


@pytest.mark.parametrize("command", range(2, 16))
def test_v2_refuses_other_commands(command: int) -> None:
    data = refuse(v2(IP4, command=0x20 | command), 12)
    assert data.error == "PROXYv2 unsupported command"
    assert data.same_attribs(_raises=True, version=2, command=command, family=None)


@pytest.mark.parametrize("command", V2_CMD)
@pytest.mark.parametrize("family", range(4, 16))
def test_v2_refuses_other_families(command: V2_CMD, family: int) -> None:
    data = refuse(v2(IP4, command=0x20 | command, family=family << 4 | 1), 13)
    assert data.error == "PROXYv2 unsupported family"
    assert data.same_attribs(_raises=True, command=command, family=family, protocol=None)


@pytest.mark.parametrize("family", AF)
@pytest.mark.parametrize("protocol", range(3, 16))
def test_v2_refuses_other_protocols(family: AF, protocol: int) -> None:
    data = refuse(v2(IP4, family=family << 4 | protocol), 13)
    assert data.error == "PROXYv2 unsupported protocol"
    assert data.same_attribs(_raises=True, family=family, protocol=protocol)


@pytest.mark.parametrize("command", V2_CMD)
@pytest.mark.parametrize(
    ("family", "body"),
    [
        (0x11, b""),
        (0x11, IP4[:-1]),
        (0x12, IP4[:-4]),
        (0x21, IP4),
        (0x22, IP6[:-1]),
        (0x31, UNIX[:-1]),
        (0x32, IP6),
    ],
)
def test_v2_refuses_truncated_addresses(command: V2_CMD, family: int, body: bytes) -> None:
    header = v2(body, command=0x20 | command, family=family)
    data = refuse(header)
    assert data.same_attribs(
        _raises=True,
        error="PROXYv2 truncated address",
        src_addr=None,
        dst_addr=None,
        src_port=None,
        whole_raw=header,
    )


def test_v2_waits_for_all_that_it_announces() -> None:
    header = v2(IP4, length=len(IP4) + 5)
    assert parse(header) is None
    assert parse(header + b"\x04\0\2a") is None
    assert read(header + b"\x04\0\2ab").tlv == {"NOOP": b"ab"}


def test_v2_of_the_greatest_length() -> None:
    body = IP4 + vector(0x04, b"x" * (0xFFFF - len(IP4) - 3))
    header = v2(body)
    assert parse_proxy_header(header[:-1]) is None
    parsed = parse_proxy_header(header + b"EHLO")
    assert parsed is not None
    assert parsed[0].valid
    assert parsed[1] == len(header) == 16 + 0xFFFF


def test_v2_over_the_limit_is_refused_at_its_length() -> None:
    header = v2(IP4)
    accepted = parse_proxy_header(header, limit=28)
    assert accepted is not None
    assert accepted[0].valid
    assert parse_proxy_header(header[:15], limit=27) is None
    refused = parse_proxy_header(header[:16], limit=27)
    assert refused is not None
    assert refused == parse_proxy_header(header, limit=27)
    assert refused[1] == 16
    assert refused[0].error == "PROXYv2 header too long"
    assert not refused[0]


def test_the_sets_of_what_version_2_allows() -> None:
    assert {0, 1} == V2_VALID_CMDS
    assert {0, 1, 2, 3} == V2_VALID_FAMS
    assert {0, 1, 2} == V2_VALID_PROS
    assert {0x11, 0x12, 0x21, 0x22, 0x31, 0x32} == V2_PARSE_ADDR_FAMPRO


# --- TLV vectors ---


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (0x01, "ALPN"),
        (0x02, "AUTHORITY"),
        (0x03, "CRC32C"),
        (0x04, "NOOP"),
        (0x05, "UNIQUE_ID"),
        (0x30, "NETNS"),
        (0x21, "SSL_VERSION"),
        (0x22, "SSL_CN"),
        (0x23, "SSL_CIPHER"),
        (0x24, "SSL_SIG_ALG"),
        (0x25, "SSL_KEY_ALG"),
    ],
)
@pytest.mark.parametrize("value", [b"", b"h2", b"v" * 300])
def test_tlv_by_name(kind: int, name: str, value: bytes) -> None:
    raw = vector(kind, value)
    tlv = ProxyTLV.from_raw(raw, strict=True)
    assert tlv == {name: value}
    assert getattr(tlv, name) == value
    assert tlv.tlv_loc == {name: 0}
    assert ProxyTLV.name_to_num(name) == kind


def test_tlv_names() -> None:
    assert ProxyTLV.name_to_num("SSL") == 0x20
    assert ProxyTLV.name_to_num("ssl") is None
    assert ProxyTLV.name_to_num("xE0") is None


def test_tlv_vectors_in_a_row() -> None:
    raw = (
        vector(0x01, b"h2")
        + ssl_vector(
            vector(0x21, b"TLSv1.3"), vector(0x22, b"example.com"), client=7, verify=2**32 - 1
        )
        + vector(0x30, b"ns")
    )
    tlv = ProxyTLV.from_raw(raw)
    assert tlv == {
        "ALPN": b"h2",
        "SSL": True,
        "SSL_CLIENT": 7,
        "SSL_VERIFY": 2**32 - 1,
        "SSL_VERSION": b"TLSv1.3",
        "SSL_CN": b"example.com",
        "NETNS": b"ns",
    }
    # The offsets of subvectors are those that 1.4 gave.
    assert tlv.tlv_loc == {"ALPN": 0, "SSL": 5, "SSL_VERSION": 5, "SSL_CN": 15, "NETNS": 37}
    assert raw[tlv.tlv_loc["NETNS"] :] == vector(0x30, b"ns")


def test_the_last_of_a_type_counts() -> None:
    values, places = ProxyTLV.parse(vector(0x01, b"a") + vector(0x01, b"b"))
    assert values == {"ALPN": b"b"}
    assert places == {"ALPN": 4}


@pytest.mark.parametrize("kind", [0x00, 0x06, 0x26, 0xE0, 0xEF, 0xF7, 0xFF])
@pytest.mark.parametrize("in_ssl", [False, True])
def test_tlv_of_unknown_type(kind: int, in_ssl: bool) -> None:
    raw = vector(kind, b"v")
    if in_ssl:
        raw = ssl_vector(raw)
    name = f"x{kind:02X}"
    tlv = ProxyTLV.from_raw(raw)
    assert tlv is not None
    assert tlv[name] == b"v"
    for call in (
        lambda: ProxyTLV.from_raw(raw, strict=True),
        lambda: ProxyTLV.parse(raw, strict=True),
        lambda: ProxyTLV.parse(raw, partial_ok=False, strict=True),
    ):
        with pytest.raises(UnknownTypeTLV, match=name):
            call()


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"\x01\0\1", 1),
        (b"\x01\0\3ab", 1),
        (b"\x01\xff\xff" + b"x" * 300, 1),
        (b"\x01\1", 1),
        (b"\xe0\0\1", 0xE0),
        (vector(0x20), 0x20),
        (vector(0x20, b"\1"), 0x20),
        (vector(0x20, b"\1\0\0\0"), 0x20),
        (vector(0x20, b"\1\0\0\0\0", 6), 0x20),
        (ssl_vector(vector(0x21, b"TLSv1.3", 8)), 0x21),
        (ssl_vector(vector(0x21, b"TLSv1.3"), b"\x22\0\1"), 0x22),
        (ssl_vector(ssl_vector()), 0x20),
    ],
)
def test_malformed_tlv(raw: bytes, kind: int) -> None:
    good = vector(0x02, b"client.example")
    ends_where_it_says = len(raw) == 3 + int.from_bytes(raw[1:3], "big")
    octets = good + raw + (vector(0x30, b"ns") if ends_where_it_says else b"")
    for call in (
        lambda: ProxyTLV.from_raw(octets),
        lambda: ProxyTLV.parse(octets, partial_ok=False),
    ):
        with pytest.raises(MalformedTLV, match=f"^TLV 0x{kind:02X} is malformed!$"):
            call()
    values, places = ProxyTLV.parse(octets)
    assert values["AUTHORITY"] == b"client.example"
    assert places["AUTHORITY"] == 0
    assert "NETNS" not in values
    data = read(v2(IP4 + octets))
    assert data.valid, "addresses do not depend on the vectors"
    assert data.tlv is None


def test_partial_ssl() -> None:
    raw = ssl_vector(vector(0x21, b"TLSv1.3"), vector(0x22, b"cn", 3), client=3)
    values, places = ProxyTLV.parse(raw)
    assert values == {"SSL": False, "SSL_CLIENT": 3, "SSL_VERIFY": 0, "SSL_VERSION": b"TLSv1.3"}
    assert places == {"SSL": 0, "SSL_VERSION": 0}


def test_truncated_ssl_verifies_nothing() -> None:
    for size in range(5):
        values, _ = ProxyTLV.parse(vector(0x20, b"\1\0\0\0\0"[:size]))
        assert values == {"SSL": False}


def test_deeply_nested_ssl_does_not_exhaust_the_stack() -> None:
    raw = b""
    while len(raw) < 0xFFF0 - 16:
        raw = ssl_vector(raw)
    with pytest.raises(MalformedTLV):
        ProxyTLV.from_raw(raw)


@pytest.mark.parametrize("padding", [b"\0", b"\0\0", b"\1"])
def test_one_or_two_octets_at_the_end_are_an_empty_vector(padding: bytes) -> None:
    tlv = ProxyTLV.from_raw(vector(0x02, b"a") + padding)
    assert tlv is not None
    assert tlv.AUTHORITY == b"a"
    assert list(tlv.values()) == [b"a", b""]


def test_no_vectors() -> None:
    assert ProxyTLV.from_raw(b"") is None
    assert ProxyTLV.parse(b"") == ({}, {})


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_values_are_slices_of_what_was_given(kind: type[bytes]) -> None:
    values, _ = ProxyTLV.parse(kind(ssl_vector(vector(0x22, b"cn"))))
    assert values["SSL_CN"] == b"cn"
    assert isinstance(values["SSL_CN"], kind)


def test_where_the_crc_is() -> None:
    data = read(v2(IP4 + vector(0x04, b"pad") + vector(0x03, b"\1\2\3\4") + vector(0x01, b"h2")))
    assert data.tlv_start is not None
    assert data.tlv is not None
    offset = data.tlv_start + data.tlv.tlv_loc["CRC32C"] + 3
    assert data.whole_raw[offset : offset + 4] == data.tlv.CRC32C == b"\1\2\3\4"


def test_proxy_tlv_is_a_dict_with_attributes() -> None:
    tlv = ProxyTLV({"ALPN": b"h2"}, SSL=True, _tlv_loc={"ALPN": 7})
    assert tlv.ALPN == b"h2"
    assert tlv.NETNS is None
    assert tlv.tlv_loc == {"ALPN": 7}
    assert not hasattr(tlv, "__reduce_nothing__")
    for twin in (copy.copy(tlv), copy.deepcopy(tlv), pickle.loads(pickle.dumps(tlv))):
        assert twin == tlv
        assert twin.tlv_loc == tlv.tlv_loc
    slotted: Any = tlv
    with pytest.raises(AttributeError):
        slotted.other = 1


def test_proxy_tlv_same_attribs() -> None:
    tlv = ProxyTLV({"ALPN": b"h2", "SSL": True}, _tlv_loc={})
    assert tlv.same_attribs()
    assert tlv.same_attribs(ALPN=b"h2", SSL=True)
    assert not tlv.same_attribs(ALPN=b"h3")
    assert not tlv.same_attribs(NETNS=None)
    with pytest.raises(ValueError, match=r"^mismatch:ALPN actual=b'h2' expect=b'h3'$"):
        tlv.same_attribs(_raises=True, ALPN=b"h3")
    with pytest.raises(KeyError, match="notfound:NETNS"):
        tlv.same_attribs(_raises=True, NETNS=None)


# --- ProxyData ---


def test_proxy_data_is_made_by_keyword() -> None:
    data = ProxyData(version=2)
    assert data.same_attribs(
        _raises=True,
        version=2,
        command=None,
        family=None,
        protocol=None,
        src_addr=None,
        dst_addr=None,
        src_port=None,
        dst_port=None,
        rest=b"",
        whole_raw=b"",
        tlv_start=None,
        error="",
        tlv=None,
    )
    make: Any = ProxyData
    for args, kwargs in (((), {}), ((2,), {}), ((), {"version": 2, "family": AF.INET})):
        with pytest.raises(TypeError):
            make(*args, **kwargs)
    slotted: Any = data
    with pytest.raises(AttributeError):
        slotted.other = 1


@pytest.mark.parametrize(
    ("version", "protocol", "error", "valid"),
    [
        (1, PROTO.UNSPEC, "", True),
        (2, PROTO.STREAM, "", True),
        (None, PROTO.STREAM, "", False),
        (2, None, "", False),
        (2, PROTO.STREAM, "wrong", False),
    ],
)
def test_proxy_data_valid(
    version: int | None, protocol: PROTO | None, error: str, valid: bool
) -> None:
    data = ProxyData(version=version)
    data.protocol = protocol
    data.error = error
    assert data.valid is valid
    assert bool(data) is valid


@pytest.mark.parametrize("args", [(), (True,), (False,)])
def test_proxy_data_with_error(args: tuple[bool, ...]) -> None:
    data = read(b"PROXY UNKNOWN\r\n")
    assert data.with_error("wrong", *args) is data
    assert data.error == "wrong"
    assert not data.valid


def test_proxy_data_same_attribs() -> None:
    data = read(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n")
    assert data.same_attribs()
    assert data.same_attribs(version=1, src_port=1, valid=True)
    assert not data.same_attribs(version=1, src_port=2)
    assert not data.same_attribs(unknown=None)
    with pytest.raises(ValueError, match=r"^mismatch:src_port actual=1 expect=2$"):
        data.same_attribs(_raises=True, src_port=2)
    with pytest.raises(KeyError, match="notfound:unknown"):
        data.same_attribs(_raises=True, unknown=None)


def test_proxy_data_is_compared_by_what_the_header_said() -> None:
    one, other = (read(v2(IP4 + vector(0x01, b"h2"))) for _ in range(2))
    assert one.tlv is not None
    assert one.tlv is one.tlv
    assert one == other
    assert one != read(v2(IP4 + vector(0x01, b"h3")))
    for twin in (copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert twin == one
        assert twin.tlv == one.tlv


def test_proxy_data_repr_names_all_attributes() -> None:
    assert repr(ProxyData(version=1)) == (
        "ProxyData(version=1, command=None, family=None, protocol=None, src_addr=None, "
        "dst_addr=None, src_port=None, dst_port=None, rest=b'', whole_raw=bytearray(b''), "
        "tlv_start=None, error='', _tlv=None)"
    )
