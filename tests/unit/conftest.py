"""The helpers of the tests of SMTP and LMTP: a client in memory, on a clock that is moved by hand.

``connect`` makes a server's end of a connection and gives a :class:`Wire` to it. The wire runs the event
loop only until nothing more can happen, so that a test is a plain function without waiting; what takes
time takes it by :meth:`Wire.wait`. When the test ends, so does the connection, and nothing may be left
behind: neither a task nor an exception that nobody took.

What only a socket can show is tested with ``run`` and ``serve``, under asyncio and under uvloop.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, cast

import pytest

from aiosmtpd.server import Connections
from aiosmtpd.smtp import SMTP
from aiosmtpd.testing import MemoryTransport

# More turns of the loop than anything needs that waits for nothing from outside.
TURNS = 25

# Seconds for a test over sockets, in case it hangs: fewer than asyncio grants a client to end TLS (30),
# which no test is to wait for.
LIMIT = 20.0


class ManualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock stands still unless it is moved."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.faults: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _, context: self.faults.append(context))

    def time(self) -> float:
        return self.now

    def settle(self) -> None:
        """Run until nothing more can happen."""
        self.run_until_complete(_turn(TURNS))


async def _turn(times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


class Wire:
    """The client's end of a connection.

    Attributes:
        server: the protocol at the other end.
        transport: the transport between.
        greeting: the lines of the greeting.
    """

    def __init__(self, loop: ManualLoop, server: SMTP, extra: dict[str, Any]) -> None:
        self.loop = loop
        self.server = server
        self.transport = MemoryTransport(server, extra=extra, loop=loop)
        self._heard = 0
        self._do(self.transport.connect)
        self.greeting = self.heard()

    def _do(self, action: Callable[..., object], *arguments: Any) -> None:
        self.loop.call_soon(action, *arguments)
        self.settle()

    def settle(self) -> None:
        """Let everything happen that can."""
        before = None
        while before != (before := len(self.transport.record)):
            self.loop.settle()

    def heard(self) -> list[str]:
        """Give the lines that the server wrote since the last time."""
        octets = self.transport.received[self._heard :]
        self._heard += len(octets)
        if not octets:
            return []
        assert octets.endswith(b"\r\n")
        return octets.decode("utf-8").removesuffix("\r\n").split("\r\n")

    def send(self, octets: bytes) -> None:
        """Send octets; let everything happen that can."""
        self._do(self.transport.feed, octets)

    def say(self, *lines: str | bytes) -> list[str]:
        """Send lines in one go; give the lines that come back."""
        self.send(
            b"".join(
                (line if isinstance(line, bytes) else line.encode("utf-8")) + b"\r\n"
                for line in lines
            )
        )
        return self.heard()

    def ehlo(self) -> list[str]:
        """Greet; give what the server offers, without codes, its name first."""
        return [line[4:] for line in self.say("EHLO client.example")]

    def to_data(self, *recipients: str, greeting: str = "EHLO") -> None:
        """Go on to where the server waits for a body."""
        told = [
            self.say(f"{greeting} client.example")[-1],
            *self.say("MAIL FROM:<anne@example.com>"),
        ]
        for recipient in recipients or ("bart@example.com",):
            told += self.say(f"RCPT TO:<{recipient}>")
        assert {line[:3] for line in told} == {"250"}, told
        assert self.say("DATA") == ["354 End data with <CR><LF>.<CR><LF>"]

    def wait(self, seconds: float) -> None:
        """Let time go by, as the clock of the loop has it."""
        until = self.loop.now + seconds
        step = max(0.5, seconds / 300)
        while self.loop.now < until:
            # In steps, because a timer that fires may set another one.
            self.loop.now = min(until, self.loop.now + step)
            self.settle()

    def half_close(self) -> None:
        """End what the client sends."""
        self._do(self.transport.feed_eof)

    def vanish(self, error: Exception | None = None) -> None:
        """Break the connection."""
        self._do(self.transport.lose, error)

    def release(self, size: int | None = None) -> None:
        """Read so many octets of what ``transport.hold()`` held back, or all of them from now on."""
        self._do(self.transport.release, size)

    @property
    def open(self) -> bool:
        """Whether the connection is open on the server's side."""
        return not self.transport.is_closing()

    @property
    def over(self) -> bool:
        """Whether the connection is over and nothing of it is left."""
        task = self.server._connection_task
        return self.server.transport is None and (task is None or task.done())


@pytest.fixture(autouse=True)
def _usual_log() -> Iterator[None]:
    """Begin each test with the log as Python has it, whatever ran before."""
    log = logging.getLogger("mail.log")
    before = log.level
    log.setLevel(logging.WARNING)
    yield
    log.setLevel(before)


