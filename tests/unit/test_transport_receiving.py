"""One read buffer a loop: nobody's octets end up with somebody else, and only where it is of use."""

from __future__ import annotations

import asyncio
import hashlib
import smtplib
import ssl
import threading
from typing import TYPE_CHECKING, Any

from aiosmtpd.controller import Controller
from aiosmtpd.server import serve
from aiosmtpd.smtp import SMTP

if TYPE_CHECKING:
    from tests.unit.conftest import Connect, Run


class Hashes:
    """Keeps a hash of each message by its recipient."""

    def __init__(self) -> None:
        self.seen: dict[str, str] = {}

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.seen[envelope.rcpt_tos[0]] = hashlib.sha256(envelope.content).hexdigest()
        return "250 OK"


def test_connections_and_loops_do_not_mix_their_octets() -> None:
    handlers = [Hashes(), Hashes()]
    sent: dict[str, str] = {}

    def send(port: int, name: str) -> None:
        message = "".join(f"{name} {number}\r\n" for number in range(30_000))
        sent[name] = hashlib.sha256(message.encode()).hexdigest()
        with smtplib.SMTP("127.0.0.1", port) as client:
            client.sendmail("a@example.com", [name], message)

    with (
        Controller(handlers[0], "127.0.0.1", 0) as one,
        Controller(handlers[1], "127.0.0.1", 0) as other,
    ):
        clients = [
            threading.Thread(target=send, args=(port, f"{name}{number}@example.com"))
            for name, port in (("one", one.port), ("other", other.port))
            for number in range(3)
        ]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    assert handlers[0].seen.keys() == {f"one{number}@example.com" for number in range(3)}
    assert handlers[0].seen | handlers[1].seen == sent


def test_a_loop_has_one_buffer_and_only_where_it_is_of_use(
    run: Run, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    async def buffers_of(*, tls: bool) -> list[Any]:
        buffers = []
        async with serve(
            None, "127.0.0.1", 0, ssl_context=server_context if tls else None
        ) as server:
            for _ in range(2):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1",
                    server.port,
                    ssl=client_context if tls else None,
                    server_hostname="localhost" if tls else None,
                )
                await reader.readline()
                (connection,) = server.connections
                assert isinstance(connection, SMTP)
                assert connection.transport is not None
                face: Any = connection.transport.get_protocol()
                buffers.append(None if face is connection else face.get_buffer(-1).obj)
                writer.write(b"QUIT\r\n")
                await reader.read()
                writer.close()
                await writer.wait_closed()
                while server.connections:
                    await asyncio.sleep(0)
        return buffers

    async def main() -> None:
        one, other = await buffers_of(tls=False)
        of_asyncio = isinstance(asyncio.get_running_loop(), asyncio.SelectorEventLoop)
        assert (one is not None) is of_asyncio
        assert one is other
        assert await buffers_of(tls=True) == [None, None]

    run(main)


def test_a_transport_without_a_socket_is_left_as_it_is(connect: Connect) -> None:
    wire = connect()
    assert wire.transport.get_protocol() is wire.server
