"""The task of a connection: it is made when there is something for it to do, and not before."""

from __future__ import annotations

import asyncio
import ssl
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from aiosmtpd.protocol import AUTH_LINE_LIMIT
from aiosmtpd.smtp import SMTP
from aiosmtpd.testing import MemoryTransport, RecordingHandler

if TYPE_CHECKING:
    from tests.unit.conftest import Connect, ManualLoop, Run, Serve, Wire

START = "354 End data with <CR><LF>.<CR><LF>"
GOODBYE = "421 4.3.2 Server shutting down"


def to_body(wire: Wire) -> None:
    """Go on to the body, by commands that need no task."""
    wire.to_data()
    assert wire.server._connection_task is None


# -- without a task -----------------------------------------------------------------------------------


def test_small_talk_needs_none(connect: Connect) -> None:
    wire = connect(RecordingHandler())
    assert wire.greeting == ["220 mx.example Python SMTP 2.0.0"]
    wire.ehlo()
    assert wire.say("MAIL FROM:<a@b.example>", "RSET") == ["250 OK", "250 OK"]
    transaction = ["MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA"]
    assert wire.say(*transaction) == ["250 OK", "250 OK", START]
    assert wire.say("hi") == []
    assert wire.server._connection_task is None
    assert wire.say(".") == ["250 OK"]
    assert wire.server._connection_task is not None


@pytest.mark.parametrize("to_it", ["", "HELO", "EHLO"])
def test_quit_ends_the_connection_at_once(connect: Connect, to_it: str) -> None:
    wire = connect()
    assert len(wire.say(f"{to_it} x")) > 0 if to_it else True
    task = wire.server._connection_task
    assert wire.say("QUIT", "NOOP", "MAIL FROM:<a@b.example>") == ["221 Bye"]
    assert wire.server._connection_task is task is None
    assert wire.over
    assert len(wire.server._connection.buffer) == 0


def test_quit_ends_the_task_as_well(connect: Connect) -> None:
    wire = connect()
    assert wire.say("NOOP") == ["250 OK"]
    assert wire.server._connection_task is not None
    assert wire.say("QUIT") == ["221 Bye"]
    assert wire.over


def test_a_client_that_leaves_without_a_word(connect: Connect) -> None:
    wire = connect()
    wire.half_close()
    assert wire.server._connection_task is None
    assert wire.over
    assert wire.heard() == []


@pytest.mark.parametrize("sent", [b"NOO", b"NOOP\r\nNOO"])
def test_what_it_sent_before_it_left_is_answered(connect: Connect, sent: bytes) -> None:
    wire = connect()
    wire.loop.call_soon(wire.transport.feed, sent)
    wire.loop.call_soon(wire.transport.feed_eof)
    wire.settle()
    assert wire.heard() == ["250 OK"] * (len(sent) > 3)
    assert wire.over


@pytest.mark.parametrize("in_body", [False, True])
def test_a_connection_that_breaks(connect: Connect, in_body: bool) -> None:
    wire = connect(RecordingHandler())
    if in_body:
        to_body(wire)
        wire.send(b"half a mess")
    wire.vanish(ConnectionResetError())
    assert wire.over
    assert wire.server.event_handler.envelopes == []


def test_a_silent_client(connect: Connect) -> None:
    wire = connect(timeout=20)
    wire.ehlo()
    wire.wait(19)
    assert wire.open
    wire.wait(2)
    assert wire.server._connection_task is None
    assert wire.over


def test_a_server_that_shuts_down(connect: Connect) -> None:
    wire = connect()
    wire.ehlo()
    wire.server.shut_down()
    wire.settle()
    assert wire.heard() == [GOODBYE]
    assert wire.server._connection_task is None
    assert wire.over


def test_a_body_is_finished_before_the_goodbye(connect: Connect) -> None:
    wire = connect(RecordingHandler())
    to_body(wire)
    wire.server.shut_down()
    assert wire.say("hi", ".") == ["250 OK", GOODBYE]
    assert wire.over


# -- asked for ----------------------------------------------------------------------------------------


def test_who_asks_for_the_task_gets_it(connect: Connect) -> None:
    wire = connect(RecordingHandler())
    task = wire.server._handler_coroutine
    assert isinstance(task, asyncio.Task)
    assert wire.server._handler_coroutine is task
    to_answer = ["EHLO x", "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA", "hi", "."]
    assert wire.say(*to_answer)[-4:] == ["250 OK", "250 OK", START, "250 OK"]
    wire.loop.call_soon(task.cancel)
    wire.settle()
    assert task.cancelled()
    assert wire.over


def test_in_the_middle_of_a_body_as_well(connect: Connect) -> None:
    wire = connect(RecordingHandler())
    to_body(wire)
    wire.send(b"hi\r\n.")
    task = wire.server._handler_coroutine
    assert wire.say("") == ["250 OK"]
    assert wire.server._handler_coroutine is task
    assert wire.server.event_handler.envelopes[0].content == b"hi\r\n"


