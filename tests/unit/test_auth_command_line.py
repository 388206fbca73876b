"""``--users``: who may send mail is in a file; what is wrong with the file is said in one line."""

from __future__ import annotations

import smtplib
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest
import trustme

from aiosmtpd.main import main

TIMEOUT = 20.0
LISTENING = "Server is listening on "


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA, tmp_path: Path) -> list[str]:
    """The arguments for TLS from the first octet."""
    issued = authority.issue_cert("localhost")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    issued.private_key_pem.write_to_path(str(key))
    cert.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    return ["--smtpscert", str(cert), "--smtpskey", str(key)]


@pytest.fixture
def users(tmp_path: Path) -> Path:
    path = tmp_path / "users"
    hashed = bcrypt.hashpw(b"s3cret", bcrypt.gensalt(4)).decode()
    path.write_text(f"anne:{hashed}\n", encoding="utf-8")
    return path


@pytest.fixture
def port(tls: list[str], users: Path) -> Iterator[int]:
    """The port of a program that serves these users."""
    command = [sys.executable, "-m", "aiosmtpd", "-n", "-l", "localhost:0"]
    command += ["-c", "aiosmtpd.handlers.Sink", *tls, "--users", str(users)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert LISTENING in line, line + process.stderr.read()
            yield int(line.rpartition(":")[2])
        finally:
            process.kill()


def test_users_may_send_mail(port: int, authority: trustme.CA, users: Path) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    message = ("anne@example.com", ["bart@example.com"], b"Subject: x\r\n\r\nx\r\n")
    with smtplib.SMTP_SSL("localhost", port, timeout=TIMEOUT, context=context) as client:
        client.ehlo()
        assert client.esmtp_features["auth"].split() == ["LOGIN", "PLAIN"]
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            client.sendmail(*message)
        assert refused.value.smtp_code == 530
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("anne", "wrong")
        client.login("anne", "s3cret")
        client.sendmail(*message)
    users.write_text("# nobody any more\n", encoding="utf-8")
    with (
        smtplib.SMTP_SSL("localhost", port, timeout=TIMEOUT, context=context) as client,
        pytest.raises(smtplib.SMTPAuthenticationError),
    ):
        client.login("anne", "s3cret")


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str]:
    with pytest.raises(SystemExit) as ended:
        main(["-n", "-l", "localhost:0", "-c", "aiosmtpd.handlers.Sink", *arguments])
    return ended.value.code, capsys.readouterr().err.splitlines()[-1].partition("error: ")[2]


def test_users_need_tls(capsys: pytest.CaptureFixture[str], users: Path) -> None:
    code, line = refusal(capsys, "--users", str(users))
    assert code == 2
    assert line == "--users needs --tlscert or --smtpscert: passwords are not taken without TLS"


def test_a_users_file_that_is_not_there(
    capsys: pytest.CaptureFixture[str], tls: list[str], users: Path
) -> None:
    users.unlink()
    code, line = refusal(capsys, *tls, "--users", str(users))
    assert code == 1
    assert line.startswith("cannot read the users file: No such file or directory")


def test_a_malformed_users_file(
    capsys: pytest.CaptureFixture[str], tls: list[str], users: Path
) -> None:
    users.write_text("# users\nanne:s3cret\n", encoding="utf-8")
    code, line = refusal(capsys, *tls, "--users", str(users))
    assert code == 1
    assert line == f"malformed users file: {users}:2: not a hash of argon2, bcrypt or SCRAM"
