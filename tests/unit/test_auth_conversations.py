"""SASL on the wire (RFC 4954): raw octets of each mechanism, whole, octet by octet and cut at random."""

from __future__ import annotations

import base64
import dataclasses
import hmac
import ssl
from collections.abc import Sequence
from typing import Any

import pytest
from scramp import ScramClient, ScramMechanism
from tests.unit.conversations import GREETED, Item, play

from aiosmtpd.auth import (
    DEFAULT_MECHANISMS,
    Authenticator,
    BearerToken,
    Challenge,
    Context,
    CramMd5,
    ExternalIdentity,
    KeyRequest,
    Login,
    Mechanism,
    OAuthBearer,
    Plain,
    ScramKeys,
    ScramSha256,
)
from aiosmtpd.protocol import ProtocolError
from aiosmtpd.protocol.reply import Reply
from aiosmtpd.smtp import SMTP, AuthResult

SUCCESS = "235 2.7.0 Authentication successful"
INVALID = "535 5.7.8 Authentication credentials invalid"
ABORTED = "501 5.7.0 Auth aborted"
BAD_BASE64 = "501 5.5.2 Can't decode base64"
UNSPLITTABLE = "501 5.5.2 Can't split auth value"
UNKNOWN = "504 5.5.4 Unrecognized authentication type"
ALREADY = "503 Already authenticated"
NEEDS_TLS = "538 5.7.11 Encryption required for requested authentication mechanism"
IN_TRANSACTION = "503 5.5.1 Error: AUTH not allowed during a mail transaction"
TOO_MANY = "421 4.7.0 Too many failed authentication attempts"
LOCAL_ERROR = "451 4.3.0 Error: local error in processing"

SALT = bytes(range(16))
CERTIFICATE = {"subject": ((("commonName", "anne"),),)}


def b64(text: str | bytes) -> str:
    octets = text.encode() if isinstance(text, str) else text
    return base64.b64encode(octets).decode()


class Directory(Authenticator):
    """Knows anne, whose password is s3cret, in all ways."""

    def check_password(self, session: Any, login: str, password: bytes) -> bool:
        return login == "anne" and hmac.compare_digest(password, b"s3cret")

    async def scram_keys(self, session: Any, login: str, mechanism: str) -> ScramKeys | None:
        if login != "anne":
            return None
        return ScramKeys(*ScramMechanism(mechanism).make_auth_info("s3cret", salt=SALT))

    def shared_secret(self, session: Any, login: str) -> str | None:
        return "s3cret" if login == "anne" else None

    async def check_token(self, session: Any, token: BearerToken) -> str | None:
        return "anne" if token.token == "t0ken" else None

    def check_certificate(self, session: Any, identity: ExternalIdentity) -> str | None:
        return "anne" if identity.certificate == CERTIFICATE else None

    def authorize(self, session: Any, authcid: str, authzid: str | None) -> bool:
        return authzid in (None, authcid, "team")


class Secure:
    """What a transport shows of TLS."""

    def __init__(self, version: str = "TLSv1.2") -> None:
        self._version = version

    def version(self) -> str:
        return self._version

    def get_channel_binding(self, kind: str) -> bytes:
        assert kind == "tls-unique"
        return b"unique"

    def getpeercert(self, binary_form: bool) -> bytes:
        assert binary_form
        return b"der"


class Server(SMTP):
    """A server whose nonces are known, and that tells by NOOP who the client is."""

    def _auth_context(self) -> Context:
        return dataclasses.replace(super()._auth_context(), nonce=lambda: "server")

    async def smtp_NOOP(self, arg: str | None) -> None:
        session = self.session
        assert session.auth_data == session.auth_identity
        await self.push(f"250 {session.auth_identity} {session.authenticated}")


def scram(
    name: str = "SCRAM-SHA-256",
    password: str = "s3cret",
    login: str = "anne",
    binding: tuple[str, bytes] | None = None,
) -> tuple[str, str, str, str]:
    """Give the four messages of an exchange, for a client that believes the server."""
    client = ScramClient([name], login, password, binding, c_nonce="client")
    first = client.get_client_first()
    server_first = f"r=clientserver,s={b64(SALT)},i=4096"
    client.set_server_first(server_first)
    final = client.get_client_final()
    return first, server_first, final, f"v={b64(client.server_signature)}"


