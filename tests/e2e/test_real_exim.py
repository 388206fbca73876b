"""Mail by Exim's SMTP client, which uses what Postfix's does not: BDAT, and PRDR.

Exim delivers in the foreground, so a message is where it is to go, or its log tells why not, when the
program ends. It needs no installation: a configuration of its own, a spool, and a user that is not root.
"""

from __future__ import annotations

import os
import re
import shutil
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.programs import installed, open_directory, run
from tests.e2e.receiving import OverheardLMTP, OverheardSMTP, Received, Receiver, receiving

from aiosmtpd.extensions import (
    DEFAULT,
    Chunking,
    Dsn,
    Extension,
    OriginalRecipient,
    Pipelining,
    Prdr,
)

if TYPE_CHECKING:
    from tests.e2e.conftest import Certificate

    from aiosmtpd.session import Envelope, Session

HEADER = (
    b"From: Anne <anne@example.com>\r\nTo: bart@example.com\r\nSubject: One\r\n"
    b"Date: Tue, 24 Nov 2026 00:00:00 +0000\r\nMessage-ID: <1@example.com>\r\n\r\n"
)
DOTS = b".\r\n..\r\n.a\r\n\r\n. \r\nend\r\n"
SHORT = HEADER + DOTS
LONG = HEADER + b"".join(b".%d %b\r\n" % (number, b"x" * 60) for number in range(2_000))
SENDER = "anne@example.com"

CONFIGURATION = """
exim_path = {directory}/exim
# Without these the copies that it starts of itself do not know their user.
keep_environment = LD_PRELOAD : NSS_WRAPPER_PASSWD : NSS_WRAPPER_GROUP
spool_directory = {directory}/spool
log_file_path = {directory}/%slog
primary_hostname = client.example
acl_smtp_rcpt = accept
dsn_advertise_hosts = *
smtputf8_advertise_hosts = *
tls_advertise_hosts =
begin acl
accept:
  accept
begin routers
everything:
  driver = manualroute
  route_list = * 127.0.0.1 byname
  self = send
  transport = out
begin transports
out:
  driver = smtp
  port = {port}
  hosts_try_fastopen =
  {options}
begin retry
* * F,1h,1h
"""


@dataclass(frozen=True)
class Exim:
    """An Exim of our own.

    Attributes:
        directory: where everything of it is.
        environment: what it needs in its environment.
    """

    directory: Path
    environment: Mapping[str, str]

    def send(
        self, port: int, *users: str, message: bytes = SHORT, **options: str
    ) -> dict[str, tuple[str, str]]:
        """Hand a message in as a user of this machine does; give what became of it by recipient.

        Args:
            port: where to deliver.
            users: the recipients.
            message: the message.
            options: of the transport.
        """
        recipients = [f"{user}@example.com" for user in users or ("bart",)]
        given = message.replace(b"\r\n", b"\n")
        return self._run(port, options, "-i", "-f", SENDER, "--", *recipients, given=given)

    def say(self, port: int, *commands: str, message: bytes = SHORT) -> dict[str, tuple[str, str]]:
        """Hand a message in by SMTP: what is said between EHLO and DATA."""
        said = "".join(
            f"{line}\r\n" for line in ("EHLO origin.example", *commands, "DATA")
        ).encode()
        said += re.sub(rb"(?m)^\.", b"..", message) + b".\r\nQUIT\r\n"
        return self._run(port, {}, "-bs", given=said)

    def _run(
        self, port: int, options: Mapping[str, str], *arguments: str, given: bytes
    ) -> dict[str, tuple[str, str]]:
        options = {"hosts_avoid_tls": "*", **options}
        lines = "\n  ".join(f"{name} = {value}" for name, value in options.items())
        configuration = self.directory / "configuration"
        text = CONFIGURATION.format(directory=self.directory, port=port, options=lines)
        configuration.write_text(text)
        log = self.directory / "mainlog"
        log.unlink(missing_ok=True)
        run(
            self.directory / "exim", "-C", configuration, "-odf", *arguments,
            given=given, environment=self.environment,
        )  # fmt: skip
        marks = {"=>": "sent", "->": "sent", "**": "bounced", "==": "deferred"}
        told = re.findall(r"^\S+ \S+ \S+ (=>|->|\*\*|==) (\S+) (.*)", log.read_text(), re.MULTILINE)
        assert told, log.read_text()
        return {address.partition("@")[0]: (marks[mark], rest) for mark, address, rest in told}


