"""``handle_BODY``: a message as it comes, in constant memory, and what if it does not come whole."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import pytest

from aiosmtpd.protocol import (
    BodyError,
    BodyIncomplete,
    BodyLineTooLong,
    BodyTooLarge,
    ProtocolError,
    Reply,
)

if TYPE_CHECKING:
    from tests.unit.conftest import Connect, Wire

LOCAL_ERROR = "451 4.3.0 Error: local error in processing"
TOO_MUCH = "552 Error: Too much mail data"
LINE_TOO_LONG = "500 Line too long (see RFC5321 4.5.3.1.6)"
OVERDUE = "451 4.3.0 Error: processing took too long"


class Collect:
    """Reads the whole body, and keeps it and what was raised."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.ended: list[str] = []
        self.envelope: Any = None

    async def handle_BODY(
        self, server: Any, session: Any, envelope: Any, body: AsyncIterator[bytes]
    ) -> Any:
        assert session is server.session
        assert envelope is server.envelope
        self.envelope = envelope
        try:
            await self.read(body)
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise
        self.ended.append("whole")
        return "250 kept"

    async def read(self, body: AsyncIterator[bytes]) -> None:
        async for chunk in body:
            assert type(chunk) is bytes
            assert chunk
            self.chunks.append(chunk)

    @property
    def content(self) -> bytes:
        return b"".join(self.chunks)


def reading_by(read: Callable[[AsyncIterator[bytes]], Any]) -> Any:
    """A handler that does with the body what ``read`` does."""

    class Handler(Collect):
        async def handle_BODY(
            self, server: Any, session: Any, envelope: Any, body: AsyncIterator[bytes]
        ) -> Any:
            return await read(body)

    return Handler()


def assert_goes_on(wire: Wire) -> None:
    """The transaction is over, and the next one can begin."""
    assert wire.server.envelope.mail_from is None
    assert wire.say("RCPT TO:<b@example.com>") == ["503 Error: need MAIL command"]
    assert wire.say("MAIL FROM:<a@example.com>", "RSET") == ["250 OK"] * 2


# -- a body that comes whole ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "content"),
    [
        (b"", b""),
        (b"Hello\r\n", b"Hello\r\n"),
        (b"..\r\n", b".\r\n"),
        (b"a\r\n..b\r\n...\r\n", b"a\r\n.b\r\n..\r\n"),
        (b"a\n.\nb\r.\r\n", b"a\n.\nb\r.\r\n"),
        (b"\x00\xff\r\n", b"\x00\xff\r\n"),
    ],
)
@pytest.mark.parametrize("octet_by_octet", [False, True])
def test_a_body_is_what_was_sent(
    connect: Connect, sent: bytes, content: bytes, octet_by_octet: bool
) -> None:
    handler = Collect()
    wire = connect(handler)
    wire.to_data()
    octets = sent + b".\r\nNOOP\r\n"
    for piece in [octets[at : at + 1] for at in range(len(octets))] if octet_by_octet else [octets]:
        wire.send(piece)
    assert wire.heard() == ["250 kept", "250 OK"]
    assert handler.content == content
    assert handler.ended == ["whole"]
    assert_goes_on(wire)


def test_the_envelope_holds_no_content(connect: Connect) -> None:
    handler = Collect()
    wire = connect(handler)
    wire.to_data("b@example.com", "c@example.com")
    wire.say("Hello", ".")
    assert handler.envelope.mail_from == "anne@example.com"
    assert handler.envelope.rcpt_tos == ["b@example.com", "c@example.com"]
    assert handler.envelope.content is None
    assert handler.envelope.original_content is None


def test_it_takes_the_place_of_handle_data(connect: Connect) -> None:
    class Handler(Collect):
        async def handle_DATA(self, *_: Any) -> str:
            raise AssertionError

        process_message = handle_DATA

    wire = connect(Handler())
    wire.to_data()
    assert wire.say("Hello", ".") == ["250 kept"]


