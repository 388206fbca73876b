"""A transport without a socket: the test is the other end of the connection.

The half that :class:`asyncio.Transport` documents is for the protocol, and does what asyncio's own
transports do: writes are never refused but buffered, water marks pause and resume the protocol, and
``connection_lost`` comes once, from the event loop, after what was written has left. The other half is
for the test, which plays client and network: it feeds octets, holds back what is written, ends its
side, or breaks the connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any

__all__ = ["MemoryTransport"]

_HIGH_WATER = 65536  # what asyncio's transports begin with


class MemoryTransport(asyncio.Transport):
    """Connect a protocol to a test.

    Octets go to the protocol within the call of :meth:`feed`; only what asyncio too leaves to the
    event loop is left to it.

    Args:
        protocol: the protocol to connect; :meth:`connect` tells it so.
        extra: what ``get_extra_info`` gives, beside ``peername`` and ``sockname``, which have
            defaults. An ``sslcontext`` makes the protocol believe that TLS is on.
        loop: the event loop; by default the one that runs when it is first needed.

    Attributes:
        record: the connection's history: ``("C", octets)`` for what was fed, ``("S", octets)`` for
            what was received from the protocol, ``("*", text)`` for what happened besides.
        eof_written: whether the protocol has ended its side with ``write_eof``.
        closed: whether the protocol was told that the connection is lost.
    """

    def __init__(
        self,
        protocol: asyncio.Protocol,
        *,
        extra: Mapping[str, Any] | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        defaults = {"peername": ("127.0.0.1", 54321), "sockname": ("127.0.0.1", 8025)}
        super().__init__({**defaults, **(extra or {})})
        self._protocol: asyncio.BaseProtocol = protocol
        self._loop = loop
        self._inbox: deque[bytes | None] = deque()  # None is the end of the client's octets
        self._outbox = bytearray()  # written by the protocol, not yet received by the client
        self._received = bytearray()
        self._held = False
        self._reading = True
        self._closing = False
        self._losing = False
        self._protocol_paused = False
        self._high = _HIGH_WATER
        self._low = _HIGH_WATER // 4
        self._eof_called = False
        self._watchers: list[asyncio.Future[None]] = []
        self.record: list[tuple[str, bytes | str]] = []
        self.eof_written = False
        self.closed = False

    # -- the client's half ------------------------------------------------------------------------

    def connect(self) -> None:
        """Tell the protocol that the connection is made."""
        self._protocol.connection_made(self)

    def feed(self, data: bytes) -> None:
        """Send octets to the protocol.

        While the protocol has paused reading they wait; a protocol that has closed does not get them.

        Args:
            data: the octets, which arrive in one piece.
        """
        if data and not self._closing:
            self.record.append(("C", data))
            self._inbox.append(data)
            self._deliver()

    def feed_eof(self) -> None:
        """End the client's side; the connection stays open for replies if the protocol wants it."""
        if not self._closing:
            self._note("client ends its side")
            self._inbox.append(None)
            self._deliver()

    def lose(self, error: Exception | None = None) -> None:
        """Break the connection; what the client has not received yet is gone.

        Args:
            error: what ``connection_lost`` is told, such as ``ConnectionResetError()``.
        """
        if not self._losing:
            self._note("connection breaks")
        self._drop(error)

    def hold(self) -> None:
        """Stop receiving: what the protocol writes fills its buffer from now on."""
        self._held = True

    def release(self, size: int | None = None) -> None:
        """Receive what was held back.

        Args:
            size: how many octets to receive; further ones are still held back. By default all, and
                all that follow.
        """
        if size is None:
            self._held = False
            size = len(self._outbox)
        self._receive(size)

    @property
    def received(self) -> bytes:
        """All octets that the client has received."""
        return bytes(self._received)

    async def changed(self) -> None:
        """Wait until the client receives octets or the connection ends.

        Returns at once only if the connection has ended already; so look first, then wait.
        """
        if not self.closed:
            watcher = self._get_loop().create_future()
            self._watchers.append(watcher)
            await watcher

    # -- the protocol's half: reading -------------------------------------------------------------

    def is_reading(self) -> bool:
        """Whether the protocol gets octets as they come."""
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        """Let what is fed wait."""
        if not self._closing:
            self._reading = False

    def resume_reading(self) -> None:
        """Give the protocol what waited, from the event loop."""
        if not self._closing and not self._reading:
            self._reading = True
            self._get_loop().call_soon(self._deliver)

    # -- the protocol's half: writing -------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Write octets; they are received at once, unless the test holds them back.

        Raises:
            TypeError: ``data`` is not bytes-like.
            RuntimeError: ``write_eof`` was called before.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"data: a transport writes bytes-like objects, not {type(data)!r}")
        if self.eof_written:
            raise RuntimeError("write() after write_eof()")
        if self._losing or not data:
            return
        self._outbox += data
        if not self._held:
            self._receive(len(self._outbox))
        elif len(self._outbox) > self._high:
            self._pause_protocol()

    def can_write_eof(self) -> bool:
        """Tell that the protocol may end its side and go on reading."""
        return True

    def write_eof(self) -> None:
        """End the protocol's side."""
        if not self._closing and not self.eof_written:
            self.eof_written = True
            self._note("server ends its side")
            self._notify()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set how many unreceived octets pause and resume the protocol.

        Args:
            high: more octets than this pause it.
            low: so many octets, or fewer, resume it.

        Raises:
            ValueError: not ``high >= low >= 0``.
        """
        if high is None:
            high = _HIGH_WATER if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high}) must be >= low ({low}), which must be >= 0")
        self._high, self._low = high, low
        if len(self._outbox) > high:
            self._pause_protocol()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Give the limits, low and high."""
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        """Give how many octets were written and not received."""
        return len(self._outbox)

    # -- the protocol's half: the end -------------------------------------------------------------

    def is_closing(self) -> bool:
        """Whether the connection is closed or about to be."""
        return self._closing

    def close(self) -> None:
        """Close the connection when all that was written is received; nothing more is read."""
        if not self._closing:
            self._note("server closes")
            self._closing = True
            self._inbox.clear()
            if not self._outbox:
                self._drop(None)

    def abort(self) -> None:
        """Close the connection at once; what was not received is gone."""
        if not self._closing:
            self._note("server aborts")
        self._drop(None)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand the connection to another protocol."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Give the protocol."""
        return self._protocol

    # -- inside -----------------------------------------------------------------------------------

    def _get_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    def _note(self, text: str) -> None:
        self.record.append(("*", text))

    def _deliver(self) -> None:
        while self._inbox and self.is_reading():
            data = self._inbox.popleft()
            protocol = self._protocol
            if not isinstance(protocol, asyncio.Protocol):
                raise TypeError(f"protocol: {type(protocol)!r} takes no octets")
            if data is not None:
                protocol.data_received(data)
            elif not self._eof_called:
                self._eof_called = True
                # TLS connections cannot be half-closed, whatever the protocol would like.
                if not protocol.eof_received() or self.get_extra_info("sslcontext"):
                    self.close()

    def _receive(self, size: int) -> None:
        data = bytes(self._outbox[:size])
        if not data:
            return
        del self._outbox[:size]
        self._received += data
        self.record.append(("S", data))
        self._notify()
        if self._protocol_paused and len(self._outbox) <= self._low:
            self._protocol_paused = False
            self._protocol.resume_writing()
        if self._closing and not self._outbox:
            self._drop(None)

    def _pause_protocol(self) -> None:
        if not self._protocol_paused:
            self._protocol_paused = True
            self._protocol.pause_writing()

    def _drop(self, error: Exception | None) -> None:
        self._closing = True
        if not self._losing:
            self._losing = True
            self._inbox.clear()
            self._outbox.clear()
            self._get_loop().call_soon(self._end, error)

    def _end(self, error: Exception | None) -> None:
        self._protocol.connection_lost(error)
        self.closed = True
        self._notify()

    def _notify(self) -> None:
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            if not watcher.done():
                watcher.set_result(None)
