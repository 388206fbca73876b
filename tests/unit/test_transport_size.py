"""How much a connection holds: Python stores the names of attributes once for all instances of a class
as long as there are no more than thirty, and otherwise again for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP

if TYPE_CHECKING:
    from tests.unit.conftest import Connect

MOST = 29


class Registry:
    """A server's register of its connections, as the driver sees it."""

    def add(self, connection: object) -> None:
        """Note nothing."""

    def discard(self, connection: object) -> None:
        """Note nothing."""

    def look_in(self, seconds: float) -> None:
        """Look at nothing."""


def test_a_connection_has_few_attributes_of_its_own(connect: Connect) -> None:
    class Registered(SMTP):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, **kwargs)  # type: ignore[arg-type]
            self._registry = Registry()

    wire = connect(Sink(), cls=Registered, enable_SMTPUTF8=True)
    wire.to_data()
    assert wire.say("a message", ".", "NOOP") == ["250 OK"] * 2  # some in one go
    assert wire.say("MAIL FROM:<a@example.com> SIZE=3", "RSET") == ["250 OK"] * 2
    assert len(vars(wire.server)) <= MOST
