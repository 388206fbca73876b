"""Mail by the programs that people send mail with: what is stored is what was sent, octet by octet.

The servers are processes of their own and store in a Maildir. The command line's run on the loop that
``--loop auto`` chooses, which is uvloop where it is installed; those with logins run on asyncio's.
"""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
import hashlib
import random
import re
import smtplib
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.e2e.programs import TIMEOUT, installed, run

if TYPE_CHECKING:
    from tests.e2e.conftest import Certificate, Program, Start

ROOT = Path(__file__).parents[2]
SERVING = Path(__file__).with_name("serving.py")
USER, PASSWORD = "anne@example.com", "two words, and = signs"
SIZE_LIMIT = 40_000_000


# -- what is sent ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mail:
    """A message and its envelope.

    Attributes:
        octets: the message, each line ended by CRLF.
    """

    octets: bytes
    sender: str = "anne@example.com"
    recipients: tuple[str, ...] = ("bart@example.com",)


def crlf(text: str, encoding: str = "ascii") -> bytes:
    return text.replace("\n", "\r\n").encode(encoding)


HEADER = crlf("From: Anne <anne@example.com>\nTo: bart@example.com\nSubject: One\n two\n\n")
# Not the end of the message: swaks takes a last line of one dot for its end.
DOTS = crlf(".\n..\n...\n.a\n..b\n. \n.\n.\n\n.\n \n.\n\nend\n")
HIGH = b"".join(bytes(range(start, start + 32)) + b"\r\n" for start in range(0x80, 0x100, 32))


def attachment() -> bytes:
    """Make a message with an attachment of 25 MB."""
    content = random.Random(25).randbytes(25_000_000)
    fields = "Content-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n"
    header = HEADER.replace(b"\r\n\r\n", crlf(f"\nMIME-Version: 1.0\n{fields}\n"))
    return header + base64.encodebytes(content).replace(b"\n", b"\r\n")


@pytest.fixture(scope="session")
def mails() -> dict[str, Mail]:
    """Everything that is sent, by its name."""
    return {
        "plain": Mail(HEADER + crlf("Hello,\n\n  this is a message.\t\n\n\n-- \nAnne\n")),
        "dots": Mail(HEADER + DOTS),
        "8-bit": Mail(HEADER.replace(b"One", b"\xe9t\xe9") + HIGH + crlf("été €\n", "utf-8")),
        "SMTPUTF8": Mail(
            crlf("From: änne@exämple.com\nSubject: Grüße\n\nλ 🎈\n", "utf-8"),
            "änne@exämple.com",
            ("bärt@exämple.com", "用户@example.com"),
        ),
        "100 recipients": Mail(
            HEADER + crlf("Hello, all\n"),
            recipients=tuple(f"user{number}@example.com" for number in range(100)),
        ),
        "attachment": Mail(attachment()),
    }


MAILS = ("plain", "dots", "8-bit", "SMTPUTF8", "100 recipients", "attachment")
SMALL = MAILS[:-1]


# -- by what it is sent ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Way:
    """How to reach a server.

    Attributes:
        program: the server.
        listener: which of its ports.
        maildir: where it stores.
        tls: "STARTTLS", "implicit TLS", or nothing.
        authority: the file of the certificate that the server's is signed by.
        mechanism: of AUTH, or nothing.
    """

    program: Program
    listener: int
    maildir: Path
    tls: str
    authority: Path
    mechanism: str

    @property
    def port(self) -> int:
        return self.program.ports[self.listener]

    @property
    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.authority)


def by_swaks(mail: Mail, way: Way, directory: Path) -> bytes:
    """Swaks ends a message with a line end of its own. It knows nothing of SMTPUTF8."""
    swaks = installed("swaks", "swaks")
    file = directory / "message"
    file.write_bytes(mail.octets.removesuffix(b"\r\n"))
    options = ["--server", f"127.0.0.1:{way.port}", "--ehlo", "client.example", "--silent", "2"]
    options += ["--from", mail.sender, "--to", ",".join(mail.recipients), "--data", f"@{file}"]
    if way.tls:
        options += ["--tls" if way.tls == "STARTTLS" else "--tls-on-connect"]
        options += ["--tls-verify", "--tls-ca-path", str(way.authority)]
    if way.mechanism:
        options += ["--auth", way.mechanism, "--auth-user", USER, "--auth-password", PASSWORD]
    run(swaks, *options)
    return mail.octets


def by_curl(mail: Mail, way: Way, directory: Path) -> bytes:
    """Curl sends a file as it is, and the sender's domain in ASCII."""
    curl = installed("curl", "curl")
    file = directory / "message"
    file.write_bytes(mail.octets)
    scheme = "smtps" if way.tls == "implicit TLS" else "smtp"
    options = [
        "--disable",
        "--noproxy",
        "*",
        "--silent",
        "--show-error",
        "--upload-file",
        str(file),
    ]
    options += [f"{scheme}://127.0.0.1:{way.port}/client.example", "--mail-from", mail.sender]
    for recipient in mail.recipients:
        options += ["--mail-rcpt", recipient]
    if way.tls:
        options += ["--ssl-reqd", "--cacert", str(way.authority)]
    if way.mechanism:
        options += ["--user", f"{USER}:{PASSWORD}", "--login-options", f"AUTH={way.mechanism}"]
    run(curl, *options)
    return mail.octets


