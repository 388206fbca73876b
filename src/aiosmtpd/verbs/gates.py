"""What a command of a mail transaction has to pass first: a greeting, AUTH, the order."""

from __future__ import annotations

import logging

from ..protocol import phase_of
from ..protocol import reply as replies
from ..protocol.sequence import ALLOWED
from .base import Verbs

__all__ = ["Gates"]

log = logging.getLogger("mail.log")


class Gates(Verbs):
    """The checks that a subclass may override, and the order of the commands."""

    def _may_come(self, verb: str) -> bool:
        """Tell whether both checks below and the sequence let a command come.

        It is one step where the checks would be two coroutines. Where one of them is overridden
        nothing is known, and they are asked.
        """
        return self._has_own_checks() and self._is_in_order(verb)

    def _has_own_checks(self) -> bool:
        return (
            getattr(self.check_helo_needed, "__func__", None) is _CHECK_HELO_NEEDED
            and getattr(self.check_auth_needed, "__func__", None) is _CHECK_AUTH_NEEDED
        )

    def _is_in_order(self, verb: str) -> bool:
        session = self.session
        if self._auth_required and not session.authenticated:
            return False
        return phase_of(session, self.envelope) in ALLOWED[verb]

    async def check_helo_needed(self, helo: str = "") -> bool:
        """Refuse a command that came before any greeting; tell whether it was refused."""
        if self.session.host_name:
            return False
        await self.push(replies.send_greeting_first(helo or self._greeting_verb))
        return True

    async def check_auth_needed(self, caller_method: str) -> bool:
        """Refuse a command that needs AUTH before it; tell whether it was refused."""
        if not self._auth_required or self.session.authenticated:
            return False
        log.info("%s: Authentication needed", caller_method)
        await self.push(replies.AUTH_REQUIRED)
        return True


_CHECK_HELO_NEEDED = Gates.check_helo_needed
_CHECK_AUTH_NEEDED = Gates.check_auth_needed
