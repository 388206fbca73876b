"""The tests of the tutorial's server."""

import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest
from postbox import Postbox

from aiosmtpd.controller import Controller


@pytest.fixture
def client(tmp_path: Path) -> Iterator[smtplib.SMTP]:
    with (
        Controller(Postbox(tmp_path), hostname="127.0.0.1", port=0) as controller,
        smtplib.SMTP("127.0.0.1", controller.port) as client,
    ):
        yield client


def test_message_is_stored_as_it_was_sent(client: smtplib.SMTP, tmp_path: Path) -> None:
    message = b"Subject: hello\r\n\r\n.A line with a dot\r\n"
    client.sendmail("anne@example.net", ["bart@example.com"], message)
    assert (tmp_path / "1.eml").read_bytes() == message


def test_other_domains_are_refused(client: smtplib.SMTP, tmp_path: Path) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refusal:
        client.sendmail("anne@example.net", ["bart@example.org"], b"Subject: hello\r\n\r\n")
    assert refusal.value.recipients == {"bart@example.org": (550, b"5.7.1 not our domain")}
    assert list(tmp_path.iterdir()) == []
