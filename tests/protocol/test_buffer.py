"""The receive buffer: it gives what came, in order, and nobody looks at an octet again and again."""

from __future__ import annotations

import contextlib
from typing import Any, SupportsIndex
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiosmtpd.protocol import BodyError, CommandTooLong, Connection, readers
from aiosmtpd.protocol.buffer import ReceiveBuffer

# -- against a model ------------------------------------------------------------------------------

OCTETS = st.lists(st.sampled_from([b"a", b"\r", b"\n", b".", b"\r\n.", b"bc"]), max_size=8).map(
    b"".join
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("feed"), OCTETS),
        st.tuples(st.just("feed"), OCTETS),
        st.tuples(st.just("take"), st.integers(0, 6)),
        st.tuples(st.just("drop"), st.integers(0, 6)),
        st.tuples(st.just("peek"), st.integers(0, 12)),
        st.tuples(st.sampled_from(["take_line", "clear"])),
        st.tuples(st.just("find"), st.sampled_from([b".", b"\r\n."]), st.integers(0, 6)),
        st.tuples(st.just("matching_tail"), st.sampled_from([b"\r\n.\r\n", b"bcbc", b"\n"])),
    ),
    min_size=3,
    max_size=30,
)


class Model:
    """The same in the plainest way."""

    def __init__(self) -> None:
        self.octets = b""

    def feed(self, data: bytes) -> None:
        self.octets += data

    def clear(self) -> None:
        self.octets = b""

    def take(self, count: int) -> bytes:
        taken, self.octets = self.octets[:count], self.octets[count:]
        return taken

    def drop(self, count: int) -> None:
        self.take(count)

    def peek(self, count: int) -> bytes:
        return self.octets[:count]

    def take_line(self) -> bytes | None:
        return self.take(self.octets.index(b"\n") + 1) if b"\n" in self.octets else None

    def find(self, pattern: bytes, start: int) -> int:
        return self.octets.find(pattern, start)

    def matching_tail(self, pattern: bytes) -> int:
        lengths = range(len(pattern))
        return max(length for length in lengths if self.octets.endswith(pattern[:length]))


@settings(max_examples=200)
@given(steps=STEPS, few=st.sampled_from([1, 2, 8]))
def test_does_what_the_model_does(steps: list[tuple[Any, ...]], few: int) -> None:
    buffer, model = ReceiveBuffer(), Model()
    for name, *arguments in steps:
        with mock.patch("aiosmtpd.protocol.buffer._FEW", few):
            told = getattr(buffer, name)(*arguments)
        assert told == getattr(model, name)(*arguments)
        assert len(buffer) == len(model.octets)
        assert buffer.data[buffer.start :] == model.octets
        # That ``data`` is empty when all was taken is what its readers go by.
        assert bool(buffer.data) == bool(model.octets)


def test_finds_at_a_distance_from_what_is_next() -> None:
    buffer = ReceiveBuffer()
    buffer.feed(b"abcabca" + b"z" * 20)
    assert buffer.take(2) == b"ab"
    assert buffer.start == 2
    assert buffer.find(b"c") == 0
    assert buffer.find(b"c", 1) == 3
    assert buffer.find(b"b") == 2
    assert buffer.find(b"b", 3) == -1
    assert buffer.peek(3) == b"cab"


def test_the_tail_of_a_pattern_is_never_all_of_it() -> None:
    buffer = ReceiveBuffer()
    buffer.feed(b"xabab")
    assert buffer.matching_tail(b"abab") == 2
    assert buffer.matching_tail(b"ababc") == 4
    assert buffer.matching_tail(b"b") == 0
    assert buffer.matching_tail(b"abab", 4) == 3
    assert buffer.matching_tail(b"xab", 1) == 1
    assert buffer.matching_tail(b"abab", 0) == 0


def test_the_tail_does_not_begin_in_what_was_taken() -> None:
    buffer = ReceiveBuffer()
    buffer.feed(b"xabab" + b"z" * 20)
    buffer.drop(3)
    assert buffer.start == 3
    assert buffer.matching_tail(b"bab", 0) == 0
    assert buffer.matching_tail(b"aba", 1) == 1
    assert buffer.matching_tail(b"ababc", 2) == 2
    assert buffer.matching_tail(b"abzz", 4) == 0
    assert buffer.matching_tail(b"z" * 30) == 20


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_takes_octets_of_any_kind(kind: type[Any]) -> None:
    source = bytearray(b"ab\n")
    buffer = ReceiveBuffer()
    for _ in range(2):
        buffer.feed(kind(source))
    source[:] = b"XYZ"  # a transport may use its memory again
    line = buffer.take_line()
    assert line == b"ab\n"
    assert type(line) is bytes
    assert type(buffer.take(9)) is bytes


def test_does_not_copy_what_came_whole() -> None:
    data = b"x" * 1000 + b"\n"
    buffer = ReceiveBuffer()
    buffer.feed(data)
    assert buffer.take_line() is data


# -- counted work ---------------------------------------------------------------------------------


class Work:
    """How many octets were looked at, and how many copied."""

    def __init__(self) -> None:
        self.searched = 0
        self.copied = 0


