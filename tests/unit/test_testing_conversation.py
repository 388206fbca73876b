"""Conversations: what they send, how they wait, and how they fail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from email.message import EmailMessage
from typing import Any

import pytest

from aiosmtpd.extensions import DEFAULT, Prdr
from aiosmtpd.lmtp import LMTP
from aiosmtpd.protocol.reply import Reply
from aiosmtpd.session import Envelope, Session
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword, __ident__
from aiosmtpd.testing import (
    Conversation,
    ConversationError,
    MemoryTransport,
    Outcome,
    RecordingHandler,
    ScriptMismatchError,
    ServerClosedError,
    ServerSilentError,
    converse,
)

# Long enough for a loop that is busy, as nothing here waits for it unless the server says nothing.
PATIENCE = 5.0
IMPATIENCE = 0.02


class Parrot(asyncio.Protocol):
    """A server without a protocol: greets, and answers each line with what it is told to."""

    def __init__(self, greeting: bytes = b"220 hi\r\n", answer: bytes = b"250 OK\r\n") -> None:
        self.greeting = greeting
        self.answer = answer
        self.lost: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, MemoryTransport)
        self.transport = transport
        transport.write(self.greeting)

    def data_received(self, data: bytes) -> None:
        for _ in range(data.count(b"\n")):
            self.transport.write(self.answer)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = error


def talk(
    protocol: Callable[[], asyncio.Protocol],
    scenario: Callable[[Conversation], Awaitable[None]],
    **options: Any,
) -> None:
    """Run a scenario in a conversation with a protocol."""

    async def run() -> None:
        async with Conversation(protocol(), **options) as client:
            await scenario(client)

    asyncio.run(run())


def smtp(handler: object = None, **options: Any) -> Callable[[], SMTP]:
    return lambda: SMTP(handler or RecordingHandler(), hostname="mx.example", **options)


# -- commands and replies -------------------------------------------------------------------------


def test_a_conversation() -> None:
    async def scenario(client: Conversation) -> None:
        greeting = await client.greeting()
        assert greeting.startswith("220 mx.example ")
        assert await client.greeting() is greeting
        hello = await client.send("EHLO client.example")
        assert (hello.code, hello.lines[0], hello.lines[-1]) == (250, "mx.example", "HELP")
        assert await client.send(b"NOOP") == "250 OK"
        assert await client.send("QUIT") == "221 Bye"
        await client.closed()

    talk(smtp(), scenario)


def test_the_greeting_may_be_left_unread() -> None:
    async def scenario(client: Conversation) -> None:
        assert await client.send("NOOP") == "250 OK"
        assert (await client.greeting()).code == 220

    talk(smtp(), scenario)


def test_pipelined_commands() -> None:
    async def scenario(client: Conversation) -> None:
        client.feed(b"HELO client.example\r\nNOOP\r\nNOPE\r\n")
        replies = await client.replies(3)
        assert [reply.code for reply in replies] == [250, 250, 500]

    talk(smtp(), scenario)


def test_a_command_in_pieces() -> None:
    async def scenario(client: Conversation) -> None:
        for octet in b"NOOP\r\n":
            client.feed(bytes([octet]))
        assert await client.reply() == "250 OK"

    talk(smtp(), scenario)


def test_a_reply_in_pieces_is_one() -> None:
    async def scenario(client: Conversation) -> None:
        pending = asyncio.ensure_future(client.send("EHLO me"))
        await asyncio.sleep(0)
        for piece in (b"250-m", b"x\r", b"\n250", b" HELP\r\n"):
            assert not pending.done()
            client.transport.write(piece)
            await asyncio.sleep(0)
        assert await pending == Reply(250, None, "mx", "HELP")

    talk(lambda: Parrot(answer=b""), scenario)


@pytest.mark.parametrize("bare", [b"250\r\n", b"250 \r\n"])
def test_a_reply_without_text(bare: bytes) -> None:
    async def scenario(client: Conversation) -> None:
        assert (await client.send("NOOP")).lines == ("",)

    talk(lambda: Parrot(answer=bare), scenario)


def test_half_close() -> None:
    async def scenario(client: Conversation) -> None:
        client.feed(b"NOOP\r\n")
        client.eof()
        assert await client.reply() == "250 OK"
        await client.closed()

    talk(smtp(), scenario)


def test_a_lost_connection_is_told_to_the_protocol() -> None:
    parrot = Parrot()
    error = ConnectionResetError("gone")

    async def scenario(client: Conversation) -> None:
        client.lose(error)
        await client.closed()
        assert parrot.lost is error

    talk(lambda: parrot, scenario)


def test_leaving_breaks_the_connection_and_waits_for_the_hook_to_end() -> None:
    ended = []

    class Handler:
        async def handle_NOOP(self, *_: object) -> str:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                ended.append(True)
            return "250 never"

    async def run() -> None:
        async with Conversation(SMTP(Handler())) as client:
            await client.greeting()
            client.feed(b"NOOP\r\n")
            await asyncio.sleep(0)
        assert ended == [True]

    asyncio.run(run())


def test_the_peer_and_tls_are_what_the_test_says() -> None:
    class Handler:
        async def handle_NOOP(
            self, server: SMTP, session: Session, envelope: Envelope, arg: str
        ) -> str:
            return f"250 {session.peer[0]} {session.ssl is not None}"

    async def scenario(client: Conversation) -> None:
        assert await client.send("NOOP") == "250 2001:db8::1 True"

    talk(smtp(Handler()), scenario, tls=True, extra={"peername": ("2001:db8::1", 9, 0, 0)})


def test_login() -> None:
    def judge(
        server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        return AuthResult(success=(data.login, data.password) == (b"anne", b"secret"))

    async def scenario(client: Conversation) -> None:
        assert (await client.login("anne", "wrong")).code == 535
        assert (await client.login("anne", "secret")).code == 235

    talk(smtp(authenticator=judge), scenario, tls=True)


# -- messages -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "received"),
    [
        (b"exact\nas it\ris\r\n", b"exact\nas it\ris\r\n"),
        (b"no end", b"no end\r\n"),
        (b"", b"\r\n"),
        ("any\nline\rend\r\n", b"any\r\nline\r\nend\r\n"),
        (".\n..two\n.three", b".\r\n..two\r\n.three\r\n"),
        (b"\r\n.\r\n.", b"\r\n.\r\n.\r\n"),
        ("été", "été\r\n".encode()),
    ],
)
def test_content_arrives_as_it_was_given(content: str | bytes, received: bytes) -> None:
    handler = RecordingHandler()

    async def scenario(client: Conversation) -> None:
        assert (await client.message("a@example.com", "b@example.com", content)).accepted

    talk(smtp(handler), scenario)
    assert [envelope.content for envelope in handler.envelopes] == [received]


def test_an_email_message_can_be_sent() -> None:
    handler = RecordingHandler()
    message = EmailMessage()
    message["Subject"] = "Dinner"
    message.set_content("At eight.\n.\n")

    async def scenario(client: Conversation) -> None:
        outcome = await client.message("a@example.com", ["b@example.com"], message)
        assert outcome.reply == "250 OK"

    talk(smtp(handler), scenario)
    assert handler.messages[0]["Subject"] == "Dinner"
    assert handler.messages[0].get_content() == "At eight.\n.\n"


def test_several_messages_and_the_null_reverse_path() -> None:
    handler = RecordingHandler()

    async def scenario(client: Conversation) -> None:
        for sender in ("", "<>", "a@example.com"):
            assert (await client.message(sender, "b@example.com", "x")).code == 250
        assert client.transcript.count("C: EHLO") == 1

    talk(smtp(handler), scenario)
    senders = [envelope.mail_from for envelope in handler.envelopes]
    assert senders == ["<>", "<>", "a@example.com"]


def test_parameters_are_sent() -> None:
    handler = RecordingHandler()

    async def scenario(client: Conversation) -> None:
        outcome = await client.message(
            "a@example.com", "b@example.com", "x", mail_options=["SIZE=3", "BODY=7BIT"]
        )
        assert outcome.code == 250
        outcome = await client.message(
            "a@example.com", "b@example.com", "x", rcpt_options=["NOTIFY=NEVER"]
        )
        assert outcome.code == 555

    talk(smtp(handler), scenario)
    assert handler.envelopes[0].mail_options == ["SIZE=3", "BODY=7BIT"]


class Picky:
    """Refuses what says so."""

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("no"):
            return "550 no such sender"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("no"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str | Mapping[str, str]:
        if isinstance(server, LMTP):
            return {
                address: "452 full" if address.startswith("full") else "250 OK"
                for address in envelope.rcpt_tos
            }
        return "554 spam" if b"spam" in (envelope.original_content or b"") else "250 OK"


def outcome_of(server: type[SMTP], sender: str, recipients: list[str], content: str) -> Outcome:
    outcomes = []

    async def scenario(client: Conversation) -> None:
        outcomes.append(await client.message(sender, recipients, content))
        assert (await client.message("a@example.com", "b@example.com", "next")).accepted

    talk(lambda: server(Picky()), scenario)
    return outcomes[0]


def test_a_refused_sender() -> None:
    outcome = outcome_of(SMTP, "no@example.com", ["b@example.com"], "x")
    assert (outcome.code, outcome.accepted, outcome.recipients) == (550, False, {})
    assert outcome.reply is outcome.mail


def test_refused_recipients() -> None:
    outcome = outcome_of(SMTP, "a@example.com", ["no@example.com", "no2@example.com"], "x")
    assert (outcome.reply, outcome.accepted, outcome.data) == ("550 no such user", False, None)


def test_some_refused_recipients() -> None:
    outcome = outcome_of(SMTP, "a@example.com", ["no@example.com", "b@example.com"], "x")
    codes = {address: reply.code for address, reply in outcome.recipients.items()}
    assert codes == {"no@example.com": 550, "b@example.com": 250}
    assert (outcome.code, outcome.accepted) == (250, True)


def test_a_refused_message() -> None:
    outcome = outcome_of(SMTP, "a@example.com", ["b@example.com"], "spam")
    assert (outcome.reply, outcome.accepted) == ("554 spam", False)


def test_lmtp_gives_a_reply_for_each_recipient() -> None:
    recipients = ["b@example.com", "full@example.com", "c@example.com", "no@example.com"]
    outcome = outcome_of(LMTP, "a@example.com", recipients, "x")
    assert outcome.replies == ("250 OK", "452 full", "250 OK")
    assert (outcome.reply, outcome.accepted) == ("452 full", False)


@pytest.mark.parametrize("asked", [["PRDR"], []])
def test_prdr_gives_a_reply_for_each_recipient(asked: list[str]) -> None:
    class Handler:
        async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> Any:
            return ["250 OK", "452 full"] if asked else "250 OK"

    async def scenario(client: Conversation) -> None:
        recipients = ["b@example.com", "full@example.com"]
        outcome = await client.message("a@example.com", recipients, "x", mail_options=asked)
        if asked:
            assert outcome.replies[:2] == ("250 OK", "452 full")
            assert [reply.code for reply in outcome.replies] == [250, 452, 250]
        else:
            assert outcome.replies == ("250 OK",)
        assert outcome.accepted is not bool(asked)
        assert (await client.message("a@example.com", "b@example.com", "next")).mail.code == 250

    talk(smtp(Handler(), extensions=(*DEFAULT, Prdr())), scenario)


def test_a_refused_data_command() -> None:
    class Handler:
        async def handle_RCPT(
            self, server: SMTP, session: Session, envelope: Envelope, address: str, _: list[str]
        ) -> str:
            return "250 a lie: it is not appended"

    async def scenario(client: Conversation) -> None:
        outcome = await client.message("a@example.com", "b@example.com", "x")
        assert outcome.reply is outcome.data
        assert (outcome.code, outcome.replies, outcome.accepted) == (503, (), False)

    talk(smtp(Handler()), scenario)


def test_a_server_that_leaves_is_not_sent_rset() -> None:
    async def scenario(client: Conversation) -> None:
        outcome = await client.message("a@example.com", ["b@example.com"] * 3, "x")
        assert outcome.code == 421

    talk(smtp(command_call_limit={"RCPT": 0, "*": 20}), scenario)


# -- failures -------------------------------------------------------------------------------------


def test_a_silent_server() -> None:
    async def scenario(client: Conversation) -> None:
        client.timeout = IMPATIENCE
        with pytest.raises(ServerSilentError) as caught:
            await client.send("NOOP")
        assert str(caught.value) == "it does not answer within 0.02 seconds\nS: 220 hi\nC: NOOP"

    talk(lambda: Parrot(answer=b""), scenario)


def test_half_a_reply() -> None:
    async def scenario(client: Conversation) -> None:
        client.timeout = IMPATIENCE
        with pytest.raises(ServerSilentError, match=r"S: 250-one\nS: 250 tw \[no CRLF yet\]"):
            await client.send("NOOP")

    talk(lambda: Parrot(answer=b"250-one\r\n250 tw"), scenario)


def test_a_server_that_does_not_close() -> None:
    async def scenario(client: Conversation) -> None:
        client.timeout = IMPATIENCE
        with pytest.raises(ServerSilentError, match="it does not close the connection within"):
            await client.closed()

    talk(Parrot, scenario)


def test_a_server_that_closes_instead() -> None:
    async def scenario(client: Conversation) -> None:
        assert (await client.send("QUIT")).code == 221
        with pytest.raises(
            ServerClosedError, match=r"closed[^\n]*\nS: 220 (?s:.*)\[server closes\]"
        ):
            await client.reply()
        with pytest.raises(ServerClosedError, match="nothing can be sent"):
            await client.send("NOOP")

    talk(smtp(), scenario)


def test_a_server_that_never_greets() -> None:
    async def scenario(client: Conversation) -> None:
        client.transport.close()
        with pytest.raises(ServerClosedError):
            await client.greeting()

    talk(lambda: Parrot(greeting=b""), scenario)


def test_a_server_that_says_too_much() -> None:
    async def scenario(client: Conversation) -> None:
        assert (await client.send("NOOP")).code == 250
        with pytest.raises(ConversationError, match="before 'NOOP', the server has said more"):
            await client.send("NOOP")
        assert client.unread == b"250 and more\r\n"

    talk(lambda: Parrot(answer=b"250 OK\r\n250 and more\r\n"), scenario)


@pytest.mark.parametrize(
    "answer",
    [
        b"\r\n",
        b"OK\r\n",
        b"25 OK\r\n",
        b"150 OK\r\n",
        b"600 OK\r\n",
        b"250OK\r\n",
        b"250-a\r\n251 b\r\n",
        b"250 a\nb\r\n",
        "٢٥٠ OK\r\n".encode(),
    ],
)
def test_what_is_no_reply(answer: bytes) -> None:
    async def scenario(client: Conversation) -> None:
        with pytest.raises(ConversationError, match="this is no line of a reply"):
            await client.send("NOOP")

    talk(lambda: Parrot(answer=answer), scenario)


def test_a_server_that_refuses_to_talk() -> None:
    async def scenario(client: Conversation) -> None:
        with pytest.raises(ConversationError, match="does not want to talk: 554 no"):
            await client.message("a@example.com", "b@example.com", "x")

    talk(lambda: Parrot(answer=b"554 no\r\n"), scenario)


class Stubborn(Parrot):
    """Has a task that ends otherwise than it should when the connection is lost."""

    def __init__(self, end: Callable[[], Coroutine[Any, Any, None]]) -> None:
        super().__init__()
        self._handler_coroutine = asyncio.get_running_loop().create_task(end())


async def _never() -> None:
    await asyncio.get_running_loop().create_future()


async def _wrongly() -> None:
    raise LookupError("a fault of the server")


async def _read_greeting(client: Conversation) -> None:
    await client.greeting()


def test_a_task_that_does_not_end_is_told_and_cancelled() -> None:
    servers: list[Stubborn] = []

    def make() -> Stubborn:
        servers.append(Stubborn(_never))
        return servers[0]

    with pytest.raises(ConversationError, match="still runs after the connection is lost"):
        talk(make, _read_greeting, timeout=IMPATIENCE)
    assert servers[0]._handler_coroutine.cancelled()


def test_a_task_that_failed_is_told() -> None:
    with pytest.raises(LookupError, match="a fault of the server"):
        talk(lambda: Stubborn(_wrongly), _read_greeting)


@pytest.mark.parametrize("end", [_never, _wrongly])
def test_a_failure_of_the_test_itself_comes_first(
    end: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    async def scenario(client: Conversation) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        talk(lambda: Stubborn(end), scenario, timeout=IMPATIENCE)


def test_the_transcript_is_short_where_a_message_is_long() -> None:
    async def scenario(client: Conversation) -> None:
        await client.message("a@example.com", "b@example.com", "line\n" * 1000)
        assert "C: line\nC: [and 971 more lines]\nS: 250 OK" in client.transcript

    talk(smtp(), scenario)


# -- scripts --------------------------------------------------------------------------------------


def test_a_script() -> None:
    handler = RecordingHandler()
    transcript = converse(
        smtp(handler),
        """
        S: 220 mx.example ...
        C: EHLO client.example
        S: 250-mx.example
        S: ...
        S: 250 HELP
        C: MAIL FROM:<anne@example.com>
        C: RCPT TO:<bart@example.com>
        C: DATA
        S: 250 OK
        S: 250 OK
        S: 354 ...
        C: Subject: Hello
        C:
        C: ..
        C: .
        C: QUIT
        S: 250 OK
        S: 221 Bye
        [closed]
        """,
    )
    assert handler.envelopes[0].content == b"Subject: Hello\r\n\r\n.\r\n"
    assert transcript.endswith("S: 250 OK\nS: 221 Bye\n[server closes]")


def test_a_script_may_end_or_break_the_connection() -> None:
    assert "[client ends its side]" in converse(
        smtp(), "S: ...\nC: NOOP\n[eof]\nS: 250 OK\n[closed]"
    )
    assert converse(smtp(), "S: ...\n[lost]\n[closed]").endswith("[connection breaks]")


def test_a_script_within_a_conversation() -> None:
    async def scenario(client: Conversation) -> None:
        await client.hello()
        await client.play("C: NOOP\nS: 250 OK")
        await client.play("C: NOPE\nS: 500 ...")
        assert (await client.send("NOOP")).code == 250

    talk(smtp(), scenario)


def test_a_script_that_reads_the_greeting_leaves_none_to_read() -> None:
    async def scenario(client: Conversation) -> None:
        await client.play("S: 220 ...")
        assert (await client.send("NOOP")).code == 250

    talk(smtp(), scenario)


def test_a_script_that_the_server_does_not_keep_to() -> None:
    with pytest.raises(ScriptMismatchError) as caught:
        converse(smtp(), "S: 220 ...\nC: HELO me\nC: NOOP\nS: 250 mx.example\nS: 550 No\nC: QUIT\n")
    assert str(caught.value).splitlines() == [
        "the server does not keep to the script",
        f"  S: 220 mx.example {__ident__}",
        "  C: HELO me",
        "  C: NOOP",
        "  S: 250 mx.example",
        "- S: 550 No",
        "+ S: 250 OK",
        "(- what the script says, + what the server said)",
    ]
    assert caught.value.__notes__ == ["at line 5 of the script"]


@pytest.mark.parametrize("rest", ["", "\nC: NOOP\nS: 250 OK"])
def test_a_server_that_says_more_than_the_script(rest: str) -> None:
    answer = b"250 OK\r\n250 and more\r\n"
    with pytest.raises(ScriptMismatchError, match=r"  S: 250 OK\n\+ S: 250 and more\n"):
        converse(lambda: Parrot(answer=answer), f"S: 220 hi\nC: NOOP\nS: 250 OK{rest}")


def test_a_script_that_waits_in_vain() -> None:
    with pytest.raises(ServerSilentError) as caught:
        converse(Parrot, "S: 220 hi\nS: 250 OK", timeout=IMPATIENCE)
    assert caught.value.__notes__ == ["at line 2 of the script"]


def test_a_script_over_tls() -> None:
    script = "S: ...\nC: EHLO me\nS: ...\nS: 250-AUTH LOGIN PLAIN\nS: ...\n"
    converse(smtp(authenticator=lambda *_: AuthResult(success=True)), script, tls=True)
