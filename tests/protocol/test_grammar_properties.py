"""What holds of the grammar whatever is sent. Nothing here is made from the module's patterns."""

from __future__ import annotations

import ipaddress
import re
import string
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aiosmtpd.protocol.errors import MalformedAddress, MalformedParameters
from aiosmtpd.protocol.grammar import (
    decode_xtext,
    encode_xtext,
    is_address_literal,
    is_domain,
    parse_forward_path,
    parse_mailbox,
    parse_parameters,
    parse_reverse_path,
    split_mailbox,
)

LET_DIG = string.ascii_letters + string.digits
ATEXT = LET_DIG + "!#$%&'*+-/=?^_`{|}~"
PRINTABLE = "".join(map(chr, range(32, 127)))
DCONTENT = "".join(char for char in PRINTABLE if char not in " [\\]")

#: Characters of RFC 6531; the module's docstring says which it leaves out.
NON_ASCII = st.characters(min_codepoint=0xA0, exclude_categories=["Cs", "Zl", "Zp"])


def _some(alphabet: str, *, utf8: bool, max_size: int = 12) -> st.SearchStrategy[str]:
    chars: st.SearchStrategy[str] = st.sampled_from(alphabet)
    return st.text(chars | NON_ASCII if utf8 else chars, min_size=1, max_size=max_size)


def _domains(utf8: bool) -> st.SearchStrategy[str]:
    run = _some(LET_DIG, utf8=utf8, max_size=5)
    label = st.lists(run, min_size=1, max_size=3).map("-".join)
    return st.lists(label, min_size=1, max_size=4).map(".".join)


def _quoted_strings(utf8: bool) -> st.SearchStrategy[str]:
    qtext = _some(PRINTABLE.replace('"', "").replace("\\", ""), utf8=utf8)
    quoted_pair = st.sampled_from(PRINTABLE).map("\\{}".format)
    return st.lists(qtext | quoted_pair, max_size=6).map(lambda parts: '"' + "".join(parts) + '"')


def _local_parts(utf8: bool) -> st.SearchStrategy[str]:
    atoms = st.lists(_some(ATEXT, utf8=utf8), min_size=1, max_size=4)
    return atoms.map(".".join) | _quoted_strings(utf8)


IPV4_LITERALS = st.ip_addresses(v=4).map("[{}]".format)
IPV6_LITERALS = st.ip_addresses(v=6).flatmap(
    lambda address: st.sampled_from([f"[IPv6:{address}]", f"[IPv6:{address.exploded}]"])
)
GENERAL_LITERALS = st.builds(
    "[{}:{}]".format,
    _domains(False).map(lambda d: d.replace(".", "-")),
    _some(DCONTENT, utf8=False),
).filter(lambda text: not text.lower().startswith("[ipv6:"))
LITERALS = IPV4_LITERALS | IPV6_LITERALS | GENERAL_LITERALS

#: Local-part, domain or literal, possibly none.
PARTS = st.tuples(_local_parts(False), st.just("") | _domains(False) | LITERALS)
INTERNATIONAL_PARTS = st.tuples(_local_parts(True), st.just("") | _domains(True) | LITERALS)

ROUTES = st.lists(_domains(False).map("@{}".format), max_size=3).map(
    lambda domains: ",".join(domains) + ":" if domains else ""
)

KEYWORDS = st.builds(str.__add__, st.sampled_from(LET_DIG), st.text(LET_DIG + "-", max_size=10))
PARAMETERS = st.lists(
    st.tuples(KEYWORDS, st.none() | _some(PRINTABLE[1:].replace("=", ""), utf8=True)),
    unique_by=lambda item: item[0].upper(),
    max_size=5,
)

#: Texts near enough to paths that some are.
NEARLY = st.text(
    st.sampled_from('<>@"\\.,:;[]-_ab19 =\t\r\n\0\x7f\x85ü\u2028\udcfc') | st.characters(),
    max_size=40,
) | st.lists(
    st.sampled_from(["<", ">", "a", "@", "b", ".", '"', "\\", " ", "IPv6:", "::", "[", "]", "1"]),
    max_size=15,
).map("".join)
ANYTHING = st.text(st.characters(exclude_categories=[]), max_size=60) | NEARLY


def _join(parts: tuple[str, str]) -> str:
    return "@".join(filter(None, parts))


