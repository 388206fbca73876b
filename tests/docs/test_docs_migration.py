"""What the migration guide says of version 2, row by row; the number in a test's name is the row's.

The column of version 1.4.6 was checked against that version when the guide was written. This module
sees to it that the other column stays true, and that no row is without a test.
"""

from __future__ import annotations

import asyncio
import io
import logging
import re
import smtplib
import ssl
import tomllib
import warnings
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tests.docs.clock import ClockOfItsOwn

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from aiosmtpd.lmtp import LMTP
from aiosmtpd.session import Envelope, Session
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from aiosmtpd.testing import Conversation, converse

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "migration.md").read_text(encoding="utf-8")
ROWS = re.findall(r"\[M-\d\d\]\{#(m-\d\d)\}", GUIDE)
GREETED = "S: 220 ...\nC: EHLO client.example\nS: 250-...\nS: ...\nS: 250 HELP\n"
TO_DATA = (
    GREETED
    + "C: MAIL FROM:<anne@example.com>\nS: 250 OK\nC: RCPT TO:<bart@example.com>\nS: 250 OK\n"
    + "C: DATA\nS: 354 ...\n"
)


def allow(*_: Any) -> AuthResult:
    return AuthResult(success=True)


def play(script: str, handler: object = None, **parameters: Any) -> None:
    converse(lambda: SMTP(handler or Sink(), hostname="mx.example", **parameters), script)


def test_every_row_is_tested() -> None:
    files = Path(__file__).parent.glob("test_docs_migration*.py")
    tests = "".join(path.read_text(encoding="utf-8") for path in files)
    assert len(ROWS) >= 20
    assert len(set(ROWS)) == len(ROWS)
    for row in ROWS:
        assert re.search(rf"def test_{row.replace('-', '_')}_", tests), row


def test_every_row_has_four_cells_and_a_reason() -> None:
    for line in GUIDE.splitlines():
        if re.match(r"\| \[M-\d\d\]", line):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            assert len(cells) == 4, line
            assert all(cells), line


def test_rows_that_others_refer_to_exist() -> None:
    listed = (ROOT / "tests" / "compat" / "expected_failures.toml").read_text(encoding="utf-8")
    for group in tomllib.loads(listed).get("group", []):
        assert group["row"].lower() in ROWS, group["row"]


# -- the protocol ---------------------------------------------------------------------------------


def test_m_01_a_line_without_an_end_is_not_kept() -> None:
    async def main() -> None:
        async with Conversation(SMTP(Sink(), data_size_limit=1000)) as client:
            for command in ("EHLO x", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA"):
                await client.send(command)
            for _ in range(100):
                client.feed(b"x" * 65536)
                await asyncio.sleep(0)
                protocol = client.protocol
                assert isinstance(protocol, SMTP)
                assert len(protocol._connection.buffer) < 2 * 65536
            client.feed(b"\r\n.\r\n")
            assert (await client.reply()).code == 552
            assert (await client.send("NOOP")).code == 250

    asyncio.run(main())


NO_PATHS = ["<a..b@c>", "a..b@c", "<.a@b>", "<a@-b.c>", "<a@[999.2.3.4]>", "<a b@c>", "<a@b>SIZE=3"]


@pytest.mark.parametrize("path", [*NO_PATHS, "<x@y", "<", "<a"])
def test_m_09_what_is_no_path_is_refused(path: str) -> None:
    play(GREETED + f"C: MAIL FROM:{path}\nS: 553 5.1.3 Error: malformed address")


def test_m_09_the_null_path_is_no_recipient() -> None:
    play(
        GREETED + "C: MAIL FROM:<>\nS: 250 OK\nC: RCPT TO:<>\nS: 553 5.1.3 Error: malformed address"
    )


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("a@b", "a@b"),
        ("  <a@b>", "a@b"),
        ("<a@b>  BODY=7BIT", "a@b"),
        ("<a>", "a"),
        ("<a@b_c.d>", "a@b_c.d"),
        ("<@x,@y:a@b>", "a@b"),
        ('<"a b"@c>', '"a b"@c'),
        ("<a(comment)@b.c>", "a@b.c"),
        ("<a . b@c>", "a.b@c"),
        ('<"a"."b"@c>', "a.b@c"),
        ("<Anne@Example.COM>", "Anne@Example.COM"),
    ],
)
def test_m_09_what_is_accepted_beyond_the_rfc(path: str, address: str) -> None:
    class Tell:
        async def handle_MAIL(
            self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any
        ) -> str:
            return f"250 {address}"

    play(GREETED + f"C: MAIL FROM:{path}\nS: 250 {address}", Tell())


