"""What the RFCs of extensions ask of a receiver and no other test shows (docs/conformance.md)."""

from __future__ import annotations

import base64
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.conversations import GREETED, Item, play, received

from aiosmtpd.auth import Authenticator, Plain
from aiosmtpd.controller import Controller
from aiosmtpd.extensions import DEFAULT, EnhancedStatusCodes, Etrn, XClient, XForward
from aiosmtpd.lmtp import LMTP
from aiosmtpd.testing import RecordingHandler

if TYPE_CHECKING:
    from tests.unit.conftest import Connect

OFFERED = "250-mx.example\n...\n250 ..."
NEED_RCPT = "503 Error: need RCPT command"
BAD_BASE64 = "501 5.5.2 Can't decode base64"
INVALID = "535 5.7.8 Authentication credentials invalid"
SUCCESS = "235 2.7.0 Authentication successful"


def b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")


class Refusing(RecordingHandler):
    """Takes no recipient whose name begins with ``no``."""

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if address.startswith("no"):
            return "550 5.1.1 nobody"
        envelope.rcpt_tos.append(address)
        return "250 OK"


# -- LMTP (RFC 2033) ------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [b"DATA\r\n", b"BDAT 6 LAST\r\nQUIT\r\n"])
def test_lmtp_takes_no_message_for_nobody(command: bytes) -> None:
    """Section 4.2: without one recipient that was accepted DATA must fail with 503, and once only."""
    play(
        [
            *(b"LHLO client.example\r\n", OFFERED),
            *(b"MAIL FROM:<a@example.com>\r\n", "250 OK"),
            *(b"RCPT TO:<no@example.com>\r\n", "550 5.1.1 nobody"),
            *(b"RCPT TO:<nobody@example.com>\r\n", "550 5.1.1 nobody"),
            *(command, NEED_RCPT, b"NOOP\r\n", "250 OK"),
        ],
        Refusing,
        cls=LMTP,
    )


def test_lmtp_offers_what_it_has_to(connect: Connect) -> None:
    """Section 5: PIPELINING, ENHANCEDSTATUSCODES and 8BITMIME."""
    wire = connect(cls=LMTP, extensions=(*DEFAULT, EnhancedStatusCodes()))
    lines = {line[4:] for line in wire.say("LHLO client.example")}
    assert {"PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME"} <= lines


# -- PIPELINING (RFC 2920 section 3.2) ------------------------------------------------------------


def test_no_message_goes_to_nobody() -> None:
    """A group all of whose recipients were refused: no 354, and what stands behind is no message."""
    group = (
        b"MAIL FROM:<a@example.com>\r\nRCPT TO:<no@example.com>\r\nRCPT TO:<nobody@example.com>\r\n"
        b"DATA\r\n.\r\nQUIT\r\n"
    )
    replies = [
        *("250 OK", "550 5.1.1 nobody", "550 5.1.1 nobody", NEED_RCPT),
        *('500 Error: command "." not recognized', "221 Bye", "[closed]"),
    ]
    conversation: list[Item] = [b"EHLO client.example\r\n", OFFERED, group, *replies]
    for handler in play(conversation, Refusing):
        assert handler.envelopes == []


# -- SIZE (RFC 1870) ------------------------------------------------------------------------------


@pytest.mark.parametrize(("lines", "reply"), [(100, "250 OK"), (101, "552 ...")])
def test_a_size_is_that_of_the_content(lines: int, reply: str) -> None:
    """Section 5: CRLF counts, the dots of transparency and the end of the content do not."""
    body = b"..2345678\r\n" * lines  # 10 octets of content each
    play(
        [
            *(b"EHLO client.example\r\n", OFFERED),
            *(b"MAIL FROM:<a@example.com> SIZE=1000\r\n", "250 OK"),
            *(b"RCPT TO:<b@example.com>\r\n", "250 OK"),
            *(b"DATA\r\n", "354 ...", body + b".\r\n", reply),
        ],
        data_size_limit=1000,
    )


# -- what may not come inside a transaction -------------------------------------------------------


