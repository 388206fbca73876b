"""Which command may come when: every verb in every phase, and every state in its phase."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import pytest

from aiosmtpd.protocol import Phase, Reply, phase_of, refusal
from aiosmtpd.protocol.sequence import ALLOWED

GREET = "503 Error: send HELO first"
IN_TRANSACTION = "503 5.5.1 Error: AUTH not allowed during a mail transaction"
NESTED = "503 Error: nested MAIL command"
NEED_MAIL = "503 Error: need MAIL command"
NEED_RCPT = "503 Error: need RCPT command"
BEGUN = "503 Error: BDAT has begun the message"

# RFC 5321 section 4.1.4; RFC 4954 section 4 for AUTH; RFC 3030 section 2 for BDAT. Columns: CONNECTED,
# GREETED, MAIL, RECIPIENTS, CHUNKS.
TABLE: dict[str, tuple[str | None, ...]] = {
    "AUTH": (GREET, None, IN_TRANSACTION, IN_TRANSACTION, IN_TRANSACTION),
    "MAIL": (GREET, None, NESTED, NESTED, NESTED),
    "RCPT": (GREET, NEED_MAIL, None, None, BEGUN),
    "DATA": (GREET, NEED_RCPT, NEED_RCPT, None, BEGUN),
    "BDAT": (GREET, NEED_RCPT, NEED_RCPT, None, None),
}
ALWAYS = [
    "HELO",
    "EHLO",
    "LHLO",
    "RSET",
    "NOOP",
    "QUIT",
    "VRFY",
    "EXPN",
    "HELP",
    "STARTTLS",
    "",
    "X",
]


@pytest.mark.parametrize("verb", [*TABLE, *ALWAYS])
def test_every_verb_in_every_phase(verb: str) -> None:
    expected = TABLE.get(verb, (None,) * 5)
    assert tuple(refusal(verb, phase) for phase in Phase) == expected


def test_the_table_names_no_other_verb() -> None:
    assert sorted(ALLOWED) == sorted(TABLE)


@pytest.mark.parametrize("verb", TABLE)
def test_names_the_greeting_that_is_missing(verb: str) -> None:
    reply = refusal(verb, Phase.CONNECTED)
    assert isinstance(reply, Reply)
    assert reply == "503 Error: send HELO first"


@dataclass
class State:
    """What a session and an envelope have of a phase."""

    host_name: str | None = None
    mail_from: str | None = None
    rcpt_tos: list[str] = field(default_factory=list)


@pytest.mark.parametrize(
    ("host_name", "mail_from", "rcpt_tos"),
    list(
        itertools.product([None, "", "a"], [None, "", "<>", "b@c"], [[], ["d@e"], ["d@e", "f@g"]])
    ),
)
def test_the_phase_follows_from_what_is_held(
    host_name: str | None, mail_from: str | None, rcpt_tos: list[str]
) -> None:
    """Hooks may write these themselves: what is furthest on counts."""
    state = State(host_name, mail_from, rcpt_tos)
    expected = Phase.CONNECTED
    if host_name:
        expected = Phase.GREETED
    if mail_from:
        expected = Phase.MAIL
    if rcpt_tos:
        expected = Phase.RECIPIENTS
    assert phase_of(state, state) is expected


def test_a_message_that_comes_in_chunks_has_its_phase() -> None:
    @dataclass
    class Envelope(State):
        _chunks: object = None

    begun, not_begun = Envelope("a", "b@c", ["d@e"], object()), Envelope("a", "b@c", ["d@e"])
    assert phase_of(begun, begun) is Phase.CHUNKS
    assert phase_of(not_begun, not_begun) is Phase.RECIPIENTS
    begun.rcpt_tos.clear()  # by a hook: then there is nobody whom it could go to
    assert phase_of(begun, begun) is Phase.MAIL
