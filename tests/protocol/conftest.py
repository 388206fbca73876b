"""The one helper of the engine's tests: the same octets, cut in every way that could matter.

``cuts`` gives the ways to cut octets; ``read`` has an engine read them in all those ways, with and
without octets behind them, sees to it that all ways tell the same, and gives what they told.
"""

from __future__ import annotations

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


class Script:
    """A driver that expects what commands announce: a body after DATA, a response after AUTH."""

    def __init__(self, connection: Connection, body: dict[str, Any]) -> None:
        self.connection = connection
        self.seen: list[Seen] = []
        self._body = body
        self._chunks: list[bytes] = []

    def feed(self, octets: bytes) -> None:
        self.connection.receive_data(octets)

    def drain(self) -> None:
        """Read all that can be read."""
        while (event := self._next()) is not None:
            if isinstance(event, Command) and event.verb == "DATA":
                self.connection.expect_body(**self._body)
            elif isinstance(event, Command) and event.verb == "AUTH":
                self.connection.expect_auth_response()
            elif isinstance(event, ConnectionClosed):
                break

    def _next(self) -> Event | None:
        try:
            event = self.connection.next_event()
        except ProtocolError as fault:
            if isinstance(fault, BodyError):
                # How much of a faulty body came before its fault was seen is not laid down.
                self._chunks.clear()
            self.seen.append((type(fault),))
            return self._next()
        if isinstance(event, BodyChunk):
            assert event.data, "a chunk is never empty"
            self._chunks.append(event.data)
            limit = self._body.get("size_limit")
            assert limit is None or sum(map(len, self._chunks)) <= limit
        elif event is not None:
            if isinstance(event, BodyEnd) and self._chunks:
                self.seen.append((BodyChunk, b"".join(self._chunks)))
            self._chunks.clear()
            self.seen.append((type(event), *event))
        return event


def _read_one_way(
    pieces: list[bytes], *, at_once: bool, eof: bool, engine: dict[str, Any], body: dict[str, Any]
) -> Script:
    script = Script(Connection(**engine), body)
    for piece in pieces:
        script.feed(piece)
        if not at_once:
            script.drain()
    if eof:
        script.connection.receive_eof()
    script.drain()
    return script


def read_three_ways(
    octets: bytes,
    *,
    complete: bool = True,
    eof: bool = False,
    engine: dict[str, Any] | None = None,
    **body: Any,
) -> list[Seen]:
    """Read ``octets`` in all ways, require that each tells the same, and give what they told.

    Chunks of a streamed body are given joined; those before a fault are left out.

    Args:
        octets: what the client sends.
        complete: whether commands can follow; then trailing octets are tried, too.
        eof: whether the client sends no more afterwards.
        engine: arguments of ``Connection``.
        body: arguments of ``expect_body``, which follows each DATA.
    """
    told: list[Seen] | None = None
    for trailer, follows in TRAILERS if complete and not eof else TRAILERS[:1]:
        for pieces in cut(octets + trailer):
            for at_once in (False, True):
                script = _read_one_way(
                    pieces, at_once=at_once, eof=eof, engine=engine or {}, body=body
                )
                if told is None:
                    told = script.seen
                assert script.seen == told + follows, (pieces, at_once)
                assert not complete or script.connection.mode is Mode.COMMAND
                assert not complete or len(script.connection.buffer) == 0
    assert told is not None
    return told


@pytest.fixture
def cuts() -> Callable[[bytes], Iterator[list[bytes]]]:
    """The ways to cut octets: whole, octet by octet, at each place, at random."""
    return cut


@pytest.fixture
def read() -> Callable[..., list[Seen]]:
    """Read octets in all ways; see :func:`read_three_ways`."""
    return read_three_ways
