"""The names that 1.4 had, and reading a PROXY header from a stream."""

from __future__ import annotations

import asyncio
import logging
import struct
from ipaddress import IPv4Address

import pytest

import aiosmtpd.proxy_protocol
from aiosmtpd.protocol import proxy
from aiosmtpd.proxy_protocol import (
    AF,
    PROTO,
    V2_CMD,
    V2_SIGNATURE,
    AsyncReader,
    ProxyData,
    get_proxy,
)

V1 = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 25\r\n"
V2 = (
    V2_SIGNATURE
    + struct.pack("!BBH", 0x21, 0x11, 12 + 5)
    + bytes([192, 0, 2, 1, 198, 51, 100, 2])
    + struct.pack("!HH", 56324, 25)
    + b"\x01\0\2h2"
)
TRAILER = b"EHLO client.example\r\n"


class Stream:
    """A reader that gives at most ``step`` octets at a time, then raises ``error`` or ends."""

    def __init__(self, octets: bytes, *, step: int = 1_000, error: Exception | None = None) -> None:
        self.octets = octets
        self.step = step
        self.error = error

    async def read(self, n: int = -1) -> bytes:
        assert n > 0, "an unbounded read would take what follows the header"
        await asyncio.sleep(0)
        if not self.octets and self.error is not None:
            raise self.error
        size = min(n, self.step)
        taken, self.octets = self.octets[:size], self.octets[size:]
        return taken

    async def readexactly(self, n: int) -> bytes:
        taken = b""
        while len(taken) < n:
            more = await self.read(n - len(taken))
            if not more:
                raise asyncio.IncompleteReadError(taken, n)
            taken += more
        return taken

    async def readuntil(self, separator: bytes = b"\n") -> bytes:
        raise AssertionError("what is read until a separator has no bound")


def run(reader: AsyncReader) -> ProxyData:
    return asyncio.run(get_proxy(reader))


def test_names_of_1_4() -> None:
    for name in aiosmtpd.proxy_protocol.__all__:
        assert hasattr(aiosmtpd.proxy_protocol, name)
    for name in set(proxy.__all__) - {"parse_proxy_header"}:
        assert getattr(aiosmtpd.proxy_protocol, name) is getattr(proxy, name)
        assert name in aiosmtpd.proxy_protocol.__all__
    assert {"AsyncReader", "IPv4Address", "IPv6Address", "get_proxy"} <= set(
        aiosmtpd.proxy_protocol.__all__
    )


@pytest.mark.parametrize("step", [1, 3, 7, 1_000])
@pytest.mark.parametrize("header", [V1, V2])
def test_get_proxy_takes_the_header_and_nothing_else(header: bytes, step: int) -> None:
    stream = Stream(header + TRAILER, step=step)
    data = run(stream)
    assert data.valid
    assert data.same_attribs(
        _raises=True,
        version=1 if header == V1 else 2,
        command=None if header == V1 else V2_CMD.PROXY,
        family=AF.INET,
        protocol=PROTO.STREAM,
        src_addr=IPv4Address("192.0.2.1"),
        dst_addr=IPv4Address("198.51.100.2"),
        src_port=56324,
        dst_port=25,
        whole_raw=header,
        tlv=None if header == V1 else {"ALPN": b"h2"},
    )
    assert stream.octets == TRAILER


@pytest.mark.parametrize(
    ("header", "family"),
    [
        (b"PROXY UNKNOWN\r\n", AF.UNSPEC),
        (V2_SIGNATURE + b"\x20\0\0\0", AF.UNSPEC),
        (V2_SIGNATURE + b"\x21\0\xff\xff" + b"\0" * 0xFFFF, AF.UNSPEC),
    ],
)
def test_get_proxy_shortest_and_longest(header: bytes, family: AF) -> None:
    stream = Stream(header + TRAILER)
    data = run(stream)
    assert data.valid
    assert data.family == family
    assert stream.octets == TRAILER


def test_get_proxy_reads_a_stream_reader() -> None:
    async def scenario() -> bytes:
        reader = asyncio.StreamReader()
        task = asyncio.create_task(get_proxy(reader))
        for octet in V2 + TRAILER:
            reader.feed_data(bytes([octet]))
            await asyncio.sleep(0)
        reader.feed_eof()
        assert (await task).src_port == 56324
        return await reader.read()

    assert asyncio.run(scenario()) == TRAILER


