"""DSN (RFC 3461, RFC 6533): the wishes of a client about notifications."""

from __future__ import annotations

import pytest
from tests.unit.conversations import GREETED, play, received

from aiosmtpd.extensions import BUILT_IN, DEFAULT, Dsn, OriginalRecipient
from aiosmtpd.handlers import Sink
from aiosmtpd.lmtp import LMTP
from aiosmtpd.protocol import MalformedParameters
from aiosmtpd.smtp import SMTP

EXTENSIONS = (*DEFAULT, Dsn())
MAIL_SYNTAX = "501 Syntax: MAIL FROM: <address> [SP <mail-parameters>]"
RCPT_SYNTAX = "501 Syntax: RCPT TO: <address> [SP <mail-parameters>]"
MAIL = "C: MAIL FROM:<anne@example.com>{}\nS: {}\n"
RCPT = "C: RCPT TO:<bart@example.com>{}\nS: {}\n"
SEND = "C: DATA\nS: 354 ...\nC: .\nS: 250 OK\n"

GOOD_MAIL = [
    ("RET=FULL", {"RET": "FULL"}),
    ("ret=hdrs", {"RET": "HDRS"}),
    ("ENVID=QQ314159", {"ENVID": "QQ314159"}),
    ("ENVID=a+2Bb+3Dc+20d+09", {"ENVID": "a+b=c d\t"}),
    ("EnvID=Keeps-Its-Case", {"ENVID": "Keeps-Its-Case"}),
    (f"ENVID={'x' * 100}", {"ENVID": "x" * 100}),
    ("RET=FULL ENVID=x SIZE=1", {"RET": "FULL", "ENVID": "x", "SIZE": 1}),
]
BAD_MAIL = [
    "RET",
    "RET=",
    "RET=BODY",
    "RET=FULL RET=FULL",
    "ENVID",
    "ENVID=",
    "ENVID=a+b",
    "ENVID=a+2b",
    "ENVID=a+2",
    "ENVID=+0D+0A",
    "ENVID=+00",
    "ENVID=+7F",
    "ENVID=+C3+A9",
    "ENVID=+E9",
    f"ENVID={'x' * 101}",
    "ENVID=x envid=x",
]
GOOD_RCPT = [
    ("NOTIFY=NEVER", {"NOTIFY": frozenset({"NEVER"})}),
    ("NOTIFY=never", {"NOTIFY": frozenset({"NEVER"})}),
    ("NOTIFY=Success", {"NOTIFY": frozenset({"SUCCESS"})}),
    ("NOTIFY=SUCCESS,FAILURE,DELAY", {"NOTIFY": frozenset({"SUCCESS", "FAILURE", "DELAY"})}),
    ("NOTIFY=DELAY,,DELAY", {"NOTIFY": frozenset({"DELAY"})}),
    ("ORCPT=rfc822;Anne@Example.com", {"ORCPT": OriginalRecipient("rfc822", "Anne@Example.com")}),
    ("ORCPT=RFC822;a+2Bb@c", {"ORCPT": OriginalRecipient("RFC822", "a+b@c")}),
    ("ORCPT=x400;/G+3DAnne/S+3DB+20C/", {"ORCPT": OriginalRecipient("x400", "/G=Anne/S=B C/")}),
    ("ORCPT=rfc822;", {"ORCPT": OriginalRecipient("rfc822", "")}),
    ("ORCPT=rfc822;a;b", {"ORCPT": OriginalRecipient("rfc822", "a;b")}),
    (f"ORCPT=rfc822;{'x' * 493}", {"ORCPT": OriginalRecipient("rfc822", "x" * 493)}),
    (r"ORCPT=utf-8;\x{E9}@b", {"ORCPT": OriginalRecipient("utf-8", "é@b")}),
    (r"ORCPT=UTF-8;\x{2B}@b", {"ORCPT": OriginalRecipient("UTF-8", "+@b")}),
]
BAD_RCPT = [
    "NOTIFY",
    "NOTIFY=",
    "NOTIFY=,",
    "NOTIFY=ALWAYS",
    "NOTIFY=NEVER,FAILURE",
    "NOTIFY=FAILURE,NEVER",
    "NOTIFY=NEVER,",
    "NOTIFY=NEVER NOTIFY=NEVER",
    "ORCPT",
    "ORCPT=",
    "ORCPT=anne@example.com",
    "ORCPT=;anne@example.com",
    "ORCPT=rfc(822;anne@example.com",
    "ORCPT=rfc.822;anne@example.com",
    "ORCPT=rfc822;a+b@c",
    "ORCPT=rfc822;+0Aa@b",
    "ORCPT=rfc822;+C3+A9@b",
    f"ORCPT=rfc822;{'x' * 494}",
    "ORCPT=rfc822;a ORCPT=rfc822;a",
    "ORCPT=utf-8;",
    "ORCPT=utf-8;a+2Bb@c",
    r"ORCPT=utf-8;\x{61}@b",
    r"ORCPT=utf-8;\x{0D}@b",
    r"ORCPT=utf-8;\x{DC00}@b",
    r"ORCPT=utf-8;\x{110000}@b",
    "ORCPT=utf-8;a..b@c",
    f"ORCPT=utf-8;{'x' * 495}",
]


def test_it_is_offered() -> None:
    offered = "C: EHLO client.example\nS: 250-mx.example\nS: 250 DSN\n"
    play(offered, extensions=[Dsn()])
    play(offered.replace("EHLO", "LHLO"), cls=LMTP, extensions=[Dsn()])
    assert BUILT_IN["DSN"] is Dsn


