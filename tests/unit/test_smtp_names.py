"""The names beside the public ones that programs written for 1.4 touch, and what they do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

import aiosmtpd.smtp
from aiosmtpd.session import Envelope, Session
from aiosmtpd.smtp import (
    MISSING,
    SMTP,
    TLSSetupException,
    login_always_fail,
    sanitize,
    sanitized_log,
)

if TYPE_CHECKING:
    from tests.unit.conftest import Connect


def test_a_server_without_a_connection() -> None:
    handler = object()
    server = SMTP(handler, hostname="mx.example", timeout=20, auth_required=True)
    assert server.event_handler is handler
    assert server.hostname == "mx.example"
    assert server.transport is None
    assert server.session is None
    assert server.envelope is None
    assert server._handler_coroutine is None
    assert server._tls_protocol is None
    assert server._original_transport is None
    assert server._timeout_duration == 20
    assert server._auth_required is True
    assert server._authenticator is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATA_SIZE_DEFAULT", 33_554_432),
        ("CALL_LIMIT_DEFAULT", 20),
        ("BOGUS_LIMIT", 5),
        ("__version__", "2.0.0"),
        ("__ident__", "Python SMTP 2.0.0"),
    ],
)
def test_constants(name: str, value: Any) -> None:
    assert getattr(aiosmtpd.smtp, name) == value


def test_everything_that_is_named_is_there() -> None:
    for name in aiosmtpd.smtp.__all__:
        assert hasattr(aiosmtpd.smtp, name)
    assert aiosmtpd.smtp.Session is Session
    assert aiosmtpd.smtp.Envelope is Envelope
    assert isinstance(MISSING, aiosmtpd.smtp._Missing)
    assert issubclass(TLSSetupException, Exception)
    assert login_always_fail("PLAIN", b"a", b"b") is False


@pytest.mark.parametrize(
    ("line", "sanitized"),
    [
        (b"AUTH PLAIN c2VjcmV0", b"AUTH PLAIN ********"),
        (b"AUTH PLAIN c2VjcmV0\r\n", b"AUTH PLAIN ********\r\n"),
        (b"auth login c2VjcmV0 x", b"auth login ********"),
        (b"AUTH PLAIN", b"AUTH PLAIN"),
        (b"MAIL FROM:<a@b>", b"MAIL FROM:<a@b>"),
    ],
)
def test_sanitize(line: bytes, sanitized: bytes) -> None:
    assert sanitize(line) == sanitized


def test_sanitized_log() -> None:
    log = mock.Mock()
    sanitized_log(log, "%r %r %d", "AUTH PLAIN c2VjcmV0", b"AUTH PLAIN c2VjcmV0", 7, stacklevel=2)
    log.assert_called_once_with(
        "%r %r %d", "AUTH PLAIN ********", b"AUTH PLAIN ********", 7, stacklevel=2
    )


@pytest.mark.parametrize(("limit", "default"), [(None, None), (7, 7), ({"NOOP": 1}, 20)])
def test_the_call_limit_of_other_verbs(limit: Any, default: int | None) -> None:
    assert SMTP(None, command_call_limit=limit)._call_limit_default == default


def test_the_loop_may_be_set() -> None:
    loop = mock.Mock()
    server = SMTP(None)
    server.loop = loop
    assert server.loop is loop


@pytest.mark.parametrize(
    ("argument", "split"),
    [
        ("<a@example.com> SIZE=1", ("a@example.com", "SIZE=1")),
        ("a@example.com", ("a@example.com", "")),
        ("<>", ("<>", "")),
        ("<", (None, None)),
    ],
)
def test_getaddr(argument: str, split: tuple[str | None, str | None]) -> None:
    assert SMTP(None)._getaddr(argument) == split


@pytest.mark.parametrize(
    ("params", "parsed"),
    [
        (["SIZE=1", "smtputf8"], {"SIZE": "1", "SMTPUTF8": True}),
        ([], {}),
        (["#$%=!@#"], None),
        (["X-A-B=c"], {"X-A-B": "c"}),
    ],
)
def test_getparams(params: list[str], parsed: dict[str, Any] | None) -> None:
    assert SMTP(None)._getparams(params) == parsed


def test_an_overridden_getaddr_is_asked(connect: Connect) -> None:
    class Server(SMTP):
        def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
            address, rest = super()._getaddr(arg)
            return (address and address.lower()), rest

    wire = connect(cls=Server)
    wire.ehlo()
    wire.say("MAIL FROM:<A@EXAMPLE.COM>", "RCPT TO:<B@EXAMPLE.COM>")
    assert wire.server.envelope.mail_from == "a@example.com"
    assert wire.server.envelope.rcpt_tos == ["b@example.com"]


def test_overridden_states_are_called(connect: Connect) -> None:
    calls: list[str] = []

    class Server(SMTP):
        def _set_rset_state(self) -> None:
            calls.append("rset")
            super()._set_rset_state()

        def _set_post_data_state(self) -> None:
            calls.append("post data")
            super()._set_post_data_state()

    wire = connect(cls=Server)
    wire.to_data()
    wire.say(".")
    assert calls == ["rset", "post data"]
    wire.say("RSET")
    assert calls == ["rset", "post data", "rset"]


def test_an_overridden_call_of_hooks_is_used(connect: Connect) -> None:
    calls: list[tuple[Any, ...]] = []

    class Server(SMTP):
        async def _call_handler_hook(self, command: str, *args: Any) -> Any:
            calls.append((command, *args))
            return await super()._call_handler_hook(command, *args)

    wire = connect(cls=Server)
    wire.to_data()
    wire.say(".", "NOOP x", "VRFY y", "RSET", "HELO z", "QUIT")
    assert [call[0] for call in calls] == [
        *["EHLO", "MAIL", "RCPT", "DATA", "NOOP", "VRFY", "RSET", "HELO", "QUIT"]
    ]


def test_an_overridden_verb_may_call_its_own(connect: Connect) -> None:
    class Server(SMTP):
        async def smtp_MAIL(self, arg: str | None) -> None:
            await super().smtp_MAIL((arg or "").replace("[at]", "@"))

        async def smtp_RCPT(self, arg: str | None) -> None:
            self.envelope.rcpt_tos.append("written@example.com")
            await self.push("250 written")

    wire = connect(cls=Server)
    wire.ehlo()
    assert wire.say("MAIL FROM:<a[at]example.com>", "RCPT TO:<x>", "DATA")[:2] == [
        "250 OK",
        "250 written",
    ]
    assert wire.say(".") == ["250 OK"]


def test_the_task_of_a_connection_may_be_cancelled(connect: Connect) -> None:
    wire = connect()
    task = wire.server._handler_coroutine
    assert isinstance(task, asyncio.Task)
    task.cancel()
    wire.settle()
    assert task.cancelled()
    assert wire.over


def test_push_without_a_connection(connect: Connect) -> None:
    wire = connect()
    wire.vanish()

    async def push() -> None:
        with pytest.raises(ConnectionResetError):
            await wire.server.push("250 OK")

    wire.loop.run_until_complete(push())


def test_peer_and_loop_of_a_session(connect: Connect) -> None:
    wire = connect()
    assert wire.server.session.peer == ("192.0.2.1", 2525)
    assert wire.server.session.loop is wire.loop
    assert wire.server.loop is wire.loop
    assert wire.server.session.ssl is None


@pytest.mark.parametrize("name", ["login_data"])
def test_deprecated_attributes_of_a_session(connect: Connect, name: str) -> None:
    session = connect().server.session
    with pytest.warns(DeprecationWarning, match=name):
        setattr(session, name, b"anne")
    with pytest.warns(DeprecationWarning, match=name):
        assert getattr(session, name) == b"anne"
