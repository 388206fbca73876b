"""The client's side of an SMTP or LMTP conversation, played by a test.

A conversation connects to one protocol object in the running event loop, through a
:class:`~aiosmtpd.testing.MemoryTransport`. It sends a command, waits until the whole reply is there,
and gives it back; if none comes, the test fails with what was said so far. It checks nothing of what a
server answers: that is what the test is for.
"""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from email import policy
from email.message import Message
from types import TracebackType
from typing import Any, Self, TypeVar

from ..lmtp import LMTP
from ..protocol.reply import Reply
from .errors import ConversationError, ScriptMismatchError, ServerClosedError, ServerSilentError
from .script import Step, compare, parse_script
from .transport import MemoryTransport

__all__ = ["Conversation", "Outcome", "converse"]

_T = TypeVar("_T")

_REPLY_LINE = re.compile(r"([2-5][0-9]{2})(?:([- ])([^\r\n]*))?")  # RFC 5321 section 4.2
_GREETING = re.compile(rb"(HELO|EHLO|LHLO)\b", re.IGNORECASE)
_LEAVING = 421  # after which a server closes (RFC 5321 section 3.8)
_LINES_SHOWN = 30  # of each piece that one side said, in the transcript of an error


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message.

    Attributes:
        mail: the reply to MAIL.
        recipients: the reply to RCPT for each recipient.
        data: the reply to DATA, None if it was not sent, since there was no recipient.
        replies: what the message itself was answered: one reply, on an LMTP server one for each
            recipient that was accepted (RFC 2033 section 4.2), and with PRDR one for each of them
            and then one for all, if the server answered so. Empty if it was not sent.
    """

    mail: Reply
    recipients: Mapping[str, Reply]
    data: Reply | None = None
    replies: tuple[Reply, ...] = ()

    @property
    def reply(self) -> Reply:
        """The reply that decided.

        That is the last one; of several that the message was answered, the first that refuses.
        """
        if self.replies:
            refusals = (reply for reply in self.replies if reply.code >= 400)
            return next(refusals, self.replies[-1])
        return self.data or [self.mail, *self.recipients.values()][-1]

    @property
    def code(self) -> int:
        """The code of the reply that decided."""
        return self.reply.code

    @property
    def accepted(self) -> bool:
        """Whether the message was taken for every recipient that was accepted."""
        return bool(self.replies) and all(reply.code < 300 for reply in self.replies)


class Conversation:
    """Talk to a server protocol.

    Use it as an asynchronous context manager. Leaving it breaks the connection if that is still there,
    and waits until the protocol is done with it. ::

        async with Conversation(SMTP(handler)) as client:
            assert (await client.send("EHLO client.example")).code == 250
            outcome = await client.message("anne@example.com", "bart@example.com", "Hello")
            assert outcome.code == 250

    Args:
        protocol: the protocol, such as ``SMTP(handler)`` or ``LMTP(handler)``; for one conversation.
        timeout: how many seconds to wait for anything at most; None waits for ever, to debug.
        tls: let the protocol believe that the connection is encrypted. (A handshake cannot be played in
            memory: to test STARTTLS, use a :class:`~aiosmtpd.controller.Controller`.)
        extra: what the transport's ``get_extra_info`` gives, such as ``{"peername": ("::1", 1)}``.

    Attributes:
        protocol: as above.
        transport: the :class:`MemoryTransport`, to hold back what the server writes and the like.
        timeout: as above.
    """

    def __init__(
        self,
        protocol: asyncio.Protocol,
        *,
        timeout: float | None = 5.0,
        tls: bool = False,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        encrypted = {"sslcontext": ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)} if tls else {}
        self.protocol = protocol
        self.transport = MemoryTransport(protocol, extra={**encrypted, **(extra or {})})
        self.timeout = timeout
        self._read = 0  # how many octets of transport.received were given to the test
        self._greeting: Reply | None = None
        self._said_hello = False

    async def __aenter__(self) -> Self:
        self.transport.connect()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.transport.lose()
        await self.closed()
        # The task of our own protocols; others may have none.
        task = getattr(self.protocol, "_handler_coroutine", None)
        if not isinstance(task, asyncio.Task):
            return
        _, pending = await asyncio.wait([task], timeout=self.timeout)
        if pending:
            task.cancel()
        if error is not None:
            return
        if pending:
            raise self._error(ConversationError, "a hook still runs after the connection is lost")
        if not task.cancelled():
            task.result()  # raises what nobody caught

    # -- saying -----------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Send octets as they are, and wait for nothing.

        Args:
            data: the octets, which arrive in one piece.

        Raises:
            ServerClosedError: the server has closed the connection.
        """
        if self.transport.is_closing():
            raise self._error(ServerClosedError, "the connection is closed, nothing can be sent")
        self._said_hello = self._said_hello or _GREETING.match(data) is not None
        self.transport.feed(data)

    async def send(self, line: str | bytes) -> Reply:
        """Send a command and give its reply.

        Args:
            line: the command without its CRLF. A ``str`` is sent in UTF-8.

        Raises:
            ConversationError: the server has said something before that was not read, or what it said
                is no reply.
            ServerSilentError: it does not answer.
            ServerClosedError: it has closed the connection.
        """
        if self._greeting is None and not self.transport.is_closing():
            await self.greeting()
        if self.unread:
            raise self._error(ConversationError, f"before {line!r}, the server has said more")
        self.feed((line.encode() if isinstance(line, str) else line) + b"\r\n")
        return await self.reply()

    def eof(self) -> None:
        """End the client's side of the connection (half-close)."""
        self.transport.feed_eof()

    def lose(self, error: Exception | None = None) -> None:
        """Break the connection.

        Args:
            error: what the protocol is told, such as ``ConnectionResetError()``.
        """
        self.transport.lose(error)

    # -- listening --------------------------------------------------------------------------------

    @property
    def unread(self) -> bytes:
        """What the server has said and the test has not read."""
        return self.transport.received[self._read :]

    @property
    def transcript(self) -> str:
        """All that was said, in the notation of scripts."""
        return "\n".join(_transcribe(who, what) for who, what in self.transport.record)

    async def greeting(self) -> Reply:
        """Give the greeting with which the server opens; as often as you like.

        A test that does not ask for it may leave it to the other methods.
        """
        if self._greeting is None:
            self._greeting = await self._next_reply()
        return self._greeting

    async def reply(self) -> Reply:
        """Wait for the next reply, beyond the greeting, and give it.

        Raises:
            ConversationError: what the server says is no reply.
            ServerSilentError: it says nothing, or not all of it.
            ServerClosedError: it has closed the connection.
        """
        await self.greeting()
        return await self._next_reply()

    async def replies(self, count: int) -> list[Reply]:
        """Wait for so many replies, as to commands that were pipelined, and give them."""
        return [await self.reply() for _ in range(count)]

    async def closed(self) -> None:
        """Wait until the connection is over.

        Raises:
            ServerSilentError: it is not.
        """
        await self._wait(lambda: self.transport.closed or None, "it does not close the connection")

    # -- whole exchanges --------------------------------------------------------------------------

    async def hello(self, name: str = "client.example") -> Reply:
        """Greet with EHLO, or LHLO on an LMTP server."""
        verb = "LHLO" if isinstance(self.protocol, LMTP) else "EHLO"
        return await self.send(f"{verb} {name}")

    async def login(self, username: str, password: str) -> Reply:
        """Authenticate with AUTH PLAIN (RFC 4616); greet before, if that was not done."""
        await self._ensure_hello()
        secret = base64.b64encode(f"\0{username}\0{password}".encode()).decode()
        return await self.send(f"AUTH PLAIN {secret}")

    async def message(
        self,
        mail_from: str,
        rcpt_tos: str | Iterable[str],
        content: str | bytes | Message,
        *,
        mail_options: Iterable[str] = (),
        rcpt_options: Iterable[str] = (),
    ) -> Outcome:
        """Send a message, greeting before if that was not done, as a client does.

        If the server refuses on the way, the rest is left out, and RSET ends the transaction.

        Args:
            mail_from: the mailbox of the sender; ``""`` for the null reverse-path.
            rcpt_tos: the mailbox of the recipient, or of several.
            content: the message. Of ``bytes`` the lines are sent as they are, a ``str`` in UTF-8 and
                with CRLF at the ends of lines. A CRLF is added at the end if there is none, and dots are
                doubled as RFC 5321 section 4.5.2 asks.
            mail_options: parameters of MAIL, such as ``["SMTPUTF8"]``.
            rcpt_options: parameters of each RCPT.

        Returns:
            What the server answered to each part of it.
        """
        await self._ensure_hello()
        addresses = [rcpt_tos] if isinstance(rcpt_tos, str) else rcpt_tos
        mailbox = "" if mail_from == "<>" else mail_from
        mail = await self.send(" ".join([f"MAIL FROM:<{mailbox}>", *mail_options]))
        if mail.code >= 300:
            return Outcome(mail, {})
        options = list(rcpt_options)
        recipients: dict[str, Reply] = {}
        accepted = 0
        for address in addresses:
            reply = await self.send(" ".join([f"RCPT TO:<{address}>", *options]))
            recipients[address] = reply
            accepted += reply.code < 300
            if reply.code == _LEAVING:
                return Outcome(mail, recipients)
        data = await self.send("DATA") if accepted else None
        if data is None or data.code != 354:
            if data is None or data.code != _LEAVING:
                await self.send("RSET")
            return Outcome(mail, recipients, data)
        self.feed(_as_data(content))
        expected = accepted if isinstance(self.protocol, LMTP) else 1
        replies = await self.replies(expected)
        if replies[0].code == 353:  # draft-hall-prdr-00 section 4.5
            replies = await self.replies(accepted + 1)
        return Outcome(mail, recipients, data, tuple(replies))

    async def play(self, script: str) -> None:
        """Play a script in the notation of :mod:`aiosmtpd.testing.script`, and check the replies.

        ::

            await client.play('''
                S: 220 ...
                C: NOOP
                S: 250 OK
            ''')

        Args:
            script: the script. The greeting is part of it, unless it was read before.

        Raises:
            ScriptMismatchError: the server answered otherwise; the text shows the difference.
            ServerSilentError: it did not answer.
            ServerClosedError: it closed the connection instead.
            ValueError: a line of the script is none of the notation.
        """
        said: list[str] = []
        for step in parse_script(script):
            try:
                await self._play_step(step, said)
            except ConversationError as error:
                error.add_note(f"at line {step.line} of the script")
                raise
        self._check_nothing_is_left(said)

    # -- inside -----------------------------------------------------------------------------------

    async def _play_step(self, step: Step, said: list[str]) -> None:
        if step.kind == "S":
            reply = await self._next_reply()
            self._greeting = self._greeting or reply
            lines = reply.split("\r\n")
            difference = compare(step.lines, lines)
            if difference is not None:
                raise _mismatch(said, difference)
            said += [f"S: {line}" for line in lines]
            return
        self._check_nothing_is_left(said)
        match step.kind:
            case "C":
                said += [f"C: {line}" for line in step.lines]
                self.feed("".join(f"{line}\r\n" for line in step.lines).encode())
            case "eof":
                self.eof()
            case "lost":
                self.lose()
            case "closed":
                await self.closed()

    def _check_nothing_is_left(self, said: list[str]) -> None:
        if self.unread:
            lines = self.unread.decode(errors="backslashreplace").splitlines()
            raise _mismatch(said, [f"+ S: {line}" for line in lines])

    async def _ensure_hello(self) -> None:
        if not self._said_hello:
            reply = await self.hello()
            if reply.code != 250:
                raise self._error(ConversationError, f"the server does not want to talk: {reply}")

    async def _next_reply(self) -> Reply:
        return await self._wait(self._take_reply, "it does not answer")

    def _take_reply(self) -> Reply | None:
        """Take one whole reply off what is unread, if there is one (RFC 5321 section 4.2.1)."""
        texts: list[str] = []
        code: str | None = None
        unread = self.unread
        start = 0
        while (end := unread.find(b"\r\n", start)) >= 0:
            line = unread[start:end].decode(errors="backslashreplace")
            match = _REPLY_LINE.fullmatch(line)
            if match is None or (code is not None and match[1] != code):
                raise self._error(ConversationError, f"this is no line of a reply: {line!r}")
            code = match[1]
            texts.append(match[3] or "")
            start = end + 2
            if match[2] != "-":
                self._read += start
                return Reply(int(code), None, *texts)
        return None

    async def _wait(self, look: Callable[[], _T | None], complaint: str) -> _T:
        """Look, whenever something has happened, until there is what is looked for."""
        try:
            async with asyncio.timeout(self.timeout):
                while (found := look()) is None:
                    if self.transport.closed:
                        raise self._error(ServerClosedError, "the server closed the connection")
                    await self.transport.changed()
        except TimeoutError:
            waited = f"within {self.timeout:g} seconds"
            raise self._error(ServerSilentError, f"{complaint} {waited}") from None
        return found

    def _error(self, kind: type[ConversationError], text: str) -> ConversationError:
        return kind(f"{text}\n{self.transcript}")