def converse(*items: str, authenticator: Any = None, **arguments: Any) -> None:
    """Play lines: those that begin with ``> `` are the client's, the others replies."""
    conversation: list[Item] = [b"EHLO client.example\r\n", "250-...\n...\n250 ..."]
    for item in items:
        client = item.startswith(">")
        conversation.append(f"{item[2:]}\r\n".encode() if client else item)
    arguments.setdefault("auth_require_tls", False)
    arguments.setdefault("auth_mechanisms", [*DEFAULT_MECHANISMS, CramMd5])
    arguments.setdefault("cls", Server)
    play(conversation, authenticator=authenticator or Directory(), **arguments)


def challenge(text: str | bytes) -> str:
    return f"334 {b64(text)}"


ANNE = "250 anne True"
FAILED = "250 None False"
BEARER = "n,a=anne,\x01auth=Bearer t0ken\x01\x01"
XOAUTH2 = "user=anne\x01auth=Bearer t0ken\x01\x01"
CRAM = "<server@mx.example>"


def cram(password: str, login: str = "anne") -> str:
    return b64(f"{login} {hmac.digest(password.encode(), CRAM.encode(), 'md5').hex()}")


def scram_lines(name: str = "SCRAM-SHA-256", **arguments: Any) -> list[str]:
    first, server_first, final, server_final = scram(name, **arguments)
    return [
        f"> AUTH {name} {b64(first)}",
        challenge(server_first),
        f"> {b64(final)}",
        challenge(server_final),
        "> ",
    ]


ACCEPTED: list[list[str]] = [
    [f"> AUTH PLAIN {b64(bytes(1) + b'anne' + bytes(1) + b's3cret')}"],
    ["> auth plain", "334 ", "> AGFubmUAczNjcmV0"],
    [f"> AUTH PLAIN {b64(b'anne' + bytes(1) + b'anne' + bytes(1) + b's3cret')}"],
    ["> AUTH LOGIN", challenge("User Name\0"), "> YW5uZQ==", challenge("Password\0"), "> czNjcmV0"],
    ["> AUTH LOGIN YW5uZQ==", challenge("Password\0"), "> czNjcmV0"],
    ["> AUTH CRAM-MD5", challenge(CRAM), f"> {cram('s3cret')}"],
    scram_lines(),
    scram_lines("SCRAM-SHA-1"),
    ["> AUTH scram-sha-256", "334 ", f"> {b64(scram()[0])}", *scram_lines()[1:]],
    [f"> AUTH OAUTHBEARER {b64(BEARER)}"],
    ["> AUTH OAUTHBEARER", "334 ", f"> {b64(BEARER)}"],
    [f"> AUTH OAUTHBEARER {b64(BEARER.replace('a=anne', ''))}"],
    [f"> AUTH XOAUTH2 {b64(XOAUTH2)}"],
    ["> AUTH XOAUTH2", "334 ", f"> {b64(XOAUTH2)}"],
]


@pytest.mark.parametrize("lines", ACCEPTED, ids=[case[0][2:30] for case in ACCEPTED])
def test_what_is_accepted(lines: list[str]) -> None:
    again = ["> AUTH PLAIN", ALREADY]
    converse(*lines, SUCCESS, "> NOOP", ANNE, *again)


PLUS = scram_lines("SCRAM-SHA-256-PLUS", binding=("tls-unique", b"unique"))
BOUND: dict[str, Any] = {"tls": True, "extra": {"ssl_object": Secure()}}
CERTIFIED: dict[str, Any] = {
    "tls": True,
    "extra": {"ssl_object": Secure(), "peercert": CERTIFICATE},
}


def test_scram_plus() -> None:
    converse(*PLUS, SUCCESS, "> NOOP", ANNE, **BOUND)
    lines = scram_lines("SCRAM-SHA-1-PLUS", binding=("tls-unique", b"unique"))
    converse(*lines, SUCCESS, "> NOOP", ANNE, **BOUND)


@pytest.mark.parametrize("authzid", ["", "anne", "team"])
@pytest.mark.parametrize("initial", [False, True])
def test_external(authzid: str, initial: bool) -> None:
    response = b64(authzid)
    begin = [f"> AUTH EXTERNAL {response or '='}"]
    if not initial:
        begin = ["> AUTH EXTERNAL", "334 ", f"> {response}"]
    converse(*begin, SUCCESS, "> NOOP", f"250 {authzid or 'anne'} True", **CERTIFIED)


