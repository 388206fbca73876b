"""Replies on their way to the client: written at once, or held back to leave together."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from .protocol import Connection
from .protocol.connection import HELD_LIMIT

if TYPE_CHECKING:
    from .session import Session

__all__ = ["Replying"]

log = logging.getLogger("mail.log")


class Replying:
    """How replies are sent; :class:`~aiosmtpd.transport.ConnectionProtocol` has the rest."""

    if TYPE_CHECKING:
        transport: asyncio.Transport | None
        session: Session
        _connection: Connection
        _filtering: bool
        _flush_scheduled: bool
        _replies_sent: int
        _verbose: bool
        _write_waiter: asyncio.Future[None] | None

        @property
        def loop(self) -> asyncio.AbstractEventLoop: ...
        def _filter_reply(self, status: str | bytes) -> str | bytes: ...
        async def _drain(self) -> None: ...

    async def push(self, status: str | bytes) -> None:
        """Send a reply to the client.

        Args:
            status: the reply without its final CRLF; a CRLF inside is sent as it is.

        Raises:
            ConnectionResetError: there is no client any more.
            TypeError: ``status`` is neither ``str`` nor ``bytes``.
        """
        transport = self.transport
        if transport is None:
            raise ConnectionResetError("the connection was lost")
        if self._filtering:
            status = self._filter_reply(status)
        octets = self._connection.send(status)
        self._replies_sent += 1
        if self._verbose and log.isEnabledFor(logging.DEBUG):
            log.debug("%r << %r", self.session.peer, status)
        if octets:
            transport.write(octets)
            if self._write_waiter is not None:
                await self._drain()
            elif len(octets) >= HELD_LIMIT:
                await asyncio.sleep(0)  # a client that pipelines lets others have their turn
        else:
            self._flush_soon()

    async def _push_lines(self, lines: list[str]) -> None:
        """Send the lines of one reply: together, unless ``push`` is overridden to see each of them."""
        plain = getattr(self.push, "__func__", None) is Replying.push
        if plain and all(isinstance(line, str) for line in lines):
            lines = ["\r\n".join(lines)] if lines else []
        for line in lines:
            await self.push(line)

    def _flush_soon(self) -> None:
        """Let what is held back leave, should the hook of the next command take its time."""
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self.loop.call_soon(self._flush_held)

    def _flush_held(self) -> None:
        self._flush_scheduled = False
        self._flush()

    def _flush(self) -> None:
        octets = self._connection.flush()
        if octets and self.transport is not None:
            self.transport.write(octets)
