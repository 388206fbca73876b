"""The hooks of a handler, one typed protocol each.

A handler is any object. The server looks on it for the methods named here and does by itself what
no method claims. Inherit from the protocols of the hooks you write: an editor completes them, a
type checker compares them, and a class that forgets one cannot be instantiated::

    class Gate(HandlesRCPT, HandlesDATA):
        async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
            if not address.endswith("@example.com"):
                return "550 5.7.1 not relaying to that domain"
            envelope.rcpt_tos.append(address)
            return "250 OK"

        async def handle_DATA(self, server, session, envelope):
            await store(envelope.content)
            return "250 2.0.0 stored"

Inheriting is not needed: the protocols are structural and can be tested for with ``isinstance``.
Arguments are given by position, so a hook may name them as it likes.

Three rules hold for every hook that is called for a command. It *owns the state* it answers for:
where a hook exists the server writes nothing into the session or the envelope in its place, so a
hook that accepts also records. What it *returns* is the reply, a string such as ``"250 OK"``,
several lines separated by CRLF; for a hook that returns None the server's default reply is sent and
a warning is logged. What it *raises* is logged and answered with 451, without its text, unless the
handler is one of :class:`HandlesException`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from .proxy_protocol import ProxyData
    from .session import Envelope, Session
    from .smtp import SMTP, AuthResult

__all__ = [
    "Authenticator",
    "DataReply",
    "HandlesAUTH",
    "HandlesBODY",
    "HandlesDATA",
    "HandlesEHLO",
    "HandlesEHLOWithoutResponses",
    "HandlesETRN",
    "HandlesEXPN",
    "HandlesException",
    "HandlesHELO",
    "HandlesMAIL",
    "HandlesNOOP",
    "HandlesPROXY",
    "HandlesQUIT",
    "HandlesRCPT",
    "HandlesRSET",
    "HandlesSTARTTLS",
    "HandlesVRFY",
]

DataReply: TypeAlias = str | Sequence[str] | Mapping[str, str]
"""What answers a message: one reply, or one for each recipient on an LMTP server or after PRDR."""


@runtime_checkable
class HandlesHELO(Protocol):
    """A handler that answers HELO."""

    @abstractmethod
    async def handle_HELO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, /
    ) -> str:
        """Answer HELO (RFC 5321 section 4.1.1.1).

        The hook owns ``session.host_name``. It sets it to accept the greeting; while it is None or
        empty the client has not been greeted, and commands that need a greeting are refused.

        Args:
            server: the SMTP object of this connection.
            session: the session of the client.
            envelope: an empty envelope.
            hostname: what the client calls itself.

        Returns:
            The reply, ``f"250 {server.hostname}"`` to accept.
        """


@runtime_checkable
class HandlesEHLO(Protocol):
    """A handler that answers EHLO, or LHLO on an LMTP server."""

    @abstractmethod
    async def handle_EHLO(
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        hostname: str,
        responses: list[str],
        /,
    ) -> list[str]:
        """Answer EHLO (RFC 5321 section 4.1.1.1) by changing the lines that the server would send.

        The hook owns ``session.host_name``, as :meth:`HandlesHELO.handle_HELO` does.

        Args:
            server: the SMTP object of this connection.
            session: the session of the client.
            envelope: an empty envelope.
            hostname: what the client calls itself.
            responses: the lines of the planned reply, such as ``"250-SIZE 33554432"``. The first
                names the server and had better stay; the last begins with ``250`` and a space, and is
                ``"250 HELP"`` unless extensions were added behind it.

        Returns:
            The lines to send. All but the last begin with ``250-``, the last with ``250`` and a
            space.
        """


@runtime_checkable
class HandlesEHLOWithoutResponses(Protocol):
    """A handler that answers EHLO in the form that was deprecated in 1.3.

    It differs from :class:`HandlesEHLO` in its arguments only, so ``isinstance`` cannot tell the
    two apart; the server counts the arguments. New handlers use the other form.
    """

    @abstractmethod
    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, /
    ) -> str:
        """Answer EHLO with the last line of the reply.

        The hook owns ``session.host_name``. To add lines it sends each of them first, by
        ``await server.push("250-KEYWORD")``.

        Args:
            server: the SMTP object of this connection.
            session: the session of the client.
            envelope: an empty envelope.
            hostname: what the client calls itself.

        Returns:
            The last line, ``"250 HELP"`` to accept.
        """


@runtime_checkable
class HandlesMAIL(Protocol):
    """A handler that answers MAIL."""

    @abstractmethod
    async def handle_MAIL(
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        mail_options: list[str],
        /,
    ) -> str:
        """Answer MAIL (RFC 5321 section 4.1.1.2), whose syntax and parameters are in order.

        The hook owns ``envelope.mail_from``. It sets it to accept the reverse-path; while it is
        None no transaction has begun. It may extend ``envelope.mail_options``.

        Args:
            server: the SMTP object of this connection.
            session: the session of the client.
            envelope: the envelope of the transaction that would begin.
            address: the reverse-path's mailbox; ``"<>"`` is the null reverse-path.
            mail_options: the parameters as the client wrote them, in upper case.

        Returns:
            The reply, ``"250 OK"`` to accept.
        """


@runtime_checkable
class HandlesRCPT(Protocol):
    """A handler that answers RCPT."""

    @abstractmethod
    async def handle_RCPT(
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        rcpt_options: list[str],
        /,
    ) -> str:
        """Answer RCPT (RFC 5321 section 4.1.1.3), whose syntax and parameters are in order.

        The hook owns ``envelope.rcpt_tos``. It appends the address to accept the recipient, and
        leaves the list as it is to refuse. It may extend ``envelope.rcpt_options``.

        Args:
            server: the SMTP object of this connection.
            session: the session of the client.
            envelope: the envelope of the transaction.
            address: the forward-path's mailbox.
            rcpt_options: the parameters as the client wrote them, in upper case.

        Returns:
            The reply, ``"250 OK"`` to accept.
        """


@runtime_checkable
class HandlesDATA(Protocol):
    """A handler that takes a message when all of it has arrived."""

    @abstractmethod
    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope, /) -> DataReply:
        """Take the message and answer for it (RFC 5321 sections 4.1.1.4 and 4.2.5).

        The hook owns the message: to answer with 2yz is to take responsibility for its delivery. To
        answer with 4yz or 5yz is to have none, and to keep no copy. The envelope is replaced by an
        empty one afterwards, whatever the answer.

        Args:
            server: the SMTP object of this connection.
            session: the session of the client.
            envelope: the transaction. Its ``content`` is the message as ``bytes``, or as ``str``
                with ``decode_data``; ``original_content`` is always ``bytes``.

        Returns:
            The reply, ``"250 OK"`` to accept. On an LMTP server (RFC 2033 section 4.2), or where the
            client asked for it by PRDR (draft-hall-prdr-00), it may be a reply for each recipient,
            in a mapping or in the order of ``envelope.rcpt_tos``; a recipient that the mapping lacks
            is answered 451.
        """


@runtime_checkable
class HandlesBODY(Protocol):
    """A handler that takes a message while it arrives."""

    @abstractmethod
    async def handle_BODY(
        self, server: SMTP, session: Session, envelope: Envelope, body: AsyncIterator[bytes], /
    ) -> DataReply:
        """Read the message and answer for it; it takes the place of ``handle_DATA``.

        The hook owns what it makes of the octets until it has answered: a file that it began and
        did not finish is its own to remove. While it does not read, the server does not read from
        the client either, so memory stays bounded whatever the size. What it leaves unread is
        thrown away. Where a message comes by BDAT (RFC 3030) it is called at the first chunk, in a
        task of its own, and ``body`` goes on over all of them.

        Args:
            server: the SMTP object of this connection.
            session: the session of the client.
            envelope: the transaction; its ``content`` is None.
            body: the message in pieces of any size, with transparency undone.

        Returns:
            What :meth:`HandlesDATA.handle_DATA` returns.

        Raises:
            aiosmtpd.protocol.errors.BodyError: raised *by the body*, out of ``async for``: its kind
                tells whether the message was too large, had too long a line, or was cut off or
                given up. Let it pass; the server answers the client with what the kind asks for.
        """


@runtime_checkable
class HandlesRSET(Protocol):
    """A handler that answers RSET."""

    @abstractmethod
    async def handle_RSET(self, server: SMTP, session: Session, envelope: Envelope, /) -> str:
        """Answer RSET (RFC 5321 section 4.1.1.5).

        The hook owns nothing: the transaction is over before it is called.

        Args:
            server: the SMTP object of this connection.
            session: the session of the client.
            envelope: an empty envelope.

        Returns:
            The reply, which should be ``"250 OK"``.
        """


@runtime_checkable
class HandlesNOOP(Protocol):
    """A handler that answers NOOP."""

    @abstractmethod
    async def handle_NOOP(
        self, server: SMTP, session: Session, envelope: Envelope, arg: str | None, /
    ) -> str:
        """Answer NOOP (RFC 5321 section 4.1.1.9); the hook owns nothing.

        Args:
            server: the SMTP object of this connection.
            session: the session of the client.
            envelope: the envelope as it stands.
            arg: what the client wrote behind the verb, or None.

        Returns:
            The reply, which should be ``"250 OK"``.
        """


@runtime_checkable
class HandlesQUIT(Protocol):
    """A handler that answers QUIT."""

    @abstractmethod
    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope, /) -> str:
        """Answer QUIT (RFC 5321 section 4.1.1.10); the hook owns nothing.

        The server closes the connection after the reply. It is not called for a client that leaves
        without QUIT.

        Args:
            server: the SMTP object of this connection.
            session: the session of the client.
            envelope: the envelope as it stands.

        Returns:
            The reply, which should be ``"221 Bye"``.
        """


@runtime_checkable
class HandlesVRFY(Protocol):
    """A handler that answers VRFY."""

    @abstractmethod
    async def handle_VRFY(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, /
    ) -> str:
        """Answer VRFY (RFC 5321 section 4.1.1.6); the hook owns nothing.

        Args:
            server: the SMTP object of this connection.
            session: the session of the client.
            envelope: the envelope as it stands.
            address: the mailbox that the client asks about.

        Returns:
            The reply: 250 with the mailbox, 252 to say neither yes nor no, or a refusal.
        """


@runtime_checkable
class HandlesEXPN(Protocol):
    """A handler that expands mailing lists; without it EXPN is answered 502."""

    @abstractmethod
    async def handle_EXPN(
        self, server: SMTP, session: Session, envelope: Envelope, arg: str, /
    ) -> str:
        """Answer EXPN (RFC 5321 section 4.1.1.7); the hook owns nothing.

        It should judge who asks: the members of a list are nobody's business but the members'.

        Args:
            server: the SMTP object of this connection.
            session: the session of the client.
            envelope: the envelope as it stands.
            arg: what the client wrote: the name of a list, in any form.

        Returns:
            The reply: 250 with a mailbox a line, such as
            ``Reply(250, "2.1.5", "Anne <anne@example.com>", "bart@example.com")``, or a refusal.
        """


@runtime_checkable
class HandlesETRN(Protocol):
    """A handler that starts queues; for servers with the extension ``Etrn``."""

    @abstractmethod
    async def handle_ETRN(
        self, server: SMTP, session: Session, envelope: Envelope, node: str, /
    ) -> str:
        """Answer ETRN (RFC 1985 section 5), which may come now; the hook owns nothing.

        It should start the queue and not wait for it to be empty.

        Args:
            server: the SMTP object of this connection.
            session: the session of the client.
            envelope: an empty envelope.
            node: a domain or address literal; ``@`` before a domain asks for its subdomains too; what
                follows ``#`` is the name of a queue.

        Returns:
            The reply: ``"250 OK, queuing for node ... started"``, 251 if nothing is waiting, 252 or
            253 if something is and was started, 458 if it cannot be, 459 if it may not.
        """


@runtime_checkable
class HandlesAUTH(Protocol):
    """A handler that does all of AUTH by itself.

    Few need this: an :class:`Authenticator` checks passwords, and a method named ``auth_MECHANISM``
    adds one mechanism.
    """

    @abstractmethod
    async def handle_AUTH(
        self, server: SMTP, session: Session, envelope: Envelope, args: list[str], /
    ) -> str | None:
        """Carry out the exchange of AUTH (RFC 4954 section 4).

        The hook owns ``session.authenticated`` and ``session.auth_data``. It talks to the client
        by ``server.challenge_auth`` and ``server.push``.

        Args:
            server: the SMTP object of this connection.
            session: the session of the client.
            envelope: an empty envelope.
            args: the words behind the verb: the mechanism, and perhaps an initial response.

        Returns:
            The reply, or None if the hook has sent it. If neither, 235 or 535 is sent, as
            ``session.authenticated`` says.
        """


@runtime_checkable
class HandlesSTARTTLS(Protocol):
    """A handler that judges a TLS connection that STARTTLS set up."""

    @abstractmethod
    def handle_STARTTLS(self, server: SMTP, session: Session, envelope: Envelope, /) -> bool:
        """Say whether the connection may go on; called after the handshake, not as a coroutine.

        The hook owns that decision only. The client greets again after it (RFC 3207 section 4.2),
        so there is no host name and no transaction yet.

        Args:
            server: the SMTP object of this connection.
            session: the session of the client; its ``ssl`` tells of the TLS connection.
            envelope: an empty envelope.

        Returns:
            True to go on, False to answer 554 to every command but QUIT.
        """


@runtime_checkable
class HandlesPROXY(Protocol):
    """A handler that judges the PROXY header; needed where one is expected of everybody.

    That is, where the server has ``proxy_protocol_timeout`` and no ``proxy_networks``.
    """

    @abstractmethod
    async def handle_PROXY(
        self, server: SMTP, session: Session, envelope: Envelope, proxy_data: ProxyData, /
    ) -> bool:
        """Say whether a connection that a proxy announced may go on, before the greeting.

        The hook owns that decision only.

        Args:
            server: the SMTP object of this connection.
            session: the session; its ``peer`` is the client's address if the server has
                ``proxy_networks``, otherwise the proxy's.
            envelope: an empty envelope.
            proxy_data: the header, which was well-formed; it has the client's address.

        Returns:
            True to go on, False to close the connection without a word.
        """


@runtime_checkable
class HandlesException(Protocol):
    """A handler that answers for what went wrong."""

    @abstractmethod
    async def handle_exception(self, error: Exception, /) -> str:
        """Answer a command during which an exception was raised.

        The hook owns the reply and the log: where it exists the server logs the exception no more.
        A transaction during which it was raised is over. A lost connection is no such exception,
        and neither is a fault of the client that the server has a reply for.

        Args:
            error: what a verb or a hook raised.

        Returns:
            The reply, such as ``"451 4.3.0 try again later"``. It should not tell a stranger what
            the exception says. If this returns None or raises, that is logged and 451 is sent.
        """


class Authenticator(Protocol):
    """What decides whether credentials are good: the parameter ``authenticator`` of the server.

    A function, a coroutine function, or an object that is either when called.
    """

    @abstractmethod
    def __call__(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, auth_data: Any, /
    ) -> AuthResult | Awaitable[AuthResult]:
        """Decide on the credentials that a mechanism has gathered.

        It owns nothing: the server writes its decision into the session. It should not change the
        session or the envelope itself.

        Args:
            server: the SMTP object of this connection.
            session: the session of the client.
            envelope: an empty envelope.
            mechanism: the name of the mechanism, such as ``"PLAIN"``.
            auth_data: what the mechanism gathered; of PLAIN and LOGIN, a ``LoginPassword``.

        Returns:
            The decision.
        """
