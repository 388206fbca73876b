"""Which command may come when (RFC 5321 section 4.1.4).

Two rules. The phase is never stored: it follows from what the session and the envelope hold, because
hooks and overridden verbs write these themselves and may refuse what the client sent. And one table
says in which phases a verb may come; a verb that is not in it may come at any time.
"""

from __future__ import annotations

import enum
from typing import Protocol

from . import reply as replies
from .reply import Reply

__all__ = ["ALLOWED", "Phase", "phase_of", "refusal"]


class Phase(enum.Enum):
    """How far a connection has come."""

    CONNECTED = enum.auto()
    GREETED = enum.auto()
    MAIL = enum.auto()
    RECIPIENTS = enum.auto()
    CHUNKS = enum.auto()


# A name of a module is found sooner than a member of an enumeration.
_CONNECTED, _GREETED, _MAIL, _RECIPIENTS, _CHUNKS = Phase


class _Session(Protocol):
    host_name: str | None


class _Envelope(Protocol):
    mail_from: str | None
    rcpt_tos: list[str]


ALLOWED: dict[str, tuple[Phase, ...]] = {
    "AUTH": (Phase.GREETED,),  # RFC 4954 section 4: not during a mail transaction
    "MAIL": (Phase.GREETED,),
    "RCPT": (Phase.MAIL, Phase.RECIPIENTS),
    "DATA": (Phase.RECIPIENTS,),
    "BDAT": (Phase.RECIPIENTS, Phase.CHUNKS),  # RFC 3030 section 2
}
"""The phases in which a verb may come; what is not named here may come in any."""

_REFUSALS = {
    "AUTH": replies.AUTH_IN_TRANSACTION,
    "MAIL": replies.NESTED_MAIL,
    "RCPT": replies.NEED_MAIL,
    "DATA": replies.NEED_RCPT,
    "BDAT": replies.NEED_RCPT,
}


def phase_of(session: _Session, envelope: _Envelope) -> Phase:
    """Derive how far a connection has come from its session and its envelope."""
    if envelope.rcpt_tos:
        # An envelope need not know of chunks, such as one that a program made for itself.
        return _CHUNKS if getattr(envelope, "_chunks", None) else _RECIPIENTS
    if envelope.mail_from:
        return _MAIL
    return _GREETED if session.host_name else _CONNECTED


def refusal(verb: str, phase: Phase) -> Reply | None:
    """Give the reply that refuses ``verb`` in ``phase``, or None if it may come.

    Args:
        verb: the verb in upper case.
        phase: what :func:`phase_of` gave.
    """
    if verb not in ALLOWED or phase in ALLOWED[verb]:
        return None
    if phase is Phase.CONNECTED:
        return replies.send_greeting_first("HELO")
    if phase is Phase.CHUNKS and verb in ("RCPT", "DATA"):
        return replies.MESSAGE_BEGUN
    return _REFUSALS[verb]
