"""LMTP (RFC 2033): LHLO in place of HELO and EHLO, and a reply to the message for each recipient."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest

from aiosmtpd import __version__
from aiosmtpd.lmtp import LMTP
from aiosmtpd.protocol import ProtocolError, Reply
from aiosmtpd.smtp import SMTP

if TYPE_CHECKING:
    from tests.unit.conftest import Connect, Wire

LOCAL_ERROR = "451 4.3.0 Error: local error in processing"
RECIPIENTS = ["b@example.com", "c@example.com", "d@example.com"]


class Returning:
    """Answers a message by what it was given, by way of ``handle_DATA``."""

    def __init__(self, returned: Any) -> None:
        self.returned = returned
        self.envelopes: list[Any] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> Any:
        self.envelopes.append(envelope)
        if isinstance(self.returned, Exception):
            raise self.returned
        return self.returned


class Streaming(Returning):
    """The same by way of ``handle_BODY``."""

    async def handle_BODY(
        self, server: Any, session: Any, envelope: Any, body: AsyncIterator[bytes]
    ) -> Any:
        async for _ in body:
            pass
        return await self.handle_DATA(server, session, envelope)


both = pytest.mark.parametrize("kind", [Returning, Streaming])


def deliver(wire: Wire, *lines: str, recipients: list[str] = RECIPIENTS) -> list[str]:
    wire.to_data(*recipients, greeting="LHLO")
    return wire.say(*lines, ".")


# -- greeting -------------------------------------------------------------------------------------


def test_greeting(connect: Connect) -> None:
    wire = connect(cls=LMTP)
    assert wire.greeting == [f"220 mx.example Python SMTP {__version__}"]


def test_lhlo(connect: Connect) -> None:
    wire = connect(cls=LMTP)
    assert wire.say("LHLO client.example") == [
        "250-mx.example",
        "250-SIZE 33554432",
        "250-8BITMIME",
        "250-PIPELINING",
        "250-CHUNKING",
        "250 HELP",
    ]
    assert wire.server.session.host_name == "client.example"
    assert wire.server.session.extended_smtp is True


def test_lhlo_without_a_name(connect: Connect) -> None:
    wire = connect(cls=LMTP)
    assert wire.say("LHLO", "lhlo ") == ["501 Syntax: LHLO hostname"] * 2


def test_a_second_lhlo_acts_as_rset(connect: Connect) -> None:
    wire = connect(cls=LMTP)
    wire.say("LHLO client.example", "MAIL FROM:<a@example.com>")
    wire.say("LHLO client.example")
    assert wire.say("RCPT TO:<b@example.com>") == ["503 Error: need MAIL command"]


@pytest.mark.parametrize("verb", ["HELO", "EHLO", "helo"])
def test_the_greetings_of_smtp_are_unknown(connect: Connect, verb: str) -> None:
    wire = connect(cls=LMTP)
    assert (
        wire.say(f"{verb} client.example", verb)
        == [f'500 Error: command "{verb.upper()}" not recognized'] * 2
    )
    assert wire.server.session.host_name is None
    assert wire.say("LHLO client.example")[-1] == "250 HELP"


@pytest.mark.parametrize("command", ["MAIL FROM:<a@b>", "RCPT TO:<a@b>", "DATA", "AUTH PLAIN"])
def test_lhlo_comes_first(connect: Connect, command: str) -> None:
    assert connect(cls=LMTP).say(command) == ["503 Error: send LHLO first"]


def test_help(connect: Connect) -> None:
    wire = connect(cls=LMTP)
    verbs = "AUTH DATA HELP LHLO MAIL NOOP QUIT RCPT RSET VRFY"
    assert wire.say("HELP") == [f"250 Supported commands: {verbs}"]
    assert wire.say("HELP LHLO") == ["250 Syntax: LHLO hostname"]
    assert wire.say("HELP EHLO") == [f"501 Supported commands: {verbs}"]


def test_the_hook_of_ehlo_is_that_of_lhlo(connect: Connect) -> None:
    class Handler:
        async def handle_EHLO(
            self, server: Any, session: Any, envelope: Any, name: str, lines: list[str]
        ) -> list[str]:
            session.host_name = name
            return ["250-mine", "250 HELP"]

    wire = connect(Handler(), cls=LMTP)
    assert wire.say("LHLO client.example") == ["250-mine", "250 HELP"]
    assert wire.say("MAIL FROM:<a@example.com>") == ["250 OK"]


def test_parameters_are_known_after_lhlo(connect: Connect) -> None:
    wire = connect(cls=LMTP)
    wire.say("LHLO client.example")
    assert wire.say("MAIL FROM:<a@example.com> SIZE=10 BODY=8BITMIME") == ["250 OK"]


def test_starttls_is_required_before_anything_but_lhlo(connect: Connect) -> None:
    wire = connect(cls=LMTP)
    wire.server.require_starttls = True
    assert wire.say("LHLO client.example")[-1] == "250 HELP"
    assert wire.say("MAIL FROM:<a@b>") == ["530 Must issue a STARTTLS command first"]


# -- one reply a recipient (RFC 2033 section 4.2) -------------------------------------------------


@both
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(
    ("returned", "reply"),
    [("250 kept", "250 kept"), (b"250 kept", "250 kept"), ("550 no", "550 no"), (None, "250 OK")],
)
def test_one_reply_for_all(
    connect: Connect, kind: Any, returned: Any, reply: str, count: int
) -> None:
    wire = connect(kind(returned), cls=LMTP)
    assert deliver(wire, "Hello", recipients=RECIPIENTS[:count]) == [reply] * count


@both
@pytest.mark.parametrize("sequence", [list, tuple])
def test_a_list_of_replies(connect: Connect, kind: Any, sequence: Any) -> None:
    replies = ["250 kept", b"452 full", Reply(550, "5.1.1", "nobody")]
    wire = connect(kind(sequence(replies)), cls=LMTP)
    assert deliver(wire, "Hello") == ["250 kept", "452 full", "550 5.1.1 nobody"]
    assert wire.say("NOOP") == ["250 OK"]


@both
def test_a_dict_of_replies(connect: Connect, kind: Any) -> None:
    replies = {"d@example.com": "250 d", "b@example.com": "250 b", "x@example.com": "250 x"}
    wire = connect(kind(replies), cls=LMTP)
    # What was not decided for a recipient is not delivered to it.
    assert deliver(wire, "Hello") == ["250 b", LOCAL_ERROR, "250 d"]


def test_a_recipient_that_is_named_twice_is_answered_twice(connect: Connect) -> None:
    wire = connect(Returning({"b@example.com": "250 b", "c@example.com": "250 c"}), cls=LMTP)
    recipients = ["b@example.com", "c@example.com", "b@example.com"]
    assert deliver(wire, "Hello", recipients=recipients) == ["250 b", "250 c", "250 b"]


def test_recipients_that_were_refused_are_not_answered(connect: Connect) -> None:
    class Handler(Returning):
        async def handle_RCPT(
            self, server: Any, session: Any, envelope: Any, address: str, options: Any
        ) -> str:
            if address.startswith("no"):
                return "550 no"
            envelope.rcpt_tos.append(address)
            return "250 OK"

    wire = connect(Handler(["250 b", "250 c"]), cls=LMTP)
    wire.say("LHLO client.example", "MAIL FROM:<a@example.com>")
    assert wire.say(
        "RCPT TO:<b@example.com>",
        "RCPT TO:<no@example.com>",
        "RCPT TO:<c@example.com>",
        "DATA",
        ".",
    )[-2:] == ["250 b", "250 c"]


@both
@pytest.mark.parametrize(
    "returned",
    [
        [],
        ["250 kept"],
        ["250 kept"] * 4,
        ["250 kept", "250 kept", None],
        [250, 250, 250],
        {"b@example.com": None},
        {"b@example.com": 250},
        250,
        {"250 kept"},
    ],
)
def test_replies_that_do_not_fit(
    connect: Connect, kind: Any, returned: Any, caplog: pytest.LogCaptureFixture
) -> None:
    wire = connect(kind(returned), cls=LMTP)
    assert deliver(wire, "Hello") == [LOCAL_ERROR] * 3
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert wire.say("NOOP") == ["250 OK"]


@both
def test_an_exception_is_told_to_each(
    connect: Connect, kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    wire = connect(kind(ValueError("boo")), cls=LMTP)
    assert deliver(wire, "Hello") == [LOCAL_ERROR] * 3
    assert "boo" in caplog.text
    assert wire.say("NOOP") == ["250 OK"]


@both
def test_a_reply_that_is_raised_is_told_to_each(connect: Connect, kind: Any) -> None:
    error = ProtocolError(reply=Reply(452, "4.3.1", "full"))
    wire = connect(kind(error), cls=LMTP)
    assert deliver(wire, "Hello") == ["452 4.3.1 full"] * 3
    assert wire.say("RCPT TO:<b@example.com>") == ["503 Error: need MAIL command"]


def test_what_handle_exception_says_is_told_to_each(connect: Connect) -> None:
    class Handler(Returning):
        async def handle_exception(self, error: Exception) -> str:
            return f"554 {error}"

    wire = connect(Handler(ValueError("boo")), cls=LMTP)
    assert deliver(wire, "Hello") == ["554 boo"] * 3
    # An exception of another command has one answer.
    assert wire.say("NOOP") == ["250 OK"]


@both
@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("x" * 150, "552 Error: Too much mail data"),
        ("x" * 1500, "500 Line too long (see RFC5321 4.5.3.1.6)"),
    ],
)
def test_a_refused_body_is_told_to_each(connect: Connect, kind: Any, line: str, reply: str) -> None:
    handler = kind("250 kept")
    wire = connect(handler, cls=LMTP, data_size_limit=100 if len(line) < 1000 else None)
    assert deliver(wire, line) == [reply] * 3
    assert handler.envelopes == []
    assert wire.say("NOOP") == ["250 OK"]


def test_a_body_that_cannot_be_decoded_is_told_to_each(connect: Connect) -> None:
    wire = connect(Returning("250 kept"), cls=LMTP, decode_data=True)
    assert deliver(wire, "é") == ["500 Error: strict ASCII mode"] * 3


@both
def test_a_hook_that_took_too_long_is_told_to_each(connect: Connect, kind: Any) -> None:
    class Handler(kind):  # type: ignore[misc]
        async def handle_DATA(self, *_: Any) -> str:
            await asyncio.sleep(100)
            return "250 late"

    wire = connect(Handler(None), cls=LMTP, handler_timeout=30)
    assert deliver(wire, "Hello") == []
    wire.wait(31)
    assert wire.heard() == ["451 4.3.0 Error: processing took too long"] * 3
    assert wire.say("NOOP") == ["250 OK"]


@both
def test_what_a_hook_does_to_the_recipients_changes_no_number(connect: Connect, kind: Any) -> None:
    class Handler(kind):  # type: ignore[misc]
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            envelope.rcpt_tos.append("copy@example.com")
            envelope.rcpt_tos.remove("b@example.com")
            envelope.rcpt_tos.remove("c@example.com")
            return "250 kept"

    assert deliver(connect(Handler(None), cls=LMTP), "Hello") == ["250 kept"] * 3


def test_process_message_answers_each(connect: Connect) -> None:
    class Old:
        def process_message(self, *_: Any) -> str:
            return "250 old"

    wire = connect(Old(), cls=LMTP)
    with pytest.warns(DeprecationWarning, match="process_message"):
        assert deliver(wire, "Hello") == ["250 old"] * 3


def test_no_handler(connect: Connect) -> None:
    assert deliver(connect(cls=LMTP), "Hello") == ["250 OK"] * 3


def test_pipelined(connect: Connect) -> None:
    wire = connect(Returning(["250 b", "250 c"]), cls=LMTP)
    told = wire.say(
        "LHLO client.example",
        "MAIL FROM:<a@example.com>",
        "RCPT TO:<b@example.com>",
        "RCPT TO:<c@example.com>",
        "DATA",
        "Hello",
        ".",
        "QUIT",
    )
    assert told[-4:] == ["354 End data with <CR><LF>.<CR><LF>", "250 b", "250 c", "221 Bye"]
    assert wire.over


def test_smtp_has_one_reply(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    # A list or a dict is for LMTP; on an SMTP server it is a mistake.
    wire = connect(Returning(["250 b", "250 c"]), cls=SMTP)
    wire.to_data("b@example.com", "c@example.com")
    assert wire.say("Hello", ".") == [LOCAL_ERROR]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
