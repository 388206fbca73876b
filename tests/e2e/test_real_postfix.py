"""Mail by Postfix's own SMTP and LMTP client: with each extension that it uses, and without it.

A Postfix of our own takes a message as it is handed in by ``sendmail``, and delivers it. Its queue and
its configuration are in a directory that is gone in the end. A field of the message says where to and
how: ``X-Way: dsn-not 2525`` is port 2525, by the client that ``master.cf`` names ``dsn-not``.
"""

from __future__ import annotations

import os
import re
import smtplib
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.programs import TIMEOUT, installed, open_directory, run, wait_until
from tests.e2e.receiving import OverheardLMTP, Receiver, receiving

from aiosmtpd.auth import DEFAULT_MECHANISMS, Authenticator, CramMd5, ScramKeys
from aiosmtpd.extensions import (
    DEFAULT,
    Chunking,
    Dsn,
    EnhancedStatusCodes,
    Extension,
    OriginalRecipient,
    Pipelining,
    XForward,
)
from aiosmtpd.session import Envelope

if TYPE_CHECKING:
    from tests.e2e.conftest import Certificate

HEADER = (
    b"From: Anne <anne@example.com>\r\nTo: bart@example.com\r\nSubject: One\r\n"
    b"Date: Tue, 24 Nov 2026 00:00:00 +0000\r\nMessage-ID: <1@example.com>\r\n\r\n"
)
MESSAGE = HEADER + b".\r\n..\r\n.a\r\n\r\n. \r\nend\r\n"
SENDER = "anne@example.com"
PASSWORD = "pencil"
MECHANISMS = ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256")

MAIN = """
compatibility_level = 3.6
queue_directory = {0}/queue
data_directory = {0}/data
maillog_file = {0}/log
maillog_file_prefixes = {0}
myhostname = client.example
mydestination =
inet_interfaces = loopback-only
inet_protocols = ipv4
alias_maps =
disable_dns_lookups = yes
smtp_host_lookup = native
header_checks = regexp:{0}/configuration/ways
# Whatever goes astray shall not leave this machine.
default_transport = discard:
smtputf8_enable = yes
smtpd_authorized_xclient_hosts = 127.0.0.1
# It takes mail by a Unix socket only, and passes it on for everybody who is said to have sent it.
mynetworks = 0.0.0.0/0
local_recipient_maps =
smtp_tls_CAfile = {1}
smtp_tls_loglevel = 1
notify_classes =
# What was put off stays so: it would come to a port that another test has by then.
queue_run_delay = 1d
minimal_backoff_time = 1d
maximal_backoff_time = 1d
"""

MASTER = """
pickup  unix       n - n - 1 pickup
cleanup unix       n - n - 0 cleanup
qmgr    unix       n - n 300 1 qmgr
rewrite unix       - - n - - trivial-rewrite
bounce  unix       - - n - 0 bounce
defer   unix       - - n - 0 bounce
trace   unix       - - n - 0 bounce
error   unix       - - n - - error
retry   unix       - - n - - error
discard unix       - - n - - discard
proxymap unix      - - n - - proxymap
tlsmgr  unix       - - n 1000? 1 tlsmgr
anvil   unix       - - n - 1 anvil
smtpd   unix       - - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
"""

TLS = "smtp -o smtp_tls_security_level=verify -o smtp_tls_verify_cert_match=localhost"
LOGIN = f"{TLS} -o smtp_sasl_auth_enable=yes -o smtp_sasl_tls_security_options= "
CLIENTS = {
    "plain": "smtp",
    "pipelining-not": "smtp -o smtp_discard_ehlo_keywords=pipelining",
    "dsn-not": "smtp -o smtp_discard_ehlo_keywords=dsn",
    "smtputf8-not": "smtp -o smtp_discard_ehlo_keywords=smtputf8",
    "size-not": "smtp -o smtp_discard_ehlo_keywords=size",
    "nothing": "smtp -o smtp_always_send_ehlo=no -o smtp_never_send_ehlo=yes",
    "xforward": "smtp -o smtp_send_xforward_command=yes",
    "tls": TLS,
    "wrapped": f"{TLS} -o smtp_tls_wrappermode=yes",
    "lmtp": "lmtp",
    "lmtp-pipelining-not": "lmtp -o lmtp_discard_lhlo_keywords=pipelining",
    "wrong": LOGIN + "-o smtp_sasl_password_maps=static:anne:wrong",
    **{
        f"login-{mechanism.lower()}": LOGIN + f"-o smtp_sasl_password_maps=static:anne:{PASSWORD}"
        f" -o smtp_sasl_mechanism_filter={mechanism}"
        for mechanism in MECHANISMS
    },
}
WAYS = r"/^X-Way: (\S+) ([0-9]+)$/ FILTER $1:[127.0.0.1]:$2"


