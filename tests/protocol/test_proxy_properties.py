"""What holds of every input: chunking changes nothing, and nothing undocumented is raised."""

from __future__ import annotations

import contextlib
import struct
from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st

from aiosmtpd.protocol.proxy import (
    V2_SIGNATURE,
    MalformedTLV,
    ProxyData,
    ProxyTLV,
    UnknownTypeTLV,
    parse_proxy_header,
)

ports = st.integers(0, 65535)
vectors = st.builds(
    lambda kind, value, error: struct.pack("!BH", kind, max(0, len(value) + error)) + value,
    st.sampled_from([1, 2, 3, 4, 5, 0x20, 0x20, 0x21, 0x22, 0x30, 0xE0, 0]) | st.integers(0, 255),
    st.binary(max_size=30) | st.builds(bytes.__add__, st.just(b"\1\0\0\0\0"), st.binary()),
    st.sampled_from([0, 0, 0, 0, 1, -1, 300]),
)
tlvs = st.lists(vectors, max_size=5).map(b"".join)
v1_headers = st.builds(
    "PROXY {} {} {} {} {}\r\n".format,
    st.sampled_from(["TCP4", "TCP6", "UNKNOWN", "UDP4"]),
    st.ip_addresses(),
    st.ip_addresses(),
    ports,
    ports,
).map(str.encode)
v2_headers = st.builds(
    lambda command, family, body, error: (
        V2_SIGNATURE + struct.pack("!BBH", command, family, max(0, len(body) + error)) + body
    ),
    st.sampled_from([0x20, 0x21, 0x21, 0x22, 0x11]),
    st.sampled_from([0x00, 0x11, 0x12, 0x21, 0x22, 0x31, 0x10, 0x13, 0x41]),
    st.builds(bytes.__add__, st.binary(min_size=12, max_size=12) | st.binary(max_size=230), tlvs),
    st.sampled_from([0, 0, 0, 1, -1]),
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    octets = bytearray(draw(v1_headers | v2_headers))
    for at in draw(st.lists(st.integers(0, len(octets) - 1), max_size=3)):
        octets[at] = draw(st.integers(0, 255))
    return bytes(octets)


inputs = st.builds(
    bytes.__add__,
    v1_headers | v2_headers | mutated() | st.binary(max_size=150),
    st.sampled_from([b"", b"EHLO client.example\r\n", b"\r\n", b"\n"]) | st.binary(max_size=150),
)


def parse_in_chunks(octets: bytes, cuts: set[int]) -> tuple[ProxyData, int] | None:
    for end in sorted(cuts | {len(octets)}):
        parsed = parse_proxy_header(octets[:end])
        if parsed is not None:
            return parsed
    return None


@given(inputs, st.sets(st.integers(0, 300)))
def test_chunking_changes_nothing(octets: bytes, cuts: set[int]) -> None:
    whole = parse_proxy_header(octets)
    assert parse_in_chunks(octets, cuts) == whole
    assert parse_in_chunks(octets, set(range(len(octets)))) == whole


@given(inputs)
def test_any_octets_are_decided_in_bounded_memory(octets: bytes) -> None:
    parsed = parse_proxy_header(octets)
    if parsed is None:
        announced = int.from_bytes(octets[14:16], "big")
        bound = 107 if octets.startswith(b"P") else 16 + announced
        assert len(octets) < bound
        return
    data, length = parsed
    assert 0 < length <= len(octets)
    assert data.valid is not bool(data.error)
    if data.valid:
        assert data.whole_raw == octets[:length]
    assert data.tlv is None or isinstance(data.tlv, ProxyTLV)
    repr(data)


@given(inputs, st.binary())
def test_what_follows_a_header_does_not_matter(octets: bytes, more: bytes) -> None:
    parsed = parse_proxy_header(octets)
    if parsed is not None:
        assert parse_proxy_header(octets[: parsed[1]] + more) == parsed
        assert parse_proxy_header(octets[: parsed[1] - 1]) is None


@given(st.data(), st.booleans(), ports, ports)
def test_a_header_gives_what_was_put_in(
    data: st.DataObject, version6: bool, src_port: int, dst_port: int
) -> None:
    addresses = st.ip_addresses(v=6 if version6 else 4)
    src, dst = data.draw(addresses), data.draw(addresses)
    line = f"PROXY TCP{6 if version6 else 4} {src} {dst} {src_port} {dst_port}\r\n".encode()
    binary = (
        V2_SIGNATURE
        + struct.pack("!BBH", 0x21, 0x21 if version6 else 0x11, 36 if version6 else 12)
        + src.packed
        + dst.packed
        + struct.pack("!HH", src_port, dst_port)
    )
    for header in (line, binary):
        parsed = parse_proxy_header(header)
        assert parsed is not None
        assert parsed[0].valid
        assert isinstance(parsed[0].src_addr, IPv6Address if version6 else IPv4Address)
        assert parsed[0].same_attribs(
            src_addr=src, dst_addr=dst, src_port=src_port, dst_port=dst_port
        )


@given(tlvs | st.binary(), st.booleans(), st.booleans())
def test_vectors_raise_only_what_is_documented(raw: bytes, partial_ok: bool, strict: bool) -> None:
    expected = ([] if partial_ok else [MalformedTLV]) + ([UnknownTypeTLV] if strict else [])
    with contextlib.suppress(*expected):
        values, places = ProxyTLV.parse(raw, partial_ok, strict)
        assert set(places) <= set(values)
        assert all(0 <= place < len(raw) for place in places.values())
    whole_or_nothing = None
    with contextlib.suppress(MalformedTLV):
        whole_or_nothing = ProxyTLV.from_raw(raw)
    if whole_or_nothing is not None:
        assert whole_or_nothing == ProxyTLV.parse(raw)[0]
