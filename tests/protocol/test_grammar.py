"""What the grammar accepts, and as what, and what it rejects: case by case."""

from __future__ import annotations

import re

import pytest

from aiosmtpd.protocol import grammar
from aiosmtpd.protocol.errors import MalformedAddress, MalformedParameters
from aiosmtpd.protocol.grammar import (
    decode_xtext,
    encode_xtext,
    is_address_literal,
    is_domain,
    local_part,
    parse_forward_path,
    parse_mailbox,
    parse_parameters,
    parse_reverse_path,
    split_mailbox,
)

D63 = "d" * 63
#: 255 octets, the longest domain (RFC 5321 section 4.5.3.1.2).
LONGEST_DOMAIN = f"{D63}.{D63}.{D63}.{D63}"
#: As an IPv6 address, eight groups.
EIGHT = "1:2:3:4:5:6:7:8"

# Mailboxes that come out as they went in, bare and as a path. Of RFC 5321 unless said otherwise.
MAILBOXES = [
    # Examples of RFC 5321: sections 4.1.1.3, 4.1.2, 4.1.3 and appendix D.
    "userc@d.bar.org",
    "Smith@bar.com",
    r'"Joe\,Smith"@example.com',
    "user@[123.255.37.2]",
    # Dot-string: every atext, dots inside.
    "a@b",
    "a.b.c@d",
    "!#$%&'*+-/=?^_`{|}~09azAZ@example.com",
    "user+tag=x@example.com",
    "-@example.com",
    # RFC 3696 section 3: "any characters may appear", quoted or not.
    "customer/department=shipping@example.com",
    "$A12345@example.com",
    "!def!xyz%abc@example.com",
    '"Abc@def"@example.com',
    '"Fred Bloggs"@example.com',
    # Quoted-string: qtextSMTP from SP to ~, quoted-pairSMTP of any printable, nothing at all.
    '""@c',
    '" "@c',
    '"a b"@c',
    '"<>"@c',
    '"a@b"@c',
    r'"\""@c',
    r'"\\"@c',
    r'"\\\""@c',
    r'"\a\ \~"@c',
    '"!#[]~"@c',
    '"a..b."@c',
    '"a:b,c;d"@c',
    # Domain: letters, digits, hyphens inside labels, labels of digits, A-labels.
    "a@0",
    "a@1.2.3.4",
    "a@x--y.example",
    "a@xn--bcher-kva.example",
    "a@ExAmPlE.CoM",
    f"a@{LONGEST_DOMAIN}",
    # The local-part has a limit, but not here (section 4.5.3.1.1).
    f"{'l' * 300}@example.com",
    # Lenience: underscores.
    "a@my_host.example.com",
    "a@_gateway",
    "a@host_",
    # Lenience: no domain.
    "user",
    "first.last",
    '"a b"',
    '"a@b"',
    "Postmaster",
    "POSTMASTER",
    "postmaster",
    # Address literals; more of them below.
    "a@[1.2.3.4]",
    "a@[IPv6:::1]",
    "a@[IPv6:2001:db8::ff00:42:8329]",
    "a@[IPv6:::ffff:192.0.2.1]",
    'a@[x:"@<>,;:]',
    '"a"@[x:"@b]',
]

# The same with RFC 6531; not without.
INTERNATIONAL = [
    "用户@例え.jp",
    "δοκιμή@παράδειγμα.δοκιμή",
    "user@bücher.example",
    "jürgen.müller@example",
    "ü",
    '"ü ü"@example',
    "a@ü-ü.ü",
    "\U0001f4e7@example",
    "\u00a0@example",  # the first after the C1 controls
    "\u2027\u202a@example",  # the neighbours of the separators
    "\ud7ff\ue000@example",  # the neighbours of the surrogates
    "\U0010ffff@example",
]

