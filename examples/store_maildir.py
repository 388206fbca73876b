"""Accept mail for some domains, and store it in a Maildir.

The handler of the package does the storing. What is added here is one hook, which decides whose
mail is taken::

    $ python examples/store_maildir.py ./Maildir
"""

import asyncio
import contextlib
import sys
from pathlib import Path

from aiosmtpd.handlers import Mailbox
from aiosmtpd.protocol.grammar import split_mailbox
from aiosmtpd.server import serve
from aiosmtpd.session import Envelope, Session
from aiosmtpd.smtp import SMTP

DOMAINS = {"example.com", "example.org"}


class OurMailbox(Mailbox):
    async def handle_RCPT(
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        rcpt_options: list[str],
    ) -> str:
        _, domain = split_mailbox(address)
        if domain.lower() not in DOMAINS:
            return "550 5.7.1 we do not take mail for that domain"
        # A hook that accepts a recipient also records it.
        envelope.rcpt_tos.append(address)
        return "250 OK"


async def main(directory: Path, port: int = 8025) -> None:
    async with serve(OurMailbox(directory), "localhost", port) as server:
        print(f"listening on port {server.port}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(Path(sys.argv[1]), *map(int, sys.argv[2:])))
