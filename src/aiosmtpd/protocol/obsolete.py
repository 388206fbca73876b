"""The obsolete forms of a path: RFC 5322 section 4.4, and the backslashes of RFC 821.

It knows how a path that is in one of these forms is written today, and nothing else. It refuses to
know whether that is a path: every character it does not give a meaning to is passed on, and the
grammar, which alone calls it and only with what it has refused, parses the outcome.

The forms are these, in which spaces and comments may stand around every word, dot and label::

    obs-local-part = word *("." word)            ; RFC 5322 section 4.4
    obs-domain     = atom *("." atom)
    word           = 1*(atom / quoted-string)    ; section 3.2.5 has one of them
    <string>      ::= <char> | <char> <string>   ; RFC 821 section 4.1.2, here for an atom
    <char>        ::= <c> | "\\" <x>

and a literal ``[IPv6::1]`` that lacks the colon after its tag.

One pass over the text does, without recursion: comments nest as deep as they like and cost no more
than their length. Folding knows no line end and no tab here, for a command is one line of text.
"""

from __future__ import annotations

import re

from .errors import MalformedAddress

__all__ = ["modern_path"]

# RFC 5322 section 3.2.3: atext is what is no special, space or control. Other than there it has all
# of Unicode, as has qtext; the grammar knows which of that is allowed, and when.
_ATEXT = r'[^\x00- "(),.:;<>@\[\\\]\x7f]'
_QTEXT = r'[^\x00-\x1f"\\\x7f]'
_QUOTED_PAIR = r"\\[ -~]"

_QUOTED_STRING = rf'"{_QTEXT}*+(?:{_QUOTED_PAIR}{_QTEXT}*+)*"'
_STRING = rf"(?:{_ATEXT}|{_QUOTED_PAIR}){_ATEXT}*+(?:{_QUOTED_PAIR}{_ATEXT}*+)*"

# The tokens, each with the spaces before it. Spaces that no token follows are not consumed: these
# end a path without brackets.
_WORD = re.compile(rf" *+((?:{_QUOTED_STRING}|{_STRING})+)")
_LABEL = re.compile(rf" *+({_ATEXT}++)")
_LITERAL = re.compile(r" *+(\[[!-Z^-~]*+\])")
_SHORT_TAG = re.compile(r"(?<=\[)(IPv6:)(?=:[^:])", re.IGNORECASE | re.ASCII)
_DOT = re.compile(r" *+(\.)")
_AT = re.compile(r" *+(@)")
_CLOSE = re.compile(r" *+(>)")

# An angle bracket, and behind it a source route, for which there is no obsolete form here.
_OPEN = re.compile(r' *+(<(?:@[^ "(:<>\\]*+:)?)')

# RFC 5322 section 3.2.2: comment = "(" *([FWS] ccontent) [FWS] ")"; ccontent has comments in turn.
# Of what is thrown away nobody will look at the characters again, hence ASCII only.
_CTEXT = r"[ -'*-\[\]-~]"
_COMMENT = re.compile(r" *+\(")
_PARENTHESIS = re.compile(rf"{_CTEXT}*+(?:{_QUOTED_PAIR}{_CTEXT}*+)*[()]")

_DOT_STRING = re.compile(rf"{_ATEXT}++(?:\.{_ATEXT}++)*\Z")
_QUOTING = re.compile(r'\\(.)|"')
_TO_ESCAPE = re.compile(r'(["\\])')


class _Scanner:
    """A place in a text, which moves behind one token after the other."""

    __slots__ = ("at", "text")

    def __init__(self, text: str, at: int) -> None:
        self.text = text
        self.at = at

    def skip_comments(self) -> None:
        """Move behind the comments that stand here, but not behind the spaces after them."""
        while opening := _COMMENT.match(self.text, self.at):
            self.at = opening.end()
            depth = 1
            while depth:
                parenthesis = _PARENTHESIS.match(self.text, self.at)
                if parenthesis is None:
                    raise self.refusal()
                self.at = parenthesis.end()
                depth += 1 if self.text[self.at - 1] == "(" else -1

    def take(self, token: re.Pattern[str]) -> str | None:
        """Return the token that comes next, behind any comments, or None if another one does."""
        self.skip_comments()
        match = token.match(self.text, self.at)
        if match is None:
            return None
        self.at = match.end()
        return match[1]

    def take_dotted(self, token: re.Pattern[str]) -> list[str]:
        """Return what stands between dots."""
        found = []
        while word := self.take(token):
            found.append(word)
            if not self.take(_DOT):
                return found
        raise self.refusal()

    def refusal(self) -> MalformedAddress:
        """Return the error that says so when the next token is none that may stand there."""
        return MalformedAddress(f"not a path: {self.text!r}")


def modern_path(text: str) -> str:
    """Rewrite a path that may be in an obsolete form as RFC 5321 section 4.1.2 has it.

    Comments and spaces go; the words of the local-part become one Dot-string if that can hold
    them, else one Quoted-string in which nothing is escaped that need not be.

    Args:
        text: what follows ``MAIL FROM:`` or ``RCPT TO:``. A path without brackets ends at a space,
            unless a dot, an ``@`` or a comment follows that.

    Returns:
        The text with its path, now between brackets, rewritten; what follows the path is as it was.
        That the path is one by the grammar of today has yet to be seen.

    Raises:
        MalformedAddress: if no path stands there in the obsolete forms either.
    """
    opening = _OPEN.match(text)
    scanner = _Scanner(text, opening.end() if opening else 0)
    mailbox = _local_part(scanner.take_dotted(_WORD))
    if scanner.take(_AT):
        mailbox += "@" + (_literal(scanner) or ".".join(scanner.take_dotted(_LABEL)))
    if not opening:
        scanner.skip_comments()
    elif not scanner.take(_CLOSE):
        raise scanner.refusal()
    return f"{opening[1] if opening else '<'}{mailbox}>{text[scanner.at :]}"


def _literal(scanner: _Scanner) -> str | None:
    """Return an address literal, with the colon of its tag where ``[IPv6::1]`` has left it out."""
    literal = scanner.take(_LITERAL)
    return literal and _SHORT_TAG.sub(r"\1:", literal)


def _local_part(words: list[str]) -> str:
    """Return words as one local-part of the same content."""
    content = ".".join(_QUOTING.sub(lambda pair: pair[1] or "", word) for word in words)
    if _DOT_STRING.match(content):
        return content
    return '"' + _TO_ESCAPE.sub(r"\\\1", content) + '"'
