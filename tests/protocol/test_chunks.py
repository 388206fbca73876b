"""Chunks of content (RFC 3030 section 2): only the count ends one, and all octets of it come through."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiosmtpd.protocol import (
    BodyChunk,
    BodyEnd,
    BodyIncomplete,
    Command,
    Connection,
    ConnectionClosed,
    Mode,
    parse_chunk,
)

Seen = tuple[Any, ...]
Read = Callable[..., list[Seen]]

NOOP: Seen = (Command, "NOOP", None, 4)
END: Seen = (BodyEnd,)
streamed = pytest.mark.parametrize("stream", [False, True], ids=["as it comes", "streamed"])


def bdat(argument: str) -> Seen:
    return (Command, "BDAT", argument, len(f"BDAT {argument}"))


# -- what BDAT announces --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "parsed"),
    [
        ("0", (0, "")),
        ("86", (86, "")),
        ("0086", (86, "")),
        ("86 LAST", (86, "LAST")),
        ("86 last", (86, "LAST")),
        ("0 LAST", (0, "LAST")),
        ("86   LAST", (86, "LAST")),
        ("86 LA\u017fT", (86, "LA\u017fT")),  # in upper case, the long s is an S
        ("86 ", (86, "")),
        ("86 LAST LAST", (86, "LAST LAST")),
        ("86 FIRST", (86, "FIRST")),
        ("99999999999999999999", (10**20 - 1, "")),
    ],
)
def test_a_chunk_is_announced(argument: str, parsed: tuple[int, str]) -> None:
    assert parse_chunk(argument) == parsed


@pytest.mark.parametrize(
    "argument",
    [
        None,
        "",
        "LAST",
        "LAST 86",
        "-1",
        "+1",
        "0x10",
        "1_000",
        "1.5",
        "1,000",
        "86LAST",
        "86\tLAST",
        "\u00b2",
        "\uff18\uff16",  # the digits 8 and 6, of another script
        "\udcff",
        "100000000000000000000",
        "0" * 4000,
    ],
)
def test_a_size_that_cannot_be_told(argument: str | None) -> None:
    assert parse_chunk(argument) is None


# -- chunks ---------------------------------------------------------------------------------------


@streamed
@pytest.mark.parametrize(
    "content",
    [
        b"a",
        b"\r\n",
        b".",
        b"\r\n.\r\n",
        b"..\r\n.\r\n",
        b"QUIT\r\n",
        b"BDAT 5 LAST\r\n",
        b"\n",
        b"\x00\xff",
        bytes(range(256)),
        b"x" * 1200,
    ],
)
def test_all_octets_come_through(read: Read, content: bytes, stream: bool) -> None:
    size = str(len(content))
    told = read(b"BDAT %s\r\n%sNOOP\r\n" % (size.encode(), content), stream=stream)
    assert told == [bdat(size), (BodyChunk, content), END, NOOP]


@streamed
@pytest.mark.parametrize("marker", ["", " LAST", " DROP"])
def test_a_chunk_of_no_octets_is_its_end_only(read: Read, marker: str, stream: bool) -> None:
    assert read(f"BDAT 0{marker}\r\n".encode(), stream=stream) == [bdat(f"0{marker}"), END]


@streamed
def test_chunk_follows_chunk(read: Read, stream: bool) -> None:
    told = read(b"BDAT 2\r\n\r\nBDAT 0\r\nBDAT 3 LAST\r\n.\r\n", stream=stream)
    assert told == [
        *(bdat("2"), (BodyChunk, b"\r\n"), END),
        *(bdat("0"), END),
        *(bdat("3 LAST"), (BodyChunk, b".\r\n"), END),
    ]


@streamed
def test_what_is_discarded_is_read_to_its_last_octet(read: Read, stream: bool) -> None:
    told = read(b"BDAT 6 DROP\r\nQUIT\r\nNOOP\r\n", stream=stream)
    assert told == [bdat("6 DROP"), END, NOOP]


@pytest.mark.parametrize("sent", [0, 3, 7])
def test_discarded_in_the_middle(sent: int) -> None:
    connection = Connection()
    connection.expect_chunk(8)
    connection.receive_data(b"x" * sent)
    assert connection.next_event() == (BodyChunk(b"x" * sent) if sent else None)
    connection.discard_body()
    connection.receive_data(b"x" * (7 - sent))
    assert connection.next_event() is None
    assert len(connection.buffer) == 0
    connection.receive_data(b"\nNOOP\r\n")
    assert connection.next_event() == BodyEnd()
    assert connection.next_event() == Command("NOOP", None, 4)


@streamed
@pytest.mark.parametrize("content", [b"", b"1", b"1234567"])
@pytest.mark.parametrize("marker", ["", " DROP"])
def test_the_connection_ends_inside(read: Read, content: bytes, marker: str, stream: bool) -> None:
    told = read(f"BDAT 8{marker}\r\n".encode() + content, complete=False, eof=True, stream=stream)
    assert told == [bdat(f"8{marker}"), (BodyIncomplete,), (ConnectionClosed,)]


@streamed
@pytest.mark.parametrize("size", [0, 8])
def test_the_connection_ends_behind(read: Read, size: int, stream: bool) -> None:
    content = b"x" * size
    told = read(b"BDAT %d LAST\r\n" % size + content, eof=True, stream=stream)
    chunk = [(BodyChunk, content)] if content else []
    assert told == [bdat(f"{size} LAST"), *chunk, END, (ConnectionClosed,)]


def test_a_chunk_is_a_body() -> None:
    connection = Connection()
    connection.expect_chunk(3, stream=True)
    assert connection.mode is Mode.BODY
    assert connection.streaming
    connection.expect_chunk(3)
    assert connection.mode is Mode.BODY
    assert not connection.streaming
    connection.receive_data(b"abc")
    assert connection.next_event() == BodyChunk(b"abc")
    assert connection.mode is Mode.BODY  # its end is yet to be told
    assert connection.next_event() == BodyEnd()
    assert connection.mode is Mode.COMMAND


@pytest.mark.parametrize("forget", [Connection.start_tls, Connection.end])
def test_a_chunk_is_forgotten(forget: Callable[[Connection], None]) -> None:
    connection = Connection()
    connection.expect_chunk(3)
    connection.receive_data(b"a")
    forget(connection)
    assert connection.mode is Mode.COMMAND
    assert len(connection.buffer) == 0


# -- what a long one costs ------------------------------------------------------------------------


def sizes_of_pieces(size: int, at_once: int, *, stream: bool) -> list[int]:
    connection = Connection()
    connection.expect_chunk(size, stream=stream)
    sizes = []
    for start in range(0, size, at_once):
        connection.receive_data(b"x" * min(at_once, size - start))
        while isinstance(event := connection.next_event(), BodyChunk):
            sizes.append(len(event.data))
    assert event == BodyEnd()
    assert sum(sizes) == size
    return sizes


@pytest.mark.parametrize(
    ("size", "expected"),
    [(81_920, [81_920]), (81_921, [65_536, 16_385]), (262_144, [65_536] * 4)],
)
def test_a_long_read_is_streamed_in_pieces(size: int, expected: list[int]) -> None:
    assert sizes_of_pieces(size, size, stream=True) == expected
    assert sizes_of_pieces(size, size, stream=False) == [size]


def test_pieces_are_what_was_read() -> None:
    assert sizes_of_pieces(250, 100, stream=True) == [100, 100, 50]


def test_what_comes_as_one_read_is_not_copied() -> None:
    connection = Connection()
    connection.expect_chunk(1000)
    octets = random.Random(1).randbytes(1000)
    connection.receive_data(octets)
    event = connection.next_event()
    assert isinstance(event, BodyChunk)
    assert event.data is octets


@pytest.mark.parametrize("discarded", [False, True])
def test_nothing_is_kept_of_a_chunk(discarded: bool) -> None:
    connection = Connection()
    connection.expect_chunk(2**20, stream=True)
    if discarded:
        connection.discard_body()
    for _ in range(2**10):
        assert connection.next_event() is None
        assert len(connection.buffer) == 0
        connection.receive_data(b"x" * 2**10)
        while isinstance(connection.next_event(), BodyChunk):
            assert not discarded
    assert connection.mode is Mode.COMMAND


# -- by chance ------------------------------------------------------------------------------------

CONTENT = st.lists(
    st.sampled_from(
        [b"\r\n.\r\n", b"QUIT\r\n", b"BDAT 3 LAST\r\n", b"DATA\r\n", b".", b"\r", b"\n"]
    )
    | st.binary(max_size=5),
    max_size=10,
).map(b"".join)
CHUNKS = st.lists(st.tuples(CONTENT, st.sampled_from(["", " LAST", " DROP"])), max_size=5)


@settings(max_examples=200)
@given(
    chunks=CHUNKS,
    places=st.lists(st.integers(0, 200), max_size=12),
    at_once=st.booleans(),
    stream=st.booleans(),
)
def test_only_the_count_ends_a_chunk(
    read_one_way: Read,
    chunks: list[tuple[bytes, str]],
    places: list[int],
    at_once: bool,
    stream: bool,
) -> None:
    """Whatever the content looks like, and however it is cut."""
    octets = b""
    expected: list[Seen] = []
    for content, marker in chunks:
        argument = f"{len(content)}{marker}"
        octets += f"BDAT {argument}\r\n".encode() + content
        expected.append(bdat(argument))
        if content and marker != " DROP":
            expected.append((BodyChunk, content))
        expected.append(END)
    octets += b"NOOP\r\n"
    ends = [0, *sorted(place for place in places if place < len(octets)), len(octets)]
    pieces = [octets[start:end] for start, end in itertools.pairwise(ends)]
    connection = Connection()
    told = read_one_way(connection, pieces, at_once=at_once, stream=stream)
    assert told == [*expected, NOOP]
    assert len(connection.buffer) == 0