NO_MAILBOXES = [
    "",
    "@",
    "a@",
    "@b",
    "a@b@c",
    # Dot-string
    ".a@b",
    "a.@b",
    "a..b@c",
    "a b@c",
    "a,b@c",
    "a:b@c",
    "a;b@c",
    "a[b@c",
    # Quoted-string
    '"@b',
    '"a@b',
    'a"@b',
    '"a"b"@c',
    '"a\\"@c',
    '"a\tb"@c',
    '"\\\t"@c',
    # Domain
    "a@b.",
    "a@.b",
    "a@b..c",
    "a@-b",
    "a@b-",
    "a@b.-c",
    "a@b-.c",
    "a@b c",
    "a@b,c",
    "a@b!c",
    "a@b+c",
    "a@[b",
    "a@b]",
    "a@[]",
    "a@[b]",
    "a@[1.2.3.4",
    "a@[1.2.3.4]c",
    "a@[1.2.3.4].c",
    "a@[IPv6:ü::1]",
    f"a@d{LONGEST_DOMAIN}",
    f"{'l' * 64}@d{LONGEST_DOMAIN}",
    f'"@"@d{LONGEST_DOMAIN}',
    f"a@[x:{'y' * 252}]",
    # Space, angle brackets, control characters
    "a@b c@d",
    "a<@b",
    "a>@b",
    "a@b>",
    "a@b<",
    "a\0@b",
    "a@b\0",
    "a\r@b",
    "a@b\r",
    "a@b\n",
    "a@b\r\n",
    "a\n@b",
    '"\r\n"@b',
    '"\0"@b',
    '"\\\n"@b',
    "a\x7f@b",
    '"\x7f"@b',
    "a@b\x7f",
    "a\t@b",
    "a@\tb",
    "a@b\v",
    "a@b\f",
    "a@b\x1c",
]

# Not even with RFC 6531.
NOT_EVEN_INTERNATIONAL = [
    "\x80@b",
    "a\x85@b",
    "\x9f@b",
    '"\x85"@b',
    "a@b\x85",
    "a@b\x85c",
    "\u2028@b",
    "a@\u2029b",
    "\udc80@b",
    "a@\udcff",
    '"\udce4"@b',
    "\ud800@b",
    "\udfff@b",
    # RFC 6531 leaves quoted-pairSMTP and address literals as they are.
    '"\\ü"@b',
    "a@[x:ü]",
    "a@[ü:x]",
    "ü@",
    "ü..ü@b",
    "a@ü.",
    "a@-ü",
    # 86 characters a label, but 258 octets
    f"a@{'例' * 86}",
]

ADDRESS_LITERALS = [
    "[1.2.3.4]",
    "[0.0.0.0]",
    "[255.255.255.255]",
    "[249.250.199.200]",
    "[001.02.0.099]",  # Snum is 1*3DIGIT: leading zeros are decimal
    # IPv6-full
    f"[IPv6:{EIGHT}]",
    "[IPv6:2001:0DB8:0000:0000:0000:ff00:0042:8329]",
    f"[ipv6:{EIGHT}]",
    f"[IPV6:{EIGHT}]",
    # IPv6-comp: up to six groups, on either side
    "[IPv6:::]",
    "[IPv6:1::]",
    "[IPv6:::1]",
    "[IPv6:1::2]",
    "[IPv6:1:2:3:4:5:6::]",
    "[IPv6:::1:2:3:4:5:6]",
    "[IPv6:1:2:3::4:5:6]",
    "[IPv6:1::2:3:4:5:6]",
    "[IPv6:1:2:3:4:5::6]",
    # IPv6v4-full
    "[IPv6:1:2:3:4:5:6:1.2.3.4]",
    # IPv6v4-comp: up to four groups
    "[IPv6:::1.2.3.4]",
    "[IPv6:1::1.2.3.4]",
    "[IPv6:::1:1.2.3.4]",
    "[IPv6:1:2:3:4::1.2.3.4]",
    "[IPv6:::1:2:3:4:1.2.3.4]",
    "[IPv6:1:2::3:4:255.255.255.255]",
    # General-address-literal
    "[x:y]",
    "[x-1:!\"#$%&'()*+,-./:;<=>?@Z^_`{|}~]",
    "[-x:y]",  # Standardized-tag is Ldh-str, which may begin with a hyphen
    "[IPv66:y]",
    "[IPv4:1.2.3.4]",
    f"[{EIGHT}]",  # by its form, a literal with the tag "1"
    f"[x:{'y' * 251}]",
]

