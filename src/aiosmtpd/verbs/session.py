"""The verbs outside a mail transaction: HELO, EHLO, NOOP, QUIT, VRFY, EXPN, HELP (RFC 5321)."""

from __future__ import annotations

import functools
import inspect
import logging
import warnings
from collections.abc import Callable
from typing import Any

from ..extensions.smtputf8 import split_vrfy, without_utf8
from ..protocol import encode_reply
from ..protocol import reply as replies
from .at_once import at_once
from .base import MISSING, Verbs, syntax, warn_deprecated

__all__ = ["SessionVerbs", "is_old_ehlo_hook"]

log = logging.getLogger("mail.log")

_BYE = encode_reply(replies.BYE)


class SessionVerbs(Verbs):
    """The verbs that change no envelope."""

    # -- HELO and EHLO ----------------------------------------------------------------------------

    def _greet_at_once(self, path: bytes | None, name: bytes | None) -> bytes | None:
        if (
            path is not None
            or name is None
            or hasattr(self.event_handler, "handle_HELO")
            or log.isEnabledFor(logging.INFO)
        ):
            return None
        self._set_rset_state()
        self.session.extended_smtp = False
        self.session.host_name = name.decode()
        self._answers = None  # from now on it is others that count
        return self._connection.encode(f"250 {self.hostname}")

    @syntax("HELO hostname")
    @at_once(_greet_at_once)
    async def smtp_HELO(self, hostname: str | None) -> None:
        """Greet without extensions (RFC 5321 section 4.1.1.1); again, it acts as RSET (4.1.4)."""
        if not hostname:
            await self.push("501 Syntax: HELO hostname")
            return
        self._set_rset_state()
        if self._streamed is not None:
            await self._end_stream()
        self.session.extended_smtp = False
        status = await self._call_handler_hook("HELO", hostname)
        if status is MISSING:
            self.session.host_name = hostname
        await self.push(self._default_for(status, f"250 {self.hostname}", "HELO"))

    def _greet_extended_at_once(self, path: bytes | None, name: bytes | None) -> bytes | None:
        if (
            path is not None
            or name is None
            or hasattr(self.event_handler, "handle_EHLO")
            or hasattr(self, "ehlo_hook")
            or log.isEnabledFor(logging.INFO)
        ):
            return None
        self._set_rset_state()
        self.session.extended_smtp = True
        responses = "\r\n".join(self._ehlo_responses())
        self.session.host_name = name.decode()
        self._answers = None
        return self._connection.encode(responses)

    @syntax("EHLO hostname")
    @at_once(_greet_extended_at_once)
    async def smtp_EHLO(self, hostname: str | None) -> None:
        """Greet with extensions (RFC 5321 section 4.1.1.1); again, it acts as RSET (4.1.4)."""
        if not hostname:
            await self.push("501 Syntax: EHLO hostname")
            return
        self._set_rset_state()
        if self._streamed is not None:
            await self._end_stream()
        self.session.extended_smtp = True
        responses = await self._ask_ehlo_hook(hostname)
        if hasattr(self, "ehlo_hook"):
            await self._push_lines(responses[:-1])
            warn_deprecated("handler.handle_EHLO()", ".ehlo_hook()")
            await self.ehlo_hook()
            responses = responses[-1:]
        await self._push_lines(responses)

    def _ehlo_responses(self) -> list[str]:
        lines = [self.hostname]
        for extension in self._table.extensions:
            line = extension.ehlo_line(self)
            if line is not None:
                lines.append(line)
        return [f"250-{line}" for line in lines[:-1]] + [f"250 {lines[-1]}"]

    async def _ask_ehlo_hook(self, hostname: str) -> list[str]:
        """Let the handler decide on the reply, and give the lines of it that are still to be sent."""
        responses = self._ehlo_responses()
        if self._old_ehlo_hook:
            # The 4-argument form pushes lines of its own, and returns the last one.
            await self._push_lines(responses[:-1])
            status = await self._call_handler_hook("EHLO", hostname)
            return [self._default_for(status, responses[-1], "EHLO")]
        status = await self._call_handler_hook("EHLO", hostname, list(responses))
        if status is MISSING:
            self.session.host_name = hostname
        if isinstance(status, (str, bytes)):
            return [status]  # type: ignore[list-item]
        # A client that is sent no line at all would wait for ever.
        answer: list[str] = self._default_for(status or None, responses, "EHLO")
        return answer

    # -- the others -------------------------------------------------------------------------------

    @syntax("NOOP [ignored]")
    async def smtp_NOOP(self, arg: str | None) -> None:
        """Do nothing (RFC 5321 section 4.1.1.9)."""
        status = await self._call_handler_hook("NOOP", arg)
        await self.push(self._default_for(status, replies.OK, "NOOP"))

    def _part_at_once(self, path: bytes | None, rest: bytes | None) -> bytes | None:
        if (
            path is not None
            or rest is not None
            or self._streamed is not None
            or hasattr(self.event_handler, "handle_QUIT")
            or not self._replies_plainly()
        ):
            return None
        self._connection.end()
        return _BYE

    @syntax("QUIT")
    @at_once(_part_at_once)
    async def smtp_QUIT(self, arg: str | None) -> None:
        """End the session (RFC 5321 section 4.1.1.10)."""
        if arg:
            await self.push("501 Syntax: QUIT")
            return
        status = await self._call_handler_hook("QUIT")
        await self.push(self._default_for(status, replies.BYE, "QUIT"))
        self._connection.end()

    @syntax("VRFY <address>")
    async def smtp_VRFY(self, arg: str | None) -> None:
        """Verify a mailbox or a user name (RFC 5321 section 4.1.1.6)."""
        if await self.check_auth_needed("VRFY"):
            return
        if not arg:
            await self.push("501 Syntax: VRFY <address>")
            return
        arg, utf8 = self._split_vrfy(arg)
        address, rest = self._getaddr(arg)
        if address is None:
            status: Any = f"502 Could not VRFY {replies.repeated(arg)}"
        else:
            status = await self._call_handler_hook("VRFY", arg if rest else address)
            status = self._default_for(status, replies.CANNOT_VRFY, "VRFY")
        await self.push(status if utf8 else without_utf8(status, "VRFY"))

    @property
    def _expands(self) -> bool:
        """Whether the handler expands mailing lists."""
        return self._find_hook("handle_EXPN") is not None

    @syntax("EXPN <list>", when="_expands")
    async def smtp_EXPN(self, arg: str | None) -> None:
        """Expand a mailing list, if the handler does (RFC 5321 section 4.1.1.7)."""
        if not self._expands:
            await self.push(replies.EXPN_UNKNOWN)
        elif await self.check_auth_needed("EXPN"):
            return
        elif not arg:
            await self.push("501 Syntax: EXPN <list>")
        else:
            arg, utf8 = self._split_vrfy(arg)
            status = await self._call_handler_hook("EXPN", arg)
            status = self._default_for(status, replies.EXPN_UNKNOWN, "EXPN")
            await self.push(status if utf8 else without_utf8(status, "EXPN"))

    def _split_vrfy(self, arg: str) -> tuple[str, bool]:
        """Split the parameter SMTPUTF8 from an argument; tell whether the reply may hold UTF-8."""
        if self.enable_SMTPUTF8 and self.session.extended_smtp:
            return split_vrfy(arg)
        return arg, not self.enable_SMTPUTF8  # then what cannot be said is escaped in any case

    # -- HELP -------------------------------------------------------------------------------------

    @syntax("HELP [command]")
    async def smtp_HELP(self, arg: str | None) -> None:
        """Tell which verbs there are, or the syntax of one (RFC 5321 section 4.1.1.8)."""
        if await self.check_auth_needed("HELP"):
            return
        code = 250
        if arg:
            method = self._find_verb(arg.upper())
            if method is not None and self._syntax_available(method):
                await self.push(f"250 Syntax: {self._syntax_of(method)}")
                return
            code = 501
        own = {name.removeprefix("smtp_") for name in dir(self) if name.startswith("smtp_")}
        verbs = sorted(
            verb
            for verb in own | self._table.verbs.keys()
            if self._syntax_available(method := self._find_verb(verb))
            and getattr(method, "__smtp_syntax_listed__", True)
        )
        await self.push(f"{code} Supported commands: {' '.join(verbs)}")

    def _syntax_available(self, method: Callable[..., Any] | None) -> bool:
        """Tell whether HELP knows a verb."""
        if method is None or not hasattr(method, "__smtp_syntax__"):
            return False
        when = getattr(method, "__smtp_syntax_when__", None)
        return bool(getattr(self, when)) if when else True

    def _syntax_of(self, method: Callable[..., Any]) -> str:
        text: str = method.__smtp_syntax__  # type: ignore[attr-defined]
        extended = getattr(method, "__smtp_syntax_extended__", None)
        return text + extended if self.session.extended_smtp and extended else text


@functools.lru_cache(maxsize=64)
def _arguments_of(function: Callable[..., Any]) -> int:
    """Count the parameters of a method, without ``self``."""
    return len(inspect.signature(function.__get__(object())).parameters)


def is_old_ehlo_hook(hook: Any) -> bool:
    """Tell whether ``handle_EHLO`` is of the form before 1.3, without the responses.

    Raises:
        RuntimeError: it is of neither form.
    """
    function = getattr(hook, "__func__", None)
    # Found out once, where it is a method of a class: it takes longer than to greet.
    count = len(inspect.signature(hook).parameters) if function is None else _arguments_of(function)
    if count not in (4, 5):
        raise RuntimeError("Unsupported EHLO Hook")
    if count == 4:
        warnings.warn(
            "Use the 5-argument handle_EHLO() hook instead of the 4-argument handle_EHLO() hook; "
            "support for the 4-argument handle_EHLO() hook will be removed in version 3",
            DeprecationWarning,
            stacklevel=3,
        )
    return count == 4
