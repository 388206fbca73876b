"""TLS on a connection, by STARTTLS or from its beginning, and what the session learns of it.

Whether there is TLS is never stored: the transport says so.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

from .protocol import Connection

if TYPE_CHECKING:
    from .session import Session

__all__ = ["Handshake"]

# How many turns of the loop it takes, at most, until a transport that was aborted is closed.
_TURNS_TO_CLOSE = 10
_TLS_DETAILS = ("peercert", "cipher", "compression", "sslcontext", "ssl_object")


class Handshake(asyncio.Protocol):
    """TLS of a connection; :class:`~aiosmtpd.transport.ConnectionProtocol` has the rest."""

    _original_transport: asyncio.BaseTransport | None = None
    _handshaking = False

    if TYPE_CHECKING:
        transport: asyncio.Transport | None
        session: Session
        _connection: Connection
        _reading_paused: bool

        @property
        def loop(self) -> asyncio.AbstractEventLoop: ...
        def _flush(self) -> None: ...

    @property
    def _tls_protocol(self) -> asyncio.Transport | None:
        """The transport if it is encrypted, else None: TLS is what the transport says."""
        transport = self.transport
        if transport is None or not isinstance(
            transport.get_extra_info("sslcontext"), ssl.SSLContext
        ):
            return None
        return transport

    async def _start_tls(self, context: ssl.SSLContext, handshake_timeout: float | None) -> None:
        """Put TLS on the connection; what the client sent before it is forgotten.

        Raises:
            OSError: the handshake failed (``ssl.SSLError``, ``ConnectionError``, ``TimeoutError``); the
                connection is then over.
        """
        self._flush()
        self._connection.start_tls()
        plain = self.transport
        if plain is None:
            raise ConnectionResetError("the connection was lost")
        self._original_transport = plain
        self._handshaking = True
        try:
            transport = await self.loop.start_tls(
                plain,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=handshake_timeout or None,
            )
            if transport is None:
                raise ConnectionResetError("the connection was lost in the TLS handshake")
        except BaseException as error:
            plain.abort()
            await self._lose_handshake(error)
            raise
        finally:
            self._handshaking = False
        self.transport = transport
        self._reading_paused = False
        self._learn_tls()

    async def _lose_handshake(self, error: BaseException) -> None:
        """See that ``connection_lost`` is called, once, after a handshake that failed.

        The event loop does it some turns later, or not at all: it depends on how the handshake ended.
        """
        for _ in range(_TURNS_TO_CLOSE):
            await asyncio.sleep(0)
            if self.transport is None:
                return
        self.connection_lost(error if isinstance(error, Exception) else None)

    def _learn_tls(self) -> None:
        transport = self._tls_protocol
        if transport is not None:
            self.session.ssl = {key: transport.get_extra_info(key) for key in _TLS_DETAILS}
