"""Who is waited for, and for how long: a silent client, a slow hook, a client that does not read.

Nothing here waits: the clock of the loop is moved by hand.
"""

from __future__ import annotations

import asyncio
import itertools
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.hooks import Slow
from tests.unit.registered import Registered

from aiosmtpd.deadlines import Watch
from aiosmtpd.server import Connections
from aiosmtpd.smtp import SMTP
from aiosmtpd.testing import MemoryTransport

if TYPE_CHECKING:
    from tests.unit.conftest import Connect, ManualLoop, Wire

TOO_LONG = "451 4.3.0 Error: processing took too long"


def noted(wire: Wire) -> list[str]:
    """What happened to the connection, apart from octets."""
    return [what for _, what in wire.transport.record if isinstance(what, str)]


# -- a client that is silent ----------------------------------------------------------------------


def test_a_silent_client_is_dropped(connect: Connect) -> None:
    wire = connect(timeout=20)
    wire.wait(19)
    assert wire.open
    wire.wait(2)
    assert not wire.open
    assert wire.heard() == []
    assert wire.over


@pytest.mark.parametrize(("timeout", "seconds"), [(20, 20), (300, 300), (1.5, 1.5)])
def test_the_limit_is_kept_to_the_second(connect: Connect, timeout: float, seconds: float) -> None:
    # Whatever the timer is set by, it is not late: not even after a life of small talk.
    wire = connect(timeout=timeout)
    for part in (0.1, 0.9, 0.4):
        wire.wait(seconds * part)
        assert wire.say("NOOP") == ["250 OK"]
    wire.wait(seconds - 0.5)
    assert wire.open
    wire.wait(1.5)
    assert wire.over


def test_the_default_is_five_minutes(connect: Connect) -> None:
    wire = connect()
    wire.wait(299)
    assert wire.open
    wire.wait(2)
    assert wire.over


def test_no_limit(connect: Connect) -> None:
    wire = connect(timeout=None, handler_timeout=None)
    wire.wait(5000)
    assert wire.say("NOOP") == ["250 OK"]


def test_silence_counts_from_the_last_octet(connect: Connect) -> None:
    wire = connect(timeout=20)
    for octet in b"NOOP\r\n" * 3:
        wire.wait(15)
        wire.send(bytes([octet]))
    assert wire.heard() == ["250 OK"] * 3
    wire.wait(21)
    assert wire.over


def test_silence_counts_from_the_last_octet_inside_a_body(connect: Connect) -> None:
    wire = connect(timeout=20)
    wire.to_data()
    for _ in range(10):
        wire.wait(15)
        wire.send(b"line\r\n")
    wire.wait(15)
    assert wire.say(".") == ["250 OK"]


def test_a_client_that_is_silent_inside_a_body(connect: Connect) -> None:
    wire = connect(Slow(0), timeout=20)
    wire.to_data()
    wire.send(b"line\r\n")
    wire.wait(21)
    assert wire.heard() == []
    assert wire.over


def test_a_client_that_is_silent_inside_auth(connect: Connect) -> None:
    wire = connect(authenticator=lambda *_: None, auth_require_tls=False, timeout=20)
    wire.ehlo()
    assert wire.say("AUTH PLAIN") == ["334 "]
    wire.wait(15)
    assert wire.open
    wire.wait(6)
    assert wire.over


def test_the_limit_may_be_changed_on_the_way(connect: Connect) -> None:
    wire = connect(timeout=20)
    wire.server._reset_timeout(100)
    wire.wait(90)
    assert wire.say("NOOP") == ["250 OK"]
    wire.server._timeout_duration = 10
    wire.wait(101)  # the timer that runs is the one of before
    assert wire.over


def test_the_limit_may_be_changed_before_the_connection_is_made() -> None:
    class Patient(SMTP):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self._reset_timeout(100)
            super().connection_made(transport)

    async def greeting() -> bytes:
        transport = MemoryTransport(Patient(None, hostname="mx.example"))  # which is told no loop
        transport.connect()
        await asyncio.sleep(0)
        transport.lose()
        return transport.received

    assert asyncio.run(greeting()).startswith(b"220 mx.example")


