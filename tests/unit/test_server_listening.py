"""How sockets come to listen: families, ports, files."""

from __future__ import annotations

import asyncio
import errno
import os
import smtplib
import socket
import stat
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aiosmtpd import listening
from aiosmtpd.controller import Controller, UnthreadedController
from aiosmtpd.listening import BACKLOG, SocketFile, listen, listen_unix
from aiosmtpd.server import serve
from aiosmtpd.smtp import SMTP

if TYPE_CHECKING:
    from tests.unit.conftest import Run


def _ipv6_works() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not _ipv6_works(), reason="no IPv6 here")
needs_unix = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")

Keep = Callable[[Iterable[socket.socket]], list[socket.socket]]


@pytest.fixture
def keep() -> Iterator[Keep]:
    """Close after the test what it keeps."""
    with ExitStack() as stack:

        def keeper(sockets: Iterable[socket.socket]) -> list[socket.socket]:
            return [stack.enter_context(closing(sock)) for sock in sockets]

        yield keeper


def _ports(sockets: Iterable[socket.socket]) -> set[int]:
    return {sock.getsockname()[1] for sock in sockets}


def _can_connect(family: int, address: tuple[Any, ...]) -> bool:
    with socket.socket(family) as client:
        client.settimeout(5)
        return client.connect_ex(address) == 0


def _resolver(*addresses: str) -> Callable[..., list[Any]]:
    """Give a getaddrinfo that knows one name, "both"."""
    original = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, **kwargs: Any) -> list[Any]:
        if host != "both":
            return original(host, port, **kwargs)
        if kwargs["flags"] & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not numeric")
        return [info for address in addresses for info in original(address, port, **kwargs)]

    return getaddrinfo


@needs_ipv6
@pytest.mark.parametrize("host", ["", ["127.0.0.1", "::1"], "both"])
def test_port_zero_is_one_port_for_all_families(
    host: str | list[str], keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _resolver("::1", "127.0.0.1"))
    sockets = keep(listen(host, 0))
    assert {sock.family for sock in sockets} == {socket.AF_INET, socket.AF_INET6}
    (port,) = _ports(sockets)
    assert port != 0
    assert _can_connect(socket.AF_INET, ("127.0.0.1", port))
    assert _can_connect(socket.AF_INET6, ("::1", port))


