"""SMTPUTF8 (RFC 6531): internationalised addresses and headers.

That an address may be internationalised is for the whole server (``enable_SMTPUTF8``) and its grammar.
This module knows how a client says that it uses one, and what it may be told: a mailbox that is not
ASCII only where it allowed that, by the parameter of MAIL or of VRFY. Of a domain it asks no more
than the grammar does: whether a U-label is one that IDNA knows is for whoever looks it up in the DNS
(section 3.2), and addresses are handed on as the client wrote them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..protocol import ProtocolError, Reply
from ..protocol import reply as replies
from .base import Extension, Server

__all__ = ["SmtpUtf8", "StrictSmtpUtf8", "split_vrfy", "without_utf8"]

_PARAMETER = "SMTPUTF8"
# Section 3.5.
_SENDER_NOT_ASCII = Reply(550, "5.6.7", "Error: a sender that is not ASCII needs SMTPUTF8")
_RECIPIENT_NOT_ASCII = Reply(553, "5.6.7", "Error: a recipient that is not ASCII needs SMTPUTF8")
# Section 3.7.4.
_NOT_TOLD = "UTF-8 string reply is required, but not permitted by the client"
_VERIFIED = Reply(252, "2.6.8", _NOT_TOLD)
_NOT_VERIFIED = Reply(550, "5.6.8", _NOT_TOLD)
_INSTEAD = {
    ("RCPT", "251"): replies.OK,
    ("RCPT", "551"): _NOT_VERIFIED,
    ("EXPN", "250"): _VERIFIED,
    ("VRFY", "250"): _VERIFIED,
    ("VRFY", "251"): _VERIFIED,
    ("VRFY", "551"): _NOT_VERIFIED,
}


class SmtpUtf8(Extension):
    """``SMTPUTF8``, where the server has it enabled.

    A client must give the parameter with an address that is not ASCII (RFC 6531 section 3.4). Some in
    use do not, and nothing obliges a server to refuse them; :class:`StrictSmtpUtf8` does.
    """

    name = "SMTPUTF8"
    mail_parameters = frozenset({_PARAMETER})
    longer: ClassVar[Mapping[str, int]] = {"MAIL": 10}  # RFC 6531 section 3.1 (5)

    def ehlo_line(self, server: Server) -> str | None:
        """Offer it if it is enabled."""
        return self.name if server.enable_SMTPUTF8 else None

    def parse_mail(self, server: Server, keyword: str, value: str | None) -> bool:
        """Allow it, without a value, where it is enabled (RFC 6531 section 3.4)."""
        if not server.enable_SMTPUTF8:
            raise ProtocolError(reply=replies.SMTPUTF8_DISABLED)
        if value is not None:
            raise ProtocolError(reply=replies.SMTPUTF8_ARGUMENT)
        return True


class StrictSmtpUtf8(SmtpUtf8):
    """``SMTPUTF8``, and an address that is not ASCII only in a transaction that says so.

    With it whoever hands a message on knows by ``envelope.smtp_utf8`` alone whether the next server
    needs the extension. It takes the place of :class:`SmtpUtf8`.
    """

    checks = frozenset({"MAIL", "RCPT"})

    def check(
        self, server: Server, verb: str, address: str | None, parameters: Mapping[str, Any]
    ) -> None:
        """Refuse an address that needs the parameter where it is missing.

        Raises:
            ProtocolError: it is missing (RFC 6531 section 3.5).
        """
        if address is None or address.isascii():
            return
        if verb == "RCPT":
            if not server.envelope.smtp_utf8:
                raise ProtocolError(reply=_RECIPIENT_NOT_ASCII)
        elif _PARAMETER not in parameters:
            raise ProtocolError(reply=_SENDER_NOT_ASCII)


def split_vrfy(argument: str) -> tuple[str, bool]:
    """Split the parameter from the argument of VRFY (RFC 6531 section 3.7.4.2).

    Args:
        argument: what follows the verb.

    Returns:
        The argument without it, and whether it was there.

    Raises:
        ProtocolError: it has a value.
    """
    string, _, last = argument.rpartition(" ")
    keyword, equals, _ = last.partition("=")
    if not string.strip() or keyword.upper() != _PARAMETER:
        return argument, False
    if equals:
        raise ProtocolError(reply=replies.SMTPUTF8_ARGUMENT)
    return string.rstrip(), True


def without_utf8(status: Any, verb: str) -> Any:
    """Give what to answer a client that did not allow UTF-8 (RFC 6531 section 3.7.4).

    Args:
        status: the reply of a hook.
        verb: ``"RCPT"``, ``"VRFY"`` or ``"EXPN"``, which have replies with mailboxes.

    Returns:
        The reply, or another one if it would show a mailbox that is not ASCII. To VRFY and EXPN the
        words of any other reply are escaped.
    """
    if not isinstance(status, (str, bytes)) or status.isascii():
        return status
    text = status if isinstance(status, str) else status.decode("utf-8", "surrogateescape")
    instead = _INSTEAD.get((verb, text[:3]))
    if instead is not None or verb == "RCPT":
        return instead or status
    return text.encode("ascii", "backslashreplace").decode()
