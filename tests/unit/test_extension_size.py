"""SIZE (RFC 1870): the largest message, and the size a client announces."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.conversations import GREETED, play, received

from aiosmtpd.extensions import Size
from aiosmtpd.lmtp import LMTP

SYNTAX = "501 Syntax: MAIL FROM: <address> [SP <mail-parameters>]"
TOO_LARGE = "552 Error: message size exceeds fixed maximum message size"
TOO_MUCH = "552 Error: Too much mail data"
ONLY: dict[str, Any] = {"extensions": [Size()], "data_size_limit": 1000}


@pytest.mark.parametrize(("limit", "line"), [(1000, "SIZE 1000"), (2**40, f"SIZE {2**40}")])
def test_it_is_offered(limit: int, line: str) -> None:
    script = f"C: EHLO c\nS: 250-mx.example\nS: 250 {line}"
    play(script, extensions=[Size()], data_size_limit=limit)
    play(script.replace("EHLO", "LHLO"), cls=LMTP, extensions=[Size()], data_size_limit=limit)


@pytest.mark.parametrize("limit", [None, 0])
def test_no_limit(limit: int | None) -> None:
    play(
        f"C: EHLO c\nS: 250 mx.example\nC: MAIL FROM:<a@x> SIZE={10**19}\nS: 250 OK",
        extensions=[Size()],
        data_size_limit=limit,
    )


@pytest.mark.parametrize(("value", "size"), [("0", 0), ("1000", 1000), ("00000000000000000007", 7)])
def test_a_size(value: str, size: int) -> None:
    script = (
        f"{GREETED}C: MAIL FROM:<a@x> size={value}\nS: 250 OK\nC: RCPT TO:<b@x>\nS: 250 OK\n"
        "C: DATA\nS: 354 ...\nC: x\nC: .\nS: 250 OK"
    )
    (envelope,) = received(script, **ONLY)
    assert envelope.mail_parameters == {"SIZE": size}


@pytest.mark.parametrize("value", ["1001", "99999999999999999999"])
def test_too_large(value: str) -> None:
    play(
        f"{GREETED}C: MAIL FROM:<a@x> SIZE={value}\nS: {TOO_LARGE}\n"
        "C: MAIL FROM:<a@x> SIZE=1\nS: 250 OK",
        **ONLY,
    )


@pytest.mark.parametrize(
    "value",
    ["", "=", "=-1", "=+1", "=1.0", "=1e3", "=0x10", "=k", "=123456789012345678901", "=1 SIZE=1"],
)
def test_malformed(value: str) -> None:
    play(f"{GREETED}C: MAIL FROM:<a@x> SIZE{value}\nS: {SYNTAX}", **ONLY)


def test_digits_of_other_scripts_are_none() -> None:
    play(f"{GREETED}C: MAIL FROM:<a@x> SIZE=٣\nS: {SYNTAX}", enable_SMTPUTF8=True, **ONLY)


def test_what_was_announced_does_not_bind() -> None:
    """RFC 1870 section 6.3: a message may be larger than announced, but not than the limit."""
    to_data = "C: RCPT TO:<b@x>\nS: 250 OK\nC: DATA\nS: 354 ...\n"
    lines = "C: 12345678\n"
    play(
        f"{GREETED}C: MAIL FROM:<a@x> SIZE=1\nS: 250 OK\n{to_data}{lines * 100}C: .\nS: 250 OK\n"
        f"C: MAIL FROM:<a@x> SIZE=1\nS: 250 OK\n{to_data}{lines * 101}C: .\nS: {TOO_MUCH}",
        **ONLY,
    )


def test_it_is_no_parameter_of_rcpt() -> None:
    play(
        f"{GREETED}C: MAIL FROM:<a@x>\nS: 250 OK\nC: RCPT TO:<b@x> SIZE=1\n"
        "S: 555 RCPT TO parameters not recognized or not implemented",
        **ONLY,
    )


def test_the_command_may_be_longer() -> None:
    path = f"<{'a' * (512 - len('MAIL FROM:<@example.com>'))}@example.com>"
    script = f"{GREETED}C: MAIL FROM:{path} SIZE=00000000000000000001\nS: {{}}"
    play(script.format("250 OK"), **ONLY)
    play(script.format("500 Command line too long"), extensions=[])
