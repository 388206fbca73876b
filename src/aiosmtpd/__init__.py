"""The asyncio SMTP and LMTP server.

Receive mail in a program (:mod:`aiosmtpd.controller`, :mod:`aiosmtpd.server`), catch it in tests
(:mod:`aiosmtpd.testing`), or drive the engine yourself (:mod:`aiosmtpd.protocol`).
"""

__version__ = "2.0.0"

__all__ = ["__version__"]
