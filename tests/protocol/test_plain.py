"""Plain commands: what the expression finds is what the reader and the grammar find step by step."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aiosmtpd.protocol import Command, Connection
from aiosmtpd.protocol.grammar import parse_reverse_path
from aiosmtpd.protocol.plain import PLAIN_LIMIT, as_event, plain_command

Parts = tuple[bytes, bytes | None, bytes | None]

PLAIN: dict[bytes, Parts] = {
    b"DATA\r\n": (b"DATA", None, None),
    b"quit\r\n": (b"quit", None, None),
    b"EHLO [IPv6:::1]\r\n": (b"EHLO", None, b"[IPv6:::1]"),
    b"NOOP a  b\r\n": (b"NOOP", None, b"a  b"),
    b"MAIL FROM:<>\r\n": (b"MAIL FROM", b"", None),
    b"MAIL FROM:<a.b+c@d-e.example>\r\n": (b"MAIL FROM", b"a.b+c@d-e.example", None),
    b"mail FROM:<a@b> size=3 body=8BITMIME\r\n": (b"mail FROM", b"a@b", b"size=3 body=8BITMIME"),
    b"Rcpt To:<a@b> NOTIFY=NEVER\r\n": (b"Rcpt To", b"a@b", b"NOTIFY=NEVER"),
    b"MAIL FROM SIZE=3\r\n": (b"MAIL", None, b"FROM SIZE=3"),
    b"NOOPS x:y\r\n": (b"NOOPS", None, b"x:y"),
    b"XXXX FROM:<a@b>\r\n": (b"XXXX FROM", b"a@b", None),
    b"DATA\r\nNOOP\r\n": (b"DATA", None, None),
}
NOT_PLAIN = [
    b"",
    b"\r\n",
    b"DATA",
    b"DATA\n",
    b"DATA\r",
    b"DATA \r\n",
    b" DATA\r\n",
    b"X-1\r\n",
    b"NOOP\tx\r\n",
    b"NOOP \x7f\r\n",
    b"NOOP \xc3\xa4\r\n",
    b"NOOP x\x00\r\n",
    b"MAIL FROM:<\xc3\xa4@b>\r\n",
    b"MAIL FROM:<a@b> \r\n",
]
# Paths that only the grammar knows, or nobody.
OTHER_PATHS = [
    b"MAIL FROM: <a@b>\r\n",
    b"MAIL FROM:a@b\r\n",
    b"MAIL FROM:<a>\r\n",
    b"MAIL FROM:<a@b\r\n",
    b"MAIL FROM:<a@b>SIZE=3\r\n",
    b'MAIL FROM:<"a b"@c>\r\n',
    b"MAIL FROM:<a@[192.0.2.1]>\r\n",
    b"MAIL FROM:<@x:a@b>\r\n",
    b"MAIL FROM:<a..b@c>\r\n",
    b"MAIL FROM:<a@b->\r\n",
]


def match(octets: bytes) -> re.Match[bytes] | None:
    return plain_command().match(octets, 0, PLAIN_LIMIT)


@pytest.mark.parametrize("octets", PLAIN)
def test_plain(octets: bytes) -> None:
    found = match(octets)
    assert found is not None
    assert found.groups() == PLAIN[octets]
    assert found.end() == octets.index(b"\n") + 1


@pytest.mark.parametrize("octets", NOT_PLAIN)
def test_not_plain(octets: bytes) -> None:
    assert match(octets) is None


@pytest.mark.parametrize("octets", OTHER_PATHS)
def test_another_path_is_an_argument(octets: bytes) -> None:
    found = match(octets)
    assert found is not None
    assert found.groups() == (b"MAIL", None, octets[5:-2])


def test_no_plain_command_is_long() -> None:
    longest = b"NOOP " + b"x" * (PLAIN_LIMIT - 7) + b"\r\n"
    assert match(longest) is not None
    assert match(b"y".join(longest.split(b"x", 1))) is not None
    assert match(longest.replace(b"P ", b"P x")) is None


# Text with what matters in commands more often than by chance.
TEXTS = st.lists(
    st.sampled_from(
        ["MAIL FROM:", "rcpt to:", "<a@b.example>", "<>", "SIZE=1", " ", "..", "@", "-"]
    )
    | st.text(st.characters(max_codepoint=0x7F), max_size=4),
    max_size=6,
).map("".join)
COMMANDS = st.one_of(
    st.builds("{} {}".format, st.sampled_from(["NOOP", "ehlo", "DATA", "Quit", "XY"]), TEXTS),
    st.builds("MAIL FROM:<{}@b.example>{}".format, TEXTS, TEXTS),
    st.builds("RCPT TO:<a@{}>{}".format, TEXTS, TEXTS),
    st.builds("mail from:{}".format, TEXTS),
)


@given(text=COMMANDS, end=st.sampled_from(["\r\n", "\r\n", "\n", ""]), utf8=st.booleans())
@example(text="MAIL FROM:<a@b>  SIZE=1", end="\r\n", utf8=False)
@example(text="NOOP x\r", end="\r\n", utf8=True)
def test_what_is_plain_is_the_same_step_by_step(text: str, end: str, utf8: bool) -> None:
    octets = (text + end).encode("ascii")
    found = match(octets)
    if found is None:
        return
    verb, path, rest = (None if part is None else part.decode("ascii") for part in found.groups())
    connection = Connection(utf8=utf8)
    connection.receive_data(octets)
    command = connection.next_event()
    assert isinstance(command, Command)
    assert as_event(found) == command
    size = found.end() - 2
    assert verb is not None
    if path is None:
        keyword, _, argument = text[:size].partition(" ")
        assert command == (keyword.upper(), argument.strip() or None, size)
        assert text[:size] == " ".join(part for part in (verb, rest) if part is not None)
        return
    keyword, _, preposition = verb.partition(" ")
    assert command[0] == keyword.upper()
    assert command[2] == size
    head, _, argument = (command.argument or "").partition(":")
    assert head == preposition
    assert parse_reverse_path(argument, utf8=utf8) == (path or "<>", rest or "")


@given(octets=st.binary(max_size=300))
def test_what_is_plain_has_an_end_within_the_limit(octets: bytes) -> None:
    found = match(octets)
    assert found is None or octets[: found.end()].count(b"\n") == 1
