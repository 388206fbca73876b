"""The engine's work grows as what the client sends, and no faster: counted, never timed.

Two things are counted. Octets: the engine is given ``bytes`` that write down how many of them each
search looked at and each slice copied. Calls: a profile function counts what Python calls while the
engine reads. Both are the same on any machine and under any load.
"""

from __future__ import annotations

import io
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from types import FrameType, SimpleNamespace
from typing import Any, SupportsIndex

import pytest

from aiosmtpd.protocol import Command, Connection, Event, Mode, ProtocolError, buffer, readers

LIMIT = 12_288  # of a command line, the default
HUGE = 2**40  # a limit that nothing reaches


class Ledger:
    """The octets that were looked at and copied."""

    def __init__(self) -> None:
        self.octets = 0

    def bytes_type(self) -> type[bytes]:
        """Make a type that is ``bytes`` and writes down what is done with it."""
        ledger = self

        class Counted(bytes):
            def __getitem__(self, at: Any) -> Any:
                found = super().__getitem__(at)
                if isinstance(found, int):
                    return found
                if len(found) < len(self):  # else nothing is copied
                    ledger.octets += len(found)
                return Counted(found)

            def __add__(self, other: Any) -> Counted:
                ledger.octets += len(self) + len(other)
                return Counted(super().__add__(other))

            def __radd__(self, other: Any) -> Counted:
                ledger.octets += len(self) + len(other)
                return Counted(other + bytes(self))

            def find(self, sub: Any, start: Any = 0, end: Any = None) -> int:
                end = len(self) if end is None else min(end, len(self))
                found = super().find(sub, start, end)
                ledger.octets += max(0, (found if found >= 0 else end) - start)
                return found

            def rfind(self, sub: Any, start: Any = 0, end: Any = None) -> int:
                end = len(self) if end is None else min(end, len(self))
                found = super().rfind(sub, start, end)
                ledger.octets += max(0, end - (found if found >= 0 else start))
                return found

            def replace(self, old: Any, new: Any, count: SupportsIndex = -1, /) -> Counted:
                ledger.octets += 2 * len(self)
                return Counted(super().replace(old, new, count))

            def decode(self, *args: Any, **kwargs: Any) -> str:
                ledger.octets += len(self)
                return super().decode(*args, **kwargs)

            def removesuffix(self, suffix: Any, /) -> Counted:
                copy = Counted(super().removesuffix(suffix))
                ledger.octets += len(copy)
                return copy

            def startswith(self, *args: Any) -> bool:
                return super().startswith(*args)

            def endswith(self, *args: Any) -> bool:
                return super().endswith(*args)

        def uncounted(name: str) -> Callable[..., Any]:
            def method(*args: Any, **kwargs: Any) -> Any:
                raise NotImplementedError(f"bytes.{name}() is not counted here yet: add it")

            return method

        for name in dir(bytes):
            if not name.startswith("_") and name not in vars(Counted):
                setattr(Counted, name, uncounted(name))
        return Counted

    def file_type(self) -> type[io.BytesIO]:
        """Make a type that is ``io.BytesIO`` and writes down what is copied."""
        ledger = self

        class CountedBytesIO(io.BytesIO):
            def write(self, data: Any, /) -> int:
                ledger.octets += len(data)
                return super().write(data)

            def getvalue(self) -> bytes:
                ledger.octets += self.tell()
                return super().getvalue()

        return CountedBytesIO


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Write down all that the engine's buffer and readers do with octets."""
    ledger = Ledger()
    # ``bytes`` is what the buffer makes of all that it is fed with.
    monkeypatch.setattr(buffer, "bytes", ledger.bytes_type(), raising=False)
    monkeypatch.setattr(readers, "io", SimpleNamespace(BytesIO=ledger.file_type()))
    return ledger


def in_pieces(octets: bytes, size: int) -> Iterator[bytes]:
    """Cut ``octets`` as they may come from a socket."""
    for start in range(0, len(octets), size):
        yield octets[start : start + size]


def read(connection: Connection, octets: bytes, size: int) -> int:
    """Feed ``octets`` in pieces, read all events, answer commands; give how many events there were."""
    events = 0
    for piece in in_pieces(octets, size):
        connection.receive_data(piece)
        while (event := next_event(connection)) is not None:
            events += 1
            if isinstance(event, Command):
                connection.send("250 OK")
        connection.flush()
    return events


def assert_linear(sizes: Sequence[int], works: Sequence[int], *, most: float) -> None:
    """Require that a further octet (or command) costs what those before it cost.

    Where pieces happen to end makes a difference of up to half. Work that grew as the square would
    grow six times as fast in the last step as in the first, with sizes of 1, 2 and 16.

    Args:
        sizes: three or more, growing.
        works: what was counted for each.
        most: what one may cost.
    """
    steps = list(zip(itertools.pairwise(sizes), itertools.pairwise(works), strict=True))
    each = [(after - before) / (more - less) for (less, more), (before, after) in steps]
    assert each[-1] <= each[0] * 2
    assert max(each) <= most


