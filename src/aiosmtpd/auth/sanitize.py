"""Log lines without secrets: what follows the mechanism of an AUTH command is masked."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["sanitize", "sanitized_log"]

_AnyText = TypeVar("_AnyText", str, bytes)

# Clients get the command wrong, too: what begins a line with "AUTH=" hides the rest of it, and so does a
# "=" behind the mechanism. In the midst of a line "AUTH=" is the parameter of MAIL, which is no secret.
# Nothing is matched before "AUTH" but at the start of the line: spaces, of which a line may be full,
# would be counted anew from each of them on.
_CLIENT_AUTH = r"(?i)(?P<command>\A\s*+AUTH\s*+=|AUTH\s++[^\s=]++(?:=|[^\S\r\n]++))[^\r\n]*+"
_CLIENT_AUTH_B = _CLIENT_AUTH.encode()


def sanitize(text: bytes) -> bytes:
    """Mask the secret in a line of the client, if it is an AUTH command."""
    return re.sub(_CLIENT_AUTH_B, rb"\g<command>********", text, count=1)


def sanitized_log(func: Callable[..., None], msg: str | bytes, *args: Any, **kwargs: Any) -> None:
    """Call a logger's method with every text among its arguments sanitized.

    Args:
        func: for example ``log.debug``.
        msg: the message, with ``%`` formats for ``args``.
        args: its arguments; ``str`` and ``bytes`` are sanitized.
        kwargs: further keyword arguments of ``func``.
    """
    func(msg, *(_sanitized(arg) for arg in args), **kwargs)


def _sanitized(arg: Any) -> Any:
    if isinstance(arg, bytes):
        return sanitize(arg)
    if isinstance(arg, str):
        return re.sub(_CLIENT_AUTH, r"\g<command>********", arg, count=1)
    return arg
