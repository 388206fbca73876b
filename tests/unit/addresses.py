"""An address that only this process listens on.

That a port is closed is shown by a refused connection, and a port that was just closed may be given to
any other process in the next moment: to the tests beside these, for one. On an address of one's own
there is nobody else to take it.
"""

from __future__ import annotations

import os
import sys

__all__ = ["OWN_ADDRESS"]


def _own_address() -> str:
    if sys.platform != "linux":
        return "127.0.0.1"  # elsewhere the rest of 127.0.0.0/8 must be set up first
    number = os.getpid()  # at most 22 bits
    return f"127.{64 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


OWN_ADDRESS = _own_address()
