"""However the octets of a client are cut, and whatever it says: the same replies, in the same order."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, AuthResult

if TYPE_CHECKING:
    from tests.unit.conftest import Connect

LINES = st.sampled_from(
    [
        b"EHLO client.example",
        b"HELO client.example",
        b"LHLO client.example",
        b"MAIL FROM:<a@example.com>",
        b"MAIL FROM:<> SIZE=10",
        b"MAIL FROM:<",
        b"RCPT TO:<b@example.com>",
        b"RCPT TO:<c@example.com>",
        b"RCPT TO:<>",
        b"DATA",
        b"DATA",
        b".",
        b".",
        b"..",
        b".NOOP",
        b"text",
        b"x" * 700,
        b"y" * 1200,
        b"",
        b"\xff",
        b"NOOP",
        b"RSET",
        b"VRFY x",
        b"AUTH PLAIN",
        b"AUTH LOGIN",
        b"AUTH PLAIN AGEAYg==",
        b"AGEAYg==",
        b"*",
        b"FOO",
        b"STARTTLS",
        b"QUIT",
    ]
)
TRANSACTION = st.just(
    [b"MAIL FROM:<a@example.com>", b"RCPT TO:<b@example.com>", b"RCPT TO:<c@example.com>", b"DATA"]
)
ENDS = st.sampled_from([b"\r\n"] * 8 + [b"\n", b"\r"])


@st.composite
def _conversations(draw: st.DrawFn) -> bytes:
    groups = draw(st.lists(TRANSACTION | st.lists(LINES, max_size=5), max_size=6))
    return b"".join(line + draw(ENDS) for group in groups for line in group)


class Plain:
    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        return f"250 {len(envelope.content)}"


class Streaming:
    async def handle_BODY(
        self, server: Any, session: Any, envelope: Any, body: AsyncIterator[bytes]
    ) -> str:
        size = 0
        async for chunk in body:
            size += len(chunk)
        return f"250 {size}"


class Impatient:
    async def handle_BODY(
        self, server: Any, session: Any, envelope: Any, body: AsyncIterator[bytes]
    ) -> str:
        return "250 enough"


class Failing:
    async def handle_BODY(self, *_: Any) -> str:
        raise ValueError("boo")

    async def handle_VRFY(self, *_: Any) -> str:
        raise ValueError("boo")


def said(connect: Connect, pieces: list[bytes], handler: Any, cls: type[SMTP]) -> list[str]:
    wire = connect(
        handler,
        cls=cls,
        auth_require_tls=False,
        authenticator=lambda *_: AuthResult(success=False, handled=False),
        data_size_limit=1100,
    )
    greeting = wire.say(f"{'LHLO' if cls is LMTP else 'EHLO'} client.example")
    assert greeting[-1] == "250 HELP"
    for piece in pieces:
        wire.send(piece)
    wire.half_close()
    assert wire.over
    return wire.heard()


@pytest.mark.parametrize("handler", [Plain(), Streaming(), Impatient(), Failing()])
@pytest.mark.parametrize("cls", [SMTP, LMTP])
@settings(
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(octets=_conversations(), data=st.data())
def test_how_octets_are_cut_changes_nothing(
    connect: Connect, handler: Any, cls: type[SMTP], octets: bytes, data: st.DataObject
) -> None:
    whole = said(connect, [octets], handler, cls)
    places = sorted(data.draw(st.sets(st.integers(0, len(octets)), max_size=12)))
    pieces = [octets[a:b] for a, b in itertools.pairwise([0, *places, len(octets)])]
    assert whole == said(connect, pieces, handler, cls)
    # Every reply is one of SMTP.
    for line in whole:
        assert line[:3].isdigit()
        assert line[3:4] in (" ", "-", "")
