"""Answering at once: what a verb does where nobody is waited for.

A verb is a coroutine, since a hook may wait. Most servers have a hook or two, though, and on all other
commands nobody has a say but the server itself. Such a command is answered as it is received, without
waking the task of the connection, which costs more than the command; if it comes in its plain form, that
is (see :mod:`aiosmtpd.protocol.plain`). A verb names the function that does so, by :func:`at_once`;
whoever overrides the verb has therefore overridden that as well.
"""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Awaitable, Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

from ..protocol import ProtocolError
from ..protocol.connection import HELD_LIMIT
from ..protocol.plain import PLAIN_LIMIT, as_event, plain_command
from .base import Verbs

if TYPE_CHECKING:
    from ..protocol import Connection

__all__ = ["NO_ANSWERS", "OPENING", "AtOnce", "Methods", "at_once", "note_own_methods"]

_Verb = TypeVar("_Verb", bound=Callable[..., Awaitable[None]])
_Answer = Callable[[Any, bytes | None, bytes | None], bytes | None]
# What matches a plain command, and what answers it, by what it begins with.
_Answers = tuple[re.Pattern[bytes], dict[bytes, _Answer]]

log = logging.getLogger("mail.log")


class Methods:
    """Methods of a server that programs may have made their own.

    Args:
        names: of the methods; at least two.

    Attributes:
        names: the same.
        functions_of: gives the functions of a class's methods, in one step, for it is done for each
            connection; raises AttributeError if one cannot be had of it, as with some descriptors.
        own: the functions of :class:`~aiosmtpd.smtp.SMTP` itself.
    """

    own: tuple[Any, ...]

    def __init__(self, *names: str) -> None:
        self.names = frozenset(names)
        self.functions_of = attrgetter(*names)

    def note_own(self, server: type) -> None:
        """Note the functions of the class, before programs change it."""
        self.own = self.functions_of(server)


class _Part:
    """A part of the session, by what may be answered at once in it.

    Args:
        verbs: the names of the methods of the verbs, by what plain commands begin with.
        others: the names of the methods that commands and replies go through besides.
    """

    def __init__(self, verbs: dict[bytes, str], others: tuple[str, ...]) -> None:
        self.openings = tuple(verbs)
        self.methods = Methods(*verbs.values(), *others)

    @functools.cached_property
    def answers(self) -> _Answers:
        """What is answered at once where all methods are the server's own."""
        return self.answers_of(self.methods.own)

    def answers_of(self, functions: tuple[Any, ...]) -> _Answers:
        """Give what is answered at once where the methods have these functions."""
        count = len(self.openings)
        if functions[count:] != self.methods.own[count:]:
            return NO_ANSWERS
        return _answers_of(self.openings, tuple(map(_answer_of, functions[:count])))


_REPLY = ("push", "_call_handler_hook")

OPENING = Methods(
    "push", "connection_made", "_handle_client", "_create_session", "_create_envelope"
)
"""What has a say in how a connection opens."""

_REPLYING = Methods(*_REPLY)
_BEFORE_GREETING = _Part({b"HELO": "smtp_HELO", b"EHLO": "smtp_EHLO", b"QUIT": "smtp_QUIT"}, _REPLY)
_AFTER_GREETING = _Part(
    {
        b"MAIL FROM": "smtp_MAIL",
        b"RCPT TO": "smtp_RCPT",
        b"DATA": "smtp_DATA",
        b"RSET": "smtp_RSET",
        b"QUIT": "smtp_QUIT",
    },
    (*_REPLY, "check_helo_needed", "check_auth_needed", "_getaddr", "_strip_command_keyword"),
)


def note_own_methods(server: type) -> None:
    """Note the methods of the class that nobody has changed yet."""
    for methods in (OPENING, _REPLYING, _BEFORE_GREETING.methods, _AFTER_GREETING.methods):
        methods.note_own(server)


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


def _answer_of(verb: Any) -> _Answer | None:
    """Give what answers at once for a verb, or None."""
    marked, answer = getattr(verb, "__smtp_at_once__", (None, None))
    return answer if marked is verb else None


@functools.lru_cache(maxsize=64)
def _answers_of(openings: tuple[bytes, ...], answers: tuple[_Answer | None, ...]) -> _Answers:
    found = zip(openings, answers, strict=True)
    return plain_command(), {opening: answer for opening, answer in found if answer is not None}


def _nobody(server: Any, path: bytes | None, rest: bytes | None) -> None:
    """Leave a command to the task."""


NO_ANSWERS: _Answers = (re.compile(b"(?!)"), {})
"""All is left to the task."""


