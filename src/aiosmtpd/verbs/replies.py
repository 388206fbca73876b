"""Replies to a message by recipient: LMTP sends one for each, and SMTP does where PRDR asks for it.

A hook gives one reply for all, a list of them in the order of the recipients, or a dict by recipient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..protocol import reply as replies

__all__ = ["replies_by_recipient", "reply_for_all"]


def replies_by_recipient(status: Any, recipients: list[str]) -> list[str | bytes]:
    """Give the reply for each recipient, in their order.

    Args:
        status: what the hook returned.
        recipients: whom the message is for.

    Raises:
        TypeError: the hook returned something else than replies.
        ValueError: it returned a list of another length.
    """
    found: list[Any]
    if isinstance(status, (str, bytes)):
        return [status] * len(recipients)
    if isinstance(status, Mapping):
        # What the hook did not decide for a recipient is not delivered to it: it shall try again.
        found = [status.get(recipient, replies.LOCAL_ERROR) for recipient in recipients]
    elif isinstance(status, Sequence):
        if len(status) != len(recipients):
            raise ValueError(f"{len(status)} replies to a message for {len(recipients)} recipients")
        found = list(status)
    else:
        raise TypeError(f"a reply is str, bytes, a list or a dict, not {type(status).__name__}")
    # All are looked at before the first is sent: afterwards no 451 could stand for all of them.
    for reply in found:
        if not isinstance(reply, (str, bytes)):
            raise TypeError(f"a reply to a recipient is str or bytes, not {type(reply).__name__}")
    return found


def reply_for_all(by_recipient: list[str | bytes]) -> replies.Reply:
    """Give the reply that ends those to each recipient (draft-hall-prdr-00 section 4.5).

    Clients take it for the message: one that accepts leaves the others as they are, and one that
    refuses holds for every recipient. So it is the best of them: 250 if one accepted, 450 if one may
    later, and else 550.

    Args:
        by_recipient: what was sent before it.
    """
    codes = {reply[:1] if isinstance(reply, str) else reply[:1].decode() for reply in by_recipient}
    if "2" in codes:
        return replies.OK
    return replies.ALL_DEFERRED if "4" in codes else replies.ALL_REFUSED
