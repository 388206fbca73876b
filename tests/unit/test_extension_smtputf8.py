"""SMTPUTF8 (RFC 6531): internationalised addresses, and what may be said of them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.conversations import GREETED, play, received

from aiosmtpd.extensions import DEFAULT, Extension, SmtpUtf8, StrictSmtpUtf8
from aiosmtpd.lmtp import LMTP
from aiosmtpd.testing import RecordingHandler

STRICT: tuple[Extension, ...] = tuple(
    StrictSmtpUtf8() if isinstance(extension, SmtpUtf8) else extension for extension in DEFAULT
)
SENDER = "550 5.6.7 Error: a sender that is not ASCII needs SMTPUTF8"
RECIPIENT = "553 5.6.7 Error: a recipient that is not ASCII needs SMTPUTF8"
NOT_TOLD = "UTF-8 string reply is required, but not permitted by the client"
SEND = "C: DATA\nS: 354 ...\nC: Subject: é\nC: .\nS: 250 OK\n"


def mail(arguments: str, reply: str = "250 OK") -> str:
    return f"C: MAIL FROM:{arguments}\nS: {reply}\n"


def rcpt(address: str, reply: str = "250 OK") -> str:
    return f"C: RCPT TO:<{address}>\nS: {reply}\n"


def test_it_is_offered_where_it_is_enabled() -> None:
    for extension in (SmtpUtf8(), StrictSmtpUtf8()):
        play(
            "C: EHLO c\nS: 250-mx.example\nS: 250 SMTPUTF8",
            extensions=[extension],
            enable_SMTPUTF8=True,
        )
        play("C: EHLO c\nS: 250 mx.example", extensions=[extension])
    play(
        "C: LHLO c\nS: 250-mx.example\nS: 250 SMTPUTF8",
        cls=LMTP,
        extensions=[SmtpUtf8()],
        enable_SMTPUTF8=True,
    )


@pytest.mark.parametrize("decode_data", [False, True])
def test_8bitmime_comes_with_it(decode_data: bool) -> None:
    """RFC 6531 section 3.1 (8)."""
    script = (
        "C: EHLO c\nS: 250-mx.example\nS: ...\nS: 250-8BITMIME\nS: 250-SMTPUTF8\nS: ...\nS: 250 HELP\n"
        + mail("<é@example.com> SMTPUTF8 BODY=8BITMIME")
        + rcpt("b@example.com")
        + SEND
    )
    (envelope,) = received(script, enable_SMTPUTF8=True, decode_data=decode_data)
    assert envelope.original_content == "Subject: é\r\n".encode()
    assert envelope.content == ("Subject: é\r\n" if decode_data else envelope.original_content)


@pytest.mark.parametrize("extensions", [DEFAULT, STRICT])
def test_a_transaction_that_says_so(extensions: Any) -> None:
    script = (
        GREETED + mail("<用户@例子.广告> smtputf8") + rcpt("é@exämple.com") + rcpt("b@x") + SEND
    )
    (envelope,) = received(script, enable_SMTPUTF8=True, extensions=extensions)
    assert envelope.mail_from == "用户@例子.广告"
    assert envelope.rcpt_tos == ["é@exämple.com", "b@x"]
    assert envelope.mail_parameters == {"SMTPUTF8": True}
    assert envelope.smtp_utf8


@pytest.mark.parametrize("parameter", ["SMTPUTF8=1", "SMTPUTF8=é"])
def test_it_takes_no_value(parameter: str) -> None:
    script = GREETED + mail(f"<a@x> {parameter}", "501 Error: SMTPUTF8 takes no arguments")
    play(script, enable_SMTPUTF8=True)


def test_where_it_is_not_enabled() -> None:
    play(
        GREETED
        + mail("<a@x> SMTPUTF8", "501 Error: SMTPUTF8 disabled")
        + mail("<é@x>", "500 Error: strict ASCII mode")
        + mail("<a@x>")
        + rcpt("é@x", "500 Error: strict ASCII mode")
    )


@pytest.mark.parametrize(
    "address",
    [
        b"\xe9@x",  # ISO 8859-1
        b"\xc3@x",
        b"\xc0\xaf@x",  # an overlong form
        b"\xed\xa0\x80@x",  # a surrogate
        b"a@\xff",
        b"\xf4\x90\x80\x80@x",
        "a\u0085b@x".encode(),
        "a\u2028b@x".encode(),
        "é é@x".encode(),
        "é..é@x".encode(),
        "é@-é".encode(),
    ],
)
def test_what_is_no_address(address: bytes) -> None:
    malformed = "553 5.1.3 Error: malformed address"
    play(
        [
            b"EHLO client.example\r\n",
            "...\n250 ...",
            b"MAIL FROM:<" + address + b"> SMTPUTF8\r\n",
            malformed,
            b"MAIL FROM:<> SMTPUTF8\r\n",
            "250 OK",
            b"RCPT TO:<" + address + b">\r\n",
            malformed,
        ],
        enable_SMTPUTF8=True,
    )


@pytest.mark.parametrize(
    "domain",
    [
        "exämple.com",
        "xn--exmple-cua.com",  # the same as an A-label: it is not converted
        "☃.example",  # a character that IDNA2008 does not allow
        "Straße.EXAMPLE",  # in a case that no U-label has
        "xn--zzzzzzz.example",  # no A-label at all
        f"{'ä' * 63}.example",  # longer than a label of the DNS
    ],
)
def test_domains_are_left_to_those_who_look_them_up(domain: str) -> None:
    script = GREETED + mail("<> SMTPUTF8") + rcpt(f"b@{domain}") + SEND
    (envelope,) = received(script, enable_SMTPUTF8=True)
    assert envelope.rcpt_tos == [f"b@{domain}"]


# -- a client that does not say so ----------------------------------------------------------------


def test_it_is_tolerated() -> None:
    script = GREETED + mail("<é@x>") + rcpt("é@y") + SEND
    (envelope,) = received(script, enable_SMTPUTF8=True)
    assert (envelope.mail_from, envelope.rcpt_tos) == ("é@x", ["é@y"])
    assert not envelope.smtp_utf8


def test_unless_the_server_is_strict() -> None:
    script = (
        GREETED
        + mail("<é@x>", SENDER)
        + mail("<a@é>", SENDER)
        + mail("<a@x>")
        + rcpt("é@y", RECIPIENT)
        + rcpt("b@y")
        + SEND
        + mail("<é@x> SMTPUTF8")
        + rcpt("é@y")
        + SEND
        + mail("<a@x>")  # the parameter was that of another transaction
        + rcpt("é@y", RECIPIENT)
    )
    first, second = received(script, enable_SMTPUTF8=True, extensions=STRICT)
    assert first.rcpt_tos == ["b@y"]
    assert second.rcpt_tos == ["é@y"]


def test_strict_after_helo() -> None:
    script = "C: HELO c\nS: 250 mx.example\n" + mail("<é@x>", SENDER) + mail("<a@x>")
    play(script + rcpt("é@y", RECIPIENT), enable_SMTPUTF8=True, extensions=STRICT)


# -- what a client may be told (section 3.7.4) ----------------------------------------------------


class Tells(RecordingHandler):
    """Answers with what stands in the address."""

    reply_to_rcpt: Any = "250 OK"
    reply_to_vrfy: Any = None

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> Any:
        envelope.rcpt_tos.append(address)
        return self.reply_to_rcpt

    async def handle_VRFY(self, server: Any, session: Any, envelope: Any, address: str) -> Any:
        return self.reply_to_vrfy or f"250 <{address}>"


def tells(**replies: Any) -> type[Tells]:
    return type("Tells", (Tells,), replies)


@pytest.mark.parametrize(
    ("reply", "allowed", "otherwise"),
    [
        ("251 will forward to <é@x>", "251 will forward to <é@x>", "250 OK"),
        ("551 try <é@x>", "551 try <é@x>", f"550 5.6.8 {NOT_TOLD}"),
        ("551 try <é@x>".encode(), "551 try <é@x>", f"550 5.6.8 {NOT_TOLD}"),
        ("251 will forward to <e@x>", "251 will forward to <e@x>", "251 will forward to <e@x>"),
        ("551 try <e@x>", "551 try <e@x>", "551 try <e@x>"),
        ("450 später", "450 später", "450 später"),  # no mailbox, but words of a hook
        (None, "250 OK", "250 OK"),
    ],
)
def test_replies_to_rcpt(reply: Any, allowed: str, otherwise: str) -> None:
    handler = tells(reply_to_rcpt=reply)
    script = GREETED + mail("<a@x> SMTPUTF8") + rcpt("b@x", allowed)
    play(script, handler=handler, enable_SMTPUTF8=True)
    script = GREETED + mail("<a@x>") + rcpt("b@x", otherwise)
    play(script, handler=handler, enable_SMTPUTF8=True)


@pytest.mark.parametrize(
    ("reply", "allowed", "otherwise"),
    [
        ("250 Zoë <é@x>", "250 Zoë <é@x>", f"252 2.6.8 {NOT_TOLD}"),
        ("251 Zoë <é@x>", "251 Zoë <é@x>", f"252 2.6.8 {NOT_TOLD}"),
        ("551 try <é@x>", "551 try <é@x>", f"550 5.6.8 {NOT_TOLD}"),
        ("551 try <é@x>".encode(), "551 try <é@x>", f"550 5.6.8 {NOT_TOLD}"),
        ("450 später", "450 später", r"450 sp\xe4ter"),
        ("450 später".encode(), "450 später", r"450 sp\xe4ter"),
        ("250 <b@x>", "250 <b@x>", "250 <b@x>"),
    ],
)
def test_replies_to_vrfy(reply: Any, allowed: str, otherwise: str) -> None:
    play(
        f"{GREETED}C: VRFY b SMTPUTF8\nS: {allowed}\nC: VRFY b\nS: {otherwise}",
        handler=tells(reply_to_vrfy=reply),
        enable_SMTPUTF8=True,
    )


@pytest.mark.parametrize(
    ("argument", "reply"),
    [
        ("é@x SMTPUTF8", "250 <é@x>"),
        ("<é@x> smtputf8", "250 <é@x>"),
        ("Zoë Müller  SMTPUTF8", "250 <Zoë Müller>"),
        ("b@x", "250 <b@x>"),
        ("é@x", f"252 2.6.8 {NOT_TOLD}"),
        ("SMTPUTF8", "250 <SMTPUTF8>"),  # a user of that name
        ("SMTPUTF8 SMTPUTF8", "250 <SMTPUTF8>"),
        ("b SMTPUTF8 c", "250 <b SMTPUTF8 c>"),
        ("b SMTPUTF8=1", "501 Error: SMTPUTF8 takes no arguments"),
        ("b SMTPUTF8=", "501 Error: SMTPUTF8 takes no arguments"),
        ("é..é@x SMTPUTF8", "502 Could not VRFY é..é@x"),
        ("é..é@x", r"502 Could not VRFY \xe9..\xe9@x"),
    ],
)
def test_the_parameter_of_vrfy(argument: str, reply: str) -> None:
    play(f"{GREETED}C: VRFY {argument}\nS: {reply}", handler=Tells, enable_SMTPUTF8=True)


def test_there_is_no_parameter_of_vrfy_where_it_is_not_offered() -> None:
    play(f"{GREETED}C: VRFY b SMTPUTF8\nS: 250 <b SMTPUTF8>", handler=Tells)
    script = "C: HELO c\nS: 250 mx.example\nC: VRFY b SMTPUTF8\nS: 250 <b SMTPUTF8>"
    play(script, handler=Tells, enable_SMTPUTF8=True)
    script = f"{GREETED}C: VRFY b\nS: 250 <b> \\xe9"
    play(script, handler=tells(reply_to_vrfy="250 <b> é"))


def test_the_parameter_is_for_one_command() -> None:
    play(
        f"{GREETED}C: VRFY é SMTPUTF8\nS: 250 <é>\nC: VRFY é\nS: 252 2.6.8 {NOT_TOLD}\n"
        "C: EXPN é SMTPUTF8\nS: 502 EXPN not implemented",
        handler=Tells,
        enable_SMTPUTF8=True,
    )


def test_the_command_may_be_longer() -> None:
    path = f"<{'a' * (512 - len('MAIL FROM:<@example.com>'))}@example.com>"
    script = GREETED + mail(f"{path} SMTPUTF8", "{}")
    play(script.format("250 OK"), extensions=[SmtpUtf8()], enable_SMTPUTF8=True)
    play(script.format("500 Command line too long"), extensions=[])