def test_external_by_a_client_that_says_nothing_as_if_it_were_an_initial_response() -> None:
    converse("> AUTH EXTERNAL", "334 ", "> =", SUCCESS, "> NOOP", "250 anne True", **CERTIFIED)


def test_a_client_may_act_as_whom_it_is_allowed_to() -> None:
    plain = "AUTH PLAIN " + b64("team\0anne\0s3cret")
    converse(f"> {plain}", SUCCESS, "> NOOP", "250 team True")
    bearer = "AUTH OAUTHBEARER " + b64(BEARER.replace("a=anne", "a=team"))
    converse(f"> {bearer}", SUCCESS, "> NOOP", "250 team True")


BEARER_REFUSED = challenge('{"status": "invalid_token"}')
XOAUTH2_REFUSED = challenge('{"status": "401", "schemes": "bearer"}')
WRONG: list[list[str]] = [
    # Whose credentials are wrong.
    [f"> AUTH PLAIN {b64(b'{0}anne{0}x'.replace(b'{0}', bytes(1)))}", INVALID],
    [f"> AUTH PLAIN {b64(b'{0}bart{0}s3cret'.replace(b'{0}', bytes(1)))}", INVALID],
    ["> AUTH PLAIN " + b64("bart\0anne\0s3cret"), INVALID],
    ["> AUTH PLAIN " + b64(b"\xff\0anne\0s3cret"), INVALID],
    ["> AUTH PLAIN " + b64(b"\0\xff\0s3cret"), INVALID],
    ["> AUTH LOGIN YW5uZQ==", challenge("Password\0"), "> eA==", INVALID],
    ["> AUTH CRAM-MD5", challenge(CRAM), f"> {cram('x')}", INVALID],
    ["> AUTH CRAM-MD5", challenge(CRAM), f"> {cram('s3cret', 'bart')}", INVALID],
    [*scram_lines(password="x")[:3], INVALID],
    [f"> AUTH OAUTHBEARER {b64(BEARER.replace('t0ken', 'x'))}", BEARER_REFUSED, "> AQ==", INVALID],
    [
        f"> AUTH OAUTHBEARER {b64(BEARER.replace('a=anne', 'a=bart'))}",
        BEARER_REFUSED,
        "> ",
        INVALID,
    ],
    [f"> AUTH OAUTHBEARER {b64(BEARER.replace('t0ken', 'x'))}", BEARER_REFUSED, "> *", ABORTED],
    [
        f"> AUTH OAUTHBEARER {b64(BEARER.replace('Bearer t0ken', ''))}",
        BEARER_REFUSED,
        "> ",
        INVALID,
    ],
    [f"> AUTH OAUTHBEARER {b64(BEARER.replace('t0ken', 'x'))}", BEARER_REFUSED, "> !", BAD_BASE64],
    [f"> AUTH XOAUTH2 {b64(XOAUTH2.replace('t0ken', 'x'))}", XOAUTH2_REFUSED, "> ", INVALID],
    [f"> AUTH XOAUTH2 {b64(XOAUTH2.replace('anne', 'bart'))}", XOAUTH2_REFUSED, "> ", INVALID],
    # What the mechanism does not allow.
    ["> AUTH PLAIN =", UNSPLITTABLE],
    ["> AUTH PLAIN", "334 ", "> ", UNSPLITTABLE],
    ["> AUTH PLAIN", "334 ", "> =", UNSPLITTABLE],
    ["> AUTH CRAM-MD5 YQ==", UNSPLITTABLE],
    ["> AUTH CRAM-MD5 =", UNSPLITTABLE],
    ["> AUTH CRAM-MD5", challenge(CRAM), "> YW5uZQ==", UNSPLITTABLE],
    ["> AUTH SCRAM-SHA-256 =", UNSPLITTABLE],
    [f"> AUTH SCRAM-SHA-256 {b64('n,a=bart,n=anne,r=client')}", UNSPLITTABLE],
    [*scram_lines()[:2], f"> {b64('c=biws')}", UNSPLITTABLE],
    [*scram_lines()[:4], "> YQ==", UNSPLITTABLE],
    [f"> AUTH OAUTHBEARER {b64('n,,')}", UNSPLITTABLE],
    [f"> AUTH XOAUTH2 {b64(BEARER)}", UNSPLITTABLE],
    # What is no base64, and a client that gives up.
    ["> AUTH PLAIN !", BAD_BASE64],
    ["> AUTH LOGIN", challenge("User Name\0"), "> YQ", BAD_BASE64],
    ["> AUTH CRAM-MD5", challenge(CRAM), "> x", BAD_BASE64],
    [*scram_lines()[:2], "> =", BAD_BASE64],
    [*scram_lines()[:4], "> =", BAD_BASE64],
    ["> AUTH PLAIN", "334 ", "> *", ABORTED],
    ["> AUTH LOGIN YQ==", challenge("Password\0"), "> *", ABORTED],
    ["> AUTH CRAM-MD5", challenge(CRAM), "> *", ABORTED],
    [*scram_lines()[:2], "> *", ABORTED],
    [*scram_lines()[:4], "> *", ABORTED],
    ["> AUTH OAUTHBEARER", "334 ", "> *", ABORTED],
]


