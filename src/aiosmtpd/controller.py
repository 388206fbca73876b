"""Controllers: a server for programs that are not asynchronous themselves.

A threaded controller owns a thread and the event loop in it; an unthreaded one runs in a loop of the
caller's. Both are shells around :mod:`aiosmtpd.server`. The steps, and the order in which they are
called, are those of aiosmtpd 1.4, since many programs override some of them.

A test suite or a program's settings import this and often start no server. So asyncio, the server and
what it is made of are imported with the first controller that is made, or when they are asked for here.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
import warnings
from abc import ABCMeta, abstractmethod
from collections.abc import Awaitable, Coroutine
from socket import AF_INET6, SOCK_STREAM, has_ipv6
from socket import socket as makesock
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from .late import LateNames

if TYPE_CHECKING:
    import asyncio
    import socket
    import ssl
    from pathlib import Path
    from typing import Self

    from . import listening as _listening
    from . import server as _server
    from .server import Unavailable as _FakeServer
    from .smtp import SMTP

__all__ = [
    "DEFAULT_DRAIN_TIMEOUT",
    "DEFAULT_READY_TIMEOUT",
    "IP6_IS",
    "BaseController",
    "BaseThreadedController",
    "BaseUnthreadedController",
    "Controller",
    "InetMixin",
    "UnixSocketController",
    "UnixSocketMixin",
    "UnixSocketUnthreadedController",
    "UnthreadedController",
    "get_localhost",
]

log = logging.getLogger("mail.log")

DEFAULT_READY_TIMEOUT = 5.0
"""How many seconds a threaded controller waits for its server, unless told otherwise."""

DEFAULT_DRAIN_TIMEOUT = 1.0
"""How many seconds a controller that stops lets running commands take."""

_TOO_LATE = """SMTP server {} within allotted time. This might happen if the system is too busy. \
Try increasing the `ready_timeout` parameter."""

_late = LateNames(
    globals(),
    SMTP=".smtp:_SMTP",
    _FakeServer=".server:Unavailable",
    _listening=".listening:",
    _server=".server:",
    _server_to_client_ssl_ctx=".server",
    asyncio="asyncio:",
    ssl="ssl:",
)
__dir__ = _late.names
if not TYPE_CHECKING:  # to a type checker, any name at all would be there
    __getattr__ = _late.give


class IP6_IS:  # noqa: N801 - the name of 1.4
    """What an error of ``bind()`` tells of IPv6 on this machine; add to it what yours answers."""

    NO: ClassVar[set[int]] = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
    YES: ClassVar[set[int]] = {errno.EADDRINUSE}


def _has_ipv6() -> bool:
    return has_ipv6


def get_localhost() -> Literal["::1", "127.0.0.1"]:
    """Give the numeric address of the loopback interface, IPv6 if there is such a one.

    Raises:
        OSError: it cannot be found out, for a reason that :class:`IP6_IS` does not list.
    """
    if not _has_ipv6():
        return "127.0.0.1"
    try:
        with makesock(AF_INET6, SOCK_STREAM) as sock:
            sock.bind(("::1", 0))
    except OSError as error:
        if error.errno in IP6_IS.NO:
            return "127.0.0.1"
        if error.errno not in IP6_IS.YES:
            raise
    return "::1"


class BaseController(metaclass=ABCMeta):
    """What all controllers have in common.

    Args:
        handler: the object whose ``handle_*`` hooks are called.
        loop: the event loop in which the server runs; a new one if None.
        ssl_context: TLS from the first octet (RFC 8314). For STARTTLS give ``tls_context``.
        server_hostname: the name in the greeting, as ``hostname`` of ``SMTP``; the machine's if None.
        drain_timeout: seconds that running commands may take once the server is stopped.
        **SMTP_parameters: for :class:`~aiosmtpd.smtp.SMTP`; ``enable_SMTPUTF8`` is on unless given.

    Attributes:
        server: what :meth:`_create_server` made, while the server listens; else None.
        smtpd: what :meth:`factory` made last; None unless the server runs.
        SMTP_kwargs: the parameters for :class:`~aiosmtpd.smtp.SMTP`.
    """

    smtpd: SMTP | None = None
    server: asyncio.AbstractServer | None = None
    server_coro: Awaitable[asyncio.AbstractServer] | None = None
    _thread_exception: BaseException | None = None

    def __init__(
        self,
        handler: Any,
        loop: asyncio.AbstractEventLoop | None = None,
        *,
        ssl_context: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
        drain_timeout: float = DEFAULT_DRAIN_TIMEOUT,
        **SMTP_parameters: Any,
    ) -> None:
        _late.load()
        self.handler = handler
        self.ssl_context = ssl_context
        self.drain_timeout = drain_timeout
        self.SMTP_kwargs: dict[str, Any] = {"enable_SMTPUTF8": True}
        if "server_kwargs" in SMTP_parameters:
            warnings.warn(
                "server_kwargs is deprecated: give the parameters of SMTP as keyword arguments",
                DeprecationWarning,
                stacklevel=4,  # the caller of a controller; this is called by two mixins
            )
            self.SMTP_kwargs.update(SMTP_parameters.pop("server_kwargs") or {})
        self.SMTP_kwargs.update(SMTP_parameters)
        if server_hostname:
            self.SMTP_kwargs["hostname"] = server_hostname
        self._given_loop = self._loop = loop
        self._connections: _server.Connections | None = None
        self._factory_invoked = threading.Event()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop in which the server runs, made when it is first asked for."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._loop

    @loop.setter
    def loop(self, loop: asyncio.AbstractEventLoop) -> None:
        self._given_loop = self._loop = loop

    def factory(self) -> SMTP:
        """Make the protocol of a connection; override it to make another one.

        Returns:
            An ``SMTP`` with the handler and the parameters.
        """
        return SMTP(self.handler, **self.SMTP_kwargs)

    def _factory_invoker(self) -> SMTP | _FakeServer:
        """Make the protocol of a connection, or note why it cannot be made."""
        try:
            smtpd: SMTP | None = self.factory()
            if smtpd is None:  # a program's own may forget to return what it made
                raise RuntimeError("factory() returned None")
        except Exception as error:
            if self.smtpd is not None:  # later than at the start, where it is raised
                log.exception("the protocol of a connection could not be made")
            self._thread_exception = error
            return _FakeServer(self.loop)
        else:
            self.smtpd = smtpd
            if self._connections is not None:
                self._connections.track(smtpd)
            return smtpd
        finally:
            if not self._factory_invoked.is_set():  # to set it takes longer
                self._factory_invoked.set()

    @abstractmethod
    def _create_server(self) -> Awaitable[asyncio.AbstractServer]:
        """Give what makes the server when it is awaited in :attr:`loop`.

        An override may return ``self.loop.create_server(self._factory_invoker, ...)``.

        Raises:
            OSError: the address is in use, is not this machine's, ...
        """

    def _listen_on(
        self, sockets: list[socket.socket], unix_socket: str | None = None
    ) -> Coroutine[Any, Any, _server.Server]:
        if self._connections is None:
            self._connections = _server.Connections(self.loop)
        return _server.Server.start(
            self._factory_invoker,
            sockets,
            connections=self._connections,
            ssl_context=self.ssl_context,
            drain_timeout=self.drain_timeout,
            unix_socket=unix_socket,
        )

    async def _close_server(self) -> None:
        """Stop listening and end the connections, politely as long as there is time."""
        server, connections = self.server, self._connections
        if server is not None:
            server.close()
        if connections is not None:
            # The server knows nothing of them if _create_server() was overridden.
            connections.close(self.drain_timeout)
            await connections.wait_closed()
        if isinstance(server, _server.Server):
            await server.wait_closed()

    def _cleanup(self) -> None:
        """Forget the server that was."""
        self.server = self.server_coro = self.smtpd = None
        self._connections = self._thread_exception = None
        self._factory_invoked.clear()

    def cancel_tasks(self, stop_loop: bool = True) -> None:
        """Cancel all tasks of the loop. Call it in the loop.

        Args:
            stop_loop: stop the loop as well.
        """
        if stop_loop:
            self.loop.stop()
        _server.cancel_tasks(self.loop, self._connections)


class BaseThreadedController(BaseController):
    """A controller whose server runs in a thread of its own, which closes the loop at its end.

    As a context manager it starts on entering and stops on leaving.

    Args:
        handler: see :class:`BaseController`, also for what is not listed here.
        loop: the event loop for the thread; a new one if None.
        ready_timeout: seconds in which the server must have started, and in which it must have made
            its first protocol. The environment variable ``AIOSMTPD_CONTROLLER_TIMEOUT`` outdoes it.
        **kwargs: see :class:`BaseController`.

    Raises:
        ValueError: ``AIOSMTPD_CONTROLLER_TIMEOUT`` is no number.
    """

    _thread: threading.Thread | None = None

    def __init__(
        self,
        handler: Any,
        loop: asyncio.AbstractEventLoop | None = None,
        *,
        ready_timeout: float = DEFAULT_READY_TIMEOUT,
        **kwargs: Any,
    ) -> None:
        super().__init__(handler, loop, **kwargs)
        self.ready_timeout = float(os.getenv("AIOSMTPD_CONTROLLER_TIMEOUT", ready_timeout))
        self._stop_requested = False

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop(no_assert=True)
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop(no_assert=True)

    @abstractmethod
    def _trigger_server(self) -> None:
        """Have the server make its first protocol; called by :meth:`start`.

        Nothing has to be done here: what this leaves undone is done in the loop itself. Until 1.4 it
        was the place to connect to the server, and an override may still do so.
        """

    # -- in the thread ----------------------------------------------------------------------------

    def _run(self, ready_event: threading.Event) -> None:
        """Run the server until it is stopped; the body of the thread.

        Args:
            ready_event: to be set when clients can connect.
        """
        loop = self.loop
        asyncio.set_event_loop(loop)
        try:
            self.server_coro = self._create_server()
            self.server = loop.run_until_complete(self.server_coro)
        except (Exception, asyncio.CancelledError) as error:
            if not self._stop_requested:
                self._thread_exception = error
            loop.run_until_complete(_server.settle())
            if self._given_loop is None:  # else the caller may try again with it
                loop.close()
            return
        if not self._stop_requested:
            loop.call_soon(ready_event.set)
            loop.run_forever()
        loop.run_until_complete(self._close_server())
        self.server = None
        loop.run_until_complete(_server.settle())
        loop.close()

    def _run_thread(self, ready_event: threading.Event) -> None:
        try:
            self._run(ready_event)
        finally:
            ready_event.set()  # nobody need wait for what cannot come

    def _make_first(self) -> None:
        """Make a protocol that serves nobody, to learn whether it can be made."""
        if self._factory_invoked.is_set():
            return  # by a client, or by an override of _trigger_server()
        try:
            self._factory_invoker()
        except Exception as error:
            self._thread_exception = error
        self._factory_invoked.set()

    def _wind_up(self, thread: threading.Thread) -> None:
        """Close the server and its connections, and then stop the loop."""
        if threading.current_thread() is not thread:
            return  # called too late: the loop was the caller's, and runs again for something else
        self._stop_requested = True
        if self.server is None:
            # It is being made. A task cancelled before its first step could not close its sockets.
            self.loop.call_soon(self.cancel_tasks, False)
        else:
            self._closing = self.loop.create_task(self._close_server())
            self._closing.add_done_callback(lambda _: self.cancel_tasks())

    # -- in the caller's thread ---------------------------------------------------------------------

    def start(self) -> None:
        """Start the server in a daemon thread, and wait until it listens.

        If it fails, what there is stays to be looked at, until :meth:`stop` is called.

        Raises:
            AssertionError: it was started before and not stopped.
            TimeoutError: it is not ready after :attr:`ready_timeout` seconds.
            RuntimeError: :attr:`loop` was given, and is closed; or no protocol was made.
            Exception: what :meth:`_create_server` or :meth:`factory` raised, such as ``OSError`` for
                a port that is in use.
        """
        if self._thread is not None:
            raise AssertionError("SMTP daemon already running")
        if self.loop.is_closed():
            if self._given_loop is not None:
                raise RuntimeError("Event loop is closed")
            self._loop = None
        self._connections = _server.Connections(self.loop)
        self._factory_invoked.clear()
        self._stop_requested = False
        ready_event = threading.Event()
        self._thread = threading.Thread(target=self._run_thread, args=(ready_event,), daemon=True)
        self._thread.start()
        self._await(ready_event, "failed to start")
        self._trigger_server()
        with contextlib.suppress(RuntimeError):  # the loop is closed again already
            self.loop.call_soon_threadsafe(self._make_first)
        self._await(self._factory_invoked, "started, but not responding")
        if self.smtpd is None:
            raise RuntimeError("Unknown Error, failed to init SMTP server")

    def _await(self, event: threading.Event, fault: str) -> None:
        is_set = event.wait(self.ready_timeout)
        if self._thread_exception is not None:
            raise self._thread_exception
        if not is_set:
            raise TimeoutError(_TOO_LATE.format(fault))

    def stop(self, no_assert: bool = False) -> None:
        """Stop the server, and wait until its thread has ended.

        Idle clients are answered ``421 4.3.2``; commands that run have ``drain_timeout`` seconds to
        end. Then all tasks are cancelled, and the loop is closed.

        Args:
            no_assert: do nothing if the controller was not started.

        Raises:
            AssertionError: it was not started, and ``no_assert`` is False.
        """
        thread = self._thread
        if thread is None:
            if not no_assert:
                raise AssertionError("SMTP daemon not running")
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed, as the thread has ended
            self.loop.call_soon_threadsafe(self._wind_up, thread)
        thread.join()
        self._thread = None
        self._cleanup()


class BaseUnthreadedController(BaseController):
    """A controller whose server runs in an event loop that somebody else runs.

    Args:
        handler: see :class:`BaseController`, also for what is not listed here.
        loop: the event loop; if None, the one in which :meth:`begin` is called, or a new one.
        **kwargs: see :class:`BaseController`.

    Attributes:
        ended: set when the server has been closed.
    """

    def __init__(
        self, handler: Any, loop: asyncio.AbstractEventLoop | None = None, **kwargs: Any
    ) -> None:
        super().__init__(handler, loop, **kwargs)
        self.ended = threading.Event()
        self._beginning: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Listen. Clients are served as long as the loop runs.

        It may be called before the loop runs, or in any thread while it runs. Either way clients can
        connect when it returns.

        Raises:
            AssertionError: it has begun already.
            RuntimeError: another loop than the controller's runs in this thread.
            OSError: the port is in use, the address is not this machine's, ...
        """
        if self.server is not None or self._beginning is not None:
            raise AssertionError("SMTP daemon already running")
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        self._loop = self._loop or running
        if running is not None and running is not self.loop:
            raise RuntimeError("another event loop than the controller's is running in this thread")
        self._connections = _server.Connections(self.loop)
        self.ended.clear()
        self.server_coro = self._create_server()
        beginning = self._begin(self.server_coro)
        if running is not None:
            self._beginning = self.loop.create_task(beginning)
        elif self.loop.is_running():
            asyncio.run_coroutine_threadsafe(beginning, self.loop).result()
        else:
            self.loop.run_until_complete(beginning)

    async def _begin(self, server_coro: Awaitable[asyncio.AbstractServer]) -> None:
        self.server = await server_coro

    async def finalize(self) -> None:
        """Close the server and its connections, and set :attr:`ended`.

        Raises:
            AssertionError: it has not begun.
            Exception: what kept the server from starting, if :meth:`begin` was called while the loop
                was running and could not know yet.
        """
        if self.server is None and self._beginning is None:
            raise AssertionError("SMTP daemon not running")
        try:
            if self._beginning is not None:
                await self._beginning
            await self._close_server()
        finally:
            self._beginning = None
            self._cleanup()
            self.ended.set()

    def end(self) -> None:
        """Call :meth:`finalize` from where nothing can be awaited.

        If the loop is stopped, the server is closed when this returns. If it runs, it will be: wait
        for :attr:`ended`; this may then be called in any thread.

        Raises:
            AssertionError: it has not begun, and the loop is stopped.
        """
        if self.loop.is_running():
            self.loop.call_soon_threadsafe(self._end_soon)
        else:
            self.loop.run_until_complete(self.finalize())

    def _end_soon(self) -> None:
        self._ending = self.loop.create_task(self.finalize())