def test_none_stands_for_the_default_reply(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    async def read(body: AsyncIterator[bytes]) -> None:
        async for _ in body:
            pass

    wire = connect(reading_by(read))
    wire.to_data()
    assert wire.say("Hello", ".") == ["250 OK"]
    assert "handle_BODY returned no reply" in caplog.text


def test_a_hook_may_refuse(connect: Connect) -> None:
    async def read(body: AsyncIterator[bytes]) -> str:
        async for chunk in body:
            if b"spam" in chunk:
                return "554 5.7.1 spam"
        return "250 OK"

    wire = connect(reading_by(read))
    wire.to_data()
    wire.send(b"Subject: spam\r\n")
    # Not before its end: the client does not listen while it sends (RFC 5321 section 4.2.5).
    assert wire.heard() == []
    assert wire.say("QUIT", "QUIT", ".") == ["554 5.7.1 spam"]
    assert_goes_on(wire)


def test_several_messages_of_one_connection(connect: Connect) -> None:
    handler = Collect()
    wire = connect(handler)
    for number in range(3):
        wire.to_data()
        assert wire.say(f"{number}", ".") == ["250 kept"]
    assert handler.content == b"0\r\n1\r\n2\r\n"


def test_the_end_of_a_body_stays_its_end(connect: Connect) -> None:
    seen = []

    async def read(body: AsyncIterator[bytes]) -> str:
        async for chunk in body:
            seen.append(chunk)
        async for chunk in body:
            seen.append(chunk)
        with pytest.raises(StopAsyncIteration):
            await anext(body)
        return "250 kept"

    wire = connect(reading_by(read))
    wire.to_data()
    assert wire.say("Hello", ".", "NOOP") == ["250 kept", "250 OK"]
    assert seen == [b"Hello\r\n"]


# -- memory, and a hook that is slower than the client --------------------------------------------


def test_no_more_is_kept_than_the_hook_has_not_read(connect: Connect) -> None:
    gate = asyncio.Event()

    class Handler(Collect):
        async def read(self, body: AsyncIterator[bytes]) -> None:
            async for chunk in body:
                self.chunks.append(chunk)
                await gate.wait()

    handler = Handler()
    wire = connect(handler)
    wire.to_data()
    sent = b""
    while wire.transport.is_reading():
        piece = (b"%010d" % len(sent)) * 99 + b"\r\n"
        wire.send(piece)
        sent += piece
    # What is kept is what the driver allows to pile up, and not a piece more.
    assert 65_536 < len(wire.server._connection.buffer) < 68_000
    assert len(handler.chunks) == 1
    wire.send(b".\r\n")
    assert wire.heard() == []
    gate.set()
    wire.settle()
    assert wire.transport.is_reading()
    assert wire.heard() == ["250 kept"]
    assert handler.content == sent


def test_a_hook_that_keeps_up_is_not_slowed(connect: Connect) -> None:
    handler = Collect()
    wire = connect(handler)
    wire.to_data()
    for _ in range(200):
        wire.send(b"x" * 998 + b"\r\n" + b"z" * 998 + b"\r\n")
        assert wire.transport.is_reading()
        assert len(wire.server._connection.buffer) < 5
    assert wire.say(".") == ["250 kept"]
    assert len(handler.content) == 400_000
    assert max(map(len, handler.chunks)) <= 2005


# -- a body that is too large, or has too long a line ---------------------------------------------


@pytest.mark.parametrize(
    ("octets", "error", "reply"),
    [
        (b"x\r\n" * 400, "BodyTooLarge", TOO_MUCH),
        (b"x" * 1100, "BodyLineTooLong", LINE_TOO_LONG),
    ],
)
def test_a_fault_is_raised_when_it_is_found_and_answered_at_the_end(
    connect: Connect, octets: bytes, error: str, reply: str
) -> None:
    limit = 1000 if error == "BodyTooLarge" else None
    handler = Collect()
    wire = connect(handler, data_size_limit=limit)
    wire.to_data()
    wire.send(octets)
    assert handler.ended == [error]
    assert wire.heard() == []
    for _ in range(50):
        wire.send(b"\r\nQUIT\r\n" * 1000)
        assert len(wire.server._connection.buffer) < 10
    assert wire.heard() == []
    assert wire.say("", ".") == [reply]
    assert limit is None or len(handler.content) <= limit
    assert_goes_on(wire)


def test_a_body_of_exactly_the_limit(connect: Connect) -> None:
    handler = Collect()
    wire = connect(handler, data_size_limit=1000)
    wire.to_data()
    assert wire.say(b"x" * 998, ".") == ["250 kept"]
    assert len(handler.content) == 1000


@pytest.mark.parametrize("end", ["return", "raise", "group", "again"])
def test_a_hook_cannot_make_a_faulty_body_good(
    connect: Connect, end: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def read(body: AsyncIterator[bytes]) -> str:
        try:
            async for _ in body:
                pass
        except BodyTooLarge as fault:
            if end == "raise":
                raise OSError("cannot remove the file") from fault
            if end == "group":
                raise ExceptionGroup("tasks", [fault, ExceptionGroup("more", [fault])]) from None
            if end == "again":
                with pytest.raises(BodyTooLarge):
                    await anext(body)
        return "250 kept"

    wire = connect(reading_by(read), data_size_limit=10)
    wire.to_data()
    assert wire.say("x" * 20, ".") == [TOO_MUCH]
    assert_goes_on(wire)
    # What is not the client's fault is told.
    assert ("cannot remove the file" in caplog.text) is (end == "raise")
    assert len([r for r in caplog.records if r.levelno >= logging.ERROR]) == (end == "raise")


def test_handle_exception_is_not_asked_about_faults_of_the_body(connect: Connect) -> None:
    class Handler(Collect):
        async def handle_exception(self, error: Exception) -> str:
            raise AssertionError(error)

    wire = connect(Handler(), data_size_limit=10)
    wire.to_data()
    assert wire.say("x" * 20, ".") == [TOO_MUCH]
    wire.to_data()
    wire.vanish()
    assert wire.over


# -- a connection that ends -----------------------------------------------------------------------


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("before", [b"", b"Hello\r\n", b"Hello\r\n.", b"Hello\r\n.\r"])
def test_a_connection_that_ends_inside_the_body(
    connect: Connect, before: bytes, half: bool, caplog: pytest.LogCaptureFixture
) -> None:
    handler = Collect()
    wire = connect(handler)
    wire.to_data()
    wire.send(before)
    if half:
        wire.half_close()
    else:
        wire.vanish(ConnectionResetError())
    assert handler.ended == ["BodyIncomplete"]
    assert wire.heard() == []
    assert wire.over
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_connection_that_ends_while_the_hook_is_busy(connect: Connect) -> None:
    gate = asyncio.Event()

    class Handler(Collect):
        async def read(self, body: AsyncIterator[bytes]) -> None:
            async for chunk in body:
                self.chunks.append(chunk)
                await gate.wait()

    handler = Handler()
    wire = connect(handler)
    wire.to_data()
    wire.send(b"one\r\n")
    wire.send(b"two\r\n")
    wire.vanish()
    # It learns of it where it reads, to remove what it has.
    assert handler.ended == []
    gate.set()
    wire.settle()
    assert handler.ended == ["BodyIncomplete"]
    assert wire.over


def test_a_connection_that_ends_after_the_body_cancels_the_hook(connect: Connect) -> None:
    class Handler(Collect):
        async def read(self, body: AsyncIterator[bytes]) -> None:
            await super().read(body)
            await asyncio.Event().wait()

    handler = Handler()
    wire = connect(handler)
    wire.to_data()
    wire.say("Hello", ".")
    wire.vanish()
    assert handler.ended == ["CancelledError"]
    assert wire.over


def test_a_half_close_after_the_body_is_answered(connect: Connect) -> None:
    gate = asyncio.Event()

    class Handler(Collect):
        async def read(self, body: AsyncIterator[bytes]) -> None:
            await super().read(body)
            await gate.wait()

    wire = connect(Handler())
    wire.to_data()
    wire.say("Hello", ".", "QUIT")
    wire.half_close()
    gate.set()
    wire.settle()
    assert wire.heard() == ["250 kept", "221 Bye"]
    assert wire.over


def test_what_fails_after_the_connection_was_lost_is_logged(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    async def read(body: AsyncIterator[bytes]) -> str:
        try:
            async for _ in body:
                pass
        except BodyIncomplete as fault:
            raise OSError("cannot remove the file") from fault
        return "250 kept"

    wire = connect(reading_by(read))
    wire.to_data()
    wire.vanish()
    assert wire.over
    assert "cannot remove the file" in caplog.text


# -- a hook that does not read to the end ---------------------------------------------------------


@pytest.mark.parametrize("chunks", [0, 1])
def test_what_is_left_unread_is_thrown_away(connect: Connect, chunks: int) -> None:
    async def read(body: AsyncIterator[bytes]) -> str:
        for _ in range(chunks):
            await anext(body)
        return "250 enough"

    wire = connect(reading_by(read))
    wire.to_data()
    wire.send(b"one\r\n")
    for _ in range(100):
        wire.send(b"QUIT\r\n" * 1000)
        assert wire.heard() == []
        assert wire.transport.is_reading()
        assert len(wire.server._connection.buffer) < 10
    assert wire.say(".", "NOOP") == ["250 enough", "250 OK"]
    assert_goes_on(wire)


@pytest.mark.parametrize("cut", [100, 10_000])
@pytest.mark.parametrize("chunks", [0, 1])
@pytest.mark.parametrize("rest", [b"y\r\n" * 1000, b"y" * 3000 + b"\r\n"])
def test_what_a_hook_did_not_want_cannot_change_its_answer(
    connect: Connect, rest: bytes, chunks: int, cut: int
) -> None:
    """What is over a limit once the hook has returned is given to nobody."""

    async def read(body: AsyncIterator[bytes]) -> str:
        for _ in range(chunks):
            await anext(body)
        return "250 enough"

    wire = connect(reading_by(read), data_size_limit=1000)
    wire.to_data()
    wire.send(b"one\r\n")
    for start in range(0, len(rest), cut):
        wire.send(rest[start : start + cut])
        assert wire.heard() == []
    assert wire.say(".") == ["250 enough"]
    assert_goes_on(wire)


@pytest.mark.parametrize("rest", [b"y\r\n" * 1000, b"y" * 3000 + b"\r\n"])
def test_a_fault_that_the_hook_has_met_is_answered(connect: Connect, rest: bytes) -> None:
    async def read(body: AsyncIterator[bytes]) -> str:
        with pytest.raises(BodyError):
            async for _ in body:
                pass
        return "250 enough"

    wire = connect(reading_by(read), data_size_limit=1000)
    wire.to_data()
    wire.send(b"one\r\n" + rest + b".\r\n")
    [reply] = wire.heard()
    assert reply in (TOO_MUCH, LINE_TOO_LONG)
    assert_goes_on(wire)


def test_a_hook_that_fails(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    async def read(body: AsyncIterator[bytes]) -> str:
        raise OSError("the disk is full")

    wire = connect(reading_by(read))
    wire.to_data()
    wire.send(b"one\r\nQUIT\r\n")
    assert wire.heard() == []
    assert wire.say("QUIT", ".", "NOOP") == [LOCAL_ERROR, "250 OK"]
    assert "the disk is full" in caplog.text
    assert_goes_on(wire)


def test_a_hook_that_raises_a_reply(connect: Connect) -> None:
    async def read(body: AsyncIterator[bytes]) -> str:
        raise ProtocolError(reply=Reply(452, "4.3.1", "disk full"))

    wire = connect(reading_by(read))
    wire.to_data()
    assert wire.say("one", ".", "NOOP") == ["452 4.3.1 disk full", "250 OK"]
    assert_goes_on(wire)


def test_a_hook_that_fails_and_a_client_that_leaves(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    async def read(body: AsyncIterator[bytes]) -> str:
        raise OSError("the disk is full")

    wire = connect(reading_by(read))
    wire.to_data()
    wire.send(b"one\r\n")
    wire.vanish()
    assert wire.over
    assert "the disk is full" in caplog.text


def test_a_hook_that_waits_for_what_is_cancelled(connect: Connect) -> None:
    async def read(body: AsyncIterator[bytes]) -> str:
        other = asyncio.ensure_future(asyncio.sleep(100))
        other.cancel()
        await other
        return "250 OK"

    wire = connect(reading_by(read))
    wire.to_data()
    wire.send(b"one\r\n")
    assert wire.heard() == []
    assert wire.say("QUIT", ".", "NOOP") == [LOCAL_ERROR, "250 OK"]
    assert_goes_on(wire)


def test_a_hook_that_took_too_long(connect: Connect) -> None:
    async def read(body: AsyncIterator[bytes]) -> str:
        await asyncio.sleep(100)
        return "250 late"

    wire = connect(reading_by(read), handler_timeout=30, timeout=300)
    wire.to_data()
    wire.send(b"one\r\n")
    wire.wait(31)
    # What is left of the body is still read to its end, however long that takes.
    wire.send(b"QUIT\r\n")
    wire.wait(100)
    assert wire.heard() == []
    assert wire.say("QUIT", ".", "NOOP") == [OVERDUE, "250 OK"]
    assert_goes_on(wire)


def test_a_hook_that_is_cancelled_from_outside_waits_for_nobody(connect: Connect) -> None:
    handler = Collect()
    wire = connect(handler)
    wire.to_data()
    wire.send(b"one\r\n")
    assert wire.server._handler_coroutine is not None
    wire.server._handler_coroutine.cancel()
    wire.settle()
    assert handler.ended == ["CancelledError"]
    assert wire.over


# -- several tasks --------------------------------------------------------------------------------


def test_a_body_may_be_read_by_a_task(connect: Connect) -> None:
    handler = Collect()

    async def read(body: AsyncIterator[bytes]) -> str:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(handler.read(body))
        return "250 kept"

    wire = connect(reading_by(read))
    wire.to_data()
    wire.send(b"one\r\n")
    assert wire.say("two", ".", "NOOP") == ["250 kept", "250 OK"]
    assert handler.content == b"one\r\ntwo\r\n"


@pytest.mark.parametrize("end", ["too large", "lost"])
def test_a_fault_is_raised_into_the_task(
    connect: Connect, end: str, caplog: pytest.LogCaptureFixture
) -> None:
    handler = Collect()

    async def read(body: AsyncIterator[bytes]) -> str:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(handler.read(body))
        return "250 kept"

    wire = connect(reading_by(read), data_size_limit=100)
    wire.to_data()
    if end == "too large":
        assert wire.say("x" * 200, ".") == [TOO_MUCH]
        assert_goes_on(wire)
    else:
        wire.send(b"one\r\n")
        wire.vanish()
        assert wire.heard() == []
        assert wire.over
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_task_that_outlives_its_hook_is_told(connect: Connect) -> None:
    raised: list[BaseException] = []
    tasks = []

    async def consume(body: AsyncIterator[bytes]) -> None:
        try:
            async for _ in body:
                pass
        except BodyError as error:
            raised.append(error)

    async def read(body: AsyncIterator[bytes]) -> str:
        tasks.append(asyncio.get_running_loop().create_task(consume(body)))
        await asyncio.sleep(0)
        return "250 early"

    wire = connect(reading_by(read))
    wire.to_data()
    wire.settle()
    assert tasks[0].done()
    assert [type(error) for error in raised] == [BodyError]
    assert wire.say("one", ".", "NOOP") == ["250 early", "250 OK"]
    assert_goes_on(wire)


def test_a_body_that_is_kept_is_of_no_use_later(connect: Connect) -> None:
    bodies = []

    async def read(body: AsyncIterator[bytes]) -> str:
        bodies.append(body)
        return "250 early"

    wire = connect(reading_by(read))
    wire.to_data()
    assert wire.say("one", ".") == ["250 early"]

    async def late() -> None:
        with pytest.raises(BodyError):
            await anext(bodies[0])

    wire.loop.run_until_complete(late())
    assert wire.say("NOOP") == ["250 OK"]


def test_two_tasks_cannot_read_one_body(connect: Connect) -> None:
    raised = []

    async def read(body: AsyncIterator[bytes]) -> str:
        first = asyncio.ensure_future(anext(body))
        await asyncio.sleep(0)
        try:
            await anext(body)
        except RuntimeError as error:
            raised.append(error)
        return (await first).decode().strip()

    wire = connect(reading_by(read))
    wire.to_data()
    assert wire.say("250 one", ".", "NOOP") == ["250 one", "250 OK"]
    assert len(raised) == 1


def test_a_hook_may_wait_for_a_chunk_with_a_limit_of_its_own(connect: Connect) -> None:
    seen: list[bytes | str] = []

    async def read(body: AsyncIterator[bytes]) -> str:
        while True:
            try:
                async with asyncio.timeout(10):
                    seen.append(await anext(body))
            except TimeoutError:
                seen.append("nothing")
            except StopAsyncIteration:
                return "250 kept"

    wire = connect(reading_by(read))
    wire.to_data()
    wire.send(b"one\r\n")
    wire.wait(11)
    assert wire.say("two", ".", "NOOP") == ["250 kept", "250 OK"]
    # The line end may belong to the end of the body, so it is given later.
    assert seen == [b"one", "nothing", b"\r\ntwo\r\n"]


def test_a_hook_that_gave_up_on_a_chunk_is_a_hook_that_runs(connect: Connect) -> None:
    ended = []

    class Handler:
        async def handle_BODY(
            self, server: Any, session: Any, envelope: Any, body: AsyncIterator[bytes]
        ) -> str:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(10):
                    await anext(body)
            try:
                await asyncio.sleep(1000)
            finally:
                ended.append("ended")
            return "250 OK"

    # The idle limit of the client is not in force now, that of the handler is.
    wire = connect(Handler(), timeout=20, handler_timeout=100)
    wire.to_data()
    wire.wait(10 + 95)
    assert wire.open
    wire.wait(10)
    assert ended == ["ended"]


def test_the_kinds_of_faults() -> None:
    for kind in (BodyTooLarge, BodyLineTooLong, BodyIncomplete):
        assert issubclass(kind, BodyError)
