"""The handler that keeps nothing: every hook is left to the server's defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from typing import Self

__all__ = ["Sink"]


class Sink:
    """Accept each message and throw it away."""

    @classmethod
    def from_cli(cls, parser: ArgumentParser, *args: str) -> Self:
        """Make the handler from the command line, where it takes no argument."""
        if args:
            parser.error("Sink handler does not accept arguments")
        return cls()
