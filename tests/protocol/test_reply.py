"""Replies: made, taken apart, copied, encoded; and the texts that other people's tests compare."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiosmtpd.protocol import Reply, encode_reply
from aiosmtpd.protocol import reply as replies

CATALOGUE = {name: value for name, value in vars(replies).items() if isinstance(value, Reply)}

# What 1.4 says by itself; test suites of other projects compare these.
PINNED = """\
220 Ready to start TLS
221 Bye
235 2.7.0 Authentication successful
250 OK
252 Cannot VRFY user, but will accept message and attempt delivery
354 End data with <CR><LF>.<CR><LF>
454 TLS not available
500 Error: bad syntax
500 Error: strict ASCII mode
500 Command line too long
500 Line too long (see RFC5321 4.5.3.1.6)
501 5.5.2 Can't decode base64
501 5.7.0 Auth aborted
501 5.5.2 Can't split auth value
501 Not enough value
501 Too many values
501 Error: BODY can only be one of 7BIT, 8BITMIME
501 Error: SMTPUTF8 disabled
501 Error: SMTPUTF8 takes no arguments
502 EXPN not implemented
502 5.5.1 Too many unrecognized commands, goodbye.
503 Already authenticated
503 Error: nested MAIL command
503 Error: need MAIL command
503 Error: need RCPT command
504 5.5.4 Unrecognized authentication type
530 5.7.0 Authentication required
530 Must issue a STARTTLS command first
535 5.7.8 Authentication credentials invalid
538 5.7.11 Encryption required for requested authentication mechanism
552 Error: message size exceeds fixed maximum message size
552 Error: Too much mail data
554 Command refused due to lack of security
555 MAIL FROM parameters not recognized or not implemented
555 RCPT TO parameters not recognized or not implemented
""".splitlines()

# What only 2.0 says.
NEW = """\
421 4.3.2 Server shutting down
451 4.3.0 Error: processing took too long
451 4.3.0 Error: local error in processing
503 5.5.1 Error: AUTH not allowed during a mail transaction
503 5.5.1 Error: TLS already active
553 5.1.3 Error: malformed address
""".splitlines()


# -- making one -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (Reply(250, None, "OK"), "250 OK"),
        (Reply(250, "2.1.5", "OK"), "250 2.1.5 OK"),
        (Reply(250, None), "250 "),
        (Reply(250, "2.0.0"), "250 2.0.0"),
        (Reply(250, "2.0.0", ""), "250 2.0.0 "),
        (Reply(250, None, "a", "", "c"), "250-a\r\n250-\r\n250 c"),
        (Reply(550, "5.7.1", "a", "b"), "550-5.7.1 a\r\n550 5.7.1 b"),
        (Reply(354, "2.0.0", "go"), "354 2.0.0 go"),
        (Reply(200, "2.123.456", "x"), "200 2.123.456 x"),
        (Reply(300, "4.0.0", "x"), "300 4.0.0 x"),
        (Reply(599, "5.0.0", "x"), "599 5.0.0 x"),
    ],
)
def test_text(reply: Reply, text: str) -> None:
    assert reply == text
    assert str(reply) == text
    assert isinstance(reply, str)
    assert hash(reply) == hash(text)


@pytest.mark.parametrize("code", [199, 600, 0, -250, 2500])
def test_refuses_a_code_that_smtp_does_not_know(code: int) -> None:
    with pytest.raises(ValueError, match=f"code: {code} is not"):
        Reply(code, None, "x")


@pytest.mark.parametrize(
    "enhanced",
    [
        *("", "2", "2.0", "2.0.0.0", "2.0.0 ", "2.0.0\n", " 2.0.0", "2.0.1234", "2.a.0"),
        *("2.0.\u0660", "3.0.0", "1.0.0", "4.0.0", "5.0.0"),
    ],
)
def test_refuses_an_enhanced_code_that_does_not_fit(enhanced: str) -> None:
    with pytest.raises(ValueError, match=r"enhanced: .* does not go with 250"):
        Reply(250, enhanced, "x")


@pytest.mark.parametrize("line", ["a\r\n250 b", "a\n", "\r", "a\rb"])
def test_refuses_a_line_end_in_a_line(line: str) -> None:
    with pytest.raises(ValueError, match="CR or LF"):
        Reply(250, None, "first", line)


# -- taking one apart -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "enhanced", "lines"),
    [
        (Reply(250, None, "OK"), None, ("OK",)),
        (Reply(250, None), None, ("",)),
        (Reply(421, "4.3.2"), "4.3.2", ("",)),
        (Reply(421, "4.3.2", ""), "4.3.2", ("",)),
        (Reply(550, "5.7.1", "a", "", "c d"), "5.7.1", ("a", "", "c d")),
        # An enhanced status code in the text is one, since that is what the client reads.
        (Reply(250, None, "2.1.0 OK"), "2.1.0", ("OK",)),
        (Reply(250, None, "2.1.0 OK", "as you like it"), "2.1.0", ("OK", "as you like it")),
        (Reply(250, None, "OK", "4.2.0 is a version"), None, ("OK", "4.2.0 is a version")),
        (Reply(250, None, "None of it"), None, ("None of it",)),
        (Reply(250, None, "2.1.0beta"), None, ("2.1.0beta",)),
        (Reply(250, None, "2.1.0.9 OK"), None, ("2.1.0.9 OK",)),
    ],
)
def test_parts(reply: Reply, enhanced: str | None, lines: tuple[str, ...]) -> None:
    assert reply.code == int(str(reply)[:3])
    assert reply.enhanced == enhanced
    assert reply.lines == lines


TEXTS = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=20)


@given(
    code=st.integers(200, 599),
    numbers=st.none() | st.tuples(st.integers(0, 999), st.integers(0, 999)),
    lines=st.lists(TEXTS, min_size=1, max_size=4),
)
def test_what_went_in_comes_out(
    code: int, numbers: tuple[int, int] | None, lines: list[str]
) -> None:
    kind = code // 100 if code // 100 != 3 else 2
    enhanced = None if numbers is None else f"{kind}.{numbers[0]}.{numbers[1]}"
    reply = Reply(code, enhanced, *lines)
    assert reply.code == code
    if enhanced is not None:
        assert (reply.enhanced, reply.lines) == (enhanced, tuple(lines))
    octets = encode_reply(reply, "utf-8")
    wire = octets.decode().split("\r\n")
    assert wire.pop() == ""
    assert [line[:4] for line in wire] == [f"{code}-"] * (len(lines) - 1) + [f"{code} "]


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy]
    + [
        lambda reply, protocol=protocol: pickle.loads(pickle.dumps(reply, protocol))
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    ],
)
def test_copies_and_pickles(duplicate: Callable[[Reply], Reply]) -> None:
    for reply in (Reply(250, None, "OK"), Reply(550, "5.7.1", "a", "b")):
        twin = duplicate(reply)
        assert type(twin) is Reply
        assert twin == reply
        assert twin.lines == reply.lines


# -- on the wire ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "encoding", "octets"),
    [
        ("250 OK", "ascii", b"250 OK\r\n"),
        (b"250 OK", "ascii", b"250 OK\r\n"),
        (bytearray(b"250 OK"), "ascii", b"250 OK\r\n"),
        (Reply(250, None, "a", "b"), "ascii", b"250-a\r\n250 b\r\n"),
        ("", "ascii", b"\r\n"),
        ("250-a\r\n250 b", "ascii", b"250-a\r\n250 b\r\n"),
        ("250 caf\xe9", "ascii", b"250 caf\\xe9\r\n"),
        ("250 caf\xe9", "utf-8", "250 caf\xe9\r\n".encode()),
        # An octet that was no UTF-8, echoed from an argument (PEP 383).
        ("250 \udcff", "ascii", b"250 \\udcff\r\n"),
        ("250 \udcff", "utf-8", b"250 \\udcff\r\n"),
        (b"250 \xff", "ascii", b"250 \xff\r\n"),
    ],
)
def test_octets(status: str | bytes, encoding: str, octets: bytes) -> None:
    encoded = encode_reply(status, encoding)
    assert encoded == octets
    assert type(encoded) is bytes


def test_the_encoding_is_ascii_unless_told() -> None:
    assert encode_reply("250 \xe9") == b"250 \\xe9\r\n"


@pytest.mark.parametrize("status", [None, 250, ["250 OK"], memoryview(b"250 OK")])
def test_refuses_what_is_no_reply(status: str) -> None:
    with pytest.raises(TypeError, match=f"not {type(status).__name__}"):
        encode_reply(status)


# -- the catalogue --------------------------------------------------------------------------------


def test_texts_of_the_catalogue_are_those_of_1_4() -> None:
    assert {*PINNED, *NEW} <= set(CATALOGUE.values())


@pytest.mark.parametrize("reply", CATALOGUE.values(), ids=CATALOGUE)
def test_catalogue_fits_the_protocol(reply: Reply) -> None:
    octets = encode_reply(reply)
    assert len(octets) <= 512  # RFC 5321 section 4.5.3.1.5
    assert octets.isascii()
    assert len(reply.lines) == 1
    assert reply == Reply(reply.code, reply.enhanced, *reply.lines)


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (replies.command_unknown("FOO"), '500 Error: command "FOO" not recognized'),
        (replies.command_unknown(""), '500 Error: command "" not recognized'),
        (replies.send_greeting_first("HELO"), "503 Error: send HELO first"),
        (replies.send_greeting_first("EHLO"), "503 Error: send EHLO first"),
        (replies.octets_received(0), "250 OK, 0 octets received"),
        (replies.sent_too_many_times("NOOP"), "421 4.7.0 NOOP sent too many times"),
    ],
)
def test_replies_that_name_a_verb(reply: Reply, text: str) -> None:
    assert type(reply) is Reply
    assert reply == text
