"""Message and AsyncMessage: what message a subclass is given."""

from __future__ import annotations

import asyncio
import email.message
import email.policy
import threading
from email.message import EmailMessage
from email.message import Message as ClassicMessage
from typing import Any

import pytest

from aiosmtpd.handlers import AsyncMessage, Message, MessageBase
from aiosmtpd.session import Envelope, Session

SERVER: Any = None


class Keeper(Message):
    def handle_message(self, message: ClassicMessage) -> None:
        self.message = message


class AsyncKeeper(AsyncMessage):
    async def handle_message(self, message: ClassicMessage) -> None:
        await asyncio.sleep(0)
        self.message = message
        self.seen_loop = self.loop


async def give(handler: MessageBase, content: Any, **attributes: Any) -> str:
    session = Session(asyncio.get_running_loop())
    session.peer = attributes.pop("peer", ("127.0.0.1", 123))
    envelope = Envelope()
    envelope.mail_from = "a@example.com"
    envelope.rcpt_tos = ["b@example.com", "c@example.com"]
    envelope.content = content
    for name, value in attributes.items():
        setattr(envelope, name, value)
    return await handler.handle_DATA(SERVER, session, envelope)


def message_of(
    content: Any, *, handler: Keeper | AsyncKeeper | None = None, **attributes: Any
) -> ClassicMessage:
    handler = handler or Keeper()
    assert asyncio.run(give(handler, content, **attributes)) == "250 OK"
    return handler.message


@pytest.mark.parametrize("handler", [Keeper(), AsyncKeeper()])
@pytest.mark.parametrize("content", [b"Subject: x\r\n\r\nhi\r\n", "Subject: x\r\n\r\nhi\r\n"])
def test_the_message_tells_what_the_envelope_knew(
    handler: Keeper | AsyncKeeper, content: bytes | str
) -> None:
    message = message_of(content, handler=handler)
    assert type(message) is ClassicMessage
    assert message.items() == [
        ("Subject", "x"),
        ("X-Peer", "('127.0.0.1', 123)"),
        ("X-MailFrom", "a@example.com"),
        ("X-RcptTo", "b@example.com, c@example.com"),
    ]
    assert message.get_payload() == "hi\r\n"


@pytest.mark.parametrize("peer", [("::1", 2, 0, 0), "", "/run/client", None])
def test_the_peer_is_written_as_text(peer: Any) -> None:
    assert message_of(b"", peer=peer)["X-Peer"] == str(peer)


def test_the_null_reverse_path_is_kept() -> None:
    assert message_of(b"", mail_from="<>")["X-MailFrom"] == "<>"


def test_an_internationalized_mailbox_stays_as_it_is() -> None:
    assert message_of(b"", mail_from="é@example.com")["X-MailFrom"] == "é@example.com"


@pytest.mark.parametrize("message_class", [None, EmailMessage])
def test_fields_of_these_names_are_ours(message_class: type[EmailMessage] | None) -> None:
    forged = (
        b"X-Peer: f1\r\nx-peer: f2\r\nSubject: x\r\nX-MAILFROM: f3\r\n f4\r\nX-RcptTo: f5\r\n\r\n"
    )
    message = message_of(forged, handler=Keeper(message_class))
    assert message.keys() == ["Subject", "X-Peer", "X-MailFrom", "X-RcptTo"]
    assert b"f" not in message.as_bytes().replace(b"X-MailFrom", b"")


@pytest.mark.parametrize("handler", [Keeper(EmailMessage), AsyncKeeper(EmailMessage)])
def test_a_modern_message_class_gets_a_policy_that_works(handler: Keeper | AsyncKeeper) -> None:
    message = message_of("Subject: =?utf-8?q?=C3=A9?=\r\n\r\nhi\r\n", handler=handler)
    assert isinstance(message, EmailMessage)
    assert message.policy is email.policy.default
    assert message["Subject"] == "é"
    assert message.get_content() == "hi\r\n"


@pytest.mark.parametrize("content", [b"Subject: x\r\n\r\nhi\r\n", "Subject: x\r\n\r\nhi\r\n"])
def test_the_policy_can_be_given(content: bytes | str) -> None:
    message = message_of(content, handler=Keeper(policy=email.policy.SMTP))
    assert type(message) is EmailMessage
    assert message.policy is email.policy.SMTP
    assert message.as_bytes().count(b"\r\n") == message.as_bytes().count(b"\n") == 6


def test_policy_and_class_can_be_given_together() -> None:
    class Mine(EmailMessage):
        pass

    message = message_of(b"A: b\r\n\r\n", handler=Keeper(Mine, policy=email.policy.compat32))
    assert type(message) is Mine
    assert message.policy is email.policy.compat32
    other = message_of(b"A: b\r\n\r\n", handler=AsyncKeeper(policy=email.policy.SMTPUTF8))
    assert other.policy is email.policy.SMTPUTF8


