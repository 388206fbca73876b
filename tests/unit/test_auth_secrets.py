"""Secrets stand in no log, at no level, whatever the client does, and in no ``repr``."""

from __future__ import annotations

import base64
import logging
import ssl
import time
from typing import TYPE_CHECKING, Any

import pytest

from aiosmtpd.auth import sanitize, sanitized_log
from aiosmtpd.protocol import AuthResponse, Command
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

if TYPE_CHECKING:
    from tests.unit.conftest import Connect

LOGIN, PASSWORD = b"anne-login", b"s3cret-passw0rd"
PLAIN = base64.b64encode(b"\0" + LOGIN + b"\0" + PASSWORD).decode("ascii")
PASS64 = base64.b64encode(PASSWORD).decode("ascii")
SECRETS = [PLAIN, PASS64, PASSWORD.decode("ascii")]


def assert_clean(caplog: pytest.LogCaptureFixture) -> None:
    shown = caplog.text + "".join(repr(record.args) for record in caplog.records)
    assert "192.0.2.1" in shown  # there is a log
    for secret in SECRETS:
        # Verbs are put in upper case, so that is a leak as well.
        assert secret.lower() not in shown.lower()
        assert secret.rstrip("=").lower() not in shown.lower()


def accept(*arguments: Any) -> AuthResult:
    return AuthResult(success=True, auth_data=arguments[-1])


def refuse(*_: Any) -> AuthResult:
    return AuthResult(success=False, handled=False)


def fail(*_: Any) -> AuthResult:
    raise LookupError("the directory is closed")


CONVERSATIONS = [
    [f"AUTH PLAIN {PLAIN}"],
    [f"auth plain {PLAIN}"],
    [f"Auth  Plain  {PLAIN}  "],
    [f" AUTH PLAIN {PLAIN}"],
    [f"AUTH\tPLAIN\t{PLAIN}"],
    [f"AUTH PLAIN\t{PLAIN}"],
    [f"AUTH PLAIN {PLAIN} extra"],
    [f"AUTH PLAIN extra {PLAIN}"],
    [f"AUTH PLAIN {PLAIN}é"],
    [f"AUTH PLAIN ={PLAIN}"],
    [f"AUTH LOGIN bmFtZQ== {PASS64}"],
    [f"AUTH FOO {PLAIN}"],
    [f"AUTH {PLAIN}"],
    [f"AUTH {PLAIN} PLAIN"],
    [f"AUTH PLAIN {PLAIN}", f"AUTH PLAIN {PLAIN}"],
    ["AUTH PLAIN", PLAIN],
    ["AUTH PLAIN", f"{PLAIN} extra"],
    ["AUTH PLAIN", f"!{PLAIN}"],
    ["AUTH PLAIN", f"{PLAIN}é"],
    ["AUTH LOGIN", "bmFtZQ==", PASS64],
    ["AUTH LOGIN", "bmFtZQ==", PASSWORD.decode("ascii")],
    ["AUTH FOO", PLAIN],
    ["AUTH FOO", "bmFtZQ==", PASS64],
    ["MAIL FROM:<a@example.com>", f"AUTH PLAIN {PLAIN}", "AUTH PLAIN", PLAIN],
    # Already authenticated, in some of the sessions; the client goes on as if it were not.
    [f"AUTH PLAIN {PLAIN}", "AUTH LOGIN", PASS64, PASS64],
    [f"AUTH PLAIN {PLAIN}", "AUTH PLAIN", PLAIN],
    [f"AUTH={PLAIN}"],
    [f"AUTH=PLAIN {PLAIN}"],
    [f"AUTH = PLAIN {PLAIN}"],
    [f"AUTH PLAIN={PLAIN}"],
    [f"AUTH PLAIN= {PLAIN}"],
    [f"AUTH-PLAIN {PLAIN}"],
    [f"AUTH:PLAIN {PLAIN}"],
    [f"AUTHPLAIN {PLAIN}"],
]


