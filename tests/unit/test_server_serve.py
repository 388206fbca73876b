"""serve(): how a server starts, what it tells, and what it refuses."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.addresses import OWN_ADDRESS

from aiosmtpd.handlers import Sink
from aiosmtpd.lmtp import LMTP
from aiosmtpd.server import Connections, Server, listen, serve
from aiosmtpd.smtp import SMTP

if TYPE_CHECKING:
    from tests.unit.conftest import Run


async def converse(
    server: Server, *commands: bytes, opening: Callable[[], Awaitable[Any]] | None = None
) -> list[bytes]:
    """Connect, say something, and give the last line of each reply."""
    if opening is None:
        reader, writer = await asyncio.open_connection(server.host, server.port)
    else:
        reader, writer = await opening()
    replies = []
    for command in (None, *commands):
        if command is not None:
            writer.write(command + b"\r\n")
        while (line := await reader.readline())[3:4] == b"-":
            pass
        replies.append(line)
    writer.close()
    await writer.wait_closed()
    return replies


def test_a_server_is_entered_and_left(run: Run) -> None:
    async def main() -> None:
        async with serve(Sink(), OWN_ADDRESS, 0, server_hostname="mx.test") as server:
            assert server.is_serving()
            assert server.host == OWN_ADDRESS
            assert server.port > 0
            assert [sock.getsockname()[1] for sock in server.sockets] == [server.port]
            assert server.get_loop() is asyncio.get_running_loop()
            assert repr(server) == (
                f"<Server listening, {OWN_ADDRESS} port {server.port}, 0 connections>"
            )
            greeting, bye = await converse(server, b"QUIT")
            assert greeting.startswith(b"220 mx.test ")
            assert bye == b"221 Bye\r\n"
        assert not server.is_serving()
        assert server.sockets == ()
        assert "closed" in repr(server)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(OWN_ADDRESS, server.port)

    run(main)


def test_a_server_is_awaited_and_closed(run: Run) -> None:
    async def main() -> None:
        server = await serve(Sink(), OWN_ADDRESS, 0)
        await server.start_serving()
        waiting = asyncio.create_task(server.wait_closed())
        assert (await converse(server, b"NOOP"))[1] == b"250 OK\r\n"
        assert not waiting.done()
        server.close()
        server.close()
        await waiting
        await server.wait_closed()
        # The port is free at once.
        async with serve(Sink(), OWN_ADDRESS, server.port) as again:
            assert again.port == server.port

    run(main)


def test_a_server_is_a_context_manager_itself(run: Run) -> None:
    async def main() -> None:
        async with await serve(Sink(), "127.0.0.1", 0) as server:
            assert isinstance(server, asyncio.AbstractServer)
            assert server.is_serving()
        assert not server.is_serving()

    run(main)


def test_serve_forever_ends_when_the_server_is_closed(run: Run) -> None:
    async def main() -> None:
        async with serve(Sink(), "127.0.0.1", 0) as server:
            asyncio.get_running_loop().call_soon(server.close)
            await server.serve_forever()

    run(main)


def test_serve_forever_closes_the_server_when_it_is_cancelled(run: Run) -> None:
    async def main() -> None:
        server = await serve(Sink(), "127.0.0.1", 0)
        forever = asyncio.create_task(server.serve_forever())
        await converse(server, b"QUIT")
        forever.cancel()
        with pytest.raises(asyncio.CancelledError):
            await forever
        assert not server.is_serving()

    run(main)


def test_a_port_in_use_is_an_error_at_once(run: Run) -> None:
    async def main() -> None:
        async with serve(Sink(), "127.0.0.1", 0) as server:
            with pytest.raises(OSError, match="in use") as caught:
                await serve(Sink(), "127.0.0.1", server.port)
            assert caught.value.errno == errno.EADDRINUSE
            assert (await converse(server, b"QUIT"))[1] == b"221 Bye\r\n"

    run(main)


@pytest.mark.parametrize("host", [None, "localhost"])
def test_the_loopback_is_the_default(host: str | None, run: Run) -> None:
    async def main() -> None:
        async with serve(Sink(), host, 0) as server:
            assert server.host in {"127.0.0.1", "::1"}
            assert (await converse(server, b"QUIT"))[1] == b"221 Bye\r\n"

    run(main)


def test_only_names_are_looked_up_in_a_thread(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    original = socket.getaddrinfo
    asked: list[tuple[str, bool]] = []

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> list[Any]:
        if kwargs.get("flags", 0) & socket.AI_NUMERICHOST:
            return original(host, port, *args, **kwargs)
        in_main = threading.current_thread() is threading.main_thread()
        asked.append((host, in_main))
        return original("127.0.0.1", port, *args, **kwargs)

    async def main() -> None:
        async with serve(Sink(), ["127.0.0.1"], 0, server_hostname="mx.test"):
            assert asked == []
        async with serve(Sink(), "mail.test", 0, server_hostname="mx.test") as server:
            assert asked == [("mail.test", False)]
            assert server.host == "127.0.0.1"

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    run(main)


def test_a_name_that_does_not_exist_is_an_os_error(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def getaddrinfo(*args: Any, **kwargs: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def main() -> None:
        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        with pytest.raises(OSError, match="not known"):
            await serve(Sink(), "no-such-host.test", 0)

    run(main)


# -- the name in the greeting ------------------------------------------------------------------------


def test_the_hostname_is_resolved_once_and_not_in_the_loop(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []

    def getfqdn(name: str = "") -> str:
        threads.append(threading.current_thread())
        return "resolved.test"

    async def main() -> None:
        async with serve(Sink(), "127.0.0.1", 0) as server:
            for _ in range(3):
                (greeting,) = await converse(server)
                assert greeting.startswith(b"220 resolved.test ")
        assert len(threads) == 1
        assert threads[0] is not threading.main_thread()

    monkeypatch.setattr(socket, "getfqdn", getfqdn)
    run(main)


@pytest.mark.parametrize("parameter", ["server_hostname", "hostname"])
def test_a_hostname_that_is_given_is_not_resolved(
    parameter: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def getfqdn(name: str = "") -> str:
        raise AssertionError("nobody needs it")

    async def main() -> None:
        parameters: dict[str, Any] = {parameter: "mx.test"}
        async with serve(Sink(), "127.0.0.1", 0, **parameters) as server:
            assert (await converse(server))[0].startswith(b"220 mx.test ")

    monkeypatch.setattr(socket, "getfqdn", getfqdn)
    run(main)


def test_the_port_is_given_back_if_resolving_is_cancelled(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answer = threading.Event(), threading.Event()

    def getfqdn(name: str = "") -> str:
        asked.set()
        answer.wait(20)
        return "late.test"

    async def main() -> None:
        async def start() -> None:
            await serve(Sink(), "127.0.0.1", 0)

        starting = asyncio.create_task(start())
        await asyncio.to_thread(asked.wait, 20)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):  # the socket unclosed would be a warning
            await starting
        answer.set()

    monkeypatch.setattr(socket, "getfqdn", getfqdn)
    run(main)


# -- what makes the protocols ------------------------------------------------------------------------


def test_parameters_go_to_smtp(run: Run) -> None:
    async def main() -> None:
        async with serve(Sink(), "127.0.0.1", 0, ident="Ident", hostname="mx.test") as server:
            assert await converse(server) == [b"220 mx.test Ident\r\n"]

    run(main)


@pytest.mark.parametrize(("given", "advertised"), [({}, True), ({"enable_SMTPUTF8": False}, False)])
def test_smtputf8_is_on_unless_told_otherwise(
    given: dict[str, Any], advertised: bool, run: Run
) -> None:
    async def main() -> None:
        async with serve(Sink(), "127.0.0.1", 0, **given) as server:
            reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(b"EHLO there\r\nQUIT\r\n")
            assert (b"SMTPUTF8" in await reader.read()) is advertised
            writer.close()
            await writer.wait_closed()

    run(main)


def test_a_wrong_parameter_is_an_error_before_anything_is_bound(run: Run) -> None:
    async def main() -> None:
        bound = socket.create_server(("127.0.0.1", 0))
        with bound, pytest.raises(TypeError, match="no_such_parameter"):
            await serve(Sink(), "127.0.0.1", bound.getsockname()[1], no_such_parameter=1)

    run(main)


def test_a_factory_makes_the_protocols(run: Run) -> None:
    made: list[SMTP] = []

    def factory() -> SMTP:
        made.append(LMTP(Sink(), hostname="mx.test"))
        return made[-1]

    async def main() -> None:
        async with serve(None, "127.0.0.1", 0, factory=factory) as server:
            assert made == []
            assert (await converse(server, b"LHLO there"))[1].startswith(b"250 ")
            assert len(made) == 1
            assert made[0]._registry is server.connections

    run(main)


def test_a_factory_that_fails_later_sends_the_client_away(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    def factory() -> SMTP:
        raise ZeroDivisionError

    async def main() -> None:
        async with serve(None, "127.0.0.1", 0, factory=factory) as server:
            for _ in range(2):
                (greeting,) = await converse(server)
                assert greeting.startswith(b"421 4.3.0 ")

    run(main)
    assert caplog.text.count("could not be made") == 2
    assert "ZeroDivisionError" in caplog.text


def test_any_protocol_can_be_served(run: Run) -> None:
    class Hello(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            stream: Any = transport
            stream.write(b"220 hello\r\n")
            stream.close()

    async def main() -> None:
        async with serve(None, "127.0.0.1", 0, factory=Hello) as server:
            assert await converse(server) == [b"220 hello\r\n"]

    run(main)


@pytest.mark.parametrize("given", [{"timeout": 3}, {"server_hostname": "mx.test"}])
def test_a_factory_takes_no_parameters(given: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="factory"):
        serve(Sink(), factory=asyncio.Protocol, **given)


@pytest.mark.parametrize(
    "given",
    [
        {"host": "localhost", "unix_socket": "smtp"},
        {"host": "localhost", "sock": []},
        {"unix_socket": "smtp", "sock": []},
    ],
)
def test_one_place_to_listen_is_enough(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="one of host, unix_socket and sock"):
        serve(Sink(), **given)


# -- other sockets -----------------------------------------------------------------------------------


def test_sockets_that_are_given_are_served_and_closed(run: Run) -> None:
    async def main() -> None:
        (first,) = listen("127.0.0.1", 0)
        async with serve(Sink(), sock=first) as server:
            assert server.port == first.getsockname()[1]
            assert (await converse(server, b"QUIT"))[1] == b"221 Bye\r\n"
        assert first.fileno() == -1

        several = [*listen("127.0.0.1", 0), *listen("127.0.0.1", 0)]
        ports = [sock.getsockname()[1] for sock in several]
        async with serve(Sink(), sock=several) as server:
            for port in ports:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                assert (await reader.readline()).startswith(b"220 ")
                writer.close()
        assert [sock.fileno() for sock in several] == [-1, -1]

    run(main)


def test_no_socket_at_all_is_an_error(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="no socket"):
            await serve(Sink(), sock=[])

    run(main)


def test_no_socket_is_left_open_if_one_cannot_be_served(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        good, datagrams = listen("127.0.0.1", 0)[0], socket.socket(type=socket.SOCK_DGRAM)
        datagrams.bind(("127.0.0.1", 0))
        with pytest.raises(Exception, match=r"(?i)stream|socket"):
            await Server.start(asyncio.Protocol, [good, datagrams], connections=Connections(loop))
        assert good.fileno() == datagrams.fileno() == -1

    run(main)


needs_unix = pytest.mark.skipif(sys.platform == "win32", reason="no Unix sockets here")


@needs_unix
def test_a_unix_socket_is_there_while_it_is_served(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "smtp"

    async def main() -> None:
        async with serve(Sink(), unix_socket=path) as server:
            assert (server.host, server.port) == ("", 0)
            assert "Unix socket" in repr(server)
            replies = await converse(
                server, b"QUIT", opening=lambda: asyncio.open_unix_connection(path)
            )
            assert replies[1] == b"221 Bye\r\n"
        assert not path.exists()

    run(main)


@needs_unix
def test_a_unix_socket_that_another_server_has_taken_over_stays(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "smtp"

    async def main() -> None:
        server = await serve(Sink(), unix_socket=path)
        path.unlink()
        async with serve(Sink(), unix_socket=path):
            server.close()
            await server.wait_closed()
            assert path.is_socket()

    run(main)


@needs_unix
def test_the_file_of_a_unix_socket_that_was_given_stays(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "smtp"

    async def main() -> None:
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(path))
        async with serve(Sink(), sock=sock) as server:
            replies = await converse(
                server, b"QUIT", opening=lambda: asyncio.open_unix_connection(path)
            )
            assert replies[1] == b"221 Bye\r\n"
        assert path.is_socket()

    run(main)


def test_tls_from_the_first_octet(
    run: Run, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    async def main() -> None:
        async with serve(Sink(), "localhost", 0, ssl_context=server_context) as server:
            replies = await converse(
                server,
                b"QUIT",
                opening=lambda: asyncio.open_connection(
                    server.host, server.port, ssl=client_context, server_hostname="localhost"
                ),
            )
            assert replies[1] == b"221 Bye\r\n"

    run(main)
