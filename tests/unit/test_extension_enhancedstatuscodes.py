"""ENHANCEDSTATUSCODES (RFC 2034): every reply has a right code, and who gave one keeps it."""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.conversations import GREETED, play

from aiosmtpd.extensions import BUILT_IN, DEFAULT, EnhancedStatusCodes
from aiosmtpd.lmtp import LMTP
from aiosmtpd.protocol import Reply
from aiosmtpd.protocol import reply as catalogue
from aiosmtpd.smtp import SMTP, AuthResult

if TYPE_CHECKING:
    from tests.unit.conftest import Connect

EXTENSIONS = (*DEFAULT, EnhancedStatusCodes())
ON = {"extensions": EXTENSIONS}


def coded(verb: str, status: str | bytes) -> str | bytes:
    server: Any = None  # nothing is asked of it
    return EnhancedStatusCodes().filter_reply(server, verb, status)


def test_it_can_be_asked_for_by_name() -> None:
    assert BUILT_IN["ENHANCEDSTATUSCODES"] is EnhancedStatusCodes


def test_it_is_offered(connect: Connect) -> None:
    assert "ENHANCEDSTATUSCODES" in connect(**ON).ehlo()
    assert "ENHANCEDSTATUSCODES" not in connect().ehlo()


# -- a server's own replies -----------------------------------------------------------------------

TRANSACTION = """
    C: NOOP
    S: 250 2.0.0 OK
    C: RCPT TO:<b@example.com>
    S: 503 5.5.1 Error: send HELO first
    C: EHLO
    S: 501 Syntax: EHLO hostname
    C: HELO
    S: 501 Syntax: HELO hostname
    C: HELO client.example
    S: 250 mx.example
    C: RCPT TO:<b@example.com>
    S: 503 5.5.1 Error: need MAIL command
    C: MAIL
    S: 501 5.5.4 Syntax: MAIL FROM: <address>
    C: MAIL FROM:<@>
    S: 553 5.1.3 Error: malformed address
    C: MAIL FROM:<a@example.com>
    S: 250 2.1.0 OK
    C: MAIL FROM:<a@example.com>
    S: 503 5.5.1 Error: nested MAIL command
    C: DATA
    S: 503 5.5.1 Error: need RCPT command
    C: RCPT TO:<b@example.com>
    S: 250 2.1.5 OK
    C: DATA now
    S: 501 5.5.4 Syntax: DATA
    C: DATA
    S: 354 End data with <CR><LF>.<CR><LF>
    C: .
    S: 250 2.0.0 OK
    C: RSET
    S: 250 2.0.0 OK
    C: VRFY b@example.com
    S: 252 2.0.0 Cannot VRFY user, but will accept message and attempt delivery
    C: VRFY b@
    S: 502 5.1.3 Could not VRFY b@
    C: EXPN staff
    S: 502 5.5.1 EXPN not implemented
    C: HELP NOOP
    S: 250 2.0.0 Syntax: NOOP [ignored]
    C: HELP me
    S: 501 5.5.4 Supported commands: ...
    C: STARTTLS
    S: 454 4.7.0 TLS not available
    C: FOO
    S: 500 5.5.2 Error: command "FOO" not recognized
    C: QUIT
    S: 221 2.0.0 Bye
    [closed]
"""


def test_a_transaction() -> None:
    play(TRANSACTION, **ON)


def test_without_it_nothing_changes() -> None:
    ours = re.compile(r"^( *S: \d\d\d )(?!5\.1\.3 Error)[245]\.\d\.\d ", re.MULTILINE)
    play(ours.sub(r"\1", TRANSACTION))


PARAMETERS = f"""{GREETED}
    C: MAIL FROM:<a@example.com> SIZE=99999999999
    S: 552 5.3.4 Error: message size exceeds fixed maximum message size
    C: MAIL FROM:<a@example.com> BODY=9BIT
    S: 501 5.5.4 Error: BODY can only be one of 7BIT, 8BITMIME
    C: MAIL FROM:<a@example.com> SMTPUTF8
    S: 501 5.5.4 Error: SMTPUTF8 disabled
    C: MAIL FROM:<a@example.com> FOO
    S: 555 5.5.4 MAIL FROM parameters not recognized or not implemented
    C: MAIL FROM:<a@example.com>
    S: 250 2.1.0 OK
    C: RCPT TO:<b@example.com> FOO
    S: 555 5.5.4 RCPT TO parameters not recognized or not implemented
"""


def test_parameters() -> None:
    play(PARAMETERS, **ON)


