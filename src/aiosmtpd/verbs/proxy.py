"""How a connection opens: the header of the PROXY protocol, whom to believe it, and the greeting.

With a list of networks a header is expected of the proxies in it, and believed; everybody else is
served as without the protocol. Without a list, as in 1.4, it is expected of everybody, and a hook
decides on it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..protocol import ProxyHeader
from .at_once import OPENING
from .base import MISSING, Verbs

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from ..networks import Networks
    from ..protocol.proxy import ProxyData

__all__ = ["ProxyOpening"]

log = logging.getLogger("mail.log")

_TIMEOUT_DEFAULT = 5.0


class ProxyOpening(Verbs):
    """How a connection opens, behind a proxy or not."""

    _proxy_networks: Networks | None = None

    def _set_up_proxy(
        self,
        seconds: float | None,
        networks: Iterable[str | IPv4Network | IPv6Network] | Networks | None,
    ) -> float:
        """Keep the networks; give how long to wait for a header, in seconds."""
        if networks is not None:
            from ..networks import networks_of  # here: it brings ipaddress, which few servers need

            self._proxy_networks = networks_of("proxy_networks", networks)
        if seconds is None:
            return _TIMEOUT_DEFAULT
        if seconds <= 0:
            raise ValueError("proxy_protocol_timeout must be > 0")
        if seconds < 3.0:
            log.warning("proxy_protocol_timeout < 3.0")
        return seconds

    def _open_at_once(self) -> bool:
        """Greet, if nobody has a say in it; tell whether that was all."""
        if (
            self._verbose
            or self._filtering
            or self._proxy_timeout is not None
            or not self._has_own(OPENING)
        ):
            return False
        self._idle = True  # before the client can answer
        self._replies_sent += 1
        self.transport.write(self._connection.encode(self._greeting()))  # type: ignore[union-attr]
        return True

    async def _open(self) -> None:
        """Read the PROXY header if one is expected, and greet."""
        accepted = False
        try:
            accepted = self._proxy_timeout is None or await self._accept_proxy()
        finally:
            if not accepted:  # also where the hook failed
                self._connection.end()
        if accepted:
            await self.push(self._greeting())

    def _greeting(self) -> str:
        return f"220 {self.hostname} {self.__ident__}"

    def _expects_proxy(self) -> bool:
        networks = self._proxy_networks
        return networks is None or networks.has_peer(self.session.peer)

    async def _accept_proxy(self) -> bool:
        """Read the header; tell whether the connection may go on."""
        event = await self._next_event()
        if not isinstance(event, ProxyHeader):
            return False
        data = self.session.proxy_data = event.data
        if self._proxy_networks is not None:
            self._believe(data)
        if not data.valid:
            log.warning("%r invalid PROXY header: %s", self.session.peer, data.error)
            return False
        accepted = await self._call_handler_hook("PROXY", data)
        if accepted is MISSING:
            if self._proxy_networks is not None:
                return True
            log.warning("%r the handler has no handle_PROXY", self.session.peer)
            return False
        return bool(accepted)

    def _believe(self, data: ProxyData) -> None:
        """Take the client's address from the header of a listed proxy."""
        if data.valid and data.checksum_ok is False:  # PP 2.2.3: it must not be accepted
            data.with_error("PROXYv2 wrong checksum")
        source = data.source
        if source is not None:
            log.info("%r is a proxy for %r", self.session.peer, source)
            self.session.peer = source
