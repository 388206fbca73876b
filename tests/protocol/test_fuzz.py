"""What must hold for any octets: the invariants of the engine, against a reference and by chance.

Chunking changes nothing; only documented errors are raised; only CRLF.CRLF ends DATA; nothing read
before TLS survives it; events come in one order; replies leave in theirs, each once.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aiosmtpd.protocol import (
    AUTH_LINE_LIMIT,
    AuthResponse,
    BadCommand,
    Body,
    BodyChunk,
    BodyEnd,
    BodyError,
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
    ProtocolError,
    Reply,
    encode_reply,
    readers,
)

Seen = tuple[Any, ...]
Read = Callable[..., list[Seen]]

END = b"\r\n.\r\n"


# -- the reference: the plainest reading of RFC 5321, slow and of everything at once ---------------


def reference(
    octets: bytes,
    *,
    command_limit: int,
    utf8: bool,
    size_limit: int | None,
    line_limit: int,
    stream: bool,
    eof: bool,
) -> list[Seen]:
    """What an engine must tell of ``octets``."""
    told: list[Seen] = []
    limit, mode = command_limit, "command"
    while mode != "body" and b"\n" in octets:
        line, octets = octets[: octets.index(b"\n") + 1], octets[octets.index(b"\n") + 1 :]
        told.append(_command(line, limit, utf8) if mode == "command" else _response(line, limit))
        mode, limit = "command", command_limit
        if told[-1][:2] == (Command, "AUTH"):
            mode, limit = "auth", AUTH_LINE_LIMIT
        if told[-1][:2] != (Command, "DATA"):
            continue
        # The CRLF that ended DATA counts as that before the dot (RFC 5321 section 4.1.1.4).
        content, end, rest = (b"\r\n" + octets).partition(END)
        if end:
            told += _body(
                _undo_transparency(content[2:] + b"\r\n" * bool(content)),
                size_limit,
                line_limit,
                stream,
            )
            octets = rest
        else:
            mode = "body"
    if mode == "body" and stream:
        told += _told_of_open_stream(octets, size_limit, line_limit)
    if eof:
        told += [(BodyIncomplete,)] * (mode == "body") + [(ConnectionClosed,)]
    return told


def _command(line: bytes, limit: int, utf8: bool) -> Seen:
    if len(line) > limit:
        return (CommandTooLong,)
    line = re.sub(rb"\r?\n\Z", b"", line)
    parts = re.fullmatch(rb"([\x21-\x7e]*)(?: (.*))?", line, re.DOTALL)
    if not line or parts is None:
        return (BadCommand,)
    argument = parts[2] or b""
    if any(octet == 127 or (octet < 32 and octet != 9) for octet in argument):
        return (BadCommand,)
    if not utf8 and any(octet > 127 for octet in argument):
        return (NonAsciiCommand,)
    text = argument.decode("utf-8", "surrogateescape").strip()
    return (Command, parts[1].decode().upper(), text or None, len(line))


def _response(line: bytes, limit: int) -> Seen:
    if len(line) > limit:
        return (CommandTooLong,)
    return (AuthResponse, re.sub(rb"\r?\n\Z", b"", line))


def _undo_transparency(content: bytes) -> bytes:
    return b"\r\n".join(line.removeprefix(b".") for line in content.split(b"\r\n"))


def _fault(content: bytes, size_limit: int | None, line_limit: int) -> type[BodyError] | None:
    line = 0
    for size, octet in enumerate(content, start=1):
        line += 1
        if line > line_limit:
            return BodyLineTooLong
        if size_limit is not None and size > size_limit:
            return BodyTooLarge
        if octet == ord("\n"):
            line = 0
    return None


def _body(content: bytes, size_limit: int | None, line_limit: int, stream: bool) -> list[Seen]:
    fault = _fault(content, size_limit, line_limit)
    told: list[Seen] = [(fault,)] if fault else [(BodyChunk if stream else Body, content)]
    if not stream:
        return told
    return (told if fault or content else []) + [(BodyEnd,)]


def _told_of_open_stream(octets: bytes, size_limit: int | None, line_limit: int) -> list[Seen]:
    """Of a body without an end, what may yet be the end is not judged."""
    text = b"\r\n" + octets
    open_end = max(length for length in range(len(END)) if text.endswith(END[:length]))
    fault = _fault(_undo_transparency(text[: len(text) - open_end][2:]), size_limit, line_limit)
    return [(fault,)] if fault else []


# -- octets, and ways to cut them -----------------------------------------------------------------

WORDS = [
    *(b"DATA\r\n", b"DATA\n", b"data \r\n", b"AUTH LOGIN\r\n", b"NOOP x\r\n", b"*\r\n", b"QUIT"),
    *(
        b"\r\n.\r\n",
        b".\r\n",
        b"\r\n.",
        b"\r\n..",
        b"..\r\n",
        b"\n.\n",
        b"\n.\r\n",
        b"\r.\r",
        b"\r\n.\n",
    ),
    *(b"\r", b"\n", b"\r\n", b".", b" ", b"a", b"xx", b"x" * 11, b"x" * 40),
    *(b"\x00", b"\t", b"\x7f", b"\xff", b"\xc3\xa9", b"\xe3\x80\x80", b"\x85"),
]
OCTETS = st.lists(st.sampled_from(WORDS) | st.binary(max_size=3), max_size=25).map(b"".join)
DIALOGUES = st.one_of(OCTETS, OCTETS.map(b"DATA\r\n".__add__), OCTETS.map(b"AUTH\r\n".__add__))
OPTIONS = st.fixed_dictionaries(
    {
        "command_limit": st.integers(6, 30),
        "utf8": st.booleans(),
        "size_limit": st.none() | st.integers(0, 40),
        "line_limit": st.integers(1, 30),
        "stream": st.booleans(),
        "eof": st.booleans(),
    }
)


def cut_at(octets: bytes, places: list[int]) -> list[bytes]:
    ends = sorted(place for place in places if place < len(octets))
    return [octets[a:b] for a, b in itertools.pairwise([0, *ends, len(octets)])]


PLACES = st.one_of(st.just(list(range(400))), st.lists(st.integers(0, 150), max_size=12))


@settings(max_examples=300)
@given(
    octets=DIALOGUES,
    places=PLACES,
    at_once=st.booleans(),
    chunk_size=st.sampled_from([65536, 65536, 5, 6, 7, 16]),
    options=OPTIONS,
)
def test_reads_what_the_reference_reads(
    read_one_way: Read,
    octets: bytes,
    places: list[int],
    at_once: bool,
    chunk_size: int,
    options: dict[str, Any],
) -> None:
    """However it is cut; so chunking changes nothing, and only documented errors are raised.

    Chunks of a few octets stand for the long ones that a stream is cut into; they must only be longer
    than what may be the begin of the end.
    """
    body = {key: options[key] for key in ("size_limit", "line_limit", "stream")}
    connection = Connection(command_limit=options["command_limit"], utf8=options["utf8"])
    with mock.patch.multiple(readers, _CHUNK_SIZE=chunk_size, _CHUNK_LIMIT=2 * chunk_size):
        told = read_one_way(
            connection, cut_at(octets, places), at_once=at_once, eof=options["eof"], **body
        )
    assert told == reference(octets, **options)


def test_only_crlf_dot_crlf_ends_data(read_one_way: Read) -> None:
    """All bodies of up to six octets that could look like an end, cut nowhere and everywhere."""
    options: dict[str, Any] = {
        "command_limit": 512,
        "utf8": False,
        "size_limit": None,
        "line_limit": 1001,
        "stream": False,
        "eof": False,
    }
    bodies = 0
    for length in range(7):
        for letters in itertools.product([b"\r", b"\n", b".", b"a"], repeat=length):
            octets = b"DATA\r\n" + b"".join(letters)
            expected = reference(octets, **options)
            bodies += any(kind is Body for kind, *_ in expected)
            for pieces in ([octets], [octets[at : at + 1] for at in range(len(octets))]):
                assert read_one_way(Connection(), pieces) == expected
    # The end comes first with up to three octets behind it; or after CRLF with up to one; or after
    # any octet and CRLF, unless that octet is the dot of an end that came first.
    assert bodies == (1 + 4 + 16 + 64) + (1 + 4) + 3


@settings(max_examples=200)
@given(
    content=OCTETS.map(lambda octets: octets + b"\r\n" if octets else b""),
    places=PLACES,
    stream=st.booleans(),
)
def test_any_message_arrives_as_it_was_sent(
    read_one_way: Read, content: bytes, places: list[int], stream: bool
) -> None:
    """Transparency as RFC 5321 section 4.5.2 has the client do it."""
    stuffed = re.sub(rb"(?:\A|(?<=\r\n))\.", b"..", content)
    octets = b"DATA\r\n" + stuffed + b".\r\nNOOP\r\n"
    told = read_one_way(Connection(), cut_at(octets, places), stream=stream)
    assert told[0] == (Command, "DATA", None, 4)
    assert told[-1] == (Command, "NOOP", None, 4)
    if not stream:
        assert told[1:-1] == [(Body, content)]
    else:
        assert told[1:-1] == [(BodyChunk, content)] * bool(content) + [(BodyEnd,)]


@settings(max_examples=200)
@given(
    before=DIALOGUES,
    events=st.integers(0, 8),
    after=DIALOGUES,
    places=PLACES,
    options=OPTIONS,
)
def test_nothing_read_before_tls_survives_it(
    read_one_way: Read,
    before: bytes,
    events: int,
    after: bytes,
    places: list[int],
    options: dict[str, Any],
) -> None:
    """After TLS begins, an engine tells what one tells that never read anything."""
    engine = {"command_limit": options["command_limit"], "utf8": options["utf8"]}
    body = {key: options[key] for key in ("size_limit", "line_limit", "stream")}
    used, fresh = Connection(**engine), Connection(**engine)
    used.receive_data(before)
    for _ in range(events):
        try:
            event = used.next_event()
        except ProtocolError:
            continue
        if isinstance(event, Command) and event.verb == "DATA":
            used.expect_body(**body)
    used.start_tls()
    told = [
        read_one_way(connection, cut_at(after, places), eof=options["eof"], **body)
        for connection in (used, fresh)
    ]
    assert told[0] == told[1]


# -- by chance: whatever a driver and a client do -------------------------------------------------


class Driver(RuleBasedStateMachine):
    """A driver that does anything at any time, and notes what it expects."""

    def __init__(self) -> None:
        super().__init__()
        self.connection = Connection(command_limit=30)
        self.expected = Mode.COMMAND
        self.stream = False
        self.faulty = False
        self.over = False
        self.sent = b""
        self.given = b""

    # -- the client

    @rule(octets=OCTETS)
    def receive(self, octets: bytes) -> None:
        self.connection.receive_data(octets)

    @rule()
    def receive_eof(self) -> None:
        self.connection.receive_eof()

    # -- the driver

    @rule()
    def read(self) -> None:
        """Read until more octets are needed, and check that the kinds and their order fit."""
        while True:
            in_mode = self.connection.mode
            assert in_mode is self.expected
            try:
                event = self.connection.next_event()
            except BodyError as fault:
                self._check_body_fault(fault)
            except ProtocolError as fault:
                assert isinstance(fault, (BadCommand, CommandTooLong, NonAsciiCommand))
                assert isinstance(fault, CommandTooLong) or in_mode is Mode.COMMAND
                self.expected = Mode.COMMAND
            else:
                if event is None or isinstance(event, ConnectionClosed):
                    break
                self._check_event(event)
        assert len(self.connection.buffer) <= (4 if self.expected is Mode.BODY else AUTH_LINE_LIMIT)
        assert (event is not None) == self.connection.eof
        if event is not None:
            self.expected = Mode.COMMAND
            assert len(self.connection.buffer) == 0

    def _check_event(self, event: Event) -> None:
        assert not self.over
        if isinstance(event, BodyChunk):
            assert self.expected is Mode.BODY
            assert self.stream
            assert not self.faulty
            assert event.data
            return
        kinds = {
            Mode.COMMAND: Command,
            Mode.AUTH: AuthResponse,
            Mode.BODY: BodyEnd if self.stream else Body,
        }
        assert type(event) is kinds[self.expected]
        self.expected = Mode.COMMAND

    def _check_body_fault(self, fault: BodyError) -> None:
        assert self.expected is Mode.BODY
        assert isinstance(fault.reply, Reply)
        if isinstance(fault, BodyIncomplete):
            assert self.connection.eof
            self.expected = Mode.COMMAND
            return
        assert type(fault) in (BodyTooLarge, BodyLineTooLong)
        assert not self.faulty, "a fault is told once"
        self.faulty = True
        if not self.stream:
            self.expected = Mode.COMMAND

    @precondition(lambda self: self.expected is Mode.COMMAND)
    @rule(stream=st.booleans(), size_limit=st.none() | st.integers(0, 60))
    def expect_body(self, stream: bool, size_limit: int | None) -> None:
        self.connection.expect_body(stream=stream, size_limit=size_limit, line_limit=20)
        self.expected, self.stream, self.faulty = Mode.BODY, stream, False

    @precondition(lambda self: self.expected is Mode.BODY and self.stream)
    @rule()
    def discard_body(self) -> None:
        self.connection.discard_body()
        self.faulty = True

    @precondition(lambda self: self.expected is Mode.COMMAND)
    @rule()
    def expect_auth_response(self) -> None:
        self.connection.expect_auth_response()
        self.expected = Mode.AUTH

    @rule()
    def start_tls(self) -> None:
        self.connection.start_tls()
        self.expected = Mode.COMMAND
        assert len(self.connection.buffer) == 0

    @precondition(lambda self: not self.over)
    @rule()
    def end(self) -> None:
        self.connection.end()
        self.expected = Mode.COMMAND
        self.over = True

    @rule(status=st.sampled_from(["250 OK", "250-a\r\n250 b", "220 x", "221 x", "421 x", b"250 y"]))
    def send(self, status: str | bytes) -> None:
        self.sent += encode_reply(status)
        self.given += self.connection.send(status)
        if status[:3] in ("220", "221", "421") or len(self.connection.buffer) == 0:
            assert self.given == self.sent

    @rule()
    def flush(self) -> None:
        self.given += self.connection.flush()
        assert self.given == self.sent

    @invariant()
    def replies_leave_in_their_order_each_once(self) -> None:
        assert self.given + self.connection.held == self.sent

    @invariant()
    def nothing_is_buffered_after_the_end(self) -> None:
        assert not self.over or len(self.connection.buffer) == 0


TestDriver = Driver.TestCase
TestDriver.settings = settings(max_examples=60, stateful_step_count=30)