@dataclass(frozen=True)
class Postfix:
    """A Postfix that runs.

    Attributes:
        directory: where everything of it is.
        sent: the domains of the recipients, another one for each message.
    """

    directory: Path
    sent: list[str] = field(default_factory=list)

    @property
    def configuration(self) -> str:
        return str(self.directory / "configuration")

    def send(
        self,
        port: int,
        *users: str,
        by: str = "plain",
        message: bytes = MESSAGE,
        options: tuple[str, ...] = (),
    ) -> list[str]:
        """Hand a message in as a user of this machine does; give the addresses of the recipients."""
        self.sent.append(f"{len(self.sent)}.example")
        recipients = [f"{user}@{self.sent[-1]}" for user in users or ("bart",)]
        sendmail = installed("sendmail", "postfix")
        options = ("-C", self.configuration, "-i", "-f", SENDER, *options)
        message = b"X-Way: %b %d\r\n" % (by.encode(), port) + message
        # A program of Unix: it sends lines that end in a line feed.
        run(sendmail, *options, "--", *recipients, given=message.replace(b"\r\n", b"\n"))
        return recipients

    def say(self, port: int, *commands: str, by: str = "plain") -> None:
        """Hand a message in as another server does: what is said between EHLO and DATA."""
        client = smtplib.SMTP(local_hostname="origin.example", timeout=TIMEOUT)
        with socket.socket(socket.AF_UNIX) as client.sock:
            client.sock.settimeout(TIMEOUT)
            client.sock.connect(str(self.directory / "queue" / "private" / "smtpd"))
            assert client.getreply()[0] == 220
            client.ehlo()
            for command in commands:
                assert client.docmd(command)[0] in (220, 250)
            assert client.data(b"X-Way: %b %d\r\n" % (by.encode(), port) + MESSAGE)[0] == 250
            client.quit()

    def told(self, recipient: str) -> dict[str, str]:
        """Wait until it has logged what became of a recipient; give the fields of that line."""

        def find() -> re.Match[str] | None:
            log = self.directory / "log"
            found = log.exists() and re.search(
                f": to=<{re.escape(recipient)}>, (.*)", log.read_text()
            )
            return found or None

        fields, _, outcome = wait_until(find)[1].partition(", status=")
        status, _, reply = outcome.partition(" ")
        return {**dict(re.findall("(\\w+)=([^,]*)", fields)), "status": status, "reply": reply}


@pytest.fixture(scope="session")
def postfix(certificate: Certificate) -> Iterator[Postfix]:
    """A Postfix of our own."""
    program = installed("postfix", "postfix")
    if os.geteuid() != 0:
        pytest.skip("only root can start Postfix")
    with open_directory("postfix") as directory:
        for name in ("configuration", "data", "queue"):
            (directory / name).mkdir()
        owner = run(installed("postconf", "postfix"), "-dh", "mail_owner").strip()
        run("chown", owner, directory / "data")
        # It reads this once it has given root's privileges up.
        authority = directory / "ca.pem"
        authority.write_bytes(certificate.authority.read_bytes())
        configuration = directory / "configuration"
        (configuration / "main.cf").write_text(MAIN.format(directory, authority))
        clients = "".join(f"{name} unix - - n - - {line}\n" for name, line in CLIENTS.items())
        (configuration / "master.cf").write_text(MASTER + clients)
        (configuration / "ways").write_text(WAYS + "\n")
        run(program, "-c", configuration, "check")
        daemons = run(installed("postconf", "postfix"), "-dh", "daemon_directory").strip()
        # Were we killed, it would end in an hour.
        command = (f"{daemons}/master", "-c", configuration, "-d", "-e", "3600")
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True) as master:
            try:
                # It listens by then. A message that is handed in before lies there for ever: nobody
                # is told of it, and pickup looks for none by itself.
                log = directory / "log"
                wait_until(lambda: log.exists() and "daemon started" in log.read_text())
                yield Postfix(directory)
            finally:
                master.terminate()
                master.wait(TIMEOUT)


def without(*kinds: type[Extension]) -> list[Extension]:
    """Give the extensions that a server has from the start, but for some."""
    return [extension for extension in DEFAULT if not isinstance(extension, kinds)]


