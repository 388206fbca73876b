"""The memory transport does what asyncio's transports do, and what a test asks of it besides."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, cast

import pytest

from aiosmtpd.testing import MemoryTransport


class Recorder(asyncio.Protocol):
    """Note what the transport calls."""

    def __init__(self, keep_open: bool = False) -> None:
        self.calls: list[Any] = []
        self.keep_open = keep_open
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.calls.append("made")

    def data_received(self, data: bytes) -> None:
        self.calls.append(data)

    def eof_received(self) -> bool:
        self.calls.append("eof")
        return self.keep_open

    def connection_lost(self, error: Exception | None) -> None:
        self.calls.append(("lost", error))
        self.lost.set()

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")


class Wire:
    """The client's end of a connection, whatever it is made of."""

    def __init__(self, protocol: Recorder) -> None:
        self.protocol = protocol

    async def send(self, data: bytes) -> None:
        raise NotImplementedError

    async def end(self) -> None:
        raise NotImplementedError

    async def receive_all(self) -> bytes:
        raise NotImplementedError


class MemoryWire(Wire):
    def __init__(self, protocol: Recorder) -> None:
        super().__init__(protocol)
        self.transport = MemoryTransport(protocol)
        self.transport.connect()

    async def send(self, data: bytes) -> None:
        self.transport.feed(data)

    async def end(self) -> None:
        self.transport.feed_eof()

    async def receive_all(self) -> bytes:
        while not self.transport.closed and not self.transport.eof_written:
            await self.transport.changed()
        return self.transport.received


class SocketWire(Wire):
    def __init__(self, protocol: Recorder, mine: socket.socket) -> None:
        super().__init__(protocol)
        self.mine = mine
        self.loop = asyncio.get_running_loop()

    async def _until_called(self, act: Callable[[], object]) -> None:
        before = len(self.protocol.calls)
        act()
        while len(self.protocol.calls) == before:
            await asyncio.sleep(0)

    async def send(self, data: bytes) -> None:
        await self._until_called(lambda: self.mine.send(data))

    async def end(self) -> None:
        await self._until_called(lambda: self.mine.shutdown(socket.SHUT_WR))

    async def receive_all(self) -> bytes:
        received = b""
        while data := await self.loop.sock_recv(self.mine, 65536):
            received += data
        return received


@asynccontextmanager
async def in_memory(keep_open: bool = False) -> AsyncIterator[Wire]:
    wire = MemoryWire(Recorder(keep_open))
    yield wire
    wire.transport.abort()
    await wire.protocol.lost.wait()


@asynccontextmanager
async def over_a_socket(keep_open: bool = False) -> AsyncIterator[Wire]:
    mine, theirs = socket.socketpair()
    mine.setblocking(False)
    protocol = Recorder(keep_open)
    transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
        lambda: protocol, theirs
    )
    with mine:
        wire = SocketWire(protocol, mine)
        yield wire
        transport.abort()
        await wire.protocol.lost.wait()


Wires = Callable[..., AbstractAsyncContextManager[Wire]]
both = pytest.mark.parametrize("wires", [in_memory, over_a_socket])


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


@both
def test_octets_travel_both_ways(wires: Wires) -> None:
    async def scenario() -> None:
        async with wires() as wire:
            await wire.send(b"ping")
            wire.protocol.transport.writelines([b"po", bytearray(b"n"), memoryview(b"g")])
            wire.protocol.transport.close()
            assert await wire.receive_all() == b"pong"
            assert wire.protocol.calls[:2] == ["made", b"ping"]

    run(scenario())


@both
def test_connection_lost_comes_once_and_from_the_loop(wires: Wires) -> None:
    async def scenario() -> None:
        async with wires() as wire:
            wire.protocol.transport.close()
            wire.protocol.transport.close()
            wire.protocol.transport.abort()
            assert wire.protocol.transport.is_closing()
            assert wire.protocol.calls == ["made"]
            await wire.protocol.lost.wait()
            await asyncio.sleep(0)
            assert wire.protocol.calls == ["made", ("lost", None)]

    run(scenario())


@both
def test_what_is_written_after_close_is_dropped(wires: Wires) -> None:
    async def scenario() -> None:
        async with wires() as wire:
            wire.protocol.transport.write(b"before")
            wire.protocol.transport.close()
            wire.protocol.transport.write(b"after")
            assert await wire.receive_all() == b"before"

    run(scenario())


