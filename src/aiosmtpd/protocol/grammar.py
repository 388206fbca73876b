"""The grammar of what follows a verb: paths, mailboxes, domains, literals, parameters, xtext.

It knows the ABNF of RFC 5321 sections 4.1.2 and 4.1.3, what RFC 6531 section 3.3 adds to it, and
the xtext of RFC 3461 section 4 with what RFC 6533 section 3 makes of it. It refuses to know which
command is being read, which parameters an extension defines, and every limit but the one on the
length of a domain. Text comes in as ``str``, its octets decoded as UTF-8 with ``surrogateescape``; a
mailbox goes out exactly as the client wrote it, unless its form is obsolete.

Each regular expression stands below the rule it implements and is made of those above it. None can
backtrack far, since looking at one character decides how to go on: a run of one class is possessive
(``*+``, ``++``), and a repeated group begins with a character that cannot follow its last
repetition. (Only in an IPv6 address it can, but there the repetitions are few.) Repeated groups are
not possessive themselves: they gain nothing by it, and Python before 3.11.5 matches some of those
wrongly.

Lenience, that is, what is accepted though the RFCs do not, is all of this and no more:

- a path without its angle brackets, which then ends at the first space outside a quoted string;
- spaces before a path, several spaces between parameters, spaces and tabs at the end;
- a mailbox without a domain: local delivery and tests use it, and ``<Postmaster>`` needs no rule;
- underscores wherever a domain may have a letter: host names in use have them;
- in a path, the obsolete forms of a mailbox (see the module ``obsolete``), for programs and tests
  written for version 1 send them: comments, spaces around dots, several quoted words, backslashes
  outside of quotes. Only what the grammar below refuses is tried as one, and it goes out rewritten
  in the form of today.

A source route is not lenience: RFC 5321 section 4.1.1.3 has servers expect and ignore it. In the
other direction, internationalised text may not hold C1 controls nor U+2028 and U+2029, although
RFC 6531 allows them: much software, ``str.splitlines`` for one, ends a line at some of these.
"""

from __future__ import annotations

import functools
import re

from .errors import MalformedAddress, MalformedParameters

__all__ = [
    "PLAIN_MAILBOX",
    "decode_addr_xtext",
    "decode_xtext",
    "encode_xtext",
    "is_address_literal",
    "is_domain",
    "local_part",
    "parse_forward_path",
    "parse_mailbox",
    "parse_parameters",
    "parse_reverse_path",
    "split_mailbox",
    "upper_case",
]

#: Octets of a domain or address literal (RFC 5321 section 4.5.3.1.2).
_DOMAIN_LIMIT = 255

#: A mailbox of so many characters is within that limit, for UTF-8 takes at most 4 octets for each.
_SHORT = _DOMAIN_LIMIT // 4

# RFC 5321 section 4.1.3, RFC 5234 appendix B.1
#
#   Snum                  = 1*3DIGIT
#                           ; a decimal integer value in the range 0 through 255
#   IPv4-address-literal  = Snum 3("."  Snum)
_SNUM = r"(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]{1,2})"
_IPV4 = rf"{_SNUM}(?:\.{_SNUM}){{3}}"

#   IPv6-hex              = 1*4HEXDIG
_HEXDIG = r"[0-9A-Fa-f]"
_IPV6_HEX = rf"{_HEXDIG}{{1,4}}+"

#   IPv6-full             = IPv6-hex 7(":" IPv6-hex)
#   IPv6v4-full           = IPv6-hex 5(":" IPv6-hex) ":" IPv4-address-literal
_IPV6_FULL = rf"{_IPV6_HEX}(?::{_IPV6_HEX}){{7}}"
_IPV6V4_FULL = rf"{_IPV6_HEX}(?::{_IPV6_HEX}){{5}}:{_IPV4}"

