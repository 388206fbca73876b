"""How long a connection waits, and for whom: for a silent client, and for a hook that takes too long.

One timer a connection, which is not moved with every octet: when it fires, it looks whether the limit in
force is over, and sleeps on if not.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING

from .protocol import Connection, Mode

if TYPE_CHECKING:
    from .session import Session

__all__ = ["Deadlines"]

log = logging.getLogger("mail.log")


class Deadlines:
    """The timer of a connection; :class:`~aiosmtpd.transport.ConnectionProtocol` has the rest."""

    if TYPE_CHECKING:
        transport: asyncio.Transport | None
        session: Session
        _connection: Connection
        _handler_coroutine: asyncio.Task[None] | None
        _handler_timeout: float | None
        _opened: float
        _overdue: bool
        _proxy_timeout: float | None
        _since: float
        _timeout_duration: float | None
        _timer: asyncio.TimerHandle | None
        _waiter: asyncio.Future[None] | None
        _write_waiter: asyncio.Future[None] | None

        @property
        def loop(self) -> asyncio.AbstractEventLoop: ...
        def _flush(self) -> None: ...
        def _waits_for_client(self) -> bool: ...

    def _reset_timeout(self, duration: float | None = None) -> None:
        """Count the client's silence from now on.

        Args:
            duration: the seconds it may last from now on, if not those of the constructor.
        """
        if duration is not None:
            self._timeout_duration = duration
        self._since = self.loop.time()
        if self._timer is not None:
            self._timer.cancel()
        self._arm_timer()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _arm_timer(self, left: float = math.inf) -> None:
        # The shortest limit is its longest sleep, so that it misses none.
        limits = [limit for limit in (self._timeout_duration, self._handler_timeout) if limit]
        if self._proxy_timeout and self._connection.mode is Mode.PROXY:
            limits.append(self._proxy_timeout)
        self._timer = None
        if limits:
            self._timer = self.loop.call_later(min(left, *limits), self._on_timer)

    def _on_timer(self) -> None:
        """Act if whoever we wait for has been too long about it; else look again later."""
        waiting = self._waits_for_client() or self._write_waiter is not None
        task = self._handler_coroutine
        since, limit = self._since, self._timeout_duration
        if waiting and self._connection.mode is Mode.PROXY:
            # The header has to be there by then; a part of it gains no time.
            since, limit = self._opened, self._proxy_timeout
        elif not waiting and task is not None and not task.done():
            limit = self._handler_timeout
        left = since + limit - self.loop.time() if limit else math.inf
        if left > 0:
            self._arm_timer(left)
        elif waiting or task is None or task.done():
            self._timeout_cb()
        else:
            self._overdue = True
            task.cancel()
            self._arm_timer()

    def _timeout_cb(self) -> None:
        """Drop a client that was silent for too long."""
        log.info("%r connection timeout", self.session.peer)
        if self.transport is None:
            return
        if self._waiter is None or self.transport.get_write_buffer_size():
            self.transport.abort()  # it does not read either, so close() would wait for ever
        else:
            self._flush()
            self.transport.close()