NO_ADDRESS_LITERALS = [
    "",
    "[]",
    "1.2.3.4",
    "[1.2.3.4",
    "1.2.3.4]",
    "[1.2.3.4] ",
    " [1.2.3.4]",
    "[1.2.3.4]\n",
    "[ 1.2.3.4]",
    "[1.2.3]",
    "[1.2.3.4.5]",
    "[1.2.3.]",
    "[1.2.3.256]",
    "[1.2.3.300]",
    "[1.2.3.999]",
    "[1.2.3.0004]",
    "[1.2.3.-4]",
    "[1.2.3.٤]",
    "[example.com]",
    # Without a tag it is no IPv6 address.
    "[::1]",
    "[IPv6:]",
    "[IPv6:1]",
    "[IPv6::]",
    "[IPv6:::::]",
    "[IPv6:1:2:3:4:5:6:7]",
    f"[IPv6:{EIGHT}:9]",
    f"[IPv6:{EIGHT}:]",
    "[IPv6:1:2:3:4:5:6:7:]",
    "[IPv6::2:3:4:5:6:7:8]",
    # "::" stands for at least two groups, and once only.
    "[IPv6:1:2:3:4:5:6:7::]",
    "[IPv6:::1:2:3:4:5:6:7]",
    "[IPv6:1:2:3::4:5:6:7]",
    "[IPv6:1::2::3]",
    "[IPv6:1:::2]",
    "[IPv6:::12345]",
    "[IPv6:12345::]",
    "[IPv6:::g]",
    "[IPv6:::1%eth0]",
    "[IPv6:::1/64]",
    "[IPv6:1.2.3.4]",
    "[IPv6:1:2:3:4:5:1.2.3.4]",
    "[IPv6:1:2:3:4:5:6:7:1.2.3.4]",
    "[IPv6:1:2:3:4:5::1.2.3.4]",
    "[IPv6:::1:2:3:4:5:1.2.3.4]",
    "[IPv6:1:2:3::4:5:1.2.3.4]",
    "[IPv6:::1.2.3.4:1]",
    "[IPv6:::1.2.3.256]",
    "[IPv6:::1.2.3]",
    "[IPv6 ::1]",
    # The tag IPv6 is not one for a General-address-literal, in no case, and no other i will do.
    "[IPv6:x]",
    "[ipv6:x]",
    "[\u0131Pv6:::1]",
    "[\u0130Pv6:::1]",
    # General-address-literal
    "[:y]",
    "[x:]",
    "[x-:y]",
    "[x_1:y]",
    "[x:[]",
    "[x:]]",
    "[x:\\]",
    "[x:y z]",
    "[x:y\t]",
    "[x:ü]",
    f"[x:{'y' * 252}]",
]

DOMAINS = [
    "a",
    "0",
    "localhost",
    "example.com",
    "a-b.c--d.e",
    "a_b",
    "_a",
    "1.2.3.4",
    LONGEST_DOMAIN,
]
NO_DOMAINS = [
    "",
    ".",
    "-",
    "a.",
    ".a",
    "a..b",
    "-a",
    "a-",
    "a-.b",
    "a.-b",
    "a.--b",
    "a--.b",
    "a b",
    "a\n",
    "a ",
    "a:b",
    "a@b",
    "<a>",
    "[1.2.3.4]",
    "a\0",
    f"d{LONGEST_DOMAIN}",
]


@pytest.mark.parametrize("utf8", [False, True])
@pytest.mark.parametrize("mailbox", MAILBOXES)
def test_mailboxes(mailbox: str, utf8: bool) -> None:
    assert parse_mailbox(mailbox, utf8=utf8) == mailbox
    for form in (mailbox, f"<{mailbox}>", f"<@r.example:{mailbox}>"):
        assert parse_reverse_path(form, utf8=utf8) == (mailbox, "")
        assert parse_forward_path(f"{form} A=1 B", utf8=utf8) == (mailbox, "A=1 B")