def test_the_callback_of_the_timer_drops_the_client(connect: Connect) -> None:
    wire = connect()
    wire.server._timeout_cb()
    wire.settle()
    assert wire.over
    wire.server._timeout_cb()  # late, and harmless


# -- a hook that takes its time -------------------------------------------------------------------


def test_the_idle_limit_is_not_for_hooks(connect: Connect) -> None:
    handler = Slow(100)
    wire = connect(handler, timeout=20)
    wire.say("NOOP")
    wire.wait(99)
    assert wire.heard() == []
    wire.wait(2)
    assert wire.heard() == ["250 slow"]
    # The client's time begins anew.
    wire.wait(18)
    assert wire.open
    wire.wait(2)
    assert wire.over


def test_the_limit_on_handlers(connect: Connect) -> None:
    handler = Slow(100)
    wire = connect(handler, handler_timeout=30)
    wire.say("NOOP", "VRFY x")
    wire.wait(29)
    assert wire.heard() == []
    wire.wait(2)
    assert wire.heard()[0] == TOO_LONG
    assert handler.ended == ["cancelled"]
    assert wire.say("VRFY x")[0].startswith("252")


def test_the_limit_on_handlers_is_ten_minutes_unless_told(connect: Connect) -> None:
    wire = connect(Slow(1000))
    wire.say("NOOP")
    wire.wait(599)
    assert wire.heard() == []
    wire.wait(2)
    assert wire.heard() == [TOO_LONG]


def test_no_limit_on_handlers(connect: Connect) -> None:
    wire = connect(Slow(5000), handler_timeout=None)
    wire.say("NOOP")
    wire.wait(5001)
    assert wire.heard() == ["250 slow"]


def test_the_limit_counts_for_each_command(connect: Connect) -> None:
    wire = connect(Slow(20), handler_timeout=30)
    wire.say(*["NOOP"] * 5)
    wire.wait(101)
    assert wire.heard() == ["250 slow"] * 5


def test_a_transaction_ends_with_a_hook_that_took_too_long(connect: Connect) -> None:
    wire = connect(Slow(100), handler_timeout=30)
    wire.to_data()
    wire.say("Hello", ".", "RCPT TO:<b@example.com>")
    wire.wait(31)
    assert wire.heard() == [TOO_LONG, "503 Error: need MAIL command"]


def test_receiving_a_body_is_no_time_of_a_handler(connect: Connect) -> None:
    wire = connect(Slow(20), handler_timeout=30)
    wire.to_data()
    for _ in range(10):
        wire.wait(25)
        wire.send(b"line\r\n")
    wire.say(".")
    wire.wait(21)
    assert wire.heard() == ["250 slow"]


def test_the_limit_is_for_handle_exception_too(connect: Connect) -> None:
    class Handler:
        async def handle_NOOP(self, *_: Any) -> str:
            raise ValueError

        async def handle_exception(self, error: Exception) -> str:
            await asyncio.sleep(1000)
            return "451 late"

    wire = connect(Handler(), handler_timeout=30)
    wire.say("NOOP", "VRFY")
    wire.wait(31)
    assert wire.heard() == [TOO_LONG, "501 Syntax: VRFY <address>"]


def test_a_hook_that_will_not_be_cancelled(connect: Connect) -> None:
    class Stubborn:
        async def handle_NOOP(self, *_: Any) -> str:
            for _turn in range(3):
                try:
                    await asyncio.sleep(1000)
                except asyncio.CancelledError:
                    continue
            return "250 at last"

    wire = connect(Stubborn(), handler_timeout=30)
    wire.say("NOOP")
    wire.wait(95)
    assert wire.heard() == ["250 at last"]
    assert wire.say("VRFY x")[0].startswith("252")


