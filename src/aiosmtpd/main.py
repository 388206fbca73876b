"""The command line: from arguments to a server that runs until it is told to stop.

It knows how to find the handler class, load certificates, bind before it gives up root, and turn
whatever goes wrong on the way into one line on the standard error. What the arguments are is told in
:mod:`aiosmtpd.arguments`. It knows no SMTP: that is the server's, and the standard output is the
handler's alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import ssl
import sys
import threading
import traceback
import warnings
from functools import partial
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, NoReturn

from . import auth, extensions, protocol
from .arguments import Defaults, read_arguments
from .extensions import BUILT_IN, DEFAULT
from .listening import SocketFile
from .lmtp import LMTP
from .server import listen, listen_unix, serve
from .smtp import DATA_SIZE_DEFAULT, SMTP

if sys.platform == "win32":
    pwd = None
else:
    import pwd

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from .auth import UsersFile
    from .proxy_protocol import ProxyData
    from .server import Server
    from .session import Envelope, Session

__all__ = ["DEFAULT_CLASS", "DEFAULT_HOST", "DEFAULT_PORT", "PROGRAM", "main", "parseargs"]

DEFAULT_HOST, DEFAULT_PORT, DEFAULT_CLASS, PROGRAM = Defaults()

log = logging.getLogger("mail.log")


def parseargs(args: Sequence[str] | None = None) -> tuple[ArgumentParser, Namespace]:
    """Read the command line and make the handler it names.

    Args:
        args: the arguments without the program's name; None stands for ``sys.argv[1:]``.

    Returns:
        The parser, and the namespace: an attribute for each option, ``host`` and ``port`` from
        ``--listen``, and ``handler``, an instance of the handler class.

    Raises:
        SystemExit: with status 0 after ``--help`` and ``--version``, with 2 after a fault in the
            arguments.
        Exception: whatever the handler's class raises.
    """
    parser, parsed = _read(args)
    parsed.handler = _make_handler(parser, parsed, _handler_class(parser, parsed))
    return parser, parsed


def _read(args: Sequence[str] | None) -> tuple[ArgumentParser, Namespace]:
    # The names of 1.4 count as they are now: a program may have set them before it calls main().
    return read_arguments(args, Defaults(DEFAULT_HOST, DEFAULT_PORT, DEFAULT_CLASS, PROGRAM))


def _handler_class(parser: ArgumentParser, parsed: Namespace) -> Any:
    """The handler class; it must have a use for the arguments it is to be given.

    Raises:
        Exception: whatever the class's module raises.
    """
    module_name, _, class_name = parsed.classpath.rpartition(".")
    if not module_name:
        raise ImportError("it is not of the form package.module.Class")
    handler_class = getattr(import_module(module_name), class_name)
    if parsed.classargs and not hasattr(handler_class, "from_cli"):
        parser.error(f"Handler class {module_name} takes no arguments")
    return handler_class


def _make_handler(parser: ArgumentParser, parsed: Namespace, handler_class: Any) -> Any:
    """An instance of the handler class, from the class's own reading of its arguments.

    Raises:
        Exception: whatever the class raises.
    """
    if hasattr(handler_class, "from_cli"):
        return handler_class.from_cli(parser, *parsed.classargs)
    return handler_class()


@contextlib.contextmanager
def _made_or_exit(parser: ArgumentParser, parsed: Namespace) -> Iterator[None]:
    """If the handler cannot be made within, end the program with one line."""
    try:
        yield
    except Exception as error:  # the class is somebody else's, and may fail in any way
        _fail(parser, parsed, f"cannot make a handler of class {parsed.classpath}", error)


class _CannotStartError(Exception):
    """What kept the server from starting, in words for the user; the cause is the exception's."""


def _fail(
    parser: ArgumentParser, parsed: Namespace, message: str, error: BaseException | None
) -> NoReturn:
    """End the program with one line; those who asked for debugging get the traceback before it."""
    if error is not None:
        if parsed.debug:
            traceback.print_exception(error)
        message = f"{message}: {_reason(error)}"
    parser.exit(1, f"{parser.prog}: error: {message}\n")


def _reason(error: BaseException) -> str:
    """An exception in a few words on one line."""
    if isinstance(error, ssl.SSLError):  # of load_cert_chain(); it gives some faults no reason
        return (error.reason or "not a certificate and its key, in PEM form").replace("_", " ")
    if isinstance(error, socket.gaierror):
        return error.strerror or str(error)
    if isinstance(error, OSError) and error.errno is not None:
        # asyncio's own text of a bind error is a sentence that repeats the address.
        reason = os.strerror(error.errno)
        return reason if error.filename is None else f"{reason}: {error.filename}"
    text = " ".join(str(error).split())
    if isinstance(error, ImportError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class _AcceptProxy:
    """A handler without ``handle_PROXY``, and one that believes every well-formed header.

    Nothing in a header proves who wrote it. That is for whoever runs the program to see to: only
    the proxy may be able to connect.
    """

    def __init__(self, handler: Any) -> None:
        self._handler = handler

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handler, name)

    def __dir__(self) -> list[str]:  # hooks are looked for by name, some by listing the names
        return sorted({*super().__dir__(), *dir(self._handler)})

    async def handle_PROXY(
        self, server: SMTP, session: Session, envelope: Envelope, proxy_data: ProxyData
    ) -> bool:
        if proxy_data.source is not None:  # a health check of the proxy itself names no client
            session.peer = proxy_data.source
        return True


