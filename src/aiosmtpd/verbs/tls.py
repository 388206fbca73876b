"""STARTTLS (RFC 3207)."""

from __future__ import annotations

import inspect
import logging

from ..protocol import reply as replies
from .base import Verbs, syntax, warn_deprecated

__all__ = ["TLSSetupException", "TlsVerbs"]

log = logging.getLogger("mail.log")


class TLSSetupException(Exception):
    """TLS could not be set up on a connection."""


class TlsVerbs(Verbs):
    """The verb that puts TLS on the connection."""

    @syntax("STARTTLS", when="tls_context")
    async def smtp_STARTTLS(self, arg: str | None) -> None:
        """Begin TLS (RFC 3207); what the client said before is forgotten."""
        if arg:
            await self.push("501 Syntax: STARTTLS")
            return
        if self._tls_protocol is not None:
            await self.push(replies.TLS_ACTIVE)
            return
        if self.tls_context is None:
            await self.push(replies.TLS_UNAVAILABLE)
            return
        await self.push(replies.START_TLS)
        try:
            await self._start_tls(self.tls_context, self._timeout_duration)
        except OSError as error:
            # The client's doing mostly, such as a scanner's.
            log.warning("%r TLS handshake failed: %r", self.session.peer, error)
            failure = TLSSetupException(f"the TLS handshake failed: {error}")
            failure.__cause__ = error
            await self._report_tls_failure(failure)
            raise ConnectionResetError("the TLS handshake failed") from error
        self._forget_client()
        self._answers = None  # what may be answered at once depends on TLS
        if self._streamed is not None:
            await self._end_stream()
        self._tls_handshake_okay = False
        try:
            self._tls_handshake_okay = await self._ask_tls_hook()
        except Exception as error:
            # The client expects no reply now: what it is told is 554, as if the hook had refused.
            log.exception("%r handle_STARTTLS failed", self.session.peer)
            await self._report_tls_failure(error)

    async def _report_tls_failure(self, error: Exception) -> None:
        """Tell ``handle_exception`` of an error that nobody can be answered for."""
        hook = self._find_hook("handle_exception")
        if hook is None:
            return
        try:
            outcome = hook(error)
            if inspect.isawaitable(outcome):
                await outcome
        except Exception:
            log.exception("%r Exception in handle_exception()", self.session.peer)

    def _forget_client(self) -> None:
        """Forget what the client said of itself, and only that (RFC 3207 section 4.2)."""
        session = self.session
        session.host_name = None
        session.extended_smtp = False
        session.authenticated = None
        session.auth_data = session.auth_identity = session._login_data = None
        self._set_rset_state()

    async def _ask_tls_hook(self) -> bool:
        """Let the handler judge the handshake, by the hook of 1.4 or of 1.0."""
        hook = self._find_hook("handle_STARTTLS")
        old_hook = self._find_hook("handle_tls_handshake") if hook is None else None
        if hook is not None:
            accepted = hook(self, self.session, self.envelope)
        elif old_hook is not None:
            warn_deprecated("handler.handle_STARTTLS()", "handler.handle_tls_handshake()")
            accepted = old_hook(self.session)
        else:
            return True
        return bool(await accepted if inspect.isawaitable(accepted) else accepted)