@pytest.mark.parametrize("lines", CONVERSATIONS, ids=[" / ".join(c)[:40] for c in CONVERSATIONS])
@pytest.mark.parametrize(
    ("greeting", "authenticator", "require_tls"),
    [
        ("EHLO client.example", accept, False),
        ("EHLO client.example", refuse, False),
        ("EHLO client.example", fail, False),
        ("EHLO client.example", None, False),
        ("EHLO client.example", accept, True),
        ("HELO client.example", accept, False),
        ("NOOP", accept, False),
    ],
)
def test_no_secret_in_a_log(
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    lines: list[str],
    greeting: str,
    authenticator: Any,
    require_tls: bool,
) -> None:
    caplog.set_level(logging.DEBUG, "mail.log")
    wire = connect(authenticator=authenticator, auth_require_tls=require_tls)
    wire.loop.set_debug(True)
    wire.say(greeting)
    for line in lines:
        wire.say(line)
    wire.say("NOOP", "QUIT")
    assert_clean(caplog)


def test_an_auth_that_was_refused_elsewhere_is_noted(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    class Refusing(SMTP):
        async def smtp_AUTH(self, arg: str | None) -> None:
            await self.push("530 not now")
            self._note_auth_refused()

    caplog.set_level(logging.DEBUG, "mail.log")
    wire = connect(cls=Refusing)
    wire.ehlo()
    assert wire.say("AUTH LOGIN", "bmFtZQ==", PASS64)[0] == "530 not now"
    assert_clean(caplog)
    wire.say("THREE x")
    assert "unrecognised: THREE" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "limits", "told"),
    [
        ({"require_starttls": True}, {}, "530"),
        ({"command_call_limit": {"AUTH": 0}}, {}, "421"),
        ({}, {"_tls_handshake_okay": False}, "554"),
        ({}, {}, "500"),  # the line is too long
    ],
)
def test_no_secret_in_a_log_where_auth_is_refused_before_it_is_looked_at(
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    arguments: dict[str, Any],
    limits: dict[str, Any],
    told: str,
) -> None:
    caplog.set_level(logging.DEBUG, "mail.log")
    wire = connect(tls_context=ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), **arguments)
    wire.ehlo()
    for name, value in limits.items():
        setattr(wire.server, name, value)
    initial = "" if arguments or limits else "A" * 13_000
    assert wire.say(f"AUTH LOGIN {initial}", "bmFtZQ==", PASS64)[0][:3] == told
    assert_clean(caplog)


def test_no_secret_in_the_log_of_a_pipelined_exchange(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "mail.log")
    wire = connect()
    # Refused for want of TLS, but the client has sent it all.
    told = wire.say("EHLO client.example", "AUTH LOGIN", "bmFtZQ==", PASS64, "QUIT")
    assert [line[:3] for line in told[-4:]] == ["538", "500", "500", "221"]
    assert_clean(caplog)


