"""The LMTP server (RFC 2033): LHLO in place of HELO and EHLO, one reply to DATA for each recipient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .protocol import reply as replies
from .smtp import SMTP
from .verbs.base import syntax

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

    async def _push_data_status(self, status: Any, recipients: list[str]) -> None:
        """Answer the message once for each recipient, in their order (RFC 2033 section 4.2).

        Raises:
            TypeError: the hook returned something else than replies.
            ValueError: it returned a list of another length.
        """
        for reply in _replies_by_recipient(status, recipients):
            await self.push(reply)


def _replies_by_recipient(status: Any, recipients: list[str]) -> list[str | bytes]:
    found: list[Any]
    if isinstance(status, (str, bytes)):
        return [status] * len(recipients)
    if isinstance(status, Mapping):
        # What the hook did not decide for a recipient is not delivered to it: it shall try again.
        found = [status.get(recipient, replies.LOCAL_ERROR) for recipient in recipients]
    elif isinstance(status, Sequence):
        if len(status) != len(recipients):
            raise ValueError(f"{len(status)} replies to a message for {len(recipients)} recipients")
        found = list(status)
    else:
        raise TypeError(f"a reply is str, bytes, a list or a dict, not {type(status).__name__}")
    # All are looked at before the first is sent: afterwards no 451 could stand for all of them.
    for reply in found:
        if not isinstance(reply, (str, bytes)):
            raise TypeError(f"a reply to a recipient is str or bytes, not {type(reply).__name__}")
    return found
