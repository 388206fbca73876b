"""Handlers that several of the tests of SMTP share."""

from __future__ import annotations

import asyncio
from typing import Any


class Slow:
    """Its hooks take their time, and tell how they ended.

    Attributes:
        gate: lets the hooks go on, if they were given no seconds.
        began: how many hooks were called.
        ended: what became of each: ``"finished"`` or ``"cancelled"``.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = seconds
        self.gate = asyncio.Event()
        self.began = 0
        self.ended: list[str] = []

    async def _take_time(self) -> str:
        self.began += 1
        try:
            if self.seconds is None:
                await self.gate.wait()
            else:
                await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        self.ended.append("finished")
        return "250 slow"

    async def handle_NOOP(self, *_: Any) -> str:
        return await self._take_time()

    async def handle_DATA(self, *_: Any) -> str:
        return await self._take_time()
