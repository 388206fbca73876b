"""Names of a module that are imported when they are asked for (:pep:`562`).

A test suite imports a server each time it is run, and a program's settings often without ever starting
one. So what brings much along, or what few need, waits. Type checkers are told of such names under
``TYPE_CHECKING``; to whoever imports one by its name it is as if it had been there.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["LateNames"]


class LateNames:
    """The late names of one module.

    Args:
        namespace: its ``globals()``.
        **origins: for each name the module that has it, as seen from here (``".server"``); with what it
            is called there, if that is another name (``".server:Unavailable"``); or the module that
            it stands for, with a colon (``"asyncio:"``).
    """

    def __init__(self, namespace: dict[str, Any], /, **origins: str) -> None:
        self._namespace = namespace
        self._origins = origins
        for name in origins:  # of before, where the module is loaded once more
            namespace.pop(name, None)

    def give(self, name: str) -> Any:
        """Give what a name stands for; from now on the module has it. Its ``__getattr__``.

        Raises:
            AttributeError: it is none of the names.
        """
        if name not in self._origins:
            module = self._namespace["__name__"]
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        module, colon, called = self._origins[name].partition(":")
        found: Any = import_module(module, __package__)
        if called or not colon:
            found = getattr(found, called or name)
        return self._namespace.setdefault(name, found)

    def load(self) -> None:
        """Give the module all of the names."""
        for name in self._origins:
            if name not in self._namespace:
                self.give(name)

    def names(self) -> list[str]:
        """Give the names that the module has or can have. Its ``__dir__``."""
        return sorted(self._namespace.keys() | self._origins.keys())