def test_m_24_an_address_is_utf8() -> None:
    async def main() -> None:
        async with Conversation(SMTP(Sink(), enable_SMTPUTF8=True)) as client:
            await client.hello()
            assert (await client.send(b"MAIL FROM:<\xff@b>")).code == 553
            assert (await client.send("MAIL FROM:<é@b> SMTPUTF8")).code == 250

    asyncio.run(main())


def test_m_25_parameters_come_once_and_may_have_hyphens() -> None:
    play(
        GREETED
        + "C: MAIL FROM:<a@b> SIZE=1 SIZE=2\nS: 501 Syntax: MAIL FROM: ...\n"
        + "C: MAIL FROM:<a@b> A=B=C\nS: 501 Syntax: MAIL FROM: ...\n"
        + "C: MAIL FROM:<a@b> FOO-BAR=1\nS: 555 MAIL FROM parameters not recognized ..."
    )


def test_m_26_the_case_of_a_value_is_kept_beside_the_options() -> None:
    class Tell:
        async def handle_MAIL(
            self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any
        ) -> str:
            return f"250 {options} {envelope.mail_parameters}"

    play(
        GREETED + "C: MAIL FROM:<a@b> auth=Anne@c\nS: 250 ['AUTH=ANNE@C'] {'AUTH': 'Anne@c'}",
        Tell(),
        authenticator=allow,
        auth_require_tls=False,
    )


def test_m_10_mail_may_have_auth_while_auth_is_offered() -> None:
    offered = {"authenticator": allow, "auth_require_tls": False}
    play(GREETED + "C: MAIL FROM:<a@b> AUTH=<>\nS: 250 OK", **offered)
    play(GREETED + "C: MAIL FROM:<a@b> AUTH=a+XXb\nS: 501 Syntax: MAIL ...", **offered)
    play(GREETED + "C: MAIL FROM:<a@b> AUTH=<>\nS: 555 ...")


def test_m_11_limits_are_not_shared() -> None:
    before = dict(SMTP.command_size_limits)
    for _ in range(3):
        play(GREETED + GREETED.partition("\n")[2])
    assert SMTP.command_size_limits == before


def test_m_42_a_lower_limit_of_a_verb_counts() -> None:
    class Short(SMTP):
        command_size_limits: ClassVar[dict[str, int]] = {"NOOP": 20}

    script = f"S: 220 ...\nC: NOOP {'x' * 15}\nS: 250 OK\nC: NOOP {'x' * 16}\nS: 500 ..."
    converse(lambda: Short(Sink()), script)


def test_m_12_a_transaction_ends_with_an_exception() -> None:
    class Fails:
        async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
            raise ValueError

    play(TO_DATA + "C: .\nS: 451 ...\nC: RCPT TO:<x@y>\nS: 503 Error: need MAIL command", Fails())


class Slow:
    """A hook that takes its time."""

    cancelled = False

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return "250 finished"


def test_m_13_a_half_closed_connection_is_answered() -> None:
    play(TO_DATA + "C: .\n[eof]\nS: 250 finished\n[closed]", Slow())


def test_m_13_a_broken_connection_cancels_the_hook() -> None:
    handler = Slow()

    async def main() -> None:
        async with Conversation(SMTP(handler)) as client:
            await client.play(TO_DATA)
            client.feed(b".\r\n")
            await asyncio.sleep(0)
            client.lose(ConnectionResetError())

    asyncio.run(main())
    assert handler.cancelled