@pytest.mark.parametrize("value", ["\u017fUCCESS", "SUCCE\u017f\u017f,DELAY"])
def test_letters_that_are_ascii_only_in_upper_case(value: str) -> None:
    server = SMTP(Sink(), hostname="mx.example", enable_SMTPUTF8=True)
    assert set(value.upper().split(",")) <= {"SUCCESS", "DELAY"}
    with pytest.raises(MalformedParameters):
        Dsn().parse_rcpt(server, "NOTIFY", value)


@pytest.mark.parametrize(("parameters", "expected"), GOOD_MAIL)
def test_parameters_of_mail(parameters: str, expected: dict[str, object]) -> None:
    script = GREETED + MAIL.format(f" {parameters}", "250 OK") + RCPT.format("", "250 OK") + SEND
    (envelope,) = received(script, extensions=EXTENSIONS)
    assert envelope.mail_parameters == expected
    assert envelope.rcpt_parameters == [{}]
    assert envelope.mail_options == parameters.upper().split(" ")


@pytest.mark.parametrize("parameters", BAD_MAIL)
def test_malformed_parameters_of_mail(parameters: str) -> None:
    script = GREETED + MAIL.format(f" {parameters}", MAIL_SYNTAX) + MAIL.format("", "250 OK")
    play(script, extensions=EXTENSIONS)


@pytest.mark.parametrize(("parameters", "expected"), GOOD_RCPT)
def test_parameters_of_rcpt(parameters: str, expected: dict[str, object]) -> None:
    script = GREETED + MAIL.format("", "250 OK") + RCPT.format(f" {parameters}", "250 OK") + SEND
    (envelope,) = received(script, extensions=EXTENSIONS)
    assert envelope.rcpt_parameters == [expected]
    assert envelope.rcpt_options == parameters.upper().split(" ")


@pytest.mark.parametrize("parameters", BAD_RCPT)
@pytest.mark.parametrize("utf8", [False, True])
def test_malformed_parameters_of_rcpt(parameters: str, utf8: bool) -> None:
    script = (
        GREETED
        + MAIL.format("", "250 OK")
        + RCPT.format(f" {parameters}", RCPT_SYNTAX)
        + RCPT.format("", "250 OK")
    )
    play(script, extensions=EXTENSIONS, enable_SMTPUTF8=utf8)


def test_unitext_takes_smtputf8() -> None:
    script = GREETED + MAIL.format("", "250 OK") + RCPT.format(" ORCPT=utf-8;é@b", "{}")
    play(script.format("500 Error: strict ASCII mode"), extensions=EXTENSIONS)
    (envelope,) = received(
        script.format("250 OK") + SEND, extensions=EXTENSIONS, enable_SMTPUTF8=True
    )
    assert envelope.rcpt_parameters == [{"ORCPT": OriginalRecipient("utf-8", "é@b")}]
    # No other type of address has it (RFC 3461 section 4.2), and a limit is one of octets.
    for value in ("rfc822;é@b", f"utf-8;{'é' * 248}"):
        script = GREETED + MAIL.format("", "250 OK") + RCPT.format(f" ORCPT={value}", RCPT_SYNTAX)
        play(script, extensions=EXTENSIONS, enable_SMTPUTF8=True)


def test_each_recipient_has_its_own() -> None:
    script = (
        GREETED
        + MAIL.format(" RET=HDRS", "250 OK")
        + RCPT.format(" NOTIFY=DELAY", "250 OK")
        + RCPT.format(" NOTIFY=DELEY", RCPT_SYNTAX)
        + RCPT.format("", "250 OK")
        + RCPT.format(" ORCPT=rfc822;x", "250 OK")
        + SEND
        + MAIL.format("", "250 OK")
        + RCPT.format("", "250 OK")
        + SEND
    )
    first, second = received(script, extensions=EXTENSIONS)
    assert first.rcpt_parameters == [
        {"NOTIFY": frozenset({"DELAY"})},
        {},
        {"ORCPT": OriginalRecipient("rfc822", "x")},
    ]
    assert second.mail_parameters == {}
    assert second.rcpt_parameters == [{}]


def test_parameters_belong_to_one_command() -> None:
    unknown = "555 {} parameters not recognized or not implemented"
    script = (
        GREETED
        + MAIL.format(" NOTIFY=NEVER", unknown.format("MAIL FROM"))
        + MAIL.format("", "250 OK")
        + RCPT.format(" RET=FULL", unknown.format("RCPT TO"))
    )
    play(script, extensions=EXTENSIONS)
    script = GREETED + MAIL.format(" RET=FULL", unknown.format("MAIL FROM"))
    play(script)


def test_not_after_helo() -> None:
    script = "C: HELO client.example\nS: 250 mx.example\n"
    script += MAIL.format(" RET=FULL", "501 Syntax: MAIL FROM: <address>")
    play(script, extensions=EXTENSIONS)


def test_commands_may_be_longer() -> None:
    """All parameters of the extension at their longest, behind a command of 512 octets."""
    address = f"<{'a' * 200}@{'b.' * 120}example>"
    mail = f"MAIL FROM:{address}" + " RET=FULL ENVID=" + "x" * 100
    rcpt = f"RCPT TO:{address} NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;" + "x" * 493
    script = f"{GREETED}C: {mail}\nS: 250 OK\nC: {rcpt}\nS: 250 OK\n"
    play(script, extensions=EXTENSIONS)
    long = "500 Command line too long"
    play(f"{GREETED}C: {mail} {'x' * 700}\nS: {long}\n", extensions=EXTENSIONS)
    play(
        f"{GREETED}C: {mail}\nS: 250 OK\nC: {rcpt} {'x' * 100}\nS: {long}\n",
        extensions=EXTENSIONS,
    )