@pytest.mark.parametrize("mailbox", INTERNATIONAL)
def test_international_mailboxes(mailbox: str) -> None:
    assert parse_mailbox(mailbox, utf8=True) == mailbox
    assert parse_forward_path(mailbox, utf8=True) == (mailbox, "")
    assert parse_reverse_path(f"<@bücher,@b:{mailbox}> A", utf8=True) == (mailbox, "A")
    with pytest.raises(MalformedAddress):
        parse_mailbox(mailbox)
    with pytest.raises(MalformedAddress):
        parse_reverse_path(f"<{mailbox}>")


@pytest.mark.parametrize("text", NO_MAILBOXES + NOT_EVEN_INTERNATIONAL)
def test_no_mailboxes(text: str) -> None:
    for utf8 in (False, True):
        with pytest.raises(MalformedAddress):
            parse_mailbox(text, utf8=utf8)
        for bracketed in (f"<{text}> A", f"<@r:{text}>"):
            # Between brackets there may be nothing; behind a source route there may not.
            if bracketed != "<> A":
                with pytest.raises(MalformedAddress):
                    parse_reverse_path(bracketed, utf8=utf8)
            with pytest.raises(MalformedAddress):
                parse_forward_path(bracketed, utf8=utf8)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # RFC 5321 sections 3.3, 4.1.1.2 and 4.1.1.3, and RFC 1870 section 6.
        ("<JQP@bar.com>", ("JQP@bar.com", "")),
        ("<@hosta.int,@jkl.org:userc@d.bar.org>", ("userc@d.bar.org", "")),
        ("<ned@thor.innosoft.com> SIZE=500000", ("ned@thor.innosoft.com", "SIZE=500000")),
        ("<@a,@b:c@d>", ("c@d", "")),
        ("<@a-b.c:c@d> X", ("c@d", "X")),
        ("<@a:b>", ("b", "")),
        # The rest is cut loose, not looked at.
        ("<a@b>   A=1   B=2", ("a@b", "A=1   B=2")),
        ("<a@b> <c@d>", ("a@b", "<c@d>")),
        ("<a@b> \r\n", ("a@b", "\r\n")),
        ("<a@b> ü", ("a@b", "ü")),
        # White space before and behind.
        ("   <a@b>", ("a@b", "")),
        ("<a@b>   ", ("a@b", "")),
        ("<a@b>\t", ("a@b", "")),
        ("<a@b> \t ", ("a@b", "")),
        ("<a@b>\t ", ("a@b", "")),
        ("<a@b> A \t", ("a@b", "A")),
        ("<a@b> \tA", ("a@b", "\tA")),
        # Without brackets.
        ("a@b SIZE=1", ("a@b", "SIZE=1")),
        ("  a@b  SIZE=1", ("a@b", "SIZE=1")),
        ("a@b\t", ("a@b", "")),
        ("a b@c", ("a", "b@c")),
        ('"a b"@c SIZE=1', ('"a b"@c', "SIZE=1")),
        ("user", ("user", "")),
        ("Name <a@b>", ("Name", "<a@b>")),  # which are no parameters
    ],
)
def test_paths(text: str, expected: tuple[str, str]) -> None:
    assert parse_reverse_path(text) == expected
    assert parse_forward_path(text) == expected
    assert parse_reverse_path(text, utf8=True) == expected
    assert parse_forward_path(text, utf8=True) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "\t<a@b>",
        "\n<a@b>",
        "<",
        ">",
        "<<>>",
        "< >",
        "<a@b",
        "a@b>",
        "<<a@b>>",
        "<a@b>>",
        "<a@b>foo",
        "<a@b>,<c@d>",
        "<a@b>\tSIZE=1",
        "<a@b>\n",
        "<a@b>\r\n",
        "<a@b>\0",
        "a@b\tSIZE=1",
        "a@b\n",
        "a@b,c@d",
        "(comment)<a@b>",
        # Source routes
        "<@a>",
        "<@a:>",
        "<@a,:c@d>",
        "<@a,b:c@d>",
        "<@a@b:c@d>",
        "<@a;@b:c@d>",
        "<@a, @b:c@d>",
        "<@a:@b:c@d>",
        "<@:c@d>",
        "<:c@d>",
        "<a:c@d>",
        "<@a.:c@d>",
        "<@-a:c@d>",
        "<@ü:c@d",
        "@a:c@d",
    ],
)
def test_no_paths(text: str) -> None:
    for parse in (parse_reverse_path, parse_forward_path):
        for utf8 in (False, True):
            with pytest.raises(MalformedAddress):
                parse(text, utf8=utf8)


