"""The task of a connection where a program has a say: overrides, contexts, cancellation, threads."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.registered import Registered

from aiosmtpd.extensions import DEFAULT, Extension
from aiosmtpd.server import Connections, _has_said_all, cancel_tasks
from aiosmtpd.session import Envelope
from aiosmtpd.smtp import SMTP
from aiosmtpd.testing import MemoryTransport, RecordingHandler

if TYPE_CHECKING:
    from tests.unit.conftest import Connect, ManualLoop, Run, Serve, Wire

GREETING = "220 mx.example Python SMTP 2.0.0"
TRANSACTION = ("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA", "hi", ".")
GOOD = ["250 OK", "250 OK", "354 End data with <CR><LF>.<CR><LF>", "250 OK"]
BOUND: contextvars.ContextVar[str] = contextvars.ContextVar("BOUND", default="nothing")


# -- what is overridden -------------------------------------------------------------------------------


class _Renaming(SMTP):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.hostname = "late.example"


class _Refusing(SMTP):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self.transport is not None
        self.transport.write(b"421 too many\r\n")
        self.transport.close()


def test_what_connection_made_adds_comes_before_the_greeting(connect: Connect) -> None:
    assert connect(cls=_Renaming).greeting == [GREETING.replace("mx.", "late.")]
    assert connect(cls=_Refusing).greeting == ["421 too many"]


class _Binding(SMTP):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        BOUND.set("by connection_made")
        super().connection_made(transport)


class _BindingSession(SMTP):
    def _create_session(self) -> Any:
        BOUND.set("by _create_session")
        return super()._create_session()


@pytest.mark.parametrize("cls", [_Binding, _BindingSession])
def test_what_is_bound_to_the_context_is_there_in_hooks(connect: Connect, cls: type[SMTP]) -> None:
    async def tell(*_: Any) -> str:
        return f"250 {BOUND.get()}"

    wire = connect(SimpleNamespace(handle_NOOP=tell), cls=cls)
    assert wire.say("NOOP")[0].startswith("250 by ")


class _Asking(SMTP):
    def _create_envelope(self) -> Envelope:
        assert self._handler_coroutine is not None
        return super()._create_envelope()


class _OwnTask(SMTP):
    _task: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._task = self.loop.create_future()


class _WrappedOnInstance(SMTP):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        serve = self._handle_client

        async def wrapped() -> None:
            await serve()

        self._handle_client = wrapped  # type: ignore[method-assign, assignment]


@pytest.mark.parametrize("cls", [_Asking, _OwnTask, _WrappedOnInstance])
def test_programs_that_have_their_own_ideas(connect: Connect, cls: type[SMTP]) -> None:
    wire = connect(RecordingHandler(), cls=cls)
    assert wire.greeting == [GREETING]
    assert wire.say("HELO x", *TRANSACTION) == ["250 mx.example", *GOOD]
    assert wire.say("QUIT") == ["221 Bye"]
    assert wire.over


def test_a_client_that_answers_the_greeting_within_the_call(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = MemoryTransport.write

    def write_and_answer(self: MemoryTransport, data: bytes) -> None:
        write(self, data)
        if data.startswith(b"220"):
            self.feed(b"HELO x\r\nNOOP\r\n")

    monkeypatch.setattr(MemoryTransport, "write", write_and_answer)
    assert connect().greeting == [GREETING, "250 mx.example", "250 OK"]


# -- cancelled ----------------------------------------------------------------------------------------


class _Impatient(SMTP):
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._handler_coroutine.cancel()  # type: ignore[union-attr]


@pytest.mark.parametrize("sent", [b"NOOP\r\n", b"HELO x\r\n"])
def test_a_task_that_is_cancelled_before_its_first_turn(connect: Connect, sent: bytes) -> None:
    wire = connect(cls=_Impatient)
    wire.send(sent)
    assert wire.over


def test_a_program_may_serve_in_a_task_of_its_own_and_cancel_that(connect: Connect) -> None:
    class Limited(SMTP):
        """Ends each session after half a minute."""

        async def _handle_client(self, *opened: bool) -> None:
            serving = asyncio.ensure_future(super()._handle_client(*opened))
            await asyncio.wait({serving}, timeout=30)
            serving.cancel()
            await asyncio.wait({serving})

    wire = connect(cls=Limited, timeout=None)
    wire.ehlo()
    wire.wait(31)
    assert wire.over
    assert wire.heard() == []


@pytest.mark.parametrize("busy", [False, True])
def test_to_cancel_all_tasks_ends_all_connections(
    connect: Connect, loop: ManualLoop, busy: bool
) -> None:
    registry = Connections(loop)

    class Server(Registered):
        register = registry

    wires = [connect(cls=Server) for _ in range(3)]
    if busy:
        wires[0].say("NOOP")
    loop.call_soon(cancel_tasks, loop, registry)
    for _ in range(5):
        loop.call_soon(loop.stop)
        loop.run_forever()
    assert all(wire.over for wire in wires)
    cancel_tasks(loop, None)


def test_a_hook_that_is_overdue_is_cancelled_once(connect: Connect, loop: ManualLoop) -> None:
    registry = Connections(loop)
    told: list[str] = []

    class Server(Registered):
        register = registry

    async def hold(*_: Any) -> str:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            told.append("cancelled")
            await asyncio.sleep(5)
            told.append("rolled back")
            raise
        return "250 never"

    wire = connect(SimpleNamespace(handle_NOOP=hold), cls=Server, handler_timeout=10)
    others = [connect(cls=Server, timeout=12 + number) for number in range(3)]
    assert wire.say("NOOP") == []
    wire.wait(16)
    assert told == ["cancelled", "rolled back"]
    assert wire.heard() == ["451 4.3.0 Error: processing took too long"]
    assert all(other.over for other in others)


def test_a_hook_that_is_cancelled_twice_and_goes_on(connect: Connect) -> None:
    told: list[str] = []

    async def insist(*_: Any) -> str:
        while len(told) < 2:
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                told.append("cancelled")
        return "250 after all"

    async def be_cancelled(*_: Any) -> str:
        waiter = asyncio.get_running_loop().create_future()
        waiter.cancel()
        await waiter
        raise AssertionError

    hooks = SimpleNamespace(handle_NOOP=insist, handle_RSET=be_cancelled)
    wire = connect(hooks, handler_timeout=10)
    assert wire.say("NOOP") == []
    wire.wait(21)
    assert wire.heard() == ["250 after all"]
    assert wire.say("RSET") == ["451 4.3.0 Error: local error in processing"]
    assert wire.open


# -- closed -------------------------------------------------------------------------------------------


def _closings(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Note each time that the transport is told to close; asyncio's TLS bears it once."""
    told: list[bool] = []
    close = wire.transport.close
    monkeypatch.setattr(wire.transport, "close", lambda: told.append(True))
    monkeypatch.setattr(wire.transport, "is_closing", lambda: bool(told))
    monkeypatch.setattr(wire.transport, "abort", close)
    return told


