"""The unthreaded controllers: a server in an event loop of the caller's."""

from __future__ import annotations

import asyncio
import gc
import smtplib
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.addresses import OWN_ADDRESS

from aiosmtpd.controller import UnixSocketUnthreadedController, UnthreadedController
from aiosmtpd.handlers import Sink
from aiosmtpd.server import listen

Loop = asyncio.AbstractEventLoop


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Iterator[Loop]:
    """Give an event loop that is not running, of asyncio and of uvloop."""
    factory: Callable[[], Loop] = asyncio.new_event_loop
    if request.param == "uvloop":
        factory = pytest.importorskip("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        yield runner.get_loop()
    gc.collect()  # what was not closed is to be this test's fault


@pytest.fixture
def running(loop: Loop) -> Iterator[Loop]:
    """Give an event loop that runs in another thread."""
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join(20)
    assert not thread.is_alive()


async def greet(controller: UnthreadedController) -> bytes:
    reader, writer = await asyncio.open_connection(controller.hostname, controller.port)
    greeting = await reader.readline()
    writer.write(b"QUIT\r\n")
    await reader.read()
    writer.close()
    await writer.wait_closed()
    return greeting


def deliver(controller: UnthreadedController) -> dict[str, tuple[int, bytes]]:
    with smtplib.SMTP(controller.hostname, controller.port, timeout=20) as client:
        return client.sendmail("a@test", ["b@test"], "Subject: test\r\n\r\n")


def test_beginning_and_ending_while_the_loop_is_stopped(loop: Loop) -> None:
    controller = UnthreadedController(Sink(), OWN_ADDRESS, 0, loop=loop)
    controller.begin()
    assert controller.port > 0
    assert controller.server is not None
    assert controller.smtpd is None  # nobody came yet
    assert not controller.ended.is_set()
    assert loop.run_until_complete(greet(controller)).startswith(b"220 ")
    assert controller.smtpd is not None
    controller.end()
    assert controller.ended.is_set()
    assert controller.server is None
    assert controller.smtpd is None
    assert not loop.is_closed()
    with pytest.raises(ConnectionRefusedError):
        loop.run_until_complete(greet(controller))


def test_beginning_and_ending_in_a_running_loop(loop: Loop) -> None:
    async def main() -> None:
        controller = UnthreadedController(Sink(), OWN_ADDRESS, 0, loop=loop)
        controller.begin()
        assert controller.port > 0  # it is known at once
        assert (await greet(controller)).startswith(b"220 ")
        controller.end()
        while not controller.ended.is_set():
            await asyncio.sleep(0)
        with pytest.raises(ConnectionRefusedError):
            await greet(controller)

    loop.run_until_complete(main())


def test_ending_at_once_after_beginning(loop: Loop) -> None:
    async def main() -> None:
        controller = UnthreadedController(Sink(), port=0, loop=loop)
        controller.begin()
        await controller.finalize()
        assert controller.ended.is_set()
        assert controller.server is None

    loop.run_until_complete(main())


def test_the_running_loop_is_the_default(loop: Loop) -> None:
    async def main() -> None:
        controller = UnthreadedController(Sink(), port=0)
        controller.begin()
        assert controller.loop is loop
        assert (await greet(controller)).startswith(b"220 ")
        await controller.finalize()

    loop.run_until_complete(main())


def test_a_loop_is_made_if_there_is_none() -> None:
    controller = UnthreadedController(Sink(), port=0)
    controller.begin()
    assert controller.loop.run_until_complete(greet(controller)).startswith(b"220 ")
    controller.end()
    controller.loop.close()


def test_beginning_and_ending_from_another_thread(running: Loop) -> None:
    controller = UnthreadedController(Sink(), OWN_ADDRESS, 0, loop=running)
    controller.begin()
    assert controller.server is not None
    assert deliver(controller) == {}
    controller.end()
    assert controller.ended.wait(20)
    with pytest.raises(ConnectionRefusedError):
        deliver(controller)


def test_ending_as_the_documentation_of_1_4_tells(running: Loop) -> None:
    controller = UnthreadedController(Sink(), port=0, loop=running)
    controller.begin()
    idle = smtplib.SMTP(controller.hostname, controller.port, timeout=20)
    running.call_soon_threadsafe(controller.end)
    assert controller.ended.wait(20)
    assert idle.getreply()[0] == 421
    idle.close()
    running.call_soon_threadsafe(controller.cancel_tasks, False)
    assert asyncio.run_coroutine_threadsafe(asyncio.sleep(0, "alive"), running).result(20)


def test_cancel_tasks_stops_the_loop(loop: Loop) -> None:
    controller = UnthreadedController(Sink(), port=0, loop=loop)
    tasks = []

    async def forever() -> None:
        await asyncio.Event().wait()

    def begin() -> None:
        tasks.append(loop.create_task(forever()))
        loop.call_soon(controller.cancel_tasks)

    loop.call_soon(begin)
    loop.run_forever()
    assert not loop.is_running()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(tasks[0])


def test_beginning_in_another_loop_is_an_error(loop: Loop) -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="another event loop"):
            controller.begin()

    controller = UnthreadedController(Sink(), port=0, loop=loop)
    asyncio.run(main())
    assert controller.server_coro is None


