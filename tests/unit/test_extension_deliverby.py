"""DELIVERBY (RFC 2852): until when a message is to be delivered."""

from __future__ import annotations

import pytest
from tests.unit.conversations import GREETED, play, received

from aiosmtpd.extensions import BUILT_IN, DEFAULT, DeliverBy, DeliveryTime
from aiosmtpd.lmtp import LMTP

EXTENSIONS = (*DEFAULT, DeliverBy(minimum=60))
SYNTAX = "501 Syntax: MAIL FROM: <address> [SP <mail-parameters>]"
SEND = "C: RCPT TO:<b@example.com>\nS: 250 OK\nC: DATA\nS: 354 ...\nC: .\nS: 250 OK\n"


def test_it_is_offered() -> None:
    play("C: EHLO c\nS: 250-mx.example\nS: 250 DELIVERBY", extensions=[DeliverBy()])
    play("C: EHLO c\nS: 250-mx.example\nS: 250 DELIVERBY 60", extensions=[DeliverBy(minimum=60)])
    play("C: LHLO c\nS: 250-mx.example\nS: 250 DELIVERBY", cls=LMTP, extensions=[DeliverBy()])
    assert BUILT_IN["DELIVERBY"] is DeliverBy


@pytest.mark.parametrize("minimum", [0, -1, 1_000_000_000])
def test_no_minimum(minimum: int) -> None:
    with pytest.raises(ValueError, match="minimum"):
        DeliverBy(minimum)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("60;R", DeliveryTime(60, "R", False)),
        ("+125;r", DeliveryTime(125, "R", False)),
        ("999999999;RT", DeliveryTime(999_999_999, "R", True)),
        ("000000060;R", DeliveryTime(60, "R", False)),
        ("59;N", DeliveryTime(59, "N", False)),
        ("0;N", DeliveryTime(0, "N", False)),
        ("-30;nt", DeliveryTime(-30, "N", True)),
        ("-999999999;N", DeliveryTime(-999_999_999, "N", False)),
    ],
)
def test_a_time(value: str, expected: DeliveryTime) -> None:
    script = f"{GREETED}C: MAIL FROM:<a@example.com> BY={value}\nS: 250 OK\n{SEND}"
    (envelope,) = received(script, extensions=EXTENSIONS)
    assert envelope.mail_parameters == {"BY": expected}


@pytest.mark.parametrize(
    "value",
    [
        "",
        "=",
        "=60",
        "=;R",
        "=60;",
        "=60;X",
        "=60;NR",
        "=60;TR",
        "=60;RTT",
        "=60;R;T",
        "=60R",
        "=6e1;R",
        "=1000000000;N",
        "=+-1;N",
        "=--1;N",
        "=0;R",
        "=-1;R",
        "=-0;R",
        "=60;R BY=60;R",
    ],
)
def test_malformed(value: str) -> None:
    play(
        f"{GREETED}C: MAIL FROM:<a@example.com> BY{value}\nS: {SYNTAX}\n"
        "C: MAIL FROM:<a@example.com>\nS: 250 OK",
        extensions=EXTENSIONS,
    )


@pytest.mark.parametrize("value", ["59;R", "1;RT"])
def test_less_than_the_minimum(value: str) -> None:
    command = f"C: MAIL FROM:<a@example.com> BY={value}\n"
    play(
        f"{GREETED}{command}S: 555 5.5.4 Error: cannot deliver within less than 60 seconds\n"
        "C: MAIL FROM:<a@example.com>\nS: 250 OK",
        extensions=EXTENSIONS,
    )
    play(f"{GREETED}{command}S: 250 OK", extensions=[DeliverBy()])


def test_it_is_no_parameter_of_rcpt() -> None:
    play(
        f"{GREETED}C: MAIL FROM:<a@example.com>\nS: 250 OK\n"
        "C: RCPT TO:<b@example.com> BY=60;N\n"
        "S: 555 RCPT TO parameters not recognized or not implemented",
        extensions=EXTENSIONS,
    )


def test_the_command_may_be_longer() -> None:
    path = f"<{'a' * (512 - len('MAIL FROM:<@example.com>'))}@example.com>"
    script = f"{GREETED}C: MAIL FROM:{path} BY=-999999999;NT\nS: {{}}"
    play(script.format("250 OK"), extensions=[DeliverBy()])
    play(script.format("500 Command line too long"), extensions=[])
