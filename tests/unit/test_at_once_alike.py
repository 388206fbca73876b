"""Whether a command is answered as it is received, or by the task: nobody can tell the difference.

Each conversation is had twice, with a server as it is and with one whose ``push`` is overridden to do
nothing of its own, so that all goes to the task. The client must hear the same at the same points, hooks
must be called alike and see the same, and the state must end alike.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from aiosmtpd.extensions import DEFAULT, Dsn, Extension, Limits, Prdr
from aiosmtpd.lmtp import LMTP
from aiosmtpd.protocol import Mode
from aiosmtpd.session import Envelope, Session
from aiosmtpd.smtp import SMTP

if TYPE_CHECKING:
    from tests.unit.conftest import Connect, Wire

# -- the two servers ------------------------------------------------------------------------------


class _Watched(SMTP):
    """Notes how transactions end."""

    recipient_limit = 4

    def _set_post_data_state(self) -> None:
        self.event_handler.trace.append("after DATA")
        super()._set_post_data_state()

    def _set_rset_state(self) -> None:
        self.event_handler.trace.append("reset")
        super()._set_rset_state()


class _Closed(_Watched):
    async def push(self, status: str | bytes) -> None:
        await super().push(status)


class _WatchedLMTP(_Watched, LMTP):
    pass


class _ClosedLMTP(_Closed, LMTP):
    pass


SERVERS: dict[type[SMTP], tuple[type[SMTP], type[SMTP]]] = {
    SMTP: (_Watched, _Closed),
    LMTP: (_WatchedLMTP, _ClosedLMTP),
}


class _Judging(Extension):
    """Refuses, or fails, where a name says so."""

    name = "JUDGING"
    mail_parameters = frozenset({"XJUDGE"})
    checks = frozenset({"MAIL", "RCPT", "DATA"})

    def parse_mail(self, server: Any, keyword: str, value: str | None) -> str:
        if value is None:
            raise ValueError("boo")
        return value

    def check(
        self, server: Any, verb: str, address: str | None, parameters: Mapping[str, Any]
    ) -> None:
        addresses = [address or "", *server.envelope.rcpt_tos]
        if any("fails" in name for name in addresses):
            raise LookupError(verb)
        if any("falsy" in name for name in addresses):
            raise _Falsy
        if verb == "DATA" and any("two" in name for name in addresses):
            raise ConnectionResetError


# -- handlers -------------------------------------------------------------------------------------


class _Falsy(Exception):
    def __bool__(self) -> bool:
        return False


async def _cancelled() -> str:
    waiter = asyncio.get_running_loop().create_future()
    waiter.cancel()
    await waiter
    raise AssertionError


async def _later(reply: str) -> str:
    await asyncio.sleep(0)
    return reply


async def _outcome(kind: str, envelope: Envelope) -> Any:
    match kind:
        case "fails":
            raise ValueError("boo")
        case "falsy":
            raise _Falsy
        case "cancelled":
            return await _cancelled()
        case "hangs up":
            raise ConnectionResetError
        case "list":
            return [f"250 {name}" for name in envelope.rcpt_tos[1:]] + ["450 Busy"]
        case "later":
            return await _later("250 Later")
        case "silent":
            return None
    return kind


def _seen(thing: Envelope | Session) -> str:
    return repr({k: v for k, v in sorted(vars(thing).items()) if k != "loop" and k[0] != "_"})


def _handler(shape: dict[str, str | None]) -> Any:
    """Make a handler with these hooks, each with what comes of it; None stands for a hook None."""
    handler = SimpleNamespace(trace=[])

    def hook(name: str, kind: str) -> Callable[..., Any]:
        async def call(server: SMTP, session: Session, envelope: Envelope, *args: Any) -> Any:
            handler.trace.append((name, _seen(session), _seen(envelope), repr(args)))
            if name == "MAIL":
                envelope.mail_from = args[0]
            elif name == "RCPT":
                envelope.rcpt_tos.append(args[0])
            return await _outcome(kind, envelope)

        return call

    async def read(*given: Any) -> Any:
        body: AsyncIterator[bytes] = given[-1]
        octets = b"".join([piece async for piece in body])
        return await hook("BODY", shape["BODY"] or "")(*given[:-1], octets)

    for name, kind in shape.items():
        found = None if kind is None else read if name == "BODY" else hook(name, kind)
        setattr(handler, f"handle_{name}", found)
    return handler


# -- conversations --------------------------------------------------------------------------------

GREETINGS = st.sampled_from(
    [b"EHLO client.example\r\n", b"LHLO client.example\r\n", b"HELO client.example\r\n", b""]
)
MAILS = st.sampled_from(
    [
        b"MAIL FROM:<anne@example.com>\r\n",
        b"MAIL FROM:<anne@example.com>\r\n",
        b"mail from:<> SIZE=10 BODY=8BITMIME\r\n",
        b"MAIL FROM: anne@example.com\n",
        b"MAIL FROM:<anne@example.com> PRDR RET=FULL\r\n",
        b"MAIL FROM:<anne@example.com> SMTPUTF8 XJUDGE=Mild\r\n",
        "MAIL FROM:<änne@example.com> SMTPUTF8\r\n".encode(),
        b"MAIL FROM:<anne@example.com> SIZE=1000000\r\n",
        b"MAIL FROM:<anne@example.com> XJUDGE\r\n",
        b"MAIL FROM:<fails@example.com>\r\n",
        b"MAIL FROM:<anne@example.com> NONSENSE\r\n",
        b"MAIL FROM:<anne@example.com\r\n",
        b"MAIL\r\n",
        b"MAIL FROM:<" + b"a" * 600 + b"@example.com>\r\n",
    ]
)
RCPTS = st.sampled_from(
    [
        b"RCPT TO:<bart@example.com>\r\n",
        b"RCPT TO:<bart@example.com>\r\n",
        b"RCPT TO:<Cate@Example.org> NOTIFY=NEVER\r\n",
        b"rcpt to: dave@example.net \r\n",
        b"RCPT TO:<two@example.com>\r\n",
        b"RCPT TO:<>\r\n",
        b"RCPT TO:<fails@example.com>\r\n",
        b"RCPT TO:<falsy@example.com>\r\n",
        b"RCPT TO:<bart@example.com> NONSENSE=1\r\n",
        b"RCPT FROM:<bart@example.com>\r\n",
    ]
)
DATAS = st.sampled_from(
    [b"DATA\r\n", b"DATA\r\n", b"data\n", b"DATA now\r\n", b"BDAT 4 LAST\r\nabcd", b"BDAT 2\r\nab"]
)
BODIES = st.sampled_from(
    [
        b"Subject: x\r\n\r\ntext\r\n.\r\n",
        b"..\r\n...\r\n.x\r\n.\r\n",
        b".\r\n",
        b"\xe4\r\n.\r\n",
        b"long\r\n" * 30 + b".\r\n",
        b"l" * 60 + b"\r\n.\r\n",
        b"bare\n.\nlines\r\n.\r\n",
        b"no end\r\n.",
    ]
)
OTHERS = st.sampled_from(
    [
        b"NOOP\r\n",
        b"RSET\r\n",
        b"QUIT\r\n",
        b"FOO\r\n",
        b"\r\n",
        b"\xff\r\n",
        b"VRFY x\r\n",
        b".\r\n",
    ]
)
ANY = MAILS | RCPTS | DATAS | BODIES | OTHERS
STRAY = st.just(b"") | st.just(b"") | st.just(b"") | ANY


@st.composite
def _octets(draw: st.DrawFn) -> bytes:
    parts = [draw(GREETINGS)]
    for _ in range(draw(st.integers(1, 3))):
        parts += [draw(MAILS), draw(STRAY), *draw(st.lists(RCPTS, min_size=1, max_size=5))]
        parts += [draw(STRAY), draw(DATAS), draw(BODIES), draw(STRAY)]
    return b"".join(parts)


@st.composite
def _pieces(draw: st.DrawFn) -> list[tuple[bytes, bool]]:
    """Draw what is received, and after which of it the client waits."""
    octets = draw(_octets())
    ends = [at + 1 for at, octet in enumerate(octets) if octet == 10]
    if draw(st.booleans()):  # line by line
        places = ends
    else:
        anywhere = st.integers(0, len(octets)) | st.sampled_from(ends)
        places = sorted(draw(st.sets(anywhere, max_size=8)))
    return [
        (octets[start:end], draw(st.integers(0, 3)) > 0)
        for start, end in zip([0, *places], [*places, len(octets)], strict=True)
    ]


KINDS = st.sampled_from(
    [
        "250 Yes",
        "250 Yes",
        "550 No",
        "fails",
        "falsy",
        "cancelled",
        "hangs up",
        "list",
        "later",
        "silent",
        None,
    ]
)
SHAPES = st.one_of(
    st.fixed_dictionaries({"DATA": st.just("250 Yes")}),
    st.fixed_dictionaries({}, optional={"DATA": KINDS, "RSET": st.just("250 Yes")}),
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("MAIL", "RCPT", "DATA", "BODY", "exception"), KINDS)
    ),
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "data_size_limit": st.just(100),
        "enable_SMTPUTF8": st.booleans(),
        "decode_data": st.booleans(),
        "extensions": st.just((*DEFAULT, Dsn(), Prdr(), Limits(), _Judging())),
        "command_call_limit": st.just(3),
        "sender_policy": st.just(lambda *given: given[-1] != "<>"),
    },
)
ENDS = st.sampled_from(["stay", "half-close", "vanish", "shut down"])


def _end(wire: Wire, end: str) -> None:
    """End a conversation in one of these ways."""
    match end:
        case "half-close":
            wire.half_close()
        case "vanish":
            wire.vanish()
        case "shut down":
            wire.server.shut_down()
        case "silence":
            wire.wait(61)
    wire.settle()


def _had(
    connect: Connect,
    cls: type[SMTP],
    shape: dict[str, str | None],
    options: dict[str, Any],
    pieces: list[tuple[bytes, bool]],
    end: str,
) -> Any:
    """Have a conversation; give all that can be known of it."""
    handler = _handler(shape)
    wire = connect(handler, cls=cls, **options)
    wire.server.line_length_limit = 50
    heard = [wire.greeting]
    for piece, waits in pieces:
        wire.loop.call_soon(wire.transport.feed, piece)
        if waits:
            wire.settle()
            heard.append(wire.heard())
    wire.settle()
    _end(wire, end)
    heard.append(wire.heard())
    state = (wire.open, wire.over, _seen(wire.server.session), _seen(wire.server.envelope))
    return heard, handler.trace, state


@pytest.mark.parametrize("cls", [SMTP, LMTP])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=SHAPES, options=OPTIONS, pieces=_pieces(), end=ENDS)
@example(
    shape={"DATA": "250 Yes"},
    options={"data_size_limit": 100},
    pieces=[
        (b"EHLO c\r\nLHLO c\r\nMAIL FROM:<a@example.com>\r\n", True),
        (b"RCPT TO:<b@example.com>\r\nRCPT TO:<c@example.com>\r\nDATA\r\n", True),
        (b"long\r\n" * 30, True),
        (b".\r\nNOOP\r\n", False),
    ],
    end="stay",
)
def test_nobody_can_tell(
    connect: Connect,
    cls: type[SMTP],
    shape: dict[str, str | None],
    options: dict[str, Any],
    pieces: list[tuple[bytes, bool]],
    end: str,
) -> None:
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)
    ways = [_had(connect, server, shape, options, pieces, end) for server in SERVERS[cls]]
    assert ways[0] == ways[1]


# -- groups of commands ---------------------------------------------------------------------------


def _both(connect: Connect, handler: Callable[[], Any], **arguments: Any) -> Iterator[Wire]:
    """Connect to the one server and, when the client is done with it, to the other."""
    for cls in SERVERS[SMTP]:
        yield connect(handler(), cls=cls, **arguments)


@pytest.mark.parametrize("fault", [b"RCPT TO:<\r\n", b"\xff\r\n", b"NOOP\r\n", b"FOO\r\n", b""])
def test_ten_thousand_recipients_in_one_go(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, fault: bytes
) -> None:
    monkeypatch.setattr(_Watched, "recipient_limit", 9000)
    rcpts = b"".join(b"RCPT TO:<r%d@example.com>\r\n" % number for number in range(5000))
    heard = []
    for wire in _both(connect, lambda: _handler({"DATA": "250 Yes"})):
        wire.ehlo()
        wire.send(b"MAIL FROM:<>\r\n" + rcpts + fault + rcpts + b"DATA\r\nx\r\n.\r\nQUIT\r\n")
        heard.append(wire.heard())
    assert heard[0] == heard[1]
    assert heard[0].count("250 OK") == 9001 + (fault == b"NOOP\r\n")
    assert heard[0][-3:] == [
        "354 End data with <CR><LF>.<CR><LF>",
        "250 Yes",
        "221 Bye",
    ]


@pytest.mark.parametrize("end", ["half-close", "vanish", "shut down", "silence"])
def test_an_end_at_every_point(connect: Connect, end: str) -> None:
    whole = (
        b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nhi\r\n.\r\nMAIL FROM:<x>\r\n"
    )
    for at in sorted({0, 4, *range(6, len(whole), 5), *range(54, 66)}):
        ways = []
        for wire in _both(connect, lambda: _handler({"DATA": "later"}), timeout=60):
            if at:
                wire.send(whole[:at])
            in_body = wire.server._connection.mode is Mode.BODY
            _end(wire, end)
            if end == "shut down" and in_body:  # it is finished first
                assert wire.open
                wire.send(whole[at:])
            assert wire.over
            ways.append((wire.heard(), wire.server.event_handler.trace))
        assert ways[0] == ways[1], at
        goodbye = ways[0][0][-1:] == ["421 4.3.2 Server shutting down"]
        assert goodbye == (end == "shut down")
