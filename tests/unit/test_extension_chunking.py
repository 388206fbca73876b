"""CHUNKING and BINARYMIME (RFC 3030): a message by BDAT, and every way to get it wrong."""

from __future__ import annotations

import asyncio
import itertools
import random
import re
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.conversations import Item, play, received

from aiosmtpd.extensions import (
    BUILT_IN,
    DEFAULT,
    BinaryMime,
    Chunking,
    EightBitMime,
    Extension,
    Prdr,
    Size,
)
from aiosmtpd.lmtp import LMTP
from aiosmtpd.protocol import (
    BodyError,
    BodyIncomplete,
    BodyTooLarge,
    ProtocolError,
    Reply,
)
from aiosmtpd.smtp import SMTP, AuthResult

if TYPE_CHECKING:
    import ssl

    from tests.unit.conftest import Connect, Run, Serve, Wire

BINARY = (*DEFAULT, BinaryMime())

OFFERED = "250-mx.example\n...\n250 ..."
LOCAL_ERROR = "451 4.3.0 Error: local error in processing"
OVERDUE = "451 4.3.0 Error: processing took too long"
TOO_MUCH = "552 Error: Too much mail data"
NEED_RCPT = "503 Error: need RCPT command"
BEGUN = "503 Error: BDAT has begun the message"
SYNTAX = "501 Syntax: BDAT <size> [LAST]"
NOOP: tuple[Item, Item] = (b"NOOP\r\n", "250 OK")
EHLO: tuple[Item, Item] = (b"EHLO client.example\r\n", OFFERED)
MAIL: tuple[Item, Item] = (b"MAIL FROM:<a@example.com>\r\n", "250 OK")
RCPT: tuple[Item, Item] = (b"RCPT TO:<b@example.com>\r\n", "250 OK")
READY: tuple[Item, ...] = (*EHLO, *MAIL, *RCPT)


def ok(octets: int) -> str:
    return f"250 OK, {octets} octets received"


def bdat(content: bytes, reply: str | None = None) -> tuple[Item, Item]:
    """A chunk that is accepted, unless told."""
    return b"BDAT %d\r\n%s" % (len(content), content), reply or ok(len(content))


def last(content: bytes, reply: str = "250 OK") -> tuple[Item, Item]:
    return b"BDAT %d LAST\r\n%s" % (len(content), content), reply


def contents(*conversation: Item, **arguments: Any) -> list[bytes | None]:
    """Play a conversation in every way; give what was received, the same in each."""
    return [envelope.original_content for envelope in received(conversation, **arguments)]


class Streaming:
    """Reads the whole body, and keeps it and what was raised."""

    def __init__(self) -> None:
        self.content = b""
        self.ended: list[str] = []
        self.envelopes: list[Any] = []

    async def handle_BODY(
        self, server: Any, session: Any, envelope: Any, body: AsyncIterator[bytes]
    ) -> Any:
        assert session is server.session
        assert envelope is server.envelope
        assert asyncio.current_task() is not server._handler_coroutine
        self.envelopes.append(envelope)
        self.content = b""
        try:
            async for piece in body:
                assert type(piece) is bytes
                assert piece
                self.content += piece
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise
        self.ended.append("whole")
        return "250 OK"


# -- what it offers -------------------------------------------------------------------------------


def test_it_is_offered_by_default(connect: Connect) -> None:
    assert "CHUNKING" in connect().ehlo()
    assert "CHUNKING" in connect(decode_data=True).ehlo()
    wire = connect(extensions=[Size()])
    assert "CHUNKING" not in wire.ehlo()
    assert wire.say("BDAT 0 LAST") == ['500 Error: command "BDAT" not recognized']
    assert wire.say("HELP BDAT")[0].startswith("501")


def test_help(connect: Connect) -> None:
    wire = connect()
    assert "BDAT" not in wire.say("HELP")[0]  # as 1.4 has it
    assert wire.say("HELP bdat") == ["250 Syntax: BDAT <size> [LAST]"]


def test_binarymime_is_offered_where_octets_stay_octets(connect: Connect) -> None:
    assert "BINARYMIME" not in connect().ehlo()
    assert "BINARYMIME" in connect(extensions=BINARY).ehlo()
    for utf8 in (False, True):
        wire = connect(extensions=BINARY, decode_data=True, enable_SMTPUTF8=utf8)
        assert "BINARYMIME" not in wire.ehlo()
    assert BUILT_IN["BINARYMIME"] is BinaryMime


@pytest.mark.parametrize(
    ("extensions", "missing"),
    [
        ([BinaryMime()], "8BITMIME, CHUNKING"),
        ([EightBitMime(), BinaryMime()], "CHUNKING"),
        ([Chunking(), BinaryMime()], "8BITMIME"),
    ],
)
def test_binarymime_needs_others(extensions: list[Extension], missing: str) -> None:
    with pytest.raises(ValueError, match=f"extensions: BINARYMIME needs {missing}$"):
        SMTP(None, extensions=extensions)


# -- what it accepts ------------------------------------------------------------------------------

CONTENTS = [
    b"",
    b"a",
    b"Subject: hi\r\n\r\nHello\r\n",
    b".\r\n",
    b"..\r\n.\r\n",
    b"\r\n.\r\n",
    b"QUIT\r\n",
    b"BDAT 5 LAST\r\nRSET\r\n",
    b"no line end",
    b"\n\r\r\n\n.\n",
    b"\x00\xff\x80",
    bytes(range(256)),
]


@pytest.mark.parametrize("content", CONTENTS)
def test_a_message_in_one_chunk(content: bytes) -> None:
    assert contents(*READY, *last(content), *NOOP) == [content]


@pytest.mark.parametrize("content", CONTENTS)
def test_a_message_in_three_chunks(content: bytes) -> None:
    third = len(content) // 3
    first, second, rest = content[:third], content[third : 2 * third], content[2 * third :]
    assert contents(*READY, *bdat(first), *bdat(second), *last(rest), *NOOP) == [content]


@pytest.mark.parametrize("content", CONTENTS)
def test_a_message_whose_last_chunk_is_empty(content: bytes) -> None:
    assert contents(*READY, *bdat(content), *bdat(b""), *last(b""), *NOOP) == [content]


