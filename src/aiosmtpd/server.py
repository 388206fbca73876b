"""Listening sockets, and the connections that come from them.

A :class:`Server` is what listens, what makes a protocol for each client, and the register of the
connections that are open, so that closing it can end each of them politely. It knows sockets and
lifetimes; what is said on a connection it does not know. It needs nothing of the protocols but that
they tell the register when they open and close, can be asked to shut down, and have a transport.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from .deadlines import Watch
from .listening import BACKLOG, SocketFile, listen, listen_soon, listen_unix, send_at_once
from .protocol.reply import Reply, encode_reply
from .smtp import SMTP

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

    from .transport import ConnectionProtocol

__all__ = [
    "BACKLOG",
    "DRAIN_TIMEOUT",
    "Connections",
    "Server",
    "Unavailable",
    "cancel_tasks",
    "listen",
    "listen_unix",
    "serve",
    "settle",
]

log = logging.getLogger("mail.log")

DRAIN_TIMEOUT = 10.0
"""How many seconds :func:`serve` lets running commands take once the server is closed."""

ProtocolFactory: TypeAlias = Callable[[], asyncio.BaseProtocol]

# RFC 5321 section 4.2.2: 421 may answer anything, the connection itself too (section 3.1).
_UNAVAILABLE = Reply(421, "4.3.0", "Service not available, closing transmission channel")
# How often a closing server looks for connections that only wait for the client's close_notify.
_SWEEP_INTERVAL = 0.05
# How long a task that was cancelled may take to clean up after itself.
_UNWIND_TIMEOUT = 1.0


async def settle() -> None:
    """Cancel what still runs in the event loop, and let it end. The loop can be closed then."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        for task in others:
            task.cancel()
        await asyncio.wait(others, timeout=_UNWIND_TIMEOUT)
    await asyncio.sleep(0)  # transports close in the iteration after
    await asyncio.get_running_loop().shutdown_asyncgens()


def cancel_tasks(loop: asyncio.AbstractEventLoop, connections: Connections | None) -> None:
    """Cancel all tasks of a loop, and thereby end the connections.

    Args:
        loop: the loop; call this in it.
        connections: some of it that may have no task yet, or None.
    """
    for connection in connections or ():
        getattr(connection, "_handler_coroutine", None)  # it is made when it is asked for
    for task in asyncio.all_tasks(loop):
        task.cancel()


