"""The microbenchmark of the engine: what it measures is a message that was read."""

from __future__ import annotations

import pytest
from bench.engine import Case, cases, measure, render, run_message

from aiosmtpd.protocol import Connection, Mode


@pytest.mark.parametrize("case", [case for case in cases() if case.per <= 20_000], ids=str)
def test_message_is_read(case: Case) -> None:
    """Each case ends where the next message may begin, and every command was answered."""
    connection = Connection()
    recipients = case.commands.count(b"RCPT")
    expected = len(b"250 OK\r\n") * (recipients + 2)
    expected += len(b"354 End data with <CR><LF>.<CR><LF>\r\n")
    for _ in range(2):
        assert run_message(connection, case) <= expected
        assert connection.mode is Mode.COMMAND
        assert len(connection.buffer) == 0


def test_table() -> None:
    """Time is shown a message, and an octet or recipient."""
    case = cases()[0]
    assert measure(case, seconds=0.01) > 0
    text = render([(case, 0.002)])
    assert "500" in text
    assert "2,000.0" in text
    assert f"{0.002 / case.per * 1e9:,.2f}" in text