def test_m_14_a_hook_has_a_limit_of_its_own() -> None:
    async def main(script: str, **limit: Any) -> None:
        async with Conversation(SMTP(Slow(), hostname="mx.example", **limit)) as client:
            await client.play(TO_DATA + script)

    # On a real clock a busy machine might need more than the limit for a step of the script.
    with asyncio.Runner(loop_factory=ClockOfItsOwn) as runner:
        runner.run(main("C: .\nS: 250 finished", timeout=0.01))
        limited = main("C: .\nS: 451 4.3.0 ...\nC: NOOP\nS: 250 OK", handler_timeout=0.01)
        runner.run(limited)


def test_m_20_pipelining_is_offered_and_honoured() -> None:
    async def main() -> None:
        async with Conversation(SMTP(Sink())) as client:
            assert "PIPELINING" in (await client.hello()).lines
            client.feed(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n")
            assert [reply.code for reply in await client.replies(3)] == [250, 250, 354]
            writes = [what for who, what in client.transport.record if who == "S"]
            assert writes[-1] == b"250 OK\r\n250 OK\r\n354 End data with <CR><LF>.<CR><LF>\r\n"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("way", "lines"),
    [
        ("push", ["250 first", "250-aside", "250 OK"]),
        ("writer", ["250 first", "250-aside", "250 OK"]),
        ("transport", ["250-aside", "250 first", "250 OK"]),
    ],
)
def test_m_43_what_a_hook_writes_may_overtake_replies(way: str, lines: list[str]) -> None:
    class Writes:
        async def handle_RSET(self, *_: Any) -> str:
            return "250 first"

        async def handle_NOOP(self, server: SMTP, *_: Any) -> str:
            assert server.transport is not None
            if way == "push":
                await server.push("250-aside")
            elif way == "writer":
                server._writer.write(b"250-aside\r\n")
            else:
                server.transport.write(b"250-aside\r\n")
            return "250 OK"

    async def main() -> None:
        async with Conversation(SMTP(Writes())) as client:
            client.feed(b"RSET\r\nNOOP\r\n")
            await client.replies(2)
            written = [what for who, what in client.transport.record if who == "S"]
            octets = b"".join(what for what in written if isinstance(what, bytes))
            assert octets.decode().splitlines()[1:] == lines

    asyncio.run(main())


def test_m_15_lmtp_answers_for_each_recipient() -> None:
    class Replies:
        async def handle_DATA(
            self, server: SMTP, session: Session, envelope: Envelope
        ) -> dict[str, str] | list[str]:
            if len(envelope.rcpt_tos) == 3:
                return ["250 one", "250 two", "250 three"]
            return {"c@d": "250 yes"}

    transaction = "C: MAIL FROM:<a@b>\nS: 250 OK\n{}C: DATA\nS: 354 ...\nC: .\n"
    two, three = (
        transaction.format("".join(f"C: RCPT TO:<{address}>\nS: 250 OK\n" for address in addresses))
        for addresses in (["c@d", "e@f"], ["c@d", "e@f", "g@h"])
    )
    converse(
        lambda: LMTP(Replies()),
        "S: 220 ...\nC: MAIL FROM:<a@b>\nS: 503 Error: send LHLO first\n"
        "C: LHLO\nS: 501 Syntax: LHLO hostname\nC: LHLO x\nS: 250-...\nS: ...\nS: 250 HELP\n"
        + two
        + "S: 250 yes\nS: 451 4.3.0 ...\n"
        + three
        + "S: 250 one\nS: 250 two\nS: 250 three",
    )


def test_m_23_octets_of_the_client_are_not_echoed() -> None:
    async def main() -> None:
        async with Conversation(SMTP(Sink())) as client:
            for line in (b"NO\tOP", b"\x00", b"NOOP\r", b"NOOP a\rb", b"VRFY \x1b[2J"):
                assert await client.send(line) == "500 Error: bad syntax"

    asyncio.run(main())


