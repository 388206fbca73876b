"""An event loop whose clock goes on when there is nothing else to do, and then at once.

What is said of seconds is so tried out without waiting for them, and a machine that is busy cannot make
a step take longer than a limit allows. Nothing outside the loop may have a part in it: no sockets, no
threads.
"""

from __future__ import annotations

import asyncio
import selectors

__all__ = ["ClockOfItsOwn"]


class _Selector(selectors.DefaultSelector):
    """Lets time go by instead of waiting."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:  # no timer is set: only something from outside can go on
            return super().select()
        events = super().select(0)
        if not events:
            self.now += timeout
        return events


class ClockOfItsOwn(asyncio.SelectorEventLoop):
    """An event loop in which a second is over as soon as everybody waits for it."""

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now
