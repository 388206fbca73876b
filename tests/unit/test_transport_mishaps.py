"""What hooks and transports do that nobody planned, and what the connection makes of it."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from aiosmtpd.server import serve

if TYPE_CHECKING:
    from tests.unit.conftest import Connect, Run

TOO_LONG = "451 4.3.0 Error: processing took too long"


def test_a_hook_that_swallows_its_cancellation(connect: Connect) -> None:
    class Stubborn:
        async def handle_NOOP(self, *_: Any) -> str:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                return "250 all the same"
            raise AssertionError

        async def handle_VRFY(self, *_: Any) -> str:
            task = asyncio.current_task()
            assert task is not None
            return f"250 {task.cancelling()}"

        async def handle_RSET(self, *_: Any) -> str:
            await asyncio.sleep(1000)
            raise AssertionError

    wire = connect(Stubborn(), handler_timeout=20)
    wire.send(b"NOOP\r\n")
    wire.wait(21)
    assert wire.heard() == ["250 all the same"]
    # It is as if nothing had been: timeouts of asyncio work, and so does the next limit.
    assert wire.say("VRFY anne") == ["250 0"]
    wire.send(b"RSET\r\n")
    wire.wait(21)
    assert wire.heard() == [TOO_LONG]
    assert wire.say("VRFY anne") == ["250 0"]


def test_one_that_gives_up_waiting_to_write_leaves_the_others_waiting(connect: Connect) -> None:
    told: list[str] = []

    class Handler:
        async def handle_NOOP(self, server: Any, *_: Any) -> str:
            async def tell(name: str, seconds: float) -> None:
                try:
                    async with asyncio.timeout(seconds):
                        await server.push(f"250-{name}")
                    told.append(name)
                except TimeoutError:
                    told.append(f"not {name}")

            await asyncio.gather(tell("impatient", 5), tell("patient", 50))
            return "250 done"

    wire = connect(Handler())
    wire.transport.hold()
    wire.server.pause_writing()
    wire.send(b"NOOP\r\n")
    wire.wait(10)
    assert told == ["not impatient"]
    wire.server.resume_writing()
    wire.release()
    wire.settle()
    assert told == ["not impatient", "patient"]
    assert wire.heard() == ["250-impatient", "250-patient", "250 done"]


def test_a_hook_that_drops_the_connection_says_so_in_the_log(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    class Handler:
        async def handle_NOOP(self, *_: Any) -> str:
            raise ConnectionResetError("the database went away")

    wire = connect(Handler())
    assert wire.say("NOOP") == []
    assert wire.over
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "the database went away"


def test_a_client_that_goes_inside_auth_is_no_fault_of_a_hook(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    wire = connect(auth_require_tls=False, authenticator=lambda *_: None)
    wire.ehlo()
    assert wire.say("AUTH PLAIN") == ["334 "]
    wire.half_close()
    assert wire.over
    assert not caplog.records


def test_octets_after_the_last_reply_are_not_kept(connect: Connect) -> None:
    class Handler:
        async def handle_QUIT(self, server: Any, *_: Any) -> str:
            await server.push("221 Bye")
            self.gate = asyncio.Event()
            await self.gate.wait()
            return "221 never heard"

    handler = Handler()
    wire = connect(handler)
    wire.say("QUIT")
    wire.server.shut_down()
    wire.server._connection.end()
    for _ in range(100):
        wire.send(b"x" * 10_000)
    assert len(wire.server._connection.buffer) == 0
    handler.gate.set()
    wire.settle()
    assert wire.over


def test_a_client_under_tls_that_is_not_read_from_is_rid_of(
    run: Run, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    # A transport that may not read would wait for ever for the client's goodbye.
    class Handler:
        def __init__(self) -> None:
            self.gate = asyncio.Event()

        async def handle_NOOP(self, *_: Any) -> str:
            await self.gate.wait()
            raise ConnectionResetError("enough")

    async def main() -> None:
        handler = Handler()
        async with serve(handler, "127.0.0.1", 0, ssl_context=server_context) as server:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", server.port, ssl=client_context, server_hostname="localhost"
            )
            await reader.readline()
            writer.write(b"NOOP\r\n" + b"z" * 500_000)
            await asyncio.sleep(0)
            while not any(c._reading_paused for c in server.connections):
                await asyncio.sleep(0)
            handler.gate.set()
            assert await reader.read() == b""
            while server.connections:
                await asyncio.sleep(0)
            writer.close()

    run(main)