def test_a_connection_that_is_cancelled_is_not_saved_by_the_limit(connect: Connect) -> None:
    handler = Slow(100)
    wire = connect(handler, handler_timeout=30)
    wire.say("NOOP")
    assert wire.server._handler_coroutine is not None
    wire.server._handler_coroutine.cancel()
    wire.settle()
    assert wire.heard() == []
    assert handler.ended == ["cancelled"]
    assert wire.over


def test_a_hook_that_runs_when_its_connection_is_lost_has_its_limit(connect: Connect) -> None:
    class Reader:
        ended = False

        async def handle_BODY(self, *_: Any) -> str:
            try:
                await asyncio.sleep(1000)
            finally:
                self.ended = True
            return "250 OK"

    handler = Reader()
    wire = connect(handler, handler_timeout=30)
    wire.to_data()
    wire.send(b"line\r\n")
    wire.vanish()
    assert not wire.over
    wire.wait(31)
    assert handler.ended
    assert wire.over


# -- a client that does not read ------------------------------------------------------------------


class Talker:
    """Says more at once than a transport will buffer."""

    async def handle_NOOP(self, *_: Any) -> str:
        return "\r\n".join(["250-" + "x" * 500] * 200 + ["250 OK"])


def test_a_client_that_does_not_read_is_not_read_from(connect: Connect) -> None:
    wire = connect(Talker())
    wire.transport.hold()
    wire.say("NOOP", "VRFY x")
    assert wire.server._write_waiter is not None
    assert wire.server._handler_coroutine is not None
    for _ in range(100):
        wire.send(b"VRFY\r\n" * 1000)
    assert not wire.transport.is_reading()
    assert len(wire.server._connection.buffer) <= 75_000
    assert wire.transport.get_write_buffer_size() <= 150_000
    wire.release()
    replies = wire.heard()
    assert replies[200:203] == [
        "250 OK",
        "252 Cannot VRFY user, but will accept message and attempt delivery",
        "501 Syntax: VRFY <address>",
    ]
    assert len(replies) == 202 + 100_000


def test_a_client_that_does_not_read_is_dropped(connect: Connect) -> None:
    wire = connect(Talker(), timeout=20)
    wire.transport.hold()
    wire.say("NOOP")
    wire.wait(19)
    assert wire.open
    wire.wait(2)
    assert noted(wire)[0] == "server aborts"
    assert wire.over


def test_a_client_that_reads_gains_time(connect: Connect) -> None:
    wire = connect(Talker(), timeout=20)
    wire.transport.hold()
    wire.say("NOOP")
    wire.wait(15)
    wire.release(95_000)
    wire.wait(15)
    assert wire.open
    wire.wait(6)
    assert wire.over


def test_the_time_of_a_hook_is_not_that_of_the_client(connect: Connect) -> None:
    class SlowTalker(Talker):
        async def handle_NOOP(self, *arguments: Any) -> str:
            await asyncio.sleep(100)
            return await super().handle_NOOP(*arguments)

    wire = connect(SlowTalker(), timeout=20)
    wire.transport.hold()
    wire.say("NOOP")
    wire.wait(115)
    assert wire.open
    wire.wait(6)
    assert wire.over


def test_a_client_that_does_not_read_the_last_reply_is_dropped(connect: Connect) -> None:
    # The transport is closed, but cannot get rid of what was written.
    wire = connect(timeout=20)
    wire.transport.hold()
    wire.say("QUIT")
    assert not wire.open
    assert not wire.over
    wire.wait(21)
    assert wire.over


def test_a_silent_client_that_does_not_read_either_is_dropped(connect: Connect) -> None:
    wire = connect(timeout=20)
    wire.transport.hold()
    wire.say("NOOP")
    wire.wait(21)
    assert noted(wire)[0] == "server aborts"
    assert wire.over