def test_there_is_none_before_the_connection(loop: ManualLoop) -> None:
    assert SMTP(None, hostname="mx.example", loop=loop)._handler_coroutine is None


class _Cancelling(SMTP):
    """Cancels the task that 1.4 has at the end of each connection."""

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.event_handler.append(self._handler_coroutine)
        self._handler_coroutine.cancel()  # type: ignore[union-attr]


def test_after_the_connection_there_is_one_still(connect: Connect) -> None:
    tasks: list[Any] = []
    wire = connect(tasks, cls=_Cancelling)
    assert wire.say("QUIT") == ["221 Bye"]
    assert tasks[0].done()
    assert wire.over


def test_hooks_of_a_connection_run_in_one_context(connect: Connect) -> None:
    tasks = []

    async def note(*_: Any) -> str:
        tasks.append(asyncio.current_task())
        return "250 OK"

    wire = connect(SimpleNamespace(handle_NOOP=note, handle_VRFY=note))
    wire.say("NOOP", "HELO x", "VRFY y")
    wire.say("NOOP")
    assert len(tasks) == 3
    assert set(tasks) == {wire.server._handler_coroutine}


# -- made at once -------------------------------------------------------------------------------------


class _OwnWay(SMTP):
    async def _handle_client(self, *opened: bool) -> None:
        self.event_handler.append(opened)
        await super()._handle_client(*opened)


class _OwnPush(SMTP):
    async def push(self, status: str | bytes) -> None:
        self.event_handler.append(status)
        await super().push(status)


def test_whoever_overrides_what_it_does_is_asked(connect: Connect) -> None:
    told: list[Any] = []
    wire = connect(told, cls=_OwnWay)
    assert told == [()]
    wire.say("QUIT")
    assert told == [()]
    connect(told, cls=_OwnPush)
    assert told[1:] == ["220 mx.example Python SMTP 2.0.0"]


def test_a_server_without_a_register_may_cancel_all_tasks(loop: ManualLoop) -> None:
    server = SMTP(None, hostname="mx.example", loop=loop)
    transport = MemoryTransport(server, loop=loop)
    loop.call_soon(transport.connect)
    loop.settle()
    assert transport.received == b"220 mx.example Python SMTP 2.0.0\r\n"
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.settle()
    assert transport.is_closing()


# -- what is no command -------------------------------------------------------------------------------


@pytest.mark.parametrize("tail", [b"QUIT\r\n", b"MAIL FROM:<a@b.example>\r\n"])
def test_the_end_of_a_line_that_is_too_long_is_no_command(connect: Connect, tail: bytes) -> None:
    wire = connect()
    wire.ehlo()
    wire.send(b"X" * (AUTH_LINE_LIMIT + 1))
    wire.send(tail)
    assert wire.heard() == ["500 Command line too long"]
    assert wire.server.envelope.mail_from is None
    assert wire.open


def test_the_end_of_a_line_that_came_in_parts_is_none(connect: Connect) -> None:
    wire = connect()
    wire.ehlo()
    wire.send(b"VRFY ")
    wire.send(b"QUIT\r\n")
    assert wire.heard() == ["252 Cannot VRFY user, but will accept message and attempt delivery"]
    assert wire.open


def test_a_body_holds_none(connect: Connect) -> None:
    wire = connect(RecordingHandler())
    to_body(wire)
    for line in (b"QUIT\r\n", b"MAIL FROM:<a@b.example>\r\n", b"DATA\r\n"):
        wire.send(line)
    assert wire.heard() == []
    assert wire.say(".") == ["250 OK"]
    assert wire.server.event_handler.envelopes[0].content.count(b"\r\n") == 3


def test_a_line_that_comes_octet_by_octet(connect: Connect) -> None:
    wire = connect()
    wire.ehlo()
    for octet in b"MAIL FROM:<a@b.example> SIZE=3\r\n":
        wire.transport.feed(bytes([octet]))
    assert wire.server._connection_task is None
    assert wire.server.envelope.mail_from == "a@b.example"
    assert wire.server.envelope.mail_options == ["SIZE=3"]


# -- over sockets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("word", ["QUIT", ""])
def test_over_a_socket(
    run: Run,
    serve: Serve,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    tls: bool,
    word: str,
) -> None:
    async def test() -> None:
        contexts = {"implicit": server_context, "client": client_context} if tls else {}
        async with serve(**contexts) as (client, registry):
            if word:
                assert await client.say("HELO x") == ["250 mx.example"]
                assert await client.say(word) == ["221 Bye"]
            elif tls:
                client.writer.close()
            else:
                client.writer.write_eof()
            if word or not tls:
                assert await client.heard() == []
            await registry.all_over()
            assert registry.made[0]._connection_task is None

    run(test)
