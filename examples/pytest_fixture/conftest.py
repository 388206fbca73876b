"""A fixture that catches mail: a real server on a port of its own, and what it received."""

from collections.abc import Iterator

import pytest

from aiosmtpd.controller import Controller
from aiosmtpd.testing import RecordingHandler


class Inbox(RecordingHandler):
    host = ""
    port = 0


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    inbox = Inbox()
    # Port 0 is one that is free, so tests may run side by side.
    with Controller(inbox, hostname="127.0.0.1", port=0) as controller:
        inbox.host, inbox.port = controller.hostname, controller.port
        yield inbox