class AtOnce(Verbs):
    """Answers commands at once, where that may be."""

    if TYPE_CHECKING:
        # None until a command asks, and again when it may have changed.
        _answers: _Answers | None

    def data_received(self, data: bytes) -> None:
        """Take octets that the client sent.

        Plain commands are answered here, up to the first that cannot be. That one is left for the task,
        as an event, and so is all else that came.

        Args:
            data: the octets; how they are cut makes no difference.
        """
        connection = self._connection
        if (
            not self._idle
            or self._write_waiter is not None
            or self._verbose  # each command is logged
            or connection.reader is not None
            or connection.eof
        ):
            self._take_in(data)
            return
        found = None
        if len(data) <= PLAIN_LIMIT and not connection.buffer.data:
            command, answers = self._answers or self._find_answers()
            found = command.fullmatch(data)  # nearly always it is one, and whole
        if found is None:
            self._serve_group(connection, data)
            return
        reply = self._ask(found, answers)
        if reply is None:
            self._take_in(b"")
            return
        self._since = self._loop.time()
        self.transport.write(reply)  # type: ignore[union-attr]
        if connection.eof:
            self._finish_at_once()

    def _serve_group(self, connection: Connection, data: bytes) -> None:
        """Answer the commands of a group that can be answered, or none while the first is not whole.

        Args:
            connection: the engine, which expects a command.
            data: what came.
        """
        buffer = connection.buffer
        if buffer.data:
            if b"\n" not in data:
                self._take_in(data)
                return
            data = buffer.take(len(buffer)) + data
        command, answers = self._answers or self._find_answers()
        octets, start = b"", 0
        while found := command.match(data, start, start + PLAIN_LIMIT):
            start = found.end()
            reply = self._ask(found, answers)
            if reply is None:
                break
            octets += reply
            if start == len(data) or connection.eof:
                self._since = self._loop.time()
                self.transport.write(octets)  # type: ignore[union-attr]
                if connection.eof:
                    self._finish_at_once()
                return
            if connection.reader is not None or len(octets) >= HELD_LIMIT:
                break  # others may have their turn of the loop
        connection.held += octets
        self._take_in(data[start:])

    def _ask(self, found: re.Match[bytes], answers: dict[bytes, _Answer]) -> bytes | None:
        """Give the reply to a command, or None where the task has to handle it, or what it met."""
        opening, path, rest = found.groups()
        answer = answers.get(opening) or answers.get(opening.upper(), _nobody)
        try:
            reply = answer(self, path, rest)
        except ProtocolError:
            reply = None  # the verb finds it as well, and the task answers it
        except Exception as error:
            self._met = error  # the task handles it as it does its own
            return None
        if reply is None:
            self._met = as_event(found)
        return reply

    def _find_answers(self) -> _Answers:
        """Find what answers at once, if the server makes its replies as these functions suppose."""
        part = _AFTER_GREETING if self.session.host_name else _BEFORE_GREETING
        try:
            functions = part.methods.functions_of(type(self))
        except AttributeError:
            functions = ()
        if not self._answers_plainly(part.methods):
            answers = NO_ANSWERS
        elif functions == part.methods.own:
            answers = part.answers
        else:
            answers = part.answers_of(functions)
        self._answers = answers
        return answers

    def _has_own(self, methods: Methods) -> bool:
        """Tell whether methods are the server's own, on its class and on this object of it."""
        try:
            functions = methods.functions_of(type(self))
        except AttributeError:
            return False
        return functions == methods.own and methods.names.isdisjoint(self.__dict__)

    def _replies_plainly(self) -> bool:
        """Tell whether a reply may still leave at once, whatever a hook did since the last command."""
        return (
            self._has_own(_REPLYING)
            and not self.command_size_limits
            and (not self.__dict__ or self._answers_plainly(_REPLYING))
            and not log.isEnabledFor(logging.INFO)
        )

    def _answers_plainly(self, methods: Methods) -> bool:
        """Tell whether nothing is done with a command or a reply but what the verbs do.

        Args:
            methods: what must not be overridden on this object; of its class nothing is said.
        """
        if (
            self._filtering
            or self._handler_lists_hooks
            or self.command_size_limits
            or self.command_size_limit < PLAIN_LIMIT
        ):
            return False
        # Nearly always nothing was set on the connection, and there is nothing more to look at.
        return not (self.__dict__ or self.require_starttls) or (
            methods.names.isdisjoint(self.__dict__)
            and self._call_limits is None
            and self._tls_handshake_okay
            and (not self.require_starttls or self._tls_protocol is not None)
        )
