"""The PROXY header from listed networks: who must send one, who is believed, who is served without."""

from __future__ import annotations

import logging
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.conversations import play

from aiosmtpd.controller import Controller
from aiosmtpd.networks import networks_of
from aiosmtpd.protocol.proxy import V2_SIGNATURE
from aiosmtpd.smtp import SMTP

if TYPE_CHECKING:
    from tests.unit.conftest import Connect

PROXIES = ["192.0.2.0/24", "2001:db8::/32"]
PROXY = ("192.0.2.1", 2525)
STRANGER = ("198.51.100.1", 2525)
SOURCE = ("203.0.113.9", 1234)
HEADER_1 = b"PROXY TCP4 203.0.113.9 203.0.113.8 1234 25\r\n"


def header_2(command: int = 0x21, family: int = 0x11, vectors: bytes = b"") -> bytes:
    addresses = {
        0x11: bytes([203, 0, 113, 9, 203, 0, 113, 8]) + struct.pack("!HH", 1234, 25),
        0x31: b"/run/client".ljust(108, b"\0") + bytes(108),
    }.get(family, b"")
    body = addresses + vectors
    return V2_SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


class Peers:
    """Tells a client who it is."""

    async def handle_NOOP(self, server: Any, session: Any, envelope: Any, arg: Any) -> str:
        return f"250 {session.peer}"


class Judge(Peers):
    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.peers: list[Any] = []

    async def handle_PROXY(self, server: Any, session: Any, envelope: Any, data: Any) -> Any:
        assert session.proxy_data is data
        self.peers.append(session.peer)
        return self.answer


NAMES_NO_CLIENT = [
    b"PROXY UNKNOWN\r\n",
    b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n",
    header_2(command=0x20),
    header_2(command=0x20, family=0x00),
    header_2(family=0x00),
]


@pytest.mark.parametrize(
    ("header", "peer"),
    [
        (HEADER_1, SOURCE),
        (header_2(), SOURCE),
        (header_2(vectors=b"\x02\x00\x02mx"), SOURCE),
        (b"PROXY TCP6 2001:db8::7 2001:db8::8 1234 25\r\n", ("2001:db8::7", 1234)),
        (header_2(family=0x31), "/run/client"),
        *((header, PROXY) for header in NAMES_NO_CLIENT),
    ],
)
def test_a_header_of_a_listed_proxy_is_believed(header: bytes, peer: Any) -> None:
    # Without the greeting, which comes behind the header: play() has it first.
    play(
        [header + b"NOOP\r\n", f"250 {peer}", b"QUIT\r\n", "221 Bye", "[closed]"],
        Peers,
        proxy_networks=PROXIES,
        extra={"peername": PROXY},
        cls=GreetsBefore,
    )


class GreetsBefore(SMTP):
    """A server that greets before the header too, as a conversation in the tests must begin."""

    async def _open(self) -> None:
        await self.push("220 before the header")
        if await self._accept_proxy():
            return
        self._connection.end()


@pytest.mark.parametrize("peer", [STRANGER, ("::1", 1, 0, 0), "", "/run/socket", None])
def test_others_are_served_without_a_header(peer: Any) -> None:
    play(
        [
            b"NOOP\r\n",
            f"250 {peer}",
            HEADER_1,
            '500 Error: command "PROXY" not recognized',
            b"QUIT\r\n",
            "221 Bye",
            "[closed]",
        ],
        Peers,
        proxy_networks=PROXIES,
        extra={"peername": peer},
    )


@pytest.mark.parametrize("peer", [PROXY, ("2001:db8::1", 1, 0, 0), ("::ffff:192.0.2.9", 1, 0, 0)])
def test_a_listed_proxy_is_greeted_behind_its_header(connect: Connect, peer: Any) -> None:
    wire = connect(Peers(), proxy_networks=PROXIES, extra={"peername": peer})
    assert wire.greeting == []
    wire.send(HEADER_1)
    assert wire.heard()[0].startswith("220 mx.example ")
    assert wire.server.session.peer == SOURCE
    assert wire.server.session.proxy_data.valid
    # Whose connection it is can still be told.
    assert wire.transport.get_extra_info("peername") == peer