@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize("end", ["quit", "timeout", "half-close"])
def test_a_transport_is_closed_once(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, busy: bool, end: str
) -> None:
    wire = connect(timeout=20)
    if busy:
        wire.say("NOOP")
    closings = _closings(wire, monkeypatch)
    if end == "quit":
        wire.say("QUIT")
    elif end == "timeout":
        wire.wait(21)
    else:
        wire.half_close()
    wire.loop.call_soon(wire.server.shut_down)
    wire.settle()
    assert closings == [True]
    wire.loop.call_soon(wire.server.check_deadline)
    wire.wait(41)
    assert closings == [True]
    assert wire.over
    monkeypatch.undo()


def test_what_a_hook_has_closed_is_not_closed_again(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def close(server: SMTP, *_: Any) -> str:
        assert server.transport is not None
        server.transport.close()
        return "221 Bye"

    wire = connect(SimpleNamespace(handle_QUIT=close))
    closings = _closings(wire, monkeypatch)
    wire.say("QUIT")
    assert closings == [True]
    monkeypatch.undo()


def test_a_client_that_takes_its_time_to_end_is_left_it(
    connect: Connect,
    loop: ManualLoop,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "mail.log")
    registry = Connections(loop)

    class Server(Registered):
        register = registry

    wire = connect(cls=Server, timeout=20)
    closings = _closings(wire, monkeypatch)
    others = [connect(cls=Server, timeout=22 + number) for number in range(5)]
    wire.wait(30)
    assert closings == [True]
    assert wire.server.transport is not None  # though others were looked after meanwhile
    assert all(other.over for other in others)
    wire.wait(11)
    assert wire.over
    assert caplog.messages.count("('192.0.2.1', 2525) connection timeout") == 6
    monkeypatch.undo()


def test_a_closing_server_is_done_with_what_was_closed_twice() -> None:
    class Closed(asyncio.Transport):
        def is_closing(self) -> bool:
            return True

        def get_write_buffer_size(self) -> int:
            raise AttributeError  # as asyncio's TLS does then

    assert _has_said_all(Closed())


def test_one_deadline_that_fails_is_not_the_end_of_all(
    connect: Connect, loop: ManualLoop, caplog: pytest.LogCaptureFixture
) -> None:
    registry = Connections(loop)

    class Server(Registered):
        register = registry

    class Failing(Server):
        def check_deadline(self) -> float:
            raise LookupError("boo")

    failing, other = connect(cls=Failing, timeout=10), connect(cls=Server, timeout=15)
    other.wait(16)
    assert other.over
    assert failing.open
    assert "the deadline of a connection could not be checked" in caplog.text


def test_a_connection_that_could_not_be_made_is_noted_as_over(loop: ManualLoop) -> None:
    registry = Connections(loop)

    class Server(Registered):
        register = registry

        def _create_session(self) -> Any:
            raise LookupError

    server = Server(None, hostname="mx.example", loop=loop)
    with pytest.raises(LookupError):
        server.connection_made(MemoryTransport(server, loop=loop))
    assert len(registry) == 1
    with pytest.raises(AttributeError):
        server.connection_lost(None)
    assert len(registry) == 0


# -- hooks --------------------------------------------------------------------------------------------


def test_quit_lets_a_hook_that_reads_chunks_clean_up(connect: Connect) -> None:
    told: list[str] = []

    async def read(*given: Any) -> str:
        try:
            async for _ in given[-1]:
                pass
        finally:
            await asyncio.sleep(0)
            told.append("cleaned up")
        return "250 OK"

    wire = connect(SimpleNamespace(handle_BODY=read))
    wire.ehlo()
    wire.say(*TRANSACTION[:2])
    wire.send(b"BDAT 3\r\nabc")
    assert wire.say("QUIT")[-1] == "221 Bye"
    assert told == ["cleaned up"]
    assert wire.over


@pytest.mark.parametrize("verb", ["QUIT", "RSET"])
def test_a_push_that_a_hook_sets_sees_the_next_reply(connect: Connect, verb: str) -> None:
    seen: list[str | bytes] = []

    async def change(server: SMTP, *_: Any) -> str:
        push = server.push

        async def own(status: str | bytes) -> None:
            seen.append(status)
            await push(status)

        server.push = own  # type: ignore[method-assign]
        return "250 OK"

    wire = connect(SimpleNamespace(handle_DATA=change))
    wire.ehlo()
    assert wire.say(*TRANSACTION) == GOOD
    seen.clear()
    wire.say(verb)
    assert len(seen) == 1


def test_a_limit_that_a_hook_sets_holds(connect: Connect) -> None:
    async def limit(server: SMTP, *_: Any) -> str:
        server.local_part_limit = 2
        return "250 OK"

    wire = connect(SimpleNamespace(handle_DATA=limit))
    wire.ehlo()
    assert wire.say(*TRANSACTION) == GOOD
    told = wire.say(
        "MAIL FROM:<abc@d.example>", "MAIL FROM:<ab@d.example>", "RCPT TO:<abc@d.example>"
    )
    assert [line[:3] for line in told] == ["553", "250", "553"]


class _Falsy(Exception):
    def __bool__(self) -> bool:
        return False


class _OnceFailing(Extension):
    name = "ONCE"
    checks = frozenset({"RCPT"})

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.asked = 0

    def check(self, *_: Any) -> None:
        self.asked += 1
        if self.asked == 1:
            raise self.error


@pytest.mark.parametrize("kind", [LookupError, _Falsy])
def test_what_an_extension_raises_is_answered_and_logged(
    connect: Connect, caplog: pytest.LogCaptureFixture, kind: type[Exception]
) -> None:
    once = _OnceFailing(kind("the database is down"))
    wire = connect(RecordingHandler(), extensions=[*DEFAULT, once])
    wire.ehlo()
    told = wire.say("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "NOOP", "DATA")
    assert [line[:3] for line in told] == ["250", "451", "250", "503"]
    assert once.asked == 1
    assert "SMTP session exception" in caplog.text
    if kind is LookupError:  # logging itself leaves out an exception that is false
        assert "the database is down" in caplog.text


def test_a_log_that_is_switched_on_tells_of_what_comes(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    for lines in (["HELO x"], ["HELO x", "QUIT"], ["EHLO x", "RSET"]):
        wire = connect()
        for line in lines[:-1]:
            wire.say(line)
        caplog.set_level(logging.INFO, "mail.log")
        wire.say(lines[-1])
        assert f"('192.0.2.1', 2525) >> b'{lines[-1]}'" in caplog.messages
        caplog.set_level(logging.WARNING, "mail.log")


def test_a_hook_has_its_limit_though_the_client_did_not_read(connect: Connect) -> None:
    async def read(*given: Any) -> str:
        try:
            async for _ in given[-1]:
                pass
        except Exception:
            await asyncio.sleep(1000)
        return "250 OK"

    wire = connect(SimpleNamespace(handle_BODY=read), handler_timeout=30, timeout=300)
    wire.to_data()
    wire.send(b"half a mess")
    wire.server.pause_writing()
    wire.vanish()
    assert not wire.over
    wire.wait(31)
    assert wire.over
    assert wire.server._timer is None or wire.server._timer.cancelled()


# -- eagerly, and from elsewhere ----------------------------------------------------------------------


def _eager(loop: asyncio.AbstractEventLoop, coroutine: Any, **arguments: Any) -> asyncio.Task[Any]:
    return asyncio.Task(coroutine, loop=loop, **{**arguments, "eager_start": True})


@pytest.mark.skipif(sys.version_info < (3, 12), reason="no tasks start eagerly before Python 3.12")
def test_a_task_that_starts_eagerly_is_known_to_its_hooks(
    connect: Connect, loop: ManualLoop
) -> None:
    tasks: list[Any] = []

    async def note(server: SMTP, *_: Any) -> str:
        tasks.append((server._handler_coroutine, asyncio.current_task()))
        return "250 OK"

    async def be_cancelled(*_: Any) -> str:
        waiter = asyncio.get_running_loop().create_future()
        waiter.cancel()
        await waiter
        raise AssertionError

    loop.set_task_factory(_eager)
    wire = connect(SimpleNamespace(handle_DATA=note, handle_NOOP=be_cancelled))
    wire.ehlo()
    assert wire.say(*TRANSACTION) == GOOD
    assert len(tasks) == 1
    assert tasks[0][0] is tasks[0][1]
    wire = connect(SimpleNamespace(handle_NOOP=be_cancelled))
    assert wire.say("NOOP") == ["451 4.3.0 Error: local error in processing"]
    assert wire.open


@pytest.mark.parametrize("debug", [False, True])
def test_another_thread_may_ask_for_it(run: Run, serve: Serve, debug: bool) -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        loop.set_debug(debug)
        async with serve() as (client, registry):
            server = registry.made[0]
            assert server._connection_task is None
            task = await loop.run_in_executor(None, lambda: server._handler_coroutine)
            assert task is not None
            assert task is server._handler_coroutine
            assert await client.say("NOOP") == ["250 OK"]
            await loop.run_in_executor(None, loop.call_soon_threadsafe, task.cancel)
            assert await client.heard() == []

    run(test)


def test_a_loop_that_does_not_run_or_is_closed(loop: ManualLoop) -> None:
    def connected(loop: asyncio.AbstractEventLoop, then: Callable[[], object]) -> SMTP:
        server = SMTP(None, hostname="mx.example", loop=loop)
        server._registry = Connections(loop)
        loop.call_soon(MemoryTransport(server, loop=loop).connect)
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert server._connection_task is None
        then()
        return server

    server = connected(loop, lambda: None)
    assert threading.current_thread() is threading.main_thread()
    task = server._handler_coroutine
    assert task is not None
    task.cancel()
    loop.settle()
    assert server.transport is None
    other = asyncio.new_event_loop()
    assert connected(other, other.close)._handler_coroutine is None