def _check_clean(mailbox: str, utf8: bool) -> None:
    """A mailbox may be printed, put between angle brackets, and sent on."""
    assert mailbox
    assert utf8 or mailbox.isascii()
    mailbox.encode()
    assert len(mailbox.splitlines()) == 1
    assert not any(unicodedata.category(char) in ("Cc", "Cs") for char in mailbox)
    # What is not quoted has neither spaces nor angle brackets; a literal may have the latter.
    local, domain = split_mailbox(mailbox)
    if not re.fullmatch(r'"(?:[^"\\]|\\.)*"', local):
        assert not set(local) & set(' <>"@')
    assert " " not in domain
    assert domain.startswith("[") or not set(domain) & set('<>"@')
    assert len(domain.encode()) <= 255


@given(PARTS, ROUTES, st.booleans())
def test_mailboxes_come_out_as_they_went_in(parts: tuple[str, str], route: str, utf8: bool) -> None:
    mailbox = _join(parts)
    assert parse_mailbox(mailbox, utf8=utf8) == mailbox
    assert split_mailbox(mailbox) == parts
    for path in (mailbox, f"<{route}{mailbox}>", f"  <{route}{mailbox}>"):
        for parse in (parse_reverse_path, parse_forward_path):
            assert parse(path, utf8=utf8) == (mailbox, "")
            assert parse(f"{path}  A=1 B ", utf8=utf8) == (mailbox, "A=1 B")


@given(INTERNATIONAL_PARTS)
def test_international_mailboxes_come_out_as_they_went_in(parts: tuple[str, str]) -> None:
    mailbox = _join(parts)
    assert parse_mailbox(mailbox, utf8=True) == mailbox
    assert parse_reverse_path(f"<{mailbox}> A", utf8=True) == (mailbox, "A")
    assert split_mailbox(mailbox) == parts
    if not mailbox.isascii():
        with pytest.raises(MalformedAddress):
            parse_mailbox(mailbox)


@given(PARTS, st.characters(categories=["Cc", "Cs"]), st.data())
def test_one_control_character_spoils_any_mailbox(
    parts: tuple[str, str], char: str, data: st.DataObject
) -> None:
    mailbox = _join(parts)
    # Behind the mailbox, a tab is white space; anywhere else it is a control character.
    place = data.draw(st.integers(0, len(mailbox) - (char == "\t")))
    spoilt = mailbox[:place] + char + mailbox[place:]
    for utf8 in (False, True):
        with pytest.raises(MalformedAddress):
            parse_mailbox(spoilt, utf8=utf8)
        with pytest.raises(MalformedAddress):
            parse_forward_path(f"<{spoilt}>", utf8=utf8)


@given(ANYTHING, st.booleans())
@example("<a@b> <", False)
@example("a@[x:<>]", False)
@example('<"a b"@c>', True)
def test_anything_is_a_clean_path_or_malformed(text: str, utf8: bool) -> None:
    for parse in (parse_reverse_path, parse_forward_path):
        try:
            mailbox, rest = parse(text, utf8=utf8)
        except MalformedAddress:
            continue
        assert text.rstrip("\t ").endswith(rest)
        if mailbox != "<>":
            _check_clean(mailbox, utf8)
            assert parse_mailbox(mailbox, utf8=utf8) == mailbox
            assert parse(f"<{mailbox}>", utf8=utf8) == (mailbox, "")


@given(ANYTHING, st.booleans())
def test_anything_is_a_clean_mailbox_or_malformed(text: str, utf8: bool) -> None:
    try:
        mailbox = parse_mailbox(text, utf8=utf8)
    except MalformedAddress:
        return
    assert text.rstrip("\t ") == mailbox
    _check_clean(mailbox, utf8)


@given(ANYTHING)
def test_what_is_ascii_is_also_international(text: str) -> None:
    parsers: list[Callable[[str, bool], object]] = [
        lambda text, utf8: parse_reverse_path(text, utf8=utf8),
        lambda text, utf8: parse_mailbox(text, utf8=utf8),
        lambda text, utf8: parse_parameters(text, utf8=utf8),
        lambda text, utf8: is_domain(text, utf8=utf8) or None,
    ]
    for parse in parsers:
        try:
            result = parse(text, False)
        except (MalformedAddress, MalformedParameters):
            continue
        assert result is None or parse(text, True) == result


