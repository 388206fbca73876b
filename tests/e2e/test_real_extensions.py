"""Extensions by clients that a person starts: swaks has XCLIENT and PRDR, msmtp has DSN and ETRN."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.programs import installed, run, try_to_run
from tests.e2e.receiving import OverheardLMTP, OverheardSMTP, Receiver, receiving

from aiosmtpd.extensions import DEFAULT, Dsn, Etrn, Prdr, XClient
from aiosmtpd.session import Envelope

MESSAGE = b"From: <anne@example.com>\r\nTo: <bart@example.com>\r\nSubject: One\r\n\r\nHello\r\n"
SENDER = "anne@example.com"


def swaks_options(port: int, *users: str) -> list[str]:
    recipients = ",".join(f"{user}@example.com" for user in users or ("bart",))
    options = ["--server", f"127.0.0.1:{port}", "--ehlo", "client.example", "--from", SENDER]
    return [*options, "--to", recipients, "--data", MESSAGE.decode().removesuffix("\r\n")]


# -- XCLIENT --------------------------------------------------------------------------------------


def test_xclient() -> None:
    receiver = Receiver()
    extensions = [*DEFAULT, XClient(networks=["127.0.0.1"])]
    with receiving(receiver, extensions=extensions) as port:
        options = ["--xclient-addr", "192.0.2.7", "--xclient-port", "40000"]
        options += ["--xclient-name", "origin.example", "--xclient-login", "anne"]
        options += ["--xclient-helo", "helo.example", "--xclient-proto", "ESMTP"]
        said = run(installed("swaks", "swaks"), *swaks_options(port), *options)
        # The server has greeted anew.
        assert len(re.findall("<-  220 mx.example", said)) == 2
        received = receiver.take()
        session = received.session
        assert session.peer == ("192.0.2.7", 40000)
        assert session.peer_before_xclient[0] == "127.0.0.1"
        assert received.identity == "anne"
        assert (session.xclient["NAME"], session.xclient["HELO"]) == (
            "origin.example",
            "helo.example",
        )
        # What it said of itself after that counts.
        assert session.host_name == "client.example"
        assert received.content == MESSAGE


@pytest.mark.parametrize(
    ("options", "peer"),
    [
        (["--xclient-addr", "IPV6:2001:db8::1"], ("2001:db8::1", 0)),
        (["--xclient-addr", "[UNAVAILABLE]"], ("", 0)),
        (
            ["--xclient", "ADDR=192.0.2.7", "--xclient-delim", "--xclient", "PORT=25"],
            ("192.0.2.7", 25),
        ),
    ],
)
def test_xclient_of_other_kinds(options: list[str], peer: tuple[str, int]) -> None:
    receiver = Receiver()
    extensions = [*DEFAULT, XClient(networks=["127.0.0.1"])]
    with receiving(receiver, extensions=extensions) as port:
        run(installed("swaks", "swaks"), *swaks_options(port), *options)
        assert receiver.take().session.peer == peer


def test_xclient_is_not_for_everybody() -> None:
    receiver = Receiver()
    extensions = [*DEFAULT, XClient(networks=["192.0.2.0/24"])]
    with receiving(receiver, extensions=extensions) as port:
        options = [*swaks_options(port), "--xclient-addr", "192.0.2.7"]
        ended = try_to_run(installed("swaks", "swaks"), *options)
        assert ended.status == 33
        assert "Host did not advertise XCLIENT" in ended.said
        assert receiver.is_empty()
        # What it can do without it, it may do.
        run(installed("swaks", "swaks"), *options, "--xclient-optional")
        assert receiver.take().session.peer[0] == "127.0.0.1"


# -- replies by recipient -------------------------------------------------------------------------


class Mixed(Receiver):
    """Has another answer for each recipient."""

    def answer(self, envelope: Envelope) -> Mapping[str, str]:
        answers = {"bart": "250 2.0.0 Taken", "carl": "550 5.2.2 Full", "dora": "450 4.2.0 Busy"}
        return {address: answers[address.partition("@")[0]] for address in envelope.rcpt_tos}


def test_prdr() -> None:
    receiver = Mixed()
    with receiving(receiver, extensions=[*DEFAULT, Prdr()]) as port:
        said = run(
            installed("swaks", "swaks"), *swaks_options(port, "bart", "carl", "dora"), "--prdr"
        )
        assert receiver.take().envelope.mail_parameters["PRDR"] is True
        assert re.findall(r"<[-*]{1,2} +(.*)", said)[-6:-1] == [
            "353 Content analysis has begun",
            "250 2.0.0 Taken",
            "550 5.2.2 Full",
            "450 4.2.0 Busy",
            "250 OK",
        ]


def test_lmtp() -> None:
    receiver = Mixed()
    with receiving(receiver, protocol=OverheardLMTP) as port:
        options = [*swaks_options(port, "bart", "carl", "dora"), "--protocol", "LMTP"]
        said = run(installed("swaks", "swaks"), *options)
        assert receiver.take().content == MESSAGE
        assert re.findall(r"<[-*]{1,2} +(.*)", said)[-4:-1] == [
            "250 2.0.0 Taken",
            "550 5.2.2 Full",
            "450 4.2.0 Busy",
        ]


# -- msmtp ----------------------------------------------------------------------------------------


def msmtp_options(port: int) -> list[str]:
    options = ["--host=127.0.0.1", f"--port={port}", "--domain=client.example", f"--from={SENDER}"]
    return [*options, "--tls=off", "--auth=off"]


def test_dsn() -> None:
    receiver = Receiver()
    with receiving(receiver, extensions=[*DEFAULT, Dsn()]) as port:
        options = [*msmtp_options(port), "--dsn-notify=failure,delay", "--dsn-return=headers"]
        run(installed("msmtp", "msmtp"), *options, "bart@example.com", given=MESSAGE)
        envelope = receiver.take().envelope
        assert envelope.mail_parameters["RET"] == "HDRS"
        assert envelope.rcpt_parameters == [{"NOTIFY": {"FAILURE", "DELAY"}}]


def test_dsn_where_there_is_none() -> None:
    """Who wants to be told does not send what nobody would tell of."""
    receiver = Receiver()
    with receiving(receiver) as port:
        options = [*msmtp_options(port), "--dsn-return=full"]
        ended = try_to_run(installed("msmtp", "msmtp"), *options, "bart@example.com", given=MESSAGE)
        assert ended.status == 69  # EX_UNAVAILABLE
        assert "DSN" in ended.said
        assert receiver.is_empty()


class Queues(Receiver):
    """Starts the queue of one domain."""

    async def handle_ETRN(
        self, server: OverheardSMTP, session: Any, envelope: Envelope, node: str
    ) -> str:
        await asyncio.sleep(0)
        if node == "@example.com":
            return "250 Queuing for node @example.com started"
        return f"459 Node {node} not allowed"


def test_etrn() -> None:
    with receiving(Queues(), extensions=[*DEFAULT, Etrn()]) as port:
        msmtp = installed("msmtp", "msmtp")
        run(msmtp, *msmtp_options(port), "--rmqs=@example.com")
        ended = try_to_run(msmtp, *msmtp_options(port), "--rmqs=example.org")
        assert ended.status != 0
        assert "459 Node example.org not allowed" in ended.said


def test_serverinfo(tmp_path: Path) -> None:
    """What msmtp makes of the reply to EHLO."""
    with receiving(
        Receiver(), extensions=[*DEFAULT, Dsn(), Etrn()], data_size_limit=10_000
    ) as port:
        said = run(installed("msmtp", "msmtp"), *msmtp_options(port), "--serverinfo")
        assert "SIZE 10000" in said
        for keyword in ("PIPELINING", "DSN"):
            assert f"{keyword}:" in said