@pytest.fixture
def exim() -> Iterator[Exim]:
    """An Exim of our own. It must know its user by name, and it must not be root."""
    original = Path(installed("exim4", "exim4-daemon-light"))
    wrappers = [*(original.parents[2] / "usr" / "lib").glob("*/libnss_wrapper.so")]
    if not wrappers:
        pytest.skip("libnss_wrapper.so is not installed (Debian: libnss-wrapper)")
    user, group = (os.getuid(), os.getgid()) if os.getuid() else (65534, 65534)
    with open_directory("exim") as directory:
        # This copy is not set-uid: such a program takes no LD_PRELOAD.
        shutil.copyfile(original, directory / "exim")
        (directory / "exim").chmod(0o755)
        passwd, groups = directory / "passwd", directory / "group"
        passwd.write_text(
            "root:x:0:0::/:/bin/false\n"
            f"Debian-exim:x:{user}:{group}::/:/bin/false\n"
            f"nobody:x:65534:65534::/:/bin/false\n"
        )
        groups.write_text(f"root:x:0:\nDebian-exim:x:{group}:\nmail:x:8:\nnogroup:x:65534:\n")
        os.chown(directory, user, group)
        yield Exim(
            directory,
            {
                "LD_PRELOAD": str(wrappers[0]),
                "NSS_WRAPPER_PASSWD": str(passwd),
                "NSS_WRAPPER_GROUP": str(groups),
            },
        )


def without(*kinds: type[Extension]) -> list[Extension]:
    """Give the extensions that a server has from the start, but for some."""
    return [extension for extension in DEFAULT if not isinstance(extension, kinds)]


def sizes(received: Received) -> list[int]:
    """Give the sizes of the chunks of a message."""
    return [int(line.split()[1]) for line in received.lines("BDAT")]


# -- CHUNKING -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offered", "tried", "used"), [(True, "*", True), (False, "*", False), (True, "", False)]
)
@pytest.mark.parametrize("message", [SHORT, LONG], ids=["short", "long"])
def test_chunking(exim: Exim, offered: bool, tried: str, used: bool, message: bytes) -> None:
    receiver = Receiver()
    with receiving(receiver, extensions=DEFAULT if offered else without(Chunking)) as port:
        told = exim.send(port, "bart", "carl", message=message, hosts_try_chunking=tried)
        received = receiver.take()
        if used:
            assert received.lines("DATA") == []
            assert sum(sizes(received)) == len(received.content)
            assert (len(sizes(received)) > 1) is (message is LONG)
            assert received.lines("BDAT")[-1].endswith(" LAST")
        else:
            assert (received.lines("BDAT"), received.lines("DATA")) == ([], ["DATA"])
        assert received.envelope.mail_from == SENDER
        assert sorted(received.envelope.rcpt_tos) == ["bart@example.com", "carl@example.com"]
        assert received.content.endswith(message)
        assert {told[name][0] for name in ("bart", "carl")} == {"sent"}


@pytest.mark.parametrize(("offered", "avoided"), [(True, ""), (True, "*"), (False, "")])
def test_pipelining_of_chunks(exim: Exim, offered: bool, avoided: str) -> None:
    """A chunk may come with the commands before it."""
    receiver = Receiver()
    with receiving(receiver, extensions=DEFAULT if offered else without(Pipelining)) as port:
        exim.send(port, "bart", "carl", message=LONG, hosts_avoid_pipelining=avoided)
        received = receiver.take()
        assert received.came_together("MAIL", "RCPT", "RCPT") is (offered and not avoided)
        assert received.content.endswith(LONG)