def by_smtplib(mail: Mail, way: Way, directory: Path) -> bytes:
    """Python's own client; it chooses the one mechanism that is offered."""
    host, port, name = "127.0.0.1", way.port, "client.example"
    client: smtplib.SMTP
    if way.tls == "implicit TLS":
        client = smtplib.SMTP_SSL(host, port, name, timeout=TIMEOUT, context=way.context)
    else:
        client = smtplib.SMTP(host, port, name, timeout=TIMEOUT)
    with client:
        if way.tls == "STARTTLS":
            client.starttls(context=way.context)
        if way.mechanism:
            client.login(USER, PASSWORD)
        client.ehlo_or_helo_if_needed()
        options = ["BODY=8BITMIME"] + ["SMTPUTF8"] * (not mail.sender.isascii())
        assert not client.sendmail(mail.sender, mail.recipients, mail.octets, options)
    return mail.octets


def by_aiosmtplib(mail: Mail, way: Way, directory: Path) -> bytes:
    """The asyncio client of the same family."""
    aiosmtplib = pytest.importorskip("aiosmtplib")

    async def send() -> None:
        client = aiosmtplib.SMTP(
            hostname="127.0.0.1",
            port=way.port,
            local_hostname="client.example",
            timeout=TIMEOUT,
            use_tls=way.tls == "implicit TLS",
            start_tls=way.tls == "STARTTLS",
            tls_context=way.context if way.tls else None,
            username=USER if way.mechanism else None,
            password=PASSWORD if way.mechanism else None,
        )
        async with client:
            sock = client.get_transport_info("socket")
            options = ["BODY=8BITMIME"] + ["SMTPUTF8"] * (not mail.sender.isascii())
            errors, _ = await client.sendmail(
                mail.sender, mail.recipients, mail.octets, mail_options=options
            )
            assert not errors
        async with asyncio.timeout(TIMEOUT):
            while sock.fileno() >= 0:  # it leaves it to the loop to close the connection
                await asyncio.sleep(0)

    asyncio.run(send())
    return mail.octets


Send = Callable[[Mail, Way, Path], bytes]
SENDERS: dict[str, Send] = {
    "swaks": by_swaks,
    "curl": by_curl,
    "smtplib": by_smtplib,
    "aiosmtplib": by_aiosmtplib,
}


# -- where it arrives -----------------------------------------------------------------------------


def in_ascii(address: str) -> str:
    """Write the domain of an address the way that all clients have in common (RFC 5891)."""
    local_part, _, domain = address.rpartition("@")
    return f"{local_part}@{domain.encode('idna').decode()}"


# The fields that the handler puts ahead of a message, folded or not.
ENVELOPE = re.compile(rb"(?:X-(?:Peer|MailFrom|RcptTo):.*\r\n(?:[ \t].*\r\n)*){3}")


def take_stored(maildir: Path) -> tuple[str, list[str], bytes]:
    """Take the one message out of a Maildir; give its sender, its recipients and what was sent."""
    (file,) = (maildir / "new").iterdir()
    stored = file.read_bytes()
    file.unlink()
    fields = ENVELOPE.match(stored)
    assert fields is not None
    # Addresses beyond ASCII are encoded words there.
    envelope = email.message_from_bytes(fields[0], policy=email.policy.default)
    return envelope["X-MailFrom"], envelope["X-RcptTo"].split(", "), stored[fields.end() :]


def assert_stored(mail: Mail, sent: bytes, maildir: Path) -> None:
    """Require that a message and its envelope arrived as they were sent."""
    sender, recipients, stored = take_stored(maildir)
    assert in_ascii(sender) == in_ascii(mail.sender)
    assert [*map(in_ascii, recipients)] == [*map(in_ascii, mail.recipients)]
    # Whoever wants to see a difference of 34 MB looks at something else than an assertion.
    assert (len(stored), stored[:200], stored[-200:]) == (len(sent), sent[:200], sent[-200:])
    assert hashlib.sha256(stored).digest() == hashlib.sha256(sent).digest()


CommandLine = Callable[[str], Way]


@pytest.fixture(scope="session")
def command_line(
    start: Start, certificate: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CommandLine]:
    """Give the way to reach a server of the command line, started when it is first asked for."""
    ways: dict[str, Way] = {}
    options = {"": "", "STARTTLS": "tls", "implicit TLS": "smtps"}
    with ExitStack() as stack:

        def reach(tls: str) -> Way:
            if tls not in ways:
                maildir = tmp_path_factory.mktemp("mail") / "dir"
                command = [sys.executable, "-m", "aiosmtpd", "-n", "-u", "-s", str(SIZE_LIMIT)]
                command += ["-l", "127.0.0.1:0"]
                if tls:
                    command += [f"--{options[tls]}cert", str(certificate.chain)]
                    command += [f"--{options[tls]}key", str(certificate.key)]
                command += ["-c", "aiosmtpd.handlers.Mailbox", str(maildir)]
                program = stack.enter_context(start(*command))
                ways[tls] = Way(program, 0, maildir, tls, certificate.authority, "")
            return ways[tls]

        yield reach