@given(ANYTHING, st.booleans())
def test_a_domain_or_literal_is_what_a_mailbox_may_have(text: str, utf8: bool) -> None:
    is_either = is_domain(text, utf8=utf8) or is_address_literal(text)
    try:
        mailbox = parse_mailbox(f"a@{text}", utf8=utf8)
    except MalformedAddress:
        assert not is_either
    else:
        assert is_either == (mailbox == f"a@{text}")


IPV6_GROUPS = st.sampled_from(["", "", "0", "1", "12", "abc", "DEF0", "00001", "g"])
IPV4_ENDS = st.sampled_from(["1.2.3.4", "0.01.002.255", "1.2.3", "1.2.3.256", "1.2.3.0004"])


@st.composite
def _nearly_ipv6(draw: st.DrawFn) -> str:
    groups = draw(st.lists(IPV6_GROUPS, max_size=9) | st.lists(st.just("1"), max_size=9))
    if draw(st.booleans()):
        groups.insert(draw(st.integers(0, len(groups))), "")
    if draw(st.booleans()):
        groups.append(draw(IPV4_ENDS))
    return draw(st.sampled_from(["", ":"])) + ":".join(groups) + draw(st.sampled_from(["", ":"]))


@given(_nearly_ipv6() | st.text("019aF:.", max_size=20))
@example("1:2:3:4:5:6:7::")
@example("1:2:3:4:5:6::")
@example("1:2:3:4::1.2.3.4")
@example("1:2:3:4:5::1.2.3.4")
@example("::01.2.3.4")
def test_ipv6_is_what_ipaddress_says(text: str) -> None:
    # RFC 5321 allows leading zeros in an IPv4 address (Snum), the library does not.
    head, colon, tail = text.rpartition(":")
    if "." in tail:
        tail = re.sub(r"\b0(\d{1,2})\b", r"\1", re.sub(r"\b0(\d{1,2})\b", r"\1", tail))
    try:
        ipaddress.IPv6Address(head + colon + tail)
    except ipaddress.AddressValueError:
        assert not is_address_literal(f"[IPv6:{text}]")
    else:
        # RFC 5321: "::" stands for two groups at least; to the library, one will do. An IPv4
        # address takes the place of two.
        groups = len(list(filter(None, text.split(":")))) + ("." in text)
        assert is_address_literal(f"[IPv6:{text}]") == ("::" not in text or groups <= 6)


@given(PARAMETERS, st.data())
def test_parameters_come_out_as_they_went_in(
    items: list[tuple[str, str | None]], data: st.DataObject
) -> None:
    words = [keyword if value is None else f"{keyword}={value}" for keyword, value in items]
    spaces = st.integers(1, 3).map(" ".__mul__)
    text = "".join(data.draw(spaces) + word for word in words)
    expected = {keyword.upper(): value for keyword, value in items}
    assert parse_parameters(text, utf8=True) == expected
    if text.isascii():
        assert parse_parameters(text) == expected
    else:
        with pytest.raises(MalformedParameters):
            parse_parameters(text)
    if words:
        again = data.draw(st.sampled_from(items))[0].swapcase()
        with pytest.raises(MalformedParameters):
            parse_parameters(f"{text} {again}", utf8=True)


@given(ANYTHING, st.booleans())
def test_anything_is_clean_parameters_or_malformed(text: str, utf8: bool) -> None:
    try:
        parameters = parse_parameters(text, utf8=utf8)
    except MalformedParameters:
        return
    for keyword, value in parameters.items():
        assert re.fullmatch("[A-Z0-9][A-Z0-9-]*", keyword)
        assert value is None or re.fullmatch(r"[^\x00-\x20=\x7f-\x9f\ud800-\udfff]+", value)
        assert utf8 or value is None or value.isascii()


@given(st.text())
def test_xtext_decodes_to_what_was_encoded(text: str) -> None:
    xtext = encode_xtext(text)
    assert re.fullmatch(r"[!-~]*", xtext)
    assert decode_xtext(xtext) == text
    # It may stand in a parameter.
    assert parse_parameters(f"A={xtext}" if xtext else "A") == {"A": xtext or None}


@given(ANYTHING | st.text("+09AFaf=\u00fc", max_size=12))
def test_anything_is_xtext_or_malformed(text: str) -> None:
    try:
        decoded = decode_xtext(text)
    except MalformedParameters:
        return
    assert decode_xtext(encode_xtext(decoded)) == decoded
