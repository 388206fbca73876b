"""An address that only this process listens on.

That a port is closed is shown by a refused connection, and that it is free again by listening on it
once more; but a port that was just closed may be given to any other process in the next moment: to the
tests beside these, for one. On an address of one's own there is nobody else to take it.
"""

from __future__ import annotations

import os
import socket
import sys

__all__ = ["OWN_ADDRESS"]


def _own_address() -> str:
    if sys.platform != "linux":
        return "127.0.0.1"  # elsewhere the rest of 127.0.0.0/8 must be set up first
    number = os.getpid()  # at most 22 bits
    address = f"127.{64 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
    with socket.socket() as sock:
        try:
            sock.bind((address, 0))
        except OSError:  # a sandbox may have no more than the one address
            return "127.0.0.1"
    return address


OWN_ADDRESS = _own_address()
