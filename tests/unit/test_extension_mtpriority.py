"""MT-PRIORITY (RFC 6710): how urgent a message is."""

from __future__ import annotations

import pytest
from tests.unit.conversations import GREETED, play, received

from aiosmtpd.extensions import BUILT_IN, DEFAULT, MtPriority
from aiosmtpd.lmtp import LMTP

EXTENSIONS = (*DEFAULT, MtPriority())
SYNTAX = "501 Syntax: MAIL FROM: <address> [SP <mail-parameters>]"
SEND = "C: RCPT TO:<b@example.com>\nS: 250 OK\nC: DATA\nS: 354 ...\nC: .\nS: 250 OK\n"


def test_it_is_offered() -> None:
    play("C: EHLO c\nS: 250-mx.example\nS: 250 MT-PRIORITY", extensions=[MtPriority()])
    play(
        "C: EHLO c\nS: 250-mx.example\nS: 250 MT-PRIORITY MIXER",
        extensions=[MtPriority(profile="MIXER")],
    )
    play("C: LHLO c\nS: 250-mx.example\nS: 250 MT-PRIORITY", cls=LMTP, extensions=[MtPriority()])
    assert BUILT_IN["MT-PRIORITY"] is MtPriority


@pytest.mark.parametrize("profile", ["", "A B", "é", "A\n", "A\r\n250 X"])
def test_no_profile(profile: str) -> None:
    with pytest.raises(ValueError, match="profile"):
        MtPriority(profile)


@pytest.mark.parametrize("priority", range(-9, 10))
def test_a_priority(priority: int) -> None:
    script = f"{GREETED}C: MAIL FROM:<a@example.com> mt-priority={priority}\nS: 250 OK\n{SEND}"
    (envelope,) = received(script, extensions=EXTENSIONS)
    assert envelope.mail_parameters == {"MT-PRIORITY": priority}


@pytest.mark.parametrize(
    "value",
    ["", "=", "=10", "=-10", "=-0", "=+1", "=00", "=01", "=1.0", "=x", "=--1", "=1 MT-PRIORITY=1"],
)
def test_malformed(value: str) -> None:
    play(
        f"{GREETED}C: MAIL FROM:<a@example.com> MT-PRIORITY{value}\nS: {SYNTAX}\n"
        "C: MAIL FROM:<a@example.com>\nS: 250 OK",
        extensions=EXTENSIONS,
    )


def test_digits_of_other_scripts_are_none() -> None:
    play(
        f"{GREETED}C: MAIL FROM:<a@example.com> MT-PRIORITY=٣\nS: {SYNTAX}",
        extensions=EXTENSIONS,
        enable_SMTPUTF8=True,
    )


def test_it_is_no_parameter_of_rcpt() -> None:
    play(
        f"{GREETED}C: MAIL FROM:<a@example.com>\nS: 250 OK\n"
        "C: RCPT TO:<b@example.com> MT-PRIORITY=1\n"
        "S: 555 RCPT TO parameters not recognized or not implemented",
        extensions=EXTENSIONS,
    )


def test_the_command_may_be_longer() -> None:
    path = f"<{'a' * (512 - len('MAIL FROM:<@example.com>'))}@example.com>"
    script = f"{GREETED}C: MAIL FROM:{path} MT-PRIORITY=-9\nS: {{}}"
    play(script.format("250 OK"), extensions=[MtPriority()])
    play(script.format("500 Command line too long"), extensions=[])
