"""The verbs outside a transaction, and what may come before them: texts, gates, limits on the number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from aiosmtpd import __version__
from aiosmtpd.smtp import CALL_LIMIT_DEFAULT, SMTP, syntax

if TYPE_CHECKING:
    from tests.unit.conftest import Connect

    from aiosmtpd.session import Envelope, Session

ALL_VERBS = "AUTH DATA EHLO HELO HELP MAIL NOOP QUIT RCPT RSET VRFY"
CANNOT_VRFY = "252 Cannot VRFY user, but will accept message and attempt delivery"


# -- the greeting ---------------------------------------------------------------------------------


def test_greeting(connect: Connect) -> None:
    assert connect().greeting == [f"220 mx.example Python SMTP {__version__}"]


def test_greeting_with_an_ident_of_ones_own(connect: Connect) -> None:
    wire = connect(ident="Nobody 1.0")
    assert wire.greeting == ["220 mx.example Nobody 1.0"]
    assert wire.server.__ident__ == "Nobody 1.0"


def test_ident_may_be_changed_by_a_subclass(connect: Connect) -> None:
    class Server(SMTP):
        def __init__(self, handler: Any, **arguments: Any) -> None:
            super().__init__(handler, **arguments)
            self.__ident__ = "Changed"

    assert connect(cls=Server).greeting == ["220 mx.example Changed"]


def test_hostname_is_the_machines_own_unless_told(connect: Connect) -> None:
    wire = connect(hostname=None)
    assert wire.server.hostname
    assert wire.greeting[0].startswith(f"220 {wire.server.hostname} Python SMTP")


# -- HELO and EHLO --------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["HELO", "helo", "Helo"])
def test_helo(connect: Connect, verb: str) -> None:
    wire = connect()
    assert wire.say(f"{verb} client.example") == ["250 mx.example"]
    assert wire.server.session.host_name == "client.example"
    assert wire.server.session.extended_smtp is False


def test_ehlo(connect: Connect) -> None:
    wire = connect()
    assert wire.say("EHLO client.example") == [
        "250-mx.example",
        "250-SIZE 33554432",
        "250-8BITMIME",
        "250-PIPELINING",
        "250-CHUNKING",
        "250 HELP",
    ]
    assert wire.server.session.host_name == "client.example"
    assert wire.server.session.extended_smtp is True


@pytest.mark.parametrize(
    ("arguments", "offered", "missing"),
    [
        ({"enable_SMTPUTF8": True}, "SMTPUTF8", None),
        ({}, None, "SMTPUTF8"),
        ({"decode_data": True}, None, "8BITMIME"),
        ({"data_size_limit": 1000}, "SIZE 1000", None),
        ({"data_size_limit": None}, None, "SIZE"),
        ({"data_size_limit": 0}, None, "SIZE"),
        ({}, None, "STARTTLS"),
        ({}, None, "AUTH"),
    ],
)
def test_what_ehlo_offers(
    connect: Connect, arguments: dict[str, Any], offered: str | None, missing: str | None
) -> None:
    lines = connect(**arguments).ehlo()
    assert lines[0] == "mx.example"
    assert lines[-1] == "HELP"
    assert offered is None or offered in lines
    assert missing is None or missing not in {line.split(" ")[0] for line in lines}


@pytest.mark.parametrize("verb", ["HELO", "EHLO"])
def test_greeting_without_a_name(connect: Connect, verb: str) -> None:
    wire = connect()
    assert wire.say(verb, f"{verb}  ") == [f"501 Syntax: {verb} hostname"] * 2
    assert wire.server.session.host_name is None


def test_the_name_of_a_client_is_kept_as_it_is(connect: Connect) -> None:
    wire = connect()
    wire.say("HELO  two  words ")
    assert wire.server.session.host_name == "two  words"


@pytest.mark.parametrize("verb", ["HELO", "EHLO"])
def test_a_second_greeting_acts_as_rset(connect: Connect, verb: str) -> None:
    wire = connect()
    wire.ehlo()
    wire.say("MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>")
    assert wire.say(f"{verb} other.example")[0].startswith("250")
    assert wire.server.envelope.mail_from is None
    assert wire.server.envelope.rcpt_tos == []
    assert wire.server.session.host_name == "other.example"
    assert wire.say("RCPT TO:<b@example.com>") == ["503 Error: need MAIL command"]


def test_helo_after_ehlo_ends_extended_smtp(connect: Connect) -> None:
    wire = connect()
    wire.ehlo()
    wire.say("HELO client.example")
    assert wire.server.session.extended_smtp is False
    assert wire.say("MAIL FROM:<a@example.com> SIZE=1") == ["501 Syntax: MAIL FROM: <address>"]


# -- what must come first -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        "MAIL",
        "MAIL FROM:<a@example.com>",
        "MAIL nonsense",
        "RCPT",
        "RCPT TO:<a@b>",
        "DATA",
        "DATA x",
    ],
)
def test_no_mail_before_a_greeting(connect: Connect, command: str) -> None:
    assert connect().say(command) == ["503 Error: send HELO first"]


@pytest.mark.parametrize("command", ["AUTH", "AUTH PLAIN", "AUTH PLAIN x y"])
def test_no_auth_before_a_greeting(connect: Connect, command: str) -> None:
    assert connect().say(command) == ["503 Error: send EHLO first"]


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("RSET", "250 OK"),
        ("NOOP", "250 OK"),
        ("VRFY a@example.com", CANNOT_VRFY),
        ("EXPN list", "502 EXPN not implemented"),
        ("HELP", f"250 Supported commands: {ALL_VERBS}"),
        ("STARTTLS", "454 TLS not available"),
        ("QUIT", "221 Bye"),
    ],
)
def test_what_may_come_before_a_greeting(connect: Connect, command: str, reply: str) -> None:
    assert connect().say(command) == [reply]


@pytest.mark.parametrize(
    "command", ["MAIL FROM:<a@b>", "MAIL", "RCPT TO:<a@b>", "DATA", "VRFY x", "HELP", "HELP MAIL"]
)
def test_what_needs_auth(connect: Connect, command: str) -> None:
    wire = connect(auth_required=True)
    wire.ehlo()
    assert wire.say(command) == ["530 5.7.0 Authentication required"]


@pytest.mark.parametrize("command", ["NOOP", "RSET", "EXPN x", "EHLO again", "STARTTLS", "QUIT"])
def test_what_needs_no_auth(connect: Connect, command: str) -> None:
    wire = connect(auth_required=True)
    wire.ehlo()
    assert not wire.say(command)[0].startswith("530")


def test_the_greeting_is_asked_for_before_auth(connect: Connect) -> None:
    assert connect(auth_required=True).say("MAIL FROM:<a@b>") == ["503 Error: send HELO first"]


def test_the_checks_may_be_overridden(connect: Connect) -> None:
    class Trusting(SMTP):
        async def check_helo_needed(self, helo: str = "HELO") -> bool:
            return False

        async def check_auth_needed(self, caller_method: str) -> bool:
            return False

    wire = connect(cls=Trusting, auth_required=True)
    told = wire.say("MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>", "DATA")
    assert [line[:3] for line in told] == ["250", "250", "354"]
    assert wire.say("x", ".") == ["250 OK"]


def test_the_checks_may_be_set_on_the_server(connect: Connect) -> None:
    async def trust(_: str = "HELO") -> bool:
        return False

    wire = connect(auth_required=True)
    vars(wire.server).update(check_helo_needed=trust, check_auth_needed=trust)
    told = wire.say("MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>", "DATA")
    assert [line[:3] for line in told] == ["250", "250", "354"]

    async def refuse(_: str = "HELO") -> bool:
        await wire.server.push("550 not you")
        return True

    wire = connect()
    wire.ehlo()
    vars(wire.server).update(check_auth_needed=refuse)
    assert wire.say("MAIL FROM:<a@example.com>") == ["550 not you"]


# -- NOOP, RSET, QUIT, VRFY, EXPN -----------------------------------------------------------------


def test_noop_takes_anything(connect: Connect) -> None:
    assert connect().say("NOOP", "noop", "NOOP some thing") == ["250 OK"] * 3


def test_rset_takes_nothing(connect: Connect) -> None:
    wire = connect()
    wire.ehlo()
    wire.say("MAIL FROM:<a@example.com>")
    assert wire.say("RSET x") == ["501 Syntax: RSET"]
    assert wire.server.envelope.mail_from == "a@example.com"
    assert wire.say("RSET") == ["250 OK"]
    assert wire.server.envelope.mail_from is None
    assert wire.server.session.host_name == "client.example"


def test_quit_takes_nothing(connect: Connect) -> None:
    wire = connect()
    assert wire.say("QUIT now") == ["501 Syntax: QUIT"]
    assert wire.open
    assert wire.say("QUIT", "NOOP") == ["221 Bye"]
    assert wire.over


@pytest.mark.parametrize(
    ("argument", "reply"),
    [
        ("", "501 Syntax: VRFY <address>"),
        (" a@example.com", CANNOT_VRFY),
        (" <a@example.com>", CANNOT_VRFY),
        (" somebody", CANNOT_VRFY),
        (" Some Body", CANNOT_VRFY),
        (" @example.com", "502 Could not VRFY @example.com"),
        (" a@", "502 Could not VRFY a@"),
    ],
)
def test_vrfy(connect: Connect, argument: str, reply: str) -> None:
    assert connect().say(f"VRFY{argument}") == [reply]


def test_expn_is_not_implemented(connect: Connect) -> None:
    assert connect().say("EXPN", "EXPN list") == ["502 EXPN not implemented"] * 2


# -- HELP -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "text"),
    [
        ("AUTH", "AUTH <mechanism>"),
        ("DATA", "DATA"),
        ("EHLO", "EHLO hostname"),
        ("HELO", "HELO hostname"),
        ("HELP", "HELP [command]"),
        ("MAIL", "MAIL FROM: <address>"),
        ("NOOP", "NOOP [ignored]"),
        ("QUIT", "QUIT"),
        ("RCPT", "RCPT TO: <address>"),
        ("RSET", "RSET"),
        ("VRFY", "VRFY <address>"),
        ("vrfy", "VRFY <address>"),
    ],
)
def test_help_on_a_verb(connect: Connect, verb: str, text: str) -> None:
    assert connect().say(f"HELP {verb}") == [f"250 Syntax: {text}"]


@pytest.mark.parametrize(
    ("verb", "text"), [("MAIL", "MAIL FROM: <address>"), ("RCPT", "RCPT TO: <address>")]
)
def test_help_tells_of_parameters_where_there_are_any(
    connect: Connect, verb: str, text: str
) -> None:
    wire = connect()
    wire.say("HELO client.example")
    assert wire.say(f"HELP {verb}") == [f"250 Syntax: {text}"]
    wire.ehlo()
    assert wire.say(f"HELP {verb}") == [f"250 Syntax: {text} [SP <mail-parameters>]"]


@pytest.mark.parametrize("verb", ["FOO", "EXPN", "STARTTLS", "MAIL x", "é"])
def test_help_on_what_there_is_not(connect: Connect, verb: str) -> None:
    wire = connect(enable_SMTPUTF8=True)
    assert wire.say(f"HELP {verb}") == [f"501 Supported commands: {ALL_VERBS}"]


class Extended(SMTP):
    offers_ping = True

    @syntax("PING [ignored]", extended=" [SP more]", when="offers_ping")
    async def smtp_PING(self, arg: str | None) -> None:
        await self.push(f"259 Pong {arg!r}")

    async def smtp_HIDDEN(self, arg: str | None) -> None:
        await self.push("259 here")


def test_a_verb_of_a_subclass(connect: Connect) -> None:
    wire = connect(cls=Extended)
    assert wire.say("PING", "ping  pong ", "hidden") == [
        "259 Pong None",
        "259 Pong 'pong'",
        "259 here",
    ]
    assert wire.say("HELP") == [
        "250 Supported commands: AUTH DATA EHLO HELO HELP MAIL NOOP PING QUIT RCPT RSET VRFY"
    ]
    assert wire.say("HELP PING") == ["250 Syntax: PING [ignored]"]
    assert wire.say("HELP HIDDEN")[0].startswith("501 Supported commands: ")
    wire.ehlo()
    assert wire.say("HELP PING") == ["250 Syntax: PING [ignored] [SP more]"]


def test_a_verb_that_is_shown_under_a_condition(connect: Connect) -> None:
    wire = connect(cls=Extended)
    wire.server.offers_ping = False  # type: ignore[attr-defined]
    assert wire.say("HELP") == [f"250 Supported commands: {ALL_VERBS}"]
    assert wire.say("HELP PING") == [f"501 Supported commands: {ALL_VERBS}"]
    assert wire.say("PING") == ["259 Pong None"]


# -- what nobody knows ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("FOO", '500 Error: command "FOO" not recognized'),
        ("foo bar", '500 Error: command "FOO" not recognized'),
        (" MAIL", '500 Error: command "" not recognized'),
        ("LHLO x", '500 Error: command "LHLO" not recognized'),
        ("BURL x LAST", '500 Error: command "BURL" not recognized'),
        ("", "500 Error: bad syntax"),
        (b"\xff", "500 Error: bad syntax"),
        (b"no\x00op", "500 Error: bad syntax"),
        (b"n\xc3\xb6\xc3\xb6p", "500 Error: bad syntax"),
    ],
)
def test_unknown_commands(connect: Connect, command: str | bytes, reply: str) -> None:
    wire = connect()
    assert wire.say(command) == [reply]
    assert wire.say("NOOP") == ["250 OK"]


def test_too_many_unknown_commands(connect: Connect) -> None:
    wire = connect()
    for _ in range(4):
        assert wire.say("FOO") == ['500 Error: command "FOO" not recognized']
        assert wire.say("NOOP") == ["250 OK"]
    assert wire.say("FOO", "NOOP") == ["502 5.5.1 Too many unrecognized commands, goodbye."]
    assert wire.over


def test_bad_syntax_is_no_unknown_command(connect: Connect) -> None:
    wire = connect()
    assert wire.say(*[""] * 10) == ["500 Error: bad syntax"] * 10
    assert wire.say("MAIL", "HELO", "VRFY")[-1] == "501 Syntax: VRFY <address>"
    assert wire.open


# -- how often ------------------------------------------------------------------------------------


def test_call_limit_for_all(connect: Connect) -> None:
    wire = connect(command_call_limit=2)
    assert wire.say("NOOP", "noop", "RSET", "RSET") == ["250 OK"] * 4
    assert wire.say("NOOP x", "RSET") == ["421 4.7.0 NOOP sent too many times"]
    assert wire.over


def test_call_limit_by_verb(connect: Connect) -> None:
    wire = connect(command_call_limit={"NOOP": 1, "*": 3})
    assert wire.say(*["RSET"] * 3) == ["250 OK"] * 3
    assert wire.say("NOOP", "NOOP") == ["250 OK", "421 4.7.0 NOOP sent too many times"]
    assert wire.over


def test_call_limit_of_verbs_that_are_not_named(connect: Connect) -> None:
    wire = connect(command_call_limit={"NOOP": 30})
    assert wire.say(*["NOOP"] * 30) == ["250 OK"] * 30
    assert wire.say(*["RSET"] * (CALL_LIMIT_DEFAULT + 1)) == [
        *["250 OK"] * CALL_LIMIT_DEFAULT,
        "421 4.7.0 RSET sent too many times",
    ]


def test_no_call_limit(connect: Connect) -> None:
    wire = connect()
    assert wire.say(*["NOOP"] * 200) == ["250 OK"] * 200


def test_call_limits_are_those_of_one_connection(connect: Connect) -> None:
    for _ in range(2):
        assert connect(command_call_limit=1).say("NOOP") == ["250 OK"]


@pytest.mark.parametrize("limit", ["5", 5.0, [5], {"NOOP": "5"}, {"NOOP": 5.0}, {"*": None}])
def test_call_limits_of_another_type(limit: Any) -> None:
    with pytest.raises(TypeError):
        SMTP(None, command_call_limit=limit)


# -- subclasses and their objects -----------------------------------------------------------------


def test_session_and_envelope_of_ones_own(connect: Connect) -> None:
    class Server(SMTP):
        def _create_session(self) -> Session:
            session = super()._create_session()
            session.mark = "session"  # type: ignore[attr-defined]
            return session

        def _create_envelope(self) -> Envelope:
            envelope = super()._create_envelope()
            envelope.mark = "envelope"  # type: ignore[attr-defined]
            return envelope

    wire = connect(cls=Server)
    first = wire.server.envelope
    wire.ehlo()
    assert wire.server.session.mark == "session"  # type: ignore[attr-defined]
    assert wire.server.envelope.mark == "envelope"  # type: ignore[attr-defined]
    assert wire.server.envelope is not first


def test_a_push_that_is_overridden_sees_every_line(connect: Connect) -> None:
    seen: list[str | bytes] = []

    class Server(SMTP):
        async def push(self, status: str | bytes) -> None:
            seen.append(status)
            await super().push(status)

    wire = connect(cls=Server)
    lines = wire.say("EHLO client.example")
    assert seen[1:] == lines
    assert len(lines) > 3


def test_a_verb_that_reads_and_writes_by_itself(connect: Connect) -> None:
    class Server(SMTP):
        async def smtp_TALK(self, arg: str | None) -> None:
            await self.push("354 go on")
            line = await self._reader.readline()
            rest = await self._reader.readexactly(3)
            self._writer.write(b"250 " + line.strip() + b" and " + rest + b"\r\n")
            await self._writer.drain()

    wire = connect(cls=Server)
    assert wire.say("TALK") == ["354 go on"]
    assert wire.say("hel") == []
    wire.send(b"abc")
    assert wire.heard() == ["250 hel and abc"]
    # What was pipelined behind is read as well, and what is written keeps its place.
    assert wire.say("NOOP", "TALK", "x", "abcNOOP") == [
        "250 OK",
        "354 go on",
        "250 x and abc",
        "250 OK",
    ]