Connect = Callable[..., Wire]
Run = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]
Serve = Callable[..., AbstractAsyncContextManager[tuple["Client", "Registry"]]]


@pytest.fixture
def loop() -> Iterator[ManualLoop]:
    """The loop of ``connect``."""
    loop = ManualLoop()
    yield loop
    left_behind = [task for task in asyncio.all_tasks(loop) if not task.done()]
    for task in left_behind:
        task.cancel()
    loop.settle()
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    assert not left_behind
    assert not loop.faults


@pytest.fixture
def connect(loop: ManualLoop) -> Iterator[Connect]:
    """Connect to a server: ``connect(handler, cls=SMTP, peer=..., extra=..., **arguments)``."""
    wires = []

    def connect(
        handler: Any = None,
        *,
        cls: type[SMTP] = SMTP,
        extra: dict[str, Any] | None = None,
        **arguments: Any,
    ) -> Wire:
        arguments.setdefault("hostname", "mx.example")
        server = cls(handler, loop=loop, **arguments)
        if server._registry is None:
            server._registry = Connections(loop)
        wires.append(Wire(loop, server, {"peername": ("192.0.2.1", 2525), **(extra or {})}))
        return wires[-1]

    yield connect
    for wire in wires:
        wire.vanish()
        assert wire.over


# -- over sockets ---------------------------------------------------------------------------------


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run an async test in an event loop of each kind."""
    factory = asyncio.new_event_loop
    if request.param == "uvloop":
        factory = pytest.importorskip("uvloop").new_event_loop

    def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def limited() -> None:
            faults: list[dict[str, Any]] = []
            asyncio.get_running_loop().set_exception_handler(lambda _, told: faults.append(told))
            async with asyncio.timeout(LIMIT):
                await test()
            assert not faults

        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(limited())
        gc.collect()  # what was not closed is to be this test's fault

    return run


class Client:
    """A client that talks line by line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.transport = cast(asyncio.Transport, writer.transport)

    async def heard(self) -> list[str]:
        """Give the lines of the next reply; none if the server has closed."""
        lines: list[str] = []
        while not lines or lines[-1][3:4] == "-":
            line = await self.reader.readline()
            if not line:
                break
            lines.append(line.decode().rstrip("\r\n"))
        return lines

    async def say(self, line: str) -> list[str]:
        self.writer.write(line.encode() + b"\r\n")
        return await self.heard()

    async def secure(self, context: ssl.SSLContext) -> None:
        """Put TLS on the connection, after 220."""
        await self.writer.start_tls(context, server_hostname="mx.example")

    async def starttls(self, context: ssl.SSLContext) -> None:
        assert await self.say("STARTTLS") == ["220 Ready to start TLS"]
        await self.secure(context)


class Registry(Connections):
    """Knows the connections that a server has had, and when they are over."""

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop())
        self.made: list[Any] = []

    def add(self, connection: Any) -> None:
        self.made.append(connection)
        super().add(connection)

    async def all_over(self) -> None:
        """Wait until no connection is open and each has left nothing behind."""
        await self.wait_closed()
        tasks = [made._connection_task for made in self.made if made._connection_task is not None]
        if tasks:
            await asyncio.wait(tasks)
        for task in tasks:
            assert task.cancelled() or task.exception() is None


@asynccontextmanager
async def serving(
    handler: Any = None,
    *,
    cls: type[SMTP] = SMTP,
    implicit: ssl.SSLContext | None = None,
    client: ssl.SSLContext | None = None,
    **arguments: Any,
) -> AsyncIterator[tuple[Client, Registry]]:
    """Serve, connect and read the greeting; in the end see that all connections are over."""
    registry = Registry()

    def make() -> SMTP:
        protocol = cls(handler, hostname="mx.example", **arguments)
        protocol._registry = registry
        return protocol

    loop = asyncio.get_running_loop()
    server = await loop.create_server(make, "127.0.0.1", 0, ssl=implicit)
    port = server.sockets[0].getsockname()[1]
    if client is None:
        streams = await asyncio.open_connection("127.0.0.1", port)
    else:
        streams = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client, server_hostname="mx.example"
        )
    connected = Client(*streams)
    try:
        assert (await connected.heard())[0].startswith("220 mx.example ")
        yield connected, registry
    finally:
        connected.writer.transport.abort()
        server.close()
        async with asyncio.timeout(LIMIT):  # that of the test may be over
            await registry.all_over()


@pytest.fixture
def serve() -> Serve:
    """Serve on a socket: ``async with serve(handler, cls=SMTP, **arguments) as (client, registry)``."""
    return serving
