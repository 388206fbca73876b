"""AUTH by the programs that people send mail with: who is let in, who is not, and what each is told.

Two servers, each with STARTTLS and with implicit TLS: one has its users in a file, the other asks an
authenticator. Every client tries every mechanism that it has in common with them, with what is right
and with what is wrong.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import re
import smtplib
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import trustme
from tests.e2e.programs import TIMEOUT, installed, run, try_to_run
from tests.e2e.receiving import Received, Receiver, receiving

from aiosmtpd.auth import (
    DEFAULT_MECHANISMS,
    Authenticator,
    BearerToken,
    CramMd5,
    ExternalIdentity,
    UsersFile,
)

if TYPE_CHECKING:
    from tests.e2e.conftest import Start

argon2 = pytest.importorskip("argon2")
bcrypt = pytest.importorskip("bcrypt")
scramp = pytest.importorskip("scramp")

T = TypeVar("T")

MESSAGE = b"From: <anne@example.com>\r\nTo: <bart@example.com>\r\nSubject: One\r\n\r\nHello\r\n"
PASSWORD = "two words, and = signs"
TOKEN = "mF_9.B5f-4.1JqM"
TLS = ("STARTTLS", "implicit TLS")
WRONG = "535 5.7.8"


# -- who is who -----------------------------------------------------------------------------------


def scram_hash(mechanism: str) -> str:
    """Hash the password as PostgreSQL does."""
    salt, stored, server, count = scramp.ScramMechanism(mechanism).make_auth_info(
        PASSWORD, iteration_count=4096
    )
    salt, stored, server = (base64.b64encode(octets).decode() for octets in (salt, stored, server))
    return f"{mechanism}${count}:{salt}${stored}:{server}"


def users_lines() -> list[str]:
    """Give the lines of a file in which everybody has the one password."""
    hashes = {
        # As little work as there can be: it is not what is tested.
        "anne": argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD),
        "bart": bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode(),
    }
    lines = [f"{name}:{text}" for name, text in hashes.items()]
    for name in ("anne", "bart", "carl"):
        lines += [
            f"{name}:{scram_hash(mechanism)}" for mechanism in ("SCRAM-SHA-1", "SCRAM-SHA-256")
        ]
    return lines


class Noting(Authenticator):
    """Notes in the session by which mechanism somebody authenticated."""

    async def __call__(
        self, server: Any, session: Any, envelope: Any, mechanism: str, auth_data: Any
    ) -> Any:
        session.mechanism = mechanism
        return await super().__call__(server, session, envelope, mechanism, auth_data)


class NotingFile(Noting, UsersFile):
    """The file of users."""


class Directory(Noting):
    """Knows passwords as they are, tokens and certificates."""

    def check_password(self, session: Any, login: str, password: bytes) -> bool:
        return login == "anne" and hmac.compare_digest(password, PASSWORD.encode())

    async def shared_secret(self, session: Any, login: str) -> str | None:
        return PASSWORD if login == "anne" else None

    async def check_token(self, session: Any, token: BearerToken) -> str | None:
        session.token = token
        return "anne" if token.token == TOKEN else None

    def check_certificate(self, session: Any, identity: ExternalIdentity) -> str | None:
        names = [
            value for ((kind, value),) in identity.certificate["subject"] if kind == "commonName"
        ]
        return "anne" if names == ["anne"] else None


@dataclass(frozen=True)
class Files:
    """Of TLS: what the authority's certificate is in, and certificates with their keys."""

    authority: Path
    server: Path
    clients: dict[str, Path]


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Certificates for the server, and for two clients."""
    directory = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        directory / "server.pem"
    )
    clients = {}
    for name in ("anne", "eve"):
        clients[name] = directory / f"{name}.pem"
        certificate = authority.issue_cert(f"{name}@example.com", common_name=name)
        certificate.private_key_and_cert_chain_pem.write_to_path(clients[name])
    return Files(directory / "ca.pem", directory / "server.pem", clients)


# -- the servers ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Way:
    """How to reach a server, and as whom.

    Attributes:
        port: where it listens.
        tls: one of :data:`TLS`.
        files: the certificates.
        receiver: what keeps the mail that arrives.
        mechanism: of AUTH.
        user: who wants in.
        secret: the password or the token.
        certificate: the client's certificate with its key, or nothing.
    """

    port: int
    tls: str
    files: Files
    receiver: Receiver
    mechanism: str = ""
    user: str = "anne"
    secret: str = ""
    certificate: Path | None = None

    @property
    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.files.authority)

    def asking(self, mechanism: str, *, right: bool) -> Way:
        """Give the way of somebody who has what is right for a mechanism, or what is wrong."""
        way = replace(self, mechanism=mechanism)
        if mechanism == "EXTERNAL":
            return replace(way, certificate=self.files.clients["anne" if right else "eve"])
        secret = TOKEN if mechanism in ("OAUTHBEARER", "XOAUTH2") else PASSWORD
        return replace(way, secret=secret if right else "wrong")


Reach = Callable[..., Way]


@pytest.fixture(scope="session")
def reach(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reach]:
    """Give the way to a server, started when it is first asked for."""
    users_file = tmp_path_factory.mktemp("users") / "users"
    users_file.write_text("\n".join(users_lines()) + "\n")
    users = NotingFile(users_file)
    ways: dict[tuple[str, tuple[str, ...], bool], Way] = {}
    with ExitStack() as stack:
        stack.callback(users.close)

        def reach(tls: str, mechanism: str, *, old: bool = False) -> Way:
            """Reach a server that has a mechanism; one without TLS 1.3 if it is to be old."""
            directory = mechanism in ("CRAM-MD5", "OAUTHBEARER", "XOAUTH2", "EXTERNAL")
            # Where there is this, curl has no eyes for the other.
            excluded = ("OAUTHBEARER",) if mechanism == "XOAUTH2" else ()
            key = (tls, ("directory", *excluded) if directory else (), old)
            if key not in ways:
                context = ssl.create_default_context(
                    ssl.Purpose.CLIENT_AUTH, cafile=str(files.authority)
                )
                context.load_cert_chain(files.server)
                context.verify_mode = ssl.CERT_OPTIONAL if directory else ssl.CERT_NONE
                if old:
                    context.maximum_version = ssl.TLSVersion.TLSv1_2
                options: dict[str, Any] = (
                    {"tls_context": context, "require_starttls": True}
                    if tls == "STARTTLS"
                    else {"ssl_context": context}
                )
                receiver = Receiver()
                port = stack.enter_context(
                    receiving(
                        receiver,
                        authenticator=Directory() if directory else users,
                        auth_mechanisms=[*DEFAULT_MECHANISMS, CramMd5],
                        auth_exclude_mechanism=excluded,
                        auth_required=True,
                        **options,
                    )
                )
                ways[key] = Way(port, tls, files, receiver)
            return ways[key]

        yield reach


# -- the clients ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tried:
    """What became of a message.

    Attributes:
        sent: whether the client says that it was accepted.
        said: what the client said.
    """

    sent: bool
    said: str


def by_curl(way: Way, directory: Path) -> Tried:
    curl = installed("curl", "curl")
    (directory / "message").write_bytes(MESSAGE)
    scheme = "smtp" if way.tls == "STARTTLS" else "smtps"
    options = ["--disable", "--noproxy", "*", "--silent", "--verbose"]
    options += [f"{scheme}://127.0.0.1:{way.port}/client.example", "--ssl-reqd"]
    options += ["--cacert", str(way.files.authority), "--upload-file", str(directory / "message")]
    options += ["--mail-from", "anne@example.com", "--mail-rcpt", "bart@example.com"]
    options += ["--login-options", f"AUTH={way.mechanism}"]
    if way.mechanism in ("OAUTHBEARER", "XOAUTH2"):
        options += ["--user", f"{way.user}:", "--oauth2-bearer", way.secret]
    elif way.certificate is not None:
        options += ["--user", ":", "--cert", str(way.certificate)]
    else:
        options += ["--user", f"{way.user}:{way.secret}"]
    ended = try_to_run(curl, *options)
    assert ended.status in (0, 67), ended.said  # 67: CURLE_LOGIN_DENIED
    return Tried(ended.status == 0, ended.said)


def swaks_options(way: Way) -> list[str]:
    options = ["--server", f"127.0.0.1:{way.port}", "--ehlo", "client.example"]
    options += ["--from", "anne@example.com", "--to", "bart@example.com"]
    options += ["--tls" if way.tls == "STARTTLS" else "--tls-on-connect"]
    options += ["--tls-verify", "--tls-ca-path", str(way.files.authority)]
    return options


def by_swaks(way: Way, directory: Path) -> Tried:
    swaks = installed("swaks", "swaks")
    (directory / "message").write_bytes(MESSAGE.removesuffix(b"\r\n"))
    options = [*swaks_options(way), "--data", f"@{directory / 'message'}"]
    options += ["--auth", way.mechanism, "--auth-user", way.user, "--auth-password", way.secret]
    ended = try_to_run(swaks, *options)
    assert ended.status in (0, 28), ended.said  # 28: error during SMTP authentication
    return Tried(ended.status == 0, ended.said)


def by_msmtp(way: Way, directory: Path) -> Tried:
    msmtp = installed("msmtp", "msmtp")
    if way.mechanism.lower() not in run(msmtp, "--version").split():
        pytest.skip(f"this msmtp was built without {way.mechanism}")
    lines = ["account default", "host 127.0.0.1", f"port {way.port}", "domain client.example"]
    lines += ["tls on", f"tls_starttls {'on' if way.tls == 'STARTTLS' else 'off'}"]
    lines += [f'tls_trust_file "{way.files.authority}"', "from anne@example.com"]
    lines += [f"auth {way.mechanism.lower()}", f"user {way.user}", "set_date_header off"]
    lines += ["set_from_header off", "set_msgid_header off"]
    if way.certificate is not None:
        lines += [f'tls_cert_file "{way.certificate}"', f'tls_key_file "{way.certificate}"']
    else:
        lines += [f'password "{way.secret}"']
    configuration = directory / "msmtprc"
    configuration.write_text("\n".join(lines) + "\n")
    configuration.chmod(0o600)
    ended = try_to_run(
        msmtp, "--debug", "-C", configuration, "bart@example.com",
        given=MESSAGE.replace(b"\r\n", b"\n"),
    )  # fmt: skip
    assert ended.status in (0, 77), ended.said  # 77: EX_NOPERM
    return Tried(ended.status == 0, ended.said)


def by_smtplib(way: Way, directory: Path) -> Tried:
    host, port, name = "127.0.0.1", way.port, "client.example"
    client: smtplib.SMTP
    if way.tls == "implicit TLS":
        client = smtplib.SMTP_SSL(host, port, name, timeout=TIMEOUT, context=way.context)
    else:
        client = smtplib.SMTP(host, port, name, timeout=TIMEOUT)
    with client:
        if way.tls == "STARTTLS":
            client.starttls(context=way.context)
        client.ehlo()
        client.user, client.password = way.user, way.secret
        step = getattr(client, f"auth_{way.mechanism.lower().replace('-', '_')}")
        try:
            code, text = client.auth(way.mechanism, step)
        except smtplib.SMTPAuthenticationError as refusal:
            assert isinstance(refusal.smtp_error, bytes)
            return Tried(False, f"{refusal.smtp_code} {refusal.smtp_error.decode()}")
        assert not client.sendmail("anne@example.com", "bart@example.com", MESSAGE)
        return Tried(True, f"{code} {text.decode()}")


def by_aiosmtplib(way: Way, directory: Path) -> Tried:
    aiosmtplib = pytest.importorskip("aiosmtplib")

    async def send() -> Tried:
        client = aiosmtplib.SMTP(
            hostname="127.0.0.1",
            port=way.port,
            local_hostname="client.example",
            timeout=TIMEOUT,
            use_tls=way.tls == "implicit TLS",
            start_tls=way.tls == "STARTTLS",
            tls_context=way.context,
        )
        async with client:
            sock = client.get_transport_info("socket")
            await client.ehlo()
            step = getattr(client, f"auth_{way.mechanism.lower().replace('-', '')}")
            try:
                code, text = await step(way.user, way.secret)
                await client.sendmail("anne@example.com", ["bart@example.com"], MESSAGE)
                tried = Tried(True, f"{code} {text}")
            except aiosmtplib.SMTPAuthenticationError as refusal:
                tried = Tried(False, f"{refusal.code} {refusal.message}")
        async with asyncio.timeout(TIMEOUT):
            while sock.fileno() >= 0:  # it leaves it to the loop to close the connection
                await asyncio.sleep(0)
        return tried

    return asyncio.run(send())


CLIENTS: dict[str, tuple[Callable[[Way, Path], Tried], list[str]]] = {
    "curl": (by_curl, ["PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2", "OAUTHBEARER", "EXTERNAL"]),
    "swaks": (by_swaks, ["PLAIN", "LOGIN", "CRAM-MD5"]),
    "msmtp": (
        by_msmtp,
        [
            *("PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2", "OAUTHBEARER", "EXTERNAL", "SCRAM-SHA-1"),
            *("SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"),
        ],
    ),
    "smtplib": (by_smtplib, ["PLAIN", "LOGIN", "CRAM-MD5"]),
    "aiosmtplib": (by_aiosmtplib, ["PLAIN", "LOGIN", "CRAM-MD5"]),
}

# It leaves when it sees the challenge that says what is wrong with the token.
FIRST_REFUSED = {("curl", "XOAUTH2"): base64.b64encode(b'{"status": "401').decode()}


@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize(
    ("client", "mechanism"), [(name, one) for name in CLIENTS for one in CLIENTS[name][1]]
)
def test_right_and_wrong(
    reach: Reach, tmp_path: Path, client: str, mechanism: str, tls: str
) -> None:
    send, _ = CLIENTS[client]
    way = reach(tls, mechanism)
    tried = send(way.asking(mechanism, right=False), tmp_path)
    assert not tried.sent
    assert FIRST_REFUSED.get((client, mechanism), WRONG) in tried.said
    tried = send(way.asking(mechanism, right=True), tmp_path)
    assert tried.sent, tried.said
    received = way.receiver.take()
    # What was refused has left nothing behind.
    assert way.receiver.is_empty()
    assert_let_in(received, mechanism)


def assert_let_in(received: Received, mechanism: str, user: str = "anne") -> None:
    """Require that a message came from a user who authenticated by a mechanism."""
    session: Any = received.session
    assert (received.identity, session.mechanism) == (user, mechanism)
    assert received.envelope.mail_from == "anne@example.com"
    assert received.envelope.rcpt_tos == ["bart@example.com"]
    assert received.content == MESSAGE


@pytest.mark.parametrize("user", ["anne", "bart", "carl"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_a_password_by_each_kind_of_hash(
    reach: Reach, tmp_path: Path, user: str, mechanism: str
) -> None:
    way = replace(reach("STARTTLS", mechanism), mechanism=mechanism, user=user)
    assert WRONG in by_swaks(replace(way, secret="wrong"), tmp_path).said
    tried = by_swaks(replace(way, secret=PASSWORD), tmp_path)
    assert tried.sent, tried.said
    assert_let_in(way.receiver.take(), mechanism, user)


@pytest.mark.parametrize("client", ["swaks", "curl", "smtplib"])
def test_somebody_unknown_is_told_no_more_than_who_is_wrong(
    reach: Reach, tmp_path: Path, client: str
) -> None:
    way = reach("STARTTLS", "PLAIN").asking("PLAIN", right=True)
    tried = CLIENTS[client][0](replace(way, user="nobody"), tmp_path)
    assert not tried.sent
    assert "535 5.7.8 Authentication credentials invalid" in tried.said


def test_the_host_that_a_token_is_meant_for(reach: Reach, tmp_path: Path) -> None:
    way = reach("STARTTLS", "OAUTHBEARER").asking("OAUTHBEARER", right=True)
    assert by_curl(way, tmp_path).sent
    session: Any = way.receiver.take().session
    assert session.token == BearerToken(TOKEN, "anne", "127.0.0.1", way.port)


def test_no_certificate_no_external(reach: Reach, tmp_path: Path) -> None:
    """Curl falls back on nothing: it is told by EHLO that its mechanism is not for it."""
    way = replace(reach("implicit TLS", "EXTERNAL"), mechanism="EXTERNAL")
    curl = installed("curl", "curl")
    options = ["--disable", "--noproxy", "*", "--silent", "--verbose", "--user", "anne:"]
    options += ["--cacert", str(way.files.authority), "--login-options", "AUTH=EXTERNAL"]
    ended = try_to_run(
        curl, *options, f"smtps://127.0.0.1:{way.port}", "--mail-from", "a@b.example"
    )
    assert ended.status == 67, ended.said
    (offered,) = re.findall("< 250.AUTH (.*)", ended.said)
    assert "EXTERNAL" not in offered.split()


# -- what is not here -----------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["DIGEST-MD5", "NTLM", "CRAM-SHA1"])
def test_swaks_does_not_find_what_is_not_here(reach: Reach, mechanism: str) -> None:
    swaks = installed("swaks", "swaks")
    if f"AUTH {mechanism} supported" not in run(swaks, "--support"):
        pytest.skip(f"swaks lacks a module for {mechanism}")
    way = reach("STARTTLS", "PLAIN")
    options = [*swaks_options(way), "--auth", mechanism, "--auth-user", "anne"]
    ended = try_to_run(swaks, *options, "--auth-password", PASSWORD)
    assert ended.status == 28
    assert "Auth not attempted, requested type not available" in ended.said
    # It takes its leave as ever.
    assert "221 Bye" in ended.said
    assert way.receiver.is_empty()


@pytest.mark.parametrize("mechanism", ["DIGEST-MD5", "GSSAPI", "NTLM", "CRAM-MD5", "X"])
def test_what_is_asked_for_all_the_same_is_refused_and_nothing_else(
    reach: Reach, mechanism: str
) -> None:
    """The server with the file has no secrets for CRAM-MD5, so that is among them."""
    way = reach("STARTTLS", "PLAIN")
    with smtplib.SMTP("127.0.0.1", way.port, "client.example", timeout=TIMEOUT) as client:
        client.starttls(context=way.context)
        client.ehlo()
        unknown = (504, b"5.5.4 Unrecognized authentication type")
        assert client.docmd("AUTH", mechanism) == unknown
        assert client.docmd("AUTH", f"{mechanism} YW5uZQ==") == unknown
        assert client.mail("anne@example.com")[0] == 530
        client.login("anne", PASSWORD)
        client.sendmail("anne@example.com", "bart@example.com", MESSAGE)
    assert way.receiver.take().identity == "anne"


# -- gsasl ----------------------------------------------------------------------------------------


def by_gsasl(way: Way, *options: str, let_in: bool) -> str:
    """Once GNU SASL's own client is let in, it passes on lines that it is given: here a message.

    It knows no implicit TLS. Over TLS 1.3 it binds by ``tls-exporter``, which Python does not offer yet.
    """
    gsasl = installed("gsasl", "gsasl")
    command = [gsasl, "--smtp", f"--connect=127.0.0.1:{way.port}", "--verbose", *options]
    command += ["--mechanism", way.mechanism, "--authentication-id", way.user]
    command += ["--password", way.secret, f"--x509-ca-file={way.files.authority}"]
    dialogue = b"MAIL FROM:<anne@example.com>\r\nRCPT TO:<bart@example.com>\r\nDATA\r\n"
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            if let_in:
                pour(process, dialogue + MESSAGE + b".\r\n")
            said, _ = process.communicate(timeout=TIMEOUT)
        finally:
            process.kill()
    assert (process.returncode == 0) is let_in, said.decode()
    return said.decode()


def pour(process: subprocess.Popen[bytes], octets: bytes) -> None:
    """Give a program a line whenever it has taken the one before; it overlooks what comes together."""
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    assert process.stdin is not None
    for line in octets.splitlines(keepends=True):
        process.stdin.write(line)
        process.stdin.flush()
        while int.from_bytes(fcntl.ioctl(process.stdin, termios.FIONREAD, bytes(4)), sys.byteorder):
            if process.poll() is not None:
                return
            time.sleep(0.001)


@pytest.mark.parametrize(
    ("mechanism", "old", "options"),
    [
        ("SCRAM-SHA-256-PLUS", True, ()),
        ("SCRAM-SHA-1-PLUS", True, ()),
        ("SCRAM-SHA-256", False, ("--no-cb",)),
        ("SCRAM-SHA-1", False, ("--no-cb",)),
        ("PLAIN", False, ()),
        ("LOGIN", False, ()),
        ("CRAM-MD5", False, ()),
    ],
)
def test_gsasl(reach: Reach, mechanism: str, old: bool, options: tuple[str, ...]) -> None:
    way = reach("STARTTLS", mechanism, old=old)
    said = by_gsasl(way.asking(mechanism, right=False), *options, let_in=False)
    assert WRONG in said
    said = by_gsasl(way.asking(mechanism, right=True), *options, let_in=True)
    # It has verified the server's signature, where the mechanism has one.
    assert "Client authentication finished (server trusted)" in said
    assert_let_in(way.receiver.take(), mechanism)
    assert way.receiver.is_empty()


def test_gsasl_asks_for_what_is_not_here(reach: Reach) -> None:
    way = reach("STARTTLS", "PLAIN").asking("DIGEST-MD5", right=True)
    said = by_gsasl(way, let_in=False)
    assert "504 5.5.4 Unrecognized authentication type" in said


# -- the command line -----------------------------------------------------------------------------


@pytest.mark.parametrize("tls", TLS)
def test_the_command_line(start: Start, files: Files, tmp_path: Path, tls: str) -> None:
    users, maildir = tmp_path / "users", tmp_path / "mail"
    *lines, last = users_lines()
    users.write_text("\n".join(line for line in lines if not line.startswith("carl")) + "\n")
    options = ["--tlscert", "--tlskey"] if tls == "STARTTLS" else ["--smtpscert", "--smtpskey"]
    command: list[str | Path] = [sys.executable, "-m", "aiosmtpd", "-n", "-l", "127.0.0.1:0"]
    command += [word for option in options for word in (option, files.server)]
    command += ["--users", users, "-c", "aiosmtpd.handlers.Mailbox", maildir]
    with start(*command) as program:
        way = Way(program.ports[0], tls, files, Receiver(), "PLAIN", secret=PASSWORD)
        ended = try_to_run(installed("swaks", "swaks"), *swaks_options(way))
        assert (ended.status, "530 5.7.0" in ended.said) == (23, True)
        for user, stored in (("anne", 1), ("bart", 2), ("carl", 2)):
            assert WRONG in by_swaks(replace(way, user=user, secret="wrong"), tmp_path).said
            tried = by_swaks(replace(way, user=user), tmp_path)
            assert (tried.sent, WRONG in tried.said) == ((user != "carl"), (user == "carl"))
            assert len([*(maildir / "new").iterdir()]) == stored
        # Who joins need not wait for a restart.
        with users.open("a") as file:
            file.write(last + "\n")
        tried = by_swaks(replace(way, user="carl", mechanism="LOGIN"), tmp_path)
        assert tried.sent, tried.said
    contents = [path.read_bytes() for path in (maildir / "new").iterdir()]
    assert [content.endswith(MESSAGE) for content in contents] == [True, True, True]
