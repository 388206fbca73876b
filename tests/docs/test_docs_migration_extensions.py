"""What the migration guide says of the extensions of version 2; see ``test_docs_migration``."""

from __future__ import annotations

from typing import Any

from aiosmtpd.extensions import DEFAULT
from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP
from aiosmtpd.testing import converse

GREETED = "S: 220 ...\nC: EHLO client.example\nS: ...\nS: 250 HELP\n"
TO_RCPT = f"{GREETED}C: MAIL FROM:<anne@example.com>\nS: 250 OK\n"


def play(script: str, handler: object = None, cls: type[SMTP] = SMTP, **arguments: object) -> None:
    converse(lambda: cls(handler or Sink(), hostname="mx.example", **arguments), script)  # type: ignore[arg-type]


def test_m_50_the_number_of_recipients_is_limited() -> None:
    assert SMTP.recipient_limit == 50_000

    class Small(SMTP):
        recipient_limit = 1

    play(
        TO_RCPT + "C: RCPT TO:<a@example.com>\nS: 250 OK\n"
        "C: RCPT TO:<b@example.com>\nS: 452 4.5.3 Error: too many recipients\n"
        "C: DATA\nS: 354 ...\nC: .\nS: 250 OK",
        cls=Small,
    )


def test_m_53_mailboxes_are_shown_to_those_who_may_see_them() -> None:
    class Forwards:
        async def handle_VRFY(self, server: Any, session: Any, envelope: Any, address: str) -> str:
            return f"250 <{address}>"

        async def handle_RCPT(
            self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
        ) -> str:
            envelope.rcpt_tos.append(address)
            return "251 will forward to <é@example.com>"

    not_told = "UTF-8 string reply is required, but not permitted by the client"
    play(
        GREETED + "C: VRFY é@example.com\n"
        f"S: 252 2.6.8 {not_told}\n"
        "C: VRFY é@example.com SMTPUTF8\nS: 250 <é@example.com>\n"
        "C: MAIL FROM:<a@example.com>\nS: 250 OK\nC: RCPT TO:<b@example.com>\nS: 250 OK\n"
        "C: RSET\nS: 250 OK\nC: MAIL FROM:<a@example.com> SMTPUTF8\nS: 250 OK\n"
        "C: RCPT TO:<b@example.com>\nS: 251 will forward to <é@example.com>",
        Forwards(),
        enable_SMTPUTF8=True,
    )


def test_m_54_8bitmime_comes_with_smtputf8() -> None:
    play(
        "S: 220 ...\nC: EHLO client.example\nS: 250-mx.example\nS: 250-SIZE ...\n"
        "S: 250-8BITMIME\nS: 250-SMTPUTF8\nS: ...\nS: 250 HELP\n"
        "C: MAIL FROM:<a@example.com> BODY=8BITMIME\nS: 250 OK",
        decode_data=True,
        enable_SMTPUTF8=True,
    )


def test_m_55_messages_may_come_by_bdat() -> None:
    offered = (
        "S: 220 ...\nC: EHLO client.example\nS: 250-mx.example\nS: ...\nS: 250-CHUNKING\nS: ..."
    )
    play(
        f"{offered}\nS: 250 HELP\n"
        "C: MAIL FROM:<a@example.com>\nS: 250 OK\nC: RCPT TO:<b@example.com>\nS: 250 OK\n"
        "C: BDAT 7 LAST\nC: Hello\nS: 250 OK"
    )
    without = [extension for extension in DEFAULT if extension.name != "CHUNKING"]
    play(
        f'{GREETED}C: BDAT 0 LAST\nS: 500 Error: command "BDAT" not recognized\n'
        "C: HELP\nS: 250 Supported commands: AUTH DATA ...",
        extensions=without,
    )