def test_a_client_that_is_gone_while_it_did_not_read(connect: Connect) -> None:
    delivered = []

    class Handler(Talker):
        async def handle_RSET(self, *_: Any) -> str:
            delivered.append("RSET")
            return "250 OK"

    wire = connect(Handler())
    wire.transport.hold()
    wire.say("NOOP")
    wire.say("RSET")
    wire.vanish()
    assert wire.over
    # Nobody is left to be answered, so what was pipelined is not done.
    assert delivered == []


def test_a_hook_is_cancelled_though_the_client_did_not_read(connect: Connect) -> None:
    class Handler(Slow, Talker):
        async def handle_NOOP(self, *arguments: Any) -> str:
            return await Talker.handle_NOOP(self, *arguments)

        async def handle_VRFY(self, *_: Any) -> str:
            return await self._take_time()

        async def handle_RSET(self, *_: Any) -> str:
            return "250 " + "x" * 100

    handler = Handler(1000)
    wire = connect(handler)
    wire.transport.set_write_buffer_limits(high=50)
    wire.transport.hold()
    # The reply to RSET is held back, and written while the hook of VRFY waits.
    wire.say("RSET", "VRFY x", "NOOP")
    assert wire.server._write_waiter is not None
    wire.vanish()
    assert handler.ended == ["cancelled"]
    assert wire.over


def test_writing_may_be_paused_by_hand(connect: Connect) -> None:
    wire = connect()
    wire.server.pause_writing()
    assert wire.say("NOOP", "NOOP") == ["250 OK", "250 OK"]
    assert wire.say("NOOP") == []
    wire.server.resume_writing()
    wire.settle()
    assert wire.heard() == ["250 OK"]


# -- PROXY ----------------------------------------------------------------------------------------


class Proxied:
    async def handle_PROXY(self, *_: Any) -> bool:
        return True


def test_a_proxy_header_has_to_come_in_time(connect: Connect) -> None:
    wire = connect(Proxied(), proxy_protocol_timeout=5)
    assert wire.greeting == []
    # Octets gain no time.
    for octet in b"PROXY TCP":
        wire.wait(0.5)
        wire.send(bytes([octet]))
    assert wire.open
    wire.wait(1)
    assert wire.heard() == []
    assert wire.over


def test_after_the_proxy_header_the_idle_limit_holds(connect: Connect) -> None:
    wire = connect(Proxied(), proxy_protocol_timeout=5, timeout=20)
    wire.send(b"PROXY UNKNOWN\r\n")
    assert wire.heard()[0].startswith("220 ")
    wire.wait(19)
    assert wire.open
    wire.wait(2)
    assert wire.over


# -- shutting down --------------------------------------------------------------------------------

GOODBYE = "421 4.3.2 Server shutting down"


def shut_down(wire: Wire) -> list[str]:
    wire.loop.call_soon(wire.server.shut_down)
    wire.settle()
    return wire.heard()


def test_an_idle_connection_is_told_goodbye(connect: Connect) -> None:
    wire = connect()
    assert shut_down(wire) == [GOODBYE]
    assert wire.over


def test_a_command_that_is_not_there_yet_is_not_waited_for(connect: Connect) -> None:
    wire = connect()
    wire.send(b"NOO")
    assert shut_down(wire) == [GOODBYE]
    assert wire.over


def test_goodbye_is_said_once(connect: Connect) -> None:
    wire = connect()

    def twice() -> None:
        wire.server.shut_down()
        wire.server.shut_down()

    wire.loop.call_soon(twice)
    wire.settle()
    assert wire.heard() == [GOODBYE]
    assert wire.over
    wire.server.shut_down()  # late, and harmless


def test_a_running_command_is_finished_and_answered(connect: Connect) -> None:
    handler = Slow(10)
    wire = connect(handler)
    wire.say("NOOP", "NOOP", "NOOP")
    assert shut_down(wire) == []
    wire.wait(11)
    assert wire.heard() == ["250 slow", GOODBYE]
    assert handler.ended == ["finished"]
    assert wire.over


