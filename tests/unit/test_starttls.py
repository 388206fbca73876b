"""STARTTLS (RFC 3207) and implicit TLS, over sockets, under asyncio and under uvloop.

What needs no TLS to be seen is tested in memory first.
"""

from __future__ import annotations

import base64
import logging
import socket
import ssl
import struct
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import trustme

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, AuthResult, TLSSetupException

if TYPE_CHECKING:
    from tests.unit.conftest import Client, Connect, Run, Serve

_T = TypeVar("_T")

READY = ["220 Ready to start TLS"]
REQUIRED = ["530 Must issue a STARTTLS command first"]
REFUSED = ["554 Command refused due to lack of security"]
ACTIVE = ["503 5.5.1 Error: TLS already active"]


async def offered(client: Client) -> list[str]:
    return [line[4:] for line in await client.say("EHLO client.example")]


# -- before TLS -----------------------------------------------------------------------------------


def test_starttls_needs_a_certificate(connect: Connect) -> None:
    wire = connect()
    assert "STARTTLS" not in wire.ehlo()
    assert wire.say("STARTTLS", "STARTTLS x") == [
        "454 TLS not available",
        "501 Syntax: STARTTLS",
    ]
    assert "STARTTLS" not in wire.say("HELP")[0]


def test_starttls_is_offered(connect: Connect, server_context: ssl.SSLContext) -> None:
    wire = connect(tls_context=server_context)
    assert "STARTTLS" in wire.ehlo()
    assert "STARTTLS" in wire.say("HELP")[0]
    assert wire.say("HELP STARTTLS") == ["250 Syntax: STARTTLS"]
    assert wire.say("STARTTLS x") == ["501 Syntax: STARTTLS"]


def test_starttls_is_not_offered_under_tls(
    connect: Connect, server_context: ssl.SSLContext
) -> None:
    wire = connect(tls_context=server_context, extra={"sslcontext": server_context})
    assert "STARTTLS" not in wire.ehlo()
    assert wire.say("STARTTLS") == ACTIVE


def test_what_needs_starttls(connect: Connect, server_context: ssl.SSLContext) -> None:
    wire = connect(tls_context=server_context, require_starttls=True, command_call_limit=2)
    for command in ("HELO x", "MAIL FROM:<a@b>", "RCPT TO:<a@b>", "DATA", "RSET", "VRFY x"):
        assert wire.say(command) == REQUIRED
    for command in ("EXPN x", "HELP", "AUTH PLAIN", "FOO"):
        assert wire.say(command) == REQUIRED
    assert wire.say("NOOP") == ["250 OK"]
    assert "STARTTLS" in wire.ehlo()
    assert wire.say("STARTTLS x") == ["501 Syntax: STARTTLS"]
    # What is refused is not counted.
    assert [wire.say("RSET") for _ in range(5)] == [REQUIRED] * 5
    assert wire.say("QUIT") == ["221 Bye"]


def test_starttls_cannot_be_required_without_a_certificate(connect: Connect) -> None:
    wire = connect(require_starttls=True)
    assert not wire.server.require_starttls
    assert wire.say("HELO x") == ["250 mx.example"]