@pytest.mark.parametrize(
    ("text", "rest"),
    [("<>", ""), ("  <>", ""), ("<> \t", ""), ("<> SIZE=1 BODY=7BIT", "SIZE=1 BODY=7BIT")],
)
def test_null_path(text: str, rest: str) -> None:
    assert parse_reverse_path(text) == ("<>", rest)
    with pytest.raises(MalformedAddress):
        parse_forward_path(text)


@pytest.mark.parametrize("text", ["<>foo", "<>>", "<><>", "<>\n"])
def test_no_null_path(text: str) -> None:
    with pytest.raises(MalformedAddress):
        parse_reverse_path(text)


@pytest.mark.parametrize("end", [" ", "\t", "  \t "])
def test_mailbox_ends_with_white_space(end: str) -> None:
    assert parse_mailbox(f"a@b{end}") == "a@b"


@pytest.mark.parametrize("text", [" a@b", "<a@b>", "<>", "a@b c", "@a:b@c"])
def test_mailbox_stands_alone(text: str) -> None:
    with pytest.raises(MalformedAddress):
        parse_mailbox(text)


def test_long_international_domain_is_counted_in_octets() -> None:
    domain = "例" * 85
    assert parse_mailbox(f"a@{domain}", utf8=True) == f"a@{domain}"
    assert is_domain(domain, utf8=True)
    assert not is_domain(f"{domain}a", utf8=True)


@pytest.mark.parametrize("text", ADDRESS_LITERALS)
def test_address_literals(text: str) -> None:
    assert is_address_literal(text)
    assert not is_domain(text)
    assert parse_mailbox(f"a@{text}") == f"a@{text}"


@pytest.mark.parametrize("text", NO_ADDRESS_LITERALS)
def test_no_address_literals(text: str) -> None:
    assert not is_address_literal(text)


@pytest.mark.parametrize("text", DOMAINS)
def test_domains(text: str) -> None:
    assert is_domain(text)
    assert is_domain(text, utf8=True)
    assert not is_address_literal(text)


@pytest.mark.parametrize("text", NO_DOMAINS)
def test_no_domains(text: str) -> None:
    assert not is_domain(text)
    assert not is_domain(text, utf8=True)


@pytest.mark.parametrize("text", ["ü", "bücher.example", "例え.jp", "a-ü"])
def test_international_domains(text: str) -> None:
    assert is_domain(text, utf8=True)
    assert not is_domain(text)


@pytest.mark.parametrize("text", ["\udcfc", "a\x85b", "a.\u2028", "ü.", "-ü"])
def test_no_international_domains(text: str) -> None:
    assert not is_domain(text, utf8=True)