def test_a_body_is_received_and_answered(connect: Connect) -> None:
    wire = connect()
    wire.to_data()
    wire.send(b"line\r\n")
    assert shut_down(wire) == []
    assert wire.say("line", ".", "NOOP") == ["250 OK", GOODBYE]
    assert wire.over


def test_a_verb_that_reads_by_itself_is_finished(connect: Connect) -> None:
    class Server(SMTP):
        async def smtp_READ(self, arg: str | None) -> None:
            line = await self._reader.readline()
            await self.push(b"250 " + line.strip())

    wire = connect(cls=Server)
    wire.say("READ")
    assert shut_down(wire) == []
    assert wire.say("line") == ["250 line", GOODBYE]
    assert wire.over


def test_an_exchange_of_auth_is_finished(connect: Connect) -> None:
    wire = connect(authenticator=lambda *_: None, auth_require_tls=False)
    wire.ehlo()
    wire.say("AUTH PLAIN")
    assert shut_down(wire) == []
    assert wire.say("*") == ["501 5.7.0 Auth aborted", GOODBYE]
    assert wire.over


def test_a_client_that_says_goodbye_itself_hears_one_only(connect: Connect) -> None:
    class Handler:
        async def handle_QUIT(self, *_: Any) -> str:
            await asyncio.sleep(10)
            return "221 Bye"

    wire = connect(Handler())
    wire.say("QUIT")
    assert shut_down(wire) == []
    wire.wait(11)
    assert wire.heard() == ["221 Bye"]
    assert wire.over


def test_a_connection_that_has_not_begun_is_greeted_and_told(connect: Connect) -> None:
    class Server(SMTP):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.shut_down()

    wire = connect(cls=Server)
    assert [line[:3] for line in wire.greeting] == ["220", "421"]
    assert wire.over


def test_a_connection_that_waits_for_its_proxy_header_is_closed(connect: Connect) -> None:
    wire = connect(Proxied(), proxy_protocol_timeout=5)
    assert shut_down(wire) == [GOODBYE]
    assert wire.over


# -- what a server knows of its connections -------------------------------------------------------


class Registry:
    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def add(self, connection: Any) -> None:
        self.calls.append(("add", connection))

    def discard(self, connection: Any) -> None:
        self.calls.append(("discard", connection))

    def look_in(self, seconds: float) -> None:
        assert seconds > 0


def test_connections_are_added_and_discarded(connect: Connect) -> None:
    registry = Registry()

    class Server(Registered):
        register = registry

    wire = connect(cls=Server)
    assert registry.calls == [("add", wire.server)]
    wire.say("QUIT")
    assert registry.calls == [("add", wire.server), ("discard", wire.server)]


def test_overridden_callbacks_of_the_transport(connect: Connect) -> None:
    calls = []

    class Server(SMTP):
        def connection_made(self, transport: Any) -> None:
            calls.append("made")
            super().connection_made(transport)

        def data_received(self, data: bytes) -> None:
            calls.append("data")
            super().data_received(data.replace(b"PING", b"NOOP"))

        def eof_received(self) -> bool:
            calls.append("eof")
            return super().eof_received()

        def connection_lost(self, error: Exception | None) -> None:
            calls.append("lost")
            super().connection_lost(error)

    wire = connect(cls=Server)
    assert wire.say("PING") == ["250 OK"]
    wire.half_close()
    assert calls == ["made", "data", "eof", "lost"]
    assert wire.over


# -- fairness -------------------------------------------------------------------------------------


def test_a_client_that_pipelines_gives_others_their_turn(connect: Connect) -> None:
    wire = connect()
    before = len(wire.transport.received)
    seen: list[int] = []

    async def somebody_else() -> None:
        while not seen or seen[-1] < 80_000:
            seen.append(len(wire.transport.received) - before)
            await asyncio.sleep(0)

    wire.transport.feed(b"NOOP\r\n" * 10_000)
    wire.loop.run_until_complete(somebody_else())
    assert seen[-1] == 80_000
    assert max(after - before for before, after in itertools.pairwise([0, *seen])) < 20_000


