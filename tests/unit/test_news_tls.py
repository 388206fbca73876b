"""What the changelog of 1.x tells of TLS and AUTH, over real connections."""

from __future__ import annotations

import asyncio
import base64
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

import pytest

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from aiosmtpd.session import Envelope, Session
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword, TLSSetupException, auth_mechanism
from aiosmtpd.testing import RecordingHandler, converse


def test_mail_over_starttls(server_context: ssl.SSLContext, client_context: ssl.SSLContext) -> None:
    handler = RecordingHandler()
    with (
        Controller(handler, "localhost", 0, tls_context=server_context) as controller,
        smtplib.SMTP("localhost", controller.port) as client,
    ):
        client.starttls(context=client_context)
        client.sendmail("a@b", ["c@d"], b"Subject: hi\r\n\r\n")
    [session] = handler.sessions
    assert session.ssl is not None
    assert session.ssl["cipher"]


class Watching(SMTP):
    """Tells when its connection is lost, and whether the transport under TLS was closed then."""

    def __init__(self, *args: Any, told: Callable[[bool], None], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._told = told

    def connection_lost(self, error: Exception | None) -> None:
        original = self._original_transport
        super().connection_lost(error)
        self._told(original is not None and original.is_closing())


def test_the_transport_under_tls_is_closed_with_it(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    lost = threading.Event()
    closed: list[bool] = []

    def told(is_closing: bool) -> None:
        closed.append(is_closing)
        lost.set()

    class WatchingController(Controller):
        def factory(self) -> SMTP:
            return Watching(self.handler, told=told, **self.SMTP_kwargs)

    with WatchingController(Sink(), "localhost", 0, tls_context=server_context) as controller:
        client = smtplib.SMTP("localhost", controller.port)
        client.starttls(context=client_context)
        client.close()  # without QUIT
        assert lost.wait(10)
    assert closed == [True]


@pytest.mark.parametrize("accepts", [True, False])
def test_the_hook_of_version_1_0_judges_the_handshake(
    accepts: bool, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    class Judge:
        def handle_tls_handshake(self, session: Session) -> bool:
            assert session.ssl is not None
            return accepts

    with (
        pytest.warns(DeprecationWarning, match="handle_tls_handshake"),
        Controller(Judge(), "localhost", 0, tls_context=server_context) as controller,
        smtplib.SMTP("localhost", controller.port) as client,
    ):
        client.starttls(context=client_context)
        client.ehlo()
        assert client.mail("a@b")[0] == (250 if accepts else 554)


def test_a_handshake_that_fails_is_told_to_the_handler(server_context: ssl.SSLContext) -> None:
    told = threading.Event()
    errors: list[Exception] = []

    class Notes:
        async def handle_exception(self, error: Exception) -> str:
            errors.append(error)
            told.set()
            return "451 nobody reads this"

    with (
        Controller(Notes(), "localhost", 0, tls_context=server_context) as controller,
        socket.create_connection(("localhost", controller.port)) as sock,
        sock.makefile("rb") as file,
    ):
        sock.sendall(b"STARTTLS\r\n")
        assert file.readline().startswith(b"220 ")
        assert file.readline().startswith(b"220 ")
        sock.sendall(b"this is no handshake\r\n")
        assert told.wait(10)
    assert [type(error) for error in errors] == [TLSSetupException]


# -- AUTH -----------------------------------------------------------------------------------------

GREETED = "S: 220 ...\nC: EHLO client.example\nS: 250-...\nS: ...\nS: 250 HELP\n"


def play(script: str, handler: object, **parameters: Any) -> None:
    converse(lambda: SMTP(handler, auth_require_tls=False, **parameters), GREETED + script)


def test_a_handler_may_do_all_of_auth() -> None:
    class All:
        async def handle_AUTH(
            self, server: SMTP, session: Session, envelope: Envelope, args: list[str]
        ) -> str:
            response = await server.challenge_auth("who?")
            session.authenticated = response == b"me"
            return "235 welcome" if session.authenticated else "535 no"

    who, me = (base64.b64encode(text).decode() for text in (b"who?", b"me"))
    play(f"C: AUTH PLAIN\nS: 334 {who}\nC: {me}\nS: 235 welcome", All())


def test_a_handler_may_add_a_mechanism() -> None:
    class Token:
        @auth_mechanism("X-TOKEN")
        async def auth_token(self, server: SMTP, args: list[str]) -> AuthResult:
            return AuthResult(success=args == ["X-TOKEN", "right"], handled=False)

    play("C: AUTH X-TOKEN wrong\nS: 535 ...\nC: AUTH X-TOKEN right\nS: 235 ...", Token())


@pytest.mark.parametrize(
    "script",
    [
        "C: AUTH PLAIN AHUAcA==\nS: 235 ...",
        "C: AUTH PLAIN\nS: 334 \nC: AHUAcA==\nS: 235 ...",
        "C: AUTH LOGIN\nS: 334 ...\nC: dQ==\nS: 334 ...\nC: cA==\nS: 235 ...",
        "C: AUTH LOGIN dQ==\nS: 334 ...\nC: cA==\nS: 235 ...",
    ],
)
def test_plain_and_login_are_built_in(script: str) -> None:
    def check(server: Any, session: Any, envelope: Any, name: str, data: Any) -> AuthResult:
        return AuthResult(success=data == LoginPassword(b"u", b"p"), handled=False)

    play(script, Sink(), authenticator=check)


def test_the_callback_of_version_1_2_is_still_asked() -> None:
    asked = []

    def callback(mechanism: str, login: bytes, password: bytes) -> bool:
        asked.append((mechanism, login, password))
        return True

    async def make() -> SMTP:
        with pytest.warns(DeprecationWarning, match="auth_callback"):
            return SMTP(Sink(), auth_callback=callback, auth_require_tls=False)

    protocol = asyncio.run(make())
    converse(lambda: protocol, GREETED + "C: AUTH PLAIN AHUAcA==\nS: 235 ...")
    assert asked == [("PLAIN", b"u", b"p")]