class InetMixin(BaseController):
    """A controller that listens on TCP.

    Args:
        hostname: where to listen: a name or a numeric address; ``""`` for every interface and
            ``"localhost"`` for the loopback, both in both address families; None for
            :func:`get_localhost`.
        port: the port; 0 for one that is free.
        handler, loop, **kwargs: see :class:`BaseController`.

    Attributes:
        hostname: the argument, or the address that None stands for.
        port: the port; the real one as soon as the server listens.
    """

    def __init__(
        self,
        handler: Any,
        hostname: str | None = None,
        port: int = 8025,
        loop: asyncio.AbstractEventLoop | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(handler, loop, **kwargs)
        self._localhost = get_localhost()
        self.hostname = self._localhost if hostname is None else hostname
        self.port = port

    def make_socket(self) -> socket.socket | None:
        """Give the socket to listen on, bound or not; None, as here, for sockets of our own."""
        return None

    def _create_server(self) -> Awaitable[asyncio.AbstractServer]:
        """Listen, and give what makes the server when it is awaited in :attr:`loop`."""
        sockets = _listening.listen_on(self.make_socket(), self.hostname, self.port)
        self.port = self.port or sockets[0].getsockname()[1]
        return self._listen_on(sockets)

    def _trigger_server(self) -> None:
        """Do nothing; see :meth:`BaseThreadedController.start`."""


class UnixSocketMixin(BaseController):
    """A controller that listens on a Unix socket.

    Args:
        unix_socket: the path of the socket. The file of a socket that nobody listens on is replaced,
            and the file is removed when the server is closed.
        handler, loop, **kwargs: see :class:`BaseController`.

    Attributes:
        unix_socket: the path as a string.
    """

    def __init__(
        self,
        handler: Any,
        unix_socket: str | Path,
        loop: asyncio.AbstractEventLoop | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(handler, loop, **kwargs)
        self.unix_socket = str(unix_socket)

    def _create_server(self) -> Awaitable[asyncio.AbstractServer]:
        """Listen, and give what makes the server when it is awaited in :attr:`loop`."""
        return self._listen_on([_listening.listen_unix(self.unix_socket)], self.unix_socket)

    def _trigger_server(self) -> None:
        """Do nothing; see :meth:`BaseThreadedController.start`."""


class Controller(InetMixin, BaseThreadedController):
    """A server on TCP, in a thread of its own."""


class UnixSocketController(UnixSocketMixin, BaseThreadedController):
    """A server on a Unix socket, in a thread of its own."""


class UnthreadedController(InetMixin, BaseUnthreadedController):
    """A server on TCP, in an event loop of the caller's."""


class UnixSocketUnthreadedController(UnixSocketMixin, BaseUnthreadedController):
    """A server on a Unix socket, in an event loop of the caller's."""