class Streaming(Receiver):
    """Takes a message as it comes."""

    async def handle_BODY(
        self,
        server: OverheardSMTP,
        session: Session,
        envelope: Envelope,
        body: AsyncIterator[bytes],
    ) -> str:
        pieces = [piece async for piece in body]
        envelope.content = b"".join(pieces)
        await self.handle_DATA(server, session, envelope)
        return f"250 2.6.0 {len(envelope.content)} octets"


@pytest.mark.parametrize("tried", ["*", ""])
def test_a_message_that_is_read_while_it_comes(exim: Exim, tried: str) -> None:
    receiver = Streaming()
    with receiving(receiver) as port:
        told = exim.send(port, message=LONG, hosts_try_chunking=tried)
        received = receiver.take()
        assert received.content.endswith(LONG)
        assert f"250 2.6.0 {len(received.content)} octets" in told["bart"][1]


class Full(Receiver):
    """Refuses every message, or the recipients of it."""

    def answer(self, envelope: Envelope) -> str:
        return "552 5.2.2 Full"


@pytest.mark.parametrize("tried", ["*", ""])
def test_a_message_that_is_refused(exim: Exim, tried: str) -> None:
    receiver = Full()
    with receiving(receiver) as port:
        told = exim.send(port, message=LONG, hosts_try_chunking=tried)
        assert receiver.take().content.endswith(LONG)
        assert told["bart"][0] == "bounced"
        assert "552 5.2.2 Full" in told["bart"][1]


class Nobody(Receiver):
    """Knows no recipient."""

    async def handle_RCPT(self, *_: Any) -> str:
        return "550 5.1.1 No such user"


def test_chunks_without_a_recipient(exim: Exim) -> None:
    """What was on its way before the refusal came is not taken for commands."""
    receiver = Nobody()
    with receiving(receiver) as port:
        told = exim.send(port, message=LONG)
        assert told["bart"][0] == "bounced"
        assert "550 5.1.1 No such user" in told["bart"][1]
        assert receiver.is_empty()


def test_chunks_over_tls(exim: Exim, certificate: Certificate) -> None:
    authority = exim.directory / "ca.pem"
    authority.write_bytes(certificate.authority.read_bytes())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.chain, certificate.key)
    receiver = Receiver()
    with receiving(receiver, tls_context=context, require_starttls=True) as port:
        options = {"hosts_avoid_tls": "", "hosts_require_tls": "*", "tls_verify_hosts": "*"}
        options |= {"tls_verify_certificates": str(authority), "tls_verify_cert_hostnames": ""}
        told = exim.send(port, message=LONG, **options)
        received = receiver.take()
        assert received.session.ssl is not None
        assert len(sizes(received)) > 1
        assert received.content.endswith(LONG)
        assert told["bart"][0] == "sent"
        assert " CV=yes" in told["bart"][1]


# -- replies by recipient -------------------------------------------------------------------------


class Mixed(Receiver):
    """Has another answer for each recipient."""

    def answer(self, envelope: Envelope) -> str | Mapping[str, str]:
        answers = {"bart": "250 2.0.0 Taken", "carl": "550 5.2.2 Full", "dora": "450 4.2.0 Busy"}
        return {address: answers[address.partition("@")[0]] for address in envelope.rcpt_tos}


class MixedIfAsked(Mixed):
    """Has one answer where the client would not understand several."""

    def answer(self, envelope: Envelope) -> str | Mapping[str, str]:
        return super().answer(envelope) if "PRDR" in envelope.mail_parameters else "250 OK"