@pytest.mark.parametrize("content", CONTENTS)
def test_a_message_as_a_stream(content: bytes) -> None:
    half = len(content) // 2
    for handler in play(
        [*READY, *bdat(content[:half]), *NOOP, *last(content[half:]), *NOOP], Streaming
    ):
        assert handler.content == content
        assert handler.ended == ["whole"]
        (envelope,) = handler.envelopes
        assert (envelope.mail_from, envelope.rcpt_tos) == ("a@example.com", ["b@example.com"])
        assert envelope.content is None


@pytest.mark.parametrize("command", [b"BDAT 2  LAST\r\n", b"bdat 002 last\r\n", b"BDAT 2 LAST \n"])
def test_other_ways_to_write_it(command: bytes) -> None:
    assert contents(*READY, command + b"ab", "250 OK", *NOOP) == [b"ab"]


def test_lines_may_be_of_any_length() -> None:
    assert contents(*READY, *last(b"x" * 5000)) == [b"x" * 5000]


def test_message_after_message() -> None:
    conversation = [*READY, *bdat(b"one"), *last(b"two"), *MAIL, *RCPT]
    conversation += [b"DATA\r\n", "354 ...", b"three\r\n.\r\n", "250 OK"]
    conversation += [*MAIL, *RCPT, *last(b"four")]
    assert contents(*conversation) == [b"onetwo", b"three\r\n", b"four"]


def test_decode_data() -> None:
    conversation = (*READY, *bdat(b"caf\xc3"), *last(b"\xa9"))
    (envelope,) = received(conversation, decode_data=True, enable_SMTPUTF8=True)
    assert envelope.content == "café"
    assert envelope.original_content == b"caf\xc3\xa9"
    strict = (*READY, *bdat(b"caf\xc3"), *last(b"\xa9", "500 Error: strict ASCII mode"), *NOOP)
    assert contents(*strict, decode_data=True) == []


def test_process_message() -> None:
    class Old:
        def process_message(self, peer: Any, sender: str, recipients: list[str], data: Any) -> str:
            return f"250 {data!r}"

    with pytest.warns(DeprecationWarning, match="process_message"):
        play([*READY, *bdat(b"a"), *last(b"b", "250 b'ab'")], Old)


@pytest.mark.parametrize("handler", [object, Streaming])
def test_between_chunks_other_commands_are_answered(handler: type[Any]) -> None:
    play(
        [
            *(*READY, *bdat(b"one"), *NOOP),
            *(b"VRFY b@example.com\r\n", "252 ...", b"HELP BDAT\r\n", "250 Syntax: ..."),
            *(b"FOO\r\n", "500 ...", *MAIL[:1], "503 Error: nested MAIL command"),
            *(b"AUTH PLAIN\r\n", "503 ...", *last(b"two"), *NOOP),
        ],
        handler,
        tls=True,
        authenticator=lambda *_: AuthResult(success=True),
    )


@pytest.mark.parametrize("handler", [object, Streaming])
def test_the_connection_ends_between_chunks(handler: type[Any]) -> None:
    told = [*READY, *bdat(b"one"), b"QUIT\r\n", "221 Bye", "[closed]"]
    for seen in play(told, handler):
        assert getattr(seen, "ended", ["BodyIncomplete"]) == ["BodyIncomplete"]


# -- sequence -------------------------------------------------------------------------------------


def test_it_comes_after_a_greeting() -> None:
    play([*last(b"QUIT\r\n", "503 Error: send HELO first"), *NOOP])
    play([*last(b"QUIT\r\n", "503 Error: send LHLO first"), *NOOP], cls=LMTP)


def test_it_comes_after_ehlo() -> None:
    helo: list[Item] = [b"HELO client.example\r\n", "250 mx.example", *MAIL, *RCPT]
    refused = "503 Error: send EHLO first"
    play([*helo, *bdat(b"QUIT\r\n", refused), *last(b"QUIT\r\n", NEED_RCPT), *NOOP])


@pytest.mark.parametrize("before", [EHLO, (*EHLO, *MAIL), (*READY, b"RSET\r\n", "250 OK")])
@pytest.mark.parametrize("handler", [object, Streaming])
def test_it_comes_after_rcpt(before: tuple[Item, ...], handler: type[Any]) -> None:
    refused = bdat(b"QUIT\r\n", NEED_RCPT)
    play([*before, *refused, *refused, *last(b"RSET\r\n", NEED_RCPT), *NOOP], handler)


def test_one_that_came_too_early_ends_the_transaction() -> None:
    """Or the rest would be accepted for a message, once there is a recipient."""
    refused = "503 Error: need MAIL command"
    told = [*EHLO, *MAIL, *bdat(b"one", NEED_RCPT), RCPT[0], refused, *last(b"two", NEED_RCPT)]
    assert contents(*told) == []


@pytest.mark.parametrize("handler", [object, Streaming])
def test_there_is_none_after_the_last(handler: type[Any]) -> None:
    told = [*READY, *last(b"one"), *bdat(b"QUIT\r\n", NEED_RCPT), *last(b"x", NEED_RCPT), *NOOP]
    play([*told, *MAIL, *RCPT, *last(b"two")], handler)


@pytest.mark.parametrize("command", [b"DATA\r\n", b"RCPT TO:<c@example.com>\r\n"])
def test_what_has_begun_with_bdat_goes_on_with_it(command: bytes) -> None:
    told = [*READY, *bdat(b"one"), command, BEGUN, *last(b"two"), *NOOP]
    (envelope,) = received(told)
    assert envelope.original_content == b"onetwo"
    assert envelope.rcpt_tos == ["b@example.com"]
    play([*READY, *bdat(b""), command, BEGUN, *last(b""), *NOOP], Streaming)


@pytest.mark.parametrize(
    "command",
    [
        (b"RSET\r\n", "250 OK"),
        EHLO,
        (b"HELO client.example\r\n", "250 mx.example"),
    ],
)
@pytest.mark.parametrize("handler", [object, Streaming])
def test_what_ends_the_transaction(command: tuple[Item, Item], handler: type[Any]) -> None:
    told = [*READY, *bdat(b"one"), *command, *last(b"two", NEED_RCPT), *EHLO, *MAIL, *RCPT]
    for seen in play([*told, *last(b"three")], handler):
        if isinstance(seen, Streaming):
            assert seen.ended == ["BodyIncomplete", "whole"]
            assert seen.content == b"three"


