"""AUTH (RFC 4954): when it may come, the exchange of each mechanism, and who decides."""

from __future__ import annotations

import base64
import logging
from typing import TYPE_CHECKING, Any

import pytest

from aiosmtpd.protocol.grammar import decode_xtext
from aiosmtpd.smtp import MISSING, SMTP, AuthResult, LoginPassword, auth_mechanism

if TYPE_CHECKING:
    from tests.unit.conftest import Connect, Wire

SUCCESS = "235 2.7.0 Authentication successful"
INVALID = "535 5.7.8 Authentication credentials invalid"
ABORTED = "501 5.7.0 Auth aborted"
BAD_BASE64 = "501 5.5.2 Can't decode base64"
UNSPLITTABLE = "501 5.5.2 Can't split auth value"
UNKNOWN = "504 5.5.4 Unrecognized authentication type"
ALREADY = "503 Already authenticated"
LOCAL_ERROR = "451 4.3.0 Error: local error in processing"
IN_TRANSACTION = "503 5.5.1 Error: AUTH not allowed during a mail transaction"


def b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")


PLAIN = b64(b"\0anne\0s3cret")


class Judge:
    """An authenticator that lets in those who know the password, and notes what it was asked."""

    def __init__(self, password: bytes = b"s3cret") -> None:
        self.password = password
        self.asked: list[tuple[str, Any]] = []

    def __call__(
        self, server: SMTP, session: Any, envelope: Any, mechanism: str, data: Any
    ) -> AuthResult:
        assert session is server.session
        assert envelope is server.envelope
        self.asked.append((mechanism, data))
        return AuthResult(
            success=data.password == self.password, handled=False, auth_data=data.login
        )


def greeted(connect: Connect, handler: Any = None, judge: Any = None, **arguments: Any) -> Wire:
    arguments.setdefault("auth_require_tls", False)
    wire = connect(handler, authenticator=judge or Judge(), **arguments)
    wire.ehlo()
    return wire


def offered(wire: Wire) -> list[str]:
    """Give the mechanisms that EHLO offers."""
    lines = [line for line in wire.ehlo() if line.split(" ")[0] == "AUTH"]
    return lines[0].split(" ")[1:] if lines else []


# -- when -----------------------------------------------------------------------------------------


def test_auth_needs_ehlo(connect: Connect) -> None:
    wire = connect(auth_require_tls=False)
    assert wire.say("AUTH PLAIN") == ["503 Error: send EHLO first"]
    wire.say("HELO client.example")
    assert wire.say("AUTH PLAIN") == ["500 Error: command 'AUTH' not recognized"]


def test_auth_needs_tls_unless_told(connect: Connect) -> None:
    wire = greeted(connect, auth_require_tls=True)
    refused = "538 5.7.11 Encryption required for requested authentication mechanism"
    assert wire.say("AUTH", "AUTH PLAIN", f"AUTH PLAIN {PLAIN}", "AUTH FOO") == [refused] * 4
    assert offered(wire) == []


def test_auth_once(connect: Connect) -> None:
    wire = greeted(connect)
    assert wire.say(f"AUTH PLAIN {PLAIN}") == [SUCCESS]
    assert wire.say(f"AUTH PLAIN {PLAIN}", "AUTH", "AUTH FOO") == [ALREADY] * 3
    wire.ehlo()
    assert wire.say("AUTH LOGIN") == [ALREADY]


def test_auth_again_after_a_failure(connect: Connect) -> None:
    wire = greeted(connect)
    assert wire.server.session.authenticated is None
    assert wire.say(f"AUTH PLAIN {b64(b'0a0b')}") == [UNSPLITTABLE]
    assert wire.say(f"AUTH PLAIN {b64(b'{0}a{0}b'.replace(b'{0}', bytes(1)))}") == [INVALID]
    assert wire.server.session.authenticated is False
    assert wire.say(f"AUTH PLAIN {PLAIN}") == [SUCCESS]
    assert wire.server.session.authenticated is True


