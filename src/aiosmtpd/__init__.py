"""The asyncio SMTP and LMTP server.

Receive mail in a program (:mod:`aiosmtpd.controller`, :mod:`aiosmtpd.server`), catch it in tests
(:mod:`aiosmtpd.testing`), or drive the engine yourself (:mod:`aiosmtpd.protocol`).
"""

from typing import TYPE_CHECKING

from .late import LateNames

if TYPE_CHECKING:
    import asyncio

__version__ = "2.0.0"

__all__ = ["__version__"]


# They came with the controller in 1.4.
_late = LateNames(globals(), proxy_protocol=".proxy_protocol:", smtp=".smtp:")
__dir__ = _late.names
if not TYPE_CHECKING:  # to a type checker, any name at all would be there
    __getattr__ = _late.give


def _get_or_new_eventloop() -> "asyncio.AbstractEventLoop":
    """Give this thread's event loop; make it and set it if there is none (1.4 had it here)."""
    import asyncio
    import warnings

    try:
        with warnings.catch_warnings():
            # Some versions warn where there is no loop yet, which is what this function is for.
            warnings.simplefilter("ignore", DeprecationWarning)
            return asyncio.get_event_loop()
    except RuntimeError:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        return loop