@pytest.mark.parametrize("from_loop", [False, True])
def test_beginning_twice_is_an_error(from_loop: bool, loop: Loop) -> None:
    controller = UnthreadedController(Sink(), port=0, loop=loop)

    async def main() -> None:
        controller.begin()
        with pytest.raises(AssertionError, match="SMTP daemon already running"):
            controller.begin()
        await controller.finalize()

    if from_loop:
        loop.run_until_complete(main())
    else:
        controller.begin()
        with pytest.raises(AssertionError, match="SMTP daemon already running"):
            controller.begin()
        controller.end()


def test_it_can_begin_again(loop: Loop) -> None:
    controller = UnthreadedController(Sink(), OWN_ADDRESS, 0, loop=loop)
    for _ in range(2):
        controller.begin()
        assert not controller.ended.is_set()
        assert loop.run_until_complete(greet(controller)).startswith(b"220 ")
        controller.end()


def test_ending_what_has_not_begun_is_an_error(loop: Loop) -> None:
    controller = UnthreadedController(Sink(), port=0, loop=loop)
    with pytest.raises(AssertionError, match="SMTP daemon not running"):
        controller.end()
    assert not controller.ended.is_set()


@pytest.mark.parametrize("from_loop", [False, True])
def test_a_port_in_use_is_an_error_of_begin(from_loop: bool, loop: Loop) -> None:
    async def main() -> None:
        controller.begin()

    with socket.create_server((OWN_ADDRESS, 0)) as taken:
        controller = UnthreadedController(Sink(), OWN_ADDRESS, taken.getsockname()[1], loop=loop)
        with pytest.raises(OSError, match="in use"):
            if from_loop:
                loop.run_until_complete(main())
            else:
                controller.begin()
    controller.begin()  # it is free now
    controller.end()


class Failing(UnthreadedController):
    def _create_server(self) -> Awaitable[asyncio.AbstractServer]:
        return self.fail()

    async def fail(self) -> asyncio.AbstractServer:
        await asyncio.sleep(0)
        raise ZeroDivisionError


def test_what_begin_could_not_know_is_raised_by_finalize(loop: Loop) -> None:
    async def main() -> None:
        controller = Failing(Sink(), port=0, loop=loop)
        controller.begin()
        with pytest.raises(ZeroDivisionError):
            await controller.finalize()
        assert controller.ended.is_set()

    loop.run_until_complete(main())


def test_begin_in_another_thread_knows_it(running: Loop) -> None:
    with pytest.raises(ZeroDivisionError):
        Failing(Sink(), port=0, loop=running).begin()


def test_an_override_may_make_the_server_in_another_way(loop: Loop) -> None:
    class Own(UnthreadedController):
        def _create_server(self) -> Awaitable[asyncio.AbstractServer]:
            (sock,) = listen(self.hostname, self.port)
            self.port = sock.getsockname()[1]
            return self.loop.create_server(self._factory_invoker, sock=sock)

    async def main() -> bytes:
        reader, writer = await asyncio.open_connection(controller.hostname, controller.port)
        assert (await reader.readline()).startswith(b"220 ")
        await controller.finalize()
        farewell = await reader.read()
        writer.close()
        await writer.wait_closed()
        return farewell

    controller = Own(Sink(), port=0, loop=loop)
    controller.begin()
    assert loop.run_until_complete(main()).startswith(b"421 4.3.2 ")


@pytest.mark.skipif(sys.platform == "win32", reason="no Unix sockets here")
def test_a_unix_socket(loop: Loop, tmp_path: Path) -> None:
    path = tmp_path / "smtp"

    async def main() -> bytes:
        reader, writer = await asyncio.open_unix_connection(path)
        greeting: Any = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return bytes(greeting)

    controller = UnixSocketUnthreadedController(Sink(), path, loop=loop)
    assert controller.unix_socket == str(path)
    controller.begin()
    assert loop.run_until_complete(main()).startswith(b"220 ")
    controller.end()
    assert not path.exists()