@needs_ipv6
def test_port_zero_is_tried_again_when_the_other_family_has_the_port(
    keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = listening._listening_socket
    made: list[socket.socket] = []

    def clashing(family: int, address: Any, **kwargs: Any) -> socket.socket:
        if len(made) == 1:
            made.append(made[0])
            raise OSError(errno.EADDRINUSE, "taken")
        sock = original(family, address, **kwargs)
        made.append(sock)
        return sock

    monkeypatch.setattr(listening, "_listening_socket", clashing)
    sockets = keep(listen(["127.0.0.1", "::1"], 0))
    assert len(sockets) == 2
    assert len(_ports(sockets)) == 1
    assert made[0].fileno() == -1  # that of the first attempt was closed


@pytest.mark.parametrize("host", [["127.0.0.1", "127.0.0.2"], "127.0.0.1"])
def test_it_gives_up_when_there_is_no_free_port(
    host: str | list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def taken(*args: Any, **kwargs: Any) -> socket.socket:
        calls.append(args)
        raise OSError(errno.EADDRINUSE, "taken")

    monkeypatch.setattr(listening, "_listening_socket", taken)
    with pytest.raises(OSError, match="taken"):
        listen(host, 0)
    assert len(calls) == (32 if isinstance(host, list) else 1)


def test_a_port_in_use_is_an_error_that_names_the_address(keep: Keep) -> None:
    (first,) = keep(listen("127.0.0.1", 0))
    port = first.getsockname()[1]
    with pytest.raises(
        OSError, match=rf"\('127.0.0.1', {port}\): address already in use"
    ) as caught:
        listen("127.0.0.1", port)
    assert caught.value.errno == errno.EADDRINUSE


@needs_ipv6
def test_nothing_is_left_listening_when_one_address_is_in_use(
    keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    (taken,) = keep(listen("::1", 0))
    port = taken.getsockname()[1]
    original = listening._listening_socket
    made: list[socket.socket] = []

    def remembering(family: int, address: Any, **kwargs: Any) -> socket.socket:
        if family == socket.AF_INET:
            address = (address[0], 0)  # any: somebody else may have this port in IPv4
        made.append(original(family, address, **kwargs))
        return made[-1]

    monkeypatch.setattr(listening, "_listening_socket", remembering)
    with pytest.raises(OSError, match="in use"):
        listen(["127.0.0.1", "::1"], port)
    (first,) = made
    assert first.fileno() == -1  # closed


def _without_ipv6(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    original = listening._listening_socket

    def absent(family: int, address: Any, **kwargs: Any) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(number, "no IPv6 here")
        return original(family, address, **kwargs)

    monkeypatch.setattr(listening, "_listening_socket", absent)
    monkeypatch.setattr(socket, "getaddrinfo", _resolver("::1", "127.0.0.1"))


@pytest.mark.parametrize("number", [errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT])
def test_a_family_that_this_machine_lacks_is_left_out(
    number: int, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    _without_ipv6(monkeypatch, number)
    (sock,) = keep(listen("both", 0))
    assert sock.family == socket.AF_INET


@pytest.mark.parametrize("host", ["::1", ["127.0.0.1", "::1"]])
def test_a_host_that_has_only_what_this_machine_lacks_is_an_error(
    host: str | list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _without_ipv6(monkeypatch, errno.EADDRNOTAVAIL)
    with pytest.raises(OSError, match="no IPv6 here"):
        listen(host, 0)


def test_any_other_error_of_one_family_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    _without_ipv6(monkeypatch, errno.EACCES)
    monkeypatch.setattr(listening, "_PORT_ATTEMPTS", 2)
    with pytest.raises(PermissionError):
        listen("both", 0)


def test_an_address_of_another_machine_is_an_error() -> None:
    with pytest.raises(OSError, match=r"192\.0\.2\.1") as caught:
        listen("192.0.2.1", 0)
    assert caught.value.errno == errno.EADDRNOTAVAIL


@pytest.mark.parametrize("port", [-1, 65536, 99999])
def test_a_number_that_is_no_port_is_an_error(port: int) -> None:
    with pytest.raises(OverflowError, match="0-65535"):
        listen("127.0.0.1", port)


def test_the_backlog_is_large(keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(
        socket.socket, "listen", lambda self, backlog: asked.append(backlog), raising=False
    )
    keep(listen("127.0.0.1", 0))
    assert asked == [BACKLOG]
    assert BACKLOG == 4096


@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="no SO_REUSEPORT here")
def test_reuse_port_lets_two_listen(keep: Keep) -> None:
    (first,) = keep(listen("127.0.0.1", 0, reuse_port=True))
    port = first.getsockname()[1]
    (second,) = keep(listen("127.0.0.1", port, reuse_port=True))
    assert second.getsockname()[1] == port


def test_reuse_port_needs_a_system_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "SO_REUSEPORT", raising=False)
    with pytest.raises(ValueError, match="reuse_port"):
        listen("127.0.0.1", 0, reuse_port=True)


# -- Unix sockets ------------------------------------------------------------------------------------


@needs_unix
def test_a_stale_unix_socket_is_replaced(tmp_path: Path, keep: Keep) -> None:
    path = tmp_path / "smtp"
    listen_unix(path).close()
    assert path.is_socket()
    (sock,) = keep([listen_unix(path)])
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    assert not sock.getblocking()


@needs_unix
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_unix_socket_in_use_is_an_error(
    kind: socket.SocketKind, tmp_path: Path, keep: Keep
) -> None:
    path = str(tmp_path / "smtp")
    (other,) = keep([socket.socket(socket.AF_UNIX, kind)])
    other.bind(path)
    if kind is socket.SOCK_STREAM:
        other.listen()
    inode = os.stat(path).st_ino
    with pytest.raises(OSError, match="in use") as caught:
        listen_unix(path)
    assert caught.value.errno == errno.EADDRINUSE
    assert os.stat(path).st_ino == inode


@needs_unix
def test_a_unix_socket_with_a_full_backlog_is_in_use(tmp_path: Path, keep: Keep) -> None:
    path = str(tmp_path / "smtp")
    (busy,) = keep([socket.socket(socket.AF_UNIX)])
    busy.bind(path)
    busy.listen(0)
    for _ in range(20):
        (client,) = keep([socket.socket(socket.AF_UNIX)])
        client.setblocking(False)
        if client.connect_ex(path) != 0:
            break
    with pytest.raises(OSError, match="in use"):
        listen_unix(path)


@needs_unix
def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "smtp"
    path.write_text("precious")
    with pytest.raises(OSError, match="in use"):
        listen_unix(path)
    assert path.read_text() == "precious"


@needs_unix
def test_a_link_to_a_stale_socket_is_left_alone(tmp_path: Path) -> None:
    listen_unix(tmp_path / "other").close()
    path = tmp_path / "smtp"
    path.symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="in use"):
        listen_unix(path)
    assert stat.S_ISSOCK((tmp_path / "other").stat().st_mode)
    assert path.is_symlink()


@needs_unix
def test_a_path_that_is_too_long_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too long"):
        listen_unix(tmp_path / ("s" * 200))


@pytest.mark.skipif(sys.platform != "linux", reason="abstract names are Linux's")
def test_an_abstract_name_needs_no_file(keep: Keep) -> None:
    name = f"\0aiosmtpd-{os.getpid()}"
    (sock,) = keep([listen_unix(name)])
    assert sock.getsockname() == name.encode()
    SocketFile(name).remove()


def test_unix_sockets_need_a_system_that_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_UNIX", raising=False)
    with pytest.raises(ValueError, match="unix_socket"):
        listen_unix("smtp")


def test_a_socket_file_is_found_again_from_another_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "smtp").touch()
    file = SocketFile("smtp")
    monkeypatch.chdir(tmp_path.parent)
    file.remove()
    assert not (tmp_path / "smtp").exists()
    file.remove()  # once more does no harm


def test_a_socket_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "smtp"
    path.touch()
    file = SocketFile(path)
    (tmp_path / "new").touch()
    (tmp_path / "new").replace(path)
    file.remove()
    assert path.exists()


def test_a_socket_file_that_cannot_be_removed_is_only_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "smtp"
    path.touch()
    file = SocketFile(path)

    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EPERM, "not yours any more")

    monkeypatch.setattr(Path, "unlink", refuse)
    file.remove()
    assert "not yours any more" in caplog.text


# -- small replies leave at once -------------------------------------------------------------------


def test_sockets_say_that_they_are_tcp(keep: Keep) -> None:
    # asyncio leaves Nagle's algorithm on for a socket whose protocol is not named.
    assert {sock.proto for sock in keep(listen("", 0))} == {socket.IPPROTO_TCP}


def _own_socket() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)  # its protocol is not named
    assert sock.proto == 0
    sock.bind(("127.0.0.1", 0))
    return sock


class _OwnSocket(Controller):
    def make_socket(self) -> socket.socket:
        return _own_socket()


class _OwnServer(Controller):
    def _create_server(self) -> Awaitable[asyncio.AbstractServer]:
        sock = listen("127.0.0.1", 0)[0]
        self.port = sock.getsockname()[1]
        return self.loop.create_server(self._factory_invoker, sock=sock)


class _Unthreaded(UnthreadedController):
    def make_socket(self) -> socket.socket:
        return _own_socket()


class _Delay:
    """Tells whether the connection's small segments wait for an acknowledgement."""

    async def handle_NOOP(self, server: SMTP, *_: Any) -> str:
        assert server.transport is not None
        sock = server.transport.get_extra_info("socket")
        return f"250 {sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)}"


def _answers_at_once(port: int) -> bool:
    with smtplib.SMTP("127.0.0.1", port) as client:
        code, text = client.noop()
    assert code == 250
    return int(text) != 0


@pytest.mark.parametrize("kind", [Controller, _OwnSocket, _OwnServer])
def test_replies_of_a_controller_leave_at_once(kind: type[Controller]) -> None:
    with kind(_Delay(), "127.0.0.1", 0) as controller:
        assert _answers_at_once(controller.port)


@pytest.mark.parametrize("kind", [UnthreadedController, _Unthreaded])
def test_replies_of_an_unthreaded_controller_leave_at_once(
    kind: type[UnthreadedController], run: Run
) -> None:
    async def main() -> None:
        controller = kind(_Delay(), "127.0.0.1", 0)
        controller.begin()
        assert await asyncio.to_thread(_answers_at_once, controller.port)
        await controller.finalize()

    run(main)


@pytest.mark.parametrize("own", [False, True])
def test_replies_of_a_server_leave_at_once(own: bool, run: Run) -> None:
    async def main() -> None:
        where: dict[str, Any] = {"sock": _own_socket()} if own else {"host": "127.0.0.1", "port": 0}
        async with serve(_Delay(), **where) as server:
            assert await asyncio.to_thread(_answers_at_once, server.port)

    run(main)
