"""DSN (RFC 3461): what a client wishes to be told about the delivery of its message.

The extension reads the wishes and hands them on; whoever delivers the message fulfils them. A server
must neither refuse nor change anything because of a wish that is well formed (section 5.1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

from ..protocol import MalformedParameters
from ..protocol.grammar import decode_addr_xtext, decode_xtext, upper_case
from .base import Extension, Server

__all__ = ["Dsn", "OriginalRecipient"]

_RET = frozenset({"FULL", "HDRS"})
_NOTIFY = frozenset({"SUCCESS", "FAILURE", "DELAY"})
_ENVID_LIMIT = 100  # section 4.4
_ORCPT_LIMIT = 500  # section 4.2
# The atom of RFC 822 section 3.3, which addr-type is (section 4.2); "=" is in no esmtp-value.
_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+\-/?^_`{|}~]+")
# "Printable (graphic and white space) characters" of ASCII (sections 4.2 and 4.4). A line end among
# them could forge fields of the notification.
_PRINTABLE = re.compile(r"[\t -~]*")


class OriginalRecipient(NamedTuple):
    """The recipient as the sender named it (RFC 3461 section 4.2).

    Attributes:
        address_type: the registered type of the address, such as ``"rfc822"`` or ``"utf-8"``, in the
            case that the client used.
        address: the address, decoded. Only of the type ``utf-8`` it may hold more than ASCII, and is
            known to be a mailbox.
    """

    address_type: str
    address: str


class Dsn(Extension):
    """``DSN``: ``RET`` and ``ENVID`` of MAIL, ``NOTIFY`` and ``ORCPT`` of RCPT.

    Their values are for RET ``"FULL"`` or ``"HDRS"``; for ENVID the identifier, decoded; for NOTIFY a
    frozenset of ``"SUCCESS"``, ``"FAILURE"`` and ``"DELAY"``, or of ``"NEVER"`` alone; for ORCPT an
    :class:`OriginalRecipient`.
    """

    name = "DSN"
    mail_parameters = frozenset({"RET", "ENVID"})
    rcpt_parameters = frozenset({"NOTIFY", "ORCPT"})
    longer: ClassVar[Mapping[str, int]] = {
        "MAIL": len(" RET=FULL ENVID=") + _ENVID_LIMIT,
        "RCPT": len(" NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=") + _ORCPT_LIMIT,
    }

    def parse_mail(self, server: Server, keyword: str, value: str | None) -> str:
        """Give what to return with a notification, or the identifier of the envelope.

        Raises:
            MalformedParameters: it is not as sections 4.3 and 4.4 have it.
        """
        if keyword == "ENVID":
            return _decoded(_within(_ENVID_LIMIT, value))
        if value is None or upper_case(value) not in _RET:
            raise MalformedParameters
        return upper_case(value)

    def parse_rcpt(
        self, server: Server, keyword: str, value: str | None
    ) -> frozenset[str] | OriginalRecipient:
        """Give when to notify, or the original recipient.

        Raises:
            MalformedParameters: it is not as sections 4.1 and 4.2 have it.
        """
        if keyword == "NOTIFY":
            return _conditions(value)
        return _original_recipient(_within(_ORCPT_LIMIT, value), server.enable_SMTPUTF8)


def _within(limit: int, value: str | None) -> str:
    """Give a value that has to be there and to be no longer than so many octets."""
    if value is None or len(value.encode("utf-8", "surrogateescape")) > limit:
        raise MalformedParameters
    return value


def _conditions(value: str | None) -> frozenset[str]:
    """Parse ``notify-esmtp-value`` (section 4.1)."""
    if value is None:
        raise MalformedParameters
    if upper_case(value) == "NEVER":
        return frozenset({"NEVER"})
    # In a list of RFC 822 (section 2.7 there) empty elements do not count.
    conditions = frozenset(upper_case(value).split(",")) - {""}
    if not conditions or not conditions <= _NOTIFY:
        raise MalformedParameters
    return conditions


def _original_recipient(value: str, utf8: bool) -> OriginalRecipient:
    """Parse ``original-recipient-address`` (section 4.2; RFC 6533 section 3)."""
    address_type, semicolon, address = value.partition(";")
    if not semicolon or not _ATOM.fullmatch(address_type):
        raise MalformedParameters
    if address_type.lower() == "utf-8":
        return OriginalRecipient(address_type, decode_addr_xtext(address, utf8=utf8))
    return OriginalRecipient(address_type, _decoded(address))


def _decoded(xtext: str) -> str:
    """Decode xtext that stands for printable ASCII."""
    text = decode_xtext(xtext)
    if not _PRINTABLE.fullmatch(text):
        raise MalformedParameters
    return text
