"""The octets of a message: finding, removing and adding header fields without parsing."""

from __future__ import annotations

import email
import email.errors
import email.policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiosmtpd.handlers.octets import (
    ahead_of,
    content_octets,
    crlf_lines,
    field_lines,
    header_end,
    without_fields,
)
from aiosmtpd.session import Envelope

# Texts full of line ends, white space, and fields that look like ours.
BROKEN_TEXT = st.lists(
    st.sampled_from(
        [b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b"a", b".", b"\xff", b"X-Peer: q", b"x-pEER :"]
    ),
    max_size=24,
).map(b"".join)


@pytest.mark.parametrize(
    ("octets", "end"),
    [
        (b"", 0),
        (b"A: b", 4),
        (b"A: b\r\n", 6),
        (b"\r\nbody", 0),
        (b"\nbody", 0),
        (b"\rbody", 0),
        (b"A: b\r\n\r\nbody\r\n\r\n", 6),
        (b"A: b\n\nbody\r\n\r\n", 5),
        (b"A: b\r\rbody\n\n", 5),
        (b"A: b\n\r\nbody", 5),
        (b"A: b\r\n\nbody", 6),
        (b"A: b\r\n\rbody\n\n", 6),
        (b"A: b\r\r\nbody", 5),
        (b"A: b\r\n \r\n\r\nbody", 9),
    ],
)
def test_the_header_section_ends_at_the_first_empty_line(octets: bytes, end: int) -> None:
    assert header_end(octets) == end


@given(BROKEN_TEXT)
def test_the_header_section_ends_where_the_first_empty_line_is(octets: bytes) -> None:
    expected = 0
    for line in octets.splitlines(keepends=True):
        if not line.rstrip(b"\r\n"):
            break
        expected += len(line)
    assert header_end(octets) == expected


@pytest.mark.parametrize(
    ("header", "left"),
    [
        (b"X-Peer: a\r\n", b""),
        (b"A: b\r\nx-PEER: a\r\nC: d\r\n", b"A: b\r\nC: d\r\n"),
        (b"X-Peer: a\r\n b\r\n\tc\r\nC: d\r\n e\r\n", b"C: d\r\n e\r\n"),
        (b"X-Peer: a\nX-Peer: a\rX-Peer: a\r\nC: d", b"C: d"),
        (b"X-Peer: a\n b\r\tc\rC: d\r\n", b"C: d\r\n"),
        (b"X-Peer \t: a\r\nX-Peer:a\r\nX-Peer:\r\nC: d\r\n", b"C: d\r\n"),
        (b"A: X-Peer: a\r\nX-Peers: b\r\nXX-Peer: b\r\n X-Peer: c\r\nX-Peer\r\n", None),
        (b"A: b\r\nX-Peer: no line end", b"A: b\r\n"),
    ],
)
def test_fields_are_removed_whole(header: bytes, left: bytes | None) -> None:
    assert without_fields(header, ["X-Peer"]) == (header if left is None else left)


def test_several_names_are_removed_at_once() -> None:
    header = b"X-Peer: a\r\nX-RcptTo: b\r\nA: b\r\nX-MailFrom: c\r\n"
    assert without_fields(header, ["X-Peer", "X-MailFrom", "X-RcptTo"]) == b"A: b\r\n"


@given(BROKEN_TEXT)
def test_no_removed_field_is_left_for_a_parser(octets: bytes) -> None:
    end = header_end(octets)
    left = without_fields(octets[:end], ["X-Peer"]) + octets[end:]
    assert email.message_from_bytes(left).get("X-Peer") is None
    assert left.endswith(octets[end:])


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"a\r\nb\r\n", b"a\r\nb\r\n"),
        (b"a\rb\nc\r\n", b"a\r\nb\r\nc\r\n"),
        (b"\n\r", b"\r\n\r\n"),
        (b"\r\r\n\n", b"\r\n\r\n\r\n"),
        (b"\r\n.\n", b"\r\n.\r\n"),
        (b"", b""),
    ],
)
def test_every_line_end_becomes_crlf(octets: bytes, expected: bytes) -> None:
    assert crlf_lines(octets) == expected


@given(BROKEN_TEXT)
def test_no_bare_line_end_is_left(octets: bytes) -> None:
    clean = crlf_lines(octets)
    assert clean.count(b"\r") == clean.count(b"\n") == clean.count(b"\r\n")
    assert clean.splitlines() == octets.splitlines()


def test_fields_are_written_with_crlf_and_in_ascii() -> None:
    lines = field_lines({"X-Peer": "('::1', 25)", "X-MailFrom": "é@example.com"})
    assert lines.isascii()
    assert lines.count(b"\r\n") == lines.count(b"\n") == 2
    message = email.message_from_bytes(lines, policy=email.policy.default)
    assert message["X-Peer"] == "('::1', 25)"
    assert message["X-MailFrom"] == "é@example.com"


def test_a_value_cannot_begin_another_field() -> None:
    with pytest.raises(email.errors.HeaderParseError):
        field_lines({"X-Peer": "a\r\nBcc: b"})


@pytest.mark.parametrize("octets", [b" a\r\n", b"\ta\r\n\r\nb"])
def test_a_message_that_begins_with_white_space_does_not_continue_our_field(octets: bytes) -> None:
    message = email.message_from_bytes(ahead_of(octets, b"X-Peer: us\r\n") + octets)
    assert message["X-Peer"] == "us"
    assert message.get_payload() == octets.decode()


@pytest.mark.parametrize("octets", [b"", b"A: b\r\n", b"\r\nbody", b"body"])
def test_nothing_else_needs_to_stand_ahead_of_a_message(octets: bytes) -> None:
    assert ahead_of(octets, b"X-Peer: us\r\n") == b"X-Peer: us\r\n"


@given(st.binary(max_size=64))
def test_decoded_content_gives_the_octets_that_were_sent(octets: bytes) -> None:
    envelope = Envelope()
    envelope.content = octets.decode("utf-8", "surrogateescape")
    assert content_octets(envelope) == octets
    envelope.content = octets
    assert content_octets(envelope) == octets


def test_content_is_text_or_octets() -> None:
    with pytest.raises(TypeError, match=r"^Expected str or bytes, got <class 'NoneType'>$"):
        content_octets(Envelope())
