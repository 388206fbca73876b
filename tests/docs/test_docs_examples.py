"""The programs in ``examples/`` do what they say: each is started as a user starts it, and sent mail."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from mailbox import Maildir
from pathlib import Path

import pytest
import trustme

from aiosmtpd.controller import Controller
from aiosmtpd.proxy_protocol import V2_SIGNATURE
from aiosmtpd.session import Envelope, Session
from aiosmtpd.smtp import SMTP

EXAMPLES = Path(__file__).parents[2] / "examples"
MESSAGE = b"Subject: hello\r\n\r\nfirst\r\n.second\r\n"


class Program:
    """An example that runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.stdout = process.stdout
        ready = self.stdout.readline()
        assert ready.startswith("listening on "), (
            f"{ready}{process.stderr and process.stderr.read()}"
        )
        self.where = ready.removeprefix("listening on ").strip()

    @property
    def port(self) -> int:
        return int(self.where.removeprefix("port "))

    def stop(self) -> tuple[str, str]:
        """Press Ctrl-C; give what was printed since it listened."""
        self.process.send_signal(signal.SIGINT)
        output, errors = self.process.communicate(timeout=20)
        assert self.process.returncode == 0
        return output, errors


Start = Callable[..., Program]


@pytest.fixture
def start() -> Iterator[Start]:
    with contextlib.ExitStack() as stack:

        def run(name: str, *arguments: object) -> Program:
            # A job in the background ignores Ctrl-C, and so would what it starts; this must not.
            before = signal.signal(signal.SIGINT, signal.default_int_handler)
            process = subprocess.Popen(
                [sys.executable, "-W", "error", str(EXAMPLES / name), *map(str, arguments)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            signal.signal(signal.SIGINT, before)
            stack.enter_context(process)
            stack.callback(process.kill)
            return Program(process)

        yield run


@pytest.fixture
def certificate(authority: trustme.CA, tmp_path: Path) -> tuple[Path, Path]:
    issued = authority.issue_cert("localhost")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    return cert, key


def send(program: Program, *recipients: str, sender: str = "anne@example.com") -> None:
    with smtplib.SMTP("localhost", program.port) as client:
        client.sendmail(sender, recipients or ["bart@example.com"], MESSAGE)


def test_print_mail(start: Start) -> None:
    program = start("print_mail.py", 0)
    send(program)
    output, errors = program.stop()
    assert output.splitlines() == [
        "From anne@example.com to bart@example.com:",
        "Subject: hello",
        "",
        "first",
        ".second",
        "",
    ]
    assert errors == ""


def test_store_maildir(start: Start, tmp_path: Path) -> None:
    program = start("store_maildir.py", tmp_path / "Maildir", 0)
    send(program, "bart@example.com", "carl@EXAMPLE.ORG", "dora@example.net")
    with pytest.raises(smtplib.SMTPRecipientsRefused, match="we do not take mail"):
        send(program, "dora@example.net")
    assert program.stop() == ("", "")
    [stored] = (tmp_path / "Maildir" / "new").iterdir()
    content = stored.read_bytes()
    assert b"X-RcptTo: bart@example.com, carl@EXAMPLE.ORG\r\n" in content
    assert content.endswith(MESSAGE)


def test_starttls(
    start: Start, certificate: tuple[Path, Path], client_context: ssl.SSLContext
) -> None:
    program = start("starttls.py", *certificate, 0)
    with pytest.raises(smtplib.SMTPSenderRefused, match="STARTTLS"):
        send(program)
    with smtplib.SMTP("localhost", program.port) as client:
        client.starttls(context=client_context)
        client.sendmail("anne@example.com", ["bart@example.com"], MESSAGE)
    output, errors = program.stop()
    assert "Subject: hello" in output
    assert errors == ""


class Hop:
    """The next hop of a relay."""

    def __init__(self) -> None:
        self.received: list[Envelope] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.received.append(envelope)
        return "250 OK"


def test_authenticated_relay(
    start: Start, certificate: tuple[Path, Path], client_context: ssl.SSLContext
) -> None:
    hop = Hop()
    with Controller(hop, hostname="127.0.0.1", port=0) as controller:
        program = start("authenticated_relay.py", *certificate, "127.0.0.1", controller.port, 0)
        with smtplib.SMTP("localhost", program.port) as client:
            client.starttls(context=client_context)
            with pytest.raises(smtplib.SMTPSenderRefused, match="Authentication required"):
                client.sendmail("anne@example.com", ["bart@example.com"], MESSAGE)
            for name, password in (("anne", "wrong"), ("bart", "correct horse")):
                with pytest.raises(smtplib.SMTPAuthenticationError):
                    client.login(name, password)
            client.login("anne", "correct horse")
            with pytest.raises(smtplib.SMTPSenderRefused, match="sender address not allowed"):
                client.sendmail("carl@example.com", ["bart@example.com"], MESSAGE)
            client.sendmail("anne@example.com", ["bart@example.com"], MESSAGE)
        assert program.stop() == ("", "")
    [envelope] = hop.received
    assert envelope.rcpt_tos == ["bart@example.com"]
    assert isinstance(envelope.content, bytes)
    assert envelope.content.endswith(b"\r\n\r\nfirst\r\n.second\r\n")


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="it listens on a Unix socket")
def test_lmtp_delivery(start: Start, tmp_path: Path) -> None:
    mailboxes, path = tmp_path / "mailboxes", tmp_path / "lmtp.sock"
    mailboxes.mkdir()
    for user in ("bart", "full"):
        Maildir(mailboxes / user)
    (mailboxes / "full" / "tmp").rmdir()  # now nothing can be stored there
    program = start("lmtp_delivery.py", mailboxes, path)
    with smtplib.LMTP(str(path)) as client:
        client.ehlo("mx.example.com")
        assert client.mail("anne@example.com")[0] == 250
        assert client.rcpt("bart@example.com")[0] == 250
        assert client.rcpt("nobody@example.com") == (550, b"5.1.1 no such user")
        assert client.rcpt("full@example.com")[0] == 250
        assert client.data(MESSAGE) == (250, b"2.1.5 stored")
        assert client.getreply() == (452, b"4.2.2 the mailbox cannot be written to")
    assert program.stop() == ("", "")
    [stored] = (mailboxes / "bart" / "new").iterdir()
    assert stored.read_bytes() == MESSAGE


def test_streaming_to_disk(start: Start, tmp_path: Path) -> None:
    directory = tmp_path / "incoming"
    program = start("streaming_to_disk.py", directory, 0)
    with smtplib.SMTP("localhost", program.port) as client:
        client.ehlo()
        client.mail("anne@example.com")
        client.rcpt("bart@example.com")
        code, text = client.data(MESSAGE)
        assert code == 250
        name = text.decode().rpartition(" ")[2]
        # A client that vanishes inside a message leaves nothing.
        client.mail("anne@example.com")
        client.rcpt("bart@example.com")
        client.docmd("DATA")
        client.send(b"Subject: half of a mess")
        client.close()
    assert program.stop() == ("", "")
    assert [path.name for path in directory.iterdir()] == [name]
    assert (directory / name).read_bytes() == MESSAGE


def test_own_verb(start: Start) -> None:
    program = start("own_verb.py", 0)
    with smtplib.SMTP("localhost", program.port) as client:
        assert client.docmd("PING") == (250, b"pong 1")
        assert client.docmd("ping", "hello") == (250, b"pong 2 hello")
        assert b" PING " in client.docmd("HELP")[1]
        assert client.docmd("HELP", "PING") == (250, b"Syntax: PING [text]")
    with smtplib.SMTP("localhost", program.port) as client:
        assert client.docmd("PING") == (250, b"pong 1")
    assert program.stop() == ("", "")


def test_proxy_protocol(start: Start) -> None:
    header = b"PROXY TCP4 192.0.2.1 192.0.2.2 4321 25\r\n"
    program = start("proxy_protocol.py", "127.0.0.1", 0)
    with socket.create_connection(("127.0.0.1", program.port)) as sock:
        sock.sendall(header)
        client = smtplib.SMTP()
        client.sock = sock
        assert client.getreply()[0] == 220
        client.sendmail("anne@example.com", ["bart@example.com"], MESSAGE)
        client.quit()
    output, errors = program.stop()
    assert "X-Peer: ('192.0.2.1', 4321)" in output
    assert errors == ""


def test_proxy_protocol_knows_a_health_check(start: Start) -> None:
    addresses = bytes([192, 0, 2, 1, 192, 0, 2, 2, 16, 225, 0, 25])
    program = start("proxy_protocol.py", "127.0.0.1", 0)
    with socket.create_connection(("127.0.0.1", program.port)) as sock:
        sock.sendall(V2_SIGNATURE + b"\x20\x11\x00\x0c" + addresses)
        client = smtplib.SMTP()
        client.sock = sock
        assert client.getreply()[0] == 220
        client.sendmail("anne@example.com", ["bart@example.com"], MESSAGE)
        client.quit()
    output, _ = program.stop()
    assert "X-Peer: ('127.0.0.1', " in output


def test_proxy_protocol_believes_nobody_else(start: Start) -> None:
    program = start("proxy_protocol.py", "192.0.2.9", 0)
    with smtplib.SMTP("127.0.0.1", program.port) as client:
        assert client.docmd("PROXY", "TCP4 192.0.2.1 192.0.2.2 4321 25")[0] == 500
        client.sendmail("anne@example.com", ["bart@example.com"], MESSAGE)
    output, _ = program.stop()
    assert "X-Peer: ('127.0.0.1', " in output


def test_engine_without_io(start: Start) -> None:
    program = start("engine_without_io.py", 0)
    with smtplib.SMTP("127.0.0.1", program.port) as client:
        client.sendmail("anne@example.com", ["bart@example.com"], MESSAGE)
        assert client.docmd("DATA") == (503, b"Error: need RCPT command")
        assert client.docmd("MAIL", "FROM:<a..b@c>")[0] == 553
        assert client.docmd("MAIL", "FROM:<>")[0] == 250
        assert client.docmd("FOO")[0] == 500
    output, errors = program.stop()
    assert output == f"anne@example.com to ['bart@example.com']: {MESSAGE!r}\n"
    assert errors == ""


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        check=False,
        cwd=directory,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_ADDOPTS": ""},
    )


@pytest.mark.parametrize(("name", "count"), [("pytest_fixture", 2), ("tutorial", 2)])
def test_examples_with_pytest(name: str, count: int, tmp_path: Path) -> None:
    project = shutil.copytree(EXAMPLES / name, tmp_path / name)
    result = run(project, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-W", "error")
    assert f"{count} passed" in result.stdout, result.stdout + result.stderr


def test_catch_mail() -> None:
    result = run(EXAMPLES, "-W", "error", "-m", "unittest", "discover", "catch_mail")
    assert result.returncode == 0, result.stderr
    assert "Ran 1 test" in result.stderr


def test_tutorial_program(start: Start, tmp_path: Path) -> None:
    program = start("tutorial/postbox.py", tmp_path / "mail", 0)
    send(program)
    assert program.stop() == ("", "")
    assert (tmp_path / "mail" / "1.eml").read_bytes() == MESSAGE


def test_every_example_is_run_here() -> None:
    """A new example without a test is noticed."""
    tests = Path(__file__).read_text(encoding="utf-8")
    for path in EXAMPLES.iterdir():
        if not path.name.startswith(("__pycache__", ".")):
            assert path.name in tests, path.name