@pytest.mark.parametrize(
    "octets",
    [
        b"EHLO client.example\r\n",
        b"PROXY TCP4 203.0.113.9 203.0.113.8 1234\r\n",
        b"PROXY TCP4 203.0.113.9 203.0.113.8 1234 25\n" + b"x" * 100,
        header_2(command=0x22),
        header_2(vectors=b"\x03\x00\x04\0\0\0\0"),  # a checksum that is wrong
        header_2(vectors=b"\x03\x00\x01\0"),
    ],
)
def test_what_is_no_header_ends_the_connection(
    connect: Connect, octets: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    handler = Judge(True)
    wire = connect(handler, proxy_networks=PROXIES)
    wire.send(octets + b"NOOP\r\n")
    assert wire.heard() == []
    assert wire.over
    assert handler.peers == []
    assert wire.server.session.peer == PROXY
    assert "invalid PROXY header" in caplog.text


def test_the_checksum_is_not_looked_at_where_1_4_did_not(connect: Connect) -> None:
    wire = connect(Judge(True), proxy_protocol_timeout=5)
    wire.send(header_2(vectors=b"\x03\x00\x04\0\0\0\0"))
    assert wire.heard()[0].startswith("220 ")
    assert wire.server.session.proxy_data.checksum_ok is False


@pytest.mark.parametrize("octet_by_octet", [False, True])
@pytest.mark.parametrize(("answer", "greeted"), [(True, True), (False, False), (None, False)])
def test_a_hook_is_asked_if_there_is_one(
    connect: Connect, answer: Any, greeted: bool, octet_by_octet: bool
) -> None:
    handler = Judge(answer)
    wire = connect(handler, proxy_networks=PROXIES)
    for piece in [bytes([octet]) for octet in HEADER_1] if octet_by_octet else [HEADER_1]:
        wire.send(piece)
    assert bool(wire.heard()) is greeted
    assert wire.over is not greeted
    assert handler.peers == [SOURCE]  # already the client's


def test_a_hook_is_not_asked_about_others(connect: Connect) -> None:
    handler = Judge(False)
    wire = connect(handler, proxy_networks=PROXIES, extra={"peername": STRANGER})
    assert wire.greeting[0].startswith("220 ")
    assert handler.peers == []


@pytest.mark.parametrize(("arguments", "limit"), [({}, 5), ({"proxy_protocol_timeout": 30}, 30)])
def test_the_header_must_come_in_time(
    connect: Connect, arguments: dict[str, Any], limit: float
) -> None:
    wire = connect(proxy_networks=PROXIES, timeout=100, **arguments)
    wire.send(b"PROXY TCP4 ")
    wire.wait(limit - 1)
    assert wire.open
    wire.wait(2)
    assert wire.over
    assert wire.heard() == []


def test_others_have_the_time_of_everybody(connect: Connect) -> None:
    wire = connect(proxy_networks=PROXIES, timeout=100, extra={"peername": STRANGER})
    wire.wait(99)
    assert wire.say("NOOP") == ["250 OK"]


def test_a_list_of_nobody(connect: Connect) -> None:
    assert connect(proxy_networks=[]).greeting[0].startswith("220 ")


@pytest.mark.parametrize(
    ("networks", "kind", "text"),
    [
        ("192.0.2.0/24", TypeError, "proxy_networks: a list of networks is needed"),
        (iter(PROXIES), TypeError, "proxy_networks: a list of networks is needed"),
        (["192.0.2.1/24"], ValueError, "proxy_networks: 192.0.2.1/24 has host bits set"),
    ],
)
def test_what_is_no_list(networks: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        SMTP(None, proxy_networks=networks)


def test_a_time_that_is_none() -> None:
    with pytest.raises(ValueError, match="proxy_protocol_timeout must be > 0"):
        SMTP(None, proxy_networks=PROXIES, proxy_protocol_timeout=0)


def test_the_list_is_parsed_once(connect: Connect) -> None:
    first, second = (connect(proxy_networks=list(PROXIES)).server for _ in range(2))
    assert first._proxy_networks is second._proxy_networks
    networks = networks_of("proxy_networks", ["198.51.100.0/24"])
    assert connect(proxy_networks=networks).server._proxy_networks is networks


def test_the_log_names_both(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mail.log")
    connect(proxy_networks=PROXIES).send(HEADER_1)
    assert "('192.0.2.1', 2525) is a proxy for ('203.0.113.9', 1234)" in caplog.text


def test_starttls_keeps_the_client(connect: Connect) -> None:
    wire = connect(Peers(), proxy_networks=PROXIES)
    wire.send(HEADER_1)
    wire.heard()
    wire.server._forget_client()
    assert wire.say("NOOP") == [f"250 {SOURCE}"]


@pytest.mark.parametrize(("networks", "sent"), [(["127.0.0.1"], HEADER_1), (["192.0.2.1"], b"")])
def test_over_a_socket(networks: list[str], sent: bytes) -> None:
    with (
        Controller(Peers(), hostname="127.0.0.1", port=0, proxy_networks=networks) as controller,
        socket.create_connection(("127.0.0.1", controller.port), timeout=20) as sock,
        sock.makefile("rb") as file,
    ):
        sock.sendall(sent)
        assert file.readline().startswith(b"220 ")
        sock.sendall(b"NOOP\r\nQUIT\r\n")
        assert file.readline() == f"250 {SOURCE if sent else sock.getsockname()}\r\n".encode()