# -- extensions, on and off -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "offered", "together"),
    [("plain", True, True), ("plain", False, False), ("pipelining-not", True, False)],
)
def test_pipelining(postfix: Postfix, by: str, offered: bool, together: bool) -> None:
    receiver = Receiver()
    with receiving(receiver, extensions=DEFAULT if offered else without(Pipelining)) as port:
        recipients = postfix.send(port, "bart", "carl", "dora", by=by)
        received = receiver.take()
        assert received.came_together("MAIL", "RCPT", "RCPT", "RCPT", "DATA") is together
        # Either it waits for each reply, or for none.
        assert received.came_together("RCPT", "RCPT") is together
        assert received.envelope.mail_from == SENDER
        assert sorted(received.envelope.rcpt_tos) == recipients
        assert received.content.endswith(MESSAGE)
        for recipient in recipients:
            assert postfix.told(recipient)["status"] == "sent"


@pytest.mark.parametrize(
    ("by", "offered", "used"),
    [("plain", True, True), ("plain", False, False), ("dsn-not", True, False)],
)
def test_dsn(postfix: Postfix, by: str, offered: bool, used: bool) -> None:
    receiver = Receiver()
    with receiving(receiver, extensions=[*DEFAULT, Dsn()] if offered else DEFAULT) as port:
        options = ("-N", "success,delay", "-V", "QQ+314 159", "-R", "hdrs")
        (recipient,) = postfix.send(port, "Bart", by=by, options=options)
        received = receiver.take()
        asked = received.envelope.mail_parameters
        asked.pop("SIZE")
        asked_for = received.envelope.rcpt_parameters
        if used:
            assert asked == {"ENVID": "QQ+314 159", "RET": "HDRS"}
            original = OriginalRecipient("rfc822", recipient)
            assert asked_for == [{"NOTIFY": {"SUCCESS", "DELAY"}, "ORCPT": original}]
        else:
            assert not {"ENVID", "RET"} & {*asked}
            assert asked_for == [{}]
        assert received.content.endswith(MESSAGE)
        assert postfix.told(recipient)["status"] == "sent"


def test_dsn_as_it_came(postfix: Postfix) -> None:
    """What somebody else has asked of Postfix by SMTP is asked of us."""
    receiver = Receiver()
    with receiving(receiver, extensions=[*DEFAULT, Dsn()]) as port:
        domain = "example.org"
        postfix.say(
            port,
            f"MAIL FROM:<{SENDER}> RET=FULL ENVID=a+2Bb+3Dc",
            f"RCPT TO:<bart@{domain}> NOTIFY=NEVER ORCPT=rfc822;Bart+2B1@example.org",
            f"RCPT TO:<carl@{domain}> NOTIFY=FAILURE",
        )
        envelope = receiver.take().envelope
        assert envelope.mail_parameters["RET"] == "FULL"
        assert envelope.mail_parameters["ENVID"] == "a+b=c"
        asked_for = dict(zip(envelope.rcpt_tos, envelope.rcpt_parameters, strict=True))
        assert asked_for == {
            f"bart@{domain}": {
                "NOTIFY": {"NEVER"},
                "ORCPT": OriginalRecipient("rfc822", "Bart+1@example.org"),
            },
            f"carl@{domain}": {
                "NOTIFY": {"FAILURE"},
                "ORCPT": OriginalRecipient("rfc822", f"carl@{domain}"),
            },
        }


UTF8 = HEADER.replace(b"One", "Grüße".encode()) + "λ 🎈\r\n".encode()


@pytest.mark.parametrize(
    ("by", "offered", "used"),
    [("plain", True, True), ("plain", False, False), ("smtputf8-not", True, False)],
)
def test_smtputf8(postfix: Postfix, by: str, offered: bool, used: bool) -> None:
    """An address beyond ASCII cannot be delivered to without it."""
    receiver = Receiver()
    with receiving(receiver, enable_SMTPUTF8=offered) as port:
        (recipient,) = postfix.send(port, "bärt", by=by, message=UTF8)
        told = postfix.told(recipient)
        if used:
            envelope = receiver.take().envelope
            assert envelope.smtp_utf8
            assert envelope.mail_parameters["SMTPUTF8"] is True
            assert envelope.rcpt_tos == [recipient]
            assert isinstance(envelope.content, bytes)
            assert envelope.content.endswith(UTF8)
            assert told["status"] == "sent"
        else:
            assert (told["status"], told["dsn"]) == ("bounced", "5.6.7")
            assert "SMTPUTF8 is required" in told["reply"]
            assert receiver.is_empty()


@pytest.mark.parametrize("offered", [True, False])
def test_chunking(postfix: Postfix, offered: bool) -> None:
    """The client of Postfix overlooks it."""
    receiver = Receiver()
    with receiving(receiver, extensions=DEFAULT if offered else without(Chunking)) as port:
        (recipient,) = postfix.send(port)
        received = receiver.take()
        assert (received.lines("BDAT"), received.lines("DATA")) == ([], ["DATA"])
        assert received.content.endswith(MESSAGE)
        assert postfix.told(recipient)["status"] == "sent"


