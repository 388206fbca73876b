"""Reading a socket into one buffer a loop, where the event loop would make one for each read.

asyncio asks the system for up to 256 KiB with every read of a plain socket, and allocates as much for
the 27 octets of a MAIL command; the C library then often maps the memory and gives it back, each time. A
protocol of the buffered kind is asked for a place to read into instead, so what arrives is copied out of
a buffer that all connections of a loop share: nothing but that copy happens before the next read.

Only loops that read synchronously may share it, as asyncio's selector loops do. uvloop reads into a
buffer of its own anyway, and the proactor of Windows holds on to the buffer while it waits.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import Protocol

__all__ = ["share_read_buffer"]

# Less than the 256 KiB that asyncio asks for: of a large message this and a copy are in memory at once.
_SIZE = 196_608

# A loop runs in one thread, and another loop may read at the same time.
_buffers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, memoryview]
_buffers = weakref.WeakKeyDictionary()


class _Receiver(Protocol):
    """The protocol that is to be given what arrives."""

    def data_received(self, data: bytes, /) -> None: ...
    def eof_received(self) -> bool | None: ...
    def connection_lost(self, error: Exception | None, /) -> None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...


class _BufferedFace(asyncio.BufferedProtocol):
    """Stands between a transport and its protocol, and hands on whatever it is told."""

    __slots__ = ("_buffer", "_receiver")

    def __init__(self, receiver: _Receiver, buffer: memoryview) -> None:
        self._receiver = receiver
        self._buffer = buffer

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._receiver.data_received(bytes(self._buffer[:nbytes]))

    def eof_received(self) -> bool | None:
        return self._receiver.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._receiver.connection_lost(exc)

    def pause_writing(self) -> None:
        self._receiver.pause_writing()

    def resume_writing(self) -> None:
        self._receiver.resume_writing()


def share_read_buffer(
    receiver: _Receiver, transport: asyncio.BaseTransport, loop: asyncio.AbstractEventLoop
) -> None:
    """Let a transport read into the buffer of its loop, where that is of use.

    Args:
        receiver: the transport's protocol; it is called as before.
        transport: the transport; one under TLS, or without a socket, is left as it is.
        loop: the event loop of both.
    """
    if (
        not isinstance(loop, asyncio.SelectorEventLoop)
        or transport.get_extra_info("socket") is None
        or transport.get_extra_info("sslcontext") is not None
    ):
        return
    buffer = _buffers.get(loop)
    if buffer is None:
        buffer = _buffers[loop] = memoryview(bytearray(_SIZE))
    transport.set_protocol(_BufferedFace(receiver, buffer))
