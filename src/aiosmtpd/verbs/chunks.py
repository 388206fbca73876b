"""BDAT (RFC 3030 section 2): a message that comes in chunks, over several commands.

What came so far is kept with the envelope, and so it ends with the transaction, whatever ends that. A
handler with ``handle_BODY`` reads the message in a task of its own; the connection's task feeds it and
sees to its end. A chunk that is refused, for whatever reason, is read to its last octet, or the
leftovers would be taken for commands; and it ends the transaction, so that no message is accepted of
which a part is missing.
"""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from ..protocol import (
    Body,
    BodyChunk,
    BodyError,
    BodyIncomplete,
    BodyTooLarge,
    Command,
    Mode,
    ProtocolError,
    parse_chunk,
)
from ..protocol import reply as replies
from ..streams import ChunkStream
from .transaction import TransactionVerbs

__all__ = ["ChunkVerbs", "StreamedMessage", "WholeMessage"]

log = logging.getLogger("mail.log")


class WholeMessage:
    """A message that is kept until its last chunk came, for ``handle_DATA``.

    Args:
        recipients: whom it is for.

    Attributes:
        size: the octets of the chunks that were announced.
        limited: whether the limit on the size of a message holds for it.
    """

    limited = True

    def __init__(self, recipients: list[str]) -> None:
        self.recipients = recipients
        self.size = 0
        self._content: io.BytesIO | None = None

    async def begin_chunk(self) -> None:
        """There is nobody to wait for."""

    async def take(self, piece: bytes) -> None:
        """Add octets."""
        if self._content is None:
            # It holds the object itself until something else comes: a message that came in one piece
            # is not copied. A larger one grows by remapping; see BodyReader.
            self._content = io.BytesIO(piece)
            self._content.seek(0, io.SEEK_END)
        else:
            self._content.write(piece)

    def content(self) -> bytes:
        """Give all octets."""
        return self._content.getvalue() if self._content is not None else b""


class StreamedMessage:
    """A message that ``handle_BODY`` reads while it comes.

    Args:
        recipients: whom it is for.
        body: what the hook reads from.
        task: the hook.

    Attributes:
        size: the octets of the chunks that were announced.
    """

    def __init__(self, recipients: list[str], body: ChunkStream, task: asyncio.Task[Any]) -> None:
        self.recipients = recipients
        self.body = body
        self.task = task
        self.size = 0
        task.add_done_callback(lambda _: body.release())

    @property
    def limited(self) -> bool:
        """Whether the limit on the size of a message holds: a hook that has returned has decided."""
        return not self.task.done()

    async def begin_chunk(self) -> None:
        """Wait until the hook asks for more; raise what it raised meanwhile."""
        await self.take(b"")

    async def take(self, piece: bytes) -> None:
        """Give octets to the hook and wait until it asks for more; raise what it raised.

        A hook that has returned has seen enough.
        """
        if not self.task.done():
            await self.body.feed(piece)
        if self.task.done():
            self.task.result()