@pytest.mark.parametrize("by", ["plain", "size-not"])
@pytest.mark.parametrize("limit", [10_000, 20_000])
def test_size(postfix: Postfix, by: str, limit: int) -> None:
    """A client that knows the limit does not begin; the other one is told in the end."""
    receiver = Receiver()
    message = HEADER + b"x" * 70 + b"\r\n" + b"y\r\n" * 5_000
    with receiving(receiver, data_size_limit=limit) as port:
        (recipient,) = postfix.send(port, by=by, message=message)
        told = postfix.told(recipient)
        if limit < len(message):
            assert (told["status"], told["dsn"][0]) == ("bounced", "5")
            assert receiver.is_empty()
        else:
            received = receiver.take()
            assert received.content.endswith(message)
            assert ("SIZE" in received.envelope.mail_parameters) is (by == "plain")
            assert told["status"] == "sent"


def test_helo(postfix: Postfix) -> None:
    """Without EHLO there are no extensions at all."""
    receiver = Receiver()
    with receiving(receiver, extensions=[*DEFAULT, Dsn()]) as port:
        postfix.send(port, by="nothing")
        received = receiver.take()
        assert received.lines("(?:HELO|EHLO|MAIL)") == [
            "HELO client.example",
            f"MAIL FROM:<{SENDER}>",
        ]
        assert received.content.endswith(MESSAGE)


# -- replies --------------------------------------------------------------------------------------


class Choosy(Receiver):
    """Refuses a recipient, and leaves it to the extension to say why."""

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("nobody@"):
            return "550 No such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"


@pytest.mark.parametrize(("added", "code"), [(True, "5.1.1"), (False, "5.0.0")])
def test_enhanced_status_codes(postfix: Postfix, added: bool, code: str) -> None:
    """Postfix passes a code on, announced or not; without one it has only the reply code to go by."""
    receiver = Choosy()
    extensions = [*DEFAULT, EnhancedStatusCodes()] if added else DEFAULT
    with receiving(receiver, extensions=extensions) as port:
        nobody, bart = postfix.send(port, "nobody", "bart")
        assert receiver.take().envelope.rcpt_tos == [bart]
        told = postfix.told(nobody)
        assert (told["status"], told["dsn"]) == ("bounced", code)
        assert f"550 {'5.1.1 ' if added else ''}No such user" in told["reply"]
        assert postfix.told(bart)["status"] == "sent"


class Mixed(Receiver):
    """Has another answer for each recipient."""

    def answer(self, envelope: Envelope) -> Mapping[str, str]:
        answers = {"bart": "250 2.0.0 Taken", "carl": "550 5.2.2 Full", "dora": "450 4.2.0 Busy"}
        return {address: answers[address.partition("@")[0]] for address in envelope.rcpt_tos}


@pytest.mark.parametrize("by", ["lmtp", "lmtp-pipelining-not"])
def test_lmtp(postfix: Postfix, by: str) -> None:
    receiver = Mixed()
    with receiving(receiver, protocol=OverheardLMTP) as port:
        recipients = postfix.send(port, "bart", "carl", "dora", by=by)
        received = receiver.take()
        assert received.lines("LHLO") == ["LHLO client.example"]
        assert received.came_together("RCPT", "RCPT", "RCPT", "DATA") is (by == "lmtp")
        assert received.content.endswith(MESSAGE)
        told = [postfix.told(recipient) for recipient in recipients]
        assert [(each["status"], each["dsn"]) for each in told] == [
            ("sent", "2.0.0"),
            ("bounced", "5.2.2"),
            ("deferred", "4.2.0"),
        ]


def test_lmtp_where_a_recipient_is_refused_before_the_message(postfix: Postfix) -> None:
    receiver = Choosy()
    with receiving(receiver, protocol=OverheardLMTP) as port:
        recipients = postfix.send(port, "bart", "nobody", "dora", by="lmtp")
        assert sorted(receiver.take().envelope.rcpt_tos) == [recipients[0], recipients[2]]
        told = [postfix.told(recipient)["status"] for recipient in recipients]
        assert told == ["sent", "bounced", "sent"]


# -- in the name of another -----------------------------------------------------------------------


