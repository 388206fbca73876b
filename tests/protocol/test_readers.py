"""The readers, by way of the engine: command lines, AUTH responses and bodies, each cut every way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aiosmtpd.protocol import (
    AUTH_LINE_LIMIT,
    AuthResponse,
    BadCommand,
    Body,
    BodyChunk,
    BodyEnd,
    BodyLineTooLong,
    BodyTooLarge,
    Command,
    CommandTooLong,
    Connection,
    Mode,
    NonAsciiCommand,
    ProtocolError,
)
from aiosmtpd.protocol.buffer import ReceiveBuffer
from aiosmtpd.protocol.readers import (
    AuthResponseReader,
    BodyReader,
    CommandReader,
    OverlongLineReader,
    ProxyReader,
    Reader,
    WholeBodyReader,
    command_reader,
    whole_body_reader,
)

Read = Callable[..., list[tuple[Any, ...]]]

DATA = (Command, "DATA", None, 4)
AUTH = (Command, "AUTH", "LOGIN", 10)


# -- command lines --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"NOOP", (Command, "NOOP", None, 4)),
        (b"noop", (Command, "NOOP", None, 4)),
        (b"nOoP ", (Command, "NOOP", None, 5)),
        (b"NOOP  \t ", (Command, "NOOP", None, 8)),
        (b"NOOP Some Text", (Command, "NOOP", "Some Text", 14)),
        (b"NOOP   inner  kept  ", (Command, "NOOP", "inner  kept", 20)),
        (b"MAIL FROM:<a@b> SIZE=1", (Command, "MAIL", "FROM:<a@b> SIZE=1", 22)),
        # No verb of anybody, but words that can be named in the reply.
        (b" NOOP", (Command, "", "NOOP", 5)),
        (b" ", (Command, "", None, 1)),
        (b".", (Command, ".", None, 1)),
        (b"GET / HTTP/1.1", (Command, "GET", "/ HTTP/1.1", 14)),
        (b"x-verb", (Command, "X-VERB", None, 6)),
        (b"{%s}", (Command, "{%S}", None, 4)),
        (b"NOOP a\tb", (Command, "NOOP", "a\tb", 8)),
        (b"NOOP \ta\t", (Command, "NOOP", "a", 8)),
        (b"NOOP a\x00b", (BadCommand,)),
        (b"NOOP a\x08", (BadCommand,)),
        (b"NOOP a\x0bb", (BadCommand,)),
        (b"NOOP a\x1fb", (BadCommand,)),
        (b"NOOP a\rb", (BadCommand,)),
        (b"NOOP a\x1b[2Jb", (BadCommand,)),
        (b"NOOP a\x7fb", (BadCommand,)),
        (b"NOOP \x00\xff", (BadCommand,)),
        (b"", (BadCommand,)),
        (b"NOOP\x00", (BadCommand,)),
        (b"NO\x00OP x", (BadCommand,)),
        (b"\x00", (BadCommand,)),
        (b"NOOP\tx", (BadCommand,)),
        (b"NOOP\x7f", (BadCommand,)),
        (b"NO\x1bOP", (BadCommand,)),
        (b"NO\rOP", (BadCommand,)),
        (b"\x16\x03\x01\x02\x00\x01", (BadCommand,)),  # the hello of TLS
        (b"NOOP\xff", (BadCommand,)),
        (b"N\xc3\x96\xc3\x96P x", (BadCommand,)),
        (b"\xef\xbb\xbfNOOP", (BadCommand,)),
    ],
)
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("utf8", [False, True])
def test_command_line(
    read: Read, line: bytes, told: tuple[Any, ...], end: bytes, utf8: bool
) -> None:
    assert read(line + end, engine={"utf8": utf8}) == [told]


@pytest.mark.parametrize(
    ("line", "argument"),
    [
        (b"NOOP \xff", "\udcff"),
        (b"NOOP \xc3\xa9", "\xe9"),
        (b"NOOP a\xc3\xa9\xffb", "a\xe9\udcffb"),
        (b"NOOP \xed\xa0\x80", "\udced\udca0\udc80"),  # a surrogate is no character
        (b"NOOP \xc0\x8a", "\udcc0\udc8a"),  # LF, were overlong forms allowed
        (b"NOOP \xf0\x9f\x93\xac", "\U0001f4ec"),
    ],
)
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_octets_above_127(read: Read, line: bytes, argument: str, end: bytes) -> None:
    assert read(line + end, engine={"utf8": True}) == [(Command, "NOOP", argument, len(line))]
    assert read(line + end, engine={"utf8": False}) == [(NonAsciiCommand,)]
    assert argument.encode("utf-8", "surrogateescape") == line[5:]


def test_a_carriage_return_alone_ends_nothing(read: Read) -> None:
    assert read(b"NOOP a\rQUIT\r\nNOOP\r\n") == [(BadCommand,), (Command, "NOOP", None, 4)]
    assert read(b"NOOP\r", complete=False) == []


def test_lines_one_after_the_other(read: Read) -> None:
    assert read(b"A\r\nB\n\n\r\nC\r\n\xff\r\nD\n") == [
        (Command, "A", None, 1),
        (Command, "B", None, 1),
        (BadCommand,),
        (BadCommand,),
        (Command, "C", None, 1),
        (BadCommand,),
        (Command, "D", None, 1),
    ]


# -- the limit of a line --------------------------------------------------------------------------


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("limit", [12, 40])
def test_longest_command_line(read: Read, limit: int, end: bytes) -> None:
    """The limit counts the line end (RFC 5321 section 4.5.3.1.4)."""
    for length in (limit - 1, limit, limit + 1, limit + 2, 2 * limit, 5 * limit):
        line = b"NOOP ".ljust(length - len(end), b"x")
        told = read(line + end, engine={"command_limit": limit})
        if length <= limit:
            assert told == [(Command, "NOOP", line[5:].decode(), len(line))]
        else:
            assert told == [(CommandTooLong,)]


@pytest.mark.parametrize("line", [b"x" * 99, b"\xff" * 99, b"\x00" * 99, b"\r" * 99, b" " * 99])
def test_too_long_is_told_before_anything_else_and_once(read: Read, line: bytes) -> None:
    engine = {"command_limit": 40}
    assert read(line + b"\r\n" + line + b"\n", engine=engine) == [(CommandTooLong,)] * 2


def test_the_limit_of_the_engine_fits_the_longest_auth_command() -> None:
    """RFC 4954 section 4: 12,288 octets."""
    assert AUTH_LINE_LIMIT == 12288
    for length, event in ((12288, Command("AUTH", "x" * 12281, 12286)), (12289, None)):
        line = b"AUTH ".ljust(length - 2, b"x") + b"\r\n"
        for pieces in ([line], [line[at : at + 1] for at in range(length)]):
            connection = Connection()
            for piece in pieces[:-1]:
                connection.receive_data(piece)
                assert connection.next_event() is None
            connection.receive_data(pieces[-1])
            if event:
                assert connection.next_event() == event
            else:
                with pytest.raises(CommandTooLong):
                    connection.next_event()


# -- readers by themselves ------------------------------------------------------------------------


def test_a_reader_of_commands_is_never_done() -> None:
    reader, buffer = CommandReader(40, utf8=False), ReceiveBuffer()
    assert not reader.done
    buffer.feed(b"NOOP\r\n")
    assert reader.read(buffer) == Command("NOOP", None, 4)
    assert not reader.done
    assert reader.read(buffer) is None


def test_connections_share_a_reader_of_commands() -> None:
    assert command_reader(40, True) is command_reader(40, True)
    assert command_reader(40, True) is not command_reader(40, False)
    assert command_reader(40, True).limit == 40


def test_the_rest_of_a_line_that_is_too_long() -> None:
    buffer = ReceiveBuffer()
    buffer.feed(b"NOOP xxxx")
    reader = OverlongLineReader(buffer)
    assert reader.mode is Mode.COMMAND
    for piece in (b"", b"x" * 1000, b"\r"):
        buffer.feed(piece)
        reader.read(buffer)
        assert not buffer.data
        assert not reader.done
    buffer.feed(b"\nNOOP\r\n")
    with pytest.raises(CommandTooLong) as caught:
        reader.read(buffer)
    assert not caught.value.is_last
    assert reader.done
    assert CommandReader(10, utf8=False).read(buffer) == Command("NOOP", None, 4)


@pytest.mark.parametrize(
    ("reader", "octets"),
    [
        (AuthResponseReader(40), b"*\r\n"),
        (BodyReader(size_limit=None, line_limit=99, stream=False), b"a\r\n.\r\n"),
        (BodyReader(size_limit=None, line_limit=99, stream=True), b".\r\n"),
        (ProxyReader(), b"PROXY UNKNOWN\r\n"),
    ],
)
def test_the_others_are_done_with_their_last_event(reader: Reader, octets: bytes) -> None:
    buffer = ReceiveBuffer()
    for at in range(len(octets)):
        assert not reader.done
        assert reader.read(buffer) is None or reader.mode is Mode.BODY
        buffer.feed(octets[at : at + 1])
    assert reader.read(buffer) is not None
    assert reader.done


# -- bodies that come in one piece ----------------------------------------------------------------


def test_a_body_in_one_piece_is_taken_whole() -> None:
    buffer = ReceiveBuffer()
    buffer.feed(b"Subject: x\r\n\r\n0.5 of it\r\n.\r\n")
    assert WholeBodyReader(99, 99).read(buffer) == Body(b"Subject: x\r\n\r\n0.5 of it\r\n")
    assert not buffer.data


@pytest.mark.parametrize(
    "octets",
    [
        b"a\r\n.\r",  # not all there
        b".\r\n",  # empty
        b".a\r\n.\r\n",  # transparency to undo, at the beginning
        b"a\r\n..\r\n.\r\n",  # and later
        b"a\r\n.\r\nb\r\n.\r\n",  # something behind it
        b"a" * 18 + b"\r\n.\r\n",  # too large
        b"a" * 8 + b"\r\n.\r\n",  # a line too long
    ],
)
def test_any_other_body_is_left_as_it_came(octets: bytes) -> None:
    buffer = ReceiveBuffer()
    buffer.feed(octets)
    reader = WholeBodyReader(16, 9)
    assert reader.read(buffer) is None
    assert buffer.data == octets
    assert isinstance(reader.by_steps(), BodyReader)


def test_connections_with_the_same_limits_share_a_reader_of_bodies() -> None:
    assert whole_body_reader(10, 1001) is whole_body_reader(10, 1001)
    assert whole_body_reader(10, 1001) is not whole_body_reader(None, 1001)
    # Equal, and yet not what others can read with.
    assert whole_body_reader(10, 1001.0) is not whole_body_reader(10, 1001)


# -- AUTH responses -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line", [b"", b"*", b"=", b"eA==", b" x ", b"\xff\x00", b"a b", b".", b"a\rb"]
)
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_auth_response(read: Read, line: bytes, end: bytes) -> None:
    assert read(b"AUTH LOGIN\r\n" + line + end) == [AUTH, (AuthResponse, line)]


def test_longest_auth_response() -> None:
    for length, allowed in ((12288, True), (12289, False), (30000, False)):
        line = b"x" * (length - 2) + b"\r\n"
        for pieces in ([line], [line[at : at + 7] for at in range(0, length, 7)]):
            connection = Connection(command_limit=512)
            connection.expect_auth_response()
            for piece in pieces[:-1]:
                connection.receive_data(piece)
                assert connection.next_event() is None
            connection.receive_data(pieces[-1] + b"NOOP\r\n")
            if allowed:
                assert connection.next_event() == AuthResponse(line[:-2])
            else:
                with pytest.raises(CommandTooLong):
                    connection.next_event()
            assert connection.next_event() == Command("NOOP", None, 4)


def test_a_refused_auth_response_is_the_only_one() -> None:
    """What follows it is a command: the exchange is over (RFC 4954 section 4)."""
    reader = AuthResponseReader(10)
    buffer = ReceiveBuffer()
    for piece in (b"x" * 11, b"x", b"x"):
        buffer.feed(piece)
        assert reader.read(buffer) is None
        assert not reader.done
    buffer.feed(b"\nNOOP\r\n")
    with pytest.raises(CommandTooLong):
        reader.read(buffer)
    assert reader.done
    assert CommandReader(10, utf8=False).read(buffer) == Command("NOOP", None, 4)


def test_an_auth_response_never_shows_its_secret() -> None:
    event = AuthResponse(b"c2VjcmV0")
    for text in (repr(event), str(event), f"{event}", f"{event!s:>3}", repr([event])):
        assert "c2VjcmV0" not in text
        assert "<8 octets>" in text


@pytest.mark.parametrize("verb", ["AUTH", ""])
def test_a_command_that_may_hold_a_secret_does_not_show_it(verb: str) -> None:
    """A space before AUTH makes an empty verb, and the client's mistake is logged."""
    assert "c2VjcmV0" not in repr(Command(verb, "PLAIN c2VjcmV0", 19))
    assert repr(Command("NOOP", "x", 6)) == "Command(verb='NOOP', argument='x', size=6)"


