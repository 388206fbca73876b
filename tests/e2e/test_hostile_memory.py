"""A client that sends and sends, and never ends its line: nobody else shall notice.

The server's limit on messages is 1 MiB, what it is sent are 200 MB. Whatever they are part of, they are
dropped as they come, the answer is given where the line ends at last, and the session goes on.
"""

from __future__ import annotations

import select
import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Program, Start, WatchMemory

MIB = 2**20
PIECE = b"x" * 1_000_000
PIECES = 200
LIMIT = 4 * MIB
TIMEOUT = 30.0

TO_DATA = ("MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>", "DATA")


@dataclass(frozen=True)
class Flood:
    """What 200 MB are sent as.

    Attributes:
        before: the commands that lead there.
        end: what ends them.
        reply: the answer to them.
        hook: which one gets messages.
        listener: which of the two ports: lines of a body are limited on the first one only.
    """

    before: tuple[str, ...]
    end: bytes
    reply: bytes
    hook: str = "DATA"
    listener: int = 0


TOO_LONG = b"500 Line too long (see RFC5321 4.5.3.1.6)\r\n"
TOO_LARGE = b"552 Error: Too much mail data\r\n"
FLOODS = {
    "body": Flood(TO_DATA, b"\r\n.\r\n", TOO_LONG),
    "body, any line": Flood(TO_DATA, b"\r\n.\r\n", TOO_LARGE, listener=1),
    "streamed body": Flood(TO_DATA, b"\r\n.\r\n", TOO_LONG, hook="BODY"),
    "streamed body, any line": Flood(TO_DATA, b"\r\n.\r\n", TOO_LARGE, hook="BODY", listener=1),
    "command": Flood((), b"\r\n", b"500 Command line too long\r\n"),
    "AUTH response": Flood(("AUTH PLAIN",), b"\r\n", b"500 Command line too long\r\n"),
}


class Line:
    """A client that sends what it likes."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._replies = sock.makefile("rb")
        self.hear()

    def hear(self) -> bytes:
        """Give the last line of the next reply."""
        while (line := self._replies.readline())[3:4] == b"-":
            pass
        return line

    def say(self, command: str) -> bytes:
        self.sock.sendall(command.encode() + b"\r\n")
        return self.hear()

    @property
    def answered(self) -> bool:
        """Whether there is a reply to read."""
        return bool(select.select([self.sock], [], [], 0)[0])


@contextmanager
def connected(program: Program, listener: int) -> Iterator[Line]:
    with socket.create_connection(("127.0.0.1", program.ports[listener]), TIMEOUT) as sock:
        yield Line(sock)


def send_flood(sock: socket.socket, served: threading.Event) -> None:
    """Send all but the last piece; and that once somebody else was served."""
    for _ in range(PIECES - 1):
        sock.sendall(PIECE)
    assert served.wait(TIMEOUT)
    sock.sendall(PIECE)


@pytest.mark.parametrize("kind", FLOODS)
def test_a_line_without_an_end(
    start_hook: Start, watch_memory: WatchMemory, loop: str, kind: str
) -> None:
    flood = FLOODS[kind]
    with (
        start_hook(loop, flood.hook, "--size", str(MIB)) as program,
        connected(program, flood.listener) as hostile,
    ):
        told = [hostile.say(command) for command in ("EHLO hostile.example", *flood.before)]
        assert {line[:1] for line in told} <= {b"2", b"3"}
        with watch_memory(program.process.pid) as growth:
            served = threading.Event()
            sender = threading.Thread(target=send_flood, args=(hostile.sock, served))
            sender.start()
            try:
                while sender.is_alive():
                    with program.client() as client:
                        client.sendmail(
                            "a@example.com", "b@example.com", b"Subject: x\r\n\r\nx\r\n"
                        )
                    served.set()
            finally:
                served.set()
                sender.join(TIMEOUT)
            assert not hostile.answered
            hostile.sock.sendall(flood.end)
            reply = hostile.hear()
            grown = growth()
        print(f"{grown / 1024:.0f} KiB")
        assert reply == flood.reply
        assert grown < LIMIT
        assert hostile.say("RSET") == b"250 OK\r\n"
        assert hostile.say("QUIT").startswith(b"221 ")