class Connections:
    """The open connections of a server, and their end.

    A protocol that has an attribute ``_registry`` is given this object there, and calls :meth:`add`
    and :meth:`discard`. It must have ``shut_down()`` and ``transport``. One that calls :meth:`look_in`
    must have ``check_deadline()``.

    Args:
        loop: the event loop of the server.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._open: set[ConnectionProtocol] = set()
        self._unwinding: set[asyncio.Task[None]] = set()
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._watch = Watch(loop, self._watched)
        #: Have each connection check its deadline in so many seconds, or sooner.
        self.look_in = self._watch.look_in

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[ConnectionProtocol]:
        return iter(tuple(self._open))

    def track(self, protocol: object) -> None:
        """Have a protocol tell of its connection, if it is one that does.

        Args:
            protocol: what a factory made.
        """
        if hasattr(protocol, "_registry"):
            protocol._registry = self
            if hasattr(protocol, "_loop") and protocol._loop is None:
                protocol._loop = self._loop  # sooner than by asking which one runs

    def add(self, connection: ConnectionProtocol) -> None:
        """Note that a connection was made."""
        self._open.add(connection)
        if self._deadline is not None:
            # It was accepted before the server closed. It is still being set up: let it finish that.
            self._loop.call_soon(connection.shut_down)
            self._arm()

    def discard(self, connection: ConnectionProtocol) -> None:
        """Note that a connection is over."""
        self._open.discard(connection)
        if not self._open and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _watched(self) -> list[ConnectionProtocol]:
        # Others than ours have none.
        return [each for each in self._open if hasattr(each, "check_deadline")]

    def close(self, timeout: float) -> None:
        """Ask each connection to shut down, and abort those that have not in time.

        Idle clients are answered 421 and dropped at once; a command that runs is finished first
        (RFC 5321 section 3.8). Call it in the event loop; a second call changes nothing.

        Args:
            timeout: seconds that running commands may take.
        """
        if self._deadline is not None:
            return
        self._deadline = self._loop.time() + timeout
        self.shut_down()
        if self._open:
            self._arm()

    def shut_down(self) -> None:
        """Ask each connection to shut down, and leave it the time that takes."""
        for connection in self:
            connection.shut_down()

    async def wait_closed(self) -> None:
        """Wait until no connection is open. Call :meth:`close` before, so that it comes to an end."""
        while self._open:
            if self._waiter is None or self._waiter.done():
                self._waiter = self._loop.create_future()
            # Others may wait for the same future, so one that is cancelled must not cancel it.
            await asyncio.shield(self._waiter)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._watch.stop()
        if self._unwinding:
            await asyncio.wait(self._unwinding, timeout=_UNWIND_TIMEOUT)

    def abort(self) -> None:
        """Drop each connection as it is."""
        for connection in self:
            self._abort(connection)

    def _abort(self, connection: ConnectionProtocol) -> None:
        task = getattr(connection, "_connection_task", None)
        if task is not None and not task.done():
            self._unwinding.add(task)
            task.add_done_callback(self._unwinding.discard)
        if connection.transport is not None:
            connection.transport.abort()

    def _arm(self) -> None:
        if self._timer is None and self._deadline is not None:
            when = min(self._loop.time() + _SWEEP_INTERVAL, self._deadline)
            self._timer = self._loop.call_at(when, self._sweep)

    def _sweep(self) -> None:
        """Abort what is overdue, and what has said all it had to say.

        A transport with TLS stays open until the client's close_notify comes, but nobody has to wait
        for that (RFC 8446 section 6.1).
        """
        self._timer = None
        overdue = self._deadline is not None and self._loop.time() >= self._deadline
        for connection in self:
            if overdue or _has_said_all(connection.transport):
                self._abort(connection)
        if self._open:
            self._arm()


def _has_said_all(transport: asyncio.Transport | None) -> bool:
    """Tell whether a transport only waits for the client to end as well."""
    if transport is None or not transport.is_closing():
        return False
    try:
        return not transport.get_write_buffer_size()
    except AttributeError:  # asyncio's of TLS, which a program has closed twice
        return True


class Server(asyncio.AbstractServer):
    """A server that listens; what :func:`serve` gives.

    Attributes:
        host: the address it listens on, numeric; the first one if there are several, and ``""`` for a
            Unix socket.
        port: the port it listens on; 0 for a Unix socket.
        connections: the connections that are open; ``len()`` counts them.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sockets: Sequence[socket.socket],
        *,
        connections: Connections,
        drain_timeout: float,
    ) -> None:
        if not sockets:
            raise ValueError("there is no socket to listen on")
        self.host, self.port = "", 0
        self._socket_file: SocketFile | None = None
        name = sockets[0].getsockname()
        if isinstance(name, tuple):
            self.host, self.port = name[:2]
        self.connections = connections
        self._loop = loop
        self._listeners: list[asyncio.Server] = []
        self._drain_timeout = drain_timeout
        self._closed = asyncio.Event()

    @classmethod
    async def start(
        cls,
        factory: ProtocolFactory,
        sockets: Sequence[socket.socket],
        *,
        connections: Connections,
        ssl_context: ssl.SSLContext | None = None,
        backlog: int = BACKLOG,
        drain_timeout: float = DRAIN_TIMEOUT,
        unix_socket: str | os.PathLike[str] | None = None,
    ) -> Server:
        """Serve on sockets that are bound; they are the server's from now on.

        Args:
            factory: makes the protocol of each connection.
            sockets: what to listen on; at least one.
            connections: where the protocols note their connections.
            ssl_context: TLS from the first octet (RFC 8314), or None.
            backlog: how many clients may wait to be accepted.
            drain_timeout: seconds that running commands may take once the server is closed.
            unix_socket: the path of a Unix socket that is to be removed when the server is closed.

        Raises:
            OSError: a socket cannot listen; none of them is left open.
            ValueError: there is no socket.
        """
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as stack:
            for sock in sockets:
                stack.callback(sock.close)
            self = cls(loop, sockets, connections=connections, drain_timeout=drain_timeout)
            if unix_socket is not None:
                self._socket_file = SocketFile(unix_socket)
            for sock in sockets:
                listener = await loop.create_server(
                    factory, sock=sock, ssl=ssl_context, backlog=backlog
                )
                stack.callback(listener.close)
                self._listeners.append(listener)
            stack.pop_all()
        return self

    def __repr__(self) -> str:
        state = "listening" if self.is_serving() else "closed"
        where = f"{self.host} port {self.port}" if self.host else "a Unix socket"
        return f"<{type(self).__name__} {state}, {where}, {len(self.connections)} connections>"

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The sockets it listens on; none once it is closed."""
        return tuple(sock for listener in self._listeners for sock in listener.sockets)

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Give the event loop that serves."""
        return self._loop

    def is_serving(self) -> bool:
        """Whether it listens."""
        return not self._closed.is_set()

    async def start_serving(self) -> None:
        """Do nothing: a server listens from the beginning."""

    async def serve_forever(self) -> None:
        """Wait until the server is closed and its connections are over.

        If the task that waits is cancelled, the server is closed first.
        """
        try:
            await self.wait_closed()
        finally:
            self.close()
            await self.wait_closed()

    def close(self) -> None:
        """Stop listening and ask each connection to shut down.

        Idle clients are answered ``421 4.3.2`` and dropped at once, a command that runs is finished
        first, and what is left after ``drain_timeout`` seconds is aborted. Call it in the event loop,
        as often as you like; :meth:`wait_closed` waits for the end.
        """
        if not self.is_serving():
            return
        self._closed.set()
        if self._socket_file is not None:
            # Before its socket is closed, as long as nobody else can have the same inode.
            self._socket_file.remove()
        for listener in self._listeners:
            listener.close()
        self.connections.close(self._drain_timeout)

    async def wait_closed(self) -> None:
        """Wait until the server was closed and no connection is left."""
        await self._closed.wait()
        await self.connections.wait_closed()
        for listener in self._listeners:
            # What is left is in its TLS handshake, or no protocol that tells of itself. Only asyncio
            # itself knows of them, and only from Python 3.13 on.
            abort_clients = getattr(listener, "abort_clients", None)
            if abort_clients is not None:
                abort_clients()

    def close_clients(self) -> None:
        """Ask each connection to shut down, without a limit of time, and go on listening."""
        self.connections.shut_down()

    def abort_clients(self) -> None:
        """Drop each connection as it is, and go on listening."""
        self.connections.abort()


