"""8BITMIME (RFC 6152): bodies with octets above 127."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.conversations import GREETED, play, received

from aiosmtpd.extensions import EightBitMime
from aiosmtpd.lmtp import LMTP

UNKNOWN = "501 Error: BODY can only be one of 7BIT, 8BITMIME"
NOT_RECOGNIZED = "555 MAIL FROM parameters not recognized or not implemented"
ONLY: dict[str, Any] = {"extensions": [EightBitMime()]}
RCPT = b"RCPT TO:<b@example.com>\r\n"
DATA = "354 End data with <CR><LF>.<CR><LF>"


def test_it_is_offered() -> None:
    play("C: EHLO c\nS: 250-mx.example\nS: 250 8BITMIME", **ONLY)
    play("C: LHLO c\nS: 250-mx.example\nS: 250 8BITMIME", cls=LMTP, **ONLY)


def test_not_where_octets_would_be_lost() -> None:
    play(
        f"C: EHLO c\nS: 250 mx.example\nC: MAIL FROM:<a@x> BODY=8BITMIME\nS: {NOT_RECOGNIZED}",
        decode_data=True,
        **ONLY,
    )


@pytest.mark.parametrize("value", ["7BIT", "8BITMIME", "8BitMime"])
def test_a_body_type(value: str) -> None:
    """Every octet above 127 arrives, whatever was announced."""
    octets = bytes(range(128, 256)) + b"\r\n"
    (envelope,) = received(
        [
            b"EHLO c\r\n",
            "250-mx.example\n250 8BITMIME",
            f"MAIL FROM:<a@example.com> body={value}\r\n".encode(),
            "250 OK",
            RCPT,
            "250 OK",
            b"DATA\r\n",
            DATA,
            octets + b".\r\n",
            "250 OK",
        ],
        **ONLY,
    )
    assert envelope.mail_parameters == {"BODY": value.upper()}
    assert envelope.content == octets


@pytest.mark.parametrize("value", ["", "=", "=BINARY", "=8BIT", "=BINARYMIME", "=9BIT"])
def test_no_body_type(value: str) -> None:
    syntax = "501 Syntax: MAIL FROM: <address> [SP <mail-parameters>]"
    play(
        f"{GREETED}C: MAIL FROM:<a@example.com> BODY{value}\n"
        f"S: {syntax if value == '=' else UNKNOWN}\n"
        "C: MAIL FROM:<a@example.com> BODY=7BIT\nS: 250 OK",
        **ONLY,
    )


def test_not_twice() -> None:
    play(
        f"{GREETED}C: MAIL FROM:<a@example.com> BODY=7BIT body=8BITMIME\nS: 501 Syntax: MAIL ...",
        **ONLY,
    )


def test_it_is_no_parameter_of_rcpt() -> None:
    play(
        f"{GREETED}C: MAIL FROM:<a@example.com>\nS: 250 OK\nC: RCPT TO:<b@x> BODY=7BIT\n"
        "S: 555 RCPT TO parameters not recognized or not implemented",
        **ONLY,
    )


def test_the_command_may_be_longer() -> None:
    path = f"<{'a' * (512 - len('MAIL FROM:<@example.com>'))}@example.com>"
    script = f"{GREETED}C: MAIL FROM:{path} BODY=8BITMIME\nS: {{}}"
    play(script.format("250 OK"), **ONLY)
    play(script.format("500 Command line too long"), extensions=[])
