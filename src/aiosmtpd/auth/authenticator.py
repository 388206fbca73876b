"""What an authenticator can be asked: one method for each kind of thing to judge.

An :class:`Authenticator` is a callable of the form that a server takes, so that a program may wrap one.
It knows neither the wire nor the mechanisms; which of its methods are overridden tells a server which
mechanisms to offer.
"""

from __future__ import annotations

import inspect
import secrets
from collections.abc import Awaitable
from typing import Any, TypeAlias, TypeVar

from .credentials import BearerToken, ExternalIdentity, ScramKeys, VerifiedIdentity
from .mechanism import BadResponse, KeyRequest, text_of
from .password import LoginPassword, PlainPassword
from .result import AuthResult

__all__ = ["Authenticator"]

_ABILITIES = ("check_password", "scram_keys", "shared_secret", "check_token", "check_certificate")

_Value = TypeVar("_Value")
_MaybeAwaitable: TypeAlias = _Value | Awaitable[_Value]
_Verdict: TypeAlias = _MaybeAwaitable[bool | str | None]


class Authenticator:
    """Judges who a client is; override what you can judge, with plain or async methods.

    A method that judges returns True for the identity that the client named, a ``str`` for another
    one, which then is the client's, and False or None for a refusal. To put it off, raise
    :exc:`~aiosmtpd.protocol.ProtocolError` with a reply such as ``454 4.7.0``; any other exception is
    answered 451.

    After a success ``session.auth_identity`` and ``session.auth_data`` are the identity.

    Attributes:
        decoy_secret: what the salts of identities that do not exist are derived from. It is made when
            the program starts; processes that serve one address must share it, or a client could tell
            such identities by their changing salts.
    """

    decoy_secret: bytes = secrets.token_bytes(32)

    # -- to be overridden -------------------------------------------------------------------------

    def check_password(self, session: Any, login: str, password: bytes) -> _Verdict:
        """Judge a password (PLAIN, LOGIN).

        Args:
            session: the :class:`~aiosmtpd.session.Session`.
            login: the identity that the client named.
            password: its password; compare it with :func:`hmac.compare_digest`, or by a hash.
        """
        raise NotImplementedError

    def scram_keys(
        self, session: Any, login: str, mechanism: str
    ) -> _MaybeAwaitable[ScramKeys | None]:
        """Give what is stored for an identity for SCRAM.

        Args:
            session: the :class:`~aiosmtpd.session.Session`.
            login: the identity that the client named, prepared with SASLprep (RFC 4013).
            mechanism: the mechanism's name without ``-PLUS``, for example ``"SCRAM-SHA-256"``.

        Returns:
            The keys; or None if there are none. Then the exchange goes on with made-up ones, of 4096
            iterations and a salt of 16 octets, and fails at its end. If yours differ, return
            :meth:`ScramKeys.decoy() <aiosmtpd.auth.ScramKeys.decoy>` instead.
        """
        raise NotImplementedError

    def shared_secret(self, session: Any, login: str) -> _MaybeAwaitable[bytes | str | None]:
        """Give the password that is stored for an identity (CRAM-MD5), or None."""
        raise NotImplementedError

    def check_token(self, session: Any, token: BearerToken) -> _Verdict:
        """Judge an access token (OAUTHBEARER, XOAUTH2).

        Returns:
            The identity that the token is for. True stands for ``token.user``; return it only if the
            token is that user's.
        """
        raise NotImplementedError

    def check_certificate(self, session: Any, identity: ExternalIdentity) -> _Verdict:
        """Give the identity that a client certificate stands for (EXTERNAL).

        The TLS layer has verified the certificate, against the authorities of the server's context.

        Returns:
            The identity. True stands for ``identity.authzid``; return it only if it is that of the
            certificate.
        """
        raise NotImplementedError

    def authorize(self, session: Any, authcid: str, authzid: str | None) -> _MaybeAwaitable[bool]:
        """Tell whether an identity that is established may act as another (RFC 4422 section 2).

        Args:
            session: the :class:`~aiosmtpd.session.Session`.
            authcid: the identity that is established.
            authzid: the identity to act as, which then is the client's; None if the client named none.
        """
        return authzid is None or authzid == authcid

    def accepts(self, mechanism: str) -> bool:
        """Tell whether a mechanism may be offered that the abilities would allow."""
        return True

    # -- what a server asks -----------------------------------------------------------------------

    @property
    def abilities(self) -> frozenset[str]:
        """The names of the methods that can be asked: those that are overridden."""
        own = type(self)
        return frozenset(
            name for name in _ABILITIES if getattr(own, name) is not getattr(Authenticator, name)
        )

    async def __call__(
        self, server: Any, session: Any, envelope: Any, mechanism: str, auth_data: Any
    ) -> AuthResult:
        """Judge what a mechanism gathered.

        Raises:
            TypeError: a method returned something else than it should, or the credentials are of a kind
                that nothing here can judge.
        """
        try:
            asked, verdict, named, authzid = self._ask(session, auth_data)
        except BadResponse:  # no name of ours is like that
            return AuthResult(success=False, handled=False)
        identity = _identity(asked, await _settled(verdict), named)
        if identity is None:
            return AuthResult(success=False, handled=False)
        authorized = await _settled(self.authorize(session, identity, authzid))
        if not isinstance(authorized, bool):
            raise TypeError(f"authorize() must return bool, not {type(authorized).__name__}")
        if not authorized:
            return AuthResult(success=False, handled=False)
        established = authzid or identity
        return AuthResult(success=True, auth_data=established, identity=established)

    def _ask(self, session: Any, credentials: Any) -> tuple[str, _Verdict, str | None, str | None]:
        """Ask the method for the credentials; give its name, its verdict, and whom the client named."""
        match credentials:
            case LoginPassword():
                login = text_of(credentials.login)
                authzid = None
                if isinstance(credentials, PlainPassword):
                    authzid = text_of(credentials.authzid)
                checked = self.check_password(session, login, credentials.password)
                return "check_password", checked, login, authzid
            case BearerToken():
                user = credentials.user
                return "check_token", self.check_token(session, credentials), user, user
            case ExternalIdentity():
                named = credentials.authzid
                checked = self.check_certificate(session, credentials)
                return "check_certificate", checked, named, named
            case VerifiedIdentity():
                return "", True, credentials.login, credentials.authzid
        raise TypeError(f"no method judges {type(credentials).__name__}")

    async def find_keys(self, session: Any, request: KeyRequest) -> Any:
        """Give what is stored for an identity.

        Args:
            session: the :class:`~aiosmtpd.session.Session`.
            request: what a mechanism asks for.

        Returns:
            What :meth:`scram_keys` or :meth:`shared_secret` gave.

        Raises:
            TypeError: that is something else than it should be.
        """
        keys: Any
        if request.ability == "scram_keys":
            keys = await _settled(self.scram_keys(session, request.login, request.mechanism))
            right = keys is None or isinstance(keys, ScramKeys)
        else:
            keys = await _settled(self.shared_secret(session, request.login))
            right = keys is None or isinstance(keys, (bytes, str))
        if not right:
            raise TypeError(f"{request.ability}() must not return {type(keys).__name__}")
        return keys


async def _settled(value: _MaybeAwaitable[_Value]) -> _Value:
    """Await what an async method returned."""
    if inspect.isawaitable(value):
        settled: _Value = await value
        return settled
    return value


def _identity(asked: str, verdict: Any, named: str | None) -> str | None:
    """Translate what a method returned into the identity that is established, or None."""
    if verdict is True:
        if named is None:
            raise TypeError(f"{asked}() returned True, but the client has named no identity")
        return named
    if verdict is None or verdict is False:
        return None
    if not isinstance(verdict, str) or not verdict:
        raise TypeError(f"{asked}() must return bool or an identity, not {type(verdict).__name__}")
    return verdict
