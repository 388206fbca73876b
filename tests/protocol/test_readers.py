"""The readers, by way of the engine: command lines, bodies, AUTH responses, PROXY headers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aiosmtpd.protocol import (
    Body,
    BodyChunk,
    BodyEnd,
    BodyLineTooLong,
    BodyTooLarge,
    Command,
)

Read = Callable[..., list[tuple[Any, ...]]]

DATA = (Command, "DATA", None, 4)


# -- the limit of a line in a body ----------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "before", [b"", b"short\r\n", b"a\nb\r\n", b"\r\n" * 3, b"x" * 18 + b"\r\n"]
)
@pytest.mark.parametrize("stuffing", [b"", b"."])
@pytest.mark.parametrize("after", [b"", b"short\r\n"])
def test_longest_line_of_a_body(
    read: Read, stream: bool, before: bytes, stuffing: bytes, after: bytes
) -> None:
    for length, allowed in ((19, True), (20, True), (21, False), (45, False)):
        line = stuffing.ljust(length - 2, b"x") + b"\r\n"
        # The dot that transparency added is no part of the line (RFC 5321 section 4.5.3.1.6).
        octets = b"DATA\r\n" + before + stuffing + line + after + b".\r\n"
        told = read(octets, line_limit=20, stream=stream)
        if not allowed:
            assert told == [DATA, (BodyLineTooLong,)] + [(BodyEnd,)] * stream
        elif stream:
            assert told == [DATA, (BodyChunk, before + line + after), (BodyEnd,)]
        else:
            assert told == [DATA, (Body, before + line + after)]


def test_a_line_that_comes_in_pieces_has_a_limit(read: Read) -> None:
    assert read(b"DATA\r\n" + b"x" * 3000 + b"\r\n.\r\n") == [DATA, (BodyLineTooLong,)]


@pytest.mark.parametrize("stream", [False, True])
def test_the_fault_of_the_first_octet_wins(read: Read, stream: bool) -> None:
    """A line too long from its octet 10 on, a body too large from octet 8 to 12 on."""
    for size_limit, fault in (
        (8, BodyTooLarge),
        (9, BodyTooLarge),
        (10, BodyLineTooLong),
        (11, BodyLineTooLong),
    ):
        octets = b"DATA\r\n" + b"x" * 40 + b"\r\n.\r\n"
        told = read(octets, size_limit=size_limit, line_limit=10, stream=stream)
        assert told == [DATA, (fault,)] + [(BodyEnd,)] * stream
