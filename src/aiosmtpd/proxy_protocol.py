"""The names that 1.4 had here, and :func:`get_proxy`, which reads a header from a stream.

All knowledge of the headers is in :mod:`aiosmtpd.protocol.proxy`. This module adds only what that
one refuses to know: where octets come from, and the log.
"""

from __future__ import annotations

import logging
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from .protocol.proxy import (
    AF,
    PROTO,
    RE_ADDR_ALLOWCHARS,
    RE_PORT_NOLEADZERO,
    V2_CMD,
    V2_PARSE_ADDR_FAMPRO,
    V2_SIGNATURE,
    V2_VALID_CMDS,
    V2_VALID_FAMS,
    V2_VALID_PROS,
    ClientFlag,
    EndpointAddress,
    MalformedTLV,
    ProxyData,
    ProxyDetails,
    ProxyTLV,
    TLSDetails,
    UnknownTypeTLV,
    parse_proxy_header,
)

__all__ = [
    "AF",
    "PROTO",
    "RE_ADDR_ALLOWCHARS",
    "RE_PORT_NOLEADZERO",
    "V2_CMD",
    "V2_PARSE_ADDR_FAMPRO",
    "V2_SIGNATURE",
    "V2_VALID_CMDS",
    "V2_VALID_FAMS",
    "V2_VALID_PROS",
    "AsyncReader",
    "ClientFlag",
    "EndpointAddress",
    "IPv4Address",
    "IPv6Address",
    "MalformedTLV",
    "ProxyData",
    "ProxyDetails",
    "ProxyTLV",
    "TLSDetails",
    "UnknownTypeTLV",
    "get_proxy",
]

log = logging.getLogger("mail.debug")


class AsyncReader(Protocol):
    """What :func:`get_proxy` reads from: the reading side of :class:`asyncio.StreamReader`."""

    async def read(self, n: int = ...) -> bytes:
        """Read at least one octet and at most ``n``; nothing at the end."""
        ...

    async def readexactly(self, n: int) -> bytes:
        """Read ``n`` octets, or raise :exc:`asyncio.IncompleteReadError`."""
        ...

    async def readuntil(self, separator: bytes = ...) -> bytes:
        """Read up to and including ``separator``."""
        ...


async def get_proxy(reader_func: AsyncReader) -> ProxyData:
    """Read a PROXY header from a stream, and nothing that follows it.

    How long to wait for the header is the caller's to decide: see :func:`asyncio.timeout`.

    Args:
        reader_func: the stream.

    Returns:
        What the header says. It is invalid, with :attr:`ProxyData.error` set, if what the stream
        gives is no header, or if the stream ends or raises an exception within the header.

    Raises:
        asyncio.IncompleteReadError: the stream ended within the first five octets.
        Exception: what else the stream raised within them.
    """
    log.debug("Waiting for PROXY signature")
    buffer = bytearray(await reader_func.readexactly(5))
    try:
        data = await _read_header(reader_func, buffer)
    except Exception as error:
        data = ProxyData(version=None).with_error(f"PROXY exception: {error}")
        log.warning("%s", data.error)
        return data
    if data.error:
        log.warning("PROXY error: %s", data.error)
    return data


async def _read_header(reader: AsyncReader, buffer: bytearray) -> ProxyData:
    """Add octets to ``buffer`` until they are decided on."""
    told = ""
    while (parsed := parse_proxy_header(buffer)) is None:
        version, part, count = _awaited(buffer)
        if told != part:
            log.debug("Waiting for PROXYv%d %s", version, part)
            told = part
        octets = await reader.read(count)
        if octets:
            buffer += octets
        elif version == 1:
            data = ProxyData(version=1)
            data.whole_raw += buffer
            return data.with_error("PROXYv1 malformed")
        else:
            raise EOFError(f"Connection lost while waiting for {part}")
    return parsed[0]


def _awaited(buffer: bytearray) -> tuple[int, str, int]:
    """Give the version, the part of the header that is awaited, and how many octets to ask for.

    None of those octets may belong to what follows the header: of version 2 all that are missing
    from the part may be asked for, of a version 1 line only the next one.
    """
    if buffer.startswith(b"P"):
        return 1, "handshake", 1
    if len(buffer) < 12:
        return 2, "signature", 12 - len(buffer)
    if len(buffer) < 16:
        return 2, "header", 16 - len(buffer)
    return 2, "tail part", 16 + int.from_bytes(buffer[14:16], "big") - len(buffer)
