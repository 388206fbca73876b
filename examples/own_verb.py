"""A server with a verb of its own: PING, which answers and counts.

Verbs are methods named ``smtp_...``. With ``@syntax`` the verb has a line in HELP::

    $ python examples/own_verb.py
"""

import asyncio
import contextlib
import sys
from functools import partial

from aiosmtpd.handlers import Sink
from aiosmtpd.server import serve
from aiosmtpd.smtp import SMTP, syntax


class PingServer(SMTP):
    pings = 0

    @syntax("PING [text]")
    async def smtp_PING(self, arg: str | None) -> None:
        self.pings += 1
        await self.push(f"250 pong {self.pings} {arg or ''}".rstrip())


async def main(port: int = 8025) -> None:
    handler = Sink()
    # A server makes a protocol for each connection, so the count is the connection's.
    async with serve(handler, "localhost", port, factory=partial(PingServer, handler)) as server:
        print(f"listening on port {server.port}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*map(int, sys.argv[1:])))