#   IPv6-comp             = [IPv6-hex *5(":" IPv6-hex)] "::" [IPv6-hex *5(":" IPv6-hex)]
#                           ; no more than 6 groups in addition to the "::"
#   IPv6v4-comp           = [IPv6-hex *3(":" IPv6-hex)] "::"
#                           [IPv6-hex *3(":" IPv6-hex) ":"] IPv4-address-literal
#                           ; no more than 4 groups in addition to the "::" and IPv4-address-literal
#
# The comments bind tighter than the rules, so only they are counted, ahead of the match. The first
# number of an IPv4-address-literal counts as a group there, hence five, not four, may be present.
_IPV6_COMP = (
    rf"(?!(?::*+{_HEXDIG}++){{7}})"
    rf"(?:{_IPV6_HEX}(?::{_IPV6_HEX})*)?::(?:{_IPV6_HEX}(?::{_IPV6_HEX})*)?"
)
_IPV6V4_COMP = (
    rf"(?!(?::*+{_HEXDIG}++){{6}})"
    rf"(?:{_IPV6_HEX}(?::{_IPV6_HEX})*)?::(?:{_IPV6_HEX}:)*{_IPV4}"
)

#   IPv6-addr             = IPv6-full / IPv6-comp / IPv6v4-full / IPv6v4-comp
#   IPv6-address-literal  = "IPv6:" IPv6-addr
#
# The tag has no case (RFC 5234 section 2.3). It is spelled out, for under re.IGNORECASE the dotless
# and the dotted i of Turkish would do as well.
_IPV6_TAG = r"[Ii][Pp][Vv]6:"
_IPV6 = rf"{_IPV6_TAG}(?:{_IPV6_FULL}|{_IPV6_COMP}|{_IPV6V4_FULL}|{_IPV6V4_COMP})"

#   Ldh-str                  = *( ALPHA / DIGIT / "-" ) Let-dig
#   Standardized-tag         = Ldh-str
#   dcontent                 = %d33-90 / %d94-126
#   General-address-literal  = Standardized-tag ":" 1*dcontent
#
# "IPv6" is no such tag: what follows it has a grammar of its own, and must not escape it here.
_GENERAL = rf"(?!{_IPV6_TAG})[A-Za-z0-9\-]++(?<!-):[!-Z^-~]++"

#   address-literal  = "[" ( IPv4-address-literal / IPv6-address-literal /
#                      General-address-literal ) "]"
_ADDRESS_LITERAL = rf"\[(?:{_IPV4}|{_IPV6}|{_GENERAL})\]"

# A path is followed by SP and parameters, or by nothing; a mailbox that stands alone, by nothing.
_END = r"[ \t]*+\Z"
_SP_OR_END = rf"(?: ++|{_END})"


@functools.cache
def _compiled(rule: str) -> re.Pattern[str]:
    """Compile a rule when it is first used.

    All of them take longer than the rest of the package takes to be imported.
    """
    return re.compile(rule)


