"""The faces of a stream reader and a stream writer on a connection.

In 1.4 a connection was an ``asyncio.StreamReaderProtocol``, and verbs that programs add read and write
through its ``_reader`` and ``_writer``. These faces give them the calls they use, on the engine's
buffer and the connection's transport; they keep nothing themselves.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .transport import ConnectionProtocol

__all__ = ["StreamReaderFace", "StreamWriterFace"]

_LIMIT = 65536


class StreamReaderFace:
    """Read raw octets of a connection inside a verb, like an :class:`asyncio.StreamReader`."""

    def __init__(self, protocol: ConnectionProtocol) -> None:
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
        parts = []
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

    def __init__(self, protocol: ConnectionProtocol) -> None:
        self._protocol = protocol

    @property
    def transport(self) -> asyncio.Transport:
        """The connection's transport.

        Raises:
            ConnectionResetError: there is none any more.
        """
        transport = self._protocol.transport
        if transport is None:
            raise ConnectionResetError("the connection was lost")
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
        self.transport.close()

    def is_closing(self) -> bool:
        """Whether the connection is closed or about to be."""
        transport = self._protocol.transport
        return transport is None or transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Give what the transport tells of itself."""
        return self.transport.get_extra_info(name, default)
