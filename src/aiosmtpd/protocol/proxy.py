"""The PROXY protocol, versions 1 and 2: who the client is when a proxy stands in between.

It knows the two headers, as HAProxy's ``proxy-protocol.txt`` has them (cited here as PP with its
section), and nothing of connections: octets that came go in, a :class:`ProxyData` comes out. A header
is the one thing that a server believes before it has spoken, so whatever does not match it exactly is
refused (PP 2.1), as soon as that can be told, and no more is ever looked at than a header can be long.
What follows the header belongs to SMTP or to TLS and is never taken.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final

from .proxy_tlv import (
    NOT_FOUND,
    ClientFlag,
    MalformedTLV,
    ProxyDetails,
    ProxyTLV,
    TLSDetails,
    UnknownTypeTLV,
    checksum_matches,
    details_of,
    judge,
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
    "ClientFlag",
    "EndpointAddress",
    "MalformedTLV",
    "ProxyData",
    "ProxyDetails",
    "ProxyTLV",
    "TLSDetails",
    "UnknownTypeTLV",
    "parse_proxy_header",
]


class AF(IntEnum):
    """The address family (PP 2.2); the UNKNOWN of version 1 is UNSPEC."""

    UNSPEC = 0
    INET = 1
    INET6 = 2
    UNIX = 3


class PROTO(IntEnum):
    """The transport protocol (PP 2.2); in version 1, UNKNOWN is UNSPEC and TCP is STREAM."""

    UNSPEC = 0
    STREAM = 1
    DGRAM = 2


class V2_CMD(IntEnum):  # noqa: N801 - a public name of 1.4
    """The command of a version 2 header (PP 2.2)."""

    LOCAL = 0
    PROXY = 1


EndpointAddress = IPv4Address | IPv6Address | str | bytes

_V1_SIGNATURE: Final = b"PROXY "
_V1_MAX_LENGTH: Final = 107  # PP 2.1, the worst case, CRLF included
V2_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_PREAMBLE: Final = 16
_V2_MAX_LENGTH: Final = _V2_PREAMBLE + 0xFFFF

V2_VALID_CMDS: Final = frozenset(map(int, V2_CMD))
V2_VALID_FAMS: Final = frozenset(map(int, AF))
V2_VALID_PROS: Final = frozenset(map(int, PROTO))
# The values of the 14th octet whose addresses have a defined layout (PP 2.2).
V2_PARSE_ADDR_FAMPRO: Final = frozenset({0x11, 0x12, 0x21, 0x22, 0x31, 0x32})
_V2_LAYOUTS: Final = {
    AF.INET: struct.Struct("!4s4sHH"),
    AF.INET6: struct.Struct("!16s16sHH"),
    AF.UNIX: struct.Struct("!108s108s"),
}

# ``ip_address`` alone would take a scope ("fe80::1%eth0"), which has no meaning on another host.
RE_ADDR_ALLOWCHARS: Final = re.compile(r"[0-9a-fA-F.:]+")
# ``int`` alone would take signs, underscores, white space and the digits of other scripts.
RE_PORT_NOLEADZERO: Final = re.compile(r"[1-9][0-9]*|0")


@dataclass(slots=True, order=True, weakref_slot=True)
class ProxyData:
    """What a PROXY header says; true in a boolean context if it is valid.

    Args:
        version: the version of the header, 1 or 2; None if it is not known.

    Attributes:
        command: LOCAL or PROXY, in version 2 only. A LOCAL connection is the proxy's own: the
            addresses of the transport are the true ones, whatever the header says (PP 2.2).
        family: the address family.
        protocol: the transport protocol between the client and the proxy.
        src_addr: the address of the client; ``bytes`` of 108 octets if the family is UNIX.
        dst_addr: the address that the client connected to.
        src_port: the port of the client, if the family is INET or INET6.
        dst_port: the port that the client connected to.
        rest: what is left of the header: in version 1 what follows UNKNOWN, in version 2 what
            follows the addresses (the TLV vectors), or the preamble where the addresses have no
            defined layout.
        whole_raw: the whole header, as it came.
        tlv_start: the offset in ``whole_raw`` of the first TLV vector, if any follows an address.
        error: what is wrong with the header; empty if nothing is.

    Where a field of an invalid version 2 header is no value of its enumeration, the attribute is a
    plain ``int``.
    """

    version: int | None = field(kw_only=True)
    command: V2_CMD | int | None = field(default=None, init=False)
    family: AF | int | None = field(default=None, init=False)
    protocol: PROTO | int | None = field(default=None, init=False)
    src_addr: EndpointAddress | None = field(default=None, init=False)
    dst_addr: EndpointAddress | None = field(default=None, init=False)
    src_port: int | None = field(default=None, init=False)
    dst_port: int | None = field(default=None, init=False)
    rest: bytes | bytearray = field(default=b"", init=False)
    whole_raw: bytearray = field(default_factory=bytearray, init=False)
    tlv_start: int | None = field(default=None, init=False)
    error: str = field(default="", init=False)
    _tlv: ProxyTLV | None = field(default=None, init=False, compare=False)

    @property
    def valid(self) -> bool:
        """Whether the header was read to its end without an error."""
        return not (self.error or self.version is None or self.protocol is None)

    @property
    def tlv(self) -> ProxyTLV | None:
        """The TLV vectors in ``rest``; None if there are none, or any of them is malformed."""
        if self._tlv is None:
            try:
                self._tlv = ProxyTLV.from_raw(self.rest)
            except MalformedTLV:
                return None
        return self._tlv

    @property
    def details(self) -> ProxyDetails:
        """What the TLV vectors of a version 2 header say; nothing if any of them is malformed."""
        return details_of(self.tlv if self.version == 2 else None)

    @property
    def checksum_ok(self) -> bool | None:
        """Whether the checksum in the TLV vectors is that of the header (PP 2.2.3).

        None if there is none. A receiver that looks at it must drop the connection if it is False.
        """
        vectors = self.tlv if self.version == 2 else None
        if vectors is None:
            return None
        return checksum_matches(vectors, self.whole_raw, len(self.whole_raw) - len(self.rest))

    @property
    def source(self) -> tuple[str, int] | str | None:
        """The address of the client, as transports tell it.

        An IP address and a port; the path of a Unix socket, what is not printable in it escaped
        (``\\n``); or None if the header names no client: it is not valid, LOCAL, UNKNOWN, or of an
        unspecified family.
        """
        if not self.valid or self.command == V2_CMD.LOCAL or self.src_addr is None:
            return None
        if isinstance(self.src_addr, bytes):
            path = self.src_addr.rstrip(b"\0").decode("utf-8", "backslashreplace")
            # It goes where an address goes, such as a header field; a client chooses its path.
            return "".join(
                letter if letter.isprintable() else letter.encode("unicode_escape").decode()
                for letter in path
            )
        return str(self.src_addr), self.src_port or 0

    def with_error(self, error_msg: str, log_prefix: bool = True) -> ProxyData:
        """Set :attr:`error`, which makes the header invalid.

        Args:
            error_msg: what is wrong.
            log_prefix: has no effect. In 1.4 this method wrote to the log as well; the log is now
                written by who reads the header.

        Returns:
            This object.
        """
        self.error = error_msg
        return self

    def same_attribs(self, _raises: bool = False, **kwargs: Any) -> bool:
        """Tell whether each attribute given exists and has that value.

        Args:
            _raises: raise instead of returning False.
            kwargs: the expected values by name.

        Returns:
            Whether all are as expected.

        Raises:
            KeyError: if ``_raises``, and an attribute does not exist.
            ValueError: if ``_raises``, and an attribute has another value.
        """
        return all(
            judge(name, getattr(self, name, NOT_FOUND), expected, _raises)
            for name, expected in kwargs.items()
        )

    def __bool__(self) -> bool:
        return self.valid


def parse_proxy_header(
    buffer: bytes | bytearray, *, limit: int = _V2_MAX_LENGTH
) -> tuple[ProxyData, int] | None:
    """Read the PROXY header that ``buffer`` begins with (PP 2.1, 2.2).

    Call it again with the same octets and more whenever octets come; it keeps nothing, and how they
    were cut does not matter. It needs at most 107 octets to decide on version 1, and the 16 octets
    of the preamble plus the length they announce on version 2.

    Args:
        buffer: all octets received so far.
        limit: the longest version 2 header in octets that is accepted.

    Returns:
        None while more octets are needed; otherwise what the header says and how many octets it
        took. What is no header gives an invalid :class:`ProxyData` as soon as that can be told (a
        version 1 line is judged at its end, as PP 2.1 asks): there is then nothing sensible to do
        with the connection but to drop it.
    """
    signature = V2_SIGNATURE if buffer[:1] == V2_SIGNATURE[:1] else _V1_SIGNATURE
    head = bytes(buffer[: len(signature)])
    if not signature.startswith(head):
        return _refuse_signature(head, signature)
    if len(head) < len(signature):
        return None
    return _parse_v1(buffer) if signature is _V1_SIGNATURE else _parse_v2(buffer, limit)


def _refuse_signature(head: bytes, signature: bytes) -> tuple[ProxyData, int]:
    pairs = enumerate(zip(head, signature, strict=False))
    wrong = next(at for at, (actual, right) in pairs if actual != right)
    # After five octets there is no doubt which version the sender means to speak.
    if wrong < 5:
        data = ProxyData(version=None).with_error("PROXY unrecognized signature")
    elif signature is V2_SIGNATURE:
        data = ProxyData(version=2).with_error("PROXYv2 wrong signature")
    else:
        data = ProxyData(version=1).with_error("PROXYv1 wrong signature")
    return data, wrong + 1


def _parse_v1(buffer: bytes | bytearray) -> tuple[ProxyData, int] | None:
    line = bytes(buffer[:_V1_MAX_LENGTH])
    end = line.find(b"\n") + 1
    if not end and len(line) < _V1_MAX_LENGTH:
        return None
    line = line[: end or _V1_MAX_LENGTH]
    data = ProxyData(version=1)
    data.whole_raw += line
    if not end:
        data.error = "PROXYv1 header too long"
    elif not line.endswith(b"\r\n"):
        # "The receiver must not tolerate a single CR or LF character to end the line" (PP 2.1).
        data.error = "PROXYv1 malformed"
    else:
        data.error = _read_v1_line(data, line[len(_V1_SIGNATURE) : -2].decode("latin-1"))
    return data, len(line)


def _read_v1_line(data: ProxyData, text: str) -> str:
    """Fill ``data`` from what follows the signature; give the error, if any."""
    name, _, others = text.partition(" ")
    if name == "UNKNOWN":
        data.family, data.protocol = AF.UNSPEC, PROTO.UNSPEC
        data.rest = text.removeprefix(name).encode("latin-1")
        return ""
    data.family = {"4": AF.INET, "6": AF.INET6}.get(name[-1:])
    if data.family is None:
        return "PROXYv1 unrecognized family"
    if name[:-1] != "TCP":
        return "PROXYv1 unrecognized protocol"
    data.protocol = PROTO.STREAM
    # A field that is missing is read as an empty one, which is as malformed.
    src, _, others = others.partition(" ")
    dst, _, ports = others.partition(" ")
    return _read_v1_addresses(data, src, dst) or _read_v1_ports(data, ports)


def _read_v1_addresses(data: ProxyData, src: str, dst: str) -> str:
    try:
        addresses = [_v1_address(src), _v1_address(dst)]
    except ValueError:
        return "PROXYv1 address malformed"
    wanted, name = (IPv4Address, "IPv4") if data.family == AF.INET else (IPv6Address, "IPv6")
    if not all(isinstance(address, wanted) for address in addresses):
        return f"PROXYv1 address not {name}"
    data.src_addr, data.dst_addr = addresses
    return ""


def _v1_address(text: str) -> IPv4Address | IPv6Address:
    if not RE_ADDR_ALLOWCHARS.fullmatch(text):
        raise ValueError(text)
    return ip_address(text)


def _read_v1_ports(data: ProxyData, text: str) -> str:
    src, _, others = text.partition(" ")
    dst, extraneous, _ = others.partition(" ")
    if not RE_PORT_NOLEADZERO.fullmatch(src):
        return "PROXYv1 port malformed"
    data.src_port = int(src)
    if not RE_PORT_NOLEADZERO.fullmatch(dst):
        return "PROXYv1 port malformed"
    data.dst_port = int(dst)
    if data.src_port > 0xFFFF:
        return "PROXYv1 src port out of bounds"
    if data.dst_port > 0xFFFF:
        return "PROXYv1 dst port out of bounds"
    return "PROXYv1 unrecognized extraneous data" if extraneous else ""


def _parse_v2(buffer: bytes | bytearray, limit: int) -> tuple[ProxyData, int] | None:
    data = ProxyData(version=2)
    readers = (_read_v2_command, _read_v2_family)
    for length, read, octet in zip((13, 14), readers, buffer[12:14], strict=False):
        if error := read(data, octet):
            return data.with_error(error), length
    if len(buffer) < _V2_PREAMBLE:
        return None
    # The length counts whatever the command and the family are (PP 2.2).
    end = _V2_PREAMBLE + int.from_bytes(buffer[_V2_PREAMBLE - 2 : _V2_PREAMBLE], "big")
    if end > limit:
        return data.with_error("PROXYv2 header too long"), _V2_PREAMBLE
    if len(buffer) < end:
        return None
    data.whole_raw += buffer[:end]
    data.error = _read_v2_addresses(data)
    return data, end


def _read_v2_command(data: ProxyData, octet: int) -> str:
    version, command = divmod(octet, 16)
    if version != 2:
        return "PROXYv2 illegal version"
    if command not in V2_VALID_CMDS:
        data.command = command
        return "PROXYv2 unsupported command"
    data.command = V2_CMD(command)
    return ""


def _read_v2_family(data: ProxyData, octet: int) -> str:
    family, protocol = divmod(octet, 16)
    if family not in V2_VALID_FAMS:
        data.family = family
        return "PROXYv2 unsupported family"
    data.family = AF(family)
    if protocol not in V2_VALID_PROS:
        data.protocol = protocol
        return "PROXYv2 unsupported protocol"
    data.protocol = PROTO(protocol)
    return ""


def _read_v2_addresses(data: ProxyData) -> str:
    """Fill ``data`` from what follows the preamble in ``whole_raw``; give the error, if any."""
    rest = data.whole_raw[_V2_PREAMBLE:]
    if data.whole_raw[13] not in V2_PARSE_ADDR_FAMPRO:
        data.rest = rest
        return ""
    layout = _V2_LAYOUTS[AF(data.whole_raw[13] >> 4)]
    if len(rest) < layout.size:
        return "PROXYv2 truncated address"
    src, dst, *ports = layout.unpack_from(rest)
    if ports:
        # The length of the octets tells IPv4 from IPv6.
        src, dst = ip_address(src), ip_address(dst)
        data.src_port, data.dst_port = ports
    data.src_addr, data.dst_addr = src, dst
    data.rest = rest[layout.size :]
    if data.rest:
        data.tlv_start = _V2_PREAMBLE + layout.size
    return ""
