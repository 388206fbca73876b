"""The handler that stores mail in a Maildir.

Two promises are kept here. What was answered with 250 is on the disk, not in a buffer. And what is
stored is what was sent, octet by octet: a file holds our own header fields and after them the
message as it arrived, with its CRLF line ends, its 8-bit letters and its faults. So the message is
neither parsed nor generated on its way, except for a subclass that asks to see it.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import socket
import time
from mailbox import Maildir
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..protocol.reply import OK
from .message import ENVELOPE_FIELDS, Message, MessageBase, envelope_fields
from .octets import (
    ahead_of,
    content_octets,
    field_lines,
    header_end,
    without_fields,
)

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Iterable
    from email.message import Message as EmailPackageMessage
    from email.policy import Policy
    from typing import Self

    from ..session import Envelope, Session
    from ..smtp import SMTP

__all__ = ["Mailbox", "OctetMaildir"]


class OctetMaildir(Maildir):
    """A Maildir that also takes octets, and stores them as they are.

    Args:
        dirname: the directory. It and its three subdirectories are made if they are missing; the
            directory above it has to exist.

    Raises:
        OSError: if a directory cannot be made.
    """

    def __init__(self, dirname: str | os.PathLike[str]) -> None:
        root = Path(dirname).expanduser().absolute()
        for directory in (root, *(root / name for name in ("tmp", "new", "cur"))):
            directory.mkdir(mode=0o700, exist_ok=True)
        _sync_directory(root)
        self._temporary, self._arrived, self._seen = root / "tmp", root / "new", root / "cur"
        super().__init__(root, create=False)

    def add(self, message: Any) -> str:
        """Store a message the way the standard library does, and return when the disk has it.

        Args:
            message: what :meth:`mailbox.Maildir.add` takes; its line ends become LF.

        Returns:
            The message's key in this mailbox.

        Raises:
            OSError: if it cannot be stored.
        """
        key = super().add(message)
        _sync_directory(self._arrived)
        _sync_directory(self._seen)
        return key

    def deliver(self, pieces: Iterable[bytes | memoryview]) -> str:
        """Store one message and return when the disk has it.

        The file is written in ``tmp`` and moved to ``new``, so that a reader never sees half of it.
        May be called from several threads at once.

        Args:
            pieces: the octets of the message, in one or several pieces.

        Returns:
            The message's key in this mailbox.

        Raises:
            OSError: if it cannot be stored; nothing is left behind, unless only the last step
                failed, the writing down of its new place.
        """
        key = _unique_name()
        temporary = self._temporary / key
        try:
            with temporary.open("xb") as file:
                file.writelines(pieces)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(self._arrived / key)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_directory(self._arrived)
        return key


def _unique_name() -> str:
    """Make a file name that no other delivery has made or will make (the Maildir convention)."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    host = socket.gethostname().replace("/", "\\057").replace(":", "\\072")
    return f"{seconds}.M{nanoseconds // 1000}P{os.getpid()}R{secrets.token_hex(8)}.{host}"


def _sync_directory(path: Path) -> None:
    """Have the disk know what is in a directory; without it a crash may lose a new file's name."""
    if not hasattr(os, "O_DIRECTORY"):
        return  # Windows has neither the means nor the need
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems know no such thing for a directory; nothing more can be done.
        if error.errno not in (errno.EINVAL, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


class Mailbox(Message):
    """Store each message in a Maildir.

    A stored file holds the header fields ``X-Peer``, ``X-MailFrom`` and ``X-RcptTo``, and after
    them the octets that the client sent. Only fields of these three names that the client wrote
    into the header section are left out. The client is answered when the message is safe on the
    disk; if it cannot be stored, with 451, so that the client keeps it.

    A subclass may override ``prepare_message`` to change the message before it is stored, or
    ``handle_message`` to do something else with it. Then the message is parsed, and what is stored
    is what :meth:`mailbox.Maildir.add` makes of the message: LF line ends, and faults mended. These
    methods run in the event loop, and all connections wait while the message is written.

    Args:
        mail_dir: the directory of the Maildir; made if it is missing.
        message_class: as for :class:`MessageBase`; for subclasses that see the message.
        policy: as for :class:`MessageBase`; for subclasses that see the message.

    Attributes:
        mail_dir: the directory, as it was given.
        mailbox: the :class:`mailbox.Maildir`.

    Raises:
        OSError: if the directory cannot be made.
    """

    def __init__(
        self,
        mail_dir: str | os.PathLike[str],
        message_class: type[EmailPackageMessage] | None = None,
        *,
        policy: Policy[Any] | None = None,
    ) -> None:
        super().__init__(message_class, policy=policy)
        self.mail_dir = mail_dir
        self.mailbox: Maildir = OctetMaildir(mail_dir)

    @classmethod
    def from_cli(cls, parser: ArgumentParser, *args: str) -> Self:
        """Make the handler from the command line, where its argument is the directory."""
        if not args:
            parser.error("The directory for the maildir is required")
        if len(args) > 1:
            parser.error("Too many arguments for Mailbox handler")
        return cls(args[0])

    def reset(self) -> None:
        """Remove all messages from the mailbox."""
        self.mailbox.clear()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Store the message and answer 250."""
        mailbox = self.mailbox
        if not isinstance(mailbox, OctetMaildir) or self._sees_messages():
            return await super().handle_DATA(server, session, envelope)
        # Writing waits for the disk; in a thread only this client waits with it.
        await asyncio.to_thread(_deliver, mailbox, session, envelope)
        return OK

    def handle_message(self, message: EmailPackageMessage) -> None:
        """Store a parsed message; called only if a subclass overrides how messages are handled."""
        self.mailbox.add(message)

    def _sees_messages(self) -> bool:
        """Tell whether somebody overrides one of the methods that deal in parsed messages."""
        return (
            getattr(self.handle_message, "__func__", None) is not Mailbox.handle_message
            or getattr(self.prepare_message, "__func__", None) is not MessageBase.prepare_message
        )


def _deliver(mailbox: OctetMaildir, session: Session, envelope: Envelope) -> None:
    octets = content_octets(envelope)
    end = header_end(octets)
    fields = field_lines(envelope_fields(session, envelope))
    mailbox.deliver(
        (
            ahead_of(octets, fields),
            without_fields(octets[:end], ENVELOPE_FIELDS),
            memoryview(octets)[end:],
        )
    )