def test_nothing_is_left_of_a_message_that_was_given_up() -> None:
    told = [*READY, *bdat(b"one"), b"RSET\r\n", "250 OK", *MAIL, *RCPT, *last(b"two")]
    assert contents(*told) == [b"two"]


def test_auth_is_needed() -> None:
    refused = "530 5.7.0 Authentication required"
    told = [*EHLO, *bdat(b"QUIT\r\n", refused), *last(b"RSET\r\n", refused), *NOOP]
    play(told, auth_required=True, tls=True, authenticator=lambda *_: AuthResult(success=True))


def test_a_subclass_may_do_without_a_greeting() -> None:
    class Server(SMTP):
        async def check_helo_needed(self, helo: str = "") -> bool:
            self.session.extended_smtp = True
            return False

    play([*MAIL, *RCPT, *last(b"one"), *NOOP], cls=Server)


# -- syntax ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("argument", [b"3 FIRST", b"3 LASTLY", b"3 LAST 3", b"3 LAST LAST"])
@pytest.mark.parametrize("handler", [object, Streaming])
def test_a_marker_that_is_none(argument: bytes, handler: type[Any]) -> None:
    told = [*READY, b"BDAT %s\r\none" % argument, SYNTAX, *last(b"two", NEED_RCPT), *NOOP]
    play(told, handler)
    play([*READY, *bdat(b"one"), *told[6:]], handler)


@pytest.mark.parametrize(
    "command",
    [
        b"BDAT",
        b"BDAT ",
        b"BDAT LAST",
        b"BDAT x",
        b"BDAT -1",
        b"BDAT +1",
        b"BDAT 0x1",
        b"BDAT 1.0 LAST",
        b"BDAT 1_0",
        b"BDAT 1LAST",
        b"BDAT 100000000000000000000",
        b"BDAT " + b"0" * 400,
    ],
)
@pytest.mark.parametrize("handler", [object, Streaming])
@pytest.mark.parametrize("before", [(), EHLO, READY, (*READY, *bdat(b"one"))])
def test_a_size_that_cannot_be_told_ends_the_connection(
    command: bytes, handler: type[Any], before: tuple[Item, ...]
) -> None:
    """What follows may be of the message, and must not be taken for commands."""
    play([*before, command + b"\r\nMAIL FROM:<x@example.com>\r\n", SYNTAX, "[closed]"], handler)


def test_a_chunk_that_is_announced_for_ever(connect: Connect) -> None:
    wire = connect(data_size_limit=1000)
    wire.ehlo()
    wire.say("MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>")
    wire.say("BDAT 99999999999999999999")
    for _ in range(50):
        wire.send(b"QUIT\r\n" * 1000)
        assert len(wire.server._connection.buffer) == 0
    assert wire.heard() == []
    assert wire.open


# -- before the verb is asked ---------------------------------------------------------------------


def test_starttls_is_needed(connect: Connect) -> None:
    wire = connect()
    wire.server.require_starttls = True
    wire.ehlo()
    refused = "530 Must issue a STARTTLS command first"
    assert wire.say("BDAT 8 LAST", "STARTTLS", "NOOP")[0] == refused
    for octet in b"BDAT 8 LAST\r\nSTARTTLSNOOP\r\n":
        wire.send(bytes([octet]))
    assert wire.heard()[-2:] == [refused, "250 OK"]
    assert wire.say("BDAT x", "NOOP") == [refused]
    assert wire.over


def test_tls_was_refused(connect: Connect) -> None:
    wire = connect()
    wire.server._tls_handshake_okay = False
    refused = "554 Command refused due to lack of security"
    assert wire.say("BDAT 6 LAST", "QUIT", "NOOP") == [refused] * 2
    assert wire.open


def test_the_line_is_too_long(connect: Connect) -> None:
    wire = connect()
    wire.ehlo()
    line = "BDAT 6 LAST" + " " * 600
    assert wire.say(line, "QUIT", "NOOP") == ["500 Command line too long", "250 OK"]
    assert wire.say("BDAT" + " " * 600, "NOOP") == ["500 Command line too long"]
    assert wire.over


def test_too_many(connect: Connect) -> None:
    wire = connect(command_call_limit={"BDAT": 2, "*": 9})
    wire.ehlo()
    wire.say("MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>")
    assert wire.say("BDAT 0", "BDAT 0", "BDAT 0") == [
        ok(0),
        ok(0),
        "421 4.7.0 BDAT sent too many times",
    ]
    assert wire.over


def test_a_verb_of_ones_own_goes_first() -> None:
    class Server(SMTP):
        async def smtp_BDAT(self, arg: str | None) -> None:
            await self.push(f"250 mine {arg}")

    play([*READY, b"BDAT 3\r\n", "250 mine 3", *NOOP], cls=Server)
    line = b"BDAT " + b"3" * 600
    play([*READY, line + b"\r\n", "500 Command line too long", *NOOP], cls=Server)


# -- limits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("handler", [object, Streaming])
@pytest.mark.parametrize(
    "told",
    [
        last(b"123456", TOO_MUCH),
        (*bdat(b"123456", TOO_MUCH), *last(b"QUIT\r\n", NEED_RCPT)),
        (*bdat(b"12345"), *bdat(b""), *last(b"6", TOO_MUCH)),
        (*bdat(b"123"), *bdat(b"456", TOO_MUCH), *bdat(b"7", NEED_RCPT), *last(b"", NEED_RCPT)),
    ],
)
def test_the_sum_is_over_the_limit(handler: type[Any], told: tuple[Item, ...]) -> None:
    for seen in play([*READY, *told, *NOOP, *MAIL, *RCPT, *last(b"x")], handler, data_size_limit=5):
        if isinstance(seen, Streaming):
            assert seen.ended == ["BodyTooLarge", "whole"]
            assert seen.content == b"x"


