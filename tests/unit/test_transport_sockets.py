"""What only a socket shows of the driver: flow control, half-closes, resets, in both event loops."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import struct
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest

from aiosmtpd.smtp import SMTP

if TYPE_CHECKING:
    from tests.unit.conftest import Client, Run, Serve

GOODBYE = ["421 4.3.2 Server shutting down"]
# 8 MB in lines: more than the buffers of both ends and of the system hold between them.
LINE = b"." + b"x" * 75 + b"\r\n"
BODY = LINE * 105_000


async def to_data(client: Client) -> None:
    for command in ("EHLO client.example", "MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>"):
        assert (await client.say(command))[-1].startswith("250 ")
    assert (await client.say("DATA"))[0].startswith("354 ")


def stuffed(body: bytes) -> bytes:
    return b"." + body.replace(b"\r\n.", b"\r\n..") + b".\r\n"


class Slow:
    """Waits in a hook until it is let go."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.began = asyncio.Event()
        self.ended = asyncio.Event()
        self.how = ""

    async def handle_VRFY(self, *_: Any) -> str:
        self.began.set()
        try:
            await self.gate.wait()
            self.how = "finished"
        except asyncio.CancelledError:
            self.how = "cancelled"
            raise
        finally:
            self.ended.set()
        return "252 slow"


def test_a_message_comes_whole(run: Run, serve: Serve) -> None:
    contents: list[bytes] = []

    class Handler:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            contents.append(envelope.content)
            return "250 kept"

    async def test() -> None:
        async with serve(Handler()) as (client, _):
            await to_data(client)
            client.writer.write(stuffed(BODY))
            assert await client.heard() == ["250 kept"]
            assert contents == [BODY]

    run(test)


def test_a_slow_hook_slows_the_client(run: Run, serve: Serve) -> None:
    gate = asyncio.Event()
    began = asyncio.Event()
    digest = hashlib.sha256()

    class Handler:
        async def handle_BODY(
            self, server: Any, session: Any, envelope: Any, body: AsyncIterator[bytes]
        ) -> str:
            async for chunk in body:
                digest.update(chunk)
                began.set()
                await gate.wait()
            return "250 kept"

    async def test() -> None:
        async with serve(Handler()) as (client, registry):
            await to_data(client)
            client.writer.write(stuffed(BODY))
            await began.wait()
            connection = registry.made[0]
            while not connection._reading_paused:
                await asyncio.sleep(0)
            # What the client could not get rid of shows that nobody takes it.
            for _ in range(50):
                await asyncio.sleep(0)
            assert len(connection._connection.buffer) <= 65_536 + 256_000
            assert client.transport.get_write_buffer_size() > 0
            gate.set()
            assert await client.heard() == ["250 kept"]
            assert digest.digest() == hashlib.sha256(BODY).digest()

    run(test)


def test_a_client_that_does_not_read_is_not_read_from(run: Run, serve: Serve) -> None:
    class Talker:
        async def handle_NOOP(self, *_: Any) -> str:
            return "\r\n".join(["250-" + "x" * 500] * 1000 + ["250 OK"])

    async def test() -> None:
        async with serve(Talker()) as (client, registry):
            client.transport.pause_reading()
            connection = registry.made[0]
            count = 0
            while connection._write_waiter is None:
                client.writer.write(b"NOOP\r\n")
                count += 1
                await asyncio.sleep(0)
            client.writer.write(b"QUIT\r\n")
            client.transport.resume_reading()
            for _ in range(count):
                assert len(await client.heard()) == 1001
            assert await client.heard() == ["221 Bye"]
            assert await client.heard() == []

    run(test)


def test_a_half_close_is_answered(run: Run, serve: Serve) -> None:
    handler = Slow()

    async def test() -> None:
        async with serve(handler) as (client, registry):
            client.writer.write(b"NOOP\r\nVRFY x\r\nNOOP\r\n")
            client.writer.write_eof()
            await handler.began.wait()
            while not registry.made[0]._connection.eof:
                await asyncio.sleep(0)
            assert await client.heard() == ["250 OK"]
            handler.gate.set()
            assert await client.heard() == ["252 slow"]
            assert await client.heard() == ["250 OK"]
            assert await client.heard() == []
            assert handler.how == "finished"

    run(test)


@pytest.mark.parametrize("reset", [False, True])
def test_a_hook_is_cancelled_when_the_client_is_gone(run: Run, serve: Serve, reset: bool) -> None:
    handler = Slow()

    async def test() -> None:
        async with serve(handler) as (client, registry):
            client.writer.write(b"VRFY x\r\n")
            await handler.began.wait()
            if reset:
                client.writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
                client.transport.abort()
                await handler.ended.wait()
                assert handler.how == "cancelled"
            else:
                # To the server this is a half-close: it finishes, and finds nobody there.
                client.transport.abort()
                while not registry.made[0]._connection.eof:
                    await asyncio.sleep(0)
                handler.gate.set()
            await registry.all_over()

    run(test)


def test_shutting_down(run: Run, serve: Serve) -> None:
    handler = Slow()

    async def test() -> None:
        async with serve(handler) as (client, registry):
            client.writer.write(b"VRFY x\r\n")
            await handler.began.wait()
            registry.made[0].shut_down()
            handler.gate.set()
            assert await client.heard() == ["252 slow"]
            assert await client.heard() == GOODBYE
            assert await client.heard() == []
            await registry.all_over()
        async with serve() as (client, registry):
            assert await client.say("NOOP") == ["250 OK"]
            registry.made[0].shut_down()
            assert await client.heard() == GOODBYE
            assert await client.heard() == []

    run(test)


def test_a_silent_client_is_dropped(run: Run, serve: Serve) -> None:
    async def test() -> None:
        async with serve(timeout=0.05) as (client, registry):
            assert await client.heard() == []
            await registry.all_over()

    run(test)


def test_a_client_that_reads_nothing_is_dropped(run: Run, serve: Serve) -> None:
    class Talker:
        async def handle_NOOP(self, *_: Any) -> str:
            return "\r\n".join(["250-" + "x" * 500] * 50_000 + ["250 OK"])

    async def test() -> None:
        async with serve(Talker(), timeout=0.1) as (client, registry):
            client.transport.pause_reading()
            client.writer.write(b"NOOP\r\n")
            await registry.all_over()

    run(test)


def test_many_connections_at_once(run: Run, serve: Serve) -> None:
    async def test() -> None:
        async with serve() as (first, registry):
            port = first.writer.get_extra_info("peername")[1]
            kind = type(first)

            async def talk(number: int) -> None:
                client = kind(*await asyncio.open_connection("127.0.0.1", port))
                assert (await client.heard())[0].startswith("220 ")
                await to_data(client)
                client.writer.write(b"%d\r\n.\r\nQUIT\r\n" % number)
                assert await client.heard() == ["250 OK"]
                assert await client.heard() == ["221 Bye"]
                assert await client.heard() == []
                client.writer.close()

            await asyncio.gather(*(talk(number) for number in range(50)))
            assert len(registry.made) == 51
            assert await first.say("QUIT") == ["221 Bye"]

    run(test)


@pytest.mark.parametrize("argument", [True, False])
def test_the_protocol_finds_its_loop(run: Run, argument: bool) -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        server = SMTP(None, loop=loop if argument else None)
        assert server.loop is loop

    run(test)