def test_auth_not_during_a_transaction(connect: Connect) -> None:
    wire = greeted(connect)
    wire.say("MAIL FROM:<a@example.com>")
    assert wire.say(f"AUTH PLAIN {PLAIN}", "AUTH FOO") == [IN_TRANSACTION] * 2
    wire.say("RCPT TO:<a@example.com>")
    assert wire.say(f"AUTH PLAIN {PLAIN}", "RSET") == [IN_TRANSACTION, "250 OK"]
    assert wire.say(f"AUTH PLAIN {PLAIN}") == [SUCCESS]


@pytest.mark.parametrize(
    ("argument", "reply"),
    [
        ("", "501 Not enough value"),
        (" ", "501 Not enough value"),
        (" PLAIN a b", "501 Too many values"),
        (" FOO", UNKNOWN),
        (" FOO bar", UNKNOWN),
        (" PLAIN-", UNKNOWN),
    ],
)
def test_malformed_auth(connect: Connect, argument: str, reply: str) -> None:
    wire = greeted(connect)
    assert wire.say(f"AUTH{argument}") == [reply]
    assert wire.server.session.authenticated is None


def test_what_auth_opens(connect: Connect) -> None:
    wire = greeted(connect, auth_required=False)
    wire.server._auth_required = True
    needed = "530 5.7.0 Authentication required"
    commands = ["MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>", "VRFY b@example.com"]
    assert wire.say(*commands) == [needed] * 3
    wire.say(f"AUTH PLAIN {PLAIN}")
    assert [line[:3] for line in wire.say(*commands)] == ["250", "250", "252"]


def test_a_warning_for_passwords_in_the_clear(connect: Connect) -> None:
    with pytest.warns(UserWarning, match="security vulnerabilities"):
        connect(auth_required=True, auth_require_tls=False)


# -- PLAIN (RFC 4616) -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["PLAIN", "plain", "Plain"])
@pytest.mark.parametrize("verb", ["AUTH", "auth", "Auth"])
def test_plain_with_an_initial_response(connect: Connect, verb: str, name: str) -> None:
    judge = Judge()
    wire = greeted(connect, judge=judge)
    assert wire.say(f"{verb} {name} {PLAIN}") == [SUCCESS]
    assert judge.asked == [("PLAIN", LoginPassword(b"anne", b"s3cret"))]
    assert wire.server.session.auth_data == b"anne"


def test_plain_with_a_challenge(connect: Connect) -> None:
    wire = greeted(connect)
    assert wire.say("AUTH PLAIN") == ["334 "]
    assert wire.say(PLAIN) == [SUCCESS]


def test_plain_pipelined(connect: Connect) -> None:
    wire = greeted(connect)
    assert wire.say("AUTH PLAIN", PLAIN, "NOOP") == ["334 ", SUCCESS, "250 OK"]


@pytest.mark.parametrize(
    ("response", "login", "password"),
    [
        (b"\0anne\0s3cret", b"anne", b"s3cret"),
        (b"other\0anne\0s3cret", b"anne", b"s3cret"),
        (b"\0\xc3\xa9\0\xff", b"\xc3\xa9", b"\xff"),
        (b"\0\0", b"", b""),
    ],
)
def test_what_plain_gathers(
    connect: Connect, response: bytes, login: bytes, password: bytes
) -> None:
    judge = Judge(password)
    wire = greeted(connect, judge=judge)
    assert wire.say(f"AUTH PLAIN {b64(response)}") == [SUCCESS]
    assert judge.asked == [("PLAIN", (login, password))]