@pytest.mark.parametrize(
    ("body", "reply"),
    [
        (b"x" * 2000 + b"\r\n", "500 5.6.0 Line too long (see RFC5321 4.5.3.1.6)"),
        (b"x\r\n" * 2000, "552 5.3.4 Error: Too much mail data"),
        (b"\xe9\r\n", "500 5.6.1 Error: strict ASCII mode"),
    ],
)
def test_content_that_is_refused(body: bytes, reply: str) -> None:
    play(
        [
            b"HELO client.example\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n",
            "250 mx.example",
            "250 2.1.0 OK",
            "250 2.1.5 OK",
            "354 ...",
            body + b".\r\nNOOP\r\n",
            reply,
            "250 2.0.0 OK",
        ],
        decode_data=True,
        data_size_limit=5000,
        **ON,
    )


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"", "500 5.5.2 Error: bad syntax"),
        (b"NO\x01OP", "500 5.5.2 Error: bad syntax"),
        (b"NOOP \xe9", "500 5.5.2 Error: strict ASCII mode"),
        (b"NOOP " + b"x" * 600, "500 5.5.2 Command line too long"),
        (b"NOOP " + b"x" * 20_000, "500 5.5.2 Command line too long"),
    ],
)
@pytest.mark.parametrize("before", [[], [b"HELO c.example\r\n", "250 mx.example"]])
def test_what_is_no_command_is_not_taken_for_the_one_before(
    before: list[Any], line: bytes, reply: str
) -> None:
    play([*before, line + b"\r\n", reply], **ON)


def test_lmtp_for_each_recipient() -> None:
    class Handler:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> list[str]:
            return ["250 kept", "552 full", "550 5.1.2 no", "452-later\r\n452 on"]

    play(
        """
        C: LHLO
        S: 501 Syntax: LHLO hostname
        C: LHLO client.example
        S: 250-mx.example
        S: ...
        S: 250 ...
        C: MAIL FROM:<a@b>
        S: 250 2.1.0 OK
        C: RCPT TO:<a@b>
        S: 250 2.1.5 OK
        C: RCPT TO:<b@b>
        S: 250 2.1.5 OK
        C: RCPT TO:<c@b>
        S: 250 2.1.5 OK
        C: RCPT TO:<d@b>
        S: 250 2.1.5 OK
        C: DATA
        S: 354 ...
        C: .
        S: 250 2.0.0 kept
        S: 552 5.2.2 full
        S: 550 5.1.2 no
        S: 452-4.3.1 later
        S: 452 4.3.1 on
        C: HELO x
        S: 500 Error: command "HELO" not recognized
        """,
        Handler,
        cls=LMTP,
        **ON,
    )


def test_auth() -> None:
    def judge(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=data.login == b"anne", handled=False)

    play(
        [
            b"EHLO c.example\r\n",
            "250-mx.example\n...\n250 ENHANCEDSTATUSCODES",
            b"MAIL FROM:<a@b>\r\n",
            "530 5.7.0 Authentication required",
            b"AUTH\r\n",
            "501 5.5.4 Not enough value",
            b"AUTH FOO\r\n",
            "504 5.5.4 Unrecognized authentication type",
            b"AUTH PLAIN\r\n",
            "334 ",
            b"*\r\n",
            "501 5.7.0 Auth aborted",
            b"AUTH PLAIN\r\n",
            "334 ",
            b"x" * 20_000 + b"\r\n",
            "500 5.5.6 Command line too long",
            b"\xe9\r\n",
            "500 5.5.2 Error: bad syntax",
            b"AUTH PLAIN AGJhcnQAeA==\r\n",
            "535 5.7.8 Authentication credentials invalid",
            b"AUTH PLAIN AGFubmUAeA==\r\n",
            "235 2.7.0 Authentication successful",
            b"AUTH PLAIN AGFubmUAeA==\r\n",
            "503 5.5.1 Already authenticated",
        ],
        stepwise=True,
        auth_required=True,
        tls=True,
        authenticator=judge,
        **ON,
    )


def test_starttls_and_its_refusals(connect: Connect) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    wire = connect(tls_context=context, require_starttls=True, **ON)
    assert wire.say("HELO c.example", "RSET", "STARTTLS x") == [
        "530 Must issue a STARTTLS command first",
        "530 5.7.0 Must issue a STARTTLS command first",
        "501 5.5.4 Syntax: STARTTLS",
    ]
    wire.server._tls_handshake_okay = False
    wire.server.require_starttls = False
    assert wire.say("NOOP") == ["554 5.7.0 Command refused due to lack of security"]
    assert coded("STARTTLS", catalogue.START_TLS) == "220 2.7.0 Ready to start TLS"


def test_a_limit_of_commands() -> None:
    play(
        """
        C: NOOP
        S: 250 2.0.0 OK
        C: NOOP
        S: 421 4.7.0 NOOP sent too many times
        [closed]
        """,
        command_call_limit=1,
        **ON,
    )


