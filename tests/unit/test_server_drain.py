"""How a server that closes ends its connections."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.addresses import OWN_ADDRESS

from aiosmtpd.handlers import Sink
from aiosmtpd.server import Connections, Server, serve, settle
from aiosmtpd.smtp import SMTP, Envelope, Session

if TYPE_CHECKING:
    from tests.unit.conftest import ManualLoop, Run

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

SHUTTING_DOWN = b"421 4.3.2 Server shutting down\r\n"


class Gate:
    """A handler that takes a message when it is told to."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.opened = asyncio.Event()
        self.cancelled = False

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.entered.set()
        try:
            await self.opened.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return "250 taken"


async def connect(server: Server, **kwargs: Any) -> Streams:
    reader, writer = await asyncio.open_connection(server.host, server.port, **kwargs)
    assert (await reader.readline()).startswith(b"220 ")
    return reader, writer


async def send_message(server: Server, gate: Gate) -> Streams:
    """Send a message, and leave it to the handler."""
    reader, writer = await connect(server)
    for command in (b"HELO there", b"MAIL FROM:<a@test>", b"RCPT TO:<b@test>", b"DATA"):
        writer.write(command + b"\r\n")
        assert (await reader.readline())[:1] in b"23"
    writer.write(b"Subject: test\r\n\r\n.\r\n")
    await gate.entered.wait()
    return reader, writer


async def close(*writers: asyncio.StreamWriter) -> None:
    for writer in writers:
        writer.close()
        await writer.wait_closed()


def test_idle_clients_are_told_and_dropped(run: Run) -> None:
    async def main() -> None:
        async with serve(Sink(), "127.0.0.1", 0, drain_timeout=3600) as server:
            streams = [await connect(server) for _ in range(3)]
            assert len(server.connections) == 3
        assert len(server.connections) == 0
        for reader, writer in streams:
            assert await reader.read() == SHUTTING_DOWN
            await close(writer)

    run(main)


def test_a_connection_that_is_over_is_forgotten(run: Run) -> None:
    async def main() -> None:
        async with serve(Sink(), "127.0.0.1", 0) as server:
            reader, writer = await connect(server)
            writer.write(b"QUIT\r\n")
            assert await reader.read() == b"221 Bye\r\n"
            await close(writer)
            while len(server.connections):
                await asyncio.sleep(0)

    run(main)


def test_a_command_that_runs_is_finished_and_answered(run: Run) -> None:
    async def main() -> None:
        gate = Gate()
        server = await serve(gate, OWN_ADDRESS, 0, drain_timeout=3600)
        reader, writer = await send_message(server, gate)
        server.close()
        waiting = asyncio.create_task(server.wait_closed())
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(server.host, server.port)
        assert not waiting.done()
        gate.opened.set()
        assert await reader.read() == b"250 taken\r\n" + SHUTTING_DOWN
        await waiting
        await close(writer)
        assert not gate.cancelled

    run(main)


def test_a_command_that_takes_too_long_is_aborted(run: Run) -> None:
    async def main() -> None:
        gate = Gate()
        async with serve(gate, "127.0.0.1", 0, drain_timeout=0.1) as server:
            reader, writer = await send_message(server, gate)
            loop = asyncio.get_running_loop()
            began = loop.time()
        assert 0.09 <= loop.time() - began < 10
        assert gate.cancelled  # its clean-up is waited for, too
        assert await reader.read() == b""
        await close(writer)

    run(main)