@both
@pytest.mark.parametrize("keep_open", [True, False])
def test_the_protocol_decides_what_an_eof_means(wires: Wires, keep_open: bool) -> None:
    async def scenario() -> None:
        async with wires(keep_open) as wire:
            await wire.send(b"all")
            await wire.end()
            assert wire.protocol.calls == ["made", b"all", "eof"]
            assert wire.protocol.transport.is_closing() is not keep_open
            if keep_open:
                wire.protocol.transport.write(b"still here")
                wire.protocol.transport.close()
                assert await wire.receive_all() == b"still here"

    run(scenario())


@both
def test_the_protocol_may_end_its_side(wires: Wires) -> None:
    async def scenario() -> None:
        async with wires() as wire:
            transport = wire.protocol.transport
            assert transport.can_write_eof()
            transport.write(b"the end")
            transport.write_eof()
            transport.write_eof()
            with pytest.raises(RuntimeError):
                transport.write(b"and more")
            assert await wire.receive_all() == b"the end"
            assert not transport.is_closing()
            await wire.send(b"still listening")
            assert wire.protocol.calls == ["made", b"still listening"]

    run(scenario())


@both
def test_only_octets_can_be_written(wires: Wires) -> None:
    async def scenario() -> None:
        async with wires() as wire:
            with pytest.raises(TypeError):
                wire.protocol.transport.write(cast("bytes", "text"))

    run(scenario())


@both
def test_reading_can_be_paused(wires: Wires) -> None:
    async def scenario() -> None:
        async with wires() as wire:
            transport = wire.protocol.transport
            assert transport.is_reading()
            transport.pause_reading()
            transport.pause_reading()
            assert not transport.is_reading()
            if isinstance(wire, SocketWire):
                wire.mine.send(b"later")
            else:
                await wire.send(b"later")
            assert wire.protocol.calls == ["made"]
            transport.resume_reading()
            transport.resume_reading()
            assert wire.protocol.calls == ["made"], "what waited comes from the loop"
            while len(wire.protocol.calls) < 2:
                await asyncio.sleep(0)
            assert wire.protocol.calls == ["made", b"later"]
            transport.close()
            assert not transport.is_reading()
            transport.resume_reading()
            assert not transport.is_reading()

    run(scenario())


@both
@pytest.mark.parametrize(
    ("high", "low", "limits"),
    [
        (None, None, (16384, 65536)),
        (100, None, (25, 100)),
        (None, 100, (100, 400)),
        (0, None, (0, 0)),
        (10, 10, (10, 10)),
    ],
)
def test_water_marks(
    wires: Wires, high: int | None, low: int | None, limits: tuple[int, int]
) -> None:
    async def scenario() -> None:
        async with wires() as wire:
            wire.protocol.transport.set_write_buffer_limits(high, low)
            assert wire.protocol.transport.get_write_buffer_limits() == limits

    run(scenario())


@both
@pytest.mark.parametrize(("high", "low"), [(10, 11), (-1, None), (10, -1)])
def test_wrong_water_marks(wires: Wires, high: int, low: int | None) -> None:
    async def scenario() -> None:
        async with wires() as wire:
            with pytest.raises(ValueError, match="must be >="):
                wire.protocol.transport.set_write_buffer_limits(high, low)

    run(scenario())


@both
def test_the_protocol_can_be_replaced(wires: Wires) -> None:
    async def scenario() -> None:
        async with wires() as wire:
            transport = wire.protocol.transport
            assert transport.get_protocol() is wire.protocol
            first, wire.protocol = wire.protocol, Recorder()
            transport.set_protocol(wire.protocol)
            await wire.send(b"for the second")
            assert wire.protocol.calls == [b"for the second"]
            assert first.calls == ["made"]

    run(scenario())


# -- what only a test can do ----------------------------------------------------------------------


def test_a_slow_client_pauses_and_resumes_the_protocol() -> None:
    async def scenario() -> None:
        protocol = Recorder()
        transport = MemoryTransport(protocol)
        transport.set_write_buffer_limits(high=10, low=4)
        transport.hold()
        transport.write(b"x" * 10)
        assert protocol.calls == []
        transport.write(b"y")
        transport.write(b"z")
        assert protocol.calls == ["pause"]
        assert transport.get_write_buffer_size() == 12
        transport.release(7)
        assert protocol.calls == ["pause"]
        transport.release(1)
        assert protocol.calls == ["pause", "resume"]
        assert transport.received == b"x" * 8
        transport.release()
        assert transport.received == b"x" * 10 + b"yz"
        transport.write(b"at once")
        assert transport.get_write_buffer_size() == 0
        assert protocol.calls == ["pause", "resume"]

    run(scenario())


