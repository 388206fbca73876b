"""How long a connection waits, and for whom: for a silent client, and for a hook that takes too long.

No timer is moved with every octet: when it fires, it is looked whether the limit in force is over, and
when to look again if not. The connections of a server share one timer, for hardly one of them is ever
silent for too long, and a timer of its own costs a connection as much as some of its commands.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from .protocol import Connection, Mode

if TYPE_CHECKING:
    from .session import Session
    from .transport import ConnectionRegistry

__all__ = ["Deadlines", "Watch"]

log = logging.getLogger("mail.log")

# Seconds for each connection from one look at all of them to the next: looking takes less than a
# hundredth of the time, and with 10,000 connections a deadline is at most two seconds late.
_REST = 0.0002


class Watch:
    """The timer that connections share.

    Args:
        loop: the event loop of the connections.
        connections: gives those that are open.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, connections: Callable[[], Collection[Deadlines]]
    ) -> None:
        self._loop = loop
        self._connections = connections
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf

    def look_in(self, seconds: float) -> None:
        """Look at all connections in so many seconds, or sooner.

        Args:
            seconds: in which a deadline of one of them may be over; infinity for never.
        """
        due = self._loop.time() + seconds
        if due < self._due:
            self._due = due
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(due, self._look)

    def stop(self) -> None:
        """Look no more, unless asked anew."""
        if self._timer is not None:
            self._timer.cancel()
        self._forget()

    def _forget(self) -> None:
        self._timer = None
        self._due = math.inf

    def _look(self) -> None:
        self._forget()
        connections = self._connections()
        left = min(map(_check, connections), default=math.inf)
        self.look_in(max(left, _REST * len(connections)))


def _check(connection: Deadlines) -> float:
    """Have a connection check its deadline, whatever becomes of that: the others have theirs."""
    try:
        return connection.check_deadline()
    except Exception:
        log.exception("the deadline of a connection could not be checked")
        return math.inf


class Deadlines:
    """The deadlines of a connection; :class:`~aiosmtpd.transport.ConnectionProtocol` has the rest."""

    if TYPE_CHECKING:
        transport: asyncio.Transport | None
        session: Session
        _connection: Connection
        _idle: bool
        _handler_timeout: float | None
        _opened: float
        _overdue: int
        _proxy_timeout: float | None
        _registry: ConnectionRegistry | None
        _since: float
        _connection_task: asyncio.Task[None] | None
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
        registry = self._registry
        if registry is not None:
            registry.look_in(self._until_next_look())
        else:
            self._cancel_timer()
            self._look_in(self._until_next_look())

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look_in(self, seconds: float) -> None:
        """Look by a timer of this connection's own."""
        self._timer = None if seconds == math.inf else self.loop.call_later(seconds, self._on_timer)

    def _on_timer(self) -> None:
        self._look_in(self.check_deadline())

    def _until_next_look(self) -> float:
        # The shortest limit is the longest time without a look, so that it misses none.
        seconds, limit = self._timeout_duration or math.inf, self._handler_timeout
        if limit and limit < seconds:
            seconds = limit
        limit = self._proxy_timeout
        if limit and limit < seconds and self._connection.mode is Mode.PROXY:
            seconds = limit
        return seconds

    def check_deadline(self) -> float:
        """Act if whoever is waited for has been too long about it.

        Returns:
            In how many seconds to ask again; infinity for never.
        """
        waiting = self._waits_for_client() or self._write_waiter is not None
        task = self._connection_task
        since, limit = self._since, self._timeout_duration
        if waiting and self._connection.mode is Mode.PROXY:
            # The header has to be there by then; a part of it gains no time.
            since, limit = self._opened, self._proxy_timeout
        elif not waiting and task is not None and not task.done():
            limit = self._handler_timeout
        left = since + limit - self.loop.time() if limit else math.inf
        if left > 0:
            return min(left, self._until_next_look())
        self._since = self.loop.time()  # what is done now is not to be done at the next look again
        if waiting or task is None or task.done():
            self._timeout_cb()
        else:
            self._overdue += 1
            task.cancel()
        return self._until_next_look()

    def _timeout_cb(self) -> None:
        """Drop a client that was silent for too long."""
        transport = self.transport
        if transport is None:
            return
        closing = transport.is_closing()
        if not closing and self.session is not None:  # else it could not even be begun
            log.info("%r connection timeout", self.session.peer)
        reads = (self._idle or self._waiter) and not closing
        if not reads or transport.get_write_buffer_size():
            transport.abort()  # it does not read either, so close() would wait for ever
        else:
            self._flush()
            self._connection.receive_eof()  # whatever comes while it closes
            transport.close()
