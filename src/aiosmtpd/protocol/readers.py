"""One reader a framing mode: each turns buffered octets into the next event of its mode.

``read(buffer)`` gives an event, or None while it needs more octets, or raises the fault that the
client made. A fault never loses the place: the reader has then read to the true end of the line or of
the body, so that leftovers cannot become commands. What a reader leaves in the buffer while it waits
is bounded by its limit.
"""

from __future__ import annotations

import enum
import functools
import io
import re
from typing import Protocol

from .buffer import ReceiveBuffer
from .errors import (
    BadCommand,
    BodyError,
    BodyLineTooLong,
    BodyTooLarge,
    CommandTooLong,
    NonAsciiCommand,
    ProtocolError,
)
from .events import AuthResponse, Body, BodyChunk, BodyEnd, Command, Event, ProxyHeader

__all__ = [
    "AuthResponseReader",
    "BodyReader",
    "CommandReader",
    "Mode",
    "OverlongLineReader",
    "ProxyReader",
    "Reader",
    "WholeBodyReader",
    "command_reader",
    "whole_body_reader",
]

# Makes a named tuple without a call of its __new__, which is Python code; one is made for each command.
_new = tuple.__new__

# RFC 5321 section 4.1.2 has no control characters anywhere, and they would end up in logs and headers.
_CONTROL = re.compile(r"[\x00-\x08\n-\x1f\x7f]")

_BDAT = re.compile(rb"BDAT(?![A-Z0-9])", re.IGNORECASE)

_DOT = ord(".")
_DOT_LINE = b"\r\n."
# What of a body is looked at in one go for dots; the header fields, which have many, fill one or two.
_WINDOW = 8192
_END_OF_BODY = b"\r\n.\r\n"
# What a streamed body is cut into. One read of a socket may bring several times as much, and whoever
# copies a chunk on its way, as undoing transparency does, needs that much memory again.
_CHUNK_SIZE = 65536
# Up to this it is not cut, or a read of just that size would leave a crumb behind.
_CHUNK_LIMIT = 81920


class Mode(enum.Enum):
    """What the octets of the client mean; a driver picks its deadline by it."""

    PROXY = "PROXY header"
    COMMAND = "command"
    AUTH = "AUTH response"
    BODY = "body"


class Reader(Protocol):
    """What every reader does.

    Attributes:
        mode: the mode that it reads.
        done: True once the mode is over and commands follow.
    """

    done: bool

    @property
    def mode(self) -> Mode: ...

    def read(self, buffer: ReceiveBuffer) -> Event | None:
        """Give the next event of this mode, or None while more octets are needed."""
        ...


def _take_line(buffer: ReceiveBuffer, limit: int) -> bytes | None:
    """Take a line without its end, or None while it is not all there.

    Raises:
        CommandTooLong: it has more octets than ``limit``, its end included.
    """
    line = buffer.take_line()
    if line is None:
        return None
    if len(line) > limit:
        raise _marked(CommandTooLong(), _announces_chunk(line))
    # CRLF ends a command; a bare LF does so as well, since 1.4 and many scripts rely on it.
    return line.removesuffix(b"\n").removesuffix(b"\r")


def _announces_chunk(line: bytes) -> bool:
    """Tell whether a line that cannot be read was a BDAT, so that a chunk of unknown size follows."""
    return _BDAT.match(line) is not None


def _marked(fault: ProtocolError, is_last: bool) -> ProtocolError:
    fault.is_last = is_last
    return fault