def _tls_context(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(cert, key)
    except OSError as error:  # ssl.SSLError is one
        raise _CannotStartError(f"cannot use certificate {cert} with key {key}") from error
    return context


def _users(path: Path | None) -> UsersFile | None:
    """Who may send mail, read while it can be read; None for everybody."""
    try:
        return None if path is None else auth.UsersFile(path)
    except OSError as error:
        raise _CannotStartError("cannot read the users file") from error
    except ValueError as error:  # its text says which line, and why
        raise _CannotStartError(f"malformed users file: {error}") from None


def _factory(
    parsed: Namespace, tls_context: ssl.SSLContext | None, users: UsersFile | None
) -> Callable[[], SMTP]:
    """What makes the protocol of each connection."""
    handler = parsed.handler
    from_everybody = parsed.proxy_protocol is not None and parsed.proxy_network is None
    if from_everybody and not hasattr(handler, "handle_PROXY"):
        handler = _AcceptProxy(handler)
    more: dict[str, Any] = {}
    if users is not None:
        more |= {"authenticator": users, "auth_required": True}
    if parsed.extension:
        # HELP is the last line of the EHLO reply, as in 1.4.
        added = [BUILT_IN[name]() for name in parsed.extension]
        more["extensions"] = (*DEFAULT[:-1], *added, *DEFAULT[-1:])
    return partial(
        LMTP if parsed.lmtp else SMTP,
        handler,
        data_size_limit=DATA_SIZE_DEFAULT if parsed.size is None else parsed.size,
        enable_SMTPUTF8=parsed.smtputf8,
        tls_context=tls_context,
        require_starttls=parsed.requiretls,
        proxy_protocol_timeout=parsed.proxy_protocol,
        proxy_networks=parsed.proxy_network,
        **more,
    )


def _account(parser: ArgumentParser, parsed: Namespace) -> Any:
    """The entry of the user to become, or None for nobody; asked for before anything is bound."""
    if not parsed.setuid:
        return None
    if pwd is None:
        parser.exit(1, 'Cannot import module "pwd"; try running with -n option.\n')
    try:
        return pwd.getpwnam(parsed.user)
    except KeyError:
        _fail(parser, parsed, f'there is no user "{parsed.user}"', None)


def _import_all() -> None:
    """Import what else would be imported when a client needs it.

    Then it may be out of reach: root's own packages are nobody else's to read.
    """
    for package in (auth, extensions, protocol):
        for found in iter_modules(package.__path__):
            import_module(f"{package.__name__}.{found.name}")


def _become(parser: ArgumentParser, account: Any, unix: Path | None) -> None:
    """Give up root for good: the groups first, since nobody else could give them up."""
    if sys.platform == "win32":
        return  # there are no accounts
    try:
        if os.getuid() != account.pw_uid or os.geteuid() != account.pw_uid:
            if unix is not None:
                os.chown(unix, account.pw_uid, account.pw_gid, follow_symlinks=False)
            _import_all()
            os.initgroups(account.pw_name, account.pw_gid)
            os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
    except OSError:
        parser.exit(1, f'Cannot setuid "{account.pw_name}"; try running with -n option.\n')


def _loop_factory(choice: str, *, embedded: bool) -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes the event loop, or finds it: a program that calls main() may have set its own."""
    if choice == "auto" and embedded:
        current = _current_loop()
        if current is not None:
            return lambda: current
    if choice == "asyncio":
        return asyncio.new_event_loop
    try:
        import uvloop
    except ImportError as error:
        if choice == "uvloop":
            raise _CannotStartError(
                "cannot run on uvloop (aiosmtpd[uvloop] installs it)"
            ) from error
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def _current_loop() -> asyncio.AbstractEventLoop | None:
    with warnings.catch_warnings():
        # Python 3.12 and 3.13 make a loop where none is set, and warn; 3.14 raises RuntimeError.
        warnings.simplefilter("error", DeprecationWarning)
        try:
            loop = asyncio.get_event_loop()
        except (DeprecationWarning, RuntimeError):
            return None
    return None if loop.is_closed() else loop


def _set_up_logging(debug: int) -> None:
    logging.basicConfig(level=logging.ERROR)
    if debug > 0:
        log.setLevel(logging.INFO if debug == 1 else logging.DEBUG)


@contextlib.contextmanager
def _on_signals(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> Iterator[None]:
    """Have the loop call ``callback`` when the program is asked to end."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's; whoever runs us in another one stops the loop
        return
    signals = [signal.SIGINT, signal.SIGTERM]
    if sys.platform == "win32":
        signals.append(signal.SIGBREAK)
    previous = {number: signal.getsignal(number) for number in signals}
    try:
        for number in signals:
            loop.add_signal_handler(number, callback)
    except NotImplementedError:  # the loops of Windows
        for number in signals:
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(callback))
    try:
        yield
    finally:
        for number, handler in previous.items():
            with contextlib.suppress(NotImplementedError):
                loop.remove_signal_handler(number)
            if handler is not None:  # None: it was not set from Python, and cannot be put back
                signal.signal(number, handler)


