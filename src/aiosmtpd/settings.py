"""What a server is made with, checked before it serves anybody.

A mistake in an argument would mostly show as something that silently does not happen: a mechanism that
is not excluded, a policy that is not asked. So each is told by its name, when the server is made. It is
done once a connection, so nothing is looked at twice.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .auth import Mechanism

__all__ = [
    "checked_call_limits",
    "checked_callable",
    "checked_failure_limit",
    "checked_mechanisms",
    "checked_names",
]


def checked_call_limits(limit: int | dict[str, int], default: int) -> dict[str, int]:
    """Give ``command_call_limit`` as a dict with a ``"*"``.

    Args:
        limit: the argument.
        default: how often a verb may be sent that a dict does not name.

    Raises:
        TypeError: it is neither a number nor a dict of numbers.
    """
    if isinstance(limit, int):
        return {"*": limit}
    if not isinstance(limit, dict):
        raise TypeError("command_call_limit must be int or Dict[str, int]")
    if not all(isinstance(n, int) for n in limit.values()):
        raise TypeError("All command_call_limit values must be int")
    return {"*": default, **limit}


def checked_names(argument: str, names: Iterable[str]) -> frozenset[str]:
    """Give names of mechanisms in upper case.

    Raises:
        TypeError: it is one string, which would be taken for the list of its letters, or holds
            something else than strings.
    """
    if isinstance(names, (str, bytes)) or not isinstance(names, Iterable):
        raise TypeError(f"{argument}: a list of names is needed, not {names!r}")
    found = tuple(names)
    for name in found:
        if not isinstance(name, str):
            raise TypeError(f"{argument}: a name is a str, not {name!r}")
    return frozenset(name.upper() for name in found)


def checked_mechanisms(argument: str, mechanisms: Iterable[Any]) -> tuple[type[Mechanism], ...]:
    """Give the classes of mechanisms.

    Raises:
        TypeError: it is something else than a list of subclasses of
            :class:`~aiosmtpd.auth.Mechanism`.
    """
    from .auth import Mechanism  # who names mechanisms has imported them

    if isinstance(mechanisms, (str, bytes)) or not isinstance(mechanisms, Iterable):
        raise TypeError(f"{argument}: a list of mechanism classes is needed, not {mechanisms!r}")
    found = tuple(mechanisms)
    for mechanism in found:
        if not (isinstance(mechanism, type) and issubclass(mechanism, Mechanism)):
            raise TypeError(f"{argument}: a subclass of Mechanism is needed, not {mechanism!r}")
    return found


def checked_callable(argument: str, judge: Any, *, instance: bool = False) -> Any:
    """Give a callable as it is.

    Args:
        argument: its name.
        judge: the callable.
        instance: whether a class will not do, as for what is asked and not made.

    Raises:
        TypeError: it cannot be called, or is a class where an object of it is needed.
    """
    if instance and inspect.isclass(judge):
        raise TypeError(f"{argument}: {judge.__name__} is a class, an object of it is needed")
    if not callable(judge):
        raise TypeError(f"{argument}: a callable is needed, not {judge!r}")
    return judge


def checked_failure_limit(argument: str, limit: int | None) -> int | None:
    """Give a number of failures, or None for any.

    Raises:
        TypeError: it is no number.
        ValueError: it is less than 1.
    """
    if limit is not None:
        if not isinstance(limit, int) or isinstance(limit, bool):
            raise TypeError(f"{argument} must be int or None, not {limit!r}")
        if limit < 1:
            raise ValueError(f"{argument} must be 1 or more, or None for any number")
    return limit