def test_m_27_a_line_ends_at_lf_and_transparency_does_not_count() -> None:
    async def main() -> None:
        for body in (b"x" * 600 + b"\n" + b"y" * 600, b".." + b"x" * 998):
            async with Conversation(SMTP(Sink())) as client:
                await client.play(TO_DATA)
                client.feed(body + b"\r\n.\r\n")
                assert (await client.reply()).code == 250

    asyncio.run(main())


@pytest.mark.parametrize(("limit", "code"), [(11, 250), (10, 552)])
def test_m_41_dots_for_transparency_have_no_size(limit: int, code: int) -> None:
    play(TO_DATA + f"C: ..aaa\nC: ..bb\nC: .\nS: {code} ...", data_size_limit=limit)


@pytest.mark.parametrize(("limit", "code"), [(100, 552), (2000, 500)])
def test_m_28_the_fault_that_comes_first_is_answered(limit: int, code: int) -> None:
    play(TO_DATA + f"C: {'x' * 3000}\nC: .\nS: {code} ...", data_size_limit=limit)


def test_m_29_vrfy_is_asked_what_the_client_asked() -> None:
    class Tell:
        async def handle_VRFY(
            self, server: SMTP, session: Session, envelope: Envelope, address: str
        ) -> str:
            return f"252 {address}"

    play(
        "S: 220 ...\nC: VRFY a b\nS: 252 a b\nC: VRFY <a@b> c\nS: 252 <a@b> c\n"
        "C: VRFY a..b\nS: 502 Could not VRFY a..b",
        Tell(),
    )


# -- hooks ----------------------------------------------------------------------------------------


class Raises:
    async def handle_NOOP(
        self, server: SMTP, session: Session, envelope: Envelope, arg: str | None
    ) -> str:
        raise ValueError("secret\r\nand more")


def test_m_02_an_exception_is_not_told() -> None:
    play("S: 220 ...\nC: NOOP\nS: 451 4.3.0 Error: local error in processing", Raises())


def test_m_02_an_exception_is_told_in_debug_mode() -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_debug(True)
        async with Conversation(SMTP(Raises())) as client:
            assert await client.send("NOOP") == "451 4.3.0 Error: (ValueError) secret"

    asyncio.run(main())


def test_m_03_none_is_the_default_reply(caplog: pytest.LogCaptureFixture) -> None:
    class Nothing:
        async def handle_NOOP(self, *_: Any) -> None:
            pass

    play("S: 220 ...\nC: NOOP\nS: 250 OK", Nothing())
    assert "handle_NOOP returned no reply" in caplog.text


def test_m_03_none_from_handle_exception_is_answered() -> None:
    class Silent(Raises):
        async def handle_exception(self, error: Exception) -> None:
            pass

    play("S: 220 ...\nC: NOOP\nS: 451 4.3.0 ...\nC: RSET\nS: 250 OK", Silent())


def test_m_44_handle_exception_may_be_plain() -> None:
    class Plain(Raises):
        def handle_exception(self, error: Exception) -> str:
            return f"451 {type(error).__name__}"

    play("S: 220 ...\nC: NOOP\nS: 451 ValueError", Plain())


def test_m_30_a_letter_outside_ascii_is_escaped() -> None:
    class Accent:
        async def handle_NOOP(self, *_: Any) -> str:
            return "250 café"

    play("S: 220 ...\nC: NOOP\nS: 250 caf\\xe9", Accent())


def test_m_31_ehlo_hook_comes_before_the_last_line() -> None:
    class Hook(SMTP):
        async def ehlo_hook(self) -> None:
            await self.push("250-X-HOOK")

    with pytest.warns(DeprecationWarning):
        converse(
            lambda: Hook(Sink(), hostname="mx.example"),
            "S: 220 ...\nC: EHLO x\nS: 250-mx.example\nS: ...\nS: 250-X-HOOK\nS: 250 HELP",
        )


