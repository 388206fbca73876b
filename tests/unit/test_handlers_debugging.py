"""Debugging and Sink: what is printed, and how the command line makes them."""

from __future__ import annotations

import argparse
import asyncio
import io
import sys
from typing import Any

import pytest

from aiosmtpd.handlers import Debugging, Sink
from aiosmtpd.session import Envelope, Session

SERVER: Any = None
BEGIN = "---------- MESSAGE FOLLOWS ----------\n"
END = "------------ END MESSAGE ------------\n"
PEER = "X-Peer: ('127.0.0.1', 123)\n"


async def debug(stream: Any, content: bytes | str, **attributes: Any) -> str:
    session = Session(asyncio.get_running_loop())
    session.peer = attributes.pop("peer", ("127.0.0.1", 123))
    envelope = Envelope()
    envelope.content = content
    for name, value in attributes.items():
        setattr(envelope, name, value)
    return await Debugging(stream).handle_DATA(SERVER, session, envelope)


def printed(content: bytes | str, **attributes: Any) -> str:
    stream = io.StringIO()
    assert asyncio.run(debug(stream, content, **attributes)) == "250 OK"
    text = stream.getvalue()
    assert text.startswith(BEGIN)
    assert text.endswith(END)
    return text.removeprefix(BEGIN).removesuffix(END)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"Subject: x\r\n\r\nhi\r\n", "Subject: x\n" + PEER + "\nhi\n"),
        ("Subject: x\r\n\r\nhi\r\n", "Subject: x\n" + PEER + "\nhi\n"),
        (b"Subject: x\n\nhi\n\n", "Subject: x\n" + PEER + "\nhi\n\n"),
        (b"Subject: x\n\nhi", "Subject: x\n" + PEER + "\nhi\n"),
        (b"A: b\r\n c\r\n\r\n.x\r\n..\r\n", "A: b\n c\n" + PEER + "\n.x\n..\n"),
        (b"A: b\r\n\r\n\r\n\r\n", "A: b\n" + PEER + "\n\n\n"),
        (b"A: b\r\n\r\nc\rd\x0be\x0cf\r\n", "A: b\n" + PEER + "\nc\nd\x0be\x0cf\n"),
        (b"\r\nbody only\r\n", PEER + "\nbody only\n"),
        (b"\r\n", PEER + "\n"),
        (b"no header section", "no header section\n"),
        (b"A: b\r\nC: d", "A: b\nC: d\n"),
        (b"", ""),
        (b"A: \xc3\xa9\r\n\r\n\xc3\xa9\xe2\x80\xa8\x1c", "A: é\n" + PEER + "\né\u2028\x1c\n"),
        ("A: é\r\n\r\né\u2028\r\n", "A: é\n" + PEER + "\né\u2028\n"),
        (b"A: b\r\n\r\n\xe9\xff\r\n", "A: b\n" + PEER + "\n\ufffd\ufffd\n"),
        (b"A: b\r\nX-Peer: forged\r\n\r\n", "A: b\nX-Peer: forged\n" + PEER + "\n"),
    ],
)
def test_a_message_is_printed_with_the_peer(content: bytes | str, expected: str) -> None:
    assert printed(content) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"mail_options": ["SIZE=10", "BODY=8BITMIME"]},
            "mail options: ['SIZE=10', 'BODY=8BITMIME']\n\n",
        ),
        ({"rcpt_options": ["NOTIFY=NEVER"]}, "rcpt options: ['NOTIFY=NEVER']\n\n"),
        (
            {"mail_options": ["SMTPUTF8"], "rcpt_options": ["A", "B=1"]},
            "mail options: ['SMTPUTF8']\nrcpt options: ['A', 'B=1']\n\n",
        ),
        ({"smtp_utf8": True}, ""),
    ],
)
def test_parameters_are_printed_ahead_of_the_message(
    options: dict[str, Any], expected: str
) -> None:
    assert printed(b"A: b\r\n\r\nc\r\n", **options) == expected + "A: b\n" + PEER + "\nc\n"


@pytest.mark.parametrize("peer", [("::1", 1, 0, 0), "", "/run/client", b"/run/client", None])
def test_the_peer_is_printed_as_python_shows_it(peer: Any) -> None:
    assert printed(b"A: b\r\n\r\nc\r\n", peer=peer) == f"A: b\nX-Peer: {peer!r}\n\nc\n"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_octets_that_the_stream_cannot_show_are_printed_as_they_came(encoding: str) -> None:
    octets = io.BytesIO()
    stream = io.TextIOWrapper(octets, encoding=encoding, newline="\n")
    content = b"A: \xc3\xa9\n\n\xe9\xff\x00 latin\n"
    assert asyncio.run(debug(stream, content)) == "250 OK"
    stream.flush()
    shown = b"A: \xc3\xa9\n" + PEER.encode() + b"\n\xe9\xff\x00 latin\n"
    assert octets.getvalue() == BEGIN.encode() + shown + END.encode()


def test_the_way_a_message_is_printed_can_be_overridden() -> None:
    class Short(Debugging):
        def _print_message_content(self, peer: Any, data: str | bytes) -> None:
            print(peer, len(data), file=self.stream)

    stream = io.StringIO()
    handler = Short(stream)
    session = Session(asyncio.new_event_loop())
    session.loop.close()
    session.peer = "p"
    envelope = Envelope()
    envelope.content = b"abc"
    asyncio.run(handler.handle_DATA(SERVER, session, envelope))
    assert stream.getvalue() == BEGIN + "p 3\n" + END


def test_a_stream_that_fails_fails_the_delivery() -> None:
    stream = io.StringIO()
    stream.close()
    with pytest.raises(ValueError, match="closed"):
        asyncio.run(debug(stream, b"A: b\r\n\r\n"))


def test_messages_go_to_standard_output_by_default() -> None:
    assert Debugging().stream is sys.stdout


@pytest.mark.parametrize(
    ("args", "stream"), [((), "stdout"), (("stdout",), "stdout"), (("stderr",), "stderr")]
)
def test_debugging_from_the_command_line(args: tuple[str, ...], stream: str) -> None:
    handler = Debugging.from_cli(argparse.ArgumentParser(), *args)
    assert type(handler) is Debugging
    assert handler.stream is getattr(sys, stream)


@pytest.mark.parametrize("args", [("STDOUT",), ("file",), ("stdout", "stderr")])
def test_debugging_takes_a_stream_by_name(
    args: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        Debugging.from_cli(argparse.ArgumentParser(), *args)
    assert capsys.readouterr().err.endswith("error: Debugging usage: [stdout|stderr]\n")


def test_sink_claims_no_hook() -> None:
    handler = Sink.from_cli(argparse.ArgumentParser())
    assert type(handler) is Sink
    assert not [name for name in dir(handler) if name.startswith(("handle_", "auth_"))]


def test_sink_takes_no_argument(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        Sink.from_cli(argparse.ArgumentParser(), "x")
    assert capsys.readouterr().err.endswith("error: Sink handler does not accept arguments\n")