@pytest.mark.parametrize("response", [b"", b"anne", b"anne\0s3cret", b"\0a\0b\0c", b"\0\0\0"])
@pytest.mark.parametrize("initial", [False, True])
def test_what_plain_cannot_split(connect: Connect, response: bytes, initial: bool) -> None:
    judge = Judge()
    wire = greeted(connect, judge=judge)
    if initial:
        # RFC 4954 section 4: a lone "=" stands for a response of no octets.
        assert wire.say(f"AUTH PLAIN {b64(response) or '='}") == [UNSPLITTABLE]
    else:
        assert wire.say("AUTH PLAIN", b64(response)) == ["334 ", UNSPLITTABLE]
    assert judge.asked == []
    assert wire.server.session.authenticated is False


@pytest.mark.parametrize("response", ["!!!", "YQ", "YQ=", "Y Q==", "é", "AGEAYg==x", "====", "a"])
def test_what_is_not_base64(connect: Connect, response: str) -> None:
    wire = greeted(connect, enable_SMTPUTF8=True)
    assert wire.say("AUTH PLAIN", response) == ["334 ", BAD_BASE64]
    if " " not in response:
        assert wire.say(f"AUTH PLAIN {response}") == [BAD_BASE64]
    assert wire.say("AUTH LOGIN", b64(b"anne"), response)[-1] == BAD_BASE64
    assert wire.say("NOOP") == ["250 OK"]


# -- LOGIN ----------------------------------------------------------------------------------------

ASK_NAME = f"334 {b64(b'User Name' + bytes(1))}"
ASK_PASSWORD = f"334 {b64(b'Password' + bytes(1))}"


def test_login(connect: Connect) -> None:
    judge = Judge()
    wire = greeted(connect, judge=judge)
    assert wire.say("AUTH login") == [ASK_NAME]
    assert wire.say(b64(b"anne")) == [ASK_PASSWORD]
    assert wire.say(b64(b"s3cret")) == [SUCCESS]
    assert judge.asked == [("LOGIN", LoginPassword(b"anne", b"s3cret"))]


@pytest.mark.parametrize(("initial", "login"), [(b64(b"anne"), b"anne"), ("=", b"")])
def test_login_with_an_initial_response(connect: Connect, initial: str, login: bytes) -> None:
    judge = Judge()
    wire = greeted(connect, judge=judge)
    assert wire.say(f"AUTH LOGIN {initial}", b64(b"s3cret")) == [ASK_PASSWORD, SUCCESS]
    assert judge.asked == [("LOGIN", (login, b"s3cret"))]


def test_the_questions_of_login_may_be_changed(connect: Connect) -> None:
    class Server(SMTP):
        AuthLoginUsernameChallenge = "Who?"
        AuthLoginPasswordChallenge = "Sesame?"

    wire = greeted(connect, cls=Server)
    assert wire.say("AUTH LOGIN", b64(b"anne"), b64(b"no")) == [
        f"334 {b64(b'Who?')}",
        f"334 {b64(b'Sesame?')}",
        INVALID,
    ]


@pytest.mark.parametrize(
    "lines", [["AUTH PLAIN", "*"], ["AUTH LOGIN", "*"], ["AUTH LOGIN YQ==", "*"]]
)
def test_a_client_may_give_up(connect: Connect, lines: list[str]) -> None:
    judge = Judge()
    wire = greeted(connect, judge=judge)
    assert wire.say(*lines, "NOOP")[1:] == [ABORTED, "250 OK"]
    assert judge.asked == []
    assert wire.server.session.authenticated is False


# -- the size of a response -----------------------------------------------------------------------


