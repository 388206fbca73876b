"""RRVS (RFC 7293): a recipient that must have had its mailbox since some time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.unit.conversations import GREETED, play, received

from aiosmtpd.extensions import BUILT_IN, DEFAULT, Rrvs, ValidSince
from aiosmtpd.lmtp import LMTP
from aiosmtpd.testing import RecordingHandler

EXTENSIONS = (*DEFAULT, Rrvs())
SYNTAX = "501 Syntax: RCPT TO: <address> [SP <mail-parameters>]"
TO_RCPT = f"{GREETED}C: MAIL FROM:<a@example.com>\nS: 250 OK\n"
SINCE = datetime(2014, 4, 3, 23, 1, tzinfo=UTC)


def test_it_is_offered() -> None:
    play("C: EHLO c\nS: 250-mx.example\nS: 250 RRVS", extensions=[Rrvs()])
    play("C: LHLO c\nS: 250-mx.example\nS: 250 RRVS", cls=LMTP, extensions=[Rrvs()])
    assert BUILT_IN["RRVS"] is Rrvs


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2014-04-03T23:01:00Z", ValidSince(SINCE, None)),
        ("2014-04-03T23:01:00Z;C", ValidSince(SINCE, "C")),
        ("2014-04-03t23:01:00z;r", ValidSince(SINCE, "R")),
        ("2014-04-04T01:01:00.0+02:00;R", ValidSince(SINCE, "R")),
    ],
)
def test_a_condition(value: str, expected: ValidSince) -> None:
    script = (
        f"{TO_RCPT}C: RCPT TO:<b@example.com> RRVS={value}\nS: 250 OK\n"
        "C: RCPT TO:<c@example.com>\nS: 250 OK\nC: DATA\nS: 354 ...\nC: .\nS: 250 OK\n"
    )
    (envelope,) = received(script, extensions=EXTENSIONS)
    assert envelope.rcpt_parameters == [{"RRVS": expected}, {}]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "=",
        "=2014",
        "=2014-04-03T23:01:00",
        "=2014-04-31T23:01:00Z",
        "=2014-04-03T23:01:00Z;",
        "=2014-04-03T23:01:00Z;X",
        "=2014-04-03T23:01:00Z;CR",
        "=2014-04-03T23:01:00Z;C;R",
        "=2014-04-03T23:01:00Z,C",
        "=;C",
        "=2014-04-03T23:01:00Z RRVS=2014-04-03T23:01:00Z",
    ],
)
def test_malformed(value: str) -> None:
    play(
        f"{TO_RCPT}C: RCPT TO:<b@example.com> RRVS{value}\nS: {SYNTAX}\n"
        "C: RCPT TO:<b@example.com>\nS: 250 OK",
        extensions=EXTENSIONS,
    )


def test_a_hook_decides() -> None:
    class Owners(RecordingHandler):
        async def handle_RCPT(
            self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
        ) -> str:
            condition = server.parameters.get("RRVS")
            if condition is not None and condition.since < datetime(2015, 1, 1, tzinfo=UTC):
                return "550 5.7.17 Mailbox owner has changed"
            envelope.rcpt_tos.append(address)
            return "250 OK"

    play(
        f"{TO_RCPT}C: RCPT TO:<b@example.com> RRVS=2014-04-03T23:01:00Z\n"
        "S: 550 5.7.17 Mailbox owner has changed\n"
        "C: RCPT TO:<b@example.com> RRVS=2016-04-03T23:01:00Z\nS: 250 OK",
        handler=Owners,
        extensions=EXTENSIONS,
    )


def test_it_is_no_parameter_of_mail() -> None:
    play(
        f"{GREETED}C: MAIL FROM:<a@example.com> RRVS=2014-04-03T23:01:00Z\n"
        "S: 555 MAIL FROM parameters not recognized or not implemented",
        extensions=EXTENSIONS,
    )


def test_the_command_may_be_longer() -> None:
    path = f"<{'a' * (512 - len('RCPT TO:<@example.com>'))}@example.com>"
    script = f"{TO_RCPT}C: RCPT TO:{path} RRVS=2014-04-03T23:01:00+00:00;R\nS: {{}}"
    play(script.format("250 OK"), extensions=[Rrvs()])
    play(script.format("500 Command line too long"), extensions=[])
