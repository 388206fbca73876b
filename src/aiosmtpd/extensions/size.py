"""SIZE (RFC 1870): the largest message, and the size a client announces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..protocol import MalformedParameters, ProtocolError
from ..protocol import reply as replies
from .base import Extension, Server

__all__ = ["Size"]


class Size(Extension):
    """``SIZE`` with the limit in force; a message announced larger is refused at once."""

    name = "SIZE"
    mail_parameters = frozenset({"SIZE"})
    longer: ClassVar[Mapping[str, int]] = {"MAIL": 26}  # RFC 1870 section 3

    def ehlo_line(self, server: Server) -> str | None:
        """Offer the limit, if there is one."""
        return f"SIZE {server.data_size_limit}" if server.data_size_limit else None

    def parse_mail(self, server: Server, keyword: str, value: str | None) -> int:
        """Give the announced size in octets, if it is within the limit (RFC 1870 section 6.1)."""
        if value is None or not (value.isascii() and value.isdigit() and len(value) <= 20):
            raise MalformedParameters
        size = int(value)
        if server.data_size_limit and size > server.data_size_limit:
            raise ProtocolError(reply=replies.SIZE_EXCEEDED)
        return size
