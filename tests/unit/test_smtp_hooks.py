"""The hooks of a handler: what each is given, what it owns, and what becomes of what it returns."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from tests.unit.hooks import Slow

from aiosmtpd.protocol import ProtocolError, Reply
from aiosmtpd.smtp import SMTP

if TYPE_CHECKING:
    from tests.unit.conftest import Connect, Wire

LOCAL_ERROR = ["451 4.3.0 Error: local error in processing"]
CANNOT_VRFY = "252 Cannot VRFY user, but will accept message and attempt delivery"

OFFERED = ["SIZE 33554432", "8BITMIME", "PIPELINING", "CHUNKING"]

# Each hook with the commands that lead to it, and what is answered without it.
HOOKS: dict[str, tuple[list[str], str]] = {
    "HELO": (["HELO client.example"], "250 mx.example"),
    "MAIL": (["EHLO client.example", "MAIL FROM:<a@example.com>"], "250 OK"),
    "RCPT": (
        ["EHLO client.example", "MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>"],
        "250 OK",
    ),
    "DATA": (
        [
            "EHLO client.example",
            "MAIL FROM:<a@example.com>",
            "RCPT TO:<b@example.com>",
            "DATA",
            "Hello\r\n.",
        ],
        "250 OK",
    ),
    "RSET": (["RSET"], "250 OK"),
    "NOOP": (["NOOP"], "250 OK"),
    "VRFY": (["VRFY b@example.com"], CANNOT_VRFY),
    "QUIT": (["QUIT"], "221 Bye"),
}
every_hook = pytest.mark.parametrize("name", list(HOOKS))


def handler_with(**hooks: Any) -> Any:
    """A handler with nothing but these hooks; a hook that is no callable is what it returns."""

    def hook_of(name: str, given: Any) -> Any:
        if callable(given):
            return staticmethod(given)

        async def hook(*_: Any) -> Any:
            return given

        return staticmethod(hook)

    return type("Handler", (), {f"handle_{name}": hook_of(name, hooks[name]) for name in hooks})()


def lead_to(wire: Wire, name: str) -> list[str]:
    """Say the commands that lead to a hook; give what the last of them was answered."""
    for command in HOOKS[name][0][:-1]:
        assert wire.say(command)[-1][0] in "23"
    return wire.say(HOOKS[name][0][-1])


async def fail(*_: Any) -> str:
    raise ValueError("the password of the database is secret")


# -- what is returned -----------------------------------------------------------------------------


@every_hook
def test_without_a_hook(connect: Connect, name: str) -> None:
    assert lead_to(connect(), name) == [HOOKS[name][1]]


@every_hook
@pytest.mark.parametrize(
    ("returned", "lines"),
    [
        ("299 mine", ["299 mine"]),
        (b"299 mine", ["299 mine"]),
        (Reply(299, "2.0.0", "mine", "two"), ["299-2.0.0 mine", "299 2.0.0 two"]),
        ("299-mine\r\n299 two", ["299-mine", "299 two"]),
    ],
)
def test_what_a_hook_returns_is_the_reply(
    connect: Connect, name: str, returned: str | bytes, lines: list[str]
) -> None:
    assert lead_to(connect(handler_with(**{name: returned})), name) == lines


@every_hook
def test_none_stands_for_the_default_reply(
    connect: Connect, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "mail.log"):
        assert lead_to(connect(handler_with(**{name: None})), name) == [HOOKS[name][1]]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"handle_{name}" in caplog.text


@every_hook
@pytest.mark.parametrize("returned", [250, ["250 OK"], object()])
def test_something_else_is_a_local_error(
    connect: Connect, name: str, returned: Any, caplog: pytest.LogCaptureFixture
) -> None:
    wire = connect(handler_with(**{name: returned}))
    assert lead_to(wire, name) == LOCAL_ERROR
    assert "TypeError" in caplog.text
    assert wire.say("NOOP") == ["250 OK"] or name == "NOOP"


def test_text_that_is_not_ascii_is_escaped_unless_utf8_is_enabled(connect: Connect) -> None:
    handler = handler_with(NOOP="250 grüß dich")
    assert connect(handler).say("NOOP") == ["250 gr\\xfc\\xdf dich"]
    assert connect(handler, enable_SMTPUTF8=True).say("NOOP") == ["250 grüß dich"]


# -- what is raised -------------------------------------------------------------------------------


@every_hook
def test_an_exception_is_a_local_error(
    connect: Connect, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    wire = connect(handler_with(**{name: fail}))
    assert lead_to(wire, name) == LOCAL_ERROR
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert errors[0].exc_info is not None
    assert isinstance(errors[0].exc_info[1], ValueError)
    assert wire.open


@every_hook
def test_an_exception_ends_the_transaction(connect: Connect, name: str) -> None:
    wire = connect(handler_with(**{name: fail}))
    before = wire.server.envelope
    lead_to(wire, name)
    assert wire.server.envelope is not before
    assert wire.server.envelope.mail_from is None
    assert wire.server.envelope.rcpt_tos == []


def test_the_text_of_an_exception_goes_out_in_debug_mode_only(connect: Connect) -> None:
    async def fail_in_two_lines(*_: Any) -> str:
        raise ValueError("one\r\n250 two")

    wire = connect(handler_with(NOOP=fail_in_two_lines))
    assert wire.say("NOOP") == LOCAL_ERROR
    wire.loop.set_debug(True)
    assert wire.say("NOOP") == ["451 4.3.0 Error: (ValueError) one"]


def test_a_hook_that_waits_for_what_is_cancelled(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    async def wait_in_vain(*_: Any) -> str:
        other = asyncio.ensure_future(asyncio.sleep(100))
        other.cancel()
        await other
        return "250 OK"

    wire = connect(handler_with(NOOP=wait_in_vain, DATA=wait_in_vain))
    assert wire.say("NOOP", "VRFY x") == [*LOCAL_ERROR, CANNOT_VRFY]
    assert "was cancelled" in caplog.text
    wire.to_data()
    assert wire.say(".", "RCPT TO:<a@example.com>") == [
        *LOCAL_ERROR,
        "503 Error: need MAIL command",
    ]


def test_a_hook_that_is_no_coroutine_is_a_local_error(connect: Connect) -> None:
    assert connect(handler_with(NOOP=lambda *_: "250 OK")).say("NOOP") == LOCAL_ERROR


def test_a_hook_may_raise_a_reply(connect: Connect) -> None:
    async def refuse(*_: Any) -> str:
        raise ProtocolError(reply=Reply(550, "5.7.1", "no"))

    wire = connect(handler_with(DATA=refuse))
    wire.to_data()
    assert wire.say(".") == ["550 5.7.1 no"]
    assert wire.say("MAIL FROM:<a@example.com>") == ["250 OK"]


def test_pipelining_goes_on_after_an_exception(connect: Connect) -> None:
    wire = connect(handler_with(VRFY=fail))
    assert wire.say("NOOP", "VRFY x", "NOOP") == ["250 OK", *LOCAL_ERROR, "250 OK"]


# -- handle_exception -----------------------------------------------------------------------------


def test_handle_exception_answers(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    seen = []

    async def handle(error: Exception) -> str:
        seen.append(error)
        return "554 mine"

    wire = connect(handler_with(NOOP=fail, exception=handle))
    assert wire.say("NOOP") == ["554 mine"]
    assert [type(error) for error in seen] == [ValueError]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_handle_exception_may_be_no_coroutine(connect: Connect) -> None:
    wire = connect(handler_with(NOOP=fail, exception=lambda error: "554 mine"))
    assert wire.say("NOOP") == ["554 mine"]


@pytest.mark.parametrize("answer", [None, fail, 550])
def test_handle_exception_that_does_not_answer(
    connect: Connect, answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    wire = connect(handler_with(NOOP=fail, exception=answer))
    assert wire.say("NOOP") == LOCAL_ERROR
    assert "Exception in handle_exception()" in caplog.text


def test_handle_exception_of_a_subclass(connect: Connect) -> None:
    class Server(SMTP):
        async def handle_exception(self, error: Exception) -> str:
            return f"554 {type(error).__name__}"

        async def smtp_FAIL(self, arg: str | None) -> None:
            raise LookupError

    assert connect(cls=Server).say("FAIL") == ["554 LookupError"]


def test_faults_of_the_client_are_no_exceptions(connect: Connect) -> None:
    wire = connect(handler_with(exception="554 mine"))
    assert wire.say("\x00", "NOOP \u00e9", "NOOP " + "x" * 600) == [
        "500 Error: bad syntax",
        "500 Error: strict ASCII mode",
        "500 Command line too long",
    ]


# -- what a hook is given, and owns ---------------------------------------------------------------


class Recorder:
    """Notes what its hooks are given, and does nothing else."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def _note(self, server: SMTP, session: Any, envelope: Any, *arguments: Any) -> None:
        assert session is server.session
        assert envelope is server.envelope
        self.calls.append(arguments)

    async def handle_HELO(self, *arguments: Any) -> str:
        self._note(*arguments)
        return "250 helo"

    async def handle_EHLO(
        self, server: Any, session: Any, envelope: Any, name: Any, lines: Any
    ) -> Any:
        self._note(server, session, envelope, name, lines)
        return lines

    async def handle_MAIL(self, *arguments: Any) -> str:
        self._note(*arguments)
        return "250 mail"

    async def handle_RCPT(self, *arguments: Any) -> str:
        self._note(*arguments)
        return "250 rcpt"

    async def handle_RSET(self, *arguments: Any) -> str:
        self._note(*arguments)
        return "250 rset"

    async def handle_NOOP(self, *arguments: Any) -> str:
        self._note(*arguments)
        return "250 noop"

    async def handle_VRFY(self, *arguments: Any) -> str:
        self._note(*arguments)
        return "250 vrfy"