class CountedBytes(bytes):
    """Octets that count what is done with them."""

    work: Work

    @classmethod
    def of(cls, octets: bytes, work: Work) -> CountedBytes:
        counted = cls(octets)
        counted.work = work
        return counted

    def _copy(self, octets: bytes) -> CountedBytes:
        self.work.copied += len(octets)
        return CountedBytes.of(octets, self.work)

    def find(self, sub: Any, start: Any = 0, end: Any = None, /) -> int:
        end = len(self) if end is None else end
        found = super().find(sub, start, end)
        self.work.searched += max(0, (end if found < 0 else found + len(sub)) - start)
        return found

    def rfind(self, sub: Any, start: Any = 0, end: Any = None, /) -> int:
        end = len(self) if end is None else end
        found = super().rfind(sub, start, end)
        self.work.searched += max(0, end - (start if found < 0 else found))
        return found

    def endswith(self, suffix: Any, start: Any = None, end: Any = None, /) -> bool:
        self.work.searched += len(suffix)
        return super().endswith(suffix, start, end)

    def replace(self, old: Any, new: Any, count: SupportsIndex = -1, /) -> bytes:
        self.work.searched += len(self)
        return self._copy(super().replace(old, new, count))

    def __getitem__(self, key: Any) -> Any:
        octets = super().__getitem__(key)
        if len(octets) == len(self):
            return self  # ``bytes`` does not copy a slice of everything
        return self._copy(octets)

    def __add__(self, other: Any) -> bytes:
        return self._copy(super().__add__(other))


class CountingBuffer(ReceiveBuffer):
    """A buffer whose octets count."""

    def __init__(self, work: Work) -> None:
        self._work = work
        super().__init__()

    @property
    def data(self) -> bytes:
        return self._data

    @data.setter
    def data(self, octets: bytes) -> None:
        self._data = CountedBytes.of(octets, self._work)


def read_all(connection: Connection, octets: bytes, step: int) -> Work:
    """Feed octets in pieces and read all events; give the work it took."""
    work = Work()
    connection.buffer = CountingBuffer(work)
    for start in range(0, len(octets), step):
        connection.receive_data(octets[start : start + step])
        reading = True
        while reading:
            with contextlib.suppress(BodyError, CommandTooLong):
                reading = connection.next_event() is not None
    return work


SIZE = 3000
STEPS_OF = [1, 7, 1000, SIZE]


@pytest.mark.parametrize("step", STEPS_OF)
@pytest.mark.parametrize("mode", ["command", "auth"])
def test_an_endless_line_is_searched_once(mode: str, step: int) -> None:
    connection = Connection()
    if mode == "auth":
        connection.expect_auth_response()
    work = read_all(connection, b"x" * 15000, step)
    assert work.searched <= 15000
    # What is kept is bounded by the limit, and so is what joining costs for each piece that comes.
    assert work.copied <= (15000 // step + 1) * 12288


@pytest.mark.parametrize("length", [1, 6, 80, 2000])
@pytest.mark.parametrize("step", STEPS_OF)
def test_a_burst_of_commands_is_cut_up_without_moving_it(step: int, length: int) -> None:
    line = b"NOOP".ljust(length, b"x") + b"\r\n"
    lines = line * (SIZE // len(line))
    work = read_all(Connection(), lines, step)
    # Twice: to find its end, and to look at its last two octets.
    assert work.searched <= 2 * len(lines) + 2 * len(line)
    if step >= len(line):
        assert work.copied <= 4 * len(lines)


LINES = [
    b"x",
    b".",
    b"..",
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n..",
    b"\r\n.x",
    b"\n.",
    b"\r\n.\n",
    b"\r\n.\r",
    b"x" * 76 + b"\r\n",
    b"." * 76 + b"\r\n",
    # What a search from the far end of the longest line likes least.
    b"x" * 500 + b"\n",
    b"x" * 1000 + b"\n",
    b"\n" + b"x" * 1000 + b"\n",
    b"\n\n" + b"x" * 999 + b"\n",
]


@pytest.mark.parametrize("line", LINES)
def test_a_long_read_of_a_stream_is_cut_up_in_one_go(line: bytes) -> None:
    """Each octet is looked at with its own chunk only."""
    connection = Connection()
    connection.expect_body(stream=True)
    body = line * (SIZE // len(line))
    with mock.patch.multiple(readers, _CHUNK_SIZE=64, _CHUNK_LIMIT=80):
        work = read_all(connection, body, SIZE)
    assert work.searched <= 6 * SIZE + 30 * SIZE // 60
    assert work.copied <= 3 * SIZE + 10 * SIZE // 60


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("size_limit", [None, 2000])
def test_the_work_on_a_body_grows_with_its_size_only(
    line: bytes, stream: bool, size_limit: int | None
) -> None:
    body = line * (SIZE // len(line))
    for step in STEPS_OF:
        connection = Connection()
        connection.expect_body(stream=stream, size_limit=size_limit)
        work = read_all(connection, body, step)
        pieces = SIZE // step + 1
        assert work.searched <= 6 * SIZE + 30 * pieces
        assert work.copied <= 3 * SIZE + 10 * pieces


def test_the_counting_counts() -> None:
    """A buffer that searched from its start each time would be noticed."""

    class Forgetful(CountingBuffer):
        def take_line(self) -> bytes | None:
            self._searched = self.start
            return super().take_line()

    work = Work()
    buffer = Forgetful(work)
    for _ in range(1000):
        buffer.feed(b"x")
        assert buffer.take_line() is None
    assert work.searched == work.copied + 1 == 1000 * 1001 // 2
