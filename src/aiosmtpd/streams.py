"""What programs read and write a connection through, beside hooks and replies.

:class:`BodyStream` is the body of a message, as ``handle_BODY`` gets it after DATA, and
:class:`ChunkStream` the same over several BDAT. The other two are the faces of a stream reader and a
stream writer: in 1.4 a connection was an ``asyncio.StreamReaderProtocol``, and verbs that programs add
use its ``_reader`` and ``_writer``. All work on the engine's buffer and the connection's transport, and
keep no octets themselves but the one piece that :class:`ChunkStream` hands over.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any, Protocol

from .protocol import BodyChunk, BodyEnd, BodyError, BodyIncomplete, Connection, Event

__all__ = ["BodyStream", "ChunkStream", "StreamReaderFace", "StreamWriterFace", "close_once"]

_LIMIT = 65536


class _Reading(Protocol):
    """What is read through here sees of the connection."""

    _connection: Connection

    def _receive(self) -> Awaitable[None]: ...
    def _wake_reader(self) -> None: ...


class _Writing(Protocol):
    """What is written through here sees of the connection."""

    transport: asyncio.Transport | None
    _lost_transport: asyncio.Transport | None

    def _flush(self) -> None: ...
    async def _drain(self) -> None: ...


class BodyStream(AsyncIterator[bytes]):
    """The body of a message as it comes, for ``handle_BODY``.

    Iterating gives ``bytes``, transparency undone. The client is only read from while somebody waits
    for the next chunk, so a slow consumer slows the client and memory stays constant.

    Attributes:
        fault: why the body cannot be had whole, once that is known.
    """

    def __init__(self, protocol: _Reading) -> None:
        self._protocol = protocol
        self._reading = False
        self._ended = False
        self._discarded = False
        self.fault: BodyError | None = None

    def __aiter__(self) -> BodyStream:
        return self

    async def __anext__(self) -> bytes:
        """Give the next chunk.

        Raises:
            BodyTooLarge: the body grew over ``data_size_limit``.
            BodyLineTooLong: a line of it is longer than ``line_length_limit``.
            BodyIncomplete: the connection ended before the body did.
            BodyError: the hook has returned; what it left unread is thrown away.
            RuntimeError: another task is waiting for the next chunk.
        """
        if self._reading:
            raise RuntimeError("another task is waiting for the next chunk of this body")
        self._reading = True
        try:
            while True:
                event = self._take()
                if isinstance(event, BodyChunk):
                    return event.data
                if self._ended:
                    raise StopAsyncIteration
                await self._protocol._receive()
        finally:
            self._reading = False

    def _take(self) -> Event | None:
        if self.fault is not None:
            raise self.fault
        if self._discarded:
            raise BodyError("the hook that was given this body has returned")
        return self._next_event()

    def _next_event(self) -> Event | None:
        if self._ended:
            return None
        try:
            event = self._protocol._connection.next_event()
        except BodyError as fault:
            self.fault = fault
            raise
        self._ended = isinstance(event, BodyEnd)
        return event

    async def finish(self) -> None:
        """Read what was left unread, up to the true end of the body.

        Raises:
            BodyIncomplete: the connection ended before the body did.
        """
        self._discarded = not self._ended
        if isinstance(self.fault, BodyIncomplete):
            raise self.fault
        self._protocol._connection.discard_body()
        if self._reading:
            # A task that the hook left behind learns that there is no more for it.
            self._protocol._wake_reader()
        while not self._ended:
            if self._next_event() is None:
                await self._protocol._receive()


class ChunkStream(AsyncIterator[bytes]):
    """The body of a message as it comes by BDAT (RFC 3030), for ``handle_BODY``.

    The hook reads in a task of its own, since the connection answers each BDAT, and other commands,
    before the message is whole. Octets go from one task to the other a piece at a time: the connection
    waits until the hook has done with a piece and comes back for more. So a slow consumer slows the
    client, and at the end of a chunk it is known what the hook made of it.

    Attributes:
        fault: why the body cannot be had whole, once that is known.
    """

    def __init__(self) -> None:
        self._piece = b""
        self._reader: asyncio.Future[None] | None = None
        self._feeder: asyncio.Future[None] | None = None
        self._ended = False
        self._discarded = False
        self.fault: BodyError | None = None

    def __aiter__(self) -> ChunkStream:
        return self

    async def __anext__(self) -> bytes:
        """Give the next piece.

        Raises:
            BodyTooLarge: the chunks that were announced are larger than ``data_size_limit``.
            BodyIncomplete: the client gave the message up, or the connection ended.
            BodyError: the hook has returned; what it left unread is thrown away.
            RuntimeError: another task is waiting for the next piece.
        """
        if self._reader is not None:
            raise RuntimeError("another task is waiting for the next chunk of this body")
        while True:
            if self.fault is not None:
                raise self.fault
            if self._discarded:
                raise BodyError("the hook that was given this body has returned")
            if self._piece:
                piece, self._piece = self._piece, b""
                return piece
            if self._ended:
                raise StopAsyncIteration
            self.release()
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None

    async def feed(self, piece: bytes) -> None:
        """Hand on a piece; return once the hook came back for more, or :meth:`release` was called."""
        self._piece = piece
        self._feeder = asyncio.get_running_loop().create_future()
        _wake(self._reader)
        try:
            await self._feeder
        finally:
            self._feeder = None

    def release(self) -> None:
        """Let :meth:`feed` wait no longer."""
        _wake(self._feeder)

    def end(self) -> None:
        """Tell the hook that it has had all of the body."""
        self._ended = True
        _wake(self._reader)

    def fail(self, fault: BodyError) -> None:
        """Tell the hook that there is no more for it, and why."""
        if not self._ended:
            self.fault = self.fault or fault
        _wake(self._reader)

    async def finish(self) -> None:
        """Throw away what was left unread, and what is yet to come.

        Raises:
            BodyIncomplete: the message was given up.
        """
        self._discarded = not self._ended
        self._piece = b""
        # A task that the hook left behind learns that there is no more for it.
        _wake(self._reader)
        if isinstance(self.fault, BodyIncomplete):
            raise self.fault


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


def close_once(transport: asyncio.Transport) -> None:
    """Close a transport, unless somebody has: asyncio's of TLS does not bear to be closed twice."""
    # What stands in for a transport in a test of somebody's may answer with anything.
    if transport.is_closing() is not True:
        transport.close()


