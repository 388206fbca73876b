"""Commands in the form that nearly every client writes, read in one step.

A plain command is a verb, or one with a path of ASCII in angle brackets, perhaps something behind it,
and CRLF; all in few octets. One expression finds the parts, where the reader of commands takes a step
for each: the end of the line, its characters, the verb, the keyword, the path. It is made of the rules
of the grammar and accepts nothing that the grammar does not; what it does not match may be right all
the same, and is left to those who know all forms.
"""

from __future__ import annotations

import functools
import re

from .events import Command
from .grammar import PLAIN_MAILBOX

__all__ = ["PLAIN_LIMIT", "as_event", "plain_command"]

PLAIN_LIMIT = 255
"""The longest plain command in octets, CRLF included. No limit of the grammar is lower."""


@functools.cache
def plain_command() -> re.Pattern[bytes]:
    """Give what a plain command matches, compiled when it is first asked for.

    Match it with an end, as in ``match(octets, start, start + PLAIN_LIMIT)``. Its groups are the verb as
    the client wrote it, with the keyword of a path if there is one (``MAIL FROM``); the mailbox in the
    path, or nothing for the null path; and what follows, without spaces around it. The last two are None
    where there is neither path nor argument.
    """
    verb = r"[A-Za-z]++(?: [A-Za-z]++(?=:))?"
    argument = r"[!-~]++(?: ++[!-~]++)*"
    rule = rf"({verb})(?::<({PLAIN_MAILBOX}|)>)?(?: ({argument}))?\r\n"
    return re.compile(rule.encode("ascii"))


def as_event(match: re.Match[bytes]) -> Command:
    """Give the event that the reader of commands would make of a plain command.

    Args:
        match: what :func:`plain_command` found.
    """
    line = match[0][:-2].decode("ascii")
    verb, _, argument = line.partition(" ")
    return Command(verb.upper(), argument or None, len(line))
