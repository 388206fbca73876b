"""Answering at once: what a verb does where nobody is waited for.

A verb is a coroutine, since a hook may wait. Most servers have a hook or two, though, and on all other
commands nobody has a say but the server itself. Such a command is answered as it is received, without
waking the task of the connection, which costs more than the command; if it comes in its plain form, that
is (see :mod:`aiosmtpd.protocol.plain`). A verb names the function that does so, by :func:`at_once`;
whoever overrides the verb has therefore overridden that as well.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ..protocol.plain import PLAIN_LIMIT, plain_command
from .base import Verbs

if TYPE_CHECKING:
    import re

    from ..protocol import Connection

__all__ = ["WATCHED", "AtOnce", "at_once"]

_Verb = TypeVar("_Verb", bound=Callable[..., Awaitable[None]])
_Answer = Callable[[Any, bytes | None, bytes | None], bytes | None]

WATCHED = (
    "push",
    "_call_handler_hook",
    "check_helo_needed",
    "check_auth_needed",
    "_getaddr",
    "_strip_command_keyword",
)
"""What commands and replies go through; nothing is answered at once where a program has its own."""

# Octets of replies after which others have their turn of the loop.
_TURN = 16384


class _Methods:
    """The methods that are looked at to learn what may be answered at once.

    Args:
        verbs: those of verbs, by what a plain command begins with.
        watched: those that commands and replies go through; the first ones of ``WATCHED``.

    Attributes:
        openings: what plain commands begin with.
        verbs_of: gives the functions of the verbs' methods that a server has. All in one step, for it is
            done for each connection. A method that a program set on the instance is found as well; it
            need not have a function.
        watched_of: the same for the watched ones.
    """

    def __init__(self, verbs: dict[bytes, str], watched: tuple[str, ...]) -> None:
        self.openings = tuple(verbs)
        self.verbs_of = attrgetter(*(f"{name}.__func__" for name in verbs.values()))
        self.watched_of = attrgetter(*(f"{name}.__func__" for name in watched))


_BEFORE_GREETING = _Methods(
    {b"HELO": "smtp_HELO", b"EHLO": "smtp_EHLO", b"QUIT": "smtp_QUIT"}, WATCHED[:2]
)
_AFTER_GREETING = _Methods(
    {
        b"MAIL FROM": "smtp_MAIL",
        b"RCPT TO": "smtp_RCPT",
        b"DATA": "smtp_DATA",
        b"RSET": "smtp_RSET",
        b"QUIT": "smtp_QUIT",
    },
    WATCHED,
)


def at_once(answer: _Answer) -> Callable[[_Verb], _Verb]:
    """Give a verb what answers it where nobody is waited for.

    Args:
        answer: called as a method with the mailbox of the path, empty for the null path, and with what
            follows, each None if it is not there. It returns the octets of the reply; or, having changed
            nothing, it returns None or raises, and the verb is run.
    """

    def decorate(verb: _Verb) -> _Verb:
        # With the verb itself: what wraps it, as by functools.wraps, takes over its attributes.
        verb.__smtp_at_once__ = verb, answer  # type: ignore[attr-defined]
        return verb

    return decorate


class _Answers(NamedTuple):
    """What is answered at once on a connection.

    Attributes:
        match: finds a plain command.
        limit: the longest one in octets, CRLF included.
        by_opening: what answers, by what the command begins with.
    """

    match: Callable[..., re.Match[bytes] | None]
    limit: int
    by_opening: dict[bytes, _Answer]


@functools.lru_cache(maxsize=64)
def _answers_of(methods: _Methods, verbs: tuple[Any, ...], size_limit: int) -> _Answers:
    by_opening = {}
    for opening, verb in zip(methods.openings, verbs, strict=False):
        marked, answer = getattr(verb, "__smtp_at_once__", (None, None))
        if marked is verb and answer is not None:
            by_opening[opening] = answer
    return _Answers(plain_command().match, min(PLAIN_LIMIT, size_limit + 2), by_opening)


class AtOnce(Verbs):
    """Decides which commands are answered at once."""

    if TYPE_CHECKING:
        # None until a command asks, and again when it may have changed.
        _answers: _Answers | None

    def _serve_at_once(self, connection: Connection, data: bytes) -> bytes:
        """Answer the plain commands that come next; give the octets that are left.

        Args:
            connection: the engine.
            data: what came.
        """
        if self._verbose or not connection.expects_command():
            return data  # each command, and what becomes of it, is logged; or it is none
        if connection.buffer.data:
            if b"\n" not in data:
                return data
            data = connection.buffer.take_all() + data
        match, limit, answers = self._answers or self._find_answers()
        octets = b""
        start, size = 0, len(data)
        while (command := match(data, start, start + limit)) is not None:
            verb, path, rest = command.groups()
            answer = answers.get(verb.upper())
            if answer is None:
                break
            try:
                reply = answer(self, path, rest)
            except Exception:
                break  # the verb meets it as well, in the task, which answers it
            if reply is None:
                break
            self._replies_sent += 1
            octets = octets + reply if start else reply
            start = command.end()
            if start == size or connection.eof:
                self.transport.write(octets)  # type: ignore[union-attr]
                if connection.eof:
                    self._finish_at_once()
                return b""
            if not connection.expects_command() or len(octets) >= _TURN:
                break
        if not octets:
            return data
        connection.hold(octets)
        return data[start:]

    def _find_answers(self) -> _Answers:
        """Find what answers at once, if the server makes its replies as these functions suppose."""
        methods = _AFTER_GREETING if self.session.host_name else _BEFORE_GREETING
        try:
            verbs, watched = methods.verbs_of(self), methods.watched_of(self)
        except AttributeError:
            verbs = ()
        else:
            if not self._is_plain(watched):
                verbs = ()
        self._answers = answers = _answers_of(methods, verbs, self.command_size_limit)
        return answers

    def _is_plain(self, watched: tuple[Any, ...]) -> bool:
        """Tell whether nothing is done with a command or a reply but what the verbs do.

        Args:
            watched: the functions of the first methods of ``WATCHED``.
        """
        raise NotImplementedError
