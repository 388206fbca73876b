"""The AUTH command (RFC 4954): between the wire and the mechanisms.

A mechanism is a method ``auth_NAME`` of the handler or of the server; the ones that are built in run a
:class:`~aiosmtpd.auth.Mechanism`. Each failure is answered exactly once, whoever answers it.
"""

from __future__ import annotations

import base64
import binascii
import inspect
import logging
import re
import warnings
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

from ..auth import (
    AuthResult,
    BadResponse,
    Challenge,
    Login,
    LoginPassword,
    Mechanism,
    Plain,
)
from ..protocol import AuthResponse, phase_of, refusal
from ..protocol import reply as replies
from .base import MISSING, Verbs, _Missing, syntax, warn_deprecated

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


def _mechanisms_of(owner: object, *, is_builtin: bool) -> dict[str, _AuthMechAttr]:
    found = {}
    for attribute in dir(owner):
        if attribute.startswith("auth_") and callable(method := getattr(owner, attribute)):
            name = getattr(method, "__auth_mechanism_name__", None)
            if not isinstance(name, str):
                name = attribute.removeprefix("auth_").replace("__", "-")
            found[name.upper()] = _AuthMechAttr(method, is_builtin)
    return found


class AuthVerbs(Verbs):
    """AUTH, and the mechanisms that are built in."""

    AuthLoginUsernameChallenge = "User Name\x00"
    AuthLoginPasswordChallenge = "Password\x00"
    # How many replies had been sent when the last challenge was, and when the last AUTH had failed.
    _challenged = 0
    _auth_failed = -2

    # -- which mechanisms there are ---------------------------------------------------------------

    @property
    def _auth_methods(self) -> dict[str, _AuthMechAttr]:
        """The mechanisms by name; the handler's go before the server's."""
        methods = _mechanisms_of(self, is_builtin=True)
        methods.update(_mechanisms_of(self.event_handler, is_builtin=False))
        return {name: methods[name] for name in methods if name not in self._auth_excluded}

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
        return sorted(
            name
            for name, mechanism in self._auth_methods.items()
            if can_ask or not _asks_authenticator(mechanism.method)
        )

    # -- the command ------------------------------------------------------------------------------

    @syntax("AUTH <mechanism>")
    async def smtp_AUTH(self, arg: str | None) -> None:
        """Authenticate the client (RFC 4954 section 4)."""
        already = self.session.authenticated
        try:
            await self._try_auth(arg.split() if arg else [])
        finally:
            if already or not self.session.authenticated:
                self._auth_failed = self._replies_sent

    async def _try_auth(self, args: list[str]) -> None:
        if await self.check_helo_needed("EHLO" if self._greeting_verb == "HELO" else "LHLO"):
            return
        if (refused := self._auth_refusal(args)) is not None:
            await self.push(refused)
            return
        args[0] = args[0].upper()
        mechanism = self._auth_methods.get(args[0])
        if mechanism is None:
            await self.push(replies.AUTH_UNKNOWN)
        elif not await self._ask_auth_hook(args):
            await self._finish_auth(mechanism.method, args)

    def _note_auth_refused(self) -> None:
        """Note that the next reply refuses AUTH: a client that pipelines sends its responses yet."""
        self._auth_failed = self._replies_sent + 1

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
        if status is not None:
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
        if result.success:
            self.session.authenticated = True
            self.session.auth_data = result.auth_data
            login = outcome if result is not outcome else getattr(result.auth_data, "login", None)
            if login is not None:
                self.session._login_data = login
            await self.push(result.message or replies.AUTHENTICATED)
            return
        self.session.authenticated = False
        if not told:
            await self.push(result.message or replies.AUTH_FAILED)

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
        return await self._decode_response(line)

    async def _decode_response(self, encoded: bytes | str) -> _Missing | bytes:
        try:
            return base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            log.debug("%r response is not base64", self.session.peer)
            await self.push(replies.BAD_BASE64)
            return MISSING

    def _authenticate(self, mechanism: str, auth_data: Any) -> AuthResult | Awaitable[AuthResult]:
        """Ask the authenticator; what it returns may have to be awaited."""
        if self._authenticator is not None:
            return self._authenticator(self, self.session, self.envelope, mechanism, auth_data)
        accepted = (
            self._auth_callback is not None
            and isinstance(auth_data, LoginPassword)
            and self._auth_callback(mechanism, auth_data.login, auth_data.password) is True
        )
        return AuthResult(success=accepted, handled=False, auth_data=auth_data)

    async def _run_mechanism(self, mechanism: Mechanism, args: list[str]) -> AuthResult:
        """Drive a step machine over the wire, and have its credentials judged."""
        response: bytes | None = None
        if len(args) > 1:
            # RFC 4954 section 4: a lone "=" is an initial response of no octets.
            decoded = b"" if args[1] == "=" else await self._decode_response(args[1])
            if decoded is MISSING:
                return AuthResult(success=False)
            response = decoded
        while True:
            try:
                outcome = mechanism.step(response)
            except BadResponse:
                await self.push(replies.AUTH_UNSPLITTABLE)
                return AuthResult(success=False)
            if not isinstance(outcome, Challenge):
                break
            answer = await self.challenge_auth(outcome.data)
            if answer is MISSING:
                return AuthResult(success=False)
            response = answer
        result = self._authenticate(mechanism.name, outcome)
        if inspect.isawaitable(result):
            result = await result
        if not isinstance(result, AuthResult):
            raise TypeError(
                f"authenticator: it must return AuthResult, not {type(result).__name__}"
            )
        return result

    async def auth_PLAIN(self, _: Any, args: list[str]) -> AuthResult:
        """PLAIN (RFC 4616)."""
        return await self._run_mechanism(Plain(), args)

    async def auth_LOGIN(self, _: Any, args: list[str]) -> AuthResult:
        """LOGIN, as old clients want it."""
        username = self.AuthLoginUsernameChallenge.encode("utf-8")
        password = self.AuthLoginPasswordChallenge.encode("utf-8")
        return await self._run_mechanism(Login(username, password), args)


def _modern_result(outcome: Any) -> Any:
    """Translate what a mechanism written for 1.2 returned; anything else is given back as it is.

    There, ``None``, ``MISSING`` and False stood for a failure, the login itself or True for success.
    """
    if outcome is None or outcome is MISSING or outcome is False:
        return AuthResult(success=False)
    if outcome is True or isinstance(outcome, (bytes, str)):
        return AuthResult(success=True, auth_data=outcome)
    return outcome


def _asks_authenticator(method: AuthMechanismType) -> bool:
    return getattr(method, "__func__", method) in (AuthVerbs.auth_PLAIN, AuthVerbs.auth_LOGIN)