# -- serve -------------------------------------------------------------------------------------------


class _Starting(AbstractAsyncContextManager["Server"]):
    """A server to be: await it to start it, or enter it to have it closed as well."""

    def __init__(self, start: Callable[[], Awaitable[Server]]) -> None:
        self._start = start
        self._server: Server | None = None

    def __await__(self) -> Generator[Any, None, Server]:
        return self._start().__await__()

    async def __aenter__(self) -> Server:
        self._server = await self._start()
        return self._server

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()


class Unavailable(asyncio.Protocol):
    """Answers for a protocol that could not be made, and sends the client away.

    Args:
        loop: the event loop, for whoever asks it of a protocol.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.loop = loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast("asyncio.WriteTransport", transport)
        stream.write(encode_reply(_UNAVAILABLE))
        stream.close()


def _server_to_client_ssl_ctx(server_ctx: ssl.SSLContext) -> ssl.SSLContext:
    """Make a context to connect to our own server with, for overrides of ``_trigger_server`` in 1.4."""
    import ssl  # here: only controllers that were written for 1.4 need it

    client_ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_ctx.check_hostname = False
    client_ctx.verify_mode = ssl.CERT_NONE
    return client_ctx


def _tracking(factory: ProtocolFactory, connections: Connections) -> ProtocolFactory:
    """Make a factory whose protocols are in the register, and which does not fail."""

    def make() -> asyncio.BaseProtocol:
        try:
            protocol = factory()
        except Exception:
            log.exception("the protocol of a connection could not be made")
            return Unavailable()
        connections.track(protocol)
        return protocol

    return make


async def _smtp_factory(handler: Any, parameters: dict[str, Any]) -> Callable[[], SMTP]:
    """Make the default factory. The name of this machine is asked for once; it may take the DNS."""
    if not parameters.get("hostname"):
        loop = asyncio.get_running_loop()
        parameters["hostname"] = await loop.run_in_executor(None, socket.getfqdn)
    return partial(SMTP, handler, **parameters)


def serve(
    handler: Any,
    host: str | Iterable[str] | None = None,
    port: int | str = 8025,
    *,
    unix_socket: str | os.PathLike[str] | None = None,
    sock: socket.socket | Iterable[socket.socket] | None = None,
    ssl_context: ssl.SSLContext | None = None,
    factory: ProtocolFactory | None = None,
    backlog: int = BACKLOG,
    reuse_port: bool = False,
    server_hostname: str | None = None,
    drain_timeout: float = DRAIN_TIMEOUT,
    **SMTP_parameters: Any,
) -> _Starting:
    """Serve SMTP in the running event loop.

    Use it as ``async with serve(handler, "localhost", 8025) as server:``, which closes the server at the
    end of the block and waits for its connections, or as ``server = await serve(...)`` and call
    :meth:`Server.close` and :meth:`Server.wait_closed` yourself.

    Args:
        handler: the object whose ``handle_*`` hooks are called.
        host: where to listen: a name or a numeric address, or several of them; ``""`` for every
            interface, ``"localhost"`` or None for the loopback, each in both address families.
        port: the port; 0 for one that is free, to be read from ``server.port``.
        unix_socket: the path of a Unix socket to listen on, instead of host and port.
        sock: one or several bound sockets to listen on, instead of host and port. They become the
            server's, which closes them, but the file of a Unix socket stays.
        ssl_context: TLS from the first octet (RFC 8314). For STARTTLS give ``tls_context``.
        factory: makes the protocol of each connection, called without arguments; ``SMTP`` with the
            handler and the parameters if None. Give it the handler and parameters itself.
        backlog: how many clients may wait to be accepted; cut to the limit of the system.
        reuse_port: let several processes listen on the port, and the system share the clients out.
        server_hostname: the name in the greeting; the machine's own, resolved once, if None.
        drain_timeout: seconds that running commands may take once the server is closed.
        **SMTP_parameters: for :class:`~aiosmtpd.smtp.SMTP`; ``enable_SMTPUTF8`` is on unless given.

    Returns:
        What can be awaited or entered, either of which starts the server and gives a :class:`Server`.
        It raises ``OSError`` at once if the address is in use, not this machine's, or unknown, and
        what ``SMTP`` raises for parameters it does not take.

    Raises:
        TypeError: ``server_hostname`` or ``SMTP_parameters`` are given beside a ``factory``.
        ValueError: two of ``host``, ``unix_socket`` and ``sock`` are given, or the system lacks what
            is asked for.
    """
    if factory is not None and (SMTP_parameters or server_hostname is not None):
        raise TypeError("a factory takes no SMTP parameters: give them where it makes the SMTP")
    if (host is not None) + (unix_socket is not None) + (sock is not None) > 1:
        raise ValueError("give one of host, unix_socket and sock")

    async def sockets() -> list[socket.socket]:
        if unix_socket is not None:
            return [listen_unix(unix_socket, backlog=backlog)]
        if sock is not None:
            given = [sock] if isinstance(sock, socket.socket) else list(sock)
            for each in given:
                send_at_once(each)
            return given
        return await listen_soon(host, port, backlog=backlog, reuse_port=reuse_port)

    async def start() -> Server:
        parameters = {"enable_SMTPUTF8": True, "hostname": server_hostname, **SMTP_parameters}
        if factory is None:
            # Wrong parameters are to be found now, and not by the first client.
            SMTP(handler, **{**parameters, "hostname": "localhost"})
        listening = await sockets()
        try:
            make = factory or await _smtp_factory(handler, parameters)
        except BaseException:
            for each in listening:
                each.close()
            raise
        connections = Connections(asyncio.get_running_loop())
        return await Server.start(
            _tracking(make, connections),
            listening,
            connections=connections,
            ssl_context=ssl_context,
            backlog=backlog,
            drain_timeout=drain_timeout,
            unix_socket=unix_socket,
        )

    return _Starting(start)