class CommandReader:
    """Command lines (RFC 5321 section 2.4). It keeps nothing, so that connections share it.

    Args:
        limit: the longest line in octets, its end included.
        utf8: whether an argument may hold octets above 127 (RFC 6531 section 3.1).

    Attributes:
        limit: the same. Once there is more in the buffer and no line, it is for
            :class:`OverlongLineReader`.
    """

    __slots__ = ("_utf8", "done", "limit")
    mode = Mode.COMMAND

    def __init__(self, limit: int, *, utf8: bool) -> None:
        self.limit = limit
        self._utf8 = utf8
        self.done = False

    def read(self, buffer: ReceiveBuffer) -> Command | None:
        """Give the next :class:`~aiosmtpd.protocol.Command`."""
        line = _take_line(buffer, self.limit)
        if line is None:
            return None
        if not line:
            raise BadCommand("empty command line")
        text = line.decode("utf-8", "surrogateescape")
        verb, _, argument = text.partition(" ")
        if not (text.isascii() and text.isprintable()):
            try:
                self._judge(verb, argument)
            except ProtocolError as fault:
                raise _marked(fault, _announces_chunk(line)) from None
        return _new(Command, (verb.upper(), argument.strip() or None, len(line)))

    def _judge(self, verb: str, argument: str) -> None:
        """Refuse what no command may hold; asked about lines that are not plain printable ASCII.

        Raises:
            BadCommand: the verb is no word, or the argument holds a control character; a tab may be
                one of several spaces.
            NonAsciiCommand: the argument holds octets above 127, and ``utf8`` is False.
        """
        if not (verb.isascii() and verb.isprintable()):
            raise BadCommand("not a verb")
        if _CONTROL.search(argument):
            raise BadCommand("a control character")
        if not (self._utf8 or argument.isascii()):
            raise NonAsciiCommand


@functools.lru_cache(maxsize=64)
def command_reader(limit: int, utf8: bool) -> CommandReader:
    """Give the reader of commands that all connections with these arguments share."""
    return CommandReader(limit, utf8=utf8)


class OverlongLineReader:
    """The rest of a line that is longer than it may be: dropped as it comes.

    Args:
        buffer: what came of the line.
    """

    __slots__ = ("_is_last", "done")
    mode = Mode.COMMAND

    def __init__(self, buffer: ReceiveBuffer) -> None:
        self._is_last = _announces_chunk(buffer.peek(5))
        self.done = False
        buffer.clear()

    def read(self, buffer: ReceiveBuffer) -> None:
        """Drop octets up to the end of the line.

        Raises:
            CommandTooLong: the end has come.
        """
        if buffer.take_line() is None:
            buffer.clear()
            return
        self.done = True
        raise _marked(CommandTooLong(), self._is_last)


class AuthResponseReader:
    """One line that answers a challenge (RFC 4954 section 4).

    Args:
        limit: the longest line in octets, its end included; 12,288 as section 4 asks.
    """

    __slots__ = ("_limit", "_overlong", "done")
    mode = Mode.AUTH

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._overlong: OverlongLineReader | None = None
        self.done = False

    def read(self, buffer: ReceiveBuffer) -> AuthResponse | None:
        """Give the :class:`~aiosmtpd.protocol.AuthResponse`."""
        self.done = True  # also when the line is refused: it was read to its end
        if self._overlong is not None:
            self._overlong.read(buffer)
        elif (line := _take_line(buffer, self._limit)) is not None:
            return AuthResponse(line)
        elif len(buffer) > self._limit:
            self._overlong = OverlongLineReader(buffer)
        self.done = False
        return None


class ProxyReader:
    """The one header of the PROXY protocol, before anything else."""

    __slots__ = ("done",)
    mode = Mode.PROXY

    def __init__(self) -> None:
        self.done = False

    def read(self, buffer: ReceiveBuffer) -> ProxyHeader | None:
        """Give the :class:`~aiosmtpd.protocol.ProxyHeader`; nothing after it is taken."""
        from .proxy import parse_proxy_header  # here: few servers stand behind a proxy

        parsed = parse_proxy_header(buffer.peek(len(buffer)))
        if parsed is None:
            return None
        data, length = parsed
        buffer.take(length)
        self.done = True
        return ProxyHeader(data)


