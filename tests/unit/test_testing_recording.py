"""The recording handler keeps what it gets, and can be waited for from another thread."""

from __future__ import annotations

import asyncio
import threading

import pytest

from aiosmtpd.smtp import SMTP
from aiosmtpd.testing import Conversation, RecordingHandler


def deliver(handler: RecordingHandler, *bodies: str, decode_data: bool = False) -> list[int]:
    async def scenario() -> list[int]:
        async with Conversation(SMTP(handler, decode_data=decode_data)) as client:
            return [
                (await client.message("anne@example.com", "bart@example.com", body)).code
                for body in bodies
            ]

    return asyncio.run(scenario())


@pytest.mark.parametrize("decode_data", [False, True])
def test_it_keeps_envelopes_and_messages(decode_data: bool) -> None:
    handler = RecordingHandler()
    codes = deliver(handler, "Subject: one\n\n1\n", "Subject: two\n\n2\n", decode_data=decode_data)
    assert codes == [250, 250]
    assert [envelope.mail_from for envelope in handler.envelopes] == ["anne@example.com"] * 2
    assert [envelope.rcpt_tos for envelope in handler.envelopes] == [["bart@example.com"]] * 2
    assert [message["subject"] for message in handler.messages] == ["one", "two"]
    assert handler.messages[1].get_content() == "2\n"
    first, second = handler.sessions
    assert first is second
    assert first.host_name == "client.example"


def test_it_answers_as_it_is_told_and_keeps_what_it_refuses() -> None:
    handler = RecordingHandler("550 no")
    assert deliver(handler, "x") == [550]
    handler.reply = "451 later"
    assert deliver(handler, "y") == [451]
    assert [envelope.content for envelope in handler.envelopes] == [b"x\r\n", b"y\r\n"]


def test_it_can_be_cleared() -> None:
    handler = RecordingHandler()
    deliver(handler, "x")
    handler.clear()
    assert (handler.envelopes, handler.sessions, handler.messages) == ([], [], [])


def test_another_thread_can_wait_for_messages() -> None:
    handler = RecordingHandler()
    sender = threading.Thread(target=deliver, args=(handler, "x", "y"))
    sender.start()
    envelopes = handler.wait_for(2)
    sender.join()
    assert [envelope.content for envelope in envelopes] == [b"x\r\n", b"y\r\n"]


def test_waiting_in_vain_is_told() -> None:
    handler = RecordingHandler()
    deliver(handler, "x")
    assert len(handler.wait_for()) == 1
    with pytest.raises(AssertionError, match=r"1 of 2 messages came within 0\.01 seconds"):
        handler.wait_for(2, timeout=0.01)