def test_a_greeting_hook_owns_the_host_name(connect: Connect) -> None:
    handler = Recorder()
    wire = connect(handler)
    assert wire.say("HELO  client.example ") == ["250 helo"]
    assert wire.server.session.host_name is None
    assert wire.say("MAIL FROM:<a@example.com>") == ["503 Error: send HELO first"]
    assert wire.say("EHLO client.example")[-1] == "250 HELP"
    assert wire.server.session.host_name is None
    assert wire.say("MAIL FROM:<a@example.com>") == ["503 Error: send HELO first"]
    lines = ["250-mx.example", *(f"250-{line}" for line in OFFERED), "250 HELP"]
    assert handler.calls == [("client.example",), ("client.example", lines)]


def test_a_greeting_that_is_refused_leaves_the_one_before(connect: Connect) -> None:
    wire = connect(handler := Recorder())
    wire.server.session.host_name = "before.example"
    wire.say("HELO client.example")
    assert wire.server.session.host_name == "before.example"
    assert handler.calls == [("client.example",)]


def test_a_mail_hook_owns_the_reverse_path(connect: Connect) -> None:
    handler = Recorder()
    wire = connect(handler)
    wire.server.session.host_name = "client.example"
    assert wire.say("MAIL FROM:<A@Example.com>") == ["250 mail"]
    assert wire.server.envelope.mail_from is None
    assert wire.say("RCPT TO:<b@example.com>") == ["503 Error: need MAIL command"]
    # It may refuse, and the client may try again.
    assert wire.say("MAIL FROM:<>") == ["250 mail"]
    assert handler.calls == [("A@Example.com", []), ("<>", [])]


