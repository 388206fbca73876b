"""A handler that keeps what it gets: the other half of most tests of a mail program."""

from __future__ import annotations

import threading
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..session import Envelope, Session
    from ..smtp import SMTP

__all__ = ["RecordingHandler"]


class RecordingHandler:
    """Answer every message alike, and keep its envelope.

    It may be used in a :class:`~aiosmtpd.testing.Conversation`, in a server of the same event loop, or
    in a :class:`~aiosmtpd.controller.Controller`, whose thread it is then called in. Subclass it to add
    further hooks.

    Args:
        reply: what every message is answered. A message that is refused is kept, too.

    Attributes:
        reply: as above; may be changed between messages.
        envelopes: what was received, oldest first.
        sessions: for each envelope the session it came in.
    """

    def __init__(self, reply: str = "250 OK") -> None:
        self.reply = reply
        self.envelopes: list[Envelope] = []
        self.sessions: list[Session] = []
        self._arrival = threading.Condition()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Keep the envelope."""
        with self._arrival:
            self.envelopes.append(envelope)
            self.sessions.append(session)
            self._arrival.notify_all()
        return self.reply

    @property
    def messages(self) -> list[EmailMessage]:
        """What was received, parsed with the default policy of :mod:`email`.

        Lines end as they do in Python, so that ``get_content()`` gives what ``set_content()`` was given.
        """
        return [
            message_from_bytes(
                (envelope.original_content or b"").replace(b"\r\n", b"\n"), policy=policy.default
            )
            for envelope in self.envelopes
        ]

    def wait_for(self, count: int = 1, timeout: float = 5.0) -> list[Envelope]:
        """Block until that many messages were received.

        For tests of a program that sends mail from elsewhere to a server in another thread. In a
        coroutine it would block the server itself.

        Args:
            count: how many messages, counted from the beginning or the last :meth:`clear`.
            timeout: how many seconds to wait at most.

        Returns:
            The envelopes received so far.

        Raises:
            AssertionError: they did not come.
        """
        with self._arrival:
            if not self._arrival.wait_for(lambda: len(self.envelopes) >= count, timeout):
                raise AssertionError(
                    f"{len(self.envelopes)} of {count} messages came within {timeout:g} seconds"
                )
            return list(self.envelopes)

    def clear(self) -> None:
        """Forget what was received."""
        with self._arrival:
            self.envelopes.clear()
            self.sessions.clear()
