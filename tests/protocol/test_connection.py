"""The engine's face: modes and their ends, the TLS boundary, what is held back, and what is kept."""

from __future__ import annotations

import gc
import io
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aiosmtpd import protocol
from aiosmtpd.protocol import (
    AUTH_LINE_LIMIT,
    AuthResponse,
    BadCommand,
    Body,
    BodyChunk,
    BodyEnd,
    BodyIncomplete,
    BodyLineTooLong,
    BodyTooLarge,
    Command,
    CommandTooLong,
    Connection,
    ConnectionClosed,
    Event,
    Mode,
    NonAsciiCommand,
    ProxyHeader,
)
from aiosmtpd.protocol.readers import BodyReader

Read = Callable[..., list[tuple[Any, ...]]]
Cuts = Callable[[bytes], Iterator[list[bytes]]]

PROXY_V1 = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 25\r\n"
PROXY_V2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x00\x19"
DATA = (Command, "DATA", None, 4)
NOOP = (Command, "NOOP", None, 4)


def events_of(connection: Connection) -> list[Event]:
    """What can be read without faults, up to the end of the connection."""
    events: list[Event] = []
    while event := connection.next_event():
        events.append(event)
        if isinstance(event, ConnectionClosed):
            break
    return events


# -- the package ----------------------------------------------------------------------------------


def test_public_names() -> None:
    assert sorted(protocol.__all__) == protocol.__all__
    for name in protocol.__all__:
        assert hasattr(protocol, name)


@pytest.mark.parametrize(
    "event", [Command("NOOP", None, 4), BodyEnd(), ConnectionClosed(), Body(b""), AuthResponse(b"")]
)
def test_an_event_is_true(event: Event) -> None:
    """So that a driver may loop ``while event := connection.next_event()``."""
    assert event


# -- modes ----------------------------------------------------------------------------------------


def test_modes_follow_what_is_announced() -> None:
    connection = Connection(proxy=True)
    modes = [connection.mode]
    connection.receive_data(PROXY_V1)
    assert isinstance(connection.next_event(), ProxyHeader)
    modes.append(connection.mode)
    connection.expect_auth_response()
    modes.append(connection.mode)
    connection.receive_data(b"eA==\r\n")
    assert connection.next_event() == AuthResponse(b"eA==")
    modes.append(connection.mode)
    connection.expect_body()
    modes.append(connection.mode)
    connection.receive_data(b".\r\n")
    assert connection.next_event() == Body(b"")
    modes.append(connection.mode)
    assert modes == [Mode.PROXY, Mode.COMMAND, Mode.AUTH, Mode.COMMAND, Mode.BODY, Mode.COMMAND]


def test_a_command_that_is_refused_announces_nothing(read: Read) -> None:
    """The engine does not know what takes effect: DATA changes its mode only if told."""
    connection = Connection()
    connection.receive_data(b"DATA\r\n.\r\n")
    assert events_of(connection) == [Command("DATA", None, 4), Command(".", None, 1)]


def test_bodies_and_commands_in_one_stream(read: Read) -> None:
    octets = b"EHLO a\r\nDATA\r\n..a\r\n.\r\nNOOP\r\nDATA\r\n.\r\nAUTH LOGIN\r\n*\r\nQUIT\r\n"
    assert read(octets) == [
        (Command, "EHLO", "a", 6),
        DATA,
        (Body, b".a\r\n"),
        NOOP,
        DATA,
        (Body, b""),
        (Command, "AUTH", "LOGIN", 10),
        (AuthResponse, b"*"),
        (Command, "QUIT", None, 4),
    ]


def test_what_an_engine_expects_unless_told() -> None:
    connection = Connection()
    assert connection.mode is Mode.COMMAND
    connection.receive_data(b"NOOP \xc3\xa9\r\n")
    with pytest.raises(NonAsciiCommand):
        connection.next_event()
    assert not connection.eof


# -- the PROXY header -----------------------------------------------------------------------------