# -- hooks ----------------------------------------------------------------------------------------


class Says:
    """Answers NOOP as told."""

    def __init__(self, reply: str | bytes) -> None:
        self.reply = reply

    async def handle_NOOP(self, server: Any, session: Any, envelope: Any, arg: Any) -> Any:
        return self.reply


@pytest.mark.parametrize(
    ("reply", "sent"),
    [
        ("250 fine", "250 2.0.0 fine"),
        (b"250 fine", "250 2.0.0 fine"),
        (Reply(250, None, "one", "two"), "250-2.0.0 one\n250 2.0.0 two"),
        (b"250-one\r\n250 two", "250-2.0.0 one\n250 2.0.0 two"),
        # What a hook gave stays.
        ("250 2.6.0 fine", "250 2.6.0 fine"),
        ("550 5.7.999 no", "550 5.7.999 no"),
        ("550 4.7.1 odd", "550 4.7.1 odd"),
        ("250 2.6.0", "250 2.6.0"),
        ("250-2.6.0 one\r\n250-2.6.1 two\r\n250 2.6.2 three",) * 2,
        # On some lines: the others get what those have.
        ("250-one\r\n250 2.6.0 two", "250-2.6.0 one\n250 2.6.0 two"),
        ("250-2.6.0 one\r\n250-two\r\n250 three", "250-2.6.0 one\n250-2.6.0 two\n250 2.6.0 three"),
        # What only resembles a code is text.
        ("250 2.6 fine", "250 2.0.0 2.6 fine"),
        ("250 2.6.0.1 fine", "250 2.0.0 2.6.0.1 fine"),
        ("250 3.6.0 fine", "250 2.0.0 3.6.0 fine"),
        ("250 2.6.0000 fine", "250 2.0.0 2.6.0000 fine"),
        ("250  2.6.0 fine", "250 2.0.0  2.6.0 fine"),
        # Without a text.
        ("250", "250 2.0.0"),
        ("250 ", "250 2.0.0"),
        ("250-\r\n250 x", "250-2.0.0\n250 2.0.0 x"),
        # Several replies.
        ("250 one\r\n550 5.1.2 two\r\n450 three", "250 2.0.0 one\n550 5.1.2 two\n450 4.2.0 three"),
        (
            "250-a\r\n250 b\r\n250-2.1.9 c\r\n250 d",
            "250-2.0.0 a\n250 2.0.0 b\n250-2.1.9 c\n250 2.1.9 d",
        ),
        # Of a class that has none.
        ("354 go on", "354 go on"),
        ("150 what", "150 what"),
        # No reply at all is nobody's to repair.
        ("fine", "fine"),
        ("2500 fine", "2500 fine"),
        ("250fine", "250fine"),
    ],
)
def test_replies_of_a_hook(reply: str | bytes, sent: str) -> None:
    octets = coded("NOOP", reply)
    text = octets.decode() if isinstance(octets, bytes) else octets
    assert text == sent.replace("\n", "\r\n").replace("\r\r\n", "\r\n")
    assert isinstance(octets, bytes) is isinstance(reply, bytes)


@pytest.mark.parametrize("reply", ["250 fine", b"250-one\r\n250 two \xe9", "250-é\r\n250 ü"])
def test_replies_of_a_hook_on_the_wire(connect: Connect, reply: str | bytes) -> None:
    wire = connect(Says(reply), enable_SMTPUTF8=True, **ON)
    wire.send(b"NOOP\r\n")
    raw = reply if isinstance(reply, bytes) else reply.encode()
    expected = raw.replace(b"250 ", b"250 2.0.0 ").replace(b"250-", b"250-2.0.0 ")
    assert wire.transport.received.endswith(expected + b"\r\n")


def test_a_long_reply_is_treated_as_a_short_one() -> None:
    text = "x" * 1000
    assert coded("NOOP", f"250-{text}\r\n250 {text}") == f"250-2.0.0 {text}\r\n250 2.0.0 {text}"


def test_lines_that_are_pushed_one_by_one(connect: Connect) -> None:
    class Handler:
        async def handle_NOOP(self, server: Any, session: Any, envelope: Any, arg: Any) -> str:
            await server.push("250-one")
            return "250 two"

    assert connect(Handler(), **ON).say("NOOP") == ["250-2.0.0 one", "250 2.0.0 two"]


def test_an_exception_in_a_hook(connect: Connect) -> None:
    class Handler:
        async def handle_NOOP(self, *_: Any) -> str:
            raise ValueError

        async def handle_exception(self, error: Exception) -> str:
            return "451 later"

    assert connect(Handler(), **ON).say("NOOP") == ["451 4.3.0 later"]


