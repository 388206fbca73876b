"""Answering at once: what a verb does where nobody is waited for.

A verb is a coroutine, since a hook may wait. Most servers have a hook or two, though, and on all other
commands nobody has a say but the server itself. Such a command is answered as it is received, without
waking the task of the connection, which costs more than the command. A verb names the function that
does so, by :func:`at_once`; whoever overrides the verb has therefore overridden that as well.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from ..protocol import Command
from ..protocol.reply import Reply
from .base import Verbs

__all__ = ["AtOnce", "at_once"]

_Verb = TypeVar("_Verb", bound=Callable[..., Awaitable[None]])
_Answer = Callable[[Any, str | None], Reply | None]

# Those that every message takes.
_VERBS = ("MAIL", "RCPT", "DATA")


def at_once(answer: _Answer) -> Callable[[_Verb], _Verb]:
    """Give a verb what answers it where nobody is waited for.

    Args:
        answer: called as a method with the argument of the command, if that may come now. It returns
            the reply, or raises the fault of the client; or it returns None, having changed nothing,
            and the verb is run.
    """

    def decorate(verb: _Verb) -> _Verb:
        # With the verb itself: what wraps it, as by functools.wraps, takes over its attributes.
        verb.__smtp_at_once__ = verb, answer  # type: ignore[attr-defined]
        return verb

    return decorate


class AtOnce(Verbs):
    """Decides which commands are answered at once."""

    # What answers, by verb; None until a command asks, and again when it may have changed.
    _answers: Mapping[str, _Answer] | None = None

    def _answer_at_once(self, command: Command) -> Reply | None:
        """Give the reply to a command, or None if it is to be run.

        Raises:
            ProtocolError: the client is at fault.
        """
        verb, argument, size = command
        answers = self._answers
        if answers is None:
            if verb not in _VERBS:  # the hook of what comes before may still change something
                return None
            answers = self._answers = self._find_answers()
        answer = answers.get(verb)
        if (
            answer is None
            or self._verbose  # then the command, and what becomes of it, is logged
            or size > self.command_size_limit
            or not self._is_in_order(verb)
        ):
            return None
        return answer(self, argument)

    def _find_answers(self) -> dict[str, _Answer]:
        """Find what answers at once, if the server makes its replies as these functions suppose."""
        if not self._is_plain():
            return {}
        answers: dict[str, _Answer] = {}
        for verb in _VERBS:
            method = self._find_verb(verb)
            marked, answer = getattr(method, "__smtp_at_once__", (None, None))
            if answer is not None and getattr(method, "__func__", None) is marked:
                answers[verb] = answer
        return answers

    def _is_plain(self) -> bool:
        """Tell whether nothing is done with a command or a reply but what the verbs do."""
        raise NotImplementedError