@pytest.mark.parametrize(
    "command", [b"ETRN b.example", b"XCLIENT NAME=x.example", b"XFORWARD NAME=x"]
)
def test_what_may_not_come_inside_a_message_of_chunks(command: bytes) -> None:
    class Queues(RecordingHandler):
        async def handle_ETRN(self, *_: Any) -> str:
            raise AssertionError("inside a transaction")

    networks = ["192.0.2.0/24"]
    (envelope,) = received(
        [
            *(b"EHLO client.example\r\n", OFFERED),
            *(b"MAIL FROM:<a@example.com>\r\n", "250 OK"),
            *(b"RCPT TO:<b@example.com>\r\n", "250 OK"),
            *(b"BDAT 3\r\none", "250 OK, 3 octets received"),
            *(command + b"\r\n", "503 5.5.1 ..."),
            *(b"BDAT 3 LAST\r\ntwo", "250 OK"),
        ],
        handler=Queues,
        extensions=(*DEFAULT, Etrn(), XClient(networks), XForward(networks)),
        extra={"peername": ("192.0.2.1", 25)},
    )
    assert envelope.content == b"onetwo"
    assert not envelope.xforward


# -- AUTH (RFC 4954) ------------------------------------------------------------------------------


class Directory(Authenticator):
    """Knows anne."""

    def check_password(self, session: Any, login: str, password: bytes) -> bool:
        return login == "anne" and password == b"s3cret"


AUTH: dict[str, Any] = {"authenticator": Directory(), "tls": True, "auth_mechanisms": [Plain]}


@pytest.mark.parametrize(
    "response",
    [
        "=AAA",
        "AAA=BBB",
        "AA==BBBB",
        "AAA",
        "AAAA=",
        "AAAA====",
        "AA-_",
        "AA.A",
        "AAAA AAAA",
        "A\tAA",
    ],
)
def test_what_base64_must_not_be(response: str) -> None:
    """Section 4: no character outside of the alphabet, and the pad nowhere but at the end."""
    play(
        f"{GREETED}C: AUTH PLAIN\nS: 334 \nC: {response}\nS: {BAD_BASE64}\nC: NOOP\nS: 250 OK",
        **AUTH,
    )


def test_a_challenge_without_data_has_a_space() -> None:
    """Section 4: ``334`` and a space, and nothing else."""
    play([b"EHLO c\r\n", OFFERED, b"AUTH PLAIN\r\n", "334 ", b"*\r\n", "501 5.7.0 ..."], **AUTH)


@pytest.mark.parametrize(
    ("command", "refused"),
    [
        *((verb, False) for verb in ("EHLO c", "HELO c", "NOOP", "RSET", "AUTH PLAIN =", "QUIT")),
        ("MAIL FROM:<a@example.com>", True),
        ("RCPT TO:<a@example.com>", True),
        ("DATA", True),
        ("VRFY anne", True),
        ("HELP", True),
        ("EXPN staff", True),
        ("ETRN b.example", True),
    ],
)
def test_what_is_answered_530(connect: Connect, command: str, refused: bool) -> None:
    """Section 6, where authentication is required."""

    class Handler:
        async def handle_EXPN(self, *_: Any) -> str:
            raise AssertionError("before AUTH")

        handle_ETRN = handle_EXPN

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    wire = connect(
        Handler(),
        auth_required=True,
        authenticator=Directory(),
        extensions=(*DEFAULT, Etrn()),
        extra={"sslcontext": context},
    )
    wire.ehlo()
    assert (wire.say(command)[0] == "530 5.7.0 Authentication required") is refused


@pytest.mark.parametrize("times", [1, 2])
def test_failures_do_not_end_the_connection_before_the_third(times: int) -> None:
    """Section 9."""
    failure = f"C: AUTH PLAIN {b64(bytes(1) + b'anne' + bytes(1) + b'no')}\nS: {INVALID}\n"
    success = f"C: AUTH PLAIN {b64(bytes(1) + b'anne' + bytes(1) + b's3cret')}\nS: {SUCCESS}\n"
    play(GREETED + failure * times + success, **AUTH)


# -- the end of TLS (RFC 8314 section 3.4) --------------------------------------------------------


def test_the_server_says_goodbye_in_tls(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    with (
        Controller(
            RecordingHandler(), hostname="127.0.0.1", port=0, ssl_context=server_context
        ) as controller,
        socket.create_connection(("127.0.0.1", controller.port), timeout=20) as plain,
        client_context.wrap_socket(
            plain, server_hostname="mx.example", suppress_ragged_eofs=False
        ) as secure,
    ):
        secure.sendall(b"QUIT\r\n")
        told = b""
        while octets := secure.recv(4096):  # SSLEOFError if there was no close_notify
            told += octets
        assert told.endswith(b"221 Bye\r\n")
