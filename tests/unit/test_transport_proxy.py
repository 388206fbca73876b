"""The PROXY header before the greeting: who may go on, and who may not."""

from __future__ import annotations

import asyncio
import logging
import struct
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

import pytest

from aiosmtpd.smtp import SMTP

if TYPE_CHECKING:
    from tests.unit.conftest import Connect

HEADER_1 = b"PROXY TCP4 192.0.2.7 192.0.2.8 1234 25\r\n"
HEADER_2 = (
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11"
    + struct.pack("!H", 12)
    + bytes([192, 0, 2, 7, 192, 0, 2, 8])
    + struct.pack("!HH", 1234, 25)
)
GREETING = ["220 mx.example Python SMTP"]


class Proxied:
    """Keeps what it was told, and answers as told."""

    def __init__(self, answer: Any = True) -> None:
        self.answer = answer
        self.told: list[Any] = []

    async def handle_PROXY(self, server: Any, session: Any, envelope: Any, data: Any) -> Any:
        assert session is server.session
        assert envelope is server.envelope
        assert session.proxy_data is data
        self.told.append(data)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.mark.parametrize("header", [HEADER_1, HEADER_2])
@pytest.mark.parametrize("octet_by_octet", [False, True])
def test_a_header_that_is_accepted(connect: Connect, header: bytes, octet_by_octet: bool) -> None:
    handler = Proxied()
    wire = connect(handler, proxy_protocol_timeout=5, ident="Python SMTP")
    assert wire.greeting == []
    for piece in [bytes([octet]) for octet in header] if octet_by_octet else [header]:
        assert wire.heard() == []
        wire.send(piece)
    assert wire.heard() == GREETING
    data = handler.told[0]
    assert data.valid
    assert (data.src_addr, data.src_port) == (IPv4Address("192.0.2.7"), 1234)
    assert (data.dst_addr, data.dst_port) == (IPv4Address("192.0.2.8"), 25)
    # The peer is who connected, that is, the proxy.
    assert wire.server.session.peer == ("192.0.2.1", 2525)
    assert wire.say("HELO client.example") == ["250 mx.example"]
    assert wire.server.session.proxy_data is data


@pytest.mark.parametrize("header", [HEADER_1, HEADER_2])
def test_what_follows_the_header_is_the_clients(connect: Connect, header: bytes) -> None:
    wire = connect(Proxied(), proxy_protocol_timeout=5, ident="Python SMTP")
    wire.send(header + b"HELO client.example\r\nQUIT\r\n")
    assert wire.heard() == [*GREETING, "250 mx.example", "221 Bye"]


@pytest.mark.parametrize("answer", [1, "yes", object()])
def test_anything_true_accepts(connect: Connect, answer: Any) -> None:
    wire = connect(Proxied(answer), proxy_protocol_timeout=5)
    wire.send(HEADER_1)
    assert wire.heard()[0].startswith("220 ")


@pytest.mark.parametrize("answer", [False, None, 0, ""])
def test_anything_false_refuses_without_a_word(connect: Connect, answer: Any) -> None:
    handler = Proxied(answer)
    wire = connect(handler, proxy_protocol_timeout=5)
    wire.send(HEADER_1 + b"EHLO client.example\r\n")
    assert len(handler.told) == 1
    assert wire.heard() == []
    assert wire.over


def test_without_a_hook_nobody_is_accepted(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    wire = connect(proxy_protocol_timeout=5)
    wire.send(HEADER_1)
    assert wire.heard() == []
    assert wire.over
    assert "handle_PROXY" in caplog.text


@pytest.mark.parametrize(
    "header",
    [
        b"EHLO client.example\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.8 1234\r\n",
        b"PROXY TCP4 192.0.2.256 192.0.2.8 1234 25\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.8 1234 99999\r\n",
        b"proxy TCP4 192.0.2.7 192.0.2.8 1234 25\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x41\x11\0\0",
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03",
        b"PROXY " + b"x" * 200,
    ],
)
def test_what_is_no_header(
    connect: Connect, header: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    handler = Proxied()
    wire = connect(handler, proxy_protocol_timeout=5)
    wire.send(header)
    assert wire.heard() == []
    assert wire.over
    assert handler.told == []
    assert "invalid PROXY header" in caplog.text
    assert wire.server.session.proxy_data.valid is False


@pytest.mark.parametrize("sent", [b"", b"PROXY TCP4 "])
@pytest.mark.parametrize("half", [False, True])
def test_a_connection_that_ends_before_its_header(
    connect: Connect, sent: bytes, half: bool, caplog: pytest.LogCaptureFixture
) -> None:
    handler = Proxied()
    wire = connect(handler, proxy_protocol_timeout=5)
    wire.send(sent)
    if half:
        wire.half_close()
    else:
        wire.vanish()
    assert wire.heard() == []
    assert wire.over
    assert handler.told == []
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_hook_that_fails_accepts_nobody(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    wire = connect(Proxied(ValueError("boo")), proxy_protocol_timeout=5)
    wire.send(HEADER_1 + b"EHLO client.example\r\n")
    assert wire.heard() == ["451 4.3.0 Error: local error in processing"]
    assert wire.over
    assert "boo" in caplog.text


def test_a_hook_that_takes_too_long_accepts_nobody(connect: Connect) -> None:
    class Slow:
        async def handle_PROXY(self, *_: Any) -> bool:
            await asyncio.sleep(100)
            return True

    wire = connect(Slow(), proxy_protocol_timeout=5, handler_timeout=30)
    wire.send(HEADER_1 + b"EHLO client.example\r\n")
    wire.wait(29)
    assert wire.open
    wire.wait(2)
    assert wire.heard() == ["451 4.3.0 Error: processing took too long"]
    assert wire.over


def test_a_connection_that_is_lost_while_the_hook_decides(connect: Connect) -> None:
    ended = []

    class Slow:
        async def handle_PROXY(self, *_: Any) -> bool:
            try:
                await asyncio.sleep(100)
            finally:
                ended.append("ended")
            return True

    wire = connect(Slow(), proxy_protocol_timeout=5)
    wire.send(HEADER_1)
    wire.vanish()
    assert ended == ["ended"]
    assert wire.over


def test_a_header_is_not_expected_unless_told(connect: Connect) -> None:
    handler = Proxied()
    wire = connect(handler)
    assert wire.greeting[0].startswith("220 ")
    assert wire.say(HEADER_1.decode().strip()) == ['500 Error: command "PROXY" not recognized']
    assert handler.told == []
    assert wire.server.session.proxy_data is None


def test_a_huge_header_is_bounded(connect: Connect) -> None:
    # The length of a version 2 header is in 16 bits; more is never kept.
    wire = connect(Proxied(), proxy_protocol_timeout=5)
    wire.send(b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack("!H", 65_535))
    for _ in range(64):
        wire.send(b"\0" * 1000)
        assert len(wire.server._connection.buffer) <= 65_551
    wire.send(b"\0" * 1535 + b"NOOP\r\n")
    assert wire.heard()[-1] == "250 OK"


@pytest.mark.parametrize("timeout", [0, -1, -0.5])
def test_a_limit_that_is_none(timeout: float) -> None:
    with pytest.raises(ValueError, match="proxy_protocol_timeout must be > 0"):
        SMTP(None, proxy_protocol_timeout=timeout)


def test_a_limit_that_is_short(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "mail.log")
    SMTP(None, proxy_protocol_timeout=3.0)
    assert caplog.text == ""
    SMTP(None, proxy_protocol_timeout=2.9)
    assert "proxy_protocol_timeout < 3.0" in caplog.text