@pytest.mark.parametrize(
    ("octets", "version", "error"),
    [
        (b"EHLO client.example\r\n", None, "PROXY unrecognized signature"),
        (b"PROXYX\r\n", 1, "PROXYv1 wrong signature"),
        (b"PROXY TCP4 a b 1 2\r\n", 1, "PROXYv1 address malformed"),
        (b"PROXY TCP4\n" + b"x" * 200, 1, "PROXYv1 malformed"),
        (b"PROXY ".ljust(5_000, b"x"), 1, "PROXYv1 header too long"),
        (V2_SIGNATURE[:11] + b"\rabcd", 2, "PROXYv2 wrong signature"),
        (V2_SIGNATURE + b"\x31\x11\0\x0c", 2, "PROXYv2 illegal version"),
        (V2_SIGNATURE + b"\x21\x41\0\x0c", 2, "PROXYv2 unsupported family"),
        (V2_SIGNATURE + b"\x21\x11\0\0", 2, "PROXYv2 truncated address"),
    ],
)
def test_get_proxy_refuses(
    octets: bytes, version: int | None, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="mail.debug"):
        data = run(Stream(octets))
    assert not data
    assert data.version == version
    assert data.error == error
    assert caplog.record_tuples == [("mail.debug", logging.WARNING, f"PROXY error: {error}")]


def test_get_proxy_leaves_off_at_the_longest_line() -> None:
    stream = Stream(b"PROXY ".ljust(5_000, b"x"))
    run(stream)
    assert len(stream.octets) == 5_000 - 107


@pytest.mark.parametrize(
    ("octets", "error"),
    [
        (V2[:5], "Connection lost while waiting for signature"),
        (V2[:11], "Connection lost while waiting for signature"),
        (V2[:12], "Connection lost while waiting for header"),
        (V2[:15], "Connection lost while waiting for header"),
        (V2[:16], "Connection lost while waiting for tail part"),
        (V2[:-1], "Connection lost while waiting for tail part"),
    ],
)
def test_get_proxy_of_a_stream_that_ends_in_version_2(
    octets: bytes, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="mail.debug"):
        data = run(Stream(octets))
    assert not data
    assert data.version is None
    assert data.error == f"PROXY exception: {error}"
    assert caplog.record_tuples == [("mail.debug", logging.WARNING, data.error)]


@pytest.mark.parametrize("size", [5, 6, 10, len(V1) - 1])
def test_get_proxy_of_a_stream_that_ends_in_version_1(
    size: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="mail.debug"):
        data = run(Stream(V1[:size]))
    assert not data
    assert data.version == 1
    assert data.error == "PROXYv1 malformed"
    assert data.whole_raw == V1[:size]
    assert caplog.record_tuples == [("mail.debug", logging.WARNING, f"PROXY error: {data.error}")]


@pytest.mark.parametrize("octets", [b"PROXY TCP4", V2[:7], V2[:14], V2[:20]])
@pytest.mark.parametrize("error", [ConnectionResetError("gone"), TimeoutError("late")])
def test_get_proxy_of_a_stream_that_raises(octets: bytes, error: Exception) -> None:
    data = run(Stream(octets, error=error))
    assert not data
    assert data.version is None
    assert data.error == f"PROXY exception: {error}"


@pytest.mark.parametrize("octets", [b"", b"P", b"EHLO", V2[:4]])
def test_get_proxy_raises_before_it_knows_what_it_reads(octets: bytes) -> None:
    with pytest.raises(asyncio.IncompleteReadError) as caught:
        run(Stream(octets))
    assert caught.value.partial == octets
    with pytest.raises(ConnectionResetError):
        run(Stream(octets, error=ConnectionResetError()))


def test_get_proxy_can_be_cancelled() -> None:
    async def scenario() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(V1[:20])
        task = asyncio.create_task(get_proxy(reader))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("header", "lines"),
    [
        (V1, ["Waiting for PROXY signature", "Waiting for PROXYv1 handshake"]),
        (
            V2,
            [
                "Waiting for PROXY signature",
                "Waiting for PROXYv2 signature",
                "Waiting for PROXYv2 header",
                "Waiting for PROXYv2 tail part",
            ],
        ),
    ],
)
def test_get_proxy_tells_what_it_waits_for(
    header: bytes, lines: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="mail.debug"):
        run(Stream(header, step=2))
    told = [message for name, _, message in caplog.record_tuples if name == "mail.debug"]
    assert told == lines