class _Grammar:
    """The rules that differ with SMTPUTF8; each is to be matched from the start of a text.

    As the rules above, each is compiled when it is first used.

    Args:
        utf8_non_ascii: characters as they stand inside a class, which RFC 6531 section 3.3 adds to
            atext, qtextSMTP and esmtp-value, and as U-labels to sub-domain; may be empty.
    """

    def __init__(self, utf8_non_ascii: str) -> None:
        #   Let-dig     = ALPHA / DIGIT
        #   sub-domain  = Let-dig [Ldh-str]
        #   Domain      = sub-domain *("." sub-domain)
        #
        # Seen flat: runs of Let-dig, between them either one dot or some hyphens. That a label is no
        # longer than 63 octets, and that a U-label is one that IDNA knows, is for DNS to say.
        let_dig = rf"[A-Za-z0-9_{utf8_non_ascii}]++"
        self._domain = domain = rf"{let_dig}(?:(?:\.|-++){let_dig})*"

        #   atext       = ALPHA / DIGIT / "!" / "#" / "$" / "%" / "&" / "'" / "*" / "+" / "-" / "/" /
        #                 "=" / "?" / "^" / "_" / "`" / "{" / "|" / "}" / "~"       ; RFC 5322
        #   Atom        = 1*atext
        #   Dot-string  = Atom *("."  Atom)
        atom = rf"[A-Za-z0-9!#$%&'*+\-/=?^_`{{|}}~{utf8_non_ascii}]++"
        dot_string = rf"{atom}(?:\.{atom})*"
        #: A mailbox that has a domain and is not quoted, as nearly every one is.
        self.plain_mailbox = rf"{dot_string}@{domain}"

        #   quoted-pairSMTP  = %d92 %d32-126
        #   qtextSMTP        = %d32-33 / %d35-91 / %d93-126
        #   QcontentSMTP     = qtextSMTP / quoted-pairSMTP
        #   Quoted-string    = DQUOTE *QcontentSMTP DQUOTE
        qtext = rf"[ !#-\[\]-~{utf8_non_ascii}]*+"
        quoted_string = rf'"{qtext}(?:\\[ -~]{qtext})*"'

        #   Local-part  = Dot-string / Quoted-string
        #   Mailbox     = Local-part "@" ( Domain / address-literal )
        self._mailbox = mailbox = (
            rf"(?:{dot_string}|{quoted_string})(?:@(?:{domain}|{_ADDRESS_LITERAL}))?"
        )

        #   At-domain     = "@" Domain
        #   A-d-l         = At-domain *( "," At-domain )
        #   Path          = "<" [ A-d-l ":" ] Mailbox ">"
        #   Reverse-path  = Path / "<>"
        a_d_l = rf"@{domain}(?:,@{domain})*"
        self._reverse_path = rf"<(?:(?:{a_d_l}:)?({mailbox}))?>"

        #   esmtp-keyword  = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")
        #   esmtp-value    = 1*(%d33-60 / %d62-126)
        #   esmtp-param    = esmtp-keyword ["=" esmtp-value]
        #   Mail-parameters, Rcpt-parameters  = esmtp-param *(SP esmtp-param)
        esmtp_param = rf"[A-Za-z0-9][A-Za-z0-9\-]*+(?:=[!-<>-~{utf8_non_ascii}]++)?"
        self._parameters = rf" *+{esmtp_param}(?: ++{esmtp_param})*\Z"

    @functools.cached_property
    def path(self) -> re.Pattern[str]:
        """A path between brackets, and what ends it."""
        return re.compile(rf" *+{self._reverse_path}{_SP_OR_END}")

    @functools.cached_property
    def unbracketed_path(self) -> re.Pattern[str]:
        """A path without brackets, and what ends it."""
        # No parameter begins with a dot, "@" or a parenthesis: a path without brackets that such a
        # character follows goes on behind the spaces, in an obsolete form.
        return re.compile(rf" *+({self._mailbox})(?! *+[.@(]){_SP_OR_END}")

    @functools.cached_property
    def mailbox(self) -> re.Pattern[str]:
        """A mailbox that stands alone."""
        return re.compile(rf"({self._mailbox}){_END}")

    @functools.cached_property
    def domain(self) -> re.Pattern[str]:
        """A domain that stands alone."""
        return re.compile(rf"{self._domain}\Z")

    @functools.cached_property
    def parameters(self) -> re.Pattern[str]:
        """A list of parameters."""
        return re.compile(self._parameters)


_ASCII = _Grammar("")

PLAIN_MAILBOX = _ASCII.plain_mailbox
"""The rule for a mailbox of ASCII that has a domain and is not quoted."""

# RFC 6531 section 3.3: UTF8-non-ascii, without C1 controls (U+0080 to U+009F), the separators
# U+2028 and U+2029, and surrogates, which stand for octets that were no UTF-8.
_UTF8_NON_ASCII = r"\u00a0-\u2027\u202a-\ud7ff\ue000-\U0010ffff"
_UTF8 = _Grammar(_UTF8_NON_ASCII)

_LITERAL = rf"{_ADDRESS_LITERAL}\Z"

# Only finds where a Quoted-string ends that has been parsed.
_QUOTED_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*"(?=@|\Z)'

