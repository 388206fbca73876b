"""Servers in a thread of the test, and what they received as a program sees it.

Where a test is about octets, a server is a process of its own (see ``conftest.py``); here it is about
what hooks find in the session and the envelope, and about what the client said to bring it there.
"""

from __future__ import annotations

import queue
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.lmtp import LMTP
from aiosmtpd.session import Envelope, Session
from aiosmtpd.smtp import SMTP

__all__ = ["OverheardLMTP", "OverheardSMTP", "Received", "Receiver", "receiving"]

TIMEOUT = 100  # seconds: as long as the programs have that send


class OverheardSMTP(SMTP):
    """A server that notes what it is told, as it comes in from the network."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.heard: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        self.heard.append(bytes(data))
        super().data_received(data)


class OverheardLMTP(OverheardSMTP, LMTP):
    """The same for LMTP."""


@dataclass(frozen=True)
class Received:
    """A message that was received.

    Attributes:
        session: of the connection.
        identity: who had authenticated by then.
        envelope: the envelope.
        heard: what the client has said in the connection up to here, as it came in.
    """

    session: Session
    identity: str | None
    envelope: Envelope
    heard: tuple[bytes, ...]

    @property
    def content(self) -> bytes:
        assert isinstance(self.envelope.content, bytes)
        return self.envelope.content

    def lines(self, verb: str) -> list[str]:
        """Give the commands with a verb, as they were said."""
        said = b"".join(self.heard).decode(errors="surrogateescape")
        return re.findall(rf"^{verb}\b.*(?=\r\n)", said, re.MULTILINE)

    def came_together(self, *verbs: str) -> bool:
        """Tell whether commands with these verbs came in a row without waiting for replies."""
        row = b"\r\n".join(rb"%b\b[^\r\n]*" % verb.encode() for verb in verbs) + b"\r\n"
        return any(re.search(row, octets) for octets in self.heard)


class Receiver:
    """A handler that keeps what it gets."""

    def __init__(self) -> None:
        self._received: queue.SimpleQueue[Received] = queue.SimpleQueue()

    async def handle_DATA(self, server: OverheardSMTP, session: Session, envelope: Envelope) -> Any:
        self._received.put(Received(session, session.auth_identity, envelope, tuple(server.heard)))
        return self.answer(envelope)

    def answer(self, envelope: Envelope) -> Any:
        """Give the reply to a message."""
        return "250 2.6.0 Taken"

    def take(self) -> Received:
        """Give the next message; wait for it if it has still to come."""
        return self._received.get(timeout=TIMEOUT)

    def is_empty(self) -> bool:
        return self._received.empty()


@contextmanager
def receiving(
    handler: Any,
    *,
    protocol: type[OverheardSMTP] = OverheardSMTP,
    ssl_context: ssl.SSLContext | None = None,
    **options: Any,
) -> Iterator[int]:
    """Run a server until the end of the ``with`` statement; give its port."""

    class Server(Controller):
        def factory(self) -> SMTP:
            return protocol(self.handler, **self.SMTP_kwargs)

    server = Server(
        handler, "127.0.0.1", 0, ssl_context=ssl_context, server_hostname="mx.example", **options
    )
    with server:
        yield server.port
