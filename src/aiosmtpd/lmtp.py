"""The LMTP server (RFC 2033): LHLO in place of HELO and EHLO, one reply to DATA for each recipient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .protocol import reply as replies
from .smtp import SMTP
from .verbs.base import syntax
from .verbs.replies import replies_by_recipient

__all__ = ["LMTP"]


class LMTP(SMTP):
    """One connection of an LMTP server; arguments as :class:`~aiosmtpd.smtp.SMTP`.

    A DATA or BODY hook returns one reply for all recipients, a list of replies in the order of
    ``envelope.rcpt_tos``, or a dict of them by recipient.
    """

    show_smtp_greeting = False
    _greeting_verb = "LHLO"

    @syntax("LHLO hostname")
    async def smtp_LHLO(self, arg: str | None) -> None:
        """Greet (RFC 2033 section 4.1)."""
        if not arg:
            await self.push("501 Syntax: LHLO hostname")
            return
        await super().smtp_EHLO(arg)

    async def smtp_HELO(self, arg: str | None) -> None:
        """Refuse HELO, which LMTP has not (RFC 2033 section 4.1)."""
        await self.push(replies.command_unknown("HELO"))

    async def smtp_EHLO(self, arg: str | None) -> None:
        """Refuse EHLO, which LMTP has not (RFC 2033 section 4.1)."""
        await self.push(replies.command_unknown("EHLO"))

    async def _push_data_status(
        self, status: Any, recipients: list[str], parameters: Mapping[str, Any] | None = None
    ) -> None:
        """Answer the message once for each recipient, in their order (RFC 2033 section 4.2).

        Raises:
            TypeError: the hook returned something else than replies.
            ValueError: it returned a list of another length.
        """
        for reply in replies_by_recipient(status, recipients):
            await self.push(reply)
