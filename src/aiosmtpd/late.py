"""Names of a module that are imported when they are asked for (:pep:`562`).

A test suite imports a server each time it is run, and a program's settings often without ever starting
one. So what brings much along, or what few need, waits. Type checkers are told of such names under
``TYPE_CHECKING``, and whoever imports one cannot tell the difference.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LateNames"]


class LateNames:
    """The late names of one module.

    Args:
        namespace: its ``globals()``.
        origins: for each name the module that has it, as seen from here (``".smtp"``); with what it
            is called there, if that is another name (``".server:Unavailable"``).
    """

    def __init__(self, namespace: dict[str, Any], origins: Mapping[str, str]) -> None:
        self._namespace = namespace
        self._origins = origins

    def give(self, name: str) -> Any:
        """Give what a name stands for; from now on the module has it. Its ``__getattr__``.

        Raises:
            AttributeError: it is none of the names.
        """
        if name not in self._origins:
            module = self._namespace["__name__"]
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        module, _, called = self._origins[name].partition(":")
        found = getattr(import_module(module, __package__), called or name)
        return self._namespace.setdefault(name, found)

    def load(self) -> None:
        """Give the module all of the names."""
        for name in self._origins:
            if name not in self._namespace:
                self.give(name)

    def names(self) -> list[str]:
        """Give the names that the module has or can have. Its ``__dir__``."""
        return sorted(self._namespace.keys() | self._origins.keys())
