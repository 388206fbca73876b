"""The one task of a connection: made when there is something for it to do, or when it is asked for.

Many a client needs none until its message is there, so a task from the beginning would mostly wait. A
program must not notice: what it binds to the context before the first octet is there in its hooks, and
whoever has no register of connections ends them by cancelling all tasks. In such cases the task is made
with the connection; see ``connection_made``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .session import Session

__all__ = ["ConnectionTask"]

log = logging.getLogger("mail.log")

# Seconds that another thread waits for the loop to make a task.
_PATIENCE = 1.0


class ConnectionTask:
    """The task of a connection; :class:`~aiosmtpd.transport.ConnectionProtocol` has the rest."""

    if TYPE_CHECKING:
        session: Session
        _connection_task: asyncio.Task[None] | None
        _handle_client: Any
        _idle: bool
        _loop: asyncio.AbstractEventLoop
        _verbose: bool

        @property
        def loop(self) -> asyncio.AbstractEventLoop: ...
        def _close(self) -> None: ...

    @property
    def _handler_coroutine(self) -> asyncio.Task[None] | None:
        """The task of the connection, which programs may cancel; None before the connection."""
        if self._connection_task is None and self.session is not None:
            self._ask_for_task()
        return self._connection_task

    @_handler_coroutine.setter
    def _handler_coroutine(self, task: asyncio.Task[None] | None) -> None:
        self._connection_task = task

    def _ask_for_task(self) -> None:
        loop = self.loop
        if loop.is_closed():
            return
        try:
            here = asyncio.get_running_loop() is loop
        except RuntimeError:
            here = not loop.is_running()
        if here:
            self._start_task()
        else:  # a task cannot be made from another thread
            asyncio.run_coroutine_threadsafe(self._have_task(), loop).result(_PATIENCE)

    async def _have_task(self) -> None:
        if self._connection_task is None:
            self._start_task()

    def _start_task(self) -> None:
        """Start the task; where a command is waited for, the client has been greeted already."""
        opened, self._idle = self._idle, False
        if self._verbose:
            log.info("%r handling connection", self.session.peer)
        # Only the own _handle_client() is ever told; one that is overridden serves from the beginning.
        serving: Coroutine[Any, Any, None] = (
            self._handle_client(opened) if opened else self._handle_client()
        )
        self._connection_task = self._loop.create_task(serving)
        self._connection_task.add_done_callback(self._task_ended)

    def _begin_in_task(self, opened: bool) -> None:
        """Note the task that serves; from now on it sees to the end of the connection itself."""
        # If it starts eagerly, nobody has it yet; an overridden _handle_client() may have another one.
        task = self._connection_task = (opened and self._connection_task) or asyncio.current_task()
        if task is not None:
            task.remove_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():  # perhaps before its first turn, so that it could not see to the end
            self._close()
