"""The typed hooks: a handler that has them all, checked by mypy and when run."""

from __future__ import annotations

import asyncio
import inspect
import types
from typing import TYPE_CHECKING, Any

import pytest

from aiosmtpd import hooks
from aiosmtpd.extensions import DEFAULT, Etrn
from aiosmtpd.handlers import Debugging, Mailbox, Message, Proxy, Sink
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from aiosmtpd.proxy_protocol import ProxyData
    from aiosmtpd.session import Envelope, Session


class Everything:
    """Has every hook, inherits from none of the protocols, and names arguments as it likes."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.body = b""

    async def handle_HELO(self, smtp: SMTP, s: Session, e: Envelope, name: str) -> str:
        self.called.append("HELO")
        s.host_name = name
        return f"250 {smtp.hostname}"

    async def handle_EHLO(
        self, smtp: SMTP, s: Session, e: Envelope, name: str, lines: list[str]
    ) -> list[str]:
        self.called.append("EHLO")
        s.host_name = name
        return [*lines[:-1], "250-X-TRA", lines[-1]]

    async def handle_MAIL(
        self, smtp: SMTP, s: Session, e: Envelope, address: str, options: list[str]
    ) -> str:
        self.called.append("MAIL")
        e.mail_from = address
        return "250 hooked MAIL"

    async def handle_RCPT(
        self, smtp: SMTP, s: Session, e: Envelope, address: str, options: list[str]
    ) -> str:
        self.called.append("RCPT")
        e.rcpt_tos.append(address)
        return "250 hooked RCPT"

    async def handle_DATA(self, smtp: SMTP, s: Session, e: Envelope) -> str:
        raise AssertionError("handle_BODY takes its place")

    async def handle_BODY(
        self, smtp: SMTP, s: Session, e: Envelope, body: AsyncIterator[bytes]
    ) -> hooks.DataReply:
        self.called.append("BODY")
        self.body = b"".join([chunk async for chunk in body])
        return {rcpt: f"250 for {rcpt}" for rcpt in e.rcpt_tos}

    async def handle_RSET(self, smtp: SMTP, s: Session, e: Envelope) -> str:
        self.called.append("RSET")
        return "250 hooked RSET"

    async def handle_NOOP(self, smtp: SMTP, s: Session, e: Envelope, arg: str | None) -> str:
        self.called.append("NOOP")
        return f"250 hooked {arg}"

    async def handle_QUIT(self, smtp: SMTP, s: Session, e: Envelope) -> str:
        self.called.append("QUIT")
        return "221 hooked QUIT"

    async def handle_VRFY(self, smtp: SMTP, s: Session, e: Envelope, address: str) -> str:
        raise ValueError(address)

    async def handle_EXPN(self, smtp: SMTP, s: Session, e: Envelope, name: str) -> str:
        self.called.append("EXPN")
        return "250-hooked\r\n250 " + name

    async def handle_ETRN(self, smtp: SMTP, s: Session, e: Envelope, node: str) -> str:
        self.called.append("ETRN")
        return "251 hooked " + node

    async def handle_AUTH(self, smtp: SMTP, s: Session, e: Envelope, args: list[str]) -> str | None:
        self.called.append("AUTH")
        s.authenticated = True
        await smtp.push("235 hooked AUTH")
        return None

    def handle_STARTTLS(self, smtp: SMTP, s: Session, e: Envelope) -> bool:
        return s.ssl is not None

    async def handle_PROXY(
        self, smtp: SMTP, s: Session, e: Envelope, proxy_data: ProxyData
    ) -> bool:
        self.called.append("PROXY")
        return proxy_data.valid

    async def handle_exception(self, error: Exception) -> str:
        self.called.append("exception")
        return f"451 hooked {type(error).__name__}"


class FourArguments:
    """Answers EHLO in the form that was deprecated in 1.3."""

    async def handle_EHLO(self, smtp: SMTP, s: Session, e: Envelope, name: str) -> str:
        s.host_name = name
        return "250 HELP"


def authenticate(smtp: SMTP, s: Session, e: Envelope, mechanism: str, auth_data: Any) -> AuthResult:
    return AuthResult(success=isinstance(auth_data, LoginPassword))


async def authenticate_slowly(
    smtp: SMTP, s: Session, e: Envelope, mechanism: str, auth_data: Any
) -> AuthResult:
    await asyncio.sleep(0)
    return authenticate(smtp, s, e, mechanism, auth_data)


# -- what the type checker sees ---------------------------------------------------------------------

HANDLER = Everything()
helo: hooks.HandlesHELO = HANDLER
ehlo: hooks.HandlesEHLO = HANDLER
old_ehlo: hooks.HandlesEHLOWithoutResponses = FourArguments()
mail: hooks.HandlesMAIL = HANDLER
rcpt: hooks.HandlesRCPT = HANDLER
data: hooks.HandlesDATA = HANDLER
body: hooks.HandlesBODY = HANDLER
rset: hooks.HandlesRSET = HANDLER
noop: hooks.HandlesNOOP = HANDLER
quit_: hooks.HandlesQUIT = HANDLER
vrfy: hooks.HandlesVRFY = HANDLER
expn: hooks.HandlesEXPN = HANDLER
etrn: hooks.HandlesETRN = HANDLER
auth: hooks.HandlesAUTH = HANDLER
starttls: hooks.HandlesSTARTTLS = HANDLER
proxy: hooks.HandlesPROXY = HANDLER
exception: hooks.HandlesException = HANDLER
authenticators: list[hooks.Authenticator] = [authenticate, authenticate_slowly]

debugging: hooks.HandlesDATA = Debugging()
relaying: hooks.HandlesDATA = Proxy("hop.example.com", 25)


class TakesTooFew:
    async def handle_MAIL(self, smtp: SMTP, s: Session, e: Envelope) -> str:
        return "250 OK"


class IsNotAsync:
    def handle_DATA(self, smtp: SMTP, s: Session, e: Envelope) -> str:
        return "250 OK"


# mypy reports an ignore that it does not need, so these lines fail the check if a wrong hook passes.
too_few: hooks.HandlesMAIL = TakesTooFew()  # type: ignore[assignment]
not_async: hooks.HandlesDATA = IsNotAsync()  # type: ignore[assignment]

PROTOCOLS = [getattr(hooks, name) for name in hooks.__all__ if name.startswith("Handles")]


# -- what is seen when run --------------------------------------------------------------------------


def hook_of(protocol: type[Any]) -> tuple[str, Callable[..., Any]]:
    [(name, function)] = [item for item in vars(protocol).items() if item[0].startswith("handle_")]
    return name, function


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_handler_is_told_by_its_methods(protocol: type[Any]) -> None:
    assert isinstance(HANDLER, protocol)
    assert not isinstance(Sink(), protocol)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_protocol_has_the_form_that_the_server_calls(protocol: type[Any]) -> None:
    name, function = hook_of(protocol)
    handler = FourArguments() if protocol is hooks.HandlesEHLOWithoutResponses else HANDLER
    method = getattr(handler, name)
    assert inspect.iscoroutinefunction(function) == inspect.iscoroutinefunction(method)
    expected = list(inspect.signature(function).parameters.values())[1:]
    assert len(expected) == len(inspect.signature(method).parameters)
    assert {parameter.kind for parameter in expected} == {inspect.Parameter.POSITIONAL_ONLY}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_contract_is_written_down(protocol: type[Any]) -> None:
    _, function = hook_of(protocol)
    text = inspect.getdoc(function) or ""
    assert "owns" in text
    for part in ("Args:", "Returns:"):
        assert part in text
    for parameter in list(inspect.signature(function).parameters)[1:]:
        assert f"{parameter}:" in text


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_who_inherits_a_hook_has_to_write_it(protocol: type[Any]) -> None:
    # It must not answer with None, as it would if the protocol's own empty method were called.
    forgetful = types.new_class("Forgetful", (protocol,))
    with pytest.raises(TypeError, match="abstract"):
        forgetful()


def test_every_hook_of_a_handler_has_a_protocol() -> None:
    known = {hook_of(protocol)[0] for protocol in PROTOCOLS}
    assert known == {name for name in dir(HANDLER) if name.startswith("handle_")}


def test_the_handlers_of_this_package_are_told_apart(tmp_path: Path) -> None:
    class Keeping(Message):
        def handle_message(self, message: Any) -> None:
            """Keep nothing."""

    for handler in (Debugging(), Mailbox(tmp_path / "mail"), Keeping(), Proxy("hop", 25)):
        assert isinstance(handler, hooks.HandlesDATA)
        assert not isinstance(handler, hooks.HandlesBODY)


class Inheriting(hooks.HandlesRCPT, hooks.HandlesDATA):
    """Inherits from the protocols, as the documentation shows."""

    async def handle_RCPT(
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        rcpt_options: list[str],
    ) -> str:
        if not address.endswith("@example.com"):
            return "550 5.7.1 not relaying to that domain"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        return f"250 2.0.0 stored for {envelope.rcpt_tos}"


async def converse(factory: Callable[[], SMTP], commands: bytes) -> list[str]:
    """Send commands to a server and give the replies, line by line."""
    loop = asyncio.get_running_loop()
    async with await loop.create_server(factory, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(commands)
        replies = await reader.read()
        writer.close()
        await writer.wait_closed()
    return replies.decode().splitlines()


MESSAGE = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<e@example.com>\r\nDATA\r\n"


def test_the_server_calls_the_hooks() -> None:
    handler = Everything()
    commands = (
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nLHLO client\r\nAUTH PLAIN eA==\r\nNOOP\r\nRSET\r\n"
        b"VRFY <x@example.com>\r\nEXPN list\r\nETRN b.example\r\n"
        + MESSAGE
        + b"..hi\r\n.\r\nQUIT\r\n"
    )
    replies = asyncio.run(
        converse(
            lambda: LMTP(
                handler,
                hostname="mx",
                auth_require_tls=False,
                proxy_protocol_timeout=5,
                extensions=[*DEFAULT, Etrn()],
            ),
            commands,
        )
    )
    called = " ".join(handler.called)
    assert called == "PROXY EHLO AUTH NOOP RSET exception EXPN ETRN MAIL RCPT RCPT BODY QUIT"
    assert handler.body == b".hi\r\n"
    assert "250-X-TRA" in replies
    assert replies[replies.index("235 hooked AUTH") :] == [
        "235 hooked AUTH",
        "250 hooked None",
        "250 hooked RSET",
        "451 hooked ValueError",
        "250-hooked",
        "250 list",
        "251 hooked b.example",
        "250 hooked MAIL",
        "250 hooked RCPT",
        "250 hooked RCPT",
        "354 End data with <CR><LF>.<CR><LF>",
        "250 for c@d.example",
        "250 for e@example.com",
        "221 hooked QUIT",
    ]


def test_the_server_calls_hooks_that_inherit() -> None:
    commands = b"HELO client\r\n" + MESSAGE + b"hi\r\n.\r\nQUIT\r\n"
    replies = asyncio.run(converse(lambda: SMTP(Inheriting(), hostname="mx"), commands))
    assert replies[1:] == [
        "250 mx",
        "250 OK",
        "550 5.7.1 not relaying to that domain",
        "250 OK",
        "354 End data with <CR><LF>.<CR><LF>",
        "250 2.0.0 stored for ['e@example.com']",
        "221 Bye",
    ]


@pytest.mark.parametrize("authenticator", authenticators)
def test_the_server_calls_the_authenticator(authenticator: hooks.Authenticator) -> None:
    commands = b"EHLO client\r\nAUTH PLAIN AGEAYg==\r\nQUIT\r\n"
    replies = asyncio.run(
        converse(
            lambda: SMTP(Sink(), authenticator=authenticator, auth_require_tls=False), commands
        )
    )
    assert replies[-2:] == ["235 2.7.0 Authentication successful", "221 Bye"]