def test_greetings_have_none(connect: Connect) -> None:
    class Handler:
        async def handle_EHLO(
            self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]
        ) -> Any:
            return ["550 not you"]

        async def handle_HELO(self, *_: Any) -> str:
            return "450 not now"

    wire = connect(Handler(), ident="Ident", **ON)
    assert wire.greeting == ["220 mx.example Ident"]
    assert wire.say("EHLO c.example", "HELO c.example") == ["550 not you", "450 not now"]


# -- the table ------------------------------------------------------------------------------------

VERBS = ["MAIL", "RCPT", "DATA", "BDAT", "RSET", "NOOP", "QUIT", "VRFY", "EXPN", "AUTH", "ETRN"]


@pytest.mark.parametrize("verb", [*VERBS, "STARTTLS", "HELP", "FOO"])
def test_every_reply_has_a_code_of_its_class(verb: str) -> None:
    for code in (*range(200, 260), *range(400, 460), *range(500, 560)):
        reply = coded(verb, f"{code} text")
        assert isinstance(reply, str)
        match = re.fullmatch(rf"{code} ([245])\.\d{{1,3}}\.\d{{1,3}} text", reply)
        assert match is not None
        assert match[1] == str(code)[0]


@pytest.mark.parametrize(
    ("verb", "code", "expected"),
    [
        ("MAIL", 250, "2.1.0"),
        ("MAIL", 550, "5.7.1"),
        ("MAIL", 553, "5.1.7"),
        ("MAIL", 552, "5.3.4"),
        ("MAIL", 452, "4.3.1"),
        ("MAIL", 455, "4.3.3"),
        ("MAIL", 421, "4.3.2"),
        ("RCPT", 250, "2.1.5"),
        ("RCPT", 251, "2.1.5"),
        ("RCPT", 450, "4.2.0"),
        ("RCPT", 452, "4.5.3"),
        ("RCPT", 550, "5.1.1"),
        ("RCPT", 551, "5.7.1"),
        ("RCPT", 552, "5.2.2"),
        ("RCPT", 553, "5.1.3"),
        ("RCPT", 556, "5.1.10"),
        ("DATA", 250, "2.0.0"),
        ("DATA", 451, "4.3.0"),
        ("DATA", 550, "5.7.1"),
        ("DATA", 552, "5.2.2"),
        ("DATA", 554, "5.0.0"),
        ("BDAT", 250, "2.0.0"),
        ("VRFY", 250, "2.1.5"),
        ("VRFY", 252, "2.0.0"),
        ("VRFY", 550, "5.1.1"),
        ("VRFY", 553, "5.1.4"),
        ("EXPN", 550, "5.1.1"),
        ("AUTH", 432, "4.7.12"),
        ("AUTH", 454, "4.7.0"),
        ("AUTH", 534, "5.7.9"),
        ("ETRN", 253, "2.5.0"),
        ("ETRN", 459, "4.5.0"),
        ("NOOP", 504, "5.5.4"),
        ("NOOP", 521, "5.3.2"),
        ("NOOP", 599, "5.0.0"),
        ("NOOP", 299, "2.0.0"),
        ("XFORWARD", 250, "2.0.0"),
    ],
)
def test_codes_by_verb_and_reply_code(verb: str, code: int, expected: str) -> None:
    assert coded(verb, f"{code} text") == f"{code} {expected} text"


def test_xclient_greets_without_a_code() -> None:
    assert coded("XCLIENT", "220 mx.example Ident") == "220 mx.example Ident"
    assert coded("XCLIENT", "550 no") == "550 5.7.1 no"


CATALOGUE = {name: reply for name, reply in vars(catalogue).items() if isinstance(reply, Reply)}


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_catalogue_has_a_code_that_says_something(name: str) -> None:
    reply = CATALOGUE[name]
    sent = coded("NOOP", reply)
    assert isinstance(sent, str)
    enhanced = Reply.enhanced.fget(str.__new__(Reply, sent))  # type: ignore[attr-defined]
    if reply.code // 100 == 3:
        assert enhanced is None
    elif reply.enhanced is not None:
        assert sent == reply
    else:
        # "Other or undefined status" is for what says no more.
        nothing_more = ("BYE", "OK", "CANNOT_VRFY", "ALL_DEFERRED", "ALL_REFUSED")
        assert enhanced.endswith(".0.0") is (name in nothing_more)


def test_a_server_with_an_overridden_push() -> None:
    class Server(SMTP):
        async def push(self, status: str | bytes) -> None:
            await super().push(status)

    play("C: NOOP\nS: 250 2.0.0 OK", cls=Server, **ON)