@pytest.mark.parametrize("header", [PROXY_V1, PROXY_V2])
def test_what_follows_a_proxy_header_is_kept(header: bytes, cuts: Cuts) -> None:
    for pieces in cuts(header + b"EHLO a\r\nNOOP\r\n"):
        connection = Connection(proxy=True)
        events: list[Event] = []
        for piece in pieces:
            connection.receive_data(piece)
            events += events_of(connection)
        assert isinstance(events[0], ProxyHeader)
        assert events[0].data.valid
        assert str(events[0].data.src_addr) == "192.0.2.1"
        assert events[1:] == [Command("EHLO", "a", 6), Command("NOOP", None, 4)]


def test_tls_may_follow_a_proxy_header() -> None:
    """With implicit TLS behind a proxy the octets after the header are not ours to read."""
    connection = Connection(proxy=True)
    connection.receive_data(PROXY_V2 + b"\x16\x03\x01\n")
    assert isinstance(connection.next_event(), ProxyHeader)
    assert connection.buffer.peek(99) == b"\x16\x03\x01\n"


@pytest.mark.parametrize("octets", [b"EHLO a\r\n", b"PROXY TCP4 \r\n", b"PROXY " + b"x" * 200])
def test_an_invalid_proxy_header_is_an_event(octets: bytes) -> None:
    connection = Connection(proxy=True)
    connection.receive_data(octets)
    event = connection.next_event()
    assert isinstance(event, ProxyHeader)
    assert not event.data.valid
    assert connection.mode is Mode.COMMAND


@pytest.mark.parametrize("octets", [b"", b"PROXY ", PROXY_V1[:-1], PROXY_V2[:-1]])
def test_the_end_inside_a_proxy_header(octets: bytes) -> None:
    connection = Connection(proxy=True)
    connection.receive_data(octets)
    assert connection.next_event() is None
    connection.receive_eof()
    assert isinstance(connection.next_event(), ConnectionClosed)


# -- the end --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "told"),
    [
        (b"", []),
        (b"NOOP\r\n", [NOOP]),
        (b"NOOP\r\nNOO", [NOOP]),
        (b"QUIT", []),
        (b"AUTH LOGIN\r\neA=", [(Command, "AUTH", "LOGIN", 10)]),
        (b"x" * 99, []),
        (b"x" * 99 + b"\nNO", [(CommandTooLong,)]),
        (b"DATA\r\n", [DATA, (BodyIncomplete,)]),
        (b"DATA\r\na\r\n.\r\n", [DATA, (Body, b"a\r\n")]),
        (b"DATA\r\na\r\n.\r\nDATA\r\na\r\n.\n", [DATA, (Body, b"a\r\n"), DATA, (BodyIncomplete,)]),
    ],
)
def test_the_end_of_the_stream(read: Read, octets: bytes, told: list[tuple[Any, ...]]) -> None:
    engine = {"command_limit": 40}
    assert read(octets, eof=True, complete=False, engine=engine) == [*told, (ConnectionClosed,)]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "body", [b"", b".", b".\r", b"a", b"a\r\n", b"a\r\n.", b"a\r\n.\r", b"a.\r\n"]
)
@pytest.mark.parametrize("size_limit", [None, 2])
def test_the_end_inside_a_body(
    read: Read, stream: bool, body: bytes, size_limit: int | None
) -> None:
    """A body that is cut off is never taken for a whole one; a fault in it changes nothing."""
    told = read(b"DATA\r\n" + body, complete=False, eof=True, stream=stream, size_limit=size_limit)
    if stream and told[1] == (BodyTooLarge,):
        told.pop(1)
    assert told == [DATA, (BodyIncomplete,), (ConnectionClosed,)]


def test_the_end_comes_after_what_was_sent() -> None:
    connection = Connection()
    connection.receive_data(b"NOOP\r\nNOOP\r\n")
    connection.receive_eof()
    assert connection.eof
    assert [type(event) for event in events_of(connection)] == [Command, Command, ConnectionClosed]
    assert isinstance(connection.next_event(), ConnectionClosed)