def converse(
    protocol: Callable[[], asyncio.Protocol],
    script: str,
    *,
    timeout: float = 5.0,
    tls: bool = False,
) -> str:
    """Play a script to a server, in an event loop of its own.

    ::

        converse(lambda: SMTP(handler, hostname="mx.example"), '''
            S: 220 mx.example ...
            C: HELO client.example
            S: 250 mx.example
            C: QUIT
            S: 221 Bye
            [closed]
        ''')

    Args:
        protocol: makes the protocol; called in the event loop.
        script: the script, in the notation of :mod:`aiosmtpd.testing.script`.
        timeout: how many seconds to wait for any reply at most.
        tls: let the protocol believe that the connection is encrypted.

    Returns:
        The transcript.

    Raises:
        ScriptMismatchError: the server answered otherwise; the text shows the difference.
        ServerSilentError: it did not answer.
        ServerClosedError: it closed the connection instead.
        ValueError: a line of the script is none of the notation.
        RuntimeError: an event loop is running; there, use :meth:`Conversation.play`.
    """

    async def play() -> str:
        async with Conversation(protocol(), timeout=timeout, tls=tls) as conversation:
            await conversation.play(script)
            return conversation.transcript

    return asyncio.run(play())


def _mismatch(said: list[str], difference: list[str]) -> ScriptMismatchError:
    return ScriptMismatchError(
        "\n".join(
            [
                "the server does not keep to the script",
                *(f"  {line}" for line in said),
                *difference,
                "(- what the script says, + what the server said)",
            ]
        )
    )


def _transcribe(who: str, what: bytes | str) -> str:
    if isinstance(what, str):
        return f"[{what}]"
    lines = what.decode(errors="backslashreplace").split("\r\n")
    if lines[-1] == "":
        lines.pop()
    else:
        lines[-1] += " [no CRLF yet]"
    shown = [f"{who}: {line}" for line in lines[:_LINES_SHOWN]]
    if len(lines) > _LINES_SHOWN:
        shown.append(f"{who}: [and {len(lines) - _LINES_SHOWN} more lines]")
    return "\n".join(shown)


def _as_data(content: str | bytes | Message) -> bytes:
    """Give the octets that follow DATA's 354."""
    if isinstance(content, Message):
        content = content.as_bytes(policy=policy.SMTP)
    elif isinstance(content, str):
        content = re.sub(r"\r\n|\r|\n", "\r\n", content).encode()
    if not content.endswith(b"\r\n"):
        content += b"\r\n"
    return re.sub(rb"(\A|\r\n)\.", rb"\1..", content) + b".\r\n"
