"""Proxy: what the next hop is given, and what the client is told of its answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import smtplib
import threading
from typing import TYPE_CHECKING, Any
from unittest.mock import create_autospec, patch

import pytest
from tests.unit.addresses import OWN_ADDRESS

from aiosmtpd.handlers import Proxy
from aiosmtpd.lmtp import LMTP
from aiosmtpd.session import Envelope, Session
from aiosmtpd.smtp import SMTP

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SERVER: Any = create_autospec(SMTP, instance=True)
LMTP_SERVER: Any = create_autospec(LMTP, instance=True)
PLAIN = b"Subject: x\r\n\r\nhi\r\n"
RELAYED = b"Subject: x\r\nX-Peer: 192.0.2.1\r\n\r\nhi\r\n"
ONE, TWO = "b@example.com", "c@example.com"


class NextHop:
    """A server that answers each command from a script, and remembers what it was told."""

    def __init__(self, replies: dict[str, str], extensions: tuple[str, ...]) -> None:
        self.replies = {"": "220 hop", "QUIT": "221 bye", "DATA": "354 go on", ".": "250 taken"}
        lines = ["hop", *extensions]
        self.replies["EHLO"] = "\r\n".join(
            f"250{'-' if line != lines[-1] else ' '}{line}" for line in lines
        )
        self.replies |= replies
        self.commands: list[str] = []
        self.data: list[bytes] = []
        self.conversations: list[Any] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.conversations.append(asyncio.current_task())
        self.writers.append(writer)
        with contextlib.suppress(ConnectionError):
            await self._converse(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._answer(writer, ""):
            return
        while line := await reader.readline():
            # The standard library writes verbs and keywords in either case, by its version.
            keyword, colon, argument = line.decode().rstrip("\r\n").partition(":")
            command = keyword.upper() + colon + argument
            self.commands.append(command)
            if not self._answer(writer, command):
                return
            if command == "DATA" and self.replies["DATA"].startswith("354"):
                self.data.append(await reader.readuntil(b"\r\n.\r\n"))
                if not self._answer(writer, "."):
                    return
            if command == "QUIT":
                return

    def _answer(self, writer: asyncio.StreamWriter, command: str) -> bool:
        """Send the reply for a command, or for its verb; say whether the connection stays."""
        verb = command.split(" ")[0]
        reply = self.replies.get(command, self.replies.get(verb, "250 ok"))
        if reply == "hang":
            return True
        if reply == "close":
            return False
        writer.write(reply.encode() + b"\r\n")
        return not reply.startswith("421")


@contextlib.asynccontextmanager
async def next_hop(
    replies: dict[str, str] | None = None,
    extensions: tuple[str, ...] = (),
    host: str = "127.0.0.1",
) -> AsyncIterator[NextHop]:
    hop = NextHop(replies or {}, extensions)
    server = await asyncio.start_server(hop.serve, host, 0)
    hop.port = server.sockets[0].getsockname()[1]
    async with server:
        yield hop
    await asyncio.gather(*hop.conversations)


def transaction(content: bytes | str, **attributes: Any) -> tuple[Session, Envelope]:
    session = Session(asyncio.get_running_loop())
    session.peer = attributes.pop("peer", ("192.0.2.1", 123))
    envelope = Envelope()
    envelope.mail_from = "a@example.com"
    envelope.rcpt_tos = [ONE, TWO]
    envelope.content = content
    for name, value in attributes.items():
        setattr(envelope, name, value)
    return session, envelope


def relay(
    content: bytes | str = PLAIN,
    *,
    replies: dict[str, str] | None = None,
    extensions: tuple[str, ...] = (),
    server: Any = SERVER,
    **attributes: Any,
) -> tuple[Any, NextHop]:
    """Relay a message to a next hop that answers from a script; give the answer and the hop."""

    async def run() -> tuple[Any, NextHop]:
        async with next_hop(replies, extensions) as hop:
            proxy = Proxy("127.0.0.1", hop.port, timeout=30)
            return await proxy.handle_DATA(server, *transaction(content, **attributes)), hop

    return asyncio.run(run())


def test_a_message_is_relayed() -> None:
    reply, hop = relay()
    assert reply == "250 OK"
    assert [command for command in hop.commands if not command.startswith("EHLO")] == [
        "MAIL FROM:<a@example.com>",
        f"RCPT TO:<{ONE}>",
        f"RCPT TO:<{TWO}>",
        "DATA",
        "QUIT",
    ]
    assert hop.data == [RELAYED + b".\r\n"]


@pytest.mark.parametrize(
    ("content", "relayed"),
    [
        (PLAIN.decode(), RELAYED),
        (b"Subject: x\n\nhi\n", RELAYED),
        (b"Subject: x\r\rhi", RELAYED),
        (b"Subject: x\r\nX-Peer: forged\r\n twice\r\nx-peer: f\r\n\r\nhi\r\n", RELAYED),
        (b"Subject: x\nX-Peer: forged\rx-peer: f\n\nhi\n", RELAYED),
        (b"\r\nhi\r\n", b"X-Peer: 192.0.2.1\r\n\r\nhi\r\n"),
        (b"no header section\r\n", b"X-Peer: 192.0.2.1\r\nno header section\r\n"),
        (b"A: b\r\nC: d\r\n", b"X-Peer: 192.0.2.1\r\nA: b\r\nC: d\r\n"),
        (b" white\r\n", b"X-Peer: 192.0.2.1\r\n\r\n white\r\n"),
        (b"", b"X-Peer: 192.0.2.1\r\n"),
    ],
)
def test_the_peer_is_the_last_of_the_header_section(content: bytes | str, relayed: bytes) -> None:
    reply, hop = relay(content)
    assert reply == "250 OK"
    assert hop.data == [relayed + b".\r\n"]


@pytest.mark.parametrize(
    ("peer", "shown"),
    [(("::1", 2, 0, 0), b"::1"), ("", b""), ("/run/client", b"/run/client"), (None, b"None")],
)
def test_the_peer_is_the_address_alone(peer: Any, shown: bytes) -> None:
    _, hop = relay(peer=peer)
    assert hop.data == [RELAYED.replace(b"192.0.2.1", shown) + b".\r\n"]


@pytest.mark.parametrize(
    "end",
    [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\n.\r", b"\r\n.\r\n"],
)
@pytest.mark.parametrize("decoded", [False, True])
def test_no_message_is_smuggled_inside_another(end: bytes, decoded: bool) -> None:
    smuggled = b"MAIL FROM:<evil@example.com>\r\nRCPT TO:<victim@example.com>\r\nDATA\r\nevil\r\n"
    content = PLAIN + end + smuggled
    reply, hop = relay(content.decode() if decoded else content)
    assert reply == "250 OK"
    assert [command.split(" ")[0] for command in hop.commands] == [
        "EHLO",
        *("MAIL", "RCPT", "RCPT", "DATA", "QUIT"),
    ]
    [data] = hop.data
    assert data.count(b"\r") == data.count(b"\n") == data.count(b"\r\n")
    assert b"\r\n..\r\n" + smuggled in data


@pytest.mark.parametrize(
    ("parameters", "reply"),
    [
        ({"REQUIRETLS": True}, "550 5.7.30 Error: next hop may not keep REQUIRETLS"),
        ({"BODY": "BINARYMIME"}, "554 5.6.3 Error: binary content cannot be relayed"),
    ],
    ids=["REQUIRETLS", "BINARYMIME"],
)
def test_what_the_next_hop_would_not_keep_is_refused(
    parameters: dict[str, Any], reply: str
) -> None:
    answer, hop = relay(mail_parameters=parameters)
    assert answer == reply
    assert hop.commands == []
    answer, _ = relay(mail_parameters=parameters, server=LMTP_SERVER)
    assert answer == {ONE: reply, TWO: reply}


def test_prdr_is_answered_for_each_recipient() -> None:
    answer, hop = relay(
        rcpt_tos=[ONE, TWO],
        replies={f"RCPT TO:<{TWO}>": "452 full"},
        mail_parameters={"PRDR": True},
    )
    assert answer == {ONE: "250 OK", TWO: "452 full"}
    assert hop.data == [RELAYED + b".\r\n"]


def test_other_parameters_do_not_matter() -> None:
    answer, hop = relay(mail_parameters={"BODY": "8BITMIME", "ENVID": "x"})
    assert answer == "250 OK"
    assert hop.data == [RELAYED + b".\r\n"]


def test_the_null_reverse_path_is_relayed() -> None:
    _, hop = relay(mail_from="<>")
    assert "MAIL FROM:<>" in hop.commands


@pytest.mark.parametrize(
    "address",
    [
        '"a b"@example.com',
        '"a@b"@example.com',
        '"a>b"@example.com',
        "a@[192.0.2.1]",
        "a+b=c@example.com",
        "postmaster",
        # Without their quotes these would be other mailboxes.
        '"victim@evil.example"',
        '"a b"',
        '"(a)b"',
        '"<a@b>"',
    ],
)
def test_unusual_mailboxes_are_relayed_as_they_are(address: str) -> None:
    reply, hop = relay(mail_from=address, rcpt_tos=[address])
    assert reply == "250 OK"
    assert f"MAIL FROM:<{address}>" in hop.commands
    assert f"RCPT TO:<{address}>" in hop.commands


def test_a_path_that_a_hook_wrote_is_relayed() -> None:
    _, hop = relay(mail_from="<a@example.com>", rcpt_tos=[f"<{ONE}>"])
    assert hop.commands[1:3] == ["MAIL FROM:<a@example.com>", f"RCPT TO:<{ONE}>"]


@pytest.mark.parametrize("refusal", ["550 5.1.1 no", "451 later"])
def test_the_next_hops_refusal_of_an_unusual_mailbox_is_passed_on(refusal: str) -> None:
    odd = '"victim@evil.example"'
    answer, _ = relay(
        rcpt_tos=[odd, ONE], replies={f"RCPT TO:<{odd}>": refusal}, server=LMTP_SERVER
    )
    assert answer == {odd: refusal, ONE: "250 OK"}
    answer, _ = relay(rcpt_tos=[odd], replies={f"RCPT TO:<{odd}>": refusal})
    assert answer == refusal


CHANGED = "553 5.1.3 Error: address cannot be relayed unchanged"


def test_a_mailbox_that_would_be_changed_is_refused() -> None:
    address = '"\\a"@example.com'
    reply, hop = relay(mail_from=address)
    assert reply == CHANGED
    assert hop.commands == []
    reply, hop = relay(rcpt_tos=[address])
    assert reply == CHANGED
    assert hop.commands == []
    answer, hop = relay(rcpt_tos=[address, ONE], server=LMTP_SERVER)
    assert answer == {address: CHANGED, ONE: "250 OK"}
    assert [command for command in hop.commands if "RCPT" in command] == [f"RCPT TO:<{ONE}>"]


# -- what MAIL declares -----------------------------------------------------------------------------

EVERYTHING = ("8BITMIME", "SMTPUTF8", "SIZE 1000000")
LATIN_BODY = b"Subject: x\r\n\r\n\xe9\r\n"
UTF8_HEADER = "Subject: é\r\n\r\nhi\r\n".encode()
LATIN_HEADER = b"Subject: \xe9\r\n\r\nhi\r\n"


@pytest.mark.parametrize(
    ("content", "extensions", "parameters"),
    [
        (PLAIN, EVERYTHING, set()),
        (LATIN_BODY, EVERYTHING, {"BODY=8BITMIME"}),
        (LATIN_BODY, (), set()),
        (UTF8_HEADER, EVERYTHING, {"BODY=8BITMIME", "SMTPUTF8"}),
        (UTF8_HEADER, ("8BITMIME",), {"BODY=8BITMIME"}),
        (LATIN_HEADER, EVERYTHING, {"BODY=8BITMIME"}),
    ],
)
def test_eight_bit_messages_are_declared_where_that_is_known(
    content: bytes, extensions: tuple[str, ...], parameters: set[str]
) -> None:
    reply, hop = relay(content, extensions=extensions)
    assert reply == "250 OK"
    [mail] = [command for command in hop.commands if command.startswith("MAIL")]
    declared = {word for word in mail.split(" ")[2:] if not word.lower().startswith("size=")}
    assert declared == parameters
    assert content.partition(b"\r\n\r\n")[2] in hop.data[0]


@pytest.mark.parametrize(
    "addresses", [{"mail_from": "é@example.com"}, {"rcpt_tos": [ONE, "é@example.com"]}]
)
def test_internationalized_addresses_need_smtputf8(addresses: dict[str, Any]) -> None:
    reply, hop = relay(extensions=EVERYTHING, **addresses)
    assert reply == "250 OK"
    assert any(command.split(" ")[-1] == "SMTPUTF8" for command in hop.commands)
    assert any("<é@example.com>" in command for command in hop.commands)
    reply, hop = relay(**addresses)
    assert reply == "550 5.6.7 Error: next hop does not take internationalized addresses"
    assert not hop.data


# -- refusals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["", "EHLO", "MAIL", "RCPT", "DATA", "."])
@pytest.mark.parametrize(
    ("refusal", "reply"),
    [
        ("550 5.7.1 no", "550 5.7.1 no"),
        ("451 4.7.1 later", "451 4.7.1 later"),
        ("554-first\r\n554 second", "554-first\r\n554 second"),
        ("550 \u00e9", "550 \u00e9"),
    ],
)
def test_the_next_hops_refusal_is_passed_on(stage: str, refusal: str, reply: str) -> None:
    replies = {stage: refusal, "HELO": refusal} if stage == "EHLO" else {stage: refusal}
    assert relay(replies=replies)[0] == reply


@pytest.mark.parametrize("stage", ["", "MAIL", f"RCPT TO:<{ONE}>", f"RCPT TO:<{TWO}>", "DATA", "."])
@pytest.mark.parametrize("server", [SERVER, LMTP_SERVER])
def test_a_next_hop_that_leaves_took_no_message(stage: str, server: Any) -> None:
    reply, hop = relay(replies={stage: "421 4.3.2 leaving"}, server=server)
    told = "451 4.3.2 leaving"
    assert reply == (told if server is SERVER else {ONE: told, TWO: told})
    assert len(hop.data) == (stage == ".")


@pytest.mark.parametrize("stage", ["", "EHLO", "MAIL", "RCPT", "DATA", "."])
def test_a_next_hop_that_breaks_off_is_a_failure_that_may_pass(stage: str) -> None:
    reply, _ = relay(replies={stage: "close"})
    assert reply == "451 4.4.1 Error: next hop is not reachable"


@pytest.mark.parametrize("stage", ["", "EHLO", "MAIL", "RCPT", "DATA", "."])
def test_a_reply_that_is_none_is_a_failure_that_may_pass(stage: str) -> None:
    reply, _ = relay(replies={stage: "what?", "HELO": "what?"})
    assert reply == "451 4.4.1 Error: next hop is not reachable"


def test_a_next_hop_that_is_not_there_is_a_failure_that_may_pass(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def run() -> Any:
        async with next_hop(host=OWN_ADDRESS) as hop:
            port = hop.port
        return await Proxy(OWN_ADDRESS, port).handle_DATA(SERVER, *transaction(PLAIN))

    assert asyncio.run(run()) == "451 4.4.1 Error: next hop is not reachable"
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.name == "mail.debug"
    assert record.getMessage() == "got <class 'ConnectionRefusedError'>"


def test_a_next_hop_that_hangs_is_given_up() -> None:
    async def run() -> Any:
        async with next_hop({"": "hang"}) as hop:
            proxy = Proxy("127.0.0.1", hop.port, timeout=0.05)
            return await proxy.handle_DATA(SERVER, *transaction(PLAIN))

    assert asyncio.run(run()) == "451 4.4.1 Error: next hop is not reachable"


def test_a_next_hop_that_hangs_holds_up_nobody() -> None:
    async def run() -> Any:
        async with next_hop({"": "hang"}) as hop:
            slow = Proxy("127.0.0.1", hop.port)
            task = asyncio.create_task(slow.handle_DATA(SERVER, *transaction(PLAIN)))
            while not hop.writers:
                await asyncio.sleep(0)
            async with next_hop() as other:
                quick = Proxy("127.0.0.1", other.port)
                assert await quick.handle_DATA(SERVER, *transaction(PLAIN)) == "250 OK"
            assert not task.done()
            hop.writers[0].close()
            return await task

    assert asyncio.run(run()) == "451 4.4.1 Error: next hop is not reachable"


@pytest.mark.parametrize(
    ("one", "two", "reply"),
    [
        ("550 no", "250 ok", "250 OK"),
        ("250 ok", "451 later", "250 OK"),
        ("550 no", "551 neither", "550 no"),
        ("550 no", "451 later", "451 later"),
        ("452 full", "550 no", "452 full"),
    ],
)
def test_one_reply_stands_for_all_recipients(
    one: str, two: str, reply: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="mail.debug")
    answer, hop = relay(replies={f"RCPT TO:<{ONE}>": one, f"RCPT TO:<{TWO}>": two})
    assert answer == reply
    assert len(hop.data) == (reply == "250 OK")
    refused = {
        rcpt: (int(said[:3]), said[4:].encode())
        for rcpt, said in ((ONE, one), (TWO, two))
        if not said.startswith("250")
    }
    assert caplog.records[-1].getMessage() == f"we got some refusals: {refused}"


@pytest.mark.parametrize(
    ("replies", "answer"),
    [
        ({}, {ONE: "250 OK", TWO: "250 OK"}),
        ({f"RCPT TO:<{TWO}>": "550 5.1.1 no"}, {ONE: "250 OK", TWO: "550 5.1.1 no"}),
        ({".": "554 spam"}, {ONE: "554 spam", TWO: "554 spam"}),
    ],
)
def test_an_lmtp_client_is_told_of_each_recipient(
    replies: dict[str, str], answer: dict[str, str]
) -> None:
    assert relay(replies=replies, server=LMTP_SERVER)[0] == answer


# -- what programs written for 1.4 do with it -------------------------------------------------------


class Scripted(Proxy):
    """Overrides _deliver, as programs written for 1.4 do."""

    def __init__(self, refused: Any) -> None:
        super().__init__("hop.example.com", 2525)
        self.refused = refused

    def _deliver(self, mail_from: str, rcpt_tos: list[str], data: str | bytes) -> Any:
        self.thread = threading.current_thread()
        self.delivered = (mail_from, rcpt_tos, data)
        return self.refused


@pytest.mark.parametrize(
    ("refused", "reply"),
    [
        ({}, "250 OK"),
        (None, "250 OK"),
        ({ONE: (550, b"no")}, "250 OK"),
        ({ONE: (550, b"no"), TWO: (550, "text")}, "550 no"),
        ({ONE: (250, b"odd"), TWO: (250, b"odd")}, "451 4.4.1 Error: next hop is not reachable"),
        ({ONE: (600, b"odd"), TWO: (600, b"odd")}, "451 4.4.1 Error: next hop is not reachable"),
        (
            {ONE: (-1, b"ignore"), TWO: (-1, b"ignore")},
            "451 4.4.1 Error: next hop is not reachable",
        ),
    ],
)
def test_deliver_can_be_overridden(refused: Any, reply: str) -> None:
    proxy = Scripted(refused)

    async def run() -> Any:
        return await proxy.handle_DATA(SERVER, *transaction(PLAIN))

    assert asyncio.run(run()) == reply
    assert proxy.delivered == ("a@example.com", [ONE, TWO], RELAYED)
    assert proxy.thread is not threading.current_thread()


def test_smtplib_can_be_patched() -> None:
    async def run() -> Any:
        return await Proxy("hop.example.com", 2525).handle_DATA(SERVER, *transaction(PLAIN))

    with patch("aiosmtpd.handlers.smtplib.SMTP") as client:
        client.return_value.sendmail.return_value = {}
        assert asyncio.run(run()) == "250 OK"
        client.return_value.connect.assert_called_once_with("hop.example.com", 2525)
        client.return_value.sendmail.assert_called_once_with("a@example.com", [ONE, TWO], RELAYED)
        client.return_value.quit.assert_called_once_with()
        client.return_value.sendmail.side_effect = smtplib.SMTPServerDisconnected("gone")
        assert asyncio.run(run()) == "451 4.4.1 Error: next hop is not reachable"
