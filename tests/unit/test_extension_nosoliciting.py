"""NO-SOLICITING (RFC 3865): which advertisements are not wanted."""

from __future__ import annotations

import pytest
from tests.unit.conversations import GREETED, play, received

from aiosmtpd.extensions import BUILT_IN, DEFAULT, NoSoliciting
from aiosmtpd.lmtp import LMTP

SIGN = NoSoliciting(keywords=["net.example:ADV", "org.example:ADV:ADLT"])
EXTENSIONS = (*DEFAULT, SIGN)
SYNTAX = "501 Syntax: MAIL FROM: <address> [SP <mail-parameters>]"
SEND = "C: RCPT TO:<b@example.com>\nS: 250 OK\nC: DATA\nS: 354 ...\nC: .\nS: 250 OK\n"


def test_it_is_offered() -> None:
    play("C: EHLO c\nS: 250-mx.example\nS: 250 NO-SOLICITING", extensions=[NoSoliciting()])
    line = "250 NO-SOLICITING net.example:ADV,org.example:ADV:ADLT"
    play(f"C: EHLO c\nS: 250-mx.example\nS: {line}", extensions=[SIGN])
    play(f"C: LHLO c\nS: 250-mx.example\nS: {line}", cls=LMTP, extensions=[SIGN])
    assert BUILT_IN["NO-SOLICITING"] is NoSoliciting


@pytest.mark.parametrize(
    "keywords", [[""], ["1a"], ["a b"], ["a,"], ["a\r\n"], ["é"], ["a" * 1001]]
)
def test_no_keywords(keywords: list[str]) -> None:
    with pytest.raises(ValueError, match="keywords"):
        NoSoliciting(keywords)


def test_one_str_is_not_several() -> None:
    with pytest.raises(TypeError, match="keywords"):
        NoSoliciting("ADV")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("net.example:ADLT", ("net.example:ADLT",)),
        ("a,B.c-d_e:1,a", ("a", "B.c-d_e:1", "a")),
        ("net.example:ADV:X", ("net.example:ADV:X",)),
        ("x" * 1000, ("x" * 1000,)),
    ],
)
def test_a_labelled_message(value: str, expected: tuple[str, ...]) -> None:
    script = f"{GREETED}C: MAIL FROM:<a@example.com> SOLICIT={value}\nS: 250 OK\n{SEND}"
    (envelope,) = received(script, extensions=EXTENSIONS)
    assert envelope.mail_parameters == {"SOLICIT": expected}


@pytest.mark.parametrize(
    "value",
    ["", "=", "=,", "=a,", "=,a", "=a,,b", "=1a", "=.a", "=a;b", "=a SOLICIT=a", f"={'x' * 1001}"],
)
def test_malformed(value: str) -> None:
    play(
        f"{GREETED}C: MAIL FROM:<a@example.com> SOLICIT{value}\nS: {SYNTAX}\n"
        "C: MAIL FROM:<a@example.com>\nS: 250 OK",
        extensions=EXTENSIONS,
    )


@pytest.mark.parametrize(
    "value", ["net.example:ADV", "x,NET.example:adv", "org.example:ADV:ADLT,x"]
)
def test_what_the_sign_names_is_refused(value: str) -> None:
    play(
        f"{GREETED}C: MAIL FROM:<a@example.com> SOLICIT={value}\n"
        "S: 550 5.7.1 Error: messages of the class ... are not wanted here\n"
        "C: MAIL FROM:<a@example.com>\nS: 250 OK",
        extensions=EXTENSIONS,
    )
    script = f"{GREETED}C: MAIL FROM:<a@example.com> SOLICIT={value}\nS: 250 OK"
    play(script, extensions=[NoSoliciting()])


def test_it_is_no_parameter_of_rcpt() -> None:
    play(
        f"{GREETED}C: MAIL FROM:<a@example.com>\nS: 250 OK\n"
        "C: RCPT TO:<b@example.com> SOLICIT=x\n"
        "S: 555 RCPT TO parameters not recognized or not implemented",
        extensions=EXTENSIONS,
    )


def test_the_command_may_be_longer() -> None:
    path = f"<{'a' * (512 - len('MAIL FROM:<@example.com>'))}@example.com>"
    script = f"{GREETED}C: MAIL FROM:{path} SOLICIT={'x' * 1000}\nS: {{}}"
    play(script.format("250 OK"), extensions=[NoSoliciting()])
    play(script.format("500 Command line too long"), extensions=[])
