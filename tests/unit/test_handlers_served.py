"""The handlers behind a real server: what a client sends is what is stored, printed or relayed."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import random
import shutil
import smtplib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.addresses import OWN_ADDRESS

from aiosmtpd.handlers import Debugging, Mailbox, Proxy, Sink
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiosmtpd.session import Envelope, Session

LARGE = b"\r\n".join(random.Random(1).randbytes(70).hex().encode() for _ in range(20_000))
MESSAGES = {
    "plain": b"Subject: x\r\n\r\nhi\r\n",
    "dots": b"Subject: x\r\n\r\n.\r\n..\r\n...\r\n.x\r\n\r\n.\r\n",
    "8-bit": b"Subject: \xc3\xa9\xff\r\n\r\n\x80\xfe\xff\x00\x1b\r\n",
    "broken MIME": b"Content-Type: multipart/mixed; boundary=q\r\n\r\n--q\r\n\r\nopen\r\n",
    "large": b"Subject: x\r\n\r\n" + LARGE + b"\r\n",
    "long lines": b"Subject: " + b"x" * 900 + b"\r\n\r\n" + b"y" * 990 + b"\r\n",
    "no header": b"not a header field\r\n\r\nbody\r\n",
    "empty": b"\r\n",
}
TAKERS = ["b@example.com", "c@example.com"]


@contextlib.asynccontextmanager
async def served(factory: Callable[[], SMTP], host: str = "127.0.0.1") -> AsyncIterator[int]:
    server = await asyncio.get_running_loop().create_server(factory, host, 0)
    async with server:
        port: int = server.sockets[0].getsockname()[1]
        yield port


def send(port: int, content: bytes, client: type[smtplib.SMTP] = smtplib.SMTP) -> Any:
    """Send a message; give the reply to it, or to all recipients."""
    with client("127.0.0.1", port, local_hostname="client", timeout=10) as connection:
        connection.ehlo_or_helo_if_needed()
        connection.mail("a@example.com")
        for recipient in TAKERS:
            connection.rcpt(recipient)
        try:
            reply: Any = connection.data(content)
        except smtplib.SMTPDataError as error:
            reply = (error.smtp_code, error.smtp_error)
        if client is smtplib.LMTP:
            return [reply, *(connection.getreply() for _ in TAKERS[1:])]
        return reply


def deliver(handler: Any, content: bytes, **options: Any) -> Any:
    async def run() -> Any:
        async with served(lambda: SMTP(handler, hostname="mx", **options)) as port:
            return await asyncio.to_thread(send, port, content)

    return asyncio.run(run())


def stored(directory: Path) -> list[bytes]:
    return [path.read_bytes() for path in (directory / "new").iterdir()]


@pytest.mark.parametrize("content", MESSAGES.values(), ids=MESSAGES.keys())
@pytest.mark.parametrize("options", [{}, {"decode_data": True, "enable_SMTPUTF8": True}])
def test_what_was_answered_250_is_stored_as_it_was_sent(
    tmp_path: Path, content: bytes, options: dict[str, Any]
) -> None:
    assert deliver(Mailbox(tmp_path / "mail"), content, **options) == (250, b"OK")
    [kept] = stored(tmp_path / "mail")
    assert kept.count(b"\r\nX-RcptTo: b@example.com, c@example.com\r\n") == 1
    sent = kept[-len(content) :]
    assert hashlib.sha256(sent).hexdigest() == hashlib.sha256(content).hexdigest()


def test_what_cannot_be_stored_is_answered_451(tmp_path: Path) -> None:
    handler = Mailbox(tmp_path / "mail")
    shutil.rmtree(tmp_path / "mail" / "new")
    code, text = deliver(handler, MESSAGES["plain"])
    assert code == 451
    assert b"mail" not in text


@pytest.mark.parametrize("decode_data", [False, True])
def test_what_was_sent_is_printed(decode_data: bool) -> None:
    stream = io.StringIO()
    assert deliver(Debugging(stream), MESSAGES["dots"], decode_data=decode_data) == (250, b"OK")
    lines = stream.getvalue().split("\n")
    assert lines[2].startswith("X-Peer: ('127.0.0.1', ")
    del lines[2]
    assert lines == [
        "---------- MESSAGE FOLLOWS ----------",
        *("Subject: x", "", ".", "..", "...", ".x", "", "."),
        "------------ END MESSAGE ------------",
        "",
    ]


def test_what_goes_into_the_sink_is_accepted() -> None:
    assert deliver(Sink(), MESSAGES["plain"]) == (250, b"OK")


# -- through a proxy --------------------------------------------------------------------------------


async def through_proxy(
    hop: Callable[[], SMTP], content: bytes, front: type[SMTP] = SMTP, **options: Any
) -> Any:
    async with served(hop) as hop_port:
        proxy = Proxy("127.0.0.1", hop_port, timeout=10)
        async with served(lambda: front(proxy, hostname="mx", **options)) as port:
            client = smtplib.LMTP if front is LMTP else smtplib.SMTP
            return await asyncio.to_thread(send, port, content, client)


@pytest.mark.parametrize("content", MESSAGES.values(), ids=MESSAGES.keys())
@pytest.mark.parametrize("options", [{}, {"decode_data": True, "enable_SMTPUTF8": True}])
def test_what_was_sent_is_relayed(tmp_path: Path, content: bytes, options: dict[str, Any]) -> None:
    handler = Mailbox(tmp_path / "mail")
    reply = asyncio.run(through_proxy(lambda: SMTP(handler, hostname="hop"), content, **options))
    assert reply == (250, b"OK")
    [kept] = stored(tmp_path / "mail")
    *_, body = content.partition(b"\r\n\r\n")
    assert kept.endswith(body)
    assert kept.count(b"\r\n") == content.count(b"\r\n") + 3


class Refusing:
    def __init__(self, reply: str) -> None:
        self.reply = reply

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address == TAKERS[0]:
            return self.reply
        envelope.rcpt_tos.append(address)
        return "250 OK"


class Rejecting:
    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        return "554-5.7.1 we do not\r\n554 5.7.1 like this"


def test_the_next_hops_reply_reaches_the_client() -> None:
    reply = asyncio.run(through_proxy(lambda: SMTP(Rejecting()), MESSAGES["plain"]))
    assert reply == (554, b"5.7.1 we do not\n5.7.1 like this")


def test_an_lmtp_client_hears_of_each_recipient() -> None:
    refusing = Refusing("550 5.1.1 nobody of that name")
    replies = asyncio.run(through_proxy(lambda: SMTP(refusing), MESSAGES["plain"], LMTP))
    assert replies == [(550, b"5.1.1 nobody of that name"), (250, b"OK")]


def test_a_client_behind_a_dead_next_hop_keeps_its_message() -> None:
    async def run() -> Any:
        async with served(lambda: SMTP(Sink()), OWN_ADDRESS) as unused:
            pass  # nobody listens on that port any more
        proxy = Proxy(OWN_ADDRESS, unused)
        async with served(lambda: SMTP(proxy, hostname="mx")) as port:
            return await asyncio.to_thread(send, port, MESSAGES["plain"])

    assert asyncio.run(run()) == (451, b"4.4.1 Error: next hop is not reachable")
