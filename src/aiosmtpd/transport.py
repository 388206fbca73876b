"""The asyncio driver: between a transport and the engine, and the task of a connection.

What need not wait is answered as it comes in, which is no business of the driver
(:mod:`aiosmtpd.verbs.at_once`). All else feeds the engine and wakes the task, which is
made when it is first needed; it asks the engine for events and hands each command on. The driver
knows transports, flow control, deadlines and TLS; it knows no verb and no policy, which
:class:`aiosmtpd.smtp.SMTP` adds. Everything waits at one of two places: for octets in
:meth:`ConnectionProtocol._receive`, or for room to write in :meth:`ConnectionProtocol._drain`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Protocol

from .deadlines import Deadlines
from .handshake import Handshake
from .protocol import (
    Body,
    BodyError,
    BodyIncomplete,
    Command,
    Connection,
    ConnectionClosed,
    Event,
    Mode,
    ProtocolError,
)
from .protocol import reply as replies
from .receiving import share_read_buffer
from .replying import Replying
from .streams import StreamReaderFace, StreamWriterFace, close_once
from .task import ConnectionTask

if TYPE_CHECKING:
    from .session import Envelope, Session

__all__ = ["ConnectionProtocol", "ConnectionRegistry"]

log = logging.getLogger("mail.log")

# Octets that may wait for a busy handler before the transport is told to stop reading.
_HIGH_WATER = 65536
# A read that may be followed by another at once: it fills the buffer of ``receiving.py``, or comes near
# the 256,000 octets that uvloop reads.
_LONG_READ = 131072
_CLOSED = ConnectionClosed()
# What the task answers; after anything else the connection is over.
_ANSWERED = (Command, Body, BodyError)


class ConnectionRegistry(Protocol):
    """What a server gives its connections, to know which are open."""

    def add(self, connection: ConnectionProtocol, /) -> None:
        """Note that a connection was made."""

    def discard(self, connection: ConnectionProtocol, /) -> None:
        """Note that a connection is over."""

    def look_in(self, seconds: float, /) -> None:
        """Have each connection check its deadline in so many seconds, or sooner."""


class ConnectionProtocol(Replying, Deadlines, ConnectionTask, Handshake):
    """One connection of a server, as an :class:`asyncio.Protocol` with at most one task.

    Args:
        timeout: seconds that a client may stay silent, counted from its last octet.
        proxy_timeout: seconds in which a PROXY header must come, or None if none is expected.
        handler_timeout: seconds that one command may take to be handled, or None for any.
        utf8: whether commands and replies may hold UTF-8.
        loop: the event loop, or None for the running one.

    Attributes:
        transport: the transport, or None before and after the connection.
        session: the :class:`~aiosmtpd.session.Session`, or None before the connection.
        envelope: the :class:`~aiosmtpd.session.Envelope` of the transaction at hand.
    """

    # What each connection has of its own. So its ``__dict__`` holds what a program hangs on it, and what
    # is seldom changed, of which the class has the default: an idle connection is small, and it takes
    # one look to know that nobody has overridden a method on it.
    __slots__ = (
        *("_connection", "_connection_task", "_filtering", "_flush_scheduled", "_handler_timeout"),
        *("_idle", "_loop", "_lost_transport", "_met", "_overdue", "_proxy_timeout"),
        *("_reading_paused", "_registry", "_replies_sent", "_since", "_stopping"),
        *("_timeout_duration", "_timer", "_verbose", "_waiter", "_write_waiter"),
        *("envelope", "session", "transport"),
    )
    _writer_face: StreamWriterFace | None = None
    _draining = False
    _opened = 0.0

    def __init__(
        self,
        *,
        timeout: float | None,
        proxy_timeout: float | None,
        handler_timeout: float | None,
        utf8: bool,
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        # Known from connection_made() on, like those of a connection below.
        self._loop: asyncio.AbstractEventLoop = loop  # type: ignore[assignment]
        self._timeout_duration = timeout
        self._handler_timeout = handler_timeout
        self._overdue = 0  # how often the task was cancelled for that
        self._proxy_timeout = proxy_timeout
        self._connection = Connection(
            command_limit=self._command_limit(), utf8=utf8, proxy=proxy_timeout is not None
        )
        # Where to say that this connection is open; a server sets it.
        self._registry: ConnectionRegistry | None = None
        self.transport: asyncio.Transport | None = None
        self._lost_transport: asyncio.Transport | None = None
        # Every hook and verb runs while there is a connection, so that they need not ask.
        self.session: Session = None  # type: ignore[assignment]
        self.envelope: Envelope = None  # type: ignore[assignment]
        self._connection_task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._write_waiter: asyncio.Future[None] | None = None
        self._reading_paused = False
        # Whether a command is waited for; and what the task is handed when one came.
        self._idle = False
        self._met: Event | Exception | None = None
        self._flush_scheduled = False
        self._filtering = False
        self._stopping = False
        self._replies_sent = 0
        self._since = 0.0
        # Whether somebody reads what is logged; looked up once a command.
        self._verbose = log.isEnabledFor(logging.INFO)

    # -- what a subclass adds ---------------------------------------------------------------------

    def _command_limit(self) -> int:
        raise NotImplementedError

    def _create_session(self) -> Session:
        raise NotImplementedError

    def _create_envelope(self) -> Envelope:
        raise NotImplementedError

    def _expects_proxy(self) -> bool:
        raise NotImplementedError

    def _open_at_once(self) -> bool:
        raise NotImplementedError

    async def _open(self) -> None:
        raise NotImplementedError

    def _filter_reply(self, status: str | bytes) -> str | bytes:
        raise NotImplementedError

    async def _finish(self) -> None:
        raise NotImplementedError

    def _take_message(self, body: Body | BodyError) -> Awaitable[None]:
        raise NotImplementedError

    def _run_command(self, command: Command) -> Awaitable[None]:
        raise NotImplementedError

    async def _answer_exception(self, error: Exception) -> None:
        raise NotImplementedError

    async def _refuse(self, fault: ProtocolError) -> None:
        raise NotImplementedError

    async def _answer_overdue(self) -> None:
        raise NotImplementedError

    # -- properties -------------------------------------------------------------------------------

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that serves this connection."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    @loop.setter
    def loop(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    @property
    def _reader(self) -> StreamReaderFace:
        return StreamReaderFace(self)

    @property
    def _writer(self) -> StreamWriterFace:
        if self._writer_face is None:
            self._writer_face = StreamWriterFace(self)
        return self._writer_face

    # -- called by the transport ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a connection: make its session, and greet, or start the task that does."""
        self.transport = transport  # type: ignore[assignment]
        loop = self.loop
        registry = self._registry
        if registry is not None:
            registry.add(self)
        session = self.session = self._create_session()
        session.peer = transport.get_extra_info("peername")
        if self._proxy_timeout is not None and not self._expects_proxy():
            self._proxy_timeout = None
            self._connection.expect_no_proxy()
        self.envelope = self._create_envelope()
        if transport.get_extra_info("sslcontext") is not None:
            self._learn_tls()
        self._verbose = log.isEnabledFor(logging.INFO)
        if self._verbose:
            log.info("Peer: %r", session.peer)
        self._reset_timeout()
        if self._proxy_timeout is not None:
            self._opened = self._since
        share_read_buffer(self, transport, loop)
        if self._connection_task is None and (  # else somebody has asked for it, and it greets
            registry is None or not self._open_at_once()
        ):
            self._start_task()

    # data_received() is in verbs/at_once.py: what need not wait is answered there.

    def _take_in(self, data: bytes) -> None:
        """Feed the engine; wake the task if it waits for what came, otherwise bound what piles up."""
        connection = self._connection
        if connection.eof:  # 221 or 421 has been said; nothing will read what comes now
            return
        if data:
            connection.buffer.feed(data)
        if (
            self._idle
            and self._write_waiter is None
            and self._met is None
            and not self._read_on(connection)
        ):
            self._since = self._loop.time()
            return
        if self._waiter is not None or self._idle:
            self._since = self._loop.time()
            self._wake_reader()
            if connection.held:
                self._flush_soon()
            # Another long read before the task runs would double what a stream holds in memory.
            if len(data) < _LONG_READ or not connection.streaming:
                return
        if len(connection.buffer) > _HIGH_WATER:
            self._pause_reading()

    def _read_on(self, connection: Connection) -> bool:
        """Read the next event for the task; tell whether there is one for it, or a fault.

        Waking the task costs more than most commands do. It gets what may have to wait, such as a
        command that a hook has a say in, and every fault.
        """
        try:
            self._met = connection.next_event()
        except Exception as error:  # the task handles it as it does its own
            self._met = error
        if self._met is not None:
            return True
        if connection.held:
            self._flush()
        return False

    def _finish_at_once(self) -> None:
        """End the connection after the last reply."""
        if self._connection_task is None:
            self._close()
        else:
            self._met = _CLOSED  # so that the task need not ask the engine
            self._wake_reader()

    def _pause_reading(self) -> None:
        if not self._reading_paused and self.transport is not None:
            self._reading_paused = True
            self.transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused and self.transport is not None:
            self._reading_paused = False
            self.transport.resume_reading()

    def eof_received(self) -> bool:
        """Note that the client sends no more; what it sent is still answered, except under TLS."""
        log.info("%r EOF received", self.session.peer)
        connection = self._connection
        if connection.eof:  # 221 or 421 has been said
            return False
        connection.receive_eof()
        if (
            self._connection_task is None
            and connection.mode is Mode.COMMAND
            and not connection.buffer.data
        ):
            return False  # nothing is to be answered, and the transport closes itself
        self._wake_reader()
        return self._tls_protocol is None

    def connection_lost(self, error: Exception | None) -> None:
        """End the connection: nothing can be written, and a hook that runs is cancelled."""
        if self._registry is not None:
            self._registry.discard(self)
        log.info("%r connection lost", self.session.peer)
        self._lost_transport, self.transport = self.transport, None
        self._cancel_timer()
        task = self._connection_task
        if task is None or not task.done():
            self._tell_of_loss(task)
        self._write_waiter = None  # there is nobody to wait for

    def _tell_of_loss(self, task: asyncio.Task[None] | None) -> None:
        in_body = self._connection.mode is Mode.BODY
        self._connection.receive_eof()
        if self._waits_for_client():
            if task is not None or in_body:
                self._wake_reader()
            self._wake(self._write_waiter)
        elif task is not None and not (in_body or self._handshaking):  # these learn of it
            task.cancel()
        if in_body and task is not None:
            # A hook that reads a body learns of it there, to drop what it has of it. The limit on
            # handlers holds for that, but the server looks after this connection no more.
            self._since = self._loop.time()
            self._look_in(self.check_deadline())

    def pause_writing(self) -> None:
        """Stop answering until the client has read what was answered."""
        self._since = self._loop.time()
        self._write_waiter = self._loop.create_future()

    def resume_writing(self) -> None:
        """Go on answering."""
        waiter, self._write_waiter = self._write_waiter, None
        self._since = self._loop.time()
        self._wake(waiter)

    def _wake_reader(self) -> None:
        if self._connection_task is None:
            self._start_task()
            return
        waiter, self._waiter = self._waiter, None
        self._idle = False
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    @staticmethod
    def _wake(waiter: asyncio.Future[None] | None) -> None:
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # -- waiting ----------------------------------------------------------------------------------

    def _receive(self) -> Awaitable[None]:
        """Give what to await for octets, or for the end of them."""
        connection = self._connection
        loop = self._loop
        self._since = loop.time()
        waiter = loop.create_future()
        if connection.eof:
            waiter.set_result(None)
        else:
            # Before the transport is told anything: it may bring octets within the call.
            self._waiter = waiter
        if connection.held:
            self._flush()
        if self._reading_paused:
            self._resume_reading()
        return waiter

    async def _drain(self) -> None:
        """Wait for room to write.

        Raises:
            ConnectionResetError: there is no client any more.
        """
        self._draining = True
        try:
            while self._write_waiter is not None and self.transport is not None:
                # Several may wait here, and a hook that gives up must not cancel the others' waiting.
                await asyncio.shield(self._write_waiter)
        finally:
            self._draining = False
        if self.transport is None:
            raise ConnectionResetError("the connection was lost")

    def _waits_for_client(self) -> bool:
        """Tell whether the task waits for the client to send or to read, and not for a hook."""
        # A hook that gave up waiting leaves a future behind that is done.
        return self._draining or (self._idle if self._waiter is None else not self._waiter.done())

    def _take_event(self) -> Event | BodyError | None:
        """Give what the task was handed, or else the next event of the engine, if there is one.

        The fault of a body is given as the body would be, since it is answered like one.
        """
        met, self._met = self._met, None
        if met is not None and not isinstance(met, Exception):
            return met
        try:
            if met is None:
                return self._connection.next_event()
            raise met
        except BodyIncomplete:
            raise
        except BodyError as fault:
            return fault
        finally:
            del met  # an exception and its traceback would hold on to each other

    async def _next_event(self) -> Event:
        """Wait for the next event of the engine, whatever its mode."""
        while True:
            event = self._connection.next_event()
            if event is not None:
                return event
            await self._receive()

    # -- the task ---------------------------------------------------------------------------------

    async def _handle_client(self, opened: bool = False) -> None:
        """Serve the connection to its end.

        Args:
            opened: whether the client has been greeted.
        """
        self._begin_in_task(opened)
        connection = self._connection
        buffer = connection.buffer
        loop = self._loop
        try:
            while True:
                try:
                    if not opened:
                        opened = True
                        await self._open()
                    elif (
                        # Only asked if it may have something: most clients wait for each reply.
                        self._met is None and not (buffer.data or connection.eof)
                    ) or (event := self._take_event()) is None:
                        if self._stopping and connection.mode is not Mode.BODY:
                            self._say_goodbye()  # it was woken for a part of a command
                            continue
                        self._idle = True
                        await self._receive()
                        self._idle = False
                        continue  # a message that is asked for is finished before any goodbye
                    elif isinstance(event, _ANSWERED):
                        self._since = loop.time()
                        answering = (
                            self._run_command(event)
                            if isinstance(event, Command)
                            else self._take_message(event)
                        )
                        event = None  # nobody holds on to a body but those who handle it
                        await answering
                    else:
                        break
                except ProtocolError as fault:
                    await self._refuse(fault)
                except asyncio.CancelledError as cancellation:
                    await self._survive(cancellation)
                except Exception as error:
                    await self._fail(error)
                if self._stopping or self._overdue:
                    self._go_on()
        except ConnectionError:
            log.info("%r Connection lost during _handle_client()", self.session.peer)
        finally:
            await self._finish()

    def _go_on(self) -> None:
        """Go on after a command that was to be cut short; or say goodbye after the last one."""
        if self._overdue:  # and its hook went on regardless
            self._forget_cancellation()
        if self._stopping:
            self._say_goodbye()

    def _forget_cancellation(self) -> None:
        if self._connection_task is not None:
            for _ in range(self._overdue):
                self._connection_task.uncancel()
        self._overdue = 0

    async def _survive(self, cancellation: asyncio.CancelledError) -> None:
        """Answer a cancellation that ended one command only.

        Raises:
            asyncio.CancelledError: it ends the connection.
        """
        self._idle = False
        task = self._connection_task
        if self.transport is not None and task is not None:
            if self._overdue:
                self._forget_cancellation()
                log.error("%r a command took longer than its limit to handle", self.session.peer)
                await self._answer_overdue()
                return
            if not task.cancelling():
                # Not this task was cancelled, but one that a hook waited for.
                error = RuntimeError("what a hook waited for was cancelled")
                error.__cause__ = cancellation
                await self._answer_exception(error)
                return
        log.info("%r Connection lost during _handle_client()", self.session.peer)
        raise cancellation

    async def _fail(self, error: Exception) -> None:
        """Answer an exception that nobody expected, unless the client is gone.

        A hook ends the connection without an answer by raising ``ConnectionResetError``, as in 1.4. It
        may not have meant to: another connection of its own raises the same.
        """
        if isinstance(error, ConnectionResetError):
            if self.transport is not None and not self._connection.eof:
                log.warning("%r dropped by a hook", self.session.peer, exc_info=error)
            raise error
        if self.transport is not None:
            try:
                await self._answer_exception(error)
            except asyncio.CancelledError as cancellation:
                await self._survive(cancellation)
        elif not isinstance(error, ConnectionError):
            log.error("%r error after the connection was lost", self.session.peer, exc_info=error)

    def _say_goodbye(self) -> None:
        if self.transport is not None and not self._connection.eof:
            self.transport.write(
                self._connection.flush() + self._connection.send(replies.SHUTTING_DOWN)
            )
        self._connection.end()

    def _close(self) -> None:
        connection = self._connection
        connection.receive_eof()
        if self._reading_paused:
            # Under TLS the client's own goodbye has to be read, or the transport would never close.
            self._resume_reading()
        if self._writer_face is not None:
            self._writer_face.close()
        elif self.transport is not None:
            if connection.held:
                self._flush()
            close_once(self.transport)
        if self.transport is None:
            self._cancel_timer()

    def shut_down(self) -> None:
        """End the connection from this side (RFC 5321 section 3.8).

        A client that is waited for is told 421 at once; a command that runs is finished and answered
        first.
        """
        self._stopping = True
        if self._handshaking and self._connection_task is not None:
            self._connection_task.cancel()
        elif not self._connection.eof and (
            self._connection.mode is Mode.PROXY
            or (self._idle and self._connection.mode is not Mode.BODY)
        ):
            self._say_goodbye()
            if self._connection_task is None:
                self._close()
            else:
                self._wake_reader()
