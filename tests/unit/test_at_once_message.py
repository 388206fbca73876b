"""What becomes of a message whose DATA was answered as it was received, and of what comes around it.

The end of the connection at every point, a client that does not read, one that answers within the call
that writes to it, and memory.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import tracemalloc
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from aiosmtpd.lmtp import LMTP
from aiosmtpd.protocol import ProtocolError
from aiosmtpd.smtp import SMTP
from aiosmtpd.testing import MemoryTransport, RecordingHandler

if TYPE_CHECKING:
    from tests.unit.conftest import Connect

START = "354 End data with <CR><LF>.<CR><LF>"
GOODBYE = "421 4.3.2 Server shutting down"
MAIL = "MAIL FROM:<anne@example.com>"


# -- the message ------------------------------------------------------------------------------------


class _Noting(SMTP):
    """Notes how transactions end."""

    line_length_limit = 20

    def _set_post_data_state(self) -> None:
        self.event_handler.ends.append("after DATA")
        super()._set_post_data_state()

    def _set_rset_state(self) -> None:
        self.event_handler.ends.append("reset")
        super()._set_rset_state()


class _NotingLMTP(_Noting, LMTP):
    pass


@pytest.mark.parametrize(
    ("cls", "times", "greeting"), [(_Noting, 1, "EHLO"), (_NotingLMTP, 2, "LHLO")]
)
@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize(
    ("body", "reply"),
    [
        ("a\r\n" * 9, "552 Error: Too much mail data"),
        ("a" * 19 + "\r\n", "500 Line too long (see RFC5321 4.5.3.1.6)"),
    ],
)
def test_the_fault_of_a_body_is_answered_at_its_true_end(
    connect: Connect,
    cls: type[SMTP],
    times: int,
    greeting: str,
    paused: bool,
    body: str,
    reply: str,
) -> None:
    wire = connect(SimpleNamespace(ends=[]), cls=cls, data_size_limit=25)
    wire.to_data("bart@example.com", "cate@example.com", greeting=greeting)
    wire.server.event_handler.ends.clear()
    if paused:  # then it is the task that reads on
        wire.server.pause_writing()
    assert wire.say(body, "NOOP", "..", "RSET") == []
    wire.say(".", "NOOP")
    if paused:
        wire.server.resume_writing()
        wire.settle()
    heard = wire.transport.received.decode().split("\r\n")
    assert heard[-times - 3 : -1] == [START] + [reply] * times + ["250 OK"]
    assert wire.server.event_handler.ends == ["after DATA"]
    assert wire.server.envelope.mail_from is None


@pytest.mark.parametrize(("cls", "times"), [(SMTP, 1), (LMTP, 2)])
@pytest.mark.parametrize("how", ["too long", "fails", "cancelled"])
def test_a_hook_that_fails_is_answered_for_once(
    connect: Connect, cls: type[SMTP], times: int, how: str
) -> None:
    async def fail(*_: Any) -> str:
        if how == "fails":
            raise ValueError
        waiter = asyncio.get_running_loop().create_future()
        if how == "cancelled":
            waiter.cancel()
        await waiter
        raise AssertionError

    wire = connect(SimpleNamespace(handle_DATA=fail), cls=cls, handler_timeout=20, timeout=15)
    greeting = "LHLO" if cls is LMTP else "EHLO"
    wire.to_data("bart@example.com", "cate@example.com", greeting=greeting)
    wire.wait(10)
    wire.send(b"hi\r\n")
    wire.wait(10)  # the client has been silent no longer than this
    wire.send(b".\r\n")
    if how == "too long":
        wire.wait(18)  # and the hook has its time from the end of the message on
        assert wire.heard() == []
        wire.wait(3)
    assert [line[:10] for line in wire.heard()] == ["451 4.3.0 "] * times
    assert wire.say(MAIL) == ["250 OK"]


def test_a_client_that_falls_silent_in_a_body_is_dropped(connect: Connect) -> None:
    wire = connect(RecordingHandler(), timeout=30)
    wire.to_data()
    wire.wait(29)
    wire.send(b"hi\r\n")
    wire.wait(29)
    assert wire.open
    wire.wait(2)
    assert wire.over
    assert wire.heard() == []
    assert not wire.server.event_handler.envelopes


def test_a_hook_runs_in_the_task_of_the_connection(connect: Connect) -> None:
    told: list[Any] = []

    async def ask(server: SMTP, *_: Any) -> str:
        told.append(asyncio.current_task() is server._handler_coroutine)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.sleep(10)
        return "250 in time"

    wire = connect(SimpleNamespace(handle_DATA=ask))
    wire.to_data()
    wire.send(b"hi\r\n.\r\n")
    wire.wait(6)
    assert wire.heard() == ["250 in time"]
    assert told == [True]


# -- the end of the connection ----------------------------------------------------------------------


@pytest.mark.parametrize("paused", [False, True])
def test_a_message_that_was_asked_for_is_finished_before_the_goodbye(
    connect: Connect, paused: bool
) -> None:
    wire = connect(RecordingHandler())
    wire.to_data()
    wire.server.shut_down()
    if paused:
        wire.server.pause_writing()
    assert wire.say("hi") == []
    assert wire.open
    if paused:
        wire.server.resume_writing()
    assert wire.say("there", ".", MAIL) == ["250 OK", GOODBYE]
    assert wire.over
    assert wire.server.event_handler.envelopes[0].content == b"hi\r\nthere\r\n"


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("sent", [b"NO", b"MAIL FROM:<>\r\nRCPT"])
def test_a_goodbye_is_said_however_little_came_before_it(
    connect: Connect, sent: bytes, paused: bool
) -> None:
    wire = connect()
    wire.ehlo()
    if paused:
        wire.server.pause_writing()
    wire.loop.call_soon(wire.transport.feed, sent)
    wire.loop.call_soon(wire.server.shut_down)
    wire.settle()
    if paused:
        wire.server.resume_writing()
        wire.settle()
    assert wire.heard() == ["250 OK"] * (sent != b"NO") + [GOODBYE]
    assert wire.over


def test_a_message_that_came_whole_is_handled_though_the_client_has_ended(
    connect: Connect,
) -> None:
    wire = connect(RecordingHandler())
    wire.to_data()
    wire.loop.call_soon(wire.transport.feed, b"hi\r\n.\r\n")
    wire.loop.call_soon(wire.transport.feed_eof)
    wire.settle()
    assert wire.heard() == ["250 OK"]
    assert wire.over
    assert len(wire.server.event_handler.envelopes) == 1


# -- a transport that is full, and one that calls back ----------------------------------------------


def test_a_client_that_does_not_read_is_not_read_from(connect: Connect) -> None:
    wire = connect()
    wire.ehlo()
    wire.transport.set_write_buffer_limits(high=0)
    wire.transport.hold()
    assert wire.say(MAIL) == []
    for _ in range(3000):
        wire.transport.feed(b"RCPT TO:<bart@example.com>\r\n")
    wire.settle()
    assert not wire.transport.is_reading()
    assert wire.transport.get_write_buffer_size() <= 16384 + 2 * len("250 OK\r\n")
    wire.release()
    wire.settle()
    assert wire.heard() == ["250 OK"] * 3001
    assert wire.transport.is_reading()
    waiter = wire.server._waiter
    assert wire.say("DATA") == [START]
    assert wire.server._waiter is waiter  # the task is not asked again


def test_many_commands_in_one_go_leave_others_their_turn(connect: Connect) -> None:
    wire = connect()
    wire.ehlo()
    turns: list[int] = []

    def look() -> None:
        turns.append(len(wire.transport.received))
        if len(wire.server.envelope.rcpt_tos) < 10_000:
            wire.loop.call_soon(look)

    wire.loop.call_soon(look)
    wire.send(b"MAIL FROM:<>\r\n" + b"RCPT TO:<bart@example.com>\r\n" * 10_000)
    assert wire.heard() == ["250 OK"] * 10_001
    # Never more than what is held back, and one reply.
    steps = [after - before for before, after in itertools.pairwise(turns)]
    assert max(steps) <= 16384 + 2 * len("250 OK\r\n")


def _answers(replies: dict[bytes, bytes], transport: MemoryTransport) -> Callable[[bytes], None]:
    """Make a ``write`` of a client that answers within the call."""
    write = transport.write

    def write_and_answer(data: bytes) -> None:
        write(data)
        transport.feed(replies.pop(data, b""))

    return write_and_answer


def test_a_client_that_answers_within_the_call_of_write(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire = connect(RecordingHandler())
    wire.ehlo()
    replies = {
        b"250 OK\r\n": b"RCPT TO:<bart@example.com>\r\nD",
        f"{START}\r\n".encode(): b"hi\r\n.\r\nNOOP\r\n",
    }
    monkeypatch.setattr(wire.transport, "write", _answers(replies, wire.transport))
    wire.send(b"MAIL FROM:<>\r\n")
    wire.send(b"ATA\r\n")
    assert wire.heard() == ["250 OK", "250 OK", START, "250 OK", "250 OK"]


def test_a_client_that_answers_while_the_task_goes_to_wait(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def pause(server: SMTP, *_: Any) -> str:
        server._pause_reading()  # as when much comes while a hook is busy
        return "250 OK"

    wire = connect(SimpleNamespace(handle_RSET=pause))
    wire.ehlo()
    # The reply to NOOP is held back, because of what follows it, until the task waits.
    replies = {b"250 OK\r\n": b"P\r\n"}
    monkeypatch.setattr(wire.transport, "write", _answers(replies, wire.transport))
    wire.send(b"NOOP\r\nNOO")
    assert wire.heard() == ["250 OK", "250 OK"]
    resume = wire.transport.resume_reading

    def resume_at_once() -> None:
        resume()
        wire.transport.feed(b"VRFY x\r\n")

    monkeypatch.setattr(wire.transport, "resume_reading", resume_at_once)
    wire.send(b"RSET\r\n")
    assert [line[:3] for line in wire.heard()] == ["250", "252"]


# -- memory -------------------------------------------------------------------------------------------


def test_a_body_is_held_once_and_by_the_envelope_only(connect: Connect) -> None:
    piece = b"x" * 998 + b"\r\n"
    piece *= 64
    count = 64
    size = count * len(piece)
    used: list[int] = []

    async def drop(server: SMTP, session: Any, envelope: Any) -> str:
        assert len(envelope.content) == size
        used.append(tracemalloc.get_traced_memory()[0])
        envelope.content = envelope.original_content = None
        used.append(tracemalloc.get_traced_memory()[0])
        return "250 OK"

    wire = connect(SimpleNamespace(handle_DATA=drop))
    wire.to_data()
    tracemalloc.start()
    try:
        for _ in range(count):
            wire.send(piece)
        wire.send(b".\r\n")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert wire.heard() == ["250 OK"]
    assert used[0] > size
    assert used[1] < size / 4
    assert peak < 1.5 * size


def test_while_the_reply_waits_the_body_is_gone(connect: Connect) -> None:
    class Octets:
        """What the envelope holds beside the body, and as long."""

    kept: list[weakref.ref[Octets]] = []

    async def keep(server: SMTP, session: Any, envelope: Any) -> str:
        envelope.content = octets = Octets()
        kept.append(weakref.ref(octets))
        return "250 OK"

    wire = connect(SimpleNamespace(handle_DATA=keep))
    wire.to_data()
    wire.transport.set_write_buffer_limits(high=0)
    wire.transport.hold()
    body = b"x" * 900 + b"\r\n"
    tracemalloc.start()
    try:
        wire.send(body * 1000 + b".\r\n")
        wire.transport.record.clear()  # it has what was sent
        assert wire.server._draining
        assert tracemalloc.get_traced_memory()[0] < len(body) * 500
    finally:
        tracemalloc.stop()
    assert kept[0]() is None
    wire.release()
    assert wire.heard() == ["250 OK"]


def test_a_fault_leaves_nothing_to_the_collector(connect: Connect) -> None:
    faults: list[weakref.ref[ProtocolError]] = []

    class Watching(SMTP):
        async def _refuse(self, fault: ProtocolError) -> None:
            faults.append(weakref.ref(fault))
            await super()._refuse(fault)

    wire = connect(cls=Watching)
    wire.ehlo()
    gc.collect()
    gc.disable()
    try:
        assert [line[:3] for line in wire.say("MAIL FROM:<", "\xff")] == ["553", "500"]
        assert [fault() for fault in faults] == [None, None]
    finally:
        gc.enable()