@pytest.mark.parametrize("lines", WRONG, ids=[" ".join(case)[2:60] for case in WRONG])
def test_what_is_refused(lines: list[str]) -> None:
    # The connection goes on, and the client may try once more.
    converse(*lines, "> NOOP", FAILED, *ACCEPTED[0], SUCCESS, "> NOOP", ANNE)


@pytest.mark.parametrize(
    "lines",
    [
        ["> AUTH EXTERNAL", "334 ", "> YmFydA==", INVALID],
        ["> AUTH EXTERNAL YmFydA==", INVALID],
        ["> AUTH EXTERNAL /w==", UNSPLITTABLE],
        ["> AUTH EXTERNAL", "334 ", "> *", ABORTED],
    ],
)
def test_what_external_refuses(lines: list[str]) -> None:
    converse(*lines, "> NOOP", FAILED, **CERTIFIED)


def test_a_certificate_of_somebody_else() -> None:
    extra = {"ssl_object": Secure(), "peercert": {"subject": ()}}
    converse("> AUTH EXTERNAL =", INVALID, tls=True, extra=extra)


@pytest.mark.parametrize(
    "lines",
    [
        # RFC 5802 section 6: the client can bind, but was told that we cannot.
        [f"> AUTH SCRAM-SHA-256 {b64('y,,n=anne,r=client')}", INVALID],
        [f"> AUTH SCRAM-SHA-256-PLUS {b64('n,,n=anne,r=client')}", INVALID],
        [f"> AUTH SCRAM-SHA-256-PLUS {b64('y,,n=anne,r=client')}", INVALID],
        [f"> AUTH SCRAM-SHA-256-PLUS {b64('p=tls-exporter,,n=anne,r=client')}", INVALID],
        [f"> AUTH SCRAM-SHA-256 {b64('p=tls-unique,,n=anne,r=client')}", INVALID],
        [
            *scram_lines("SCRAM-SHA-256-PLUS", binding=("tls-unique", b"other"))[:3],
            INVALID,
        ],
    ],
)
def test_another_channel(lines: list[str]) -> None:
    converse(*lines, "> NOOP", FAILED, **BOUND)


# -- what is offered ------------------------------------------------------------------------------

EVERY = "AUTH CRAM-MD5 LOGIN OAUTHBEARER PLAIN SCRAM-SHA-1 SCRAM-SHA-256 XOAUTH2"


def offered(expected: str | None, authenticator: Any, **arguments: Any) -> None:
    """See that EHLO has this line, or no line of AUTH."""
    arguments.setdefault("auth_require_tls", False)
    conversation: Sequence[Item] = [b"EHLO client.example\r\n", "250-...\n...\n250 HELP"]
    told: list[str] = []

    class Told(SMTP):
        async def push(self, status: str | bytes) -> None:
            assert isinstance(status, str)
            told.extend([status] if status[4:].startswith("AUTH") else [])
            await super().push(status)

    play(conversation, cls=Told, authenticator=authenticator, **arguments)
    assert {line[4:] for line in told} == ({expected} if expected else set())


