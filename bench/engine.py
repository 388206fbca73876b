"""The engine alone: octets in, events and replies out, no socket, no loop, no task.

``python -m bench.engine`` prints how many messages a second one core takes, and how the time grows with
the size of the body, the number of recipients, and the pieces in which the octets come. It must grow as
they do; ``tests/protocol/test_linear.py`` proves that by counting, and this shows what it costs.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from aiosmtpd.protocol import Body, BodyEnd, Command, Connection
from aiosmtpd.protocol.grammar import parse_forward_path, parse_reverse_path

from .client import make_body
from .report import render_table

__all__ = ["Case", "cases", "main", "measure", "run_message"]

_BODY_SIZES = (2_000, 20_000, 200_000, 2_000_000, 20_000_000)
_RECIPIENTS = (1, 10, 100, 1_000, 10_000)
_PIECES = (65_536, 1_460)


@dataclass(frozen=True)
class Case:
    """A message, and how it comes.

    Attributes:
        title: what it is.
        commands: MAIL, each RCPT, and DATA.
        body: the body and the line that ends it.
        piece: how many octets come at once.
        per: by what the time is divided to see whether it grows alike: octets or recipients.
        stream: whether the body is read as a stream.
    """

    title: str
    commands: bytes
    body: bytes
    piece: int
    per: int
    stream: bool = False


def cases() -> list[Case]:
    """Give the messages to measure: growing bodies, then growing lists of recipients."""
    found = []
    for piece in _PIECES:
        for stream in (False, True):
            for size in _BODY_SIZES:
                how = "streamed" if stream else "whole"
                title = f"body of {size:,} octets in pieces of {piece:,}, {how}"
                found.append(Case(title, _commands(1), make_body(size), piece, size, stream))
    for count in _RECIPIENTS:
        title = f"{count:,} recipients, body of 2,000 octets"
        found.append(Case(title, _commands(count), make_body(2_000), 65_536, count))
    return found


def _commands(recipients: int) -> bytes:
    rcpt = b"".join(b"RCPT TO:<user%d@example.com>\r\n" % at for at in range(recipients))
    return b"MAIL FROM:<sender@example.com>\r\n" + rcpt + b"DATA\r\n"


def run_message(connection: Connection, case: Case) -> int:
    """Send one message through the engine; give how many octets came out, to be sure that they did."""
    replies = 0
    for octets in (case.commands, case.body):
        for start in range(0, len(octets), case.piece):
            connection.receive_data(octets[start : start + case.piece])
            while (event := connection.next_event()) is not None:
                if isinstance(event, Command):
                    _obey(connection, event, stream=case.stream)
                elif isinstance(event, (Body, BodyEnd)):
                    replies += len(connection.send("250 OK"))
            replies += len(connection.flush())
    return replies


def _obey(connection: Connection, command: Command, *, stream: bool) -> None:
    if command.argument is None:
        connection.expect_body(size_limit=33_554_432, stream=stream)
        connection.send("354 End data with <CR><LF>.<CR><LF>")
        return
    _, _, path = command.argument.partition(":")
    if command.verb == "MAIL":
        parse_reverse_path(path)
    else:
        parse_forward_path(path)
    connection.send("250 OK")


def measure(case: Case, seconds: float = 0.3) -> float:
    """Give the seconds of processor time that a message takes, the best of three tries."""
    connection = Connection()
    count = 1
    while True:
        used = _time(connection, case, count)
        if used > seconds / 10:
            break
        count *= 4
    count = max(1, int(count * seconds / used / 3))
    return min(_time(connection, case, count) for _ in range(3)) / count


def _time(connection: Connection, case: Case, count: int) -> float:
    began = time.process_time()
    for _ in range(count):
        run_message(connection, case)
    return time.process_time() - began


def render(measured: Sequence[tuple[Case, float]]) -> str:
    """Write what was measured as a Markdown table."""
    lines = [
        [
            case.title,
            f"{1 / seconds:,.0f}",
            f"{seconds * 1e6:,.1f}",
            f"{seconds / case.per * 1e9:,.2f}",
        ]
        for case, seconds in measured
    ]
    header = ["the engine alone", "messages/s", "µs a message", "ns an octet or a recipient"]
    return "\n".join(render_table(header, lines))


def main() -> None:
    """Measure, and print."""
    print(render([(case, measure(case)) for case in cases()]))


if __name__ == "__main__":
    main()
