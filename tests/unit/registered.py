"""Connections in a register of the test's own, as those of a server are."""

from __future__ import annotations

from typing import Any

from aiosmtpd.smtp import SMTP

__all__ = ["Registered"]


class Registered(SMTP):
    """Tells a register of itself; a test names it in a subclass."""

    register: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._registry = self.register
