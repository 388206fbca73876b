"""How much a connection holds: what it has of its own are slots, and nothing else is set on it."""

from __future__ import annotations

import copy
import pickle
from types import MemberDescriptorType
from typing import TYPE_CHECKING

from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP
from aiosmtpd.transport import ConnectionProtocol

if TYPE_CHECKING:
    from tests.unit.conftest import Connect


def test_a_connection_sets_nothing_but_slots(connect: Connect) -> None:
    wire = connect(Sink(), enable_SMTPUTF8=True)
    wire.to_data()
    assert wire.say("a message", ".", "NOOP") == ["250 OK"] * 2  # some in one go
    assert wire.say("MAIL FROM:<a@example.com> SIZE=3", "RSET") == ["250 OK"] * 2
    assert vars(wire.server) == {}


def test_no_class_hides_a_slot() -> None:
    """What a class has under the same name would be found first."""
    slots = {*ConnectionProtocol.__slots__, *vars(SMTP)["__slots__"]}
    assert len(slots) == len(ConnectionProtocol.__slots__) + len(vars(SMTP)["__slots__"])
    for name in slots:
        assert isinstance(getattr(SMTP, name), MemberDescriptorType), name


def test_a_connection_that_is_not_open_can_be_copied() -> None:
    server = SMTP(Sink(), hostname="mx.example")
    for copied in (copy.deepcopy(server), pickle.loads(pickle.dumps(server))):
        assert copied.hostname == "mx.example"
        assert copied.parameters == {}


def test_slots_are_there_from_the_beginning() -> None:
    server = SMTP(Sink(), hostname="mx.example")
    for name in (*ConnectionProtocol.__slots__, *vars(SMTP)["__slots__"]):
        assert hasattr(server, name), name
