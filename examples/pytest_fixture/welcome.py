"""The program under test: it welcomes a new customer by mail."""

import smtplib
from email.message import EmailMessage


def welcome(address: str, *, host: str = "localhost", port: int = 25) -> None:
    message = EmailMessage()
    message["From"] = "shop@example.com"
    message["To"] = address
    message["Subject"] = "Welcome"
    message.set_content("We are glad that you are here. — Your shop\n")
    with smtplib.SMTP(host, port) as client:
        client.send_message(message)