@pytest.mark.parametrize(
    "octets", [b"", b"NOOP\r\nNOOP\r\n", b"x" * 30000, b"DATA\r\n", b"AUTH\r\n", b"AUTH\r\nx"]
)
def test_nothing_is_read_after_the_last_reply(octets: bytes) -> None:
    """Neither what is buffered nor what comes while the driver closes the connection."""
    connection = Connection()
    connection.receive_data(octets)
    event = connection.next_event()
    if isinstance(event, Command) and event.verb == "DATA":
        connection.expect_body()
    elif isinstance(event, Command) and event.verb == "AUTH":
        connection.expect_auth_response()
    connection.end()
    assert connection.mode is Mode.COMMAND
    connection.receive_data(b"NOOP\r\n")
    assert len(connection.buffer) == 0
    assert isinstance(connection.next_event(), ConnectionClosed)


# -- the TLS boundary -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stowaway", [b"", b"NOOP", b"NOOP\r\n", b"MAIL FROM:<>\r\nRSET\r\n", b"\n"]
)
def test_nothing_read_before_tls_survives_it(stowaway: bytes) -> None:
    connection = Connection()
    connection.receive_data(b"STARTTLS\r\n" + stowaway)
    assert connection.next_event() == Command("STARTTLS", None, 8)
    connection.start_tls()
    assert len(connection.buffer) == 0
    assert connection.next_event() is None
    connection.receive_data(b"EHLO a\r\n")
    assert events_of(connection) == [Command("EHLO", "a", 6)]


def test_a_line_that_was_too_long_before_tls_is_forgotten() -> None:
    """Also by a driver that reads on before it begins TLS."""
    connection = Connection(command_limit=40)
    connection.receive_data(b"STARTTLS\r\n" + b"x" * 99)
    assert events_of(connection) == [Command("STARTTLS", None, 8)]
    connection.start_tls()
    connection.receive_data(b"EHLO a\r\n")
    assert events_of(connection) == [Command("EHLO", "a", 6)]


def test_a_body_that_was_expected_before_tls_is_forgotten() -> None:
    connection = Connection()
    connection.expect_body()
    connection.start_tls()
    assert connection.mode is Mode.COMMAND


def test_the_reply_before_tls_is_never_held_back() -> None:
    connection = Connection()
    connection.receive_data(b"NOOP\r\nSTARTTLS\r\nNOOP\r\n")
    connection.next_event()
    assert connection.send("250 OK") == b""
    connection.next_event()
    assert connection.send("220 Ready") == b"250 OK\r\n220 Ready\r\n"
    connection.start_tls()
    assert connection.flush() == b""


# -- replies --------------------------------------------------------------------------------------


def test_a_reply_leaves_at_once_if_nothing_is_buffered() -> None:
    connection = Connection()
    connection.receive_data(b"NOOP\r\n")
    connection.next_event()
    assert connection.send("250 OK") == b"250 OK\r\n"
    assert connection.flush() == b""
    assert connection.held == b""


def test_replies_to_a_group_leave_together() -> None:
    connection = Connection()
    connection.receive_data(b"A\r\nB\r\nC\r\n")
    for reply, octets in (
        ("250 a", b""),
        ("250 b", b""),
        ("250 c", b"250 a\r\n250 b\r\n250 c\r\n"),
    ):
        connection.next_event()
        assert connection.send(reply) == octets
    assert connection.flush() == b""


def test_what_is_held_back_leaves_when_asked() -> None:
    connection = Connection()
    connection.receive_data(b"A\r\nB")
    connection.next_event()
    assert connection.send("250 a") == b""
    assert connection.held == b"250 a\r\n"
    assert connection.flush() == b"250 a\r\n"
    assert connection.held == b""
    assert connection.flush() == b""


def test_held_back_replies_come_before_a_later_one() -> None:
    """Also if what was buffered is gone by then."""
    connection = Connection()
    connection.receive_data(b"A\r\nB")
    connection.next_event()
    connection.send("250 a")
    connection.buffer.clear()
    assert connection.send("250 b") == b"250 a\r\n250 b\r\n"


