"""The SMTP server: its verbs and its policy (RFC 5321).

A verb reads as: parse, gate, hook, change the envelope, push. What the client may send is the engine's
business, what it may ask for by parameters that of the extensions, and how octets travel that of the
driver. Verbs, hooks and mechanisms are found on the instance by name, so that a subclass or a handler
adds one by defining it.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import socket
import ssl
import warnings
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from sys import intern
from typing import TYPE_CHECKING, Any, ClassVar

from . import __version__
from .auth import (
    AuthCallbackType,
    AuthenticatorType,
    AuthResult,
    LoginPassword,
    login_always_fail,
    sanitize,
    sanitized_log,
)
from .extensions import DEFAULT, Extension, table_of
from .protocol import (
    AUTH_LINE_LIMIT,
    BadCommand,
    BodyIncomplete,
    Command,
    CommandTooLong,
    NonAsciiCommand,
    ProtocolError,
)
from .protocol import reply as replies
from .session import Envelope, Session
from .settings import (
    checked_call_limits,
    checked_callable,
    checked_failure_limit,
    checked_mechanisms,
    checked_names,
)
from .transport import ConnectionProtocol
from .verbs import (
    MISSING,
    AtOnce,
    AuthMechanismType,
    AuthVerbs,
    ChunkVerbs,
    Gates,
    ProxyOpening,
    SessionVerbs,
    TLSSetupException,
    TlsVerbs,
    auth_mechanism,
    note_own_methods,
    syntax,
)
from .verbs.base import _Missing
from .verbs.session import is_old_ehlo_hook

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from .auth import Mechanism
    from .networks import Networks

__all__ = [
    "BOGUS_LIMIT",
    "CALL_LIMIT_DEFAULT",
    "DATA_SIZE_DEFAULT",
    "MISSING",
    "SMTP",
    "AuthCallbackType",
    "AuthMechanismType",
    "AuthResult",
    "AuthenticatorType",
    "Envelope",
    "LoginPassword",
    "Session",
    "TLSSetupException",
    "_Missing",
    "__ident__",
    "__version__",
    "auth_mechanism",
    "login_always_fail",
    "sanitize",
    "sanitized_log",
    "syntax",
]

__ident__ = f"Python SMTP {__version__}"
log = logging.getLogger("mail.log")

BOGUS_LIMIT = 5
"""How many unrecognized commands end a connection."""

CALL_LIMIT_DEFAULT = 20
"""How often a verb may be sent that a ``command_call_limit`` dict does not name."""

DATA_SIZE_DEFAULT = 2**25
"""The default of ``data_size_limit``: 33,554,432 octets."""

AUTH_FAILURE_LIMIT_DEFAULT = 10
"""The default of ``auth_failure_limit``."""

HANDLER_TIMEOUT_DEFAULT = 600.0
"""The default of ``handler_timeout``: after so many seconds a client gives up (RFC 5321 4.5.3.2.6)."""

SenderPolicy = Callable[[Any, Session, Envelope, str], bool | str | Awaitable[bool | str]]
"""``policy(server, session, envelope, reverse_path)``, plain or async."""

# Faults of a line of which no command could be read.
_UNREAD = (BadCommand, CommandTooLong, NonAsciiCommand)
_DEFAULT_TABLE = table_of(DEFAULT)
_OF_TRANSACTION = frozenset({"MAIL", "RCPT", "DATA"})
ALLOWED_BEFORE_STARTTLS = frozenset({"EHLO", "LHLO", "NOOP", "QUIT", "STARTTLS"})


async def _missing() -> _Missing:
    return MISSING


@functools.cache
def _resolved_hostname(resolver: Callable[[], str]) -> str:
    # Asked once a process: it may take the DNS, and each connection makes an SMTP.
    return resolver()


class SMTP(
    ChunkVerbs, SessionVerbs, TlsVerbs, AuthVerbs, AtOnce, Gates, ProxyOpening, ConnectionProtocol
):
    """One connection of an SMTP server.

    Make one a connection, as the protocol factory of ``loop.create_server``, or let
    :class:`~aiosmtpd.controller.Controller` or :func:`~aiosmtpd.server.serve` do it.

    Args:
        handler: the object whose ``handle_*`` hooks are called.
        data_size_limit: the largest message in octets; None or 0 for any.
        enable_SMTPUTF8: offer SMTPUTF8 (RFC 6531).
        decode_data: hand ``envelope.content`` on as ``str``.
        hostname: the name in the greeting; the machine's own if None.
        ident: the rest of the greeting.
        tls_context: makes STARTTLS possible (RFC 3207).
        require_starttls: with a ``tls_context``, refuse nearly everything before TLS.
        timeout: seconds that a client may stay silent.
        auth_required: refuse mail before AUTH.
        auth_require_tls: neither offer nor accept AUTH without TLS.
        auth_exclude_mechanism: names of mechanisms not to offer and not to accept.
        auth_callback: deprecated; use ``authenticator``.
        command_call_limit: how often each verb may be sent, as a number or a dict by verb with
            ``"*"`` for the others; None for any.
        authenticator: plain or async callable that judges credentials and returns an
            :class:`AuthResult`.
        proxy_protocol_timeout: seconds in which the PROXY header must come; None if none is expected.
        loop: the event loop; the running one if None.
        handler_timeout: seconds that handling one command may take, then 451; None for any.
        extensions: the ESMTP extensions, instead of :data:`aiosmtpd.extensions.DEFAULT`.
        auth_mechanisms: the SASL mechanisms, instead of
            :data:`aiosmtpd.auth.DEFAULT_MECHANISMS`.
        auth_failure_limit: how many AUTH commands may fail before the connection is ended; None for
            any number.
        sender_policy: plain or async callable that is asked about each MAIL,
            ``policy(server, session, envelope, reverse_path)``; it returns whether the client may use
            that reverse-path, or the reply that refuses it.
        proxy_networks: the networks of the proxies that must begin with a PROXY header, and are
            believed; others are served without. None expects a header of everybody, or of nobody
            without ``proxy_protocol_timeout``, which is 5 seconds here unless given.

    Attributes:
        parameters: those of the MAIL or RCPT that is handled, as ``envelope.mail_parameters`` has them.

    Raises:
        TypeError: an argument is of another type than it should be: a single string instead of a list
            of names, say, or a class instead of an object.
        ValueError: ``proxy_protocol_timeout`` or ``auth_failure_limit`` is not positive, or one of
            ``proxy_networks`` is none.
        RuntimeError: ``handle_EHLO`` of the handler has neither of its two forms.
    """

    __slots__ = (
        *("_answers", "_auth_required", "_decode_data", "_handler_lists_hooks", "_table"),
        *("_unanswered", "data_size_limit", "enable_SMTPUTF8", "event_handler"),
        *("hostname", "parameters"),
    )
    command_size_limit = 512
    command_size_limits: ClassVar[dict[str, int]] = defaultdict(lambda: SMTP.command_size_limit)
    line_length_limit = 1001
    local_part_limit = 0
    #: How many recipients a transaction may have; those behind them are answered 452.
    recipient_limit = 50_000
    #: Of how many domains the recipients of a session may be; None for any number.
    recipient_domain_limit: int | None = None
    extensions: tuple[Extension, ...] = DEFAULT
    __ident__ = __ident__
    _greeting_verb = "HELO"

    # What most servers leave as it is stays here, so that an idle connection is small.
    tls_context: ssl.SSLContext | None = None
    require_starttls = False
    _tls_handshake_okay = True
    _auth_require_tls = True
    _authenticator: AuthenticatorType | None = None
    _auth_callback: AuthCallbackType | None = None
    _auth_excluded: frozenset[str] = frozenset()
    _auth_failure_limit: int | None = AUTH_FAILURE_LIMIT_DEFAULT
    _sender_policy: SenderPolicy | None = None
    _call_limits: dict[str, int] | None = None
    _call_counts: dict[str, int]
    _bogus_count = 0
    _recipient_domains: set[str] | None = None
    _verb = ""
    _old_ehlo_hook = False

    def __init__(
        self,
        handler: Any,
        *,
        data_size_limit: int | None = DATA_SIZE_DEFAULT,
        enable_SMTPUTF8: bool = False,
        decode_data: bool = False,
        hostname: str | None = None,
        ident: str | None = None,
        tls_context: ssl.SSLContext | None = None,
        require_starttls: bool = False,
        timeout: float | None = 300,
        auth_required: bool = False,
        auth_require_tls: bool = True,
        auth_exclude_mechanism: Iterable[str] | None = None,
        auth_callback: AuthCallbackType | None = None,
        command_call_limit: int | dict[str, int] | None = None,
        authenticator: AuthenticatorType | None = None,
        proxy_protocol_timeout: float | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        handler_timeout: float | None = HANDLER_TIMEOUT_DEFAULT,
        extensions: Iterable[Extension] | None = None,
        auth_mechanisms: Iterable[type[Mechanism]] | None = None,
        auth_failure_limit: int | None = AUTH_FAILURE_LIMIT_DEFAULT,
        sender_policy: SenderPolicy | None = None,
        proxy_networks: Iterable[str | IPv4Network | IPv6Network] | Networks | None = None,
    ) -> None:
        if ident:
            self.__ident__ = ident
        self.event_handler = handler
        self.data_size_limit = data_size_limit
        self.enable_SMTPUTF8 = enable_SMTPUTF8
        self.hostname = hostname or _resolved_hostname(socket.getfqdn)
        self._decode_data = decode_data
        if extensions is not None:
            self.extensions = tuple(extensions)
        self._table = _DEFAULT_TABLE if self.extensions is DEFAULT else table_of(self.extensions)
        self.parameters: Mapping[str, Any] = {}
        self._unanswered = self._answers = None
        if tls_context is not None:
            self._set_up_tls(tls_context, require_starttls)
        self._auth_required = auth_required
        if not auth_require_tls or (auth_exclude_mechanism, auth_mechanisms) != (None, None):
            self._set_up_auth(auth_require_tls, auth_exclude_mechanism, auth_mechanisms)
        if authenticator is not None or auth_callback is not None or sender_policy is not None:
            self._set_up_judges(authenticator, auth_callback, sender_policy)
        if command_call_limit is not None or auth_failure_limit != AUTH_FAILURE_LIMIT_DEFAULT:
            self._set_up_limits(command_call_limit, auth_failure_limit)
        if proxy_protocol_timeout is not None or proxy_networks is not None:
            proxy_protocol_timeout = self._set_up_proxy(proxy_protocol_timeout, proxy_networks)
        super().__init__(
            timeout=timeout,
            proxy_timeout=proxy_protocol_timeout,
            handler_timeout=handler_timeout,
            utf8=enable_SMTPUTF8,
            loop=loop,
        )
        self._note_peculiarities()

    def _set_up_tls(self, context: ssl.SSLContext, required: bool) -> None:
        self.tls_context = context
        self.require_starttls = required
        if context.verify_mode not in (ssl.CERT_NONE, ssl.CERT_OPTIONAL):
            log.warning(
                "tls_context.verify_mode not in {CERT_NONE, CERT_OPTIONAL}; "
                "this might cause client connection problems"
            )
        if context.check_hostname:
            log.warning(
                "tls_context.check_hostname == True; this might cause client connection problems"
            )

    def _set_up_auth(
        self,
        require_tls: bool,
        excluded: Iterable[str] | None,
        mechanisms: Iterable[type[Mechanism]] | None,
    ) -> None:
        if excluded is not None:
            self._auth_excluded = checked_names("auth_exclude_mechanism", excluded)
        if mechanisms is not None:
            self._mechanisms = checked_mechanisms("auth_mechanisms", mechanisms)
        if not require_tls:
            self._auth_require_tls = False
        if self._auth_required and not require_tls:
            warnings.warn(
                "Requiring AUTH while not requiring TLS can lead to security vulnerabilities!",
                stacklevel=3,
            )
            log.warning("auth_required == True but auth_require_tls == False")

    def _set_up_judges(
        self,
        authenticator: AuthenticatorType | None,
        callback: AuthCallbackType | None,
        policy: SenderPolicy | None,
    ) -> None:
        if authenticator is not None:
            self._authenticator = checked_callable("authenticator", authenticator, instance=True)
        if callback is not None:
            self._auth_callback = checked_callable("auth_callback", callback)
            warnings.warn(
                "auth_callback is deprecated; use authenticator", DeprecationWarning, stacklevel=3
            )
        if policy is not None:
            self._sender_policy = checked_callable("sender_policy", policy)

    def _set_up_limits(self, calls: int | dict[str, int] | None, auth_failures: int | None) -> None:
        self._auth_failure_limit = checked_failure_limit("auth_failure_limit", auth_failures)
        if calls is not None:
            self._call_limits = checked_call_limits(calls, CALL_LIMIT_DEFAULT)
            self._call_counts = {}

    def _note_peculiarities(self) -> None:
        """Note what is otherwise than with most handlers, logs and extensions."""
        if self._table.filters:
            self._filtering = True
        if self._verbose:
            self._log_mechanisms()
        # A mock or a proxy makes up attributes as they are asked for; its hooks are those it lists.
        self._handler_lists_hooks = hasattr(type(self.event_handler), "__getattr__")
        hook = self._find_hook("handle_EHLO")
        if hook is not None and is_old_ehlo_hook(hook):
            self._old_ehlo_hook = True

    def _log_mechanisms(self) -> None:
        names = (
            f"{name}(builtin)" if mechanism.is_builtin else name
            for name, mechanism in sorted(self._auth_methods.items())
        )
        log.info("Available AUTH mechanisms: %s", " ".join(names))

    @property
    def _call_limit_default(self) -> int | None:
        """How often a verb may be sent that has no limit of its own; None for any."""
        return None if self._call_limits is None else self._call_limits["*"]

    # -- what subclasses override -----------------------------------------------------------------

    def _create_session(self) -> Session:
        return Session(self.loop)

    def _create_envelope(self) -> Envelope:
        return Envelope()

    def _set_post_data_state(self) -> None:
        """End the transaction after DATA."""
        self.envelope = self._create_envelope()

    def _set_rset_state(self) -> None:
        """End the transaction without a message (RFC 5321 section 4.1.1.5)."""
        if self._streamed is not None:
            self._give_up_stream()
        self.envelope = self._create_envelope()

    @property
    def max_command_size_limit(self) -> int:
        """The largest of the limits on command lines, in octets without the CRLF."""
        return max((self.command_size_limit, *self.command_size_limits.values()))

    async def handle_exception(self, error: Exception) -> str:
        """Turn an exception that nobody expected into a reply.

        The handler's ``handle_exception`` is asked; without one the exception is logged, and the
        client is told nothing but 451, unless the event loop is in debug mode.
        """
        hook = self._find_hook("handle_exception")
        if hook is not None:
            status = hook(error)
            if inspect.isawaitable(status):  # the documentation of 1.4 had it plain
                status = await status
            if not isinstance(status, (str, bytes)):
                raise TypeError(f"handle_exception returned {status!r}, not a reply")
            return status  # type: ignore[return-value]
        log.exception("%r SMTP session exception", self.session.peer, exc_info=error)
        if self.loop.get_debug():
            text = f"Error: ({type(error).__name__}) {error}".splitlines()[0]
            return replies.Reply(451, "4.3.0", text)
        return replies.LOCAL_ERROR

    # -- the connection ---------------------------------------------------------------------------

    def _command_limit(self) -> int:
        limit = self.max_command_size_limit if self.command_size_limits else self.command_size_limit
        limit += self._table.longest + 2
        return limit if limit > AUTH_LINE_LIMIT else AUTH_LINE_LIMIT  # quicker than max()

    def _run_command(self, command: Command) -> Awaitable[None]:
        """Gate a command by what holds for all verbs, and give its verb's coroutine."""
        verb = command.verb
        if (
            verb not in _OF_TRANSACTION
        ):  # of those, hardly any hook changes how commands are answered
            self._answers = None
        if self._filtering:
            self._verb = verb
        self._verbose = log.isEnabledFor(logging.INFO)
        if self._verbose:
            self._log_command(command)
        if (
            command.size > self.command_size_limit or self.command_size_limits
        ) and command.size > self._size_limit_of(verb):
            return self._turn_away(command, replies.COMMAND_TOO_LONG)
        if (
            self.require_starttls
            and verb not in ALLOWED_BEFORE_STARTTLS
            and self._tls_protocol is None
        ):
            return self._turn_away(command, replies.STARTTLS_REQUIRED)
        if not self._tls_handshake_okay and verb != "QUIT":  # RFC 3207 section 4.1
            return self._turn_away(command, replies.TLS_REFUSED)
        if self._call_limits is not None and self._is_over_limit(verb):
            return self._hang_up(replies.sent_too_many_times(verb))
        # Python remembers where it found a name, but only by the very same string.
        method = getattr(self, intern("smtp_" + verb), None) or self._find_verb(verb)
        return self._answer_unknown(verb) if method is None else method(command.argument)

    def _turn_away(self, command: Command, status: str) -> Awaitable[None]:
        """Refuse a command without asking its verb."""
        return (
            self._turn_auth_away(status)
            if command.verb == "AUTH"
            else super()._turn_away(command, status)
        )

    def _filter_reply(self, status: str | bytes) -> str | bytes:
        for extension in self._table.filters:
            status = extension.filter_reply(self, self._verb, status)
        return status

    def _find_verb(self, verb: str) -> Callable[[str | None], Awaitable[None]] | None:
        """Give the coroutine function of a verb, of the server or of an extension, or None."""
        method: Callable[[str | None], Awaitable[None]] | None = getattr(self, "smtp_" + verb, None)
        if method is None and (added := self._table.verbs.get(verb)) is not None:
            return functools.update_wrapper(functools.partial(added, self), added)
        return method

    def _log_command(self, command: Command) -> None:
        verb, argument = command.verb, command.argument
        if self._may_be_secret(verb):
            verb, argument = "********", None
        elif verb == "AUTH" and argument and argument.split()[0].upper() not in self._auth_methods:
            argument = "********"  # a client may have left out the mechanism
        line = verb if argument is None else f"{verb} {argument}"
        octets = line.encode("utf-8", "surrogateescape")
        sanitized_log(log.debug, "_handle_client readline: %r", octets + b"\r\n")
        sanitized_log(log.info, "%r >> %r", self.session.peer, octets)

    def _size_limit_of(self, verb: str) -> int:
        if verb == "AUTH":
            return AUTH_LINE_LIMIT
        limit = self.command_size_limits.get(verb, self.command_size_limit)
        session = self.session
        if session is None or session.extended_smtp:
            limit += self._table.longer.get(verb, 0)
        return limit

    def _count_anew(self) -> None:
        """Forget what counts towards the limits of a session, for another client's begins."""
        self._auth_failures = self._bogus_count = 0
        self._recipient_domains = None
        if self._call_limits is not None:
            self._call_counts = {}

    def _is_over_limit(self, verb: str) -> bool:
        assert self._call_limits is not None
        count = self._call_counts[verb] = self._call_counts.get(verb, 0) + 1
        return count > self._call_limits.get(verb, self._call_limits["*"])

    async def _answer_unknown(self, verb: str) -> None:
        secret = self._may_be_secret(verb)
        if secret:
            self._verbose = False  # the reply repeats it
        log.warning("%r unrecognised: %s", self.session.peer, "********" if secret else verb)
        self._bogus_count += 1
        if self._bogus_count >= BOGUS_LIMIT:
            log.warning("%r too many bogus commands", self.session.peer)
            await self._hang_up(replies.TOO_MANY_BOGUS)
            return
        await self.push(replies.command_unknown(verb))

    async def _hang_up(self, status: str) -> None:
        """Say a last reply."""
        await self.push(status)
        self._connection.end()

    async def _answer_exception(self, error: Exception) -> None:
        """Answer an exception of a hook or a verb; the transaction ends with it."""
        try:
            status = await self.handle_exception(error)
        except Exception:
            log.exception("%r Exception in handle_exception()", self.session.peer)
            status = replies.LOCAL_ERROR
        self._set_rset_state()
        await self._answer(status)

    async def _answer(self, status: str | bytes) -> None:
        """Answer the command that runs; a message as often as the protocol wants."""
        if self._unanswered is None:
            await self.push(status)
        else:
            await self._push_data_status(status, self._unanswered)
            self._unanswered = None

    async def _answer_overdue(self) -> None:
        """Answer a command whose hook took too long; the transaction ends with it."""
        self._set_rset_state()
        await self._answer(replies.HOOK_TIMED_OUT)

    async def _refuse(self, fault: ProtocolError) -> None:
        """Answer a fault of the client, if there is still somebody to answer."""
        if self._unanswered is not None:
            self._set_rset_state()
        if (
            self._filtering
            and isinstance(fault, _UNREAD)
            and self._challenged != self._replies_sent
        ):
            self._verb = ""  # it was no response in AUTH, so nobody knows what the command was
        if not (isinstance(fault, BodyIncomplete) and self._connection.eof):
            await self._answer(fault.reply)
        if isinstance(fault, CommandTooLong):  # what it was is not known; it may have been AUTH
            self._note_auth_refused()
        if fault.is_last:
            self._connection.end()

    # -- hooks ------------------------------------------------------------------------------------

    def _find_hook(self, name: str) -> Any:
        """Give a hook of the handler, or None."""
        if self._handler_lists_hooks and name not in dir(self.event_handler):
            return None
        return getattr(self.event_handler, name, None)

    def _call_handler_hook(self, command: str, *args: Any) -> Awaitable[Any]:
        """Call ``handle_<command>``; await what it returns, or ``MISSING`` if there is none."""
        hook = (
            self._find_hook("handle_" + command)
            if self._handler_lists_hooks
            else getattr(self.event_handler, intern("handle_" + command), None)
        )
        if hook is None:
            return _missing()
        awaitable: Awaitable[Any] = hook(self, self.session, self.envelope, *args)
        return awaitable

    def _default_for(self, status: Any, default: Any, command: str) -> Any:
        """Give the reply of a hook, or the verb's own where there is no hook or it returned None."""
        if status is MISSING:
            return default
        if status is None:
            log.warning("%r handle_%s returned no reply", self.session.peer, command)
            return default
        return status


note_own_methods(SMTP)
# For the controllers, which ask late: a test may have put something else in its place by then.
_SMTP = SMTP
