"""The AUTH command (RFC 4954): between the wire and the mechanisms.

A mechanism is a :class:`~aiosmtpd.auth.Mechanism`, which is driven here, or a method ``auth_NAME`` of
the handler or of the server, which is called. Each failure is answered exactly once, whoever answers it;
one too many ends the connection.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import functools
import inspect
import logging
import re
import warnings
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from .. import auth as sasl
from ..auth import AuthResult, LoginPassword
from ..protocol import AuthResponse, phase_of, refusal
from ..protocol import reply as replies
from .at_once import NO_ANSWERS
from .base import MISSING, Verbs, _Missing, syntax, warn_deprecated

if TYPE_CHECKING:
    from ..auth import Context, Mechanism
    from ..session import Envelope, Session

__all__ = ["AuthMechanismType", "AuthVerbs", "auth_mechanism"]

log = logging.getLogger("mail.log")

VALID_AUTHMECH = re.compile(r"[A-Z0-9_-]+\Z")

AuthMechanismType = Callable[[Any, list[str]], Awaitable[Any]]
"""``async auth_NAME(server, args)``, which returns an :class:`AuthResult`."""


_Method = TypeVar("_Method", bound=Callable[..., Any])


class _AuthMechAttr(NamedTuple):
    method: AuthMechanismType
    is_builtin: bool


def auth_mechanism(actual_name: str) -> Callable[[_Method], _Method]:
    """Name the mechanism that a method ``auth_...`` implements, whatever the method is called.

    Args:
        actual_name: the mechanism's name; letters are put in upper case.

    Raises:
        ValueError: ``actual_name`` is no mechanism name (RFC 4422 section 3.1).
    """
    name = actual_name.upper()
    if not VALID_AUTHMECH.match(name):
        raise ValueError(f"Invalid AUTH mechanism name: {actual_name}")

    def decorate(method: _Method) -> _Method:
        method.__auth_mechanism_name__ = name  # type: ignore[attr-defined]
        return method

    return decorate


@functools.lru_cache(maxsize=64)
def _attributes_of(kind: Any) -> tuple[str, ...]:
    return tuple(name for name in dir(kind) if name.startswith("auth_"))


def _attributes_of_handler(handler: object) -> tuple[str, ...]:
    kind: Any = type(handler)
    if kind.__dir__ is object.__dir__ and not hasattr(kind, "__getattr__"):
        own = getattr(handler, "__dict__", ())
        return *_attributes_of(kind), *(name for name in own if name.startswith("auth_"))
    return tuple(name for name in dir(handler) if name.startswith("auth_"))


def _mechanisms_of(
    owner: object, attributes: Iterable[str], *, is_builtin: bool
) -> dict[str, _AuthMechAttr]:
    found = {}
    for attribute in attributes:
        if callable(method := getattr(owner, attribute)):
            name = getattr(method, "__auth_mechanism_name__", None)
            if not isinstance(name, str):
                name = attribute.removeprefix("auth_").replace("__", "-")
            found[name.upper()] = _AuthMechAttr(method, is_builtin)
    return found


class AuthVerbs(Verbs):
    """AUTH, and the mechanisms that are built in."""

    AuthLoginUsernameChallenge = "User Name\x00"
    AuthLoginPasswordChallenge = "Password\x00"
    _mechanisms: tuple[type[Mechanism], ...] | None = None  # the default ones
    _auth_failure_limit: int | None = 10
    _auth_failures = 0
    _sender_policy: Callable[[Any, Session, Envelope, str], Any] | None = None
    # How many replies had been sent when the last challenge was, and when the last AUTH had failed.
    _challenged = 0
    _auth_failed = -2

    # -- which mechanisms there are ---------------------------------------------------------------

    @property
    def _auth_methods(self) -> dict[str, _AuthMechAttr]:
        """The mechanisms by name that there is something for to ask; the handler's go first."""
        abilities = self._abilities()
        methods = {
            mechanism.name: _AuthMechAttr(functools.partial(self._auth, mechanism), True)
            for mechanism in self._configured_mechanisms()
            if mechanism.needs is None or mechanism.needs in abilities
        }
        # Those of the class: to list what an instance has makes all its attributes slower to find.
        kind: Any = type(self)
        own = _mechanisms_of(self, _attributes_of(kind), is_builtin=True)
        for name, method in own.items():
            # What 1.4 had as methods is there for subclasses; it counts only where it is configured.
            if name in methods or not _is_own(method.method):
                methods[name] = method
        handler = self.event_handler
        methods.update(_mechanisms_of(handler, _attributes_of_handler(handler), is_builtin=False))
        return {name: methods[name] for name in methods if name not in self._auth_excluded}

    def _configured_mechanisms(self) -> tuple[type[Mechanism], ...]:
        """Give the mechanisms that the server was made with."""
        return sasl.DEFAULT_MECHANISMS if self._mechanisms is None else self._mechanisms

    def _abilities(self) -> frozenset[str]:
        """What can be judged; all that a callable of 1.4 knows is passwords."""
        authenticator = self._authenticator
        if isinstance(authenticator, sasl.Authenticator):
            return authenticator.abilities
        return frozenset({"check_password"})

    def _advertised_mechanisms(self) -> list[str]:
        """The mechanisms that could succeed now.

        Without TLS where it is required there are none, and none asks an authenticator that is not
        there.
        """
        if self._auth_require_tls and self._tls_protocol is None:
            return []
        can_ask = (
            self._authenticator is not None
            or self._auth_callback is not None
            or self._find_hook("handle_AUTH") is not None
        )
        context = self._auth_context()
        return sorted(
            name
            for name, mechanism in self._auth_methods.items()
            if (can_ask or not self._asks_authenticator(mechanism.method))
            and self._is_usable(mechanism.method, context)
        )

    def _auth_context(self) -> Context:
        """What the mechanisms may know of the connection."""
        tls = self.session.ssl or {}
        certificate = tls.get("peercert") or {}
        secure = tls.get("ssl_object")
        context = sasl.Context(
            hostname=self.hostname,
            tls=self._tls_protocol is not None,
            certificate=certificate,
            certificate_der=secure.getpeercert(True) if certificate and secure else None,
            bindings=sasl.ChannelBindings(tls),
            abilities=self._abilities(),
            questions=(
                self.AuthLoginUsernameChallenge.encode("utf-8"),
                self.AuthLoginPasswordChallenge.encode("utf-8"),
            ),
        )
        if isinstance(self._authenticator, sasl.Authenticator):
            return dataclasses.replace(context, decoy_secret=self._authenticator.decoy_secret)
        return context

    def _class_of(self, method: Callable[..., Any]) -> type[Mechanism] | None:
        """Give the mechanism that a method runs; None if it is a method of its own."""
        if isinstance(method, functools.partial):
            mechanism: type[Mechanism] = method.args[0]
            return mechanism
        if not _is_own(method):
            return None
        return self._configured(sasl.Plain if method.__name__ == "auth_PLAIN" else sasl.Login)

    def _configured(self, usual: type[Mechanism]) -> type[Mechanism]:
        """Give the mechanism of a name that the server was made with."""
        found = (one for one in self._configured_mechanisms() if one.name == usual.name)
        return next(found, usual)

    def _asks_authenticator(self, method: Callable[..., Any]) -> bool:
        mechanism = self._class_of(method)
        return mechanism is not None and mechanism.needs is not None

    def _is_usable(self, method: Callable[..., Any], context: Context) -> bool:
        """Tell whether a mechanism could succeed on this connection."""
        mechanism = self._class_of(method)
        if mechanism is None:
            return True
        judge = self._authenticator
        accepted = not isinstance(judge, sasl.Authenticator) or judge.accepts(mechanism.name)
        return accepted and mechanism.usable(context)

    # -- the command ------------------------------------------------------------------------------

    @syntax("AUTH <mechanism>")
    async def smtp_AUTH(self, arg: str | None) -> None:
        """Authenticate the client (RFC 4954 section 4)."""
        already = self.session.authenticated
        try:
            await self._try_auth(arg.split() if arg else [])
        finally:
            if already or not self.session.authenticated:
                self._note_auth_refused()

    async def _try_auth(self, args: list[str]) -> None:
        if await self.check_helo_needed("EHLO" if self._greeting_verb == "HELO" else "LHLO"):
            return
        if (refused := self._auth_refusal(args)) is not None:
            await self.push(refused)
            return
        args[0] = args[0].upper()
        mechanism = self._auth_methods.get(args[0])
        if mechanism is None or not self._is_usable(mechanism.method, self._auth_context()):
            # What could not succeed is not offered, and not accepted either.
            await self.push(replies.AUTH_UNKNOWN)
        elif not await self._ask_auth_hook(args):
            await self._finish_auth(mechanism.method, args)

    async def _turn_auth_away(self, status: str) -> None:
        """Refuse AUTH without looking at it."""
        await self.push(status)
        self._note_auth_refused()

    def _note_auth_refused(self) -> None:
        """Note that AUTH was just refused: a client that pipelines sends its responses all the same."""
        self._auth_failed = self._replies_sent
        self._answers = NO_ANSWERS  # what is answered at once is not counted

    def _may_be_secret(self, verb: str) -> bool:
        """Tell whether an unknown verb may hold a secret.

        It may be a response that a client sends though AUTH has failed, of which LOGIN has two; or
        an AUTH that the client got wrong, such as ``AUTH=PLAIN``.
        """
        suspect = verb.startswith("AUTH") or self._replies_sent - self._auth_failed < 2
        return suspect and not hasattr(self, "smtp_" + verb)

    def _auth_refusal(self, args: list[str]) -> str | None:
        """Give the reply to an AUTH command that cannot be taken, or None."""
        if not self.session.extended_smtp:
            return "500 Error: command 'AUTH' not recognized"
        if self._auth_require_tls and self._tls_protocol is None:
            return replies.AUTH_NEEDS_TLS
        if self.session.authenticated:
            return replies.ALREADY_AUTHENTICATED
        if len(args) not in (1, 2):
            return replies.AUTH_TOO_MANY if args else replies.AUTH_TOO_FEW
        return refusal("AUTH", phase_of(self.session, self.envelope))

    async def _ask_auth_hook(self, args: list[str]) -> bool:
        """Let ``handle_AUTH`` do it all, if there is one; tell whether there is."""
        self._challenged = self._replies_sent
        status = await self._call_handler_hook("AUTH", args)
        if status is MISSING:
            return False
        if status is None and self._replies_sent == self._challenged:
            # A client that was challenged, or told nothing at all, would wait for ever.
            status = replies.AUTHENTICATED if self.session.authenticated else replies.AUTH_FAILED
        if not self.session.authenticated:
            await self._refuse_auth(status)
        elif status is not None:
            await self.push(status)
        return True

    async def _finish_auth(self, method: AuthMechanismType, args: list[str]) -> None:
        """Run a mechanism, keep its outcome and tell the client."""
        self._challenged = self._replies_sent
        outcome = await method(self, args)
        told = self._replies_sent != self._challenged
        result = _modern_result(outcome)
        if not isinstance(result, AuthResult):
            raise TypeError(
                f"{args[0]}: a mechanism returns AuthResult, not {type(result).__name__}"
            )
        session = self.session
        if result.success:
            session.authenticated = True
            session.auth_data = result.auth_data
            session.auth_identity = result.identity
            login = outcome if result is not outcome else getattr(result.auth_data, "login", None)
            if login is not None:
                session._login_data = login
            await self.push(result.message or replies.AUTHENTICATED)
            return
        session.authenticated = False
        await self._refuse_auth(None if told else result.message or replies.AUTH_FAILED)

    async def _refuse_auth(self, status: str | None) -> None:
        """Refuse the client, and hang up on one that has failed too often (RFC 4954 section 9).

        Args:
            status: what to tell it; None if it has been told.
        """
        self._auth_failures += 1
        if self._auth_failure_limit is not None and self._auth_failures >= self._auth_failure_limit:
            log.warning("%r too many failed authentication attempts", self.session.peer)
            await self.push(replies.TOO_MANY_FAILURES)
            self._connection.end()
        elif status is not None:
            await self.push(status)

    async def _refused_by_policy(self, address: str) -> str | None:
        """Ask the sender policy whether the client may use a reverse-path.

        Args:
            address: the mailbox, or ``"<>"``.

        Returns:
            The reply that refuses it, or None.

        Raises:
            TypeError: the policy returned neither bool nor a reply.
        """
        if self._sender_policy is None:
            return None
        verdict = self._sender_policy(self, self.session, self.envelope, address)
        if inspect.isawaitable(verdict):
            verdict = await verdict
        if isinstance(verdict, bool):
            return None if verdict else replies.SENDER_REFUSED
        if not isinstance(verdict, str):
            raise TypeError(
                f"sender_policy must return bool or a reply, not {type(verdict).__name__}"
            )
        return verdict

    # -- for mechanisms ---------------------------------------------------------------------------

    async def challenge_auth(
        self,
        challenge: str | bytes,
        encode_to_b64: bool = True,
        log_client_response: bool = False,
    ) -> _Missing | bytes:
        """Challenge the client and wait for its response (RFC 4954 section 4).

        Args:
            challenge: what to ask, without ``334``.
            encode_to_b64: whether ``challenge`` is still to be put in base64.
            log_client_response: log the response; it may hold a password, so never do in production.

        Returns:
            The response, base64 undone; or ``MISSING`` if the client gave up with ``*`` or sent no
            base64, which it then has been told.
        """
        if isinstance(challenge, str):
            challenge = challenge.encode("utf-8")
        if encode_to_b64:
            challenge = base64.b64encode(challenge)
        return await self._exchange("334 " + challenge.decode("ascii"), log_client_response)

    async def _auth_interact(self, server_message: str) -> _Missing | bytes:
        warn_deprecated("challenge_auth()", "_auth_interact()")
        return await self._exchange(server_message, False)

    async def _exchange(self, server_message: str, log_client_response: bool) -> _Missing | bytes:
        self._connection.expect_auth_response()
        await self.push(server_message)
        self._challenged = self._replies_sent
        event = await self._next_event()
        if not isinstance(event, AuthResponse):
            raise ConnectionResetError("the connection ended inside AUTH")
        if log_client_response:
            warnings.warn("AUTH interaction logging is enabled!", stacklevel=3)
            warnings.warn("Sensitive information might be leaked!", stacklevel=3)
            log.warning("%r AUTH response: %r", self.session.peer, event.line)
        line = event.line.strip()
        if line == b"*":
            log.warning("%r aborted AUTH with '*'", self.session.peer)
            await self.push(replies.AUTH_ABORTED)
            return MISSING
        if line == b"=" and server_message == "334 ":
            # To be asked for an initial response by an empty challenge is the same to some clients,
            # such as curl; it is no base64, so nothing else can be meant.
            return b""
        return await self._decode_response(line)

    async def _decode_response(self, encoded: bytes | str) -> _Missing | bytes:
        decoded: bytes | None
        try:
            decoded = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            decoded = None
        # The library lets pads follow octets that need none (RFC 4954 section 8).
        if decoded is not None and len(encoded) == (len(decoded) + 2) // 3 * 4:
            return decoded
        log.debug("%r response is not base64", self.session.peer)
        await self.push(replies.BAD_BASE64)
        return MISSING

    async def _authenticate(self, mechanism: str, auth_data: Any) -> AuthResult:
        """Have credentials judged.

        Raises:
            TypeError: the authenticator returned something else than a result.
        """
        if self._authenticator is None:
            accepted = (
                self._auth_callback is not None
                and isinstance(auth_data, LoginPassword)
                and self._auth_callback(mechanism, auth_data.login, auth_data.password) is True
            )
            return AuthResult(success=accepted, handled=False, auth_data=auth_data)
        result = self._authenticator(self, self.session, self.envelope, mechanism, auth_data)
        if inspect.isawaitable(result):
            result = await result
        if not isinstance(result, AuthResult):
            raise TypeError(
                f"authenticator: it must return AuthResult, not {type(result).__name__}"
            )
        return result

    async def _auth(self, kind: type[Mechanism], _: Any, args: list[str]) -> AuthResult:
        """Run a mechanism of a class."""
        context = self._auth_context()
        if kind.needs != "check_password":
            context = dataclasses.replace(context, offered=frozenset(self._advertised_mechanisms()))
        return await self._run_mechanism(kind(context), args)

    async def _run_mechanism(self, mechanism: Mechanism, args: list[str]) -> AuthResult:
        """Drive a step machine over the wire, and have its credentials judged."""
        response: bytes | None = None
        if len(args) > 1:
            # RFC 4954 section 4: a lone "=" is an initial response of no octets.
            decoded = b"" if args[1] == "=" else await self._decode_response(args[1])
            if decoded is MISSING:
                return AuthResult(success=False)
            response = decoded
        try:
            credentials = await self._converse(mechanism, response)
        except sasl.BadResponse:
            return AuthResult(success=False, handled=False, message=replies.AUTH_UNSPLITTABLE)
        except sasl.ProofFailed as fault:
            log.info("%r AUTH %s: %s", self.session.peer, mechanism.name, fault)
            result = AuthResult(success=False, handled=False)
        else:
            if credentials is MISSING:
                return AuthResult(success=False)
            result = await self._authenticate(mechanism.name, credentials)
        if result.success:
            if result.identity is None and isinstance(credentials, LoginPassword):
                login = credentials.login.decode("utf-8", "surrogateescape")
                result = dataclasses.replace(result, identity=login)
            return result
        return await self._explain_refusal(mechanism, result)

    async def _converse(self, mechanism: Mechanism, response: bytes | None) -> Any:
        """Go step by step; give the credentials, or ``MISSING`` if the client has been refused.

        Raises:
            BadResponse: the client sent what the mechanism does not allow.
            ProofFailed: the client is not who it says.
        """
        outcome = mechanism.step(response)
        while True:
            if isinstance(outcome, sasl.Challenge):
                answer = await self.challenge_auth(outcome.data)
                if answer is MISSING:
                    return MISSING
                outcome = mechanism.step(answer)
            elif isinstance(outcome, sasl.KeyRequest):
                if not isinstance(self._authenticator, sasl.Authenticator):
                    raise TypeError(f"{mechanism.name}: authenticator must be an Authenticator")
                outcome = mechanism.supply(
                    await self._authenticator.find_keys(self.session, outcome)
                )
            else:
                return outcome

    async def _explain_refusal(self, mechanism: Mechanism, result: AuthResult) -> AuthResult:
        """Send what a mechanism says before the refusal, and read what is no more of interest."""
        challenge = mechanism.refused()
        told = self._replies_sent != self._challenged
        if challenge is None or told or await self.challenge_auth(challenge.data) is not MISSING:
            return result
        return AuthResult(success=False)

    async def auth_PLAIN(self, _: Any, args: list[str]) -> AuthResult:
        """PLAIN (RFC 4616)."""
        return await self._auth(self._configured(sasl.Plain), self, args)

    async def auth_LOGIN(self, _: Any, args: list[str]) -> AuthResult:
        """LOGIN, as old clients want it."""
        return await self._auth(self._configured(sasl.Login), self, args)


def _modern_result(outcome: Any) -> Any:
    """Translate what a mechanism written for 1.2 returned; anything else is given back as it is.

    There, ``None``, ``MISSING`` and False stood for a failure, the login itself or True for success.
    """
    if outcome is None or outcome is MISSING or outcome is False:
        return AuthResult(success=False)
    if outcome is True or isinstance(outcome, (bytes, str)):
        return AuthResult(success=True, auth_data=outcome)
    return outcome


def _is_own(method: AuthMechanismType) -> bool:
    """Tell whether a method is one of the two that 1.4 had, not overridden."""
    return getattr(method, "__func__", method) in (AuthVerbs.auth_PLAIN, AuthVerbs.auth_LOGIN)
