"""The engine's face: octets in, events out, and replies to octets. No I/O, no clock.

A driver feeds what it received, asks for events until there is none, and writes what :meth:`send`
gives it and, before it waits, what :meth:`flush` gives. The engine stores the framing mode and nothing
else: whether a command takes effect is decided by whoever handles its event, who then announces what
comes next in the stream of octets: :meth:`Connection.expect_body` after 354,
:meth:`Connection.expect_chunk` after BDAT, :meth:`Connection.expect_auth_response` after 334,
:meth:`Connection.start_tls` after 220 to STARTTLS.
"""

from __future__ import annotations

from .buffer import ReceiveBuffer
from .chunks import ChunkReader
from .errors import BodyIncomplete
from .events import ConnectionClosed, Event
from .readers import (
    AuthResponseReader,
    BodyReader,
    Mode,
    OverlongLineReader,
    ProxyReader,
    Reader,
    WholeBodyReader,
    command_reader,
    whole_body_reader,
)
from .reply import encode_reply

__all__ = ["AUTH_LINE_LIMIT", "HELD_LIMIT", "Connection"]

AUTH_LINE_LIMIT = 12288
"""The longest AUTH command or response in octets, its end included (RFC 4954 sections 4 and 4.1)."""

# What reads content, of which the connection must not end in the middle.
_BODY_READERS = (WholeBodyReader, BodyReader, ChunkReader)
HELD_LIMIT = 16384
"""Octets of replies that are held back while a client pipelines; few groups of commands have more."""

# What is said last goes out at once, since a hook may close the transport right after it; and so does
# what TLS follows, which must not go into it.
_LAST_REPLIES = (b"220", b"221", b"421")


class Connection:
    """One connection, seen by the server, without I/O.

    Args:
        command_limit: the longest command line in octets, its end included. Limits that differ by
            verb are for the handler of the event, which is told the size of each line.
        utf8: whether arguments may hold octets above 127, and replies are encoded as UTF-8.
        proxy: whether the client must begin with a PROXY header.

    Attributes:
        buffer: what came and was not yet read.
        reader: what reads the octets that come next; None where they are commands.
        eof: whether the client will send no more; what it sent may still be unread.
        held: the replies that are held back.
    """

    __slots__ = ("_commands", "_encoding", "buffer", "eof", "held", "reader")

    def __init__(
        self, *, command_limit: int = AUTH_LINE_LIMIT, utf8: bool = False, proxy: bool = False
    ) -> None:
        self.buffer = ReceiveBuffer()
        self.eof = False
        self.held = b""
        self._commands = command_reader(command_limit, utf8)
        self.reader: Reader | None = ProxyReader() if proxy else None
        self._encoding = "utf-8" if utf8 else "ascii"

    @property
    def mode(self) -> Mode:
        """What the octets of the client mean now."""
        return Mode.COMMAND if self.reader is None else self.reader.mode

    @property
    def streaming(self) -> bool:
        """Whether a body is read that is given in chunks, at the pace of whoever takes them."""
        return isinstance(self.reader, _BODY_READERS) and self.reader.stream

    def expect_no_proxy(self) -> None:
        """Read no PROXY header: the client is none of those who begin with one."""
        self.reader = None

    # -- in ---------------------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> None:
        """Take octets that the client sent; after the end of them there are none."""
        if not self.eof:
            self.buffer.feed(data)

    def receive_eof(self) -> None:
        """Note that the client will send no more."""
        self.eof = True

    def end(self) -> None:
        """Read nothing more of the client, come or to come: 221 or 421 has been said."""
        self.eof = True
        if self.buffer.data:
            self.buffer.clear()
        self.reader = None

    def next_event(self) -> Event | None:
        """Give the next thing that the client said, or None while more octets are needed.

        Raises:
            ProtocolError: a fault of the client, carrying the reply to it; ask again afterwards.
            BodyError: the same for a body. Of a streamed body it is raised when it is found, and
                :class:`~aiosmtpd.protocol.BodyEnd` follows; of a whole one at its true end.
        """
        reader, buffer = self.reader, self.buffer
        event: Event | None = None
        if reader is not None:
            if isinstance(reader, WholeBodyReader) and buffer.data:
                event = reader.read(buffer)
                if event is not None:
                    self.reader = None
                    return event
                reader = self.reader = reader.by_steps()
            try:
                event = reader.read(buffer)
            finally:
                if reader.done:
                    self.reader = None
        elif buffer.data:
            event = self._commands.read(buffer)
            if event is None and len(buffer) > self._commands.limit:
                self.reader = OverlongLineReader(buffer)
        if event is None and self.eof:
            return self._end()
        return event

    def expect_body(
        self, *, size_limit: int | None = None, line_limit: int = 1001, stream: bool = False
    ) -> None:
        """Read a dot-terminated body next (RFC 5321 section 4.1.1.4); arguments as BodyReader's.

        Args:
            size_limit: the largest body in octets, or None for any.
            line_limit: the longest line in octets, CRLF included.
            stream: give the body in chunks, each as it comes, instead of whole.
        """
        self.reader = (
            BodyReader(size_limit=size_limit, line_limit=line_limit, stream=True)
            if stream
            else whole_body_reader(size_limit, line_limit)
        )

    def expect_chunk(self, size: int, *, stream: bool = False) -> None:
        """Read a chunk of so many octets next (RFC 3030 section 2); arguments as ChunkReader's.

        Args:
            size: the octets of the chunk.
            stream: give it in pieces of bounded size, to whoever takes them at a pace of their own.
        """
        self.reader = ChunkReader(size, stream=stream)

    def discard_body(self) -> None:
        """Give nothing more of the streamed body, or of the chunk, that is being read but its end."""
        if isinstance(self.reader, (BodyReader, ChunkReader)):
            self.reader.discard()

    def expect_auth_response(self) -> None:
        """Read one line that answers a challenge next (RFC 4954 section 4)."""
        self.reader = AuthResponseReader(AUTH_LINE_LIMIT)

    def start_tls(self) -> None:
        """Forget what came before TLS, so that nobody can slip commands in (RFC 3207 section 4.2)."""
        self.buffer.clear()
        self.reader = None

    def _end(self) -> ConnectionClosed:
        in_body = isinstance(self.reader, _BODY_READERS)
        self.buffer.clear()
        self.reader = None
        if in_body:
            raise BodyIncomplete("the connection ended inside a body")
        return ConnectionClosed()

    # -- out --------------------------------------------------------------------------------------

    def send(self, status: str | bytes) -> bytes:
        """Give the octets to write for a reply.

        While further commands of the client are buffered the reply is held back, so that the replies
        to a pipelined group leave together (RFC 2920 section 3.2); then nothing is given.

        Args:
            status: the reply without its final CRLF.
        """
        octets = encode_reply(status, self._encoding)
        if not self.buffer.data:
            if not self.held:
                return octets
        elif len(self.held) < HELD_LIMIT and not octets.startswith(_LAST_REPLIES):
            self.held += octets
            return b""
        self.held += octets
        return self.flush()

    def encode(self, status: str | bytes) -> bytes:
        """Give the octets of a reply, in what the client may be sent; arguments as :meth:`send`."""
        return encode_reply(status, self._encoding)

    def flush(self) -> bytes:
        """Give the replies that were held back."""
        octets, self.held = self.held, b""
        return octets
