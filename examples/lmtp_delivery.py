"""Final delivery: an LMTP server on a Unix socket that has a Maildir for each user.

A mail server such as Postfix hands it a message once for all recipients, and is told of each by
itself whether the message is stored (RFC 2033)::

    $ python examples/lmtp_delivery.py ./mailboxes ./lmtp.sock

A user exists if there is a Maildir of that name in ``mailboxes``.
"""

import asyncio
import contextlib
import sys
from functools import partial
from mailbox import Maildir
from pathlib import Path

from aiosmtpd.lmtp import LMTP
from aiosmtpd.protocol.grammar import local_part
from aiosmtpd.server import serve
from aiosmtpd.session import Envelope, Session
from aiosmtpd.smtp import SMTP


class Delivery:
    def __init__(self, mailboxes: Path) -> None:
        self._mailboxes = {entry.name: entry for entry in mailboxes.iterdir() if entry.is_dir()}

    async def handle_RCPT(
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        rcpt_options: list[str],
    ) -> str:
        if local_part(address) not in self._mailboxes:
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> dict[str, str]:
        assert isinstance(envelope.content, bytes)
        return {
            recipient: await asyncio.to_thread(self._store, recipient, envelope.content)
            for recipient in envelope.rcpt_tos
        }

    def _store(self, recipient: str, content: bytes) -> str:
        try:
            Maildir(self._mailboxes[local_part(recipient)], create=False).add(content)
        except OSError:
            # This recipient's copy is tried again later; the others have theirs.
            return "452 4.2.2 the mailbox cannot be written to"
        return "250 2.1.5 stored"


async def main(mailboxes: Path, path: str) -> None:
    handler = Delivery(mailboxes)
    async with serve(handler, unix_socket=path, factory=partial(LMTP, handler)) as server:
        print(f"listening on {path}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