def test_a_rcpt_hook_owns_the_recipients(connect: Connect) -> None:
    handler = Recorder()
    wire = connect(handler)
    wire.server.session.host_name = "client.example"
    wire.server.envelope.mail_from = "a@example.com"
    assert wire.say("RCPT TO:<B@Example.com>") == ["250 rcpt"]
    assert wire.server.envelope.rcpt_tos == []
    assert wire.say("DATA") == ["503 Error: need RCPT command"]
    assert handler.calls == [("B@Example.com", [])]


def test_a_hook_may_accept_for_several_recipients(connect: Connect) -> None:
    async def expand(server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        envelope.rcpt_tos.extend([address, "copy@example.com"])
        return "250 OK"

    wire = connect(handler_with(RCPT=expand))
    wire.ehlo()
    wire.say("MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>")
    assert wire.server.envelope.rcpt_tos == ["b@example.com", "copy@example.com"]
    assert wire.server.envelope.rcpt_parameters == [{}, {}]


def test_rset_is_over_before_its_hook_is_asked(connect: Connect) -> None:
    seen = []

    async def note(server: Any, session: Any, envelope: Any) -> str:
        seen.append(envelope.mail_from)
        return "250 rset"

    wire = connect(handler_with(RSET=note))
    wire.ehlo()
    assert wire.say("MAIL FROM:<a@example.com>", "RSET") == ["250 OK", "250 rset"]
    assert seen == [None]


@pytest.mark.parametrize(
    ("command", "given"),
    [("NOOP", None), ("NOOP   two  words ", "two  words"), ("noop \t", None)],
)
def test_what_a_noop_hook_is_given(connect: Connect, command: str, given: str | None) -> None:
    handler = Recorder()
    connect(handler).say(command)
    assert handler.calls == [(given,)]


@pytest.mark.parametrize(
    ("argument", "given"),
    [
        ("<a@example.com>", "a@example.com"),
        ("a@example.com", "a@example.com"),
        ('"two words"@example.com', '"two words"@example.com'),
        ("somebody", "somebody"),
        ("Some Body", "Some Body"),
    ],
)
def test_what_a_vrfy_hook_is_given(connect: Connect, argument: str, given: str) -> None:
    handler = Recorder()
    assert connect(handler).say(f"VRFY {argument}") == ["250 vrfy"]
    assert handler.calls == [(given,)]


def test_quit_closes_whatever_its_hook_returns(connect: Connect) -> None:
    wire = connect(handler_with(QUIT="250 stay"))
    assert wire.say("QUIT", "NOOP") == ["250 stay"]
    assert wire.over


def test_hooks_may_keep_things_in_session_and_envelope(connect: Connect) -> None:
    async def count(server: Any, session: Any, envelope: Any, *_: Any) -> str:
        session.count = getattr(session, "count", 0) + 1
        envelope.count = getattr(envelope, "count", 0) + 1
        return f"250 {session.count} {envelope.count}"

    wire = connect(handler_with(NOOP=count))
    assert wire.say("NOOP", "NOOP", "RSET", "NOOP") == ["250 1 1", "250 2 2", "250 OK", "250 3 1"]


# -- EHLO -----------------------------------------------------------------------------------------


def test_an_ehlo_hook_may_change_the_lines(connect: Connect) -> None:
    async def add(server: Any, session: Any, envelope: Any, name: str, lines: list[str]) -> Any:
        session.host_name = name
        lines.insert(1, "250-XTRA")
        return lines

    wire = connect(handler_with(EHLO=add))
    assert wire.ehlo() == ["mx.example", "XTRA", *OFFERED, "HELP"]


@pytest.mark.parametrize("returned", [None, [], ()])
def test_an_ehlo_hook_that_returns_nothing(
    connect: Connect, returned: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def empty(server: Any, session: Any, envelope: Any, name: str, lines: list[str]) -> Any:
        lines.clear()
        return returned

    assert connect(handler_with(EHLO=empty)).ehlo()[-1] == "HELP"
    assert "handle_EHLO returned no reply" in caplog.text


@pytest.mark.parametrize("returned", ["550 no", b"550 no", ["550 no"], [b"550 no"]])
def test_an_ehlo_hook_may_refuse(connect: Connect, returned: Any) -> None:
    async def refuse(server: Any, session: Any, envelope: Any, name: str, lines: list[str]) -> Any:
        return returned

    wire = connect(handler_with(EHLO=refuse))
    assert wire.say("EHLO client.example") == ["550 no"]
    assert wire.say("MAIL FROM:<a@example.com>") == ["503 Error: send HELO first"]


async def old_ehlo(server: Any, session: Any, envelope: Any, name: str) -> str:
    session.host_name = name
    await server.push("250-EXTRA")
    return "250 HELP"


def test_an_ehlo_hook_of_four_arguments(connect: Connect) -> None:
    with pytest.warns(DeprecationWarning, match="5-argument handle_EHLO"):
        wire = connect(handler_with(EHLO=old_ehlo))
    assert wire.ehlo() == ["mx.example", *OFFERED, "EXTRA", "HELP"]
    assert wire.server.session.host_name == "client.example"


def test_an_ehlo_hook_of_any_other_number_of_arguments() -> None:
    async def odd(server: Any, session: Any, envelope: Any) -> str:
        return "250 HELP"

    with pytest.raises(RuntimeError, match="Unsupported EHLO Hook"):
        SMTP(handler_with(EHLO=odd))


# -- hooks of before 1.0 and 1.2 ------------------------------------------------------------------


class WithOldHooks(SMTP):
    async def ehlo_hook(self) -> None:
        await self.push("250-HOOKED")

    async def rset_hook(self) -> None:
        await self.push("250-hooked")


def test_ehlo_hook_of_a_subclass(connect: Connect) -> None:
    wire = connect(cls=WithOldHooks)
    with pytest.warns(DeprecationWarning, match="ehlo_hook"):
        assert wire.ehlo()[-2:] == ["HOOKED", "HELP"]


def test_ehlo_hook_beside_a_hook_of_four_arguments(connect: Connect) -> None:
    with pytest.warns(DeprecationWarning):
        wire = connect(handler_with(EHLO=old_ehlo), cls=WithOldHooks)
    with pytest.warns(DeprecationWarning, match="ehlo_hook"):
        assert wire.ehlo()[-3:] == ["EXTRA", "HOOKED", "HELP"]


def test_rset_hook_of_a_subclass(connect: Connect) -> None:
    wire = connect(cls=WithOldHooks)
    with pytest.warns(DeprecationWarning, match="rset_hook"):
        assert wire.say("RSET") == ["250-hooked", "250 OK"]


@pytest.mark.parametrize(("returned", "reply"), [("299 mine", "299 mine"), (None, "250 OK")])
@pytest.mark.parametrize("is_async", [False, True])
def test_process_message(
    connect: Connect, returned: str | None, reply: str, is_async: bool
) -> None:
    calls = []

    class Plain:
        def process_message(self, *arguments: Any, **kwargs: Any) -> str | None:
            calls.append((arguments, kwargs))
            return returned

    class Async(Plain):
        async def process_message(self, *arguments: Any, **kwargs: Any) -> str | None:  # type: ignore[override]
            return super().process_message(*arguments, **kwargs)

    wire = connect(Async() if is_async else Plain())
    wire.to_data("b@example.com", "c@example.com")
    with pytest.warns(DeprecationWarning, match="process_message"):
        assert wire.say("Hello", ".") == [reply]
    assert calls == [
        (
            (
                ("192.0.2.1", 2525),
                "anne@example.com",
                ["b@example.com", "c@example.com"],
                b"Hello\r\n",
            ),
            {},
        )
    ]


def test_process_message_is_not_asked_beside_handle_data(connect: Connect) -> None:
    handler = handler_with(DATA="250 data")
    handler.process_message = fail
    wire = connect(handler)
    wire.to_data()
    assert wire.say(".") == ["250 data"]


# -- handlers that are made up --------------------------------------------------------------------


@pytest.mark.parametrize("kind", [mock.Mock, mock.MagicMock, mock.AsyncMock])
def test_a_mock_has_no_hooks_of_its_own(connect: Connect, kind: Any) -> None:
    wire = connect(kind(), auth_require_tls=False)
    assert wire.ehlo() == ["mx.example", *OFFERED, "HELP"]
    wire.to_data()
    assert wire.say("Hello", ".") == ["250 OK"]
    assert wire.say("NOOP", "VRFY x", "RSET") == ["250 OK", CANNOT_VRFY, "250 OK"]
    wire.say("HELO client.example")
    assert wire.say("QUIT") == ["221 Bye"]


def test_a_mock_has_the_hooks_that_it_was_given(connect: Connect) -> None:
    handler = mock.Mock()
    handler.handle_DATA = mock.AsyncMock(return_value="250 mocked")
    wire = connect(handler)
    wire.to_data()
    assert wire.say("Hello", ".") == ["250 mocked"]
    (server, session, envelope), _ = handler.handle_DATA.await_args
    assert server is wire.server
    assert session is wire.server.session
    assert envelope.content == b"Hello\r\n"


def test_an_exception_under_a_mock_is_answered(connect: Connect) -> None:
    handler = mock.Mock()
    handler.handle_NOOP = mock.AsyncMock(side_effect=ValueError)
    assert connect(handler).say("NOOP") == LOCAL_ERROR


def test_no_handler_at_all(connect: Connect) -> None:
    assert lead_to(connect(None), "DATA") == ["250 OK"]


def test_a_hook_may_be_given_to_the_instance(connect: Connect) -> None:
    handler = handler_with()
    handler.handle_NOOP = mock.AsyncMock(return_value="250 instance")
    assert connect(handler).say("NOOP") == ["250 instance"]


# -- a connection that ends while a hook runs -----------------------------------------------------


class Asked(Slow):
    """Is also asked about exceptions."""

    def __init__(self) -> None:
        super().__init__()
        self.exceptions: list[Exception] = []

    async def handle_exception(self, error: Exception) -> str:
        self.exceptions.append(error)
        return "451 no"


@pytest.mark.parametrize("hook", ["NOOP", "DATA"])
@pytest.mark.parametrize("error", [None, ConnectionResetError(), TimeoutError()])
def test_a_hook_is_cancelled_when_the_connection_is_lost(
    connect: Connect, hook: str, error: Exception | None
) -> None:
    handler = Asked()
    wire = connect(handler)
    if hook == "DATA":
        wire.to_data()
        wire.say("Hello", ".")
    else:
        wire.say("NOOP", "NOOP", "NOOP")
    assert handler.began == 1
    wire.vanish(error)
    assert handler.ended == ["cancelled"]
    assert handler.began == 1
    assert handler.exceptions == []
    assert wire.over


def test_a_hook_that_raises_after_the_connection_was_lost(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    asked = []

    class Stubborn:
        async def handle_NOOP(self, *_: Any) -> str:
            try:
                await asyncio.Event().wait()
            finally:
                raise ValueError("in the way")

        async def handle_exception(self, error: Exception) -> str:
            asked.append(error)
            return "451 no"

    wire = connect(Stubborn())
    wire.say("NOOP")
    wire.vanish()
    assert wire.over
    assert asked == []
    assert "error after the connection was lost" in caplog.text


def test_a_hook_that_pushes_after_the_connection_was_lost(connect: Connect) -> None:
    raised = []

    async def push_late(server: SMTP, *_: Any) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            try:
                await server.push("250 late")
            except ConnectionResetError as error:
                raised.append(error)
            raise
        return "250 OK"

    wire = connect(handler_with(NOOP=push_late))
    wire.say("NOOP")
    wire.vanish()
    assert len(raised) == 1
    assert wire.over


def test_a_half_closed_connection_is_answered_and_closed(connect: Connect) -> None:
    handler = Asked()
    wire = connect(handler)
    wire.to_data()
    wire.say("Hello", ".", "VRFY x", "QUIT", "VRFY y")
    wire.half_close()
    assert wire.open
    assert wire.heard() == []
    handler.gate.set()
    wire.settle()
    assert handler.ended == ["finished"]
    assert wire.heard() == ["250 slow", CANNOT_VRFY, "221 Bye"]
    assert wire.over


def test_a_half_closed_connection_that_is_idle_is_closed(connect: Connect) -> None:
    wire = connect()
    wire.send(b"NOOP\r\nNOOP")  # the last one is none
    assert wire.heard() == ["250 OK"]
    wire.half_close()
    assert wire.heard() == []
    assert wire.over


def test_a_half_close_inside_a_body_ends_the_connection(connect: Connect) -> None:
    handler = Asked()
    wire = connect(handler)
    wire.to_data()
    wire.say("Hello")
    wire.half_close()
    assert wire.heard() == []
    assert wire.over
    assert handler.began == 0
    assert handler.exceptions == []


def test_replies_that_are_held_leave_while_a_hook_waits(connect: Connect) -> None:
    handler = Asked()
    wire = connect(handler)
    assert wire.say("VRFY a", "VRFY b", "NOOP", "VRFY c") == [CANNOT_VRFY] * 2
    handler.gate.set()
    wire.settle()
    assert wire.heard() == ["250 slow", CANNOT_VRFY]
