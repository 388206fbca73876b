"""What RFC 5321 asks of a receiver and no other test shows, in raw octets (docs/conformance.md)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.conversations import GREETED, TO_DATA, Item, play, received

from aiosmtpd.extensions import BUILT_IN, DEFAULT, EnhancedStatusCodes, Etrn, XClient, XForward
from aiosmtpd.smtp import AuthResult
from aiosmtpd.testing import RecordingHandler

if TYPE_CHECKING:
    from tests.unit.conftest import Connect

LONGEST = 512
OFFERED = "250-mx.example\n...\n250 ..."

# RFC 5321 section 4.1.1.1: ehlo-line = ehlo-keyword *( SP ehlo-param )
EHLO_LINE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*(?: [!-~]+)*")
# Section 4.2: Reply-line, here without its end.
REPLY_LINE = re.compile(rb"[2-5][0-5][0-9](?:-|[ ])[\t -~]*")


def everything() -> dict[str, Any]:
    """The arguments of a server that offers all there is."""
    added = [make() for make in BUILT_IN.values()]
    networks = ["192.0.2.0/24"]
    return {
        "extensions": (*DEFAULT, *added, XClient(networks), XForward(networks)),
        "authenticator": lambda *_: AuthResult(success=True),
        "auth_require_tls": False,
        "enable_SMTPUTF8": True,
    }


# -- replies (section 4.2) ------------------------------------------------------------------------


def test_lines_of_ehlo_have_the_form(connect: Connect) -> None:
    name, *lines = connect(**everything()).ehlo()
    assert name == "mx.example"
    assert len(lines) > 15
    for line in lines:
        assert EHLO_LINE.fullmatch(line), line


VERBS = (
    b"HELO EHLO MAIL RCPT DATA RSET NOOP QUIT VRFY EXPN HELP AUTH STARTTLS BDAT ETRN XCLIENT XFORWARD"
).split()
ODD_ARGUMENTS = [b"", b" ", b" x y z", b" <>", b" FROM:", b" TO:<", b" *", b" =", b" \xe9"]


@pytest.mark.parametrize("argument", ODD_ARGUMENTS)
@pytest.mark.parametrize("verb", VERBS)
def test_a_command_has_one_reply(connect: Connect, verb: bytes, argument: bytes) -> None:
    wire = connect(extensions=everything()["extensions"])
    before = len(wire.transport.received)
    if verb == b"BDAT" or (
        verb == b"QUIT" and not argument.strip()
    ):  # nothing is read behind these
        wire.send(verb + argument + b"\r\n")
        replies = 1
    else:
        wire.send(verb + argument + b"\r\nNOOP\r\n")
        replies = 2
    lines = wire.transport.received[before:].split(b"\r\n")
    assert lines.pop() == b""
    for line in lines:
        assert REPLY_LINE.fullmatch(line), line
    assert len([line for line in lines if line[3:4] == b" "]) == replies


@pytest.mark.parametrize(
    "command",
    [
        b"X" * (LONGEST - 2),
        b"VRFY ".ljust(LONGEST - 2, b"@"),
        b"VRFY @" + "é".encode() * 252,
        b"VRFY @" + "\U0001f4ec".encode() * 126,
        b"VRFY @" + b"\xff" * 504,
        b"ETRN #".ljust(LONGEST - 2, b"x"),
        b"ETRN #" + "é".encode() * 252,
        b"EHLO ".ljust(LONGEST - 2, b"x"),
        b"NOOP ".ljust(LONGEST - 2, b"x"),
        b"HELP ".ljust(LONGEST - 2, b"x"),
        b"MAIL FROM:<".ljust(LONGEST - 2, b"x"),
        b"AUTH " + b"x" * 600,
    ],
)
@pytest.mark.parametrize("codes", [[], [EnhancedStatusCodes()]])
@pytest.mark.parametrize("limit", [None, 1])
def test_a_line_of_a_reply_is_not_too_long(
    connect: Connect, command: bytes, codes: list[Any], limit: int | None
) -> None:
    """Section 4.5.3.1.5: 512 octets, and what a client sent may be repeated in it."""

    class Queues:
        async def handle_ETRN(self, *_: Any) -> None:
            return None

    wire = connect(
        Queues(),
        extensions=(*DEFAULT, Etrn(), *codes),
        enable_SMTPUTF8=True,
        command_call_limit=None if limit is None else {"*": limit, "HELO": 1},
    )
    wire.say("HELO client.example")
    for _ in range(2):
        before = len(wire.transport.received)
        wire.send(command + b"\r\n")
        for line in wire.transport.received[before:].splitlines(keepends=True):
            assert line.endswith(b"\r\n")
            assert len(line) <= LONGEST
    assert len(wire.transport.received) > before


# -- commands -------------------------------------------------------------------------------------


def test_commands_outside_a_transaction_do_not_change_it() -> None:
    """Sections 4.1.1.6 to 4.1.1.9: no effect on any of the buffers, at any time."""
    script = f"""{GREETED}
        C: NOOP
        S: 250 OK
        C: MAIL FROM:<anne@example.com> SIZE=7
        S: 250 OK
        C: VRFY anne@example.com
        S: 252 ...
        C: RCPT TO:<bart@example.com>
        S: 250 OK
        C: NOOP with a string
        S: 250 OK
        C: EXPN staff
        S: 502 ...
        C: HELP
        S: 250 Supported ...
        C: RCPT TO:<cleo@example.com>
        S: 250 OK
        C: HELP RCPT
        S: 250 Syntax: ...
        C: FOO
        S: 500 ...
        C: DATA
        S: 354 ...
        C: NOOP
        C: .
        S: 250 OK
    """
    (envelope,) = received(script)
    assert envelope.mail_from == "anne@example.com"
    assert envelope.mail_parameters == {"SIZE": 7}
    assert envelope.rcpt_tos == ["bart@example.com", "cleo@example.com"]
    assert envelope.content == b"NOOP\r\n"


def test_rset_at_any_time() -> None:
    """Section 4.1.1.5: it is answered 250, and the connection goes on."""
    rset = "C: RSET\nS: 250 OK\n"
    mail = "C: MAIL FROM:<anne@example.com>\nS: 250 OK\n"
    rcpt = "C: RCPT TO:<{}@example.com>\nS: 250 OK\n"
    data = "C: DATA\nS: 354 ...\nC: .\nS: 250 OK\n"
    script = rset + GREETED + rset + mail + rset + mail + rcpt.format("x") + rset + mail
    script += rcpt.format("bart") + data + rset + rset + "C: QUIT\nS: 221 Bye\n[closed]"
    (envelope,) = received(script)
    assert envelope.rcpt_tos == ["bart@example.com"]


@pytest.mark.parametrize("verb", ["EHLO", "HELO"])
def test_a_malformed_greeting_leaves_the_state(verb: str) -> None:
    """Section 4.1.4: the server stays in the state that it was in."""
    script = f"""{GREETED}
        C: MAIL FROM:<anne@example.com> BODY=8BITMIME
        S: 250 OK
        C: {verb}
        S: 501 Syntax: {verb} hostname
        C: RCPT TO:<bart@example.com>
        S: 250 OK
        C: DATA
        S: 354 ...
        C: .
        S: 250 OK
        C: MAIL FROM:<anne@example.com> BODY=8BITMIME
        S: 250 OK
    """
    (envelope,) = received(script)
    assert envelope.mail_parameters == {"BODY": "8BITMIME"}


@pytest.mark.parametrize(
    "argument",
    [
        "client.example",
        "[192.0.2.1]",
        "[IPv6:2001:db8::1]",
        "localhost",
        "not_a_host_name",
        "client.example and what it says of itself",
        "mx.example",
    ],
)
def test_mail_is_not_refused_by_the_name_in_ehlo(argument: str) -> None:
    """Section 4.1.4: that it does not belong to the client is no reason to refuse mail."""
    play(f"C: EHLO {argument}\nS: 250-mx.example\nS: ...\nS: 250 HELP\n{TO_DATA}C: .\nS: 250 OK")


@pytest.mark.parametrize(
    "mailbox", ["Postmaster", "postmaster", "POSTMASTER", "Postmaster@example.com"]
)
def test_postmaster(mailbox: str) -> None:
    script = f"""{GREETED}
        C: MAIL FROM:<>
        S: 250 OK
        C: RCPT TO:<{mailbox}>
        S: 250 OK
        C: DATA
        S: 354 ...
        C: .
        S: 250 OK
    """
    (envelope,) = received(script)
    assert envelope.mail_from == "<>"
    assert envelope.rcpt_tos == [mailbox]


def test_a_private_command_is_answered_500() -> None:
    play('C: XFOO bar\nS: 500 Error: command "XFOO" not recognized\nC: NOOP\nS: 250 OK')


# -- sizes (section 4.5.3.1) ----------------------------------------------------------------------


def test_objects_of_the_sizes_that_every_receiver_takes(connect: Connect) -> None:
    local_part = "l" * 64
    domain = ".".join(["d" * 63] * 4)
    assert len(domain) == 255
    path = f"<{local_part}@{domain[: 256 - len(local_part) - 3]}>"
    assert len(path) == 256
    noop = b"NOOP ".ljust(LONGEST - 2, b"x")
    content = b"x" * 998 + b"\r\n" + b"." + b"y" * 997 + b"\r\n" + b"z\r\n" * 22_000
    assert len(content) > 64 * 1024
    recipients = [f"x@{domain}", *(f"user{number}@example.com" for number in range(99))]
    handler = RecordingHandler()
    wire = connect(handler)
    wire.ehlo()
    assert wire.say(noop, f"MAIL FROM:{path}") == ["250 OK"] * 2
    assert wire.say(*(f"RCPT TO:<{mailbox}>" for mailbox in recipients)) == ["250 OK"] * 100
    wire.say("DATA")
    wire.send(content.replace(b"\r\n.", b"\r\n..") + b".\r\n")
    assert wire.heard() == ["250 OK"]
    (envelope,) = handler.envelopes
    assert envelope.mail_from == path[1:-1]
    assert envelope.rcpt_tos == recipients
    assert envelope.content == content


# -- content --------------------------------------------------------------------------------------

DEFECTIVE = [
    b"",
    b"no header section at all\r\n",
    b"\r\nonly a body\r\n",
    b"Subject\r\n: empty name\r\nx y: space\r\n\r\n",
    b"Resent-To: anne@example.com\r\nResent-To: bart@example.com\r\n\r\n",
    b"Received: nonsense\r\nReceived: from\r\n\tfolded; 99 Foo 99\r\n\r\n",
    b"Received: x\r\n" * 99 + b"\r\n",
    b"Return-Path: <x@example.com>\r\nReturn-Path: <>\r\n\r\n",
    b"From: \xff\xfe <\x00>\r\nDate: never\r\n\r\n\x00\x01\x7f\xff\r\n",
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text\r\n",
    b"To: " + b"a@example.com, " * 60 + b"\r\n\r\n",
]


@pytest.mark.parametrize("content", DEFECTIVE)
def test_a_message_is_not_refused_for_what_it_is(content: bytes) -> None:
    """Sections 3.3 and 3.7.2: neither for its header section nor for its trace fields."""
    to_data: list[Item] = [
        *(b"EHLO client.example\r\n", OFFERED),
        *(b"MAIL FROM:<anne@example.com>\r\n", "250 OK"),
        *(b"RCPT TO:<bart@example.com>\r\n", "250 OK"),
        *(b"DATA\r\n", "354 ..."),
    ]
    (envelope,) = received([*to_data, content + b".\r\n", "250 OK"])
    assert envelope.content == content