class WholeBodyReader:
    """A body that comes in one piece, with nothing behind it, nothing to undo and nothing wrong.

    Most small messages are such. It keeps nothing, so that connections share it, and ``done`` is never
    set: whoever asks it reads commands next if it gives a body, and else goes on with the reader that
    :meth:`by_steps` gives, from the first octet on.

    Args:
        size_limit: the largest body in octets, or None.
        line_limit: the longest line in octets, CRLF included.
    """

    __slots__ = ("_line_limit", "_size_limit", "done")
    mode = Mode.BODY
    stream = False

    def __init__(self, size_limit: int | None, line_limit: int) -> None:
        self._size_limit = size_limit
        self._line_limit = line_limit
        self.done = False

    def read(self, buffer: ReceiveBuffer) -> Body | None:
        """Give the :class:`~aiosmtpd.protocol.Body` if it is all there, or None and take nothing."""
        octets, start = buffer.data, buffer.start
        if not octets.endswith(_END_OF_BODY) or octets[start] == _DOT:
            return None
        end = len(octets) - 3
        if end - start <= _WINDOW:
            dot_line = octets.rfind(_DOT_LINE, start, end)  # from the end, which is quicker
        else:
            dot_line = _find_dot_line(octets, start, end)
        if dot_line >= 0:
            return None
        content = octets[start:end]
        limit = self._line_limit
        if (self._size_limit is not None and len(content) > self._size_limit) or _find_long_line(
            content, limit, limit
        ) is not None:
            return None
        buffer.clear()
        return _new(Body, (content,))

    def by_steps(self) -> BodyReader:
        """Give a reader, with the same limits, of a body that comes otherwise."""
        return BodyReader(size_limit=self._size_limit, line_limit=self._line_limit, stream=False)


@functools.lru_cache(maxsize=64, typed=True)
def whole_body_reader(size_limit: int | None, line_limit: int) -> WholeBodyReader:
    """Give the reader of whole bodies that all connections with these arguments share."""
    return WholeBodyReader(size_limit, line_limit)


