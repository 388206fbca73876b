"""FUTURERELEASE (RFC 4865): a message that is to be held for some time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from tests.unit.conversations import GREETED, play, received

from aiosmtpd.extensions import BUILT_IN, DEFAULT, FutureRelease
from aiosmtpd.lmtp import LMTP

NOW = datetime(2024, 2, 28, 23, 59, 58, 999_999, tzinfo=UTC)
HOLD = FutureRelease(max_interval=86_400, clock=lambda: NOW)
EXTENSIONS = (*DEFAULT, HOLD)
SYNTAX = "501 Syntax: MAIL FROM: <address> [SP <mail-parameters>]"
TOO_LONG = "501 5.5.4 Error: cannot hold a message for so long"
SEND = "C: RCPT TO:<b@example.com>\nS: 250 OK\nC: DATA\nS: 354 ...\nC: .\nS: 250 OK\n"


def test_it_is_offered() -> None:
    line = "250 FUTURERELEASE 86400 2024-02-29T23:59:58Z"
    play(f"C: EHLO c\nS: 250-mx.example\nS: {line}", extensions=[HOLD])
    play(f"C: LHLO c\nS: 250-mx.example\nS: {line}", cls=LMTP, extensions=[HOLD])
    latest = datetime(2024, 12, 31, 22, tzinfo=timezone(timedelta(hours=-2)))
    play(
        "C: EHLO c\nS: 250-mx.example\nS: 250 FUTURERELEASE 999999999 2025-01-01T00:00:00Z",
        extensions=[FutureRelease(max_interval=999_999_999, max_datetime=latest)],
    )
    assert BUILT_IN["FUTURERELEASE"] is FutureRelease


def test_the_clock_of_the_system() -> None:
    hold = FutureRelease(max_interval=1)
    before = datetime.now(UTC)
    assert timedelta(0) <= hold.clock() - before < timedelta(hours=1)


def test_limits_are_checked() -> None:
    for interval in (0, -1, 1_000_000_000):
        with pytest.raises(ValueError, match="max_interval"):
            FutureRelease(max_interval=interval)
    with pytest.raises(ValueError, match="max_datetime"):
        FutureRelease(max_datetime=datetime(2024, 1, 1))


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ("HOLDFOR=1", {"HOLDFOR": 1}),
        ("HoldFor=86400", {"HOLDFOR": 86_400}),
        (
            "HOLDUNTIL=2024-02-29T23:59:58Z",
            {"HOLDUNTIL": datetime(2024, 2, 29, 23, 59, 58, tzinfo=UTC)},
        ),
        (
            "HOLDUNTIL=2024-03-01T01:59:58+02:00",
            {"HOLDUNTIL": datetime(2024, 2, 29, 23, 59, 58, tzinfo=UTC)},
        ),
        ("HOLDUNTIL=2001-01-01T00:00:00Z", {"HOLDUNTIL": datetime(2001, 1, 1, tzinfo=UTC)}),
    ],
)
def test_a_message_to_hold(parameter: str, expected: dict[str, object]) -> None:
    script = f"{GREETED}C: MAIL FROM:<a@example.com> {parameter}\nS: 250 OK\n{SEND}"
    (envelope,) = received(script, extensions=EXTENSIONS)
    assert envelope.mail_parameters == expected


@pytest.mark.parametrize(
    "parameter",
    [
        "HOLDFOR",
        "HOLDFOR=",
        "HOLDFOR=0",
        "HOLDFOR=-1",
        "HOLDFOR=+1",
        "HOLDFOR=01",
        "HOLDFOR=1.5",
        "HOLDFOR=1000000000",
        "HOLDFOR=1 HOLDFOR=1",
        "HOLDUNTIL",
        "HOLDUNTIL=",
        "HOLDUNTIL=86400",
        "HOLDUNTIL=2024-02-29",
        "HOLDUNTIL=2024-02-29T12:00:00",
        "HOLDUNTIL=2023-02-29T12:00:00Z",
    ],
)
def test_malformed(parameter: str) -> None:
    play(
        f"{GREETED}C: MAIL FROM:<a@example.com> {parameter}\nS: {SYNTAX}\n"
        "C: MAIL FROM:<a@example.com>\nS: 250 OK",
        extensions=EXTENSIONS,
    )


@pytest.mark.parametrize(
    "parameter",
    [
        "HOLDFOR=86401",
        "HOLDFOR=999999999",
        "HOLDUNTIL=2024-02-29T23:59:59Z",
        "HOLDUNTIL=2024-02-29T23:59:58-00:01",
        "HOLDUNTIL=9999-12-31T23:59:59+23:59",
    ],
)
def test_beyond_the_limit(parameter: str) -> None:
    play(
        f"{GREETED}C: MAIL FROM:<a@example.com> {parameter}\nS: {TOO_LONG}\n"
        "C: MAIL FROM:<a@example.com>\nS: 250 OK",
        extensions=EXTENSIONS,
    )


@pytest.mark.parametrize(
    "parameters",
    [
        "HOLDFOR=1 HOLDUNTIL=2024-02-29T00:00:00Z",
        "HOLDUNTIL=2024-02-29T00:00:00Z SIZE=1 HOLDFOR=1",
    ],
)
def test_not_both(parameters: str) -> None:
    play(
        f"{GREETED}C: MAIL FROM:<a@example.com> {parameters}\n"
        "S: 501 5.5.4 Error: HOLDFOR and HOLDUNTIL exclude each other\n"
        "C: MAIL FROM:<a@example.com>\nS: 250 OK",
        extensions=EXTENSIONS,
    )


def test_they_are_no_parameters_of_rcpt() -> None:
    play(
        f"{GREETED}C: MAIL FROM:<a@example.com>\nS: 250 OK\n"
        "C: RCPT TO:<b@example.com> HOLDFOR=1\n"
        "S: 555 RCPT TO parameters not recognized or not implemented",
        extensions=EXTENSIONS,
    )


def test_the_command_may_be_longer() -> None:
    path = f"<{'a' * (512 - len('MAIL FROM:<@example.com>'))}@example.com>"
    script = f"{GREETED}C: MAIL FROM:{path} HOLDUNTIL=2024-02-29T00:00:00+00:00\nS: {{}}"
    play(script.format("250 OK"), extensions=[HOLD])
    play(script.format("500 Command line too long"), extensions=[])