def test_two_may_wait_and_one_may_give_up(run: Run) -> None:
    async def main() -> None:
        gate = Gate()
        server = await serve(gate, "127.0.0.1", 0, drain_timeout=3600)
        _, writer = await send_message(server, gate)
        server.close()
        first, second = (asyncio.create_task(server.wait_closed()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        assert first.cancelled()
        gate.opened.set()
        await second
        await close(writer)

    run(main)


class Verbose(SMTP):
    """Answers NOOP with more than all the buffers on the way can take."""

    async def smtp_NOOP(self, arg: str | None) -> None:
        await self.push("250 " + "x" * 2**24)


def test_a_client_that_does_not_read_is_aborted(run: Run) -> None:
    async def main() -> None:
        async with serve(
            None, "127.0.0.1", 0, factory=lambda: Verbose(Sink()), drain_timeout=0.1
        ) as server:
            _, writer = await connect(server)
            (connection,) = server.connections
            writer.write(b"NOOP\r\n")
            while connection._write_waiter is None:
                await asyncio.sleep(0)
        assert len(server.connections) == 0
        writer.transport.abort()

    run(main)


def test_a_client_in_the_midst_of_a_message_is_aborted(run: Run) -> None:
    async def main() -> None:
        gate = Gate()
        async with serve(gate, "127.0.0.1", 0, drain_timeout=0.1) as server:
            reader, writer = await connect(server)
            writer.write(b"HELO a\r\nMAIL FROM:<a@test>\r\nRCPT TO:<b@test>\r\nDATA\r\n")
            while not (await reader.readline()).startswith(b"354"):
                pass
            writer.write(b"Subject: unfin")
        assert await reader.read() == b""
        assert not gate.entered.is_set()
        await close(writer)

    run(main)


def test_nobody_waits_for_the_close_notify_of_a_client(
    run: Run, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    told, closed = threading.Event(), threading.Event()

    def converse(port: int) -> bytes:
        # This client does nothing by itself: it answers the close_notify when it reads.
        with (
            socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
            client_context.wrap_socket(plain, server_hostname="localhost") as client,
        ):
            greeting = client.recv(1000)
            told.set()
            closed.wait(20)
            return greeting + client.recv(1000)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with serve(
            Sink(), "127.0.0.1", 0, ssl_context=server_context, drain_timeout=3600
        ) as server:
            client = asyncio.create_task(asyncio.to_thread(converse, server.port))
            await asyncio.to_thread(told.wait, 20)
            began = loop.time()
        assert loop.time() - began < 20
        closed.set()
        assert (await client).endswith(SHUTTING_DOWN)

    run(main)


def test_a_client_in_its_tls_handshake_holds_up_nobody(
    run: Run, server_context: ssl.SSLContext
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with serve(
            Sink(), "127.0.0.1", 0, ssl_context=server_context, drain_timeout=3600
        ) as server:
            _, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(b"\x16\x03\x01")  # the beginning of a ClientHello
            began = loop.time()
        assert loop.time() - began < 20
        await close(writer)

    run(main)


def test_a_connection_that_comes_too_late_is_told_so(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        register = Connections(loop)

        def make() -> SMTP:
            protocol = SMTP(Sink(), hostname="mx.test")
            register.track(protocol)
            return protocol

        listener = await loop.create_server(make, "127.0.0.1", 0)
        register.close(3600)
        reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
        greeting, farewell = (await reader.read()).splitlines(keepends=True)
        assert greeting.startswith(b"220 mx.test ")
        assert farewell == SHUTTING_DOWN
        await close(writer)
        await register.wait_closed()
        listener.close()
        await listener.wait_closed()

    run(main)


def test_clients_can_be_ended_while_the_server_goes_on(run: Run) -> None:
    async def main() -> None:
        async with serve(Sink(), "127.0.0.1", 0) as server:
            reader, writer = await connect(server)
            server.close_clients()
            assert await reader.read() == SHUTTING_DOWN
            await close(writer)

            reader, writer = await connect(server)
            server.abort_clients()
            assert await reader.read() == b""
            await close(writer)

            _, writer = await connect(server)
            await close(writer)

    run(main)


def test_protocols_that_keep_no_register_are_left_alone(run: Run) -> None:
    async def main() -> None:
        register = Connections(asyncio.get_running_loop())
        protocol = asyncio.Protocol()
        register.track(protocol)
        assert not hasattr(protocol, "_registry")
        register.close(3600)
        register.close(3600)
        await register.wait_closed()

    run(main)


def test_a_protocol_learns_its_loop_from_the_register(loop: ManualLoop) -> None:
    server, other = SMTP(None, hostname="mx"), asyncio.new_event_loop()
    Connections(loop).track(server)
    assert server.loop is loop  # though it does not run
    told = SMTP(None, hostname="mx", loop=other)
    Connections(loop).track(told)
    assert told.loop is other
    other.close()


def test_settling_cancels_what_runs_and_lets_it_end() -> None:
    ended: list[str] = []

    async def task() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("task")

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            ended.append("generator")

    async def main() -> None:
        running = asyncio.create_task(task())
        await asyncio.sleep(0)
        generator = numbers()
        assert await anext(generator) == 1
        await settle()
        assert running.cancelled()
        assert ended == ["task", "generator"]

    asyncio.run(main())
