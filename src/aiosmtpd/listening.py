"""Listening sockets: from a host and a port, or the path of a Unix socket, to sockets that listen.

Binding is done here and not by the event loop for what the loop leaves open: one port for all address
families when the system is to choose it, hosts that lack a family, a backlog fit for mail, and files of
Unix sockets that a server which died left behind. Nothing here knows what the sockets are for.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import stat
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

__all__ = [
    "BACKLOG",
    "SocketFile",
    "listen",
    "listen_on",
    "listen_soon",
    "listen_unix",
    "send_at_once",
]

log = logging.getLogger("mail.log")

BACKLOG = 4096
"""How many clients may wait to be accepted; the system cuts it to its own limit."""

_Address: TypeAlias = tuple[int, Any]

# How often to look for a port that is free in every address family.
_PORT_ATTEMPTS = 32
# What says that an address family, or an address of it, does not exist on this host.
_ABSENT = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT})
# Windows answers EACCES for a port that is another's alone.
_TAKEN = frozenset({errno.EADDRINUSE, errno.EACCES})


def _hosts(host: str | Iterable[str] | None) -> list[str]:
    if host is None:
        return ["localhost"]
    return [host] if isinstance(host, str) else list(host)


def _look_up(host: str, port: int | str, flags: int = 0) -> list[_Address]:
    """Find the addresses of one host; the empty string is every interface."""
    if isinstance(port, int) and not 0 <= port <= 65535:
        # getaddrinfo() would cut it to 16 bits; bind() raises this.
        raise OverflowError(f"port must be 0-65535, not {port}")
    infos = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | flags
    )
    return list(dict.fromkeys((family, address) for family, _, _, _, address in infos))


async def _look_up_soon(
    loop: asyncio.AbstractEventLoop, host: str, port: int | str
) -> list[_Address]:
    """Find the addresses of one host without making the loop wait for the DNS."""
    try:
        return _look_up(host, port, socket.AI_NUMERICHOST)  # asks nobody
    except socket.gaierror:
        return await loop.run_in_executor(None, _look_up, host, port)


def _listening_socket(
    family: int, address: Any, *, backlog: int, reuse_port: bool = False
) -> socket.socket:
    is_tcp = isinstance(address, tuple)
    # asyncio sets TCP_NODELAY on what it accepts if the listening socket names its protocol.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP if is_tcp else 0)
    try:
        if os.name == "posix" and sys.platform != "cygwin" and is_tcp:
            # Elsewhere the option lets a second server take the port from the first.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port and sys.platform != "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            # Each family has a socket of its own, whatever the system's default is.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            sock.bind(address)
            # Two sockets can be bound to one port; it is listen() that finds out.
            sock.listen(backlog)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise OSError(
                error.errno, f"error while attempting to bind on address {address!r}: {reason}"
            ) from error
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _listen_once(
    groups: Iterable[Sequence[_Address]], *, backlog: int, reuse_port: bool
) -> list[socket.socket]:
    """Listen on the addresses of each host; one port for all of them."""
    sockets: list[socket.socket] = []
    with contextlib.ExitStack() as stack:
        for group in groups:
            absent: OSError | None = None
            before = len(sockets)
            for family, address in group:
                port = sockets[0].getsockname()[1] if sockets and not address[1] else address[1]
                try:
                    sock = _listening_socket(
                        family,
                        (address[0], port, *address[2:]),
                        backlog=backlog,
                        reuse_port=reuse_port,
                    )
                except OSError as error:
                    if error.errno not in _ABSENT:
                        raise
                    absent = absent or error
                    continue
                stack.callback(sock.close)
                sockets.append(sock)
            if absent is not None:
                if len(sockets) == before:
                    raise absent
                log.info("not listening everywhere: %s", absent.strerror)
        stack.pop_all()
    return sockets


def _listen_everywhere(
    groups: Sequence[Sequence[_Address]], *, backlog: int, reuse_port: bool
) -> list[socket.socket]:
    addresses = [address for group in groups for _, address in group]
    attempts = _PORT_ATTEMPTS if len(addresses) > 1 and addresses[0][1] == 0 else 1
    while True:
        attempts -= 1
        try:
            return _listen_once(groups, backlog=backlog, reuse_port=reuse_port)
        except OSError as error:
            # The port that the system chose for one family may be taken in another one.
            if error.errno not in _TAKEN or not attempts:
                raise


async def listen_soon(
    host: str | Iterable[str] | None, port: int | str, *, backlog: int, reuse_port: bool
) -> list[socket.socket]:
    """Do what :func:`listen` does, and let the event loop run while a name is looked up."""
    _check_reuse_port(reuse_port)
    loop = asyncio.get_running_loop()
    groups = [await _look_up_soon(loop, each, port) for each in _hosts(host)]
    return _listen_everywhere(groups, backlog=backlog, reuse_port=reuse_port)


def listen(
    host: str | Iterable[str] | None,
    port: int | str,
    *,
    backlog: int = BACKLOG,
    reuse_port: bool = False,
) -> list[socket.socket]:
    """Listen on TCP, on all addresses of a host.

    It blocks while it looks a host name up. For a server whose sockets are made before its event
    loop, or shared between processes: give what this returns to :func:`serve` as ``sock``.

    Args:
        host: a name or a numeric address, or several; ``""`` for every interface, ``"localhost"`` or
            None for the loopback. Of a host with several addresses, those whose family this machine
            lacks are left out.
        port: the port, or the name of its service; 0 for one that is free, the same for all
            addresses.
        backlog: how many clients may wait to be accepted.
        reuse_port: let several sockets listen on the port, and the system share the clients out.

    Returns:
        Listening, non-blocking sockets, one an address.

    Raises:
        OSError: the port is in use, the address is not this machine's, the name is unknown, ...
        OverflowError: there is no such port.
        ValueError: this system has no ``SO_REUSEPORT``.
    """
    _check_reuse_port(reuse_port)
    groups = [_look_up(each, port) for each in _hosts(host)]
    return _listen_everywhere(groups, backlog=backlog, reuse_port=reuse_port)


def listen_on(sock: socket.socket | None, host: str, port: int) -> list[socket.socket]:
    """Listen on a socket that the program made, to set options or because somebody handed it on.

    Args:
        sock: a stream socket. If it is not bound, it is bound to the first address of ``host`` in its
            family. It is closed if that fails. None for sockets as :func:`listen` makes them.
        host: a name or a numeric address.
        port: the port; 0 for one that is free.

    Returns:
        Listening, non-blocking sockets.

    Raises:
        OSError: the address cannot be had, or ``host`` has none in the socket's family.
    """
    if sock is None:
        return listen(host, port)
    try:
        name = sock.getsockname()
        if isinstance(name, tuple) and name[1] == 0:
            found = [address for family, address in _look_up(host, port) if family == sock.family]
            if not found:
                raise OSError(
                    errno.EADDRNOTAVAIL, f"{host!r} has no address of the socket's family"
                )
            sock.bind(found[0])
        send_at_once(sock)  # before there can be clients
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return [sock]


def send_at_once(sock: socket.socket) -> None:
    """Have the clients of a server get small replies without delay.

    Otherwise a reply in several segments waits until the client acknowledges the first one, which it
    puts off (RFC 9293 section 3.7.4). The event loop does not see to it for a socket that was made
    without the number of its protocol, as most programs make them; accepted sockets inherit the option.

    Args:
        sock: a bound socket of any kind, that of a server.
    """
    is_tcp = sock.family in (socket.AF_INET, socket.AF_INET6) and sock.type == socket.SOCK_STREAM
    if is_tcp and sock.proto in (0, socket.IPPROTO_TCP):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _check_reuse_port(reuse_port: bool) -> None:
    if reuse_port and not hasattr(socket, "SO_REUSEPORT"):
        raise ValueError("reuse_port: this system has no SO_REUSEPORT")


def _remove_stale_socket(family: int, path: str) -> None:
    """Remove the file of a Unix socket that nobody listens on any more.

    Anything else is left for bind() to complain of.
    """
    from pathlib import Path  # here and below: it takes long to import, for Unix sockets only

    try:
        mode = Path(path).lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        return
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink(missing_ok=True)
        except OSError:
            log.debug("%r is a socket in use, or not ours to try", path)


def listen_unix(path: str | os.PathLike[str], *, backlog: int = BACKLOG) -> socket.socket:
    """Listen on a Unix socket.

    Args:
        path: its path. The file of a socket that nobody listens on is replaced.
        backlog: how many clients may wait to be accepted.

    Returns:
        A listening, non-blocking socket.

    Raises:
        OSError: another server listens there, the path is too long, ...
        ValueError: this system has no Unix sockets.
    """
    family = getattr(socket, "AF_UNIX", None)
    if family is None:
        raise ValueError("unix_socket: this system has no Unix sockets")
    name = os.fspath(path)
    if not name.startswith("\0"):
        _remove_stale_socket(family, name)
    return _listening_socket(family, name, backlog=backlog)


class SocketFile:
    """The file of a listening Unix socket, to be removed if it is still ours by then.

    Args:
        path: the path of the socket.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        from pathlib import Path

        self._path = Path(path).absolute()
        self._identity = self._identify()

    def _identify(self) -> tuple[int, int] | None:
        try:
            status = self._path.lstat()
        except (FileNotFoundError, ValueError):  # ValueError: an abstract name begins with NUL
            return None
        return status.st_dev, status.st_ino

    def remove(self) -> None:
        """Remove the file, unless somebody else's took its place."""
        if self._identity is None or self._identify() != self._identity:
            return
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            # Rights may have been given up since. The next server replaces the file.
            log.warning("cannot remove the Unix socket: %s", error)
