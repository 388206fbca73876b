"""EXPN (RFC 5321 section 3.5): mailing lists that a handler expands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.conversations import play

from aiosmtpd.extensions import EnhancedStatusCodes
from aiosmtpd.protocol import Reply

if TYPE_CHECKING:
    from tests.unit.conftest import Connect

UNKNOWN = "502 EXPN not implemented"
MEMBERS = Reply(250, None, "Anne <anne@example.com>", "<bart@example.com>")


class Lists:
    def __init__(self, reply: Any = MEMBERS) -> None:
        self.reply = reply
        self.asked: list[str] = []

    async def handle_EXPN(self, server: Any, session: Any, envelope: Any, arg: str) -> Any:
        self.asked.append(arg)
        return self.reply


def test_without_the_hook() -> None:
    play([b"EXPN staff\r\nEXPN\r\n", UNKNOWN, UNKNOWN])


def test_it_is_offered_with_the_hook(connect: Connect) -> None:
    lines = connect(Lists()).ehlo()
    assert lines[-2:] == ["EXPN", "HELP"]
    assert "EXPN" not in connect().ehlo()


def test_help(connect: Connect) -> None:
    assert " EXPN " in connect(Lists()).say("HELP")[0]
    assert connect(Lists()).say("HELP EXPN") == ["250 Syntax: EXPN <list>"]
    assert "EXPN" not in connect().say("HELP")[0]


@pytest.mark.parametrize("name", ["staff", "Staff List", "<staff@example.com>", "@"])
def test_a_list(name: str) -> None:
    handlers = play(
        [
            f"expn {name}\r\n".encode(),
            "250-Anne <anne@example.com>\n250 <bart@example.com>",
            b"NOOP\r\n",
            "250 OK",
        ],
        Lists,
    )
    assert all(handler.asked == [name] for handler in handlers)


@pytest.mark.parametrize(
    "reply",
    ["550 no such list", "252 cannot say", "553 two lists have this name", b"250 <a@b>", UNKNOWN],
)
def test_replies_of_the_hook(reply: str | bytes) -> None:
    text = reply if isinstance(reply, str) else reply.decode()
    play([b"EXPN staff\r\n", text], lambda: Lists(reply))


def test_without_a_name() -> None:
    play([b"EXPN\r\nEXPN \r\n", "501 Syntax: EXPN <list>", "501 Syntax: EXPN <list>"], Lists)


def test_a_hook_that_says_nothing(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    assert connect(Lists(None)).say("EXPN staff") == [UNKNOWN]
    assert "handle_EXPN returned no reply" in caplog.text


def test_at_any_time_and_in_a_transaction() -> None:
    play(
        """
        C: HELO c.example
        S: 250 mx.example
        C: MAIL FROM:<a@b>
        S: 250 OK
        C: EXPN staff
        S: 250 <a@b>
        C: RCPT TO:<c@d>
        S: 250 OK
        """,
        lambda: Lists("250 <a@b>"),
    )


def test_before_auth_where_it_is_required() -> None:
    play(
        [b"EXPN staff\r\n", "530 5.7.0 Authentication required"],
        Lists,
        tls=True,
        auth_required=True,
    )


def test_codes() -> None:
    play(
        [b"EXPN staff\r\n", "250-2.1.5 Anne <anne@example.com>\n250 2.1.5 <bart@example.com>"],
        Lists,
        extensions=(EnhancedStatusCodes(),),
    )


@pytest.mark.parametrize(
    ("argument", "reply"),
    [
        ("staff", "252 2.6.8 UTF-8 string reply is required, but not permitted by the client"),
        ("staff SMTPUTF8", "250-<é@b>\n250 <c@d>"),
    ],
)
def test_members_that_are_not_ascii(argument: str, reply: str) -> None:
    # RFC 6531 section 3.7.4.2.
    play(
        [
            b"EHLO c.example\r\n",
            "250-mx.example\n...\n250 HELP",
            f"EXPN {argument}\r\n".encode(),
            reply,
        ],
        lambda: Lists("250-<é@b>\r\n250 <c@d>"),
        enable_SMTPUTF8=True,
    )
