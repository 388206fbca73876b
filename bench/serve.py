"""The program that is served with: the same file for aiosmtpd 2 and for aiosmtpd 1.4.6.

It is run by the Python of the environment in which the one or the other is installed, and uses nothing
else; so it keeps to what both know.
"""

from __future__ import annotations

import argparse
import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import Any

from aiosmtpd.controller import UnthreadedController
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP


class Whole:
    """Takes every message whole."""

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        return "250 OK"


class Streamed:
    """Takes every message as it comes."""

    async def handle_BODY(
        self, server: Any, session: Any, envelope: Any, body: AsyncIterator[bytes]
    ) -> str:
        async for _ in body:
            pass
        return "250 OK"


class LMTPController(UnthreadedController):
    """Speaks LMTP."""

    def factory(self) -> SMTP:
        return LMTP(self.handler, **self.SMTP_kwargs)


def make_loop(name: str) -> asyncio.AbstractEventLoop:
    """Make the event loop of the given name."""
    if name == "uvloop":
        import uvloop

        return uvloop.new_event_loop()
    return asyncio.new_event_loop()


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    parser.add_argument("--mode", choices=["smtp", "lmtp", "starttls", "implicit"], default="smtp")
    parser.add_argument("--stream", action="store_true", help="have handle_BODY, not handle_DATA")
    parser.add_argument("--certificate", help="PEM file with a certificate and its key")
    options = parser.parse_args()

    context = None
    if options.mode in ("starttls", "implicit"):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options.certificate)
    loop = make_loop(options.loop)
    asyncio.set_event_loop(loop)
    make = LMTPController if options.mode == "lmtp" else UnthreadedController
    controller = make(
        Streamed() if options.stream else Whole(),
        "127.0.0.1",
        options.port,
        loop=loop,
        server_hostname="server.example",
        ssl_context=context if options.mode == "implicit" else None,
        tls_context=context if options.mode == "starttls" else None,
    )
    controller.begin()
    loop.run_forever()


if __name__ == "__main__":
    main()