def _listen(parsed: Namespace, cleanup: contextlib.ExitStack) -> list[socket.socket]:
    """Bind what was asked for, while the program is still who started it."""
    try:
        unix = parsed.unix
        sockets = [listen_unix(unix)] if unix else listen(parsed.host, parsed.port)
    except (OSError, ValueError) as error:  # ValueError: no name in IDNA's eyes, or in C's
        raise _CannotStartError(f"cannot listen on {_where(parsed, parsed.port)}") from error
    for sock in sockets:
        cleanup.callback(sock.close)
    if parsed.unix is not None:
        cleanup.callback(SocketFile(parsed.unix).remove)
    return sockets


def _where(parsed: Namespace, port: int) -> str:
    if parsed.unix is not None:
        return str(parsed.unix)
    return f"[{parsed.host}]:{port}" if ":" in parsed.host else f"{parsed.host}:{port}"


def _announce(parsed: Namespace, server: Server) -> None:
    log.debug("server_loop = %r", server)
    where = _where(parsed, server.port)
    log.info("Server is listening on %s", where)
    if parsed.unix is None and parsed.port == 0 and not log.isEnabledFor(logging.INFO):
        # Nobody could guess the port.
        print(f"Server is listening on {where}", file=sys.stderr, flush=True)


async def _serve(
    parsed: Namespace, starting: Awaitable[Server], asked: asyncio.Queue[None]
) -> None:
    """Serve until asked to end; then let running commands finish, unless asked once more."""
    # The loop runs from here to the end without a break: uvloop loses signals between two runs.
    with _on_signals(asyncio.get_running_loop(), lambda: asked.put_nowait(None)):
        server = await starting
        _announce(parsed, server)
        log.debug("Starting asyncio loop")
        await asked.get()
        log.debug("Completed asyncio loop")
        server.close()
        closed = asyncio.ensure_future(server.wait_closed())
        insisted = asyncio.ensure_future(asked.get())
        await asyncio.wait((closed, insisted), return_when=asyncio.FIRST_COMPLETED)
        insisted.cancel()
        if not closed.done():
            server.abort_clients()
        await closed


def _run(parsed: Namespace, loop: asyncio.AbstractEventLoop, starting: Awaitable[Server]) -> None:
    """Run the loop until the server has come to its end; whoever stops the loop asks for that."""
    asked: asyncio.Queue[None] = asyncio.Queue()
    serving = loop.create_task(_serve(parsed, starting, asked))
    serving.add_done_callback(lambda _: loop.stop())
    while not serving.done():
        loop.run_forever()
        asked.put_nowait(None)
    serving.result()


def main(args: Sequence[str] | None = None) -> None:
    """Run the server until SIGINT or SIGTERM; the function behind the command ``aiosmtpd``.

    Called with arguments, it runs on the event loop that the calling program has set, if it has set
    one, and also ends when that loop is stopped. The loop is closed at the end.

    Args:
        args: the arguments without the program's name; None stands for ``sys.argv[1:]``.

    Raises:
        SystemExit: with status 1 if the server could not be started, besides those of
            :func:`parseargs`.
    """
    parser, parsed = _read(args)
    _set_up_logging(parsed.debug)
    try:
        account = _account(parser, parsed)
        starttls = _tls_context(parsed.tlscert, parsed.tlskey)
        smtps = _tls_context(parsed.smtpscert, parsed.smtpskey)
        users = _users(parsed.users)
        loop_factory = _loop_factory(parsed.loop, embedded=args is not None)
        with (
            contextlib.ExitStack() as cleanup,
            asyncio.Runner(debug=parsed.debug > 2 or None, loop_factory=loop_factory) as runner,
        ):
            loop = runner.get_loop()
            asyncio.set_event_loop(loop)  # for what a handler's constructor asks of it
            with _made_or_exit(parser, parsed):
                # Its code may be where only root can read.
                handler_class = _handler_class(parser, parsed)
            log.debug("Attempting to start server on %s", _where(parsed, parsed.port))
            sockets = _listen(parsed, cleanup)
            if account is not None:
                _become(parser, account, parsed.unix)
            with _made_or_exit(parser, parsed):
                # Not before: what it makes, a Maildir say, must belong to the user who writes there.
                parsed.handler = _make_handler(parser, parsed, handler_class)
            factory = _factory(parsed, starttls, users)
            factory()  # looks the host's own name up once, and not for each client
            _run(parsed, loop, serve(None, sock=sockets, ssl_context=smtps, factory=factory))
    except _CannotStartError as fault:
        _fail(parser, parsed, str(fault), fault.__cause__)
    except KeyboardInterrupt:  # before there was anything to close
        log.debug("Interrupted while starting")