# -- where a body ends ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "content"),
    [
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\r\n"),
        (b"a\r\n.\r\n", b"a\r\n"),
        (b"a\r\n\r\n.\r\n", b"a\r\n\r\n"),
        # Transparency (RFC 5321 section 4.5.2): the first dot of a line goes, whatever follows it.
        (b"..\r\n.\r\n", b".\r\n"),
        (b"...\r\n.\r\n", b"..\r\n"),
        (b".a\r\n.\r\n", b"a\r\n"),
        (b"a\r\n.b\r\n.\r\n", b"a\r\nb\r\n"),
        (b"a\r\n..\r\n..b\r\n\r\n.\r\n", b"a\r\n.\r\n.b\r\n\r\n"),
        (b"..\r\n..\r\n..\r\n.\r\n", b".\r\n.\r\n.\r\n"),
        (b"\r\n..\r\n.\r\n", b"\r\n.\r\n"),
        (b"a.\r\n.\r\n", b"a.\r\n"),
        (b"a..\r\n.\r\n", b"a..\r\n"),
        (b"a..b\r\n.\r\n", b"a..b\r\n"),
        (b".\ra\r\n.\r\n", b"\ra\r\n"),
        (b"\x00\xff\r\n.\r\n", b"\x00\xff\r\n"),
        # SMTP smuggling: nothing but CRLF.CRLF is the end (RFC 5321 section 4.1.1.4).
        (b"a\n.\n\r\n.\r\n", b"a\n.\n\r\n"),
        (b"a\n.\r\n.\r\n", b"a\n.\r\n"),
        (b"a\n.\rb\r\n.\r\n", b"a\n.\rb\r\n"),
        (b"a\r.\r\r\n.\r\n", b"a\r.\r\r\n"),
        (b"a\r.\r\n.\r\n", b"a\r.\r\n"),
        (b"a\r.\n\r\n.\r\n", b"a\r.\n\r\n"),
        (b"a\r\n.\n\r\n.\r\n", b"a\r\n\n\r\n"),
        (b"a\r\n.\rb\r\n.\r\n", b"a\r\n\rb\r\n"),
        (b"a\r\n.\r\r\n.\r\n", b"a\r\n\r\r\n"),
        (b"a\n\n.\n\n\r\n.\r\n", b"a\n\n.\n\n\r\n"),
        (b"a\r\r\n.\r\r\n.\r\n", b"a\r\r\n\r\r\n"),
        (b"a\n\r.\n\r\r\n.\r\n", b"a\n\r.\n\r\r\n"),
        (b"a\r\n\x00.\r\n.\r\n", b"a\r\n\x00.\r\n"),
        (b"a\r\n.\x00\r\n.\r\n", b"a\r\n\x00\r\n"),
        (b"a\r\n .\r\n.\r\n", b"a\r\n .\r\n"),
        (b"a\r\n. \r\n.\r\n", b"a\r\n \r\n"),
        (b".\n\r\n.\r\n", b"\n\r\n"),
        (b".\r\r\n.\r\n", b"\r\r\n"),
        (b"\n.\n\r\n.\r\n", b"\n.\n\r\n"),
        (b"\n.\r\n.\r\n", b"\n.\r\n"),
        (b"\r.\r\r\n.\r\n", b"\r.\r\r\n"),
        (b"a\n.\nMAIL FROM:<b>\r\n.\r\n", b"a\n.\nMAIL FROM:<b>\r\n"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_body(read: Read, body: bytes, content: bytes, stream: bool) -> None:
    told = read(b"DATA\r\n" + body, stream=stream)
    if stream:
        assert told == [DATA] + [(BodyChunk, content)] * bool(content) + [(BodyEnd,)]
    else:
        assert told == [DATA, (Body, content)]


@pytest.mark.parametrize("before", [b"\n", b"\r", b"\n\r", b"", b"\r\r", b"\n\n"])
@pytest.mark.parametrize("after", [b"\n", b"\r", b"\n\r", b"\r\n", b"\r\r", b"\n\n", b"\r\r\n"])
def test_no_other_line_ends_end_a_body(read: Read, before: bytes, after: bytes) -> None:
    octets = b"DATA\r\na" + before + b"." + after + b"b\r\n"
    assert read(octets, complete=False) == [DATA]
    assert read(octets + b".\r\n") == [DATA, (Body, octets[6:])]


@pytest.mark.parametrize("after", [b"\n", b"\r", b"\n\r", b"\r\r", b"\n\n", b"\r\r\n"])
@pytest.mark.parametrize("before", [b"", b"a\r\n"])
def test_a_dot_that_begins_a_line_needs_crlf_behind_it(
    read: Read, before: bytes, after: bytes
) -> None:
    octets = b"DATA\r\n" + before + b"." + after + b"b\r\n"
    assert read(octets, complete=False) == [DATA]
    assert read(octets + b".\r\n") == [DATA, (Body, before + after + b"b\r\n")]


@pytest.mark.parametrize("stream", [False, True])
def test_a_body_may_be_followed_by_another(read: Read, stream: bool) -> None:
    told = read(b"DATA\r\na\r\n.\r\nDATA\r\n.\r\nDATA\r\n..\r\n.\r\n", stream=stream)
    bodies = [content for kind, *fields in told for content in fields if kind in (Body, BodyChunk)]
    # An empty stream has no chunk, while a whole body may be empty.
    assert bodies == [b"a\r\n", *([] if stream else [b""]), b".\r\n"]
    assert told.count(DATA) == 3


def test_a_body_that_ends_is_given_without_more_octets() -> None:
    """Nobody waits for what a client that waits for its reply does not send."""
    for stream in (False, True):
        connection = Connection()
        connection.expect_body(stream=stream)
        connection.receive_data(b"a\r\n.\r")
        while connection.next_event() is not None:
            pass
        connection.receive_data(b"\n")
        events = [connection.next_event() for _ in range(1 + stream)]
        assert isinstance(events[-1], BodyEnd if stream else Body)


def test_a_stream_holds_back_only_what_may_be_the_end() -> None:
    connection = Connection()
    connection.expect_body(stream=True)
    connection.receive_data(b"abc\r\n.\r")
    assert connection.next_event() == BodyChunk(b"abc")
    assert connection.next_event() is None
    connection.receive_data(b"d")
    assert connection.next_event() == BodyChunk(b"\r\n\rd")


# -- the limit of a body --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "content"),
    [
        (b"\r\n.\r\n", b"\r\n"),
        (b"\r\n..\r\n.\r\n", b"\r\n.\r\n"),
        (b"\r\n.x\r\n.\r\n", b"\r\nx\r\n"),
        (b"\r\n.\rx\r\n.\r\n", b"\r\n\rx\r\n"),
        (b".\r\n\r\n.\r\n", b".\r\n\r\n"),
    ],
)
def test_a_stream_gives_no_more_than_its_chunk_at_a_time(octets: bytes, content: bytes) -> None:
    size = 65536
    for distance in range(-2, len(octets) + 2):  # of the end of a chunk from what matters
        filler = b"x" * (size - distance)
        connection = Connection()
        connection.expect_body(stream=True, line_limit=4 * size)
        connection.receive_data(filler + octets + b"NOOP\r\n" * size)
        chunks = []
        while isinstance(event := connection.next_event(), BodyChunk):
            chunks.append(event.data)
        assert b"".join(chunks) == filler + content
        assert max(map(len, chunks)) <= size
        assert isinstance(event, BodyEnd)
        assert connection.next_event() == Command("NOOP", None, 4)


def test_a_stream_is_not_cut_into_crumbs() -> None:
    size, lines = 65536, b"x" * 998 + b"\r\n"
    body = lines * 1000
    connection = Connection()
    connection.expect_body(stream=True)
    chunks = []
    for start in range(0, len(body), size):
        connection.receive_data(body[start : start + size])
        while isinstance(event := connection.next_event(), BodyChunk):
            chunks.append(event.data)
    assert len(chunks) <= len(body) / size + 1


def test_what_follows_a_fault_is_dropped_at_once_and_not_chunk_by_chunk() -> None:
    connection = Connection()
    connection.expect_body(stream=True, size_limit=1)
    connection.receive_data(b"x\r\n" * 100_000)
    with pytest.raises(BodyTooLarge):
        connection.next_event()
    assert connection.next_event() is None
    assert len(connection.buffer) <= 4


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("octets", "content"),
    [
        (b"a" * 18 + b"\r\n.\r\n", b"a" * 18 + b"\r\n"),
        (b"..\r\n" * 4 + b".\r\n", b".\r\n" * 4),
        (b"...abc\r\n\r\n...\r\n.\r\n", b"..abc\r\n\r\n..\r\n"),
        (b"\r\n.\r\n", b"\r\n"),
    ],
)
def test_largest_body(read: Read, stream: bool, octets: bytes, content: bytes) -> None:
    """Neither the dots of transparency nor the end are part of the body (RFC 1870 section 5)."""
    size = len(content)
    for size_limit in (None, size, size + 1):
        told = read(b"DATA\r\n" + octets, size_limit=size_limit, stream=stream)
        if stream:
            assert told == [DATA, (BodyChunk, content), (BodyEnd,)]
        else:
            assert told == [DATA, (Body, content)]
    for size_limit in (size - 1, 1):
        told = read(b"DATA\r\n" + octets, size_limit=size_limit, stream=stream)
        assert told == [DATA, (BodyTooLarge,)] + [(BodyEnd,)] * stream


