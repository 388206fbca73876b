"""REQUIRETLS (RFC 8689): a message that may travel under TLS only."""

from __future__ import annotations

import pytest
from tests.unit.conversations import GREETED, play, received

from aiosmtpd.extensions import BUILT_IN, DEFAULT, RequireTls
from aiosmtpd.lmtp import LMTP

EXTENSIONS = (*DEFAULT, RequireTls())
SYNTAX = "501 Syntax: MAIL FROM: <address> [SP <mail-parameters>]"
SEND = "C: RCPT TO:<b@example.com>\nS: 250 OK\nC: DATA\nS: 354 ...\nC: .\nS: 250 OK\n"


def test_it_is_offered_under_tls_only() -> None:
    play("C: EHLO c\nS: 250-mx.example\nS: 250 REQUIRETLS", tls=True, extensions=[RequireTls()])
    play("C: EHLO c\nS: 250 mx.example", extensions=[RequireTls()])
    play(
        "C: LHLO c\nS: 250-mx.example\nS: 250 REQUIRETLS",
        cls=LMTP,
        tls=True,
        extensions=[RequireTls()],
    )
    assert BUILT_IN["REQUIRETLS"] is RequireTls


@pytest.mark.parametrize("keyword", ["REQUIRETLS", "RequireTLS"])
def test_a_message_that_requires_tls(keyword: str) -> None:
    script = f"{GREETED}C: MAIL FROM:<a@example.com> {keyword}\nS: 250 OK\n{SEND}"
    (envelope,) = received(script, tls=True, extensions=EXTENSIONS)
    assert envelope.mail_parameters == {"REQUIRETLS": True}
    assert envelope.mail_options == ["REQUIRETLS"]


def test_the_null_reverse_path_may_require_it_too() -> None:
    script = f"{GREETED}C: MAIL FROM:<> REQUIRETLS\nS: 250 OK\n{SEND}"
    (envelope,) = received(script, tls=True, extensions=EXTENSIONS)
    assert envelope.mail_from == "<>"


def test_without_tls_it_is_refused() -> None:
    play(
        f"{GREETED}C: MAIL FROM:<a@example.com> REQUIRETLS\n"
        "S: 530 5.7.10 Encryption needed for REQUIRETLS\n"
        "C: MAIL FROM:<a@example.com>\nS: 250 OK",
        extensions=EXTENSIONS,
    )


@pytest.mark.parametrize("parameter", ["REQUIRETLS=", "REQUIRETLS=1", "REQUIRETLS REQUIRETLS"])
@pytest.mark.parametrize("tls", [False, True])
def test_malformed(parameter: str, tls: bool) -> None:
    script = f"{GREETED}C: MAIL FROM:<a@example.com> {parameter}\nS: {SYNTAX}"
    play(script, tls=tls, extensions=EXTENSIONS)


def test_it_is_no_parameter_of_rcpt() -> None:
    play(
        f"{GREETED}C: MAIL FROM:<a@example.com>\nS: 250 OK\n"
        "C: RCPT TO:<b@example.com> REQUIRETLS\n"
        "S: 555 RCPT TO parameters not recognized or not implemented",
        tls=True,
        extensions=EXTENSIONS,
    )


def test_the_command_may_be_longer() -> None:
    path = f"<{'a' * (512 - len('MAIL FROM:<@example.com>'))}@example.com>"
    script = f"{GREETED}C: MAIL FROM:{path} REQUIRETLS\nS: {{}}"
    play(script.format("250 OK"), tls=True, extensions=[RequireTls()])
    play(script.format("500 Command line too long"), tls=True, extensions=[])