def test_a_mutable_buffer_is_octets_too() -> None:
    assert message_of(bytearray(b"Subject: x\r\n\r\n"))["Subject"] == "x"


def test_content_is_text_or_octets() -> None:
    with pytest.raises(TypeError, match=r"^Expected str or bytes, got <class 'NoneType'>$"):
        asyncio.run(give(Keeper(), None))


def test_many_recipients_are_all_told() -> None:
    recipients = [f"recipient{number}@example.com" for number in range(1000)]
    message = message_of(b"", rcpt_tos=recipients)
    assert message["X-RcptTo"].split(", ") == recipients


class Tagging(MessageBase):
    def prepare_message(self, session: Session, envelope: Envelope) -> ClassicMessage:
        message = super().prepare_message(session, envelope)
        message["X-Tag"] = session.peer[0]
        return message


class TaggingKeeper(Tagging, Keeper):
    pass


class TaggingAsyncKeeper(Tagging, AsyncKeeper):
    pass


@pytest.mark.parametrize("handler", [TaggingKeeper(), TaggingAsyncKeeper()])
def test_preparing_can_be_overridden(handler: Keeper | AsyncKeeper) -> None:
    assert message_of(b"", handler=handler)["X-Tag"] == "127.0.0.1"


class Failing(Message):
    def handle_message(self, message: ClassicMessage) -> None:
        raise OSError("disk full")


class AsyncFailing(AsyncMessage):
    async def handle_message(self, message: ClassicMessage) -> None:
        raise OSError("disk full")


@pytest.mark.parametrize("handler", [Failing(), AsyncFailing()])
def test_what_a_subclass_raises_reaches_the_server(handler: MessageBase) -> None:
    with pytest.raises(OSError, match="disk full"):
        asyncio.run(give(handler, b""))


@pytest.mark.parametrize("base", [MessageBase, Message, AsyncMessage])
def test_the_bases_cannot_be_used_as_they_are(base: type[Any]) -> None:
    with pytest.raises(TypeError, match="abstract"):
        base()


def test_the_running_loop_is_the_default() -> None:
    handler = AsyncKeeper()

    async def run() -> None:
        await give(handler, b"")
        assert handler.seen_loop is asyncio.get_running_loop()

    asyncio.run(run())
    with pytest.raises(RuntimeError):
        _ = handler.loop


def test_a_loop_can_be_given_and_changed() -> None:
    loop, other = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        handler = AsyncKeeper(loop=loop)
        assert handler.loop is loop
        handler.loop = other
        assert handler.loop is other
    finally:
        loop.close()
        other.close()


def test_the_message_class_is_kept_for_all_to_read() -> None:
    assert Keeper().message_class is None
    assert Keeper(EmailMessage).message_class is EmailMessage


# -- messages that take the parser long -----------------------------------------------------------


@pytest.mark.parametrize("kind", [Keeper, AsyncKeeper])
@pytest.mark.parametrize("size", [10, 100_000])
def test_large_messages_are_parsed_in_a_thread(
    kind: type[Keeper] | type[AsyncKeeper], size: int
) -> None:
    threads: list[int] = []

    class Noted(ClassicMessage):
        def __init__(self, *arguments: Any, **keywords: Any) -> None:
            threads.append(threading.get_ident())
            super().__init__(*arguments, **keywords)

    handler = kind(Noted)
    assert asyncio.run(give(handler, b"Subject: x\r\n\r\n" + b"x" * size)) == "250 OK"
    assert (set(threads) == {threading.get_ident()}) is (size < 1000)
    assert handler.message["X-MailFrom"] == "a@example.com"


def test_an_override_of_prepare_message_stays_in_the_thread_of_the_loop() -> None:
    threads: list[int] = []

    class Own(Keeper):
        def prepare_message(self, session: Session, envelope: Envelope) -> ClassicMessage:
            threads.append(threading.get_ident())
            return super().prepare_message(session, envelope)

    assert asyncio.run(give(Own(), b"x" * 100_000)) == "250 OK"
    assert threads == [threading.get_ident()]


@pytest.mark.parametrize("kind", [Keeper, AsyncKeeper])
def test_parts_within_parts_without_end_are_refused(
    kind: type[Keeper] | type[AsyncKeeper],
) -> None:
    parts = "".join(
        f"Content-Type: multipart/mixed; boundary=b{number}\r\n\r\n--b{number}\r\n"
        for number in range(1500)
    )
    told = asyncio.run(give(kind(), parts.encode()))
    assert told == "554 5.6.0 Error: too many parts within parts"