def test_the_smallest_limit(read: Read) -> None:
    assert read(b"DATA\r\n.\r\n", size_limit=0) == [DATA, (Body, b"")]
    assert read(b"DATA\r\n\r\n.\r\n", size_limit=0) == [DATA, (BodyTooLarge,)]
    assert read(b"DATA\r\n\r\n.\r\n", line_limit=2) == [DATA, (Body, b"\r\n")]
    assert read(b"DATA\r\na\r\n.\r\n", line_limit=2) == [DATA, (BodyLineTooLong,)]


@pytest.mark.parametrize(
    "filler", [b"\n.\n", b".\n", b"\r.\r", b"\r\n..\r\n", b"\r\n.\n", b"a\r\n"]
)
@pytest.mark.parametrize("stream", [False, True])
def test_after_a_fault_the_body_still_ends_where_it_ends(
    read: Read, filler: bytes, stream: bool
) -> None:
    """The leftovers of a refused body never become commands."""
    octets = b"DATA\r\n" + b"x" * 8 + filler + b"QUIT\r\n" + filler + b"\r\n.\r\n"
    end = [(BodyEnd,)] * stream
    assert read(octets, size_limit=5, stream=stream) == [DATA, (BodyTooLarge,), *end]
    assert read(octets, line_limit=5, stream=stream) == [DATA, (BodyLineTooLong,), *end]


