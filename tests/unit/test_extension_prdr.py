"""PRDR (draft-hall-prdr-00): a reply to the message for each recipient, where the client asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.conversations import Item, play

from aiosmtpd.extensions import BUILT_IN, DEFAULT, Prdr, table_of
from aiosmtpd.lmtp import LMTP
from aiosmtpd.protocol import ProtocolError, Reply
from aiosmtpd.smtp import SMTP

if TYPE_CHECKING:
    from tests.unit.conftest import Connect

EXTENSIONS = (*DEFAULT, Prdr())

OFFERED = "250-mx.example\n...\n250 PRDR"
LOCAL_ERROR = "451 4.3.0 Error: local error in processing"
BEGINS = "353 Content analysis has begun"
DEFERRED = "450 Error: the message was accepted for nobody yet"
REFUSED = "550 Error: the message was accepted for nobody"
START = "354 End data with <CR><LF>.<CR><LF>"
NOOP: tuple[Item, Item] = (b"NOOP\r\n", "250 OK")
EHLO: tuple[Item, Item] = (b"EHLO client.example\r\n", OFFERED)
ASK: tuple[Item, Item] = (b"MAIL FROM:<a@example.com> PRDR\r\n", "250 OK")


def to(*recipients: bytes, mail: tuple[Item, Item] = ASK) -> tuple[Item, ...]:
    rcpt = (b"RCPT TO:<%s@example.com>\r\n" % recipient for recipient in recipients)
    return (*EHLO, *mail, *(item for command in rcpt for item in (command, "250 OK")))


def data(*replies: str) -> tuple[Item, ...]:
    return (b"DATA\r\n", START, b"Hello\r\n.\r\n", *replies)


def bdat(*replies: str) -> tuple[Item, ...]:
    return (b"BDAT 5\r\nHello", "250 OK, 5 octets received", b"BDAT 2 LAST\r\n\r\n", *replies)


class Returning:
    """Answers a message by what it was given, by way of ``handle_DATA``."""

    def __init__(self, returned: Any) -> None:
        self.returned = returned

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> Any:
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
either = pytest.mark.parametrize("send", [data, bdat])
Send = Callable[..., tuple[Item, ...]]


def deliver(
    kind: type[Returning], returned: Any, *conversation: Item, **arguments: Any
) -> list[Returning]:
    arguments.setdefault("extensions", EXTENSIONS)
    return play([*conversation, *NOOP], lambda: kind(returned), **arguments)


# -- what it offers -------------------------------------------------------------------------------


def test_it_is_offered_where_it_was_added(connect: Connect) -> None:
    assert "PRDR" not in connect().ehlo()
    assert "PRDR" in connect(extensions=EXTENSIONS).ehlo()
    assert BUILT_IN["PRDR"] is Prdr


def test_it_is_not_known_where_it_was_not() -> None:
    unknown = "555 MAIL FROM parameters not recognized or not implemented"
    play([b"EHLO c\r\n", "250-mx.example\n...\n250 HELP", ASK[0], unknown])


def test_lmtp_has_its_replies_anyway() -> None:
    unknown = "555 MAIL FROM parameters not recognized or not implemented"
    told: list[Item] = [b"LHLO c\r\n", "250-mx.example\n...\n250 HELP", ASK[0], unknown, *NOOP]
    play(told, cls=LMTP, extensions=EXTENSIONS)


def test_it_takes_no_value() -> None:
    syntax = "501 Syntax: MAIL FROM: <address> [SP <mail-parameters>]"
    for value in (b"=", b"=1", b"=YES"):
        mail = (b"MAIL FROM:<a@example.com> PRDR%s\r\n" % value, syntax)
        play([*EHLO, *mail, *NOOP], extensions=EXTENSIONS)


def test_it_is_a_parameter_of_mail_after_ehlo() -> None:
    told: list[Item] = [b"HELO c\r\n", "250 mx.example", ASK[0], "501 Syntax: MAIL ..."]
    play(told, extensions=EXTENSIONS)
    refused = "555 RCPT TO parameters not recognized or not implemented"
    told = [*EHLO, *ASK, b"RCPT TO:<b@example.com> PRDR\r\n", refused]
    play(told, extensions=EXTENSIONS)


def test_the_line_of_mail_has_room_for_it() -> None:
    longer = table_of(EXTENSIONS).longer["MAIL"] - table_of(DEFAULT).longer["MAIL"]
    assert longer == len(" PRDR")


# -- replies by recipient -------------------------------------------------------------------------

BLOCKS: list[tuple[list[str], str]] = [
    (["250 b", "250 c", "250 d"], "250 OK"),
    (["250 b", "550 5.7.1 c", "451 d"], "250 OK"),
    (["550 b", "550 c", "250 d"], "250 OK"),
    (["550 b", "451 c", "550 d"], DEFERRED),
    (["450 b", "451 c", "452 d"], DEFERRED),
    (["550 b", "554 c", "552 d"], REFUSED),
]


@both
@either
@pytest.mark.parametrize(("block", "final"), BLOCKS)
def test_a_list_of_replies(kind: type[Returning], send: Send, block: list[str], final: str) -> None:
    deliver(kind, block, *to(b"b", b"c", b"d"), *send(BEGINS, *block, final))
    octets = tuple(reply.encode() for reply in block)
    deliver(kind, octets, *to(b"b", b"c", b"d"), *send(BEGINS, *block, final))


@both
@either
def test_a_dict_of_replies(kind: type[Returning], send: Send) -> None:
    replies = {"d@example.com": "250 d", "b@example.com": "550 b", "x@example.com": "250 x"}
    # What was not decided for a recipient is not delivered to it.
    told = send(BEGINS, "550 b", LOCAL_ERROR, "250 d", "250 OK")
    deliver(kind, replies, *to(b"b", b"c", b"d"), *told)


@both
@either
def test_one_recipient(kind: type[Returning], send: Send) -> None:
    deliver(kind, ["250 b"], *to(b"b"), *send(BEGINS, "250 b", "250 OK"))


@both
@either
@pytest.mark.parametrize(
    ("returned", "reply"),
    [("250 kept", "250 kept"), (b"550 no", "550 no"), (None, "250 OK"), (Reply(452, None), "452 ")],
)
def test_one_reply_for_all(
    kind: type[Returning], send: Send, returned: Any, reply: str, caplog: pytest.LogCaptureFixture
) -> None:
    """There is no need to tell the recipients apart (draft-hall-prdr-00 section 4.4)."""
    deliver(kind, returned, *to(b"b", b"c"), *send(reply))


@both
@either
def test_message_after_message(kind: type[Returning], send: Send) -> None:
    """The client asks for it with each MAIL."""
    block = send(BEGINS, "250 b", "550 c", "250 OK")
    plain = (b"MAIL FROM:<a@example.com>\r\n", "250 OK")
    told = [*to(b"b", b"c"), *block, *to(b"b", b"c"), *block, *to(b"b", b"c", mail=plain)]
    deliver(kind, ["250 b", "550 c"], *told, *send(LOCAL_ERROR))


@both
@either
def test_who_does_not_ask_is_not_answered_so(kind: type[Returning], send: Send) -> None:
    """As ever on an SMTP server: a list is a mistake of the hook."""
    plain = (b"MAIL FROM:<a@example.com>\r\n", "250 OK")
    deliver(kind, ["250 b", "250 c"], *to(b"b", b"c", mail=plain), *send(LOCAL_ERROR))


def test_recipients_that_were_refused_are_not_answered() -> None:
    class Handler(Returning):
        async def handle_RCPT(
            self, server: Any, session: Any, envelope: Any, address: str, options: Any
        ) -> str:
            if address.startswith("no"):
                return "550 no"
            envelope.rcpt_tos.append(address)
            return "250 OK"

        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> list[str]:
            return [f"250 {recipient}" for recipient in envelope.rcpt_tos]

    refused: tuple[Item, Item] = (b"RCPT TO:<no@example.com>\r\n", "550 no")
    told = [*to(b"b"), *refused, b"RCPT TO:<c@example.com>\r\n", "250 OK"]
    block = data(BEGINS, "250 b@example.com", "250 c@example.com", "250 OK")
    deliver(Handler, None, *told, *block)


# -- what goes wrong ------------------------------------------------------------------------------


@both
@either
@pytest.mark.parametrize(
    "returned",
    [
        [],
        ["250 b"],
        ["250 b"] * 3,
        ["250 b", None],
        [250, 250],
        {"b@example.com": 250},
        250,
        {"250"},
    ],
)
def test_replies_that_do_not_fit(
    kind: type[Returning], send: Send, returned: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing of a block is sent that could not be sent whole."""
    deliver(kind, returned, *to(b"b", b"c"), *send(LOCAL_ERROR))