# RFC 3461 section 4
#
#   xchar    = any ASCII CHAR between "!" (33) and "~" (126) inclusive, except for "+" and "="
#   hexchar  = ASCII "+" immediately followed by two upper case hexadecimal digits
#   xtext    = *( xchar / hexchar )
_XCHAR = r"!-*,-<>-~"
_XTEXT = rf"(?:[{_XCHAR}]++|\+[0-9A-F]{{2}})*\Z"
_HEXCHAR = r"\+(..)"
_NO_XCHAR = rf"[^{_XCHAR}]"

# RFC 6533 section 3
#
#   utf-8-addr-xtext    = 1*(QCHAR / EmbeddedUnicodeChar)
#   utf-8-addr-unitext  = 1*(QUCHAR / EmbeddedUnicodeChar)
#   QCHAR               = %x21-2a / %x2c-3c / %x3e-5b / %x5d-7e
#   QUCHAR              = QCHAR / UTF8-2 / UTF8-3 / UTF8-4
#   EmbeddedUnicodeChar = %x5C.78 "{" HEXPOINT "}"
#   HEXPOINT            = ( ( "0"/"1" ) %x31-39 ) / "10" / "20" / "2B" / "3D" / "7F" /
#                         "5C" / (HEXDIG8 HEXDIG) / ( NZHEXDIG 2(HEXDIG) ) /
#                         ( NZDHEXDIG 3(HEXDIG) ) / ( "D" %x30-37 2(HEXDIG) ) /
#                         ( NZHEXDIG 4(HEXDIG) ) / ( "10" 4*HEXDIG )
#
# So a character of ASCII is embedded only if it cannot stand as it is, and each in one way only. The
# last alternative must be read as of four HEXDIG: there are no characters above U+10FFFF.
_QCHAR = r"!-*,-<>-\[\]-~"
_HEXPOINT = (
    rf"(?:[01][1-9]|10|20|2[Bb]|3[Dd]|7[Ff]|5[Cc]|[89A-Fa-f]{_HEXDIG}|[1-9A-Fa-f]{_HEXDIG}{{2}}"
    rf"|[1-9A-CE-Fa-ce-f]{_HEXDIG}{{3}}|[Dd][0-7]{_HEXDIG}{{2}}|[1-9A-Fa-f]{_HEXDIG}{{4}}"
    rf"|10{_HEXDIG}{{4}})"
)
_ADDR_XTEXT = rf"(?:[{_QCHAR}]++|\\x\{{{_HEXPOINT}\}})+\Z"
_ADDR_UNITEXT = rf"(?:[{_QCHAR}{_UTF8_NON_ASCII}]++|\\x\{{{_HEXPOINT}\}})+\Z"
_EMBEDDED = r"\\x\{([^}]+)\}"


def upper_case(text: str) -> str:
    """Give a keyword in upper case, to be compared.

    Args:
        text: what the client wrote.

    Returns:
        The same if it is not ASCII, for only the letters of ASCII have a case in ABNF (RFC 5234
        section 2.3): of other alphabets, several become an ``I``, ``K`` or ``S``.
    """
    return text.upper() if text.isascii() else text


def parse_reverse_path(text: str, *, utf8: bool = False) -> tuple[str, str]:
    """Parse what follows ``MAIL FROM:`` (RFC 5321 section 4.1.1.2).

    Args:
        text: a path, with its parameters if it has any.
        utf8: accept an internationalised mailbox (RFC 6531 section 3.3).

    Returns:
        The mailbox as the client wrote it, without brackets and source route, or rewritten if its
        form was obsolete, or ``"<>"`` for the null path; and what follows the path, which may be
        empty. Give that to :func:`parse_parameters`: nothing in it has been looked at.

    Raises:
        MalformedAddress: if no path stands there, or anything but a space follows it.
    """
    grammar = _UTF8 if utf8 else _ASCII
    match = grammar.path.match(text) or grammar.unbracketed_path.match(text)
    if match is None:
        from .obsolete import modern_path  # here: few clients write one

        modern = modern_path(text)
        match = grammar.path.match(modern)
        if match is None:
            raise MalformedAddress(f"not a path: {text!r}")
        text = modern
    mailbox = match[1] or "<>"
    if len(mailbox) > _SHORT:
        _check_domain_length(mailbox)
    end = match.end()
    return mailbox, text[end:].rstrip("\t ") if end < len(text) else ""