@pytest.mark.parametrize("handler", [object, Streaming])
@pytest.mark.parametrize("limit", [5, 0, None])
def test_the_sum_is_within_the_limit(handler: type[Any], limit: int | None) -> None:
    told = [*READY, *bdat(b"123"), *last(b"45"), *NOOP]
    play(told, handler, data_size_limit=limit)


def test_what_is_over_the_limit_is_not_held(connect: Connect) -> None:
    wire = connect(data_size_limit=1000)
    wire.ehlo()
    wire.say("MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>")
    wire.say("BDAT 1000000 LAST")
    for _ in range(100):
        wire.send(b"x" * 9_999)
        assert len(wire.server._connection.buffer) == 0
    assert wire.heard() == []
    wire.send(b"x" * 100)
    assert wire.heard() == [TOO_MUCH]
    assert wire.say("NOOP") == ["250 OK"]


# -- BINARYMIME -----------------------------------------------------------------------------------

BINARY_MAIL: tuple[Item, Item] = (b"MAIL FROM:<a@example.com> BODY=binarymime\r\n", "250 OK")


def test_a_binary_message() -> None:
    content = b"Content-Transfer-Encoding: binary\r\n\r\n" + bytes(range(256))
    told = (*EHLO, *BINARY_MAIL, *RCPT, *last(content), *NOOP)
    (envelope,) = received(told, extensions=BINARY)
    assert envelope.content == content
    assert envelope.mail_parameters == {"BODY": "BINARYMIME"}
    assert envelope.mail_options == ["BODY=BINARYMIME"]


def test_a_binary_message_cannot_come_by_data() -> None:
    told = [*EHLO, *BINARY_MAIL, *RCPT, b"DATA\r\n", "503 Error: BODY=BINARYMIME needs BDAT"]
    assert contents(*told, *last(b"a\rb"), *NOOP, extensions=BINARY) == [b"a\rb"]
    told = [*EHLO, *MAIL, *RCPT, b"DATA\r\n", "354 ...", b".\r\n", "250 OK"]
    assert contents(*told, extensions=BINARY) == [b""]


@pytest.mark.parametrize(
    ("arguments", "value", "reply"),
    [
        ({}, b"BINARYMIME", "501 Error: BODY can only be one of 7BIT, 8BITMIME"),
        ({"extensions": BINARY}, b"9BIT", "501 Error: BODY can only be one of ...BINARYMIME"),
        ({"extensions": BINARY, "decode_data": True}, b"BINARYMIME", "555 ..."),
        (
            {"extensions": BINARY, "decode_data": True, "enable_SMTPUTF8": True},
            b"BINARYMIME",
            "555 ...",
        ),
        ({"extensions": BINARY}, b"7BIT", "250 OK"),
        ({"extensions": BINARY}, b"8bitmime", "250 OK"),
    ],
)
def test_other_body_types(arguments: dict[str, Any], value: bytes, reply: str) -> None:
    play([*EHLO, b"MAIL FROM:<a@example.com> BODY=%s\r\n" % value, reply, *NOOP], **arguments)


def test_the_line_of_mail_has_room_for_it(connect: Connect) -> None:
    wire = connect(extensions=BINARY)
    wire.ehlo()
    mailbox = "a" * 64 + "@" + ".".join(["b" * 60] * 4)
    line = f"MAIL FROM:<{mailbox}> SIZE=99999 BODY=BINARYMIME"
    assert wire.say(line) == ["250 OK"]


# -- other extensions -----------------------------------------------------------------------------


class Judge(Extension):
    """Refuses BDAT by what the handler says."""

    name = "JUDGE"
    checks = frozenset({"BDAT"})

    def check(self, server: Any, verb: str, address: str | None, parameters: Any) -> None:
        assert (verb, address, parameters) == ("BDAT", None, {})
        if server.event_handler.judge.pop(0):
            raise ProtocolError(reply=Reply(450, "4.7.1", "not now"))


@pytest.mark.parametrize("base", [object, Streaming])
def test_an_extension_may_refuse_a_chunk(base: type[Any]) -> None:
    class Handler(base):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.judge = [False, True, False]

    refused = "450 4.7.1 not now"
    told = [*READY, *bdat(b"one"), *bdat(b"QUIT\r\n", refused), *last(b"x", NEED_RCPT)]
    extensions = (*DEFAULT, Judge())
    for seen in play([*told, *MAIL, *RCPT, *last(b"y")], Handler, extensions=extensions):
        assert seen.judge == []
        assert getattr(seen, "ended", ["BodyIncomplete", "whole"]) == ["BodyIncomplete", "whole"]


# -- LMTP: the last chunk has a reply for each recipient (RFC 2033 section 4.3) --------------------

LMTP_READY: tuple[Item, ...] = (
    *(b"LHLO client.example\r\n", OFFERED, *MAIL, *RCPT),
    *(b"RCPT TO:<c@example.com>\r\n", "250 OK"),
)


class Sorting:
    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> list[str]:
        return [f"250 {recipient}" for recipient in envelope.rcpt_tos]


class StreamSorting(Streaming, Sorting):
    async def handle_BODY(
        self, server: Any, session: Any, envelope: Any, body: AsyncIterator[bytes]
    ) -> Any:
        await super().handle_BODY(server, session, envelope, body)
        return await self.handle_DATA(server, session, envelope)


@pytest.mark.parametrize("handler", [Sorting, StreamSorting])
def test_lmtp(handler: type[Any]) -> None:
    told = [*LMTP_READY, *bdat(b"one"), *last(b"two", "250 b@example.com"), "250 c@example.com"]
    play([*told, *NOOP], handler, cls=LMTP)


@pytest.mark.parametrize("handler", [Sorting, StreamSorting])
def test_lmtp_too_large(handler: type[Any]) -> None:
    told = [*LMTP_READY, *last(b"123456", TOO_MUCH), TOO_MUCH, *NOOP]
    play(told, handler, cls=LMTP, data_size_limit=5)
    told = [*LMTP_READY, *bdat(b"123456", TOO_MUCH), *last(b"7", NEED_RCPT), *NOOP]
    play(told, handler, cls=LMTP, data_size_limit=5)


