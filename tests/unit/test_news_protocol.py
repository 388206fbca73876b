"""What the changelog of 1.x tells of the protocol, where no other test shows it."""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import Iterable
from typing import Any

import pytest

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Proxy, Sink
from aiosmtpd.lmtp import LMTP
from aiosmtpd.session import Envelope, Session
from aiosmtpd.smtp import SMTP
from aiosmtpd.testing import Conversation, RecordingHandler, converse


def test_the_last_line_end_of_a_message_is_kept() -> None:
    handler = RecordingHandler()

    async def main() -> None:
        async with Conversation(SMTP(handler)) as client:
            assert (await client.message("a@b", "c@d", b"one\r\n\r\ntwo\r\n")).accepted

    asyncio.run(main())
    assert handler.envelopes[0].content == b"one\r\n\r\ntwo\r\n"


def test_line_ends_inside_a_message_are_kept() -> None:
    handler = RecordingHandler()

    async def main() -> None:
        async with Conversation(SMTP(handler)) as client:
            assert (await client.message("a@b", "c@d", b"lf\ncr\rcrlf\r\n")).accepted

    asyncio.run(main())
    assert handler.envelopes[0].content == b"lf\ncr\rcrlf\r\n"


class Counting:
    """A handler that counts how often its names are listed."""

    listed = 0

    def __dir__(self) -> Iterable[str]:
        type(self).listed += 1
        return super().__dir__()

    async def handle_NOOP(
        self, server: SMTP, session: Session, envelope: Envelope, arg: str | None
    ) -> str:
        return "250 counted"


def test_verbs_and_hooks_are_looked_up_by_name() -> None:
    """The names of a handler are not searched for each command."""

    async def main() -> None:
        async with Conversation(SMTP(Counting())) as client:
            await client.hello()
            before = Counting.listed
            for _ in range(10):
                assert await client.send("NOOP") == "250 counted"
            assert Counting.listed == before

    asyncio.run(main())


def test_a_silent_client_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mail.log")
    converse(lambda: SMTP(Sink(), timeout=0.01), "S: 220 ...\n[closed]")
    assert "timeout" in caplog.text


def test_no_timeout_at_all() -> None:
    converse(lambda: SMTP(Sink(), timeout=None), "S: 220 ...\nC: NOOP\nS: 250 OK")


@pytest.mark.parametrize("sent", [b"", b"NO", b"EHLO x\r\n", b"EHLO x\r\nMAIL FROM:<a@", b"\xff"])
@pytest.mark.parametrize("error", [None, ConnectionResetError(), BrokenPipeError()])
def test_a_connection_may_end_anywhere(
    sent: bytes, error: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with Conversation(SMTP(Sink())) as client:
            await client.greeting()
            client.feed(sent)
            client.lose(error)

    asyncio.run(main())
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_connection_may_end_inside_a_message() -> None:
    handler = RecordingHandler()

    async def main() -> None:
        async with Conversation(SMTP(handler)) as client:
            await client.hello()
            for command in ("MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA"):
                await client.send(command)
            client.feed(b"half of a mess")
            client.lose(ConnectionResetError())

    asyncio.run(main())
    assert handler.envelopes == []


def test_the_peer_is_in_every_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mail.log")

    async def main() -> None:
        handler = RecordingHandler()
        protocol = SMTP(handler)
        async with Conversation(protocol, extra={"peername": ("192.0.2.7", 4711)}) as client:
            assert (await client.message("a@b", "c@d", b"hi\r\n")).accepted
            await client.send("QUIT")

    asyncio.run(main())
    lines = [
        record.getMessage()
        for record in caplog.records
        if record.name == "mail.log" and not record.getMessage().startswith("Available AUTH")
    ]
    assert len(lines) >= 5
    assert [line for line in lines if "('192.0.2.7', 4711)" not in line] == []


@pytest.mark.parametrize("enable_SMTPUTF8", [False, True])
def test_content_may_be_decoded_with_and_without_smtputf8(enable_SMTPUTF8: bool) -> None:
    handler = RecordingHandler()

    async def main() -> None:
        protocol = SMTP(handler, decode_data=True, enable_SMTPUTF8=enable_SMTPUTF8)
        async with Conversation(protocol) as client:
            ascii_only = await client.message("a@b", "c@d", b"plain\r\n")
            letters = await client.message("a@b", "c@d", "café\r\n".encode())
            assert ascii_only.code == 250
            assert letters.code == (250 if enable_SMTPUTF8 else 500)

    asyncio.run(main())
    assert handler.envelopes[0].content == "plain\r\n"
    assert [envelope.content for envelope in handler.envelopes[1:]] == (
        ["café\r\n"] if enable_SMTPUTF8 else []
    )


@pytest.mark.parametrize("decode_data", [False, True])
def test_the_proxy_handler_takes_content_of_either_kind(decode_data: bool) -> None:
    hop = RecordingHandler()

    async def main(port: int) -> None:
        async with Conversation(SMTP(Proxy("127.0.0.1", port), decode_data=decode_data)) as client:
            assert (await client.message("a@b", "c@d", b"Subject: hi\r\n\r\nbody\r\n")).code == 250

    with Controller(hop, "127.0.0.1", 0) as controller:
        asyncio.run(main(controller.port))
    [envelope] = hop.envelopes
    assert isinstance(envelope.content, bytes)
    assert envelope.content.endswith(b"\r\n\r\nbody\r\n")


def test_help_of_lmtp() -> None:
    converse(
        lambda: LMTP(Sink()),
        """
        S: 220 ...
        C: HELP
        S: 250 Supported commands: AUTH DATA HELP LHLO MAIL NOOP QUIT RCPT RSET VRFY
        C: HELP LHLO
        S: 250 Syntax: LHLO hostname
        C: HELP EHLO
        S: 501 Supported commands: ...
        """,
    )


def test_a_client_may_leave_at_any_moment_of_a_hook() -> None:
    """What a lost connection raises inside a hook is no exception of the hook."""
    asked: list[Exception] = []

    class Asked:
        async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
            await asyncio.get_running_loop().create_future()
            raise AssertionError("nobody wakes it")

        async def handle_exception(self, error: Exception) -> str:
            asked.append(error)
            return "451 asked"

    async def main() -> None:
        async with Conversation(SMTP(Asked())) as client:
            await client.hello()
            for command in ("MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA"):
                await client.send(command)
            client.feed(b".\r\n")
            await asyncio.sleep(0)
            client.lose(ConnectionResetError())

    asyncio.run(main())
    assert asked == []


def test_hooks_of_subclasses_still_work() -> None:
    class Old(SMTP):
        reset = False

        async def ehlo_hook(self) -> None:
            await self.push("250-X-OLD")

        async def rset_hook(self) -> None:
            self.reset = True

    async def main() -> None:
        protocol = Old(Sink())
        async with Conversation(protocol) as client:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                assert "X-OLD" in (await client.hello()).lines
                assert (await client.send("RSET")).code == 250
        assert protocol.reset
        names = [str(warning.message).rpartition(" ")[2] for warning in caught]
        assert names == [".ehlo_hook()", ".rset_hook()"]

    asyncio.run(main())


def test_the_name_in_the_greeting_may_be_given() -> None:
    def never() -> Any:
        raise AssertionError("a name that is given is not looked up")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("socket.getfqdn", never)
        converse(lambda: SMTP(Sink(), hostname="mx.example"), "S: 220 mx.example Python SMTP ...")