class ChunkVerbs(TransactionVerbs):
    """What BDAT does; the verb itself is of the extension CHUNKING."""

    # The message that a hook reads; while it is there, so is the task of the hook.
    _streamed: StreamedMessage | None = None

    async def _finish(self) -> None:
        """Close the connection, which no hook outlives."""
        try:
            if self._streamed is not None:
                await self._end_stream()
        finally:
            self._close()

    async def _receive_chunk(self, arg: str | None) -> None:
        """Receive a chunk, and answer it: BDAT."""
        chunk = parse_chunk(arg)
        if chunk is None:
            await self._refuse_uncounted(self._syntax_error("BDAT"))
            return
        size, marker = chunk
        hook = self._find_hook("handle_BODY")
        self._connection.expect_chunk(size, stream=hook is not None)
        try:
            if not self._may_come("BDAT") and await self._is_refused_early("BDAT"):
                await self._drop_chunk()
                return
            message = await self._message_at_hand(marker, hook)
            await self._read_chunk(message, size)
            if marker == "LAST" and isinstance(message, StreamedMessage):
                parameters = self.envelope.mail_parameters
                message.body.end()
                self._streamed = None  # what ends this task now, ends the hook's
                status = await message.task
        except BaseException as error:
            await self._drop_message(error)
            raise
        if marker != "LAST":
            await self.push(replies.octets_received(size))
        elif isinstance(message, WholeMessage):
            del self.envelope._chunks
            await self._take_message(Body(message.content()))
        else:
            await self._answer_message(status, message.recipients, parameters)
            self._unanswered = None

    async def _message_at_hand(
        self, marker: str, hook: Callable[..., Awaitable[Any]] | None
    ) -> WholeMessage | StreamedMessage:
        """Judge a BDAT; give the message that its chunk belongs to.

        Raises:
            ProtocolError: it cannot be accepted.
        """
        if (refused := self._refused("BDAT")) is not None:
            raise ProtocolError(reply=refused)
        envelope = self.envelope
        message: WholeMessage | StreamedMessage | None = getattr(envelope, "_chunks", None)
        recipients = list(envelope.rcpt_tos) if message is None else message.recipients
        if marker == "LAST":
            self._unanswered = recipients
        elif marker:
            raise ProtocolError(reply=self._syntax_error("BDAT"))
        if not self.session.extended_smtp:
            raise ProtocolError(reply=replies.send_greeting_first("EHLO"))
        self._check("BDAT", None, {})
        if message is None:
            if self._streamed is not None:  # its end was not waited for
                await self._end_stream()
            message = WholeMessage(recipients) if hook is None else self._start(hook, recipients)
            envelope._chunks = message
        return message

    def _start(self, hook: Callable[..., Awaitable[Any]], recipients: list[str]) -> StreamedMessage:
        body = ChunkStream()
        task = asyncio.get_running_loop().create_task(self._receive_stream(hook, body))
        self._streamed = StreamedMessage(recipients, body, task)
        return self._streamed

    async def _read_chunk(self, message: WholeMessage | StreamedMessage, size: int) -> None:
        """Read a chunk into its message.

        Raises:
            BodyTooLarge: the message is larger than ``data_size_limit``; nothing of it was read.
        """
        await message.begin_chunk()
        message.size += size
        if self.data_size_limit and message.size > self.data_size_limit and message.limited:
            raise BodyTooLarge
        while isinstance(event := await self._next_event(), BodyChunk):
            await message.take(event.data)

    # -- what is refused --------------------------------------------------------------------------

    def _turn_away(self, command: Command, status: str) -> Awaitable[None]:
        """Refuse a command that does not come to its verb, and what belongs to it."""
        # A verb that the program wrote for itself may read what it likes.
        if (
            command.verb == "BDAT"
            and "BDAT" in self._table.verbs
            and getattr(self, "smtp_BDAT", None) is None
        ):
            return self._refuse_chunk(command.argument, status)
        return self.push(status)

    async def _refuse_chunk(self, arg: str | None, status: str) -> None:
        """Refuse a BDAT and read its chunk to the end."""
        chunk = parse_chunk(arg)
        if chunk is None:
            await self._refuse_uncounted(status)
            return
        self._connection.expect_chunk(chunk[0])
        await self._drop_chunk()
        await self.push(status)

    async def _refuse_uncounted(self, status: str) -> None:
        """Refuse a BDAT without a size, and end the connection.

        Nobody can tell where the next command begins; were what follows taken for commands, whoever
        wrote the message might speak for the client.
        """
        await self.push(status)
        self._connection.end()

    async def _drop_message(self, error: BaseException) -> None:
        """End the message at hand after an error; read the chunk to its end, unless all ends."""
        goes_on = True
        if isinstance(error, asyncio.CancelledError):
            task = asyncio.current_task()
            goes_on = self._overdue > 0 or (task is not None and not task.cancelling())
            if self._streamed is not None:
                self._streamed.task.cancel()
        if self._streamed is not None:
            await self._end_stream(error)
        if not goes_on:
            return
        try:
            await self._drop_chunk(end=isinstance(error, ProtocolError))
        except BodyIncomplete:
            # Nobody is left to be answered; what failed, such as a disk, is still to be known.
            if isinstance(error, Exception) and not isinstance(error, ProtocolError):
                log.error("%r handle_BODY failed", self.session.peer, exc_info=error)
            raise

    async def _drop_chunk(self, *, end: bool = True) -> None:
        """Read a chunk to its end, and end the transaction if asked to."""
        if end:
            self._set_rset_state()
        self._connection.discard_body()
        while self._connection.mode is Mode.BODY:
            await self._next_event()

    def _give_up_stream(self, fault: BodyError | None = None) -> None:
        """Tell a hook that reads a message that no more of it will come."""
        assert self._streamed is not None
        self._streamed.body.fail(fault or BodyIncomplete("the client gave the message up"))

    async def _end_stream(self, error: BaseException | None = None) -> None:
        """Tell a hook that reads a message that no more of it will come; wait for its end.

        Args:
            error: what ended the message, and is told by others; None if it was given up.
        """
        self._give_up_stream(error if isinstance(error, BodyError) else None)
        assert self._streamed is not None
        task = self._streamed.task
        cancellation: asyncio.CancelledError | None = None
        while not task.done():
            try:
                await asyncio.wait((task,), timeout=self._handler_timeout or None)
            except asyncio.CancelledError as cancelled:
                cancellation = cancelled
            if not task.done():
                task.cancel()
        self._streamed = None
        if not task.cancelled():
            failure = task.exception()
            if not (failure is None or failure is error or isinstance(failure, BodyError)):
                log.error("%r handle_BODY failed", self.session.peer, exc_info=failure)
        if cancellation is not None:
            raise cancellation