def parse_forward_path(text: str, *, utf8: bool = False) -> tuple[str, str]:
    """Parse what follows ``RCPT TO:`` (RFC 5321 section 4.1.1.3).

    Args:
        text: a path, with its parameters if it has any.
        utf8: accept an internationalised mailbox (RFC 6531 section 3.3).

    Returns:
        The mailbox as the client wrote it, without brackets and source route, or rewritten if its
        form was obsolete; and what follows the path, which may be empty. Give that to
        :func:`parse_parameters`: nothing in it has been looked at.

    Raises:
        MalformedAddress: if no path stands there, it is the null path, or anything but a space
            follows it.
    """
    mailbox, rest = parse_reverse_path(text, utf8=utf8)
    if mailbox == "<>":
        raise MalformedAddress("the null path cannot be a recipient")
    return mailbox, rest


def parse_mailbox(text: str, *, utf8: bool = False) -> str:
    """Parse a mailbox that stands alone, as after VRFY or AUTH= (RFC 5321 section 4.1.2).

    Args:
        text: the mailbox, without angle brackets.
        utf8: accept an internationalised mailbox (RFC 6531 section 3.3).

    Returns:
        The mailbox as the client wrote it, without white space behind it.

    Raises:
        MalformedAddress: if the text is anything else.
    """
    match = (_UTF8 if utf8 else _ASCII).mailbox.match(text)
    if match is None:
        raise MalformedAddress(f"not a mailbox: {text!r}")
    return _check_domain_length(match[1])


def parse_parameters(text: str, *, utf8: bool = False) -> dict[str, str | None]:
    """Parse ESMTP parameters (``Mail-parameters`` of RFC 5321 section 4.1.2).

    Args:
        text: what follows a path, possibly nothing.
        utf8: accept UTF-8 in values (RFC 6531 section 3.3).

    Returns:
        Values by keyword, in the order of the text. Keywords have no case and are upper-cased;
        values are as the client wrote them, None where it wrote no ``=``.

    Raises:
        MalformedParameters: if the text is no list of parameters, or a keyword comes twice.
    """
    text = text.rstrip("\t ")
    if not text:
        return {}
    if not (_UTF8 if utf8 else _ASCII).parameters.match(text):
        raise MalformedParameters(f"not a list of parameters: {text!r}")
    parameters: dict[str, str | None] = {}
    # Not split(): in a value, an internationalised space is a character like any other.
    for parameter in text.split(" "):
        if not parameter:
            continue
        keyword, _, value = parameter.partition("=")
        keyword = keyword.upper()
        if keyword in parameters:
            raise MalformedParameters(f"the parameter {keyword} comes twice")
        parameters[keyword] = value or None
    return parameters


def is_domain(text: str, *, utf8: bool = False) -> bool:
    """Tell whether a text is a ``Domain`` (RFC 5321 section 4.1.2) of at most 255 octets.

    Args:
        text: what may be a domain; an address literal is none.
        utf8: accept U-labels (RFC 6531 section 3.3). Their conformance to IDNA is not checked.

    Returns:
        Whether it is one.
    """
    match = (_UTF8 if utf8 else _ASCII).domain.match(text)
    # What matched holds no surrogate, so it can be encoded.
    return match is not None and len(text.encode()) <= _DOMAIN_LIMIT


def is_address_literal(text: str) -> bool:
    """Tell whether a text is an ``address-literal`` (RFC 5321 section 4.1.3) of at most 255 octets.

    Args:
        text: what may be an address literal, in its square brackets.

    Returns:
        Whether it is one. An IPv4 or IPv6 address is checked in full, of a literal with another tag
        only the form is.
    """
    return len(text) <= _DOMAIN_LIMIT and _compiled(_LITERAL).match(text) is not None


