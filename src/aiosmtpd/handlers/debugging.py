"""The handler that shows what arrives: each message, line by line, on a text stream.

It is for people to look at, so the line ends are the stream's and one line is added to the header
section. Apart from that it prints what was sent, and hides nothing of it.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

from ..protocol.reply import OK
from .octets import content_octets

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from typing import Self

    from ..session import Envelope, Session
    from ..smtp import SMTP

__all__ = ["Debugging"]


class Debugging:
    """Print each message to a stream.

    Args:
        stream: where to print; None stands for ``sys.stdout``.

    Attributes:
        stream: where messages are printed.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream: TextIO = sys.stdout if stream is None else stream

    @classmethod
    def from_cli(cls, parser: ArgumentParser, *args: str) -> Self:
        """Make the handler from the command line: no argument, ``stdout`` or ``stderr``."""
        streams = {(): sys.stdout, ("stdout",): sys.stdout, ("stderr",): sys.stderr}
        if args not in streams:
            parser.error("Debugging usage: [stdout|stderr]")
        return cls(streams[args])

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Print the parameters of MAIL and RCPT, if there were any, and the message."""
        self._write(b"---------- MESSAGE FOLLOWS ----------\n")
        if envelope.mail_options:
            self._write(f"mail options: {envelope.mail_options}\n".encode())
        if envelope.rcpt_options:
            self._write(f"rcpt options: {envelope.rcpt_options}\n".encode())
        if envelope.mail_options or envelope.rcpt_options:
            self._write(b"\n")
        self._print_message_content(session.peer, content_octets(envelope))
        self._write(b"------------ END MESSAGE ------------\n")
        return OK

    def _print_message_content(self, peer: Any, data: str | bytes) -> None:
        """Print a message, with ``X-Peer`` as the last line of its header section."""
        octets = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
        lines = octets.splitlines()
        if b"" in lines:
            lines.insert(lines.index(b""), f"X-Peer: {peer!r}".encode())
        self._write(b"".join(line + b"\n" for line in lines))

    def _write(self, octets: bytes) -> None:
        """Write text that may hold octets that are no text, or none in the stream's encoding."""
        try:
            self.stream.write(octets.decode("utf-8"))
        except UnicodeError:
            binary = getattr(self.stream, "buffer", None)
            if binary is None:
                self.stream.write(octets.decode("utf-8", "replace"))
            else:
                # What cannot be shown as text still goes out as it came in.
                self.stream.flush()
                binary.write(octets.replace(b"\n", os.linesep.encode()))
