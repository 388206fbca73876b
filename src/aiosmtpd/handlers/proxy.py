"""The handler that passes mail on to one other server, the next hop, while the client waits.

It queues nothing: the client is told what the next hop said, and keeps the message if that was a
refusal or if the next hop could not be reached. The conversation with the next hop is
:mod:`smtplib`'s, in a thread of its own, so the event loop never waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import smtplib
from typing import TYPE_CHECKING, Any

from ..lmtp import LMTP
from ..protocol.reply import OK, Reply
from .message import ENVELOPE_FIELDS
from .octets import (
    ahead_of,
    content_octets,
    crlf_lines,
    field_lines,
    header_end,
    without_fields,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..session import Envelope, Session
    from ..smtp import SMTP

__all__ = ["Proxy"]

log = logging.getLogger("mail.debug")

_UNREACHABLE = (451, b"4.4.1 Error: next hop is not reachable")
_CHANGED = (553, b"5.1.3 Error: address cannot be relayed unchanged")
_NO_SMTPUTF8 = (550, b"5.6.7 Error: next hop does not take internationalized addresses")
# What a client may demand of the message's way (RFC 8689 section 4.2.1, RFC 3030 section 3). The next
# hop is reached without TLS and by DATA, so neither can be kept.
_NEEDS_TLS = Reply(550, "5.7.30", "Error: next hop may not keep REQUIRETLS")
_BINARY = Reply(554, "5.6.3", "Error: binary content cannot be relayed")
_PEER_FIELD = ENVELOPE_FIELDS[0]


class Proxy:
    """Relay each message to another server and answer with what that server answered.

    A message is accepted as soon as the next hop accepts it for one recipient, since SMTP has one
    reply for all; recipients that it refused are then logged (logger ``mail.debug``) and nobody
    else learns of them. Under LMTP the client is told of each recipient by itself.

    The message is relayed with a header field ``X-Peer`` and without the client's own of that name.
    Each line of it ends with CRLF, whatever the client sent.

    An address that cannot be handed on as it is, such as ``"\\a"@example.com``, is refused with 553, and
    so are, with codes of their own, messages with REQUIRETLS or ``BODY=BINARYMIME``. What other
    extensions let a client ask for is not handed on.

    Args:
        remote_hostname: the name or address of the next hop.
        remote_port: its TCP port.
        timeout: how many seconds to wait for the next hop, at the connection and for each of its
            replies. The default is what RFC 5321 section 4.5.3.2 wants of a client at most steps.
    """

    def __init__(self, remote_hostname: str, remote_port: int, *, timeout: float = 300) -> None:
        self._hostname = remote_hostname
        self._port = remote_port
        self._timeout = timeout

    async def handle_DATA(
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str | dict[str, str]:
        """Relay the message and give the next hop's answer.

        Returns:
            ``250 OK`` if the message was accepted for one recipient at least, otherwise the next
            hop's refusal, or a 451 if there was nobody to refuse it. Under LMTP, and where PRDR
            asks for it, a reply for each recipient.
        """
        each = isinstance(server, LMTP) or "PRDR" in envelope.mail_parameters
        demanded = _demand_not_kept(envelope)
        if demanded is not None:
            return dict.fromkeys(envelope.rcpt_tos, demanded) if each else demanded
        refused = await asyncio.to_thread(self._relay, session, envelope)
        log.info("we got some refusals: %s", refused)
        replies = {rcpt: _reply_for(refused, rcpt) for rcpt in envelope.rcpt_tos}
        return {**replies} if each else _one_reply(list(replies.values()))

    def _relay(self, session: Session, envelope: Envelope) -> Any:
        octets = crlf_lines(content_octets(envelope))
        end = header_end(octets)
        peer = session.peer[0] if isinstance(session.peer, (tuple, list)) else session.peer
        field = field_lines({_PEER_FIELD: str(peer)})
        header = without_fields(octets[:end], [_PEER_FIELD])
        if end < len(octets):
            data = b"".join((header, field, memoryview(octets)[end:]))
        else:
            data = ahead_of(header, field) + header
        return self._deliver(envelope.mail_from or "<>", list(envelope.rcpt_tos), data)

    def _deliver(self, mail_from: str, rcpt_tos: list[str], data: bytes) -> Any:
        """Hand a message to the next hop; may be overridden. It is called in a thread.

        Args:
            mail_from: the reverse-path's mailbox, ``<>`` for the null reverse-path.
            rcpt_tos: the recipients.
            data: the message, each line with its CRLF; without transparency.

        Returns:
            What was refused: a dict from the recipient to the reply code and the text in bytes. A
            code that is no refusal's stands for a failure that may pass.
        """
        sender = _unchanged(mail_from)
        if sender is None:
            return dict.fromkeys(rcpt_tos, _CHANGED)
        arguments = {rcpt: _unchanged(rcpt) for rcpt in rcpt_tos}
        relayed = [argument for argument in arguments.values() if argument is not None]
        refused = self._send(sender, relayed, data) if relayed else {}
        return {
            rcpt: _CHANGED if argument is None else refused[argument]
            for rcpt, argument in arguments.items()
            if argument is None or argument in refused
        }

    def _send(self, mail_from: str, rcpt_tos: list[str], data: bytes) -> dict[str, Any]:
        """Talk to the next hop, in what :mod:`smtplib` takes for addresses; give the refusals."""
        client = smtplib.SMTP(timeout=self._timeout)
        try:
            greeting = client.connect(self._hostname, self._port)
            # connect() takes a greeting of 554 for a success (RFC 5321 section 3.1).
            if isinstance(greeting, tuple) and greeting[0] != 220:
                raise smtplib.SMTPConnectError(*greeting)
            options = _mail_options(client, [mail_from, *rcpt_tos], data)
            return client.sendmail(mail_from, rcpt_tos, data, *options)
        except smtplib.SMTPRecipientsRefused as error:
            log.info("got SMTPRecipientsRefused")
            # After a 421 the rest were not asked, and those accepted before it got no message.
            last = next(reversed(error.recipients.values()), _UNREACHABLE)
            return dict.fromkeys(rcpt_tos, last) | error.recipients
        except smtplib.SMTPResponseException as error:
            log.exception("got %s", error.__class__)
            return dict.fromkeys(rcpt_tos, (error.smtp_code, error.smtp_error))
        except smtplib.SMTPNotSupportedError as error:
            log.exception("got %s", error.__class__)
            return dict.fromkeys(rcpt_tos, _NO_SMTPUTF8)
        except (OSError, smtplib.SMTPException) as error:
            log.exception("got %s", error.__class__)
            return dict.fromkeys(rcpt_tos, _UNREACHABLE)
        finally:
            # The message's fate is known by now, whatever becomes of the farewell.
            with contextlib.suppress(OSError, smtplib.SMTPException):
                client.quit()


def _demand_not_kept(envelope: Envelope) -> Reply | None:
    """Give the reply to a message that must not travel the way it would, or None."""
    if "REQUIRETLS" in envelope.mail_parameters:
        return _NEEDS_TLS
    return _BINARY if envelope.mail_parameters.get("BODY") == "BINARYMIME" else None


def _unchanged(mailbox: str) -> str | None:
    """Give what :mod:`smtplib` makes this mailbox's path of, or None if there is no such thing.

    It takes addresses as they stand in header fields, and so would relay mail for the local mailbox
    ``"victim@example.com"`` to ``victim@example.com``. In brackets it is left as it is, and so are all
    but those that quote with a backslash what needs no quoting.
    """
    path = mailbox if mailbox[:1] == "<" and mailbox[-1:] == ">" else f"<{mailbox}>"
    return next((form for form in (mailbox, path) if smtplib.quoteaddr(form) == path), None)


def _mail_options(
    client: smtplib.SMTP, addresses: Sequence[str], data: bytes
) -> tuple[()] | tuple[list[str]]:
    """Find what MAIL has to declare, as further arguments of ``sendmail``: none for plain ASCII."""
    international = not all(address.isascii() for address in addresses)
    eight_bit = not data.isascii()
    if not international and not eight_bit:
        return ()
    client.ehlo_or_helo_if_needed()
    options = []
    if eight_bit and client.has_extn("8bitmime"):
        options.append("BODY=8BITMIME")
    # Addresses cannot be relayed without SMTPUTF8 (RFC 6531 section 3.2); a header section in UTF-8
    # is announced where that is understood, and otherwise relayed as the client sent it.
    if international or (_has_utf8_header(data) and client.has_extn("smtputf8")):
        options.append("SMTPUTF8")
    return (options,)


def _has_utf8_header(data: bytes) -> bool:
    header = data[: header_end(data)]
    try:
        header.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return not header.isascii()


def _reply_for(refused: Any, rcpt: str) -> Reply:
    """Make the reply for one recipient from what :meth:`Proxy._deliver` returned."""
    if not isinstance(refused, dict) or rcpt not in refused:
        return OK
    code, text = refused[rcpt]
    if not 400 <= code <= 599:
        code, text = _UNREACHABLE
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    # 421 is about the connection it is said on (RFC 5321 section 4.2.1), and ours goes on.
    return Reply(451 if code == 421 else code, None, *text.splitlines())


def _one_reply(replies: Sequence[Reply]) -> Reply:
    """Choose the reply that stands for all recipients."""
    if OK in replies:
        return OK
    # A recipient that may be accepted later must not be lost to one that never will be.
    return next((reply for reply in replies if reply.code < 500), replies[0])