@pytest.mark.parametrize(("size", "end"), [(12_284, "\r\n"), (12_284, "\n")])
def test_long_responses(connect: Connect, size: int, end: str) -> None:
    password = b"p" * (size // 4 * 3 - 2)
    judge = Judge(password)
    wire = greeted(connect, judge=judge)
    response = b64(b"\0\0" + password)
    assert len(response) == size
    wire.say("AUTH PLAIN")
    wire.send((response + end).encode())
    assert wire.heard() == [SUCCESS]


def test_a_long_initial_response(connect: Connect) -> None:
    password = b"p" * 9000
    wire = greeted(connect, judge=Judge(password))
    assert wire.say("AUTH PLAIN " + b64(b"\0\0" + password)) == [SUCCESS]


def test_responses_that_are_too_long(connect: Connect) -> None:
    wire = greeted(connect)
    assert wire.say("AUTH PLAIN", "A" * 12_288) == ["334 ", "500 Command line too long"]
    assert wire.say("AUTH PLAIN " + "A" * 12_288) == ["500 Command line too long"]
    wire.say("AUTH PLAIN")
    for _ in range(30):
        wire.send(b"A" * 1000)
        assert len(wire.server._connection.buffer) <= 13_000
    assert wire.say("", "NOOP") == ["500 Command line too long", "250 OK"]
    assert wire.server.session.authenticated is None


def test_a_client_that_leaves_inside_the_exchange(connect: Connect) -> None:
    class Handler:
        async def handle_exception(self, error: Exception) -> str:
            raise AssertionError(error)

    wire = greeted(connect, Handler())
    wire.say("AUTH PLAIN")
    wire.half_close()
    assert wire.heard() == []
    assert wire.over
    wire = greeted(connect, Handler())
    wire.say("AUTH LOGIN")
    wire.vanish()
    assert wire.over


# -- who decides ----------------------------------------------------------------------------------


def test_nobody_lets_anybody_in(connect: Connect) -> None:
    wire = connect(auth_require_tls=False)
    assert offered(wire) == []
    assert wire.say(f"AUTH PLAIN {PLAIN}", f"AUTH PLAIN {b64(bytes(2))}") == [INVALID] * 2
    assert wire.server.session.authenticated is False


@pytest.mark.parametrize("success", [False, True])
def test_an_async_authenticator(connect: Connect, success: bool) -> None:
    async def judge(*_: Any) -> AuthResult:
        return AuthResult(success=success, auth_data="data")

    wire = greeted(connect, judge=judge)
    assert wire.say(f"AUTH PLAIN {PLAIN}") == [SUCCESS if success else INVALID]
    assert wire.server.session.authenticated is success
    assert wire.server.session.auth_data == ("data" if success else None)


@pytest.mark.parametrize("returned", [True, None, "235 yes", 1, {"success": True}])
@pytest.mark.parametrize("is_async", [False, True])
def test_an_authenticator_that_returns_something_else(
    connect: Connect, returned: Any, is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def async_judge(*_: Any) -> Any:
        return returned

    wire = greeted(connect, judge=async_judge if is_async else lambda *_: returned)
    assert wire.say(f"AUTH PLAIN {PLAIN}") == [LOCAL_ERROR]
    assert not wire.server.session.authenticated
    assert "must return AuthResult" in caplog.text


def test_an_authenticator_that_raises(connect: Connect) -> None:
    def judge(*_: Any) -> AuthResult:
        raise LookupError("the directory is closed")

    wire = greeted(connect, judge=judge)
    assert wire.say(f"AUTH PLAIN {PLAIN}", "NOOP") == [LOCAL_ERROR, "250 OK"]
    assert not wire.server.session.authenticated


@pytest.mark.parametrize("handled", [False, True])
@pytest.mark.parametrize(
    ("success", "message", "reply"),
    [
        (True, None, SUCCESS),
        (True, "235 2.7.0 hello", "235 2.7.0 hello"),
        (False, None, INVALID),
        (False, "535 5.7.8 never", "535 5.7.8 never"),
    ],
)
@pytest.mark.parametrize("command", ["initial", "challenged"])
def test_each_outcome_is_told_once(
    connect: Connect, success: bool, message: str | None, reply: str, handled: bool, command: str
) -> None:
    result = AuthResult(success=success, handled=handled, message=message)
    wire = greeted(connect, judge=lambda *_: result)
    if command == "initial":
        assert wire.say(f"AUTH PLAIN {PLAIN}") == [reply]
    else:
        assert wire.say("AUTH PLAIN", PLAIN) == ["334 ", reply]


@pytest.mark.parametrize("handled", [False, True])
def test_a_failure_that_the_authenticator_told_is_not_told_again(
    connect: Connect, handled: bool
) -> None:
    async def judge(server: SMTP, *_: Any) -> AuthResult:
        await server.push("454 4.7.0 later")
        return AuthResult(success=False, handled=handled)

    wire = greeted(connect, judge=judge)
    assert wire.say("AUTH PLAIN", PLAIN, "NOOP") == ["334 ", "454 4.7.0 later", "250 OK"]


def test_auth_callback(connect: Connect) -> None:
    calls = []

    def callback(mechanism: str, login: bytes, password: bytes) -> bool:
        calls.append((mechanism, login, password))
        return password == b"s3cret"

    with pytest.warns(DeprecationWarning, match="auth_callback"):
        wire = connect(auth_callback=callback, auth_require_tls=False)
    assert offered(wire) == ["LOGIN", "PLAIN"]
    assert wire.say("AUTH LOGIN", b64(b"anne"), b64(b"no"))[-1] == INVALID
    assert wire.say(f"AUTH PLAIN {PLAIN}") == [SUCCESS]
    assert calls == [("LOGIN", b"anne", b"no"), ("PLAIN", b"anne", b"s3cret")]
    with pytest.warns(DeprecationWarning, match="login_data"):
        assert wire.server.session.login_data == b"anne"


def test_an_authenticator_goes_before_an_auth_callback(connect: Connect) -> None:
    with pytest.warns(DeprecationWarning):
        wire = greeted(connect, auth_callback=lambda *_: False)
    assert wire.say(f"AUTH PLAIN {PLAIN}") == [SUCCESS]


def test_login_data_is_the_login_of_auth_data(connect: Connect) -> None:
    def judge(*arguments: Any) -> AuthResult:
        return AuthResult(success=True, auth_data=arguments[-1])

    wire = greeted(connect, judge=judge)
    wire.say(f"AUTH PLAIN {PLAIN}")
    assert wire.server.session.auth_data == LoginPassword(b"anne", b"s3cret")
    with pytest.warns(DeprecationWarning, match="login_data"):
        assert wire.server.session.login_data == b"anne"


# -- which mechanisms -----------------------------------------------------------------------------


class Mechanisms:
    auth_attempts = 5
    auth_note = "not a mechanism"

    def __init__(self) -> None:
        self.args: list[list[str]] = []

    async def auth_PLAIN(self, server: SMTP, args: list[str]) -> AuthResult:
        self.args.append(args)
        return AuthResult(success=True, message="235 mine")

    async def auth_WITH__DASH(self, server: SMTP, args: list[str]) -> AuthResult:
        self.args.append(args)
        return AuthResult(success=False, handled=False)

    async def auth_WITH_UNDER(self, server: SMTP, args: list[str]) -> None:
        await server.push("599 told")

    @auth_mechanism("x-odd")
    async def auth_something(self, server: SMTP, args: list[str]) -> AuthResult:
        first = await server.challenge_auth("first")
        second = await server.challenge_auth(b64(b"second"), encode_to_b64=False)
        return AuthResult(success=(first, second) == (b"1st", b"2nd"))


def test_mechanisms_of_a_handler(connect: Connect) -> None:
    handler = Mechanisms()
    wire = greeted(connect, handler)
    assert offered(wire) == ["LOGIN", "PLAIN", "WITH-DASH", "WITH_UNDER", "X-ODD"]
    assert wire.say("AUTH with-dash x") == [INVALID]
    assert (
        wire.say("AUTH WITH__DASH", "AUTH SOMETHING", "AUTH ATTEMPTS", "AUTH NOTE") == [UNKNOWN] * 4
    )
    assert wire.say("AUTH WITH_UNDER") == ["599 told"]
    assert wire.say("AUTH X-Odd") == [f"334 {b64(b'first')}"]
    assert wire.say(b64(b"1st")) == [f"334 {b64(b'second')}"]
    assert wire.say(b64(b"3rd")) == [INVALID]
    assert wire.say("AUTH PLAIN resp") == ["235 mine"]
    assert handler.args == [["WITH-DASH", "x"], ["PLAIN", "resp"]]


def test_mechanisms_of_a_handler_need_no_authenticator(connect: Connect) -> None:
    wire = connect(Mechanisms(), auth_require_tls=False)
    assert offered(wire) == ["PLAIN", "WITH-DASH", "WITH_UNDER", "X-ODD"]


def test_mechanisms_of_a_subclass(connect: Connect) -> None:
    class Server(SMTP):
        async def auth_TOKEN(self, _: Any, args: list[str]) -> AuthResult:
            response = await self.challenge_auth(b"token?")
            return AuthResult(success=response == b"opensesame")

    wire = connect(cls=Server, auth_require_tls=False)
    assert offered(wire) == ["TOKEN"]
    assert wire.say("AUTH TOKEN", b64(b"opensesame"))[-1] == SUCCESS


def test_excluded_mechanisms(connect: Connect) -> None:
    wire = greeted(connect, Mechanisms(), auth_exclude_mechanism=["Plain", "x-odd"])
    assert offered(wire) == ["LOGIN", "WITH-DASH", "WITH_UNDER"]
    assert wire.say("AUTH PLAIN", "AUTH X-ODD") == [UNKNOWN] * 2
    wire = greeted(connect, auth_exclude_mechanism=["LOGIN", "PLAIN"])
    assert offered(wire) == []


def test_a_name_that_no_mechanism_can_have() -> None:
    with pytest.raises(ValueError, match="Invalid AUTH mechanism name"):
        auth_mechanism("has space")


def test_a_challenge_that_is_given_up(connect: Connect) -> None:
    seen = []

    class Handler:
        async def auth_ONE(self, server: SMTP, args: list[str]) -> AuthResult:
            seen.append(await server.challenge_auth("?"))
            return AuthResult(success=False)

    wire = connect(Handler(), auth_require_tls=False)
    wire.ehlo()
    assert wire.say("AUTH ONE", "*", "AUTH ONE", "!", "NOOP") == [
        "334 Pw==",
        ABORTED,
        "334 Pw==",
        BAD_BASE64,
        "250 OK",
    ]
    assert seen == [MISSING, MISSING]


@pytest.mark.parametrize("returned", [5, AuthResult, object(), ["235 yes"]])
def test_a_mechanism_that_returns_something_else(connect: Connect, returned: Any) -> None:
    class Handler:
        async def auth_ODD(self, server: SMTP, args: list[str]) -> Any:
            return returned

    wire = connect(Handler(), auth_require_tls=False)
    wire.ehlo()
    assert wire.say("AUTH ODD") == [LOCAL_ERROR]
    assert not wire.server.session.authenticated


def test_a_mechanism_may_ask_as_it_could_in_1_2(connect: Connect) -> None:
    class Handler:
        async def auth_OLD(self, server: SMTP, args: list[str]) -> AuthResult:
            response = await server._auth_interact("334 Pw==")
            return AuthResult(success=response == b"hi")

    wire = connect(Handler(), auth_require_tls=False)
    wire.ehlo()
    with pytest.warns(DeprecationWarning, match="challenge_auth"):
        assert wire.say("AUTH OLD", b64(b"hi")) == ["334 Pw==", SUCCESS]


@pytest.mark.parametrize("returned", [True, "anne", b"anne"])
def test_a_mechanism_may_return_what_it_could_in_1_2(connect: Connect, returned: Any) -> None:
    class Handler:
        async def auth_OLD(self, server: SMTP, args: list[str]) -> Any:
            return returned

    wire = connect(Handler(), auth_require_tls=False)
    wire.ehlo()
    assert wire.say("AUTH OLD") == [SUCCESS]
    assert wire.server.session.authenticated is True
    assert wire.server.session.auth_data == returned


@pytest.mark.parametrize("returned", [None, MISSING, False])
def test_a_mechanism_that_returns_nothing_has_failed(connect: Connect, returned: Any) -> None:
    class Handler:
        async def auth_NONE(self, server: SMTP, args: list[str]) -> Any:
            return returned

    wire = connect(Handler(), auth_require_tls=False)
    wire.ehlo()
    assert wire.say("AUTH NONE") == [INVALID]
    assert wire.server.session.authenticated is False


# -- handle_AUTH ----------------------------------------------------------------------------------


class DoesItAll:
    def __init__(self, returned: str | None, authenticated: bool | None = None) -> None:
        self.returned = returned
        self.authenticated = authenticated
        self.args: list[list[str]] = []

    async def handle_AUTH(
        self, server: SMTP, session: Any, envelope: Any, args: list[str]
    ) -> str | None:
        self.args.append(args)
        if len(args) == 1:
            await server.challenge_auth("?")
        session.authenticated = self.authenticated
        return self.returned


@pytest.mark.parametrize("command", [["AUTH PLAIN x"], ["AUTH PLAIN", "eA=="]])
@pytest.mark.parametrize(
    ("returned", "authenticated", "reply"),
    [
        ("299 mine", True, "299 mine"),
        ("599 mine", None, "599 mine"),
        (None, None, INVALID),
        (None, False, INVALID),
        (None, True, SUCCESS),
    ],
)
def test_a_handler_may_do_it_all(
    connect: Connect,
    command: list[str],
    returned: str | None,
    authenticated: bool | None,
    reply: str,
) -> None:
    handler = DoesItAll(returned, authenticated)
    wire = connect(handler, auth_require_tls=False)
    assert offered(wire) == ["LOGIN", "PLAIN"]
    assert wire.say(*command, "NOOP")[-2:] == [reply, "250 OK"]
    assert handler.args == [command[0].split()[1:]]
    assert wire.server.session.authenticated is authenticated


def test_the_gates_are_before_the_hook(connect: Connect) -> None:
    handler = DoesItAll("235 yes")
    wire = connect(handler, auth_require_tls=False, auth_exclude_mechanism=["LOGIN"])
    wire.ehlo()
    assert wire.say("AUTH", "AUTH a b c", "AUTH FOO", "AUTH LOGIN") == [
        "501 Not enough value",
        "501 Too many values",
        UNKNOWN,
        UNKNOWN,
    ]
    assert handler.args == []


# -- the AUTH parameter of MAIL (RFC 4954 section 5) ----------------------------------------------


@pytest.mark.parametrize(
    ("value", "accepted"),
    [
        ("<>", True),
        ("anne@example.com", True),
        ("e+3Dmc2@example.com", True),
        ("anne", True),
        ("", False),
        ("a+3G@example.com", False),
        ("a+4@example.com", False),
        ("a+20b@example.com", False),
        ("@example.com", False),
        (None, False),
    ],
)
def test_auth_of_mail(connect: Connect, value: str | None, accepted: bool) -> None:
    wire = greeted(connect)
    parameter = "AUTH" if value is None else f"AUTH={value}"
    assert wire.say(f"MAIL FROM:<a@example.com> {parameter}") == (
        ["250 OK"] if accepted else ["501 Syntax: MAIL FROM: <address> [SP <mail-parameters>]"]
    )
    if accepted:
        assert wire.server.envelope.mail_parameters == {"AUTH": decode_xtext(value or "")}


def test_auth_of_mail_is_unknown_where_auth_is_not_offered(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "mail.log")
    wire = connect()
    wire.ehlo()
    assert wire.say("MAIL FROM:<a@example.com> AUTH=<>") == [
        "555 MAIL FROM parameters not recognized or not implemented"
    ]