def split_mailbox(mailbox: str) -> tuple[str, str]:
    """Split a mailbox into local-part and domain.

    A quoted local-part and the domain, if that is an address literal, may both hold an ``@``.

    Args:
        mailbox: a mailbox that this module has parsed.

    Returns:
        The local-part, still in its quotes if it has any, and the domain or address literal. The
        domain is empty if the mailbox has none; the null path ``"<>"`` has neither.
    """
    if mailbox == "<>":
        return "", ""
    if mailbox.startswith('"') and (match := _compiled(_QUOTED_STRING).match(mailbox)):
        return match[0], mailbox[match.end() + 1 :]
    local, _, domain = mailbox.partition("@")
    return local, domain


def local_part(mailbox: str) -> str:
    """Return the local-part of a mailbox, see :func:`split_mailbox`.

    Args:
        mailbox: a mailbox that this module has parsed.

    Returns:
        The local-part, still in its quotes if it has any.
    """
    return split_mailbox(mailbox)[0]


def decode_xtext(text: str) -> str:
    """Decode xtext (RFC 3461 section 4), as in the AUTH, ENVID and ORCPT parameters.

    Args:
        text: the value of a parameter, or the part of it that is xtext.

    Returns:
        The text that was encoded. It may hold any character, control characters included; if it has
        to be a mailbox, give it to :func:`parse_mailbox`.

    Raises:
        MalformedParameters: if the text is no xtext, or the octets it stands for are no UTF-8.
    """
    if not _compiled(_XTEXT).match(text):
        raise MalformedParameters(f"not xtext: {text!r}")
    octets = _compiled(_HEXCHAR).sub(lambda match: chr(int(match[1], 16)), text).encode("latin-1")
    try:
        return octets.decode()
    except UnicodeDecodeError as error:
        raise MalformedParameters(f"not UTF-8 in xtext: {text!r}") from error


def encode_xtext(text: str) -> str:
    """Encode a text as xtext (RFC 3461 section 4).

    Args:
        text: any text without surrogates. The RFC encodes ASCII; of other characters, the octets of
            their UTF-8 are encoded.

    Returns:
        The xtext, which is printable ASCII without spaces.

    Raises:
        UnicodeEncodeError: if the text holds a surrogate.
    """
    return _compiled(_NO_XCHAR).sub(lambda match: "+" + match[0].encode().hex("+").upper(), text)


def decode_addr_xtext(text: str, *, utf8: bool = False) -> str:
    """Decode utf-8-addr-xtext or utf-8-addr-unitext (RFC 6533 section 3), as in ORCPT.

    Args:
        text: what follows ``utf-8;``.
        utf8: accept utf-8-addr-unitext, whose characters above ASCII stand as they are.

    Returns:
        The mailbox that was encoded.

    Raises:
        MalformedParameters: if the text is none of it, or what it stands for is no mailbox.
    """
    if not _compiled(_ADDR_UNITEXT if utf8 else _ADDR_XTEXT).match(text):
        raise MalformedParameters(f"not utf-8-addr-xtext: {text!r}")
    address = _compiled(_EMBEDDED).sub(lambda match: chr(int(match[1], 16)), text)
    try:
        mailbox = parse_mailbox(address, utf8=True)
    except MalformedAddress as error:
        raise MalformedParameters(f"not a mailbox in utf-8-addr-xtext: {text!r}") from error
    if mailbox != address:
        raise MalformedParameters(f"a space after the mailbox: {text!r}")
    return mailbox


def _check_domain_length(mailbox: str) -> str:
    """Return the mailbox, or raise MalformedAddress if its domain is too long."""
    if len(split_mailbox(mailbox)[1].encode()) > _DOMAIN_LIMIT:
        raise MalformedAddress(f"a domain of more than {_DOMAIN_LIMIT} octets: {mailbox!r}")
    return mailbox
