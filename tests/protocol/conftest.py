"""The one helper of the engine's tests: the same octets, cut in every way that could matter.

The fixture ``cuts`` gives the ways to cut octets; ``read`` has an engine read them in all those ways,
with and without octets behind them, sees to it that all ways tell the same, and gives what they told;
``read_one_way`` reads them in one way.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aiosmtpd.protocol import (
    BodyChunk,
    BodyEnd,
    BodyError,
    Command,
    Connection,
    ConnectionClosed,
    Event,
    Mode,
    ProtocolError,
    parse_chunk,
)

Seen = tuple[Any, ...]
"""What an engine told: the kind of the event or of the fault, and the fields of the event."""

# What may stand behind a case, and what must be read of it, if the case ends where commands follow.
TRAILERS: list[tuple[bytes, list[Seen]]] = [
    (b"", []),
    (b"NOOP after\r\n", [(Command, "NOOP", "after", 10)]),
    (b".\r\nNOOP\r\n", [(Command, ".", None, 1), (Command, "NOOP", None, 4)]),
]


def cut(octets: bytes) -> Iterator[list[bytes]]:
    """Cut ``octets``: not at all, at each octet, once at each place (if short), and at random."""
    yield [octets]
    yield [octets[at : at + 1] for at in range(len(octets))]
    if len(octets) <= 40:
        yield from ([octets[:at], octets[at:]] for at in range(1, len(octets)))
    dice = random.Random(octets)
    for _ in range(4):
        places = sorted(dice.choices(range(len(octets) + 1), k=dice.randint(1, 8)))
        ends = [*places, len(octets)]
        yield [octets[start:end] for start, end in zip([0, *places], ends, strict=True)]


def read_pieces(
    connection: Connection,
    pieces: list[bytes],
    *,
    at_once: bool = False,
    eof: bool = False,
    **body: Any,
) -> list[Seen]:
    """Feed pieces and read all there is to read; give what the engine told.

    A body is expected after DATA, a chunk after BDAT (``BDAT 3 DROP``: one to be discarded), and a
    response after AUTH. Chunks of a streamed body are given
    joined when it ends; those of a faulty one are left out, since how much of it came before its
    fault was seen is not laid down.

    Args:
        connection: the engine.
        pieces: what the client sends.
        at_once: whether to read only when all pieces came.
        eof: whether the client sends no more afterwards.
        body: arguments of ``expect_body``.
    """
    told: list[Seen] = []
    chunks: list[bytes] = []
    for piece in pieces:
        connection.receive_data(piece)
        if not at_once:
            _drain(connection, told, chunks, body)
    if eof:
        connection.receive_eof()
    _drain(connection, told, chunks, body)
    return told


def _drain(
    connection: Connection, told: list[Seen], chunks: list[bytes], body: dict[str, Any]
) -> None:
    while True:
        try:
            event = connection.next_event()
        except ProtocolError as fault:
            if isinstance(fault, BodyError):
                chunks.clear()
            told.append((type(fault),))
            continue
        if isinstance(event, BodyChunk):
            assert event.data, "a chunk is never empty"
            chunks.append(event.data)
            limit = body.get("size_limit")
            assert limit is None or sum(map(len, chunks)) <= limit, "a chunk over the limit"
            continue
        if isinstance(event, BodyEnd) and chunks:
            told.append((BodyChunk, b"".join(chunks)))
            chunks.clear()
        if event is not None:
            told.append((type(event), *event))
        if event is None or isinstance(event, ConnectionClosed):
            return
        _announce(connection, event, body)


def _announce(connection: Connection, event: Event, body: dict[str, Any]) -> None:
    if isinstance(event, Command) and event.verb == "DATA":
        connection.expect_body(**body)
    elif isinstance(event, Command) and event.verb == "AUTH":
        connection.expect_auth_response()
    elif isinstance(event, Command) and event.verb == "BDAT":
        chunk = parse_chunk(event.argument)
        assert chunk is not None
        connection.expect_chunk(chunk[0], stream=body.get("stream", False))
        if chunk[1] == "DROP":
            connection.discard_body()


def read_three_ways(
    octets: bytes,
    *,
    complete: bool = True,
    eof: bool = False,
    engine: dict[str, Any] | None = None,
    **body: Any,
) -> list[Seen]:
    """Read ``octets`` in all ways, require that each tells the same, and give what they told.

    Args:
        octets: what the client sends.
        complete: whether commands can follow; then trailing octets are tried, too.
        eof: whether the client sends no more afterwards.
        engine: arguments of ``Connection``.
        body: arguments of ``expect_body``, which follows each DATA.
    """
    told: list[Seen] | None = None
    for trailer, follows in TRAILERS if complete and not eof else TRAILERS[:1]:
        for pieces, at_once in itertools.product(cut(octets + trailer), (False, True)):
            connection = Connection(**engine or {})
            seen = read_pieces(connection, pieces, at_once=at_once, eof=eof, **body)
            if told is None:
                told = seen
            assert seen == told + follows, (pieces, at_once)
            if complete:
                assert connection.mode is Mode.COMMAND
                assert len(connection.buffer) == 0
    assert told is not None
    return told


@pytest.fixture(scope="session")
def cuts() -> Callable[[bytes], Iterator[list[bytes]]]:
    """The ways to cut octets; see :func:`cut`."""
    return cut


@pytest.fixture(scope="session")
def read() -> Callable[..., list[Seen]]:
    """Read octets in all ways; see :func:`read_three_ways`."""
    return read_three_ways


@pytest.fixture(scope="session")
def read_one_way() -> Callable[..., list[Seen]]:
    """Read octets in one way; see :func:`read_pieces`."""
    return read_pieces