# -- TLS and AUTH ---------------------------------------------------------------------------------

PLAIN = "C: AUTH PLAIN AHUAcA==\n"


def test_m_04_an_async_authenticator_is_awaited() -> None:
    async def refuse(*_: Any) -> AuthResult:
        return AuthResult(success=False)

    async def nonsense(*_: Any) -> Any:
        return True

    play(GREETED + PLAIN + "S: 535 ...", authenticator=refuse, auth_require_tls=False)
    play(GREETED + PLAIN + "S: 451 ...", authenticator=nonsense, auth_require_tls=False)


@pytest.mark.parametrize(
    ("returned", "code"),
    [
        (None, 535),
        (False, 535),
        ("somebody", 235),
        (AuthResult(success=True), 235),
        (AuthResult(success=False), 535),
    ],
)
def test_m_04_a_mechanism_may_return_what_it_could(returned: object, code: int) -> None:
    class Own:
        async def auth_OWN(self, server: SMTP, args: list[str]) -> object:
            return returned

    play(GREETED + f"C: AUTH OWN\nS: {code} ...", Own(), auth_require_tls=False)


def test_m_04_a_failure_is_answered_once() -> None:
    def refuse(*_: Any) -> AuthResult:
        return AuthResult(success=False, handled=True)

    play(
        GREETED + PLAIN + "S: 535 ...\nC: NOOP\nS: 250 OK",
        authenticator=refuse,
        auth_require_tls=False,
    )


def test_m_05_names_have_no_case_and_responses_may_be_long() -> None:
    def long_password(*args: Any) -> AuthResult:
        credentials = args[-1]
        assert isinstance(credentials, LoginPassword)
        return AuthResult(success=len(credentials.password) == 8000, handled=False)

    async def main() -> None:
        protocol = SMTP(Sink(), authenticator=long_password, auth_require_tls=False)
        async with Conversation(protocol) as client:
            assert "AUTH LOGIN PLAIN" in (await client.hello()).lines
            assert (await client.send("AUTH plain =")).code == 501
            await client.send("MAIL FROM:<a@b>")
            assert (await client.login("u", "p")).code == 503
            await client.send("RSET")
            assert (await client.login("u", "p" * 8000)).code == 235

    asyncio.run(main())
    play(
        GREETED + "C: AUTH LOGIN\nS: 504 ...",
        authenticator=allow,
        auth_require_tls=False,
        auth_exclude_mechanism=["login"],
    )


