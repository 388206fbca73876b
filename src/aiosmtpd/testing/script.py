r"""Conversations as text, in the notation of the examples of RFC 5321 appendix D.

A line ``C: ...`` is what the client sends, a line ``S: ...`` what the server must answer. This module
reads scripts and compares replies with them; it knows no connection. The notation:

- ``C: text`` sends the text and CRLF. Lines that follow each other are sent at once, as a client does
  that pipelines.
- ``S: text`` is a line of a reply. Three dots in it stand for any text; three dots alone, for any
  number of lines of this reply.
- ``[eof]`` ends the client's side, ``[lost]`` breaks the connection, and ``[closed]`` waits until the
  server has closed it.
- Empty lines and lines that begin with ``#`` are there for the reader. Indentation does not matter.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["Step", "compare", "matches", "parse_script"]

ANY = "..."
_LINE = re.compile(r"\s*(?:(?P<who>[CS]):(?: (?P<text>.*))?|\[(?P<event>eof|lost|closed)\]\s*)")
_CONTINUED = re.compile(r"\d{3}-")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a script.

    Attributes:
        kind: ``"C"`` for lines to send at once, ``"S"`` for the lines of one reply, or the event.
        line: the number of the step's first line in the script.
        lines: the lines to send, or the patterns of the reply's lines.
    """

    kind: Literal["C", "S", "eof", "lost", "closed"]
    line: int
    lines: tuple[str, ...] = ()


def parse_script(script: str) -> list[Step]:
    """Read a script.

    Returns:
        Its steps; a server's step is one whole reply.

    Raises:
        ValueError: a line is none of the notation.
    """
    steps: list[Step] = []
    for kind, number, text in _lines(script):
        last = steps[-1] if steps else None
        if kind in ("eof", "lost", "closed"):
            steps.append(Step(kind, number))  # type: ignore[arg-type]
        elif last is None or last.kind != kind or (kind == "S" and not _goes_on(last.lines[-1])):
            steps.append(Step(kind, number, (text,)))  # type: ignore[arg-type]
        else:
            steps[-1] = Step(last.kind, last.line, (*last.lines, text))
    return steps


def _lines(script: str) -> Iterator[tuple[str, int, str]]:
    for number, line in enumerate(script.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(
                f"line {number} of the script: neither 'C: ...' nor 'S: ...' nor one of "
                f"[eof], [lost], [closed]: {line.strip()!r}"
            )
        yield match["event"] or match["who"], number, match["text"] or ""


def _goes_on(pattern: str) -> bool:
    # Three dots may stand in the middle of a reply; whether they end it, the next line tells.
    return pattern == ANY or _CONTINUED.match(pattern) is not None


def matches(pattern: str, line: str) -> bool:
    """Tell whether a line of a reply is as the script has it."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split(ANY))), line) is not None


def compare(patterns: Sequence[str], lines: Sequence[str]) -> list[str] | None:
    """Compare a reply with the script.

    Args:
        patterns: the lines of the reply in the script.
        lines: the lines of the reply that came.

    Returns:
        None if they agree, otherwise the difference, a line a line, marked as in ``difflib.ndiff``.
    """
    if _agree(patterns, lines):
        return None
    # Patterns that a line satisfies are shown as that line, so that only what differs differs.
    shown, rest = [], list(lines)
    for pattern in patterns:
        found = next((i for i, line in enumerate(rest) if matches(pattern, line)), None)
        if pattern != ANY and found is not None:
            shown.append(rest[found])
            del rest[: found + 1]
        else:
            shown.append(pattern)
    marked = difflib.ndiff([f"S: {line}" for line in shown], [f"S: {line}" for line in lines])
    return [line.rstrip("\n") for line in marked]


def _agree(patterns: Sequence[str], lines: Sequence[str]) -> bool:
    if not patterns:
        return not lines
    if patterns[0] == ANY:
        return any(_agree(patterns[1:], lines[skip:]) for skip in range(len(lines) + 1))
    return bool(lines) and matches(patterns[0], lines[0]) and _agree(patterns[1:], lines[1:])
