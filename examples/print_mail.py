"""Print each message that arrives.

Start it, and send it something::

    $ python examples/print_mail.py
    $ curl smtp://localhost:8025 --mail-from anne@example.com --mail-rcpt bart@example.com -T mail.eml
"""

import asyncio
import contextlib
import sys

from aiosmtpd.server import serve
from aiosmtpd.session import Envelope, Session
from aiosmtpd.smtp import SMTP


class PrintMail:
    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)  # it is str only with decode_data
        print(f"From {envelope.mail_from} to {', '.join(envelope.rcpt_tos)}:")
        print(envelope.content.decode("utf-8", "replace"), flush=True)
        return "250 OK"


async def main(port: int = 8025) -> None:
    async with serve(PrintMail(), "localhost", port) as server:
        print(f"listening on port {server.port}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*map(int, sys.argv[1:])))