def test_the_limit_of_a_line_is_rfc_5321s_unless_told() -> None:
    """Section 4.5.3.1.6 has 1,000 octets; 1.4 allows one more."""
    for length, kind in ((1001, Body), (1002, BodyLineTooLong)):
        connection = Connection()
        connection.expect_body()
        connection.receive_data(b"x" * (length - 2) + b"\r\n.\r\n")
        if kind is Body:
            assert isinstance(connection.next_event(), Body)
        else:
            with pytest.raises(BodyLineTooLong):
                connection.next_event()


# -- the limit of a line in a body ----------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "before", [b"", b"short\r\n", b"a\nb\r\n", b"\r\n" * 3, b"x" * 18 + b"\r\n"]
)
@pytest.mark.parametrize("stuffing", [b"", b"."])
@pytest.mark.parametrize("after", [b"", b"short\r\n"])
def test_longest_line_of_a_body(
    read: Read, stream: bool, before: bytes, stuffing: bytes, after: bytes
) -> None:
    for length, allowed in ((19, True), (20, True), (21, False), (45, False)):
        line = stuffing.ljust(length - 2, b"x") + b"\r\n"
        # The dot that transparency added is no part of the line (RFC 5321 section 4.5.3.1.6).
        octets = b"DATA\r\n" + before + stuffing + line + after + b".\r\n"
        told = read(octets, line_limit=20, stream=stream)
        if not allowed:
            assert told == [DATA, (BodyLineTooLong,)] + [(BodyEnd,)] * stream
        elif stream:
            assert told == [DATA, (BodyChunk, before + line + after), (BodyEnd,)]
        else:
            assert told == [DATA, (Body, before + line + after)]


