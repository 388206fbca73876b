"""Stand behind HAProxy or another proxy that speaks the PROXY protocol, and see the true clients.

A header says who the client is, and nothing in it proves that. So it is believed only if it comes
from the proxy, and everybody else is turned away::

    $ python examples/proxy_protocol.py 127.0.0.1
"""

import asyncio
import contextlib
import sys

from aiosmtpd.handlers import Debugging
from aiosmtpd.proxy_protocol import V2_CMD, ProxyData
from aiosmtpd.server import serve
from aiosmtpd.session import Envelope, Session
from aiosmtpd.smtp import SMTP


class BehindProxy(Debugging):
    def __init__(self, proxies: set[str]) -> None:
        super().__init__()
        self._proxies = proxies

    async def handle_PROXY(
        self, server: SMTP, session: Session, envelope: Envelope, proxy_data: ProxyData
    ) -> bool:
        if session.peer[0] not in self._proxies:
            return False
        # A health check of the proxy has no client; what addresses it gives mean nothing.
        if proxy_data.command != V2_CMD.LOCAL and proxy_data.src_port is not None:
            session.peer = (str(proxy_data.src_addr), proxy_data.src_port)
        return True


async def main(proxy: str, port: int = 8025) -> None:
    async with serve(BehindProxy({proxy}), "127.0.0.1", port, proxy_protocol_timeout=5) as server:
        print(f"listening on port {server.port}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