def test_what_is_offered() -> None:
    offered("AUTH LOGIN PLAIN", lambda *_: AuthResult(success=False))
    offered(None, Authenticator())
    offered(EVERY.replace("CRAM-MD5 ", ""), Directory())
    mechanisms = [*DEFAULT_MECHANISMS, CramMd5]
    offered(EVERY, Directory(), auth_mechanisms=mechanisms)
    offered("AUTH SCRAM-SHA-256", Directory(), auth_mechanisms=[ScramSha256])
    offered(None, Directory(), auth_mechanisms=[])
    offered(None, Directory(), auth_mechanisms=mechanisms, auth_require_tls=True)
    offered(
        EVERY.replace("LOGIN ", "").replace("-256", "-256 SCRAM-SHA-256-PLUS"),
        Directory(),
        auth_mechanisms=mechanisms,
        auth_exclude_mechanism=["login", "scram-sha-1-plus"],
        **BOUND,
    )
    offered("AUTH EXTERNAL", Directory(), auth_mechanisms=DEFAULT_MECHANISMS[6:7], **CERTIFIED)
    offered("AUTH PLAIN", Directory(), auth_mechanisms=[Plain], **CERTIFIED)


@pytest.mark.parametrize(
    "name", ["EXTERNAL", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-512", "CRAM-MD5", "ANONYMOUS", "LOGIN"]
)
def test_what_is_not_offered_is_not_accepted(name: str) -> None:
    mechanisms = [one for one in DEFAULT_MECHANISMS if one is not Login]
    converse(f"> AUTH {name}", UNKNOWN, f"> AUTH {name} =", UNKNOWN, auth_mechanisms=mechanisms)


def test_what_is_hidden_without_tls_is_refused() -> None:
    for name in EVERY.split()[1:]:
        converse(f"> AUTH {name}", NEEDS_TLS, f"> AUTH {name} =", NEEDS_TLS, auth_require_tls=True)


def test_a_callable_of_old_knows_passwords_only() -> None:
    def judge(*arguments: Any) -> AuthResult:
        return AuthResult(success=arguments[-1].password == b"s3cret", handled=False)

    lines = ["> AUTH SCRAM-SHA-256", UNKNOWN, "> AUTH XOAUTH2", UNKNOWN, *ACCEPTED[0], SUCCESS]
    converse(*lines, authenticator=judge, cls=SMTP)


# -- when it may come, and what goes with it ------------------------------------------------------


def test_auth_in_a_transaction() -> None:
    converse(
        "> MAIL FROM:<anne@example.com>",
        "250 OK",
        "> AUTH SCRAM-SHA-256",
        IN_TRANSACTION,
        "> RSET",
        "250 OK",
        *scram_lines(),
        SUCCESS,
        "> MAIL FROM:<anne@example.com> AUTH=<>",
        "250 OK",
    )


def test_a_whole_session_pipelined() -> None:
    # RFC 4954 section 4 has a client wait; one that does not is understood all the same.
    converse(
        *WRONG[0],
        *ACCEPTED[4],
        SUCCESS,
        "> MAIL FROM:<anne@example.com>",
        "250 OK",
        "> RCPT TO:<bart@example.com>",
        "250 OK",
        "> DATA",
        "354 End data with <CR><LF>.<CR><LF>",
        "> Subject: x\r\n\r\nx\r\n.",
        "250 OK",
        "> QUIT",
        "221 Bye",
        "[closed]",
    )


def test_responses_of_an_auth_that_was_refused_are_commands() -> None:
    unknown = '500 Error: command "{}" not recognized'
    converse(
        "> AUTH PLAIN",
        NEEDS_TLS,
        "> AGFubmUAczNjcmV0",
        unknown.format("AGFUBMUACZNJCMV0"),
        auth_require_tls=True,
    )


# -- too many -------------------------------------------------------------------------------------


@pytest.mark.parametrize("lines", WRONG, ids=[" ".join(case)[2:60] for case in WRONG])
def test_too_many_failures(lines: list[str]) -> None:
    told = lines[-1] in (ABORTED, BAD_BASE64)
    last = [lines[-1], TOO_MANY] if told else [TOO_MANY]
    converse(*lines, *lines, *lines[:-1], *last, "[closed]", auth_failure_limit=3)


def test_failures_are_not_limited() -> None:
    converse(*WRONG[0] * 15, *ACCEPTED[0], SUCCESS, auth_failure_limit=None)
    converse(*WRONG[0] * 9, *WRONG[0][:-1], TOO_MANY, "[closed]")


def test_only_attempts_count() -> None:
    lines = ["> AUTH FOO", UNKNOWN, "> AUTH", "501 Not enough value"]
    converse(*lines * 3, *ACCEPTED[0], SUCCESS, auth_failure_limit=1)


class Told:
    """Does AUTH by itself, and lets nobody in."""

    async def handle_AUTH(self, server: SMTP, *_: Any) -> str:
        return "535 5.7.8 no"


class OwnMechanism:
    async def auth_OWN(self, server: SMTP, args: list[str]) -> AuthResult:
        await server.push("535 5.7.8 no")
        return AuthResult(success=False)


def test_failures_of_a_handler_count() -> None:
    line = ["> AUTH PLAIN =", "535 5.7.8 no"]
    converse(*line, line[0], TOO_MANY, "[closed]", auth_failure_limit=2, handler=Told)
    line = ["> AUTH OWN", "535 5.7.8 no"]
    last = [*line, TOO_MANY, "[closed]"]
    converse(*line, *last, auth_failure_limit=2, handler=OwnMechanism)


# -- what an authenticator returns ----------------------------------------------------------------


@pytest.mark.parametrize("returned", [1, b"anne", "", AuthResult(success=True)])
@pytest.mark.parametrize("lines", [ACCEPTED[0], ACCEPTED[9]])
def test_verdicts_that_are_none(lines: list[str], returned: Any) -> None:
    class Odd(Directory):
        def check_password(self, *_: Any) -> Any:
            return returned

        async def check_token(self, *_: Any) -> Any:
            return returned

    converse(*lines, LOCAL_ERROR, authenticator=Odd())


@pytest.mark.parametrize("verdict", ["anne", True, None, False])
def test_verdicts(verdict: str | bool | None) -> None:
    class Own(Authenticator):
        async def check_password(
            self, session: Any, login: str, password: bytes
        ) -> str | bool | None:
            return verdict

        def check_token(self, session: Any, token: BearerToken) -> str | bool | None:
            return verdict

    named = b64(BEARER)
    outcome = [SUCCESS, "> NOOP", ANNE] if verdict else [INVALID]
    converse(*ACCEPTED[0], *outcome, authenticator=Own())
    if not verdict:
        outcome = [BEARER_REFUSED, "> ", INVALID]
    converse(f"> AUTH OAUTHBEARER {named}", *outcome, authenticator=Own())
    unnamed = b64(BEARER.replace("a=anne", ""))
    if verdict is True:  # whom would it mean?
        outcome = [LOCAL_ERROR]
    converse(f"> AUTH OAUTHBEARER {unnamed}", *outcome, authenticator=Own())


@pytest.mark.parametrize("returned", ["keys", (b"", b"", b"", 1), True])
def test_keys_that_are_none(returned: Any) -> None:
    class Odd(Directory):
        async def scram_keys(self, *_: Any) -> Any:
            return returned

        def shared_secret(self, *_: Any) -> Any:
            return 5

    converse(scram_lines()[0], LOCAL_ERROR, authenticator=Odd())
    converse(*ACCEPTED[5], LOCAL_ERROR, authenticator=Odd())


def test_authorize_returns_bool() -> None:
    class Odd(Directory):
        def authorize(self, *_: Any) -> Any:
            return "yes"

    converse(*ACCEPTED[0], LOCAL_ERROR, authenticator=Odd())


def test_a_judgement_may_be_put_off() -> None:
    class Busy(Directory):
        def check_password(self, *_: Any) -> bool:
            raise ProtocolError(reply=Reply(454, "4.7.0", "Temporary authentication failure"))

    later = "454 4.7.0 Temporary authentication failure"
    converse(*ACCEPTED[0], later, *scram_lines(), SUCCESS, authenticator=Busy())


def test_an_own_mechanism_in_a_page() -> None:
    class Riddle(Mechanism):
        name = "X-RIDDLE"

        def step(self, response: bytes | None) -> Challenge | bytes:
            return Challenge(b"what is it?") if response is None else response

    def judge(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert mechanism == "X-RIDDLE"
        return AuthResult(success=data == b"an egg", auth_data="anne", identity="anne")

    lines = ["> AUTH X-RIDDLE", challenge("what is it?")]
    converse(
        *lines,
        f"> {b64('a stone')}",
        INVALID,
        *lines,
        f"> {b64('an egg')}",
        SUCCESS,
        "> NOOP",
        ANNE,
        authenticator=judge,
        auth_mechanisms=[Riddle],
    )
    # An Authenticator that has not heard of such credentials says so.
    converse(*lines, "> YQ==", LOCAL_ERROR, authenticator=Directory(), auth_mechanisms=[Riddle])


def test_a_callable_of_old_has_no_keys() -> None:
    class Asking(Mechanism):
        name = "X-ASKING"

        def step(self, response: bytes | None) -> KeyRequest:
            return KeyRequest("shared_secret", "anne", self.name)

    def judge(*_: Any) -> AuthResult:
        return AuthResult(success=True)

    converse("> AUTH X-ASKING", LOCAL_ERROR, authenticator=judge, auth_mechanisms=[Asking])


def test_a_subclass_of_a_mechanism_takes_its_place() -> None:
    class Asking(Login):
        username_challenge = b"Who?"

    class Scoped(OAuthBearer):
        scope = "mail"

    converse(
        "> AUTH LOGIN",
        challenge("Who?"),
        "> *",
        ABORTED,
        f"> AUTH OAUTHBEARER {b64(BEARER.replace('t0ken', 'x'))}",
        challenge('{"status": "invalid_token", "scope": "mail"}'),
        "> ",
        INVALID,
        auth_mechanisms=[Asking, Scoped],
    )


def test_a_method_of_a_subclass_takes_its_place() -> None:
    class Own(Server):
        async def auth_PLAIN(self, _: Any, args: list[str]) -> AuthResult:
            result = await super().auth_PLAIN(_, args)
            return dataclasses.replace(result, message="235 welcome")

        async def auth_SCRAM__SHA__256(self, _: Any, args: list[str]) -> AuthResult:
            return AuthResult(success=False, handled=False)

    converse("> AUTH SCRAM-SHA-256", INVALID, *ACCEPTED[0], "235 welcome", "> NOOP", ANNE, cls=Own)


# -- the sender policy ----------------------------------------------------------------------------


class Policed(Server):
    """Asks the policy, as MAIL does."""

    async def smtp_NOOP(self, arg: str | None) -> None:
        assert arg is not None
        await self.push(await self._refused_by_policy(arg) or "250 OK")


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("verdict", "reply"),
    [
        (True, "250 OK"),
        (False, "553 5.7.1 Error: sender address not allowed for this identity"),
        ("550 5.7.1 not yours", "550 5.7.1 not yours"),
        (None, LOCAL_ERROR),
        (1, LOCAL_ERROR),
    ],
)
def test_a_sender_policy(verdict: Any, reply: str, is_async: bool) -> None:
    asked: list[tuple[str | None, str]] = []

    def policy(server: Any, session: Any, envelope: Any, address: str) -> Any:
        assert server.session is session
        assert server.envelope is envelope
        asked.append((session.auth_identity, address))
        return verdict

    async def async_policy(*arguments: Any) -> Any:
        return policy(*arguments)

    chosen = async_policy if is_async else policy
    lines = [*ACCEPTED[0], SUCCESS, "> NOOP anne@example.com", reply, "> NOOP <>", reply]
    converse(*lines, sender_policy=chosen, cls=Policed)
    assert set(asked) == {("anne", "anne@example.com"), ("anne", "<>")}


def test_without_a_sender_policy() -> None:
    converse("> NOOP anne@example.com", "250 OK", cls=Policed)


# -- with TLS -------------------------------------------------------------------------------------


def test_certificates_count_only_if_verified() -> None:
    # What getpeercert() gives of one that was not verified.
    converse("> AUTH EXTERNAL", UNKNOWN, tls=True, extra={"ssl_object": Secure(), "peercert": {}})


def test_the_library_offers_what_the_tests_suppose() -> None:
    assert "tls-unique" in ssl.CHANNEL_BINDING_TYPES
    assert GREETED
