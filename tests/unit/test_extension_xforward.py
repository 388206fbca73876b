"""XFORWARD: who may send it, what it may say, and how long it counts."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.conversations import play

from aiosmtpd.extensions import BUILT_IN, DEFAULT, XClient, XForward
from aiosmtpd.lmtp import LMTP

if TYPE_CHECKING:
    from tests.unit.conftest import Connect

LISTED = ("192.0.2.1", 2525)
EXTENSIONS = (*DEFAULT, XForward(networks=["192.0.2.0/24"]))
ON: dict[str, Any] = {"extensions": EXTENSIONS, "extra": {"peername": LISTED}}
LINE = "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE"
SYNTAX = "501 5.5.4 Syntax: XFORWARD attribute=value..."
DENIED = "550 5.7.0 Error: insufficient authorization"
BUSY = "503 5.5.1 Error: mail transaction in progress"
NOTHING: dict[str, Any] = dict.fromkeys(LINE.split()[1:])


class Tells:
    """Tells what was forwarded, in the replies of a transaction."""

    async def handle_MAIL(
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if address == "refused@example.com":
            return "550 no"
        envelope.mail_from = address
        return f"250 {_said(envelope)}"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        return f"250 {_said(envelope)}"


def _said(envelope: Any) -> str:
    return ",".join(f"{name}={value}" for name, value in envelope.xforward.items() if value)


@pytest.mark.parametrize(
    ("peer", "arguments", "listed"),
    [
        (LISTED, {}, True),
        (("::ffff:192.0.2.9", 1, 0, 0), {}, True),
        (("192.0.3.1", 1), {}, False),
        ("", {}, False),
        ("", {"unix_sockets": True}, True),
        (("192.0.3.1", 1), {"unix_sockets": True}, False),
    ],
)
def test_who_may_send_it(
    connect: Connect, peer: Any, arguments: dict[str, bool], listed: bool
) -> None:
    extension = XForward(["192.0.2.0/24"], **arguments)
    wire = connect(extensions=(extension,), extra={"peername": peer})
    assert (LINE in wire.ehlo()) is listed
    assert wire.say("XFORWARD NAME=a.example", "XFORWARD") == (
        ["250 OK", SYNTAX] if listed else [DENIED, DENIED]
    )
    assert bool(wire.server.envelope.xforward) is listed


def test_xclient_neither_gives_nor_takes_the_right(connect: Connect) -> None:
    extensions = (XClient(["192.0.2.0/24", "198.51.100.0/24"]), XForward(["192.0.2.0/24"]))
    wire = connect(extensions=extensions, extra={"peername": LISTED})
    wire.say("XCLIENT ADDR=203.0.113.1 HELO=x")
    assert wire.say("XFORWARD NAME=a.example") == ["250 OK"]
    wire = connect(extensions=extensions, extra={"peername": ("198.51.100.1", 1)})
    wire.say("XCLIENT ADDR=192.0.2.1 HELO=x")
    assert wire.server.session.peer == ("192.0.2.1", 0)
    assert wire.say("XFORWARD NAME=a.example") == [DENIED]


def test_the_list_must_be_one() -> None:
    with pytest.raises(ValueError, match="networks: 'x' does not appear to be"):
        XForward(networks=["x"])
    assert "XFORWARD" not in BUILT_IN


GOOD = [
    ("NAME=client.example", {"NAME": "client.example"}),
    ("NAME=not_a_DNS_name", {"NAME": "not_a_DNS_name"}),
    ("NAME=[unavailable]", {}),
    ("ADDR=198.51.100.7", {"ADDR": "198.51.100.7"}),
    ("ADDR=IPV6:2001:DB8::1", {"ADDR": "2001:db8::1"}),
    ("ADDR=X25:1234", {"ADDR": "X25:1234"}),
    ("ADDR=[UNAVAILABLE]", {}),
    ("PORT=2525", {"PORT": "2525"}),
    ("PORT=[UNAVAILABLE]", {}),
    ("PROTO=ESMTPS", {"PROTO": "ESMTPS"}),
    (f"PROTO={'x' * 64}", {"PROTO": "x" * 64}),
    ("HELO=[198.51.100.7]", {"HELO": "[198.51.100.7]"}),
    ("IDENT=3CF6B2AAE8", {"IDENT": "3CF6B2AAE8"}),
    ("SOURCE=local", {"SOURCE": "LOCAL"}),
    ("SOURCE=REMOTE", {"SOURCE": "REMOTE"}),
    ("SOURCE=[UNAVAILABLE]", {}),
    ("name=a Helo=b", {"NAME": "a", "HELO": "b"}),
    ("NAME=a NAME=b", {"NAME": "b"}),
    ("NAME=a NAME=[UNAVAILABLE]", {}),
    (f"HELO={'x' * 255}", {"HELO": "x" * 255}),
    # What could do harm in a header field does none.
    ("HELO=a+20(b)+3C+3E", {"HELO": "a??b???"}),
    ("HELO=a+0D+0AX-Evil:b", {"HELO": "a??X-Evil:b"}),
    ("HELO=+C3+A9+00", {"HELO": "??"}),
    ('HELO="a"@b;c\\d,e', {"HELO": "?a??b?c?d?e"}),
    ("IDENT=a+2Bb+3Dc", {"IDENT": "a+b=c"}),
]


@pytest.mark.parametrize(("attributes", "expected"), GOOD)
def test_what_it_may_say(connect: Connect, attributes: str, expected: dict[str, str]) -> None:
    wire = connect(**ON)
    assert wire.say(f"XFORWARD {attributes}") == ["250 OK"]
    assert wire.server.envelope.xforward == {**NOTHING, **expected}


@pytest.mark.parametrize(
    ("argument", "wrong"),
    [
        ("", SYNTAX),
        (" NAME", "NAME"),
        (" NAME=", "NAME"),
        (" FOO=x", None),
        (" LOGIN=x", None),
        (" NAME=a DESTADDR=192.0.2.1", None),
        (" NAME=a+b", "NAME"),
        (" NAME=a=b", "NAME"),
        (" NAME=+FF", "NAME"),
        (" PORT=65536", "PORT"),
        (" PORT=x", "PORT"),
        (f" PROTO={'x' * 65}", "PROTO"),
        (f" HELO={'x' * 256}", "HELO"),
        (f" IDENT={'x' * 256}", "IDENT"),
        (" SOURCE=ELSEWHERE", "SOURCE"),
        (" NAME=a SOURCE=x", "SOURCE"),
    ],
)
def test_what_it_may_not_say(connect: Connect, argument: str, wrong: str | None) -> None:
    wire = connect(**ON)
    expected = f"501 5.5.4 Error: bad {wrong} attribute"
    if wrong is None:
        expected = "501 5.5.4 Error: unknown attribute"
    elif wrong == SYNTAX:
        expected = SYNTAX
    assert wire.say(f"XFORWARD{argument}") == [expected]
    assert wire.server.envelope.xforward == {}


def test_commands_add_up_until_the_transaction_ends() -> None:
    play(
        f"""
        C: HELO filter.example
        S: 250 mx.example
        C: XFORWARD NAME=a.example ADDR=198.51.100.7 HELO=x
        S: 250 OK
        C: XFORWARD HELO=[UNAVAILABLE] PROTO=ESMTP
        S: 250 OK
        C: MAIL FROM:<refused@example.com>
        S: 550 no
        C: MAIL FROM:<a@b>
        S: 250 NAME=a.example,ADDR=198.51.100.7,PROTO=ESMTP
        C: XFORWARD NAME=b.example
        S: {BUSY}
        C: RCPT TO:<c@d>
        S: 250 OK
        C: XFORWARD
        S: {BUSY}
        C: DATA
        S: 354 ...
        C: .
        S: 250 NAME=a.example,ADDR=198.51.100.7,PROTO=ESMTP
        C: MAIL FROM:<a@b>
        S: 250 ...
        """.replace("S: 250 ...\n", "S: 250 \n"),
        Tells,
        **ON,
    )


@pytest.mark.parametrize(
    "between", ["RSET", "HELO c.example", "MAIL FROM:<a@b>\r\nRSET", "XCLIENT HELO=x"]
)
def test_what_else_ends_it(connect: Connect, between: str) -> None:
    extensions = (*EXTENSIONS, XClient(["192.0.2.0/24"]))
    wire = connect(**{**ON, "extensions": extensions})
    wire.say("HELO c.example", "XFORWARD NAME=a.example", between)
    assert wire.server.envelope.xforward == {}


@pytest.mark.parametrize("between", ["NOOP", "VRFY a@b", "HELP", "FOO", "MAIL", "XFORWARD", "DATA"])
def test_what_does_not_end_it(connect: Connect, between: str) -> None:
    wire = connect(**ON)
    wire.say("HELO c.example", "XFORWARD NAME=a.example", between)
    assert wire.server.envelope.xforward["NAME"] == "a.example"


def test_what_starttls_forgets(connect: Connect) -> None:
    wire = connect(**ON)
    wire.say("XFORWARD NAME=a.example")
    wire.server._forget_client()  # what STARTTLS does
    assert wire.server.envelope.xforward == {}


def test_it_changes_nothing_else(connect: Connect) -> None:
    wire = connect(**ON)
    wire.say("XFORWARD ADDR=198.51.100.7 HELO=x PORT=1")
    assert wire.server.session.peer == LISTED
    assert wire.server.session.host_name is None
    assert wire.server.session.xclient == {}


def test_before_a_greeting_and_on_lmtp() -> None:
    play([b"XFORWARD NAME=a.example\r\n", "250 OK"], cls=LMTP, **ON)


def test_a_line_that_is_too_long() -> None:
    play([b"XFORWARD " + b"NAME=a.example " * 40 + b"\r\n", "500 Command line too long"], **ON)


def test_the_log_tells_of_those_who_may_not(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "mail.log")
    connect(extensions=EXTENSIONS, extra={"peername": ("198.51.100.1", 1)}).say("XFORWARD NAME=a")
    assert "('198.51.100.1', 1) may not send XFORWARD" in caplog.text