@pytest.mark.parametrize("base", [Sorting, StreamSorting])
def test_lmtp_a_hook_that_fails(base: type[Any], caplog: pytest.LogCaptureFixture) -> None:
    class Handler(base):  # type: ignore[misc]
        async def handle_DATA(self, *_: Any) -> Any:
            raise ValueError("boo")

    told = [*LMTP_READY, *bdat(b"one"), *last(b"two", LOCAL_ERROR), LOCAL_ERROR, *NOOP]
    play(told, Handler, cls=LMTP)


# -- hooks that read some of it, or fail ----------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1])
def test_a_hook_that_has_seen_enough(count: int) -> None:
    class Handler:
        async def handle_BODY(self, server: Any, session: Any, envelope: Any, body: Any) -> str:
            for _ in range(count):
                assert await anext(body)
            return "550 seen enough"

    rest = (*bdat(b"QUIT\r\n"), *last(b"RSET\r\n", "550 seen enough"), *NOOP)
    play([*READY, *bdat(b"one"), *rest, *MAIL, *RCPT, *last(b"x", "550 seen enough")], Handler)
    # It has decided: what comes afterwards is not judged, as after DATA.
    play([*READY, *bdat(b"one"), *rest], Handler, data_size_limit=5)


@pytest.mark.parametrize("reads", [0, 1, 2])
@pytest.mark.parametrize(
    ("failure", "reply"),
    [
        (ValueError("boo"), LOCAL_ERROR),
        (ProtocolError(reply=Reply(452, "4.3.1", "full")), "452 4.3.1 full"),
        (asyncio.CancelledError(), LOCAL_ERROR),
        (BodyIncomplete("of another"), LOCAL_ERROR),
    ],
)
def test_a_hook_that_fails(
    failure: BaseException, reply: str, reads: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The chunk at hand is answered so, and the transaction has failed."""

    class Handler:
        async def handle_BODY(self, server: Any, session: Any, envelope: Any, body: Any) -> str:
            seen = b""
            while len(seen) < 3 * reads:
                seen += await anext(body)
            raise failure

    chunks = [bdat(b"one"), bdat(b"two"), bdat(b"six")]
    failed = max(0, reads - 1)
    chunks[failed] = (chunks[failed][0], reply)
    told = [item for chunk in chunks[: failed + 1] for item in chunk]
    rest = (*bdat(b"QUIT\r\n", NEED_RCPT), *last(b"x", NEED_RCPT), *NOOP, *MAIL)
    play([*READY, *told, *rest], Handler)


def test_a_hook_that_fails_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    class Handler(Streaming):
        async def handle_BODY(self, *arguments: Any) -> Any:
            await super().handle_BODY(*arguments)
            raise ValueError("boo")

        async def handle_exception(self, error: Exception) -> str:
            self.senders = self.envelopes[-1].mail_from
            return f"554 {error}"

    told = [*READY, *bdat(b"one"), *last(b"two", "554 boo"), *last(b"x", NEED_RCPT), *NOOP]
    for handler in play(told, Handler):
        assert handler.senders == "a@example.com"


def test_a_hook_that_hides_the_fault() -> None:
    class Handler(Streaming):
        async def handle_BODY(self, *arguments: Any) -> Any:
            try:
                await super().handle_BODY(*arguments)
            except BodyError:
                return "250 all is well"

    told = [*READY, *bdat(b"123"), *last(b"456", TOO_MUCH), *NOOP]
    play(told, Handler, data_size_limit=5)
    told = [*READY, *bdat(b"123"), b"RSET\r\n", "250 OK", *NOOP]
    play(told, Handler)


@pytest.mark.parametrize("fault", [BodyTooLarge, BodyIncomplete])
def test_a_hook_that_fails_over_the_fault_is_logged(
    connect: Connect, caplog: pytest.LogCaptureFixture, fault: type[BodyError]
) -> None:
    class Handler(Streaming):
        async def handle_BODY(self, *arguments: Any) -> Any:
            try:
                await super().handle_BODY(*arguments)
            except fault as error:
                raise OSError("the disk is full") from error

    wire = connect(Handler(), data_size_limit=5)
    begin(wire)
    wire.send(b"BDAT 3\r\none")
    if fault is BodyTooLarge:
        wire.send(b"BDAT 3\r\ntwo")
        assert wire.heard() == [ok(3), TOO_MUCH]
    else:
        assert wire.say("RSET") == [ok(3), "250 OK"]
    assert "the disk is full" in caplog.text
    assert len(caplog.records) == 1
    assert wire.say("NOOP") == ["250 OK"]


@pytest.mark.parametrize("way", ["half_close", "vanish"])
@pytest.mark.parametrize(
    ("failure", "told"), [(OSError("the disk is full"), 1), (ProtocolError("not for us"), 0)]
)
def test_a_hook_that_fails_is_logged_though_the_client_is_gone(
    connect: Connect, caplog: pytest.LogCaptureFixture, failure: Exception, told: int, way: str
) -> None:
    """A client that is gone before the end of the chunk cannot be told; the log still can."""

    class Handler:
        async def handle_BODY(self, server: Any, session: Any, envelope: Any, body: Any) -> str:
            await anext(body)
            raise failure

    wire = connect(Handler())
    begin(wire)
    wire.send(b"BDAT 9 LAST\r\none")
    getattr(wire, way)()
    assert wire.over
    assert caplog.text.count(str(failure)) == told == len(caplog.records)


def test_none_stands_for_the_default_reply(caplog: pytest.LogCaptureFixture) -> None:
    class Handler(Streaming):
        async def handle_BODY(self, *arguments: Any) -> Any:
            await super().handle_BODY(*arguments)

    play([*READY, *bdat(b"one"), *last(b"two"), *NOOP], Handler)
    assert "handle_BODY returned no reply" in caplog.text


# -- time, tasks and the end of connections --------------------------------------------------------


def begin(wire: Wire) -> None:
    wire.ehlo()
    told = wire.say("MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>")
    assert told == ["250 OK"] * 2


class Slow(Streaming):
    """Takes its time over each piece, and to end."""

    def __init__(self, over_a_piece: float = 0, over_the_end: float = 0) -> None:
        super().__init__()
        self.over_a_piece = over_a_piece
        self.over_the_end = over_the_end
        self.cancelled = 0

    async def handle_BODY(self, server: Any, session: Any, envelope: Any, body: Any) -> Any:
        try:
            async for piece in body:
                self.content += piece
                await asyncio.sleep(self.over_a_piece)
        except BodyError as error:
            self.ended.append(type(error).__name__)
            await self.linger()
            raise
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        await self.linger()
        self.ended.append("whole")
        return "250 slow"

    async def linger(self) -> None:
        try:
            await asyncio.sleep(self.over_the_end)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


def test_a_slow_hook_slows_the_client(connect: Connect) -> None:
    handler = Slow(over_a_piece=10)
    wire = connect(handler)
    begin(wire)
    wire.send(b"BDAT 1000000 LAST\r\n" + b"x" * 200_000)
    sent = 200_000
    while sent < 1_000_000:
        assert len(wire.server._connection.buffer) <= 400_000
        if wire.transport.is_reading():
            wire.send(b"x" * 100_000)
            sent += 100_000
        else:
            wire.wait(10)
    wire.wait(100)
    assert wire.heard() == ["250 slow"]
    assert len(handler.content) == 1_000_000


def test_a_chunk_is_answered_when_the_hook_has_done_with_it(connect: Connect) -> None:
    wire = connect(Slow(over_a_piece=10))
    begin(wire)
    wire.send(b"BDAT 3\r\none")
    assert wire.heard() == []
    wire.wait(11)
    assert wire.heard() == [ok(3)]


def test_idle_between_chunks(connect: Connect) -> None:
    handler = Slow()
    wire = connect(handler, timeout=30)
    begin(wire)
    wire.send(b"BDAT 3\r\none")
    wire.wait(20)
    wire.send(b"BDAT 3\r\n")
    wire.wait(20)
    wire.send(b"two")
    assert wire.heard() == [ok(3)] * 2
    wire.wait(31)
    assert wire.over
    assert handler.ended == ["BodyIncomplete"]


@pytest.mark.parametrize("marker", ["", " LAST"])
@pytest.mark.parametrize("sent", [b"one", b"onetwo"])
def test_a_hook_that_takes_too_long_over_a_piece(
    connect: Connect, marker: str, sent: bytes
) -> None:
    handler = Slow(over_a_piece=100)
    wire = connect(handler, handler_timeout=30)
    begin(wire)
    wire.send(f"BDAT 6{marker}\r\n".encode() + sent)
    wire.wait(31)
    assert handler.ended == ["cancelled"]
    wire.send(b"onetwo"[len(sent) :])  # which is read to its end all the same
    assert wire.heard() == [OVERDUE]
    assert wire.say("BDAT 3", "x", "NOOP") == [NEED_RCPT, "250 OK"]
    assert wire.server.envelope.rcpt_tos == []


def test_a_hook_that_takes_too_long_to_end(connect: Connect) -> None:
    handler = Slow(over_the_end=100)
    wire = connect(handler, handler_timeout=30)
    begin(wire)
    wire.send(b"BDAT 3\r\noneBDAT 3 LAST\r\ntwo")
    wire.wait(31)
    assert wire.heard() == [ok(3), OVERDUE]
    assert handler.cancelled == 1
    assert wire.say("NOOP") == ["250 OK"]


def test_reset_waits_for_the_hook(connect: Connect) -> None:
    """So that the hooks of a connection run one after the other."""
    wire = connect(Slow(over_the_end=10))
    begin(wire)
    wire.send(b"BDAT 3\r\none")
    assert wire.say("RSET") == [ok(3)]
    wire.wait(11)
    assert wire.heard() == ["250 OK"]


def test_a_hook_that_does_not_end_after_reset(connect: Connect) -> None:
    handler = Slow(over_the_end=1000)
    wire = connect(handler, handler_timeout=30)
    begin(wire)
    wire.send(b"BDAT 3\r\none")
    wire.say("RSET")
    wire.wait(31)
    assert handler.cancelled == 1
    assert len(wire.heard()) == 1
    assert wire.say("NOOP") == ["250 OK"]


def test_an_exception_of_another_hook_ends_the_message(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    class Handler(Slow):
        async def handle_NOOP(self, *_: Any) -> str:
            raise ValueError("boo")

    handler = Handler(over_the_end=10)
    wire = connect(handler)
    begin(wire)
    wire.send(b"BDAT 3\r\none")
    assert wire.say("NOOP") == [ok(3), LOCAL_ERROR]
    assert handler.ended == ["BodyIncomplete"]
    # It is over when the next one begins.
    assert wire.say("MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>") == ["250 OK"] * 2
    wire.send(b"BDAT 3 LAST\r\ntwo")
    assert wire.heard() == []
    wire.wait(11)
    assert wire.heard() == []
    wire.wait(11)
    assert wire.heard() == ["250 slow"]
    assert handler.ended == ["BodyIncomplete", "whole"]


@pytest.mark.parametrize("sent", [b"BDAT 3\r\none", b"BDAT 3\r\non", b"BDAT 3\r\noneBDAT 3\r\n"])
@pytest.mark.parametrize("way", ["half_close", "vanish"])
def test_the_client_is_gone_while_it_is_waited_for(connect: Connect, sent: bytes, way: str) -> None:
    handler = Slow()
    wire = connect(handler)
    begin(wire)
    wire.send(sent)
    getattr(wire, way)()
    assert wire.over
    assert handler.ended == ["BodyIncomplete"]


@pytest.mark.parametrize("sent", [b"BDAT 3\r\none", b"BDAT 3\r\non", b"BDAT 3 LAST\r\non"])
def test_the_client_is_gone_while_the_hook_works(connect: Connect, sent: bytes) -> None:
    """It learns of it where it reads, as after DATA, to drop what it has."""
    handler = Slow(over_a_piece=10)
    wire = connect(handler)
    begin(wire)
    wire.send(sent)
    wire.vanish()
    assert handler.ended == []
    wire.wait(11)
    assert handler.ended == ["BodyIncomplete"]
    assert wire.over


def test_the_client_is_gone_while_the_hook_ends(connect: Connect) -> None:
    handler = Slow(over_the_end=10)
    wire = connect(handler)
    begin(wire)
    wire.send(b"BDAT 3 LAST\r\none")
    wire.vanish()
    assert handler.cancelled == 1
    assert wire.over


@pytest.mark.parametrize("limit", [None, 30])
def test_a_hook_outlasts_its_client_for_so_long(connect: Connect, limit: float | None) -> None:
    handler = Slow(over_the_end=100)
    wire = connect(handler, handler_timeout=limit)
    begin(wire)
    wire.send(b"BDAT 3\r\none")
    wire.vanish()
    wire.wait(29)
    assert not wire.over
    wire.wait(2)
    assert handler.cancelled == (1 if limit else 0)
    wire.wait(100)
    assert wire.over


def test_a_hook_that_will_not_be_cancelled(connect: Connect) -> None:
    class Stubborn(Slow):
        async def linger(self) -> None:
            while self.cancelled < 3:
                try:
                    await asyncio.sleep(1000)
                except asyncio.CancelledError:
                    self.cancelled += 1

    handler = Stubborn()
    wire = connect(handler, handler_timeout=30)
    begin(wire)
    wire.send(b"BDAT 3\r\none")
    wire.vanish()
    wire.wait(100)
    assert handler.cancelled == 3
    assert wire.over


def test_the_task_of_the_connection_is_cancelled(connect: Connect) -> None:
    """As a server does that closes."""
    handlers = [Slow(), Slow(over_a_piece=100), Slow(over_the_end=100)]
    wires = [connect(handler) for handler in handlers]
    for wire in wires:
        begin(wire)
    wires[0].send(b"BDAT 3\r\none")
    wires[1].send(b"BDAT 3\r\none")
    wires[2].send(b"BDAT 3 LAST\r\none")
    for wire in wires:
        assert wire.server._handler_coroutine is not None
        wire.server._handler_coroutine.cancel()
        wire.settle()
        assert not wire.open
    assert [handler.ended for handler in handlers] == [["BodyIncomplete"], ["cancelled"], []]
    assert handlers[2].cancelled == 1


def test_the_server_shuts_down_between_chunks(connect: Connect) -> None:
    handler = Slow()
    wire = connect(handler)
    begin(wire)
    wire.send(b"BDAT 3\r\none")
    wire.server.shut_down()
    wire.settle()
    assert wire.heard() == [ok(3), "421 4.3.2 Server shutting down"]
    assert wire.over
    assert handler.ended == ["BodyIncomplete"]


def test_the_server_shuts_down_within_a_chunk(connect: Connect) -> None:
    handler = Slow()
    wire = connect(handler)
    begin(wire)
    wire.send(b"BDAT 6 LAST\r\none")
    wire.server.shut_down()
    wire.send(b"two")
    assert wire.heard() == ["250 slow", "421 4.3.2 Server shutting down"]
    assert handler.ended == ["whole"]


def test_a_task_that_the_hook_left_behind(connect: Connect) -> None:
    left: list[asyncio.Task[bytes]] = []

    class Handler:
        async def handle_BODY(self, server: Any, session: Any, envelope: Any, body: Any) -> str:
            left.append(asyncio.create_task(anext(body)))
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="another task"):
                await anext(body)
            return "250 OK"

    wire = connect(Handler())
    begin(wire)
    wire.send(b"BDAT 3\r\noneBDAT 3 LAST\r\ntwo")
    assert wire.heard() == [ok(3), "250 OK"]
    (task,) = left
    assert task.done()
    error = task.exception()
    assert isinstance(error, BodyError)
    assert "has returned" in str(error)


def test_a_hook_that_waits_only_so_long_for_a_piece(connect: Connect) -> None:
    class Handler(Streaming):
        async def handle_BODY(self, server: Any, session: Any, envelope: Any, body: Any) -> str:
            timeouts = 0
            while True:
                try:
                    async with asyncio.timeout(10):
                        self.content += await anext(body)
                except TimeoutError:
                    timeouts += 1
                except StopAsyncIteration:
                    return f"250 {timeouts}"

    handler = Handler()
    wire = connect(handler)
    begin(wire)
    wire.send(b"BDAT 3\r\none")
    wire.wait(25)
    wire.send(b"BDAT 3 LAST\r\ntwo")
    assert wire.heard() == [ok(3), "250 2"]
    assert handler.content == b"onetwo"


def test_a_hook_that_gave_up_between_chunks(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    class Handler(Streaming):
        async def handle_BODY(self, *arguments: Any) -> Any:
            async with asyncio.timeout(10):
                return await super().handle_BODY(*arguments)

    wire = connect(Handler())
    begin(wire)
    wire.send(b"BDAT 3\r\none")
    wire.wait(11)
    assert wire.heard() == [ok(3)]
    wire.send(b"BDAT 6\r\nQUIT\r\n")
    assert wire.heard() == [LOCAL_ERROR]
    assert len(caplog.records) == 1
    # Where nobody is left to be told, it is in the log.
    begin(wire)
    wire.send(b"BDAT 3\r\none")
    wire.wait(11)
    assert wire.say("RSET") == [ok(3), "250 OK"]
    assert "handle_BODY failed" in caplog.text


def test_a_hook_that_ends_the_connection(connect: Connect) -> None:
    class Handler(Streaming):
        async def handle_BODY(self, server: Any, session: Any, envelope: Any, body: Any) -> str:
            await anext(body)
            raise ConnectionResetError

    wire = connect(Handler())
    begin(wire)
    wire.send(b"BDAT 3\r\none")
    assert wire.heard() == []
    assert wire.over


# -- pipelining (RFC 2920) and TLS ----------------------------------------------------------------


def test_replies_to_a_group_leave_together(connect: Connect) -> None:
    wire = connect()
    wire.ehlo()
    before = len(wire.transport.record)
    wire.send(
        b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nBDAT 3\r\noneBDAT 0 LAST\r\n"
    )
    assert wire.heard() == ["250 OK", "250 OK", ok(3), "250 OK"]
    assert len(wire.transport.record) - before <= 2


@pytest.mark.parametrize("handler", [object, Streaming])
def test_starttls_between_chunks(
    run: Run,
    serve: Serve,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    handler: type[Any],
) -> None:
    async def converse() -> None:
        hooks = handler()
        async with serve(hooks, tls_context=server_context) as (client, _):
            await client.say("EHLO client.example")
            await client.say("MAIL FROM:<a@example.com>")
            await client.say("RCPT TO:<b@example.com>")
            assert await client.say("BDAT 5\r\none") == [ok(5)]
            await client.starttls(client_context)
            assert await client.say("BDAT 8 LAST\r\nSTARTTLS") == ["503 Error: send HELO first"]
            assert await client.say("") == ["500 Error: bad syntax"]
            if isinstance(hooks, Streaming):
                assert hooks.ended == ["BodyIncomplete"]
            await client.say("EHLO client.example")
            await client.say("MAIL FROM:<a@example.com>")
            await client.say("RCPT TO:<b@example.com>")
            assert await client.say("BDAT 3 LAST\r\n\n") == ["250 OK"]

    run(converse)


def test_over_sockets(run: Run, serve: Serve) -> None:
    async def converse() -> None:
        content = random.Random(3030).randbytes(3_000_000)
        handler = Streaming()
        async with serve(handler) as (client, _):
            await client.say("EHLO client.example")
            for sizes in ([len(content)], [1_000_000] * 3, [1, 70_000, 90_000, 2_839_999]):
                octets = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\n"
                start = 0
                for size in sizes:
                    octets += b"BDAT %d\r\n%s" % (size, content[start : start + size])
                    start += size
                client.writer.write(octets + b"BDAT 0 LAST\r\n")
                told = [await client.heard() for _ in range(len(sizes) + 3)]
                assert told == [["250 OK"]] * 2 + [[ok(size)] for size in sizes] + [["250 OK"]]
                assert handler.content == content

    run(converse)


# -- by chance ------------------------------------------------------------------------------------


class Whole:
    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        return f"250 {envelope.content!r}"


class Stream:
    async def handle_BODY(self, server: Any, session: Any, envelope: Any, body: Any) -> str:
        content = b""
        async for piece in body:
            content += piece
        return f"250 {content!r}"


class Impatient:
    async def handle_BODY(self, server: Any, session: Any, envelope: Any, body: Any) -> str:
        return "250 enough"


class Failing:
    async def handle_BODY(self, server: Any, session: Any, envelope: Any, body: Any) -> str:
        await anext(body, None)
        raise ValueError("boo")


CHUNK = st.tuples(
    st.sampled_from([b"", b"one", b"\r\n.\r\n", b"QUIT\r\n", b"BDAT 3\r\n", b"x" * 40]),
    st.sampled_from([b"", b"", b" LAST", b" FIRST"]),
).map(lambda chunk: b"BDAT %d%s\r\n%s" % (len(chunk[0]), chunk[1], chunk[0]))
COMMAND = st.sampled_from(
    [
        b"EHLO c\r\n",
        b"HELO c\r\n",
        b"MAIL FROM:<a@example.com>\r\n",
        b"RCPT TO:<b@example.com>\r\n",
        b"DATA\r\n",
        b"RSET\r\n",
        b"NOOP\r\n",
        b"BDAT\r\n",
        b"text\r\n.\r\n",
    ]
)
BEGINNING = st.just(b"EHLO c\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\n")
OCTETS = st.lists(BEGINNING | CHUNK | CHUNK | COMMAND, max_size=12).map(b"".join)


def said(connect: Connect, pieces: Sequence[bytes], handler: Any, cls: type[SMTP]) -> list[str]:
    # How much of a body by DATA a hook gets that fails over its size is not laid down.
    limit = None if isinstance(handler, Failing) else 60
    wire = connect(handler, cls=cls, data_size_limit=limit)
    for piece in pieces:
        wire.send(piece)
    wire.half_close()
    assert wire.over
    return wire.heard()


@pytest.mark.parametrize("handler", [Whole(), Stream(), Impatient(), Failing()])
@pytest.mark.parametrize("cls", [SMTP, LMTP])
@settings(
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(octets=OCTETS, data=st.data())
def test_how_octets_are_cut_changes_nothing(
    connect: Connect, handler: Any, cls: type[SMTP], octets: bytes, data: st.DataObject
) -> None:
    if cls is LMTP:
        octets = octets.replace(b"EHLO", b"LHLO")
    whole = said(connect, [octets], handler, cls)
    places = sorted(data.draw(st.sets(st.integers(0, len(octets)), max_size=12)))
    pieces = [octets[a:b] for a, b in itertools.pairwise([0, *places, len(octets)])]
    assert whole == said(connect, pieces, handler, cls)
    assert whole == said(connect, [octets[at : at + 1] for at in range(len(octets))], handler, cls)


@pytest.mark.parametrize("handler", [Whole(), Stream()])
def test_any_content_in_any_chunks(connect: Connect, handler: Any) -> None:
    dice = random.Random(3030)
    wire = connect(handler, extensions=BINARY)
    wire.ehlo()
    for _ in range(30):
        content = dice.randbytes(dice.randint(0, 300))
        wire.say("MAIL FROM:<a@example.com> BODY=BINARYMIME", "RCPT TO:<b@example.com>")
        places = sorted(dice.choices(range(len(content) + 1), k=dice.randint(0, 5)))
        for start, end in itertools.pairwise([0, *places]):
            wire.send(b"BDAT %d\r\n%s" % (end - start, content[start:end]))
        rest = content[places[-1] if places else 0 :]
        wire.send(b"BDAT %d LAST\r\n%s" % (len(rest), rest))
        assert wire.heard()[-1] == f"250 {content!r}"


def test_prdr_is_no_obstacle() -> None:
    told = [*EHLO, b"MAIL FROM:<a@example.com> PRDR\r\n", "250 OK", *RCPT, *last(b"one"), *NOOP]
    assert re.fullmatch("PRDR", Prdr.name)
    assert contents(*told, extensions=(*DEFAULT, Prdr())) == [b"one"]


@pytest.mark.parametrize(
    "line", [b"BDAT 6\x00 LAST", b"BDAT\t6", b"bdat 6 \xff", b"BDAT 6" + b" " * 13_000]
)
def test_a_bdat_that_cannot_be_read_is_the_last_command(connect: Connect, line: bytes) -> None:
    # What follows it may be a chunk, whose octets must not be taken for commands.
    wire = connect()
    wire.ehlo()
    (reply,) = wire.say(line, "RSET", "NOOP")
    assert reply.startswith("500 ")
    assert wire.over
