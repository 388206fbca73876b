"""A mail transaction: MAIL, RCPT and DATA, their syntax, parameters, gates and limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from aiosmtpd.extensions import Extension, syntax
from aiosmtpd.protocol import MalformedParameters, ProtocolError, Reply
from aiosmtpd.smtp import SMTP

if TYPE_CHECKING:
    from tests.unit.conftest import Connect, Wire

MAIL_SYNTAX = "501 Syntax: MAIL FROM: <address> [SP <mail-parameters>]"
RCPT_SYNTAX = "501 Syntax: RCPT TO: <address> [SP <mail-parameters>]"
MAIL_UNKNOWN = "555 MAIL FROM parameters not recognized or not implemented"
RCPT_UNKNOWN = "555 RCPT TO parameters not recognized or not implemented"
MALFORMED = "553 5.1.3 Error: malformed address"
TOO_MUCH = "552 Error: Too much mail data"
LINE_TOO_LONG = "500 Line too long (see RFC5321 4.5.3.1.6)"
COMMAND_TOO_LONG = "500 Command line too long"


class Keep:
    """Keeps what was delivered."""

    def __init__(self) -> None:
        self.envelopes: list[Any] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.envelopes.append(envelope)
        return "250 kept"

    @property
    def contents(self) -> list[bytes | str]:
        return [envelope.content for envelope in self.envelopes]


def greeted(connect: Connect, handler: Any = None, **arguments: Any) -> Wire:
    wire = connect(handler, **arguments)
    wire.ehlo()
    return wire


# -- the path of MAIL and RCPT --------------------------------------------------------------------

PATHS = [
    ("<anne@example.com>", "anne@example.com"),
    ("anne@example.com", "anne@example.com"),
    (" <anne@example.com>", "anne@example.com"),
    ("  anne@example.com  ", "anne@example.com"),
    ("<Anne@Example.COM>", "Anne@Example.COM"),
    ("<@a.example,@b.example:anne@example.com>", "anne@example.com"),
    ('<"anne person"@example.com>', '"anne person"@example.com'),
    ('<"a@b"@example.com>', '"a@b"@example.com'),
    ("<anne@[192.0.2.1]>", "anne@[192.0.2.1]"),
    ("<anne@[IPv6:::1]>", "anne@[IPv6:::1]"),
    ("<postmaster>", "postmaster"),
    ("<a+b=c/d@example.com>", "a+b=c/d@example.com"),
]
NO_PATHS = [
    "<",
    ">",
    "<@>",
    "<anne@>",
    "<@example.com>",
    "<anne@example.com",
    "<anne@example.com>x",
    "<anne person@example.com>",
    "<<anne@example.com>>",
    "<anne@example.com>,<bart@example.com>",
    "<anne@exa mple.com>",
    "<anne@example.com\t>",
    "<anne@example..com>",
    "<anne@[1.2.3.256]>",
]


@pytest.mark.parametrize(("path", "mailbox"), [*PATHS, ("<>", "<>")])
@pytest.mark.parametrize("command", ["MAIL FROM:", "mail from:", "Mail From:"])
def test_reverse_path(connect: Connect, command: str, path: str, mailbox: str) -> None:
    wire = greeted(connect)
    assert wire.say(command + path) == ["250 OK"]
    assert wire.server.envelope.mail_from == mailbox


@pytest.mark.parametrize(("path", "mailbox"), PATHS)
@pytest.mark.parametrize("command", ["RCPT TO:", "rcpt to:", "Rcpt To:"])
def test_forward_path(connect: Connect, command: str, path: str, mailbox: str) -> None:
    wire = greeted(connect)
    assert wire.say("MAIL FROM:<>", command + path) == ["250 OK"] * 2
    assert wire.server.envelope.rcpt_tos == [mailbox]


@pytest.mark.parametrize("path", NO_PATHS)
def test_what_is_no_path(connect: Connect, path: str) -> None:
    wire = greeted(connect)
    assert wire.say(f"MAIL FROM:{path}") == [MALFORMED]
    assert wire.server.envelope.mail_from is None
    assert wire.say("MAIL FROM:<>", f"RCPT TO:{path}") == ["250 OK", MALFORMED]
    assert wire.server.envelope.rcpt_tos == []


def test_the_null_path_is_no_recipient(connect: Connect) -> None:
    wire = greeted(connect)
    assert wire.say("MAIL FROM:<>", "RCPT TO:<>", "DATA") == [
        "250 OK",
        MALFORMED,
        "503 Error: need RCPT command",
    ]


@pytest.mark.parametrize(
    "argument", ["", " ", " FROM", " FROM:", " FROM:  ", " TO:<a@b>", " FROM <a@b>", " <a@b>"]
)
def test_mail_without_its_keyword(connect: Connect, argument: str) -> None:
    assert greeted(connect).say(f"MAIL{argument}") == [MAIL_SYNTAX]


@pytest.mark.parametrize(
    "argument", ["", " ", " TO", " TO:", " TO:  ", " FROM:<a@b>", " TO <a@b>", " <a@b>"]
)
def test_rcpt_without_its_keyword(connect: Connect, argument: str) -> None:
    wire = greeted(connect)
    assert wire.say("MAIL FROM:<>", f"RCPT{argument}") == ["250 OK", RCPT_SYNTAX]


def test_syntax_without_extensions(connect: Connect) -> None:
    wire = connect()
    wire.say("HELO client.example")
    assert wire.say("MAIL", "MAIL FROM:<a@b> SIZE=1", "MAIL FROM:<a@b>") == [
        "501 Syntax: MAIL FROM: <address>",
        "501 Syntax: MAIL FROM: <address>",
        "250 OK",
    ]
    assert wire.say("RCPT", "RCPT TO:<a@b> FOO", "RCPT TO:<a@b>") == [
        "501 Syntax: RCPT TO: <address>",
        "501 Syntax: RCPT TO: <address>",
        "250 OK",
    ]


# -- what may come when ---------------------------------------------------------------------------


def test_a_transaction_has_an_order(connect: Connect) -> None:
    wire = greeted(connect, Keep())
    assert wire.say("RCPT TO:<b@example.com>") == ["503 Error: need MAIL command"]
    assert wire.say("RCPT") == ["503 Error: need MAIL command"]
    assert wire.say("DATA") == ["503 Error: need RCPT command"]
    assert wire.say("MAIL FROM:<a@example.com>") == ["250 OK"]
    assert wire.say("MAIL FROM:<c@example.com>") == ["503 Error: nested MAIL command"]
    assert wire.say("MAIL") == [MAIL_SYNTAX]
    assert wire.say("MAIL FROM:<c@example.com> FOO") == ["503 Error: nested MAIL command"]
    assert wire.say("DATA") == ["503 Error: need RCPT command"]
    assert wire.say("RCPT TO:<b@example.com>", "RCPT TO:<b@example.com>") == ["250 OK"] * 2
    assert wire.say("DATA now") == ["501 Syntax: DATA"]
    assert wire.say("DATA")[0].startswith("354 ")
    assert wire.say("Hello", ".") == ["250 kept"]
    assert wire.say("DATA") == ["503 Error: need RCPT command"]
    assert wire.say("RCPT TO:<b@example.com>") == ["503 Error: need MAIL command"]


def test_the_null_reverse_path_begins_a_transaction(connect: Connect) -> None:
    wire = greeted(connect)
    assert wire.say("MAIL FROM:<>", "MAIL FROM:<>") == ["250 OK", "503 Error: nested MAIL command"]


def test_many_recipients(connect: Connect) -> None:
    handler = Keep()
    wire = connect(handler)
    recipients = [f"user{number}@example.com" for number in range(200)]
    wire.to_data(*recipients)
    wire.say(".")
    assert handler.envelopes[0].rcpt_tos == recipients


# -- parameters -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "reply"),
    [
        ("SIZE=1000", "250 OK"),
        ("size=0", "250 OK"),
        ("SIZE=33554432", "250 OK"),
        ("SIZE=33554433", "552 Error: message size exceeds fixed maximum message size"),
        ("SIZE=99999999999999999999", "552 Error: message size exceeds fixed maximum message size"),
        ("SIZE=" + "9" * 30, MAIL_SYNTAX),
        ("SIZE", MAIL_SYNTAX),
        ("SIZE=", MAIL_SYNTAX),
        ("SIZE=x", MAIL_SYNTAX),
        ("SIZE=-1", MAIL_SYNTAX),
        ("BODY=7BIT", "250 OK"),
        ("BODY=8bitMIME", "250 OK"),
        ("BODY=BINARYMIME", "501 Error: BODY can only be one of 7BIT, 8BITMIME"),
        ("BODY", "501 Error: BODY can only be one of 7BIT, 8BITMIME"),
        ("SMTPUTF8", "501 Error: SMTPUTF8 disabled"),
        ("FOO", MAIL_UNKNOWN),
        ("FOO=bar", MAIL_UNKNOWN),
        ("X-FOO-BAR=baz", MAIL_UNKNOWN),
        ("AUTH=<>", MAIL_UNKNOWN),
        ("#$%=!@#", MAIL_SYNTAX),
        ("=1", MAIL_SYNTAX),
        ("SIZE==1", MAIL_SYNTAX),
        ("SIZE=1 SIZE=1", MAIL_SYNTAX),
        ("SIZE=1 BODY=7BIT", "250 OK"),
        ("SIZE=1   BODY=7BIT  ", "250 OK"),
        ("SIZE=1 FOO=1", MAIL_UNKNOWN),
    ],
)
def test_parameters_of_mail(connect: Connect, parameters: str, reply: str) -> None:
    wire = greeted(connect)
    assert wire.say(f"MAIL FROM:<a@example.com> {parameters}") == [reply]
    # What was refused has begun nothing.
    begun = wire.server.envelope.mail_from is not None
    assert begun is (reply == "250 OK")


@pytest.mark.parametrize(
    ("parameters", "reply"),
    [
        ("FOO", RCPT_UNKNOWN),
        ("FOO=1", RCPT_UNKNOWN),
        ("SIZE=1", RCPT_UNKNOWN),
        ("NOTIFY=NEVER", RCPT_UNKNOWN),
        ("X-FOO=1", RCPT_UNKNOWN),
        ("#$%", RCPT_SYNTAX),
        ("a@b", RCPT_SYNTAX),
    ],
)
def test_parameters_of_rcpt(connect: Connect, parameters: str, reply: str) -> None:
    wire = greeted(connect)
    assert wire.say("MAIL FROM:<>", f"RCPT TO:<a@example.com> {parameters}") == ["250 OK", reply]
    assert wire.server.envelope.rcpt_tos == []


@pytest.mark.parametrize("utf8", [False, True])
def test_size_without_a_limit(connect: Connect, utf8: bool) -> None:
    wire = greeted(connect, data_size_limit=None, enable_SMTPUTF8=utf8)
    assert wire.say("MAIL FROM:<a@example.com> SIZE=99999999999") == ["250 OK"]


def test_options_are_in_upper_case_and_parameters_parsed(connect: Connect) -> None:
    class Handler(Keep):
        async def handle_MAIL(self, server: Any, session: Any, envelope: Any, *rest: Any) -> str:
            self.given = rest
            envelope.mail_from = rest[0]
            envelope.mail_options.extend(rest[1])
            return "250 OK"

    handler = Handler()
    wire = greeted(connect, handler, enable_SMTPUTF8=True)
    wire.say("MAIL FROM:<a@example.com>  body=8bitMime  Size=7 smtputf8")
    assert handler.given == ("a@example.com", ["BODY=8BITMIME", "SIZE=7", "SMTPUTF8"])
    wire.say("RCPT TO:<b@example.com>", "DATA", ".")
    envelope = handler.envelopes[0]
    assert envelope.mail_options == ["BODY=8BITMIME", "SIZE=7", "SMTPUTF8"]
    assert envelope.mail_parameters == {"BODY": "8BITMIME", "SIZE": 7, "SMTPUTF8": True}
    assert envelope.smtp_utf8 is True
    assert envelope.rcpt_options == []
    assert envelope.rcpt_parameters == [{}]


def test_options_without_a_hook(connect: Connect) -> None:
    handler = Keep()
    wire = greeted(connect, handler)
    wire.say("MAIL FROM:<a@example.com> body=7bit", "RCPT TO:<b@example.com>", "DATA", ".")
    assert handler.envelopes[0].mail_options == ["BODY=7BIT"]
    assert handler.envelopes[0].mail_parameters == {"BODY": "7BIT"}
    assert wire.server.envelope.mail_options == []
    assert wire.server.envelope.mail_parameters == {}


def test_a_sender_policy_is_asked_before_the_hook(connect: Connect) -> None:
    asked: list[Any] = []

    async def policy(server: Any, session: Any, envelope: Any, address: str) -> bool | str:
        asked.append((address, envelope.mail_parameters))
        return "550 5.7.1 no bounces" if address == "<>" else address == "anne@example.com"

    wire = greeted(connect, sender_policy=policy)
    assert wire.say("MAIL FROM:<> SIZE=3") == ["550 5.7.1 no bounces"]
    assert wire.say("MAIL FROM:<bart@example.com>")[0].startswith("553 5.7.1 ")
    assert wire.say("RCPT TO:<c@example.com>") == ["503 Error: need MAIL command"]
    assert wire.say("MAIL FROM:<anne@example.com>") == ["250 OK"]
    assert asked == [("<>", {"SIZE": 3}), ("bart@example.com", {}), ("anne@example.com", {})]


def test_smtputf8_of_a_mail_that_was_refused_is_forgotten(connect: Connect) -> None:
    class Handler(Keep):
        async def handle_MAIL(
            self, server: Any, session: Any, envelope: Any, address: str, options: Any
        ) -> str:
            if address == "no@example.com":
                return "550 no"
            envelope.mail_from = address
            return "250 OK"

    handler = Handler()
    wire = greeted(connect, handler, enable_SMTPUTF8=True)
    assert wire.say("MAIL FROM:<no@example.com> SMTPUTF8") == ["550 no"]
    assert wire.say("MAIL FROM:<a@example.com> SMTPUTF8 FOO") == [MAIL_UNKNOWN]
    wire.say("MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>", "DATA", ".")
    assert handler.envelopes[0].smtp_utf8 is False
    assert handler.envelopes[0].mail_parameters == {}


# -- an extension of one's own --------------------------------------------------------------------


class Dsn(Extension):
    """A part of RFC 3461."""

    name = "DSN"
    mail_parameters = frozenset({"ENVID"})
    rcpt_parameters = frozenset({"NOTIFY", "ORCPT"})
    longer: ClassVar[Mapping[str, int]] = {"RCPT": 500}
    checks = frozenset({"RCPT", "DATA"})

    def parse_mail(self, server: Any, keyword: str, value: str | None) -> str:
        if value is None:
            raise MalformedParameters
        return value

    def parse_rcpt(self, server: Any, keyword: str, value: str | None) -> Any:
        if keyword == "NOTIFY" and value is not None:
            return frozenset(value.upper().split(","))
        return super().parse_rcpt(server, keyword, value)

    def check(
        self, server: Any, verb: str, address: str | None, parameters: Mapping[str, Any]
    ) -> None:
        if "NEVER" in parameters.get("NOTIFY", ()) or address == "postmaster":
            raise ProtocolError(reply=Reply(550, "5.7.1", "always"))
        if verb == "DATA" and len(server.envelope.rcpt_tos) > 3:
            raise ProtocolError(reply=Reply(554, "5.5.0", "too many"))

    @syntax("NAP [minutes]")
    async def smtp_NAP(self, server: Any, arg: str | None) -> None:
        await server.push(f"250 {server.session.host_name} naps {arg}")

    async def smtp_NOOP(self, server: Any, arg: str | None) -> None:
        raise AssertionError("the server's own goes first")

    async def smtp_HIDDEN(self, server: Any, arg: str | None) -> None:
        await server.push("250 not in HELP")


class DsnServer(SMTP):
    extensions = (*SMTP.extensions, Dsn())


def test_an_extension_is_offered(connect: Connect) -> None:
    lines = connect(cls=DsnServer).ehlo()
    assert lines[-2:] == ["HELP", "DSN"]


def test_a_verb_of_an_extension(connect: Connect) -> None:
    wire = greeted(connect, cls=DsnServer)
    assert wire.say("nap 10", "NOOP", "HIDDEN", "HELP NAP") == [
        "250 client.example naps 10",
        "250 OK",
        "250 not in HELP",
        "250 Syntax: NAP [minutes]",
    ]
    assert wire.say("HELP")[0].endswith("MAIL NAP NOOP QUIT RCPT RSET VRFY")
    assert wire.say("HELP HIDDEN")[0].startswith("501 ")


def test_a_hook_sees_the_parameters_of_its_command(connect: Connect) -> None:
    class Handler(Keep):
        async def handle_RCPT(
            self, server: Any, session: Any, envelope: Any, address: str, options: Any
        ) -> str:
            envelope.rcpt_tos.append(address)
            return f"250 {dict(server.parameters)}"

    wire = greeted(connect, Handler(), cls=DsnServer)
    assert wire.say(
        "MAIL FROM:<a@example.com> ENVID=x",
        "RCPT TO:<b@example.com>",
        "RCPT TO:<c@example.com> ORCPT=Anne",
    ) == ["250 OK", "250 {}", "250 {'ORCPT': 'Anne'}"]


def test_extensions_of_the_constructor_replace_the_default(connect: Connect) -> None:
    wire = connect(extensions=[Dsn()])
    assert wire.ehlo()[1:] == ["DSN"]
    assert wire.say("MAIL FROM:<a@example.com> SIZE=1") == [MAIL_UNKNOWN]
    assert connect(extensions=[]).ehlo()[1:] == []


class Loud(Extension):
    """Every reply in capitals, with the verb."""

    name = "X-LOUD"

    def filter_reply(self, server: Any, verb: str, status: str | bytes) -> str | bytes:
        assert isinstance(status, str)
        return f"{status} ({verb})".upper()


def test_an_extension_that_filters_replies(connect: Connect) -> None:
    wire = connect(extensions=[Loud()])
    assert wire.say("NOOP", "foo", "EHLO c.example") == [
        "250 OK (NOOP)",
        '500 ERROR: COMMAND "FOO" NOT RECOGNIZED (FOO)',
        "250-MX.EXAMPLE",
        "250 X-LOUD (EHLO)",
    ]


def test_parameters_of_an_extension(connect: Connect) -> None:
    handler = Keep()
    wire = greeted(connect, handler, cls=DsnServer)
    assert wire.say("MAIL FROM:<a@example.com> ENVID", "MAIL FROM:<a@example.com> NOTIFY=x") == [
        MAIL_SYNTAX,
        MAIL_UNKNOWN,
    ]
    assert wire.say("MAIL FROM:<a@example.com> envid=QQ314159") == ["250 OK"]
    assert wire.say(
        "RCPT TO:<b@example.com> NOTIFY=Success,Failure ORCPT=rfc822;B@example.com",
        "RCPT TO:<c@example.com> NOTIFY=NEVER",
        "RCPT TO:<c@example.com> ENVID=x",
        "RCPT TO:<d@example.com>",
        "RCPT TO:<e@example.com> orcpt=x",
        "RCPT TO:<Postmaster> ORCPT=y",
        "RCPT TO:<postmaster>",
    ) == [
        "250 OK",
        "550 5.7.1 always",
        RCPT_UNKNOWN,
        "250 OK",
        "250 OK",
        "250 OK",
        "550 5.7.1 always",
    ]
    assert wire.say("DATA", "RSET") == ["554 5.5.0 too many", "250 OK"]
    wire.say("MAIL FROM:<a@example.com> envid=QQ314159")
    wire.say(
        "RCPT TO:<b@example.com> NOTIFY=Success,Failure ORCPT=rfc822;B@example.com",
        "RCPT TO:<d@example.com>",
        "RCPT TO:<e@example.com> orcpt=x",
    )
    wire.say("DATA", ".")
    envelope = handler.envelopes[0]
    assert envelope.mail_options == ["ENVID=QQ314159"]
    assert envelope.mail_parameters == {"ENVID": "QQ314159"}
    assert envelope.rcpt_tos == ["b@example.com", "d@example.com", "e@example.com"]
    # Flat and in upper case, as in 1.4; and parsed, one dict a recipient.
    assert envelope.rcpt_options == [
        "NOTIFY=SUCCESS,FAILURE",
        "ORCPT=RFC822;B@EXAMPLE.COM",
        "ORCPT=X",
    ]
    assert envelope.rcpt_parameters == [
        {"NOTIFY": frozenset({"SUCCESS", "FAILURE"}), "ORCPT": "rfc822;B@example.com"},
        {},
        {"ORCPT": "x"},
    ]


def test_an_extension_may_make_commands_longer(connect: Connect) -> None:
    wire = greeted(connect, cls=DsnServer)
    wire.say("MAIL FROM:<>")
    command = "RCPT TO:<b@example.com> ORCPT="
    assert wire.say(command + "x" * (1012 - len(command))) == ["250 OK"]
    assert wire.say(command + "x" * (1013 - len(command))) == [COMMAND_TOO_LONG]


# -- text that is not ASCII -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        "HELO é",
        "EHLO é",
        "NOOP é",
        "VRFY é@example.com",
        "HELP é",
        "QUIT é",
        "AUTH é",
        "FOO é",
        "MAIL FROM:<é@example.com>",
        "MAIL FROM:<é@example.com> SMTPUTF8",
        b"MAIL FROM:<\xff@example.com>",
        b"NOOP \xc3",
    ],
)
def test_commands_that_are_not_ascii(connect: Connect, command: str | bytes) -> None:
    wire = greeted(connect)
    assert wire.say(command, "NOOP") == ["500 Error: strict ASCII mode", "250 OK"]


def test_addresses_that_are_not_ascii(connect: Connect) -> None:
    handler = Keep()
    wire = greeted(connect, handler, enable_SMTPUTF8=True)
    assert wire.say("MAIL FROM:<é@exämple.com> SMTPUTF8", "RCPT TO:<用户@例子.广告>", "DATA")[
        :2
    ] == [
        "250 OK",
        "250 OK",
    ]
    assert wire.say("Subject: é", ".") == ["250 kept"]
    envelope = handler.envelopes[0]
    assert envelope.mail_from == "é@exämple.com"
    assert envelope.rcpt_tos == ["用户@例子.广告"]
    assert envelope.content == "Subject: é\r\n".encode()


def test_octets_that_are_no_utf8(connect: Connect) -> None:
    wire = greeted(connect, enable_SMTPUTF8=True)
    assert wire.say(b"MAIL FROM:<\xff@example.com>") == [MALFORMED]
    assert wire.say("MAIL FROM:<>", b"RCPT TO:<\xc3@example.com>") == ["250 OK", MALFORMED]
    assert wire.say(b"NOOP \xff", b"HELO \xff") == ["250 OK", "250 mx.example"]
    assert wire.say(b"VRFY \xff") == ["502 Could not VRFY \\udcff"]
    assert wire.say(b"FOO \xff") == ['500 Error: command "FOO" not recognized']


def test_smtputf8_takes_no_value(connect: Connect) -> None:
    wire = greeted(connect, enable_SMTPUTF8=True)
    assert wire.say("MAIL FROM:<a@example.com> SMTPUTF8=1") == [
        "501 Error: SMTPUTF8 takes no arguments"
    ]
    assert wire.server.envelope.smtp_utf8 is False


# -- content --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "content"),
    [
        (b"", b""),
        (b"Hello\r\n", b"Hello\r\n"),
        (b"\r\n", b"\r\n"),
        (b"..\r\n", b".\r\n"),
        (b"..a\r\nb\r\n..c\r\n", b".a\r\nb\r\n.c\r\n"),
        (b"a.b\r\n", b"a.b\r\n"),
        (b"a\n.\nb\r\n", b"a\n.\nb\r\n"),
        (b"a\r.\rb\r\n", b"a\r.\rb\r\n"),
        (b"a\n.\r\nb\r\n", b"a\n.\r\nb\r\n"),
        (b"a\r\n.\nb\r\n", b"a\r\n\nb\r\n"),
        (b"\xff\x00\x80\r\n", b"\xff\x00\x80\r\n"),
        (b"NOOP\r\nQUIT\r\n", b"NOOP\r\nQUIT\r\n"),
    ],
)
def test_content_is_what_was_sent(connect: Connect, sent: bytes, content: bytes) -> None:
    handler = Keep()
    wire = connect(handler)
    wire.to_data()
    wire.send(sent + b".\r\nNOOP\r\n")
    assert wire.heard() == ["250 kept", "250 OK"]
    assert handler.contents == [content]
    assert handler.envelopes[0].original_content == content


def test_content_octet_by_octet(connect: Connect) -> None:
    handler = Keep()
    wire = connect(handler)
    wire.to_data()
    for octet in b"..Hello\r\n.\r\n":
        wire.send(bytes([octet]))
    assert wire.heard() == ["250 kept"]
    assert handler.contents == [b".Hello\r\n"]


@pytest.mark.parametrize("utf8", [False, True])
@pytest.mark.parametrize("octets", [b"plain", "é".encode(), b"\xff"])
def test_content_is_octets_unless_it_is_to_be_decoded(
    connect: Connect, utf8: bool, octets: bytes
) -> None:
    handler = Keep()
    wire = connect(handler, enable_SMTPUTF8=utf8)
    wire.to_data()
    assert wire.say(octets, ".") == ["250 kept"]
    assert handler.contents == [octets + b"\r\n"]


@pytest.mark.parametrize(
    ("octets", "utf8", "content"),
    [
        (b"plain", False, "plain\r\n"),
        (b"plain", True, "plain\r\n"),
        ("é".encode(), True, "é\r\n"),
        (b"\xff", True, "\udcff\r\n"),
        ("é".encode(), False, None),
        (b"\xff", False, None),
    ],
)
def test_content_that_is_to_be_decoded(
    connect: Connect, octets: bytes, utf8: bool, content: str | None
) -> None:
    handler = Keep()
    wire = connect(handler, decode_data=True, enable_SMTPUTF8=utf8)
    wire.to_data()
    reply = "250 kept" if content is not None else "500 Error: strict ASCII mode"
    assert wire.say(octets, ".") == [reply]
    assert handler.contents == ([] if content is None else [content])
    for envelope in handler.envelopes:
        assert envelope.original_content == octets + b"\r\n"
    assert wire.say("MAIL FROM:<a@example.com>") == ["250 OK"]


def test_8bitmime_is_not_for_content_that_is_decoded(connect: Connect) -> None:
    wire = greeted(connect, decode_data=True)
    assert wire.say("MAIL FROM:<a@example.com> BODY=8BITMIME") == [MAIL_UNKNOWN]


def test_an_envelope_serves_one_transaction(connect: Connect) -> None:
    handler = Keep()
    wire = connect(handler)
    for number in range(3):
        wire.to_data(f"user{number}@example.com")
        wire.say(f"{number}", ".")
    assert [envelope.rcpt_tos for envelope in handler.envelopes] == [
        [f"user{number}@example.com"] for number in range(3)
    ]
    assert handler.contents == [b"0\r\n", b"1\r\n", b"2\r\n"]
    assert wire.server.envelope.content is None


# -- limits on content ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "reply"),
    [
        (b"x" * 98 + b"\r\n", "250 kept"),
        (b"x" * 99 + b"\r\n", TOO_MUCH),
        (b"x\r\n" * 33 + b"\r", "250 kept"),
        (b"x\r\n" * 34, TOO_MUCH),
        (b".." + b"x" * 97 + b"\r\n", "250 kept"),
        (b".." + b"x" * 98 + b"\r\n", TOO_MUCH),
        (b"x" * 5000 + b"\r\n", TOO_MUCH),
    ],
)
def test_data_size_limit(connect: Connect, sent: bytes, reply: str) -> None:
    handler = Keep()
    wire = connect(handler, data_size_limit=100)
    wire.to_data()
    if sent.endswith(b"\r"):
        sent = sent[:-1]
    wire.send(sent + b".\r\n")
    assert wire.heard() == [reply]
    assert len(handler.contents) == (1 if reply == "250 kept" else 0)


@pytest.mark.parametrize("limit", [None, 0])
def test_no_data_size_limit(connect: Connect, limit: int | None) -> None:
    handler = Keep()
    wire = connect(handler, data_size_limit=limit)
    wire.to_data()
    for _ in range(40):
        wire.send(b"x" * 998 + b"\r\n" + b"y" * 998 + b"\r\n")
    assert wire.say(".") == ["250 kept"]
    assert len(handler.contents[0]) == 80_000


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"x" * 999, "250 kept"),
        (b"x" * 1000, LINE_TOO_LONG),
        (b".." + b"x" * 998, "250 kept"),
        (b".." + b"x" * 999, LINE_TOO_LONG),
        (b"x" * 70_000, LINE_TOO_LONG),
    ],
)
@pytest.mark.parametrize("before", [b"", b"y\r\n", b"\r\n" * 1000])
def test_line_length_limit(connect: Connect, before: bytes, line: bytes, reply: str) -> None:
    handler = Keep()
    wire = connect(handler)
    wire.to_data()
    assert wire.say(before + line, ".") == [reply]


def test_line_length_limit_of_a_subclass(connect: Connect) -> None:
    class Server(SMTP):
        line_length_limit = 2**16

    wire = connect(Keep(), cls=Server)
    wire.to_data()
    assert wire.say(b"x" * (2**16 - 2), ".") == ["250 kept"]
    wire.to_data()
    assert wire.say(b"x" * (2**16 - 1), ".") == [LINE_TOO_LONG]


@pytest.mark.parametrize("fault", [b"x" * 1100, b"y\r\n" * 700])
def test_the_rest_of_a_body_that_is_refused_becomes_no_command(
    connect: Connect, fault: bytes
) -> None:
    handler = Keep()
    wire = connect(handler, data_size_limit=2000)
    wire.to_data()
    wire.send(fault)
    assert wire.heard() == []
    wire.send(b"\r\nQUIT\r\nNOOP\r\n.\nNOOP\r\n..\r\n")
    assert wire.heard() == []
    wire.send(b".\r\nNOOP\r\n")
    assert wire.heard() == [TOO_MUCH if fault.startswith(b"y") else LINE_TOO_LONG, "250 OK"]
    assert handler.contents == []
    # The transaction is over.
    assert wire.say("RCPT TO:<b@example.com>") == ["503 Error: need MAIL command"]
    wire.to_data()
    assert wire.say("good", ".") == ["250 kept"]


def test_a_refused_body_is_not_kept(connect: Connect) -> None:
    wire = connect(data_size_limit=1000)
    wire.to_data()
    for _ in range(100):
        wire.send(b"x" * 10_000)
        assert len(wire.server._connection.buffer) < 10
    assert wire.say("", ".") == [TOO_MUCH]


# -- limits on commands ---------------------------------------------------------------------------


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_command_size_limit(connect: Connect, end: bytes) -> None:
    wire = connect()
    wire.send(b"NOOP " + b"x" * 507 + end)
    assert wire.heard() == ["250 OK"]
    wire.send(b"NOOP " + b"x" * 508 + end)
    assert wire.heard() == [COMMAND_TOO_LONG]
    for _ in range(30):
        wire.send(b"x" * 1000)
        assert len(wire.server._connection.buffer) <= 13_000
    wire.send(end + b"NOOP" + end)
    assert wire.heard() == [COMMAND_TOO_LONG, "250 OK"]


def mail_of_size(size: int) -> str:
    return "MAIL FROM:<a@" + "b" * (size - 14) + ">"


def test_the_limit_of_mail_grows_with_ehlo(connect: Connect) -> None:
    wire = connect()
    wire.say("HELO client.example")
    assert wire.say(mail_of_size(512)) == [MALFORMED]  # which is not "too long"
    assert wire.say(mail_of_size(513)) == [COMMAND_TOO_LONG]
    for _ in range(3):
        wire.ehlo()
    # RFC 1870: 26, RFC 6152: 17, RFC 6531: 10, RFC 4954: 500.
    assert wire.say(mail_of_size(512 + 26 + 17 + 10 + 500)) == [MALFORMED]
    assert wire.say(mail_of_size(513 + 26 + 17 + 10 + 500)) == [COMMAND_TOO_LONG]
    assert wire.say("RCPT " + "x" * 508) == [COMMAND_TOO_LONG]
    wire.say("HELO client.example")
    assert wire.say(mail_of_size(513)) == [COMMAND_TOO_LONG]


def test_the_limit_of_one_connection_is_not_that_of_another(connect: Connect) -> None:
    connect().ehlo()
    assert connect().say("HELO client.example", mail_of_size(513)) == [
        "250 mx.example",
        COMMAND_TOO_LONG,
    ]
    assert not SMTP.command_size_limits


def test_command_size_limits_of_a_subclass(connect: Connect) -> None:
    class Server(SMTP):
        command_size_limit = 100
        command_size_limits: ClassVar[dict[str, int]] = {"NOOP": 20, "VRFY": 1000}

    wire = connect(cls=Server)
    assert wire.say("NOOP " + "x" * 15, "NOOP " + "x" * 16) == ["250 OK", COMMAND_TOO_LONG]
    assert wire.say("VRFY " + "x" * 995)[0].startswith("252")
    assert wire.say("VRFY " + "x" * 996) == [COMMAND_TOO_LONG]
    assert wire.say("HELP " + "x" * 95)[0].startswith("501")
    assert wire.say("HELP " + "x" * 96) == [COMMAND_TOO_LONG]
    assert wire.server.max_command_size_limit == 1000


def test_command_size_limits_may_be_added_to(connect: Connect) -> None:
    class Server(SMTP):
        command_size_limits = SMTP.command_size_limits.copy()

    Server.command_size_limits["NOOP"] += 8
    wire = connect(cls=Server)
    assert wire.say("NOOP " + "x" * 515, "NOOP " + "x" * 516) == ["250 OK", COMMAND_TOO_LONG]
    assert wire.say("HELP " + "x" * 508) == [COMMAND_TOO_LONG]
    assert SMTP.command_size_limit == 512


def test_local_part_limit(connect: Connect) -> None:
    class Server(SMTP):
        local_part_limit = 4

    wire = greeted(connect, cls=Server, enable_SMTPUTF8=True)
    assert wire.say("VRFY abcde@example.com") == ["502 Could not VRFY abcde@example.com"]
    assert (
        wire.say("MAIL FROM:<abcde@example.com>", "MAIL FROM:<ééé@example.com>") == [MALFORMED] * 2
    )
    assert wire.say("MAIL FROM:<éé@example.com>") == ["250 OK"]
    assert wire.say("RCPT TO:<abcde@example.com>", "RCPT TO:<abcd@example.com>") == [
        MALFORMED,
        "250 OK",
    ]


def test_no_local_part_limit(connect: Connect) -> None:
    wire = greeted(connect)
    assert wire.say("MAIL FROM:<" + "a" * 400 + "@example.com>") == ["250 OK"]


# -- pipelining (RFC 2920) ------------------------------------------------------------------------


def test_a_pipelined_transaction(connect: Connect) -> None:
    handler = Keep()
    wire = connect(handler)
    told = wire.say(
        "EHLO client.example",
        "MAIL FROM:<a@example.com>",
        "RCPT TO:<b@example.com>",
        "RCPT TO:<@>",
        "DATA",
        "Hello",
        ".",
        "MAIL FROM:<c@example.com>",
        "QUIT",
        "NOOP",
    )
    assert told[-7:] == [
        "250 OK",
        "250 OK",
        MALFORMED,
        "354 End data with <CR><LF>.<CR><LF>",
        "250 kept",
        "250 OK",
        "221 Bye",
    ]
    assert handler.contents == [b"Hello\r\n"]
    assert wire.over


def test_replies_to_a_group_leave_together(connect: Connect) -> None:
    wire = greeted(connect)
    wire.say("MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>", "RCPT TO:<c@example.com>")
    assert wire.transport.record[-1] == ("S", b"250 OK\r\n" * 3)


def test_a_client_that_pipelines_for_ever_is_answered_all_the_same(connect: Connect) -> None:
    wire = connect()
    assert wire.say(*["NOOP"] * 5000) == ["250 OK"] * 5000


def test_a_body_right_behind_data_that_is_refused_is_commands(connect: Connect) -> None:
    # The client may not send a body before 354; one that does is answered line by line.
    wire = greeted(connect)
    assert wire.say("DATA", "NOOP", ".") == [
        "503 Error: need RCPT command",
        "250 OK",
        '500 Error: command "." not recognized',
    ]
