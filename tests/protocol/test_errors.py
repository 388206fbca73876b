"""Faults: each kind carries the reply that answers it."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

from aiosmtpd.protocol import (
    BadCommand,
    BodyError,
    BodyIncomplete,
    BodyLineTooLong,
    BodyTooLarge,
    CommandTooLong,
    MalformedAddress,
    MalformedParameters,
    NonAsciiCommand,
    ProtocolError,
    Reply,
    errors,
)

REPLIES: dict[type[ProtocolError], str] = {
    ProtocolError: "500 Error: bad syntax",
    BadCommand: "500 Error: bad syntax",
    NonAsciiCommand: "500 Error: strict ASCII mode",
    CommandTooLong: "500 Command line too long",
    MalformedAddress: "553 5.1.3 Error: malformed address",
    MalformedParameters: "501 5.5.4 Error: malformed parameters",
    BodyError: "451 4.3.0 Error: local error in processing",
    BodyTooLarge: "552 Error: Too much mail data",
    BodyLineTooLong: "500 Line too long (see RFC5321 4.5.3.1.6)",
    BodyIncomplete: "451 4.3.0 Error: local error in processing",
}


def test_all_kinds_are_public() -> None:
    kinds = {
        kind
        for kind in vars(errors).values()
        if inspect.isclass(kind) and issubclass(kind, Exception)
    }
    assert kinds == set(REPLIES)
    assert sorted(errors.__all__) == errors.__all__ == sorted(kind.__name__ for kind in REPLIES)


@pytest.mark.parametrize(("kind", "text"), REPLIES.items())
def test_each_kind_has_its_reply(kind: type[ProtocolError], text: str) -> None:
    for fault in (kind(), kind("what exactly")):
        assert isinstance(fault, ProtocolError)
        assert isinstance(fault.reply, Reply)
        assert fault.reply == text
    assert str(kind()) == text
    assert str(kind("what exactly")) == "what exactly"


@pytest.mark.parametrize("kind", [BodyTooLarge, BodyLineTooLong, BodyIncomplete])
def test_faults_of_a_body_are_of_one_kind(kind: type[ProtocolError]) -> None:
    """A hook that reads a body catches :class:`BodyError`."""
    assert issubclass(kind, BodyError)


def test_a_reply_of_its_own() -> None:
    reply = Reply(501, None, "Syntax: NOOP")
    fault = BadCommand(reply=reply)
    assert fault.reply is reply
    assert str(fault) == "501 Syntax: NOOP"
    assert str(BadCommand("no", reply=reply)) == "no"
    assert BadCommand().reply == REPLIES[BadCommand]


@pytest.mark.parametrize("kind", REPLIES)
def test_copies_and_pickles(kind: type[ProtocolError]) -> None:
    fault = kind("why", reply=Reply(550, "5.7.1", "a", "b"))
    for twin in (copy.copy(fault), copy.deepcopy(fault), pickle.loads(pickle.dumps(fault))):
        assert type(twin) is kind
        assert str(twin) == "why"
        assert type(twin.reply) is Reply
        assert twin.reply == fault.reply
