"""The faces of a stream reader and a stream writer, as verbs that programs add use them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest

from aiosmtpd.smtp import SMTP

if TYPE_CHECKING:
    from tests.unit.conftest import Connect, Wire

Talk = Callable[[Any, Any], Awaitable[Any]]


def talking(connect: Connect, talk: Talk) -> tuple[Wire, list[Any]]:
    """A server with a verb TALK; what ``talk(reader, writer)`` returns or raises is noted."""
    noted: list[Any] = []

    class Server(SMTP):
        async def smtp_TALK(self, arg: str | None) -> None:
            try:
                noted.append(await talk(self._reader, self._writer))
            except (ValueError, EOFError, asyncio.LimitOverrunError) as error:
                noted.append(error)
            await self.push("250 talked")

    return connect(cls=Server), noted


# -- reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "lines"),
    [
        (b"one\r\n", [b"one\r\n"]),
        (b"one\ntwo\r\n", [b"one\n", b"two\r\n"]),
        (b"\r\n", [b"\r\n"]),
        (b"\xff\x00\r\n", [b"\xff\x00\r\n"]),
    ],
)
@pytest.mark.parametrize("octet_by_octet", [False, True])
def test_readline(connect: Connect, sent: bytes, lines: list[bytes], octet_by_octet: bool) -> None:
    async def talk(reader: Any, writer: Any) -> list[bytes]:
        return [await reader.readline() for _ in lines]

    wire, noted = talking(connect, talk)
    octets = b"TALK\r\n" + sent + b"NOOP\r\n"
    for piece in [octets[at : at + 1] for at in range(len(octets))] if octet_by_octet else [octets]:
        wire.send(piece)
    assert noted == [lines]
    assert wire.heard() == ["250 talked", "250 OK"]


def test_readline_at_the_end(connect: Connect) -> None:
    async def talk(reader: Any, writer: Any) -> tuple[bytes, bool, bytes, bool]:
        return await reader.readline(), reader.at_eof(), await reader.readline(), reader.at_eof()

    wire, noted = talking(connect, talk)
    wire.send(b"TALK\r\npart")
    wire.half_close()
    assert noted == [(b"part", True, b"", True)]
    assert wire.heard() == ["250 talked"]
    assert wire.over


def test_a_line_that_does_not_end(connect: Connect) -> None:
    async def talk(reader: Any, writer: Any) -> bytes:
        line: bytes = await reader.readline()
        return line

    wire, noted = talking(connect, talk)
    wire.say("TALK")
    for _ in range(6):
        wire.send(b"x" * 13_000)
        assert len(wire.server._connection.buffer) < 80_000
    assert isinstance(noted[0], ValueError)
    assert wire.heard() == ["250 talked"]


def test_readuntil(connect: Connect) -> None:
    async def talk(reader: Any, writer: Any) -> tuple[bytes, bytes]:
        return await reader.readuntil(b"--"), await reader.readuntil()

    wire, noted = talking(connect, talk)
    wire.say("TALK", "a-b-")
    wire.send(b"-c-")
    wire.send(b"-rest\n")
    assert noted == [(b"a-b-\r\n-c--", b"rest\n")]


def test_readuntil_that_does_not_come(connect: Connect) -> None:
    async def talk(reader: Any, writer: Any) -> bytes:
        try:
            await reader.readuntil(b"!")
        except asyncio.LimitOverrunError as error:
            octets: bytes = await reader.readexactly(error.consumed)
            return octets
        raise AssertionError

    wire, noted = talking(connect, talk)
    wire.say("TALK")
    wire.send(b"x" * 70_000)
    assert noted == [b"x" * 70_000]  # nothing was lost


def test_readexactly(connect: Connect) -> None:
    async def talk(reader: Any, writer: Any) -> tuple[bytes, bytes, bytes]:
        return await reader.readexactly(0), await reader.readexactly(4), await reader.readexactly(2)

    wire, noted = talking(connect, talk)
    wire.send(b"TALK\r\na")
    wire.send(b"bc")
    wire.send(b"defNOOP\r\n")
    assert noted == [(b"", b"abcd", b"ef")]
    assert wire.heard() == ["250 talked", "250 OK"]


def test_readexactly_that_does_not_come(connect: Connect) -> None:
    async def talk(reader: Any, writer: Any) -> None:
        await reader.readexactly(4)

    wire, noted = talking(connect, talk)
    wire.send(b"TALK\r\nabc")
    wire.half_close()
    assert isinstance(noted[0], asyncio.IncompleteReadError)
    assert (noted[0].partial, noted[0].expected) == (b"abc", 4)


def test_read(connect: Connect) -> None:
    async def talk(reader: Any, writer: Any) -> list[bytes]:
        return [
            await reader.read(0),
            await reader.read(2),
            await reader.read(9),
            await reader.read(),
        ]

    wire, noted = talking(connect, talk)
    wire.say("TALK")
    wire.send(b"abc")
    wire.send(b"defg")
    wire.send(b"hij")
    wire.half_close()
    assert noted == [[b"", b"ab", b"c", b"defghij"]]


# -- writing --------------------------------------------------------------------------------------


def test_write(connect: Connect) -> None:
    async def talk(reader: Any, writer: Any) -> Any:
        writer.write(b"299-one\r\n")
        writer.writelines([b"299-two\r\n", b"299 three\r\n"])
        await writer.drain()
        return writer.get_extra_info("peername"), writer.get_extra_info("nothing", "default")

    wire, noted = talking(connect, talk)
    # It keeps its place among the replies of a pipelined group.
    assert wire.say("NOOP", "TALK", "NOOP") == [
        "250 OK",
        "299-one",
        "299-two",
        "299 three",
        "250 talked",
        "250 OK",
    ]
    assert noted == [(("192.0.2.1", 2525), "default")]


def test_drain_waits_for_the_client(connect: Connect) -> None:
    async def talk(reader: Any, writer: Any) -> str:
        writer.write(b"299 " + b"x" * 100_000 + b"\r\n")
        await writer.drain()
        return "drained"

    wire, noted = talking(connect, talk)
    wire.transport.hold()
    wire.say("TALK")
    assert noted == []
    wire.release(50_000)
    assert noted == []
    wire.release()
    assert noted == ["drained"]


def test_drain_on_a_connection_that_is_lost(connect: Connect) -> None:
    raised = []

    class Server(SMTP):
        async def smtp_TALK(self, arg: str | None) -> None:
            self._writer.write(b"x" * 100_000)
            try:
                await self._writer.drain()
            except ConnectionResetError as error:
                raised.append(error)
                raise

    wire = connect(cls=Server)
    wire.transport.hold()
    wire.say("TALK")
    wire.vanish()
    assert len(raised) == 1
    assert wire.over


def test_close(connect: Connect) -> None:
    async def talk(reader: Any, writer: Any) -> tuple[bool, bool]:
        before = writer.is_closing()
        writer.write(b"221 closing\r\n")
        writer.close()
        return before, writer.is_closing()

    wire, noted = talking(connect, talk)
    wire.say("NOOP", "TALK")
    assert noted == [(False, True)]
    assert wire.transport.received.endswith(b"250 OK\r\n221 closing\r\n")
    assert wire.over


def test_a_writer_is_the_same_each_time(connect: Connect) -> None:
    wire = connect()
    assert wire.server._writer is wire.server._writer
    transport = wire.server.transport
    wire.vanish()
    assert wire.server._writer.is_closing()
    assert wire.server._writer.transport is transport


def test_a_writer_without_a_connection() -> None:
    writer = SMTP(None)._writer
    assert writer.is_closing()
    with pytest.raises(ConnectionResetError):
        writer.write(b"x")