# -- what piles up --------------------------------------------------------------------------------


def test_what_comes_while_a_hook_runs_is_bounded(connect: Connect) -> None:
    wire = connect(Slow(10))
    wire.say("NOOP")
    sent = 0
    while wire.transport.is_reading():
        wire.send(b"VRFY x\r\n" * 1000)
        sent += 1000
    assert len(wire.server._connection.buffer) < 80_000
    wire.send(b"QUIT\r\n")
    wire.wait(11)
    replies = wire.heard()
    assert replies[0] == "250 slow"
    assert len(replies) == sent + 2
    assert wire.over


# -- many connections, one timer ------------------------------------------------------------------


class _Counting:
    """Stands in for the loop's ``call_at`` and counts the timers."""

    def __init__(self, loop: ManualLoop) -> None:
        self.timers: list[float] = []
        self._call_at = loop.call_at
        loop.call_at = self  # type: ignore[method-assign, assignment]

    def __call__(self, when: float, *args: Any, **kwargs: Any) -> asyncio.TimerHandle:
        self.timers.append(when)
        return self._call_at(when, *args, **kwargs)


def test_the_connections_of_a_server_share_a_timer(connect: Connect, loop: ManualLoop) -> None:
    counting = _Counting(loop)
    registry = Connections(loop)

    class Server(Registered):
        register = registry

    wires = []
    for _ in range(20):
        wires.append(connect(cls=Server, timeout=100))
        wires[-1].wait(1)
    assert counting.timers == [100]
    wires[3].wait(70)  # so that it is 90
    assert wires[3].say("NOOP") == ["250 OK"]
    for number, wire in enumerate(wires):
        due = 190 if number == 3 else number + 100
        wire.wait(due - loop.now - 0.5)
        assert wire.open, number
        wire.wait(0.9)
        assert wire.over, number
        if number == 3:
            break
    assert len(counting.timers) < 30
    wires[0].wait(100)
    assert all(wire.over for wire in wires)


def test_a_shorter_limit_is_not_slept_through(connect: Connect, loop: ManualLoop) -> None:
    registry = Connections(loop)

    class Server(Registered):
        register = registry

    patient, hasty = (connect(cls=Server, timeout=timeout) for timeout in (300, 10))
    patient.wait(11)
    assert hasty.over
    assert patient.open
    patient.server._reset_timeout(5)
    patient.wait(6)
    assert patient.over


def test_many_deadlines_do_not_make_many_looks(connect: Connect, loop: ManualLoop) -> None:
    counting = _Counting(loop)
    looks = []

    class Silent:
        """One of a thousand connections that end one after the other."""

        def __init__(self, end: float) -> None:
            self.end = end

        def check_deadline(self) -> float:
            looks.append(loop.now)
            return self.end - loop.now if self.end > loop.now else float("inf")

    silent = [Silent(10 + number / 1000) for number in range(1000)]
    watch = Watch(loop, lambda: silent)  # type: ignore[arg-type, return-value]
    watch.look_in(10)
    for step in range(1200):
        loop.now = 9.9 + step / 1000
        loop.settle()
    assert len(counting.timers) <= 1 + 1 / (1000 * 0.00005) + 1
    assert len(looks) == 1000 * (len(counting.timers))
    assert watch._timer is None


def test_a_hook_that_outlives_its_connection_has_a_timer_of_its_own(
    connect: Connect, loop: ManualLoop
) -> None:
    told = []

    async def read(*given: Any) -> str:
        try:
            async for _ in given[-1]:
                pass
        except Exception as error:
            told.append(type(error).__name__)
            await asyncio.sleep(1000)
        return "250 OK"

    wire = connect(SimpleNamespace(handle_BODY=read), handler_timeout=30)
    wire.to_data()
    wire.send(b"half a mess")
    wire.vanish()
    assert told == ["BodyIncomplete"]
    assert not wire.over
    wire.wait(29)
    assert not wire.over
    wire.wait(2)
    assert wire.over
