"""What one large message costs in memory: its own size if it is taken whole, next to nothing if not.

The limits leave room for other systems. On Linux with glibc a whole message takes up to 1.05 times its
size, and a streamed one up to 0.5 MiB, most of it the one read of a socket that is being handed on;
``pytest -rP`` shows the figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Start, WatchMemory

MIB = 2**20
SIZE = 32 * MIB
LIMITS = {"DATA": int(1.1 * SIZE), "BODY": MIB}

LINES = {
    "attachment": b"QUFB" * 19 + b"\r\n",
    # Each line is sent with a dot more, which has to be taken out again.
    "dots": b".QUF" * 19 + b"\r\n",
    "long lines": b"x" * 998 + b"\r\n",
}


@pytest.mark.parametrize("kind", LINES)
@pytest.mark.parametrize("hook", LIMITS)
def test_a_large_message(
    start_hook: Start, watch_memory: WatchMemory, loop: str, hook: str, kind: str
) -> None:
    message = LINES[kind] * (SIZE // len(LINES[kind]))
    with start_hook(loop, hook) as program, program.client() as client:
        client.ehlo()
        client.mail("a@example.com")
        client.rcpt("b@example.com")
        with watch_memory(program.process.pid) as growth:
            reply = client.data(message)
            grown = growth()
    print(f"{grown / 1024:.0f} KiB, {grown / len(message):.3f} times the message")
    assert reply == (250, b"%d octets" % len(message))
    assert grown <= LIMITS[hook]
