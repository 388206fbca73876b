"""The small client: what Postfix's smtp-source cannot do, cheap enough not to be the bottleneck.

Each connection is a generator that sends octets made beforehand and yields the number of replies it
waits for; :func:`drive` runs many of them on non-blocking sockets, without asyncio. A reply other than
2xx or 3xx ends the run: a benchmark of refusals would be worthless.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import struct
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import repeat

__all__ = [
    "Conversation",
    "LoadError",
    "Outcome",
    "burst",
    "deliver",
    "drop",
    "hold",
    "make_body",
    "make_message",
]

Address = tuple[str, int]
Talk = Generator[int, None, None]
Step = tuple[bytes, int]
"""Octets to send, and how many replies they call for."""

# What a talk yields that does not wait for replies.
_WRITABLE, _HANDSHAKE = 0, -1
# A loopback address has some 28,000 ports to connect from on Linux.
_CONNECTIONS_PER_SOURCE = 20_000
_LINGER_NOT = struct.pack("ii", 1, 0)
_ENHELLO = {"smtp": b"EHLO client.example\r\n", "lmtp": b"LHLO client.example\r\n"}


class LoadError(Exception):
    """The server did not do what it was asked, or not in time."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run.

    Attributes:
        count: how many messages (or greetings) there were.
        seconds: how long it took.
        cpu: seconds of processor time that the client used.
    """

    count: int
    seconds: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Conversation:
    """What to say on a connection.

    Attributes:
        message: the steps of one mail transaction.
        verb: ``"smtp"`` to greet with EHLO, ``"lmtp"`` to greet with LHLO.
        reuse: send all messages over the same connections, or each over its own.
        tls: None, ``"starttls"`` or ``"implicit"``.
    """

    message: tuple[Step, ...]
    verb: str = "smtp"
    reuse: bool = True
    tls: str | None = None


def make_body(size: int) -> bytes:
    """Make a body of ``size`` octets in lines of 80, and the line that ends it."""
    lines, rest = divmod(size, 80)
    last = (rest - 2) * b"X" + b"\r\n" if rest > 1 else rest * b"X" and b"X\r\n"
    return lines * (78 * b"X" + b"\r\n") + last + b".\r\n"


def make_message(
    size: int, recipients: int = 1, *, pipelined: bool = False, final_replies: int = 1
) -> tuple[Step, ...]:
    """Make the steps of a mail transaction.

    Args:
        size: of the body, in octets.
        recipients: how many there are.
        pipelined: send MAIL, each RCPT, and DATA in one write (RFC 2920).
        final_replies: how many replies the end of the body calls for (LMTP: one a recipient).
    """
    commands = [
        b"MAIL FROM:<sender@example.com>\r\n",
        *(b"RCPT TO:<user%d@example.com>\r\n" % number for number in range(recipients)),
        b"DATA\r\n",
    ]
    end: Step = (make_body(size), final_replies)
    if pipelined:
        return ((b"".join(commands), len(commands)), end)
    return (*zip(commands, repeat(1), strict=False), end)


# -- one connection -------------------------------------------------------------------------------


class _Link:
    """A connection of the client: its socket, its talk, and what it waits for."""

    __slots__ = ("awaited", "received", "sock", "talk", "unsent")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.talk: Talk
        self.awaited = 0
        self.received = b""
        self.unsent = memoryview(b"")

    def send(self, octets: bytes | memoryview) -> None:
        """Send what can be sent, and keep the rest."""
        try:
            sent = self.sock.send(octets)
        except (BlockingIOError, ssl.SSLWantWriteError):
            sent = 0
        if sent < len(octets):
            self.unsent = memoryview(octets)[sent:]

    def receive(self) -> bool:
        """Take what came; tell whether all the replies are there that the talk waits for."""
        try:
            octets = self.sock.recv(65536)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        if not octets:
            raise LoadError("the server closed the connection")
        if self.received:
            octets = self.received + octets
            self.received = b""
        if not octets.endswith(b"\n"):
            self.received = octets
            return False
        self.awaited -= _count_replies(octets)
        return self.awaited <= 0

    def handshake(self) -> bool:
        """Go on with the TLS handshake; tell whether it is done."""
        assert isinstance(self.sock, ssl.SSLSocket)
        try:
            self.sock.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        return True

    def wrap(self, context: ssl.SSLContext) -> None:
        """Put TLS over the connection."""
        self.sock = context.wrap_socket(self.sock, do_handshake_on_connect=False)


def _count_replies(octets: bytes) -> int:
    """Count the replies in whole lines; a reply of several lines counts once.

    Raises:
        LoadError: one of them is neither 2xx nor 3xx.
    """
    count = 0
    for line in octets.splitlines():
        if line[:1] not in (b"2", b"3"):
            raise LoadError(f"the server answered {line!r}")
        if line[3:4] != b"-":
            count += 1
    return count


def _transact(
    link: _Link, conversation: Conversation, messages: Iterator[int], context: ssl.SSLContext
) -> Talk:
    """Speak on one connection: greet, send messages as long as there are any to send, and quit."""
    if conversation.tls == "implicit":
        yield _WRITABLE
        link.wrap(context)
        yield _HANDSHAKE
    yield 1
    hello = _ENHELLO[conversation.verb]
    link.send(hello)
    yield 1
    if conversation.tls == "starttls":
        link.send(b"STARTTLS\r\n")
        yield 1
        link.wrap(context)
        yield _HANDSHAKE
        link.send(hello)
        yield 1
    for _ in messages:
        for octets, replies in conversation.message:
            link.send(octets)
            yield replies
    link.send(b"QUIT\r\n")
    yield 1


def _greet(link: _Link) -> Talk:
    yield 1


def _greet_and_hello(link: _Link) -> Talk:
    yield 1
    link.send(_ENHELLO["smtp"])
    yield 1


# -- many connections -----------------------------------------------------------------------------


class _Driver:
    """Runs talks, each on a connection of its own, up to ``window`` of them at once.

    Args:
        address: of the server.
        talks: functions that make a talk for a link.
        window: how many connections may be in use at once.
        keep: keep the connections whose talk is over open.
    """

    def __init__(
        self,
        address: Address,
        talks: Iterable[Callable[[_Link], Talk]],
        window: int,
        *,
        keep: bool = False,
    ) -> None:
        self._address = address
        self._talks = iter(talks)
        self._window = window
        self._keep = keep
        self._opened = self._live = 0
        self._selector = selectors.DefaultSelector()
        self.finished = 0
        self.kept: list[socket.socket] = []

    def run(self, seconds: float) -> bool:
        """Run to the end; False if that did not come within so many seconds."""
        deadline = time.monotonic() + seconds
        with contextlib.closing(self._selector):
            try:
                self._open_more()
                while self._live:
                    left = deadline - time.monotonic()
                    if left <= 0:
                        return False
                    for key, events in self._selector.select(left):
                        self._serve(key.data, events)
            finally:
                for key in list(self._selector.get_map().values()):
                    key.data.sock.close()
        return True

    def _open_more(self) -> None:
        while self._live < self._window:
            make_talk = next(self._talks, None)
            if make_talk is None:
                return
            link = _Link(_connect(self._address, self._opened))
            self._opened += 1
            self._live += 1
            link.talk = make_talk(link)
            self._selector.register(link.sock, selectors.EVENT_READ, link)
            self._advance(link)

    def _serve(self, link: _Link, events: int) -> None:
        if link.unsent:
            self._send_rest(link)
            if not events & selectors.EVENT_READ:
                return
        if link.awaited > 0:
            # TLS may hold octets back that no event tells of.
            done = link.receive()
            while not done and isinstance(link.sock, ssl.SSLSocket) and link.sock.pending():
                done = link.receive()
        elif link.awaited == _HANDSHAKE:
            done = link.handshake()
        else:
            done = True
        if done:
            self._advance(link)

    def _send_rest(self, link: _Link) -> None:
        unsent, link.unsent = link.unsent, memoryview(b"")
        link.send(unsent)
        if not link.unsent:
            self._selector.modify(link.sock, selectors.EVENT_READ, link)

    def _advance(self, link: _Link) -> None:
        """Let the talk go on, up to where it has to wait."""
        sock = link.sock
        for awaited in link.talk:
            link.awaited = awaited
            if link.sock is not sock:  # TLS came in between
                self._selector.unregister(sock)
                sock = link.sock
                self._selector.register(sock, selectors.EVENT_READ, link)
            if awaited == _HANDSHAKE and link.handshake():
                continue
            if link.unsent or awaited == _WRITABLE:
                both = selectors.EVENT_READ | selectors.EVENT_WRITE
                self._selector.modify(sock, both, link)
            return
        self._finish(link)

    def _finish(self, link: _Link) -> None:
        self._selector.unregister(link.sock)
        if self._keep:
            self.kept.append(link.sock)
        else:
            link.sock.close()
        self.finished += 1
        self._live -= 1
        self._open_more()


def _connect(address: Address, number: int) -> socket.socket:
    """Begin to connect; many connections are spread over several loopback addresses."""
    sock = socket.socket()
    try:
        sock.setblocking(False)
        source = number // _CONNECTIONS_PER_SOURCE
        if source:
            sock.bind((f"127.0.0.{1 + source}", 0))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(BlockingIOError):  # the usual case: it is under way
            sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


# -- what scenarios ask for -----------------------------------------------------------------------


def deliver(
    address: Address,
    conversation: Conversation,
    messages: int,
    *,
    connections: int = 10,
    seconds: float = 60.0,
) -> Outcome:
    """Send messages.

    Args:
        address: of the server.
        conversation: what to say.
        messages: how many to send.
        connections: how many to use at once.
        seconds: in which all must be sent.

    Raises:
        LoadError: the server refused something, hung up, or took too long.
    """
    # Trust is not what is measured; the certificate was made for this run.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    speak = partial(_transact, conversation=conversation, context=context)
    talks: Iterable[Callable[[_Link], Talk]]
    if conversation.reuse:
        left = iter(range(messages))
        talks = repeat(partial(speak, messages=left), connections)
    else:
        talks = (partial(speak, messages=iter((1,))) for _ in range(messages))
    driver = _Driver(address, talks, connections)
    return _timed(driver, messages, seconds)


def burst(address: Address, count: int, *, seconds: float = 10.0) -> Outcome:
    """Open ``count`` connections as fast as can be and wait for all their greetings.

    What was not greeted within ``seconds`` is left out of the count.
    """
    driver = _Driver(address, repeat(_greet, count), count, keep=True)
    began, cpu = time.monotonic(), time.process_time()
    driver.run(seconds)
    outcome = Outcome(driver.finished, time.monotonic() - began, time.process_time() - cpu)
    drop(driver.kept)
    return outcome


def hold(address: Address, count: int, *, seconds: float = 60.0) -> list[socket.socket]:
    """Open ``count`` connections, say EHLO on each, and give them. :func:`drop` ends them.

    Raises:
        LoadError: the server refused something, hung up, or took too long.
    """
    driver = _Driver(address, repeat(_greet_and_hello, count), 80, keep=True)
    try:
        _timed(driver, count, seconds)
    except BaseException:
        drop(driver.kept)
        raise
    return driver.kept


def drop(socks: Iterable[socket.socket]) -> None:
    """Reset connections, so that none keeps its port occupied for a minute (TIME-WAIT)."""
    for sock in socks:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        sock.close()


def _timed(driver: _Driver, count: int, seconds: float) -> Outcome:
    began, cpu = time.monotonic(), time.process_time()
    try:
        in_time = driver.run(seconds)
    except OSError as error:
        raise LoadError(f"the connection failed: {error}") from error
    if not in_time:
        raise LoadError(f"not done after {seconds:g} s")
    return Outcome(count, time.monotonic() - began, time.process_time() - cpu)