@both
@either
@pytest.mark.parametrize(
    ("error", "reply"),
    [
        (ValueError("boo"), LOCAL_ERROR),
        (ProtocolError(reply=Reply(452, "4.3.1", "full")), "452 ..."),
    ],
)
def test_a_hook_that_fails(
    kind: type[Returning],
    send: Send,
    error: Exception,
    reply: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    deliver(kind, error, *to(b"b", b"c"), *send(reply))


@both
def test_a_body_that_is_refused(kind: type[Returning]) -> None:
    too_much = "552 Error: Too much mail data"
    deliver(kind, ["250 b"], *to(b"b"), *data(too_much), data_size_limit=3)
    refused = (b"BDAT 5 LAST\r\nHello", too_much)
    deliver(kind, ["250 b"], *to(b"b"), *refused, data_size_limit=3)


@both
def test_a_hook_that_takes_too_long(connect: Connect, kind: type[Returning]) -> None:
    class Handler(kind):  # type: ignore[misc,valid-type]
        async def handle_DATA(self, *_: Any) -> list[str]:
            await asyncio.sleep(100)
            return ["250 b"]

    wire = connect(Handler(None), extensions=EXTENSIONS, handler_timeout=30)
    wire.ehlo()
    wire.say("MAIL FROM:<a@example.com> PRDR", "RCPT TO:<b@example.com>", "DATA", ".")
    wire.wait(31)
    assert wire.heard() == ["451 4.3.0 Error: processing took too long"]


def test_the_client_is_gone_amid_the_replies(connect: Connect) -> None:
    class Leaving(SMTP):
        async def push(self, status: str | bytes) -> None:
            await super().push(status)
            if status == "250 b":
                raise ConnectionResetError

    wire = connect(Returning(["250 b", "250 c"]), cls=Leaving, extensions=EXTENSIONS)
    wire.ehlo()
    wire.say("MAIL FROM:<a@example.com> PRDR", "RCPT TO:<b@example.com>", "RCPT TO:<c@example.com>")
    assert wire.say("DATA", ".") == [START, BEGINS, "250 b"]
    assert wire.over
