"""Catch the mail of a web application in its tests, with nothing but :mod:`unittest`.

Web frameworks send mail to a host and a port that their settings name. So the tests start a server,
and put its port into the settings. In Django these are ``EMAIL_HOST`` and ``EMAIL_PORT``, with the
backend for SMTP; in Flask-Mail, ``MAIL_SERVER`` and ``MAIL_PORT``. Here a dict stands for them::

    $ python -m unittest discover examples/catch_mail
"""

import smtplib
import unittest
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.session import Envelope, Session
from aiosmtpd.smtp import SMTP

# -- the application ------------------------------------------------------------------------------

settings: dict[str, Any] = {"EMAIL_HOST": "mail.example.com", "EMAIL_PORT": 25}


def reset_password(address: str, token: str) -> None:
    message = EmailMessage()
    message["From"] = "noreply@example.com"
    message["To"] = address
    message["Subject"] = "Reset your password"
    message.set_content(f"https://example.com/reset?token={token}\n")
    with smtplib.SMTP(settings["EMAIL_HOST"], settings["EMAIL_PORT"]) as client:
        client.send_message(message)


# -- its tests ------------------------------------------------------------------------------------


class CatchMail:
    """A handler that keeps the envelopes."""

    def __init__(self) -> None:
        self.outbox: list[Envelope] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.outbox.append(envelope)
        return "250 OK"


class MailTestCase(unittest.TestCase):
    catcher: CatchMail

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.catcher = CatchMail()
        controller = cls.enterClassContext(Controller(cls.catcher, hostname="127.0.0.1", port=0))
        before = dict(settings)
        cls.addClassCleanup(settings.update, before)
        settings.update(EMAIL_HOST=controller.hostname, EMAIL_PORT=controller.port)

    def setUp(self) -> None:
        super().setUp()
        self.catcher.outbox.clear()


class ResetPasswordTest(MailTestCase):
    def test_link_is_sent_to_the_user_only(self) -> None:
        reset_password("bart@example.com", "s3cret")
        [envelope] = self.catcher.outbox
        self.assertEqual(envelope.rcpt_tos, ["bart@example.com"])
        self.assertEqual(envelope.mail_from, "noreply@example.com")
        assert isinstance(envelope.content, bytes)
        self.assertIn(b"token=s3cret", envelope.content)


if __name__ == "__main__":
    unittest.main()
