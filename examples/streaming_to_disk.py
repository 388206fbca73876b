"""Store messages of any size in files, with little memory, and never leave half a file.

A message is written under a name that begins with a dot, and gets its real name when it is complete
and on the disk. If it grows too large, or the client vanishes, what there is of it is removed::

    $ python examples/streaming_to_disk.py ./incoming
"""

import asyncio
import contextlib
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from aiosmtpd.server import serve
from aiosmtpd.session import Envelope, Session
from aiosmtpd.smtp import SMTP

GIGABYTE = 2**30


class ToDisk:
    def __init__(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        self._directory = directory

    async def handle_BODY(
        self, server: SMTP, session: Session, envelope: Envelope, body: AsyncIterator[bytes]
    ) -> str:
        name = f"{time.time_ns()}-{secrets.token_hex(4)}.eml"
        unfinished = self._directory / f".{name}"
        try:
            with unfinished.open("xb") as file:
                async for chunk in body:  # raises BodyError if the body cannot be had whole
                    file.write(chunk)
                file.flush()
                await asyncio.to_thread(os.fsync, file.fileno())
            unfinished.rename(self._directory / name)
        finally:
            unfinished.unlink(missing_ok=True)  # it is missing if all went well
        return f"250 2.0.0 stored as {name}"


async def main(directory: Path, port: int = 8025) -> None:
    async with serve(ToDisk(directory), "localhost", port, data_size_limit=GIGABYTE) as server:
        print(f"listening on port {server.port}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(Path(sys.argv[1]), *map(int, sys.argv[2:])))