def test_a_lower_mark_pauses_what_is_already_over_it() -> None:
    async def scenario() -> None:
        protocol = Recorder()
        transport = MemoryTransport(protocol)
        transport.hold()
        transport.write(b"x" * 10)
        transport.set_write_buffer_limits(high=5)
        assert protocol.calls == ["pause"]

    run(scenario())


def test_close_waits_for_a_slow_client_and_abort_does_not() -> None:
    async def scenario() -> None:
        for end, received in (("close", b"goodbye"), ("abort", b"")):
            protocol = Recorder()
            transport = MemoryTransport(protocol)
            transport.hold()
            transport.write(b"goodbye")
            getattr(transport, end)()
            assert transport.is_closing()
            await asyncio.sleep(0)
            assert transport.closed is (end == "abort")
            transport.release()
            await protocol.lost.wait()
            assert transport.received == received

    run(scenario())


def test_a_broken_connection_tells_why() -> None:
    async def scenario() -> None:
        protocol = Recorder()
        transport = MemoryTransport(protocol)
        error = ConnectionResetError("gone")
        transport.hold()
        transport.write(b"never received")
        transport.lose(error)
        transport.lose()
        transport.write(b"too late")
        assert transport.get_write_buffer_size() == 0
        await protocol.lost.wait()
        assert protocol.calls == [("lost", error)]
        assert transport.received == b""
        await transport.changed()

    run(scenario())


def test_a_closed_protocol_gets_nothing_more() -> None:
    async def scenario() -> None:
        protocol = Recorder()
        transport = MemoryTransport(protocol)
        transport.pause_reading()
        transport.feed(b"waiting")
        transport.close()
        transport.feed(b"too late")
        transport.feed_eof()
        await protocol.lost.wait()
        assert protocol.calls == [("lost", None)]

    run(scenario())


def test_tls_connections_are_not_half_closed() -> None:
    async def scenario() -> None:
        protocol = Recorder(keep_open=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        transport = MemoryTransport(protocol, extra={"sslcontext": context})
        transport.feed_eof()
        assert transport.is_closing()
        await protocol.lost.wait()
        assert protocol.calls == ["eof", ("lost", None)]

    run(scenario())


def test_a_client_ends_its_side_once() -> None:
    async def scenario() -> None:
        protocol = Recorder(keep_open=True)
        transport = MemoryTransport(protocol)
        transport.pause_reading()
        transport.feed(b"first")
        transport.feed_eof()
        transport.feed_eof()
        transport.resume_reading()
        await asyncio.sleep(0)
        assert protocol.calls == [b"first", "eof"]

    run(scenario())


def test_it_tells_what_it_is_made_of() -> None:
    async def scenario() -> None:
        transport = MemoryTransport(Recorder(), extra={"peername": ("::1", 25, 0, 0)})
        assert transport.get_extra_info("peername") == ("::1", 25, 0, 0)
        assert transport.get_extra_info("sockname") == ("127.0.0.1", 8025)
        assert transport.get_extra_info("sslcontext") is None
        assert transport.get_extra_info("socket", "none") == "none"

    run(scenario())


def test_it_keeps_a_record() -> None:
    async def scenario() -> None:
        protocol = Recorder(keep_open=True)
        transport = MemoryTransport(protocol, loop=asyncio.get_running_loop())
        transport.feed(b"NOOP\r\n")
        transport.write(b"250 OK\r\n")
        transport.feed_eof()
        transport.write_eof()
        transport.close()
        await protocol.lost.wait()
        assert transport.record == [
            ("C", b"NOOP\r\n"),
            ("S", b"250 OK\r\n"),
            ("*", "client ends its side"),
            ("*", "server ends its side"),
            ("*", "server closes"),
        ]

    run(scenario())


def test_everyone_who_waits_for_a_change_is_told() -> None:
    async def scenario() -> None:
        transport = MemoryTransport(Recorder())
        waiting = [asyncio.ensure_future(transport.changed()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        transport.write(b"news")
        await asyncio.gather(*waiting[1:])

    run(scenario())


def test_a_protocol_that_takes_no_octets_cannot_be_fed() -> None:
    async def scenario() -> None:
        transport = MemoryTransport(Recorder())
        transport.set_protocol(asyncio.BaseProtocol())
        with pytest.raises(TypeError, match="takes no octets"):
            transport.feed(b"octets")

    run(scenario())