@pytest.mark.parametrize(
    ("mailbox", "parts"),
    [
        ("<>", ("", "")),
        ("a@b", ("a", "b")),
        ("user", ("user", "")),
        ('"a@b"@c', ('"a@b"', "c")),
        ('"a@b"', ('"a@b"', "")),
        ('""@c', ('""', "c")),
        (r'"\"@\\"@c', (r'"\"@\\"', "c")),
        ("a@[x:y@z]", ("a", "[x:y@z]")),
        ('"a"@[x:"@b]', ('"a"', '[x:"@b]')),
        ("ü@bücher.example", ("ü", "bücher.example")),
        ('"ü@"@b', ('"ü@"', "b")),
        # Of what is no mailbox, something.
        ('"a@b', ('"a', "b")),
        ('"a"b@c', ('"a"b', "c")),
        ("", ("", "")),
    ],
)
def test_split_mailbox(mailbox: str, parts: tuple[str, str]) -> None:
    assert split_mailbox(mailbox) == parts
    assert local_part(mailbox) == parts[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("  \t", {}),
        ("SIZE=2048 BODY=8BITMIME", {"SIZE": "2048", "BODY": "8BITMIME"}),
        ("size=1 Body=8bitMime smtputf8", {"SIZE": "1", "BODY": "8bitMime", "SMTPUTF8": None}),
        ("  A=1   B  C=2  ", {"A": "1", "B": None, "C": "2"}),
        ("A\t", {"A": None}),
        ("MT-PRIORITY=3", {"MT-PRIORITY": "3"}),
        ("9", {"9": None}),
        ("9-=x", {"9-": "x"}),
        ("A=" + "!\"#$%&'()*+,-./:;<>?@[\\]^_`{|}~", {"A": "!\"#$%&'()*+,-./:;<>?@[\\]^_`{|}~"}),
        # RFC 4954 section 5, RFC 3461 sections 4 and 10, RFC 4865 section 9
        ("AUTH=e+3Dmc2@example.com", {"AUTH": "e+3Dmc2@example.com"}),
        ("AUTH=<>", {"AUTH": "<>"}),
        ("RET=HDRS ENVID=QQ314159", {"RET": "HDRS", "ENVID": "QQ314159"}),
        (
            "NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Bob@Big-Bucks.com",
            {"NOTIFY": "SUCCESS,DELAY", "ORCPT": "rfc822;Bob@Big-Bucks.com"},
        ),
    ],
)
def test_parameters(text: str, expected: dict[str, str | None]) -> None:
    assert parse_parameters(text) == expected
    assert list(parse_parameters(text, utf8=True).items()) == list(expected.items())


@pytest.mark.parametrize(
    "text",
    [
        "=",
        "=1",
        "A=",
        "A= B",
        "A==",
        "A=1=2",
        "-A",
        "-",
        "A_B",
        "A.B=1",
        "A,B",
        "A\tB",
        "\tA",
        "A=\x001",
        "A=1\x7f",
        "A=1\n",
        "A\r\nB",
        "A \n",
        "#$%=!@#",
        "<c@d>",
        "Ü=1",
        "\u0131=1",
        "A=\x85",
        "A=\udcfc",
        "A=\u2028",
        "A=1 a=1",
        "A A",
        "A=1 B A=2",
    ],
)
def test_no_parameters(text: str) -> None:
    for utf8 in (False, True):
        with pytest.raises(MalformedParameters):
            parse_parameters(text, utf8=utf8)


def test_international_parameters() -> None:
    text = "ORCPT=utf-8;ü@bücher.example A=\u3000\u00a0 B"
    assert parse_parameters(text, utf8=True) == {
        "ORCPT": "utf-8;ü@bücher.example",
        "A": "\u3000\u00a0",
        "B": None,
    }
    with pytest.raises(MalformedParameters):
        parse_parameters(text)


@pytest.mark.parametrize(
    ("text", "xtext"),
    [
        ("", ""),
        ("QQ314159", "QQ314159"),
        ("e=mc2@example.com", "e+3Dmc2@example.com"),  # RFC 4954 section 5
        ("+=", "+2B+3D"),
        ("a b", "a+20b"),
        ("\0\t\r\n\x7f", "+00+09+0D+0A+7F"),
        ("!*,<>~", "!*,<>~"),
        ("ü", "+C3+BC"),
        ("\U0001f4e7", "+F0+9F+93+A7"),
    ],
)
def test_xtext(text: str, xtext: str) -> None:
    assert encode_xtext(text) == xtext
    assert decode_xtext(xtext) == text


def test_xtext_may_encode_more_than_it_has_to() -> None:
    assert decode_xtext("+41+2Bb") == "A+b"


@pytest.mark.parametrize(
    "text",
    ["=", "+", "+4", "+4g", "+3d", "a+", "a b", "a\n", "+41\n", "ü", "\udcfc", "\0", "+FF", "+C3"],
)
def test_no_xtext(text: str) -> None:
    with pytest.raises(MalformedParameters):
        decode_xtext(text)


