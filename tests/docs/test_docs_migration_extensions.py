"""What the migration guide says of the extensions of version 2; see ``test_docs_migration``."""

from __future__ import annotations

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
