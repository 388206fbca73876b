"""Answering at once: what a verb does where nobody is waited for.

A verb is a coroutine, since a hook may wait. Most servers have a hook or two, though, and on all other
commands nobody has a say but the server itself. Such a command is answered as it is received, without
waking the task of the connection, which costs more than the command; if it comes in its plain form, that
is (see :mod:`aiosmtpd.protocol.plain`). A verb names the function that does so, by :func:`at_once`;
whoever overrides the verb has therefore overridden that as well.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Awaitable, Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ..protocol import ProtocolError
from ..protocol.connection import HELD_LIMIT
from ..protocol.plain import PLAIN_LIMIT, as_event, plain_command
from .base import Verbs

if TYPE_CHECKING:
    import re

    from ..protocol import Connection

__all__ = ["OPENING", "AtOnce", "Methods", "at_once"]

_Verb = TypeVar("_Verb", bound=Callable[..., Awaitable[None]])
_Answer = Callable[[Any, bytes | None, bytes | None], bytes | None]


log = logging.getLogger("mail.log")


class Methods:
    """Methods of a server that programs may have made their own.

    Args:
        names: of the methods; at least two.

    Attributes:
        names: the same.
        functions_of: gives the functions of a server's methods, in one step, for it is done for each
            connection. It finds what a program has set on the instance as well, and raises
            AttributeError where that has no function.
    """

    def __init__(self, *names: str) -> None:
        self.names = names
        self.functions_of = attrgetter(*(f"{name}.__func__" for name in names))


class _Answering(NamedTuple):
    """What may be answered at once in a part of the session.

    Attributes:
        openings: what plain commands begin with.
        verbs: the methods of their verbs.
        others: the methods that commands and replies go through besides.
    """

    openings: tuple[bytes, ...]
    verbs: Methods
    others: Methods


OPENING = Methods(
    "push", "connection_made", "_handle_client", "_create_session", "_create_envelope"
)
"""What has a say in how a connection opens."""

_REPLYING = Methods("push", "_call_handler_hook")
_BEFORE_GREETING = _Answering(
    (b"HELO", b"EHLO", b"QUIT"), Methods("smtp_HELO", "smtp_EHLO", "smtp_QUIT"), _REPLYING
)
_AFTER_GREETING = _Answering(
    (b"MAIL FROM", b"RCPT TO", b"DATA", b"RSET", b"QUIT"),
    Methods("smtp_MAIL", "smtp_RCPT", "smtp_DATA", "smtp_RSET", "smtp_QUIT"),
    Methods(
        *_REPLYING.names,
        *("check_helo_needed", "check_auth_needed", "_getaddr", "_strip_command_keyword"),
    ),
)


def at_once(answer: _Answer) -> Callable[[_Verb], _Verb]:
    """Give a verb what answers it where nobody is waited for.

    Args:
        answer: called as a method with the mailbox of the path, empty for the null path, and with what
            follows, each None if it is not there. It returns the octets of the reply; or it returns
            None, or raises the fault of the client, and the verb is run. It has not changed anything
            then but what the verb changes in the same way.
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
def _answers_of(
    openings: tuple[bytes, ...], functions: tuple[Any, ...], size_limit: int
) -> _Answers:
    by_opening = {}
    for opening, function in zip(openings, functions, strict=False):
        marked, answer = getattr(function, "__smtp_at_once__", (None, None))
        if marked is function and answer is not None:
            by_opening[opening] = answer
    return _Answers(plain_command().match, min(PLAIN_LIMIT, size_limit + 2), by_opening)


class AtOnce(Verbs):
    """Decides which commands are answered at once."""

    if TYPE_CHECKING:
        # None until a command asks, and again when it may have changed.
        _answers: _Answers | None

    def _serve_at_once(self, connection: Connection, data: bytes) -> bytes:
        """Answer the plain commands that come next; give the octets that are left.

        The first one that cannot be answered is left for the task, as an event.

        Args:
            connection: the engine.
            data: what came.
        """
        buffer = connection.buffer
        begun = buffer.data
        # Each command, and what becomes of it, is logged; or it is none, or not yet.
        if self._verbose or not connection.expects_command() or (begun and b"\n" not in data):
            return data
        if begun:
            data = buffer.take(len(buffer)) + data
        match, limit, answers = self._answers or self._find_answers()
        octets = b""
        start, size = 0, len(data)
        while (command := match(data, start, start + limit)) is not None:
            verb, path, rest = command.groups()
            reply = None
            try:
                answer = answers.get(verb.upper())
                if answer is not None:
                    reply = answer(self, path, rest)
            except ProtocolError:
                pass  # the verb finds it as well, and the task answers it
            except Exception as error:
                self._met = error  # the task handles it as it does its own
            start = command.end()
            if reply is None:
                if self._met is None:  # an exception may be false
                    self._met = as_event(command)
                break
            self._replies_sent += 1
            octets = octets + reply if octets else reply
            if start == size or connection.eof:
                self.transport.write(octets)  # type: ignore[union-attr]
                if connection.eof:
                    self._finish_at_once()
                return b""
            if not connection.expects_command() or len(octets) >= HELD_LIMIT:
                break  # others may have their turn of the loop
        if octets:
            connection.held += octets
        return data[start:]

    def _find_answers(self) -> _Answers:
        """Find what answers at once, if the server makes its replies as these functions suppose."""
        openings, verbs, others = _AFTER_GREETING if self.session.host_name else _BEFORE_GREETING
        functions: tuple[Any, ...] = ()
        with contextlib.suppress(AttributeError):
            if self._is_plain(others):
                functions = verbs.functions_of(self)
        self._answers = answers = _answers_of(openings, functions, self.command_size_limit)
        return answers

    def _replies_plainly(self) -> bool:
        """Tell whether a reply may leave at once; a hook may have changed that since the last one."""
        return self._is_plain(_REPLYING) and not log.isEnabledFor(logging.INFO)

    def _is_plain(self, methods: Methods) -> bool:
        """Tell whether nothing is done with a command or a reply but what the verbs do.

        Args:
            methods: which of the server's methods must be its own.
        """
        raise NotImplementedError