@pytest.mark.parametrize("chunking", ["*", ""])
@pytest.mark.parametrize(
    ("offered", "tried", "used"), [(True, "*", True), (False, "*", False), (True, "", False)]
)
def test_prdr(exim: Exim, offered: bool, tried: str, used: bool, chunking: str) -> None:
    receiver = MixedIfAsked()
    extensions = [*DEFAULT, Prdr()] if offered else DEFAULT
    with receiving(receiver, extensions=extensions) as port:
        told = exim.send(
            port, "bart", "carl", "dora", hosts_try_prdr=tried, hosts_try_chunking=chunking
        )
        received = receiver.take()
        assert ("PRDR" in received.envelope.mail_parameters) is used
        assert bool(sizes(received)) is bool(chunking)
        outcome = {name: told[name][0] for name in ("bart", "carl", "dora")}
        if used:
            assert outcome == {"bart": "sent", "carl": "bounced", "dora": "deferred"}
            assert "550 5.2.2 Full" in told["carl"][1]
        else:
            assert outcome == dict.fromkeys(outcome, "sent")


def test_prdr_where_nobody_is_told_apart(exim: Exim) -> None:
    receiver = Receiver()
    with receiving(receiver, extensions=[*DEFAULT, Prdr()]) as port:
        told = exim.send(port, "bart", "carl", hosts_try_prdr="*")
        assert receiver.take().envelope.mail_parameters["PRDR"] is True
        assert {told[name][0] for name in ("bart", "carl")} == {"sent"}


@pytest.mark.parametrize("chunking", ["*", ""])
def test_lmtp(exim: Exim, chunking: str) -> None:
    receiver = Mixed()
    with receiving(receiver, protocol=OverheardLMTP) as port:
        told = exim.send(
            port, "bart", "carl", "dora",
            message=LONG, protocol="lmtp", hosts_try_chunking=chunking,
        )  # fmt: skip
        received = receiver.take()
        assert received.lines("LHLO") == ["LHLO client.example"]
        assert bool(sizes(received)) is bool(chunking)
        assert received.content.endswith(LONG)
        outcome = {name: told[name][0] for name in ("bart", "carl", "dora")}
        assert outcome == {"bart": "sent", "carl": "bounced", "dora": "deferred"}


# -- parameters -----------------------------------------------------------------------------------


@pytest.mark.parametrize("offered", [True, False])
def test_dsn(exim: Exim, offered: bool) -> None:
    receiver = Receiver()
    with receiving(receiver, extensions=[*DEFAULT, Dsn()] if offered else DEFAULT) as port:
        told = exim.say(
            port,
            f"MAIL FROM:<{SENDER}> RET=HDRS ENVID=a+2Bb",
            "RCPT TO:<bart@example.com> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Bart+2B1@example.org",
            "RCPT TO:<carl@example.com> NOTIFY=NEVER",
        )
        envelope = receiver.take().envelope
        asked_for = dict(zip(envelope.rcpt_tos, envelope.rcpt_parameters, strict=True))
        if offered:
            assert envelope.mail_parameters["RET"] == "HDRS"
            assert envelope.mail_parameters["ENVID"] == "a+b"
            original = OriginalRecipient("rfc822", "Bart+1@example.org")
            assert asked_for["bart@example.com"] == {
                "NOTIFY": {"SUCCESS", "DELAY"},
                "ORCPT": original,
            }
            assert asked_for["carl@example.com"]["NOTIFY"] == {"NEVER"}
        else:
            assert not {"ENVID", "RET"} & {*envelope.mail_parameters}
            assert asked_for == {"bart@example.com": {}, "carl@example.com": {}}
        assert {told[name][0] for name in ("bart", "carl")} == {"sent"}


def test_smtputf8(exim: Exim) -> None:
    receiver = Receiver()
    message = HEADER.replace(b"One", "Grüße".encode()) + "λ 🎈\r\n".encode()
    with receiving(receiver) as port:
        exim.say(
            port,
            "MAIL FROM:<änne@example.com> SMTPUTF8 BODY=8BITMIME",
            "RCPT TO:<bärt@example.com>",
            message=message,
        )
        envelope = receiver.take().envelope
        assert envelope.smtp_utf8
        assert (envelope.mail_from, envelope.rcpt_tos) == ("änne@example.com", ["bärt@example.com"])
        assert isinstance(envelope.content, bytes)
        assert envelope.content.endswith(message)