def next_event(connection: Connection) -> Event | None:
    """Give the next event; a fault of the client is passed over."""
    while True:
        with suppress(ProtocolError):
            return connection.next_event()


# What bodies are made of, each repeated. Those with faults are read to their end all the same.
LINES = {
    "lines": b"X" * 78 + b"\r\n",
    "dots": b"a line. with. dots." * 4 + b"\r\n",
    "stuffed": b"..\r\n",
    "empty lines": b"\r\n",
    "almost the end": b"\r\n..\r\n.\r",
    "no line end": b"X",
    "only dots": b".",
    "only CR": b"\r",
    "only LF": b"\n",
    "half an end": b"\n.\r\n",
}
ENDLESS = {"no line end", "only dots", "only CR"}
SIZES = (2**16, 2**17, 2**20)
RCPT = b"RCPT TO:<somebody@example.com>\r\n"


def body_of(kind: str, size: int) -> bytes:
    """Repeat what a body is made of up to ``size`` octets."""
    return (LINES[kind] * (size // len(LINES[kind]) + 1))[:size]


def work_on_body(ledger: Ledger, octets: bytes, piece: int, **body: Any) -> int:
    """Count the octets that reading a body takes."""
    connection = Connection()
    connection.expect_body(**body)
    ledger.octets = 0
    read(connection, octets + b"\r\n.\r\n", piece)
    assert connection.mode is Mode.COMMAND
    assert len(connection.buffer) == 0
    return ledger.octets


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("line_limit", [1001, HUGE], ids=["limited", "any line"])
@pytest.mark.parametrize("piece", [HUGE, 65_536, 1_460])
@pytest.mark.parametrize("kind", LINES)
def test_body_octets(ledger: Ledger, kind: str, piece: int, line_limit: int, stream: bool) -> None:
    """Each octet of a body is looked at and copied so many times, however many there are."""
    works = [
        work_on_body(ledger, body_of(kind, size), piece, line_limit=line_limit, stream=stream)
        for size in SIZES
    ]
    # Three searches, two copies, a replacement that looks and copies, and a collection that copies.
    assert_linear(SIZES, works, most=9)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("kind", LINES)
def test_body_octet_by_octet(ledger: Ledger, kind: str, stream: bool) -> None:
    """A client that dribbles makes no more work of an octet by having sent many before."""
    sizes = (2**9, 2**10, 2**13)
    works = [
        work_on_body(ledger, body_of(kind, size), 1, line_limit=HUGE, stream=stream)
        for size in sizes
    ]
    # Up to four octets are looked at again until it shows what they are.
    assert_linear(sizes, works, most=30)


def test_size_limit(ledger: Ledger) -> None:
    """What is over the limit is dropped, not collected: less work, and not more, than to take it."""
    octets = body_of("lines", 1_000_000)
    taken = work_on_body(ledger, octets, 65_536, line_limit=HUGE, size_limit=HUGE)
    dropped = work_on_body(ledger, octets, 65_536, line_limit=HUGE, size_limit=1000)
    assert dropped < taken


@pytest.mark.parametrize("way", ["as it comes", "streamed", "discarded"])
@pytest.mark.parametrize("piece", [HUGE, 65_536, 1_460, 100, 7])
def test_chunk_octets(ledger: Ledger, piece: int, way: str) -> None:
    """Nothing is searched in a chunk: an octet is copied at most once, and none that is dropped."""
    works = []
    for size in SIZES:
        connection = Connection()
        connection.expect_chunk(size, stream=way == "streamed")
        if way == "discarded":
            connection.discard_body()
        ledger.octets = 0
        read(connection, b"X" * size, piece)
        assert connection.mode is Mode.COMMAND
        works.append(ledger.octets)
    assert_linear(SIZES, works, most=2)


@pytest.mark.parametrize("piece", [HUGE, 65_536, 1_460, 100])
def test_commands(ledger: Ledger, piece: int) -> None:
    """A pipelined group costs as much a command as a short one, wherever it is cut."""
    counts, works = (1_000, 2_000, 16_000), []
    for count in counts:
        ledger.octets = 0
        assert read(Connection(), RCPT * count, piece) == count
        works.append(ledger.octets)
    assert_linear(counts, works, most=6 * len(RCPT))


@pytest.mark.parametrize("piece", [65_536, 1_460, 100])
def test_endless_command(ledger: Ledger, piece: int) -> None:
    """A line without an end costs no more an octet the longer it gets: it is dropped at its limit."""
    sizes, works = (10 * LIMIT, 20 * LIMIT, 160 * LIMIT), []
    for size in sizes:
        connection = Connection()
        ledger.octets = 0
        assert read(connection, b"X" * size, piece) == 0
        assert len(connection.buffer) <= LIMIT
        works.append(ledger.octets)
    # What is short of the limit is copied whenever more of it comes.
    assert_linear(sizes, works, most=LIMIT / piece + 3)


def test_dribbled_command(ledger: Ledger) -> None:
    """Even octet by octet, an octet costs at most one copy of the longest line."""
    size = 3 * LIMIT
    assert read(Connection(), b"X" * size, 1) == 0
    assert ledger.octets / size <= LIMIT


@pytest.mark.parametrize("piece", [65_536, 1_460])
def test_auth_response(ledger: Ledger, piece: int) -> None:
    """The same holds for the answer to a challenge."""
    sizes, works = (10 * LIMIT, 20 * LIMIT, 160 * LIMIT), []
    for size in sizes:
        connection = Connection()
        connection.expect_auth_response()
        ledger.octets = 0
        read(connection, b"X" * size + b"\r\n", piece)
        assert len(connection.buffer) == 0
        works.append(ledger.octets)
    assert_linear(sizes, works, most=LIMIT / piece + 3)


# -- calls ----------------------------------------------------------------------------------------


def count_calls(function: Callable[[], object]) -> int:
    """Count the calls of Python and of C functions while ``function`` runs."""
    calls = 0

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.parametrize("kind", LINES)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_calls_a_piece(kind: str, stream: bool) -> None:
    """A body takes so many calls a piece, whatever it is made of: lines are not looked at one by one.

    What a piece costs by its length is a look for dots in each window of it, and the one call that
    lines cost is the jump to the last line end within the limit on lines.
    """
    size, piece = 2**20, 65_536
    octets = body_of(kind, size) + b"\r\n.\r\n"
    connection = Connection()
    connection.expect_body(line_limit=1001, stream=stream)
    calls = count_calls(partial(read, connection, octets, piece))
    pieces, jumps = size / piece + 1, size / (1001 - len(LINES[kind]))
    windows = 3 * (size / readers._WINDOW + pieces)
    assert calls <= 70 * pieces + windows + (0 if kind in ENDLESS else 1.05 * jumps)


@pytest.mark.parametrize("stream", [False, True], ids=["as it comes", "streamed"])
def test_calls_a_piece_of_a_chunk(stream: bool) -> None:
    """A chunk takes so many calls a piece, however many came before."""
    sizes, piece = (2**17, 2**18, 2**21), 4096
    calls = []
    for size in sizes:
        connection = Connection()
        connection.expect_chunk(size, stream=stream)
        calls.append(count_calls(partial(read, connection, b"X" * size, piece)))
    assert_linear(sizes, calls, most=36 / piece)


def test_calls_a_command() -> None:
    """A pipelined command takes as many calls in a long group as in a short one."""
    counts = (500, 1_000, 8_000)
    calls = [count_calls(partial(read, Connection(), RCPT * count, HUGE)) for count in counts]
    assert_linear(counts, calls, most=40)


class _Sought(bytes):
    """Octets that write down how many of them are searched for more than one."""

    def find(self, sub: Any, start: Any = 0, end: Any = None) -> int:
        return self._search(super().find, sub, start, end)

    def rfind(self, sub: Any, start: Any = 0, end: Any = None) -> int:
        return self._search(super().rfind, sub, start, end)

    def _search(self, search: Callable[..., int], sub: bytes, start: int, end: int | None) -> int:
        end = len(self) if end is None else min(end, len(self))
        if len(sub) > 1:
            sought.append(max(0, end - start))
        return search(sub, start, end)


sought: list[int] = []


@pytest.mark.parametrize("size", [2_000, 100_000, 3_000_000])
@pytest.mark.parametrize("stream", [False, True])
def test_a_body_without_dots_is_not_searched_for_three_octets(size: int, stream: bool) -> None:
    """Only where there is a dot, up to the end of a window, for that takes ten times as long."""
    head = b"From: <anne@example.com>\r\n\r\n"
    octets = head + LINES["lines"] * (size // 80) + b".\r\n"
    assert octets.count(b".") == 2
    connection = Connection()
    connection.expect_body(stream=stream)
    connection.buffer.data = _Sought(
        octets
    )  # as it is, though it is none that came from a transport
    sought.clear()
    while connection.mode is Mode.BODY:
        assert connection.next_event() is not None
        connection.buffer.data = _Sought(connection.buffer.data)
    assert sum(sought) <= min(size, 2 * readers._WINDOW) + 200
