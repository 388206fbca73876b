"""Conversations of raw octets, each played in every way that the network may cut them.

:func:`play` plays one whole (all that the client sends arrives at once), octet by octet (the server has
its turn after each, and each reply is awaited), and cut at random places. It sees to it that the server
answers as the conversation says in each of these ways. A conversation is written in one of two forms:

- in the notation of :mod:`aiosmtpd.testing.script`: lines ``C: ...`` and ``S: ...``;
- as a sequence: what the client sends is ``bytes``, as they are; a reply is a ``str`` without codes
  added, its lines separated by ``\\n``; ``"[closed]"`` ends one that the server is to end.

Three dots in a reply stand for any text, three dots alone for any number of lines. The greeting of the
server is no part of it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, overload

from aiosmtpd.session import Envelope
from aiosmtpd.smtp import SMTP
from aiosmtpd.testing import Conversation, RecordingHandler
from aiosmtpd.testing.script import compare, parse_script

__all__ = ["GREETED", "TO_DATA", "Item", "play", "received"]

H = TypeVar("H")

Item = bytes | str
"""What the client sends, or what the server answers."""

CLOSED = "[closed]"

GREETED = """
    C: EHLO client.example
    S: ...
    S: 250 ...
"""
"""Begins a script with EHLO, whatever the server offers."""

TO_DATA = f"""{GREETED}
    C: MAIL FROM:<anne@example.com>
    S: 250 OK
    C: RCPT TO:<bart@example.com>
    S: 250 OK
    C: DATA
    S: 354 End data with <CR><LF>.<CR><LF>
"""
"""Begins a script and goes on to where the server waits for a body."""

# More turns of the loop than anything needs that waits for nothing from outside.
TURNS = 25


def items_of(script: str) -> Iterator[Item]:
    """Give the items of a script."""
    for step in parse_script(script):
        match step.kind:
            case "C":
                yield "".join(f"{line}\r\n" for line in step.lines).encode()
            case "S":
                yield "\n".join(step.lines)
            case "closed":
                yield CLOSED
            case other:
                raise ValueError(f"[{other}] cannot be cut")


def cuts(octets: bytes) -> Iterator[list[bytes]]:
    """Cut octets at random places, the same ones each time."""
    dice = random.Random(octets)
    for _ in range(2):
        places = sorted(dice.choices(range(len(octets) + 1), k=dice.randint(1, 8)))
        ends = [*places, len(octets)]
        yield [octets[start:end] for start, end in zip([0, *places], ends, strict=True)]


def together(items: Sequence[Item]) -> list[Item]:
    """Give a conversation in which the client says all it has to say before it listens."""
    said = b"".join(item for item in items if isinstance(item, bytes))
    return [said, *(item for item in items if isinstance(item, str))]


def ways(items: Sequence[Item], stepwise: bool) -> Iterator[list[Item]]:
    """Give a conversation in each way to cut it."""
    yield list(items) if stepwise else together(items)
    one_by_one: list[Item] = []
    for item in items:
        one_by_one += [item] if isinstance(item, str) else [bytes([octet]) for octet in item]
    yield one_by_one
    if stepwise:
        return
    said, *replies = together(items)
    assert isinstance(said, bytes)
    for pieces in cuts(said):
        yield [*pieces, *replies]


async def _play_once(client: Conversation, items: Sequence[Item]) -> None:
    await client.greeting()
    for item in items:
        if item == CLOSED:
            await client.closed()
        elif isinstance(item, str):
            difference = compare(item.split("\n"), (await client.reply()).split("\r\n"))
            assert difference is None, "\n".join(
                [client.transcript, "not as expected:", *difference]
            )
        elif not client.transport.is_closing():  # what follows a last reply reaches nobody
            client.feed(item)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
    for _ in range(TURNS):
        await asyncio.sleep(0)
    assert not client.unread, f"{client.transcript}\nmore than expected: {client.unread!r}"


@overload
def play(conversation: str | Sequence[Item], **arguments: Any) -> list[RecordingHandler]: ...
@overload
def play(
    conversation: str | Sequence[Item], handler: Callable[[], H], **arguments: Any
) -> list[H]: ...
def play(
    conversation: str | Sequence[Item],
    handler: Callable[[], Any] = RecordingHandler,
    *,
    cls: type[SMTP] = SMTP,
    tls: bool = False,
    extra: Mapping[str, Any] | None = None,
    stepwise: bool = False,
    **arguments: Any,
) -> list[Any]:
    """Play a conversation in every way, each with a new server.

    Args:
        conversation: the conversation.
        handler: makes the handler of a server.
        cls: the class of the server.
        tls: whether the server believes that the connection is encrypted.
        extra: what the transport knows besides, such as ``{"peername": ("192.0.2.1", 25)}``.
        stepwise: whether the client awaits each reply in every way; where it may not pipeline.
        arguments: those of the server.

    Returns:
        The handlers, one for each way.

    Raises:
        AssertionError: the server answers otherwise, more, or not at all.
    """
    items = list(items_of(conversation) if isinstance(conversation, str) else conversation)
    arguments.setdefault("hostname", "mx.example")
    handlers = []

    async def play_in(way: list[Item]) -> None:
        handlers.append(handler())
        server = cls(handlers[-1], **arguments)
        async with Conversation(server, tls=tls, extra=extra) as client:
            await _play_once(client, way)

    for way in ways(items, stepwise):
        asyncio.run(play_in(way))
    return handlers


def received(conversation: str | Sequence[Item], **arguments: Any) -> list[Envelope]:
    """Play a conversation in every way, and give the envelopes that each of them led to.

    Args:
        conversation: the conversation.
        arguments: as of :func:`play`.

    Returns:
        The envelopes of the messages that the server received.

    Raises:
        AssertionError: as :func:`play`; or the envelopes differ.
    """
    handlers: list[RecordingHandler] = play(conversation, **arguments)
    first, *others = handlers
    expected = [vars(envelope) for envelope in first.envelopes]
    for other in others:
        assert [vars(envelope) for envelope in other.envelopes] == expected
    return first.envelopes
