"""What handlers read and write: the session of a connection and the envelope of a transaction.

Both are plain objects that hooks may hang their own attributes on. They know nobody.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

__all__ = ["Envelope", "Session"]


class Session:
    """What is known of a connection; made when it opens, kept until it closes.

    Args:
        loop: the event loop that serves the connection.

    Attributes:
        peer: the address of the client, as the transport gives it.
        ssl: None without TLS, otherwise a dict of what the TLS layer tells (``peercert``,
            ``cipher``, ``compression``, ``sslcontext``, ``ssl_object``).
        host_name: what the client called itself in HELO, EHLO or LHLO; None before it did.
        extended_smtp: True once the client greeted with EHLO or LHLO.
        proxy_data: the PROXY header, if the server expects one.
        auth_data: what the authenticator returned for the identity that was established.
        auth_identity: the identity that AUTH established, for a sender policy or a hook to use; None
            if there is none, or a mechanism of the program's own did not tell it.
        authenticated: None before any AUTH, then whether the last one succeeded.
        xclient: what XCLIENT said, by the names of its attributes; None stands for what it says is
            unavailable. Empty before any.
        peer_before_xclient: who connected, once XCLIENT has set ``peer``; None before.
        loop: the event loop that serves the connection.
    """

    xclient: Mapping[str, str | None] = MappingProxyType({})
    peer_before_xclient: Any = None

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.peer: Any = None
        self.ssl: dict[str, Any] | None = None
        self.host_name: str | None = None
        self.extended_smtp = False
        self.proxy_data: Any = None
        self.auth_data: Any = None
        self.auth_identity: str | None = None
        self.authenticated: bool | None = None
        self._login_data: Any = None
        self.loop = loop

    @property
    def login_data(self) -> Any:
        """The login that ``auth_callback`` accepted; deprecated in favour of ``auth_data``."""
        _warn_login_data()
        return self._login_data

    @login_data.setter
    def login_data(self, value: Any) -> None:
        _warn_login_data()
        self._login_data = value


def _warn_login_data() -> None:
    warnings.warn(
        "Session.login_data is deprecated and will be removed in version 3; use auth_data",
        DeprecationWarning,
        stacklevel=3,
    )


class Envelope:
    """What is known of a mail transaction; made anew after each (RFC 5321 section 3.3).

    Attributes:
        mail_from: the reverse-path's mailbox, ``"<>"`` for the null reverse-path; None before MAIL.
        mail_options: the parameters of MAIL as the client wrote them, in upper case.
        mail_parameters: the same by keyword, in upper case, each value as its extension parsed it, in
            the case that the client used; True stands for a parameter without a value.
        rcpt_tos: the mailbox of each recipient that was accepted.
        rcpt_options: the parameters of all RCPT commands, in one list.
        rcpt_parameters: for each accepted recipient its parameters, as in ``mail_parameters``.
        smtp_utf8: True if MAIL had the parameter SMTPUTF8 (RFC 6531).
        xforward: what XFORWARD said of where the message comes from, by the names of its attributes;
            None stands for what is unavailable. Empty without XFORWARD.
        content: the body: ``bytes``, or ``str`` where the server was made with ``decode_data``.
        original_content: the body as ``bytes``, whatever ``decode_data``.
    """

    xforward: Mapping[str, str | None] = MappingProxyType({})
    # What came of the message by BDAT, while more is to come.
    _chunks: Any = None

    def __init__(self) -> None:
        self.mail_from: str | None = None
        self.mail_options: list[str] = []
        self.mail_parameters: dict[str, Any] = {}
        self.smtp_utf8 = False
        self.content: bytes | str | None = None
        self.original_content: bytes | None = None
        self.rcpt_tos: list[str] = []
        self.rcpt_options: list[str] = []
        self.rcpt_parameters: list[dict[str, Any]] = []
