"""ETRN (RFC 1985): a queue that a client asks to be started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.conversations import GREETED, play

from aiosmtpd.extensions import BUILT_IN, DEFAULT, Etrn
from aiosmtpd.lmtp import LMTP

if TYPE_CHECKING:
    from tests.unit.conftest import Connect

ON: dict[str, Any] = {"extensions": (*DEFAULT, Etrn())}
SYNTAX = "501 5.5.4 Syntax: ETRN [@]node | #queue"


class Queues:
    """Answers as told, or with the node."""

    def __init__(self, reply: Any = "") -> None:
        self.reply = reply
        self.nodes: list[str] = []

    async def handle_ETRN(self, server: Any, session: Any, envelope: Any, node: str) -> Any:
        assert envelope.mail_from is None
        self.nodes.append(node)
        return f"250 OK, queuing for node {node} started" if self.reply == "" else self.reply


def test_it_can_be_asked_for_by_name() -> None:
    assert BUILT_IN["ETRN"] is Etrn


@pytest.mark.parametrize(("handler", "offered"), [(Queues(), True), (None, False)])
def test_it_is_offered_where_there_is_a_queue(
    connect: Connect, handler: Any, offered: bool
) -> None:
    assert ("ETRN" in connect(handler, **ON).ehlo()) is offered
    assert "ETRN" not in connect(handler).ehlo()


def test_without_a_hook(connect: Connect) -> None:
    assert connect(**ON).say("ETRN b.example", "ETRN") == ["502 5.5.1 ETRN not implemented"] * 2
    assert connect(Queues()).say("ETRN b.example") == ['500 Error: command "ETRN" not recognized']


NODES = [
    "b.example",
    "B.Example",
    "localhost",
    "@b.example",
    "@example",
    "#queue",
    "#some@queue/1",
    "[192.0.2.1]",
    "[IPv6:2001:db8::1]",
]


@pytest.mark.parametrize("node", NODES)
def test_nodes(node: str) -> None:
    handlers = play(
        f"""{GREETED}
        C: etrn {node}
        S: 250 OK, queuing for node {node} started
        """,
        Queues,
        **ON,
    )
    assert all(handler.nodes == [node] for handler in handlers)


@pytest.mark.parametrize(
    "argument",
    [
        "",
        " ",
        " @",
        " #",
        " @@b.example",
        " @#queue",
        " #two words",
        " b.example c.example",
        " b..example",
        " -b.example",
        " @[192.0.2.1]",
        " [192.0.2.256]",
        " <b.example>",
        " a@b.example",
        " !b.example",
    ],
)
def test_what_is_no_node(argument: str) -> None:
    play(f"{GREETED}\nC: ETRN{argument}\nS: {SYNTAX}", Queues, **ON)


@pytest.mark.parametrize(
    "reply",
    [
        "250 OK, queuing for node b.example started",
        "251 OK, no messages waiting for node b.example",
        "252 OK, pending messages for node b.example started",
        "253 OK, 7 pending messages for node b.example started",
        "458 Unable to queue messages for node b.example",
        "459 Node b.example not allowed: not yours",
        "500 no",
    ],
)
def test_replies_of_the_hook(reply: str) -> None:
    play(f"{GREETED}\nC: ETRN b.example\nS: {reply}", lambda: Queues(reply), **ON)


def test_a_hook_that_says_nothing(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    wire = connect(Queues(None), **ON)
    wire.ehlo()
    assert wire.say("ETRN b.example") == ["250 OK, queuing for node b.example started"]
    assert "handle_ETRN returned no reply" in caplog.text


def test_when_it_may_come() -> None:
    busy = "503 5.5.1 Error: ETRN not allowed during a mail transaction"
    play(
        f"""
        C: ETRN b.example
        S: 503 Error: send EHLO first
        C: HELO c.example
        S: 250 mx.example
        C: ETRN b.example
        S: 250 OK, queuing for node b.example started
        C: MAIL FROM:<a@b>
        S: 250 OK
        C: ETRN b.example
        S: {busy}
        C: RCPT TO:<c@d>
        S: 250 OK
        C: ETRN
        S: {busy}
        C: RSET
        S: 250 OK
        C: ETRN c.example
        S: 250 OK, queuing for node c.example started
        """,
        Queues,
        **ON,
    )


def test_before_auth_where_it_is_required() -> None:
    play(
        f"{GREETED}\nC: ETRN b.example\nS: 530 5.7.0 Authentication required",
        Queues,
        tls=True,
        auth_required=True,
        **ON,
    )


def test_on_lmtp() -> None:
    play("C: ETRN b.example\nS: 503 Error: send LHLO first", Queues, cls=LMTP, **ON)


def test_a_node_that_is_not_ascii(connect: Connect) -> None:
    handler = Queues("250 OK")
    wire = connect(handler, enable_SMTPUTF8=True, **ON)
    wire.ehlo()
    assert wire.say("ETRN exämple", "ETRN #schlänge") == ["250 OK"] * 2
    assert wire.say(b"ETRN #\xff") == [SYNTAX]
    assert handler.nodes == ["exämple", "#schlänge"]


def test_help(connect: Connect) -> None:
    assert connect(**ON).say("HELP ETRN") == ["250 Syntax: ETRN [@]node | #queue"]
