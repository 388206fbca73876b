"""The benchmark's small client: it sends what it says, counts replies, and gives up on refusals."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import trustme
from bench.client import (
    Conversation,
    LoadError,
    burst,
    deliver,
    drop,
    hold,
    make_body,
    make_message,
)
from tests.unit.addresses import OWN_ADDRESS

Answer = Callable[[bytes], bytes]

LINE_END = b"\r\n"
END = b"\r\n.\r\n"


def answer(line: bytes) -> bytes:
    """Answer a command as any server does."""
    verb = line[:4].upper()
    if verb == b"DATA":
        return b"354 go on\r\n"
    if verb in (b"EHLO", b"LHLO"):
        return b"250-server\r\n250 PIPELINING\r\n"
    return b"221 bye\r\n" if verb == b"QUIT" else b"250 OK\r\n"


class Recorder:
    """A server in a thread that keeps what each client sent, and its writes one by one."""

    def __init__(self, reply: Answer = answer, context: ssl.SSLContext | None = None) -> None:
        self._reply = reply
        self._context = context
        self.implicit = False
        self.final_replies = 1
        self.sent: list[bytes] = []
        self.reads: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.address: tuple[str, int] = self._listener.getsockname()
        self._threads: list[threading.Thread] = []

    def accept(self) -> None:
        """Serve clients until the listening socket is closed."""
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(sock,))
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """Stop listening, and wait for what goes on."""
        with contextlib.suppress(OSError):  # where accept() is not woken otherwise
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def join(self) -> None:
        """Wait for the clients to be gone."""
        for thread in self._threads:
            thread.join(10)

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(ConnectionError):
            self.sent.append(b"".join(self._converse(sock)))

    def _wrap(self, sock: socket.socket) -> socket.socket:
        assert self._context is not None
        return self._context.wrap_socket(sock, server_side=True)

    def _converse(self, sock: socket.socket) -> Iterator[bytes]:
        """Answer what comes, and give it."""
        try:
            if self.implicit:
                sock = self._wrap(sock)
            sock.sendall(b"220 server\r\n")
            pending, searched, in_body = bytearray(), 0, False
            while octets := self._receive(sock):
                yield octets
                pending += octets
                # What was searched is not searched again, or a large body would take ages.
                while (end := pending.find(END if in_body else LINE_END, searched)) >= 0:
                    line = bytes(pending[:end])
                    del pending[: end + len(END if in_body else LINE_END)]
                    searched = 0
                    reply = b"250 OK\r\n" * self.final_replies if in_body else self._reply(line)
                    sock.sendall(reply)
                    in_body = reply.startswith(b"354")
                    if line == b"STARTTLS":
                        sock = self._wrap(sock)
                searched = max(0, len(pending) - len(END) + 1)
        finally:
            sock.close()

    def _receive(self, sock: socket.socket) -> bytes:
        """Give the next octets; none if the client is gone, also where it was rude."""
        octets = b""
        with contextlib.suppress(ConnectionError):
            octets = sock.recv(65536)
            self.reads.append(octets)
        return octets


@contextmanager
def recording(recorder: Recorder) -> Iterator[Recorder]:
    """Run a recorder for the length of a ``with`` statement."""
    thread = threading.Thread(target=recorder.accept)
    thread.start()
    try:
        yield recorder
    finally:
        recorder.close()
        thread.join(10)
        recorder.join()


HELLO = b"EHLO client.example\r\n"
MAIL = b"MAIL FROM:<sender@example.com>\r\n"
TRANSACTION = MAIL + b"RCPT TO:<user0@example.com>\r\nDATA\r\n" + make_body(500)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 79, 80, 81, 82, 2048])
def test_body(size: int) -> None:
    """A body has its size, whole lines, and an end."""
    body = make_body(size)
    assert body.endswith(b"\r\n.\r\n") or body == b".\r\n"
    content = body[:-3]
    # One octet cannot be a line.
    assert len(content) == size if size % 80 != 1 else len(content) in (size, size + 2)
    assert content == b"" or content.endswith(b"\r\n")
    assert all(len(line) <= 78 for line in content.split(b"\r\n"))


def test_message_in_step() -> None:
    """Each command waits for its reply."""
    assert make_message(10, 2) == (
        (MAIL, 1),
        (b"RCPT TO:<user0@example.com>\r\n", 1),
        (b"RCPT TO:<user1@example.com>\r\n", 1),
        (b"DATA\r\n", 1),
        (make_body(10), 1),
    )


def test_message_pipelined() -> None:
    """All commands are in one write, and the body in another."""
    (commands, replies), (body, last) = make_message(10, 3, pipelined=True, final_replies=3)
    assert commands.split(b"\r\n")[0] == MAIL[:-2]
    assert commands.count(b"RCPT TO:") == 3
    assert commands.endswith(b"\r\nDATA\r\n")
    assert (replies, body, last) == (5, make_body(10), 3)


@pytest.mark.parametrize("pipelined", [False, True])
def test_reused(pipelined: bool) -> None:
    """All messages are sent, over as many connections as asked for."""
    conversation = Conversation(make_message(500, pipelined=pipelined))
    with recording(Recorder()) as recorder:
        outcome = deliver(recorder.address, conversation, 7, connections=3)
    assert outcome.count == 7
    assert outcome.seconds > 0
    assert len(recorder.sent) == 3
    for sent in recorder.sent:
        count = sent.count(b"DATA\r\n")
        assert sent == HELLO + TRANSACTION * count + b"QUIT\r\n"
    assert sum(sent.count(b"DATA\r\n") for sent in recorder.sent) == 7


def test_pipelined_in_one_write() -> None:
    """MAIL, RCPT and DATA arrive together."""
    message = make_message(500, pipelined=True)
    with recording(Recorder()) as recorder:
        deliver(recorder.address, Conversation(message), 1, connections=1)
    assert message[0][0] in recorder.reads


def test_connection_a_message() -> None:
    """Each message has its own connection."""
    conversation = Conversation(make_message(500), reuse=False)
    with recording(Recorder()) as recorder:
        deliver(recorder.address, conversation, 5, connections=2)
    assert recorder.sent == [HELLO + TRANSACTION + b"QUIT\r\n"] * 5


def test_lmtp() -> None:
    """LHLO greets, and each recipient is waited for."""
    recorder = Recorder()
    recorder.final_replies = 3
    conversation = Conversation(make_message(500, 3, final_replies=3), verb="lmtp")
    with recording(recorder):
        deliver(recorder.address, conversation, 2, connections=1)
    assert recorder.sent[0].startswith(b"LHLO client.example\r\nMAIL")
    assert recorder.sent[0].endswith(b"\r\n.\r\nQUIT\r\n")


def test_large_body() -> None:
    """A body that no socket takes at once is sent whole."""
    conversation = Conversation(make_message(20_000_000))
    with recording(Recorder()) as recorder:
        deliver(recorder.address, conversation, 1, connections=1)
    assert make_body(20_000_000) + b"QUIT\r\n" in recorder.sent[0]


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize("reuse", [False, True])
def test_tls(tls: str, reuse: bool) -> None:
    """Messages go through TLS, and EHLO is said again after STARTTLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    recorder = Recorder(context=context)
    recorder.implicit = tls == "implicit"
    conversation = Conversation(make_message(500), reuse=reuse, tls=tls)
    with recording(recorder):
        deliver(recorder.address, conversation, 3, connections=1)
    before = b"" if recorder.implicit else HELLO + b"STARTTLS\r\n"
    count, connections = (3, 1) if reuse else (1, 3)
    assert recorder.sent == [before + HELLO + TRANSACTION * count + b"QUIT\r\n"] * connections


