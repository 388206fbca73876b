"""The server of the tutorial: mail for example.com goes into files."""

import asyncio
import contextlib
import itertools
import sys
from pathlib import Path

from aiosmtpd.server import serve
from aiosmtpd.session import Envelope, Session
from aiosmtpd.smtp import SMTP


class Postbox:
    def __init__(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self.numbers = itertools.count(1)

    async def handle_RCPT(
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        rcpt_options: list[str],
    ) -> str:
        if not address.endswith("@example.com"):
            return "550 5.7.1 not our domain"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        path = self.directory / f"{next(self.numbers)}.eml"
        await asyncio.to_thread(path.write_bytes, envelope.content)
        return f"250 stored as {path.name}"


async def main(directory: Path, port: int = 8025) -> None:
    async with serve(Postbox(directory), "localhost", port) as server:
        print(f"listening on port {server.port}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(Path(sys.argv[1]), *map(int, sys.argv[2:])))