class StreamReaderFace:
    """Read raw octets of a connection inside a verb, like an :class:`asyncio.StreamReader`."""

    def __init__(self, protocol: _Reading) -> None:
        self._protocol = protocol

    @property
    def _buffer(self) -> Any:
        return self._protocol._connection.buffer

    def at_eof(self) -> bool:
        """Whether the client will send no more and everything was read."""
        return self._protocol._connection.eof and not self._buffer

    async def readuntil(self, separator: bytes = b"\n") -> bytes:
        """Read up to and including ``separator``.

        Raises:
            asyncio.IncompleteReadError: the client ended before it.
            asyncio.LimitOverrunError: it does not come within 65,536 octets, which stay unread.
        """
        searched = 0
        while (at := self._buffer.find(separator, searched)) < 0:
            searched = max(0, len(self._buffer) - len(separator) + 1)
            if searched > _LIMIT:
                raise asyncio.LimitOverrunError("the separator does not come", searched)
            if self._protocol._connection.eof:
                raise asyncio.IncompleteReadError(self._buffer.take(len(self._buffer)), None)
            await self._protocol._receive()
        line: bytes = self._buffer.take(at + len(separator))
        return line

    async def readline(self) -> bytes:
        """Read a line with its LF; what there is, if the client ended before one.

        Raises:
            ValueError: the line is longer than 65,536 octets; these are dropped.
        """
        try:
            return await self.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            return error.partial
        except asyncio.LimitOverrunError as error:
            self._buffer.take(error.consumed)
            raise ValueError(str(error)) from error

    async def readexactly(self, n: int) -> bytes:
        """Read ``n`` octets.

        Raises:
            asyncio.IncompleteReadError: the client ended before them.
        """
        parts: list[bytes] = []
        missing = n
        while missing:
            part = await self.read(missing)
            if not part:
                raise asyncio.IncompleteReadError(b"".join(parts), n)
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    async def read(self, n: int = -1) -> bytes:
        """Read up to ``n`` octets, at least one unless the client ended; all until then if negative."""
        if n < 0:
            parts = []
            while part := await self.read(_LIMIT):
                parts.append(part)
            return b"".join(parts)
        while n and not self._buffer and not self._protocol._connection.eof:
            await self._protocol._receive()
        data: bytes = self._buffer.take(n)
        return data


class StreamWriterFace:
    """Write raw octets to a connection inside a verb, like an :class:`asyncio.StreamWriter`."""

    def __init__(self, protocol: _Writing) -> None:
        self._protocol = protocol
        self._last_transport = protocol.transport or protocol._lost_transport

    @property
    def transport(self) -> asyncio.Transport:
        """The connection's transport; after the connection, the one that it had.

        Raises:
            ConnectionResetError: there was no connection yet.
        """
        transport = self._protocol.transport or self._last_transport
        if transport is None:
            raise ConnectionResetError("there is no connection")
        self._last_transport = transport
        return transport

    def write(self, data: bytes) -> None:
        """Write octets, after the replies that are held back."""
        self._protocol._flush()
        self.transport.write(data)

    def writelines(self, data: list[bytes]) -> None:
        """Write octets, one piece after the other."""
        self.write(b"".join(data))

    async def drain(self) -> None:
        """Wait until the client has read enough of what was written."""
        self._protocol._flush()
        await self._protocol._drain()

    def close(self) -> None:
        """Close the connection, once everything is written."""
        self._protocol._flush()
        close_once(self.transport)

    def is_closing(self) -> bool:
        """Whether the connection is closed or about to be."""
        transport = self._protocol.transport
        return transport is None or transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Give what the transport tells of itself."""
        return self.transport.get_extra_info(name, default)