@pytest.mark.parametrize("last", ["220 x", "221 Bye", "421 4.3.2 x", "421-4.3.2 x\r\n421 4.3.2 y"])
@pytest.mark.parametrize("first", [[], ["250 OK", "250 OK"]])
def test_the_last_reply_leaves_at_once(first: list[str], last: str) -> None:
    connection = Connection()
    connection.receive_data(b"QUIT\r\nNOOP\r\n")
    connection.next_event()
    for reply in first:
        assert connection.send(reply) == b""
    octets = "".join(f"{reply}\r\n" for reply in [*first, last]).encode()
    assert connection.send(last.encode()) == octets
    assert connection.flush() == b""


def test_no_more_is_held_back_than_a_limit() -> None:
    """A client that pipelines without end and reads nothing is not answered from memory."""
    connection = Connection()
    connection.receive_data(b"NOOP\r\n" * 100)
    reply = "250 " + "x" * 1018  # 1,024 octets with its CRLF, of which 16 are 16,384
    given = []
    while connection.next_event():
        given.append(connection.send(reply))
        assert len(connection.held) <= 16384
    assert b"".join(given) == f"{reply}\r\n".encode() * 100
    assert [len(octets) // 1024 for octets in given if octets] == [17, 17, 17, 17, 17, 15]


def test_a_reply_over_the_limit_is_held_back_once() -> None:
    connection = Connection()
    connection.receive_data(b"NOOP\r\n" * 100)
    # The first is one octet short of the limit, its CRLF counted.
    for length, octets in [(16381, 0), (1, 0), (1, 16389)] * 2:
        assert len(connection.send("x" * length)) == octets


@pytest.mark.parametrize(
    ("utf8", "octets"), [(False, b"250 \\xe9\r\n"), (True, "250 \xe9\r\n".encode())]
)
def test_replies_are_encoded_as_the_client_may_be_sent_them(utf8: bool, octets: bytes) -> None:
    assert Connection(utf8=utf8).send("250 \xe9") == octets


def test_what_is_no_reply_is_refused() -> None:
    connection = Connection()
    with pytest.raises(TypeError):
        connection.send(None)  # type: ignore[arg-type]
    assert connection.flush() == b""


# -- streamed bodies ------------------------------------------------------------------------------


def test_a_discarded_body_gives_its_end_only(cuts: Cuts) -> None:
    for pieces in cuts(b"a\r\n..b\r\n.\r\n"):
        connection = Connection()
        connection.expect_body(stream=True, size_limit=3, line_limit=3)
        connection.discard_body()
        events: list[Event] = []
        for piece in [*pieces, b"NOOP\r\n"]:
            connection.receive_data(piece)
            events += events_of(connection)
        assert [type(event) for event in events] == [BodyEnd, Command]


@pytest.mark.parametrize("fault", [False, True])
def test_a_body_may_be_discarded_halfway(fault: bool) -> None:
    connection = Connection()
    connection.expect_body(stream=True, size_limit=5 if fault else None)
    connection.receive_data(b"abc")
    assert connection.next_event() == BodyChunk(b"abc")
    connection.receive_data(b"defg")
    if fault:
        with pytest.raises(BodyTooLarge):
            connection.next_event()
    connection.discard_body()
    assert connection.next_event() is None
    connection.receive_data(b"hi\r\n.\r\nNOOP\r\n")
    assert [type(event) for event in events_of(connection)] == [BodyEnd, Command]


def test_discarding_is_for_bodies_only() -> None:
    connection = Connection()
    connection.discard_body()
    connection.receive_data(b"NOOP\r\n")
    assert connection.next_event() == Command("NOOP", None, 4)


def test_a_discarded_body_that_is_cut_off_is_incomplete() -> None:
    connection = Connection()
    connection.expect_body(stream=True)
    connection.discard_body()
    connection.receive_data(b"abc\r\n.")
    connection.receive_eof()
    with pytest.raises(BodyIncomplete):
        connection.next_event()
    assert isinstance(connection.next_event(), ConnectionClosed)


@pytest.mark.parametrize(("size_limit", "kind"), [(10, BodyTooLarge), (None, BodyLineTooLong)])
def test_a_fault_of_a_stream_is_told_when_it_is_found(
    size_limit: int | None, kind: type[Exception]
) -> None:
    connection = Connection()
    connection.expect_body(stream=True, size_limit=size_limit, line_limit=20)
    connection.receive_data(b"x" * 8)
    assert connection.next_event() == BodyChunk(b"x" * 8)
    connection.receive_data(b"x" * 20)
    with pytest.raises(kind):
        connection.next_event()
    for _ in range(3):
        connection.receive_data(b"x" * 20)
        assert connection.next_event() is None
    assert connection.mode is Mode.BODY
    connection.receive_data(b"\r\n.\r\nNOOP\r\n")
    assert isinstance(connection.next_event(), BodyEnd)
    assert events_of(connection) == [Command("NOOP", None, 4)]


@pytest.mark.parametrize(("size_limit", "kind"), [(10, BodyTooLarge), (None, BodyLineTooLong)])
def test_a_fault_of_a_whole_body_is_told_at_its_end(
    size_limit: int | None, kind: type[Exception]
) -> None:
    connection = Connection()
    connection.expect_body(size_limit=size_limit, line_limit=20)
    for _ in range(3):
        connection.receive_data(b"x" * 20)
        assert connection.next_event() is None
    connection.receive_data(b"\r\n.\r\nNOOP\r\n")
    with pytest.raises(kind):
        connection.next_event()
    assert events_of(connection) == [Command("NOOP", None, 4)]


@pytest.mark.parametrize("at", range(65530, 65542))
def test_a_long_stream_is_cut_into_chunks(at: int) -> None:
    """A stuffed dot, or the end, may be anywhere where it is cut."""
    line = b"x" * 100 + b"\r\n"
    before = (line * 700)[: at - 2] + b"\r\n"
    for filler in (b"", line * 3000):
        connection = Connection()
        connection.expect_body(stream=True)
        connection.receive_data(before + b"..y\r\n" + filler + b".\r\nNOOP\r\n")
        *chunks, end, command = events_of(connection)
        assert isinstance(end, BodyEnd)
        assert command == Command("NOOP", None, 4)
        contents = [event.data for event in chunks if isinstance(event, BodyChunk)]
        assert len(contents) == len(chunks)
        assert b"".join(contents) == before + b".y\r\n" + filler
        assert max(map(len, contents)) <= 81920


def test_streaming_is_known() -> None:
    connection = Connection()
    told = [connection.streaming]
    for stream in (True, False):
        connection.expect_body(stream=stream)
        told.append(connection.streaming)
        connection.receive_data(b".\r\n")
        connection.next_event()
        told.append(connection.streaming)
    assert told == [False, True, False, False, False]


# -- what is kept ---------------------------------------------------------------------------------


def octets_kept(root: object) -> int:
    """The memory of all octets that can be reached from an object."""
    found = 0
    seen = {id(root)}
    queue = [root]
    while queue:
        thing = queue.pop()
        if isinstance(thing, (bytes, bytearray, io.BytesIO)):
            found += sys.getsizeof(thing)  # that of a BytesIO has the octets in it
            continue
        for other in gc.get_referents(thing):
            if id(other) not in seen and not isinstance(other, (type, types.ModuleType)):
                seen.add(id(other))
                queue.append(other)
    return found


EMPTY = octets_kept(Connection())
PIECE = 4096


def test_the_measure_measures() -> None:
    connection = Connection()
    connection.receive_data(b"x" * 10000)
    assert octets_kept(connection) >= EMPTY + 10000
    connection.next_event()
    connection.expect_body(line_limit=99999)
    connection.receive_data(b"x" * 10000)
    assert connection.next_event() is None
    assert octets_kept(connection) >= EMPTY + 20000


@pytest.mark.parametrize("filler", [b"x", b"x\r", b"\x00", b".", b"\r", b"\xff"])
@pytest.mark.parametrize(
    "mode", ["command", "auth", "body too large", "line too long", "stream", "discarded", "proxy"]
)
def test_memory_is_bounded_without_a_line_end(mode: str, filler: bytes) -> None:
    connection = Connection(proxy=mode == "proxy")
    limits = {
        "body too large": {"size_limit": 10000},
        "line too long": {"size_limit": 10**9},
        "stream": {"size_limit": 10**9, "line_limit": 10**9, "stream": True},
        "discarded": {"size_limit": 10000, "stream": True},
    }
    if mode == "auth":
        connection.expect_auth_response()
    elif mode in limits:
        connection.expect_body(**limits[mode])  # type: ignore[arg-type]
    if mode == "discarded":
        connection.discard_body()
    piece = filler * (PIECE // len(filler))
    most = 0
    for _ in range(40):
        connection.receive_data(piece)
        try:
            while connection.next_event() is not None:
                pass
        except protocol.BodyError:
            assert mode in limits
        most = max(most, octets_kept(connection) - EMPTY)
    # The longest line, or the largest body; the piece that came over it; and what BytesIO adds.
    assert most <= max(AUTH_LINE_LIMIT, 10000 * 9 // 8) + PIECE + 200
    if mode in limits:
        assert len(connection.buffer) <= 4


@pytest.mark.parametrize("line", [b"\r\n", b".\r\n", b"..\r\n", b"x\n", b"\n.\n", b"\r\n.\n"])
@pytest.mark.parametrize("stream", [False, True])
def test_memory_is_bounded_in_a_body_without_end(line: bytes, stream: bool) -> None:
    connection = Connection()
    connection.expect_body(size_limit=20000, stream=stream)
    connection.receive_data(b"a")
    connection.next_event()
    faults = most = 0
    for _ in range(100):
        connection.receive_data(b"a" + line * (PIECE // len(line)))
        try:
            while isinstance(connection.next_event(), BodyChunk):
                pass
        except BodyTooLarge:
            faults += 1
        if connection.mode is Mode.COMMAND:
            connection.end()
            assert line.endswith(b".\r\n")
            return
        most = max(most, octets_kept(connection) - EMPTY)
    assert faults == stream
    assert most <= 20000 * 9 // 8 + PIECE + 200


@pytest.mark.parametrize("fault", [b"x" * 1002, b"x\r\n" * 1000])
def test_what_was_collected_is_dropped_with_the_fault(fault: bytes) -> None:
    """Nothing is kept of a body that is refused, however long its rest may take to come."""
    connection = Connection()
    connection.expect_body(size_limit=50000)
    for _ in range(49):
        connection.receive_data(b"x" * 998 + b"\r\n")
        assert connection.next_event() is None
    assert octets_kept(connection) >= 49000
    connection.receive_data(fault)
    assert connection.next_event() is None
    assert octets_kept(connection) <= EMPTY + 100


@pytest.mark.parametrize("stream", [False, True])
def test_a_faulty_body_needs_no_garbage_collector(stream: bool) -> None:
    def readers() -> set[int]:
        return {id(thing) for thing in gc.get_objects() if type(thing) is BodyReader}

    connection = Connection()
    gc.collect()
    gc.disable()
    try:
        before = readers()
        connection.expect_body(size_limit=10, stream=stream)
        connection.receive_data(b"x" * PIECE + b"\r\n.\r\n")
        try:
            connection.next_event()
        except BodyTooLarge:
            pass
        else:
            pytest.fail("there is no fault")
        if stream:
            assert isinstance(connection.next_event(), BodyEnd)
        assert readers() == before
    finally:
        gc.enable()


@pytest.mark.parametrize("octets", [b"NOOP\r\n", b"NOOP\r\n" * 999, b"x" * 20000, b"DATA\r\n"])
def test_an_idle_connection_keeps_nothing(octets: bytes) -> None:
    connection = Connection()
    connection.receive_data(octets)
    while event := connection.next_event():
        if isinstance(event, Command) and event.verb == "DATA":
            connection.expect_body()
            connection.receive_data(b"x" * 900 + b"\r\n.\r\n")
    assert octets_kept(connection) <= EMPTY


def test_faults_of_commands_are_told_once() -> None:
    connection = Connection(command_limit=40)
    connection.receive_data(b"\r\n" + b"x" * 99 + b"\r\nNOOP\r\n")
    for fault in (BadCommand, CommandTooLong):
        with pytest.raises(fault):
            connection.next_event()
    assert events_of(connection) == [Command("NOOP", None, 4)]
