"""Run it with ``pytest examples/pytest_fixture``."""

import smtplib
from typing import TYPE_CHECKING

import pytest
from welcome import welcome

if TYPE_CHECKING:
    from conftest import Inbox


def test_new_customer_is_welcomed(inbox: "Inbox") -> None:
    welcome("bart@example.com", host=inbox.host, port=inbox.port)
    [message] = inbox.messages
    assert message["To"] == "bart@example.com"
    assert inbox.envelopes[0].rcpt_tos == ["bart@example.com"]
    assert "glad" in message.get_content()


def test_malformed_address_is_noticed(inbox: "Inbox") -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        welcome("bart@@example.com", host=inbox.host, port=inbox.port)
    assert inbox.messages == []