def test_xtext_of_no_text() -> None:
    with pytest.raises(UnicodeEncodeError):
        encode_xtext("\udcfc")


def test_errors_carry_their_replies() -> None:
    with pytest.raises(MalformedAddress, match="'a@'") as address:
        parse_reverse_path("a@")
    assert address.value.reply.code == 553
    with pytest.raises(MalformedParameters, match="SIZE") as parameters:
        parse_parameters("SIZE=1 size=2")
    assert parameters.value.reply.code == 501


def _patterns() -> list[re.Pattern[str]]:
    rules = ["path", "unbracketed_path", "mailbox", "domain", "parameters"]
    grammars = [grammar._ASCII, grammar._UTF8]
    return [
        *(getattr(each, rule) for each in grammars for rule in rules),
        *(re.compile(rule) for rule in (grammar._LITERAL, grammar._XTEXT)),
    ]


def test_runs_give_nothing_back() -> None:
    # An endless run of one class is possessive, so that nothing has two ways to divide it; and an
    # endless group is not, for Python before 3.11.5 has a fault there (see the module).
    for pattern in _patterns():
        source = re.sub(r"\[(?:\\.|[^\\\]])*\]|\\.", "c", pattern.pattern)
        runs = re.findall(r"[^()*+|}][*+]\+?", source)
        assert runs
        assert {run[1:] for run in runs} <= {"*+", "++"}
        assert ")*+" not in source
        assert ")+" not in source


@pytest.mark.parametrize(
    ("start", "again", "end"),
    [
        ("<", "a", "\n"),
        ("<", "a.", "\n"),
        ("<a@", "a", "\n"),
        ("<a@", "a.", "\n"),
        ("<a@", "a-", "\n"),
        ("<a@", "-", "\n"),
        ("<a@a", "-", ">"),
        ("<a@a", "-a.a", ".>"),
        ("<", "@a,", ">"),
        ("<", "@a.a-a,", ":"),
        ("<@a", ",@a", ":a@b\n"),
        ("<@a", ",@a.a", "a@b>"),
        ('<"', "a", ""),
        ('<"', "\\\\", ""),
        ('<"', '\\"', ""),
        ('<"', 'a\\"', '"'),
        ('<"', '\\"a', '"@>'),
        ('<"', '"@', ">"),
        ("<a@[IPv6:", "1:", "]>"),
        ("<a@[IPv6:", "1::", "]>"),
        ("<a@[IPv6:", ":", "]>"),
        ("<a@[IPv6:", "1", "]>"),
        ("<a@[IPv6:", ":1", "]>"),
        ("<a@[IPv6:::", "1:", "1.2.3.4]>"),
        ("<a@[", "1.", "]>"),
        ("<a@[", "a", "]>"),
        ("<a@[a", "-", ":x]>"),
        ("<a@[a:", "a:", "[>"),
        ("", " ", "\n"),
        ("", "A ", "\n"),
        ("", "A=1 ", "\n"),
        ("", "A=1  ", "="),
        ("A=", "1", "\n"),
        ("A", "-", "\n"),
        ("A", " ", "\n"),
        ("a@b", " \t", "\n"),
        ("a@b", "\t", "\n"),
        ("", "+41", "+"),
        ("", "a", "="),
        ("", "a+41", "\n"),
    ],
)
def test_time_is_linear(start: str, again: str, end: str) -> None:
    # That this comes to an end is half of the assertion: in quadratic time it would take minutes,
    # in exponential time for ever.
    few, many = (start + again * times + end for times in (20, 200_000))
    assert _outcomes(few) == _outcomes(many)


def _outcomes(text: str) -> list[bool]:
    """Try everything on a text, and on what is left of it without its brackets and local-part."""
    outcomes = []
    bare = text.removeprefix("<")
    for form in (text, bare, bare.removeprefix("a@"), f"a@{bare}"):
        outcomes += [pattern.match(form) is not None for pattern in _patterns()]
        outcomes.append("@" in split_mailbox(form)[0])
    return outcomes
