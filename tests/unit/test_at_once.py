"""What is answered as it is received, without the task; what is not, and what becomes of both.

That nobody can tell the difference is shown in ``test_at_once_alike.py``, and what becomes of the
message in ``test_at_once_message.py``.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import ssl
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from aiosmtpd.extensions import DEFAULT, EnhancedStatusCodes, Extension
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope
from aiosmtpd.testing import RecordingHandler
from aiosmtpd.verbs.at_once import _AFTER_GREETING as AFTER_GREETING
from aiosmtpd.verbs.at_once import _BEFORE_GREETING as BEFORE_GREETING

if TYPE_CHECKING:
    from tests.unit.conftest import Connect, Run, Serve, Wire

START = "354 End data with <CR><LF>.<CR><LF>"
MAIL, RCPT, DATA = "MAIL FROM:<anne@example.com>", "RCPT TO:<bart@example.com>", "DATA"


def at_once(wire: Wire, octets: bytes) -> bool:
    """Send octets; tell whether the task waits on as if nothing had been, or is still to be made."""
    server = wire.server
    before = server._connection_task, server._waiter
    wire.send(octets)
    return (server._connection_task, server._waiter) == before


# -- who has no say ---------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [SMTP, LMTP])
def test_a_transaction_wakes_the_task_for_the_message_only(
    connect: Connect, cls: type[SMTP]
) -> None:
    wire = connect(RecordingHandler(), cls=cls)
    greeting = b"LHLO client.example\r\n" if cls is LMTP else b"EHLO client.example\r\n"
    assert at_once(wire, greeting) == (cls is SMTP)
    for _ in range(2):
        assert at_once(wire, b"MAIL FROM:<anne@example.com> SIZE=5\r\n")
        assert at_once(wire, b"RCPT TO:<bart@example.com>\r\nRCPT T")
        assert at_once(wire, b"O:<cate@example.com>\r\nDATA\r\nh")
        assert at_once(wire, b"i\r\n.")
        assert wire.heard()[-4:] == ["250 OK", "250 OK", "250 OK", START]
        assert not at_once(wire, b"\r\n")
        assert wire.heard() == ["250 OK"] * (2 if cls is LMTP else 1)
    assert [e.content for e in wire.server.event_handler.envelopes] == [b"hi\r\n"] * 2


# -- who has a say ----------------------------------------------------------------------------------


async def _agree(*_: Any) -> str:
    return "250 hook"


class _OwnPush(SMTP):
    async def push(self, status: str | bytes) -> None:
        await super().push(status)


class _OwnCalls(SMTP):
    async def _call_handler_hook(self, command: str, *args: Any) -> Any:
        return await super()._call_handler_hook(command, *args)


class _OwnHeloCheck(SMTP):
    async def check_helo_needed(self, helo: str = "") -> bool:
        return await super().check_helo_needed(helo)


class _OwnAuthCheck(SMTP):
    async def check_auth_needed(self, caller_method: str) -> bool:
        return await super().check_auth_needed(caller_method)


def _wrapped(verb: Any) -> Any:
    @functools.wraps(verb)
    async def run(self: Any, arg: str | None) -> None:
        await verb(self, arg)

    return run


class _OwnVerbs(SMTP):
    async def smtp_MAIL(self, arg: str | None) -> None:
        await super().smtp_MAIL(arg)

    async def smtp_RCPT(self, arg: str | None) -> None:
        await super().smtp_RCPT(arg)

    async def smtp_DATA(self, arg: str | None) -> None:
        await super().smtp_DATA(arg)


class _WrappedVerbs(SMTP):
    smtp_MAIL = _wrapped(SMTP.smtp_MAIL)
    smtp_RCPT = _wrapped(SMTP.smtp_RCPT)
    smtp_DATA = _wrapped(SMTP.smtp_DATA)


class _Short(SMTP):
    command_size_limit = 20


class _ShortByVerb(SMTP):
    command_size_limits = {"NOOP": 100}  # noqa: RUF012


class _Few(SMTP):
    recipient_limit = 0


def _push_on_instance(server: SMTP) -> None:
    server.push = functools.partial(type(server).push, server)  # type: ignore[method-assign]


def _calls_on_instance(server: SMTP) -> None:
    hooks = functools.partial(type(server)._call_handler_hook, server)
    server._call_handler_hook = hooks  # type: ignore[method-assign]


def _verbs_on_instance(server: SMTP) -> None:
    for verb in ("smtp_MAIL", "smtp_RCPT", "smtp_DATA"):
        setattr(server, verb, functools.partial(getattr(type(server), verb), server))


def _log(_: SMTP) -> None:
    logging.getLogger("mail.log").setLevel(logging.INFO)


ALL = "MAIL RCPT DATA"
FILTERING = [*DEFAULT, EnhancedStatusCodes()]
SAYS: dict[str, tuple[str, type[SMTP], Any, dict[str, Any]]] = {
    "handle_MAIL": ("MAIL", SMTP, SimpleNamespace(handle_MAIL=None), {}),
    "handle_RCPT": ("RCPT", SMTP, SimpleNamespace(handle_RCPT=None), {}),
    "handle_BODY": ("DATA", SMTP, SimpleNamespace(handle_BODY=None), {}),
    "a policy": ("MAIL", SMTP, None, {"sender_policy": lambda *_: True}),
    "a mock": (ALL, SMTP, mock.Mock(spec=["handle_DATA"], handle_DATA=_agree), {}),
    "push": (ALL, _OwnPush, None, {}),
    "the calls of hooks": (ALL, _OwnCalls, None, {}),
    "check_helo_needed": (ALL, _OwnHeloCheck, None, {}),
    "check_auth_needed": (ALL, _OwnAuthCheck, None, {}),
    "verbs": (ALL, _OwnVerbs, None, {}),
    "verbs, wrapped": (ALL, _WrappedVerbs, None, {}),
    "a filter of replies": (ALL, SMTP, None, {"extensions": FILTERING}),
    "a limit on calls": (ALL, SMTP, None, {"command_call_limit": 100}),
    "a limit on lines": (ALL, _Short, None, {}),
    "limits by verb": (ALL, _ShortByVerb, None, {}),
    "a limit on recipients": ("RCPT DATA", _Few, None, {}),
}
CHANGES = [_push_on_instance, _calls_on_instance, _verbs_on_instance, _log]


def _asked(wire: Wire) -> str:
    """Give the verbs of a transaction that the task is woken for."""
    wire.ehlo()
    lines = [MAIL, RCPT, DATA]
    return " ".join(line[:4] for line in lines if not at_once(wire, f"{line}\r\n".encode()))


@pytest.mark.parametrize("who", SAYS)
def test_whoever_has_a_say_is_asked(connect: Connect, who: str) -> None:
    verbs, cls, handler, arguments = SAYS[who]
    assert _asked(connect(handler, cls=cls, **arguments)) == verbs


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("by_hook", [False, True])
def test_whoever_says_so_on_the_connection_is_asked(
    connect: Connect, change: Callable[[SMTP], None], by_hook: bool
) -> None:
    async def greet(server: SMTP, session: Any, envelope: Any, name: str, lines: Any) -> Any:
        session.host_name = name
        if by_hook:
            change(server)
        return lines

    wire = connect(SimpleNamespace(handle_EHLO=greet))
    if not by_hook:
        change(wire.server)
    assert _asked(wire) == ALL


@pytest.mark.parametrize("name", sorted(AFTER_GREETING.methods.names))
def test_whatever_is_overridden_on_the_connection_is_asked(connect: Connect, name: str) -> None:
    wire = connect()
    wire.ehlo()
    setattr(wire.server, name, getattr(wire.server, name))
    assert not at_once(wire, b"MAIL FROM:<>\r\n")


@pytest.mark.parametrize("name", sorted(BEFORE_GREETING.methods.names))
def test_so_is_what_is_overridden_before_the_greeting(connect: Connect, name: str) -> None:
    wire = connect()
    setattr(wire.server, name, getattr(wire.server, name))
    assert not at_once(wire, b"EHLO x\r\n")


@pytest.mark.parametrize("name", sorted(AFTER_GREETING.methods.names))
def test_so_is_what_is_replaced_in_the_class(
    connect: Connect, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire = connect()
    wire.ehlo()
    function = getattr(SMTP, name)

    @functools.wraps(function)
    def replaced(*args: Any) -> Any:
        return function(*args)

    monkeypatch.setattr(SMTP, name, replaced)
    verb = {"smtp_RCPT": b"RCPT TO:<a@b>", "smtp_DATA": b"DATA", "smtp_RSET": b"RSET"}.get(name)
    if verb is None:
        assert not at_once(wire, b"QUIT\r\n" if name == "smtp_QUIT" else b"MAIL FROM:<>\r\n")
    else:
        assert at_once(wire, b"MAIL FROM:<>\r\n")
        if name == "smtp_DATA":
            assert at_once(wire, b"RCPT TO:<a@b>\r\n")
        assert not at_once(wire, verb + b"\r\n")


def test_a_class_that_asks_for_tls_is_heard(connect: Connect) -> None:
    class Strict(SMTP):
        require_starttls = True

    wire = connect(cls=Strict)
    wire.ehlo()
    assert wire.say("MAIL FROM:<>")[0].startswith("530 Must issue a STARTTLS")


def test_a_hook_that_asks_for_tls_is_heard_by_the_next_rset(connect: Connect) -> None:
    async def require(server: SMTP, session: Any, envelope: Any, *arguments: Any) -> str:
        server.require_starttls = True
        return "250 OK"

    wire = connect(SimpleNamespace(handle_DATA=require))
    wire.to_data()
    assert wire.say("hi", ".") == ["250 OK"]
    for command in ("RSET", MAIL):
        assert wire.say(command)[0].startswith("530 Must issue a STARTTLS")


def test_a_first_greeting_makes_an_envelope(connect: Connect) -> None:
    class Mine(Envelope):
        pass

    wire = connect()
    wire.server._create_envelope = Mine  # type: ignore[method-assign]
    assert at_once(wire, b"EHLO x\r\n")
    assert type(wire.server.envelope) is Mine


@pytest.mark.parametrize("greeting", ["HELO x", "EHLO x"])
def test_a_first_greeting_resets_what_was_done_before(connect: Connect, greeting: str) -> None:
    """A program may have written into the envelope without a hook, by ``controller.smtpd``, say."""
    wire = connect()
    wire.server.envelope.rcpt_tos.append("ghost@example.com")
    assert wire.say(greeting)[-1][:3] == "250"
    assert wire.server.envelope.rcpt_tos == []


@pytest.mark.parametrize("greeting", ["HELO x", "EHLO x"])
def test_a_first_greeting_calls_a_reset_of_the_program(connect: Connect, greeting: str) -> None:
    resets = []

    class Counting(SMTP):
        def _set_rset_state(self) -> None:
            resets.append(self.session.host_name)
            super()._set_rset_state()

    connect(cls=Counting).say(greeting)
    assert resets == [None]


def test_a_verb_may_be_any_object_that_can_be_called(connect: Connect) -> None:
    class Verb:
        __hash__ = None  # type: ignore[assignment]

        def __get__(self, server: SMTP | None, owner: type) -> Any:
            return self if server is None else functools.partial(self, server)

        async def __call__(self, server: SMTP, arg: str | None) -> None:
            await server.push("250 mine")

    class Server(SMTP):
        smtp_RSET = Verb()

    wire = connect(cls=Server)
    wire.ehlo()
    assert at_once(wire, b"MAIL FROM:<>\r\n")
    wire.heard()
    assert wire.say("RSET") == ["250 mine"]


@pytest.mark.parametrize("name", ["smtp_RSET", "push", "_create_session"])
def test_a_method_may_be_had_of_instances_only(connect: Connect, name: str) -> None:
    class Only:
        def __get__(self, server: SMTP | None, owner: type) -> Any:
            if server is None:
                raise AttributeError(name)
            return functools.partial(getattr(SMTP, name), server)

    wire = connect(cls=type("Server", (SMTP,), {name: Only()}))
    wire.ehlo()
    assert wire.say("RSET", MAIL, RCPT) == ["250 OK"] * 3


def test_what_is_overridden_while_a_command_comes_in_parts_is_asked(connect: Connect) -> None:
    wire = connect()
    wire.ehlo()
    wire.send(b"NOOP\r\nMAIL ")
    wire.send(b"FRO")

    async def push(status: str | bytes) -> None:
        await SMTP.push(wire.server, b"250 mine")

    wire.server.push = push  # type: ignore[method-assign]
    wire.heard()
    wire.send(b"M:<a@b.example>\r\n")
    assert wire.heard() == ["250 mine"]


@pytest.mark.parametrize("fault", ["RCPT TO:<", "MAIL", "DATA", "", "NOOP", "FOO"])
def test_what_else_comes_wakes_the_task(connect: Connect, fault: str) -> None:
    wire = connect()
    wire.ehlo()
    assert at_once(wire, b"MAIL FROM:<>\r\n")
    assert not at_once(wire, f"{fault}\r\n".encode())
    assert len(wire.heard()) == 2


def test_before_tls_and_before_auth_nothing_is_answered_at_once(connect: Connect) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for arguments, reply in (
        ({"tls_context": context, "require_starttls": True}, "530 Must issue a STARTTLS"),
        ({"auth_required": True}, "530 5.7.0 Authentication required"),
    ):
        wire = connect(**arguments)
        wire.ehlo()
        assert not at_once(wire, b"MAIL FROM:<>\r\n")
        assert wire.heard()[0].startswith(reply)


def test_a_log_that_is_switched_on_tells_of_the_next_message(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    wire = connect(RecordingHandler())
    wire.to_data()
    wire.say("hi", ".")
    caplog.set_level(logging.INFO, "mail.log")
    assert wire.say(MAIL, RCPT, DATA, "hi", ".") == ["250 OK", "250 OK", START, "250 OK"]
    assert f"('192.0.2.1', 2525) >> b'{MAIL}'" in caplog.messages
    assert "('192.0.2.1', 2525) recip: bart@example.com" in caplog.messages
    caplog.set_level(logging.WARNING, "mail.log")
    wire.say("NOOP")
    assert at_once(wire, b"MAIL FROM:<>\r\n")


def test_what_was_answered_leaves_while_a_hook_takes_its_time(connect: Connect) -> None:
    async def wait(*_: Any) -> str:
        await asyncio.sleep(10)
        return "250 done"

    wire = connect(SimpleNamespace(handle_NOOP=wait))
    wire.ehlo()
    assert wire.say(MAIL, "NOOP") == ["250 OK"]
    wire.wait(11)
    assert wire.heard() == ["250 done"]


class _Falsy(Exception):
    def __len__(self) -> int:
        return 0


class _Failing(Extension):
    name = "FAILING"
    checks = frozenset({"RCPT"})

    def check(self, *_: Any) -> None:
        raise _Falsy


def test_a_failure_is_answered_though_it_is_nothing_by_itself(connect: Connect) -> None:
    wire = connect(extensions=[*DEFAULT, _Failing()])
    wire.ehlo()
    assert wire.say(MAIL) == ["250 OK"]
    assert wire.say(RCPT) == ["451 4.3.0 Error: local error in processing"]


# -- over sockets -------------------------------------------------------------------------------------


def _start_eagerly(
    loop: asyncio.AbstractEventLoop, coroutine: Any, **arguments: Any
) -> asyncio.Task[Any]:
    # asyncio.eager_task_factory, which in Python 3.13.0 does not take all that uvloop gives it.
    return asyncio.Task(coroutine, loop=loop, **{**arguments, "eager_start": True})


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("tls", [False, True])
def test_over_a_socket(
    run: Run,
    serve: Serve,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    eager: bool,
    tls: bool,
) -> None:
    if eager and sys.version_info < (3, 12):
        pytest.skip("no tasks start eagerly before Python 3.12")

    async def test() -> None:
        if eager:
            asyncio.get_running_loop().set_task_factory(_start_eagerly)
        handler = RecordingHandler()
        arguments = {"tls_context": server_context, "require_starttls": tls}
        async with serve(handler, **arguments) as (client, registry):
            await client.say("EHLO client.example")
            if tls:
                assert (await client.say(MAIL))[0].startswith("530")
                await client.starttls(client_context)
                await client.say("EHLO client.example")
            server = registry.made[0]
            waiter = server._waiter
            for line in (MAIL, RCPT, RCPT):
                assert await client.say(line) == ["250 OK"]
            assert await client.say(DATA) == [START]
            assert server._waiter is waiter
            assert await client.say("hi\r\n.") == ["250 OK"]
            group = "\r\n".join([MAIL, *[RCPT] * 5000, DATA, "x" * 900, ".", "NOOP", "RCPT TO:<"])
            assert await client.say(group) == ["250 OK"]
            heard = [(await client.heard())[0][:3] for _ in range(5004)]
            assert heard == ["250"] * 5000 + ["354", "250", "250", "503"]
        assert [len(envelope.rcpt_tos) for envelope in handler.envelopes] == [2, 5000]

    run(test)
