"""The servers that the command line cannot start: with logins, and with a hook that keeps nothing.

Run as a program, never imported. For each address it listens on it writes the line that ``aiosmtpd``
writes too, so that a test reads the ports from the process that chose them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from typing import Any

from aiosmtpd.handlers import Mailbox
from aiosmtpd.server import Server, serve
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

USER, PASSWORD = b"anne@example.com", b"two words, and = signs"


class AnyLine(SMTP):
    """Takes lines of any length, so that the limit on messages is the one that is met."""

    line_length_limit = 2**40


class Whole:
    """Takes every message whole, and tells its size."""

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:
        return f"250 {len(envelope.content)} octets"


class Streamed:
    """Takes every message as it comes, and tells its size."""

    async def handle_BODY(
        self, server: SMTP, session: Any, envelope: Any, body: AsyncIterator[bytes]
    ) -> str:
        size = 0
        async for chunk in body:
            size += len(chunk)
        return f"250 {size} octets"


def authenticate(
    server: SMTP, session: Any, envelope: Any, mechanism: str, data: Any
) -> AuthResult:
    """Let the one user in."""
    return AuthResult(success=data == LoginPassword(USER, PASSWORD))


def announce(server: Server) -> None:
    print(f"Server is listening on 127.0.0.1:{server.port}", file=sys.stderr, flush=True)


async def serve_mailbox(
    directory: str, certificate: str, key: str, stack: contextlib.AsyncExitStack
) -> None:
    """Store mail of whoever logs in: over STARTTLS and implicit TLS, by PLAIN only and LOGIN only."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    handler = Mailbox(directory)
    for tls in ({"tls_context": context, "require_starttls": True}, {"ssl_context": context}):
        for unwanted in ("LOGIN", "PLAIN"):
            server = serve(
                handler,
                "127.0.0.1",
                0,
                data_size_limit=0,
                enable_SMTPUTF8=True,
                authenticator=authenticate,
                auth_required=True,
                auth_exclude_mechanism=[unwanted],
                **tls,
            )
            announce(await stack.enter_async_context(server))


async def serve_hook(name: str, size_limit: int, stack: contextlib.AsyncExitStack) -> None:
    """Give mail to a hook, with the usual limit on lines and without one."""
    handler = Whole() if name == "DATA" else Streamed()

    for protocol in (SMTP, AnyLine):

        def factory(protocol: type[SMTP] = protocol) -> SMTP:
            return protocol(
                handler,
                data_size_limit=size_limit,
                authenticator=authenticate,
                auth_require_tls=False,
            )

        announce(await stack.enter_async_context(serve(None, "127.0.0.1", 0, factory=factory)))


async def main(options: argparse.Namespace) -> None:
    """Serve until SIGTERM."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with contextlib.AsyncExitStack() as stack:
        if options.what == "mailbox":
            await serve_mailbox(options.directory, options.certificate, options.key, stack)
        else:
            await serve_hook(options.hook, options.size, stack)
        await ended.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    kinds = parser.add_subparsers(dest="what", required=True)
    mailbox = kinds.add_parser("mailbox")
    mailbox.add_argument("directory")
    mailbox.add_argument("certificate")
    mailbox.add_argument("key")
    hook = kinds.add_parser("hook")
    hook.add_argument("hook", choices=["DATA", "BODY"])
    hook.add_argument("--size", type=int, default=0)
    options = parser.parse_args()
    if options.loop == "uvloop":
        import uvloop

        uvloop.run(main(options))
    else:
        asyncio.run(main(options))