def test_commands_that_nobody_logs_count_as_well(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    wire = connect()  # at WARNING, so that a transaction needs no task
    wire.ehlo()
    wire.say("AUTH PLAIN", "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "RSET", "FOO")
    assert "unrecognised: FOO" in caplog.text


def test_commands_that_come_in_parts_count_as_well(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    wire = connect()
    wire.ehlo()
    wire.say("AUTH PLAIN")
    wire.send(b"MAIL FR")
    wire.say("OM:<a@b.example>", "RCPT TO:<c@d.example>", "FOO")
    assert "unrecognised: FOO" in caplog.text


def test_the_log_tells_commands_again_after_a_while(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "mail.log")
    wire = connect()
    wire.ehlo()
    wire.say("AUTH PLAIN", "ONE", "TWO", "THREE x", "NOOP four")
    assert "ONE" not in caplog.text
    assert "TWO" not in caplog.text
    assert "unrecognised: THREE" in caplog.text
    assert "NOOP four" in caplog.text


@pytest.mark.parametrize(
    "secretive",
    [
        LoginPassword(LOGIN, PASSWORD),
        AuthResult(success=True, auth_data=LoginPassword(LOGIN, PASSWORD)),
        AuthResult(success=True, auth_data=PASSWORD),
        AuthResponse(PLAIN.encode("ascii")),
        Command("AUTH", f"PLAIN {PLAIN}", 0),
        Command("", f"AUTH PLAIN {PLAIN}", 0),
    ],
)
def test_no_secret_in_a_repr(secretive: Any) -> None:
    for shown in (repr(secretive), str(secretive), f"{secretive}", f"{[secretive]}"):
        for secret in SECRETS:
            assert secret not in shown


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        (b"AUTH PLAIN c2Vj", b"AUTH PLAIN ********"),
        (b" auth\tplain  c2Vj more\r\n", b" auth\tplain  ********\r\n"),
        (b"AUTH PLAIN\tc2Vj", b"AUTH PLAIN\t********"),
        (b"AUTH\x0bPLAIN\x0cc2Vj", b"AUTH\x0bPLAIN\x0c********"),
        (b"AUTH=PLAIN c2Vj\r\n", b"AUTH=********\r\n"),
        (b"AUTH = PLAIN c2Vj", b"AUTH =********"),
        (b"AUTH PLAIN=c2Vj", b"AUTH PLAIN=********"),
        (b"AUTH =PLAIN c2Vj", b"AUTH =********"),
        (b"AUTH PLAIN", b"AUTH PLAIN"),
        (b"MAIL FROM:<a@example.com> AUTH=<>", b"MAIL FROM:<a@example.com> AUTH=<>"),
        (b"NOOP c2Vj", b"NOOP c2Vj"),
    ],
)
def test_sanitize(line: bytes, masked: bytes) -> None:
    assert sanitize(line) == masked
    shown: list[Any] = []
    sanitized_log(lambda *arguments: shown.append(arguments), "%r", line.decode("ascii"))
    assert shown == [("%r", masked.decode("ascii"))]


@pytest.mark.parametrize(
    "line",
    [
        b"NOOP a" + b" " * 300_000 + b"b",
        b"\t" * 300_000 + b"AUTH" + b" " * 300_000 + b"=",
        b"AUTH " + b"AUTH" * 100_000,
        b"AUTH " * 100_000,
    ],
    ids=["spaces", "spaces around", "one word", "words"],
)
def test_a_line_is_looked_at_once(line: bytes) -> None:
    """The time grows as the line does: were it the square of that, this took minutes."""
    begun = time.process_time()
    sanitize(line)
    assert time.process_time() - begun < 2


@pytest.mark.parametrize(
    ("login", "shown"),
    [
        (b"anne", "'anne'"),
        ("\N{LATIN SMALL LETTER E WITH ACUTE}".encode(), "'\N{LATIN SMALL LETTER E WITH ACUTE}'"),
        (b"a\x1b[2Jb", r"'a\x1b[2Jb'"),
        (b"a\r\nb\0", r"'a\r\nb\x00'"),
        ("a\N{RIGHT-TO-LEFT OVERRIDE}b".encode(), r"'a\u202eb'"),
        (b"\xff", r"'\\xff'"),
        (b"a', password='x", "\"a', password='x\""),
    ],
)
def test_a_login_cannot_forge_a_line_of_the_log(login: bytes, shown: str) -> None:
    assert repr(LoginPassword(login, PASSWORD)) == f"LoginPassword(login={shown}, password=...)"
    assert str(LoginPassword(login, PASSWORD)) == f"LoginPassword(login={shown}, password=...)"


def test_a_repr_shows_what_is_no_secret() -> None:
    assert "anne-login" in repr(LoginPassword(LOGIN, PASSWORD))
    assert "success=True" in repr(AuthResult(success=True))
    assert repr(Command("NOOP", "x", 6)) == "Command(verb='NOOP', argument='x', size=6)"
    assert repr(Command("AUTH", None, 4)) == "Command(verb='AUTH', argument=None, size=4)"


def test_a_response_is_logged_only_for_those_who_ask(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    class Handler:
        async def auth_OPEN(self, server: SMTP, args: list[str]) -> AuthResult:
            await server.challenge_auth("?", log_client_response=True)
            return AuthResult(success=False)

    wire = connect(Handler(), auth_require_tls=False)
    wire.ehlo()
    with pytest.warns(UserWarning, match="logging is enabled|might be leaked"):
        wire.say("AUTH OPEN", PLAIN)
    assert PLAIN in caplog.text
