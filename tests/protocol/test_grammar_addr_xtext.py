"""utf-8-addr-xtext and utf-8-addr-unitext (RFC 6533 section 3)."""

from __future__ import annotations

import pytest

from aiosmtpd.protocol import MalformedParameters
from aiosmtpd.protocol.grammar import decode_addr_xtext

XTEXT = [
    ("anne@example.com", "anne@example.com"),
    ("anne", "anne"),
    (r"\x{E9}@example.com", "é@example.com"),
    (r"\x{e9}@example.com", "é@example.com"),
    (r"\x{7FF}@b", "\u07ff@b"),
    (r"\x{7528}\x{6237}@\x{4F8B}\x{5B50}.\x{5E7F}\x{544A}", "用户@例子.广告"),
    (r"\x{D7FF}@b", "\ud7ff@b"),
    (r"\x{d7Ff}@b", "\ud7ff@b"),
    (r"\x{E000}@b", "\ue000@b"),
    (r"\x{1F600}@b", "\U0001f600@b"),
    (r"\x{10FFFF}@b", "\U0010ffff@b"),
    (r"a\x{2B}b@c", "a+b@c"),
    (r"a\x{3D}b@c", "a=b@c"),
    (r'"a\x{20}b"@c', '"a b"@c'),
    (r'"a\x{5C}"b"@c', r'"a\"b"@c'),
]
NEITHER = [
    "",
    "a+40b@c",  # the hexchar of xtext is none here
    "a=b@c",
    "a b@c",
    "a@b\r",
    "a\x7f@b",
    r"a\b@c",
    r"\x@b",
    r"\x{}@b",
    r"\x{E9@b",
    r"\X{E9}@b",
    r"\x{ E9}@b",
    r"\x{G0}@b",
    r"\x{9}@b",
    r"\x{61}@b",  # a letter that has to stand as it is
    r"\x{00}@b",
    r"\x{0A}@b",
    r"\x{1F}@b",
    r"\x{0E9}@b",
    r"\x{00E9}@b",
    r"\x{D800}@b",
    r"\x{DFFF}@b",
    r"\x{0D7FF}@b",
    r"\x{110000}@b",
    r"\x{01F600}@b",
    r"\x{10FFFFF}@b",
    # The form is right, but not what it stands for.
    r"\x{09}@b",
    r"\x{7F}@b",
    r"a\x{20}b@c",
    r"a@b\x{20}",
    r"\x{80}@b",
    r"\x{2028}@b",
    r"a\x{5C}@b",
    "a..b@c",
    "@b",
    f"a@{'b.' * 200}b",
]


@pytest.mark.parametrize(("text", "mailbox"), XTEXT)
def test_addr_xtext(text: str, mailbox: str) -> None:
    assert decode_addr_xtext(text) == mailbox
    assert decode_addr_xtext(text, utf8=True) == mailbox


def test_addr_unitext() -> None:
    text = r"用户\x{2B}é@例子.广告"
    assert decode_addr_xtext(text, utf8=True) == "用户+é@例子.广告"
    with pytest.raises(MalformedParameters):
        decode_addr_xtext(text)


@pytest.mark.parametrize("utf8", [False, True])
@pytest.mark.parametrize("text", NEITHER)
def test_neither(text: str, utf8: bool) -> None:
    with pytest.raises(MalformedParameters):
        decode_addr_xtext(text, utf8=utf8)


def test_octets_that_are_no_utf8() -> None:
    with pytest.raises(MalformedParameters):
        decode_addr_xtext("\udcfc@b", utf8=True)


def test_every_hexpoint() -> None:
    """What may be embedded is all that is not ASCII, and of ASCII what cannot stand as it is."""
    for code in range(0x80):
        text = rf'"\x{{{code:02X}}}"@b'
        try:
            decoded = decode_addr_xtext(text)
        except MalformedParameters:
            # A control, a quote, or a character that has to stand as it is.
            assert code not in (0x20, 0x2B, 0x3D)
        else:
            assert decoded == f'"{chr(code)}"@b'
            assert code in (0x20, 0x2B, 0x3D)
    for code in (0xA0, 0xFF, 0x100, 0xFFF, 0x1000, 0xFFFD, 0x10000, 0xFFFFF, 0x100000):
        assert decode_addr_xtext(rf"\x{{{code:X}}}@b") == f"{chr(code)}@b"


def test_it_is_read_in_one_pass() -> None:
    with pytest.raises(MalformedParameters):
        decode_addr_xtext("a" * 100_000 + "\\")
    with pytest.raises(MalformedParameters):
        decode_addr_xtext(r"\x{E9}" * 20_000 + "=", utf8=True)
