"""Insist on TLS: refuse mail until the client has sent STARTTLS.

A certificate that nobody has signed will do to try it. Make one, start the server, and send::

    $ openssl req -x509 -newkey rsa:2048 -noenc -days 365 -subj /CN=localhost \
          -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem
    $ python examples/starttls.py cert.pem key.pem
    $ swaks --server localhost:8025 --tls --to bart@example.com
"""

import asyncio
import contextlib
import ssl
import sys

from aiosmtpd.handlers import Debugging
from aiosmtpd.server import serve


def tls_context(cert: str, key: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    return context


async def main(cert: str, key: str, port: int = 8025) -> None:
    async with serve(
        Debugging(),
        "localhost",
        port,
        tls_context=tls_context(cert, key),
        require_starttls=True,
    ) as server:
        print(f"listening on port {server.port}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    cert, key, *port = sys.argv[1:]
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(cert, key, *map(int, port)))