class BodyReader:
    """A dot-terminated body (RFC 5321 section 4.1.1.4), ended by CRLF.CRLF and by nothing else.

    The octets are looked at in slices as they come, never line by line: a slice without a dot cannot
    end the body nor hold a stuffed line, and a jump from line end to line end shows that no line is
    too long. After a fault the rest is dropped up to the true end.

    Args:
        size_limit: the largest body in octets, or None.
        line_limit: the longest line in octets, CRLF included (section 4.5.3.1.6), without the dot that
            transparency added.
        stream: give :class:`~aiosmtpd.protocol.BodyChunk` as octets come, of at most 81,920 octets
            each, then ``BodyEnd``; a fault is then raised when it is found, and ``BodyEnd`` follows at
            the true end. Otherwise the body is given whole, or its fault raised at its true end.
    """

    __slots__ = (
        *("_at_start", "_ended", "_fault", "_line", "_line_limit"),
        *("_size", "_size_limit", "_told", "_whole", "done", "stream"),
    )
    mode = Mode.BODY

    def __init__(self, *, size_limit: int | None, line_limit: int, stream: bool) -> None:
        self._size_limit = size_limit
        self._line_limit = line_limit
        self.stream = stream
        self.done = self._ended = self._told = False
        self._at_start = True
        # The kind only: an exception kept here would keep, by its traceback, frames and their octets.
        self._fault: type[BodyError] | None = None
        self._whole: io.BytesIO | None = None
        self._size = self._line = 0

    def discard(self) -> None:
        """Give nothing more of a streamed body but its end."""
        self._fault = self._fault or BodyError
        self._told = True

    def read(self, buffer: ReceiveBuffer) -> Body | BodyChunk | BodyEnd | None:
        """Give the body, or its next part, or its end."""
        if self._at_start and not self._pass_start(buffer):
            return None
        data = b"" if self._ended else self._next_slice(buffer)
        if data and self._fault is None:
            self._judge(data)
        return self._hand_on(data) if self.stream else self._collect(data)

    def _pass_start(self, buffer: ReceiveBuffer) -> bool:
        """Read a dot that begins the first line; False while it cannot be told what it means."""
        first = buffer.peek(3)
        if first[:1] not in (b".", b""):
            self._at_start = False
        elif first == b".\r\n":
            buffer.take(3)
            self._ended = True
        elif b".\r\n".startswith(first):
            return False
        else:
            buffer.take(1)
            self._at_start = False
        return True

    def _next_slice(self, buffer: ReceiveBuffer) -> bytes:
        """Take octets that are decided, transparency undone; note whether the body ended.

        A chunk's worth for a stream, otherwise all that there are: what is collected or dropped.
        """
        octets, start = buffer.data, buffer.start
        stop = len(octets)
        if self.stream and self._fault is None and stop - start > _CHUNK_LIMIT:
            stop = start + _CHUNK_SIZE
        hit = _find_dot_line(octets, start, stop)
        end = octets.find(_END_OF_BODY, hit, stop) if hit >= 0 else -1
        if end >= 0:
            data = octets[start : end + 2]
            buffer.drop(end + 5 - start)
            self._ended = True
        else:
            data = buffer.take(stop - start - buffer.matching_tail(_END_OF_BODY, stop - start))
        if 0 <= hit - start < len(data) - 2:
            data = data.replace(_DOT_LINE, b"\r\n")
        return data

    def _judge(self, data: bytes) -> None:
        """Find the fault that comes first in ``data``, so that it does not matter how it was cut."""
        too_long = _find_long_line(data, self._line_limit - self._line, self._line_limit)
        too_large = None
        if self._size_limit is not None and self._size + len(data) > self._size_limit:
            too_large = self._size_limit - self._size
        self._size += len(data)
        if too_long is not None and (too_large is None or too_long <= too_large):
            self._fault = BodyLineTooLong
        elif too_large is not None:
            self._fault = BodyTooLarge
        if self._fault is not None:
            self._whole = None
        elif not self._ended:
            last = data.rfind(b"\n") + 1
            self._line = len(data) - last + (0 if last else self._line)

    def _collect(self, data: bytes) -> Body | None:
        if not self._ended:
            if self._fault is None:
                # BytesIO grows by remapping and gives its own memory away as ``bytes``: a body of
                # 32 MB is never held twice, as it would be while a list of parts is joined.
                self._whole = self._whole or io.BytesIO()
                self._whole.write(data)
            return None
        self.done = True
        if self._fault is not None:
            raise self._fault
        if self._whole is None:
            return Body(data)
        self._whole.write(data)
        return Body(self._whole.getvalue())

    def _hand_on(self, data: bytes) -> BodyChunk | BodyEnd | None:
        if self._fault is not None:
            if not self._told:
                self._told = True
                raise self._fault
        elif data:
            return BodyChunk(data)
        if not self._ended:
            return None
        self.done = True
        return BodyEnd()


def _find_long_line(octets: bytes, room: int, limit: int) -> int | None:
    """Give the place of the first octet that makes a line too long, or None.

    Args:
        octets: some of a body.
        room: how long the first line of them may be.
        limit: how long the others may be, in octets, CRLF included.
    """
    size = len(octets)
    start, end = 0, room  # of the longest line that may come next
    while end < size:
        line_end = octets.rfind(b"\n", start, end)
        if line_end < 0:
            return end
        start = line_end + 1
        end = start + limit
    return None


def _find_dot_line(octets: bytes, start: int, stop: int) -> int:
    """Give the place of the first CRLF with a dot behind it, or -1.

    Looking for the one octet runs at the speed of memory, and a base64 attachment has no dot at all. So
    the search for three, which takes ten times as long, is only made in those windows that have one.
    """
    dot = octets.find(b".", start, stop)
    while dot >= 0:
        end = min(dot + _WINDOW, stop)
        hit = octets.find(_DOT_LINE, max(start, dot - 2), end)
        if hit >= 0:
            return hit
        dot = octets.find(b".", end, stop)
    return -1