def test_m_06_implicit_tls_is_known(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    with (
        Controller(
            Sink(),
            "localhost",
            0,
            ssl_context=server_context,
            tls_context=server_context,
            require_starttls=True,
            authenticator=allow,
        ) as controller,
        smtplib.SMTP_SSL("localhost", controller.port, context=client_context) as client,
    ):
        client.ehlo()
        assert not client.has_extn("starttls")
        assert client.login("u", "p")[0] == 235
        assert client.mail("a@b")[0] == 250


def test_m_07_auth_is_offered_if_it_could_succeed() -> None:
    class Attributes:
        auth_data = "no mechanism"

        async def auth_X__Y(self, server: SMTP, args: list[str]) -> AuthResult:
            return AuthResult(success=True)

    async def offered(**parameters: Any) -> list[str]:
        async with Conversation(SMTP(auth_require_tls=False, **parameters)) as client:
            lines = (await client.hello()).lines
        return [line for line in lines if line.startswith("AUTH")]

    assert asyncio.run(offered(handler=Sink())) == []
    assert asyncio.run(offered(handler=Attributes())) == ["AUTH X-Y"]
    both = asyncio.run(offered(handler=Attributes(), authenticator=allow))
    assert both == ["AUTH LOGIN PLAIN X-Y"]


def test_m_51_failures_of_auth_are_limited() -> None:
    tried = "C: AUTH PLAIN AGEAYg==\nS: 535 5.7.8 ...\n"
    last = "C: AUTH PLAIN AGEAYg==\nS: 421 4.7.0 ...\n[closed]\n"

    def refuse(*_: Any) -> AuthResult:
        return AuthResult(success=False, handled=False)

    play(GREETED + tried * 9 + last, authenticator=refuse, auth_require_tls=False)
    limits: dict[str, Any] = {"authenticator": refuse, "auth_require_tls": False}
    play(GREETED + tried * 9 + last, **limits)
    play(GREETED + tried + last, auth_failure_limit=2, **limits)
    play(GREETED + tried * 12, auth_failure_limit=None, **limits)


class Remembers:
    async def handle_EHLO(
        self, server: SMTP, session: Any, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        session.greetings = getattr(session, "greetings", 0) + 1
        return responses

    async def handle_NOOP(
        self, server: SMTP, session: Any, envelope: Envelope, arg: str | None
    ) -> str:
        return f"250 {session.greetings} {session.host_name}"


def test_m_08_starttls_comes_once_and_the_session_stays(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    with (
        Controller(Remembers(), "localhost", 0, tls_context=server_context) as controller,
        smtplib.SMTP("localhost", controller.port) as client,
    ):
        client.ehlo("before")
        client.starttls(context=client_context)
        assert client.noop() == (250, b"1 None")
        client.ehlo("after")
        assert client.noop() == (250, b"2 after")
        assert client.docmd("STARTTLS")[0] == 503


@pytest.mark.parametrize("fails", [False, True])
def test_m_21_a_handshake_that_a_coroutine_refuses(
    fails: bool, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    async def refuse(*_: Any) -> bool:
        if fails:
            raise LookupError
        return False

    handler = Sink()
    handler.handle_STARTTLS = refuse  # type: ignore[attr-defined]
    with (
        Controller(handler, "localhost", 0, tls_context=server_context) as controller,
        smtplib.SMTP("localhost", controller.port) as client,
    ):
        client.starttls(context=client_context)
        assert client.ehlo()[0] == 554
        assert client.mail("a@b") == (554, b"Command refused due to lack of security")
        assert client.quit()[0] == 221


@pytest.mark.parametrize(("accepts", "code"), [(True, 250), (False, 554)])
def test_m_45_the_hook_of_1_0_is_called(
    accepts: bool, code: int, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    class Old:
        def handle_tls_handshake(self, session: Session) -> bool:
            return accepts

    with (
        pytest.warns(DeprecationWarning, match="handle_tls_handshake"),
        Controller(Old(), "localhost", 0, tls_context=server_context) as controller,
        smtplib.SMTP("localhost", controller.port) as client,
    ):
        client.starttls(context=client_context)
        assert client.ehlo()[0] == code


# -- what is deprecated still works -----------------------------------------------------------------


def test_what_is_deprecated_warns_and_works() -> None:
    class Old:
        def process_message(self, peer: Any, sender: str, to: list[str], data: bytes) -> str:
            return f"250 {sender} {to} {data!r}"

    with pytest.warns(DeprecationWarning, match="process_message"):
        play(
            TO_DATA + "C: hello\nC: .\nS: 250 anne@example.com ['bart@example.com'] b'hello\\r\\n'",
            Old(),
        )
    with pytest.warns(DeprecationWarning, match="auth_callback"):
        SMTP(Sink(), auth_callback=lambda *_: True)
    with pytest.warns(DeprecationWarning, match="server_kwargs"):
        Controller(Sink(), "127.0.0.1", 0, server_kwargs={"ident": "x"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        session = Session(asyncio.new_event_loop())
    with pytest.warns(DeprecationWarning, match="login_data"):
        assert session.login_data is None
    session.loop.close()


def test_the_guide_names_its_logger() -> None:
    stream = io.StringIO()
    logger, output = logging.getLogger("mail.log"), logging.StreamHandler(stream)
    logger.addHandler(output)
    try:
        play("S: 220 ...\nC: NOOP\nS: 451 ...", Raises())
    finally:
        logger.removeHandler(output)
    assert "ValueError: secret" in stream.getvalue()
