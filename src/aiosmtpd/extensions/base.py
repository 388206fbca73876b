"""What an extension is, and what it sees of the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from ..session import Envelope, Session

__all__ = ["Extension", "Server"]


class Server(Protocol):
    """What an extension sees of :class:`aiosmtpd.smtp.SMTP`."""

    data_size_limit: int | None
    enable_SMTPUTF8: bool
    tls_context: Any
    session: Session
    envelope: Envelope
    _decode_data: bool

    @property
    def _tls_protocol(self) -> Any:
        """Truthy under TLS."""

    def _advertised_mechanisms(self) -> list[str]:
        """The mechanisms that AUTH offers."""


class Extension:
    """An ESMTP extension (RFC 5321 section 2.2.2).

    Attributes:
        mail_parameters: the keywords that it adds to MAIL, in upper case.
        rcpt_parameters: the keywords that it adds to RCPT, in upper case.
        longer: by how many octets it lengthens a command, by verb.
    """

    mail_parameters: ClassVar[frozenset[str]] = frozenset()
    rcpt_parameters: ClassVar[frozenset[str]] = frozenset()
    longer: ClassVar[Mapping[str, int]] = {}

    def ehlo_line(self, server: Server) -> str | None:
        """Give the line of the EHLO reply for the session at hand, or None to offer nothing."""
        raise NotImplementedError

    def check_mail(self, server: Server, keyword: str, value: str | None) -> None:
        """Check a parameter of MAIL, and note in the envelope what it asks for.

        Args:
            server: the server at hand.
            keyword: one of ``mail_parameters``.
            value: what followed ``=``, or None.

        Raises:
            ProtocolError: the parameter cannot be accepted; its reply says why.
        """

    def check_rcpt(self, server: Server, keyword: str, value: str | None) -> None:
        """Check a parameter of RCPT; as :meth:`check_mail`."""