def test_a_line_that_comes_in_pieces_has_a_limit(read: Read) -> None:
    assert read(b"DATA\r\n" + b"x" * 3000 + b"\r\n.\r\n") == [DATA, (BodyLineTooLong,)]


@pytest.mark.parametrize("stream", [False, True])
def test_the_fault_of_the_first_octet_wins(read: Read, stream: bool) -> None:
    """A line too long from its octet 10 on, a body too large from octet 8 to 12 on."""
    for size_limit, fault in (
        (8, BodyTooLarge),
        (9, BodyTooLarge),
        (10, BodyLineTooLong),
        (11, BodyLineTooLong),
    ):
        octets = b"DATA\r\n" + b"x" * 40 + b"\r\n.\r\n"
        told = read(octets, size_limit=size_limit, line_limit=10, stream=stream)
        assert told == [DATA, (fault,)] + [(BodyEnd,)] * stream


def test_a_stream_tells_a_fault_with_the_octet_that_makes_it(read: Read) -> None:
    """And not before it: what came so far may be all that ever comes."""
    for octets, limits, fault in (
        (b"x" * 10, {"line_limit": 10}, []),
        (b"x" * 11, {"line_limit": 10}, [(BodyLineTooLong,)]),
        (b"x" * 10, {"size_limit": 10}, []),
        (b"x" * 11, {"size_limit": 10}, [(BodyTooLarge,)]),
        # A line end that may be the begin of the end waits for what it is.
        (b"x" * 10 + b"\r\n", {"size_limit": 10}, []),
        (b"x" * 10 + b"\r\n.\r", {"size_limit": 10}, []),
        (b"x" * 10 + b"\r\n.x", {"size_limit": 10}, [(BodyTooLarge,)]),
    ):
        told = read(b"DATA\r\n" + octets, complete=False, stream=True, **limits)
        assert told == [DATA, *fault]


# -- a BDAT that cannot be read -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "is_last"),
    [
        (b"BDAT 6\x00 LAST", True),
        (b"bdat 6 \x0bLAST", True),
        (b"BDAT 6 \xff", True),
        (b"BDAT\t6 LAST", True),
        (b"BDAT " + b"6" * 99, True),
        (b"BDATE \x00", False),
        (b"BDAT6 \xff", False),
        (b"NOOP BDAT \x00", False),
        (b"x" * 99, False),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_a_chunk_of_unknown_size_ends_the_connection(
    line: bytes, is_last: bool, at_once: bool
) -> None:
    connection = Connection(command_limit=40)
    octets = line + b"\r\n"
    pieces = [octets] if at_once else [octets[at : at + 1] for at in range(len(octets))]
    with pytest.raises(ProtocolError) as caught:
        for piece in pieces:
            connection.receive_data(piece)
            assert connection.next_event() is None
    assert caught.value.is_last is is_last
    connection.receive_data(b"x" * 99 + b"\r\n")
    with pytest.raises(CommandTooLong) as other:
        connection.next_event()
    assert not other.value.is_last