@pytest.fixture(scope="session")
def logins(
    start: Start, certificate: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[tuple[str, str], Way]]:
    """The ways to a server that wants a login, by the kind of TLS and the mechanism."""
    kinds = [(tls, name) for tls in ("STARTTLS", "implicit TLS") for name in ("PLAIN", "LOGIN")]
    maildir = tmp_path_factory.mktemp("mail") / "dir"
    command = (sys.executable, SERVING, "mailbox", maildir, certificate.chain, certificate.key)
    with start(*command, listeners=len(kinds)) as program:
        yield {
            (tls, mechanism): Way(program, at, maildir, tls, certificate.authority, mechanism)
            for at, (tls, mechanism) in enumerate(kinds)
        }


@pytest.mark.parametrize("name", MAILS)
@pytest.mark.parametrize("client", SENDERS)
def test_without_tls(
    mails: dict[str, Mail], command_line: CommandLine, tmp_path: Path, client: str, name: str
) -> None:
    way = command_line("")
    sent = SENDERS[client](mails[name], way, tmp_path)
    assert_stored(mails[name], sent, way.maildir)


@pytest.mark.parametrize("name", ["8-bit", "attachment"])
@pytest.mark.parametrize("tls", ["STARTTLS", "implicit TLS"])
@pytest.mark.parametrize("client", SENDERS)
def test_tls_of_the_command_line(
    mails: dict[str, Mail],
    command_line: CommandLine,
    tmp_path: Path,
    client: str,
    tls: str,
    name: str,
) -> None:
    way = command_line(tls)
    sent = SENDERS[client](mails[name], way, tmp_path)
    assert_stored(mails[name], sent, way.maildir)


@pytest.mark.parametrize(
    ("tls", "mechanism", "name"),
    [
        *(
            (tls, mechanism, name)
            for tls in ("STARTTLS", "implicit TLS")
            for mechanism in ("PLAIN", "LOGIN")
            for name in SMALL
        ),
        ("STARTTLS", "PLAIN", "attachment"),
        ("implicit TLS", "LOGIN", "attachment"),
    ],
)
@pytest.mark.parametrize("client", SENDERS)
def test_with_a_login(
    mails: dict[str, Mail],
    logins: dict[tuple[str, str], Way],
    tmp_path: Path,
    client: str,
    tls: str,
    mechanism: str,
    name: str,
) -> None:
    way = logins[tls, mechanism]
    sent = SENDERS[client](mails[name], way, tmp_path)
    assert_stored(mails[name], sent, way.maildir)


@pytest.mark.parametrize("name", MAILS)
def test_smtp_source(
    mails: dict[str, Mail], command_line: CommandLine, tmp_path: Path, name: str
) -> None:
    """Postfix's source of load knows neither TLS nor AUTH; it ends a message with an empty line.

    It ends all lines of its file itself, and makes many recipients of one by numbers before it.
    """
    smtp_source = installed("smtp-source", "postfix")
    way, mail = command_line(""), mails[name]
    count = len(mail.recipients)
    names = [*(f"{number}{mail.recipients[0]}" for number in range(count, 1, -1))]
    names.append(mail.recipients[0])
    file = tmp_path / "message"
    file.write_bytes(mail.octets.replace(b"\r\n", b"\n"))
    options = ["-M", "client.example", "-f", mail.sender, "-t", mail.recipients[0]]
    run(smtp_source, *options, "-r", str(count), "-F", file, f"inet:127.0.0.1:{way.port}")
    sent = Mail(mail.octets + b"\r\n", mail.sender, tuple(names))
    assert_stored(sent, sent.octets, way.maildir)


def test_make_run_prints_what_arrives(start: Start, mails: dict[str, Mail], tmp_path: Path) -> None:
    """The one command for a newcomer; only the port is changed, lest two of us want the same."""
    make = installed("make", "make")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@" -l 127.0.0.1:0\n')
    python.chmod(0o755)
    mail = Mail(HEADER + DOTS + HIGH)
    with start(make, "-C", ROOT, "--no-print-directory", "run", f"PYTHON={python}") as program:
        with program.client() as client:
            client.sendmail(mail.sender, mail.recipients, mail.octets)
            assert client.sock is not None
            peer = client.sock.getsockname()
        printed = program.interrupt()
    announced, *lines = printed.split(b"\n")
    assert announced.startswith(b"Listening on ")
    sent = mail.octets.split(b"\r\n")[:-1]
    sent.insert(sent.index(b""), f"X-Peer: {peer!r}".encode())
    options = f"mail options: ['SIZE={len(mail.octets)}']".encode()
    assert lines == [
        b"---------- MESSAGE FOLLOWS ----------",
        options,
        b"",
        *sent,
        b"------------ END MESSAGE ------------",
        b"",
    ]
