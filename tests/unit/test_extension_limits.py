"""LIMITS (RFC 9422), and the limits on recipients that it tells."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.conversations import GREETED, play, received

from aiosmtpd.extensions import BUILT_IN, Limits
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP
from aiosmtpd.testing import RecordingHandler

TOO_MANY = "452 4.5.3 Error: too many recipients"
TOO_MANY_DOMAINS = "452 4.5.3 Error: too many domains of recipients"
MAIL = "C: MAIL FROM:<anne@example.com>\nS: 250 OK\n"
SEND = "C: DATA\nS: 354 ...\nC: .\nS: 250 OK\n"


def rcpt(address: str, reply: str = "250 OK") -> str:
    return f"C: RCPT TO:<{address}>\nS: {reply}\n"


def limited(**limits: Any) -> type[SMTP]:
    return type("Limited", (SMTP,), limits)


@pytest.mark.parametrize(
    ("limits", "arguments", "line"),
    [
        ({}, {}, "LIMITS RCPTMAX=50000"),
        ({"recipient_limit": 100}, {}, "LIMITS RCPTMAX=100"),
        (
            {"recipient_limit": 100, "recipient_domain_limit": 1},
            {"command_call_limit": {"MAIL": 5, "RCPT": 1000}},
            "LIMITS MAILMAX=5 RCPTMAX=100 RCPTDOMAINMAX=1",
        ),
        ({}, {"command_call_limit": {"RCPT": 7}}, "LIMITS MAILMAX=20 RCPTMAX=7"),
        ({}, {"command_call_limit": 30}, "LIMITS MAILMAX=30 RCPTMAX=30"),
        ({"recipient_limit": 999_999}, {}, "LIMITS RCPTMAX=999999"),
        # What six digits without a leading zero cannot express is not told.
        ({"recipient_limit": 1_000_000, "recipient_domain_limit": 3}, {}, "LIMITS RCPTDOMAINMAX=3"),
        ({"recipient_limit": 1_000_000}, {"command_call_limit": {"MAIL": 0, "*": 10**6}}, None),
        ({"recipient_limit": 1_000_000}, {}, None),
    ],
)
def test_the_limits_in_force_are_told(
    limits: dict[str, Any], arguments: dict[str, Any], line: str | None
) -> None:
    lines = "S: 250 mx.example" if line is None else f"S: 250-mx.example\nS: 250 {line}"
    play(
        f"C: EHLO client.example\n{lines}",
        cls=limited(**limits),
        extensions=[Limits()],
        **arguments,
    )


def test_it_is_there_to_be_added() -> None:
    assert BUILT_IN["LIMITS"] is Limits
    play(
        "C: LHLO c\nS: 250-mx.example\nS: 250 LIMITS RCPTMAX=50000", cls=LMTP, extensions=[Limits()]
    )


def test_it_has_no_parameters() -> None:
    play(
        f"{GREETED}C: MAIL FROM:<a@example.com> LIMITS=1\n"
        "S: 555 MAIL FROM parameters not recognized or not implemented",
        extensions=[Limits()],
    )


# -- how exceeding them is answered ---------------------------------------------------------------


@pytest.mark.parametrize("extensions", [[], [Limits()]])
def test_recipients_of_a_transaction(extensions: list[Any]) -> None:
    first = MAIL + rcpt("a@x") + rcpt("b@x")
    script = (
        GREETED
        + first
        + rcpt("c@x", TOO_MANY)
        + rcpt("not an address", TOO_MANY)
        + SEND
        + MAIL  # a new transaction, a new count
        + rcpt("c@x")
        + SEND
    )
    kept, rest = received(script, cls=limited(recipient_limit=2), extensions=extensions)
    assert kept.rcpt_tos == ["a@x", "b@x"]
    assert kept.rcpt_parameters == [{}, {}]
    assert rest.rcpt_tos == ["c@x"]


def test_rset_begins_a_new_count() -> None:
    script = GREETED + MAIL + rcpt("a@x") + rcpt("b@x", TOO_MANY) + "C: RSET\nS: 250 OK\n"
    play(script + MAIL + rcpt("b@x"), cls=limited(recipient_limit=1))


def test_a_recipient_that_was_refused_does_not_count() -> None:
    class Choosy(RecordingHandler):
        async def handle_RCPT(
            self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
        ) -> str:
            if address.startswith("no"):
                return "550 no"
            envelope.rcpt_tos.append(address)
            return "250 yes"

    script = GREETED + MAIL + rcpt("no@x", "550 no") * 3 + rcpt("a@x", "250 yes")
    play(script + rcpt("b@x", TOO_MANY), handler=Choosy, cls=limited(recipient_limit=1))


def test_sequence_comes_first() -> None:
    script = GREETED + rcpt("a@x", "503 Error: need MAIL command")
    play(script, cls=limited(recipient_limit=0))


def test_domains_of_a_session() -> None:
    script = (
        GREETED
        + MAIL
        + rcpt("a@one.example")
        + rcpt("a@two.example")
        + rcpt("a@three.example", TOO_MANY_DOMAINS)
        + rcpt("b@ONE.example")
        + SEND
        + MAIL  # a new transaction, but the same session
        + rcpt("c@three.example", TOO_MANY_DOMAINS)
        + rcpt("c@[192.0.2.1]", TOO_MANY_DOMAINS)
        + rcpt("c@Two.Example")
        + SEND
    )
    for extensions in ([], [Limits()]):
        first, second = received(
            script, cls=limited(recipient_domain_limit=2), extensions=extensions
        )
        assert first.rcpt_tos == ["a@one.example", "a@two.example", "b@ONE.example"]
        assert second.rcpt_tos == ["c@Two.Example"]


def test_mailboxes_without_a_domain_are_of_one() -> None:
    script = GREETED + MAIL + rcpt("postmaster") + rcpt("anne") + rcpt("a@x", TOO_MANY_DOMAINS)
    play(script, cls=limited(recipient_domain_limit=1))


def test_a_malformed_recipient_counts_no_domain() -> None:
    script = (
        GREETED
        + MAIL
        + "C: RCPT TO:<a@x> FOO=1\nS: 555 RCPT TO parameters not recognized or not implemented\n"
        + rcpt("a@y")
        + rcpt("a@x", TOO_MANY_DOMAINS)
    )
    play(script, cls=limited(recipient_domain_limit=1))


def test_mail_commands_of_a_session() -> None:
    script = (
        "C: EHLO client.example\nS: 250-mx.example\nS: 250 LIMITS MAILMAX=2 RCPTMAX=20\n"
        + MAIL
        + "C: RSET\nS: 250 OK\n"
        + "C: MAIL FROM:<a..b@example.com>\nS: 553 5.1.3 Error: malformed address\n"
        + "C: MAIL FROM:<anne@example.com>\nS: 421 4.7.0 MAIL sent too many times\n[closed]"
    )
    play(script, extensions=[Limits()], command_call_limit={"MAIL": 2})
