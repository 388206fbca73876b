"""What an extension is, and what it sees of the server.

An extension is asked: at EHLO for its line, at MAIL and RCPT for what its parameters mean and whether
they go together, at an unknown verb for its own. It changes nothing by being asked, and keeps nothing of
a connection: what a client said stands in the session and the envelope.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

if TYPE_CHECKING:
    import asyncio

    from ..session import Envelope, Session
    from .table import ExtensionTable

__all__ = ["Extension", "Server", "syntax"]

_Method = TypeVar("_Method", bound=Callable[..., Any])


def syntax(
    text: str, extended: str | None = None, when: str | None = None, *, listed: bool = True
) -> Callable[[_Method], _Method]:
    """Give a verb its line in HELP.

    Args:
        text: the syntax, for example ``"PING [ignored]"``.
        extended: what to add to it once the client greeted with EHLO or LHLO.
        when: the name of an attribute of the server that must be true for the verb to be shown.
        listed: whether HELP without an argument names the verb; HELP with its name tells of it anyway.
    """

    def decorate(method: _Method) -> _Method:
        method.__smtp_syntax__ = text  # type: ignore[attr-defined]
        method.__smtp_syntax_extended__ = extended  # type: ignore[attr-defined]
        method.__smtp_syntax_when__ = when  # type: ignore[attr-defined]
        method.__smtp_syntax_listed__ = listed  # type: ignore[attr-defined]
        return method

    return decorate


class Server(Protocol):
    """What an extension sees of :class:`aiosmtpd.smtp.SMTP`."""

    command_size_limit: int
    data_size_limit: int | None
    line_length_limit: int
    recipient_limit: int
    recipient_domain_limit: int | None
    enable_SMTPUTF8: bool
    event_handler: Any
    hostname: str
    tls_context: Any
    session: Session
    envelope: Envelope
    transport: asyncio.Transport | None
    _table: ExtensionTable
    _call_limits: dict[str, int] | None
    _decode_data: bool
    _greeting_verb: str
    __ident__: str

    @property
    def _tls_protocol(self) -> Any:
        """Truthy under TLS."""

    async def push(self, status: str | bytes) -> None:
        """Send a reply."""

    async def check_helo_needed(self, helo: str = ...) -> bool:
        """Refuse a command that came before any greeting; tell whether it was refused."""

    async def check_auth_needed(self, caller_method: str) -> bool:
        """Refuse a command that needs AUTH before it; tell whether it was refused."""

    def _call_handler_hook(self, command: str, *args: Any) -> Awaitable[Any]:
        """Call a hook; ``MISSING`` if there is none."""

    def _default_for(self, status: Any, default: Any, command: str) -> Any:
        """Give the reply of a hook, or the default where there is no hook or it returned None."""

    def _find_hook(self, name: str) -> Any:
        """Give a hook of the handler, or None."""

    def _count_anew(self) -> None:
        """Forget what counts towards the limits of a session, for another client's begins."""

    def _forget_client(self) -> None:
        """Forget what the client said of itself."""

    def _advertised_mechanisms(self) -> list[str]:
        """The mechanisms that AUTH offers."""

    async def _receive_chunk(self, arg: str | None) -> None:
        """Receive a chunk of the message: BDAT."""


class Extension:
    """An ESMTP extension (RFC 5321 section 2.2.2).

    A method ``smtp_NAME(server, arg)``, a coroutine with :func:`syntax`, is a verb that it adds; a verb
    of that name of the server itself goes first.

    The other methods must not wait. They may be called outside of the connection's task, so that there
    is no current task then, nor a context variable that a hook set. About a command that one of them
    refuses they may be asked twice.

    Attributes:
        name: its keyword in the EHLO reply, in upper case.
        needs: the names of the extensions that it cannot be without.
        mail_parameters: the keywords that it adds to MAIL, in upper case.
        rcpt_parameters: the keywords that it adds to RCPT, in upper case.
        body_types: the values that it adds to the parameter BODY of MAIL, in upper case.
        longer: by how many octets it lengthens a command, by verb.
        checks: the verbs that :meth:`check` is to be asked about: ``MAIL``, ``RCPT``, ``DATA``,
            ``BDAT``.
    """

    name: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset()
    mail_parameters: ClassVar[frozenset[str]] = frozenset()
    rcpt_parameters: ClassVar[frozenset[str]] = frozenset()
    body_types: ClassVar[tuple[str, ...]] = ()
    longer: ClassVar[Mapping[str, int]] = {}
    checks: ClassVar[frozenset[str]] = frozenset()

    def ehlo_line(self, server: Server) -> str | None:
        """Give the line of the EHLO reply for the session at hand.

        Args:
            server: the server at hand; before TLS and after it, and before AUTH and after it, it may
                offer other things.

        Returns:
            The line without ``250-``: the name, and its arguments if it has any; None to offer nothing.
        """
        return self.name

    def parse_mail(self, server: Server, keyword: str, value: str | None) -> Any:
        """Give what a parameter of MAIL means.

        Args:
            server: the server at hand.
            keyword: one of ``mail_parameters``.
            value: what followed ``=`` as the client wrote it, or None.

        Returns:
            What goes into ``envelope.mail_parameters`` under the keyword. Where an extension does not
            say it is ``value``, or True for a parameter without one.

        Raises:
            MalformedParameters: it has not the right form; the client is told the syntax of MAIL.
            ProtocolError: it cannot be accepted; its reply says why.
        """
        return True if value is None else value

    def parse_rcpt(self, server: Server, keyword: str, value: str | None) -> Any:
        """Give what a parameter of RCPT means.

        Args:
            server: the server at hand.
            keyword: one of ``rcpt_parameters``.
            value: what followed ``=`` as the client wrote it, or None.

        Returns:
            What goes into ``envelope.rcpt_parameters`` under the keyword; as :meth:`parse_mail`.

        Raises:
            MalformedParameters: it has not the right form; the client is told the syntax of RCPT.
            ProtocolError: it cannot be accepted; its reply says why.
        """
        return True if value is None else value

    def check(
        self, server: Server, verb: str, address: str | None, parameters: Mapping[str, Any]
    ) -> None:
        """Judge a command as a whole: parameters that exclude each other, limits of a transaction.

        It is called once the command was found to be in sequence and parsed, before its hook.

        Args:
            server: the server at hand; its envelope is as it was before the command.
            verb: one of ``checks``.
            address: the mailbox of MAIL (``"<>"`` for the null reverse-path) or RCPT, else None.
            parameters: those of this command, parsed.

        Raises:
            ProtocolError: the command cannot be accepted; its reply says why.
        """

    def filter_reply(self, server: Server, verb: str, status: str | bytes) -> str | bytes:
        """Give what to send instead of a reply; asked for every reply where it is overridden.

        Args:
            server: the server at hand.
            verb: the verb that is answered, in upper case; empty for the greeting.
            status: the reply without its final CRLF.

        Returns:
            What to send: ``status`` itself, or another reply of the same form.
        """
        return status