def test_xforward(postfix: Postfix) -> None:
    """Postfix is told of a client, and tells us of it."""
    receiver = Receiver()
    extensions = [*DEFAULT, XForward(networks=["127.0.0.1"])]
    with receiving(receiver, extensions=extensions) as port:
        postfix.send(port, by="xforward")
        forwarded = receiver.take().envelope.xforward
        assert (forwarded["SOURCE"], forwarded["ADDR"], forwarded["HELO"]) == ("LOCAL", None, None)
        attributes = "NAME=origin.example ADDR=192.0.2.7 PORT=40000 PROTO=ESMTP HELO=helo.example"
        postfix.say(
            port,
            f"XCLIENT {attributes}",
            "EHLO helo.example",
            f"MAIL FROM:<{SENDER}>",
            "RCPT TO:<bart@example.com>",
            by="xforward",
        )
        received = receiver.take()
        forwarded = dict(received.envelope.xforward)
        assert forwarded.pop("IDENT")
        assert forwarded == {
            "NAME": "origin.example",
            "ADDR": "192.0.2.7",
            "PORT": "40000",
            "PROTO": "ESMTP",
            "HELO": "helo.example",
            "SOURCE": "REMOTE",
        }
        # It is of the message, not of the connection.
        assert received.session.peer[0] == "127.0.0.1"


def test_xforward_is_not_for_everybody(postfix: Postfix) -> None:
    receiver = Receiver()
    extensions = [*DEFAULT, XForward(networks=["192.0.2.0/24"])]
    with receiving(receiver, extensions=extensions) as port:
        postfix.send(port, by="xforward")
        received = receiver.take()
        assert received.lines("XFORWARD") == []
        assert received.envelope.xforward == {}


# -- TLS and AUTH ---------------------------------------------------------------------------------


def served(certificate: Certificate) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.chain, certificate.key)
    return context


@pytest.mark.parametrize("by", ["tls", "wrapped"])
def test_tls(postfix: Postfix, certificate: Certificate, by: str) -> None:
    receiver = Receiver()
    context = served(certificate)
    options: dict[str, Any] = (
        {"ssl_context": context}
        if by == "wrapped"
        else {"tls_context": context, "require_starttls": True}
    )
    with receiving(receiver, **options) as port:
        (recipient,) = postfix.send(port, by=by)
        received = receiver.take()
        assert received.session.ssl is not None
        assert received.came_together("MAIL", "RCPT", "DATA")
        assert received.content.endswith(MESSAGE)
        assert postfix.told(recipient)["status"] == "sent"


class One(Authenticator):
    """There is one user."""

    def check_password(self, session: Any, login: str, password: bytes) -> bool:
        return (login, password) == ("anne", PASSWORD.encode())

    def shared_secret(self, session: Any, login: str) -> str | None:
        return PASSWORD if login == "anne" else None

    def scram_keys(self, session: Any, login: str, mechanism: str) -> ScramKeys | None:
        scramp = pytest.importorskip("scramp")
        return ScramKeys(*scramp.ScramMechanism(mechanism).make_auth_info(PASSWORD))


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_login(postfix: Postfix, certificate: Certificate, mechanism: str) -> None:
    """Postfix leaves the mechanisms to Cyrus SASL."""
    needs_module("plain" if mechanism in ("PLAIN", "LOGIN") else mechanism.partition("-")[0])
    receiver = Receiver()
    mechanisms = [*DEFAULT_MECHANISMS, CramMd5]
    with receiving(
        receiver,
        authenticator=One(),
        auth_mechanisms=mechanisms,
        auth_required=True,
        tls_context=served(certificate),
    ) as port:
        (recipient,) = postfix.send(port, by=f"login-{mechanism.lower()}")
        received = receiver.take()
        assert received.identity == "anne"
        assert [line.split()[1] for line in received.lines("AUTH")] == [mechanism]
        assert received.content.endswith(MESSAGE)
        assert postfix.told(recipient)["status"] == "sent"


def test_login_with_a_wrong_password(postfix: Postfix, certificate: Certificate) -> None:
    needs_module("plain")
    receiver = Receiver()
    with receiving(
        receiver, authenticator=One(), auth_required=True, tls_context=served(certificate)
    ) as port:
        (recipient,) = postfix.send(port, by="wrong")
        told = postfix.told(recipient)
        assert told["status"] == "deferred"
        assert "535 5.7.8 Authentication credentials invalid" in told["reply"]
        assert receiver.is_empty()


def needs_module(name: str) -> None:
    """Skip the test where Cyrus SASL lacks a module."""
    names = {"CRAM": "crammd5", "SCRAM": "scram"}
    if not [*Path("/usr/lib").glob(f"**/sasl2/lib{names.get(name, name)}.so*")]:
        pytest.skip(f"Cyrus SASL lacks its module for {name} (Debian: libsasl2-modules)")