@pytest.mark.parametrize(
    ("setting", "value", "warning"),
    [
        ("verify_mode", ssl.CERT_REQUIRED, "verify_mode not in"),
        ("verify_mode", ssl.CERT_OPTIONAL, ""),
        ("check_hostname", True, "check_hostname == True"),
    ],
)
def test_contexts_that_clients_may_fail_at(
    setting: str, value: Any, warning: str, caplog: pytest.LogCaptureFixture
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if setting == "check_hostname":
        context.verify_mode = ssl.CERT_REQUIRED
    setattr(context, setting, value)
    SMTP(None, tls_context=context)
    assert warning in caplog.text
    assert bool(caplog.text) is bool(warning)


# -- STARTTLS -------------------------------------------------------------------------------------


def test_starttls(
    run: Run, serve: Serve, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    async def test() -> None:
        async with serve(tls_context=server_context) as (client, registry):
            assert "STARTTLS" in await offered(client)
            protocol = registry.made[0]
            assert protocol._tls_protocol is None
            assert protocol.session.ssl is None
            plain = protocol.transport
            await client.starttls(client_context)
            assert "STARTTLS" not in await offered(client)
            assert await client.say("STARTTLS") == ACTIVE
            assert protocol._tls_protocol
            assert protocol._original_transport is plain
            assert protocol.transport is not plain
            assert protocol.session.ssl["sslcontext"] is server_context
            assert protocol.session.ssl["cipher"][1].startswith("TLS")
            assert protocol.session.ssl["ssl_object"].version().startswith("TLS")
            assert await client.say("QUIT") == ["221 Bye"]
            assert await client.heard() == []

    run(test)


@pytest.mark.parametrize("cls", [SMTP, LMTP])
def test_mail_over_starttls(
    run: Run,
    serve: Serve,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    cls: type[SMTP],
) -> None:
    contents = []

    class Handler:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            contents.append(envelope.content)
            return "250 kept"

    async def test() -> None:
        async with serve(Handler(), cls=cls, tls_context=server_context, require_starttls=True) as (
            client,
            _,
        ):
            hello = "LHLO client.example" if cls is LMTP else "EHLO client.example"
            assert await client.say("MAIL FROM:<a@example.com>") == REQUIRED
            await client.starttls(client_context)
            assert (await client.say(hello))[-1] == "250 HELP"
            await client.say("MAIL FROM:<a@example.com>")
            await client.say("RCPT TO:<b@example.com>")
            await client.say("DATA")
            body = (b"x" * 76 + b"\r\n") * 10_000
            client.writer.write(body + b".\r\n")
            assert await client.heard() == ["250 kept"]
            assert contents == [body]

    run(test)


def test_what_was_sent_before_tls_is_thrown_away(
    run: Run, serve: Serve, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    verified = []

    class Handler:
        async def handle_VRFY(self, server: Any, session: Any, envelope: Any, name: str) -> str:
            verified.append(name)
            return f"250 {name}"

    async def test() -> None:
        async with serve(Handler(), tls_context=server_context) as (client, _):
            await offered(client)
            # RFC 3207 section 6: somebody in the middle slips commands in.
            client.writer.write(b"STARTTLS\r\nVRFY evil\r\nMAIL FROM:<evil@example.com>\r\nNOOP")
            assert await client.heard() == READY
            await client.secure(client_context)
            assert await client.say("VRFY good") == ["250 good"]
            assert verified == ["good"]
            assert await client.say("NOOP") == ["250 OK"]

    run(test)


def test_what_the_client_said_before_tls_is_forgotten(
    run: Run, serve: Serve, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    async def test() -> None:
        async with serve(
            tls_context=server_context,
            auth_require_tls=False,
            authenticator=lambda *_: AuthResult(success=True, auth_data="anne"),
        ) as (client, registry):
            await offered(client)
            plain = base64.b64encode(b"\0anne\0s3cret").decode()
            assert (await client.say(f"AUTH PLAIN {plain}"))[0].startswith("235")
            await client.say("MAIL FROM:<a@example.com>")
            session = registry.made[0].session
            session.proxy_data = "proxy"
            session.colour = "green"
            envelope = registry.made[0].envelope
            await client.starttls(client_context)
            assert await client.say("MAIL FROM:<a@example.com>") == ["503 Error: send HELO first"]
            # The session is the same object; what the client said of itself is gone from it.
            assert registry.made[0].session is session
            assert session.host_name is None
            assert session.extended_smtp is False
            assert session.authenticated is None
            assert session.auth_data is None
            assert session.proxy_data == "proxy"
            assert session.colour == "green"
            assert session.peer[0] == "127.0.0.1"
            assert registry.made[0].envelope is not envelope
            assert registry.made[0].envelope.mail_from is None
            await offered(client)
            assert (await client.say(f"AUTH PLAIN {plain}"))[0].startswith("235")

    run(test)


def test_auth_is_offered_once_there_is_tls(
    run: Run, serve: Serve, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    async def test() -> None:
        async with serve(
            tls_context=server_context, authenticator=lambda *_: AuthResult(success=True)
        ) as (client, _):
            assert not [line for line in await offered(client) if line.startswith("AUTH")]
            assert (await client.say("AUTH PLAIN"))[0].startswith("538 ")
            await client.starttls(client_context)
            assert "AUTH LOGIN PLAIN" in await offered(client)
            assert await client.say("AUTH PLAIN") == ["334 "]
            assert (await client.say("AGEAYg=="))[0].startswith("235 ")

    run(test)


# -- who judges the handshake ---------------------------------------------------------------------


async def _async(answer: _T) -> _T:
    return answer


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("answer", [True, False])
def test_handle_starttls(
    run: Run,
    serve: Serve,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    is_async: bool,
    answer: bool,
) -> None:
    asked = []

    class Handler:
        def handle_STARTTLS(self, server: Any, session: Any, envelope: Any) -> Any:
            assert session is server.session
            assert envelope is server.envelope
            asked.append((session.host_name, session.ssl["cipher"] is not None))
            return _async(answer) if is_async else answer

    async def test() -> None:
        async with serve(Handler(), tls_context=server_context) as (client, _):
            await offered(client)
            await client.starttls(client_context)
            await offered(client)
            assert asked == [(None, True)]
            mail = await client.say("MAIL FROM:<a@example.com>")
            assert mail == (["250 OK"] if answer else REFUSED)
            if not answer:
                for command in ("RCPT TO:<a@b>", "DATA", "RSET", "HELO x", "HELP", "AUTH PLAIN"):
                    assert await client.say(command) == REFUSED
                for command in ("EHLO x", "NOOP", "STARTTLS", "FOO"):
                    assert await client.say(command) == REFUSED
            assert await client.say("QUIT") == ["221 Bye"]

    run(test)


@pytest.mark.parametrize("raises", [False, True])
def test_handle_exception_is_told_of_handle_starttls(
    run: Run,
    serve: Serve,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    raises: bool,
) -> None:
    told = []

    class Handler:
        def handle_STARTTLS(self, *_: Any) -> bool:
            raise LookupError("the directory is closed")

        async def handle_exception(self, error: Exception) -> str:
            told.append(error)
            if raises:
                raise ValueError
            return "554 nobody is told"

    async def test() -> None:
        async with serve(Handler(), tls_context=server_context) as (client, _):
            await client.starttls(client_context)
            assert await client.say("EHLO client.example") == REFUSED
            assert [type(error) for error in told] == [LookupError]

    run(test)


@pytest.mark.parametrize("is_async", [False, True])
def test_handle_starttls_that_fails_refuses(
    run: Run,
    serve: Serve,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    is_async: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail() -> bool:
        raise LookupError("the directory is closed")

    class Handler:
        def handle_STARTTLS(self, *_: Any) -> Awaitable[bool]:
            if is_async:
                return fail()
            raise LookupError("the directory is closed")

    async def test() -> None:
        async with serve(Handler(), tls_context=server_context) as (client, _):
            await offered(client)
            await client.starttls(client_context)
            # No reply comes for that: the next one is the answer to the next command.
            assert await client.say("NOOP") == REFUSED
            assert await client.say("QUIT") == ["221 Bye"]
            assert "the directory is closed" in caplog.text

    run(test)


def test_handle_tls_handshake_of_1_0(
    run: Run, serve: Serve, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    class Handler:
        def handle_tls_handshake(self, session: Any) -> bool:
            return bool(session.ssl is None)

    async def test() -> None:
        async with serve(Handler(), tls_context=server_context) as (client, _):
            await offered(client)
            with pytest.warns(DeprecationWarning, match="handle_tls_handshake"):
                await client.starttls(client_context)
                await client.say("NOOP")
            assert await client.say("MAIL FROM:<a@example.com>") == REFUSED

    run(test)


# -- a handshake that fails -----------------------------------------------------------------------


class Failing:
    """Keeps what it is told of."""

    def __init__(self) -> None:
        self.told: list[Exception] = []

    async def handle_exception(self, error: Exception) -> str:
        self.told.append(error)
        return "451 no"


@pytest.mark.parametrize("how", ["nonsense", "distrust", "leave", "reset", "half-close"])
def test_a_handshake_that_fails(
    run: Run,
    serve: Serve,
    server_context: ssl.SSLContext,
    how: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    handler = Failing()
    lost: list[Exception | None] = []

    class Server(SMTP):
        def connection_lost(self, error: Exception | None) -> None:
            lost.append(error)
            super().connection_lost(error)

    async def test() -> None:
        async with serve(handler, cls=Server, tls_context=server_context) as (client, registry):
            await offered(client)
            assert await client.say("STARTTLS") == READY
            if how == "nonsense":
                client.writer.write(b"NOOP\r\nNOOP\r\n" * 100)
                assert (await client.reader.read())[:1] in (b"", b"\x15")  # a TLS alert, or nothing
            elif how == "distrust":
                with pytest.raises(ssl.SSLError):
                    await client.secure(ssl.create_default_context())
            elif how == "leave":
                client.writer.transport.abort()
            elif how == "reset":
                linger = struct.pack("ii", 1, 0)
                client.writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, linger
                )
                client.writer.transport.abort()
            else:
                client.writer.write_eof()
                assert await client.reader.read() == b""
            await registry.all_over()
            assert registry.made[0].transport is None
            assert len(lost) == 1

    run(test)
    assert [type(error) for error in handler.told] in ([], [TLSSetupException])
    assert "Traceback" not in caplog.text


def test_a_client_that_never_shakes_hands(
    run: Run, serve: Serve, server_context: ssl.SSLContext
) -> None:
    async def test() -> None:
        async with serve(tls_context=server_context) as (client, registry):
            registry.made[0]._timeout_duration = 0.05
            assert await client.say("STARTTLS") == READY
            assert await client.reader.read() == b""
            await registry.all_over()

    run(test)


def test_a_shutdown_inside_the_handshake(
    run: Run, serve: Serve, server_context: ssl.SSLContext
) -> None:
    async def test() -> None:
        async with serve(tls_context=server_context) as (client, registry):
            assert await client.say("STARTTLS") == READY
            registry.made[0].shut_down()
            assert await client.reader.read() == b""
            await registry.all_over()

    run(test)


# -- implicit TLS ---------------------------------------------------------------------------------


def test_implicit_tls(
    run: Run, serve: Serve, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    async def test() -> None:
        async with serve(
            implicit=server_context,
            client=client_context,
            tls_context=server_context,
            require_starttls=True,
            authenticator=lambda *_: AuthResult(success=True),
        ) as (client, registry):
            # TLS is what the transport says: it is required, and there.
            lines = await offered(client)
            assert "STARTTLS" not in lines
            assert "AUTH LOGIN PLAIN" in lines
            assert registry.made[0].session.ssl["sslcontext"] is server_context
            assert registry.made[0]._tls_protocol
            assert await client.say("STARTTLS") == ACTIVE
            assert (await client.say("AUTH PLAIN AGEAYg=="))[0].startswith("235 ")
            assert await client.say("MAIL FROM:<a@example.com>") == ["250 OK"]
            assert await client.say("QUIT") == ["221 Bye"]
            assert await client.heard() == []

    run(test)


@pytest.mark.parametrize("implicit", [False, True])
def test_the_certificate_of_a_client(
    run: Run, serve: Serve, authority: trustme.CA, client_context: ssl.SSLContext, implicit: bool
) -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("mx.example").configure_cert(server)
    authority.configure_trust(server)
    server.verify_mode = ssl.CERT_OPTIONAL
    client = ssl.create_default_context()
    authority.configure_trust(client)
    authority.issue_cert("anne@example.com", common_name="Anne").configure_cert(client)

    async def names(context: ssl.SSLContext) -> Any:
        kwargs: dict[str, Any] = (
            {"implicit": server, "client": context} if implicit else {"tls_context": server}
        )
        async with serve(**kwargs) as (connected, registry):
            if not implicit:
                await connected.starttls(context)
            await connected.say("NOOP")
            return registry.made[0].session.ssl["peercert"]

    async def test() -> None:
        with_certificate = await names(client)
        assert ("email", "anne@example.com") in with_certificate["subjectAltName"]
        assert not await names(client_context)

    run(test)


def test_a_client_that_closes_tls_is_let_go(
    run: Run, serve: Serve, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    async def test() -> None:
        async with serve(implicit=server_context, client=client_context) as (client, registry):
            client.writer.close()
            await registry.all_over()
            assert registry.made[0].transport is None

    run(test)


def test_tls_is_logged_without_alarm(
    run: Run,
    serve: Serve,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test() -> None:
        async with serve(tls_context=server_context) as (client, _):
            await client.starttls(client_context)
            assert await client.say("QUIT") == ["221 Bye"]

    run(test)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
