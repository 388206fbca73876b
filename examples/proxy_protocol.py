"""Stand behind HAProxy or another proxy that speaks the PROXY protocol, and see the true clients.

A header says who the client is, and nothing in it proves that. So it is believed only if it comes
from the proxy; who connects without the proxy is served too, as who they are::

    $ python examples/proxy_protocol.py 127.0.0.1
"""

import asyncio
import contextlib
import sys

from aiosmtpd.handlers import Debugging
from aiosmtpd.server import serve


async def main(proxy: str, port: int = 8025) -> None:
    async with serve(Debugging(), "127.0.0.1", port, proxy_networks=[proxy]) as server:
        print(f"listening on port {server.port}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
