"""Handlers that work on a parsed message: the content becomes an object of the email package.

Three header fields tell what the envelope and the session knew: ``X-Peer``, ``X-MailFrom`` and
``X-RcptTo``. A client may have written fields of these names itself; since a reader would trust
them, the client's are taken out before ours are put in.

Messages of more than a few pages are parsed in a thread, for the parser takes its time over large
ones, and as long as it likes over one that was made for it. A program that receives large messages and
does not need them parsed writes ``handle_DATA`` or ``handle_BODY`` itself.
"""

from __future__ import annotations

import asyncio
import email
import email.message
import email.policy
from abc import ABCMeta, abstractmethod
from typing import TYPE_CHECKING, Any

from ..protocol.reply import OK, Reply

if TYPE_CHECKING:
    from email.message import Message as EmailPackageMessage
    from email.policy import Policy

    from ..session import Envelope, Session
    from ..smtp import SMTP

__all__ = ["ENVELOPE_FIELDS", "AsyncMessage", "Message", "MessageBase", "envelope_fields"]

# Characters or octets that are parsed where the server runs: it takes a millisecond or so.
_SMALL = 16_384
_TOO_DEEP = Reply(554, "5.6.0", "Error: too many parts within parts")

#: The names of the header fields that tell what the envelope and the session knew.
ENVELOPE_FIELDS = ("X-Peer", "X-MailFrom", "X-RcptTo")


def envelope_fields(session: Session, envelope: Envelope) -> dict[str, str]:
    """Give the header fields that tell who connected and what MAIL and RCPT said.

    Returns:
        ``X-Peer``: the client's address as text; ``X-MailFrom``: the reverse-path's mailbox,
        ``<>`` for the null reverse-path; ``X-RcptTo``: the recipients, separated by commas.
    """
    values = (str(session.peer), envelope.mail_from or "", ", ".join(envelope.rcpt_tos))
    return dict(zip(ENVELOPE_FIELDS, values, strict=True))


def _with_fields(
    message: EmailPackageMessage, session: Session, envelope: Envelope
) -> EmailPackageMessage:
    for name, value in envelope_fields(session, envelope).items():
        del message[name]
        message[name] = value
    return message


class MessageBase(metaclass=ABCMeta):
    """What :class:`Message` and :class:`AsyncMessage` share: making the message.

    Args:
        message_class: the class of the messages; None leaves it to the policy, whose default is
            :class:`email.message.Message`.
        policy: how the message is parsed and written. None stands for
            :data:`email.policy.default` where ``message_class`` is an
            :class:`~email.message.EmailMessage`, which cannot do without, and otherwise for
            :data:`email.policy.compat32`.
    """

    def __init__(
        self,
        message_class: type[EmailPackageMessage] | None = None,
        *,
        policy: Policy[Any] | None = None,
    ) -> None:
        self.message_class = message_class
        self.policy = policy

    def prepare_message(self, session: Session, envelope: Envelope) -> EmailPackageMessage:
        """Parse the content and add ``X-Peer``, ``X-MailFrom`` and ``X-RcptTo``; may be overridden.

        Args:
            session: the session of the client.
            envelope: the transaction; its ``content`` may be ``bytes`` or ``str``.

        Returns:
            The message that is given to ``handle_message``.

        Raises:
            TypeError: if the content is neither ``bytes`` nor ``str``.
        """
        return _with_fields(self._parse(envelope.content), session, envelope)

    async def _prepare(self, session: Session, envelope: Envelope) -> EmailPackageMessage:
        """Make the message without holding up other connections; an override may not like threads."""
        content = envelope.content
        overridden = type(self).prepare_message is not MessageBase.prepare_message
        if overridden or content is None or len(content) <= _SMALL:
            return self.prepare_message(session, envelope)
        message = await asyncio.to_thread(self._parse, content)
        return _with_fields(message, session, envelope)

    def _parse(self, content: bytes | str | None) -> EmailPackageMessage:
        policy: Any = self.policy
        if policy is None:
            modern = self.message_class is not None and issubclass(
                self.message_class, email.message.EmailMessage
            )
            policy = email.policy.default if modern else email.policy.compat32
        # None as the class is what the parsers take for "whatever the policy makes".
        factory: Any = self.message_class
        if isinstance(content, (bytes, bytearray)):
            return email.message_from_bytes(content, factory, policy=policy)
        if isinstance(content, str):
            return email.message_from_string(content, factory, policy=policy)
        raise TypeError(f"Expected str or bytes, got {type(content)}")

    @abstractmethod
    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Make the message and hand it on; called when a message has arrived."""


class Message(MessageBase):
    """Parse each message and call :meth:`handle_message`; to be subclassed."""

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Make the message, hand it to :meth:`handle_message`, answer 250."""
        try:
            message = await self._prepare(session, envelope)
        except RecursionError:  # the parser goes deeper with each multipart
            return _TOO_DEEP
        self.handle_message(message)
        return OK

    @abstractmethod
    def handle_message(self, message: EmailPackageMessage) -> None:
        """Take the message; it was accepted when this returns.

        It runs in the event loop and holds up all connections while it does. An exception is
        answered with 451: the client keeps the message and tries again.
        """


class AsyncMessage(MessageBase):
    """Parse each message and await :meth:`handle_message`; to be subclassed.

    Args:
        message_class: as for :class:`MessageBase`.
        loop: what the attribute ``loop`` gives; None stands for the loop that is running.
        policy: as for :class:`MessageBase`.
    """

    def __init__(
        self,
        message_class: type[EmailPackageMessage] | None = None,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        policy: Policy[Any] | None = None,
    ) -> None:
        super().__init__(message_class, policy=policy)
        self._loop = loop

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop given to the constructor, otherwise the one that is running.

        Raises:
            RuntimeError: if none was given and none is running.
        """
        return self._loop or asyncio.get_running_loop()

    @loop.setter
    def loop(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Make the message, await :meth:`handle_message` with it, answer 250."""
        try:
            message = await self._prepare(session, envelope)
        except RecursionError:  # the parser goes deeper with each multipart
            return _TOO_DEEP
        await self.handle_message(message)
        return OK

    @abstractmethod
    async def handle_message(self, message: EmailPackageMessage) -> None:
        """Take the message; it was accepted when this returns.

        An exception is answered with 451: the client keeps the message and tries again.
        """