def test_refused() -> None:
    """A refusal ends the run, and is told."""

    def refuse(line: bytes) -> bytes:
        return b"550 no\r\n" if line.startswith(b"RCPT") else answer(line)

    with (
        recording(Recorder(refuse)) as recorder,
        pytest.raises(LoadError, match="550 no"),
    ):
        deliver(recorder.address, Conversation(make_message(10)), 3, connections=2)


def test_hung_up() -> None:
    """A server that hangs up ends the run."""

    def hang_up() -> None:
        sock, _ = listener.accept()
        sock.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(LoadError, match="closed"):
            deliver(listener.getsockname(), Conversation(make_message(10)), 1, connections=1)
        thread.join(10)


def test_nobody_listens() -> None:
    """A server that is not there ends the run."""
    with socket.create_server((OWN_ADDRESS, 0)) as listener:
        address = listener.getsockname()
    with pytest.raises(LoadError, match="connection failed"):
        deliver(address, Conversation(make_message(10)), 1, connections=1)


def test_too_slow() -> None:
    """A server that says nothing is not waited for beyond the limit."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        pytest.raises(LoadError, match=r"not done after 0\.05 s"),
    ):
        deliver(listener.getsockname(), Conversation(make_message(10)), 1, seconds=0.05)


def test_burst() -> None:
    """Greetings are waited for; those that do not come in time are not counted."""
    with recording(Recorder()) as recorder:
        assert burst(recorder.address, 20).count == 20
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert burst(listener.getsockname(), 3, seconds=0.05).count == 0


def test_hold() -> None:
    """Connections are greeted and stay open until they are dropped."""
    with recording(Recorder()) as recorder:
        socks = hold(recorder.address, 60)
        assert len(socks) == 60
        assert recorder.sent == []
        drop(socks)
    assert recorder.sent == [HELLO] * 60
