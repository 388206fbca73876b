"""The obsolete forms of a path: what they become, what stays refused, and what always holds."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aiosmtpd.protocol import obsolete
from aiosmtpd.protocol.errors import MalformedAddress, MalformedParameters
from aiosmtpd.protocol.grammar import (
    parse_forward_path,
    parse_mailbox,
    parse_parameters,
    parse_reverse_path,
    split_mailbox,
)
from aiosmtpd.protocol.obsolete import modern_path

# Mailboxes and what they become, with and without angle brackets.
OBSOLETE = [
    # RFC 5322 section 4.4: comments around every word and label
    ("(comment)anne@example.com", "anne@example.com"),
    ("anne(comment)@example.com", "anne@example.com"),
    ("anne@(comment)example.com", "anne@example.com"),
    ("anne@example.com(comment)", "anne@example.com"),
    ("anne@example.com (comment)", "anne@example.com"),
    ("anne@machine(comment).  example", "anne@machine.example"),  # its section A.6.3, nearly
    ("(a)a(b).(c)b(d)@(e)c(f).(g)d(h)", "a.b@c.d"),
    ("(a)(b) (c)a@b", "a@b"),
    ("(a)user", "user"),
    ("user(a)", "user"),
    # RFC 5322 section 3.2.2: what a comment may hold
    ("()a@b", "a@b"),
    ("( )a@b", "a@b"),
    ("(((nested)(twice)))a@b", "a@b"),
    (r"(\)\(\\)a@b", "a@b"),
    ('(")a@b', "a@b"),
    ("(<c@d>,[:;])a@b", "a@b"),
    # Spaces around words, dots, "@" and labels
    ("a @b", "a@b"),
    ("a@ b", "a@b"),
    ("a  @  b", "a@b"),
    ("a . b@c . d", "a.b@c.d"),
    ("a. b@c .d", "a.b@c.d"),
    ('"a b" @c', '"a b"@c'),
    ('""@ c', '""@c'),
    ("a@ [1.2.3.4]", "a@[1.2.3.4]"),
    ("a@(b)[IPv6:::1](c)", "a@[IPv6:::1]"),
    ("a@ [x:(<]", "a@[x:(<]"),
    # obs-local-part = word *("." word): one Dot-string if it can be
    ('"a"."b"@c', "a.b@c"),
    ('a."b".c@d', "a.b.c@d"),
    ('"a.b".c@d', "a.b.c@d"),
    (r'"\a".b@c', "a.b@c"),
    ('"!#".$%@c', "!#.$%@c"),
    # Words that touch make one word
    (r'a\ "b"@c', '"a b"@c'),
    ('a"b"@c', "ab@c"),
    ('"a"b@c', "ab@c"),
    ('"a""b"@c', "ab@c"),
    ('"a".b"c"@d', "a.bc@d"),
    (r'a\b"c"@d', "abc@d"),
    (
        'very."(),:;<>[]".VERY."very@\\\\ "very.unusual@strange.example.com',
        '"very.(),:;<>[].VERY.very@\\\\ very.unusual"@strange.example.com',
    ),
    # The colon of a tag that the address seems to have
    ("a@[IPv6::1]", "a@[IPv6:::1]"),
    ("a@ [ipv6::1](c)", "a@[ipv6:::1]"),
    # ... else one Quoted-string, without needless backslashes
    ('much."more unusual"@example.com', '"much.more unusual"@example.com'),
    (r'much."more\ unusual"@example.com', '"much.more unusual"@example.com'),
    ('"a"."".b@c', '"a..b"@c'),
    ('""."a"@c', '".a"@c'),
    ('"a."."b"@c', '"a..b"@c'),
    ('"a@b".c@d', '"a@b.c"@d'),
    (r'"\"".a@b', r'"\".a"@b'),
    (r'"\\".a@b', r'"\\.a"@b'),
    ('"(c)".a@b', '"(c).a"@b'),
    # RFC 821: <char> ::= <c> | "\" <x>
    (r"Fred\ Bloggs@example.com", '"Fred Bloggs"@example.com'),
    (r"Joe.\\Blow@example.com", r'"Joe.\\Blow"@example.com'),
    (r"Joe\,Smith@example.com", '"Joe,Smith"@example.com'),
    (r"Abc\@def@example.com", '"Abc@def"@example.com'),
    (r"\"a@b", r'"\"a"@b'),
    (r"a\b@c", "ab@c"),
    (r"\a\b@c", "ab@c"),
    (r"a\.b@c", "a.b@c"),
    (r"a\.\.b@c", '"a..b"@c'),
    (r"\(a\)@b", '"(a)"@b'),
    (r"\<\>@b", '"<>"@b'),
    (r"a\ @b", '"a "@b'),
    (r"a\ ", '"a "'),
    ("\\\\\\\\@b", r'"\\\\"@b'),
]

INTERNATIONAL = [
    ("(c)ü@bücher.example", "ü@bücher.example"),
    ('"ü"."例"@ü', "ü.例@ü"),
    (r"ü\ ü@ü", '"ü ü"@ü'),
    ("ü @ ü . ü", "ü@ü.ü"),
]

#: Refused, with and without angle brackets.
NOT_OBSOLETE = [
    "(a)",
    " ",
    "a..b(c)@d",
    ".a@b(c)",
    "a.(c)@b",
    "a.@ b",
    "@ b",
    "(c)@b",
    "a@ ",
    "a@(c)",
    "a(c)@b.",
    "a@b.(c)",
    "a@(c).b",
    "a@-b(c)",
    "a@b!(c)",
    "a@(c)@b",
    # A comment divides words
    "a(c)b@d",
    '"a"(c)b@d',
    "a@b(c)d",
    # Comments without an end, or a beginning
    "(a@b",
    "a(@b",
    "a@b(",
    "a@b(c",
    "a@b((c)",
    "a@b(c))",
    "a)@b",
    "a(\\)@b",
    "a@b(\\",
    # Backslashes: in front of nothing, or in a domain
    "\\",
    "a\\",
    "(c)a@b\\",
    "(c)a@b\\c",
    "a@\\b",
    "a@[1.2.3.4\\]",
    # Quotes: without an end, or in a domain
    '"a',
    '"a"."b@c',
    'a@"b"',
    # Literals: still checked in full
    "a@ [IPv6:1]",
    "a@[IPv6::x](c)",
    "a@ [1.2.3.256]",
    "a@ [ 1.2.3.4]",
    "a@[1.2.3.4 ]",
    "a@b.[1.2.3.4](c)",
    f"(c)a@{'d' * 256}",
    # Control characters, in the mailbox and in what is thrown away
    "(c)a\0@b",
    "(c)a@b\x7f",
    "(\0)a@b",
    "(\t)a@b",
    "(\r\n )a@b",
    "(\x7f)a@b",
    "(\\\t)a@b",
    "a\t@b",
    "a @\tb",
    "a\r\n @b",
    "a\\\n@b",
    "a\\\0@b",
    '"a\t".b@c',
    '"a\\\t".b@c',
    '"a\x7f".b@c',
    # Nothing that is not ASCII in comments, nor behind a backslash, as in RFC 6531
    "(ü)a@b",
    "(\udcff)a@b",
    "(\x85)a@b",
    "(\u2028)a@b",
    "a\\ü@b",
    '"a"."\\ü"@b',
    # What is no UTF-8, C1 controls, separators
    "(c)a\udcff@b",
    "(c)a@\udcff",
    '"a"."\udcff"@b',
    '"a"."\x85"@b',
    "(c)a\u2028@b",
]


@pytest.mark.parametrize("utf8", [False, True])
@pytest.mark.parametrize(("text", "mailbox"), OBSOLETE)
def test_obsolete_mailboxes(text: str, mailbox: str, utf8: bool) -> None:
    # The outcome is as strict as can be, the text is not.
    assert parse_mailbox(mailbox, utf8=utf8) == mailbox
    with pytest.raises(MalformedAddress):
        parse_mailbox(text, utf8=utf8)
    for form in (text, f"  {text}", f"<{text}>", f"  < {text} >", f"<@r,@s.example:{text}>"):
        for parse in (parse_reverse_path, parse_forward_path):
            assert parse(form, utf8=utf8) == (mailbox, "")
            assert parse(f"{form} \t", utf8=utf8) == (mailbox, "")
            assert parse(f"{form} SIZE=3", utf8=utf8) == (mailbox, "SIZE=3")
            assert parse(f"{form}  A B=(c)  ", utf8=utf8) == (mailbox, "A B=(c)")


@pytest.mark.parametrize(("text", "mailbox"), INTERNATIONAL)
def test_international_obsolete_mailboxes(text: str, mailbox: str) -> None:
    for form in (text, f"<{text}>"):
        assert parse_reverse_path(form, utf8=True) == (mailbox, "")
        assert parse_forward_path(f"{form} A", utf8=True) == (mailbox, "A")
        with pytest.raises(MalformedAddress):
            parse_reverse_path(form)


@pytest.mark.parametrize("text", NOT_OBSOLETE)
def test_no_obsolete_mailboxes(text: str) -> None:
    for form in (text, f"<{text}>", f"<{text}> SIZE=3", f"<@r:{text}>"):
        for utf8 in (False, True):
            for parse in (parse_reverse_path, parse_forward_path):
                with pytest.raises(MalformedAddress):
                    parse(form, utf8=utf8)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Without brackets, a space ends the path, unless a dot, an "@" or a comment follows it.
        ("a@b .c SIZE=3", ("a@b.c", "SIZE=3")),
        ("a@b  . c SIZE=3", ("a@b.c", "SIZE=3")),
        ("a@b (c) SIZE=3", ("a@b", "SIZE=3")),
        ("a@b(c) (d) .e SIZE=3", ("a@b.e", "SIZE=3")),
        ("a (c) @b SIZE=3", ("a@b", "SIZE=3")),
        ("a .b SIZE=3", ("a.b", "SIZE=3")),
        ("a(c) SIZE=3", ("a", "SIZE=3")),
        (r"a\ b SIZE=3", ('"a b"', "SIZE=3")),
        # What follows is cut loose, not looked at: these are no parameters.
        ("a b@c", ("a", "b@c")),
        ("a(c) b@c", ("a", "b@c")),
        (r"a\ b c@d", ('"a b"', "c@d")),
        ("a@b @c", ("a@b", "@c")),
        ("a@[1.2.3.4] .b", ("a@[1.2.3.4]", ".b")),
        ("a@b(c) <d@e>", ("a@b", "<d@e>")),
        ("<a@b > (c)", ("a@b", "(c)")),
        ("<a@b> .c", ("a@b", ".c")),
    ],
)
def test_where_a_path_ends(text: str, expected: tuple[str, str]) -> None:
    for parse in (parse_reverse_path, parse_forward_path):
        for utf8 in (False, True):
            assert parse(text, utf8=utf8) == expected


@pytest.mark.parametrize(
    "text",
    [
        "a@b .",
        "a@b (c",
        "a@b (c)SIZE=3",
        "a@b(c)SIZE=3",
        "a@b (c)\tSIZE=3",
        "a@b(c)>",
        "<a(c)@b",
        "<a@b (c) SIZE=3",
        "<a@b (c)>foo",
        "<a@b>foo",
        "<a@b>(c)",
        "(c)<a@b>",
        r"a\ <b@c>",
        "<a b@c>",
        r"<a\ b c@d>",
        "<a@b c>",
        "<a@b @c>",
        "<a@[1.2.3.4] .b>",
        # There is no obsolete null path, and no obsolete source route.
        "< >",
        "<(c)>",
        "(c)<>",
        "<>(c)",
        "<@a, @b:c@d>",
        "<@a(c):c@d>",
        "< @a:c@d>",
        "<@a : c@d>",
        "<@a.: c@d>",
        "<@: c@d>",
    ],
)
def test_no_obsolete_paths(text: str) -> None:
    for parse in (parse_reverse_path, parse_forward_path):
        for utf8 in (False, True):
            with pytest.raises(MalformedAddress):
                parse(text, utf8=utf8)


def test_refusals_name_what_the_client_sent() -> None:
    for text in ("a@b(", "<a@b !>", "<a@(c)b!>"):
        with pytest.raises(MalformedAddress, match=re.escape(repr(text))) as refusal:
            parse_reverse_path(text)
        assert refusal.value.reply.code == 553


ATEXT = st.text(st.sampled_from("aB09!#$%&'*+-/=?^_`{|}~"), min_size=1, max_size=4)
PRINTABLE = st.sampled_from("".join(map(chr, range(32, 127))))
#: What may stand around anything, where it cannot be taken for the end of the path.
CFWS = st.sampled_from(
    ["", "", " ", "  ", "()", " (c) ", r"(\)) ", "(a (b\\\\) (()))", '(") (<@.>)']
)


@st.composite
def _words(draw: st.DrawFn) -> tuple[str, str]:
    """A word as it is written, and what it stands for."""
    content = draw(st.text(PRINTABLE, max_size=6))
    if draw(st.booleans()):
        must, quote = '"\\', '"'
    else:
        must, quote = ' "(),.:;<>@[\\]', ""
        content = content or draw(ATEXT)
    parts = [
        f"\\{char}" if char in must or draw(st.integers(0, 4)) == 0 else char for char in content
    ]
    return quote + "".join(parts) + quote, content


LABELS = st.from_regex(r"[a-z0-9]{1,4}(-[a-z0-9]{1,3})?", fullmatch=True)


def _content(local: str) -> str:
    """What a local-part of today stands for."""
    return re.sub(r"\\(.)", r"\1", local[1:-1]) if local.startswith('"') else local


@given(st.lists(_words(), min_size=1, max_size=4), st.lists(LABELS, max_size=4), st.data())
def test_obsolete_paths_keep_their_meaning(
    words: list[tuple[str, str]], labels: list[str], data: st.DataObject
) -> None:
    def around(parts: list[str]) -> str:
        return ".".join(data.draw(CFWS) + part + data.draw(CFWS) for part in parts)

    # The comment makes sure that the path is no modern one, which would come out as it is.
    text = "()" + around([written for written, _ in words])
    if labels:
        text += "@" + around(labels)
    mailbox, rest = parse_forward_path(f"<{text}> A=1")
    assert rest == "A=1"
    local, domain = split_mailbox(mailbox)
    assert domain == ".".join(labels)
    assert _content(local) == ".".join(content for _, content in words)
    assert parse_mailbox(mailbox) == mailbox
    # Without brackets, it is the same if no space is left at its end; an escaped one is of a word.
    bare = re.fullmatch(r"((?:\\.|[^\\])*?) *", text)
    assert bare is not None
    assert parse_forward_path(bare[1] + "(c) A=1") == (mailbox, "A=1")


TOKENS = st.lists(
    st.sampled_from([*'<>()"\\@., ab1-', "[1.2.3.4]", "\t", "\0", "ü", "\x85", "\udcff"]),
    max_size=15,
).map("".join)


@given(TOKENS, st.booleans())
@example("(c)a@b SIZE=3", False)
@example(r'"a\"".b@c', False)
@example('ü."ü ü"@ü', True)
def test_what_comes_out_is_of_today(text: str, utf8: bool) -> None:
    for form in (text, f"<{text}>"):
        try:
            mailbox, rest = parse_forward_path(form, utf8=utf8)
        except MalformedAddress:
            continue
        assert parse_mailbox(mailbox, utf8=utf8) == mailbox
        for again in (mailbox, f"<{mailbox}>"):
            assert parse_forward_path(again, utf8=utf8) == (mailbox, "")
        # What follows the path is what the client wrote there.
        assert form.rstrip("\t ").endswith(rest)


@given(TOKENS)
def test_rewriting_twice_changes_nothing(text: str) -> None:
    try:
        modern = modern_path(text)
    except MalformedAddress:
        return
    assert modern_path(modern) == modern


def test_runs_give_nothing_back() -> None:
    # As in the grammar: an endless run of one class is possessive, an endless group is not.
    patterns = [value for value in vars(obsolete).values() if isinstance(value, re.Pattern)]
    assert patterns
    for pattern in patterns:
        source = re.sub(r"\[(?:\\.|[^\\\]])*\]|\\.", "c", pattern.pattern)
        runs = re.findall(r"[^()*+|}][*+]\+?", source)
        assert {run[1:] for run in runs} <= {"*+", "++"}
        assert ")*+" not in source
        # The parts of a word may repeat: each begins as no other goes on.
        assert ")+" not in source or pattern is obsolete._WORD


@pytest.mark.parametrize("bracket", ["", "<"])
@pytest.mark.parametrize(
    ("start", "again", "end"),
    [
        ("", "(", ""),
        ("", "(", "a@b"),
        ("", "()", "a@b"),
        ("", "() ", "a@b\n"),
        ("", "( ", "a@b"),
        ("", "(\\)", "a@b"),
        ("(", "()", "a@b"),
        ("(", "(a)\\)", "a@b"),
        ("(", "\\(", "a@b"),
        ("a@b", "()", "\n"),
        ("a@b", "() ", "("),
        ("a@b", " ", "("),
        ("a@b", " ", "."),
        ("", "a(", "@b"),
        ("", "a.()", "@"),
        ("", "a . ", "@b"),
        ("", '"a".', "@b"),
        ("", '"a" ', "@b"),
        ("", '".', "@b"),
        ("", '"\\".', "@b"),
        ("", '\\"', "@"),
        ("", "\\", "@b"),
        ("", "\\\\", "@\n"),
        ("a\\", "a", "@"),
        ("a@", "a.", ""),
        ("a@", "a . ", ""),
        ("a@", "a ", ""),
        ("a@", " ", "\n"),
        ("a@ [", "a", ""),
        ("a@", "[", ""),
        ("@", "a,", ""),
        ("@a:", "@a:", ""),
        ("", "@a:", "b"),
        ("", "@ ", "b"),
        ("a", " @", "b"),
    ],
)
def test_time_is_linear(bracket: str, start: str, again: str, end: str) -> None:
    # That this comes to an end is half of the assertion: see the tests of the grammar.
    few, many = (bracket + start + again * times + end for times in (20, 50_000))
    assert _is_path(few) == _is_path(many)


def _is_path(text: str) -> bool:
    try:
        parse_parameters(parse_forward_path(text)[1])
    except (MalformedAddress, MalformedParameters):
        return False
    return True


def test_comments_nest_as_deep_as_they_like() -> None:
    depth = 100_000
    assert parse_forward_path("(" * depth + ")" * depth + "a@b") == ("a@b", "")
    with pytest.raises(MalformedAddress):
        parse_forward_path("(" * depth + ")" * (depth - 1) + "a@b")
