"""What the verbs share: the face of the server that they see, and ``MISSING``.

The verbs of :class:`aiosmtpd.smtp.SMTP` are written in the modules of this package, a group each, as
classes that it inherits from. :class:`Verbs` declares what they use of it and of the driver.
"""

from __future__ import annotations

import enum
import warnings
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ..extensions import syntax

if TYPE_CHECKING:
    import asyncio
    import ssl

    from ..auth import AuthCallbackType, AuthenticatorType
    from ..extensions import Extension, ExtensionTable
    from ..protocol import Connection, Event
    from ..session import Envelope, Session
    from .at_once import Methods

__all__ = ["MISSING", "Verbs", "_Missing", "syntax", "warn_deprecated"]


class _Missing(enum.Enum):
    MISSING = object()


MISSING = _Missing.MISSING
"""There is nothing: no such hook, or no response of the client."""


def warn_deprecated(new: str, old: str) -> None:
    """Warn that a hook is old.

    Args:
        new: what to use.
        old: what is used.
    """
    warnings.warn(f"Use {new} instead of {old}", DeprecationWarning, stacklevel=3)


class Verbs:
    """What the groups of verbs use of the server; it holds declarations only."""

    if TYPE_CHECKING:
        session: Session
        envelope: Envelope
        event_handler: Any
        hostname: str
        command_size_limit: int
        command_size_limits: ClassVar[dict[str, int]]
        data_size_limit: int | None
        enable_SMTPUTF8: bool
        tls_context: ssl.SSLContext | None
        line_length_limit: int
        require_starttls: bool
        local_part_limit: int
        recipient_limit: int
        recipient_domain_limit: int | None
        _recipient_domains: set[str] | None
        extensions: tuple[Extension, ...]
        parameters: Mapping[str, Any]
        _table: ExtensionTable
        transport: asyncio.Transport | None
        _answers: Any
        _authenticator: AuthenticatorType | None
        _auth_callback: AuthCallbackType | None
        _auth_excluded: frozenset[str]
        _auth_require_tls: bool
        _auth_required: bool
        _call_limits: dict[str, int] | None
        _connection: Connection
        _decode_data: bool
        _filtering: bool
        _greeting_verb: str
        __ident__: str
        _handler_lists_hooks: bool
        _handler_timeout: float | None
        _loop: asyncio.AbstractEventLoop
        _idle: bool
        _old_ehlo_hook: bool
        _overdue: int
        _proxy_timeout: float | None
        _met: Any
        _replies_sent: int
        _since: float
        _streamed: Any
        _timeout_duration: float | None
        _tls_handshake_okay: bool
        _sender_policy: Any
        _unanswered: list[str] | None  # whom a message is for that was not answered yet
        _verbose: bool
        _write_waiter: asyncio.Future[None] | None

        @property
        def _tls_protocol(self) -> Any: ...

        def _take_in(self, data: bytes) -> None: ...
        async def push(self, status: str | bytes) -> None: ...
        async def _push_lines(self, lines: list[str]) -> None: ...
        async def check_helo_needed(self, helo: str = ...) -> bool: ...
        async def check_auth_needed(self, caller_method: str) -> bool: ...
        def _call_handler_hook(self, command: str, *args: Any) -> Awaitable[Any]: ...
        async def _end_stream(self) -> None: ...
        def _close(self) -> None: ...
        def _finish_at_once(self) -> None: ...
        async def _next_event(self) -> Event: ...
        def _find_verb(self, verb: str) -> Callable[[str | None], Awaitable[None]] | None: ...
        def _is_in_order(self, verb: str) -> bool: ...
        def _has_own(self, methods: Methods) -> bool: ...
        def _replies_plainly(self) -> bool: ...
        def _may_come(self, verb: str) -> bool: ...
        def _receive(self) -> Awaitable[None]: ...
        def _wake_reader(self) -> None: ...
        async def _start_tls(
            self, context: ssl.SSLContext, handshake_timeout: float | None
        ) -> None: ...
        def _find_hook(self, name: str) -> Any: ...
        def _forget_client(self) -> None: ...
        def _count_anew(self) -> None: ...
        def _default_for(self, status: Any, default: Any, command: str) -> Any: ...
        async def _receive_chunk(self, arg: str | None) -> None: ...
        def _getaddr(self, arg: str) -> tuple[str | None, str | None]: ...
        async def _refused_by_policy(self, address: str) -> str | None: ...
        def _strip_command_keyword(self, keyword: str, arg: str) -> str | None: ...
        def _set_post_data_state(self) -> None: ...
        def _set_rset_state(self) -> None: ...
        def _syntax_of(self, method: Callable[..., Any]) -> str: ...
        def _advertised_mechanisms(self) -> list[str]: ...
